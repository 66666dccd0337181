"""Synthetic pictures for tests: a generator without a network, tiny pipelines, methods that are given them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from support.fakes import AUGMENTATION, SIDE, make_budget, make_task
from support.playing import PlayedProtocol, label_sets_before

from vlcl_bench.data.world import world_of
from vlcl_bench.engine.footprint import backbone_sizes, parameter_names
from vlcl_bench.engine.learner import InProcessLearner
from vlcl_bench.methods.context import Context
from vlcl_bench.methods.terms import Loans, Rules
from vlcl_bench.synthesis.loan import Synthesis
from vlcl_bench.synthesis.prompts import Ordered
from vlcl_bench.synthesis.store import Made, SyntheticStore


class FakeGenerator:
    """Noise that follows from prompt and seed; blank where ``blank`` says so.

    ``asked`` are all orders so far; ``released`` counts how often it was let go.
    """

    def __init__(
        self, side: int = SIDE, blank: Any = lambda order: False, identity: str = "fake", size: int = 0
    ) -> None:
        self.side, self.blank, self.identity, self.bytes = side, blank, identity, size
        self.asked: list[Ordered] = []
        self.released = 0

    def picture(self, order: Ordered) -> np.ndarray:
        digest = hashlib.sha256(f"{self.identity} {order.prompt} {order.seed}".encode()).digest()
        noise = np.random.default_rng(list(digest)).integers(1, 256, (self.side, self.side, 3))
        return noise.astype(np.uint8) * (0 if self.blank(order) else 1)

    def make(self, orders: Sequence[Ordered]) -> list[np.ndarray]:
        self.asked += orders
        return [self.picture(order) for order in orders]

    def release(self) -> None:
        self.released += 1


def make_store(root: Path, generator: Any = None) -> SyntheticStore:
    """A store below ``root``; of a fake generator unless another is given."""
    return SyntheticStore(root, generator or FakeGenerator())


class MemoryStore:
    """As much of a store as a run needs, without a disk."""

    def __init__(self, generator: Any) -> None:
        self.generator = generator
        self.kept: dict[Ordered, np.ndarray] = {}

    def fill(self, orders: Sequence[Ordered], batch: int, progress: Any) -> Made:
        missing = [order for order in orders if order not in self.kept]
        self.kept |= dict(zip(missing, self.generator.make(missing), strict=True))
        return Made(len(missing), len(orders) - len(missing), 0)

    def restored(self, order: Ordered) -> np.ndarray:
        return self.kept[order]

    def recipe(self, order: Ordered) -> dict[str, Any]:
        return {"attempt": 0}


def make_synthesis(root: Path | None = None, generator: Any = None, side: int = SIDE, scale: str = "mini") -> Synthesis:
    """What the engine would lend; without ``root`` nothing is written."""
    store: Any = MemoryStore(generator or FakeGenerator()) if root is None else make_store(root, generator)
    return Synthesis(store, side, world_of(scale).prompt_names)


def play(
    method: Any, synthesis: Synthesis | None, *indices: int, seed: int = 0, samples: int = 20, **budget: Any
) -> Any:
    """A learner of the method that has learned these tasks, with its reports as ``reports``."""
    protocol: Any = PlayedProtocol(**budget)
    sizes, device = backbone_sizes(method.backbone), torch.device("cpu")
    learner: Any = InProcessLearner(method, protocol, seed, device, sizes, Loans(synthesis=synthesis))
    learner.reports = [learner.learn(make_task(index, samples), lambda done, total, word: None) for index in indices]
    return learner


def context(method: Any, synthesis: Synthesis | None, task: int = 1, seed: int = 0, **budget: Any) -> Context:
    """What the engine would lend the method for a task."""
    return Context(
        seed, Rules(make_budget(**budget), AUGMENTATION, label_sets_before(task)), torch.device("cpu"),
        method.backbone.preprocess, lambda: parameter_names(method), loans=Loans(synthesis=synthesis),
    )  # fmt: skip


def save_stable_diffusion(folder: Path, seed: int = 0) -> Path:
    """A whole Stable Diffusion of a few thousand random weights: 16 pixels, CLIP's byte-level tokens, no checker."""
    from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    words = folder.with_name(f"{folder.name}-words")
    words.mkdir(parents=True)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,-'"
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (words / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (words / "merges.txt").write_text("#version: 0.2\n")
    start, end = len(tokens) - 2, len(tokens) - 1
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        text = CLIPTextConfig(
            vocab_size=len(tokens), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
            bos_token_id=start, eos_token_id=end, pad_token_id=end,
        )  # fmt: skip
        unet = UNet2DConditionModel(
            sample_size=8, block_out_channels=(16, 16), layers_per_block=1, norm_num_groups=4, attention_head_dim=4,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), cross_attention_dim=16,
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        )  # fmt: skip
        vae = AutoencoderKL(
            block_out_channels=(8, 8), norm_num_groups=4, latent_channels=4, sample_size=16,
            down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        )  # fmt: skip
        words_of = CLIPTokenizer.from_pretrained(str(words), model_max_length=77)
        pipeline = StableDiffusionPipeline(
            vae=vae, text_encoder=CLIPTextModel(text), tokenizer=words_of, unet=unet,
            scheduler=PNDMScheduler(skip_prk_steps=True, steps_offset=1), safety_checker=None, feature_extractor=None,
            requires_safety_checker=False,
        )  # fmt: skip
        pipeline.save_pretrained(folder)
    return folder


def save_mini(folder: Path, seed: int = 0) -> Path:
    """The mini pipeline with random weights."""
    from vlcl_bench.mini.diffusion.pipeline import new_pipeline

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        new_pipeline().save_pretrained(folder)
    return folder
