"""Backbones: pretrained dual encoders, by name ``<model>/<weights>``."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from vlcl_bench.errors import IntegrityError, UsageError, nearest

if TYPE_CHECKING:
    from vlcl_bench.backbones.base import Backbone

MINI = "vlcl-mini/v1"
MINI_CHECKPOINT = Path(__file__).parent / "mini" / "vlcl-mini-v1.safetensors"


def load_backbone(name: str) -> Backbone:
    """A backbone by name: ``vlcl-mini/v1``, ``<open_clip model>/<open_clip tag>``, or ``<model>/<checkpoint file>``.

    Raises :class:`UsageError` for a name that open_clip does not know and :class:`IntegrityError` for weights
    that do not load.
    """
    import open_clip

    from vlcl_bench.backbones import clip

    model, _, weights = name.partition("/")
    clip.register_mini()
    if model not in open_clip.list_models():
        raise UsageError(f"unknown backbone {name!r}", nearest(model, open_clip.list_models()))
    if name == MINI:
        weights = str(MINI_CHECKPOINT)
    tags = open_clip.list_pretrained_tags_by_model(model)
    if not weights:
        raise UsageError(f"backbone {name!r} names no weights", f"Write {model}/<weights>; known: {', '.join(tags)}")
    is_file = Path(weights).is_file()
    if not is_file and weights not in tags:
        raise UsageError(
            f"backbone {name!r}: {weights!r} is neither a checkpoint file nor weights that open_clip knows",
            nearest(weights, tags),
        )
    # The name goes into records, where a user's path has no place; the content is hashed there anyway.
    known_as = f"{model}/{Path(weights).name}" if is_file and name != MINI else name
    try:
        return clip.create(known_as, model, weights)
    except Exception as error:
        raise IntegrityError(
            f"the weights of backbone {name!r} do not load: {error}",
            "Is it a checkpoint of this model, and whole? Tags of open_clip are downloaded and need its hub.",
        ) from error


def weights_sha256(backbone: Backbone) -> str:
    """SHA-256 over the names, shapes and values of all tensors: what the run really starts from."""
    digest = hashlib.sha256()
    for name, tensor in sorted(backbone.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
