"""What ``vlcl doctor`` says of one thing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Diagnosis:
    """One line: ``topic``, ``status``, what was found, what to do, and the same as data."""

    topic: str
    status: Status
    text: str
    hint: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def worst(diagnoses: list[Diagnosis]) -> Status:
    """The most serious status there is."""
    statuses = {diagnosis.status for diagnosis in diagnoses}
    return "problem" if "problem" in statuses else "warning" if "warning" in statuses else "ok"


def gigabytes(count: float) -> str:
    """Bytes for people: GB (10^9), or MB below one."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
