"""LwF as ZSCL's table ran it: distillation on the current task's own pictures and prompts (ZSCL, `lwf.sh`)."""

import copy
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from vlcl_bench.methods import Batch, Context, FineTuneConfig, LossMethod, Task, distillation_both_ways


class LwF(LossMethod):
    """Cross-entropy plus distillation from the model before the task, over pictures and over prompts.

    As in the published code, and unlike the paper's formulas, the teacher's text features stand on both sides, so that
    both terms train the image encoder; the pictures are a second, independently shuffled stream of the task under the
    test transform. LwF's own text (Li and Hoiem, ECCV 2016) distils the old tasks' heads on the new task's pictures;
    here, as in ZSCL's table, the new task's prompts take their place.
    """

    title = "LwF"

    class Config(FineTuneConfig):
        """Weights 1 and 1 and temperature 2 are the published values."""

        image_weight: float = 1.0
        text_weight: float = 1.0
        temperature: float = 2.0

    _reference: Iterator[Batch]

    @torch.no_grad()
    def start(self, task: Task, ctx: Context) -> None:
        """Take the teacher (before the first task: zero-shot CLIP) and encode the prompts with it once."""
        self._teacher = [copy.deepcopy(self.backbone).eval()]  # in a list: not a sub-module, so it is not kept
        tokens = self.backbone.tokenize(task.prompts).to(self.device)
        self._teacher_texts = F.normalize(self._teacher[0].encode_text(tokens), dim=-1)
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
