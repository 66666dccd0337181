"""What a learning method is given: schedule, batches, seeds, meter, optimiser loop, crops."""

import math
from itertools import islice, pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support.fakes import AUGMENTATION, SIDE, FakeBackbone, make_budget, make_context, make_task

from vlcl_bench.data.transforms import Augmentation, crop_box
from vlcl_bench.errors import MethodError
from vlcl_bench.methods.batches import random_crops, shuffled


@pytest.fixture
def backbone():
    return FakeBackbone()


def linear(seed=0):
    torch.manual_seed(seed)
    return torch.nn.Linear(3 * SIDE * SIDE, 3)


def task_loss(layer):
    return lambda batch: F.cross_entropy(layer(batch.images.flatten(1)), batch.labels)


def fitted(ctx, task, **arguments):
    """A linear classifier after ``fit``, and the batches that its loss saw."""
    layer, seen = linear(), []

    def loss(batch):
        seen.append(batch)
        return task_loss(layer)(batch)

    ctx.fit(dict(layer.named_parameters()), task, loss, **arguments)
    return layer, seen


def first_rows(ctx, task, count=4, **arguments):
    return [batch.indices.tolist() for batch in islice(ctx.batches(task, **arguments), count)]


# Schedule


def test_warm_up_is_linear_from_the_first_step(backbone):
    ctx = make_context(backbone, budget=make_budget(steps=1000, warmup=100))
    assert [ctx.schedule(step) for step in (0, 1, 49, 99)] == pytest.approx([0.01, 0.02, 0.5, 1.0])


def test_after_the_warm_up_comes_half_a_cosine(backbone):
    ctx = make_context(backbone, budget=make_budget(steps=1000, warmup=100))
    expected = [1.0, 0.5 * (1 + math.sqrt(0.5)), 0.5, 0.5 * (1 - math.sqrt(0.5))]
    assert [ctx.schedule(step) for step in (100, 325, 550, 775)] == pytest.approx(expected)


def test_the_last_effective_step_is_small_and_the_one_after_it_zero(backbone):
    ctx = make_context(backbone, budget=make_budget(steps=1000, warmup=100))
    assert ctx.schedule(999) == pytest.approx(math.sin(math.pi / 1800) ** 2)
    assert ctx.schedule(1000) == pytest.approx(0, abs=1e-15)


def test_without_warm_up_the_first_step_has_the_full_rate(backbone):
    assert make_context(backbone, budget=make_budget(steps=10, warmup=0)).schedule(0) == 1.0


def test_a_task_may_have_a_learning_rate_of_its_own(backbone):
    ctx = make_context(backbone, budget=make_budget(learning_rate=0.5, learning_rates={"task-2": 0.25}))
    assert [ctx.learning_rate(make_task(1)), ctx.learning_rate(make_task(2))] == [0.5, 0.25]


# The optimiser loop


def test_fit_takes_exactly_the_budgets_steps(backbone):
    _, seen = fitted(make_context(backbone, budget=make_budget(steps=7)), make_task())
    assert len(seen) == 7


def test_fit_presents_steps_times_batch_where_the_batch_divides_the_task(backbone):
    ctx = make_context(backbone, budget=make_budget(steps=7, batch_size=5))
    fitted(ctx, make_task(samples=20))
    assert ctx.meter.task_pictures == 35 == ctx.budget.presentations


def test_the_last_batch_of_an_epoch_is_short(backbone):
    ctx = make_context(backbone, budget=make_budget(steps=7, batch_size=8))
    _, seen = fitted(ctx, make_task(samples=20))
    assert [len(batch.labels) for batch in seen] == [8, 8, 4, 8, 8, 4, 8]


def test_short_batches_are_metered_as_they_are(backbone):
    ctx = make_context(backbone, budget=make_budget(steps=7, batch_size=8))
    fitted(ctx, make_task(samples=20))
    assert ctx.meter.task_pictures == 48


def test_after_step_is_called_once_more_than_there_are_updates(backbone):
    called = []
    fitted(make_context(backbone, budget=make_budget(steps=5)), make_task(), after_step=called.append)
    assert called == [0, 1, 2, 3, 4, 5]


def test_after_step_sees_the_weights_that_its_step_made(backbone):
    layer, states = linear(), []
    ctx = make_context(backbone, budget=make_budget(steps=5))
    ctx.fit(
        dict(layer.named_parameters()), make_task(), task_loss(layer),
        lambda step: states.append(layer.weight.detach().clone()),
    )  # fmt: skip
    changed = [not torch.equal(old, new) for old, new in pairwise(states)]
    assert changed == [True, True, True, True, False]


def test_fit_equals_a_plain_loop_with_the_unfused_optimiser(backbone):
    budget, task = make_budget(steps=12, warmup=3, learning_rate=0.05), make_task()
    layer, _ = fitted(make_context(backbone, budget=budget), task)
    plain = linear()
    optimizer = torch.optim.AdamW(plain.parameters(), 0.05, (0.9, 0.999), 1e-8, 0.0, foreach=False, fused=False)
    for step, batch in enumerate(islice(make_context(backbone, budget=budget).batches(task), 12)):
        factor = (step + 1) / 3 if step < 3 else 0.5 * (1 + math.cos(math.pi * (step - 3) / 9))
        optimizer.param_groups[0]["lr"] = 0.05 * factor
        optimizer.zero_grad()
        task_loss(plain)(batch).backward()
        optimizer.step()
    torch.testing.assert_close(layer.weight, plain.weight, atol=1e-6, rtol=0)


def test_the_first_update_is_the_first_rate_times_the_gradients_sign(backbone):
    layer, _ = fitted(make_context(backbone, budget=make_budget(steps=1, warmup=4, learning_rate=0.04)), make_task())
    change = (layer.weight - linear().weight).abs()
    torch.testing.assert_close(change, torch.full_like(change, 0.01), atol=1e-5, rtol=0)


def test_a_methods_own_learning_rate_replaces_the_protocols(backbone):
    ctx = make_context(backbone, budget=make_budget(steps=1, warmup=0, learning_rate=0.04))
    layer, _ = fitted(ctx, make_task(), learning_rate=0.5)
    change = (layer.weight - linear().weight).abs()
    torch.testing.assert_close(change, torch.full_like(change, 0.5), atol=1e-3, rtol=0)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_refused_with_step_and_task(backbone, bad):
    ctx, layer, steps = make_context(backbone), linear(), []

    def loss(batch):
        steps.append(len(steps))
        return task_loss(layer)(batch) * (bad if len(steps) == 4 else 1)

    with pytest.raises(MethodError, match=r"at step 3 of task 'task-1'"):
        ctx.fit(dict(layer.named_parameters()), make_task(), loss)


def test_a_loss_that_is_no_number_changes_no_weight(backbone):
    layer = linear()
    with pytest.raises(MethodError):
        make_context(backbone).fit(
            dict(layer.named_parameters()), make_task(), lambda batch: task_loss(layer)(batch) * math.nan
        )
    assert torch.equal(layer.weight, linear().weight)


def test_trained_parameters_are_metered_under_the_methods_names(backbone):
    ctx, visual = make_context(backbone), backbone.towers.visual[1]
    ctx.fit({"short name": visual.weight}, make_task(), lambda batch: visual(batch.images.flatten(1)).square().mean())
    assert ctx.meter.trained == {"backbone.towers.visual.1.weight"}


# Batches and seeds


def test_an_epoch_holds_every_picture_once(backbone):
    rows = first_rows(make_context(backbone, budget=make_budget(batch_size=8)), make_task(samples=20), 3)
    assert sorted(row for batch in rows for row in batch) == list(range(20))


@pytest.mark.parametrize(("count", "size"), [(0, 4), (-1, 4), (4, 0), (4, -1)])
def test_batches_of_nothing_are_refused_and_not_waited_for(count, size):
    rows = shuffled(count, size, torch.Generator())
    with pytest.raises(MethodError, match=f"batches of {size} .* of {count} "):
        next(rows)


def test_the_next_epoch_is_shuffled_anew(backbone):
    rows = first_rows(make_context(backbone, budget=make_budget(batch_size=20)), make_task(samples=20), 2)
    assert rows[0] != rows[1]


def test_labels_belong_to_the_rows(backbone):
    task = make_task()
    batch = next(make_context(backbone).batches(task))
    assert batch.labels.tolist() == task.labels[batch.indices].tolist()


def test_pictures_without_augmentation_are_the_preprocessed_rows(backbone):
    task = make_task()
    batch = next(make_context(backbone).batches(task, augment=False))
    expected = (task.images[batch.indices] / 255 - np.array(backbone.mean)) / np.array(backbone.std)
    np.testing.assert_allclose(batch.images.numpy(), expected.transpose(0, 3, 1, 2), atol=1e-6)


def test_training_pictures_are_augmented(backbone):
    task = make_task()
    batch = next(make_context(backbone).batches(task))
    assert not torch.allclose(batch.images, backbone.preprocess(torch.from_numpy(task.images[batch.indices])))


def test_the_same_facts_give_the_same_batches(backbone):
    one, two = (list(islice(make_context(backbone, 5).batches(make_task()), 4)) for _ in range(2))
    assert all(torch.equal(a.images, b.images) for a, b in zip(one, two, strict=True))


def test_batches_do_not_depend_on_what_was_drawn_before(backbone):
    ctx = make_context(backbone)
    list(islice(ctx.batches(make_task(1)), 3))
    torch.rand(10)
    assert first_rows(ctx, make_task(2)) == first_rows(make_context(backbone), make_task(2))


def test_another_purpose_gives_another_order(backbone):
    ctx = make_context(backbone)
    assert first_rows(ctx, make_task()) != first_rows(ctx, make_task(), purpose="reference")


def test_another_task_gives_another_order(backbone):
    ctx = make_context(backbone)
    assert first_rows(ctx, make_task(1)) != first_rows(ctx, make_task(2))


def test_another_seed_gives_another_order(backbone):
    assert first_rows(make_context(backbone, 0), make_task()) != first_rows(make_context(backbone, 1), make_task())


def test_generators_differ_by_facts_and_not_by_order_of_asking(backbone):
    ctx = make_context(backbone)
    ctx.generator("other")
    draws = [int(torch.randint(2**40, (1,), generator=ctx.generator(*facts))) for facts in (("a", 1), ("a", 2))]
    again = int(torch.randint(2**40, (1,), generator=make_context(backbone).generator("a", 1)))
    assert draws[0] == again != draws[1]


def test_the_training_stream_is_metered_as_task_pictures(backbone):
    ctx = make_context(backbone, budget=make_budget(batch_size=8))
    list(islice(ctx.batches(make_task(samples=20)), 4))
    assert (ctx.meter.task_pictures, ctx.meter.reference_pictures) == (28, 0)


def test_any_other_stream_is_metered_as_reference_pictures(backbone):
    ctx = make_context(backbone, budget=make_budget(batch_size=8))
    list(islice(ctx.batches(make_task(samples=20), purpose="reference"), 4))
    assert (ctx.meter.task_pictures, ctx.meter.reference_pictures) == (0, 28)


def test_a_batch_that_is_not_drawn_is_not_metered(backbone):
    ctx = make_context(backbone)
    ctx.batches(make_task())
    assert ctx.meter.task_pictures == 0


# Crops


def crops(seed=0, side=48, augmentation=AUGMENTATION):
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (6, side, side, 3), dtype=np.uint8))
    return pixels, random_crops(pixels, augmentation, torch.Generator().manual_seed(seed))


def boxes(augmentation, side=48, count=500):
    rng = np.random.default_rng(1)
    return [crop_box(side, side, augmentation, rng.random((10, 4))) for _ in range(count)]


def test_crops_keep_shape_and_type():
    pixels, cropped = crops()
    assert (cropped.shape, cropped.dtype) == (pixels.shape, torch.uint8)


def test_crops_follow_from_the_generator():
    assert torch.equal(crops(3)[1], crops(3)[1])


def test_crops_of_another_generator_differ():
    assert not torch.equal(crops(3)[1], crops(4)[1])


def test_crops_do_not_touch_their_input():
    pixels, _ = crops()
    assert torch.equal(pixels, crops(9)[0])


def test_a_crop_of_the_whole_picture_changes_nothing():
    pixels, cropped = crops(augmentation=Augmentation(scale=(1.0, 1.0), ratio=(1.0, 1.0)))
    assert torch.equal(pixels, cropped)


@pytest.mark.parametrize("scale", [(0.9, 1.0), (0.2, 0.5)])
def test_crop_boxes_lie_inside_the_picture(scale):
    found = boxes(Augmentation(scale=scale, ratio=(3 / 4, 4 / 3)))
    assert all(t >= 0 and left >= 0 and t + h <= 48 and left + w <= 48 for t, left, h, w in found)


@pytest.mark.parametrize("scale", [(0.9, 1.0), (0.2, 0.5)])
def test_crop_boxes_cover_the_declared_share_up_to_whole_pixels(scale):
    found = boxes(Augmentation(scale=scale, ratio=(3 / 4, 4 / 3)))
    low, high = (share * 48 * 48 for share in scale)
    assert all((h - 0.5) * (w - 0.5) <= high and (h + 0.5) * (w + 0.5) >= low for _, _, h, w in found)


def test_crop_boxes_have_the_declared_aspect_up_to_whole_pixels():
    found = boxes(Augmentation(scale=(0.2, 0.5), ratio=(3 / 4, 4 / 3)))
    assert all((w - 0.5) / (h + 0.5) <= 4 / 3 and (w + 0.5) / (h - 0.5) >= 3 / 4 for _, _, h, w in found)


def test_crop_boxes_reach_all_edges():
    found = boxes(Augmentation(scale=(0.2, 0.5), ratio=(3 / 4, 4 / 3)))
    edges = [min(t for t, *_ in found), min(left for _, left, *_ in found)]
    edges += [48 - max(t + h for t, _, h, _ in found), 48 - max(left + w for _, left, _, w in found)]
    assert edges == [0, 0, 0, 0]


def test_a_crop_box_that_never_fits_is_the_whole_picture_where_its_shape_is_allowed():
    assert boxes(Augmentation(scale=(1.0, 1.0), ratio=(0.5, 2.0)), count=1) == [(0, 0, 48, 48)]
    assert boxes(Augmentation(scale=(1.0, 1.0), ratio=(2.0, 2.0)), count=1) == [(12, 0, 24, 48)]


def test_a_reference_stream_has_the_budgets_reference_batch(backbone):
    ctx = make_context(backbone, budget=make_budget(batch_size=8, reference_batch=3))
    sizes = [len(next(ctx.batches(make_task(), purpose=purpose)).labels) for purpose in ("train", "reference")]
    assert sizes == [8, 3]
