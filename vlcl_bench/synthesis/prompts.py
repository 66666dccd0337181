"""Which pictures to make: prompts drawn from a pool that grows with the tasks, a seed for each picture.

As GIFT's released code does (Luo-Jiaming/GIFT_CL; Wu et al., CVPR 2025): names of the pretraining's world plus the
names of tasks already learned, uniform over prompts, with replacement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

BASE_TEMPLATE = "a photo of a {c}."
PUBLISHED_SEED = 42
"""The released code's one seed; a run's own seed is added to it."""

LARGEST = 2**62


@dataclass(frozen=True)
class Ordered:
    """One picture to be made: its prompt, and the seed of its noise."""

    prompt: str
    seed: int


def base_prompts(names: Sequence[str]) -> tuple[str, ...]:
    """Prompts of what the model knew before any task, from its ``names`` (:meth:`World.prompt_names`)."""
    return tuple(BASE_TEMPLATE.replace("{c}", name) for name in names)


def picture_seed(task: int, number: int, run_seed: int) -> int:
    """Seed of picture ``number`` (from 0) for task ``task`` (from 1): ``number + 100,000 (task - 2) + 10^7 seed``.

    Of a run's seed so large that torch could not hold this, the last 62 bits.
    """
    seed = number + 100_000 * (task - 2) + 10_000_000 * (PUBLISHED_SEED + run_seed)
    return seed if abs(seed) < LARGEST else seed % LARGEST


def draw_orders(pool: Sequence[str], count: int, task: int, run_seed: int, generator: torch.Generator) -> list[Ordered]:
    """``count`` pictures for a task, their prompts drawn uniformly with replacement from the pool."""
    places = torch.randint(len(pool), (count,), generator=generator).tolist()
    return [Ordered(pool[place], picture_seed(task, number, run_seed)) for number, place in enumerate(places)]
