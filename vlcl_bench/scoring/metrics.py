"""The continual-learning scalars, each a function of the matrix R of scores.

``R[t, i]`` is the score in percent on task ``i`` after learning ``t`` tasks, tasks in training order; row 0
(``zero_shot``) is the zero-shot model. Transfer, Avg and Last are ZSCL's (per-task means first, row 0 in none
of them), BWT and FWT are GEM's with the zero-shot score as FWT's baseline. Nothing here rounds except
:func:`format_metric`. Sums use ``math.fsum``, so the order in which values are added does not matter.

A new metric is a function of a :class:`ScoreMatrix` here, with its fields in :class:`Metrics` and its place in
:data:`BY_TASK`; and a column in :mod:`vlcl_bench.scoring.columns`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from vlcl_bench.errors import UsageError

FloatArray = npt.NDArray[np.float64]
PerTask = tuple[float | None, ...]
SHOWN = 60
"""Characters of a value that is no number, in a message."""


@dataclass(frozen=True)
class Metrics:
    """Headline numbers and their per-task parts, in percent; ``None`` where one is not defined.

    A headline is the mean of the defined entries of its ``_by_task`` tuple (length T, tasks in order).
    """

    transfer: float | None
    avg: float | None
    last: float
    bwt: float | None
    fwt: float | None
    fwt_raw: float | None
    forgetting: float | None
    diagonal: float
    zero_shot: float | None
    zero_shot_transfer: float | None
    zsd: float | None
    intransigence: float | None
    transfer_by_task: PerTask
    avg_by_task: PerTask
    last_by_task: PerTask
    bwt_by_task: PerTask
    fwt_by_task: PerTask
    forgetting_by_task: PerTask
    diagonal_by_task: PerTask
    zero_shot_by_task: PerTask
    zsd_by_task: PerTask
    intransigence_by_task: PerTask

    def headlines(self) -> dict[str, float | None]:
        """The headline numbers alone, in the order of :data:`HEADLINES`."""
        return {name: getattr(self, name) for name in HEADLINES}

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: headlines, then lists per task; ``None`` (never NaN) for what cannot be computed."""
        return {**self.headlines(), **{name: list(getattr(self, name)) for name in PER_TASK}}


_SUFFIX = "_by_task"
PER_TASK = tuple(part.name for part in fields(Metrics) if part.name.endswith(_SUFFIX))
HEADLINES = tuple(part.name for part in fields(Metrics) if part.name not in PER_TASK)


@dataclass(frozen=True, eq=False)
class ScoreMatrix:
    """What metrics are computed from, all in percent: ``R`` (T, T) and, where known, two rows (T,).

    ``zero_shot`` is row 0, and ``joint`` what a model gets right that was trained on all tasks at once.
    """

    R: FloatArray
    zero_shot: FloatArray | None = None
    joint: FloatArray | None = None

    @classmethod
    def of(
        cls, R: npt.ArrayLike, zero_shot: npt.ArrayLike | None, joint: npt.ArrayLike | None, *, tiny: bool
    ) -> ScoreMatrix:
        """Checked values; see :func:`continual_metrics` for what is refused."""
        matrix = _numbers(R, "R", 2)
        rows, columns = matrix.shape
        if rows != columns or rows == 0:
            raise UsageError(
                f"R is {rows} x {columns}; it must be square, one row after each task and one column per task",
                "Give the zero-shot row (row 0) separately." if rows == columns + 1 else None,
            )
        row0 = None if zero_shot is None else _row(zero_shot, "the zero-shot row", rows)
        if not tiny:
            _refuse_fractions(matrix, row0)
        return cls(matrix, row0, None if joint is None else _row(joint, "the jointly trained row", rows))

    @property
    def T(self) -> int:  # noqa: N802 (as in the literature)
        """Number of tasks."""
        return len(self.R)


def _transfer(scores: ScoreMatrix) -> PerTask:
    return (None, *(_mean(scores.R[:i, i]) for i in range(1, scores.T)))


def _avg(scores: ScoreMatrix) -> PerTask:
    return tuple(_mean(column) for column in scores.R.T)


def _last(scores: ScoreMatrix) -> PerTask:
    return tuple(float(x) for x in scores.R[-1])


def _bwt(scores: ScoreMatrix) -> PerTask:
    R, T = scores.R, scores.T
    return (*(float(R[-1, i]) - float(R[i, i]) for i in range(T - 1)), None)


def _fwt(scores: ScoreMatrix) -> PerTask:
    R, row0 = scores.R, scores.zero_shot
    if row0 is None:
        return (None,) * scores.T
    return (None, *(float(R[i - 1, i]) - float(row0[i]) for i in range(1, scores.T)))


def _fwt_raw(scores: ScoreMatrix) -> PerTask:
    return (None, *(float(scores.R[i - 1, i]) for i in range(1, scores.T)))


def _forgetting(scores: ScoreMatrix) -> PerTask:
    R, T = scores.R, scores.T
    return (*(float(R[i : T - 1, i].max()) - float(R[-1, i]) for i in range(T - 1)), None)


def _diagonal(scores: ScoreMatrix) -> PerTask:
    return tuple(float(x) for x in scores.R.diagonal())


def _zero_shot(scores: ScoreMatrix) -> PerTask:
    return (None,) * scores.T if scores.zero_shot is None else tuple(float(x) for x in scores.zero_shot)


def _zero_shot_transfer(scores: ScoreMatrix) -> PerTask:
    return (None, *_zero_shot(scores)[1:])


def _zsd(scores: ScoreMatrix) -> PerTask:
    R, row0 = scores.R, scores.zero_shot
    if row0 is None:
        return (None,) * scores.T
    return (None, *(max(float(row0[i]), *map(float, R[:i, i])) - float(R[i - 1, i]) for i in range(1, scores.T)))


def _intransigence(scores: ScoreMatrix) -> PerTask:
    if scores.joint is None:
        return (None,) * scores.T
    return tuple(float(scores.joint[i]) - float(scores.R[i, i]) for i in range(scores.T))


BY_TASK: Mapping[str, Callable[[ScoreMatrix], PerTask]] = {
    "transfer": _transfer,
    "avg": _avg,
    "last": _last,
    "bwt": _bwt,
    "fwt": _fwt,
    "fwt_raw": _fwt_raw,
    "forgetting": _forgetting,
    "diagonal": _diagonal,
    "zero_shot": _zero_shot,
    "zero_shot_transfer": _zero_shot_transfer,
    "zsd": _zsd,
    "intransigence": _intransigence,
}
"""Of each headline number its values by task, whose mean it is; those of two are not stated in :class:`Metrics`."""
OF_UNLEARNED = ("transfer", "avg", "fwt", "fwt_raw", "zsd")
"""Numbers that need scores of tasks before they are learned: what stands above R's diagonal."""


def continual_metrics(
    R: npt.ArrayLike,
    zero_shot: npt.ArrayLike | None = None,
    joint: npt.ArrayLike | None = None,
    *,
    tiny: bool = False,
    lower: bool = False,
) -> Metrics:
    """All metrics of ``R`` (T, T) in percent and, where known, of row 0 ``zero_shot`` (T,).

    ``joint`` (T,) is what a model gets right that was trained on all tasks at once (:mod:`vlcl_bench.scoring.joint`).

    With i, j from 1 to T (Transfer, Avg, Last: ZSCL, `results.ipynb`; BWT, FWT: Lopez-Paz and Ranzato, GEM,
    NIPS 2017, with zero-shot CLIP in place of a random model; forgetting: Chaudhry et al., ECCV 2018):

    * Transfer_i = mean over j < i of R[j, i], for i ≥ 2; Avg_i = mean over all j; Last_i = R[T, i]
    * BWT_i = R[T, i] − R[i, i], for i < T
    * FWT_i = R[i−1, i] − R[0, i], for i ≥ 2 (``fwt_raw``: without the subtraction)
    * forgetting_i = max over i ≤ j ≤ T−1 of R[j, i], minus R[T, i], for i < T; row 0 excluded
    * ZSD_i = max over 0 ≤ j ≤ i−1 of R[j, i], minus R[i−1, i], for i ≥ 2 (zero-shot degradation, arXiv 2508.04227;
      of the first task it is 0 by definition, and does not count)
    * intransigence_i = joint[i] − R[i, i] (Chaudhry et al., ECCV 2018)

    FWT, ZSD and zero-shot need row 0, and intransigence the row ``joint``; Transfer, BWT, FWT, ZSD and
    forgetting need T ≥ 2; else they are ``None``. Raises :class:`UsageError` for anything that is not a square
    matrix of numbers from 0 to 100, and for a matrix that looks like fractions (nothing above 1, something
    above 0) unless ``tiny`` vouches for percent. With ``lower`` only what stands on and below the diagonal was
    evaluated: the rest of R is not looked at, and what needs it is ``None``.
    """
    matrix = _lower_half(R) if lower else R
    scores = ScoreMatrix.of(matrix, zero_shot, joint, tiny=tiny)
    by_task = {name: values(scores) for name, values in BY_TASK.items()}
    if lower:
        by_task |= dict.fromkeys(OF_UNLEARNED, (None,) * scores.T)
    parts: dict[str, Any] = {name: _mean_defined(values) for name, values in by_task.items()}
    parts |= {name: by_task[name.removesuffix(_SUFFIX)] for name in PER_TASK}
    return Metrics(**parts)


def format_metric(value: float | None) -> str:
    """One decimal, halves to even as ``numpy.around`` does (so do the papers); ``–`` for ``None``."""
    if value is None:
        return "–"
    if not math.isfinite(value):
        raise UsageError(f"a metric must be a finite number, not {value}")
    return f"{float(np.around(value, 1)) + 0.0:.1f}"


def _lower_half(R: npt.ArrayLike) -> npt.ArrayLike:
    """``R`` with zeros above the diagonal; what is no matrix stays as it is, to be refused."""
    try:
        matrix = np.asarray(R, np.float64)
    except (TypeError, ValueError):
        return R
    return np.where(np.tri(*matrix.shape), matrix, 0.0) if matrix.ndim == 2 else R


def _mean(values: Iterable[float]) -> float:
    """The mean with an exactly rounded sum."""
    items = [float(x) for x in values]
    return math.fsum(items) / len(items)


def _mean_defined(values: Iterable[float | None]) -> float | None:
    """The mean of the defined values, ``None`` when there are none."""
    items = [x for x in values if x is not None]
    return _mean(items) if items else None


def _row(values: npt.ArrayLike, name: str, tasks: int) -> FloatArray:
    """``values`` as :func:`_numbers` (T,), one for each task."""
    row = _numbers(values, name, 1)
    if len(row) != tasks:
        raise UsageError(f"{name} has {len(row)} values; R has {tasks} tasks")
    return row


def _numbers(values: npt.ArrayLike, name: str, dimensions: int) -> FloatArray:
    """``values`` as float64 with the given number of dimensions, every entry finite and from 0 to 100."""
    try:
        raw = np.asarray(values)
    except ValueError as error:
        raise UsageError(f"{name} is ragged: its rows have different lengths") from error
    if raw.dtype.kind not in "iuf":
        others = (x for x in raw.ravel().tolist() if isinstance(x, bool) or not isinstance(x, int | float))
        raise UsageError(f"{name} must hold numbers; found {_brief(next(others, None))}")
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


def _brief(value: object) -> str:
    """What a value looks like in code, no longer than a message can hold."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def _refuse_fractions(matrix: FloatArray, row0: FloatArray | None) -> None:
    """Raise :class:`UsageError` when nothing is above 1 and something above 0."""
    top = max(float(matrix.max()), 0.0 if row0 is None else float(row0.max()))
    if 0.0 < top <= 1.0:
        raise UsageError(f"the largest value is {top:g}", "This looks like fractions; give percent (0 to 100).")
