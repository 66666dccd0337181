"""The matrices R that the scores of a run may hold, and how the primary one of each kind of stream is spoken of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Scores = Mapping[str, Any]
"""What :meth:`vlcl_bench.scoring.ground_truth.GroundTruth.rescore` returns."""


@dataclass(frozen=True)
class View:
    """A matrix R with its zero-shot row and metrics, in percent.

    ``key`` is its place in the scores (empty: the primary one, which stands at their top); ``label`` its name on the
    board and ``short`` that in a terminal's narrow column. One with a ``letter`` has a heat map of its own there.
    """

    key: str
    label: str
    short: str
    letter: str = ""

    def part(self, scores: Scores) -> Scores | None:
        """This matrix with its metrics; ``None`` where the scores have none."""
        return scores if not self.key else scores.get(self.key) or None


PRIMARY = View("", "task-aware", "task-aware", "R")
AGNOSTIC = View("agnostic", "task-agnostic", "task-agnostic")
AGNOSTIC_PLAIN = View("agnostic_plain", "task-agnostic, plain prompt", "…one template")
BLEU4 = View("bleu4", "BLEU-4", "captions: BLEU-4", "B")
VIEWS = (PRIMARY, AGNOSTIC, AGNOSTIC_PLAIN, BLEU4)


@dataclass(frozen=True)
class StreamKind:
    """How a kind of stream names its primary score: on the board, in a terminal's column, and above a heat map.

    ``beside`` are the views that stand beside the primary one.
    """

    label: str
    short: str
    what: str
    beside: tuple[View, ...]


CLASSES = StreamKind("task-aware", "task-aware", "accuracy", (AGNOSTIC, AGNOSTIC_PLAIN))
CAPTIONS = StreamKind("mean of R@1 both ways", "R@1", "mean of image-to-text and text-to-image R@1", (BLEU4,))


def stream_kind(scores: Scores) -> StreamKind:
    """Of which kind of stream these scores are."""
    return CAPTIONS if "retrieval" in scores else CLASSES
