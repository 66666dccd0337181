"""Seeds, the generator that makes them, their memory and what they are replayed with, against plain computations."""

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support.fakes import make_task

from baselines.parts.adapters import Adapters, Features, Known, ResidualAdapter
from baselines.parts.label_spaces import LabelSpaces
from baselines.parts.seeds import (
    NOISE,
    TEMPERATURE,
    SeedGenerator,
    SeedMemory,
    Spreads,
    class_covariance,
    consistency,
    gradient_codes,
    info_nce,
    jittered,
    most_covering,
    pseudo_classes,
)
from vlcl_bench.methods.losses import distillation, symmetric


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def unit(*shape, seed=0, dtype=torch.float32):
    return F.normalize(torch.randn(shape, generator=rng(seed), dtype=torch.float64), dim=-1).to(dtype)


def classes(width=32, per_class=(7, 9, 6, 8), seed=0, noise=0.5):
    """Unit features around one direction a class, the labels, and texts."""
    labels = torch.tensor([label for label, n in enumerate(per_class) for _ in range(n)])
    centres = unit(len(per_class), width, seed=seed, dtype=torch.float64)
    images = centres[labels] + noise * unit(len(labels), width, seed=seed + 1, dtype=torch.float64)
    return F.normalize(images, dim=1), labels, unit(len(per_class), width, seed=seed + 2, dtype=torch.float64)


# Gradient codes


def test_codes_are_the_gradients_of_the_summed_cross_entropy_at_scale_one():
    images, labels, texts = classes(per_class=(3, 5, 1, 4))
    z, weights = images.clone().requires_grad_(), texts.clone().requires_grad_()
    F.cross_entropy(z @ weights.T, labels, reduction="sum").backward()
    codes = gradient_codes(images, labels, texts)
    assert codes.shape == (4, 64)
    for label in range(4):
        own = labels == label
        torch.testing.assert_close(codes[label, :32], weights.grad[label] / own.sum())
        torch.testing.assert_close(codes[label, 32:], z.grad[own].mean(dim=0))


def test_a_class_without_pictures_has_a_code_of_zeros():
    images, labels, texts = classes(per_class=(3, 0, 4))
    codes = gradient_codes(images, labels, texts)
    assert not codes[1].any()
    assert codes[[0, 2]].any(dim=1).all()


def test_the_order_of_pictures_does_not_matter_to_codes():
    images, labels, texts = classes()
    order = torch.randperm(len(labels), generator=rng(3))
    torch.testing.assert_close(
        gradient_codes(images[order], labels[order], texts), gradient_codes(images, labels, texts)
    )


# The generator


def generator(width=32, seed=1):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return SeedGenerator(width)


def made(codes, slots=2, seed=0, maker=None):
    noise = torch.randn(slots, len(codes), NOISE, generator=rng(seed))
    with torch.no_grad():
        return (maker or generator(codes.shape[1] // 2))(codes, noise)


def test_seeds_begin_near_the_centred_means_of_pictures_and_texts():
    images, labels, texts = classes(per_class=(8, 8, 8, 8))
    v, w = made(gradient_codes(images, labels, texts).float(), slots=3)
    assert v.shape == w.shape == (3, 4, 32)
    means = torch.stack([images[labels == label].mean(dim=0) for label in range(4)])
    for found, real in ((v, means), (w, texts)):
        nearness = F.cosine_similarity(found, (real - real.mean(dim=0)).float(), dim=-1)
        assert nearness.min() > 0.95


def test_seeds_have_length_one():
    v, w = made(unit(5, 64) * 0.3)
    torch.testing.assert_close(v.norm(dim=-1), torch.ones(2, 5))
    torch.testing.assert_close(w.norm(dim=-1), torch.ones(2, 5))


def test_seeds_follow_codes_and_noise():
    codes = unit(5, 64)
    v, w = made(codes)
    assert not torch.allclose(v[0], v[1])
    other_v, other_w = made(codes, seed=8)
    assert not torch.allclose(v, other_v)
    assert not torch.allclose(w, other_w)
    changed_v, changed_w = made(torch.cat([codes[:1] + 0.1 * unit(1, 64, seed=5), codes[1:]]))
    for one, two in ((v, changed_v), (w, changed_w)):
        assert not torch.allclose(one[:, 0], two[:, 0])
        torch.testing.assert_close(one[:, 1:], two[:, 1:])


def test_a_seed_knows_its_code_and_no_place():
    codes, noise = unit(5, 64), torch.randn(2, 5, NOISE, generator=rng())
    order, maker = torch.tensor([3, 1, 4, 0, 2]), generator()
    plain, moved = maker(codes, noise), maker(codes[order], noise[:, order])
    for one, two in zip(plain, moved, strict=True):
        torch.testing.assert_close(one[:, order], two)


def test_the_generator_is_its_formula():
    maker, codes, noise = generator(), unit(3, 64), torch.randn(2, 3, NOISE, generator=rng())
    with torch.no_grad():
        maker.maps += 0.1 * torch.randn(maker.maps.shape, generator=rng(4))
        maker.offsets += 0.1 * torch.randn(maker.offsets.shape, generator=rng(5))
    v, w = maker(codes, noise)
    for slot, c in itertools.product(range(2), range(3)):
        small = maker.correction(torch.cat([codes[c], noise[slot, c]]))
        plain_v = maker.maps[0] @ codes[c, :32] + maker.offsets[0] + small[:32]
        plain_w = maker.maps[1] @ codes[c, 32:] + maker.offsets[1] + small[32:]
        torch.testing.assert_close(v[slot, c], plain_v / plain_v.norm(), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(w[slot, c], plain_w / plain_w.norm(), atol=1e-5, rtol=1e-4)


# Consistency


def plain_info_nce(anchors, others, labels):
    total = 0.0
    for anchor, label in zip(anchors, labels, strict=True):
        powers = [math.exp(float(anchor @ other) / TEMPERATURE) for other in others]
        total -= math.log(powers[int(label)] / sum(powers))
    return total / len(anchors)


def test_info_nce_by_loops():
    anchors, others = unit(6, 8, dtype=torch.float64), unit(6, 8, seed=1, dtype=torch.float64)
    assert float(info_nce(anchors, others)) == pytest.approx(plain_info_nce(anchors, others, range(6)))
    labels = torch.tensor([1, 1, 0, 5, 2, 2])
    assert float(info_nce(anchors, others, labels)) == pytest.approx(plain_info_nce(anchors, others, labels))


@pytest.mark.parametrize(("fidelity", "contrast"), [(5.0, 0.1), (1.0, 0.0), (0.0, 2.0)])
def test_consistency_by_loops(fidelity, contrast):
    images, labels, texts = classes(width=8, per_class=(3, 2, 4))
    v, w = unit(2, 3, 8, seed=6, dtype=torch.float64), unit(2, 3, 8, seed=7, dtype=torch.float64)
    mean_v, mean_w = ([(x[0, c] + x[1, c]) / (x[0, c] + x[1, c]).norm() for c in range(3)] for x in (v, w))
    apart_images = [1 - float(image @ mean_v[label]) for image, label in zip(images, labels, strict=True)]
    apart_texts = [1 - float(texts[c] @ mean_w[c]) for c in range(3)]
    expected = fidelity * (np.mean(apart_images) + np.mean(apart_texts))
    expected += contrast * (
        plain_info_nce(images, mean_v, labels)
        + (plain_info_nce(mean_w, texts, range(3)) + plain_info_nce(texts, mean_w, range(3))) / 2
        + plain_info_nce(mean_v, mean_w, range(3)) / 2
    )
    assert float(consistency(v, w, images, labels, texts, fidelity, contrast)) == pytest.approx(float(expected))


# Coverage


def coverage(nearness, places):
    """The sum over real features of one plus the cosine with the nearest of these candidates: 0 for none."""
    return sum(1 + max((row[place] for place in places), default=-1.0) for row in nearness)


@pytest.mark.parametrize("seed", range(8))
def test_greedy_choice_is_that_of_loops_and_at_least_the_bound_of_the_best(seed):
    real, candidates = unit(9, 4, seed=seed), unit(7, 4, seed=seed + 100)
    nearness = (real.double() @ candidates.double().T).tolist()
    expected: list[int] = []
    for _ in range(3):
        free = [place for place in range(7) if place not in expected]
        expected.append(max(free, key=lambda place: coverage(nearness, [*expected, place])))
    found = most_covering(candidates, real, 3)
    assert found == expected
    best = max(coverage(nearness, places) for places in itertools.combinations(range(7), 3))
    assert coverage(nearness, found) >= (1 - 1 / math.e) * best


def test_of_equal_candidates_the_lower_place_is_taken():
    axes = torch.eye(4)
    assert most_covering(axes[[2, 0, 0, 2]], axes[[0, 0, 0, 2]], 4) == [1, 0, 2, 3]
    assert most_covering(axes[[1, 1, 1]], axes[[0, 2]], 3) == [0, 1, 2]


def test_no_more_are_chosen_than_there_are():
    assert sorted(most_covering(unit(3, 4), unit(5, 4, seed=1), 9)) == [0, 1, 2]
    assert most_covering(unit(3, 4), unit(5, 4, seed=1), 0) == []


# Spread and jitter


def test_the_covariance_is_the_mean_outer_product_about_class_means():
    images, labels, _ = classes(width=6, per_class=(4, 0, 3, 5))
    expected = torch.zeros(6, 6, dtype=images.dtype)
    for label in (0, 2, 3):
        own = images[labels == label]
        expected += sum(torch.outer(x, x) for x in own - own.mean(dim=0))
    torch.testing.assert_close(class_covariance(images, labels), expected / 12)
    assert class_covariance(unit(3, 6), torch.arange(3)).abs().max() < 1e-7


def test_the_spread_is_the_mean_of_the_tasks_covariances_in_half_precision():
    features = [unit(30, 8, seed=i) for i in range(3)]
    found = Spreads(8)
    for one in features:
        found.add(class_covariance(one, torch.arange(30) % 3)[None])
    mean = sum(class_covariance(one, torch.arange(30) % 3) for one in features) / 3
    assert found.covariance.dtype == torch.float16
    assert found.tasks.tolist() == [3]
    (root,) = found.roots(isotropic=False)
    torch.testing.assert_close(root @ root.T, mean, atol=2e-3, rtol=0)
    (even,) = found.roots(isotropic=True)
    torch.testing.assert_close(even @ even.T, torch.eye(8) * mean.trace() / 8, atol=2e-3, rtol=0)


def test_nothing_spreads_before_the_first_task_and_a_saved_spread_comes_back():
    assert Spreads(8).roots(isotropic=False) == []
    full, empty = Spreads(8), Spreads(8)
    full.add(torch.eye(8).repeat(2, 1, 1))
    empty.load_state_dict(full.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(full.roots(False), empty.roots(False), strict=True))


def test_jitter_has_the_covariance_asked_for_and_length_one():
    width = 12
    root = 0.05 * unit(width, width, seed=5)
    plain = unit(1, width).expand(40_000, -1)
    found = jittered(plain, root, rng())
    torch.testing.assert_close(found.norm(dim=1), torch.ones(len(plain)))
    # The part across the feature over the part along it is, but for a few percent, the noise across the feature.
    across = torch.eye(width) - torch.outer(plain[0], plain[0])
    apart = (found / (found @ plain[0])[:, None]) @ across
    torch.testing.assert_close(apart.T.cov(), across @ root @ root.T @ across, atol=1e-4, rtol=0.05)


def test_jitter_follows_its_generator_and_none_is_none():
    plain, root = unit(4, 2, 6), 0.1 * torch.eye(6)
    assert torch.equal(jittered(plain, root, rng(3)), jittered(plain, root, rng(3)))
    assert not torch.equal(jittered(plain, root, rng(3)), jittered(plain, root, rng(4)))
    torch.testing.assert_close(jittered(plain, 0 * root, rng()), plain)


# Pseudo-classes


def test_clusters_that_are_plain_to_see_are_found_and_all_are_used():
    texts, labels, _ = classes(width=8, per_class=(6, 4, 5), noise=0.02)
    found = pseudo_classes(texts.float(), 3, seed=0)
    assert found.dtype == torch.int64
    pairs = set(zip(found.tolist(), labels.tolist(), strict=True))
    assert len(pairs) == 3
    assert {own for own, _ in pairs} == {0, 1, 2}


@pytest.mark.parametrize("seed", [0, 5, 2**62 + 1])
def test_every_cluster_is_used_and_there_are_no_more_than_texts(seed):
    texts = unit(30, 8)
    assert pseudo_classes(texts, 7, seed).unique().tolist() == list(range(7))
    assert pseudo_classes(texts[:4], 7, seed).unique().tolist() == list(range(4))
    assert torch.equal(pseudo_classes(texts, 7, seed), pseudo_classes(texts, 7, seed))


def test_equal_texts_leave_no_cluster_empty():
    found = pseudo_classes(unit(3, 8)[[0, 0, 1, 1, 1, 2, 2]], 6, seed=0)
    assert found.unique().tolist() == [0, 1, 2]
    assert [len(found[part].unique()) for part in (slice(0, 2), slice(2, 5), slice(5, 7))] == [1, 1, 1]


# The memory of seeds


def filled(memory, task, dataset, labels, quota=2):
    for label in labels:
        rows = unit(quota, 8, seed=100 * task + label)
        memory.append(
            v=rows,
            w=-rows,
            labels=torch.full((quota,), label),
            datasets=torch.full((quota,), dataset),
            tasks=torch.full((quota,), task),
            ranks=torch.arange(quota),
        )
    return memory


def two_tasks(quota=2):
    return filled(filled(SeedMemory(8), 1, 0, range(3), quota), 2, 0, range(3, 8), quota)


def owners(memory):
    return list(zip(memory.tasks.tolist(), memory.labels.tolist(), memory.ranks.tolist(), strict=True))


def test_rows_are_kept_in_half_precision():
    memory = filled(SeedMemory(8), 1, 0, range(1))
    assert (memory.v.dtype, memory.w.dtype) == (torch.float16, torch.float16)
    assert torch.equal(memory.v, unit(2, 8, seed=100).half())
    weight = sum(x.numel() * x.element_size() for x in memory.state_dict().values())
    assert weight == 2 * (2 * 8 * 2 + 3 * 2 + 1)


def test_large_ids_are_kept():
    memory = filled(SeedMemory(8), 20, 11, [1200])
    assert (memory.labels.tolist(), memory.datasets.tolist(), memory.tasks.tolist()) == ([1200] * 2, [11] * 2, [20] * 2)


def test_a_memory_that_has_grown_comes_back_whole():
    memory, other = two_tasks(), SeedMemory(8)
    other.load_state_dict(memory.state_dict())
    assert len(other) == len(memory) == 16
    for name, value in memory.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)
        assert other.state_dict()[name].dtype == value.dtype
    other.load_state_dict(SeedMemory(8).state_dict())
    assert len(other) == 0


def test_what_is_not_a_whole_row_is_refused():
    rows = {name: torch.zeros(2) for name in ("labels", "datasets", "tasks", "ranks")}
    with pytest.raises(ValueError, match="rows must be given alike"):
        SeedMemory(8).append(v=unit(2, 8), w=unit(1, 8), **rows)


@pytest.mark.parametrize("quota", [1, 2, 4])
def test_a_memory_never_exceeds_its_size(quota):
    for size in range(1, 8 * quota + 3):
        memory = two_tasks(quota)
        memory.shrink_to(size)
        assert 0 < len(memory) <= size


def test_quotas_fall_by_one_for_all_classes_those_picked_last_first():
    memory = two_tasks(quota=3)
    before = dict(zip(owners(memory), memory.v.clone(), strict=True))
    memory.shrink_to(24)
    assert len(memory) == 24
    memory.shrink_to(23)
    assert sorted(owners(memory)) == sorted(owner for owner in before if owner[2] < 2)
    memory.shrink_to(15)
    assert sorted(owners(memory)) == sorted(owner for owner in before if owner[2] == 0)
    for owner, row in zip(owners(memory), memory.v, strict=True):
        assert torch.equal(row, before[owner])


def test_where_one_a_class_is_too_many_the_largest_task_gives_up_its_last_class():
    memory = two_tasks(quota=1)  # classes 0 to 2 of task 1, 3 to 7 of task 2
    memory.shrink_to(6)
    assert [owner[:2] for owner in owners(memory)] == [(1, 0), (1, 1), (1, 2), (2, 3), (2, 4), (2, 5)]
    memory.shrink_to(5)  # of equals the newest
    assert [owner[:2] for owner in owners(memory)] == [(1, 0), (1, 1), (1, 2), (2, 3), (2, 4)]
    memory.shrink_to(1)
    assert [owner[:2] for owner in owners(memory)] == [(1, 0)]


def test_shrinking_is_the_same_every_time():
    for size in (13, 8, 5, 2):
        one, two = two_tasks(), two_tasks()
        one.shrink_to(size)
        two.shrink_to(size)
        assert owners(one) == owners(two)


# Adapters


def test_an_adapter_begins_as_the_identity():
    features = unit(5, 8)
    torch.testing.assert_close(ResidualAdapter(8, 3, 1.0)(features), features)
    adapters, texts = Adapters(8, 3, 1.0), unit(4, 8, seed=1)
    torch.testing.assert_close(adapters(features, texts), features @ texts.T)


def test_an_adapter_is_its_formula():
    adapter = ResidualAdapter(4, 2, 0.7).double()
    with torch.no_grad():
        adapter.up.weight.normal_(generator=rng())
    features = unit(3, 4, dtype=torch.float64)
    for row, found in zip(features, adapter(features), strict=True):
        inner = [float(line @ row) for line in adapter.down.weight.detach()]
        active = torch.tensor([x * (1 + math.erf(x / math.sqrt(2))) / 2 for x in inner], dtype=torch.float64)
        expected = row + 0.7 * (adapter.up.weight @ active)
        torch.testing.assert_close(found, expected / expected.norm())


def test_the_loss_of_pairs_is_the_mean_of_both_ways():
    logits = torch.randn(4, 4, generator=rng(), dtype=torch.float64)
    rows = -np.mean([float(logits[i, i] - logits[i].logsumexp(0)) for i in range(4)])
    columns = -np.mean([float(logits[i, i] - logits[:, i].logsumexp(0)) for i in range(4)])
    assert float(symmetric(logits)) == pytest.approx((rows + columns) / 2)


# Whose names compete


def seen(texts, captions=None):
    return Features(np.arange(2), unit(2, 8), torch.zeros(2, dtype=torch.int64), texts, captions)


def spaces(dataset, now, *known):
    """Label spaces of a task of ``now`` names, after data sets (name, number of names known of it)."""
    task = make_task(len(known) + 1)
    task = type(task)(task.index, task.name, (), (), task.images, task.labels, dataset)
    before = [Known(name, unit(count, 8, seed=ord(name))) for name, count in known]
    return LabelSpaces(before, task, seen(unit(now, 8, seed=ord(dataset[0] if dataset else "t"))))


def competing(found, *datasets, old=False):
    """The columns that are not put away, row by row."""
    logits = torch.arange(float(len(found.texts))).expand(len(datasets), -1)
    kept = found.within(logits, torch.tensor(datasets), old)
    return [[int(x) for x in row if x >= 0] for row in kept]


def test_the_first_task_stands_alone():
    found = spaces("a", 3)
    assert (found.current, found.old, len(found.texts)) == (0, [], 3)
    assert competing(found, 0, 0) == [[0, 1, 2]] * 2


def test_each_data_set_has_its_own_columns():
    found = spaces("c", 4, ("a", 2), ("b", 3))
    assert found.current == 2
    expected = torch.cat([unit(n, 8, seed=ord(name)) for name, n in (("a", 2), ("b", 3), ("c", 4))])
    assert torch.equal(found.texts, expected)
    columns = found.column(torch.tensor([0, 0, 1, 1, 2]), torch.tensor([0, 1, 0, 2, 3]))
    assert columns.tolist() == [0, 1, 2, 4, 8]
    assert competing(found, 1, 0, 2) == [[2, 3, 4], [0, 1], [5, 6, 7, 8]]
    assert competing(found, 1, 0, old=True) == [[2, 3, 4], [0, 1]]


def test_names_that_a_data_set_has_gained_compete_but_were_not_known():
    found = spaces("a", 5, ("a", 2), ("b", 3))
    assert found.current == 0
    assert torch.equal(found.texts, torch.cat([unit(5, 8, seed=ord("a")), unit(3, 8, seed=ord("b"))]))
    assert [len(texts) for texts in found.old] == [2, 3]
    assert found.column(torch.tensor([0, 1]), torch.tensor([4, 0])).tolist() == [4, 5]
    assert competing(found, 0, 1) == [[0, 1, 2, 3, 4], [5, 6, 7]]
    assert competing(found, 0, 1, old=True) == [[0, 1], [5, 6, 7]]


def test_a_data_set_in_the_middle_of_the_stream_may_gain_names():
    found = spaces("b", 4, ("a", 2), ("b", 3), ("c", 1))
    assert found.current == 1
    assert competing(found, 0, 1, 2) == [[0, 1], [2, 3, 4, 5], [6]]
    assert competing(found, 0, 1, 2, old=True) == [[0, 1], [2, 3, 4], [6]]


def test_a_task_without_a_data_sets_name_goes_by_its_own():
    assert spaces("", 3, ("a", 2)).current == 1


def test_a_captioned_task_has_no_names():
    task = make_task(3)
    found = LabelSpaces([], task, seen(unit(4, 8), [np.array([0, 1]), np.array([2, 3])]))
    assert (found.captioned, found.current, found.old) == (True, 2, [])


def test_distillation_among_a_data_sets_names_is_that_of_its_columns_alone():
    found = spaces("a", 5, ("a", 2), ("b", 3))
    before = 20 * torch.randn(6, 8, generator=rng(1), dtype=torch.float64)
    after = (20 * torch.randn(6, 8, generator=rng(2), dtype=torch.float64)).requires_grad_()
    datasets = torch.tensor([0, 1, 1, 0, 1, 1])
    value = distillation(found.within(before, datasets, old=True), found.within(after, datasets, old=True), 2.0)
    parts = [
        (len(rows), distillation(before[rows][:, columns], after[rows][:, columns], 2.0))
        for rows, columns in (([0, 3], [0, 1]), ([1, 2, 4, 5], [5, 6, 7]))
    ]
    expected = sum(n * part for n, part in parts) / 6
    torch.testing.assert_close(value, expected)
    (slope,) = torch.autograd.grad(value, after, retain_graph=True)
    (wanted,) = torch.autograd.grad(expected, after)
    assert slope.isfinite().all()
    torch.testing.assert_close(slope, wanted)
    assert not slope[:, 2:5].any()


def test_far_names_stay_far_in_single_precision_at_a_scale_of_a_hundred():
    found = spaces("b", 3, ("a", 2))
    logits = (100 * torch.randn(4, 5, generator=rng())).requires_grad_()
    kept = found.within(logits, torch.tensor([0, 1, 0, 1]))
    F.cross_entropy(kept, found.column(torch.tensor([0, 1, 0, 1]), torch.tensor([1, 2, 0, 0]))).backward()
    assert logits.grad.isfinite().all()
    assert not logits.grad[0, 2:].any()
    assert not logits.grad[1, :2].any()
