"""What is true of a stream's test samples: the only place where answers meet labels or captions.

The kind of a stream (classes, captions) decides which :class:`GroundTruth` it has. Nothing here may reach a method.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from vlcl_bench.scoring.captions import CaptionTruth
from vlcl_bench.scoring.classes import ClassTruth
from vlcl_bench.scoring.interface import GroundTruth

if TYPE_CHECKING:
    from vlcl_bench.protocols.stream import Protocol


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
    references = {spec.name: protocol.manifests[spec.dataset].captions("test") for spec in protocol.tasks}
    return CaptionTruth(
        tasks=protocol.task_names,
        owners={name: np.repeat(np.arange(len(texts)), [len(t) for t in texts]) for name, texts in references.items()},
        pictures={name: len(texts) for name, texts in references.items()},
        references=references,
        bank=protocol.bank_captions,
    )
