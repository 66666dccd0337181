"""The commands as functions, for notebooks and scripts: what ``import vlcl_bench`` offers.

Importing this needs no torch; :func:`run` does. Errors are those of :mod:`vlcl_bench.errors`.
"""

from __future__ import annotations

import inspect
import operator
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np
import pandas as pd

from vlcl_bench.cli.results import EntryComparison, Run, Scores, nameless
from vlcl_bench.common.environment import value_of
from vlcl_bench.common.plain import plain
from vlcl_bench.errors import UsageError, nearest
from vlcl_bench.records.files import RECORD_NAME
from vlcl_bench.records.files import read_record as record_in
from vlcl_bench.records.schema import Record

if TYPE_CHECKING:
    import numpy.typing as npt

    from vlcl_bench.common.progress import Reporter
    from vlcl_bench.engine.prepare import KeepStates, Request
    from vlcl_bench.engine.sandbox.limits import Limits
    from vlcl_bench.methods.base import Method
    from vlcl_bench.scoring import significance
    from vlcl_bench.scoring.matrix_parts import Reading

FEWEST_DRAWS = 100
"""As of ``vlcl compare``."""


class Options(TypedDict, total=False):
    """Further options of :func:`run`, which says what they mean."""

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
    :class:`UsageError` for a name, setting, option or class that cannot be used, and whatever else ends the command.

    Further options are:

    * ``out``: folder of this run, instead of ``runs/<hash>``
    * ``runs``: folder of all runs, in which this one gets ``<hash>``; ``"runs"`` by default
    * ``store``: folder of decoded pictures
    * ``data_root``: folder with real data; ``hub_root``: folder with copies of data sets from the hub
    * ``keep_states``: which states of the method to keep when done, ``"none"``, ``"last"`` (the default) or ``"all"``
    * ``isolation``: where the method lives, ``"inline"``, ``"process"`` (the default for a file or a submission) or
      ``"container"``
    * ``limits``: time, memory and readable files of a method in its own process, a
      :class:`~vlcl_bench.engine.sandbox.limits.Limits`
    * ``progress``: ``False`` for silence, or a :class:`~vlcl_bench.common.progress.Reporter` of one's own
    """
    _check_options(options)
    from vlcl_bench.engine.run import run as run_engine

    reporter = _reporter(options.pop("progress", True))
    outcome = run_engine(_request(str(protocol), method, seed, settings, backbone, device, options), reporter)
    return Run.of_record(outcome.record, outcome.folder)


def read_record(folder: str | Path) -> Record:
    """The record of a finished run, from its folder or its ``run.json``.

    Raises :class:`UsageError` where there is none, :class:`IntegrityError` where it is damaged.
    """
    return record_in(_folder(folder))


def score(
    run: Run | str | Path | npt.ArrayLike,
    zero_shot: npt.ArrayLike | None = None,
    joint: str | Path | None = None,
    protocol: str | Path | None = None,
    **reading: bool,
) -> Scores:
    """The scores of a run, counted again from its stored predictions, or the metrics of a matrix.

    ``run`` is a run, its folder, a file with a matrix (CSV or JSON, in percent), or R ``(T, T)`` in percent itself,
    with ``zero_shot`` ``(T,)`` where it is known. ``joint`` is the file of a jointly trained reference
    (:mod:`vlcl_bench.scoring.joint`); of a run that of the package counts without one, if there is one. ``protocol`` is
    the TOML file of a run's protocol where that is not one of the package's. Raises :class:`UsageError` for what is
    none of these and :class:`IntegrityError` for damaged predictions.

    ``reading`` says how a matrix is meant, as the options of ``vlcl score`` do: ``lower``, and of a file also
    ``with_zero_shot``, ``header``, ``index``, ``means``, ``fractions``
    (:class:`~vlcl_bench.scoring.matrix_parts.Reading`).
    """
    from vlcl_bench.records.rescoring import rescored_with_joint
    from vlcl_bench.scoring.joint import read_joint
    from vlcl_bench.scoring.matrix_file import read_matrix
    from vlcl_bench.scoring.metrics import ScoreMatrix

    place = _place(run)
    if place is not None and (not place.is_file() or place.name == RECORD_NAME):
        folder = _folder(place)
        scores = rescored_with_joint(folder, record_in(folder), _path(protocol), _path(joint))
        headlines = {name: value for name, value in scores["metrics"].items() if not isinstance(value, list)}
        return Scores(tuple(scores["tasks"]), np.array(scores["matrix"]), np.array(scores["zero_shot"]), headlines)
    matrix: Any = run
    how = _reading(reading)
    lower = bool(how.lower)
    if place is not None:
        found = read_matrix(place, how)
        matrix, lower = found.R, found.lower
        zero_shot = found.zero_shot if zero_shot is None else zero_shot
    row = None
    if joint is not None:
        count = len(matrix) if lower or place is not None else ScoreMatrix.of(matrix, zero_shot, None, tiny=False).T
        row = read_joint(Path(joint)).row(nameless(count))
    return Scores.of_matrix(matrix, zero_shot, row, lower=lower, tiny=place is not None)


def compare(
    first: Run | str | Path,
    second: Run | str | Path,
    protocol: str | Path | None = None,
    places: str | Path | Sequence[str | Path] = ("submissions", "runs"),
    draws: int = 10_000,
) -> EntryComparison:
    """By how much the first entry is better than the second, as ``vlcl compare`` says it.

    Each is a run, a run's folder or hash, or a name as on the board (``l2``, ``zscl:l2_weight=0``), looked for in
    ``places``, one folder or several. ``protocol`` is a name, or the TOML file of a protocol of one's own. Samples and
    seeds are drawn again ``draws`` times, at least 100. Raises :class:`UsageError` where a name means none or several,
    or the two share no protocol.
    """
    from vlcl_bench.board.pairs import find_pair, item_scores
    from vlcl_bench.scoring import significance

    if draws < FEWEST_DRAWS:
        raise UsageError(f"draws is {draws}; it must be at least {FEWEST_DRAWS}", "Leave it out for the default.")
    names = [str(_place(entry) or entry) for entry in (first, second)]
    folders = [places] if isinstance(places, str | Path) else places
    pair = find_pair(names[0], names[1], protocol, [Path(folder) for folder in folders])
    compared = significance.compare(*item_scores(pair, protocol), draws)
    return EntryComparison(
        pair[0].protocol, pair[0].name, pair[1].name, _frame(compared.headlines), _frame(compared.tasks), compared.seeds
    )


def leaderboard(
    runs: str | Path = "runs", out: str | Path | None = None, include_unverifiable: bool = False
) -> pd.DataFrame:
    """Build the board of all runs below a folder, and return its rows as they stand in ``leaderboard.csv``.

    ``out`` is the folder of the board, by default ``board`` within ``runs``. A damaged run is left out, with a warning.
    Raises :class:`UsageError` where there is no such folder.
    """
    from vlcl_bench.board.build import build_from_runs
    from vlcl_bench.submissions.declared import SubmissionDeclarations

    folder = Path(runs) / "board" if out is None else Path(out)
    built = build_from_runs(Path(runs), folder, SubmissionDeclarations(), include_unverifiable=include_unverifiable)
    for fault in built["faults"]:
        warnings.warn(plain(f"left out: {fault['folder']}: {fault['message']}"), stacklevel=2)
    return pd.read_csv(folder / "leaderboard.csv")


def _reading(words: Mapping[str, bool]) -> Reading:
    """What the caller says of a matrix; raises :class:`UsageError` for a word that is none."""
    from vlcl_bench.scoring import matrix_parts

    known = matrix_parts.Reading.__dataclass_fields__
    for word in words:
        if word not in known:
            raise UsageError(f"unknown option {word!r} of score", nearest(word, known))
    return matrix_parts.Reading(**words)


def _check_options(options: Mapping[str, Any]) -> None:
    """Raise :class:`UsageError` for an option that :func:`run` does not have: a misspelt one would pass unseen."""
    known = {*inspect.signature(run).parameters, *Options.__annotations__} - {"options"}
    for name in sorted(options.keys() - known):
        raise UsageError(f"run has no option {name!r}", nearest(name, known))


def _seed(seed: object) -> int:
    """A seed as a whole number of Python's; raises :class:`UsageError` for anything else."""
    try:
        if isinstance(seed, bool):
            raise TypeError
        return operator.index(seed)  # type: ignore[arg-type]
    except TypeError as error:
        raise UsageError(f"seed is {seed!r}; it must be a whole number") from error


def _settings(settings: object) -> dict[str, Any]:
    """Settings by name; raises :class:`UsageError` for anything that is no mapping of names."""
    if settings is None:
        return {}
    if not isinstance(settings, Mapping) or not all(isinstance(name, str) for name in settings):
        raise UsageError(
            f"settings is {settings!r}; it must be a mapping from names to values", "For instance: {'alpha': 0.5}"
        )
    return dict(settings)


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
        protocol=protocol, method=ref.name if inspect.isclass(method) else str(method), settings=_settings(settings),
        seed=_seed(seed), backbone=backbone, device=device, out=_path(options.get("out")),
        runs=Path(options.get("runs", "runs")), store=_path(options.get("store")),
        data_root=_path(options.get("data_root")), hub_root=_path(options.get("hub_root")),
        keep_states=check_keep_states(options.get("keep_states", "last")),
        isolation=check_isolation(isolation or value_of("VLCL_ISOLATION") or ref.default_isolation),
        limits=options.get("limits") or Limits(), method_ref=ref if inspect.isclass(method) else None,
    )  # fmt: skip


def _reporter(progress: bool | Reporter) -> Reporter:
    from rich.console import Console

    from vlcl_bench.common.progress import Reporter, RichReporter

    if isinstance(progress, bool):
        return RichReporter(Console(stderr=True)) if progress else Reporter()
    return progress


def _frame(differences: Sequence[significance.Difference]) -> pd.DataFrame:
    rows = [{**vars(difference), "significant": difference.significant} for difference in differences]
    return pd.DataFrame(rows).set_index("name")


def _place(run: object) -> Path | None:
    """Where a run or a file lies, ``None`` for what is no place; raises :class:`UsageError` for a record."""
    if isinstance(run, Record):
        raise UsageError(
            f"a record ({run.run_hash}) does not say where its predictions lie", "Give the run or its folder."
        )
    if isinstance(run, Run):
        return run.folder
    return Path(run) if isinstance(run, str | Path) else None


def _folder(place: str | Path) -> Path:
    path = Path(place)
    return path.parent if path.name == RECORD_NAME else path


def _path(place: str | Path | None) -> Path | None:
    return None if place is None else Path(place)
