"""MoE-Adapter played as the engine plays it: what moves and what does not, choices, switches, states, counters."""

import copy
import sys

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
import torchvision
from support.fakes import FakeBackbone
from support.moe import SIDE, SMALL, build, context, learn, learner, moe_class, pictures, play, shaken, task, tiny
from support.playing import PlayedProtocol, same, weights

from vlcl_bench.backbones import load_backbone
from vlcl_bench.backbones.clip import OpenClipBackbone
from vlcl_bench.engine.footprint import backbone_sizes
from vlcl_bench.engine.learner import InProcessLearner
from vlcl_bench.errors import MethodError, UsageError
from vlcl_bench.methods.card import make_settings
from vlcl_bench.methods.registry import load_method
from vlcl_bench.protocols.load import load_protocol
from vlcl_bench.tasks import Task, caption_query, task_query, union_query

QUERIES = tuple(task_query(task(i).name, task(i).class_names, task(i).templates) for i in (1, 2))
EXPERTS = ("down", "down_bias", "up", "up_bias")


@pytest.fixture(scope="module")
def mini():
    return load_backbone("vlcl-mini/v1")


@pytest.fixture(scope="module")
def two_tasks():
    """A learner after two tasks; not to be changed."""
    return play(build(), 1, 2)


def state(method):
    return {name: value.detach().clone() for name, value in method.state_dict().items()}


def adapters(method):
    """What is not the selector's."""
    return {name: value for name, value in state(method).items() if not name.startswith("selector.")}


def selectors(method):
    return {name: value for name, value in state(method).items() if name.startswith("selector.")}


def scores(method, images, queries=QUERIES):
    """Logits for label spaces side by side, as the learner computes them."""
    method.eval()
    with torch.inference_mode():
        return torch.cat([logits.clone() for logits in method.score_all(images, queries)], dim=1)


def with_choice(method, tasks):
    """The method whose selector has this answer, for pictures in this order."""
    method.chosen_tasks = lambda images: tasks[: len(images)]
    return method


# What moves


@pytest.mark.parametrize(("kind", "blocks", "side"), [("tiny", (2, 2), SIDE), ("mini", (4, 3), 48)])
def test_a_step_reaches_the_experts_and_the_tasks_own_routers_alone(kind, blocks, side, mini):
    method, seen = build(tiny() if kind == "tiny" else copy.deepcopy(mini)), []
    playing, before = play(method, 1, 2, side=side, steps=2, warmup=0), weights(method)
    original = method.loss

    def watched(batch, logits, ctx):
        loss = original(batch, logits, ctx)
        wanted = {name: value for name, value in method.named_parameters() if value.requires_grad}
        found = torch.autograd.grad(loss, list(wanted.values()), retain_graph=True, allow_unused=True)
        seen.append({name for name, gradient in zip(wanted, found, strict=True) if gradient is not None})
        return loss

    method.loss = watched
    report = learn(playing, 3, side=side).reports[-1]
    names = [f"adapters.{tower}.{i}" for tower, n in zip(("image", "text"), blocks, strict=True) for i in range(n)]
    expected = {f"{name}.{part}" for name in names for part in (*EXPERTS, "routers.2", "noises.2")}
    assert seen == [expected] * 2
    assert set(report.trained) == expected | {name for name in method.state_dict() if ".coders.3." in name}
    assert same(weights(method), before)
    assert all(p.grad is None and not p.requires_grad for p in method.backbone.parameters())


def test_frozen_experts_and_past_routers_do_not_move_by_a_bit_over_later_tasks():
    method = build(experts=7)
    playing, passed = learner(method), []
    for index in (1, 2, 3, 4):
        before = {name: own.frozen.clone() for name, own in method.adapters.all()}
        learn(playing, index)
        for earlier in passed:
            for name, own in method.adapters.all():
                frozen = earlier[f"{name}.frozen"]
                for part in EXPERTS:
                    assert torch.equal(own.experts()[part][frozen], earlier[f"{name}.{part}"][frozen])
                    assert (own.experts()[part] != earlier[f"{name}.{part}"])[~own.frozen].any()
                for key in (key for key in earlier if key.startswith((f"{name}.routers", f"{name}.noises"))):
                    assert torch.equal(method.adapters.state_dict()[key], earlier[key])
        for name, own in method.adapters.all():
            assert own.frozen[before[name]].all()
            assert 0 <= int(own.frozen.sum() - before[name].sum()) <= 2
            assert index > 1 or int(own.frozen.sum()) == 2
        passed.append({name: value.detach().clone() for name, value in method.adapters.state_dict().items()})
    assert all(len(own.routers) == 4 for _, own in method.adapters.all())


def test_what_was_picked_most_while_learning_is_frozen():
    method, picked = build(), {}
    for name, own in method.adapters.all():
        original = own.route

        def route(first, tasks, learning, original=original, name=name):
            chosen, given = original(first, tasks, learning)
            if learning:
                picked.setdefault(name, []).extend(chosen.flatten().tolist())
            return chosen, given

        own.route = route
    play(method, 1, steps=3, batch_size=8)
    for name, own in method.adapters.all():
        counts = [picked[name].count(expert) for expert in range(5)]
        # 8, 8 and, at the end of the epoch, 4 pictures; three prompts in each step.
        assert sum(counts) == 2 * (20 if name.startswith("image") else 9)
        most = sorted(range(5), key=lambda expert: -counts[expert])[:2]
        assert set(own.frozen.nonzero()[:, 0].tolist()) == set(most)


def test_without_freezing_no_expert_is_frozen():
    method = play(build(freeze=False), 1, 2).method
    assert not any(own.frozen.any() for _, own in method.adapters.all())


def test_a_task_after_all_experts_are_frozen_trains_its_router():
    method = build(experts=2)
    playing = play(method, 1)
    before = {name: own.up.detach().clone() for name, own in method.adapters.all()}
    learn(playing, 2)
    assert all(torch.equal(own.up, before[name]) for name, own in method.adapters.all())
    assert any(own.routers[1].any() for _, own in method.adapters.all())


# Answers after later tasks


def test_logits_of_pictures_whose_experts_are_all_frozen_stay_to_the_bit_and_others_do_not(mini):
    method, images = build(copy.deepcopy(mini), experts=6), pictures(mini, 40)
    with_choice(method, torch.ones(40, dtype=torch.int64))
    playing = play(method, 1, side=48)
    chosen = {}
    for name, own in method.adapters.all():
        with torch.no_grad():
            own.routers[0].normal_(std=0.05, generator=torch.Generator().manual_seed(len(chosen)))
        own.register_forward_pre_hook(
            lambda own, given, name=name: chosen.update({name: own.route(given[0][:, 0], 1, False)[0].tolist()})
        )
    method.eval()
    with torch.no_grad(), method.adapters.routed(image=1, text=1):
        method.embed_images(images)
        method.embed_texts(QUERIES[0].prompts[0])
    settled = np.ones(40, dtype=bool)
    for name, own in method.adapters.all():
        own.frozen[chosen[name][0]] = True  # as if the first picture's and the texts' experts had been used most
        met = [all(own.frozen[expert] for expert in experts) for experts in chosen[name]]
        if name.startswith("image"):
            settled &= met
        else:
            assert all(met)
        own._forward_pre_hooks.clear()
    assert 0 < settled.sum() < 40, "a case is missing: take another seed"
    before = scores(method, images)
    for index in (2, 3):
        learn(playing, index, side=48)
        now = scores(method, images)
        assert torch.equal(now[settled], before[settled])
        assert (now != before)[~settled].any(dim=1).all()


def test_the_share_of_answers_that_may_still_change_is_logged():
    method = build()
    ctx = context(method)
    method.learn(task(1), ctx)
    rows = torch.randperm(20, generator=ctx.generator("unfrozen", 1))[: 6 * 8 // 20].numpy()
    images = method.backbone.preprocess(torch.from_numpy(task(1).images[rows]))
    shares = []
    for kind, encode in (
        ("image", lambda: method.embed_images(images)),
        ("text", lambda: method.embed_texts(task(1).prompts)),
    ):
        shares.append(method.adapters.unfrozen(kind, 1, encode).float().mean().item())
    assert [ctx.logged[-1]["pictures_unfrozen"], ctx.logged[-1]["texts_unfrozen"]] == pytest.approx(shares)


def test_before_the_first_task_the_method_is_the_untouched_model():
    method, plain = build(), tiny()
    images = pictures(plain)
    assert not method.chosen_tasks(images).any()
    with torch.no_grad():
        seen = F.normalize(plain.encode_image(images), dim=-1)
        for query, logits in zip(QUERIES, scores(method, images).split(3, dim=1), strict=True):
            texts = [F.normalize(plain.encode_text(plain.tokenize(p)), dim=-1).mean(dim=0) for p in query.prompts]
            expected = plain.logit_scale * seen @ F.normalize(torch.stack(texts), dim=-1).T
            torch.testing.assert_close(logits, expected)


def test_pictures_of_no_task_are_answered_by_the_untouched_model_to_the_bit():
    learned, fresh = play(build(), 1, 2).method, build()
    images = pictures(tiny())
    untouched = with_choice(learned, torch.zeros(6, dtype=torch.int64))
    torch.testing.assert_close(scores(untouched, images), scores(fresh, images), rtol=0, atol=1e-6)
    with_choice(learned, torch.full((6,), 2))
    assert not torch.allclose(scores(learned, images), scores(fresh, images))


def test_each_picture_is_answered_by_its_own_tasks_router_for_pictures_and_texts(two_tasks):
    method, tasks = copy.deepcopy(two_tasks.method), torch.tensor([2, 0, 1, 1, 0, 2])
    images = pictures(tiny())
    found = scores(with_choice(method, tasks), images)
    method.eval()
    with torch.no_grad():
        for row, own in enumerate(tasks.tolist()):
            with method.adapters.routed(image=own, text=own):
                seen = F.normalize(method.backbone.encode_image(images[row : row + 1]), dim=-1)
                for place, query in enumerate(QUERIES):
                    for column, prompts in enumerate(query.prompts):
                        text = F.normalize(method.embed_texts(prompts).mean(dim=0), dim=-1)
                        expected = float(method.backbone.logit_scale * seen[0] @ text)
                        assert float(found[row, 3 * place + column]) == pytest.approx(expected, abs=1e-4)


def test_one_label_space_is_scored_as_several_are(two_tasks):
    method, images = copy.deepcopy(two_tasks.method), pictures(tiny())
    method.eval()
    with torch.inference_mode():
        each = torch.cat([method.score(images, query) for query in QUERIES], dim=1)
    torch.testing.assert_close(each, scores(method, images), rtol=1e-5, atol=1e-5)


def test_all_names_at_once_are_scored_with_the_pictures_own_parameters(two_tasks):
    method, images = copy.deepcopy(two_tasks.method), pictures(tiny())
    with_choice(method, torch.tensor([0, 1, 2, 0, 1, 2]))
    together = scores(method, images, [union_query(QUERIES)])
    torch.testing.assert_close(together, scores(method, images), rtol=1e-5, atol=1e-5)


def test_texts_are_encoded_once_a_router_and_stage():
    method = with_choice(build(), torch.tensor([0, 1, 1, 2, 0, 2]))
    playing = play(method, 1, 2)
    encoded, original = [], method.backbone.encode_text
    method.backbone.encode_text = lambda tokens: encoded.append(len(tokens)) or original(tokens)
    for _ in range(3):
        scores(method, pictures(tiny()))
    # Two data sets of three names and two templates, for two routers and for the untouched model.
    assert sum(encoded) == 3 * 2 * 3 * 2
    learn(playing, 3)
    encoded.clear()
    scores(method, pictures(tiny()))
    assert sum(encoded) == 3 * 2 * 3 * 2


@pytest.mark.parametrize("kind", ["tiny", "mini"])
def test_texts_do_not_depend_on_the_texts_beside_them(kind, mini):
    method = build(tiny() if kind == "tiny" else copy.deepcopy(mini))
    shaken(method.adapters)
    method.eval()
    texts = ["a cat", "a photo of a very old and rather large red boat", "hills", "one more"]
    with torch.no_grad(), method.adapters.routed(text=2):
        together = method.embed_texts(texts)
        alone = torch.cat([method.embed_texts([text]) for text in texts])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


# Batches


# The mini CLIP knows these words; names of words that it does not know all have the same feature.
KNOWN = [
    task_query("one", ("cat", "bus", "apple"), ("a photo of a {c}.", "a drawing of a {c}")),
    task_query("two", ("chair", "daisy", "forest"), ("a photo of a {c}.",)),
]


@pytest.fixture(scope="module")
def on_the_mini_clip(mini):
    """A method on the mini CLIP after two tasks, pictures of both and of neither, their logits, narrow decisions."""
    settings = {"selector_steps": 30, "zero_shot_steps": 30, "hidden": 16, "selector_hidden": 20}
    method = play(build(copy.deepcopy(mini), **settings), 1, 2, side=48, steps=20).method
    near = [method.backbone.preprocess(torch.from_numpy(task(i, 50, 48).images)) for i in (1, 2)]
    images = torch.cat([*near, pictures(mini, 20)])
    return method, images, scores(method, images, KNOWN), margins(method, images) < 1e-5


def margins(method, images):
    """Least distance of a picture's selector or router decision from another one."""
    errors = method.selector.errors(images)
    two = errors.topk(2, dim=1, largest=False)
    limits = method.selector.limits[two.indices[:, 0]].clamp(max=1e9)
    found = torch.minimum(two.values[:, 1] - two.values[:, 0], (limits - two.values[:, 0]).abs())
    tasks = method.chosen_tasks(images)
    each = []

    def watch(own, given):
        logits = torch.stack([given[0][i, 0] @ own.routers[max(0, t - 1)] for i, t in enumerate(tasks.tolist())])
        ranked = logits.topk(3, dim=1).values
        each.append(torch.where(tasks > 0, ranked[:, 1] - ranked[:, 2], torch.inf))

    handles = [own.register_forward_pre_hook(watch) for own in method.adapters.image]
    with torch.no_grad(), method.adapters.routed(image=tasks):
        method.embed_images(images)
    for handle in handles:
        handle.remove()
    return torch.minimum(found, torch.stack(each).amin(dim=0))


@pytest.mark.parametrize("size", [1, 7, 64])
@pytest.mark.parametrize("permuted", [False, True])
def test_predictions_do_not_depend_on_batch_size_or_order(size, permuted, on_the_mini_clip):
    method, images, expected, open_either_way = on_the_mini_clip
    assert set(method.chosen_tasks(images).tolist()) == {0, 1, 2}, "the batch holds too few cases"
    count = len(images)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(4)) if permuted else torch.arange(count)
    found = torch.empty_like(expected)
    for rows in order.split(size):
        found[rows] = scores(method, images[rows], KNOWN)
    scale = float(method.backbone.logit_scale)
    changed = torch.zeros(count, dtype=torch.bool)
    narrow = open_either_way.clone()
    for own, known in zip(found.split(3, dim=1), expected.split(3, dim=1), strict=True):
        changed |= own.argmax(dim=1) != known.argmax(dim=1)
        two = known.topk(2, dim=1).values
        narrow |= two[:, 0] - two[:, 1] < 1e-4 * scale
    assert not (changed & ~narrow).any()
    assert changed.float().mean() <= 0.005
    apart = (found - expected).abs().amax(dim=1) > 1e-4 * scale
    assert not (apart & ~open_either_way).any()


def test_with_the_vote_of_a_batch_an_answer_depends_on_the_pictures_beside_it(on_the_mini_clip, mini):
    single, images, *_ = on_the_mini_clip
    voting = build(copy.deepcopy(mini), hidden=16, selector_hidden=20, selector="batch")
    voting.load_state_dict(single.state_dict())
    errors = single.selector.errors(images).mean(dim=0)
    expected = int(single.selector.choose(errors[None]))
    assert voting.chosen_tasks(images).tolist() == [expected] * len(images)
    alone = torch.cat([voting.chosen_tasks(image[None]) for image in images])
    assert torch.equal(alone, single.chosen_tasks(images))
    assert len(alone.unique()) > 1


def test_the_vote_of_a_batch_and_one_threshold_for_all_tasks_are_not_ranked():
    cls = moe_class()
    reasons = {kind: cls.unranked_because(make_settings(cls, {"selector": kind}, "full"))
               for kind in ("picture", "batch", "none")}  # fmt: skip
    assert "vote" in reasons.pop("batch")
    assert set(reasons.values()) == {""}
    assert "threshold" in cls.unranked_because(make_settings(cls, {"threshold": 0.0655}, "full"))


def test_no_other_method_is_unranked_by_default():
    for name in ("finetune", "zscl", "icarl", "lwf"):
        cls = load_method(name)
        assert cls.unranked_because(make_settings(cls, {}, "full")) == ""


def test_without_a_selector_the_last_task_answers():
    method, images = play(build(selector="none"), 1, 2).method, pictures(tiny())
    assert method.chosen_tasks(images).tolist() == [2] * 6
    assert len(method.selector.coders) == 0


def test_a_threshold_takes_the_place_of_the_limits(two_tasks):
    method, images = two_tasks.method, pictures(tiny(), 30)
    errors = method.selector.errors(images)
    bound = float(errors.amin(dim=1).median())
    same_method = build(threshold=bound)
    same_method.load_state_dict(method.state_dict())
    least, place = errors.min(dim=1)
    assert torch.equal(same_method.chosen_tasks(images), torch.where(least <= bound, place, 0))
    assert same(state(play(build(threshold=bound), 1, 2).method), state(method))


# Two in one process


def test_two_methods_do_not_touch_each_other():
    one, two = play(build(tiny(0)), 1, 2).method, build(tiny(1), seed=3)
    expected, before = scores(one, pictures(tiny())), weights(two)
    play(two, 1, 2)
    one.forget_cached_texts()
    assert torch.equal(scores(one, pictures(tiny())), expected)
    assert same(weights(two), before)


def test_two_methods_on_one_backbone_do_not_touch_each_other():
    backbone = tiny()
    alone = play(build(), 1).method
    one, two = build(backbone), build(backbone, seed=3)
    playing = learner(one)
    play(two, 1)
    learn(playing, 1)
    assert same(state(one), state(alone))
    assert torch.equal(scores(one, pictures(backbone)), scores(alone, pictures(backbone)))


def test_a_copy_of_a_method_goes_its_own_way(two_tasks):
    original = copy.deepcopy(two_tasks.method)
    other = copy.deepcopy(original)
    images = pictures(tiny())
    before, expected = state(original), scores(original, images)
    other.to("cpu")
    learned = learn(learner(other), 3).method
    assert len(learned.adapters.image[0].routers) == 3
    assert same(state(original), before)
    original.forget_cached_texts()
    assert torch.equal(scores(original, images), expected)
    straight = learn(learner(copy.deepcopy(two_tasks.method)), 3).method
    assert same(state(learned), state(straight))
    with torch.no_grad():
        for value in original.parameters():
            value.add_(1.0)
    assert torch.equal(scores(learned, images), scores(straight, images))


def test_the_hooks_can_be_taken_off():
    method, images = play(build(), 1).method, pictures(tiny())
    method.adapters.remove()
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in method.backbone.modules())
    with torch.no_grad(), method.adapters.routed(image=1, text=1):
        assert torch.equal(method.backbone.encode_image(images), tiny().encode_image(images))


def test_a_released_backbone_trains_again_and_a_frozen_part_of_it_stays_frozen():
    backbone = tiny()
    backbone.model.ln_final.requires_grad_(False)
    before = {name: weights.requires_grad for name, weights in backbone.named_parameters()}
    method = play(build(backbone), 1).method
    assert not any(weights.requires_grad for weights in backbone.parameters())
    method.release()
    assert {name: weights.requires_grad for name, weights in backbone.named_parameters()} == before
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in backbone.modules())


def test_frozen_clip_works_while_learning_as_it_does_at_test():
    method = build().train()
    assert method.adapters.training
    assert not any(module.training for module in method.backbone.modules())


@pytest.mark.parametrize("index", [1, 3])
def test_a_task_that_is_not_the_next_one_is_refused(index):
    playing = play(build(), 1)
    with pytest.raises(MethodError, match=f"task {index} cannot be learned after 1 tasks"):
        learn(playing, index)


# States and counters


@pytest.mark.parametrize(
    "settings", [{}, {"selector": "none"}, {"selector": "batch"}, {"freeze": False}, {"dropout": 0.5}],
    ids=["published", "no selector", "batch", "no freezing", "dropout"],
)  # fmt: skip
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(settings, tmp_path):
    whole = play(build(**settings), 1, 2)
    whole.save(tmp_path / "state")
    other = learner(build(seed=9, **settings))
    other.load(tmp_path / "state")
    images = pictures(tiny(), 12)
    assert torch.equal(scores(other.method, images), scores(whole.method, images))
    assert other.footprint() == whole.footprint()
    for playing in (whole, other):
        learn(playing, 3)
    assert same(state(other.method), state(whole.method))
    assert whole.reports[-1] == other.reports[-1]
    assert torch.equal(scores(other.method, images), scores(whole.method, images))


def test_a_run_follows_from_its_seed():
    one, again, other = (state(play(build(), 1, seed=seed).method) for seed in (0, 0, 1))
    assert same(one, again)
    assert not same(one, other)


def test_everything_added_is_counted_as_trained_and_kept():
    playing = play(build(), 1, 2)
    widths = (32, 32, 16, 16)
    experts = sum(5 * (2 * width * 4 + width + 4) for width in widths)
    routers = sum(2 * 2 * width * 5 for width in widths)
    size = (4 + 1) * 32  # four patches and the class token
    coders = 3 * (2 * size * 6 + 6 + size)
    footprint = playing.footprint()
    assert footprint.parameters_trained == footprint.parameters_added == experts + routers + coders
    frozen, limits, learned = 4 * 5, 3 * 4, 8
    assert footprint.bytes_between_tasks == 4 * footprint.parameters_added + frozen + limits + learned
    assert not any(name.startswith("backbone.") for report in playing.reports for name in report.trained)


def test_on_vit_b_16_the_harness_counts_the_published_parameters_and_eleven_more_autoencoders(monkeypatch):
    monkeypatch.setattr("vlcl_bench.backbones.clip.trained_tokens", lambda model, tokenizer: None)  # needs values
    with torch.device("meta"):
        model = open_clip.create_model("ViT-B-16", load_weights=False, device="meta")
        convolutions = torchvision.models.alexnet().features[:-2].requires_grad_(False)
        backbone = OpenClipBackbone("ViT-B-16", model, open_clip.get_tokenizer("ViT-B-16"))
    cls = moe_class()
    monkeypatch.setattr(sys.modules[cls.__module__], "alexnet_features", lambda device: convolutions)
    with torch.device("meta"):
        method = cls(backbone, make_settings(cls, {}, "full"))
        sizes = backbone_sizes(backbone)
        for _, mixture in method.adapters.all():
            for _ in range(11):
                mixture.add_router()
        for _ in range(12):
            method.selector.add(256 * 13 * 13, torch.device("meta"))
    monkeypatch.setattr(cls, "to", lambda self, device: self)
    playing = InProcessLearner(method, PlayedProtocol(), 0, torch.device("meta"), sizes)
    learnt = {name for name, _ in method.named_parameters() if name.startswith(("adapters.", "selector.coders."))}
    playing._trained = learnt
    footprint = playing.footprint()
    assert footprint.parameters_added == footprint.parameters_trained == 155_413_680
    assert 51_059_712 + 12 * 8_696_164 == 155_413_680
    assert round((51_059_712 + 8_696_164) / 1e6, 1) == 59.8  # as published
    frozen_experts, limits, learned = 24 * 22, 12 * 4, 8
    kept = 4 * (155_413_680 + 2_469_696) + frozen_experts + limits + learned
    assert footprint.bytes_between_tasks == kept


def test_the_published_rates_are_those_of_data_sets_of_the_full_protocol():
    factors, protocol = sys.modules[moe_class().__module__].PUBLISHED_FACTORS, load_protocol("mtil-1")
    assert factors.keys() <= set(protocol.dataset_names)
    rates = {name: factor * protocol.budget.learning_rate for name, factor in factors.items()}
    assert rates == {"aircraft": 5e-3, "cifar100": 5e-3, "eurosat": 1e-4, "mnist": 1e-4}


def test_without_a_selector_only_adapters_are_trained_and_counted():
    playing = play(build(selector="none"), 1)
    assert {name.split(".")[0] for name in playing.reports[0].trained} == {"adapters"}
    assert playing.reports[0].usage.reference_pictures == 6 * 8 // 20


def test_task_pictures_are_those_of_the_recipe():
    report = play(build(), 1, steps=6, batch_size=5, reference_batch=4).reports[0]
    assert report.usage.task_pictures == 30
    assert report.usage.synthetic_pictures == report.usage.replayed_samples == 0


# Switches


@pytest.fixture(scope="module")
def published():
    """What the small method is after two tasks: adapters and selector."""
    method = play(build(), 1, 2).method
    return adapters(method), selectors(method)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("experts", 4), ("hidden", 3), ("top", 1), ("scale", 0.7), ("dropout", 0.6), ("learning_rate", 0.005),
     ("label_smoothing", 0.0), ("freeze", False)],
)  # fmt: skip
def test_a_setting_of_the_adapters_changes_them_and_not_the_selector(setting, value, published):
    method = play(build(**{setting: value}), 1, 2).method
    assert not same(adapters(method), published[0])
    assert same(selectors(method), published[1])


@pytest.mark.parametrize(
    ("setting", "value"),
    [("selector_hidden", 9), ("selector_steps", 2), ("zero_shot_steps", 2), ("tolerance", 1.0)],
)
def test_a_setting_of_the_selector_changes_it_and_not_the_adapters(setting, value, published):
    method = play(build(**{setting: value}), 1, 2).method
    assert same(adapters(method), published[0])
    assert not same(selectors(method), published[1])


@pytest.mark.parametrize(("setting", "value"), [("selector", "batch"), ("threshold", 0.05)])
def test_how_a_task_is_chosen_changes_nothing_that_is_learned(setting, value, published):
    method = play(build(**{setting: value}), 1, 2).method
    assert same(adapters(method), published[0])
    assert same(selectors(method), published[1])


def test_the_adapters_learn_the_same_without_a_selector(published):
    method = play(build(selector="none"), 1, 2).method
    assert same(adapters(method), published[0])
    assert selectors(method).keys() == {"selector.limits"}


def test_steps_of_zero_shot_do_not_change_the_tasks_autoencoders(published):
    method = play(build(selector_steps=2), 1, 2).method
    unchanged = {n: v for n, v in selectors(method).items() if n.startswith("selector.coders.0.")}
    assert all(torch.equal(published[1][name], value) for name, value in unchanged.items())
    assert unchanged


def test_freezing_does_nothing_to_the_first_tasks_weights():
    one, two = (adapters(play(build(freeze=freeze), 1).method) for freeze in (True, False))
    assert {name.rsplit(".", 1)[-1] for name in one if not torch.equal(one[name], two[name])} == {"frozen"}


def test_the_settings_leave_the_drawing_of_pictures_alone():
    def drawn(**settings):
        method, rows = build(**settings), []
        original = type(method).loss
        method.loss = lambda batch, logits, ctx: rows.append(batch.indices) or original(method, batch, logits, ctx)
        play(method, 1, 2)
        return np.concatenate(rows).tolist()

    plain = drawn()
    assert all(drawn(**change) == plain for change in ({"selector": "none"}, {"experts": 3}, {"freeze": False}))


def test_the_published_values_are_the_defaults():
    cls = moe_class()
    config = make_settings(cls, {}, "full")
    assert (config.experts, config.hidden, config.top, config.scale, config.dropout) == (22, 64, 2, 0.1, 0.1)
    assert (config.rate_factor, config.learning_rate) == (100, None)
    assert (config.label_smoothing, config.freeze) == (0.2, True)
    assert (config.selector, config.selector_features) == ("picture", "alexnet")
    assert (config.selector_hidden, config.selector_steps, config.zero_shot_steps) == (100, 300, 1000)
    assert config.threshold is None
    assert make_settings(cls, {}, "mini").selector_features == "tower"
    assert cls.title == "MoE-Adapter"


@pytest.mark.parametrize(("setting", "value"), [("selector", "votes"), ("selector_features", "resnet"), ("expert", 3)])
def test_unknown_settings_are_refused(setting, value):
    with pytest.raises(UsageError, match=setting):
        build(**{setting: value})


# Learning rates


@pytest.mark.parametrize(
    ("name", "dataset", "published", "expected"),
    [("aircraft", "", True, 5e-3), ("cifar100", "", True, 5e-3), ("eurosat", "", True, 1e-4), ("mnist", "", True, 1e-4),
     ("caltech101", "", True, 1e-3), ("sun397", "", True, 1e-3), ("part 3", "cifar100", True, 5e-3),
     ("aircraft", "", False, 1e-3), ("aircraft", "other", True, 1e-3)],
)  # fmt: skip
@pytest.mark.parametrize("times", [1, 20])
def test_the_rate_is_the_published_one_of_the_data_set_times_the_protocols(name, dataset, published, expected, times):
    method, plain = build(published_rates=published, selector="none", learning_rate=None), task(1)
    given = Task(1, name, plain.class_names, plain.templates, plain.images, plain.labels, dataset)
    ctx, rates = context(method, learning_rate=1e-5 * times), []
    original = ctx.fit
    ctx.fit = lambda *arguments: rates.append(arguments[-1]) or original(*arguments)
    method.learn(given, ctx)
    assert rates == [pytest.approx(times * expected, rel=1e-12)]
    assert times > 1 or rates == [expected]


def test_a_rate_that_is_set_holds_where_none_is_published_whatever_the_protocol_says():
    method = build(learning_rate=2e-3, selector="none")
    plain = task(1)
    named = Task(1, "mnist", plain.class_names, plain.templates, plain.images, plain.labels, "")
    ctx = context(method, learning_rate=0.5)
    assert [method.learning_rate(one, ctx) for one in (plain, named)] == [2e-3, 5.0]


def test_the_recipes_other_methods_keep_the_protocols_rate():
    cls = load_method("finetune")
    method = cls(tiny(), make_settings(cls, {}, "full"))
    ctx = context(method, learning_rate=0.125, learning_rates={"task-2": 0.5})
    assert [method.learning_rate(task(i), ctx) for i in (1, 2)] == [0.125, 0.5]


# Other tasks and backbones


def test_a_captioned_task_is_learned():
    plain = task(1, 9)
    captions = tuple((f"picture {row}", f"number {row}") for row in range(9))
    given = Task(1, "stories", (), (), plain.images, np.full(9, -1), "stories", captions)
    method = build()
    before = adapters(method)
    playing = play(method, given)
    assert any(not torch.equal(adapters(method)[name], value) for name, value in before.items())
    assert {"pictures_unfrozen", "texts_unfrozen"} <= playing.reports[0].log[-1].keys()
    query = caption_query("stories", tuple(texts[0] for texts in captions))
    found = playing.score(plain.images, [query])[0]
    assert found.shape == (9, 9)
    assert np.isfinite(found).all()


def test_the_player_scores_pictures(two_tasks):
    found = two_tasks.score(task(1).images, QUERIES)
    assert [logits.shape for logits in found] == [(20, 3), (20, 3)]


def test_a_backbone_without_transformer_blocks_is_refused():
    cls = moe_class()
    with pytest.raises(MethodError, match="'fake' does not show its transformer blocks") as refused:
        cls(FakeBackbone(), make_settings(cls, SMALL, "full"))
    assert "open_clip" in refused.value.hint


def test_a_text_tower_without_a_causal_mask_is_learned_too():
    backbone = tiny(text={"no_causal_mask": True, "pool_type": "first"})
    method = play(build(backbone), 1, 2).method
    assert not method.adapters.causal
    assert torch.isfinite(scores(method, pictures(backbone))).all()


def test_training_lowers_the_loss():
    method, losses = build(learning_rate=0.01, dropout=0.0, scale=1.0, selector="none"), []
    original = method.loss
    method.loss = lambda *given: losses.append(original(*given)) or losses[-1]
    play(method, task(1, 60), steps=60, batch_size=16)
    assert torch.stack(losses[-5:]).mean() < 0.8 * torch.stack(losses[:5]).mean()
