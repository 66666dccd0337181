"""Generative replay of pixels: synthetic pictures as labelled data (Shin et al., NIPS 2017, with diffusion)."""

from typing import ClassVar

from torch import Tensor

from vlcl_bench.methods import Batch, Context, SyntheticConfig, SyntheticMethod, alignment


class GenerativeReplay(SyntheticMethod):
    """Cross-entropy on the task, and on synthetic pictures, whose label is the prompt that they were made from.

    The pictures are GIFT's: prompts of the pretraining's world and of the tasks already learned. A picture's candidates
    are the prompts of its batch; equal prompts share the mass, with the recipe's label smoothing. There is no teacher
    and no pull: what is kept of earlier tasks is what the generator can draw of them.
    """

    title = "Generative replay (pixel)"

    class Config(SyntheticConfig):
        """GIFT's numbers of pictures and denoising steps; the replayed loss as heavy as the task's."""

        replay_weight: float = 1.0

    # GIFT's, so that both see the same pictures.
    mini_settings: ClassVar = {"pictures": 150, "denoising_steps": 10}

    def loss(self, batch: Batch, logits: Tensor, ctx: Context) -> Tensor:
        """The recipe's loss on both kinds of pictures."""
        places, images, texts = self.next_synthetic(ctx)
        found = self.backbone.logit_scale * images @ texts.T
        replayed = alignment(found, self._same[places], self.config.label_smoothing, both_ways=False)
        return self.cross_entropy(batch, logits) + self.config.replay_weight * replayed
