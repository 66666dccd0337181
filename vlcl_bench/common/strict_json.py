"""JSON as RFC 8259 has it, and no more of it than a record can need: files of strangers are read with it.

Python's reader takes ``NaN`` and ``1e999``, which no JSON can hold and no hash can cover, halves of characters, which
no file can be written with, keys that stand twice, and any depth until the stack is full.
"""

from __future__ import annotations

import json
import math
from typing import Any

DEEPEST = 32
"""Brackets within brackets; records have seven."""
MOST_VALUES = 250_000
"""Values in one file, keys not counted; the largest committed record has 1,400."""


def parse_json(data: bytes, most_values: int = MOST_VALUES) -> Any:
    """The value that ``data`` holds; raises :class:`ValueError` saying in words why it holds none."""
    try:
        value = json.loads(
            data.decode("utf-8"), parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_once
        )
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is not UTF-8") from error
    except RecursionError as error:
        raise ValueError(f"there are more than {DEEPEST} brackets within brackets") from error
    _check(value, most_values)
    return value


def _check(value: Any, most_values: int) -> None:
    """Raise :class:`ValueError` for too many values, too deep ones, and texts with half a character."""
    waiting, count = [(value, 1)], 0
    while waiting:
        content, depth = waiting.pop()
        count += 1
        if count + len(waiting) > most_values:
            raise ValueError(f"there are more than {most_values:,} values")
        if depth > DEEPEST:
            raise ValueError(f"there are more than {DEEPEST} brackets within brackets")
        if isinstance(content, str):
            _whole(content)
        elif isinstance(content, dict):
            for key in content:
                _whole(key)
            waiting += [(part, depth + 1) for part in content.values()]
        elif isinstance(content, list):
            waiting += [(part, depth + 1) for part in content]


def _whole(text: str) -> None:
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError(f"{text[:40]!a} holds half a character, which is no text")


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is larger than a number can be")
    return number


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        raise ValueError("a key stands there twice")
    return mapping
