"""Joins the answers on captioned pictures with the truth of a caption stream.

As for classes, an answer is not a score: the ten best gallery ids of each query, and for each picture the bank id
of its caption (by consensus) and of the caption nearest to it. What they are worth is computed here, and can be
computed again from a record, the manifest and the protocol's bank.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from vlcl_bench.errors import IntegrityError
from vlcl_bench.scoring.answers import (
    HINT,
    IntArray,
    check_columns,
    check_once,
    codes,
    integers,
    raise_first,
    scored,
)
from vlcl_bench.scoring.bleu import References
from vlcl_bench.scoring.interface import GroundTruth
from vlcl_bench.scoring.metrics import FloatArray
from vlcl_bench.scoring.retrieval import RECALL_AT, TOP, Direction, recall_at

KINDS = ("i2t", "t2i", "caption", "nearest")
ID_COLUMNS = tuple(f"id{k}" for k in range(1, TOP + 1))
CAPTION_COLUMNS = ("stage", "task", "kind", "query", *ID_COLUMNS)
BLEU_METRIC = "bleu4@bank-v1"
KEYS = ("stage", "task", "kind", "query")

Ids = npt.NDArray[np.int32]
_DIRECTIONS: tuple[Direction, ...] = ("i2t", "t2i")


@dataclass(frozen=True, eq=False)
class CaptionTruth(GroundTruth):
    """The truth of a caption stream, tasks in training order.

    ``pictures[task]``: n, the number of pictures in the task's gallery. ``owners[task]``: (c,) the index of the
    picture to which each gallery caption belongs; every picture has at least one. ``references[task]``: for each
    picture its reference captions, for BLEU. ``bank``: the captions from which pictures are captioned.
    Raises :class:`IntegrityError` when the parts do not fit together.
    """

    tasks: tuple[str, ...]
    owners: Mapping[str, npt.NDArray[np.integer[Any]]]
    pictures: Mapping[str, int]
    references: Mapping[str, Sequence[Sequence[str]]]
    bank: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.tasks or len(set(self.tasks)) != len(self.tasks):
            raise IntegrityError(f"the tasks of a caption stream must be distinct and at least one: {self.tasks}")
        if not self.bank:
            raise IntegrityError("the caption bank is empty")
        for task in self.tasks:
            if task not in self.owners or task not in self.pictures or task not in self.references:
                raise IntegrityError(f"there are no owners, pictures or references for task {task!r}")
            _check_gallery(task, self.owners[task], self.pictures[task], self.references[task])

    @property
    def answers_a_stage(self) -> int:
        """See :attr:`GroundTruth.answers_a_stage`: of a picture three (gallery, bank twice), of a caption one."""
        return int(self._sizes.sum())

    def check(self, frame: pd.DataFrame, stages: Iterable[int]) -> None:
        """Raise :class:`IntegrityError` unless ``frame`` holds every (stage, task, kind, query) once, in form.

        In form: the columns of :data:`CAPTION_COLUMNS`; ids within the gallery or the bank and distinct; ten of
        them, or as many as the gallery has, or one bank id, and -1 in the places beyond.
        """
        self._answers(frame, sorted(set(stages)))

    def stage_scores(self, frame: pd.DataFrame) -> dict[str, float]:
        """The primary score in percent by task, mean of R@1 both ways, of the predictions of one stage."""
        _check_columns(frame)
        stages = [int(stage) for stage in np.unique(integers(frame, "stage"))]
        if len(stages) != 1:
            raise IntegrityError(f"predictions of one stage were expected; these are of the stages {stages}", HINT)
        answers = self._answers(frame, stages)
        return {task: self._primary(answers, 0, task) for task in self.tasks}

    def rescore(self, frame: pd.DataFrame) -> dict[str, Any]:
        """Everything that predictions of stages 0 to T say, JSON-ready.

        ``tasks``; ``samples`` (pictures per task); ``matrix`` (T, T), ``zero_shot`` (T,) and ``metrics`` of the
        primary score, the mean of R@1 both ways in percent; ``retrieval``: ``i2t@1`` to ``t2i@10`` and ``rsum``
        (the sum of the six, up to 600), each ``matrix`` and ``zero_shot``; ``bleu4``: ``metric`` (its name),
        ``matrix``, ``zero_shot``, ``metrics``, ``relative_forgetting`` and ``nearest`` (``matrix``,
        ``zero_shot``: the nearest caption in place of the consensus).

        ``relative_forgetting[i]`` = 1 − B[T, i] / B[i, i], as RATT (Del Chiaro et al., NeurIPS 2020); ``None``
        for the last task and where B[i, i] is 0.
        """
        T = len(self.tasks)
        answers = self._answers(frame, list(range(T + 1)))
        recalls = {
            f"{direction}@{k}": self._each(partial(self._recall, answers, direction=direction, k=k))
            for direction in _DIRECTIONS
            for k in RECALL_AT
        }
        recalls["rsum"] = np.sum(list(recalls.values()), axis=0)
        bleu = self._each(partial(self._bleu4, answers, kind="caption"))
        nearest = self._each(partial(self._bleu4, answers, kind="nearest"))
        return {
            "tasks": list(self.tasks),
            "samples": [int(self.pictures[task]) for task in self.tasks],
            **_metrics(self._each(partial(self._primary, answers))),
            "retrieval": {name: _parted(scores) for name, scores in recalls.items()},
            "bleu4": {
                "metric": BLEU_METRIC,
                **_metrics(bleu),
                "relative_forgetting": _relative_forgetting(bleu[1:]),
                "nearest": _parted(nearest),
            },
        }

    def item_scores(self, frame: pd.DataFrame) -> dict[str, FloatArray]:
        """By task ``(T + 1, n)``: what each picture of a gallery contributes to the primary score, whose mean they are.

        Half of it says whether its best caption is one of its own, half how many of its captions find it, against the
        mean number of captions of a picture.
        """
        return self._items(self._answers(frame, list(range(len(self.tasks) + 1))))

    def stage_item_scores(self, frame: pd.DataFrame) -> dict[str, FloatArray]:
        """See :meth:`item_scores`: by task ``(n,)``, of the predictions of one stage."""
        items = self._items(self._answers(frame, [int(frame["stage"].iloc[0])]))
        return {task: scores[0] for task, scores in items.items()}

    def _items(self, answers: Ids) -> dict[str, FloatArray]:
        found = {}
        for task in self.tasks:
            owners, pictures = np.asarray(self.owners[task]), self.pictures[task]
            finds = owners[answers[:, self._places[task, "i2t"], 0]] == np.arange(pictures)
            found_by = answers[:, self._places[task, "t2i"], 0] == owners
            captions = np.stack([np.bincount(owners, weights=stage, minlength=pictures) for stage in found_by])
            found[task] = 50.0 * finds + 50.0 * captions * pictures / len(owners)
        return found

    def _each(self, score: Callable[[int, str], float]) -> FloatArray:
        """(T + 1, T) ``score(stage, task)`` of every stage and task."""
        stages = range(len(self.tasks) + 1)
        return np.array([[score(stage, task) for task in self.tasks] for stage in stages], dtype=np.float64)

    def _recall(self, answers: Ids, stage: int, task: str, direction: Direction, k: int) -> float:
        return recall_at(answers[stage, self._places[task, direction]], self.owners[task], k, direction)

    def _primary(self, answers: Ids, stage: int, task: str) -> float:
        both = (self._recall(answers, stage, task, direction, 1) for direction in _DIRECTIONS)
        return sum(both) / 2.0

    def _bleu4(self, answers: Ids, stage: int, task: str, kind: str) -> float:
        chosen = answers[stage, self._places[task, kind], 0]
        return self._counted[task].bleu4([self.bank[i] for i in chosen])

    @cached_property
    def _counted(self) -> dict[str, References]:
        return {task: References(self.references[task]) for task in self.tasks}

    @cached_property
    def _sizes(self) -> IntArray:
        """(T, 4) number of queries of each task and kind."""
        rows = [(self.pictures[task], len(self.owners[task])) for task in self.tasks]
        return np.array([(n, c, n, n) for n, c in rows], dtype=np.int64)

    @cached_property
    def _limits(self) -> IntArray:
        """(T, 4) number of ids that an answer of each task and kind may name."""
        rows = [(self.pictures[task], len(self.owners[task])) for task in self.tasks]
        return np.array([(c, n, len(self.bank), len(self.bank)) for n, c in rows], dtype=np.int64)

    @cached_property
    def _starts(self) -> IntArray:
        """(4 T + 1,) where the queries of each task and kind begin, counted over all of them."""
        return np.concatenate([[0], np.cumsum(self._sizes.ravel())]).astype(np.int64)

    @cached_property
    def _places(self) -> dict[tuple[str, str], slice]:
        keys = [(task, kind) for task in self.tasks for kind in KINDS]
        return {key: slice(int(self._starts[i]), int(self._starts[i + 1])) for i, key in enumerate(keys)}

    def _answers(self, frame: pd.DataFrame, stages: list[int]) -> Ids:
        """Checked answers (stages, queries of all tasks and kinds, 10), queries in the order of ``_starts``."""
        _check_columns(frame)
        stage, query = integers(frame, "stage"), integers(frame, "query")
        task, kind = codes(frame, "task", self.tasks), codes(frame, "kind", KINDS)
        group = np.where((task >= 0) & (kind >= 0), task * len(KINDS) + kind, -1)
        row = check_once(frame, KEYS, stages, stage, group, query, self._sizes.ravel(), self._named)
        ids = np.stack([integers(frame, name) for name in ID_COLUMNS], axis=1)
        used = np.where(kind < 2, np.minimum(self._limits[task, kind], TOP), 1)
        _check_ids(frame, ids, self._limits[task, kind], used)
        answers = np.empty((len(ids), TOP), dtype=np.int32)
        answers[row] = ids
        return answers.reshape(len(stages), int(self._starts[-1]), TOP)

    def _named(self, group: int) -> str:
        return f"task {self.tasks[group // len(KINDS)]!r}, kind {KINDS[group % len(KINDS)]!r}"


def answers_frame(stage: int, task: str, answers: Mapping[str, npt.NDArray[np.integer[Any]]]) -> pd.DataFrame:
    """The rows of one stage and task, in the columns of :data:`CAPTION_COLUMNS`.

    ``answers[kind]``: ids, (queries, up to 10) for ``i2t`` and ``t2i``, (n,) for ``caption`` and ``nearest``;
    queries in order, places beyond filled with -1.
    """
    parts = []
    for kind in KINDS:
        ids = np.asarray(answers[kind])
        ids = (ids[:, None] if ids.ndim == 1 else ids).astype(np.int32)
        padded = np.pad(ids, ((0, 0), (0, TOP - ids.shape[1])), constant_values=-1)
        part = pd.DataFrame(padded, columns=list(ID_COLUMNS))
        part.insert(0, "query", np.arange(len(ids), dtype=np.int32))
        part.insert(0, "kind", kind)
        parts.append(part)
    frame = pd.concat(parts, ignore_index=True)
    frame.insert(0, "task", task)
    frame.insert(0, "stage", np.full(len(frame), stage, dtype=np.int16))
    return frame


def _parted(scores: FloatArray) -> dict[str, Any]:
    """R and row 0 of ``scores`` (T + 1, T)."""
    return {"matrix": scores[1:].tolist(), "zero_shot": scores[0].tolist()}


def _metrics(scores: FloatArray) -> dict[str, Any]:
    return scored(scores[1:], scores[0])


def _relative_forgetting(matrix: FloatArray) -> list[float | None]:
    last = len(matrix) - 1
    return [
        1.0 - float(matrix[last, i]) / float(matrix[i, i]) if i < last and matrix[i, i] > 0 else None
        for i in range(len(matrix))
    ]


def _check_gallery(
    task: str, owners: npt.NDArray[np.integer[Any]], pictures: int, references: Sequence[Sequence[str]]
) -> None:
    if not isinstance(owners, np.ndarray) or owners.ndim != 1 or owners.dtype.kind not in "iu" or not owners.size:
        raise IntegrityError(f"owners of task {task!r} must be a non-empty array of whole numbers with one dimension")
    if owners.min() < 0 or owners.max() >= pictures:
        raise IntegrityError(
            f"owners of task {task!r} run from {owners.min()} to {owners.max()}; there are {pictures} pictures"
        )
    bare = np.flatnonzero(np.bincount(owners, minlength=pictures) == 0)
    if bare.size:
        raise IntegrityError(f"picture {int(bare[0])} of task {task!r} has no gallery caption")
    if len(references) != pictures:
        raise IntegrityError(f"task {task!r} has references of {len(references)} pictures; it has {pictures} pictures")
    for i, captions in enumerate(references):
        if isinstance(captions, str) or not captions:
            raise IntegrityError(f"picture {i} of task {task!r} has no list of reference captions")


def _check_columns(frame: pd.DataFrame) -> None:
    hint = f"Predictions of a caption stream hold answers only: {', '.join(CAPTION_COLUMNS)}."
    check_columns(frame, CAPTION_COLUMNS, hint)


def _check_ids(frame: pd.DataFrame, ids: IntArray, limits: IntArray, used: IntArray) -> None:
    """Ids in range and distinct in the ``used`` (n,) first places, -1 in the others."""
    filled = np.arange(TOP) < used[:, None]
    wrong = (filled & ((ids < 0) | (ids >= limits[:, None]))) | (~filled & (ids != -1))
    raise_first(frame, wrong, "ids out of range or badly padded", KEYS, ID_COLUMNS, named=False)
    ordered = np.sort(np.where(filled, ids, -1 - np.arange(TOP)), axis=1)
    raise_first(frame, np.diff(ordered, axis=1) == 0, "the same id twice", KEYS, ID_COLUMNS, named=False)
