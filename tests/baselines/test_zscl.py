"""ZSCL on a dual encoder of a few linear layers: loss, teacher, ensemble, cache, switches, counters."""

import copy
import itertools
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support.fakes import FakeDataSet, make_task, replace_reference
from support.playing import (
    TEXTS,
    build,
    check_gradient,
    context,
    cosines,
    make_reference,
    play,
    same,
    shaken,
    smoothed_loss,
    soft_loss,
    weights,
    whole_loss,
)

from vlcl_bench.backbones import load_backbone
from vlcl_bench.common.progress import Reporter
from vlcl_bench.data.interface import Places
from vlcl_bench.data.reference import Reference, plan_reference
from vlcl_bench.data.store import Store
from vlcl_bench.errors import MethodError, UsageError
from vlcl_bench.methods.card import make_settings
from vlcl_bench.methods.registry import load_method
from vlcl_bench.mini.world import REFERENCE, MiniWorld
from vlcl_bench.tasks import Task

PARTS = ("image", "text", "l2")
OFF = {"image_weight": 0.0, "text_weight": 0.0, "l2_weight": 0.0, "ensemble": False}


class Moment:
    """A method in the middle of a task: started, its weights shaken, a batch and the reference rows of a step."""

    def __init__(self, precise=False, task_index=1, name="zscl", **settings):
        self.method = build(name, precise=precise, **settings)
        self.task = make_task(task_index)
        self.untouched = copy.deepcopy(self.method.backbone)
        shaken(self.method, seed=1)  # what earlier tasks left
        self.start = weights(self.method)
        self.ctx = context(self.method)
        self.rows = next(context(self.method).reference_rows(self.task))
        self.ctx.reference_rows = lambda task: itertools.repeat(self.rows)
        self.method.start(self.task, self.ctx)
        shaken(self.method, seed=2)  # what the steps before did
        self.batch = next(context(self.method).batches(self.task))

    def loss(self):
        return whole_loss(self.method, self.batch, self.ctx, self.task.prompts)

    def expected(self, temperature=2.0):
        """Cross-entropy, image term, text term, squared distance, feature distance, each by definition."""
        model, old = self.method.backbone, self.untouched
        prompts = model.encode_text(model.tokenize(self.task.prompts))
        plain = smoothed_loss(cosines(model.encode_image(self.batch.images), prompts), self.batch.labels)
        reference = make_reference()
        pictures = model.preprocess(torch.from_numpy(reference.pictures[self.rows]))
        texts = old.encode_text(old.tokenize(reference.texts))
        seen, known = model.encode_image(pictures), old.encode_image(pictures)
        teacher, student = cosines(known, texts), cosines(seen, texts)
        distance = sum(((p - self.start[name]) ** 2).sum() for name, p in model.trainable_parameters())
        unit = [found / found.norm(dim=1, keepdim=True) for found in (seen, known)]
        return {
            "plain": plain,
            "image": soft_loss(teacher, student, temperature),
            "text": soft_loss(teacher.T, student.T, temperature),
            "l2": distance,
            "feature": ((unit[0] - unit[1]) ** 2).sum() / len(self.rows),
        }


# The loss


@pytest.mark.parametrize(
    "settings",
    [{}, {"image_weight": 2.0, "text_weight": 0.5, "l2_weight": 0.25, "temperature": 1.5, "cache": False}],
    ids=["published", "others"],
)
def test_the_loss_equals_an_independent_computation(settings):
    moment = Moment(precise=True, **settings)
    parts = moment.expected(settings.get("temperature", 2.0))
    factors = {part: settings.get(f"{part}_weight", 1.0) for part in PARTS}
    expected = parts["plain"] + sum(factors[part] * parts[part] for part in PARTS)
    assert moment.loss().item() == pytest.approx(expected.item(), rel=1e-9)


def test_feature_distillation_is_the_mean_squared_distance_of_unit_features():
    moment = Moment(precise=True, distill="feature", feature_weight=3.0)
    parts = moment.expected()
    expected = parts["plain"] + 3 * parts["feature"] + parts["l2"]
    assert moment.loss().item() == pytest.approx(expected.item(), rel=1e-9)


@pytest.mark.parametrize("settings", [{}, {"distill": "feature"}], ids=["logits", "feature"])
def test_the_losss_gradient_equals_finite_differences(settings):
    moment = Moment(precise=True, **settings)
    names = ("towers.visual.1.weight", "towers.visual.3.bias", "towers.words.weight", "towers.textual.weight")
    check_gradient(moment.method, moment.loss, names)


def test_the_distillation_does_not_reach_the_students_texts():
    moment = Moment(l2_weight=0.0)
    logits = torch.zeros(len(moment.batch.labels), 3)
    moment.method.loss(moment.batch, logits, moment.ctx).backward()
    reached = {name.split(".")[1] for name, p in moment.method.backbone.named_parameters() if p.grad is not None}
    assert reached == {"visual"}


def test_the_distillation_does_not_reach_the_teacher():
    moment = Moment()
    moment.loss().backward()
    assert all(p.grad is None and not p.requires_grad for p in moment.method.teacher.parameters())


def test_the_pull_is_towards_where_the_task_began_and_not_to_the_untouched_model():
    moment = Moment(precise=True, image_weight=0.0, text_weight=0.0, l2_weight=1.0)
    moment.method.backbone.load_state_dict(moment.start)
    assert moment.loss().item() == pytest.approx(moment.expected()["plain"].item(), rel=1e-9)


# The teacher


def test_the_teacher_is_the_untouched_model_after_every_task():
    method = build("zscl")
    before = weights(method)
    play(method, 1, 2, 3)
    assert same(dict(method.teacher.state_dict()), before)
    assert not same(weights(method), before)


def test_the_teacher_does_not_train():
    method = build("zscl")
    report = play(method, 1).reports[0]
    assert all(name.startswith("backbone.") and "logit_scale" not in name for name in report.trained)


def test_the_teacher_counts_as_kept_between_tasks():
    learner = play(build("zscl"), 1)
    expected = sum(value.numel() * 4 for value in weights(learner.method).values())
    assert learner.footprint().bytes_between_tasks == expected


def test_the_teachers_constant_work_is_done_once():
    def calls(cache):
        method, seen = build("zscl", cache=cache), []
        for kind in ("encode_image", "encode_text"):
            original = getattr(method.teacher, kind)
            setattr(method.teacher, kind, lambda x, o=original, k=kind: seen.append(k) or o(x))
        play(method, 1, 2, steps=6)
        return seen.count("encode_image"), seen.count("encode_text")

    assert calls(cache=True) == (1, 1)
    assert calls(cache=False) == (12, 2)


def tasks_with_losses(method, *indices):
    """Losses of all steps of all tasks, and the weights that they end with."""
    original, losses = method.loss, []
    method.loss = lambda *given: losses.append(original(*given)) or losses[-1]
    play(method, *indices, steps=8)
    return torch.stack([loss.detach() for loss in losses]), weights(method)


@pytest.mark.parametrize("distill", ["logits", "feature"])
def test_caching_changes_nothing_over_several_tasks(distill):
    found = [tasks_with_losses(build("zscl", cache=cache, distill=distill), 1, 2, 3) for cache in (True, False)]
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-6, atol=1e-6)
    for name, value in found[0][1].items():
        torch.testing.assert_close(value, found[1][1][name], rtol=0, atol=1e-6)


def test_more_pictures_than_are_worth_knowing_beforehand_are_encoded_as_they_are_drawn(monkeypatch):
    known = tasks_with_losses(build("zscl"), 1, 2)[0]
    method = build("zscl")
    monkeypatch.setitem(type(method).loss.__globals__, "KNOWN_AT_ONCE", 10)
    torch.testing.assert_close(tasks_with_losses(method, 1, 2)[0], known, rtol=1e-6, atol=1e-6)
    assert method._pictures_seen is None


# The teacher's features on a real encoder: kept ones come of chunks of 256, others of the batches of a step


BATCH = 32


def patchy(count, seed):
    """Pictures of 6 by 6 coloured squares."""
    squares = np.random.default_rng(seed).integers(0, 256, (count, 6, 6, 3), dtype=np.uint8)
    return squares.repeat(8, axis=1).repeat(8, axis=2)


@pytest.fixture(scope="module")
def mini_clip():
    things = ("cat", "red boat", "hill", "very old and rusty bicycle", "cup of tea", "tree")
    texts = [f"{size} {thing}, number {n}" for n in range(17) for size in ("a small", "one", "the") for thing in things]
    return load_backbone("vlcl-mini/v1"), Reference(patchy(300, 7), tuple(texts), {})


def on_mini(mini_clip, cache):
    """The method on the mini CLIP, and what the engine would lend it."""
    backbone, reference = mini_clip
    cls = load_method("zscl")
    method = cls(copy.deepcopy(backbone), make_settings(cls, {"cache": cache}, "mini"))
    return method, context(method, reference=reference, batch_size=8, reference_batch=BATCH)


def test_kept_picture_features_of_a_real_encoder_are_those_of_a_steps_batch(mini_clip):
    (kept, ctx), (fresh, _) = (on_mini(mini_clip, cache) for cache in (True, False))
    order = np.random.default_rng(0).permutation(300)
    for rows in (order[:BATCH], order[BATCH : 2 * BATCH], order[-12:]):
        images = ctx.reference_images(rows)
        found, expected = (method._of_pictures(rows, images, ctx) for method in (kept, fresh))
        assert found.shape == (len(rows), expected.shape[1])
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert len(kept._pictures_seen) == 300
    assert fresh._pictures_seen is None


@torch.no_grad()
def test_kept_text_features_of_a_real_encoder_are_those_of_small_batches(mini_clip):
    (kept, ctx), (fresh, _) = (on_mini(mini_clip, cache) for cache in (True, False))
    texts = ctx.reference.texts
    assert len(texts) > 256
    found = kept._of_texts(ctx)
    assert kept._of_texts(ctx) is found
    torch.testing.assert_close(found, fresh._of_texts(ctx), rtol=0, atol=1e-5)
    small = torch.cat([kept.embed_texts(texts[i : i + BATCH]) for i in range(0, len(texts), BATCH)])
    torch.testing.assert_close(found, small, rtol=0, atol=1e-5)


def test_caching_leaves_a_steps_loss_on_a_real_encoder_as_it_is(mini_clip):
    task = Task(1, "patches", ("cat", "boat", "hill"), ("a photo of a {c}.",), patchy(12, 1), np.arange(12) % 3)
    losses = []
    for cache in (True, False):
        method, ctx = on_mini(mini_clip, cache)
        method.start(task, ctx)
        shaken(method, strength=0.01)
        losses.append(whole_loss(method, next(ctx.batches(task)), ctx, task.prompts).item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


# The ensemble


def path_of(method, **budget):
    """The weights at the task's start and after every step, and those that the task ends with."""
    path, original = [weights(method)], method.after_step
    method.after_step = lambda step: original(step) or path.append(weights(method))
    play(method, 1, **budget)
    return path, weights(method)


@pytest.mark.parametrize(("steps", "interval"), [(6, 1), (6, 2), (6, 3), (7, 2), (4, 10)])
def test_the_task_ends_with_the_mean_of_the_start_and_of_snapshots_at_every_interval(steps, interval):
    path, end = path_of(build("zscl"), steps=steps, ensemble_interval=interval)
    taken = [path[0], *(path[1 + step] for step in range(0, steps + 1, interval))]
    assert len(path) == steps + 2
    if steps % interval == 0:
        assert len(taken) == steps // interval + 2
    for name, value in end.items():
        expected = np.mean([state[name].double().numpy() for state in taken], axis=0)
        np.testing.assert_allclose(value.numpy(), expected, atol=1e-6)


def test_the_last_snapshot_is_that_of_the_last_update():
    path, _ = path_of(build("zscl"), steps=4)
    assert same(path[-1], path[-2])


def test_training_goes_on_from_the_plain_weights():
    averaged, plain = (path_of(build("zscl", ensemble=ensemble)) for ensemble in (True, False))
    assert all(same(one, two) for one, two in zip(averaged[0], plain[0], strict=True))
    assert same(plain[1], plain[0][-1])
    assert not same(averaged[1], averaged[0][-1])


def test_the_next_task_starts_from_the_mean():
    method = build("zscl")
    end = weights(play(method, 1).method)
    method.start(make_task(2), context(method))
    assert same(dict(method._anchor) | {"towers.logit_scale": end["towers.logit_scale"]}, end)


def test_the_logit_scale_stays():
    method = build("zscl")
    before = weights(method)["towers.logit_scale"]
    assert torch.equal(weights(play(method, 1, 2).method)["towers.logit_scale"], before)


def test_nothing_of_a_task_is_left_when_it_is_done():
    method = play(build("zscl"), 1).method
    assert not {"_moving", "_anchor", "_ensemble", "_rows"} & vars(method).keys()
    extra = {name for name in method.state_dict() if not name.startswith(("backbone.", "teacher."))}
    assert extra == set()


# Switches


def test_with_everything_switched_off_zscl_is_fine_tuning_to_the_bit():
    assert same(weights(play(build("zscl", **OFF), 1, 2).method), weights(play(build("finetune"), 1, 2).method))


@pytest.mark.parametrize("part", PARTS)
def test_a_weight_switches_its_own_term_and_no_other(part):
    full, without = Moment(precise=True), Moment(precise=True, **{f"{part}_weight": 0.0})
    expected = full.expected()[part]
    assert (full.loss() - without.loss()).item() == pytest.approx(expected.item(), rel=1e-7)


def test_with_the_pull_alone_zscl_is_l2_to_the_bit():
    alone = build("zscl", **OFF | {"l2_weight": 1.0})
    assert same(weights(play(alone, 1, 2).method), weights(play(build("l2", weight=1.0), 1, 2).method))


@pytest.mark.parametrize("setting", ["image_weight", "text_weight", "l2_weight", "temperature"])
def test_every_strength_changes_the_result(setting):
    def learned(value):
        return weights(play(build("zscl", **{setting: value}), 1).method)

    assert not same(learned(1.0), learned(3.0))


@pytest.mark.parametrize("setting", ["image_weight", "text_weight", "temperature"])
def test_the_strengths_of_the_logits_do_nothing_to_feature_distillation(setting):
    learned = [weights(play(build("zscl", distill="feature", **{setting: x}), 1).method) for x in (1.0, 3.0)]
    assert same(*learned)


def test_the_strength_of_the_features_does_nothing_to_logits():
    assert same(*(weights(play(build("zscl", feature_weight=x), 1).method) for x in (1.0, 3.0)))


def test_feature_distillation_needs_no_texts():
    bare = make_reference(texts=("unread",))
    found = [weights(play(build("zscl", distill="feature"), 1, reference=r).method) for r in (None, bare)]
    assert same(*found)


def test_the_switches_leave_the_drawing_of_pictures_alone():
    def drawn(**settings):
        method, rows = build("zscl", **settings), []
        original = type(method).loss
        method.loss = lambda batch, logits, ctx: rows.append(batch.indices) or original(method, batch, logits, ctx)
        play(method, 1, 2)
        return np.concatenate(rows).tolist()

    plain = drawn()
    assert all(drawn(**{key: value}) == plain for key, value in OFF.items())


def test_the_published_values_are_the_defaults():
    config = make_settings(load_method("zscl"), {}, "full")
    assert (config.image_weight, config.text_weight, config.l2_weight, config.temperature) == (1, 1, 1, 2)
    assert (config.ensemble, config.distill, config.label_smoothing) == (True, "logits", 0.2)
    assert (config.reference_pictures, config.reference_texts) == (None, None)


def test_distillation_of_another_kind_is_refused():
    with pytest.raises(UsageError, match="distill"):
        build("zscl", distill="both")


# Counters, states, refusals


def test_reference_pictures_are_counted_a_batch_a_step():
    counts = play(build("zscl"), 1, steps=6, batch_size=5, reference_batch=4).reports[0].usage.by_name()
    assert {key: count for key, count in counts.items() if count} == {"task_pictures": 30, "reference_pictures": 24}


def test_caching_does_not_change_what_is_counted():
    counts = [play(build("zscl", cache=cache), 1, 2).reports for cache in (True, False)]
    assert [report.usage for report in counts[0]] == [report.usage for report in counts[1]]


@pytest.mark.parametrize("settings", [{}, {"cache": False}, {"distill": "feature"}, {"ensemble": False}])
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(settings, tmp_path):
    whole = play(build("zscl", **settings), 1, 2, 3)
    play(build("zscl", **settings), 1).save(tmp_path / "state")
    other = play(build("zscl", seed=9, **settings))
    other.load(tmp_path / "state")
    for index in (2, 3):
        other.learn(make_task(index), lambda done, total, word: None)
    assert same(other.method.state_dict(), whole.method.state_dict())


def test_zscl_learns_a_captioned_task():
    plain = make_task(1)
    captions = tuple((f"picture {row}", f"number {row}") for row in range(len(plain.labels)))
    task = type(plain)(1, "stories", (), (), plain.images, np.full(len(plain.labels), -1), "stories", captions)
    method = build("zscl")
    before = weights(method)
    method.learn(task, context(method))
    assert not same(weights(method), before)


METHOD = """
from vlcl_bench.methods import LossMethod


class Asking(LossMethod):
    title = "Asking"

    def start(self, task, ctx):
        {what}
"""


@pytest.mark.parametrize("what", ["ctx.reference", "next(ctx.reference_rows(task))", "ctx.reference_images([0])"])
def test_a_method_that_declares_no_reference_data_is_lent_none(what, tmp_path):
    path = tmp_path / "asking.py"
    path.write_text(METHOD.format(what=what))
    with pytest.raises(MethodError, match="does not declare") as refused:
        play(build(path), 1)
    assert "reference =" in refused.value.hint


# What of the reference data is taken


@pytest.fixture
def opened(monkeypatch, tmp_path):
    """Opens the reference data of a mini protocol whose pictures are 12 made up ones."""
    dataset = FakeDataSet(REFERENCE, train=12, test=0, side=4, captioned=True)
    replace_reference(monkeypatch, dataset)
    protocol = SimpleNamespace(scale="mini", side=4, budget=SimpleNamespace(auxiliary_size=12))

    def opened(*kinds, **settings):
        config = SimpleNamespace(**settings)
        lends = partial(MiniWorld().plan_reference, places=Places(), side=4)
        planned = plan_reference(lends, kinds, protocol.budget.auxiliary_size, vars(config))
        return planned and planned.open(Store(tmp_path / "store"), Reporter())

    opened.dataset = dataset
    return opened


def test_all_reference_data_are_taken_unless_fewer_are_asked_for(opened):
    found = opened("pictures", "texts")
    np.testing.assert_array_equal(found.pictures, opened.dataset.pictures("train"))
    captions = [text for entry in opened.dataset.entries("train") for text in entry.captions]
    assert found.texts == tuple(captions)
    assert found.identity.keys() == {"pictures", "texts"}


def test_a_subset_is_drawn_with_seed_42_and_keeps_its_order(opened):
    rows = np.sort(np.random.default_rng(42).permutation(12)[:5])
    found = opened("pictures", "texts", reference_pictures=5)
    np.testing.assert_array_equal(found.pictures, opened.dataset.pictures("train")[rows])
    assert len(found.texts) == len(opened("texts").texts)


def test_a_subset_of_the_texts_leaves_the_pictures_alone(opened):
    texts = opened("pictures", "texts").texts
    rows = np.sort(np.random.default_rng(42).permutation(len(texts))[:7])
    found = opened("pictures", "texts", reference_texts=7)
    assert found.texts == tuple(texts[row] for row in rows)
    assert len(found.pictures) == 12


def test_a_subset_is_named_in_the_identity(opened):
    full = opened("pictures", "texts").identity
    found = opened("pictures", "texts", reference_pictures=5, reference_texts=7).identity
    assert found == {"pictures": f"{full['pictures']}, 5 of 12", "texts": f"{full['texts']}, 7 of 24"}


def test_as_many_as_there_are_is_no_subset(opened):
    assert opened("pictures", reference_pictures=12).identity == opened("pictures").identity
    assert opened("pictures", reference_pictures=99).identity == opened("pictures").identity


@pytest.mark.parametrize(("kind", "other"), [("pictures", "texts"), ("texts", "pictures")])
def test_only_what_is_declared_is_lent(opened, kind, other):
    found = opened(kind)
    assert (len(getattr(found, kind)) > 0, len(getattr(found, other))) == (True, 0)
    assert found.identity.keys() == {kind}


def test_a_method_without_auxiliary_data_has_no_reference(opened):
    assert opened() is None


def test_auxiliary_data_that_do_not_exist_are_refused(opened):
    with pytest.raises(UsageError, match="sounds") as refused:
        opened("pictures", "sounds")
    assert "pictures, texts" in refused.value.hint


def test_a_subset_changes_the_result():
    small = make_reference()
    fewer = type(small)(small.pictures[:8], small.texts, small.identity)
    words = type(small)(small.pictures, TEXTS[:4], small.identity)
    found = [weights(play(build("zscl"), 1, reference=one).method) for one in (small, fewer, words)]
    assert not any(same(found[0], other) for other in found[1:])
