"""What is wrong with a submission, one message a fault, with what to do about it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One fault: a ``code`` that does not change, ``where`` it is (path within the submission), what was found, a hint.

    ``severe`` faults refuse the submission; the others are said and do not.
    """

    code: str
    where: str
    message: str
    hint: str = ""
    severe: bool = True
