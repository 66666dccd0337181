"""LwF-VR: LwF whose reference texts are random words (Ding et al., 2022; as ZSCL's table ran it, `lwf_vr.sh`)."""

import copy
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vlcl_bench.methods import Batch, Context, FineTuneConfig, LossMethod, Task, distillation_both_ways


class LwFVR(LossMethod):
    """Cross-entropy plus distillation from the model before the task, over pictures and over random texts.

    As LwF here, but the texts are ``texts`` random sequences of ``words`` tokens between the start and the end token,
    drawn once a task ("virtual vocabulary"). As in the released code the teacher's text features stand on both
    sides. Unlike there, the start and end tokens themselves are never among the words: the feature is read at the
    first end token, so one in the middle would cut its text short. On the mini CLIP tokens are drawn from those that
    its pretraining saw: the others have no trained vector.
    """

    title = "LwF-VR"

    class Config(FineTuneConfig):
        """Weights 1 and 1, temperature 2, 1,000 texts of 10 tokens are the published values."""

        image_weight: float = 1.0
        text_weight: float = 1.0
        temperature: float = 2.0
        texts: int = 1000
        words: int = 10

    _reference: Iterator[Batch]
    _teacher: list[Any]

    @torch.no_grad()
    def start(self, task: Task, ctx: Context) -> None:
        """Take the teacher (before the first task: zero-shot CLIP) and encode the random texts with it once."""
        self._teacher = [copy.deepcopy(self.backbone).eval()]  # in a list: not a sub-module, so it is not kept
        tokens = self.backbone.random_texts(self.config.texts, self.config.words, ctx.generator("words", task.index))
        self._teacher_texts = F.normalize(self._teacher[0].encode_text(tokens.to(self.device)), dim=-1)
        self._reference = ctx.batches(task, purpose="reference", augment=False)

    def loss(self, batch: Batch, logits: Tensor, ctx: Context) -> Tensor:
        """The recipe's loss plus both distillation terms."""
        images = next(self._reference).images
        texts = self.backbone.logit_scale * self._teacher_texts.T
        with torch.no_grad():
            teacher = F.normalize(self._teacher[0].encode_image(images), dim=-1) @ texts
        student = self.embed_images(images) @ texts
        return self.cross_entropy(batch, logits) + distillation_both_ways(
            teacher, student, self.config.temperature, self.config.image_weight, self.config.text_weight
        )

    def finish(self, task: Task, ctx: Context) -> None:
        """Drop the teacher: the next one is the model as it is then."""
        del self._teacher, self._teacher_texts, self._reference
