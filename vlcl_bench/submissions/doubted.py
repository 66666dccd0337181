"""Answers that the board will not rank without a rerun, said beforehand: another method's, or the labels themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from vlcl_bench.board.doubts import ALL_RIGHT, COPIED
from vlcl_bench.errors import VlclError
from vlcl_bench.records.files import RECORD_NAME, read_record, verified_predictions
from vlcl_bench.records.rescoring import can_rescore
from vlcl_bench.scoring.first_answers import Answers, agreement, first_answers
from vlcl_bench.submissions.finding import Finding
from vlcl_bench.submissions.record_checks import COMMITTED
from vlcl_bench.submissions.submitted_run import SubmittedRun

RERUN = "The row is shown, unranked, until a maintainer has run it again; see RULES.md."


def doubt_findings(runs: Sequence[SubmittedRun], method: str) -> Iterator[Finding]:
    """A remark for each run of ``method`` whose first answers are another's, or right nearly everywhere."""
    for run in runs:
        if run.first is None or run.scores is None:
            continue
        right = float(np.mean(run.scores["matrix"]))
        if right >= ALL_RIGHT:
            message = f"{right:.1f} % of its answers after stage 0 are right"
            yield Finding("all-right", run.predictions_file, message, RERUN, "remark")
        known = _committed(COMMITTED, run.record.identity.protocol)
        shares = [(agreement(run.first, answers), other) for other, answers in known if other != method]
        share, other = max(shares, default=(0.0, ""))
        if share >= COPIED:
            message = f"{share:.1f} % of its first answers after stage 0 are those of a run of {other}"
            yield Finding("copied-answers", run.predictions_file, message, RERUN, "remark")


@cache
def _committed(place: Path, protocol: str) -> list[tuple[str, Answers]]:
    """The methods and first answers of the committed runs on a protocol that can be read and scored here."""
    found = []
    for path in sorted(place.glob(f"*/runs/*/{RECORD_NAME}")):
        try:
            record = read_record(path.parent)
            if record.identity.protocol == protocol and can_rescore(record):
                frame = verified_predictions(path.parent, record)
                found.append((record.identity.method, first_answers(frame, record.scores["tasks"])))
        except (VlclError, ValueError, KeyError):  # the board names it
            continue
    return found
