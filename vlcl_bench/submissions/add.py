"""``vlcl submit add``: copies finished runs of a submission into it, compact."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vlcl_bench.common.fileio import current_umask, machine_error, remove_half_written, sync_folder
from vlcl_bench.errors import IntegrityError, UsageError
from vlcl_bench.protocols.load import load_protocol, protocol_names
from vlcl_bench.records.files import PREDICTIONS_NAME, RECORD_NAME, check_predictions_file, compact_record, read_record
from vlcl_bench.records.rescoring import can_rescore, rescored
from vlcl_bench.records.schema import Record
from vlcl_bench.submissions.files import LEFTOVER, RUN_FILES, RUN_HASH
from vlcl_bench.submissions.finding import Finding
from vlcl_bench.submissions.manifest import Submission, method_file, read_submission
from vlcl_bench.submissions.record_checks import score_findings
from vlcl_bench.submissions.sources import submission_digest

AGAIN = "Run it again, and add the new run."


@dataclass(frozen=True)
class Added:
    """What became of a run: where it is now, the record there, its size in bytes, and whether it was there before."""

    folder: Path
    record: Record
    size: int
    before: bool
    note: str = ""


def add_runs(runs: Sequence[Path], submission: Path) -> list[Added]:
    """Copy finished runs into ``submission/runs/<hash>/``; doing it again changes nothing.

    All of them are looked at before any is copied. Raises :class:`UsageError` for a run that is not finished, or not of
    this submission's method as its file is now, and :class:`IntegrityError` for a damaged one.
    """
    manifest, digest = _read(submission)
    records = [_checked(run, submission, digest) for run in runs]
    _remove_leftovers(submission / "runs")
    return [_copy(run, record, submission, manifest) for run, record in zip(runs, records, strict=True)]


def _remove_leftovers(folder: Path) -> None:
    """Delete what an ``add`` that was killed left half-copied; the runs that it was at work on are added again."""
    for path in folder.glob("*"):
        if LEFTOVER.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif RUN_HASH.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
            for name in RUN_FILES:
                remove_half_written(path / name)


def _read(submission: Path) -> tuple[Submission, str]:
    """What the submission declares, and the digest of its method's source."""
    if not submission.is_dir():
        raise UsageError(f"there is no folder {submission}", "Make one with: vlcl submit new NAME")
    manifest, findings = read_submission(submission)
    path = None
    if manifest is not None:
        path, findings = method_file(submission, manifest)
    if manifest is None or path is None or not path.is_file():
        missing = Finding("method-unreadable", ".", f"there is no {path}", "Write the method.")
        first = findings[0] if findings else missing
        raise UsageError(f"{submission} is no submission yet: {first.where}: {first.message}", first.hint)
    return manifest, submission_digest(submission, path)


def _checked(run: Path, submission: Path, digest: str) -> Record:
    record, name = read_record(run), submission.absolute().name
    identity = record.identity
    if identity.method != name:
        raise UsageError(
            f"{run} is a run of the method {identity.method!r}, not of {name!r}",
            f"Run the folder itself: vlcl run --protocol {identity.protocol} --method {submission}",
        )
    if identity.method_source_sha256 != digest:
        raise UsageError(
            f"{run} was made with another version of the method's files than {submission} has now",
            "Restore them, or run it again.",
        )
    if identity.protocol not in protocol_names():
        raise UsageError(
            f"{run} was run under the protocol {identity.protocol!r}, which is none of vlcl-bench's",
            "Known: " + ", ".join(protocol_names()) + ".",
        )
    if load_protocol(identity.protocol).frozen or can_rescore(record):
        findings = score_findings(record, rescored(run, record), str(run / RECORD_NAME))
        if findings:
            raise IntegrityError(f"{run / RECORD_NAME} was changed: {findings[0].message}", AGAIN)
    else:
        check_predictions_file(run, record, AGAIN)
    return record


def _copy(run: Path, record: Record, submission: Path, manifest: Submission) -> Added:
    target = submission / "runs" / record.run_hash
    note = ""
    if record.track != manifest.track:
        note = f"the run is in the track {record.track!r}; submission.toml says {manifest.track!r}"
    if (target / RECORD_NAME).exists():
        there = read_record(target)
        if there.first_predictions_sha256 != record.first_predictions_sha256:
            raise UsageError(
                f"{target} holds the same run with other answers",
                "Keep one of the two: delete that folder to take the new one.",
            )
        if (target / PREDICTIONS_NAME).is_file():
            check_predictions_file(target, there, "Delete that folder, and add again.")
            return Added(target, there, _size(target), before=True, note=note)
    return Added(target, _whole_or_absent(run, target), _size(target), before=False, note=note)


def _whole_or_absent(run: Path, target: Path) -> Record:
    """The compact record of ``run`` as the folder ``target``, which a kill leaves whole or not there at all."""
    if target.exists():
        return compact_record(run, target)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        beside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent))
    except OSError as error:
        raise machine_error(error, target) from error
    try:
        record = compact_record(run, beside)
        beside.chmod(0o777 & ~current_umask())
        beside.rename(target)
        sync_folder(target.parent)
    except OSError as error:
        raise machine_error(error, target) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return record


def _size(folder: Path) -> int:
    return sum((folder / name).stat().st_size for name in (RECORD_NAME, PREDICTIONS_NAME))
