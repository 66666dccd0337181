"""Intervals and rank ranges: as the closed forms say, independent of order, and exact to the last digit."""

import math

import numpy as np
import pytest
from support.boards import TASKS, items, matrix

from vlcl_bench.board.ranks import UNIT, _drawn, certainty, rank_ranges
from vlcl_bench.errors import UsageError
from vlcl_bench.scoring.metrics import continual_metrics


def spread(scores, metric):
    """Standard error of a metric of one run over draws of samples, by the variance of a mean."""
    total, T = 0.0, len(scores)
    for i, one in enumerate(scores.values()):
        weights = np.zeros(T + 1)
        for stage in range(T + 1):
            single = np.zeros((T + 1, T))
            single[stage, i] = 100.0
            weights[stage] = getattr(continual_metrics(single[1:], single[0]), metric) / 100
        total += (weights @ one).var() / one.shape[1]
    return math.sqrt(total)


@pytest.mark.parametrize("metric", ["avg", "transfer", "last"])
def test_an_interval_is_as_wide_as_the_variance_of_the_samples_says(metric):
    scores = items(60, 3, samples=400)
    low, high = certainty({"a": {0: scores}}).intervals["a"][metric]
    R = matrix(scores)
    value = getattr(continual_metrics(R[1:], R[0]), metric)
    assert (low + high) / 2 == pytest.approx(value, abs=0.15)
    assert high - low == pytest.approx(2 * 1.96 * spread(scores, metric), rel=0.06)


def test_seeds_that_differ_widen_the_interval():
    same = certainty({"a": {seed: items(60, 1) for seed in range(3)}}).intervals["a"]["avg"]
    apart = certainty({"a": {seed: items(level, 1) for seed, level in enumerate((50, 60, 70))}}).intervals["a"]["avg"]
    assert apart[1] - apart[0] > 2 * (same[1] - same[0])


def test_seeds_alone_are_drawn_as_counting_says():
    """All samples alike in a seed: an average is one of ten sums of three draws, with known chances."""
    levels = (0.0, 40.0, 100.0)
    runs = {seed: {task: np.full((5, 10), level) for task in TASKS} for seed, level in enumerate(levels)}
    drawn = _drawn([runs], list(TASKS), ["avg"], 4000, 5)[:, 0, 0] * UNIT
    sums = {
        round(sum(levels[i] for i in three) / 3, 6) for three in np.ndindex(3, 3, 3)
    }  # the values there can be, whatever the chances
    assert {round(float(x), 6) for x in drawn} == sums
    assert (np.abs(drawn - 100) < 1e-6).mean() == pytest.approx(1 / 27, abs=0.012)
    assert drawn.mean() == pytest.approx(140 / 3, abs=1.5)


def test_draws_are_whole_units_so_that_no_order_of_adding_matters():
    entries = [{seed: items(level, seed) for seed in range(3)} for level in (40, 60)]
    drawn = _drawn(entries, list(TASKS), ["avg", "transfer", "last"], 100, 1)
    assert (drawn == np.rint(drawn)).all()
    assert np.abs(drawn).max() < 2**53 / 100


def test_the_order_of_entries_and_of_seeds_does_not_matter():
    entries = {
        name: {seed: items(level, seed) for seed in range(3)} for name, level in (("a", 50), ("b", 53), ("c", 70))
    }
    turned = {name: dict(reversed(entries[name].items())) for name in reversed(entries)}
    assert certainty(entries, ["a", "b", "c"]) == certainty(turned, ["c", "a", "b"])


def test_entries_far_apart_have_one_rank_each_and_equal_ones_share_a_range():
    entries = {
        name: {seed: items(level, seed) for seed in range(3)} for name, level in (("a", 90), ("b", 60), ("d", 20))
    }
    entries["c"] = entries["b"]
    known = certainty(entries, list(entries))
    assert known.ranks == {"a": (1, 1), "b": (2, 3), "c": (2, 3), "d": (4, 4)}


def test_an_entry_that_is_not_ranked_has_an_interval_and_no_rank_and_takes_none():
    entries = {name: {0: items(level, 0)} for name, level in (("a", 90), ("b", 60), ("c", 20))}
    known = certainty(entries, ["b", "c"])
    assert known.ranks == {"b": (1, 1), "c": (2, 2)}
    assert set(known.intervals) == {"a", "b", "c"}


def test_shared_samples_make_small_differences_clear():
    """Right wherever the other is, and on a few samples more: intervals overlap, and the order is still certain."""
    worse = items(50, 4)
    better = {task: np.where(np.arange(100) < 8, 100.0, one) for task, one in worse.items()}
    known = certainty({"better": {0: better}, "worse": {0: worse}}, ["better", "worse"])
    assert known.intervals["better"]["avg"][0] < known.intervals["worse"]["avg"][1]
    assert known.ranks == {"better": (1, 1), "worse": (2, 2)}


def test_rank_ranges_are_those_of_the_definition_step_by_step():
    rng = np.random.default_rng(2)
    points = np.array([50.0, 51.0, 53.0, 53.4, 60.0])
    drawn = points + rng.normal(0, [0.5, 1.0, 0.7, 0.2, 2.0], (2000, 5))
    expected = []
    for j in range(5):
        others = [k for k in range(5) if k != j]
        sd = {k: (drawn[:, k] - drawn[:, j]).std() for k in others}
        largest = sorted(max(abs(row[k] - row[j] - points[k] + points[j]) / sd[k] for k in others) for row in drawn)
        critical = largest[math.ceil(0.95 * 2000) - 1]
        above = sum(points[k] - points[j] > critical * sd[k] for k in others)
        below = sum(points[j] - points[k] > critical * sd[k] for k in others)
        expected.append((1 + above, 5 - below))
    assert rank_ranges(points, drawn) == expected
    assert expected[4] == (1, 1)


def test_equal_entries_are_told_apart_by_chance_in_one_of_twenty_cases():
    rng = np.random.default_rng(8)
    told = 0
    for _ in range(300):
        points = rng.normal(size=6)
        told += rank_ranges(points, points + rng.normal(size=(400, 6)))[0] != (1, 6)
    assert told / 300 == pytest.approx(0.05, abs=0.035)


def test_a_single_entry_is_first_and_none_is_no_fault():
    assert certainty({"a": {0: items(50, 0)}}, ["a"]).ranks == {"a": (1, 1)}
    assert certainty({}).intervals == {}


def test_a_stream_of_one_task_has_no_transfer():
    assert set(certainty({"a": {0: items(50, 0, tasks=("only",))}}).intervals["a"]) == {"avg", "last"}


def test_entries_of_other_samples_are_refused():
    with pytest.raises(UsageError, match="same tasks and test samples"):
        certainty({"a": {0: items(50, 0)}, "b": {0: items(50, 0, samples=99)}})
