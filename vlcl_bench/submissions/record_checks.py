"""What a record of a submission says: is it this method's, was it made under today's protocol, is all declared?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlcl_bench.common.fileio import canonical_json
from vlcl_bench.errors import VlclError
from vlcl_bench.protocols.load import load_protocol, protocol_names
from vlcl_bench.protocols.stream import Protocol
from vlcl_bench.records.schema import Record
from vlcl_bench.submissions.consistency import consistency_findings
from vlcl_bench.submissions.finding import Finding
from vlcl_bench.submissions.likeness import taken_title
from vlcl_bench.submissions.manifest import Submission
from vlcl_bench.submissions.submitted_run import AGAIN, EDITED, SubmittedRun
from vlcl_bench.submissions.text import shown

LONGEST_TITLE, LONGEST_SETTINGS = 60, 2000
"""Characters of what the board shows in one cell: the method's title, and its settings as JSON."""
TOLERANCE = 1e-6
COMMITTED = Path(__file__).parents[2] / "submissions"
"""The submissions of the repository that this code is of, which may be another than the one that is looked at."""


@dataclass(frozen=True)
class SubmittedMethod:
    """What records must say of the method: its name (the folder's), the digest of its source, what is declared.

    The source of one of the project's own methods may change while its records stay.
    """

    name: str
    source_sha256: str | None
    declared: Submission | None
    is_reference: bool = False


def todays_protocol(name: str) -> Protocol | None:
    """The protocol of that name, ``None`` where there is none."""
    return load_protocol(name) if name in protocol_names() else None


def record_findings(run: SubmittedRun, method: SubmittedMethod) -> Iterator[Finding]:
    """What a well-formed record says that cannot be, or that is not this submission's."""
    yield from _identity_findings(run, method)
    yield from _size_findings(run, method)
    if run.protocol is None:
        message = f"there is no protocol {shown(run.record.identity.protocol)}"
        yield Finding("unknown-protocol", run.record_file, message, "Known: " + ", ".join(protocol_names()) + ".")
    else:
        yield from _protocol_findings(run.record, run.record_file, run.protocol)
        yield from _budget_findings(run.record, run.record_file, run.protocol)
    yield from _declaration_findings(run.record, run.record_file, method.declared)
    yield from consistency_findings(run.record, run.record_file, run.protocol)


def _identity_findings(run: SubmittedRun, method: SubmittedMethod) -> Iterator[Finding]:
    """Hashes and names that do not fit each other."""
    record, identity, at = run.record, run.record.identity, run.record_file
    if identity.run_hash != record.run_hash:
        message = f"its identity has the run hash {identity.run_hash}; it says {shown(record.run_hash)}"
        yield Finding("run-hash", at, message, EDITED)
    if run.folder.name != identity.run_hash:
        message = f"the folder is named {run.folder.name}; the run's hash is {identity.run_hash}"
        yield Finding("folder-name", at, message, "Copy runs in with `vlcl submit add`, which names the folder.")
    if identity.method != method.name:
        message = f"it is a run of {shown(identity.method)}, not of {shown(method.name)}"
        yield Finding("other-method", at, message, f"Run the folder: vlcl run --method submissions/{method.name} …")
    if method.source_sha256 is not None and identity.method_source_sha256 != method.source_sha256:
        message = (
            f"it was made with another source (SHA-256 {shown(identity.method_source_sha256, 12)}) than the method's "
            f"files have now ({method.source_sha256[:12]})"
        )
        if method.is_reference:
            hint = "The board says so beside its scores; the method's runs may be made again."
            yield Finding("earlier-source", at, message, hint, "remark")
        else:
            hint = "A method's files are frozen with its runs: restore them, or run again."
            yield Finding("other-source", at, message, hint)


def _size_findings(run: SubmittedRun, method: SubmittedMethod) -> Iterator[Finding]:
    """What would not fit into a cell of the board, or be taken for another's."""
    record, at = run.record, run.record_file
    if len(record.title) > LONGEST_TITLE:
        message = f"its title has {len(record.title)} characters, at most {LONGEST_TITLE} are shown"
        yield Finding("title", at, message, "Shorten it.")
    if len(canonical_json(record.identity.settings)) > LONGEST_SETTINGS:
        message = f"its settings are longer than {LONGEST_SETTINGS} characters"
        yield Finding("settings-size", at, message, "Keep tables in the method.")
    if whose := taken_title(record.title, method.name, COMMITTED):
        message = f"its title {shown(record.title)} is, or looks like, {whose}"
        yield Finding("title", at, message, "Give the method a title of its own.")


def is_todays(record: Record, protocol: Protocol) -> bool:
    """Whether the protocol here is the one that the run was made under, so that its answers can be scored."""
    try:
        return protocol.fingerprint == record.identity.protocol_fingerprint
    except VlclError:  # no manifest of one of its data sets is here
        return False


def _protocol_findings(record: Record, at: str, protocol: Protocol) -> Iterator[Finding]:
    identity = record.identity
    if identity.protocol_version != protocol.version:
        message = f"it was run under version {identity.protocol_version} of {protocol.name}, now {protocol.version}"
        yield Finding("protocol-version", at, message, "Rows of several versions are never mixed. " + AGAIN)
    try:
        fingerprint = protocol.fingerprint
    except VlclError as error:
        message = f"{error.message}; its scores are shown as self-reported"
        yield Finding("not-rescored", at, message, severity="remark")
    else:
        if identity.protocol_fingerprint != fingerprint:
            message = (f"it was run under {protocol.name} with fingerprint {shown(identity.protocol_fingerprint, 12)}; "
                       f"today's is {fingerprint[:12]}")  # fmt: skip
            yield Finding("fingerprint", at, message, "Other data, prompts or budget give other numbers. " + AGAIN)


def _budget_findings(record: Record, at: str, protocol: Protocol) -> Iterator[Finding]:
    usage, budget, tasks = record.usage, protocol.budget, len(protocol.tasks)
    if usage.task_budget != tasks * budget.presentations:
        message = f"its budget is {usage.task_budget:,} pictures; the protocol's is {tasks * budget.presentations:,}"
        yield Finding("budget", at, message, EDITED)
    spent = {
        "task": (usage.task_pictures, budget.presentations),
        "reference": (usage.reference_pictures, budget.reference_presentations),
        "synthetic": (usage.synthetic_pictures, budget.reference_presentations),
    }
    for kind, (count, most) in spent.items():
        if count > tasks * most and record.track != "open-budget":
            message = f"it drew {count:,} {kind} pictures; {tasks * most:,} are in the track 'standard', which it says"
            yield Finding("track", at, message, EDITED)


def _declaration_findings(record: Record, at: str, declared: Submission | None) -> Iterator[Finding]:
    identity, usage = record.identity, record.usage
    if usage.generated_pictures + usage.synthetic_pictures > 0 and "generator" not in identity.reference:
        message = "it used synthetic pictures, and its identity names no generator"
        yield Finding("auxiliary", at, message, EDITED)
    if declared is None:
        return
    if record.track == "open-budget" and declared.track == "standard":
        message = "the run drew more pictures than the budget allows (track 'open-budget'); declared is 'standard'"
        yield Finding("declared-track", at, message, 'Write track = "open-budget", or stay within the budget.')
    for kind, value in identity.reference.items():
        name = (value.split() or [""])[0]
        if not name or not declared.mentions(name, declared.auxiliary_data, declared.pretrained_models):
            message = f"it used {shown(kind)} of {shown(name)}, which submission.toml does not declare"
            hint = f"Name it in auxiliary_data: {shown(name)}, and what of it is used."
            yield Finding("undeclared", at, message, hint)
    if not declared.mentions(identity.backbone, declared.pretrained_models):
        message = f"it starts from {shown(identity.backbone)}, which submission.toml does not declare"
        yield Finding("undeclared", at, message, f"Name it in pretrained_models: {shown(identity.backbone)}.")


def score_findings(record: Record, scores: dict[str, Any], at: str) -> list[Finding]:
    """Stated scores that are not what the predictions give, to a millionth; what is not stated is not missed."""
    wrong = list(_differences("", dict(record.scores), scores))
    if not wrong:
        return []
    first, stated, counted = wrong[0]
    more = f", and {len(wrong) - 1} more scores are not" if len(wrong) > 1 else ""
    message = f"{shown(first)} is stated as {shown(str(stated))}; its predictions give {counted}{more}"
    return [Finding("scores", at, message, "Scores are never edited: they are counted again here. " + AGAIN)]


def _differences(key: str, stated: Any, counted: Any) -> Iterator[tuple[str, Any, str]]:
    """Where two values differ: the place, what is stated there, and what was counted, in words."""
    if isinstance(stated, dict) and isinstance(counted, dict):
        for name, value in stated.items():
            place = f"{key}.{name}" if key else str(name)
            if name in counted:
                yield from _differences(place, value, counted[name])
            else:
                yield place, value, "nothing"
    elif isinstance(stated, (list, tuple)) and isinstance(counted, (list, tuple)):
        if len(stated) != len(counted):
            yield f"the length of {key}", len(stated), str(len(counted))
            return
        for number, (value, other) in enumerate(zip(stated, counted, strict=True)):
            yield from _differences(f"{key}[{number}]", value, other)
    elif not _equal(stated, counted):
        yield key, stated, shown(str(counted))


def _equal(stated: Any, counted: Any) -> bool:
    if isinstance(stated, (int, float)) and isinstance(counted, (int, float)):
        return math.isclose(stated, counted, rel_tol=0.0, abs_tol=TOLERANCE)
    return bool(stated == counted)
