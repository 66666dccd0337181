"""Every number that is shown of a run, in the one order in which all tables show them.

The board (Markdown, CSV, JSON, page), the README's tables, ``vlcl run``, ``show`` and ``score``, comparisons and the
tables of a sweep iterate over :data:`COLUMNS`, so a new column of something that records hold is one entry here.
A new metric is a function in :mod:`vlcl_bench.scoring.metrics` and an entry here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from vlcl_bench.errors import UsageError
from vlcl_bench.scoring.column import BOARD, BYTES, COUNT, SCORED, SECONDS, Column, Group, Place, Run
from vlcl_bench.scoring.views import BLEU4

GROUPS: Mapping[Group, str] = {
    "headline": "Task-aware", "score": "More scores", "cost": "Cost", "samples": "Samples",
    "captions": "Captions", "classes": "Class by class",
}  # fmt: skip
"""How groups of columns are headed on the page."""


def _metric(name: str) -> Callable[[Run], float | None]:
    """A headline number of the scores; ``None`` also where an older record does not state it."""

    def of(run: Run) -> float | None:
        value = run.scores["metrics"].get(name)
        return value if isinstance(value, int | float) else None

    return of


def _recall(name: str) -> Callable[[Run], float | None]:
    """Recall after the last task, mean over tasks."""

    def of(run: Run) -> float | None:
        part = (run.scores.get("retrieval") or {}).get(name)
        return None if part is None else float(np.mean(part["matrix"][-1]))

    return of


def _bleu4(read: Callable[[Any], float]) -> Callable[[Run], float | None]:
    def of(run: Run) -> float | None:
        part = BLEU4.part(run.scores)
        return None if part is None else float(read(part))

    return of


def _incremental(key: str) -> Callable[[Run], float | None]:
    """Class-incremental accuracy of a stream with one data set that is learned class by class."""

    def of(run: Run) -> float | None:
        parts = list((run.scores.get("incremental") or {}).values())
        return float(parts[0][key]) if len(parts) == 1 else None

    return of


_METRICS = (
    Column(
        "transfer", "Transfer", "Mean accuracy on tasks that are not learned yet: the zero-shot ability that is left.",
        "headline", _metric("transfer"), linear=True, phrase="accuracy on tasks not yet learned",
        places=SCORED | {"readme", "progress"},
    ),
    Column(
        "avg", "Avg", "Mean accuracy over all stages and tasks. The board ranks by it.",
        "headline", _metric("avg"), linear=True, phrase="over all stages and tasks",
        places=SCORED | {"readme", "progress"},
    ),
    Column(
        "last", "Last", "Mean accuracy on all tasks after the last one.",
        "headline", _metric("last"), linear=True, phrase="after the last task",
        places=SCORED | {"readme", "progress"},
    ),
    Column(
        "bwt", "BWT", "What tasks gained (+) or lost (−) between being learned and the end.",
        "score", _metric("bwt"), linear=True, phrase="change since each task was learned",
        places=SCORED | {"readme", "progress"},
    ),
    Column(
        "fwt", "FWT", "Accuracy just before a task is learned, minus the zero-shot model's.",
        "score", _metric("fwt"), linear=True, phrase="before learning, against zero-shot",
    ),
    Column(
        "forgetting", "Forgetting", "Best accuracy on a task before the end, minus that at the end. Less is better.",
        "score", _metric("forgetting"), better="less", phrase="drop from the best so far",
    ),
    Column(
        "diagonal", "Diagonal", "Accuracy on each task just after it was learned.",
        "score", _metric("diagonal"), linear=True, phrase="right after learning", places=SCORED | {"readme"},
    ),
    Column(
        "zsd", "ZSD", "Zero-shot degradation: best accuracy on a task before it is learned, minus that just before. "
        "Less is better.",
        "score", _metric("zsd"), better="less", phrase="zero-shot degradation, before learning",
    ),
    Column(
        "intransigence", "Intransigence", "Accuracy of a jointly trained model on each task, minus that just after the "
        "task was learned. Less is better.",
        "score", _metric("intransigence"), better="less", phrase="what joint training gains, right after learning",
    ),
    Column(
        "zero_shot", "Zero-shot", "Mean accuracy of the zero-shot model, before any task is learned.",
        "zero-shot", _metric("zero_shot"), phrase="before any task is learned", places=frozenset({"show"}),
    ),
    Column(
        "zero_shot_transfer", "Zero-shot over the tasks of Transfer", "The same without the first task.",
        "zero-shot", _metric("zero_shot_transfer"), places=frozenset({"show"}),
    ),
)  # fmt: skip

_COSTS = (
    Column(
        "seconds_total", "Seconds",
        "Wall-clock seconds of a whole run, on the machine of the record; median over seeds.", "cost",
        lambda run: run.cost.seconds_total, SECONDS, better="less", places=BOARD,
    ),
    Column(
        "seconds_learn", "Learning", "Seconds spent on learning.",
        "cost", lambda run: sum(run.cost.seconds_learn), SECONDS, better="less", short="Learning s", places=BOARD,
    ),
    Column(
        "seconds_evaluate", "Evaluation", "Seconds spent on evaluation.",
        "cost", lambda run: sum(run.cost.seconds_evaluate), SECONDS, better="less", short="Evaluation s",
        places=frozenset({"files", "markdown"}),
    ),
    Column(
        "seconds_synthesise", "Synthesis", "Seconds spent on making synthetic pictures that were not stored yet.",
        "cost", lambda run: sum(run.cost.seconds_synthesise), SECONDS, better="less", short="Synthesis s", places=BOARD,
    ),
    Column(
        "peak_memory_bytes", "Peak MB", "Largest memory of the process.",
        "cost", lambda run: run.cost.peak_memory_bytes, BYTES, 0, "less", short="Peak memory", scale=1e6, places=BOARD,
    ),
    Column(
        "parameters_trained", "Parameters trained", "Parameters that were trained.",
        "cost", lambda run: run.footprint.parameters_trained, COUNT, 0, "less", short="Trained", places=BOARD,
    ),
    Column(
        "parameters_added", "Parameters added", "Parameters that the method added to the backbone.",
        "cost", lambda run: run.footprint.parameters_added, COUNT, 0, "less", short="Added", places=BOARD,
    ),
    Column(
        "bytes_between_tasks", "Bytes between tasks", "All that the next task needs except the current weights.",
        "cost", lambda run: run.footprint.bytes_between_tasks, BYTES, 0, "less", short="Bytes kept", places=BOARD,
    ),
    Column(
        "task_pictures", "Task pictures", "Pictures of the current tasks.",
        "samples", lambda run: run.usage.task_pictures, COUNT, 0, "", places=frozenset({"files", "entry"}),
    ),
    Column(
        "reference_pictures", "Reference", "Pictures of the protocol's reference data that were handed out.",
        "samples", lambda run: run.usage.reference_pictures, COUNT, 0, "less", places=BOARD,
    ),
    Column(
        "synthetic_pictures", "Synthetic", "Synthetic pictures that were handed out.",
        "samples", lambda run: run.usage.synthetic_pictures, COUNT, 0, "less", places=BOARD,
    ),
    Column(
        "replayed_samples", "Replayed", "Samples of earlier tasks that were handed out again.",
        "samples", lambda run: run.usage.replayed_samples, COUNT, 0, "less", places=BOARD,
    ),
    Column(
        "generated_pictures", "Generated", "Pictures asked of a generator.",
        "samples", lambda run: run.usage.generated_pictures, COUNT, 0, "less", places=BOARD,
    ),
    Column(
        "own_steps", "Own steps", "Optimiser steps beside the common loop, for networks of the method's own; no budget "
        "counts them. Records made before they were counted do not say.",
        "samples", lambda run: run.usage.own_steps, COUNT, 0, "less", places=BOARD,
    ),
    Column(
        "own_samples", "Own samples", "Samples that the method says it showed in steps of its own.",
        "samples", lambda run: run.usage.own_samples, COUNT, 0, "less", places=frozenset({"files", "entry"}),
    ),
)  # fmt: skip

_KINDS = (
    *(
        Column(name, f"{name}, last", "Recall over the gallery after the last task.", "captions", _recall(name))
        for name in ("i2t@1", "i2t@5", "i2t@10", "t2i@1", "t2i@5", "t2i@10")
    ),
    Column("rsum", "R-sum, last", "Sum of the six recalls after the last task.", "captions", _recall("rsum")),
    Column(
        "bleu4_avg", "BLEU-4 Avg", "Avg of the captions' BLEU-4.",
        "captions", _bleu4(lambda part: part["metrics"]["avg"]),
    ),
    Column(
        "bleu4_last", "BLEU-4 Last", "Last of the captions' BLEU-4.",
        "captions", _bleu4(lambda part: part["metrics"]["last"]),
    ),
    Column(
        "bleu4_zero_shot", "BLEU-4 zero-shot", "BLEU-4 of the zero-shot model's captions.",
        "captions", _bleu4(lambda part: part["metrics"]["zero_shot"]),
    ),
    Column(
        "bleu4_nearest", "BLEU-4 Last, nearest caption", "Last with the nearest caption in place of the consensus.",
        "captions", _bleu4(lambda part: np.mean(part["nearest"]["matrix"][-1])),
    ),
    Column(
        "cil_avg", "CIL avg", "Class-incremental accuracy, mean over stages.",
        "published", _incremental("average"), places=frozenset(),
    ),
    Column(
        "cil_last", "CIL last", "Class-incremental accuracy after the last stage.",
        "published", _incremental("last"), places=frozenset(),
    ),
)  # fmt: skip

UNCHANGED = Column(
    "unchanged_from_zero_shot", "= zero-shot",
    "Unchanged from zero-shot: of the N cells of R that lie before their task is learned, k hold exactly the zero-shot "
    "model's answers to every test sample, in all seeds. All of them means that the method leaves tasks that are not "
    "learned yet to the zero-shot model, so that its Transfer is zero-shot's by construction.",
    "row", lambda row: None if row.unchanged_from_zero_shot is None else row.unchanged_from_zero_shot[0],
    COUNT, 0, "", short="Unchanged from zero-shot", places=BOARD,
)  # fmt: skip
"""Tables show it as ``k of N``."""

COLUMNS: tuple[Column, ...] = (*_METRICS, *_COSTS, *_KINDS, UNCHANGED)


def columns(*groups: Group, place: Place | None = None) -> tuple[Column, ...]:
    """The columns of these groups (all without any) that stand in ``place`` (anywhere without one), in their order."""
    return tuple(
        column
        for column in COLUMNS
        if (not groups or column.group in groups) and (place is None or place in column.places)
    )


def column(name: str, among: Iterable[Column] = COLUMNS) -> Column:
    """The column of that id; raises :class:`UsageError` naming those that there are."""
    by_id = {one.id: one for one in among}
    if name not in by_id:
        raise UsageError(f"there is no column {name!r}; there are {', '.join(by_id)}")
    return by_id[name]


RANKING = column("avg")
"""The board ranks by it."""
HEADLINES = columns("headline")
METRICS = columns("headline", "score")
COSTS = columns("cost", "samples")
CERTAIN = (RANKING, *(one for one in HEADLINES if one is not RANKING))
"""The metrics with an interval; what the board ranks by comes first."""
COMPARED = tuple(one for one in METRICS if one.linear)
"""The metrics by which two entries are compared."""


def values(chosen: Iterable[Column], run: Run) -> dict[str, float | None]:
    """What a run says in these columns, by id."""
    return {one.id: one.of(run) for one in chosen}


def by_unit(chosen: Iterable[Column]) -> list[Column]:
    """The columns as people read them: those of one unit together, units in order of appearance."""
    listed = list(chosen)
    units = list(dict.fromkeys(one.unit for one in listed))
    return sorted(listed, key=lambda one: units.index(one.unit))


def figures(run: Run) -> list[tuple[Column, float]]:
    """The columns, with their values, that only streams of this run's kind have: captions, or class by class."""
    parts = [*columns("captions"), *(one for name in run.scores.get("incremental") or {} for one in _by_class(name))]
    return [(one, value) for one in parts if (value := one.of(run)) is not None]


def _by_class(dataset: str) -> list[Column]:
    """Class-incremental accuracy of a data set that is learned class by class."""

    def of(key: str) -> Callable[[Run], float | None]:
        return lambda run: float(run.scores["incremental"][dataset][key])

    words = {
        "average": ("average", "Class-incremental accuracy, mean over stages."),
        "last": ("last", "Class-incremental accuracy after the data set's last stage."),
        "final": ("at the end", "Class-incremental accuracy after the stream's last stage."),
    }
    return [
        Column(f"{dataset} {key}", f"{dataset} {ending}", meaning, "classes", of(key))
        for key, (ending, meaning) in words.items()
    ]
