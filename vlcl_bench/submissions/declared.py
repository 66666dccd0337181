"""What submissions declare of their runs, as the board asks for it (:class:`vlcl_bench.board.declarations`)."""

from __future__ import annotations

import contextlib
from functools import cache
from pathlib import Path

from vlcl_bench.board.declarations import Declaration
from vlcl_bench.errors import IntegrityError
from vlcl_bench.methods.registry import MethodRef, reference_method
from vlcl_bench.methods.source import baselines_folder
from vlcl_bench.records.files import RECORD_NAME, read_record
from vlcl_bench.records.schema import Identity, Record
from vlcl_bench.submissions.manifest import MANIFEST_NAME, Submission, read_submission
from vlcl_bench.submissions.settings import is_declared, undeclared


class SubmissionDeclarations:
    """Reads each submission once; make one for each board, since files may change between two."""

    def __init__(self) -> None:
        self._submission = cache(_submission)
        self._undeclared = cache(_undeclared)
        self._digest = cache(_digest)

    def of(self, folder: Path, record: Record) -> Declaration | None:
        """What the submission declares that ``folder`` lies in: ``NAME/runs/HASH``; ``None`` outside of any.

        One whose ``submission.toml`` cannot be read declares nothing.
        """
        home = folder.absolute().parents[1]
        if folder.parent.name != "runs" or not (home / MANIFEST_NAME).exists():
            return None
        submission, identity = self._submission(home), record.identity
        entries = tuple(dict(entry) for entry in submission.entries) if submission else ()
        is_reference = submission is not None and is_reference_submission(home, submission, identity.method)
        return Declaration(
            entries=entries,
            is_entry=is_declared(identity.settings, entries),
            undeclared=self._undeclared(home, identity.protocol),
            is_reference=is_reference,
            earlier_source=is_reference and self._digest(identity.method) != identity.method_source_sha256,
            owner=home.absolute().name,
        )


def is_reference_submission(folder: Path, submission: Submission, method: str) -> bool:
    """Whether the submission in ``folder`` is of the project's own ``method``, whose file it names and has no other."""
    source = reference_method(method)
    if source is None or folder.absolute().name != method:
        return False
    return submission.method == f"../../baselines/{source.relative_to(baselines_folder()).as_posix()}"


def _submission(folder: Path) -> Submission | None:
    return read_submission(folder)[0]


def _undeclared(folder: Path, protocol: str) -> int:
    """How many different settings a submission's runs on a protocol have beside its declared entries.

    Records that cannot be read are left out, here as on the board.
    """
    submission, identities = _submission(folder), list[Identity]()
    for path in sorted(folder.glob(f"runs/*/{RECORD_NAME}")):
        with contextlib.suppress(IntegrityError):
            identities.append(read_record(path.parent).identity)
    settings = [identity.settings for identity in identities if identity.protocol == protocol]
    return len(undeclared(settings, submission.entries if submission else []))


def _digest(method: str) -> str:
    return MethodRef.parse(method).source_sha256
