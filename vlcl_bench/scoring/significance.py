"""Is one entry better than another? Differences with intervals and tests, from stored predictions of both.

What varies is which test samples there happen to be, and which seeds were run. Samples are drawn again with replacement
within each task, the same for both entries (paired bootstrap; Efron and Tibshirani, 1993), and seeds likewise. All
headline metrics here are linear in R, so a difference of entries is a metric of the difference of their scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from vlcl_bench.errors import UsageError
from vlcl_bench.scoring.columns import COMPARED
from vlcl_bench.scoring.metrics import FloatArray, continual_metrics

METRICS = tuple(column.id for column in COMPARED)
DRAWS = 10_000
LEVEL = 0.95
Items = Mapping[str, FloatArray]
"""By task ``(T + 1, n)`` scores of test samples in percent, stage 0 first; see :meth:`ClassTruth.item_scores`."""


@dataclass(frozen=True)
class Difference:
    """First minus second: ``name`` is a metric or a task, values in percent.

    ``low`` and ``high`` bound 95 % of the bootstrap's differences; ``p`` is twice the smaller share of them on one side
    of zero (at least 1 / draws), ``p_corrected`` Holm's over the differences of its table. ``p_seeds`` is a paired
    t-test's over common seeds, ``None`` for fewer than two of them or no spread; ``p_mcnemar`` the exact test of
    McNemar (1947) on right and wrong answers after the last task at the first common seed, corrected as well, ``None``
    where scores are no such answers.
    """

    name: str
    first: float
    second: float
    difference: float
    low: float
    high: float
    p: float
    p_corrected: float
    p_seeds: float | None = None
    p_mcnemar: float | None = None

    @property
    def significant(self) -> bool:
        """Whether the corrected p is below 1 in 20."""
        return self.p_corrected < 1 - LEVEL


@dataclass(frozen=True)
class Comparison:
    """Headline differences, and those of each task after the last one; how many seeds each entry has and both share."""

    headlines: tuple[Difference, ...]
    tasks: tuple[Difference, ...]
    seeds: tuple[int, int, int]


def compare(first: Mapping[int, Items], second: Mapping[int, Items], draws: int = DRAWS, seed: int = 0) -> Comparison:
    """Compare two entries given by their seeds' scores. With several common seeds only those count, pair by pair.

    With fewer (a deterministic entry has one seed), the seeds of each are averaged, and only test samples vary.
    Raises :class:`UsageError` where the entries were not scored on the same samples.
    """
    common = sorted(set(first) & set(second))
    # With a single common seed all of the other entry's are better than one.
    pairs = [(first[k], second[k]) for k in common] if len(common) > 1 else [(_mean(first), _mean(second))]
    tasks = _same_tasks(pairs)
    apart = [{task: a[task] - b[task] for task in tasks} for a, b in pairs]
    drawn = _bootstrap(apart, tasks, draws, np.random.default_rng(seed))
    each = [(_matrix(a, tasks), _matrix(b, tasks)) for a, b in pairs]
    means = np.mean([a for a, _ in each], axis=0), np.mean([b for _, b in each], axis=0)
    headlines = []
    for name in defined(METRICS, len(tasks)):
        by_seed = [float(metric(a - b, name)) for a, b in each]
        headlines.append(
            (name, float(metric(means[0], name)), float(metric(means[1], name)), metric(drawn, name), by_seed)
        )
    last = [
        (
            task,
            float(means[0][-1, i]),
            float(means[1][-1, i]),
            drawn[:, -1, i],
            [float((a - b)[-1, i]) for a, b in each],
        )
        for i, task in enumerate(tasks)
    ]
    one = (first[common[0]], second[common[0]]) if common else pairs[0]
    tests = holm([_mcnemar(one[0][task][-1], one[1][task][-1]) for task in tasks])
    return Comparison(
        tuple(_differences(headlines, [None] * len(headlines))),
        tuple(_differences(last, tests)),
        (len(first), len(second), len(common)),
    )


def mean_metric(entry: Mapping[int, Items], name: str) -> float:
    """A headline metric of an entry, the mean over its seeds."""
    return float(np.mean([metric(_matrix(items, list(items)), name) for items in entry.values()]))


Found = tuple[str, float, float, FloatArray, list[float]]


def _differences(found: Sequence[Found], tests: Sequence[float | None]) -> list[Difference]:
    two_sided = [_two_sided(drawn) for _, _, _, drawn, _ in found]
    corrected = holm(two_sided)
    tail = (1 - LEVEL) / 2
    return [
        Difference(
            name=name,
            first=a,
            second=b,
            difference=a - b,
            low=float(np.quantile(drawn, tail)),
            high=float(np.quantile(drawn, 1 - tail)),
            p=p,
            p_corrected=float(q or 0),
            p_seeds=_t_test(by_seed),
            p_mcnemar=test,
        )
        for (name, a, b, drawn, by_seed), p, q, test in zip(found, two_sided, corrected, tests, strict=True)
    ]


def metric(R: FloatArray, name: str) -> FloatArray:
    """A headline metric of matrices ``(..., T + 1, T)`` with the zero-shot model in row 0, or of their differences."""
    if name not in METRICS:
        raise UsageError(f"{name!r} is none of the metrics {', '.join(METRICS)}")
    return np.tensordot(R, _coefficients(R.shape[-1], name), axes=2)


def defined(names: Sequence[str], tasks: int) -> list[str]:
    """Those of ``names`` that are defined for a stream of so many tasks: of one task there is no Transfer."""
    metrics = continual_metrics(np.zeros((tasks, tasks)), np.zeros(tasks))
    return [name for name in names if getattr(metrics, name) is not None]


@cache
def _coefficients(T: int, name: str) -> FloatArray:
    """What each entry of a matrix ``(T + 1, T)`` counts in a metric, read off its one definition, entry by entry."""
    found = np.zeros((T + 1, T))
    for place in np.ndindex(found.shape):
        single = np.zeros(found.shape)
        single[place] = 100.0
        found[place] = getattr(continual_metrics(single[1:], single[0]), name) / 100.0
    return found


def holm(values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction (1979) of p-values, in their order; ``None`` stays and is not counted."""
    known = sorted((p, i) for i, p in enumerate(values) if p is not None)
    found: list[float | None] = [None] * len(values)
    largest = 0.0
    for rank, (p, i) in enumerate(known):
        largest = max(largest, min(1.0, p * (len(known) - rank)))
        found[i] = largest
    return found


def _bootstrap(apart: Sequence[Items], tasks: Sequence[str], draws: int, rng: np.random.Generator) -> FloatArray:
    """Drawn differences of R, ``(draws, T + 1, T)``."""
    seeds = len(apart)
    weights = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=draws) / seeds
    found = np.empty((draws, len(tasks) + 1, len(tasks)))
    for i, task in enumerate(tasks):
        count = apart[0][task].shape[1]
        samples = rng.multinomial(count, np.full(count, 1 / count), size=draws) / count
        by_seed = np.stack([samples @ one[task].T for one in apart])
        found[:, :, i] = np.einsum("ds,sdt->dt", weights, by_seed)
    return found


def _two_sided(drawn: FloatArray) -> float:
    """Twice the smaller share of draws on one side of zero, zeros on both; never less than one draw's share."""
    side = min((drawn <= 0).mean(), (drawn >= 0).mean())
    return float(min(1.0, max(2 * side, 1 / len(drawn))))


def _t_test(values: Sequence[float]) -> float | None:
    """Two-sided p of a t-test that the mean of paired differences is zero."""
    if len(values) < 2 or np.ptp(values) == 0:
        return None
    from scipy.stats import ttest_1samp

    return float(ttest_1samp(values, 0.0).pvalue)


def _mcnemar(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float | None:
    """Exact two-sided test on samples that only one of the two answers rightly; ``None`` where these are no answers."""
    if not np.isin(np.concatenate([a, b]), (0.0, 100.0)).all():
        return None
    from scipy.stats import binomtest

    only_a, only_b = int((a > b).sum()), int((b > a).sum())
    return float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0


def _mean(entry: Mapping[int, Items]) -> Items:
    seeds = list(entry.values())
    return {task: np.mean([one[task] for one in seeds], axis=0) for task in seeds[0]}


def _matrix(items: Items, tasks: Sequence[str]) -> FloatArray:
    return np.stack([items[task].mean(axis=1) for task in tasks], axis=1)


def _same_tasks(pairs: Sequence[tuple[Items, Items]]) -> list[str]:
    shapes = [{task: scores.shape for task, scores in items.items()} for pair in pairs for items in pair]
    if any(one != shapes[0] or list(one) != list(shapes[0]) for one in shapes):
        raise UsageError(
            "the two were not scored on the same tasks and test samples, so they cannot be compared",
            "Compare runs of the same protocol.",
        )
    return list(shapes[0])
