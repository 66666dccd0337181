"""Names and prompts as a protocol may write them: one line each, and never two of them that look the same."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator

from vlcl_bench.common.faults import shown


def one_line(text: str) -> str:
    """The text; :class:`ValueError` where it is empty, has control characters, or blanks at an end.

    Manifests, tables and prompts hold names line by line: with a line end in it, a name would be two.
    """
    if not seen(text):
        raise ValueError(f"found {shown(text)}, expected a text that is not empty")
    odd = next((letter for letter in text if unicodedata.category(letter) in ("Cc", "Zl", "Zp", "Cs")), None)
    if odd is not None:
        called = {"\n": "a line end", "\r": "a line end", "\t": "a tab", "\u2028": "a line end", "\u2029": "a line end"}
        what = called.get(odd, f"the control character U+{ord(odd):04X}")
        raise ValueError(f"found {shown(text)}, which holds {what}; expected one line of plain text")
    if text != text.strip():
        raise ValueError(f"found {shown(text)}, expected no blanks at the beginning or the end")
    return text


OneLine = Annotated[str, AfterValidator(one_line)]
Title = Annotated[str, AfterValidator(lambda text: text and one_line(text))]
"""One line, or nothing."""


def seen(text: str) -> str:
    """What a reader sees of a text: accents in one spelling, runs of blanks as one, nothing that has no width."""
    visible = "".join(letter for letter in unicodedata.normalize("NFC", text) if unicodedata.category(letter) != "Cf")
    return " ".join(visible.split())


def looking_equal(names: Iterable[str]) -> list[list[int]]:
    """The places of names that a reader cannot tell apart, a list for each group of at least two."""
    places: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        places.setdefault(seen(name), []).append(place)
    return [group for group in places.values() if len(group) > 1]
