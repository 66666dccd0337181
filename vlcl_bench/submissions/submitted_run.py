"""One run of a submission as data, and the form of its ``run.json``: JSON, the schema, texts that can be shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vlcl_bench.common.strict_json import parse_json
from vlcl_bench.protocols.stream import Protocol
from vlcl_bench.records.files import PREDICTIONS_NAME, RECORD_NAME
from vlcl_bench.records.schema import Record
from vlcl_bench.scoring.first_answers import Answers
from vlcl_bench.submissions.files import RECORD_LIMIT
from vlcl_bench.submissions.finding import Finding
from vlcl_bench.submissions.text import UnreadableError, read_limited, shown, unsafe

AGAIN = "Run it again, and copy it in with `vlcl submit add`."
EDITED = "A record is never edited. " + AGAIN
LONGEST = 2000
"""Characters of a text in a record."""
MOST_ERRORS = 10


@dataclass
class SubmittedRun:
    """A run of a submission: its folder, that folder's path within the submission, its record and today's protocol.

    ``answers`` is the SHA-256 of its file of predictions and, once they are read, of the answers in it; ``first`` are
    the first of them by stage, and ``scores`` what follows from them.
    """

    folder: Path
    where: str
    record: Record
    protocol: Protocol | None
    answers: str = ""
    scores: dict[str, Any] | None = None
    first: Answers | None = None

    @property
    def record_file(self) -> str:
        """The record's path within the submission."""
        return f"{self.where}/{RECORD_NAME}"

    @property
    def predictions_file(self) -> str:
        """The predictions' path within the submission."""
        return f"{self.where}/{PREDICTIONS_NAME}"


def read_run(folder: Path, where: str) -> tuple[Record | None, list[Finding]]:
    """The record in a run's folder, ``None`` where there is none, and what is wrong with its form."""
    at = f"{where}/{RECORD_NAME}"
    try:
        value = parse_json(read_limited(folder / RECORD_NAME, RECORD_LIMIT))
    except (UnreadableError, ValueError) as error:
        return None, [Finding("record-json", at, f"it cannot be read: {shown(str(error), 200)}", AGAIN)]
    try:
        record = Record.model_validate(value, strict=True)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        findings = [
            Finding("record-schema", at, f"{shown('.'.join(map(str, part['loc'])))}: {part['msg']}", AGAIN)
            for part in errors[:MOST_ERRORS]
        ]
        if len(errors) > MOST_ERRORS:
            findings.append(Finding("record-schema", at, f"and {len(errors) - MOST_ERRORS} more places", AGAIN))
        return None, findings
    return record, _text_findings(record, at)


def _text_findings(record: Record, at: str) -> list[Finding]:
    """Texts that must not be shown: names with markup, anything invisible, anything endless."""
    findings = []
    value = record.model_dump(mode="json")
    texts = [(key, text, False) for key, text in _texts({k: v for k, v in value.items() if k != "log"})]
    texts += [(key, text, True) for key, text in _texts({"log": value["log"]})]
    for key, text, lines in texts:
        why = "more characters than a text may have" if len(text) > LONGEST else unsafe(text, lines=lines)
        if why:
            message = f"{shown(key)} holds {why}"
            findings.append(Finding("record-text", at, message, "Names and settings are plain text."))
    return findings[:MOST_ERRORS]


def _texts(value: Any) -> Iterator[tuple[str, str]]:
    """Every text in it, keys included, and where it stands."""
    waiting: list[tuple[str, Any]] = [("", value)]
    while waiting:
        key, content = waiting.pop()
        if isinstance(content, str):
            yield key, content
        elif isinstance(content, dict):
            for name, part in content.items():
                yield f"a key of {key}", name
                waiting.append((f"{key}.{name}" if key else name, part))
        elif isinstance(content, list):
            waiting += [(f"{key}[{place}]", part) for place, part in enumerate(content)]
