"""Errors that a user can act on, each with the exit code that the command line ends with.

Everything raised on purpose derives from :class:`VlclError`. A message says what was found and what was
expected; the hint says what to type next. Anything else that escapes is a bug and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class VlclError(Exception):
    """Base of all deliberate errors: ``message`` (what was found, what was expected) and ``hint`` (what next)."""

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n{self.hint}"


class UsageError(VlclError):
    """The command, a name, a setting or an input file is not what was asked for (exit code 2)."""

    exit_code = 2


class IntegrityError(VlclError):
    """A file of ours (store, state, record, journal, manifest) is damaged or does not belong here (exit code 3)."""

    exit_code = 3


class MethodError(VlclError):
    """A method could not be loaded, raised, or returned something unusable (exit code 4)."""

    exit_code = 4


class MachineError(VlclError):
    """The machine refuses: disk full, folder not writable, device missing (exit code 5)."""

    exit_code = 5


def first_invalid(error: ValidationError) -> str:
    """The first place of a file that does not fit its schema, and what is wrong with it."""
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"])) or "the whole"
    return f"{place}: {first['msg']}"


SHOWN = 40
"""Names in a list of known ones: enough for ours, not all of open_clip's."""


def nearest(name: str, known: Iterable[str]) -> str:
    """``Did you mean …?`` for the closest known name, or the list of known names when none is close."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"Did you mean {close[0]!r}?"
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return "Known: " + (", ".join(names[:SHOWN]) if names else "none") + more + "."
