"""Methods on the fake dual encoder, played as the engine plays them; with reference data where they declare it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from support.fakes import AUGMENTATION, SIDE, FakeBackbone, make_budget, make_task
from torch import Tensor

from vlcl_bench.data.reference import Reference
from vlcl_bench.engine.footprint import backbone_sizes, parameter_names
from vlcl_bench.engine.learner import InProcessLearner
from vlcl_bench.methods.card import make_settings
from vlcl_bench.methods.context import Batch, Context
from vlcl_bench.methods.declaration import declared_reference
from vlcl_bench.methods.registry import load_method
from vlcl_bench.methods.terms import Loans, Rules
from vlcl_bench.tasks import LabelSet

TEXTS = tuple(f"{size} {thing}" for size in ("a small", "one big", "some") for thing in ("cat", "red boat", "hill"))


class WordyBackbone(FakeBackbone):
    """A fake backbone that knows its tokens, in single or double precision: 1 starts a text, 2 ends it."""

    def __init__(self, seed: int = 0, precise: bool = False) -> None:
        super().__init__(seed)
        if precise:
            self.double()
            self.towers.logit_scale.data.fill_(math.log(10.0))

    def preprocess(self, images: Tensor) -> Tensor:
        return super().preprocess(images).to(self.towers.logit_scale.dtype)

    def random_texts(self, count: int, words: int, generator: torch.Generator) -> Tensor:
        drawn = torch.randint(3, 64, (count, words), generator=generator)
        return torch.cat([torch.full((count, 1), 1), drawn, torch.full((count, 1), 2)], 1)


def make_reference(pictures: int = 16, texts: tuple[str, ...] = TEXTS) -> Reference:
    """Reference data of noise and nine texts."""
    images = np.random.default_rng(77).integers(0, 256, (pictures, SIDE, SIDE, 3), dtype=np.uint8)
    return Reference(images, texts, {"pictures": "noise", "texts": "made up"})


def build(name: object, seed: int = 0, precise: bool = False, **settings: Any) -> Any:
    """A method by name with these settings."""
    cls: Any = load_method(str(name))
    return cls(WordyBackbone(seed, precise), make_settings(cls, settings, "full"))


class PlayedProtocol:
    """As much of a protocol as a learner needs."""

    augmentation = AUGMENTATION

    def __init__(self, **budget: Any) -> None:
        self.budget = make_budget(**budget)

    def label_sets_before(self, task: int) -> tuple[LabelSet, ...]:
        return label_sets_before(task)


def label_sets_before(task: int) -> tuple[LabelSet, ...]:
    """What is known before one of the tiny tasks, each a data set of its own."""
    earlier = [make_task(index) for index in range(1, task)]
    return tuple(LabelSet(one.name, one.class_names, one.templates[0]) for one in earlier)


def play(
    method: Any, *indices: int, seed: int = 0, reference: Reference | None = None, samples: int = 20, **budget: Any
) -> InProcessLearner:
    """A learner of the method that has learned these tasks, with its last report as ``report``."""
    reference = reference or (make_reference() if declared_reference(type(method)) else None)
    protocol: Any = PlayedProtocol(**budget)
    sizes = backbone_sizes(method.backbone)
    learner: Any = InProcessLearner(method, protocol, seed, torch.device("cpu"), sizes, Loans(reference))
    learner.reports = [learner.learn(make_task(index, samples), lambda done, total, word: None) for index in indices]
    return learner


def context(method: Any, seed: int = 0, reference: Reference | None = None, **budget: Any) -> Context:
    """What the engine would lend the method."""
    reference = reference or (make_reference() if declared_reference(type(method)) else None)
    return Context(
        seed, Rules(make_budget(**budget), AUGMENTATION), torch.device("cpu"), method.backbone.preprocess,
        lambda: parameter_names(method), loans=Loans(reference),
    )  # fmt: skip


def weights(method: Any) -> dict[str, Tensor]:
    """A copy of the backbone's weights."""
    return {name: value.detach().clone() for name, value in method.backbone.state_dict().items()}


def same(one: Mapping[str, Tensor], two: Mapping[str, Tensor]) -> bool:
    """Whether all tensors are equal to the bit."""
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def shaken(method: Any, seed: int = 5, strength: float = 0.2) -> Any:
    """The method with noise added to the backbone's weights, as if it had trained."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, parameter in method.backbone.trainable_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.add_(strength * noise.to(parameter.dtype))
    return method


def whole_loss(method: Any, batch: Batch, ctx: Context, prompts: tuple[str, ...]) -> Tensor:
    """A step's loss as the recipe computes it, features and logits included."""
    batch.image_features = method.embed_images(batch.images)
    batch.text_features = method.embed_texts(prompts)
    logits = method.backbone.logit_scale * batch.image_features @ batch.text_features.T
    return method.loss(batch, logits, ctx)


# The losses once more, by their definitions and without a function of torch that computes one.


def soften(logits: Tensor, temperature: float) -> Tensor:
    """Softmax over the columns at a temperature."""
    powers = torch.exp((logits - logits.max(dim=1, keepdim=True).values) / temperature)
    return powers / powers.sum(dim=1, keepdim=True)


def soft_loss(teacher: Tensor, student: Tensor, temperature: float) -> Tensor:
    """Squared temperature times the mean cross-entropy of the softened rows."""
    p, q = soften(teacher, temperature), soften(student, temperature)
    return temperature**2 * -(p * q.log()).sum() / len(teacher)


def smoothed_loss(logits: Tensor, labels: Tensor, smoothing: float = 0.2) -> Tensor:
    """Cross-entropy with a share of the mass spread over all classes."""
    q, classes = soften(logits, 1.0), logits.shape[1]
    target = torch.full_like(q, smoothing / classes)
    target[torch.arange(len(labels)), labels] += 1 - smoothing
    return -(target * q.log()).sum() / len(labels)


def cosines(images: Tensor, texts: Tensor) -> Tensor:
    """Logits of the fake encoder, whose scale is 10."""
    return 10 * F.cosine_similarity(images[:, None], texts[None], dim=-1)


def check_gradient(
    method: Any, loss: Any, names: tuple[str, ...], step: float = 1e-5, atol: float = 1e-7, rtol: float = 1e-5
) -> None:
    """Compare autograd with central differences at places 0, 1, the middle and the last of named parameters."""
    parameters = dict(method.backbone.named_parameters())
    for parameter in parameters.values():
        parameter.grad = None
    loss().backward()
    for name in names:
        parameter = parameters[name]
        for place in (0, 1, parameter.numel() // 2, parameter.numel() - 1):
            values = []
            for sign in (1, -1):
                with torch.no_grad():
                    parameter.view(-1)[place] += sign * step
                    values.append(loss().item())
                    parameter.view(-1)[place] -= sign * step
            found = 0.0 if parameter.grad is None else float(parameter.grad.view(-1)[place])
            expected = (values[0] - values[1]) / (2 * step)
            assert abs(found - expected) <= atol + rtol * abs(expected), (name, place, found, expected)
