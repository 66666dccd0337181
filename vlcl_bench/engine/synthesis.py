"""The generator of a run: what it is, before anything is loaded, and the loan of it to the method."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlcl_bench.errors import UsageError
from vlcl_bench.methods.reference import GENERATOR
from vlcl_bench.protocols import Protocol

if TYPE_CHECKING:
    import torch

    from vlcl_bench.engine.reporter import Reporter
    from vlcl_bench.methods.base import Method
    from vlcl_bench.synthesis.generator import Recipe
    from vlcl_bench.synthesis.lent import Synthesis
    from vlcl_bench.synthesis.prompts import Ordered
    from vlcl_bench.synthesis.store import Made


def plan_recipe(protocol: Protocol, kinds: Sequence[str], config: Any) -> Recipe | None:
    """How a method that declares a generator has its pictures made; ``None`` for one that declares none.

    Its settings ``generator`` (``None``: Stable Diffusion 1.5, or the mini one), ``denoising_steps``, ``guidance`` and
    ``picture_size`` (``None``: the pipeline's own) decide.
    """
    if GENERATOR not in kinds:
        return None
    from vlcl_bench.synthesis.generator import FULL_STEPS, MINI, STABLE_DIFFUSION, Recipe

    return Recipe(
        getattr(config, "generator", None) or (MINI if protocol.scale == "mini" else STABLE_DIFFUSION),
        getattr(config, "denoising_steps", FULL_STEPS),
        getattr(config, "guidance", None),
        getattr(config, "picture_size", None),
    )


def open_synthesis(protocol: Protocol, recipe: Recipe | None, root: Path, device: torch.device) -> Synthesis | None:
    """What the context lends of the generator; its weights are loaded when the first picture is missing."""
    if recipe is None:
        return None
    from vlcl_bench.synthesis.generator import Generator
    from vlcl_bench.synthesis.lent import Synthesis
    from vlcl_bench.synthesis.store import SyntheticStore

    return Synthesis(SyntheticStore(root, Generator(recipe, device)), protocol.side, protocol.scale)


def fill_share(
    protocol: Protocol,
    method: type[Method],
    config: Any,
    seed: int,
    share: tuple[int, int],
    root: Path,
    device: torch.device,
    reporter: Reporter,
) -> Made:
    """Make the k-th of n parts of all pictures that a run will ask for, task by task.

    Raises :class:`UsageError` for a method that declares no generator or does not say how many pictures it wants.
    """
    from vlcl_bench.engine.provenance import settle_determinism, settle_precision
    from vlcl_bench.synthesis.generator import AT_ONCE

    # As in a run, which would otherwise make other pictures on a GPU.
    settle_determinism()
    settle_precision(device)
    synthesis = open_synthesis(protocol, plan_recipe(protocol, method.auxiliary, config), root, device)
    count = getattr(config, "pictures", None)
    if synthesis is None or count is None:
        raise UsageError(
            f"{method.title} declares no generator with a setting `pictures`",
            "Methods with synthetic pictures are, for instance, gift and generative_replay.",
        )
    wanted: list[Ordered] = []
    for task in range(1, len(protocol.steps) + 1):
        learned = protocol.prompts_before(task) if getattr(config, "task_prompts", True) else ()
        wanted += synthesis.orders(count, learned, task, seed)
    with reporter.phase(f"making pictures, part {share[0]} of {share[1]}", len(wanted)) as progress:
        return synthesis.store.fill(wanted, AT_ONCE, lambda made, total: progress(made, total, ""), share)
