"""The journal: one JSON object a line, synced as it is written; the truth about what is finished."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from vlcl_bench.common.fileio import canonical_json, machine_error, sha256_text, write_atomic
from vlcl_bench.errors import IntegrityError

Event = dict[str, Any]
JOURNAL_NAME = "journal.jsonl"
LOCK_NAME = ".lock"
"""Beside the journal; held by the process that is at work on the run."""


class Journal:
    """An append-only file of events, each with a check sum.

    A last line that a kill cut short is dropped, a whole one that lacks its line break alone is kept; any other damage
    is refused.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events: list[Event] = self._read()

    def _read(self) -> list[Event]:
        if not self.path.exists():
            return []
        data = self.path.read_bytes()
        whole, _, rest = data.rpartition(b"\n")
        lines, events = whole.rstrip(b"\r\n").split(b"\n") if whole.strip() else [], list[Event]()
        for number, line in enumerate(lines, start=1):
            try:
                events.append(_event(line))
            except (ValueError, RecursionError) as error:
                raise IntegrityError(
                    f"the journal {self.path} is damaged in line {number}: {error}",
                    f"Delete {self.path.parent} and give the same command again, or use another out (--out).",
                ) from error
        try:
            # Copying, or an editor, may take the last line break and nothing else: the check sum tells.
            events.append(_event(rest))
            lines.append(rest)
        except (ValueError, RecursionError):  # a kill cut it short, or there is nothing
            pass
        if (kept := b"".join(line + b"\n" for line in lines)) != data:
            write_atomic(self.path, kept)
        return events

    def append(self, event: str, **facts: Any) -> None:
        """Write an event and wait until it is on the disk."""
        entry = {"event": event, **facts}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                file.write((canonical_json({**entry, "check": check_sum(entry)}) + "\n").encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise machine_error(error, self.path) from error
        self.events.append(entry)

    def last(self, event: str, **facts: Any) -> Event | None:
        """The latest event of a kind whose facts match."""
        for entry in reversed(self.events):
            if entry["event"] == event and all(entry.get(key) == value for key, value in facts.items()):
                return entry
        return None


def _event(line: bytes) -> Event:
    """The event of a line; raises :class:`ValueError` unless it is what was written."""
    event = json.loads(line)
    if not isinstance(event, dict) or event.pop("check", None) != check_sum(event) or "event" not in event:
        raise ValueError("the line is not what was written")
    return event


def check_sum(event: Event) -> str:
    """First 8 hexadecimal digits of the SHA-256 of an event: a flipped bit must not pass for a fact."""
    return sha256_text(canonical_json(event))[:8]
