"""The weight ensemble, herding, the memory of pictures, and the optimiser's faster steps."""

import itertools
from copy import deepcopy

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from vlcl_bench.methods.losses import WeightEnsemble, snapshot
from vlcl_bench.methods.memory import PictureMemory, herd


def random(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def parameters(seed=0):
    return {"matrix": torch.nn.Parameter(random(seed, 3, 4)), "vector": torch.nn.Parameter(random(seed + 1, 5))}


def move(theta, seed):
    with torch.no_grad():
        for k, parameter in enumerate(theta.values()):
            parameter.copy_(random(seed + k, *parameter.shape))


# Weight ensemble


@pytest.mark.parametrize("snapshots", [1, 2, 11])
def test_an_ensemble_is_the_plain_mean_of_the_start_and_its_snapshots(snapshots):
    theta = parameters()
    ensemble, seen = WeightEnsemble(theta), [snapshot(theta.items())]
    for k in range(snapshots):
        move(theta, 10 * (k + 1))
        ensemble.absorb()
        seen.append(snapshot(theta.items()))
    for name in theta:
        expected = np.mean([state[name].double().numpy() for state in seen], axis=0, dtype=np.float64)
        np.testing.assert_allclose(ensemble.mean[name].numpy(), expected, atol=1e-6)


def test_an_ensemble_starts_at_the_weights_it_is_given():
    theta = parameters()
    ensemble = WeightEnsemble(theta)
    before = snapshot(theta.items())
    move(theta, 50)
    assert all(torch.equal(ensemble.mean[name], before[name]) for name in theta)


def test_an_ensemble_of_unchanged_weights_is_these_weights():
    theta = parameters()
    before, ensemble = snapshot(theta.items()), WeightEnsemble(theta)
    for _ in range(7):
        ensemble.absorb()
    assert all(torch.equal(ensemble.mean[name], before[name]) for name in theta)


def test_absorbing_leaves_the_weights_alone():
    theta = parameters()
    ensemble = WeightEnsemble(theta)
    move(theta, 60)
    before = snapshot(theta.items())
    ensemble.absorb()
    assert all(torch.equal(theta[name], before[name]) for name in theta)


def test_applying_puts_the_mean_in_place_of_the_weights():
    theta = parameters()
    ensemble = WeightEnsemble(theta)
    move(theta, 70)
    ensemble.absorb()
    ensemble.apply_()
    assert all(torch.equal(theta[name], ensemble.mean[name]) for name in theta)


def test_weights_still_train_after_the_mean_was_applied():
    theta = parameters()
    ensemble = WeightEnsemble(theta)
    move(theta, 80)
    ensemble.absorb()
    ensemble.apply_()
    theta["vector"].square().sum().backward()
    torch.testing.assert_close(theta["vector"].grad, 2 * theta["vector"].detach())


# Herding


def greedy(features, count):
    """iCaRL's algorithm 4 as it is written: at every turn all candidates, each with its own running mean."""
    features = np.asarray(features, dtype=np.float64)
    picked = []
    for _ in range(min(count, len(features))):
        free = [row for row in range(len(features)) if row not in picked]
        off = [np.linalg.norm(features.mean(0) - features[[*picked, row]].mean(0)) for row in free]
        picked.append(free[int(np.argmin(off))])
    return picked


@pytest.mark.parametrize("seed", range(5))
def test_every_herded_pick_is_the_best_of_those_left(seed):
    features = random(seed, 9, 3).double()
    assert herd(features, 9).tolist() == greedy(features, 9)


def test_the_first_herded_pick_is_the_nearest_to_the_mean():
    features = random(3, 30, 4)
    assert herd(features, 1).item() == int((features - features.mean(0)).norm(dim=1).argmin())


def test_herded_pairs_are_not_worse_than_the_best_partner_of_the_first():
    features = random(4, 12, 2).double()
    first, second = herd(features, 2).tolist()
    means = {row: (features[first] + features[row]) / 2 for row in range(12) if row != first}
    assert second == min(means, key=lambda row: float((means[row] - features.mean(0)).norm()))


@pytest.mark.parametrize("count", [0, 1, 7, 20, 21, 1000])
def test_herding_repeats_nothing_and_gives_no_more_than_there_is(count):
    picked = herd(random(5, 20, 3), count).tolist()
    assert len(picked) == len(set(picked)) == min(count, 20)
    assert set(picked) <= set(range(20))


def test_fewer_herded_rows_are_the_first_of_more():
    features = random(6, 15, 3)
    assert herd(features, 4).tolist() == herd(features, 11).tolist()[:4]


def test_equal_features_are_picked_from_the_lowest_row_up():
    assert herd(torch.ones(5, 2), 5).tolist() == [0, 1, 2, 3, 4]


def test_herding_takes_from_both_of_two_equal_clusters():
    features = torch.cat([torch.full((10, 1), -1.0), torch.full((10, 1), 1.0)])
    assert all((features[herd(features, count)].sum().abs() <= 1) for count in range(1, 21))


# Memory of pictures


def pictures(count, side=4, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8))


def filled(*counts):
    memory = PictureMemory()
    for task, count in enumerate(counts, 1):
        memory.add(pictures(count, seed=task), torch.arange(count) % 3, task)
    return memory


def contents(memory):
    return memory.images, memory.labels, memory.tasks


def assert_equal(one, two):
    assert all(torch.equal(a, b) for a, b in zip(contents(one), contents(two), strict=True))


def bytes_of(memory):
    return sum(value.numel() * value.element_size() for value in memory.state_dict().values())


def test_a_new_memory_is_empty_and_weighs_nothing():
    assert (len(PictureMemory()), bytes_of(PictureMemory())) == (0, 0)


def test_a_memory_appends_in_order():
    memory = filled(3, 2)
    assert torch.equal(memory.images, torch.cat([pictures(3, seed=1), pictures(2, seed=2)]))
    assert (memory.labels.tolist(), memory.tasks.tolist()) == ([0, 1, 2, 0, 1], [1, 1, 1, 2, 2])


def test_a_memory_keeps_rows_in_the_order_asked_for():
    memory, before = filled(3, 2), filled(3, 2)
    memory.keep(torch.tensor([4, 0, 2]))
    assert torch.equal(memory.images, before.images[[4, 0, 2]])
    assert (memory.labels.tolist(), memory.tasks.tolist()) == ([1, 0, 2], [2, 1, 1])


def test_a_memory_that_was_emptied_can_be_filled_with_pictures_of_another_size():
    memory = filled(3)
    memory.keep(torch.tensor([], dtype=torch.int64))
    memory.add(pictures(2, side=7), torch.tensor([0, 1]), 2)
    assert (len(memory), tuple(memory.images.shape)) == (2, (2, 7, 7, 3))


def test_a_memory_does_not_follow_changes_of_what_was_added():
    given, memory = pictures(2), PictureMemory()
    memory.add(given, torch.zeros(2, dtype=torch.int64), 1)
    given.zero_()
    assert torch.equal(memory.images, pictures(2))


@pytest.mark.parametrize("before", [(), (3,), (1, 9)])
def test_a_saved_memory_is_loaded_whatever_the_size_before(before):
    saved = load(save(filled(3, 2).state_dict()))
    memory = filled(*before)
    memory.load_state_dict(saved)
    assert_equal(memory, filled(3, 2))


def test_an_empty_memory_is_loaded_over_a_full_one():
    memory = filled(3, 2)
    memory.load_state_dict(load(save(PictureMemory().state_dict())))
    assert len(memory) == 0


def test_a_memory_inside_a_module_is_loaded_too():
    outer, other = torch.nn.Module(), torch.nn.Module()
    outer.memory, other.memory = filled(3, 2), PictureMemory()
    other.load_state_dict(load(save(outer.state_dict())))
    assert_equal(outer.memory, other.memory)


def test_a_loaded_memory_is_a_copy_and_grows_on():
    source, memory = filled(2), PictureMemory()
    memory.load_state_dict(source.state_dict())
    memory.images.zero_()
    memory.add(pictures(1), torch.tensor([2]), 2)
    assert torch.equal(source.images, pictures(2, seed=1))
    assert len(memory) == 3


def test_a_state_without_part_of_the_memory_is_refused():
    state = {name: value for name, value in filled(2).state_dict().items() if name != "labels"}
    with pytest.raises(RuntimeError, match="labels"):
        PictureMemory().load_state_dict(state)


def test_a_memory_weighs_its_pixels_and_two_whole_numbers_for_each_picture():
    assert bytes_of(filled(3, 2)) == 5 * (4 * 4 * 3 + 8 + 8)


# AdamW


def stepped(kind, steps=25):
    """Weights after some AdamW steps on a small problem, with the plain, the foreach or the fused implementation."""
    theta, options = parameters(), {"plain": {"foreach": False, "fused": False}}
    options |= {"foreach": {"foreach": True}, "fused": {"fused": True}}
    optimizer = torch.optim.AdamW(theta.values(), lr=0.01, weight_decay=0.0, **options[kind])
    for step in range(steps):
        target = random(100 + step, 3, 4)
        optimizer.zero_grad(set_to_none=True)
        loss = (theta["matrix"] - target).square().sum() + (theta["vector"].sum() - step).abs()
        loss.backward()
        optimizer.step()
    return theta


@pytest.mark.parametrize("kind", ["foreach", "fused"])
def test_faster_optimiser_steps_equal_plain_ones(kind):
    plain, found = stepped("plain"), stepped(kind)
    for name in plain:
        torch.testing.assert_close(found[name], plain[name], atol=1e-6, rtol=0)


def test_plain_steps_equal_adamw_as_it_was_published():
    theta, expected = stepped("plain"), {name: deepcopy(p.detach()).double() for name, p in parameters().items()}
    first, second = ({name: torch.zeros_like(value) for name, value in expected.items()} for _ in range(2))
    for step in range(25):
        target = random(100 + step, 3, 4).double()
        sign = torch.sign(expected["vector"].sum() - step)
        gradients = {"matrix": 2 * (expected["matrix"] - target), "vector": sign.expand(5)}
        for name, gradient in gradients.items():
            first[name] = 0.9 * first[name] + 0.1 * gradient
            second[name] = 0.999 * second[name] + 0.001 * gradient**2
            mean, square = first[name] / (1 - 0.9 ** (step + 1)), second[name] / (1 - 0.999 ** (step + 1))
            expected[name] = expected[name] - 0.01 * mean / (square.sqrt() + 1e-8)
    for name in theta:
        torch.testing.assert_close(theta[name].detach().double(), expected[name], atol=1e-6, rtol=1e-5)


def test_no_snapshot_is_shared_between_ensembles():
    theta = parameters()
    one, two = WeightEnsemble(theta), WeightEnsemble(theta)
    pairs = itertools.product(one.mean.values(), two.mean.values())
    assert not any(a.data_ptr() == b.data_ptr() for a, b in pairs)
