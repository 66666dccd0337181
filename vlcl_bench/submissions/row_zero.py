"""Row 0 of a run is the zero-shot model's, whatever the method: its weights and, nearly, its answers are known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vlcl_bench.records.files import read_record
from vlcl_bench.records.schema import Record
from vlcl_bench.submissions.finding import Finding
from vlcl_bench.submissions.submitted_run import SubmittedRun
from vlcl_bench.submissions.text import shown

REFERENCE = Path(__file__).parents[2] / "submissions" / "zero_shot" / "runs"
"""The committed runs of zero-shot."""
ONE_TASK, ON_AVERAGE = 2.0, 0.5
"""By how many points row 0 may differ from zero-shot's: near-ties fall otherwise on other machines."""


def row_zero_findings(run: SubmittedRun) -> Iterator[Finding]:
    """Stage 0 is the zero-shot model, whatever the method: its weights and, nearly, its answers are known."""
    reference = None if run.protocol is None else _zero_shot(run.record)
    if reference is None:
        return
    at, known = run.record_file, reference.identity.backbone_sha256
    if run.record.identity.backbone_sha256 != known:
        message = (f"it starts from other weights ({shown(run.record.identity.backbone_sha256, 12)}) than "
                   f"{run.record.identity.backbone} has ({known[:12]})")  # fmt: skip
        hint = "Use the protocol's backbone as it is, or give other weights under their own name with --backbone."
        yield Finding("backbone", at, message, hint)
    if run.scores is None:
        return
    pairs = zip(run.scores["zero_shot"], reference.scores["zero_shot"], strict=True)
    differences = [here - there for here, there in pairs]
    mean = sum(differences) / len(differences)
    if max(map(abs, differences)) > ONE_TASK or abs(mean) > ON_AVERAGE:
        message = (f"before the first task it differs from zero-shot by {mean:+.1f} points on average, "
                   f"{max(differences, key=abs):+.1f} on one task")  # fmt: skip
        hint = "Row 0 is measured before anything is learned. Say in README.md what the method changes beforehand."
        yield Finding("row-zero", at, message, hint, severity="remark")


def _zero_shot(record: Record) -> Record | None:
    """The committed run of zero-shot under the same protocol and from the backbone of that name."""
    for path in sorted(REFERENCE.glob("*/")):
        known = read_record(path)
        same = ("protocol", "protocol_fingerprint", "backbone", "backbone_source_sha256")
        if all(getattr(known.identity, key) == getattr(record.identity, key) for key in same):
            return known
    return None


