"""The mini world as a plug-in: what the harness reaches of it, and the only way in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vlcl_bench.data.interface import DataSet, Places
from vlcl_bench.data.manifest import read_manifest
from vlcl_bench.data.pictures import Pictures
from vlcl_bench.data.reference import ReferencePlan
from vlcl_bench.data.store import Store
from vlcl_bench.data.verify import aligned
from vlcl_bench.data.world import World

if TYPE_CHECKING:
    from vlcl_bench.backbones.base import Backbone
    from vlcl_bench.common.progress import Reporter

GENERATOR = "vlcl-mini-diffusion/v1"
BACKBONE = "vlcl-mini/v1"
REFERENCE = "mini-reference"
FOLDER = Path(__file__).parent
SEEN = ("__init__.py", "__pycache__", "world.py", "clip")
"""What a method's process needs of this folder: the way in, and the backbone. The rest draws and names test pictures."""


class MiniWorld(World):
    """Small drawings that need no download, a small CLIP and a small text-to-image model."""

    source = "mini"
    scale = "mini"
    generator = GENERATOR
    settings = "mini"
    call_seconds = 1800.0  # on these streams a call takes seconds to minutes on two cores
    hidden = tuple(path for path in sorted(FOLDER.iterdir()) if path.name not in SEEN)

    def open_dataset(self, name: str) -> DataSet:
        """See :meth:`World.open_dataset`."""
        from vlcl_bench.mini.datasets import mini_dataset

        return mini_dataset(name)

    def plan_reference(self, kinds: Sequence[str], places: Places, side: int) -> ReferencePlan:
        """The mini CLIP's pretraining pictures and captions, as far as they are declared; the manifest tells all."""
        manifest = read_manifest(REFERENCE)
        captions = tuple(dict.fromkeys(text for own in manifest.captions("train") for text in own))
        sizes = {"pictures": len(manifest.samples("train")), "texts": len(captions)}
        named = {kind: f"{REFERENCE} {sizes[kind]} {manifest.fingerprint()[:16]}" for kind in kinds}

        def pictures(store: Store, reporter: Reporter) -> np.ndarray | Pictures:
            if "pictures" not in kinds:
                return np.empty((0, side, side, 3), np.uint8)
            dataset = self.open_dataset(REFERENCE)
            if not store.has(dataset, manifest, side):
                collection = aligned(dataset, manifest, dataset.collect(Places()))
                with reporter.phase("drawing the reference pictures (once)", len(manifest.rows)) as progress:
                    report = lambda done, total: progress(done, total, dataset.name)  # noqa: E731
                    store.build(dataset, manifest, collection, side, report)
            return store.open(dataset, manifest, side).train

        return ReferencePlan(named, captions if "texts" in kinds else (), sizes["pictures"], pictures)

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
