"""The foils of Auto-Seed VL2: what they keep, what they replay, and that they go on where they stopped."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
from support import tiny_clip
from support.fakes import AUGMENTATION, FakeBackbone, make_budget, make_task
from support.playing import context, label_sets_before, same, weights

from baselines.cgil.vae import ClassVAEs, Decoders, kl_to_standard_normal
from baselines.parts.replay import ReplayMethod
from baselines.parts.seeds import pseudo_classes
from vlcl_bench.backbones.clip import OpenClipBackbone
from vlcl_bench.engine.footprint import backbone_sizes
from vlcl_bench.engine.learner import InProcessLearner
from vlcl_bench.errors import MethodError
from vlcl_bench.methods.card import make_settings
from vlcl_bench.methods.registry import load_method
from vlcl_bench.tasks import Task, caption_query, plain_query, task_query

REPLAY = ("proto_replay", "er_vlm", "cgil")
FOILS = (*REPLAY, "coop")
SMALL = {"cgil": {"latent": 3, "hidden": 6, "iterations": 20, "samples": 5}, "coop": {"context_vectors": 2}}
RATES = dict.fromkeys((*REPLAY, "auto_seed_vl2"), 1e-3) | {"coop": 2e-3}
"""The made-up budgets have rates for encoders of a few weights; adapters beside these keep their own."""
WORDS = ("a", "red", "hill", "some", "boat", "cloud", "the", "dark")


@pytest.fixture(scope="module")
def tiny():
    """Makes a CLIP of open_clip's own transformers, always the same."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        tiny_clip.install(monkeypatch)
        model, tokenizer = open_clip.create_model("tiny", load_weights=False), open_clip.get_tokenizer("ViT-B-32")
        state = {name: 3 * value if "token_embedding" in name else value for name, value in tiny_clip.state().items()}

        def make():
            model.load_state_dict(state)
            return OpenClipBackbone("tiny", model, tokenizer)

        yield make


def build(name, backbone: Any = None, **settings):
    cls: Any = load_method(name)
    small = ({"learning_rate": RATES[name]} if name in RATES else {}) | SMALL.get(name, {})
    return cls(backbone or FakeBackbone(), make_settings(cls, small | settings, "full"))


def classes(index, samples=20, side=4):
    task = make_task(index, samples)
    return replace(task, images=np.repeat(np.repeat(task.images, side // 4, 1), side // 4, 2))


def captioned(index, samples=20, side=4):
    plain, rng = classes(index, samples, side), np.random.default_rng([9, index])
    texts = [tuple(" ".join(rng.choice(WORDS, 4)) for _ in range(1 + row % 3)) for row in range(samples)]
    return Task(index, f"stories-{index}", (), (), plain.images, np.full(samples, -1), f"stories-{index}", tuple(texts))


def growing(index, samples=20, side=4):
    """A data set in groups of three classes: names so far, pictures of the newest."""
    task = classes(index, samples, side)
    names = tuple(f"thing {i}" for i in range(3 * index))
    return replace(task, class_names=names, labels=task.labels + 3 * (index - 1), dataset="things")


class Stream:
    """As much of a protocol as a learner needs, for one of the three kinds of tasks."""

    augmentation = AUGMENTATION

    def __init__(self, kind, **budget):
        self.kind, self.budget = kind, make_budget(**budget)

    def label_sets_before(self, task):
        if self.kind is captioned or task == 1:
            return ()
        if self.kind is growing:
            last = growing(task - 1)
            return (type(label_sets_before(2)[0])("things", last.class_names, last.templates[0]),)
        return label_sets_before(task)


def play(method, kind, *indices, samples=20, side=4, seed=0, **budget):
    protocol: Any = Stream(kind, **budget)
    learner: Any = InProcessLearner(method, protocol, seed, torch.device("cpu"), backbone_sizes(method.backbone))
    learner.reports = [learner.learn(kind(i, samples, side), lambda done, total, word: None) for i in indices]
    return learner


def kept_bytes(learner):
    return [report["bytes"] for own in learner.reports for report in own.log if report.get("report") == "memory"]


def frozen(method, task, rows):
    """Unit features of a task's pictures by the untouched tower."""
    with torch.no_grad():
        pixels = method.backbone.preprocess(torch.from_numpy(np.asarray(task.images)[rows]))
        return F.normalize(method.backbone.encode_image(pixels), dim=-1)


def frozen_texts(method, texts):
    with torch.no_grad():
        return F.normalize(method.backbone.encode_text(method.backbone.tokenize(list(texts))), dim=-1)


# What all have in common


@pytest.mark.parametrize("kind", [classes, growing, captioned])
@pytest.mark.parametrize("name", FOILS)
def test_learning_on_after_a_reload_equals_learning_without_a_break(name, kind, tiny, tmp_path):
    def fresh():
        return build(name, tiny() if name == "coop" else None)

    side = 16 if name == "coop" else 4
    unbroken = play(fresh(), kind, 1, 2, side=side).method.state_dict()
    unbroken = {key: value.clone() for key, value in unbroken.items()}
    play(fresh(), kind, 1, side=side).save(tmp_path / "state")
    second = play(fresh(), kind, side=side)
    second.load(tmp_path / "state")
    second.learn(kind(2, 20, side), lambda done, total, word: None)
    assert same(unbroken, second.method.state_dict())


@pytest.mark.parametrize("kind", [classes, captioned])
@pytest.mark.parametrize("name", REPLAY)
def test_adapters_learn_and_the_towers_do_not(name, kind):
    method = build(name)
    before, adapters = weights(method), {k: p.detach().clone() for k, p in method.adapters.named_parameters()}
    learner = play(method, kind, 1, 2)
    assert same(before, weights(method))
    assert all(not torch.equal(adapters[key], value) for key, value in method.adapters.named_parameters())
    assert {key for report in learner.reports for key in report.trained} == {f"adapters.{key}" for key in adapters}


@pytest.mark.parametrize("name", FOILS)
def test_what_is_kept_is_counted_and_the_budget_is_kept(name, tiny):
    method = build(name, tiny() if name == "coop" else None)
    learner = play(method, classes, 1, 2, 3, side=16 if name == "coop" else 4)
    assert all(report.usage.task_pictures <= 6 * 8 for report in learner.reports)
    kept = learner.footprint().bytes_between_tasks
    if name == "coop":
        assert kept == 4 * 3 * (2 * 16 + 16)  # three contexts of two vectors, three keys
        assert not any(report.usage.replayed_samples for report in learner.reports)
    else:
        assert kept == kept_bytes(learner)[-1]
        assert [bool(report.usage.replayed_samples) for report in learner.reports] == [False, True, True]


@pytest.mark.parametrize("name", FOILS)
def test_the_seed_decides(name, tiny):
    side = 16 if name == "coop" else 4
    states = [
        {
            key: value.clone()
            for key, value in play(
                build(name, tiny() if name == "coop" else None), classes, 1, 2, side=side, seed=seed
            ).method.state_dict().items()
        }
        for seed in (0, 0, 1)
    ]  # fmt: skip
    assert same(states[0], states[1])
    assert not same(states[0], states[2])


@pytest.mark.parametrize("name", FOILS)
@pytest.mark.parametrize("kind", [classes, captioned])
def test_answers_do_not_depend_on_the_batch(name, kind, tiny):
    side = 16 if name == "coop" else 4
    learner = play(build(name, tiny() if name == "coop" else None), kind, 1, 2, side=side)
    images = np.concatenate([np.asarray(kind(index, 9, side).images) for index in (1, 2)])
    task = classes(1)
    query = task_query(task.name, task.class_names, task.templates)
    queries = [query, caption_query(None, ("a red hill", "some boat"))] if kind is captioned else [query]
    whole = learner.score(images, queries)
    order = np.random.default_rng(0).permutation(len(images))
    for found, parts in zip(
        whole, zip(*(learner.score(images[[i]], queries) for i in order), strict=True), strict=True
    ):
        np.testing.assert_allclose(np.concatenate(parts), found[order], atol=1e-4)


# Prototype replay


@pytest.mark.parametrize("kind", [classes, growing])
def test_prototypes_are_the_class_means_in_half_precision_beside_their_prompts_feature(kind):
    method = play(build("proto_replay"), kind, 1, 2).method
    assert method.items == 6
    for index in (1, 2):
        task = kind(index)
        for label in np.unique(task.labels):
            row = int(((method.memory.tasks == index) & (method.memory.labels == int(label))).nonzero())
            rows = np.flatnonzero(task.labels == label)
            mean = sum(frozen(method, task, [i])[0] for i in rows) / len(rows)
            assert method.memory.v.dtype == torch.float16
            torch.testing.assert_close(method.memory.v[row].float(), mean / mean.norm(), atol=5e-4, rtol=0)
            text = frozen_texts(method, [task.prompts[label]])[0]
            torch.testing.assert_close(method.memory.w[row].float(), text, atol=5e-4, rtol=0)
            assert int(method.memory.datasets[row]) == (index - 1 if kind is classes else 0)


def test_of_captions_the_prototypes_are_mean_picture_and_mean_caption_of_clusters():
    method = play(build("proto_replay", pseudo_classes=4), captioned, 1).method
    assert method.items == 4
    task, ctx = captioned(1), context(method)
    rows = method.pictures_of(task, ctx)[0]
    images = frozen(method, task, rows)
    texts = F.normalize(torch.stack([frozen_texts(method, task.captions[row]).mean(0) for row in rows]), dim=1)
    clusters = pseudo_classes(texts, 4, ctx.generator("clusters", 1).initial_seed())
    for cluster in range(4):
        for kept, real in ((method.memory.v, images), (method.memory.w, texts)):
            mean = sum(real[clusters == cluster])
            torch.testing.assert_close(kept[cluster].float(), mean / mean.norm(), atol=5e-4, rtol=0)


def test_prototype_replay_and_auto_seed_have_the_same_losses_and_weights():
    proto, rival = load_method("proto_replay"), load_method("auto_seed_vl2")
    for name in ("loss", "train_adapters", "logits"):
        assert getattr(proto, name) is getattr(rival, name)
    for scale in ("full", "mini"):
        ours, theirs = (make_settings(cls, {}, scale).model_dump() for cls in (proto, rival))
        assert ours == {name: theirs[name] for name in ours}


def test_replay_without_jitter_shows_the_prototypes_themselves():
    method = play(build("proto_replay", jitter="none"), classes, 1).method
    method.spaces, method.noise, method.roots = None, torch.Generator(), method.spreads.roots(isotropic=False)
    rows = torch.arange(3)
    v, _ = method._seeds(rows, jitter=False)
    torch.testing.assert_close(v, F.normalize(method.memory.v.float(), dim=1))
    method.spaces = type("Spaces", (), {"captioned": False})
    spread, w = method._seeds(torch.zeros(4000, dtype=torch.int64), jitter=True)
    apart = (spread - v[0]).square().mean().sqrt()
    of_images = float(method.spreads.covariance[0].float().diagonal().mean().sqrt())
    assert 0.5 * of_images < apart < 1.2 * of_images  # normalising takes the part along v away
    torch.testing.assert_close(w[0], w[-1])


# ER-VLM


def brute_herd(features, count):
    picked: list[int] = []
    for _ in range(count):
        free = [i for i in range(len(features)) if i not in picked]
        distance = [float((features[[*picked, i]].mean(0) - features.mean(0)).norm()) for i in free]
        picked.append(free[int(np.argmin(distance))])
    return picked


def test_exemplars_are_herded_pictures_of_their_class():
    method, task = play(build("er_vlm", exemplars=9), classes, 1).method, classes(1)
    assert method.items == 9
    for label in range(3):
        rows = np.flatnonzero(task.labels == label)
        kept = method.memory.images[method.memory.labels == label].numpy()
        features = frozen(method, task, rows)
        expected = task.images[rows[brute_herd(features, 3)]]
        np.testing.assert_array_equal(kept, expected)


@pytest.mark.parametrize("kind", [classes, captioned])
def test_the_memory_is_cut_evenly_and_keeps_the_first_picked(kind):
    method, sizes, before = build("er_vlm", exemplars=10), [], None
    learner = play(method, kind)
    for index in (1, 2, 3):
        learner.learn(kind(index), lambda done, total, word: None)
        assert method.items == 10
        groups = list(zip(method.memory.tasks.tolist(), method.memory.labels.tolist(), strict=True))
        sizes = [groups.count(group) for group in dict.fromkeys(groups)]
        assert max(sizes) - min(sizes) <= 1
        if before is not None:
            for task in range(1, index):
                old, new = (m[t == task] for m, t in (before, (method.memory.images, method.memory.tasks)))
                stayed = [any(torch.equal(one, other) for other in new) for one in old]
                if kind is captioned:  # one group: what stays is a beginning
                    assert stayed == sorted(stayed, reverse=True)
                assert sum(stayed) == len(new)
        before = method.memory.images.clone(), method.memory.tasks.clone()


def test_caption_exemplars_are_a_picture_and_the_tokens_of_one_of_its_captions():
    method, task = play(build("er_vlm"), captioned, 1).method, captioned(1)
    memory = method.memory
    assert memory.tokens.shape == (method.items, method.backbone.context_length)
    found = set()
    for image, tokens in zip(memory.images.numpy(), memory.tokens, strict=True):
        (row,) = (i for i, own in enumerate(task.images) if np.array_equal(own, image))
        own = [method.backbone.tokenize([text])[0].tolist() for text in task.captions[row]]
        assert tokens[tokens != 0].tolist() in own
        found.add(row)
    assert len(found) == method.items == 20
    texts = [task.captions[row] for row in sorted(found)]
    every = frozen_texts(method, [text for own in texts for text in own])
    assert (method._encoded(memory.tokens) @ every.T).max(dim=1).values.min() > 1 - 1e-5


@pytest.mark.parametrize("kind", [classes, growing, captioned])
def test_equal_bytes_means_what_auto_seed_keeps_after_the_same_tasks(kind, monkeypatch):
    monkeypatch.setattr("baselines.parts.seeds.HIDDEN", 8)  # a generator as small as the pictures are
    few = {"memory": 14, "pseudo_classes": 4}  # so few that Auto-Seed must forget some, too
    rival = play(build("auto_seed_vl2", generator_steps=1, **few), kind, 1, 2, 3, samples=60, reference_batch=16)
    ours = play(build("er_vlm", budget="equal_bytes", **few), kind, 1, 2, 3, samples=60, reference_batch=16)
    rows = ours.method.memory.state_dict().values()
    one = sum(column.numel() * column.element_size() for column in rows) // ours.method.items
    for kept, allowed in zip(kept_bytes(ours), kept_bytes(rival), strict=True):
        assert allowed - one < kept <= allowed
    assert 3 <= ours.method.items < 60
    assert kept_bytes(ours)[-1] == ours.footprint().bytes_between_tasks


@pytest.mark.parametrize("kind", [classes, captioned])
def test_ten_times_means_the_items_of_auto_seed(kind):
    settings = {"quota": 1, "pseudo_classes": 3}
    rival = play(build("auto_seed_vl2", generator_steps=0, **settings), kind, 1, 2, samples=45).method
    ours = play(build("er_vlm", **settings), kind, 1, 2, samples=45).method
    assert rival.items == 6
    assert ours.items == 60
    assert play(build("er_vlm", memory=4, **settings), kind, 1, 2, samples=45).method.items == 40


def test_the_replay_loss_is_cross_entropy_among_the_names_of_the_exemplars_own_data_set():
    method = play(build("er_vlm", exemplars=6), classes, 1).method
    task, ctx = classes(2), context(method)
    ctx.earlier = label_sets_before(2)
    method.seen, method.known = method.look_at(task, ctx), [method._known(known) for known in ctx.earlier]
    method.draws = np.random.default_rng(0)
    method.start(task, ctx)
    with torch.no_grad():
        found = float(method.loss(np.arange(5), ctx))
        expected = float(method.task_loss(np.arange(5)))
        pixels = method.backbone.preprocess(method.memory.images)
        images = method.adapters.image(F.normalize(method.backbone.encode_image(pixels), dim=-1))
        texts = method.adapters.text(frozen_texts(method, classes(1).prompts))
        logits = 10 * images @ texts.T
        for row, label in zip(logits, method.memory.labels.tolist(), strict=True):
            expected -= math.log(float(row.exp()[label] / row.exp().sum())) / 6
    assert found == pytest.approx(expected, abs=1e-4)


# CGIL


def test_the_divergence_is_that_of_torch():
    generator = torch.Generator().manual_seed(3)
    mean, log_variance = torch.randn(2, 4, 7, 5, generator=generator)
    normal = torch.distributions.Normal(mean, (log_variance / 2).exp())
    standard = torch.distributions.Normal(torch.zeros(()), torch.ones(()))
    expected = torch.distributions.kl_divergence(normal, standard).sum(-1)
    torch.testing.assert_close(kl_to_standard_normal(mean, log_variance), expected)


def test_the_loss_of_the_vaes_is_its_two_terms_class_by_class():
    vaes = ClassVAEs(3, 6, 5, 2, torch.Generator().manual_seed(1))
    features = torch.randn(3, 8, 6, generator=torch.Generator().manual_seed(2))
    mean, log_variance = vaes.encode(features)
    vaes.generator.manual_seed(5)
    found, errors = vaes.loss(features)
    noise = torch.randn(3, 8, 2, generator=torch.Generator().manual_seed(5))
    for c in range(3):
        w = {name: value[c].detach() for name, value in vaes.weights.items()}
        hidden = (features[c] @ w["encode"] + w["encode_bias"]).clamp_min(0)
        code = hidden @ w["code"] + w["code_bias"]
        torch.testing.assert_close(code, torch.cat([mean[c], log_variance[c]], 1))
        z = code[:, :2] + torch.exp(code[:, 2:] / 2) * noise[c]
        rebuilt = (z @ w["decode"] + w["decode_bias"]).clamp_min(0) @ w["give"] + w["give_bias"]
        error = ((rebuilt - features[c]) ** 2).mean()
        kl = kl_to_standard_normal(code[:, :2], code[:, 2:]).mean()
        torch.testing.assert_close(errors[c], error)
        torch.testing.assert_close(found[c], 3 * error.log() + kl)
    slopes = torch.autograd.grad(found[1], list(vaes.weights.values()))
    assert all(not slope[[0, 2]].any() and slope[1].any() for slope in slopes)


def test_samples_have_the_mean_and_the_spread_of_their_class():
    generator = torch.Generator().manual_seed(0)
    centres = F.normalize(torch.randn(2, 16, generator=generator), dim=1)
    labels = torch.arange(80) % 2
    features = F.normalize(centres[labels] + 0.1 * torch.randn(80, 16, generator=generator), dim=1)
    vaes = ClassVAEs(2, 16, 64, 8, generator)
    deviations = vaes.fit(features, labels, 300, 32, 1e-3)
    decoders, many = Decoders(), torch.zeros(2)
    decoders.append(
        hidden=vaes.weights["decode"], hidden_bias=vaes.weights["decode_bias"], out=vaes.weights["give"],
        out_bias=vaes.weights["give_bias"], deviations=deviations, labels=many, datasets=many, tasks=many,
    )  # fmt: skip
    for label in range(2):
        real = features[labels == label]
        made = F.normalize(decoders.sample(label, 500, generator), dim=1)
        assert F.cosine_similarity(made.mean(0), real.mean(0), dim=0) > 0.97
        spread = [float((x - x.mean(0)).square().mean().sqrt()) for x in (made, real)]
        assert spread[0] == pytest.approx(spread[1], rel=0.35)


@pytest.mark.parametrize("kind", [classes, growing, captioned])
def test_cgil_keeps_a_decoder_a_class_and_no_feature(kind):
    method = play(build("cgil", pseudo_classes=3), kind, 1, 2).method
    assert method.items == 6
    assert len(method.memory) == 0
    assert method.decoders.tasks.tolist() == [1, 1, 1, 2, 2, 2]
    assert method.decoders.out.shape[2] == (10 if kind is captioned else 5)
    labels = {classes: [0, 1, 2, 0, 1, 2], growing: [0, 1, 2, 3, 4, 5], captioned: [0, 1, 2, 0, 1, 2]}[kind]
    assert method.decoders.labels.tolist() == labels


def test_samples_are_replayed_with_their_class_and_its_prompt(monkeypatch):
    method = play(build("cgil", samples=4), classes, 1).method
    seen = {}

    def look(self, task, ctx):
        seen.update({name: getattr(self.memory, name).clone() for name in self.memory.columns})

    monkeypatch.setattr(ReplayMethod, "start", look)
    task, ctx = classes(2), context(method)
    ctx.earlier = label_sets_before(2)
    method.seen, method.known = method.look_at(task, ctx), [method._known(known) for known in ctx.earlier]
    method.start(task, ctx)
    assert seen["labels"].tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert set(seen["tasks"].tolist()) == {1}
    assert set(seen["datasets"].tolist()) == {0}
    texts = frozen_texts(method, classes(1).prompts)
    torch.testing.assert_close(seen["w"].float(), texts.repeat_interleave(4, 0), atol=5e-4, rtol=0)
    torch.testing.assert_close(seen["v"].float().norm(dim=1), torch.ones(12), atol=2e-3, rtol=0)
    assert len({tuple(row) for row in seen["v"].tolist()}) == 12


# CoOp


def test_a_context_of_the_templates_own_words_gives_the_templates_features(tiny):
    method = build("coop", tiny(), context_vectors=4, words="a photo of a")
    context_of_words = method._first_context(classes(1), context(method))
    names = ("cat", "red boat", "wind turbine")
    plain = method.embed_texts([f"a photo of a {name}." for name in names])
    with method.using(context_of_words):
        found = method.embed_texts([method.with_placeholders(f"{name}.") for name in names])
    torch.testing.assert_close(found, plain, atol=1e-5, rtol=0)
    with method.using(context_of_words.flip(0)):
        other = method.embed_texts([method.with_placeholders(f"{name}.") for name in names])
    assert (other - plain).abs().max() > 1e-3
    torch.testing.assert_close(method.embed_texts([f"a photo of a {name}." for name in names]), plain)


def test_a_gradient_reaches_the_context_and_nothing_else(tiny):
    method = build("coop", tiny())
    vectors = torch.zeros(2, 16, requires_grad=True)
    with method.using(vectors):
        method.embed_texts([method.with_placeholders("cat.")]).sum().backward()
    assert vectors.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in method.backbone.parameters())
    before = weights(method)
    learner = play(method, classes, 1, 2, side=16)
    assert same(before, weights(method))
    assert [report.trained for report in learner.reports] == [("contexts.0",), ("contexts.1",)]
    assert not torch.equal(method.contexts[0], method._first_context(classes(1), context(method)))


def test_as_long_as_nothing_is_learned_the_querys_own_prompts_answer(tiny):
    backbone = tiny()
    task = classes(1, side=16)
    queries = [task_query(task.name, task.class_names, task.templates), caption_query(None, ("some boat",))]
    found = play(build("coop", backbone), classes, side=16).score(task.images, queries)
    expected = play(build("zero_shot", backbone), classes, side=16).score(task.images, queries)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_each_picture_takes_the_context_whose_key_is_nearest(tiny):
    method = build("coop", tiny())
    learner = play(method, classes, 1, 2, side=16)
    task = classes(1, side=16)
    for entry, index in enumerate((1, 2)):
        mean = frozen(method, classes(index, side=16), np.arange(20)).mean(0)
        torch.testing.assert_close(method.pool.keys[entry], mean / mean.norm())
    features = frozen(method, task, np.arange(20))
    method.pool.keys = F.normalize(torch.stack([features[3], features[8]]), dim=1)
    names = ("cat", "red boat")
    (found,) = learner.score(task.images, [plain_query(names)])
    for row in range(20):
        entry = 0 if features[row] @ features[3] >= features[row] @ features[8] else 1
        with method.using(method.contexts[entry]):
            texts = frozen_texts(method, ["x x cat.", "x x red boat."])
        assert int(method.chosen(features[row : row + 1])) == entry
        np.testing.assert_allclose(found[row], method.backbone.logit_scale * features[row] @ texts.T, atol=1e-3)


def test_a_caption_stands_behind_the_context_as_it_is_and_a_name_with_a_full_stop(tiny):
    method = build("coop", tiny())
    assert method.in_context(caption_query(None, ("a red hill",))).prompts == (("x x a red hill",),)
    assert method.in_context(plain_query(("sea_lion",))).prompts == (("x x sea lion.",),)


def test_coop_says_what_it_cannot_work_with(tiny):
    with pytest.raises(MethodError, match="vectors of its tokens"):
        build("coop", FakeBackbone())
    with pytest.raises(MethodError, match="has 4 tokens, context_vectors is 2"):
        play(build("coop", tiny(), words="a photo of a"), classes, 1, side=16)
