"""A submission as data: everything that can be said of it without importing or running anything that is in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from vlcl_bench.errors import IntegrityError
from vlcl_bench.submissions.across_runs import across_findings
from vlcl_bench.submissions.doubted import doubt_findings
from vlcl_bench.submissions.files import METHOD_LIMIT, RERUN_LIMIT, check_tree
from vlcl_bench.submissions.finding import Finding
from vlcl_bench.submissions.likeness import taken_name, taken_title
from vlcl_bench.submissions.manifest import MANIFEST_NAME, METHOD_NAME, Submission, method_file, read_submission
from vlcl_bench.submissions.predictions import prediction_findings
from vlcl_bench.submissions.promises import promise_findings
from vlcl_bench.submissions.record_checks import COMMITTED, SubmittedMethod, record_findings, todays_protocol
from vlcl_bench.records.reruns import RERUN_NAME, rerun_of
from vlcl_bench.submissions.declared import is_reference_submission
from vlcl_bench.submissions.row_zero import row_zero_findings
from vlcl_bench.submissions.sources import python_files, submission_digest
from vlcl_bench.submissions.submitted_run import SubmittedRun, read_run
from vlcl_bench.submissions.text import UnreadableError, read_limited, shown

def check_data(folder: Path) -> list[Finding]:
    """All findings that a submission's files tell; nothing of it is imported or run, and no link is followed."""
    folders, findings = check_tree(folder)
    if any(finding.code == "no-folder" for finding in findings):
        return findings
    submission, of_manifest = read_submission(folder)
    sources, digest, of_source = _source(folder, submission)
    linked = any(finding.code == "link" for finding in findings)  # that is why the source was not read
    findings += of_manifest if linked and of_source else [*of_manifest, *of_source]
    name = folder.absolute().name
    is_reference = submission is not None and is_reference_submission(folder, submission, name)
    method = SubmittedMethod(name, digest, submission, is_reference)
    findings += _name_findings(folder, name, submission)
    runs: list[SubmittedRun] = []
    for place in folders:
        where = place.relative_to(folder).as_posix()
        record, of_form = read_run(place, where)
        findings += of_form
        if record is not None:
            run = SubmittedRun(place, where, record, todays_protocol(record.identity.protocol))
            findings += _all_of(where, chain(record_findings(run, method), _badge(run, method.name)))
            runs.append(run)
    findings += prediction_findings(runs)
    for run in runs:
        findings += _all_of(run.where, row_zero_findings(run))
    findings += _all_of("runs", chain(across_findings(runs), promise_findings(runs, submission, sources)))
    if not is_reference:
        findings += _all_of("runs", doubt_findings(runs, name))
    if not folders:
        hint = f"vlcl run --protocol mini-mtil-1 --method {folder}, then vlcl submit add RUN --to {folder}."
        findings.append(Finding("no-runs", ".", "there are no runs yet", hint, "remark"))
    return findings


def _all_of(where: str, findings: Iterator[Finding]) -> Iterator[Finding]:
    """The findings one by one; where examining what a stranger wrote fails, that is a finding as well."""
    try:
        yield from findings
    except Exception as error:
        message = f"it cannot be examined: {type(error).__name__}: {shown(str(error), 200)}"
        yield Finding("unexamined", where, message, "Make it again with `vlcl run`, and copy it with `vlcl submit add`.")


def _name_findings(folder: Path, name: str, submission: Submission | None) -> Iterator[Finding]:
    """Names that are somebody else's, or would be taken for them."""
    if other := taken_name(name, folder.absolute().parent, COMMITTED):
        message = f"{shown(name)} differs from {shown(other)} in nothing but capital letters"
        yield Finding("name-taken", ".", message, "Give the folder another name; some file systems take both for one.")
    if submission is not None and (whose := taken_title(submission.name, name, COMMITTED)):
        message = f"its name {shown(submission.name)} is, or looks like, {whose}"
        yield Finding("title", MANIFEST_NAME, message, "Give the submission a name of its own.")


def _source(folder: Path, submission: Submission | None) -> tuple[list[Path], str | None, list[Finding]]:
    """The submission's own Python files, the digest of its method's source as records hold it, and what is wrong."""
    if submission is not None:
        path, findings = method_file(folder, submission)
    else:  # what it says was refused already; runs can be compared with the files all the same
        path, findings = (folder / METHOD_NAME if os.path.lexists(folder / METHOD_NAME) else None), []
    if path is None:
        return [], None, findings
    try:
        if path.parent != folder:
            read_limited(path, METHOD_LIMIT)
            return [], submission_digest(folder, path), []
        return python_files(folder), submission_digest(folder, path), []
    except (UnreadableError, RecursionError, MemoryError) as error:
        hint = f"A submission has its method in {METHOD_NAME} and files beside it, or names one of baselines/."
        message = f"{path.name} cannot be read: {error}"
        return [], None, [Finding("method-unreadable", METHOD_NAME, message, hint)]


def _badge(run: SubmittedRun, name: str) -> Iterator[Finding]:
    """A rerun is of the maintainers, who made it: one that comes with a submission proves nothing."""
    path = run.folder / RERUN_NAME
    if not os.path.lexists(path):
        return
    at = f"{run.where}/{RERUN_NAME}"
    try:
        committed = read_limited(COMMITTED / name / "runs" / run.folder.name / RERUN_NAME, RERUN_LIMIT)
        same = read_limited(path, RERUN_LIMIT) == committed
    except UnreadableError:
        same = False
    if same:
        try:
            rerun_of(run.folder, run.record)
        except IntegrityError as error:
            yield Finding("rerun", at, error.message, error.hint or "Restore the file, or delete it.")
    else:
        message = "it says that the run was confirmed by running it again; this repository knows of no such rerun"
        yield Finding("rerun", at, message, "Leave it out: reruns are made, and committed, by the maintainers.")
