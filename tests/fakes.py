"""A dual encoder of a few linear layers, tiny tasks and tiny data sets: what tests of methods and stores run on."""

import hashlib
import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from vlcl_bench.backbones.base import Backbone
from vlcl_bench.data.manifest import Manifest
from vlcl_bench.data.sources import SPLITS, DataCard, DataSet
from vlcl_bench.methods.context import Context
from vlcl_bench.protocols import Augmentation, Budget
from vlcl_bench.tasks import Task

SIDE = 4


class _Towers(nn.Module):
    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.visual = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 8), nn.Tanh(), nn.Linear(8, 5))
        self.words = nn.Embedding(64, 8)
        self.textual = nn.Linear(8, 5)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(10.0)))
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if name != "logit_scale":
                    parameter.normal_(0, 0.4, generator=generator)


class FakeBackbone(Backbone):
    """Two towers of linear layers; texts are bytes modulo 63, shifted by one so that 0 pads."""

    name = "fake"
    image_size = SIDE
    mean = (0.4, 0.5, 0.6)
    std = (0.2, 0.25, 0.3)
    context_length = 48

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.towers = _Towers(torch.Generator().manual_seed(seed))

    def encode_image(self, images: Tensor) -> Tensor:
        return self.towers.visual(images)

    def encode_text(self, tokens: Tensor) -> Tensor:
        known = (tokens != 0).unsqueeze(-1)
        states = (self.towers.words(tokens) * known).sum(dim=1) / known.sum(dim=1)
        return self.towers.textual(torch.tanh(states))

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        rows = [[1 + byte % 63 for byte in text.encode()[: self.context_length]] for text in texts]
        longest = max(map(len, rows))
        return torch.tensor([row + [0] * (longest - len(row)) for row in rows])

    @property
    def logit_scale(self) -> Tensor:
        return self.towers.logit_scale.detach().exp()


def make_task(index: int = 1, samples: int = 20, seed: int = 0) -> Task:
    """Three classes that differ in brightness."""
    rng = np.random.default_rng([seed, index])
    labels = np.arange(samples) % 3
    images = rng.integers(0, 100, (samples, SIDE, SIDE, 3)) + 70 * labels[:, None, None, None]
    names = tuple(f"{kind} {index}" for kind in ("dark", "grey", "bright"))
    templates = ("a photo of a {c}.", "a drawing of the {c}.")
    return Task(index, f"task-{index}", names, templates, images.astype(np.uint8), labels.astype(np.int64))


def make_budget(steps: int = 6, batch_size: int = 8, learning_rate: float = 0.02, **changes: object) -> Budget:
    values = {"steps": steps, "batch_size": batch_size, "learning_rate": learning_rate, "warmup": 2}
    values |= {"ensemble_interval": 1, "reference_batch": batch_size, "auxiliary_size": 0}
    return Budget.model_validate(values | changes)


AUGMENTATION = Augmentation(scale=(0.9, 1.0), ratio=(3 / 4, 4 / 3))


def make_context(backbone: Backbone, seed: int = 0, budget: Budget | None = None) -> Context:
    def names() -> dict[int, str]:
        return {id(parameter): name for name, parameter in backbone.named_parameters(prefix="backbone")}

    return Context(seed, budget or make_budget(), AUGMENTATION, torch.device("cpu"), backbone.preprocess, names)


class FakeDataSet(DataSet):
    """Pictures that follow from their sample ids."""

    def __init__(self, name: str = "fake", train: int = 6, test: int = 4, side: int = 5) -> None:
        self.name = name
        self.class_names = ("left", "right")
        self.templates = ("a photo of a {c}.",)
        self.image_size = side
        self.card = DataCard("fake", "for tests", "none", "none")
        self._counts = {"train": train, "test": test}

    def samples(self, split: str) -> list[tuple[str, int]]:
        return [(f"{split}/{i}", i % 2) for i in range(self._counts[split])]

    def pictures(self, split: str) -> Iterator[np.ndarray]:
        for sample, _ in self.samples(split):
            seed = int.from_bytes(hashlib.sha256(sample.encode()).digest()[:4], "big")
            shape = (self.image_size, self.image_size, 3)
            yield np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)

    def manifest(self) -> Manifest:
        rows = [
            (split, sample, hashlib.sha256(image.tobytes()).hexdigest(), label)
            for split in SPLITS
            for (sample, label), image in zip(self.samples(split), self.pictures(split), strict=True)
        ]
        return Manifest(self.name, self.class_names, pd.DataFrame(rows, columns=["split", "sample", "sha256", "label"]))
