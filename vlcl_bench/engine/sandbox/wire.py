"""What crosses between the harness and a method's process: a JSON header with a length, then raw arrays.

Nothing is ever unpickled. The reader decides how much it takes: a header or an array beyond its limits, of a type or
shape that cannot be, is a :class:`WireError`, before any memory is taken for it. A frame is 4 bytes (length of the
header, big endian), the header (a JSON object; ``arrays`` lists type and shape of what follows), then each array's
bytes in C order.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

PREFIX = struct.Struct(">I")
TYPES = {name: np.dtype(name) for name in ("uint8", "bool", "int32", "int64", "float32", "float64")}
MOST_HEADER = 64 << 20
"""Bytes of a header: the captions of a large task fit."""
MOST_DIMENSIONS = 8
MOST_ARRAYS = 64
MOST_LEVELS = 16
"""Objects and lists of a header within each other."""
LONGEST_NUMBER = 20
"""Signs of a whole number of 64 bits."""


class WireError(Exception):
    """What came over the wire is no frame, or more than was asked for."""


@dataclass(frozen=True, eq=False)
class Message:
    """A frame: its header without ``arrays``, and the arrays."""

    header: dict[str, Any]
    arrays: list[np.ndarray]


def pack(header: dict[str, Any], arrays: Sequence[np.ndarray] = ()) -> list[memoryview]:
    """A frame as parts to be sent one after the other; the arrays are not copied where they lie in one piece."""
    whole = [np.ascontiguousarray(array) for array in arrays]
    listed = [{"dtype": array.dtype.name, "shape": list(np.shape(array))} for array in arrays]
    text = json.dumps({**header, "arrays": listed}, allow_nan=False).encode()
    if len(text) > MOST_HEADER:
        raise WireError(f"a header of {len(text)} bytes is larger than {MOST_HEADER}")
    bodies = [array.reshape(-1).view(np.uint8).data for array in whole if array.size]
    return [memoryview(PREFIX.pack(len(text)) + text), *bodies]


class Incoming:
    """Puts frames together from bytes as they come.

    Fill :meth:`room` and say how much with :meth:`filled`, which returns a message when one is complete. ``most`` is
    the number of bytes that all arrays of a frame may have together.
    """

    def __init__(self, most: int, most_header: int = MOST_HEADER) -> None:
        self.most, self.most_header = most, most_header
        self._begin()

    def _begin(self) -> None:
        self._stage = "prefix"
        self._header: dict[str, Any] = {}
        self._arrays: list[np.ndarray] = []
        self._next = 0
        self._await(bytearray(PREFIX.size))

    def _await(self, buffer: bytearray | np.ndarray) -> None:
        self._buffer = buffer
        self._view = memoryview(buffer) if isinstance(buffer, bytearray) else buffer.reshape(-1).view(np.uint8).data
        self._have = 0

    @property
    def clean(self) -> bool:
        """Whether no frame has begun."""
        return self._stage == "prefix" and self._have == 0

    def room(self) -> memoryview:
        """Where the next bytes belong; never empty."""
        return self._view[self._have :]

    def filled(self, count: int) -> Message | None:
        """``count`` bytes were written to :meth:`room`; raises :class:`WireError` for what cannot be a frame."""
        self._have += count
        if self._have < len(self._view):
            return None
        if self._stage == "prefix":
            (length,) = PREFIX.unpack(self._view)
            if not 2 <= length <= self.most_header:
                raise WireError(f"a header of {length} bytes; at most {self.most_header} are taken")
            self._stage = "header"
            self._await(bytearray(length))
            return None
        if self._stage == "header":
            self._header, self._arrays = self._parsed(bytes(self._view))
            self._stage = "arrays"
        else:
            self._next += 1
        while self._next < len(self._arrays) and not self._arrays[self._next].nbytes:
            self._next += 1
        if self._next < len(self._arrays):
            self._await(self._arrays[self._next])
            return None
        message = Message(self._header, self._arrays)
        self._begin()
        return message

    def _parsed(self, text: bytes) -> tuple[dict[str, Any], list[np.ndarray]]:
        try:
            header = json.loads(text, parse_constant=_refuse, parse_int=_small, parse_float=_finite)
            _check_form(header)
        except (ValueError, RecursionError) as error:
            raise WireError(f"a header that is no JSON: {error}") from error
        listed = header.pop("arrays", None) if isinstance(header, dict) else None
        if not isinstance(listed, list) or len(listed) > MOST_ARRAYS:
            raise WireError(f"a header that is no object with a list of at most {MOST_ARRAYS} arrays")
        plans, total = [], 0
        for entry in listed:
            dtype, shape = _described(entry)
            total += dtype.itemsize * math.prod(shape)
            if total > self.most:
                raise WireError(f"arrays of {total} bytes or more; at most {self.most} are taken")
            plans.append((dtype, shape))
        return header, [np.empty(shape, dtype) for dtype, shape in plans]


def _described(entry: object) -> tuple[np.dtype, tuple[int, ...]]:
    """Type and shape of an announced array."""
    described = entry if isinstance(entry, dict) else {}
    dtype, shape = described.get("dtype"), described.get("shape")
    if isinstance(dtype, str) and dtype in TYPES and isinstance(shape, list):
        numbers = [n for n in shape if type(n) is int and 0 <= n < 1 << 40]
        if len(numbers) == len(shape) <= MOST_DIMENSIONS:
            return TYPES[dtype], tuple(numbers)
    raise WireError(f"an array described as {str(entry)[:100]}")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _small(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER or not -(1 << 63) <= (number := int(digits)) < 1 << 63:
        raise ValueError(f"{digits[:LONGEST_NUMBER]} has more than 64 bits")
    return number


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:LONGEST_NUMBER]} is too large")
    return number


def _check_form(header: Any) -> None:
    """Raise :class:`ValueError` for what our own code would trip over: deep nesting, and text that is no Unicode."""
    level = [header]
    for _ in range(MOST_LEVELS):
        values = [part for whole in level for part in (whole.values() if isinstance(whole, dict) else whole)]
        texts = [part for part in values if isinstance(part, str)]
        texts += [name for whole in level if isinstance(whole, dict) for name in whole]
        "".join(texts).encode()  # half of a pair of surrogates raises
        level = [part for part in values if isinstance(part, (dict, list))]
        if not level:
            return
    raise ValueError(f"more than {MOST_LEVELS} levels")
