"""Training pictures that are not all of the protocol's size: decoded and cropped when they are asked for.

Threads do the work: Pillow lets go of Python's lock while it decodes and resizes. There is one pool for the
process, which lives as long as it does. Pictures of the mini world need none of this; they are plain arrays.
"""

from __future__ import annotations

import functools
import os
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from vlcl_bench.common.environment import value_of
from vlcl_bench.data.originals import Original
from vlcl_bench.data.transforms import crop_box, evaluation_crop, training_crop

if TYPE_CHECKING:
    from vlcl_bench.data.transforms import Augmentation

T = TypeVar("T")
R = TypeVar("R")
AHEAD = 4
"""Pictures waiting for each worker when a whole set is decoded: enough to keep it busy, little enough to hold."""


@functools.cache
def pool() -> ThreadPoolExecutor:
    """The decoding threads: ``$VLCL_WORKERS``, else one for each processor that this process may use."""
    return ThreadPoolExecutor(workers(), thread_name_prefix="vlcl-decode")


def workers() -> int:
    """How many decoding threads there are; raises :class:`UsageError` where the variable holds no number."""
    return int(value_of("VLCL_WORKERS") or processors())


def processors() -> int:
    """Processors that this process may use; not every system says it."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_parallel(work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """``work`` of every item, in order, a few ahead of the one that is asked for."""
    waiting: deque[Future[R]] = deque()
    try:
        for item in items:
            waiting.append(pool().submit(work, item))
            if len(waiting) > AHEAD * workers():
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


class Pictures(ABC):
    """``n`` training pictures of whatever sizes, handed out as ``side`` by ``side``."""

    side: int

    @abstractmethod
    def __len__(self) -> int:
        """Number of pictures."""

    @abstractmethod
    def original(self, row: int) -> np.ndarray:
        """One picture as it is, ``(h, w, 3)`` uint8, verified against the manifest."""

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Pictures under the test transform, ``(len(rows), side, side, 3)`` uint8."""
        return self.begin(rows)()

    def begin(
        self, rows: np.ndarray, draws: np.ndarray | None = None, augmentation: Augmentation | None = None
    ) -> Callable[[], np.ndarray]:
        """Begin to decode pictures; the returned function waits for them, ``(len(rows), side, side, 3)`` uint8.

        With ``draws`` ``(len(rows), 10, 4)`` in 0..1 they are random crops, else they are under the test transform.
        """
        chances = [None] * len(rows) if draws is None else list(draws)
        futures = [
            pool().submit(self._one, row, chance, augmentation)
            for row, chance in zip(rows.tolist(), chances, strict=True)
        ]
        return lambda: np.stack([future.result() for future in futures])

    def _one(self, row: int, draws: np.ndarray | None, augmentation: Augmentation | None) -> np.ndarray:
        pixels = self.original(row)
        if draws is None or augmentation is None:
            return evaluation_crop(pixels, self.side)
        box = crop_box(pixels.shape[0], pixels.shape[1], augmentation, draws.tolist())
        return training_crop(pixels, box, self.side)


class EncodedPictures(Pictures):
    """Pictures that are read and decoded from their originals every time."""

    def __init__(self, originals: Sequence[Original], hashes: Sequence[str], side: int) -> None:
        self.originals, self.hashes, self.side = originals, hashes, side

    def __len__(self) -> int:
        """See :meth:`Pictures.__len__`."""
        return len(self.originals)

    def original(self, row: int) -> np.ndarray:
        """See :meth:`Pictures.original`; a replaced file is refused the moment it is used."""
        return self.originals[row].verified(self.hashes[row])


class UncheckedPictures(Pictures):
    """Pictures whose list is known but not the content of each: reference data of a million files."""

    def __init__(self, originals: Sequence[Original], side: int) -> None:
        self.originals, self.side = originals, side

    def __len__(self) -> int:
        """See :meth:`Pictures.__len__`."""
        return len(self.originals)

    def original(self, row: int) -> np.ndarray:
        """See :meth:`Pictures.original`; a picture that cannot be decoded is refused by name."""
        return self.originals[row].load()[1]


class SmallPictures(Pictures):
    """Decoded pictures of one small size, ``(n, h, w, 3)`` uint8, kept whole in the store."""

    def __init__(self, pixels: np.ndarray, side: int) -> None:
        self.pixels, self.side = pixels, side

    def __len__(self) -> int:
        """See :meth:`Pictures.__len__`."""
        return len(self.pixels)

    def original(self, row: int) -> np.ndarray:
        """See :meth:`Pictures.original`; verified as a whole when the store was opened."""
        return np.asarray(self.pixels[row])


class SomePictures(Pictures):
    """Some rows of other pictures: those of a task that is a group of classes."""

    def __init__(self, pictures: Pictures, rows: np.ndarray) -> None:
        self.pictures, self.rows, self.side = pictures, rows, pictures.side

    def __len__(self) -> int:
        """See :meth:`Pictures.__len__`."""
        return len(self.rows)

    def original(self, row: int) -> np.ndarray:
        """See :meth:`Pictures.original`."""
        return self.pictures.original(int(self.rows[row]))


def some(pictures: np.ndarray | Pictures, rows: np.ndarray) -> np.ndarray | Pictures:
    """The pictures of these rows, copied where they are an array."""
    return SomePictures(pictures, rows) if isinstance(pictures, Pictures) else pictures[rows]
