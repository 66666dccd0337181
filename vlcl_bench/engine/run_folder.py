"""The folder of a run: held by one process, belonging to one identity."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vlcl_bench.common.fileio import machine_error, remove_leftovers, sha256_file
from vlcl_bench.engine.journal import JOURNAL_NAME, LOCK_NAME, Event, Journal
from vlcl_bench.errors import IntegrityError, UsageError
from vlcl_bench.records.files import PREDICTIONS_NAME, RECORD_NAME, read_record
from vlcl_bench.records.schema import Identity, Record

if TYPE_CHECKING:
    pass

STAGE_PREDICTIONS = "predictions"


@contextmanager
def locked(folder: Path, identity: Identity) -> Iterator[Journal]:
    """The run's folder, held by this process alone and belonging to this identity."""
    try:
        refuse_foreign(folder)
        folder.mkdir(parents=True, exist_ok=True)
        handle = (folder / LOCK_NAME).open("w")
    except OSError as error:
        raise machine_error(error, folder) from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(
                f"another process is at work in {folder}",
                "Wait until it has ended and give the same command again, or use another --out.",
            ) from error
        journal = Journal(folder / JOURNAL_NAME)
        started = journal.last("started")
        if started is None:
            journal.append("started", run_hash=identity.run_hash, identity=identity.facts())
        elif started["run_hash"] != identity.run_hash:
            raise UsageError(_difference(folder, started, identity), "Name another folder with --out, or leave it out.")
        elif not journal.last("finished"):
            remove_leftovers(folder)
            journal.append("resumed")
        yield journal


def refuse_foreign(folder: Path) -> None:
    """Raise :class:`UsageError` where ``folder`` holds something that is no run; nothing is written there."""
    if not folder.is_dir() or (folder / JOURNAL_NAME).exists():
        return
    others = sorted(path.name for path in folder.iterdir() if path.name != LOCK_NAME)
    if others:
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        raise UsageError(
            f"{folder} is not the folder of a run: it holds {', '.join(others[:3])}{more}",
            "Name an empty or new folder with --out, or leave --out out.",
        )


def finished_record(folder: Path, identity: Identity) -> Record:
    """A finished run's record, after checking that its predictions are the ones it was written with."""
    hint = f"Restore it from a copy, or delete {folder} and give the same command again."
    path = folder / PREDICTIONS_NAME
    for needed in (folder / RECORD_NAME, path):
        if not needed.exists():
            raise IntegrityError(f"the run in {folder} is finished, but {needed.name} is missing", hint)
    record = read_record(folder)
    if sha256_file(path) != record.predictions_sha256:
        raise IntegrityError(f"{path} is damaged: it is not the file that the record was written with", hint)
    if record.identity != identity:
        raise IntegrityError(f"{folder / RECORD_NAME} is the record of another run than the journal's", hint)
    return record


def drop_stage_predictions(folder: Path) -> None:
    """Delete the stages' own predictions, which the one predictions file of a finished run replaces."""
    if (folder / STAGE_PREDICTIONS).exists():
        shutil.rmtree(folder / STAGE_PREDICTIONS)


def _difference(folder: Path, started: Event, identity: Identity) -> str:
    old, new = started["identity"], identity.facts()
    changed = [f"{key}: {old.get(key)!r} there, {new[key]!r} here" for key in new if old.get(key) != new[key]]
    return f"{folder} holds another run ({started['run_hash']}); " + "; ".join(changed)
