"""The continual-learning scalars, each a function of the matrix R of scores.

``R[t, i]`` is the score in percent on task ``i`` after learning ``t`` tasks, tasks in training order; row 0
(``zero_shot``) is the untouched model. Transfer, Avg and Last are ZSCL's (per-task means first, row 0 in none
of them), BWT and FWT are GEM's with the zero-shot score as FWT's baseline. Nothing here rounds except
:func:`format_metric`. Sums use ``math.fsum``, so the order in which values are added does not matter.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vlcl_bench.errors import UsageError

FloatArray = npt.NDArray[np.float64]
PerTask = tuple[float | None, ...]

HEADLINES = (
    "transfer",
    "avg",
    "last",
    "bwt",
    "fwt",
    "fwt_raw",
    "forgetting",
    "diagonal",
    "zero_shot",
    "zero_shot_transfer",
)
PER_TASK = (
    "transfer_by_task",
    "avg_by_task",
    "last_by_task",
    "bwt_by_task",
    "fwt_by_task",
    "forgetting_by_task",
    "diagonal_by_task",
    "zero_shot_by_task",
)


@dataclass(frozen=True)
class Metrics:
    """Headline numbers and their per-task parts, in percent; ``None`` where one is not defined.

    A headline is the mean of the defined entries of its ``_by_task`` tuple (length T, tasks in order).
    """

    transfer: float | None
    avg: float
    last: float
    bwt: float | None
    fwt: float | None
    fwt_raw: float | None
    forgetting: float | None
    diagonal: float
    zero_shot: float | None
    zero_shot_transfer: float | None
    transfer_by_task: PerTask
    avg_by_task: PerTask
    last_by_task: PerTask
    bwt_by_task: PerTask
    fwt_by_task: PerTask
    forgetting_by_task: PerTask
    diagonal_by_task: PerTask
    zero_shot_by_task: PerTask

    def headlines(self) -> dict[str, float | None]:
        """The headline numbers alone, in the order of :data:`HEADLINES`."""
        return {name: getattr(self, name) for name in HEADLINES}

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: headlines, then lists per task; ``None`` (never NaN) for what cannot be had."""
        return {**self.headlines(), **{name: list(getattr(self, name)) for name in PER_TASK}}


def continual_metrics(R: npt.ArrayLike, zero_shot: npt.ArrayLike | None = None, *, tiny: bool = False) -> Metrics:
    """All metrics of ``R`` (T, T) in percent and, where known, of row 0 ``zero_shot`` (T,).

    With i, j from 1 to T (Transfer, Avg, Last: ZSCL, `results.ipynb`; BWT, FWT: Lopez-Paz and Ranzato, GEM,
    NIPS 2017, with zero-shot CLIP in place of a random model; forgetting: Chaudhry et al., ECCV 2018):

    * Transfer_i = mean over j < i of R[j, i], for i ≥ 2; Avg_i = mean over all j; Last_i = R[T, i]
    * BWT_i = R[T, i] − R[i, i], for i < T
    * FWT_i = R[i−1, i] − R[0, i], for i ≥ 2 (``fwt_raw``: without the subtraction)
    * forgetting_i = max over i ≤ j ≤ T−1 of R[j, i], minus R[T, i], for i < T; row 0 excluded

    FWT and zero-shot need row 0; Transfer, BWT, FWT and forgetting need T ≥ 2; else they are ``None``.
    Raises :class:`UsageError` for anything that is not a square matrix of numbers from 0 to 100, and for a
    matrix that looks like fractions (nothing above 1, something above 0) unless ``tiny`` vouches for percent.
    """
    matrix = _numbers(R, "R", 2)
    rows, columns = matrix.shape
    if rows != columns or rows == 0:
        raise UsageError(
            f"R is {rows} x {columns}; it must be square, one row after each task and one column per task",
            "Give the zero-shot row (row 0) separately." if rows == columns + 1 else None,
        )
    row0 = None if zero_shot is None else _numbers(zero_shot, "the zero-shot row", 1)
    if row0 is not None and len(row0) != rows:
        raise UsageError(f"the zero-shot row has {len(row0)} values; R has {rows} tasks")
    if not tiny:
        _refuse_fractions(matrix, row0)

    T = rows
    later, earlier = range(1, T), range(T - 1)
    last = [float(x) for x in matrix[-1]]
    diagonal = [float(matrix[i, i]) for i in range(T)]
    before = [float(matrix[i - 1, i]) for i in later]
    transfer: list[float | None] = [None, *(_mean(matrix[:i, i]) for i in later)]
    average = [_mean(matrix[:, i]) for i in range(T)]
    backward: list[float | None] = [*(last[i] - diagonal[i] for i in earlier), None]
    forgotten: list[float | None] = [*(float(matrix[i : T - 1, i].max()) - last[i] for i in earlier), None]
    if row0 is None:
        forward: list[float | None] = [None] * T
        start: list[float | None] = [None] * T
    else:
        forward = [None, *(before[i - 1] - float(row0[i]) for i in later)]
        start = [float(x) for x in row0]
    return Metrics(
        transfer=_mean_defined(transfer),
        avg=_mean(average),
        last=_mean(last),
        bwt=_mean_defined(backward),
        fwt=_mean_defined(forward),
        fwt_raw=_mean_defined(before),
        forgetting=_mean_defined(forgotten),
        diagonal=_mean(diagonal),
        zero_shot=_mean_defined(start),
        zero_shot_transfer=_mean_defined(start[1:]),
        transfer_by_task=tuple(transfer),
        avg_by_task=tuple(average),
        last_by_task=tuple(last),
        bwt_by_task=tuple(backward),
        fwt_by_task=tuple(forward),
        forgetting_by_task=tuple(forgotten),
        diagonal_by_task=tuple(diagonal),
        zero_shot_by_task=tuple(start),
    )


def format_metric(value: float | None) -> str:
    """One decimal, halves to even as ``numpy.around`` does (so do the papers); ``–`` for ``None``."""
    if value is None:
        return "–"
    if not math.isfinite(value):
        raise UsageError(f"a metric must be a finite number, not {value}")
    return f"{float(np.around(value, 1)) + 0.0:.1f}"


def _mean(values: Iterable[float]) -> float:
    """The mean with an exactly rounded sum."""
    items = [float(x) for x in values]
    return math.fsum(items) / len(items)


def _mean_defined(values: Iterable[float | None]) -> float | None:
    """The mean of the defined values, ``None`` when there are none."""
    items = [x for x in values if x is not None]
    return _mean(items) if items else None


def _numbers(values: npt.ArrayLike, name: str, dimensions: int) -> FloatArray:
    """``values`` as float64 with the given number of dimensions, every entry finite and from 0 to 100."""
    try:
        raw = np.asarray(values)
    except ValueError as error:
        raise UsageError(f"{name} is ragged: its rows have different lengths") from error
    if raw.dtype.kind not in "iuf":
        found = next((x for x in raw.ravel().tolist() if isinstance(x, bool) or not isinstance(x, int | float)), None)
        raise UsageError(f"{name} must hold numbers; found {found!r}")
    if raw.ndim != dimensions:
        raise UsageError(f"{name} must have {dimensions} dimension(s); it has {raw.ndim} (shape {raw.shape})")
    array = raw.astype(np.float64)
    wrong = ~np.isfinite(array) | (array < 0) | (array > 100)
    if wrong.any():
        place = tuple(int(x) for x in np.argwhere(wrong)[0])
        where = ", ".join(f"{axis} {x + 1}" for axis, x in zip(("row", "column")[-dimensions:], place, strict=True))
        raise UsageError(
            f"{name} must hold percent from 0 to 100; {where} is {array[place]:g} ({int(wrong.sum())} such value(s))"
        )
    return array


def _refuse_fractions(matrix: FloatArray, row0: FloatArray | None) -> None:
    """Raise :class:`UsageError` when nothing is above 1 and something above 0."""
    top = max(float(matrix.max()), 0.0 if row0 is None else float(row0.max()))
    if 0.0 < top <= 1.0:
        raise UsageError(f"the largest value is {top:g}", "This looks like fractions; give percent (0 to 100).")
