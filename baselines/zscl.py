"""ZSCL: zero-shot CLIP as teacher on reference data, l2, weight ensemble (Zheng et al., ICCV 2023, `ZSCL.sh`)."""

import copy
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vlcl_bench.methods import (
    Backbone,
    Batch,
    Context,
    FineTuneConfig,
    LossMethod,
    Task,
    WeightEnsemble,
    distillation_both_ways,
    l2_to_anchor,
    snapshot,
)

CHUNK = 256
"""Pictures or texts that the teacher encodes at once: fixed, so that a continued run has the very same features."""
KNOWN_AT_ONCE = 20_000
"""Up to so many reference pictures are encoded by the teacher beforehand; of more, only those that are drawn."""


class ZSCL(LossMethod):
    """Cross-entropy, distillation from the untouched CLIP on reference pictures and texts, l2, weight ensemble.

    The teacher is always the untouched model. As in the released code, and unlike the paper's formulas, its text
    features stand on both sides of both distillation terms: the student's text encoder is held by the pull and the
    ensemble only. The l2 anchor is the model at the task's start; the ensemble's mean of it and of snapshots at
    steps 0, interval, 2 interval, ... is what the task ends with, while training goes on from the plain weights.

    What does not change is computed once: the teacher's features of the texts, and of the pictures where these are few
    (of many, the features of those drawn, as they are drawn).

    Where this and the released code differ: equal captions count once here and as often as they stand in the file
    there; the code's last optimiser call, at rate zero, is not made, its snapshot is; on captioned tasks, which the
    paper does not have, the cross-entropy is CLIP's contrastive loss. Where the code and the paper's wording differ we
    follow the code: the texts on both sides (above), cross-entropy in place of Kullback-Leibler, a pull that is a plain
    sum over all weights.

    The pull's weight 1 stays on the mini protocols: of 0, 0.01, 0.1 and 1 on ``mini-dev`` (Avg 78.4, 78.6, 79.2, 80.2;
    one seed) it is the best by Avg.

    Variants of the paper and its scripts: ZSCL* is ``l2_weight=0``; ``ensemble=false``; ``text_weight=0`` (image-only)
    or ``image_weight=0`` (text-only); ``distill=feature``; fewer ``reference_pictures`` or ``reference_texts``.
    """

    title = "ZSCL"
    auxiliary = ("pictures", "texts")

    class Config(FineTuneConfig):
        """Weights 1, 1 and 1 and temperature 2 are the published values; ``cache`` changes the time only."""

        image_weight: float = 1.0
        text_weight: float = 1.0
        temperature: float = 2.0
        l2_weight: float = 1.0
        ensemble: bool = True
        distill: Literal["logits", "feature"] = "logits"
        feature_weight: float = 1.0
        cache: bool = True
        reference_pictures: int | None = None
        reference_texts: int | None = None

    mini_settings: ClassVar = {}

    _rows: Iterator[np.ndarray]

    def __init__(self, backbone: Backbone, config: Any) -> None:
        super().__init__(backbone, config)
        self.teacher = copy.deepcopy(backbone).eval().requires_grad_(False)
        self._texts_seen: Tensor | None = None
        self._pictures_seen: Tensor | None = None

    def start(self, task: Task, ctx: Context) -> None:
        """Take the anchor and begin the ensemble; before the first task both are zero-shot CLIP."""
        self.teacher.eval()
        self._moving = dict(self.trainable_parameters())
        self._anchor = snapshot(self._moving.items()) if self.config.l2_weight else {}
        self._ensemble = WeightEnsemble(self._moving) if self.config.ensemble else None
        self._interval = ctx.budget.ensemble_interval
        self._rows = ctx.reference_rows(task)
        if self.config.distill == "logits":
            self._teacher_texts = self._of_texts(ctx)

    def loss(self, batch: Batch, logits: Tensor, ctx: Context) -> Tensor:
        """The recipe's loss, the distillation terms and the pull."""
        total = self.cross_entropy(batch, logits)
        rows = next(self._rows)
        images = ctx.reference_images(rows)
        student, teacher = self.embed_images(images), self._of_pictures(rows, images, ctx)
        if self.config.distill == "feature":
            total = total + self.config.feature_weight * (student - teacher).square().sum(dim=-1).mean()
        else:
            texts = self.backbone.logit_scale * self._teacher_texts.T
            total = total + distillation_both_ways(
                teacher @ texts,
                student @ texts,
                self.config.temperature,
                self.config.image_weight,
                self.config.text_weight,
            )
        if self.config.l2_weight:
            total = total + self.config.l2_weight * l2_to_anchor(self._moving, self._anchor)
        return total

    def after_step(self, step: int) -> None:
        """Take a snapshot at every interval, the first after the first step and the last after the last."""
        if self._ensemble is not None and step % self._interval == 0:
            self._ensemble.absorb()

    def finish(self, task: Task, ctx: Context) -> None:
        """End with the ensemble's mean, and drop what belongs to this task."""
        if self._ensemble is not None:
            self._ensemble.apply_()
        del self._moving, self._anchor, self._ensemble, self._rows

    @torch.no_grad()
    def _of_texts(self, ctx: Context) -> Tensor:
        """The teacher's unit features of the reference texts."""
        if self._texts_seen is None or not self.config.cache:
            texts = ctx.reference.texts
            parts = [texts[i : i + CHUNK] for i in range(0, len(texts), CHUNK)]
            tokens = [self.teacher.tokenize(part).to(self.device) for part in parts]
            self._texts_seen = torch.cat([F.normalize(self.teacher.encode_text(part), dim=-1) for part in tokens])
        return self._texts_seen

    @torch.no_grad()
    def _of_pictures(self, rows: np.ndarray, images: Tensor, ctx: Context) -> Tensor:
        """The teacher's unit features of the pictures of a step."""
        count = len(ctx.reference.pictures)
        if not self.config.cache or count > KNOWN_AT_ONCE:
            return F.normalize(self.teacher.encode_image(images), dim=-1)
        if self._pictures_seen is None:
            parts = [np.arange(i, min(i + CHUNK, count)) for i in range(0, count, CHUNK)]
            found = [self.teacher.encode_image(ctx.reference_images(part)) for part in parts]
            self._pictures_seen = F.normalize(torch.cat(found), dim=-1)
        return self._pictures_seen[torch.from_numpy(rows).to(self.device)]
