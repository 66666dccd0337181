"""What the functions of :mod:`vlcl_bench.cli.notebook` return: scores, runs and comparisons that show themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from vlcl_bench.common.plain import plain
from vlcl_bench.records.rescoring import joint_of
from vlcl_bench.records.schema import Record
from vlcl_bench.scoring.columns import HEADLINES
from vlcl_bench.scoring.metrics import FloatArray, continual_metrics, format_metric


@dataclass(frozen=True, eq=False, repr=False)
class Scores:
    """Scores of a stream in percent.

    ``R`` is ``(T, T)``, a row after each task and a column for each; ``zero_shot`` ``(T,)`` is the row before any
    task, ``None`` where it is not known; ``metrics`` holds the headline numbers, ``None`` where one is not defined.
    """

    tasks: tuple[str, ...]
    R: FloatArray
    zero_shot: FloatArray | None
    metrics: Mapping[str, float | None]

    def __repr__(self) -> str:
        return f"Scores({len(self.tasks)} tasks: {_in_words(self.metrics)})"

    @classmethod
    def of_matrix(
        cls, matrix: npt.ArrayLike, zero_shot: npt.ArrayLike | None, joint: npt.ArrayLike | None = None,
        *, lower: bool = False, tiny: bool = False,
    ) -> Scores:  # fmt: skip
        """Those of a matrix whose tasks have no names; ``lower`` and ``tiny`` are for :func:`continual_metrics`."""
        metrics = continual_metrics(matrix, zero_shot, joint, tiny=tiny, lower=lower).headlines()
        R = np.asarray(matrix, np.float64)
        return cls(nameless(len(R)), R, None if zero_shot is None else np.asarray(zero_shot, np.float64), metrics)


@dataclass(frozen=True, eq=False, repr=False)
class Run(Scores):
    """A finished run: its scores, the record and the folder that it lies in."""

    record: Record
    folder: Path

    def __repr__(self) -> str:
        identity = self.record.identity
        what = plain(f"{self.record.title} on {identity.protocol}, seed {identity.seed}")
        return f"Run({what}: {_in_words(self.metrics)}; {self.folder})"

    @classmethod
    def of_record(cls, record: Record, folder: Path) -> Run:
        """The run of a record; its metrics are computed here, for an older record may lack some."""
        tasks, reference = tuple(record.scores["tasks"]), joint_of(record)
        R, zero_shot = np.array(record.scores["matrix"]), np.array(record.scores["zero_shot"])
        joint = None if reference is None else reference.row(tasks)
        metrics = continual_metrics(R, zero_shot, joint, tiny=True).headlines()
        return cls(tasks, R, zero_shot, metrics, record, folder)


@dataclass(frozen=True, eq=False, repr=False)
class EntryComparison:
    """Two entries of one protocol compared: ``headlines`` by metric, ``tasks`` by task after the last one.

    The columns of both frames are ``first``, ``second``, ``difference``, ``low``, ``high`` (in points) and ``p`` and
    ``p_corrected``, ``p_seeds``, ``p_mcnemar``, ``significant``, as :class:`vlcl_bench.scoring.significance.Difference`
    says. ``seeds`` are those of the first, of the second and of both.
    """

    protocol: str
    first: str
    second: str
    headlines: pd.DataFrame
    tasks: pd.DataFrame
    seeds: tuple[int, int, int]

    def __repr__(self) -> str:
        rows = [(column.label, self.headlines.loc[column.id]) for column in HEADLINES]
        lines = [
            f"{label} {row.difference:+.1f} ({row.low:+.1f} to {row.high:+.1f}){' *' * bool(row.significant)}"
            for label, row in rows
        ]
        return f"EntryComparison({self.first} less {self.second} on {self.protocol}: {', '.join(lines)})"


def nameless(count: int) -> tuple[str, ...]:
    """What tasks are called of which only the number is known."""
    return tuple(f"task {number + 1}" for number in range(count))


def _in_words(metrics: Mapping[str, float | None]) -> str:
    return ", ".join(f"{column.label} {format_metric(metrics[column.id])}" for column in HEADLINES)
