"""What methods on frozen towers share: residual adapters on the features, which are computed once a task."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import BaseModel, Field
from torch import Tensor, nn

from vlcl_bench.methods import (
    TEXTS_AT_ONCE,
    Backbone,
    Config,
    Context,
    LabelSet,
    Method,
    Task,
    symmetric,
    with_every_class,
)

PICTURES_AT_ONCE = 256


def drawn_caption(task: Task, row: int, draws: np.random.Generator) -> str:
    """One of a picture's captions."""
    assert task.captions is not None
    return task.captions[row][int(draws.integers(len(task.captions[row])))]


class ResidualAdapter(nn.Module):
    """``A(z) = norm(z + scale * U GELU(V z))`` on unit features ``(..., d)``; the identity until it is trained."""

    def __init__(self, width: int, rank: int, scale: float) -> None:
        super().__init__()
        self.down = nn.Linear(width, rank, bias=False)
        self.up = nn.Linear(rank, width, bias=False)
        self.scale = scale
        nn.init.zeros_(self.up.weight)

    def forward(self, features: Tensor) -> Tensor:
        """Adapted unit features."""
        return F.normalize(features + self.scale * self.up(F.gelu(self.down(features))), dim=-1)


class Adapters(nn.Module):
    """One residual adapter for pictures, one for texts."""

    def __init__(self, width: int, rank: int, scale: float) -> None:
        super().__init__()
        self.image = ResidualAdapter(width, rank, scale)
        self.text = ResidualAdapter(width, rank, scale)

    def forward(self, images: Tensor, texts: Tensor) -> Tensor:
        """Cosines ``(n, c)`` of frozen picture features ``(n, d)`` and text features ``(c, d)`` after adaptation."""
        return self.image(images) @ self.text(texts).T


@dataclass
class Features:
    """What the frozen towers say of a task: unit features, in the order in which its pictures were drawn.

    ``images`` ``(n, d)``, ``labels`` ``(n,)`` (-1 where there are captions). ``texts`` are those of the training
    prompts ``(c, d)``, or of all captions ``(m, d)``, of which picture i has ``captions[i]``.
    """

    rows: np.ndarray
    images: Tensor
    labels: Tensor
    texts: Tensor
    captions: list[np.ndarray] | None = None

    def subset(self, places: np.ndarray) -> Features:
        """The same of some of the pictures; the texts stay."""
        own = None if self.captions is None else [self.captions[i] for i in places]
        where = torch.from_numpy(places).to(self.images.device)
        return Features(self.rows[places], self.images[where], self.labels[where], self.texts, own)

    def mean_captions(self) -> Tensor:
        """The mean feature of each picture's captions ``(n, d)``, not normalised."""
        assert self.captions is not None
        return torch.stack([self.texts[torch.from_numpy(own)].mean(dim=0) for own in self.captions])

    def drawn_texts(self, places: np.ndarray, rng: np.random.Generator) -> Tensor:
        """A caption's feature for each picture ``(len(places), d)``, drawn from its own."""
        assert self.captions is not None
        return self.texts[torch.from_numpy(np.array([rng.choice(self.captions[i]) for i in places]))]


@dataclass
class Known:
    """The names of a data set learned before: text features ``(c, d)`` of their training prompts."""

    dataset: str
    texts: Tensor


MINI_FACTOR = 5 / 3
"""``rate_factor`` of adapters on the mini protocols, whose rate for the encoders is 6e-4: theirs becomes 1e-3.

Chosen on ``mini-dev-classes`` among 3e-4, 5e-4, 1e-3, 2e-3 and 3e-3 (``docs/decisions.md``). The mini CLIP bears 60
times the rate that CLIP does; adapters beside it do not.
"""


class NewPartsConfig(Config):
    """The rate of parts that are new beside the towers: the protocol's rate for the task times ``rate_factor``.

    It is 100 where no other is published: MoE-Adapter's adapters learn at 1e-3 (Yu et al., CVPR 2024) where encoders
    learn at 1e-5 (ZSCL, ICCV 2023). ``learning_rate`` is a rate for every task instead.
    """

    rate_factor: float = Field(100.0, gt=0)
    learning_rate: float | None = Field(None, gt=0)

    def rate(self, task: Task, ctx: Context) -> float:
        """The base rate of a task for the new parts."""
        return self.rate_factor * ctx.learning_rate(task) if self.learning_rate is None else self.learning_rate


class AdapterConfig(NewPartsConfig):
    """Adapters of rank 64 (ours), trained with AdamW for as many presentations as the protocol allows."""

    rank: int = Field(64, ge=1)
    scale: float = 1.0


class FrozenTowers(Method):
    """A method whose two towers stay as they were pretrained, so that a task's features are computed only once.

    Features of pictures are those under the test transform, without augmentation. At most as many pictures of a task
    are looked at as the protocol allows beside training; where these are not all, every class is among them, and the
    record's log says how many there are.
    """

    def __init__(self, backbone: Backbone, config: Any) -> None:
        super().__init__(backbone.requires_grad_(False).eval(), config)

    def train(self, mode: bool = True) -> Self:
        """As of any module, but the frozen towers always work as they do at test."""
        super().train(mode)
        self.backbone.eval()
        return self

    @torch.no_grad()
    def frozen_images(self, images: Tensor) -> Tensor:
        """Preprocessed pictures ``(n, 3, s, s)`` to the pretrained tower's unit features ``(n, d)``."""
        return F.normalize(self.backbone.encode_image(images), dim=-1)

    @torch.no_grad()
    def frozen_texts(self, texts: Any) -> Tensor:
        """Texts to the pretrained tower's unit features ``(n, d)``."""
        parts = [texts[i : i + TEXTS_AT_ONCE] for i in range(0, len(texts), TEXTS_AT_ONCE)]
        found = [self.backbone.encode_text(self.backbone.tokenize(part).to(self.device)) for part in parts]
        return F.normalize(torch.cat(found), dim=-1)

    def pictures_of(self, task: Task, ctx: Context) -> tuple[np.ndarray, Tensor]:
        """Encode a task's pictures in a drawn order: their rows ``(n,)`` and unit features ``(n, d)``."""
        order = torch.randperm(len(task.labels), generator=ctx.generator("look", task.index)).numpy()
        rows = with_every_class(order, task.labels, ctx.budget.reference_presentations)
        ctx.looked_at(task, rows)
        parts = [rows[i : i + PICTURES_AT_ONCE] for i in range(0, len(rows), PICTURES_AT_ONCE)]
        return rows, torch.cat([self.frozen_images(ctx.task_images(task, part)) for part in parts])

    def look_at(self, task: Task, ctx: Context) -> Features:
        """The same with the features of the task's prompts or captions."""
        rows, images = self.pictures_of(task, ctx)
        labels = torch.from_numpy(task.labels[rows]).to(self.device)
        if task.captions is None:
            return Features(rows, images, labels, self.frozen_texts(list(task.prompts)))
        texts = [text for row in rows for text in task.captions[row]]
        ends = np.cumsum([len(task.captions[row]) for row in rows])
        own = [np.arange(end - len(task.captions[row]), end) for row, end in zip(rows, ends, strict=True)]
        return Features(rows, images, labels, self.frozen_texts(texts), own)


class AdapterMethod(FrozenTowers):
    """Both towers stay as they were pretrained; a residual adapter on each side of the shared space learns.

    What is kept of past tasks lives at the frozen towers' output, so it never ages, and features are computed once a
    task. :meth:`start`, :meth:`loss` and :meth:`finish` are for methods to fill; :meth:`loss` is given the places of
    a batch among ``self.seen``.
    """

    Config: ClassVar[type[BaseModel]] = AdapterConfig

    seen: Features
    known: list[Known]

    def __init__(self, backbone: Backbone, config: Any) -> None:
        super().__init__(backbone, config)
        self.width = self.frozen_texts(["a"]).shape[1]
        # From a generator of its own: what is drawn elsewhere must not change where training starts.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.adapters = Adapters(self.width, config.rank, config.scale)

    # Learning

    def learn(self, task: Task, ctx: Context) -> None:
        """Look at the task, then train the adapters over the protocol's budget."""
        self.seen = self.look_at(task, ctx)
        self.known = [self._known(label_set) for label_set in ctx.earlier]
        self.before = copy.deepcopy(self.adapters).requires_grad_(False)
        self.draws = np.random.default_rng(ctx.generator("draws", task.index).initial_seed())
        self.start(task, ctx)
        self.train_adapters(task, ctx)
        self.finish(task, ctx)
        del self.seen, self.known, self.before, self.draws
        ctx.log(task=task.name, **self.memory_report())  # after the adapters of before, which are not kept

    def _known(self, label_set: LabelSet) -> Known:
        return Known(label_set.dataset, self.frozen_texts(list(label_set.prompts)))

    def start(self, task: Task, ctx: Context) -> None:
        """Called before the first step of a task, with ``self.seen`` and ``self.known`` in place."""

    def train_adapters(self, task: Task, ctx: Context) -> None:
        """The protocol's budget of steps on batches of ``self.seen``."""
        batches = ctx.presentations(task, len(self.seen.rows))
        parameters = {f"adapters.{name}": p for name, p in self.adapters.named_parameters()}
        rate = self.config.rate(task, ctx)
        ctx.fit(parameters, task, lambda places: self.loss(places, ctx), learning_rate=rate, batches=batches)

    def loss(self, places: np.ndarray, ctx: Context) -> Tensor:
        """The loss of a step on the pictures at ``places`` of ``self.seen``."""
        return self.task_loss(places)

    def finish(self, task: Task, ctx: Context) -> None:
        """Called after the last step of a task: keep what the next one needs."""

    def task_loss(self, places: np.ndarray) -> Tensor:
        """Cross-entropy over the names of the data set known so far, or CLIP's symmetric loss on captions."""
        return self.loss_of(*self.batch(places))

    def batch(self, places: np.ndarray) -> tuple[Features, Tensor]:
        """The pictures at these places, and the texts that they compete for: all names, or a caption drawn for each."""
        own = self.seen.subset(places)
        return own, own.texts if own.captions is None else self.seen.drawn_texts(places, self.draws)

    def loss_of(self, own: Features, texts: Tensor) -> Tensor:
        """The task's loss on what :meth:`batch` gives."""
        logits = self.logits(own.images, texts)
        return F.cross_entropy(logits, own.labels) if own.captions is None else symmetric(logits)

    def logits(self, images: Tensor, texts: Tensor, adapters: Adapters | None = None) -> Tensor:
        """Scaled cosines of frozen features after adaptation, by default with the adapters as they are now."""
        return self.backbone.logit_scale * (adapters or self.adapters)(images, texts)

    @property
    def items(self) -> int:
        """Items in the method's memory: seeds, exemplars or statistics of classes."""
        return 0

    def memory_report(self) -> dict[str, Any]:
        """A log line on what is kept between tasks: items, bytes, and bytes by part, the frozen towers left out."""
        parts: dict[str, int] = {}
        for name, tensor in self.state_dict().items():
            part = name.split(".")[0]
            if part != "backbone":
                parts[part] = parts.get(part, 0) + tensor.numel() * tensor.element_size()
        kept = {f"bytes_{part}": size for part, size in parts.items()}
        return {"report": "memory", "items": self.items, "bytes": sum(parts.values()), **kept}

    # Answering

    def embed_images(self, images: Tensor) -> Tensor:
        """Adapted unit features of preprocessed pictures."""
        return self.adapters.image(self.frozen_images(images))

    def embed_texts(self, texts: Any) -> Tensor:
        """Adapted unit features of texts."""
        return self.adapters.text(self.frozen_texts(texts))
