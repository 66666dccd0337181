"""Retrieval both ways from blocks of scores, and recall from the answers.

A gallery of n pictures with c captions is scored block by block, some pictures against all captions at a time;
only the best answers are kept. Of equal scores the lower index is the better answer, so neither the size of the
blocks nor their order matters.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from vlcl_bench.errors import MethodError, UsageError

TOP = 10
RECALL_AT = (1, 5, 10)
Direction = Literal["i2t", "t2i"]
Ids = npt.NDArray[np.int32]
_Keys = npt.NDArray[np.uint64]
_NOTHING = np.uint64(0xFFFFFFFFFFFFFFFF)
"""The key of no answer: it comes after every real one, and its low half is -1 as int32."""


class TopK:
    """The ``k`` best captions of each picture, and the ``k`` best pictures of each caption."""

    def __init__(self, pictures: int, captions: int, k: int = TOP) -> None:
        if min(pictures, captions, k) < 1:
            raise UsageError(f"retrieval needs pictures, captions and k of at least 1: {pictures}, {captions}, {k}")
        self.pictures, self.captions, self.k = pictures, captions, k
        self._captions_of = np.full((pictures, k), -1, dtype=np.int32)
        self._pictures_of = np.full((captions, k), _NOTHING, dtype=np.uint64)
        self._seen = np.zeros(pictures, dtype=bool)

    def add(self, pictures: npt.NDArray[np.integer[Any]], scores: npt.NDArray[np.float32]) -> None:
        """Take the float32 ``scores`` (b, captions) of the pictures with the indices ``pictures`` (b,).

        Raises :class:`MethodError` for scores of another shape or type or that are not finite, and
        :class:`UsageError` for pictures that are not in the gallery or were given before.
        """
        index = np.asarray(pictures)
        if index.ndim != 1 or index.dtype.kind not in "iu":
            raise UsageError("the pictures of a block must be an array (b,) of whole numbers")
        index = index.astype(np.int64)
        if ((index < 0) | (index >= self.pictures)).any():
            raise UsageError(f"a block has pictures outside the gallery of {self.pictures}")
        if len(np.unique(index)) != len(index) or self._seen[index].any():
            raise UsageError("a picture of the gallery was scored twice")
        _check_scores(scores, (len(index), self.captions))
        self._seen[index] = True
        falling = _falling(scores)
        self._captions_of[index] = _padded(_best(falling | np.arange(self.captions, dtype=np.uint64), self.k), self.k)
        block = (falling | index.astype(np.uint64)[:, None]).T
        self._pictures_of = _best(np.concatenate([self._pictures_of, block], axis=1), self.k)

    def i2t(self) -> Ids:
        """(pictures, k) caption indices, best first, -1 where there are fewer than k captions."""
        self._check_complete()
        return self._captions_of.copy()

    def t2i(self) -> Ids:
        """(captions, k) picture indices, best first, -1 where there are fewer than k pictures."""
        self._check_complete()
        return _ids(self._pictures_of)

    def _check_complete(self) -> None:
        missing = np.flatnonzero(~self._seen)
        if missing.size:
            raise UsageError(
                f"{missing.size} of {self.pictures} pictures were not scored; the first is picture {int(missing[0])}"
            )


def best_columns(scores: npt.NDArray[np.float32], k: int) -> Ids:
    """(b, k) columns of the highest float32 ``scores`` (b, c), best first, lower index first among equals.

    -1 beyond the c-th. Raises :class:`MethodError` for scores of another type or that are not finite.
    """
    if k < 1:
        raise UsageError(f"k must be at least 1, not {k}")
    _check_scores(scores, None)
    return _padded(_best(_falling(scores) | np.arange(scores.shape[1], dtype=np.uint64), k), k)


def recall_at(
    top: npt.NDArray[np.integer[Any]], owners: npt.NDArray[np.integer[Any]], k: int, direction: Direction
) -> float:
    """Recall at ``k`` in percent, from the answers ``top`` and the captions' pictures ``owners`` (c,).

    ``i2t``: ``top`` (n, ≥ k) holds captions; right when any of the first k belongs to the picture. ``t2i``:
    ``top`` (c, ≥ k) holds pictures; right when the caption's own is among the first k. -1 is no answer.
    """
    if not len(top):
        raise UsageError("recall needs at least one query")
    if not 1 <= k <= top.shape[1]:
        raise UsageError(f"recall at {k} needs as many answers per query; there are {top.shape[1]}")
    first = top[:, :k]
    if direction == "i2t":
        hit = (owners[first] == np.arange(len(top))[:, None]) & (first >= 0)
    elif direction == "t2i":
        hit = first == owners[:, None]
    else:
        raise UsageError(f"the direction of retrieval is 'i2t' or 't2i', not {direction!r}")
    return 100.0 * int(hit.any(axis=1).sum()) / len(top)


def _check_scores(scores: npt.NDArray[np.float32], shape: tuple[int, int] | None) -> None:
    if not isinstance(scores, np.ndarray) or scores.dtype != np.float32 or scores.ndim != 2:
        found = f"{scores.dtype} {scores.shape}" if isinstance(scores, np.ndarray) else type(scores).__name__
        raise MethodError(f"scores must be a float32 array with two dimensions, not {found}")
    if shape is not None and scores.shape != shape:
        raise MethodError(f"scores have the shape {scores.shape}; expected {shape}, pictures by captions")
    finite = np.isfinite(scores)
    if not finite.all():
        i, j = (int(x) for x in np.argwhere(~finite)[0])
        raise MethodError(f"the score of row {i}, column {j} is {scores[i, j]}; scores must be finite")


def _falling(scores: npt.NDArray[np.float32]) -> _Keys:
    """Keys whose high half falls as the score rises; an index put into the low half breaks ties.

    The bits of an IEEE float rise with a positive number and fall with a negative one, so turning the sign bit
    of the first and all bits of the second gives whole numbers in the order of the floats.
    """
    bits = (scores + np.float32(0.0)).view(np.uint32)  # the sum makes -0 into 0: equal scores, equal keys
    negative = (bits >> np.uint32(31)).astype(bool)
    rising = np.where(negative, ~bits, bits | np.uint32(0x80000000))
    return (~rising).astype(np.uint64) << np.uint64(32)


def _best(keys: _Keys, k: int) -> _Keys:
    """The ``k`` smallest keys of each row (all, when there are fewer), sorted."""
    if keys.shape[1] > k:
        keys = np.partition(keys, k - 1, axis=1)[:, :k]
    return np.sort(keys, axis=1)


def _ids(keys: _Keys) -> Ids:
    return (keys & np.uint64(0xFFFFFFFF)).astype(np.uint32).view(np.int32)


def _padded(keys: _Keys, k: int) -> Ids:
    return np.pad(_ids(keys), ((0, 0), (0, k - keys.shape[1])), constant_values=-1)
