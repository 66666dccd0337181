"""The folder of a run: held by one process, belonging to one identity; its files, and which of them count."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from vlcl_bench.common.fileio import machine_error, remove_leftovers, sha256_file
from vlcl_bench.common.locks import left_behind, take
from vlcl_bench.engine.journal import JOURNAL_NAME, LOCK_NAME, Event, Journal
from vlcl_bench.errors import IntegrityError, UsageError
from vlcl_bench.records.files import (
    PREDICTIONS_NAME,
    RECORD_NAME,
    check_predictions_file,
    read_predictions,
    read_record,
)
from vlcl_bench.records.schema import Identity, Record

STAGE_PREDICTIONS = "predictions"


@dataclass(frozen=True, eq=False)
class RunFolder:
    """The files of a run that is under way; the journal says which of them count and what is in them.

    Stage ``s`` is that after ``s`` tasks, 0 the one before the first.
    """

    path: Path
    journal: Journal

    def state_path(self, stage: int) -> Path:
        """The method's state after a stage."""
        return self.path / f"stage-{stage:02d}" / "state.safetensors"

    def predictions_path(self, stage: int) -> Path:
        """The predictions of a stage."""
        return self.path / STAGE_PREDICTIONS / f"stage-{stage:02d}.parquet"

    def state(self, stage: int) -> Path:
        """The state that was saved after a stage; raises :class:`IntegrityError` where it is missing or another."""
        path, event = self.state_path(stage), self.journal.last("learned", stage=stage)
        if event is None:
            raise IntegrityError(f"{self.journal.path} does not say how stage {stage} was reached")
        if not path.exists() or sha256_file(path) != event["state_sha256"]:
            raise IntegrityError(
                f"the method's state {path} is {'damaged' if path.exists() else 'missing'}",
                f"The run cannot go on from it. Delete {self.path} and give the same command again: it starts over.",
            )
        return path

    def predictions(self, stages: int) -> pd.DataFrame:
        """The predictions of the first ``stages`` stages, from 0 on.

        Raises :class:`IntegrityError` where those of a stage are missing or are not those that were written.
        """
        return pd.concat([self.stage_predictions(stage) for stage in range(stages)], ignore_index=True)

    def stage_predictions(self, stage: int) -> pd.DataFrame:
        """The predictions of a stage; raises :class:`IntegrityError` as :meth:`predictions` does."""
        path, event = self.predictions_path(stage), self.journal.last("evaluated", stage=stage)
        if event is None or not path.exists() or sha256_file(path) != event["predictions_sha256"]:
            raise IntegrityError(
                f"the predictions {path} are {'damaged' if path.exists() else 'missing'}",
                f"Delete {self.path} and give the same command again: it starts over.",
            )
        return read_predictions(path)

    def unchanged(self, stage: int) -> bool:
        """Whether the method is after a stage what it was after the one before, by the journal.

        Its state must be the same bytes, and what it holds beside its state must be known and the same.
        """
        now, before = (self.journal.last("learned", stage=number) for number in (stage, stage - 1))
        if now is None or before is None:
            return False
        kept = (now["state_sha256"], now.get("beside_sha256"))
        return kept[1] is not None and kept == (before["state_sha256"], before.get("beside_sha256"))

    def drop_states(self, end: int) -> None:
        """Delete the states of the stages before ``end``, which no later stage needs."""
        for stage in range(end):
            if self.state_path(stage).parent.exists():
                shutil.rmtree(self.state_path(stage).parent)

    def drop_stage_predictions(self) -> None:
        """Delete the stages' own predictions, which the one predictions file of a finished run replaces."""
        if (self.path / STAGE_PREDICTIONS).exists():
            shutil.rmtree(self.path / STAGE_PREDICTIONS)


@contextmanager
def locked(folder: Path, identity: Identity) -> Iterator[RunFolder]:
    """The run's folder, held by this process alone and belonging to this identity."""
    try:
        refuse_foreign(folder)
        folder.mkdir(parents=True, exist_ok=True)
        handle = (folder / LOCK_NAME).open("w")
    except OSError as error:
        raise machine_error(error, folder) from error
    with handle:
        if not take(handle, folder / LOCK_NAME):
            raise UsageError(
                f"another process is at work in {folder}",
                "Wait until it has ended and give the same command again, or use another out (--out). "
                + left_behind(folder / LOCK_NAME),
            )
        journal = Journal(folder / JOURNAL_NAME)
        started = journal.last("started")
        if started is None:
            journal.append("started", run_hash=identity.run_hash, identity=identity.facts())
        elif started["run_hash"] != identity.run_hash:
            raise UsageError(
                _difference(folder, started, identity), "Name another folder with out (--out), or leave it out."
            )
        elif not journal.last("finished"):
            remove_leftovers(folder)
            journal.append("resumed")
        yield RunFolder(folder, journal)


def refuse_foreign(folder: Path) -> None:
    """Raise :class:`UsageError` where ``folder`` holds something that is no run; nothing is written there."""
    if not folder.is_dir() or (folder / JOURNAL_NAME).exists():
        return
    others = sorted(path.name for path in folder.iterdir() if path.name != LOCK_NAME)
    if others:
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        raise UsageError(
            f"{folder} is not the folder of a run: it holds {', '.join(others[:3])}{more}",
            "Name an empty or new folder with out (--out), or leave that away.",
        )


def finished_record(folder: Path, identity: Identity) -> Record:
    """A finished run's record, after checking that its predictions are the ones it was written with."""
    hint = f"Restore it from a copy, or delete {folder} and give the same command again."
    for needed in (folder / RECORD_NAME, folder / PREDICTIONS_NAME):
        if not needed.exists():
            raise IntegrityError(f"the run in {folder} is finished, but {needed.name} is missing", hint)
    record = read_record(folder)
    check_predictions_file(folder, record, hint)
    if record.identity != identity:
        raise IntegrityError(f"{folder / RECORD_NAME} is the record of another run than the journal's", hint)
    return record


def _difference(folder: Path, started: Event, identity: Identity) -> str:
    old, new = started["identity"], identity.facts()
    changed = [f"{key}: {old.get(key)!r} there, {new[key]!r} here" for key in new if old.get(key) != new[key]]
    return f"{folder} holds another run ({started['run_hash']}); " + "; ".join(changed)
