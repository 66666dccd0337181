"""CGIL, adapted: a variational autoencoder of features for each class, replayed (Frascaroli et al., BMVC 2024)."""

from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field

from baselines.cgil.vae import ClassVAEs, Decoders
from baselines.parts.adapters import MINI_FACTOR
from baselines.parts.replay import ReplayConfig, ReplayMethod
from vlcl_bench.methods import Backbone, Context, Task


class CGIL(ReplayMethod):
    """What "CLIP with Generative Latent Replay" replays, with the adapters and losses of the other replay methods here.

    When a task ends a VAE is trained on the frozen picture features of each of its classes; when one begins, features
    are drawn from those of all past classes, for this task only. Published are the VAE of each class with a latent of
    256, a hidden layer of 512, 500 iterations at 2e-4. The published method aligns learned prompts with these features:
    here adapters learn from them, so that the methods that replay features differ in what they replay and in nothing
    else. No budget counts the VAEs' iterations; they are metered as the method's own training. Ours too: batches of 32,
    the decoder's variance (see ``parts/vae.py``), dropping the encoder, which nothing needs any more, and captions:
    each of ``pseudo_classes`` clusters has a VAE of picture and mean caption features side by side.
    """

    title = "CGIL (adapted)"

    class Config(ReplayConfig):
        """``samples`` are drawn of each past class for a task; there is no jitter, samples have their own spread."""

        latent: int = Field(256, ge=1)
        hidden: int = Field(512, ge=1)
        iterations: int = Field(500, ge=1)
        vae_rate: float = Field(2e-4, gt=0)
        vae_batch: int = Field(32, ge=1)
        samples: int = Field(64, ge=1)
        jitter: Literal["covariance", "isotropic", "none"] = "none"

    # The mini CLIP's features have a quarter of 512 dimensions, so the VAE's layers have a quarter of their units.
    mini_settings: ClassVar = {"pseudo_classes": 16, "latent": 64, "hidden": 128, "rate_factor": MINI_FACTOR}

    def __init__(self, backbone: Backbone, config: Any) -> None:
        super().__init__(backbone, config)
        self.decoders = Decoders()

    @property
    def items(self) -> int:
        """Classes with a decoder."""
        return len(self.decoders)

    def start(self, task: Task, ctx: Context) -> None:
        """Fill the memory with samples of past classes, then begin as the other replay methods do."""
        generator = ctx.generator("samples", task.index)
        for row in range(len(self.decoders)):
            self._draw(row, generator, task)
        super().start(task, ctx)

    def _draw(self, row: int, generator: torch.Generator, task: Task) -> None:
        """Samples of one class as pairs; of the classes of a data set, w is the feature of the prompt."""
        count, decoders = self.config.samples, self.decoders
        dataset, label = int(decoders.datasets[row]), int(decoders.labels[row])
        with torch.no_grad():
            found = decoders.sample(row, count, generator)
        v = found[:, : self.width]
        w = self.known[dataset].texts[label].expand(count, -1) if task.captions is None else found[:, self.width :]
        self.memory.append(
            v=F.normalize(v, dim=1),
            w=F.normalize(w, dim=1),
            labels=torch.full((count,), label),
            datasets=torch.full((count,), dataset),
            tasks=torch.full((count,), int(decoders.tasks[row])),
            ranks=torch.zeros(count),
        )

    def finish(self, task: Task, ctx: Context) -> None:
        """Train the VAEs of the task's classes, keep their decoders, and forget the samples."""
        view, count = self.view, len(self.names)
        features = view.images
        if self.spaces.captioned:
            features = torch.cat([features, F.normalize(self.seen.mean_captions(), dim=1)], dim=1)
        config, generator = self.config, ctx.generator("vae", task.index)
        vaes = ClassVAEs(count, features.shape[1], config.hidden, config.latent, generator)
        deviations = vaes.fit(features, view.labels, config.iterations, config.vae_batch, config.vae_rate)
        ctx.spent(config.iterations * config.vae_batch * count)
        self.decoders.append(
            hidden=vaes.weights["decode"],
            hidden_bias=vaes.weights["decode_bias"],
            out=vaes.weights["give"],
            out_bias=vaes.weights["give_bias"],
            deviations=deviations,
            labels=self.names,
            datasets=torch.full((count,), self.spaces.current),
            tasks=torch.full((count,), task.index),
        )
        self.memory.keep(torch.arange(0))
        super().finish(task, ctx)
