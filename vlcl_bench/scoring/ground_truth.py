"""What is true of a stream's test samples: the only place where answers meet labels or captions.

A kind of stream (classes, captions) is a :class:`GroundTruth`. Nothing here may reach a method.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from vlcl_bench.scoring.metrics import FloatArray

if TYPE_CHECKING:
    import pandas as pd

    from vlcl_bench.protocols.stream import Protocol


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


def ground_truth(protocol: Protocol) -> GroundTruth:
    """The truth of a protocol, made once for each fingerprint; raises :class:`IntegrityError` without manifests."""
    return _ground_truth(_ByFingerprint(protocol))


class _ByFingerprint:
    """A protocol that equals every other of the same fingerprint: the key of a cache."""

    def __init__(self, protocol: Protocol) -> None:
        self.protocol, self.fingerprint = protocol, protocol.fingerprint

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByFingerprint) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)


@lru_cache(maxsize=32)
def _ground_truth(key: _ByFingerprint) -> GroundTruth:
    protocol = key.protocol
    return _caption_truth(protocol) if protocol.captioned else _class_truth(protocol)


def _class_truth(protocol: Protocol) -> GroundTruth:
    from vlcl_bench.scoring.classes import ClassTruth

    own, merged, classes = {}, {}, {}
    for spec in protocol.tasks:
        manifest, names = protocol.manifests[spec.dataset], protocol.datasets[spec.dataset].class_names
        labels = manifest.labels("test")[protocol.test_rows(spec)]
        own[spec.name] = labels
        merged[spec.name] = np.array([protocol.merged_place[names[label]] for label in labels], np.int64)
        classes[spec.name] = len(names)
    increments = {
        name: tuple(spec.name for spec in protocol.tasks if protocol.dataset_names[spec.dataset] == name)
        for name in protocol.dataset_names
        if name in protocol.class_groups
    }
    count = max(protocol.merged_place.values()) + 1
    return ClassTruth(protocol.task_names, own, classes, merged, count, increments)


def _caption_truth(protocol: Protocol) -> GroundTruth:
    from vlcl_bench.scoring.captions import CaptionTruth

    references = {spec.name: protocol.manifests[spec.dataset].captions("test") for spec in protocol.tasks}
    return CaptionTruth(
        tasks=protocol.task_names,
        owners={name: np.repeat(np.arange(len(texts)), [len(t) for t in texts]) for name, texts in references.items()},
        pictures={name: len(texts) for name, texts in references.items()},
        references=references,
        bank=protocol.bank_captions,
    )
