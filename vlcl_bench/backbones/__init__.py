"""Backbones: pretrained dual encoders, by name ``<model>/<weights>`` or folder."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from vlcl_bench.backbones.base import Backbone


def load_backbone(name: str) -> Backbone:
    """A backbone by name.

    The name of one that comes with a world (``vlcl-mini/v1``); ``<open_clip model>/<open_clip tag>``;
    ``<model>/<checkpoint file>``; a folder, as ``local-dir:<folder>`` or by its path, with ``open_clip_config.json``
    and a checkpoint as the hub's download tool leaves them; a Python file, ``my.py`` or ``my.py:factory``
    (:mod:`vlcl_bench.backbones.from_file`). Weights never meet an activation that they were not trained with
    (:mod:`vlcl_bench.backbones.activation`).

    Raises :class:`UsageError` for a name that means nothing or a model whose activation is not the weights',
    :class:`MachineError` where weights cannot be downloaded or a package is missing, and
    :class:`IntegrityError` for weights that do not load.
    """
    backbone = _loaded(name)
    backbone.specification = name
    return backbone


def _loaded(name: str) -> Backbone:
    from vlcl_bench.backbones import clip, from_file, weights
    from vlcl_bench.data.world import worlds

    if from_file.is_file_name(name):
        return from_file.load_from_file(name)
    clip.register_models()
    for world in worlds():
        if name in (shipped := world.backbones()):
            return shipped[name]()
    return clip.load(weights.resolve(name))


def weights_sha256(backbone: Backbone) -> str:
    """SHA-256 over the names, shapes and values of all tensors: what the run really starts from."""
    return tensors_sha256(backbone.state_dict())


def tensors_sha256(state: Mapping[str, Tensor]) -> str:
    """SHA-256 over the names, shapes and values of tensors, in the order of their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
