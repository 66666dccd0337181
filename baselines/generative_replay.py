"""Generative replay of pixels: synthetic pictures as labelled data (Shin et al., NIPS 2017, with diffusion)."""

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from vlcl_bench.methods import Batch, Context, LossMethod, Task
from vlcl_bench.methods.base import FineTuneConfig
from vlcl_bench.methods.context import shuffled
from vlcl_bench.methods.losses import alignment


class GenerativeReplay(LossMethod):
    """Cross-entropy on the task, and on synthetic pictures, whose label is the prompt that they were made from.

    The pictures are GIFT's: prompts of the pretraining's world and of the tasks already learned. A picture's candidates
    are the prompts of its batch; equal prompts share the mass, with the recipe's label smoothing. There is no teacher
    and no pull: what is kept of earlier tasks is what the generator can draw of them.
    """

    title = "Generative replay (pixel)"
    auxiliary = ("generator",)

    class Config(FineTuneConfig):
        """GIFT's numbers of pictures and denoising steps."""

        pictures: int = Field(1000, ge=1)
        generator: str | None = None
        denoising_steps: int = Field(50, ge=1)
        guidance: float | None = None
        task_prompts: bool = True
        replay_weight: float = 1.0

    mini_settings: ClassVar = {"pictures": 40, "denoising_steps": 10}

    _rows: Iterator[np.ndarray]

    def start(self, task: Task, ctx: Context) -> None:
        """Make the pictures."""
        self._set = ctx.synthesise(task, self.config.pictures, self.config.task_prompts)
        self._prompts = self.backbone.tokenize(self._set.prompts).to(self.device)
        _, same = np.unique(np.array(self._set.prompts), return_inverse=True)
        self._same = torch.from_numpy(same).to(self.device)
        self._rows = shuffled(len(same), ctx.budget.reference_batch, ctx.generator("synthetic", task.index))

    def loss(self, batch: Batch, logits: Tensor, ctx: Context) -> Tensor:
        """The recipe's loss on both kinds of pictures."""
        rows = next(self._rows)
        places = torch.from_numpy(rows).to(self.device)
        images = self.embed_images(ctx.synthetic_images(self._set, rows))
        texts = F.normalize(self.backbone.encode_text(self._prompts[places]), dim=-1)
        found = self.backbone.logit_scale * images @ texts.T
        replayed = alignment(found, self._same[places], self.config.label_smoothing, both_ways=False)
        return self.cross_entropy(batch, logits) + self.config.replay_weight * replayed

    def finish(self, task: Task, ctx: Context) -> None:
        """Drop what belongs to this task."""
        del self._set, self._prompts, self._same, self._rows
