"""The records below a folder: those that a board can be made of, and what is wrong with the others.

One bad record must not keep everybody else's from being shown. Whatever reading or scoring a record does ends in a
fault that names it, and the board is made without it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vlcl_bench.board.declarations import Declarations
from vlcl_bench.board.rows import RunSummary
from vlcl_bench.board.summaries import protocol_of, summarise
from vlcl_bench.errors import VlclError
from vlcl_bench.records.files import PREDICTIONS_NAME, RECORD_NAME, read_record
from vlcl_bench.records.guard import Wanted, most_rows, tried
from vlcl_bench.records.schema import Record

RESTORE = "Restore the run from a copy, or delete its folder."


@dataclass(frozen=True)
class Fault:
    """A run that the board is made without: its ``folder``, what is wrong with it, and what to do."""

    folder: Path
    message: str
    hint: str = RESTORE


@dataclass
class Collected:
    """What the board is made of: the runs as it needs them, the same runs' records, and the runs left out."""

    summaries: list[RunSummary] = field(default_factory=list)
    records: list[tuple[Path, Record]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


def collect(runs: Path, declarations: Declarations) -> Collected:
    """Every finished run below ``runs``, each once; the same run in two places, compact or not, is one run."""
    found, seen = Collected(), set[tuple[str, str]]()
    for folder, record in _readable(_records(runs, found), found):
        same = (record.run_hash, record.first_predictions_sha256)
        if same in seen:
            continue
        try:
            found.summaries.append(summarise(record, folder, runs, declarations))
        except Exception as error:
            found.faults.append(fault_of(folder, error))
        else:
            found.records.append((folder, record))
            seen.add(same)
    _drop_repeated_seeds(found)
    found.faults.sort(key=lambda fault: str(fault.folder))
    return found


def fault_of(folder: Path, error: Exception) -> Fault:
    """What went wrong with the run in ``folder``, in words."""
    if isinstance(error, VlclError):
        return Fault(folder, error.message, error.hint or RESTORE)
    return Fault(folder, f"{folder} cannot be shown: {type(error).__name__}: {str(error)[:300]}")


def _records(runs: Path, found: Collected) -> list[tuple[Path, Record]]:
    """The records that can be read, in the order of their folders."""
    records = []
    for folder in sorted(path.parent for path in runs.rglob(RECORD_NAME)):
        try:
            records.append((folder, read_record(folder)))
        except Exception as error:
            found.faults.append(fault_of(folder, error))
    return records


def _readable(records: Sequence[tuple[Path, Record]], found: Collected) -> list[tuple[Path, Record]]:
    """Those whose predictions another process could read with little memory; of those reported only, none are read."""
    files, bad = list[Wanted](), set[Path]()
    for folder, record in records:
        try:
            protocol, scored = protocol_of(folder, record)
            if protocol is not None and scored:
                files.append((folder / PREDICTIONS_NAME, most_rows(protocol), None))
        except Exception as error:
            bad.add(folder)
            found.faults.append(fault_of(folder, error))
    for (path, _, _), (code, message) in zip(files, tried(files), strict=True):
        if code and path.is_file():  # a missing one is named when it is missed
            bad.add(path.parent)
            found.faults.append(Fault(path.parent, f"{path} is damaged: {message}"))
    return [(folder, record) for folder, record in records if folder not in bad]


def _drop_repeated_seeds(found: Collected) -> None:
    """A seed counts once in an entry; of two runs nobody can say which one is meant, so neither counts."""
    by_seed: defaultdict[tuple[object, ...], list[int]] = defaultdict(list)
    for place, run in enumerate(found.summaries):
        reported = run.status == "self-reported"
        by_seed[run.protocol, run.method, run.entry_id, run.backbone, run.track, reported, run.seed].append(place)
    twice = [places for places in by_seed.values() if len(places) > 1]
    for places in twice:
        run, where = found.summaries[places[0]], [found.records[place][0] for place in places]
        words = f"{len(where)} runs of {run.method} on {run.protocol} have seed {run.seed}: " + ", ".join(
            map(str, where)
        )
        found.faults += [Fault(folder, words, "Keep one of the records; a seed counts once.") for folder in where]
    dropped = {place for places in twice for place in places}
    for name in ("summaries", "records"):
        setattr(found, name, [part for place, part in enumerate(getattr(found, name)) if place not in dropped])
