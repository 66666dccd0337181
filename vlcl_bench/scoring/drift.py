"""How far a run's answers moved between stages, from stored predictions alone: no labels, no model.

Says what accuracy hides: a method whose parameters are frozen gives the very same answers at every later stage, one
that answers with the zero-shot model the same as at stage 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from vlcl_bench.errors import UsageError

TOP = [f"top{k}" for k in range(1, 6)]
LOGITS = [f"logit{k}" for k in range(1, 6)]
COLUMNS = ("stage", "task", "sample", *TOP)


@dataclass(frozen=True)
class Drift:
    """One task's test pictures at the last stage, against just after the task was learned and against stage 0.

    ``same`` and ``same_as_untouched`` are shares in percent of pictures whose five best answers and logits are equal to
    the stored precision (1/256); of compact predictions, which have no logits, the answers alone. ``moved`` is the mean
    absolute change of the best answer's logit since the task was learned among the others that still have that best
    answer, ``answer_changed`` the percent of all with another one. ``None`` where there is nothing to compare, and
    ``moved`` of compact predictions.
    """

    task: str
    pictures: int
    same: float | None
    moved: float | None
    answer_changed: float | None
    same_as_untouched: float


def drifts(frame: pd.DataFrame, tasks: Sequence[str]) -> list[Drift]:
    """Drift of every task, given in the order in which they were learned.

    Raises :class:`UsageError` for predictions of a caption stream.
    """
    missing = [column for column in COLUMNS if column not in frame.columns]
    if missing:
        raise UsageError(
            f"these predictions have no columns {', '.join(missing)}", "Drift is defined for streams of classes."
        )
    last, found = len(tasks), []
    for place, task in enumerate(tasks, start=1):
        own = frame[frame["task"] == task]
        at = {stage: own[own["stage"] == stage].sort_values("sample") for stage in {0, place, last}}
        if any(len(part) != len(at[last]) for part in at.values()) or not len(at[last]):
            raise UsageError(f"the predictions of {task!r} are not complete", "Is the run finished?")
        zero_shot = 100 * float(_same(at[0], at[last]).mean())
        if place == last:
            found.append(Drift(task, len(at[last]), None, None, None, zero_shot))
            continue
        same = _same(at[place], at[last])
        kept = at[place]["top1"].to_numpy() == at[last]["top1"].to_numpy()
        moved, others = None, kept & ~same
        if LOGITS[0] in frame.columns and others.any():
            change = np.abs(at[place]["logit1"].to_numpy(np.float64) - at[last]["logit1"].to_numpy(np.float64))
            moved = float(change[others].mean())
        found.append(Drift(task, len(same), 100 * float(same.mean()), moved, 100 * float((~kept).mean()), zero_shot))
    return found


def unchanged_cells(frame: pd.DataFrame, tasks: Sequence[str]) -> frozenset[tuple[int, int]]:
    """The cells (stage, task) of R before a task is learned that hold exactly the zero-shot model's answers.

    Both count from 1. ``frame`` holds the answers of all stages to every sample of every task (of every kind, on
    caption streams), each once, in any order. There are T (T − 1) / 2 such cells; an answer is all the ids that are
    stored of it within the task, so the logits and the task-agnostic twins do not count.
    """
    ids = [name for name in frame.columns if name.startswith(("top", "id"))]
    place = {name: i for i, name in enumerate(tasks)}
    task = frame["task"].astype("category")
    code = np.array([place[str(name)] for name in task.cat.categories])[task.cat.codes.to_numpy()]
    stage = frame["stage"].to_numpy()
    within = [frame[name].to_numpy() for name in ("query", "sample") if name in frame.columns]
    if "kind" in frame.columns:
        within.append(frame["kind"].astype("category").cat.codes.to_numpy())
    order = np.lexsort((*within, stage, code))
    answers, code = frame[ids].to_numpy()[order], code[order]
    cells = set()
    for i in range(1, len(tasks)):
        of_task = answers[code == i].reshape(len(tasks) + 1, -1)
        cells |= {(t, i + 1) for t in range(1, i + 1) if np.array_equal(of_task[t], of_task[0])}
    return frozenset(cells)


def _same(one: pd.DataFrame, two: pd.DataFrame) -> np.ndarray:
    """Which rows have equal answers and, where there are some, logits, ``(n,)`` bool."""
    columns = [*TOP, *(name for name in LOGITS if name in one.columns)]
    a, b = one[columns].to_numpy(np.float64), two[columns].to_numpy(np.float64)
    return ((a == b) | (np.isnan(a) & np.isnan(b))).all(axis=1)
