"""How sure a place on the board is: intervals of headline metrics and the ranks that the data leave open.

What varies is which test samples there happen to be, and which seeds were run. Both are drawn again with replacement,
samples within each task (bootstrap; Efron and Tibshirani, An Introduction to the Bootstrap, 1993): the same samples
for all entries, and the same seeds for all entries that ran the same ones, so that what entries share drops out of
their differences. An interval holds the middle 95 % of the draws. With three seeds it is somewhat too short, since few
seeds vary less than many would.

The range of an entry's rank follows Mogstad, Romano, Shaikh and Wilhelm (Inference for Ranks, Review of Economic
Studies, 2024): simultaneous 95 % intervals of the differences between the entry and all others, from the bootstrap's
distribution of the largest standardised difference; the entry's rank is at least one more than the number of entries
that are above it throughout their interval, and at most the number of those that are not below it throughout. Intervals
one at a time would, with twelve entries, call some pair different by chance alone much more often than once in twenty.

All sums are exact: scores are whole multiples of 2⁻³⁶ percent, and no sum reaches 2⁵³. Draws come from the raw bits of
PCG64, whose stream NumPy promises to keep. So no order of adding and no library changes a digit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from vlcl_bench.errors import UsageError
from vlcl_bench.scoring.columns import CERTAIN, RANKING
from vlcl_bench.scoring.metrics import FloatArray
from vlcl_bench.scoring.significance import Items, defined, metric

DRAWS = 4000
LEVEL = 0.95
SEED = 20260101
UNIT = 2.0**-36
"""Percent; scores are rounded to whole multiples of it, far below what one sample counts."""
DECIMALS = 4
BLOCK = 500
"""Draws whose counts of samples are held at once."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class Certainty:
    """By entry the 95 % ``intervals`` of each metric in percent (no key: not defined), and the ``ranks`` by Avg.

    Ranks are counted from 1 over the entries that take part in the ranking; the others have none.
    """

    intervals: Mapping[str, Mapping[str, Interval]]
    ranks: Mapping[str, tuple[int, int]]


def certainty(
    entries: Mapping[str, Mapping[int, Items]], ranked: Sequence[str] = (), draws: int = DRAWS, seed: int = SEED
) -> Certainty:
    """Intervals of ``entries`` and rank ranges of those that are ``ranked``.

    ``entries`` maps a key to the item scores by seed, all of one protocol. The result does not depend on their order.
    Raises :class:`UsageError` where they were not scored on the same tasks and numbers of test samples.
    """
    names = sorted(entries)
    if not names:
        return Certainty({}, {})
    shapes = _shapes(entries)
    metrics = defined([column.id for column in CERTAIN], len(shapes))
    drawn = _drawn([entries[name] for name in names], list(shapes), metrics, draws, seed)
    tail = int(draws * (1 - LEVEL) / 2)
    ordered = np.sort(drawn, axis=0)
    low, high = ordered[tail] * UNIT, ordered[draws - 1 - tail] * UNIT
    intervals = {
        name: {key: (_rounded(low[i, m]), _rounded(high[i, m])) for m, key in enumerate(metrics)}
        for i, name in enumerate(names)
    }
    places = [names.index(name) for name in sorted(ranked)]
    points = np.array([_mean(entries[name], list(shapes), RANKING.id) for name in sorted(ranked)])
    ranges = rank_ranges(points, drawn[:, places, metrics.index(RANKING.id)] * UNIT)
    return Certainty(intervals, dict(zip(sorted(ranked), ranges, strict=True)))


def rank_ranges(points: FloatArray, drawn: FloatArray) -> list[tuple[int, int]]:
    """The ranks that are left open to each of E entries, 1 being that of the highest.

    ``points`` (E,) are their values and ``drawn`` (draws, E) the bootstrap's. See the module's text for the method.
    """
    count = len(points)
    found = []
    for j in range(count):
        others = [k for k in range(count) if k != j]
        difference = points[others] - points[j]
        apart = drawn[:, others] - drawn[:, [j]]
        spread = apart.std(axis=0)
        moving = spread > 0
        margin = np.zeros(len(others))
        if moving.any():
            largest = np.max(np.abs(apart - difference)[:, moving] / spread[moving], axis=1)
            critical = np.sort(largest)[min(int(np.ceil(LEVEL * len(largest))), len(largest)) - 1]
            margin[moving] = critical * spread[moving]
        above = int((difference > margin).sum())
        below = int((difference < -margin).sum())
        found.append((1 + above, count - below))
    return found


def _drawn(
    entries: Sequence[Mapping[int, Items]], tasks: Sequence[str], metrics: Sequence[str], draws: int, seed: int
) -> npt.NDArray[np.float64]:
    """Metrics of every draw in whole units, (draws, E, metrics)."""
    runs = [(i, run) for i, entry in enumerate(entries) for run in sorted(entry)]
    weights = _seed_counts(entries, draws, seed)
    found = np.zeros((draws, len(entries), len(metrics)))
    streams = [np.random.PCG64(np.random.SeedSequence([seed, t])) for t in range(len(tasks))]
    contributions = [
        np.stack([_contribution(entries[i][run][task], len(tasks), t, metrics) for i, run in runs], axis=1)
        for t, task in enumerate(tasks)
    ]  # (n, runs, metrics) of each task
    for start in range(0, draws, BLOCK):
        block = min(BLOCK, draws - start)
        sums = np.zeros((block, len(runs) * len(metrics)))
        for stream, part in zip(streams, contributions, strict=True):
            sums += _counts(stream, block, len(part)) @ part.reshape(len(part), -1)
        by_run = sums.reshape(block, len(runs), len(metrics))
        for place, (i, run) in enumerate(runs):
            counts = weights[i][start : start + block, sorted(entries[i]).index(run)]
            # Whole units again, so that every later sum is exact as well.
            found[start : start + block, i] += np.rint(by_run[:, place] * counts[:, None] / len(entries[i]))
    return found


def _contribution(scores: FloatArray, T: int, task: int, metrics: Sequence[str]) -> npt.NDArray[np.float64]:
    """What each of n samples adds to each metric, in whole units, (n, metrics)."""
    found = np.zeros((scores.shape[1], len(metrics)))
    for m, name in enumerate(metrics):
        for stage, weight in enumerate(_weights(T, name)[:, task]):
            found[:, m] += scores[stage] * (weight / scores.shape[1])
    return np.rint(found / UNIT)


@cache
def _weights(T: int, name: str) -> FloatArray:
    """What each cell of R, row 0 included, counts in a metric, (T + 1, T)."""
    cells = (T + 1) * T
    return metric(np.eye(cells).reshape(cells, T + 1, T), name).reshape(T + 1, T)


def _counts(stream: np.random.PCG64, draws: int, size: int) -> npt.NDArray[np.float64]:
    """How often each of ``size`` samples is drawn, (draws, size)."""
    places = _places(stream, draws, size)
    flat = (places + np.arange(draws, dtype=np.int64)[:, None] * size).ravel()
    return np.bincount(flat, minlength=draws * size).reshape(draws, size).astype(np.float64)


def _places(stream: np.random.PCG64, draws: int, size: int) -> npt.NDArray[np.int64]:
    """Places below ``size``, (draws, size), from the upper 32 bits of each raw number (its bias is below 2⁻²⁰)."""
    raw = np.asarray(stream.random_raw(draws * size), dtype=np.uint64) >> np.uint64(32)
    return ((raw * np.uint64(size)) >> np.uint64(32)).astype(np.int64).reshape(draws, size)


def _seed_counts(entries: Sequence[Mapping[int, Items]], draws: int, seed: int) -> list[npt.NDArray[np.float64]]:
    """How often each seed of each entry is drawn, (draws, seeds) each; entries with equal seeds share the draws."""
    known: dict[tuple[int, ...], npt.NDArray[np.float64]] = {}
    for entry in entries:
        seeds = tuple(sorted(entry))
        if seeds not in known:
            stream = np.random.PCG64(np.random.SeedSequence([seed, 1 << 20, *map(_natural, seeds)]))
            known[seeds] = _counts(stream, draws, len(seeds))
    return [known[tuple(sorted(entry))] for entry in entries]


def _natural(seed: int) -> int:
    """A whole number from 0 on, as streams need them; those below 0 come to lie above all others."""
    return seed if seed >= 0 else (1 << 62) - seed


def _mean(entry: Mapping[int, Items], tasks: Sequence[str], name: str) -> float:
    """The mean over seeds of a metric in percent, from the same whole units as the draws."""
    total = sum(
        int(_contribution(items[task], len(tasks), t, [name]).sum())
        for items in entry.values()
        for t, task in enumerate(tasks)
    )
    return total * UNIT / len(entry)


def _shapes(entries: Mapping[str, Mapping[int, Items]]) -> dict[str, tuple[int, ...]]:
    shapes = [
        {task: scores.shape for task, scores in items.items()} for entry in entries.values() for items in entry.values()
    ]
    if any(one != shapes[0] or list(one) != list(shapes[0]) for one in shapes):
        raise UsageError(
            "the entries were not scored on the same tasks and test samples, so they cannot be ranked together",
            "Rank runs of the same protocol.",
        )
    return shapes[0]


def _rounded(value: float) -> float:
    return float(np.around(value, DECIMALS)) + 0.0
