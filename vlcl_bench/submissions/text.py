"""What may stand in a submission's names and texts, and the reading of its files: short, whole, and never a link."""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from pathlib import Path

MAY_BE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
"""The name of a submission: it becomes a folder, a method's name in records, and an address on a page."""
NAME_HINT = "Letters, digits, - and _ only, at most 64, the first a letter or a digit."
MARKUP = re.compile(r"[<>`|]|\]\(")
INVISIBLE = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}
"""Unicode's categories of controls, of marks that turn the direction of writing, and of what nothing is agreed on."""


class UnreadableError(Exception):
    """A file of a submission that is not read, and why."""


def is_name(text: str) -> bool:
    """Whether ``text`` can be the name of a submission."""
    return MAY_BE.fullmatch(text) is not None


def unsafe(text: str, *, lines: bool = False) -> str:
    """Why ``text`` must not be shown on a page or a terminal; empty where it may.

    ``lines`` is for logs, which are never part of a page: they may have line breaks and markup.
    """
    for character in text:
        if unicodedata.category(character) in INVISIBLE and not (lines and character in "\n\t"):
            return f"the invisible character U+{ord(character):04X}"
    if not lines and (markup := MARKUP.search(text)):
        return f"{markup.group()!r}, which is markup"
    return ""


def shown(text: str, longest: int = 80) -> str:
    """``text`` in quotes, shortened, with everything escaped that is not plain: what was found may be hostile."""
    return ascii(text) if len(text) <= longest else ascii(text[:longest]) + "…"


def read_limited(path: Path, limit: int) -> bytes:
    """The content of a regular file of at most ``limit`` bytes; raises :class:`UnreadableError` for anything else.

    No link is followed, and nothing that can block (a pipe, a device) is opened.
    """
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableError("it is not a plain file")
        if status.st_size > limit:
            raise UnreadableError(f"it has {status.st_size:,} bytes; at most {limit:,} are read")
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise UnreadableError(error.strerror or str(error)) from error
    if len(data) > limit:
        raise UnreadableError(f"it has more than {limit:,} bytes")
    return data
