"""What a check says about a submission: one class for all checks, of files, of records and of code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "remark"]


@dataclass(frozen=True)
class Finding:
    """A ``code`` that does not change, ``where`` it is (path within the submission), what it is, and what to do.

    An ``error`` refuses the submission; a ``remark`` refuses nothing.
    """

    code: str
    where: str
    message: str
    hint: str = ""
    severity: Severity = "error"

    @property
    def is_error(self) -> bool:
        """Whether it refuses the submission."""
        return self.severity == "error"
