"""What crosses between the harness and a method's process: whole frames, within limits, and nothing unpickled."""

from __future__ import annotations

import json
import pickle
import struct

import numpy as np
import pytest

from vlcl_bench.engine.sandbox.wire import MOST_DIMENSIONS, Incoming, Message, WireError, pack


def fed(data: bytes, most: int = 1 << 20, step: int = 1 << 20) -> list[Message]:
    incoming, found = Incoming(most), []
    while data:
        room = incoming.room()
        count = min(len(room), step, len(data))
        room[:count] = data[:count]
        data = data[count:]
        message = incoming.filled(count)
        if message is not None:
            found.append(message)
    assert incoming.clean
    return found


def frame(header: object) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack(">I", len(text)) + text


ARRAYS = [
    np.arange(24, dtype=np.uint8).reshape(2, 3, 4), np.empty((0, 5), np.float32), np.array(7, np.int64),
    np.linspace(0, 1, 5), np.arange(12, dtype=np.float32).reshape(3, 4).T,
]  # fmt: skip


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_frames_arrive_as_they_were_sent(step: int) -> None:
    data = b"".join(
        map(bytes, [*pack({"call": "a", "Ω": 1}, ARRAYS), *pack({"b": [None, 0.1]}), *pack({}, ARRAYS[1:2])])
    )
    first, second, third = fed(data, step=step)
    assert first.header == {"call": "a", "Ω": 1}
    for sent, came in zip(ARRAYS, first.arrays, strict=True):
        assert (sent.dtype, sent.shape) == (came.dtype, came.shape)
        assert np.array_equal(sent, came)
    assert (second.header, second.arrays) == ({"b": [None, 0.1]}, [])
    assert third.arrays[0].shape == (0, 5)


def announced(dtype: object = "uint8", shape: object = (1,)) -> dict[str, object]:
    return {"arrays": [{"dtype": dtype, "shape": shape}]}


@pytest.mark.parametrize(
    "data",
    [
        frame(b"no json"),
        frame(b"\xff\xfe"),
        frame(b"[1, 2]"),
        frame(b'{"arrays": 3}'),
        frame(b'{"x": NaN, "arrays": []}'),
        frame(b'{"arrays": ' + b"[" * 100_000),
        frame({"x": 1}),
        frame({"arrays": [{"dtype": "uint8", "shape": []}] * 65}),
        frame(announced("object")),
        frame(announced("complex128")),
        frame(announced(None)),
        frame(announced(["uint8"])),
        frame(announced(shape=[-1])),
        frame(announced(shape=[1.5])),
        frame(announced(shape=[True])),
        frame(announced(shape="3")),
        frame(announced(shape=[1] * (MOST_DIMENSIONS + 1))),
        frame(announced(shape=[1 << 39, 1 << 39])),
        frame(announced("float64", [(1 << 17) + 1])),
        frame(announced(shape=[1 << 50])),
        struct.pack(">I", 1 << 31),
        struct.pack(">I", 0),
        pickle.dumps({"reply": True}),
    ],
)
def test_what_is_no_frame_or_too_large_is_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        fed(data)


def test_an_announced_array_is_refused_before_it_comes() -> None:
    with pytest.raises(WireError, match="arrays of 1001 bytes or more; at most 1000 are taken"):
        fed(frame(announced(shape=[1001])), most=1000)


def test_noise_never_ends_in_anything_but_a_refusal() -> None:
    random = np.random.default_rng(0)
    for _ in range(300):
        data = frame(random.integers(0, 256, 40, dtype=np.uint8).tobytes())
        with pytest.raises(WireError):
            fed(data)
