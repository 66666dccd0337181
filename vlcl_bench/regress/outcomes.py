"""What became of one expectation: the same, within tolerance, or moved, where and by how much; and what it cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from vlcl_bench.records.files import PREDICTIONS_NAME, read_predictions
from vlcl_bench.records.schema import Record
from vlcl_bench.regress.expectations import Expectation, StoredRun
from vlcl_bench.scoring.columns import HEADLINES
from vlcl_bench.scoring.reproduction import compare_answers, disagreements, same_machine
from vlcl_bench.sweep.runner import Job

METRICS = tuple(column.id for column in HEADLINES)
COSTLY = 1.5
"""Times as much time or memory as expected from which on a warning is given."""

State = Literal["same", "within tolerance", "moved", "failed", "not stored"]


@dataclass(frozen=True)
class Outcome:
    """``agreement`` percent of equal answers; ``moved`` the metrics as (expected, found); ``where`` the cell of R that
    moved most; ratios of time (against the calibration of then and now) and of peak memory, ``None`` if not known.
    """

    name: str
    state: State
    words: str
    agreement: float | None = None
    moved: dict[str, tuple[float, float]] = field(default_factory=dict)
    where: str = ""
    time_ratio: float | None = None
    memory_ratio: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the expectation is met."""
        return self.state in ("same", "within tolerance")

    @property
    def costly(self) -> bool:
        """Whether time or memory went up by so much that it should be looked at."""
        return any(ratio is not None and ratio > COSTLY for ratio in (self.time_ratio, self.memory_ratio))


def judge(expected: Expectation, job: Job, calibration: float | None) -> Outcome:
    """Compare a finished run with what was expected of it, on a machine like the one it ran on where there is one.

    ``calibration`` is the time in seconds that the calibration took beside this run; ``None`` leaves times out.
    """
    if job.record is None:
        return Outcome(expected.name, "failed", job.error or "was not run")
    stored, new = expected.closest(job.record.provenance), job.record
    if stored is None:
        return Outcome(expected.name, "not stored", "nothing is stored to compare with")
    old = stored.record
    ratios = _time_ratio(stored, new, calibration), new.cost.peak_memory_bytes / old.cost.peak_memory_bytes
    if old.identity.protocol_fingerprint != new.identity.protocol_fingerprint:
        return Outcome(
            expected.name, "moved", "the protocol is another one: its fingerprint changed", None, {}, "", *ratios
        )
    agreement = compare_answers(
        read_predictions(stored.folder / PREDICTIONS_NAME), read_predictions(job.folder / PREDICTIONS_NAME)
    )
    metrics = {name: (_metric(old, name), _metric(new, name)) for name in METRICS}
    pairs = {name: (a, b) for name, (a, b) in metrics.items() if a is not None and b is not None and a != b}
    if agreement.identical:
        return Outcome(expected.name, "same", "every answer is equal", 100.0, pairs, "", *ratios)
    elsewhere = same_machine(old.provenance, new.provenance)
    problems = disagreements(
        agreement, not elsewhere, np.array(old.scores["matrix"]), np.array(new.scores["matrix"]),
        old.scores["tasks"], expected.spread,
    )  # fmt: skip
    state: State = "moved" if problems else "within tolerance"
    words = "; ".join(problems or [f"{agreement.share:.2f} % of the answers are equal, on another machine"])
    words += "" if not elsewhere else f" ({'; '.join(elsewhere)})"
    return Outcome(expected.name, state, words, agreement.share, pairs, _largest(old, new), *ratios)


def _time_ratio(stored: StoredRun, new: Record, calibration: float | None) -> float | None:
    """Seconds of learning and evaluating, each over its calibration; ``None`` where one has none."""
    if calibration is None or stored.calibration_seconds is None:
        return None
    return (_seconds(new) / calibration) / (_seconds(stored.record) / stored.calibration_seconds)


def _seconds(record: Record) -> float:
    return sum(record.cost.seconds_learn) + sum(record.cost.seconds_evaluate)


def _metric(record: Record, name: str) -> float | None:
    value: Any = record.scores["metrics"].get(name)
    return float(value) if isinstance(value, int | float) else None


def _largest(old: Record, new: Record) -> str:
    """The cell of R, row 0 included, that moved most."""
    tables = [np.vstack([record.scores["zero_shot"], record.scores["matrix"]]) for record in (old, new)]
    apart = tables[1] - tables[0]
    stage, task = np.unravel_index(np.abs(apart).argmax(), apart.shape)
    name = old.scores["tasks"][int(task)]
    return (
        f"R moved most at stage {stage}, {name}: {tables[0][stage, task]:.1f} to {tables[1][stage, task]:.1f}"
        if apart[stage, task]
        else "no cell of R moved"
    )
