"""Diagnostics of seeds, for any method that keeps some: measured when they are made, before the task's data are gone.

A method logs them (``ctx.log(**seed_report(...))``); ``vlcl show RUN --seeds`` prints what a record holds of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vlcl_bench.scoring.bleu import bleu4
from vlcl_bench.tasks import Task

REPORT = "seeds"
"""What a log line of this kind has under ``report``."""


def seed_report(
    v: Tensor, w: Tensor, classes: Tensor, images: Tensor, labels: Tensor, texts: Tensor, task: Task
) -> dict[str, Any]:
    """A log line on seeds ``(n, d)`` of the given classes, against a task's real unit features.

    ``fidelity_image`` and ``fidelity_text`` are the means over classes of the cosine of v with the class's normalised
    mean picture feature, and of w with the class's text feature, each with its standard deviation over classes. (The
    page on Auto-Seed VL2 claims 0.89 ± 0.05.) ``variance_inside`` and ``variance_outside`` are ratios of the seeds'
    variance about their class means to the real features', within the span of the between-class scatter and in its
    complement; they need two seeds of every class and are left out elsewhere. The page claims less than 1 outside.
    """
    present = classes.unique()
    means = torch.stack([images[labels == label].mean(dim=0) for label in present])
    real = F.normalize(means, dim=1)
    near_v = torch.stack([(v[classes == c] @ mean).mean() for c, mean in zip(present, real, strict=True)])
    near_w = torch.stack([(w[classes == c] @ texts[c]).mean() for c in present])
    report: dict[str, Any] = {
        "report": REPORT, "task": task.name, "seeds": len(v), "classes": len(present),
        "fidelity_image": float(near_v.mean()), "fidelity_image_sd": float(near_v.std(correction=0)),
        "fidelity_text": float(near_w.mean()), "fidelity_text_sd": float(near_w.std(correction=0)),
    }  # fmt: skip
    several = torch.stack([(classes == c).sum() for c in present])
    if len(present) > 1 and int(several.min()) > 1:
        report |= _variances(v, classes, images, labels, present, means)
    return report


def _variances(
    v: Tensor, classes: Tensor, images: Tensor, labels: Tensor, present: Tensor, means: Tensor
) -> dict[str, float]:
    # Centred in double precision, where its rank is plain to see: one less than there are classes.
    centred = means.double() - means.double().mean(dim=0)
    # The right singular vectors of the centred class means are the eigenvectors of the between-class scatter.
    values, span = torch.linalg.svd(centred, full_matrices=False)[1:]
    span = span[values > values.max() * 1e-6]

    def within(rows: Tensor, owners: Tensor) -> tuple[float, float]:
        rows = rows.double()
        apart = torch.cat([rows[owners == c] - rows[owners == c].mean(dim=0) for c in present])
        freedom = max(1, len(apart) - len(present))
        inside = (apart @ span.T).square().sum() / freedom
        return float(inside), float(apart.square().sum() / freedom - inside)

    seeds, real = within(v, classes), within(images, labels)
    return {
        name: made / true
        for name, made, true in zip(("variance_inside", "variance_outside"), seeds, real, strict=True)
        if true > 0
    }


def caption_probe(
    w: Tensor, clusters: Tensor, captions: Sequence[Sequence[str]], features: Sequence[Tensor], labels: Sequence[int],
    draw: np.random.Generator,
) -> dict[str, float]:  # fmt: skip
    """BLEU-4 of the caption nearest to each seed's w ``(n, d)`` against captions of the seed's own cluster.

    ``captions[i]`` with unit ``features[i]`` are those of picture i of cluster ``labels[i]``. The captions of every
    second picture are what may be named, those of the others what is compared with. ``probe_chance`` is the same for
    captions drawn at random from the former. Empty where no cluster of a seed has captions to compare with.
    """
    bank = [text for texts in captions[::2] for text in texts]
    bank_features = torch.cat(list(features[::2]))
    references: dict[int, list[str]] = {}
    for texts, label in zip(captions[1::2], labels[1::2], strict=True):
        references.setdefault(int(label), []).extend(texts)
    usable = [i for i, cluster in enumerate(clusters.tolist()) if cluster in references]
    if not usable or not bank:
        return {}
    nearest = (w[usable] @ bank_features.T).argmax(dim=1).tolist()
    wanted = [references[int(clusters[i])] for i in usable]
    chance = [bank[i] for i in draw.integers(len(bank), size=len(usable))]
    return {
        "probe_bleu4": bleu4([bank[i] for i in nearest], wanted),
        "probe_chance": bleu4(chance, wanted),
    }
