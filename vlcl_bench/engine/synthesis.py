"""The generator of a run: what it is, before anything is loaded, and the loan of it to the method."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlcl_bench.methods.reference import GENERATOR
from vlcl_bench.protocols import Protocol

if TYPE_CHECKING:
    import torch

    from vlcl_bench.synthesis.generator import Recipe
    from vlcl_bench.synthesis.lent import Synthesis


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
