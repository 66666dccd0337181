"""LwF-VR and iCaRL (corrected) on a dual encoder of a few linear layers, and random texts on open_clip's."""

import copy
import itertools
import math

import numpy as np
import pytest
import torch
from support import tiny_clip
from support.fakes import FakeBackbone, make_task
from support.playing import (
    build,
    check_gradient,
    context,
    cosines,
    play,
    same,
    shaken,
    smoothed_loss,
    soft_loss,
    weights,
    whole_loss,
)

from vlcl_bench.backbones import load_backbone
from vlcl_bench.backbones.clip import OpenClipBackbone, trained_tokens
from vlcl_bench.errors import MethodError
from vlcl_bench.methods.card import make_settings
from vlcl_bench.methods.registry import load_method
from vlcl_bench.tasks import Task


def captioned(index=1, samples=9):
    plain = make_task(index, samples)
    captions = tuple((f"picture {row}",) for row in range(samples))
    return Task(index, "stories", (), (), plain.images, np.full(samples, -1), "stories", captions)


# Random texts


@pytest.fixture(scope="module")
def mini():
    return load_backbone("vlcl-mini/v1")


def draw(backbone, count=500, words=10, seed=0):
    return backbone.random_texts(count, words, torch.Generator().manual_seed(seed))


def test_a_random_text_is_a_start_token_words_and_an_end_token(mini):
    tokens, sense = draw(mini, 30, 10), mini.tokenize(["a photo of a cat."])
    assert tokens.shape == (30, 12)
    assert (tokens[:, 0] == sense[0, 0]).all()
    assert (tokens[:, -1] == sense[0, -1]).all()
    assert not torch.isin(tokens[:, 1:-1], sense[0, [0, -1]]).any()
    assert (tokens[:, 1:-1] > 0).all()


def test_random_words_are_tokens_that_pretraining_saw(mini):
    table = mini.model.token_embedding.weight.detach()
    words = draw(mini)[:, 1:-1].unique()
    assert (table[words].abs().sum(dim=1) > 0).all()
    trained = int((table.abs().sum(dim=1) > 0).sum())
    assert trained < len(table) / 2  # or the test above says nothing
    assert len(words) > 0.8 * trained


def test_random_texts_follow_from_the_generator(mini):
    assert torch.equal(draw(mini, seed=3), draw(mini, seed=3))
    assert not torch.equal(draw(mini, seed=3), draw(mini, seed=4))


def test_random_texts_are_encoded_like_any_other(mini):
    tokens = draw(mini, 4, 5)
    padded = torch.cat([tokens, torch.zeros(4, mini.context_length - 7, dtype=torch.int64)], 1)
    with torch.no_grad():
        torch.testing.assert_close(mini.encode_text(tokens), mini.encode_text(padded), atol=1e-5, rtol=1e-4)


def test_where_all_tokens_are_trained_any_ordinary_one_may_be_drawn(monkeypatch):
    import open_clip

    tiny_clip.install(monkeypatch)
    model, tokenizer = open_clip.create_model("tiny", load_weights=False), open_clip.get_tokenizer("ViT-B-32")
    known = trained_tokens(model, tokenizer)
    assert known.tolist() == list(range(1, tokenizer.sot_token_id))
    with torch.no_grad():
        model.token_embedding.weight[[5, 70]] = 0
    assert trained_tokens(model, tokenizer).tolist() == [k for k in known.tolist() if k not in (5, 70)]
    assert set(draw(OpenClipBackbone("tiny", model, tokenizer), 40)[:, 1:-1].flatten().tolist()) <= set(known.tolist())


def test_a_backbone_that_does_not_know_its_tokens_says_so():
    cls = load_method("lwf_vr")
    method = cls(FakeBackbone(), make_settings(cls, {}, "full"))
    with pytest.raises(MethodError, match="random texts"):
        play(method, 1)


# LwF-VR


def drawn_by(method, *indices, seed=0):
    """The random texts of each task."""
    original, seen = method.backbone.random_texts, []
    method.backbone.random_texts = lambda *given: seen.append(original(*given)) or seen[-1]
    play(method, *indices, seed=seed)
    return seen


def test_lwf_vr_draws_its_texts_once_a_task_and_others_for_the_next():
    first, second = drawn_by(build("lwf_vr", texts=20, words=6), 1, 2)
    assert first.shape == second.shape == (20, 8)
    assert not torch.equal(first, second)


def test_lwf_vrs_texts_follow_from_seed_and_task():
    one, again, other = (drawn_by(build("lwf_vr", texts=9), 1, seed=seed)[0] for seed in (3, 3, 4))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert torch.equal(drawn_by(build("lwf_vr", texts=9), 2)[0], drawn_by(build("lwf_vr", texts=9), 1, 2)[1])


def test_lwf_vrs_published_values_are_its_defaults():
    config = make_settings(load_method("lwf_vr"), {}, "full")
    assert (config.texts, config.words, config.temperature) == (1000, 10, 2.0)
    assert (config.image_weight, config.text_weight, config.label_smoothing) == (1, 1, 0.2)


def lwf_vr_moment(**settings):
    """A method in the middle of task 2, its batch, its teacher, and its loss at this place as a function."""
    method, task = build("lwf_vr", precise=True, texts=15, words=4, **settings), make_task(2)
    shaken(method, seed=1)
    teacher, ctx = copy.deepcopy(method.backbone), context(method)
    reference = next(context(method).batches(task, purpose="reference", augment=False))
    method.start(task, ctx)
    method._reference = itertools.repeat(reference)
    shaken(method, seed=2)
    batch = next(context(method).batches(task))
    return method, task, batch, teacher, reference, lambda: whole_loss(method, batch, ctx, task.prompts)


def test_lwf_vrs_loss_equals_an_independent_computation():
    method, task, batch, teacher, reference, loss = lwf_vr_moment(image_weight=2.0, text_weight=0.5, temperature=1.5)
    model = method.backbone
    tokens = model.random_texts(15, 4, context(method).generator("words", 2))
    texts = teacher.encode_text(tokens)
    old, new = (cosines(one.encode_image(reference.images), texts) for one in (teacher, model))
    prompts = model.encode_text(model.tokenize(task.prompts))
    plain = smoothed_loss(cosines(model.encode_image(batch.images), prompts), batch.labels)
    expected = plain + 2 * soft_loss(old, new, 1.5) + 0.5 * soft_loss(old.T, new.T, 1.5)
    assert loss().item() == pytest.approx(expected.item(), rel=1e-7)


def test_lwf_vrs_gradient_equals_finite_differences():
    method, *_, loss = lwf_vr_moment()
    check_gradient(method, loss, ("towers.visual.1.weight", "towers.words.weight", "towers.textual.bias"))


def test_lwf_vrs_reference_pictures_are_the_tasks_own_under_the_test_transform():
    method, task = build("lwf_vr"), make_task()
    method.start(task, context(method))
    batch = next(method._reference)
    expected = method.backbone.preprocess(torch.from_numpy(task.images[batch.indices]))
    torch.testing.assert_close(batch.images, expected)


def test_lwf_vrs_teacher_is_the_model_before_the_task_and_is_not_kept():
    method = play(build("lwf_vr"), 1).method
    before = weights(method)
    method.start(make_task(2), context(method))
    assert same(dict(method._teacher[0].state_dict()), before)
    assert method.state_dict().keys() == build("finetune").state_dict().keys()


def test_lwf_vr_without_its_terms_is_fine_tuning_to_the_bit():
    method = build("lwf_vr", image_weight=0.0, text_weight=0.0)
    assert same(weights(play(method, 1, 2).method), weights(play(build("finetune"), 1, 2).method))


@pytest.mark.parametrize(
    ("setting", "value"),
    [("image_weight", 3.0), ("text_weight", 3.0), ("temperature", 5.0), ("texts", 7), ("words", 3)],
)
def test_every_setting_of_lwf_vr_changes_the_result(setting, value):
    other = build("lwf_vr", **{"texts": 30, setting: value})
    assert not same(weights(play(other, 1).method), weights(play(build("lwf_vr", texts=30), 1).method))


def test_lwf_vr_counts_its_reference_pictures():
    counts = play(build("lwf_vr"), 1, steps=5, batch_size=5, reference_batch=4).reports[0].usage.by_name()
    assert {key: count for key, count in counts.items() if count} == {"task_pictures": 25, "reference_pictures": 20}


def test_lwf_vr_learns_a_captioned_task():
    method = build("lwf_vr", texts=10)
    before = weights(method)
    method.learn(captioned(), context(method))
    assert not same(weights(method), before)


# iCaRL


def kept(learner):
    """Pictures, labels and tasks of the memory as arrays."""
    memory = learner.method.memory
    return memory.images.numpy(), memory.labels.numpy(), memory.tasks.numpy()


def test_icarls_first_task_is_fine_tuning_to_the_bit():
    assert same(weights(play(build("icarl"), 1).method), weights(play(build("finetune"), 1).method))


def test_icarls_second_task_is_not():
    assert not same(weights(play(build("icarl"), 1, 2).method), weights(play(build("finetune"), 1, 2).method))


@pytest.mark.parametrize(
    "settings", [{"memory": 0}, {"image_weight": 0.0, "text_weight": 0.0}], ids=["no memory", "no distillation"]
)
def test_icarl_without_memory_or_distillation_is_fine_tuning_to_the_bit(settings):
    found = play(build("icarl", **settings), 1, 2, 3)
    assert same(weights(found.method), weights(play(build("finetune"), 1, 2, 3).method))


@pytest.mark.parametrize("size", [1, 2, 7, 12, 13, 59, 1000])
@pytest.mark.parametrize("herding", [True, False])
def test_icarls_memory_holds_equal_shares_of_all_tasks_and_never_more_than_its_size(size, herding):
    method = build("icarl", memory=size, herding=herding)
    for last in (1, 2, 3, 4):
        learner = play(method, last, steps=2)
        tasks = kept(learner)[2]
        counts = np.bincount(tasks, minlength=last + 1)[1:]
        assert len(tasks) <= size
        # A share is what the memory had for the task when it was smallest; a task has 20 pictures.
        assert counts.tolist() == [min(20, size // last)] * last


@pytest.mark.parametrize("herding", [True, False])
def test_icarls_memory_is_balanced_over_the_classes_also_when_it_was_cut(herding):
    learner = play(build("icarl", memory=25, herding=herding), 1, 2, 3)
    _, labels, tasks = kept(learner)
    for task in (1, 2, 3):
        counts = np.bincount(labels[tasks == task], minlength=3)
        assert counts.max() - counts.min() <= 1


def test_icarls_memory_holds_training_pictures_with_their_labels_and_no_picture_twice():
    images, labels, tasks = kept(play(build("icarl", memory=24), 1, 2))
    for index in (1, 2):
        task = make_task(index)
        known = {(task.images[row].tobytes(), int(task.labels[row])) for row in range(20)}
        found = [(images[i].tobytes(), int(labels[i])) for i in np.flatnonzero(tasks == index)]
        assert len(set(found)) == len(found) == 12
        assert set(found) <= known


def test_icarl_keeps_the_pictures_that_herding_class_by_class_picks():
    learner = play(build("icarl", memory=11), 1)
    task, model = make_task(), learner.method.backbone
    features = model.encode_image(model.preprocess(torch.from_numpy(task.images))).detach().double().numpy()
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    orders = []
    for label in range(3):
        own, picked = np.flatnonzero(task.labels == label), []
        for _ in range(4):
            free = [row for row in own if row not in picked]
            target = features[own].mean(0)
            off = [np.linalg.norm(features[[*picked, row]].mean(0) - target) for row in free]
            picked.append(free[int(np.argmin(off))])
        orders.append(picked)
    # Eleven places for three classes: four each for two that are drawn, three for the other.
    images, labels, _ = kept(learner)
    counts = np.bincount(labels)
    assert sorted(counts) == [3, 4, 4]
    for label, order in enumerate(orders):
        np.testing.assert_array_equal(images[labels == label], task.images[order[: counts[label]]])


def test_icarl_draws_which_classes_get_a_place_where_there_are_too_few():
    chosen = {tuple(sorted(kept(play(build("icarl", memory=2), 1, seed=seed))[1])) for seed in range(12)}
    assert chosen == {(0, 1), (0, 2), (1, 2)}


def test_icarl_looks_at_no_more_pictures_than_allowed_and_they_are_counted_as_reference():
    for limit, expected in ((30_000, 20), (20, 20), (7, 7)):
        learner = play(build("icarl", memory=5, herding_pictures=limit), 1)
        assert learner.reports[0].usage.reference_pictures == expected
        assert len(kept(learner)[1]) == 5
    assert play(build("icarl", memory=5, herding=False), 1).reports[0].usage.reference_pictures == 0


def test_icarl_without_herding_keeps_others_that_follow_from_the_seed():
    one, again, other = (kept(play(build("icarl", memory=6, herding=False), 1, seed=s))[0] for s in (0, 0, 1))
    herded = kept(play(build("icarl", memory=6), 1))[0]
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
    assert not np.array_equal(one, herded)


def test_what_icarl_keeps_of_a_task_is_the_beginning_of_what_it_kept_before():
    method = build("icarl", memory=12)
    first = kept(play(method, 1))[0]
    images, _, tasks = kept(play(method, 2))
    np.testing.assert_array_equal(images[tasks == 1], first[:6])


def test_icarl_keeps_what_a_class_has_where_it_has_few():
    task = make_task()
    few = Task(1, "few", task.class_names, task.templates, task.images[:7], np.array([0, 0, 0, 0, 0, 1, 1]))
    method = build("icarl", memory=6)
    ctx = context(method)
    method.learn(few, ctx)
    assert np.bincount(method.memory.labels).tolist() == [4, 2]


def icarl_moment(**settings):
    """A method in the middle of task 2 and its loss at this place, with the pictures that it draws then."""
    method = play(build("icarl", precise=True, memory=8, **settings), 1).method
    untouched = build("icarl", precise=True).backbone
    task, ctx = make_task(2), context(method)
    method.start(task, ctx)
    rows = next(method._draws)
    method._draws = itertools.repeat(rows)
    shaken(method)
    batch = next(context(method).batches(task))
    return method, task, batch, untouched, rows, lambda: whole_loss(method, batch, ctx, task.prompts)


def test_icarls_loss_equals_an_independent_computation():
    method, task, batch, teacher, rows, loss = icarl_moment(image_weight=2.0, text_weight=0.5, temperature=1.5)
    model = method.backbone
    pictures = model.preprocess(method.memory.images[rows])
    texts = teacher.encode_text(teacher.tokenize(task.prompts))
    old, new = (cosines(one.encode_image(pictures), texts) for one in (teacher, model))
    prompts = model.encode_text(model.tokenize(task.prompts))
    plain = smoothed_loss(cosines(model.encode_image(batch.images), prompts), batch.labels)
    expected = plain + 2 * soft_loss(old, new, 1.5) + 0.5 * soft_loss(old.T, new.T, 1.5)
    assert loss().item() == pytest.approx(expected.item(), rel=1e-7)


def test_icarls_gradient_equals_finite_differences():
    method, *_, loss = icarl_moment()
    check_gradient(method, loss, ("towers.visual.1.weight", "towers.words.weight", "towers.textual.bias"))


def test_icarls_distillation_trains_the_image_encoder_only():
    method, _, batch, *_ = icarl_moment()
    for parameter in method.backbone.parameters():
        parameter.grad = None
    logits = torch.zeros(len(batch.labels), 3, dtype=torch.float64)
    method.loss(batch, logits, context(method)).backward()
    assert {n.split(".")[1] for n, p in method.backbone.named_parameters() if p.grad is not None} == {"visual"}


def test_icarls_teacher_is_the_untouched_model_after_every_task():
    method = build("icarl")
    before = weights(method)
    play(method, 1, 2, 3)
    assert same(dict(method.teacher.state_dict()), before)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("memory", 5), ("memory_batch", 3), ("image_weight", 3.0), ("text_weight", 3.0), ("temperature", 5.0),
     ("herding", False)],
)  # fmt: skip
def test_every_setting_of_icarl_changes_the_second_task_and_not_the_first(setting, value):
    one, other = build("icarl", memory=9), build("icarl", **{"memory": 9, setting: value})
    assert same(weights(play(one, 1).method), weights(play(other, 1).method))
    assert not same(weights(play(one, 2).method), weights(play(other, 2).method))


@pytest.mark.parametrize(("settings", "expected"), [({}, 30), ({"memory_batch": 3}, 16)])
def test_pictures_of_the_memory_are_counted_as_replayed(settings, expected):
    # Ten pictures are kept of the first task: six batches of 5; or of 3, 3, 3, 1, 3 and 3.
    first, second = play(build("icarl", memory=10, **settings), 1, 2, steps=6, batch_size=5).reports
    assert first.usage.replayed_samples == 0
    assert second.usage.replayed_samples == expected


def test_teacher_and_memory_count_as_kept_between_tasks():
    learner = play(build("icarl", memory=10), 1)
    teacher = sum(value.numel() * 4 for value in weights(learner.method).values())
    assert learner.footprint().bytes_between_tasks == teacher + 10 * (4 * 4 * 3 + 8 + 8)


@pytest.mark.parametrize("settings", [{"memory": 9}, {"memory": 9, "herding": False}, {"memory": 2}, {}])
def test_an_icarl_that_was_stopped_goes_on_as_if_it_had_not_been(settings, tmp_path):
    whole = play(build("icarl", **settings), 1, 2, 3, 4)
    play(build("icarl", **settings), 1, 2).save(tmp_path / "state")
    other = play(build("icarl", seed=9, **settings))
    other.load(tmp_path / "state")
    for index in (3, 4):
        other.learn(make_task(index), lambda done, total, word: None)
    assert same(other.method.state_dict(), whole.method.state_dict())


def test_icarl_refuses_captioned_tasks():
    method = build("icarl")
    with pytest.raises(MethodError, match="no prompts") as refused:
        method.learn(captioned(), context(method))
    assert "caption stream" in refused.value.hint


def test_icarls_memory_on_the_mini_protocols_has_the_published_share():
    published = 10_000 / 319_352
    mini = make_settings(load_method("icarl"), {}, "mini").memory
    assert make_settings(load_method("icarl"), {}, "full").memory == 10_000
    assert math.isclose(mini / 4_560, published, rel_tol=0.01)
