"""Replay at the output of frozen towers: what methods share that keep features of past tasks, or make them again."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import BaseModel, Field
from torch import Tensor

from baselines.parts.adapters import AdapterConfig, AdapterMethod, Features
from baselines.parts.label_spaces import LabelSpaces
from baselines.parts.seeds import SeedMemory, Spreads, class_covariance, info_nce, jittered, pseudo_classes
from vlcl_bench.methods import Backbone, Context, Task, distillation, distillation_both_ways


def as_classes(seen: Features, task: Task, ctx: Context, most: int) -> tuple[Features, Tensor]:
    """A task as classes that have pictures, and their ids ``(c,)``; ``labels`` and ``texts`` count them from 0.

    A captioned task is seen as at most ``most`` clusters of its pictures' mean captions, whose mean is the text.
    """
    if seen.captions is None:
        present, local = seen.labels.unique(return_inverse=True)
        return Features(seen.rows, seen.images, local, seen.texts[present]), present
    texts = F.normalize(seen.mean_captions(), dim=1)
    labels = pseudo_classes(texts, most, ctx.generator("clusters", task.index).initial_seed())
    hot = F.one_hot(labels).to(texts.dtype)
    view = Features(seen.rows, seen.images, labels, F.normalize(hot.T @ texts, dim=1), seen.captions)
    return view, torch.arange(hot.shape[1], device=labels.device)


class ReplayConfig(AdapterConfig):
    """Weights and switches of the losses; all values are ours, and equal for all methods that share them."""

    pseudo_classes: int = Field(64, ge=1)
    replay_weight: float = 1.0
    distill_weight: float = 1.0
    lwf_weight: float = 1.0
    consistency_weight: float = 0.5
    temperature: float = Field(2.0, gt=0)
    stabilise_steps: int = Field(20, ge=0)
    consistency: bool = True
    jitter: Literal["covariance", "isotropic", "none"] = "covariance"
    lwf: bool = True
    stabilise: bool = True


class ReplayMethod(AdapterMethod):
    """Adapters that learn a task while pairs (v, w) of past tasks are replayed: v of a picture's, w of a text's side.

    A method fills ``memory`` in :meth:`finish`, or in :meth:`start` where it keeps something else from which pairs are
    made. From the second task on there come to the task's loss: cross-entropy of each v among its own data set's names
    and distillation over the names known before the task (on captioned tasks: both for pairs, with the batch's pairs
    as further negatives); consistency of v and w under the adapters; and distillation on the current pictures over the
    names known before ("LwF"). Before the first step the adapters settle on the memory alone.
    """

    Config: ClassVar[type[BaseModel]] = ReplayConfig

    spaces: LabelSpaces
    view: Features
    names: Tensor
    noise: torch.Generator
    roots: list[Tensor]

    def __init__(self, backbone: Backbone, config: ReplayConfig) -> None:
        super().__init__(backbone, config)
        self.memory = SeedMemory(self.width)
        self.spreads = Spreads(self.width)

    @property
    def items(self) -> int:
        """Pairs in the memory."""
        return len(self.memory)

    def start(self, task: Task, ctx: Context) -> None:
        """See the task as classes (``view``; ``names`` are their ids), and let the adapters settle on past tasks."""
        self.noise = ctx.generator("noise", task.index)
        self.roots = self.spreads.roots(isotropic=self.config.jitter == "isotropic")
        self.view, self.names = as_classes(self.seen, task, ctx, self.config.pseudo_classes)
        self.spaces = LabelSpaces(self.known, task, self.seen)
        if self.config.stabilise and len(self.memory):
            rate = self.config.rate(task, ctx)
            optimizer = torch.optim.AdamW(self.adapters.parameters(), lr=rate, weight_decay=0.0)
            for _ in range(self.config.stabilise_steps):
                optimizer.zero_grad()
                self._replay(ctx).backward()
                optimizer.step()

    def loss(self, places: np.ndarray, ctx: Context) -> Tensor:
        """The task's loss, replay, and what the model before the task says of these pictures."""
        own, texts = self.batch(places)
        total = self.loss_of(own, texts)
        if len(self.memory):
            total = total + self._replay(ctx, (own.images, texts) if self.spaces.captioned else None)
        if self.config.lwf and self.config.lwf_weight and self.spaces.old:
            kept = [self._as_before(own.images, old) for old in self.spaces.old]
            total = total + self.config.lwf_weight * torch.stack(kept).mean()
        return total

    def _as_before(self, images: Tensor, texts: Tensor) -> Tensor:
        """Distillation from the model before the task over a label space that it knew."""
        before, now = self.logits(images, texts, self.before), self.logits(images, texts)
        return distillation(before, now, self.config.temperature)

    def _replay(self, ctx: Context, current: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Replay and distillation on a batch of pairs, and consistency of the two halves of each under the adapters."""
        rows = torch.from_numpy(self.draws.permutation(len(self.memory))[: ctx.budget.batch_size]).to(self.device)
        if self.spaces.captioned:
            rows = self._one_a_class(rows)
        ctx.replay(len(rows))
        v, w = self._seeds(rows, jitter=self.config.jitter != "none")
        total = self._replay_pairs(v, w, current) if self.spaces.captioned else self._replay_classes(v, rows)
        if self.config.consistency and self.config.consistency_weight:
            single = self._one_a_class(rows)
            plain_v, plain_w = self._seeds(single, jitter=False)
            total = total + self.config.consistency_weight * info_nce(
                self.adapters.image(plain_v), self.adapters.text(plain_w)
            )
        return total

    def _replay_classes(self, v: Tensor, rows: Tensor) -> Tensor:
        """Each v among its own data set's names, and what the model before the task said over the names of then."""
        spaces, datasets = self.spaces, self.memory.datasets[rows].long()
        found = self.logits(v, spaces.texts)
        ce = spaces.cross_entropy(found, datasets, self.memory.labels[rows].long())
        with torch.no_grad():
            before = self.logits(v, spaces.texts, self.before)
        kd = distillation(
            spaces.within(before, datasets, old=True), spaces.within(found, datasets, old=True), self.config.temperature
        )
        return self.config.replay_weight * ce + self.config.distill_weight * kd

    def _replay_pairs(self, v: Tensor, w: Tensor, current: tuple[Tensor, Tensor] | None) -> Tensor:
        """Pairs of the memory among themselves and those of the current batch, which are further negatives."""
        images, texts = (v, w) if current is None else (torch.cat([v, current[0]]), torch.cat([w, current[1]]))
        own = torch.arange(len(v), device=v.device)
        both = F.cross_entropy(self.logits(v, texts), own) + F.cross_entropy(self.logits(images, w).T, own)
        with torch.no_grad():
            before = self.logits(v, w, self.before)
        kd = distillation_both_ways(before, self.logits(v, w), self.config.temperature)
        return self.config.replay_weight * both / 2 + self.config.distill_weight * kd / 2

    def _seeds(self, rows: Tensor, jitter: bool) -> tuple[Tensor, Tensor]:
        """Pairs in full precision, as they are or spread as real features were; w only where there are captions."""
        v, w = self.memory.v[rows].float(), self.memory.w[rows].float()
        if jitter:
            v = jittered(v, self.roots[0], self.noise)
            w = jittered(w, self.roots[1], self.noise) if self.spaces.captioned else w
        return F.normalize(v, dim=-1), F.normalize(w, dim=-1)

    def _one_a_class(self, rows: Tensor) -> Tensor:
        """The first of these rows of each class of each task."""
        keys = (self.memory.tasks[rows].long() << 16 | self.memory.labels[rows].long()).tolist()
        first = {key: place for place, key in reversed(list(enumerate(keys)))}
        return rows[sorted(first.values())]

    def remember_spread(self, view: Features) -> None:
        """Add how this task's real features lie about their class's mean to the running mean over tasks."""
        sides = [view.images, self.seen.mean_captions()] if self.spaces.captioned else [view.images]
        self.spreads.add(torch.stack([class_covariance(features, view.labels) for features in sides]))

    def finish(self, task: Task, ctx: Context) -> None:
        """Drop what only this task needed; to be called last."""
        del self.view, self.spaces, self.names, self.noise, self.roots
