"""The mini world as a plug-in: what the harness reaches of it, and the only way in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vlcl_bench.data.world import World
from vlcl_bench.mini import BACKBONE, GENERATOR, REFERENCE

if TYPE_CHECKING:
    from typer import Typer

    from vlcl_bench.backbones.base import Backbone
    from vlcl_bench.data.interface import DataSet, Places
    from vlcl_bench.data.reference import ReferencePlan

__all__ = ["BACKBONE", "FOLDER", "GENERATOR", "REFERENCE", "MiniWorld"]

FOLDER = Path(__file__).parent
SEEN = ("__init__.py", "__pycache__", "world.py", "clip")
"""What a method's process needs of this folder: the way in and the backbone. The rest draws and names test pictures."""


class MiniWorld(World):
    """Small drawings that need no download, a small CLIP and a small text-to-image model."""

    source = "mini"
    scale = "mini"
    generator = GENERATOR
    settings = "mini"
    lends = "small drawings, no photographs"
    call_seconds = 1800.0  # on these streams a call takes seconds to minutes on two cores
    hidden = tuple(path for path in sorted(FOLDER.iterdir()) if path.name not in SEEN)

    def open_dataset(self, name: str) -> DataSet:
        """See :meth:`World.open_dataset`."""
        from vlcl_bench.mini.datasets import mini_dataset

        return mini_dataset(name)

    def plan_reference(self, kinds: Sequence[str], places: Places, side: int) -> ReferencePlan:
        """The mini CLIP's pretraining pictures and captions, as far as they are declared; the manifest holds all."""
        from vlcl_bench.mini.reference import plan_reference

        return plan_reference(self.source, kinds, side)

    def prompt_names(self) -> Sequence[str]:
        """Three hundred names of the mini CLIP's pretraining."""
        from vlcl_bench.mini.diffusion.names import names

        return names()

    def backbones(self) -> Mapping[str, Callable[[], Backbone]]:
        """The mini CLIP."""
        from vlcl_bench.mini.clip.load import load

        return {BACKBONE: load}

    def checkpoints(self) -> Mapping[str, Path]:
        """The mini CLIP's weights."""
        from vlcl_bench.mini.clip.load import CHECKPOINT

        return {BACKBONE: CHECKPOINT}

    def register_models(self) -> None:
        """Make the mini CLIP's configuration and tower known to open_clip and timm."""
        from vlcl_bench.mini.clip.load import register

        register()

    def pipelines(self) -> Mapping[str, Path]:
        """The mini diffusion model."""
        return {GENERATOR: FOLDER / "diffusion" / "model"}

    def pipeline_classes(self) -> Mapping[str, Callable[[], type]]:
        """The mini diffusion model's."""

        def pipeline_class() -> type:
            from vlcl_bench.mini.diffusion.pipeline import MiniTextToImagePipeline

            return MiniTextToImagePipeline

        return {"MiniTextToImagePipeline": pipeline_class}

    def commands(self) -> Mapping[str, Typer]:
        """``vlcl world``."""
        from vlcl_bench.mini.commands import app

        return {"world": app}
