"""The commands as functions, for notebooks and scripts: what ``import vlcl_bench`` offers.

Importing this needs no torch; :func:`run` does. Errors are those of :mod:`vlcl_bench.errors`.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np
import pandas as pd

from vlcl_bench.records.files import RECORD_NAME
from vlcl_bench.records.files import read_record as record_in
from vlcl_bench.records.schema import Record
from vlcl_bench.scoring.metrics import FloatArray, Metrics, continual_metrics, format_metric

if TYPE_CHECKING:
    import numpy.typing as npt

    from vlcl_bench.common.progress import Reporter
    from vlcl_bench.engine.prepare import KeepStates, Request
    from vlcl_bench.engine.sandbox.limits import Limits
    from vlcl_bench.methods.base import Method
    from vlcl_bench.scoring import significance

SHOWN = {"transfer": "Transfer", "avg": "Avg", "last": "Last"}
"""Metrics that a result shows of itself."""


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


@dataclass(frozen=True, eq=False, repr=False)
class Run(Scores):
    """A finished run: its scores, the record and the folder that it lies in."""

    record: Record
    folder: Path

    def __repr__(self) -> str:
        identity = self.record.identity
        what = f"{self.record.title} on {identity.protocol}, seed {identity.seed}"
        return f"Run({what}: {_in_words(self.metrics)}; {self.folder})"


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
        lines = [
            f"{SHOWN[name]} {row.difference:+.1f} ({row.low:+.1f} to {row.high:+.1f}){' *' * bool(row.significant)}"
            for name, row in self.headlines.iterrows()
            if name in SHOWN
        ]
        return f"EntryComparison({self.first} less {self.second} on {self.protocol}: {', '.join(lines)})"


class Options(TypedDict, total=False):
    """Further options of :func:`run`, each as the command's option of that name.

    ``progress`` is ``False`` for silence, or a :class:`~vlcl_bench.common.progress.Reporter` of one's own.
    """

    out: str | Path | None
    runs: str | Path
    store: str | Path | None
    data_root: str | Path | None
    hub_root: str | Path | None
    keep_states: KeepStates
    isolation: str | None
    limits: Limits
    progress: bool | Reporter


def run(
    protocol: str | Path,
    method: str | Path | type[Method],
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    backbone: str | None = None,
    device: str = "auto",
    **options: Unpack[Options],
) -> Run:
    """Run a method on a protocol, as ``vlcl run`` does: the same call goes on after a stop, or returns a finished run.

    ``method`` is a name, the path of a file or submission, or a class of this process. A class lives inline, and its
    run's identity rests on its source and on what it uses beside it (:mod:`vlcl_bench.methods.class_source`). Raises
    :class:`UsageError` for a name, setting or class that cannot be used, and whatever else ends the command.
    """
    from vlcl_bench.engine.run import run as run_engine

    reporter = _reporter(options.pop("progress", True))
    outcome = run_engine(_request(str(protocol), method, seed, settings, backbone, device, options), reporter)
    return _run_of(outcome.folder, outcome.record)


def read_record(folder: str | Path) -> Record:
    """The record of a finished run, from its folder or its ``run.json``.

    Raises :class:`UsageError` where there is none, :class:`IntegrityError` where it is damaged.
    """
    return record_in(_folder(folder))


def score(run: Run | str | Path | npt.ArrayLike, zero_shot: npt.ArrayLike | None = None) -> Scores:
    """The scores of a run, counted again from its stored predictions, or the metrics of a matrix.

    ``run`` is a run, its folder, a file with a matrix (CSV or JSON, in percent), or R ``(T, T)`` in percent itself,
    with ``zero_shot`` ``(T,)`` where it is known. Raises :class:`UsageError` for what is none of these and
    :class:`IntegrityError` for damaged predictions.
    """
    from vlcl_bench.records.rescoring import rescored
    from vlcl_bench.scoring.matrix_file import read_matrix

    if isinstance(run, Run):
        run = run.folder
    if not isinstance(run, str | Path):
        return _scores_of(np.asarray(run), zero_shot)
    if Path(run).is_file() and Path(run).name != RECORD_NAME:
        matrix, row0 = read_matrix(Path(run), with_zero_shot=False)
        return _scores_of(matrix, row0 if zero_shot is None else zero_shot)
    folder = _folder(run)
    scores = rescored(folder, record_in(folder))
    return Scores(tuple(scores["tasks"]), *_parts(scores))


def compare(
    first: Run | str | Path,
    second: Run | str | Path,
    protocol: str | None = None,
    places: Sequence[str | Path] = ("submissions", "runs"),
    draws: int = 10_000,
) -> EntryComparison:
    """By how much the first entry is better than the second, as ``vlcl compare`` says it.

    Each is a run, a run's folder, or a name as on the board (``l2``, ``zscl:l2_weight=0``), looked for in ``places``.
    Raises :class:`UsageError` where a name means none or several, or the two share no protocol.
    """
    from vlcl_bench.board.entries import find_pair
    from vlcl_bench.scoring import significance

    names = [str(entry.folder if isinstance(entry, Run) else entry) for entry in (first, second)]
    pair = find_pair(names[0], names[1], protocol, [Path(place) for place in places])
    compared = significance.compare(pair[0].item_scores(), pair[1].item_scores(), draws)
    return EntryComparison(
        pair[0].protocol, pair[0].name, pair[1].name, _frame(compared.headlines), _frame(compared.tasks), compared.seeds
    )


def leaderboard(
    runs: str | Path = "runs", out: str | Path | None = None, include_unverifiable: bool = False
) -> pd.DataFrame:
    """Build the board of all runs below a folder, and return its rows as they stand in ``leaderboard.csv``.

    ``out`` is the folder of the board, by default ``board`` within ``runs``. Raises :class:`UsageError` where there is
    no such folder.
    """
    from vlcl_bench.board.build import build_from_runs
    from vlcl_bench.submissions.declared import SubmissionDeclarations

    folder = Path(runs) / "board" if out is None else Path(out)
    build_from_runs(Path(runs), folder, SubmissionDeclarations(), include_unverifiable=include_unverifiable)
    return pd.read_csv(folder / "leaderboard.csv")


def _request(
    protocol: str,
    method: str | Path | type[Method],
    seed: int,
    settings: Mapping[str, Any] | None,
    backbone: str | None,
    device: str,
    options: Options,
) -> Request:
    from vlcl_bench.cli.run import check_keep_states
    from vlcl_bench.engine.prepare import Request
    from vlcl_bench.engine.sandbox.kinds import check_isolation
    from vlcl_bench.engine.sandbox.limits import Limits
    from vlcl_bench.errors import UsageError
    from vlcl_bench.methods.class_source import IN_A_FILE, ClassRef
    from vlcl_bench.methods.registry import MethodRef

    isolation = options.get("isolation")
    if inspect.isclass(method):
        ref: MethodRef = ClassRef.of(method)
        if isolation not in (None, "inline"):
            raise UsageError(f"class {ref.name} cannot live in another process", IN_A_FILE)
        isolation = "inline"
    else:
        ref = MethodRef.parse(str(method))
    return Request(
        protocol=protocol, method=ref.name if inspect.isclass(method) else str(method), settings=dict(settings or {}),
        seed=seed, backbone=backbone, device=device, out=_path(options.get("out")),
        runs=Path(options.get("runs", "runs")), store=_path(options.get("store")),
        data_root=_path(options.get("data_root")), hub_root=_path(options.get("hub_root")),
        keep_states=check_keep_states(options.get("keep_states", "last")),
        isolation=check_isolation(isolation or os.environ.get("VLCL_ISOLATION") or ref.default_isolation),
        limits=options.get("limits") or Limits(), method_ref=ref if inspect.isclass(method) else None,
    )  # fmt: skip


def _reporter(progress: bool | Reporter) -> Reporter:
    from rich.console import Console

    from vlcl_bench.common.progress import Reporter, RichReporter

    if isinstance(progress, bool):
        return RichReporter(Console(stderr=True)) if progress else Reporter()
    return progress


def _run_of(folder: Path, record: Record) -> Run:
    return Run(tuple(record.scores["tasks"]), *_parts(record.scores), record=record, folder=folder)


def _parts(scores: Mapping[str, Any]) -> tuple[FloatArray, FloatArray, dict[str, float | None]]:
    """R, row 0 and the headline numbers of scores as records hold them."""
    headlines = {name: value for name, value in scores["metrics"].items() if not isinstance(value, list)}
    return np.array(scores["matrix"]), np.array(scores["zero_shot"]), headlines


def _scores_of(matrix: npt.ArrayLike, zero_shot: npt.ArrayLike | None) -> Scores:
    metrics: Metrics = continual_metrics(matrix, zero_shot)
    row0 = None if zero_shot is None else np.asarray(zero_shot, np.float64)
    R = np.asarray(matrix, np.float64)
    return Scores(tuple(f"task {number + 1}" for number in range(len(R))), R, row0, metrics.headlines())


def _frame(differences: Sequence[significance.Difference]) -> pd.DataFrame:
    rows = [{**vars(difference), "significant": difference.significant} for difference in differences]
    return pd.DataFrame(rows).set_index("name")


def _folder(place: str | Path) -> Path:
    path = Path(place)
    return path.parent if path.name == RECORD_NAME else path


def _path(place: str | Path | None) -> Path | None:
    return None if place is None else Path(place)


def _in_words(metrics: Mapping[str, float | None]) -> str:
    return ", ".join(f"{words} {format_metric(metrics[name])}" for name, words in SHOWN.items())
