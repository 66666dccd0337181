"""The l2 baseline: fine-tuning pulled back to where the task started (ZSCL, `wc.sh`)."""

from typing import ClassVar

from torch import Tensor

from vlcl_bench.methods import Batch, Context, FineTuneConfig, LossMethod, Task, l2_to_anchor, snapshot


class L2(LossMethod):
    """Cross-entropy plus ``weight`` times the squared distance to the model at the task's start.

    1 is the published weight. The mini value was chosen on ``mini-dev`` by Avg among 0.01, 0.1, 1 and 10 (59.2, 63.2,
    56.6, 61.6; fine-tuning 59.3; one seed). Adam moves every weight by about the learning rate a step, whatever the
    gradient's size, and the mini protocols' rate is 60 times the published one: distances from the anchor are larger,
    and so is the pull of the same weight.
    """

    title = "l2 baseline"
    mini_settings: ClassVar = {"weight": 0.1}

    class Config(FineTuneConfig):
        """``weight`` 1 is the published value."""

        weight: float = 1.0

    def start(self, task: Task, ctx: Context) -> None:
        """Take the anchor; before the first task it is zero-shot CLIP."""
        self._moving = dict(self.trainable_parameters())
        self._anchor = snapshot(self.trainable_parameters())

    def loss(self, batch: Batch, logits: Tensor, ctx: Context) -> Tensor:
        """The recipe's loss plus the pull."""
        return self.cross_entropy(batch, logits) + self.config.weight * l2_to_anchor(self._moving, self._anchor)
