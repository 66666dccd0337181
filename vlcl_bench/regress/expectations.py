"""What reference methods are expected to give: committed records, and how far seeds lie apart.

The record of an expectation lies in ``<stream>/<method>/``. Equal answers are promised for one torch build, processor
capability and number of threads only, so results of further machines may lie beside it, in ``machines/<machine>/``.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from vlcl_bench.common.fileio import pretty_json, read_json, write_atomic
from vlcl_bench.engine.prepare import Request
from vlcl_bench.errors import IntegrityError, UsageError, first_invalid
from vlcl_bench.methods.registry import list_methods
from vlcl_bench.records.files import RECORD_NAME, compact_record, read_record
from vlcl_bench.records.schema import Provenance, Record
from vlcl_bench.scoring.metrics import FloatArray
from vlcl_bench.scoring.reproduction import maker, same_machine, seed_spread
from vlcl_bench.sweep.plan import read_sweep, requests

FOLDER = Path("tests/expectations")
RUNS_FILE, INDEX, MACHINES = "runs.toml", "expectations.json", "machines"


class Index(BaseModel):
    """``expectations.json``: seconds of the calibration when they were made, and each expectation's spread over seeds.

    A spread is the largest minus the smallest of each entry of R ``(T, T)``, in points. ``machines`` holds the
    calibration's seconds of further machines, where they are known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    calibration_seconds: float
    spreads: dict[str, list[list[float]]]
    machines: dict[str, float] = {}


@dataclass(frozen=True)
class StoredRun:
    """How a run was on one machine: its folder and record, and the calibration's seconds then (``None``: not known)."""

    folder: Path
    record: Record
    calibration_seconds: float | None = None


@dataclass(frozen=True)
class Expectation:
    """One run that is expected: ``request`` does it again; ``stored`` is how it was, machine by machine.

    ``spread`` ``(T, T)`` is how far R lies apart over seeds, in points; ``None`` where one seed is known.
    """

    name: str
    request: Request
    stored: tuple[StoredRun, ...]
    spread: FloatArray | None = None

    def closest(self, provenance: Provenance) -> StoredRun | None:
        """The result of a machine on which equal answers can be expected of ``provenance``, else the first.

        ``None`` where nothing is stored.
        """
        alike = [stored for stored in self.stored if not same_machine(stored.record.provenance, provenance)]
        return next(iter(alike or self.stored), None)


def fast(base: Request, folder: Path = FOLDER) -> list[Expectation]:
    """The short runs of every reference method, seed 0; ``base`` holds what all runs share.

    Raises :class:`UsageError` outside a checkout, or where a method of ``baselines`` has no run in the file.
    """
    path = folder / RUNS_FILE
    if not path.exists():
        raise UsageError(f"there is no {path}", "Expectations are part of the repository: run this in a checkout.")
    index = read_index(folder)
    expectations: dict[str, Expectation] = {}
    for request in requests(read_sweep(path), base):
        if request.seed != 0:
            continue
        name = f"{Path(request.protocol).stem}/{request.method}"
        if name in expectations:
            raise UsageError(f"{path} asks for {name} twice", "A method has one run on a protocol there.")
        spread = np.array(index.spreads[name]) if index and name in index.spreads else None
        expectations[name] = Expectation(name, request, stored_runs(folder / name, index), spread)
    asked = {expectation.request.method for expectation in expectations.values()}
    missing = {info.name for info in list_methods() if info.source == "baselines"} - asked
    if missing:
        raise UsageError(f"{path} has no run of {', '.join(sorted(missing))}", "Add it, then: vlcl regress --update")
    return list(expectations.values())


def stored_runs(folder: Path, index: Index | None) -> tuple[StoredRun, ...]:
    """The results that lie in the folder of an expectation, the first machine's first; none where there is none yet."""
    if not (folder / RECORD_NAME).exists():
        return ()
    first = StoredRun(folder, read_record(folder), index.calibration_seconds if index else None)
    further = sorted(path.parent for path in folder.glob(f"{MACHINES}/*/{RECORD_NAME}"))
    seconds = index.machines if index else {}
    return (first, *(StoredRun(place, read_record(place), seconds.get(place.name)) for place in further))


def committed(base: Request, submissions: Path) -> list[Expectation]:
    """The committed records of reference methods, the lowest seed of each entry, with the spread of all its seeds."""
    from vlcl_bench.board.entries import entries

    known = {info.name for info in list_methods() if info.source == "baselines"}
    expectations = []
    for entry in entries([submissions]):
        if entry.method not in known:
            continue
        seed = min(entry.runs)
        folder, record = entry.runs[seed]
        request = replace(
            base, protocol=entry.protocol, method=entry.method, settings=dict(record.identity.settings), seed=seed
        )
        spread = spread_of([run for _, run in entry.runs.values()])
        stored = (StoredRun(folder, record),)
        expectations.append(Expectation(f"{entry.protocol}/{entry.name}", request, stored, spread))
    return sorted(expectations, key=lambda expectation: expectation.name)


def spread_of(records: Sequence[Record]) -> FloatArray | None:
    """:func:`seed_spread` of records."""
    return seed_spread([np.array(record.scores["matrix"]) for record in records])


def read_index(folder: Path = FOLDER) -> Index | None:
    """The file beside the stored records; ``None`` where there is none yet."""
    path = folder / INDEX
    if not path.exists():
        return None
    try:
        return Index.model_validate(read_json(path))
    except ValidationError as error:
        raise IntegrityError(f"{path}: {first_invalid(error)}", "Restore it, or: vlcl regress --update") from error


def machine_name(provenance: Provenance) -> str:
    """What the folder of a machine's results is called: all on which equal answers depend."""
    return f"{maker(provenance.processor)}-{provenance.cpu_capability}-{provenance.threads}-torch{provenance.torch}"


def refuse_known(expectations: Iterable[Expectation], machine: Provenance) -> None:
    """Raise :class:`UsageError` where results of such a machine are stored already, or none of any machine."""
    for expectation in expectations:
        if not expectation.stored:
            raise UsageError(
                f"nothing is stored for {expectation.name} beside which another machine's result could lie",
                "Store the first results: vlcl regress --update",
            )
        closest = expectation.closest(machine)
        if closest is not None and not same_machine(closest.record.provenance, machine):
            raise UsageError(
                f"{closest.folder} holds the results of such a machine already ({machine_name(machine)})",
                "Compare with them: vlcl regress. To replace all results by this machine's: vlcl regress --update",
            )


def write(folder: Path, runs: Mapping[str, Sequence[Path]], calibration_seconds: float) -> list[str]:
    """Store new expectations: by name the folders of the runs of all seeds, that of seed 0 first.

    What is stored under other names is removed, and what further machines gave: it was given by other code. Returns
    the names of those machines. The index is written last.
    """
    spreads = {}
    for name, seeds in sorted(runs.items()):
        spread = spread_of([read_record(run) for run in seeds])
        if spread is not None:
            spreads[name] = spread.round(4).tolist()
    machines = {path.name for path in folder.glob(f"*/*/{MACHINES}/*/")}
    for name, seeds in runs.items():
        compact_record(seeds[0], folder / name)
        shutil.rmtree(folder / name / MACHINES, ignore_errors=True)
    for path in folder.glob(f"*/*/{RECORD_NAME}"):
        if path.parent.relative_to(folder).as_posix() not in runs:
            shutil.rmtree(path.parent)
    _write_index(folder, Index(calibration_seconds=round(calibration_seconds, 4), spreads=spreads))
    return sorted(machines)


def add_machine(folder: Path, runs: Mapping[str, Path], calibration_seconds: float | None = None) -> str:
    """Store what this machine gave beside what is stored: by name the folders of the runs of seed 0.

    Returns the name of the machine. Raises :class:`UsageError` as :func:`refuse_known`, before anything is written.
    """
    index = read_index(folder)
    records = {name: read_record(run) for name, run in runs.items()}
    for name, record in records.items():
        stored = Expectation(
            name, Request(record.identity.protocol, record.identity.method), stored_runs(folder / name, index)
        )
        refuse_known([stored], record.provenance)
    (machine,) = {machine_name(record.provenance) for record in records.values()}
    for name, run in runs.items():
        compact_record(run, folder / name / MACHINES / machine)
    if index is not None and calibration_seconds is not None:
        machines = {**index.machines, machine: round(calibration_seconds, 4)}
        _write_index(folder, index.model_copy(update={"machines": machines}))
    return machine


def _write_index(folder: Path, index: Index) -> None:
    without = None if index.machines else {"machines"}
    write_atomic(folder / INDEX, pretty_json(index.model_dump(mode="json", exclude=without)))
