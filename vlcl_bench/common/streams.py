"""Standard output and error that take every text, whatever their encoding, and whether they are open or not."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys

FALLBACK = "vlcl-plain"
PLAIN = {
    "–": "-", "—": "-", "−": "-", "±": "+-", "×": "x", "·": ".", "…": "...", "→": "->", "≥": ">=", "≤": "<=", "≠": "!=",
    "“": '"', "”": '"', "‘": "'", "’": "'", "•": "*", "━": "-", "╸": "-", "╺": "-", "│": "|", "─": "-", "\u00a0": " ",
}  # fmt: skip
"""How characters of ours are written where an encoding lacks them."""
PROBE = "".join(map(chr, range(32, 127))) + "\n"


def written_plainly(error: UnicodeError) -> tuple[str, int]:
    """A codec's error handler: what cannot be written is written plainly, or as its number."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    rest = error.object[error.start : error.end]
    return "".join(
        PLAIN.get(letter) or letter.encode("ascii", "backslashreplace").decode() for letter in rest
    ), error.end


def settle_streams() -> None:
    """Have standard output and error take any text; those that are closed swallow it.

    A closed descriptor is taken first of all: else the next file that is opened gets its number, and what a library
    prints is written into it.
    """
    codecs.register_error(FALLBACK, written_plainly)
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None or getattr(stream, "closed", False):
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (as long as the process)
        elif isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(io.UnsupportedOperation):
                stream.reconfigure(encoding=usable(stream.encoding), errors=FALLBACK)


def usable(encoding: str) -> str:
    """``encoding`` where it can write plain ASCII in one piece; else UTF-8 (``idna`` is an encoding, too)."""
    try:
        PROBE.encode(encoding, FALLBACK)
        "\u2013\udc80".encode(encoding, FALLBACK)
        codecs.getincrementalencoder(encoding)(FALLBACK).encode(PROBE * 3)
    except (UnicodeError, LookupError, TypeError):
        return "utf-8"
    return encoding


def can_write(text: str) -> bool:
    """Whether standard output can write a text as it is."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeError:
        return False
    return True


def say(text: str, err: bool = False) -> None:
    """A line on standard output or error. (``typer.echo`` would write UTF-8 where the output is to be ASCII.)"""
    print(text, file=sys.stderr if err else sys.stdout)
