"""The mini CLIP from its committed checkpoint, an ordinary open_clip model once its tower is registered."""

from __future__ import annotations

from pathlib import Path

import open_clip

from vlcl_bench.backbones.base import Backbone
from vlcl_bench.mini import BACKBONE

FOLDER = Path(__file__).parent / "weights"
CHECKPOINT = FOLDER / "vlcl-mini-v1.safetensors"
MODEL = "vlcl-mini"


def register() -> None:
    """Make configuration and tower known to open_clip and timm."""
    from vlcl_bench.mini.clip import tower

    if tower.TOWER_NAME and MODEL not in open_clip.list_models():
        open_clip.add_model_config(FOLDER)


def load() -> Backbone:
    """The model as it was pretrained."""
    from vlcl_bench.backbones import clip, weights

    register()
    return clip.load(weights.Weights(BACKBONE, MODEL, CHECKPOINT, quick_gelu=False))
