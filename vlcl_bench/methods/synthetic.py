"""The base of methods whose steps also take a batch of synthetic pictures with their prompts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import BaseModel, Field
from torch import Tensor

from vlcl_bench.methods.base import FineTuneConfig, LossMethod
from vlcl_bench.methods.batches import shuffled
from vlcl_bench.methods.context import Context
from vlcl_bench.synthesis import GENERATOR
from vlcl_bench.synthesis.loan import SyntheticSet
from vlcl_bench.tasks import Task


class SyntheticConfig(FineTuneConfig):
    """What synthetic pictures are asked for: GIFT's published 1,000 a task in 50 steps."""

    pictures: int = Field(1000, ge=1)
    generator: str | None = None
    denoising_steps: int = Field(50, ge=1)
    guidance: float | None = None
    task_prompts: bool = True


class SyntheticMethod(LossMethod):
    """Fine-tuning with a set of synthetic pictures for each task, of which every step takes a batch.

    :meth:`start` has the set made, :meth:`next_synthetic` gives a batch's features, :meth:`finish` drops the set. A
    method that needs more at either end calls these first.
    """

    # With the older word: a method that derives from this one may have a part of its own called reference.
    auxiliary = (GENERATOR,)
    Config: ClassVar[type[BaseModel]] = SyntheticConfig

    _set: SyntheticSet
    _prompts: Tensor
    _same: Tensor
    _rows: Iterator[np.ndarray]

    def start(self, task: Task, ctx: Context) -> None:
        """Have the pictures made; ``_same`` ``(n,)`` says which of them have equal prompts."""
        self._set = ctx.synthesise(task, self.config.pictures, self.config.task_prompts)
        self._prompts = self.backbone.tokenize(self._set.prompts).to(self.device)
        _, same = np.unique(np.array(self._set.prompts), return_inverse=True)
        self._same = torch.from_numpy(same).to(self.device)
        self._rows = shuffled(len(same), ctx.budget.reference_batch, ctx.generator("synthetic", task.index))

    def next_synthetic(self, ctx: Context) -> tuple[Tensor, Tensor, Tensor]:
        """The next batch: its places in the set ``(n,)``, unit features of pictures and of prompts ``(n, d)``."""
        rows = next(self._rows)
        places = torch.from_numpy(rows).to(self.device)
        images = self.embed_images(ctx.synthetic_images(self._set, rows))
        return places, images, F.normalize(self.backbone.encode_text(self._prompts[places]), dim=-1)

    def finish(self, task: Task, ctx: Context) -> None:
        """Drop the set."""
        del self._set, self._prompts, self._same, self._rows
