"""A CLIP of open_clip's own transformers that is built in milliseconds, with either activation."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import save_file

from vlcl_bench.backbones.clip import quiet, register_models

CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 16, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2},
}
CLIP_PICTURES = {
    "mean": (0.48145466, 0.4578275, 0.40821073), "std": (0.26862954, 0.26130258, 0.27577711),
    "interpolation": "bicubic", "resize_mode": "shortest",
}  # fmt: skip


def install(monkeypatch: Any, tags: dict[str, dict[str, Any]] | None = None) -> None:
    """Make ``tiny`` and ``tiny-quickgelu`` known to open_clip, and its table of tags hold ``tags`` for them."""
    from open_clip import factory, pretrained

    register_models()
    monkeypatch.setitem(factory._MODEL_CONFIGS, "tiny", CONFIG)
    monkeypatch.setitem(factory._MODEL_CONFIGS, "tiny-quickgelu", {**CONFIG, "quick_gelu": True})
    tags = {tag: CLIP_PICTURES | {"url": "", "hf_hub": ""} | entry for tag, entry in (tags or {}).items()}
    monkeypatch.setitem(pretrained._PRETRAINED, "tiny", tags)
    quick = {tag: entry for tag, entry in tags.items() if entry.get("quick_gelu")}
    monkeypatch.setitem(pretrained._PRETRAINED, "tiny-quickgelu", quick)


def state(seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights; those inside the blocks are enlarged, so that much of a feature comes through activations."""
    with quiet(), torch.random.fork_rng():
        torch.manual_seed(seed)
        made = open_clip.CLIP(**deepcopy(CONFIG)).state_dict()
    larger = {"c_fc.weight": 2, "c_proj.weight": 8}
    return {
        name: (larger.get(".".join(name.split(".")[-2:]), 1) * value).detach().clone().contiguous()
        for name, value in made.items()
    }


def checkpoint(path: Path, seed: int = 0) -> Path:
    """The weights as a safetensors file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(state(seed), path)
    return path


def folder(path: Path, quick: bool, seed: int = 0, **more: Any) -> Path:
    """A folder as the hub's download tool leaves it."""
    checkpoint(path / "open_clip_model.safetensors", seed)
    config = deepcopy(CONFIG) | ({"quick_gelu": True} if quick else {})
    text = json.dumps({"model_cfg": config, "preprocess_cfg": {"mean": [0.5, 0.5, 0.5]}} | more)
    (path / "open_clip_config.json").write_text(text)
    return path


def archive(path: Path, seed: int = 0, entries: bool = True) -> Path:
    """A TorchScript archive in half precision with OpenAI's names, and without ``entries`` only with the tensors."""
    import warnings

    class Top(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    top = Top()
    for name, value in state(seed).items():
        inner: torch.nn.Module = top
        *parents, last = name.split(".")
        for parent in parents:
            if not hasattr(inner, parent):
                inner.add_module(parent, torch.nn.Module())
            inner = getattr(inner, parent)
        inner.register_buffer(last, value.half())
    if entries:
        for name, number in (("input_resolution", 16), ("context_length", 77), ("vocab_size", 49408)):
            top.register_buffer(name, torch.tensor(number))
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(top), str(path))
    return path
