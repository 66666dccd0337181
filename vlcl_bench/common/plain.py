"""Texts of others made safe to show: nothing that a terminal acts on, that cannot be seen, or that is computed."""

from __future__ import annotations

import re

FORMULA = re.compile(r"\s*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]")
"""How a text begins that a spreadsheet takes for a formula; also in the wide letters of East Asian scripts."""


def plain(text: str, *, lines: bool = False, instead: str = "") -> str:
    """``text`` with every character escaped that is not seen as itself: controls, marks of direction, half characters.

    Blanks other than the space are escaped, too. With ``lines``, line breaks and tabs stay. A character ``instead``
    stands for each of the others where the text is not to become longer.
    """
    if text.isprintable():
        return text
    kept = "\n\t" if lines else ""
    return "".join(one if one.isprintable() or one in kept else instead or ascii(one)[1:-1] for one in text)


def plain_json(text: str) -> str:
    """Finished JSON with the same characters escaped as JSON escapes them: the value stays, byte for byte."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in "\n\t" else _json_escape(one) for one in text)


def _json_escape(character: str) -> str:
    code = ord(character)
    if code < 0x10000:
        return f"\\u{code:04x}"
    return f"\\u{0xD800 + ((code - 0x10000) >> 10):04x}\\u{0xDC00 + ((code - 0x10000) & 0x3FF):04x}"


def spreadsheet_cell(text: str) -> str:
    """``text`` as a cell that no spreadsheet computes: what begins like a formula gets an apostrophe before it.

    For texts only; numbers may begin with a minus and stay numbers.
    """
    return f"'{text}" if FORMULA.match(text) else text
