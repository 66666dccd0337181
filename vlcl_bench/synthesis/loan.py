"""What a method that declares a generator is given: synthetic pictures for a task, made or found in the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from vlcl_bench.common.seeds import derive_seed
from vlcl_bench.data.transforms import evaluation_crop
from vlcl_bench.synthesis.generator import AT_ONCE
from vlcl_bench.synthesis.prompts import Ordered, base_prompts, draw_orders
from vlcl_bench.synthesis.store import Made, SyntheticStore


@dataclass(frozen=True, eq=False)
class SyntheticSet:
    """Pictures ``(n, s, s, 3)`` uint8 under the test transform and each one's prompt; what they took to make.

    ``blank`` pictures came before these, whenever they were made; ``made`` is what was done now.
    """

    images: np.ndarray
    prompts: tuple[str, ...]
    blank: int
    made: Made
    seconds: float


class Maker(Protocol):
    """Who makes synthetic pictures for a method: a generator with its store, or what stands in for it elsewhere."""

    @property
    def bytes(self) -> int:
        """Bytes of the generator's weights."""

    def make(
        self,
        count: int,
        learned: Sequence[str],
        task: int,
        run_seed: int,
        progress: Callable[[int, int], None],
    ) -> SyntheticSet:
        """A task's set of ``count`` pictures: prompts are drawn from the pretraining's world and from ``learned``.

        ``task`` counts from 1; the set follows from it, the prompts and ``run_seed`` alone. ``progress`` is told how
        many pictures are there, of how many.
        """


@dataclass(frozen=True, eq=False)
class Synthesis:
    """A generator's store with a protocol's side of the pictures and the names that prompts are made of."""

    store: SyntheticStore
    side: int
    names: Callable[[], Sequence[str]]

    @property
    def bytes(self) -> int:
        """See :attr:`Maker.bytes`."""
        return self.store.generator.bytes

    def pool(self, learned: Sequence[str]) -> tuple[str, ...]:
        """The prompts to draw from: those of the pretraining's world, then those of tasks already learned."""
        return (*base_prompts(self.names()), *learned)

    def orders(self, count: int, learned: Sequence[str], task: int, run_seed: int) -> list[Ordered]:
        """The pictures of a task's set; they follow from these facts alone."""
        generator = torch.Generator().manual_seed(derive_seed(run_seed, "prompts", task))
        return draw_orders(self.pool(learned), count, task, run_seed, generator)

    def make(
        self,
        count: int,
        learned: Sequence[str],
        task: int,
        run_seed: int,
        progress: Callable[[int, int], None],
    ) -> SyntheticSet:
        """See :meth:`Maker.make`; pictures that the store has are not made again."""
        started = time.monotonic()
        orders = self.orders(count, learned, task, run_seed)
        made = self.store.fill(orders, AT_ONCE, progress)
        images = np.stack([evaluation_crop(self.store.restored(order), self.side) for order in orders])
        self.store.generator.release()
        blank = sum(self.store.recipe(order)["attempt"] for order in orders)
        prompts = tuple(order.prompt for order in orders)
        return SyntheticSet(images, prompts, blank, made, time.monotonic() - started)
