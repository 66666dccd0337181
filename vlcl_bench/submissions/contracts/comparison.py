"""What two sets of answers, or two states, of a method have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from vlcl_bench.records.schema import ALLOWED_CHANGED

if TYPE_CHECKING:
    from vlcl_bench.submissions.contracts.small_stream import Stream
    from vlcl_bench.tasks import Query

Answers = list[list[np.ndarray]]
"""For each of a stream's sets of pictures the logits ``(n, c)`` for each of its label spaces, in order."""
State = dict[str, torch.Tensor]
"""All that a method keeps, by name."""


@dataclass(frozen=True)
class Changed:
    """Answers that are others: how many of ``total``, how many of them near ties, and the first in words."""

    changed: int
    near: int
    total: int
    example: str = ""

    @property
    def share(self) -> float:
        """Percent of answers that changed."""
        return 100.0 * self.changed / self.total

    @property
    def excused(self) -> bool:
        """Whether there are so few that rounding, also at a router's or a selector's threshold, may have done it."""
        return self.changed <= ALLOWED_CHANGED * self.total

    def __add__(self, other: Changed) -> Changed:
        return Changed(
            self.changed + other.changed, self.near + other.near, self.total + other.total,
            self.example or other.example,
        )  # fmt: skip


def changes(stream: Stream, before: Answers, after: Answers, near_tie: float = 0.0, way: str = "") -> Changed:
    """Which best answers differ; ``near_tie`` is the gap of the two best logits below which they may.

    ``way`` says in the example how the pictures were asked the second time.
    """
    total = Changed(0, 0, 0)
    for asked, old_answers, new_answers in zip(stream.asked, before, after, strict=True):
        for query, old, new in zip(asked.queries, old_answers, new_answers, strict=True):
            total += _changed(asked.name, query, (old, new), near_tie, way)
    return total


def _changed(name: str, query: Query, logits: tuple[np.ndarray, np.ndarray], near_tie: float, way: str) -> Changed:
    """Which best answers to one query differ, given the logits ``(n, c)`` before and after."""
    old, new = logits
    was, now = old.argmax(axis=1), new.argmax(axis=1)
    rows = np.flatnonzero(was != now)
    best = np.sort(old, axis=1)
    gap = best[:, -1] - best[:, -2] if old.shape[1] > 1 else np.full(len(old), np.inf)
    example = ""
    if len(rows):
        first = rows[0]
        space = "all names" if query.task is None else f"the names of {query.task}"
        example = (
            f"{way}picture {first} of {name} is {query.names[now[first]]!r} among {space}, "
            f"before {query.names[was[first]]!r} (by {gap[first]:.2f})"
        )
    return Changed(len(rows), int((gap[rows] < near_tie).sum()), len(old), example)


def unequal_tensors(before: State, after: State) -> list[str]:
    """Names of tensors that are not equal to the bit in two states, sorted."""
    shared = before.keys() & after.keys()
    unequal = {name for name in shared if not _equal(before[name], after[name])}
    return sorted(unequal | (before.keys() ^ after.keys()))


def _equal(before: torch.Tensor, after: torch.Tensor) -> bool:
    if before.dtype != after.dtype or before.shape != after.shape:
        return False
    if before.is_floating_point():
        return torch.equal(before, after) or torch.equal(before.nan_to_num(), after.nan_to_num())
    return torch.equal(before, after)


def listed(names: list[str], most: int = 3) -> str:
    """The first of these names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
