"""What is checked of what a method's process says and asks for."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import ValidationError
from safetensors import SafetensorError, deserialize

from vlcl_bench.data.pictures import Pictures
from vlcl_bench.data.transforms import Augmentation
from vlcl_bench.engine.footprint import TRAINED, trained_names
from vlcl_bench.engine.learner import LearnReport
from vlcl_bench.engine.sandbox.output import plain_words
from vlcl_bench.engine.sandbox.wire import Message, WireError
from vlcl_bench.errors import MethodError
from vlcl_bench.methods.usage import Usage

MOST_ROWS = 1 << 16
"""Pictures in one request."""


def shared_arrays(pictures: np.ndarray | Pictures) -> tuple[dict[str, int] | None, list[np.ndarray]]:
    """How pictures are given: an array crosses whole, others are decoded here when they are asked for."""
    if isinstance(pictures, Pictures):
        return {"count": len(pictures), "side": pictures.side}, []
    return None, [pictures]


def asked_pictures(
    message: Message, pictures: Mapping[str, np.ndarray | Pictures]
) -> tuple[dict[str, Any], Sequence[np.ndarray]]:
    """Rows of pictures that were given, cropped with the draws that came along, or under the test transform."""
    asked, arrays = _pictures_meant(message, pictures), message.arrays
    rows = arrays[0] if arrays and arrays[0].dtype == np.int64 and arrays[0].ndim == 1 else np.empty(0, np.int64)
    # As in an array, a negative row counts from the end.
    if not 0 < len(rows) <= MOST_ROWS or rows.min() < -len(asked) or rows.max() >= len(asked):
        raise MethodError(f"the method asks for pictures that are not there; it was given {len(asked)}")
    draws, augmentation = None, None
    if len(arrays) > 1:
        draws = arrays[1]
        try:
            augmentation = Augmentation.model_validate(message.header.get("augmentation"))
        except ValidationError as error:
            raise WireError("an augmentation that is none") from error
        proper = draws.dtype == np.float64 and draws.ndim == 3 and draws.shape[0] == len(rows) and draws.shape[2] == 4
        if not proper or not ((draws >= 0) & (draws <= 1)).all():
            raise WireError(f"draws of the shape {draws.shape} for {len(rows)} pictures, or beyond 0..1")
    return {}, [asked.begin(rows % len(asked), draws, augmentation)()]


def asked_original(
    message: Message, pictures: Mapping[str, np.ndarray | Pictures]
) -> tuple[dict[str, Any], Sequence[np.ndarray]]:
    """One picture as it is."""
    asked, row = _pictures_meant(message, pictures), message.header.get("row")
    if type(row) is not int or not 0 <= row < len(asked):
        raise MethodError(f"the method asks for picture {str(row)[:40]}; it was given {len(asked)}")
    return {}, [asked.original(row)]


def _pictures_meant(message: Message, pictures: Mapping[str, np.ndarray | Pictures]) -> Pictures:
    asked = pictures.get(str(message.header.get("which")))
    if not isinstance(asked, Pictures):
        raise WireError("a question for pictures that were not given")
    return asked


def checked_report(header: Mapping[str, Any]) -> LearnReport:
    """The report of a task, from a reply's header; raises :class:`MethodError` where it is none."""
    counts, trained, log = header.get("counts"), header.get("trained"), header.get("log")
    if (
        isinstance(counts, dict)
        and set(counts) == set(Usage().by_name())
        and all(type(n) is int and 0 <= n < 1 << 53 for n in counts.values())
        and isinstance(trained, list)
        and all(isinstance(name, str) for name in trained)
        and isinstance(log, list)
        and all(isinstance(line, dict) and all(_loggable(value) for value in line.values()) for line in log)
    ):
        return LearnReport(Usage(**counts), tuple(trained), log)
    raise MethodError("the method's process sent no proper report of what it learned", plain_words(dict(header), 200))


def _loggable(value: object) -> bool:
    return isinstance(value, (str, bool, int)) or (isinstance(value, float) and math.isfinite(value))


def opened_state(data: bytes) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Tensors of a state and the names that it says were trained; :class:`MethodError` where it is no state."""
    try:
        return deserialize_state(data), trained_names(data)
    except (SafetensorError, ValueError, AttributeError, TypeError) as error:
        raise MethodError(f"the method's process sent a state that is no safetensors file: {error}") from error


def deserialize_state(data: bytes) -> dict[str, dict[str, Any]]:
    """Type, shape and bytes of each tensor, by name."""
    return dict(deserialize(data))


def with_trained(data: bytes, names: Sequence[str]) -> bytes:
    """The state with other names of trained parameters: the header is written again, the tensors stay as they are."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end]) | {"__metadata__": {TRAINED: "\n".join(names)}}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the tensors begin at a multiple of 8
    return len(text).to_bytes(8, "little") + text + data[end:]
