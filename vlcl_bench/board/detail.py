"""What the page shows of one run beyond its headline numbers: matrices, figures, settings, cells that stood still.

All but the settings is computed from the stored predictions, if these can be scored here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from vlcl_bench.errors import IntegrityError
from vlcl_bench.records.schema import Record
from vlcl_bench.scoring.metrics import FloatArray

Matrix = tuple[tuple[float, ...], ...]
"""(T + 1, T) percent, the untouched model's row first."""

MATRICES = {
    "aware": "task-aware",
    "agnostic": "task-agnostic",
    "agnostic_plain": "task-agnostic, plain prompt",
    "bleu4": "BLEU-4",
}
RETRIEVAL = ("i2t@1", "i2t@5", "i2t@10", "t2i@1", "t2i@5", "t2i@10", "rsum")
NOT_ANSWERS = ("stage", "task", "kind", "sample", "query")


@dataclass(frozen=True)
class Detail:
    """Of one run: ``matrices`` by a key of :data:`MATRICES`; ``items`` as :meth:`ClassTruth.item_scores` gives them.

    ``figures`` are further headline numbers in percent by their label, in the order in which they are shown.
    ``still`` are the cells ``(stage, task)``, stage before
    the task is learned and both counted from 1, whose answers are exactly those of the untouched model.
    """

    tasks: tuple[str, ...]
    samples: tuple[int, ...]
    settings: Mapping[str, Any]
    matrices: Mapping[str, Matrix]
    figures: Mapping[str, float] = field(default_factory=dict)
    still: frozenset[tuple[int, int]] = frozenset()
    items: Mapping[str, FloatArray] = field(default_factory=dict)


def detail_of(
    record: Record,
    scores: Mapping[str, Any],
    items: Mapping[str, FloatArray] | None = None,
    frame: pd.DataFrame | None = None,
) -> Detail:
    """The detail of a run from its scores and, where it could be scored again, its items' scores and its answers.

    Raises :class:`IntegrityError` where scores that were only reported are not of the form of scores.
    """
    try:
        tasks = tuple(str(task) for task in scores["tasks"])
        matrices = {key: _matrix(found, len(tasks)) for key, found in _matrices(scores).items()}
        figures = _figures(scores)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise IntegrityError(f"run {record.run_hash}: its scores are not of the right form: {error!r}") from error
    return Detail(
        tasks=tasks,
        samples=tuple(int(n) for n in scores["samples"]),
        settings=dict(record.identity.settings),
        matrices=matrices,
        figures=figures,
        still=frozenset() if frame is None else unmoved_cells(frame, tasks),
        items=items or {},
    )


def unmoved_cells(frame: pd.DataFrame, tasks: Sequence[str]) -> frozenset[tuple[int, int]]:
    """The cells of R before a task is learned that hold exactly the untouched model's answers.

    ``frame`` holds the answers of all stages to every sample of every task (of every kind, on caption streams), each
    once, in any order. There are T (T − 1) / 2 such cells; an answer is all the ids that are stored of it within the
    task, so the logits and the task-agnostic twins do not count.
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
    found = set()
    for i in range(1, len(tasks)):
        own = answers[code == i].reshape(len(tasks) + 1, -1)
        found |= {(t, i + 1) for t in range(1, i + 1) if np.array_equal(own[t], own[0])}
    return frozenset(found)


def _matrices(scores: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    found = {"aware": scores, **{key: scores.get(key) for key in list(MATRICES)[1:]}}
    return {key: part for key, part in found.items() if part}


def _matrix(part: Mapping[str, Any], T: int) -> Matrix:
    found = np.array([part["zero_shot"], *part["matrix"]], dtype=np.float64)
    if found.shape != (T + 1, T) or not np.isfinite(found).all() or found.min() < 0 or found.max() > 100:
        raise ValueError(f"a matrix of {T} tasks must be {T} x {T} numbers from 0 to 100")
    return tuple(tuple(float(x) for x in row) for row in found)


def _figures(scores: Mapping[str, Any]) -> dict[str, float]:
    """Of captions recall and BLEU-4 after the last task, means over tasks; of classes that come in groups iCaRL's."""
    found: dict[str, float] = {}
    for name, part in (scores.get("retrieval") or {}).items():
        found["R-sum, last" if name == "rsum" else f"{name}, last"] = float(np.mean(part["matrix"][-1]))
    if bleu := scores.get("bleu4"):
        found |= {"BLEU-4 Avg": bleu["metrics"]["avg"], "BLEU-4 Last": bleu["metrics"]["last"]}
        found["BLEU-4 untouched"] = bleu["metrics"]["zero_shot"]
        found["BLEU-4 Last, nearest caption"] = float(np.mean(bleu["nearest"]["matrix"][-1]))
    for dataset, part in (scores.get("incremental") or {}).items():
        found |= {f"{dataset} average": part["average"], f"{dataset} last": part["last"]}
        found[f"{dataset} at the end"] = part["final"]
    if not np.isfinite(list(found.values())).all():
        raise ValueError("a figure is not finite")
    return {name: float(value) for name, value in found.items()}
