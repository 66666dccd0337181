"""MoE-Adapter on a tiny CLIP and on the mini CLIP: backbones, tasks and learners that its tests share."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import Any

import numpy as np
import open_clip
import torch
from open_clip.model import set_model_preprocess_cfg
from support import playing, tiny_clip
from support.fakes import make_task
from torch import Tensor

from vlcl_bench.backbones.clip import OpenClipBackbone, quiet
from vlcl_bench.data.reference import Reference
from vlcl_bench.engine.footprint import backbone_sizes, parameter_names
from vlcl_bench.engine.learner import InProcessLearner
from vlcl_bench.methods.card import make_settings
from vlcl_bench.methods.context import Context
from vlcl_bench.methods.registry import load_method
from vlcl_bench.methods.terms import Loans, Rules
from vlcl_bench.tasks import Task

SIDE = 16
SMALL = {
    "experts": 5, "hidden": 4, "learning_rate": 0.02, "selector_features": "tower", "selector_hidden": 6,
    "selector_steps": 5, "zero_shot_steps": 5,
}  # fmt: skip


@cache
def _tokenizer() -> Any:
    return open_clip.get_tokenizer("ViT-B-32")


def tiny(seed: int = 0, vision: Any = None, text: Any = None, cls: Any = open_clip.CLIP) -> OpenClipBackbone:
    """A CLIP of open_clip's own blocks, 16 pixels wide; ``vision`` and ``text`` change its configuration."""
    config = deepcopy(tiny_clip.CONFIG)
    config["vision_cfg"] |= vision or {}
    config["text_cfg"] |= text or {}
    with quiet(), torch.random.fork_rng():
        torch.manual_seed(seed)
        model = cls(**config)
    set_model_preprocess_cfg(model, {"size": SIDE, "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)})
    if not vision and not text and cls is open_clip.CLIP:
        model.load_state_dict(tiny_clip.state(seed))
    return OpenClipBackbone("tiny", model.eval(), _tokenizer())


def moe_class() -> Any:
    """The method's class."""
    return load_method("moe_adapter")


def build(backbone: Any = None, seed: int = 0, **settings: Any) -> Any:
    """MoE-Adapter, small, on a tiny CLIP or another backbone."""
    torch.manual_seed(seed)
    return moe_class()(backbone or tiny(), make_settings(moe_class(), SMALL | settings, "full"))


def larger(images: np.ndarray, side: int) -> np.ndarray:
    """Pictures of 4 pixels as pictures of ``side``."""
    return images.repeat(side // 4, axis=1).repeat(side // 4, axis=2)


def task(index: int = 1, samples: int = 20, side: int = SIDE) -> Task:
    """Three classes that differ in brightness."""
    plain = make_task(index, samples)
    return Task(index, plain.name, plain.class_names, plain.templates, larger(plain.images, side), plain.labels)


def reference(pictures: int = 40, side: int = SIDE) -> Reference:
    """Reference pictures of noise."""
    plain = playing.make_reference(pictures)
    return Reference(larger(np.asarray(plain.pictures), side), plain.texts, plain.identity)


def learner(method: Any, seed: int = 0, side: int = SIDE, **budget: Any) -> Any:
    """A learner of the method that has learned nothing."""
    protocol: Any = playing.PlayedProtocol(**budget)
    sizes = backbone_sizes(method.backbone)
    return InProcessLearner(method, protocol, seed, torch.device("cpu"), sizes, Loans(reference(side=side)))


def learn(playing_method: Any, *tasks: int | Task, side: int = SIDE) -> Any:
    """The learner after these tasks; their reports are its ``reports``."""
    for one in tasks:
        given = task(one, side=side) if isinstance(one, int) else one
        reports = vars(playing_method).setdefault("reports", [])
        reports.append(playing_method.learn(given, lambda done, total, word: None))
    return playing_method


def play(method: Any, *tasks: int | Task, seed: int = 0, side: int = SIDE, **budget: Any) -> Any:
    """A learner of the method that has learned these tasks."""
    return learn(learner(method, seed, side, **budget), *tasks, side=side)


def context(method: Any, seed: int = 0, **budget: Any) -> Context:
    """What the engine would lend the method."""
    return Context(
        seed, Rules(playing.make_budget(**budget), playing.AUGMENTATION), torch.device("cpu"),
        method.backbone.preprocess, lambda: parameter_names(method), loans=Loans(reference()),
    )  # fmt: skip


def pictures(backbone: Any, count: int = 6, seed: int = 0) -> Tensor:
    """Preprocessed pictures of noise."""
    side = backbone.image_size
    pixels = np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    return backbone.preprocess(torch.from_numpy(pixels))


def shaken(mixtures: Any, routers: int = 2, seed: int = 3) -> Any:
    """Mixtures with so many routers, and with other values than zeros everywhere."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for mixture in (each for each in mixtures.modules() if hasattr(each, "add_router")):
            while len(mixture.routers) < routers:
                mixture.add_router()
            for weights in mixture.parameters():
                weights.normal_(generator=generator)
    return mixtures
