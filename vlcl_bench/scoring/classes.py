"""Joins predictions with the labels of the test samples; nothing else in the project does.

A prediction is an answer: the five best class ids of the task's own label space with their logits, and, where
the protocol asks for it, the best id among the names of all tasks. No flag, rank or score is stored, so what
a record says can be computed again from it and a manifest, without pictures.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from vlcl_bench.errors import IntegrityError
from vlcl_bench.scoring.answers import (
    HINT,
    Flags,
    IntArray,
    check_columns,
    check_once,
    codes,
    integers,
    raise_first,
    scored,
)
from vlcl_bench.scoring.interface import GroundTruth
from vlcl_bench.scoring.metrics import FloatArray

TOP = 5
TOP_COLUMNS = tuple(f"top{k}" for k in range(1, TOP + 1))
LOGIT_COLUMNS = tuple(f"logit{k}" for k in range(1, TOP + 1))
AGNOSTIC_COLUMNS = {"agnostic": "agnostic_top1", "agnostic_plain": "agnostic_plain_top1"}
"""The task-agnostic twins: with each data set's own templates, and with ``a photo of a {c}.`` for all names."""
PREDICTION_COLUMNS = ("stage", "task", "sample", *TOP_COLUMNS, *LOGIT_COLUMNS, *AGNOSTIC_COLUMNS.values())
SEEN_COLUMN = "seen_top1"
"""In class-incremental streams: the best of the names seen so far of the picture's data set; -1 before its task."""
NOT_RECORDED = -1
KEYS = ("stage", "task", "sample")


@dataclass(frozen=True, eq=False)
class ClassTruth(GroundTruth):
    """The answers of a manifest, tasks in training order.

    ``labels[task]``: (n,) class ids of the test samples, in ``range(classes[task])``.
    ``agnostic_labels[task]``: (n,) ids in the list of ``merged`` names over all tasks, in which equal names
    are one id, so that either label is right; ``None`` (and ``merged`` 0) without the task-agnostic twin.
    ``increments`` names, for each data set that is learned class by class, its tasks in order.
    Raises :class:`IntegrityError` when the parts do not fit together.
    """

    tasks: tuple[str, ...]
    labels: Mapping[str, npt.NDArray[np.integer[Any]]]
    classes: Mapping[str, int]
    agnostic_labels: Mapping[str, npt.NDArray[np.integer[Any]]] | None = None
    merged: int = 0
    increments: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.tasks or len(set(self.tasks)) != len(self.tasks):
            raise IntegrityError(f"the tasks of a class stream must be distinct and at least one: {self.tasks}")
        for task in self.tasks:
            if task not in self.labels or task not in self.classes:
                raise IntegrityError(f"there are no labels or no class count for task {task!r}")
            _check_labels(self.labels[task], self.classes[task], f"labels of task {task!r}")
            if self.agnostic_labels is not None:
                if task not in self.agnostic_labels:
                    raise IntegrityError(f"there are no task-agnostic labels for task {task!r}")
                _check_labels(self.agnostic_labels[task], self.merged, f"task-agnostic labels of task {task!r}")
                if len(self.agnostic_labels[task]) != len(self.labels[task]):
                    raise IntegrityError(f"labels and task-agnostic labels of task {task!r} differ in number")

    @property
    def sizes(self) -> IntArray:
        """(T,) number of test samples of each task."""
        return np.array([len(self.labels[task]) for task in self.tasks], dtype=np.int64)

    @property
    def answers_a_stage(self) -> int:
        """See :attr:`GroundTruth.answers_a_stage`: one for each test sample."""
        return int(self.sizes.sum())

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that predictions must have; compact ones come without :data:`LOGIT_COLUMNS`."""
        return (*PREDICTION_COLUMNS, SEEN_COLUMN) if self.increments else PREDICTION_COLUMNS

    def check(self, frame: pd.DataFrame, stages: Iterable[int]) -> None:
        """See :func:`check_predictions`."""
        check_predictions(frame, self, stages)

    def rescore(self, frame: pd.DataFrame) -> dict[str, Any]:
        """See :func:`rescore`."""
        return rescore(frame, self)

    def stage_scores(self, frame: pd.DataFrame) -> dict[str, float]:
        """See :func:`stage_accuracies`."""
        return stage_accuracies(frame, self)

    def item_scores(self, frame: pd.DataFrame) -> dict[str, FloatArray]:
        """See :func:`item_scores`."""
        return item_scores(frame, self)

    def stage_item_scores(self, frame: pd.DataFrame) -> dict[str, FloatArray]:
        """See :func:`stage_item_scores`."""
        return stage_item_scores(frame, self)


@dataclass(frozen=True, eq=False)
class _Answers:
    """Checked predictions, one entry per row of the frame; ``position`` counts samples over all tasks."""

    stage: IntArray
    task: IntArray
    position: IntArray
    top: IntArray
    agnostic: Mapping[str, IntArray | None]
    seen: IntArray | None = None


def check_predictions(frame: pd.DataFrame, table: ClassTruth, stages: Iterable[int]) -> None:
    """Raise :class:`IntegrityError` unless ``frame`` holds every (stage, task, sample) exactly once, in form.

    In form: ids within the task's label space and distinct, logits finite and not increasing, the places
    beyond the number of classes -1 and NaN, and each task-agnostic answer recorded for all rows or for none.
    """
    _checked(frame, table, stages)


def stage_accuracies(frame: pd.DataFrame, table: ClassTruth) -> dict[str, float]:
    """Top-1 accuracy in percent by task, of one stage's predictions."""
    found = {}
    for task, part in frame.groupby("task", sort=False):
        labels = table.labels[str(task)][part["sample"].to_numpy()]
        found[str(task)] = 100.0 * float((part["top1"].to_numpy() == labels).mean())
    return found


def stage_item_scores(frame: pd.DataFrame, table: ClassTruth) -> dict[str, FloatArray]:
    """By task ``(n,)``: 100 where a test sample is answered rightly, else 0, of one stage's predictions."""
    found = {}
    for task, part in frame.groupby("task", sort=False):
        samples = part["sample"].to_numpy()
        scores = np.empty(len(part))
        scores[samples] = 100.0 * (part["top1"].to_numpy() == table.labels[str(task)][samples])
        found[str(task)] = scores
    return found


def item_scores(frame: pd.DataFrame, table: ClassTruth) -> dict[str, FloatArray]:
    """By task ``(T + 1, n)``: 100 where a test sample is answered rightly at a stage, else 0; the means are R's."""
    answers, flags = _right(_all_stages(frame, table), table, 1)
    ends = np.cumsum(table.sizes)
    found = np.zeros((len(table.tasks) + 1, int(ends[-1])))
    found[answers.stage, answers.position] = 100.0 * flags
    return dict(zip(table.tasks, np.split(found, ends[:-1], axis=1), strict=True))


def rescore(frame: pd.DataFrame, table: ClassTruth) -> dict[str, Any]:
    """Everything that predictions say, JSON-ready.

    Keys: ``tasks``, ``samples`` (test samples per task), ``matrix`` (T, T), ``zero_shot`` (T,), ``metrics``,
    ``top5`` (``matrix``, ``zero_shot``), ``agnostic`` and ``agnostic_plain`` (``None``, or ``matrix``,
    ``zero_shot``, ``metrics``).
    """
    answers = _all_stages(frame, table)
    agnostic = {which: _agnostic_right(answers, table, which) for which in AGNOSTIC_COLUMNS}
    top5, top5_zero = _matrix(_right(answers, table, TOP), table)
    return {
        "tasks": list(table.tasks),
        "samples": [int(n) for n in table.sizes],
        **scored(*_matrix(_right(answers, table, 1), table)),
        "top5": {"matrix": top5.tolist(), "zero_shot": top5_zero.tolist()},
        **{which: None if right is None else scored(*_matrix(right, table)) for which, right in agnostic.items()},
        **({"incremental": _incremental(answers, table)} if table.increments else {}),
    }


def _incremental(answers: _Answers, table: ClassTruth) -> dict[str, Any]:
    """Class-incremental accuracy by data set: ``curve`` (percent after each of its tasks, over the test pictures and
    names seen so far), ``average`` of the curve and ``last`` (Rebuffi et al., iCaRL, CVPR 2017), and ``final``, the
    same accuracy after the whole stream.
    """
    assert answers.seen is not None
    truth = np.concatenate([np.asarray(table.labels[task], dtype=np.int64) for task in table.tasks])
    right = answers.seen == truth[answers.position]
    found = {}
    for dataset, tasks in table.increments.items():
        places = [table.tasks.index(task) for task in tasks]
        curve = []
        for stage in (*(place + 1 for place in places), len(table.tasks)):
            known = [place for place in places if place < stage]
            rows = (answers.stage == stage) & np.isin(answers.task, known)
            curve.append(100.0 * float(right[rows].mean()))
        *curve, final = curve
        found[dataset] = {"curve": curve, "average": math.fsum(curve) / len(curve), "last": curve[-1], "final": final}
    return found


_Right = tuple[_Answers, Flags]


def _all_stages(frame: pd.DataFrame, table: ClassTruth) -> _Answers:
    return _checked(frame, table, range(len(table.tasks) + 1))


def _right(answers: _Answers, table: ClassTruth, k: int) -> _Right:
    truth = np.concatenate([np.asarray(table.labels[task], dtype=np.int64) for task in table.tasks])
    return answers, (answers.top[:, :k] == truth[answers.position][:, None]).any(axis=1)


def _agnostic_right(answers: _Answers, table: ClassTruth, which: str) -> _Right | None:
    found = answers.agnostic[which]
    if found is None or table.agnostic_labels is None:
        return None
    truth = np.concatenate([np.asarray(table.agnostic_labels[task], dtype=np.int64) for task in table.tasks])
    return answers, found == truth[answers.position]


def _matrix(right: _Right, table: ClassTruth) -> tuple[FloatArray, FloatArray]:
    """Percent right per (stage, task), parted into R and row 0."""
    answers, flags = right
    T = len(table.tasks)
    counts = np.bincount((answers.stage * T + answers.task)[flags], minlength=(T + 1) * T)
    percent = 100.0 * counts.reshape(T + 1, T) / table.sizes
    return percent[1:], percent[0]


def _checked(frame: pd.DataFrame, table: ClassTruth, stages: Iterable[int]) -> _Answers:
    wanted = table.columns
    if not set(LOGIT_COLUMNS) & set(frame.columns):  # the compact form
        wanted = tuple(name for name in wanted if name not in LOGIT_COLUMNS)
    check_columns(frame, wanted, f"Predictions hold answers only: {', '.join(table.columns)}.")
    stage, task, sample = integers(frame, "stage"), codes(frame, "task", table.tasks), integers(frame, "sample")
    asked = sorted(set(stages))
    row = check_once(frame, KEYS, asked, stage, task, sample, table.sizes, lambda i: f"task {table.tasks[i]!r}")
    position: IntArray = row % int(table.sizes.sum())
    top = np.stack([integers(frame, name) for name in TOP_COLUMNS], axis=1)
    _check_answers(frame, table, task, top)
    agnostic = {which: _check_agnostic(frame, table, column) for which, column in AGNOSTIC_COLUMNS.items()}
    seen = _check_seen(frame, table, stage, task) if table.increments else None
    return _Answers(stage, task, position, top, agnostic, seen)


def _check_answers(frame: pd.DataFrame, table: ClassTruth, task: IntArray, top: IntArray) -> None:
    """Ids in range, distinct and padded with -1; logits, where kept, finite, not increasing and padded with NaN."""
    classes = np.array([table.classes[name] for name in table.tasks], dtype=np.int64)[task][:, None]
    used = np.arange(TOP) < classes
    wrong = (used & ((top < 0) | (top >= classes))) | (~used & (top != -1))
    raise_first(frame, wrong, "class ids out of range or badly padded", KEYS, TOP_COLUMNS)
    ordered = np.sort(np.where(used, top, -1 - np.arange(TOP)), axis=1)
    raise_first(frame, np.diff(ordered, axis=1) == 0, "the same class id twice", KEYS, TOP_COLUMNS)
    if LOGIT_COLUMNS[0] not in frame.columns:
        return
    for name in LOGIT_COLUMNS:
        if not pd.api.types.is_float_dtype(frame[name].dtype):
            raise IntegrityError(f"column {name!r} of the predictions must hold floats, not {frame[name].dtype}", HINT)
    logits = frame[list(LOGIT_COLUMNS)].to_numpy(dtype=np.float64)
    wrong = np.where(used, ~np.isfinite(logits), ~np.isnan(logits))
    raise_first(frame, wrong, "logits not finite or badly padded", KEYS, LOGIT_COLUMNS)
    raise_first(frame, logits[:, 1:] > logits[:, :-1], "logits that increase", KEYS, LOGIT_COLUMNS)


def _check_agnostic(frame: pd.DataFrame, table: ClassTruth, column: str) -> IntArray | None:
    """The ids over all names, ``None`` when not recorded; recorded means recorded everywhere."""
    ids = integers(frame, column)
    absent = ids == NOT_RECORDED
    if absent.all():
        return None
    wrong = absent | (ids < 0) | (ids >= table.merged)
    raise_first(frame, wrong[:, None], f"no id among the {table.merged} names of all tasks", KEYS, (column,))
    return ids


def _check_seen(frame: pd.DataFrame, table: ClassTruth, stage: IntArray, task: IntArray) -> IntArray:
    """The best of the names seen so far: for learned tasks of data sets learned class by class, and only there."""
    ids = integers(frame, SEEN_COLUMN)
    incremental = np.isin(task, [table.tasks.index(name) for tasks in table.increments.values() for name in tasks])
    due = incremental & (task < stage)
    classes = np.array([table.classes[name] for name in table.tasks], dtype=np.int64)[task]
    wrong = np.where(due, (ids < 0) | (ids >= classes), ids != NOT_RECORDED)
    raise_first(frame, wrong[:, None], "no id among the names seen so far", KEYS, (SEEN_COLUMN,))
    return ids


def _check_labels(labels: npt.NDArray[np.integer[Any]], classes: int, name: str) -> None:
    if not isinstance(labels, np.ndarray) or labels.ndim != 1 or labels.dtype.kind not in "iu" or not labels.size:
        raise IntegrityError(f"{name} must be a non-empty array of whole numbers with one dimension")
    if labels.min() < 0 or labels.max() >= classes:
        raise IntegrityError(f"{name} run from {labels.min()} to {labels.max()}; there are {classes} names")
