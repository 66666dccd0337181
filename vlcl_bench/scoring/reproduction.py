"""Whether a run that was made again gives the answers it gave before: counted cell by cell, and judged by where it ran.

Equal bytes are promised on the CPU for one torch build, maker of the processor, its capability and number of threads.
Elsewhere the last bits of a float differ, hence the few answers that hang on them, and after training some more.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from vlcl_bench.errors import IntegrityError
from vlcl_bench.scoring.captions import ID_COLUMNS
from vlcl_bench.scoring.classes import AGNOSTIC_COLUMNS, LOGIT_COLUMNS, SEEN_COLUMN, TOP_COLUMNS
from vlcl_bench.scoring.metrics import FloatArray

TOP1_AGREEMENT = 98.0
"""Percent of first answers that must be equal where equal bytes are not promised."""
LEAST_TOLERANCE = 1.0
"""Points by which an entry of R may differ there, where no larger spread over seeds is known."""
FIRST = 5
"""Differing answers that are kept as examples."""
SIGNATURE = ("torch", "cpu_capability", "threads", "device")
"""The facts of a provenance on which equal bytes depend; so does the processor's maker, see :func:`maker`."""


class Machine(Protocol):
    """On what a run ran: the facts of :data:`SIGNATURE` and others, which do not matter here."""

    @property
    def torch(self) -> str:
        """Version and build."""

    @property
    def cpu_capability(self) -> str:
        """The vector instructions that torch uses."""

    @property
    def threads(self) -> int:
        """Threads that compute."""

    @property
    def processor(self) -> str:
        """The processor's model, as the system says it."""

    @property
    def device(self) -> str:
        """``cpu``, or an accelerator."""


@dataclass(frozen=True)
class Cell:
    """The answers of one stage to one task (of captions: of one ``kind``, else empty): how many, and how many equal."""

    stage: int
    task: str
    kind: str
    answers: int
    equal: int

    @property
    def share(self) -> float:
        """Percent of equal answers."""
        return 100.0 * self.equal / self.answers

    @property
    def where(self) -> str:
        """Stage and task in words."""
        return f"stage {self.stage}, {self.task}" + (f" ({self.kind})" if self.kind else "")


@dataclass(frozen=True)
class Difference:
    """One answer that differs: where, to which sample (of captions: query), and the ids on both sides."""

    stage: int
    task: str
    kind: str
    sample: int
    expected: tuple[int, ...]
    found: tuple[int, ...]


@dataclass(frozen=True)
class Agreement:
    """What :func:`compare_answers` found.

    ``cells`` count first answers (of captions all ten ids of a query, or the caption chosen); ``identical`` says that
    every column that both sides have is equal, which is more: places two to five, the task-agnostic answers and, in two
    full forms, the logits. ``rows_differing`` counts rows with any such difference, ``columns`` names them.
    """

    cells: tuple[Cell, ...]
    first: tuple[Difference, ...]
    rows: int
    rows_differing: int
    columns: tuple[str, ...]

    @property
    def identical(self) -> bool:
        """Whether everything that both sides hold is equal."""
        return not self.rows_differing

    @property
    def equal(self) -> int:
        """Number of equal answers."""
        return sum(cell.equal for cell in self.cells)

    @property
    def answers(self) -> int:
        """Number of answers compared."""
        return sum(cell.answers for cell in self.cells)

    @property
    def share(self) -> float:
        """Percent of equal answers over all stages and tasks."""
        return 100.0 * self.equal / self.answers

    def worst(self, count: int = FIRST) -> list[Cell]:
        """The cells with the smallest shares, of those that are not all equal; ties in the order of the stream."""
        return sorted((cell for cell in self.cells if cell.equal < cell.answers), key=lambda cell: cell.share)[:count]


def compare_answers(expected: pd.DataFrame, found: pd.DataFrame) -> Agreement:
    """Compare two tables of predictions (:mod:`vlcl_bench.records.schema`), each full or compact, in any order of rows.

    Raises :class:`IntegrityError` where they do not answer the same questions, each once.
    """
    captioned = "kind" in expected.columns
    keys = ["stage", "task", "kind", "query"] if captioned else ["stage", "task", "sample"]
    one, two = _ordered(expected, keys), _ordered(found, keys)
    if len(one) != len(two) or not all(np.array_equal(one[key].to_numpy(), two[key].to_numpy()) for key in keys):
        raise IntegrityError(
            f"the two runs did not answer the same questions ({len(one)} answers there, {len(two)} here)",
            "Compare runs of one version of one protocol.",
        )
    counted = list(ID_COLUMNS if captioned else TOP_COLUMNS[:1])
    every = [*ID_COLUMNS, *TOP_COLUMNS, *AGNOSTIC_COLUMNS.values(), SEEN_COLUMN, *LOGIT_COLUMNS]
    shared = [name for name in every if name in one.columns and name in two.columns]
    unequal = {name: _unequal(one[name], two[name]) for name in shared}
    differs = np.any([unequal[name] for name in counted], axis=0)
    anywhere = np.any(list(unequal.values()), axis=0)
    return Agreement(
        cells=tuple(_cells(one, keys[:-1], differs)),
        first=tuple(_examples(one, two, keys, counted, differs)),
        rows=len(one),
        rows_differing=int(anywhere.sum()),
        columns=tuple(name for name in shared if unequal[name].any()),
    )


def same_machine(expected: Machine, found: Machine) -> list[str]:
    """Why equal bytes cannot be expected of two runs, in words; empty where they can.

    They can on the CPU with equal :data:`SIGNATURE` and processors of one maker.
    """
    pairs = {name: (getattr(expected, name), getattr(found, name)) for name in SIGNATURE}
    pairs["processor"] = maker(expected.processor), maker(found.processor)
    reasons = [f"{name} {there!r} there, {here!r} here" for name, (there, here) in pairs.items() if there != here]
    if not reasons and found.device != "cpu":
        reasons.append(f"both ran on {found.device}, where equal bytes are not promised")
    return reasons


def maker(processor: str) -> str:
    """Who made a processor: the first word of its model's name, in small letters.

    Math libraries choose other code for processors of another maker, also where both have the same instructions: with
    AVX512, some trained methods gave other last bits on Intel's than on AMD's.
    """
    word = re.match("[A-Za-z]+", processor.strip())
    return word[0].lower() if word else ""


def seed_spread(matrices: Sequence[FloatArray]) -> FloatArray | None:
    """Largest minus smallest of each entry of R over seeds; ``None`` where there is one seed only."""
    return np.ptp(np.stack(matrices), axis=0) if len(matrices) > 1 else None


def disagreements(
    agreement: Agreement,
    exact: bool,
    expected: FloatArray,
    found: FloatArray,
    tasks: Sequence[str],
    spread: FloatArray | None = None,
) -> list[str]:
    """Why two runs do not count as the same, one message a reason, each with stage, task and number; else empty.

    ``exact`` (see :func:`same_machine`) asks for equal predictions. Otherwise :data:`TOP1_AGREEMENT` percent of
    the answers must be equal and no entry of R (``expected`` and ``found``: (T, T) percent after tasks 1 to T) may
    differ by more than ``spread`` (T, T) or, where that is smaller or unknown, :data:`LEAST_TOLERANCE` points.
    """
    worst = "; ".join(
        f"{cell.where}: {cell.answers - cell.equal} of {cell.answers} answers differ" for cell in agreement.worst()
    )
    if exact:
        if agreement.identical:
            return []
        beside = "" if worst else f" (first answers are equal; others differ in {', '.join(agreement.columns)})"
        return [
            f"{agreement.rows_differing} of {agreement.rows} rows of predictions differ, and equal ones were expected"
            f"{beside}{'; most: ' + worst if worst else ''}"
        ]
    problems = []
    if agreement.share < TOP1_AGREEMENT:
        problems.append(
            f"{agreement.share:.2f} % of the answers are equal, at least {TOP1_AGREEMENT:g} % were expected; "
            f"most differ at {worst}"
        )
    allowed = np.maximum(LEAST_TOLERANCE, 0.0 if spread is None else spread)
    off = np.abs(found - expected) - allowed
    for row, column in np.argwhere(off > 1e-9)[:FIRST]:
        problems.append(
            f"stage {row + 1}, {tasks[column]}: {found[row, column]:.2f} %, {expected[row, column]:.2f} % before "
            f"(may differ by {np.broadcast_to(allowed, off.shape)[row, column]:.2f})"
        )
    return problems


def _ordered(frame: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    words = {name: str for name in ("task", "kind") if name in frame.columns}
    missing = [key for key in keys if key not in frame.columns]
    if missing:
        raise IntegrityError(
            f"the predictions have no columns {', '.join(missing)}", "Compare runs of one version of one protocol."
        )
    return frame.astype(words).sort_values(keys, kind="stable", ignore_index=True)


def _unequal(one: pd.Series, two: pd.Series) -> npt.NDArray[np.bool_]:
    a, b = one.to_numpy(), two.to_numpy()
    unequal = a != b
    return unequal & ~(pd.isna(a) & pd.isna(b)) if a.dtype.kind == "f" else unequal


def _cells(frame: pd.DataFrame, keys: list[str], differs: npt.NDArray[np.bool_]) -> list[Cell]:
    counted = frame[keys].assign(equal=~differs).groupby(keys, sort=True)["equal"].agg(["size", "sum"])
    found = []
    for key, size, equal in zip(counted.index, counted["size"], counted["sum"], strict=True):
        stage, task, kind = (*key, "")[:3]
        found.append(Cell(int(stage), str(task), str(kind), int(size), int(equal)))
    return found


def _examples(
    one: pd.DataFrame, two: pd.DataFrame, keys: list[str], counted: list[str], differs: npt.NDArray[np.bool_]
) -> list[Difference]:
    found = []
    for place in np.flatnonzero(differs)[:FIRST]:
        key = [one[name].iloc[place] for name in keys]
        kind = str(key[2]) if len(key) == 4 else ""
        there, here = (tuple(int(frame[name].iloc[place]) for name in counted) for frame in (one, two))
        found.append(Difference(int(key[0]), str(key[1]), kind, int(key[-1]), there, here))
    return found
