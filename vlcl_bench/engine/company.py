"""In which company a test picture is asked about, and whether that changes the answer.

Which pictures share a batch, and in which order, comes from the system's randomness over the whole test set of a data
set, anew at every stage of every run: a method that knew how many pictures of each class a batch holds could solve a
puzzle in place of recognising anything. Predictions are keyed by sample, so a method that answers each picture by
itself gives the same record whatever the company. Some pictures are asked a second time: in other company, in a batch
of another size, alone, and with a few values changed by one, for methods that would remember what they were asked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vlcl_bench.records.schema import Rechecks

AGAIN_SHARE, FEWEST_AGAIN, MOST_AGAIN = 24, 2, 200
"""One picture in so many is asked again, and of a data set at least and at most so many."""
ALONE = 2
"""Pictures of a data set that are asked again alone, at every stage."""
NEAR_TIE = 1e-4
"""Two best scores nearer than this share of the logit scale may change places with other company."""
ALTERED_SHARE = 0.5
"""Of the pictures asked again in company, those that have a few values changed."""
ALTERED, ALTERED_NEAR_TIE = 0.01, 0.005
"""Share of a picture's values that are changed by one; the gap below which its best scores may then change places."""


@dataclass(frozen=True)
class Batch:
    """Rows ``(b,)`` of a data set's test pictures that are asked about at once.

    ``again`` says which of them are asked a second time, ``altered`` which of those with a few values changed.
    """

    rows: np.ndarray
    again: np.ndarray
    altered: np.ndarray

    def pictures(self, test: np.ndarray) -> np.ndarray:
        """The uint8 pictures ``(b, s, s, 3)`` of ``test`` that the method is shown."""
        shown = np.ascontiguousarray(test[self.rows])
        if self.altered.any():
            shown[self.altered] = altered_pictures(shown[self.altered])
        return shown


def batches(count: int, size: int, random: np.random.Generator) -> list[Batch]:
    """All of ``count`` pictures once and some of them again, in batches of at most ``size``, all of it by chance.

    The batches that hold every picture are of equal sizes, as nearly as can be, and there are two of them at least
    where there are two pictures: else there would be no other company.
    """
    again = random.permutation(count)[: int(np.clip(round(count / AGAIN_SHARE), FEWEST_AGAIN, MOST_AGAIN))]
    mixed, apart = again[::2], again[1::2]
    number = min(count, max(-(-(count + len(mixed) + 1) // size), 2))
    place = random.permutation(np.arange(count) % number)
    rows = np.concatenate([np.arange(count), mixed])
    places = np.concatenate([place, _elsewhere(place, mixed, number)])
    second = np.arange(len(rows)) >= count
    altered = second & (random.random(len(rows)) < ALTERED_SHARE)
    found = []
    for chosen in (random.permutation(np.flatnonzero(places == batch)) for batch in range(number)):
        found.append(Batch(rows[chosen], second[chosen], altered[chosen]))
    for part in (apart, *again[:ALONE, None]):
        if len(part):
            changed = (random.random(len(part)) < ALTERED_SHARE) & (len(part) > 1)
            found.append(Batch(random.permutation(part), np.ones(len(part), bool), changed))
    return [found[place] for place in random.permutation(len(found))]


def _elsewhere(place: np.ndarray, mixed: np.ndarray, number: int) -> np.ndarray:
    """A batch for the second question about each of the pictures ``mixed``: the emptiest but the picture's own."""
    sizes = np.bincount(place, minlength=number)
    found = np.empty(len(mixed), np.int64)
    for at, home in enumerate(place[mixed]):
        others = [batch for batch in range(number) if batch != home] or [home]
        found[at] = min(others, key=lambda batch: sizes[batch])
        sizes[found[at]] += 1
    return found


def altered_pictures(pictures: np.ndarray) -> np.ndarray:
    """Pictures ``(n, s, s, 3)`` with a few values changed by one: whoever knows their bytes does not know these."""
    changed = pictures.copy()
    for picture in changed:  # what is changed follows from the picture, not from its batch
        seed = int.from_bytes(hashlib.sha256(picture.tobytes()).digest()[:8], "big")
        chosen = np.random.default_rng(seed).random(picture.shape) < ALTERED
        picture[chosen] ^= 1
    return changed


class Answered:
    """The best answers to some label spaces of a data set of ``count`` pictures, the first time and again."""

    def __init__(self, count: int, spaces: int) -> None:
        self._best = np.full((spaces, count), -1, np.int64)
        self._gap = np.zeros((spaces, count), np.float32)
        self._again: list[tuple[Batch, list[np.ndarray]]] = []

    def add(self, batch: Batch, logits: Sequence[np.ndarray]) -> None:
        """Take the answers to a batch: ``logits`` ``(b, c)`` for each label space, in the same order every time."""
        first = ~batch.again
        for space, values in enumerate(logits):
            self._best[space, batch.rows[first]] = values[first].argmax(axis=1)
            self._gap[space, batch.rows[first]] = _gap(values[first])
        if batch.again.any():
            self._again.append((batch, [values.argmax(axis=1) for values in logits]))

    def rechecks(self, logit_scale: float) -> Rechecks:
        """How many answers were asked for again, and how many changed although the two best scores were not near."""
        found = Rechecks()
        for batch, answers in self._again:
            for space, best in enumerate(answers):
                changed = best != self._best[space, batch.rows]
                gap = self._gap[space, batch.rows]
                for altered, tie in ((False, NEAR_TIE), (True, ALTERED_NEAR_TIE)):
                    chosen = batch.again & (batch.altered == altered)
                    far = int((chosen & changed & (gap >= tie * logit_scale)).sum())
                    found += Rechecks.of(int(chosen.sum()), far, altered)
        return found


def _gap(logits: np.ndarray) -> np.ndarray:
    """By how much the best of ``(n, c)`` logits leads; infinite where there is one only."""
    if logits.shape[1] < 2:
        return np.full(len(logits), np.inf, np.float32)
    best = np.partition(logits, -2, axis=1)
    return best[:, -1] - best[:, -2]
