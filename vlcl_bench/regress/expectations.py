"""What reference methods are expected to give: committed records, and how far seeds lie apart."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from vlcl_bench.common.fileio import pretty_json, read_json, write_atomic
from vlcl_bench.engine.prepare import Request
from vlcl_bench.errors import IntegrityError, UsageError, first_invalid
from vlcl_bench.methods.registry import list_methods
from vlcl_bench.records.files import RECORD_NAME, compact_record, read_record
from vlcl_bench.records.schema import Record
from vlcl_bench.scoring.metrics import FloatArray
from vlcl_bench.scoring.reproduction import seed_spread
from vlcl_bench.sweep.plan import read_sweep, requests

FOLDER = Path("tests/expectations")
RUNS_FILE, INDEX = "runs.toml", "expectations.json"


class Index(BaseModel):
    """``expectations.json``: seconds of the calibration when they were made, and each expectation's spread over seeds.

    A spread is the largest minus the smallest of each entry of R ``(T, T)``, in points.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    calibration_seconds: float
    spreads: dict[str, list[list[float]]]


@dataclass(frozen=True)
class Expectation:
    """One run that is expected: ``request`` does it again; ``record`` (``None`` where nothing is stored) is how it was.

    ``spread`` ``(T, T)`` is how far R lies apart over seeds, in points; ``None`` where one seed is known.
    """

    name: str
    request: Request
    folder: Path
    record: Record | None
    spread: FloatArray | None = None
    calibration_seconds: float | None = None


def fast(base: Request, folder: Path = FOLDER) -> list[Expectation]:
    """The short runs of every reference method, seed 0; ``base`` holds what all runs share.

    Raises :class:`UsageError` outside a checkout, or where a method of ``baselines`` has no run in the file.
    """
    path = folder / RUNS_FILE
    if not path.exists():
        raise UsageError(f"there is no {path}", "Expectations are part of the repository: run this in a checkout.")
    index = read_index(folder)
    found: list[Expectation] = []
    for request in requests(read_sweep(path), base):
        if request.seed != 0:
            continue
        name = f"{Path(request.protocol).stem}/{request.method}"
        if name in [one.name for one in found]:
            raise UsageError(f"{path} asks for {name} twice", "A method has one run on a protocol there.")
        own = folder / name
        record = read_record(own) if (own / RECORD_NAME).exists() else None
        known = index.spreads.get(name) if index else None
        spread = None if known is None else np.array(known)
        found.append(Expectation(name, request, own, record, spread, index.calibration_seconds if index else None))
    missing = {info.name for info in list_methods() if info.source == "baselines"} - {x.request.method for x in found}
    if missing:
        raise UsageError(f"{path} has no run of {', '.join(sorted(missing))}", "Add it, then: vlcl regress --update")
    return found


def committed(base: Request, submissions: Path) -> list[Expectation]:
    """The committed records of reference methods, the lowest seed of each entry, with the spread of all its seeds."""
    from vlcl_bench.board.entries import entries

    known = {info.name for info in list_methods() if info.source == "baselines"}
    found = []
    for entry in entries([submissions]):
        if entry.method not in known:
            continue
        seed = min(entry.runs)
        folder, record = entry.runs[seed]
        request = replace(
            base, protocol=entry.protocol, method=entry.method, settings=dict(record.identity.settings), seed=seed
        )
        spread = spread_of([one for _, one in entry.runs.values()])
        found.append(Expectation(f"{entry.protocol}/{entry.name}", request, folder, record, spread))
    return sorted(found, key=lambda one: one.name)


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


def write(folder: Path, runs: Mapping[str, Sequence[Path]], calibration_seconds: float) -> None:
    """Store new expectations: by name the folders of the runs of all seeds, that of seed 0 first.

    What is stored under other names is removed. The index is written last.
    """
    spreads = {}
    for name, own in sorted(runs.items()):
        spread = spread_of([read_record(one) for one in own])
        if spread is not None:
            spreads[name] = spread.round(4).tolist()
    for name, own in runs.items():
        compact_record(own[0], folder / name)
    for path in folder.glob(f"*/*/{RECORD_NAME}"):
        if path.parent.relative_to(folder).as_posix() not in runs:
            shutil.rmtree(path.parent)
    index = Index(calibration_seconds=round(calibration_seconds, 4), spreads=spreads)
    write_atomic(folder / INDEX, pretty_json(index.model_dump(mode="json")))
