"""The generator of a run: what it is, before anything is loaded, and the loan of it to the method."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from vlcl_bench.common.progress import Reporter
from vlcl_bench.engine.provenance import settle_determinism, settle_precision
from vlcl_bench.errors import UsageError
from vlcl_bench.methods.card import MethodCard
from vlcl_bench.protocols.stream import Protocol
from vlcl_bench.synthesis import GENERATOR
from vlcl_bench.synthesis.generator import AT_ONCE, FULL_STEPS, Generator, Recipe
from vlcl_bench.synthesis.loan import Synthesis
from vlcl_bench.synthesis.prompts import Ordered
from vlcl_bench.synthesis.store import Made, SyntheticStore


def plan_recipe(protocol: Protocol, card: MethodCard) -> Recipe | None:
    """How a method that declares a generator has its pictures made; ``None`` for a method that declares none.

    Its settings ``generator`` (``None``: the world's), ``denoising_steps``, ``guidance`` and ``picture_size``
    (``None``: the pipeline's) decide.
    """
    if GENERATOR not in card.reference:
        return None
    return Recipe(
        card.settings.get("generator") or protocol.world.generator,
        card.settings.get("denoising_steps", FULL_STEPS),
        card.settings.get("guidance"),
        card.settings.get("picture_size"),
    )


def open_synthesis(protocol: Protocol, recipe: Recipe | None, root: Path, device: torch.device) -> Synthesis | None:
    """What the context gives of the generator; its weights are loaded when the first picture is missing."""
    if recipe is None:
        return None
    return Synthesis(SyntheticStore(root, Generator(recipe, device)), protocol.side, protocol.world.prompt_names)


@dataclass(frozen=True)
class Share:
    """The ``number``-th (from 1) of ``count`` parts of a run's synthetic pictures."""

    number: int = 1
    count: int = 1


def fill_share(
    protocol: Protocol,
    card: MethodCard,
    seed: int,
    share: Share,
    root: Path,
    device: torch.device,
    reporter: Reporter,
) -> Made:
    """Make a part of all pictures that a run will ask for, task by task.

    Raises :class:`UsageError` for a method that declares no generator or does not say how many pictures it wants.
    """
    # As in a run, which would otherwise make other pictures on a GPU.
    settle_determinism()
    settle_precision(device)
    synthesis = open_synthesis(protocol, plan_recipe(protocol, card), root, device)
    count = card.settings.get("pictures")
    if synthesis is None or count is None:
        raise UsageError(
            f"{card.title} declares no generator with a setting `pictures`",
            "Methods with synthetic pictures are, for instance, gift and generative_replay.",
        )
    orders: list[Ordered] = []
    for task in range(1, len(protocol.tasks) + 1):
        learned = protocol.prompts_before(task) if card.settings.get("task_prompts", True) else ()
        orders += synthesis.orders(count, learned, task, seed)
    with reporter.phase(f"making pictures, part {share.number} of {share.count}", len(orders)) as progress:
        report = lambda made, total: progress(made, total, "")  # noqa: E731
        return synthesis.store.fill(orders, AT_ONCE, report, (share.number, share.count))
