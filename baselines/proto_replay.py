"""Prototype replay: one mean feature a class with jitter, what Auto-Seed VL2 comes to without its generator."""

from typing import ClassVar

import torch
import torch.nn.functional as F

from baselines.parts.adapters import MINI_FACTOR
from baselines.parts.replay import ReplayMethod
from vlcl_bench.methods import Context, Task


class ProtoReplay(ReplayMethod):
    """The sanity baseline of methods that replay features: no generator, no choice, a single pair (v, w) a class.

    v is the normalised mean of the class's frozen picture features, w its prompt's feature, in half precision; of a
    captioned task, the mean picture and the mean caption of each of ``pseudo_classes`` clusters. Replayed with noise
    that lies about v as real features lie about their class's mean: one covariance for all classes, a running mean
    over tasks. (``jitter=isotropic`` spreads its trace over all dimensions, as in PASS, Zhu et al., CVPR 2021.)
    Adapters, losses, weights and number of steps are those of Auto-Seed VL2, and the code is the same, so that the
    difference between the two is the generator. What is not needed is not held back: all pictures count.
    """

    title = "Prototype replay"

    # A mini caption task has few pictures.
    mini_settings: ClassVar = {"pseudo_classes": 16, "rate_factor": MINI_FACTOR}

    def finish(self, task: Task, ctx: Context) -> None:
        """Keep the means."""
        hot = F.one_hot(self.view.labels).to(self.view.images.dtype)
        count = len(self.names)
        self.memory.append(
            v=F.normalize(hot.T @ self.view.images, dim=1),
            w=self.view.texts,
            labels=self.names,
            datasets=torch.full((count,), self.spaces.current),
            tasks=torch.full((count,), task.index),
            ranks=torch.zeros(count),
        )
        self.remember_spread(self.view)
        super().finish(task, ctx)
