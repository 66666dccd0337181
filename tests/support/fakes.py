"""A dual encoder of a few linear layers, tiny tasks and tiny data sets: what tests of methods and stores run on."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from vlcl_bench.backbones.base import Backbone
from vlcl_bench.data.interface import SPLITS, Collection, DataCard, DataSet, Places
from vlcl_bench.data.manifest import Manifest
from vlcl_bench.data.originals import Original
from vlcl_bench.data.real.spec import Entry
from vlcl_bench.data.transforms import Augmentation
from vlcl_bench.methods.context import Context
from vlcl_bench.methods.terms import Rules
from vlcl_bench.protocols.budget import Budget
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

    rules = Rules(budget or make_budget(), AUGMENTATION)
    return Context(seed, rules, torch.device("cpu"), backbone.preprocess, names)


@dataclass(frozen=True)
class FakePicture(Original):
    """A picture that follows from its name; ``side`` by ``side`` pixels."""

    where: str
    side: int

    def pixels(self) -> np.ndarray:
        seed = int.from_bytes(hashlib.sha256(self.where.encode()).digest()[:4], "big")
        return np.random.default_rng(seed).integers(0, 256, (self.side, self.side, 3), dtype=np.uint8)

    def load(self) -> tuple[str, np.ndarray]:
        pixels = self.pixels()
        return hashlib.sha256(pixels.tobytes()).hexdigest(), pixels


class FakeDataSet(DataSet):
    """Pictures that follow from their sample ids; with captions in place of classes where it is ``captioned``."""

    def __init__(
        self, name: str = "fake", train: int = 6, test: int = 4, side: int = 5, captioned: bool = False
    ) -> None:
        self.name = name
        self.class_names = () if captioned else ("left", "right")
        self.templates = () if captioned else ("a photo of a {c}.",)
        self.side = side
        self.captioned = captioned
        self.card = DataCard("fake", "for tests", "none", "none")
        self._counts = {"train": train, "test": test}

    def entries(self, split: str) -> list[Entry]:
        return [self._entry(split, f"{split}/{i}", i) for i in range(self._counts[split])]

    def _entry(self, split: str, sample: str, i: int) -> Entry:
        picture = FakePicture(sample, self.side or 0)
        if self.captioned:
            return Entry(sample, split, -1, picture, tuple(f"{self.name} {sample} text {k}" for k in range(1 + i % 3)))
        return Entry(sample, split, i % 2, picture)

    def collect(self, places: Places = Places(), manifest: Manifest | None = None) -> Collection:  # noqa: B008
        return Collection([entry for split in SPLITS for entry in self.entries(split)], "made up")

    def pictures(self, split: str) -> np.ndarray:
        return np.stack([entry.original.load()[1] for entry in self.entries(split)])

    def manifest(self) -> Manifest:
        entries = self.collect().entries
        rows = [(entry.split, entry.sample, entry.original.load()[0], entry.label) for entry in entries]
        frame = pd.DataFrame(rows, columns=["split", "sample", "sha256", "label"])
        if self.captioned:
            frame["captions"] = [entry.captions for entry in entries]
        return Manifest(self.name, self.class_names, frame)


def replace_reference(monkeypatch: pytest.MonkeyPatch, dataset: FakeDataSet) -> list[str]:
    """The mini world's reference data are ``dataset`` for this test; returns a list that grows as they are opened.

    All other data sets stay what they are: a protocol that is loaded meanwhile is kept for later tests.
    """
    from vlcl_bench.mini import REFERENCE, datasets

    real, manifest, opened = datasets.mini_dataset, dataset.manifest(), list[str]()

    def mini_dataset(name: str) -> Any:
        if name != REFERENCE:
            return real(name)
        opened.append(name)
        return dataset

    monkeypatch.setattr("vlcl_bench.mini.datasets.mini_dataset", mini_dataset)
    monkeypatch.setattr("vlcl_bench.mini.reference.read_manifest", lambda name: manifest)
    return opened
