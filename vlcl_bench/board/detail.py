"""What the page shows of one run beyond its headline numbers: matrices, figures, settings, cells like zero-shot's.

All but the settings is computed from the stored predictions, if these can be scored here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from vlcl_bench.errors import IntegrityError
from vlcl_bench.records.schema import Record
from vlcl_bench.scoring.column import Column, Scored
from vlcl_bench.scoring.columns import figures
from vlcl_bench.scoring.drift import unchanged_cells
from vlcl_bench.scoring.first_answers import Answers, first_answers
from vlcl_bench.scoring.metrics import FloatArray
from vlcl_bench.scoring.views import PRIMARY, VIEWS, stream_kind

Matrix = tuple[tuple[float, ...], ...]
"""(T + 1, T) percent, the zero-shot row first."""


@dataclass(frozen=True)
class Detail:
    """Of one run: ``matrices`` by their names on the board; ``items`` as :meth:`GroundTruth.item_scores` gives them.

    ``figures`` are the columns that only streams of its kind have, with their values in percent, in the order in which
    they are shown. ``unchanged_from_zero_shot`` are the cells ``(stage, task)``, stage before the task is learned and
    both counted from 1, whose answers are exactly those of the zero-shot model. ``answers`` are the first ones, as
    :func:`~vlcl_bench.scoring.first_answers.first_answers` gives them.
    """

    tasks: tuple[str, ...]
    samples: tuple[int, ...]
    settings: Mapping[str, Any]
    matrices: Mapping[str, Matrix]
    figures: tuple[tuple[Column, float], ...] = ()
    unchanged_from_zero_shot: frozenset[tuple[int, int]] = frozenset()
    items: Mapping[str, FloatArray] = field(default_factory=dict)
    answers: Answers | None = field(default=None, compare=False, repr=False)


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
        matrices = _matrices(scores, len(tasks))
        shown = tuple((column, _finite(value)) for column, value in figures(Scored(scores)))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise IntegrityError(f"run {record.run_hash}: its scores are not of the right form: {error!r}") from error
    return Detail(
        tasks=tasks,
        samples=tuple(int(n) for n in scores["samples"]),
        settings=dict(record.identity.settings),
        matrices=matrices,
        figures=shown,
        unchanged_from_zero_shot=frozenset() if frame is None else unchanged_cells(frame, tasks),
        items=items or {},
        answers=None if frame is None else first_answers(frame, tasks),
    )


def _matrices(scores: Mapping[str, Any], tasks: int) -> dict[str, Matrix]:
    parts = [(stream_kind(scores).label if view is PRIMARY else view.label, view.part(scores)) for view in VIEWS]
    return {label: _matrix(part, tasks) for label, part in parts if part is not None}


def _matrix(part: Mapping[str, Any], T: int) -> Matrix:
    rows = np.array([part["zero_shot"], *part["matrix"]], dtype=np.float64)
    if rows.shape != (T + 1, T) or not np.isfinite(rows).all() or rows.min() < 0 or rows.max() > 100:
        raise ValueError(f"a matrix of {T} tasks must be {T} x {T} numbers from 0 to 100")
    return tuple(tuple(float(x) for x in row) for row in rows)


def _finite(value: float) -> float:
    if not np.isfinite(value):
        raise ValueError("a figure is not finite")
    return value
