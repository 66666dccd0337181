"""What the records of a submitted method say of it: that its seed changes nothing, which settings are entries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from vlcl_bench.submissions.finding import Finding
from vlcl_bench.submissions.manifest import METHOD_NAME, Submission
from vlcl_bench.submissions.settings import undeclared
from vlcl_bench.submissions.sources import says_deterministic
from vlcl_bench.submissions.submitted_run import EDITED, SubmittedRun
from vlcl_bench.submissions.text import shown


def promise_findings(
    runs: Sequence[SubmittedRun], submission: Submission | None, sources: Sequence[Path]
) -> Iterator[Finding]:
    """What records say and the method's files (``sources``, none where they cannot be read) or declarations do not.

    Nothing for a reference method, whose promises are this project's own.
    """
    if submission is None or submission.method != METHOD_NAME:
        return
    if sources and any(run.record.deterministic for run in runs) and not says_deterministic(sources):
        message = f"its records say that the seed changes nothing; no class in {METHOD_NAME} says deterministic = True"
        yield Finding("deterministic", "runs", message, EDITED)
    by_protocol: defaultdict[str, list[SubmittedRun]] = defaultdict(list)
    for run in runs:
        by_protocol[run.record.identity.protocol].append(run)
    for protocol, group in by_protocol.items():
        settings = undeclared([run.record.identity.settings for run in group], submission.entries)
        if len(settings) > 1:
            message = f"runs on {shown(protocol)} have {len(settings)} different settings that no entry declares"
            hint = "Keep the runs of one, and declare the others as entries = [{ setting = value }] in submission.toml."
            yield Finding("settings", "runs", message, hint)
    for run in runs:
        if run.record.provenance.isolation in ("inline", ""):
            message = "the method lived in the harness's own process"
            hint = "Leave --isolation out: the method of a submission has a process of its own."
            yield Finding("inline", run.record_file, message, hint, "remark")
