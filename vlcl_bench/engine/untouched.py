"""The model as it came, before a method had it in its hands: what row 0 of R is measured against.

Before it has learned anything a method knows what its backbone knows. One that answers clearly better uses something
else: the company of a picture, names, labels from somewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from scipy.special import betainc

from vlcl_bench.backbones.base import Backbone
from vlcl_bench.common.fileio import canonical_json, read_json, sha256_text, write_atomic
from vlcl_bench.common.progress import Reporter
from vlcl_bench.data.store import INDEX_NAME, StoredDataSet
from vlcl_bench.engine.backbone import zero_shot_learner
from vlcl_bench.engine.evaluate import evaluate
from vlcl_bench.errors import MethodError, VlclError
from vlcl_bench.protocols.stream import Protocol
from vlcl_bench.scoring.ground_truth import ground_truth
from vlcl_bench.scoring.metrics import FloatArray

LEAST_GAIN = 1.0
"""Points by which row 0 may lie above the untouched model's without a question."""
UNLIKELY = 1e-4
"""Probability, over all tasks together, below which more right answers than the untouched model gives are no chance."""

Items = Mapping[str, FloatArray]
"""By task ``(n,)``: what each test sample contributes in percent."""


def untouched_items(
    backbone: Backbone, weights_sha256: str, protocol: Protocol, stored: list[StoredDataSet], root: Path,
    device: torch.device, reporter: Reporter,
) -> Items:  # fmt: skip
    """What the untouched ``backbone`` scores on each test sample.

    Asked once, then remembered under the store's ``root``. To be called before a method is made, which may build
    something into the backbone.
    """
    path = _place(root, protocol.fingerprint, weights_sha256, backbone.source_sha256, device.type)
    sizes = {spec.name: len(protocol.test_rows(spec)) for spec in protocol.tasks}
    remembered = _read(path, sizes)
    if remembered is not None:
        return remembered
    with reporter.phase("evaluating the untouched model", sum(len(data.test) for data in stored)) as progress:
        frame = evaluate(zero_shot_learner(backbone, protocol, device), protocol, stored, 0, progress).frame
    items = ground_truth(protocol).stage_item_scores(frame)
    write_atomic(path, canonical_json({task: scores.tolist() for task, scores in items.items()}))
    return items


def _place(root: Path, *facts: str) -> Path:
    """Where the answers that follow from these facts are remembered; the backbone's own file is one of them."""
    return root / f"untouched-{sha256_text(canonical_json([*facts, torch.__version__]))[:16]}" / INDEX_NAME


def _read(path: Path, sizes: Mapping[str, int]) -> Items | None:
    """What is remembered, if it is of these tasks and sizes; a damaged file is written anew."""
    try:
        found = {str(task): np.asarray(scores, np.float64) for task, scores in read_json(path).items()}
    except (VlclError, OSError, ValueError, TypeError, AttributeError):
        return None
    fits = {task: scores.shape for task, scores in found.items()} == {task: (n,) for task, n in sizes.items()}
    return found if fits else None


def refuse_better_start(items: Items, untouched: Items) -> None:
    """Raise :class:`MethodError` where a method that learned nothing scores clearly better than the untouched model.

    Clearly: by more than :data:`LEAST_GAIN` points in a task or in all, where a sign test over the samples that one of
    them answers better gives less than :data:`UNLIKELY`, parted among the tasks.
    """
    cases = {task: (items[task], untouched[task]) for task in items}
    """Where the answers that follow from these facts are remembered; the backbone's own file is one of them."""
    for task, (scores, before) in cases.items():
        gain = float(scores.mean() - before.mean())
        better, worse = int((scores > before).sum()), int((scores < before).sum())
        if gain > LEAST_GAIN and betainc(better, worse + 1, 0.5) < UNLIKELY / len(cases):
            raise MethodError(
                f"before learning anything the method scores {scores.mean():.1f} on {task}, where the untouched model "
                f"has {before.mean():.1f}: {better} samples better, {worse} worse",
                "Row 0 is what the backbone knows. Until a task was learned, answer from the picture and the names "
                "alone: no statistics over the pictures asked, and no labels from elsewhere.",
            )
