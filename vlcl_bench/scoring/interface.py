"""What a kind of stream (classes, captions) must be able to say about answers: :class:`GroundTruth`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from vlcl_bench.scoring.metrics import FloatArray

if TYPE_CHECKING:
    import pandas as pd


class GroundTruth(ABC):
    """The truth of a stream, tasks in training order; raises :class:`IntegrityError` for answers that are none."""

    tasks: tuple[str, ...]

    @property
    @abstractmethod
    def answers_a_stage(self) -> int:
        """Number of predictions that a complete stage has."""

    @abstractmethod
    def check(self, frame: pd.DataFrame, stages: Iterable[int]) -> None:
        """Raise :class:`IntegrityError` unless ``frame`` answers all that was asked at these stages, once, in form."""

    @abstractmethod
    def rescore(self, frame: pd.DataFrame) -> dict[str, Any]:
        """Everything that the predictions of stages 0 to T say, JSON-ready."""

    @abstractmethod
    def stage_scores(self, frame: pd.DataFrame) -> dict[str, float]:
        """The primary score in percent by task, of the predictions of one stage."""

    @abstractmethod
    def item_scores(self, frame: pd.DataFrame) -> dict[str, FloatArray]:
        """By task ``(T + 1, n)``: what each test sample contributes in percent; the means are R's entries."""

    @abstractmethod
    def stage_item_scores(self, frame: pd.DataFrame) -> dict[str, FloatArray]:
        """By task ``(n,)``: what each test sample contributes in percent, of the predictions of one stage."""
