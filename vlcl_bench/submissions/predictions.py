"""The predictions of a submission's runs: are they whole, are they those of the record, do the scores follow?"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from vlcl_bench.common.fileio import sha256_bytes, sha256_text
from vlcl_bench.errors import IntegrityError
from vlcl_bench.protocols.stream import Protocol
from vlcl_bench.records.files import PREDICTIONS_NAME, compact_predictions
from vlcl_bench.records.guard import most_rows, tried
from vlcl_bench.scoring.first_answers import first_answers
from vlcl_bench.scoring.ground_truth import ground_truth
from vlcl_bench.submissions.files import PREDICTIONS_LIMIT
from vlcl_bench.submissions.finding import Finding
from vlcl_bench.submissions.record_checks import is_todays, score_findings
from vlcl_bench.submissions.submitted_run import AGAIN, SubmittedRun
from vlcl_bench.submissions.text import UnreadableError, read_limited, shown


def prediction_findings(runs: Sequence[SubmittedRun]) -> list[Finding]:
    """Hashes, form, completeness, and the scores that follow, of all runs, whose ``answers`` and ``scores`` are set."""
    findings, scorable = [], list[tuple[SubmittedRun, Protocol]]()
    for run in runs:
        try:
            run.answers = sha256_bytes(read_limited(run.folder / PREDICTIONS_NAME, PREDICTIONS_LIMIT))
        except UnreadableError as error:
            message = f"it cannot be read: {error}"
            findings.append(Finding("predictions-unreadable", run.predictions_file, message, AGAIN))
            continue
        if run.answers != run.record.predictions_sha256:
            message = (f"it has the SHA-256 {run.answers[:12]}; the record was written with "
                       f"{shown(run.record.predictions_sha256, 12)}")  # fmt: skip
            hint = "Predictions are never edited. " + AGAIN
            findings.append(Finding("predictions-hash", run.predictions_file, message, hint))
        if run.protocol is not None and is_todays(run.record, run.protocol):
            scorable.append((run, run.protocol))
    with tempfile.TemporaryDirectory(prefix="vlcl-predictions-") as scratch:
        files = [
            (run.folder / PREDICTIONS_NAME, most_rows(protocol), Path(scratch) / f"{number}.arrow")
            for number, (run, protocol) in enumerate(scorable)
        ]
        for (run, protocol), (_, _, table), (code, message) in zip(scorable, files, tried(files), strict=True):
            if code:
                findings.append(Finding(code, run.predictions_file, message, AGAIN))
            else:
                findings += _score(run, protocol, table)
    return findings


def _score(run: SubmittedRun, protocol: Protocol, table: Path) -> list[Finding]:
    """Score the answers in an Arrow file, and compare with what the record states."""
    import pyarrow as pa

    with pa.OSFile(str(table)) as source:
        frame = pa.ipc.open_file(source).read_all().to_pandas()
    findings, at = [], run.predictions_file
    if len(frame) != run.record.predictions_rows:
        message = f"it has {len(frame):,} rows; the record says {run.record.predictions_rows:,}"
        findings.append(Finding("predictions-rows", at, message, AGAIN))
    try:
        run.scores = ground_truth(protocol).rescore(frame)
        run.first = first_answers(frame, run.scores["tasks"])
        # Of the answers and not of the file: the same ones can be packed in many ways.
        run.answers = sha256_text(compact_predictions(frame).to_csv(index=False))
    except IntegrityError as error:
        return [*findings, Finding("predictions", at, error.message, AGAIN)]
    except Exception as error:  # whatever a strange table does to pandas is an error of the table
        message = f"it cannot be scored: {type(error).__name__}: {shown(str(error), 200)}"
        return [*findings, Finding("predictions", at, message, AGAIN)]
    return findings + score_findings(run.record, run.scores, run.record_file)
