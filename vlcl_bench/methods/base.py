"""The interface of a method: one class, of which only ``learn`` must be written."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from vlcl_bench.backbones.base import Backbone
from vlcl_bench.methods.context import Batch, Context
from vlcl_bench.methods.declaration import AsDeclared
from vlcl_bench.methods.losses import symmetric
from vlcl_bench.methods.returned import checked_parameters
from vlcl_bench.tasks import Query, Task

TEXTS_AT_ONCE = 4096
"""Texts in one batch when a label space is encoded: enough for any data set's prompts, and a bound for banks."""


class Config(BaseModel):
    """Settings of a method; ``--set key=value`` fills them, and unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Method(nn.Module, ABC):
    """A learner around a backbone.

    Whatever a later task needs must be in ``state_dict()`` (parameters, buffers, sub-modules): the harness saves
    it after each task, measures it, and may continue in a new process from it alone. Class attributes:
    ``title`` for tables, ``Config`` for settings, ``deterministic`` when the seed changes nothing.
    """

    title: ClassVar[str]
    deterministic: ClassVar[bool] = False
    mini_settings: ClassVar[Mapping[str, Any]] = {}
    """Values that replace published strengths on the mini protocols, chosen on ``mini-dev``."""

    reference: ClassVar[tuple[str, ...]]
    """Data beside the tasks that the method uses: ``pictures``, ``texts``, ``generator``; none where it is left out.

    See :mod:`vlcl_bench.data.reference`. It has no value here, which would hide a part of a method of that name.
    """

    auxiliary: ClassVar[tuple[str, ...]] = cast(Any, AsDeclared())
    """The same under its older name, in which a method may still declare it."""

    Config: ClassVar[type[BaseModel]] = Config
    """The class of the method's settings."""

    @classmethod
    def unranked_because(cls, config: Any) -> str:
        """Why runs with these settings must not be ranked, for variants that break a rule on purpose; else empty."""
        return ""

    def __init__(self, backbone: Backbone, config: Any) -> None:
        super().__init__()
        self.backbone = backbone
        self.config = config
        self._text_version: Hashable = None
        self._texts: dict[Hashable, dict[str, Tensor]] = {}
        self._queries: dict[tuple[Hashable, Query], Tensor] = {}
        self.is_learning = False  # set by the harness around ``learn``: nothing is cached meanwhile

    @abstractmethod
    def learn(self, task: Task, ctx: Context) -> None:
        """Learn a task from its training view; ``ctx`` gives the loader, the optimiser loop, seeds and a log."""

    def embed_images(self, images: Tensor) -> Tensor:
        """Preprocessed pictures ``(n, 3, s, s)`` to unit features ``(n, d)``."""
        return F.normalize(self.backbone.encode_image(images), dim=-1)

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Texts to unit features ``(n, d)``, in one batch."""
        tokens = self.backbone.tokenize(texts).to(self.device)
        return F.normalize(self.backbone.encode_text(tokens), dim=-1)

    def embed_query(self, query: Query) -> Tensor:
        """Unit features ``(c, d)`` of a label space.

        A candidate's feature is the normalised mean of the unit features of its prompts (Radford et al., 2021,
        section 3.1.4). Kept until the method changes; while it is learning, nothing is kept.
        """
        busy = self.training or self.is_learning
        key = self._text_version, query
        if key in self._queries and not busy:
            return self._queries[key]
        keep = not (busy or torch.is_grad_enabled())
        texts = [text for prompts in query.prompts for text in prompts]
        features = self._remembered(texts) if keep else self.embed_texts(texts)
        sizes = [len(prompts) for prompts in query.prompts]
        if max(sizes) == 1:
            candidates = F.normalize(features, dim=-1)
        else:
            candidates = F.normalize(torch.stack([part.mean(dim=0) for part in features.split(sizes)]), dim=-1)
        if keep:
            self._queries[key] = candidates
        return candidates

    @contextmanager
    def texts_of(self, version: Hashable) -> Iterator[None]:
        """Within it, features of texts are remembered apart from those of other versions.

        For methods whose text encoder depends on more than its weights, a router or a prompt for each task say.
        """
        before, self._text_version = self._text_version, version
        try:
            yield
        finally:
            self._text_version = before

    def _remembered(self, texts: Sequence[str]) -> Tensor:
        """Features of texts, of which those already encoded since the method last changed are not encoded again."""
        known = self._texts.setdefault(self._text_version, {})
        fresh = [text for text in dict.fromkeys(texts) if text not in known]
        for start in range(0, len(fresh), TEXTS_AT_ONCE):
            part = fresh[start : start + TEXTS_AT_ONCE]
            known |= dict(zip(part, self.embed_texts(part), strict=True))
        return torch.stack([known[text] for text in texts])

    def score(self, images: Tensor, query: Query) -> Tensor:
        """Logits ``(n, c)`` of preprocessed pictures against a label space: scaled cosines by default."""
        return self.backbone.logit_scale * self.embed_images(images) @ self.embed_query(query).T

    def score_all(self, images: Tensor, queries: Sequence[Query]) -> list[Tensor]:
        """Logits for several label spaces; pictures are embedded once unless ``score`` is a method's own."""
        if type(self).score is not Method.score:
            return [self.score(images, query) for query in queries]
        features = self.backbone.logit_scale * self.embed_images(images)
        return [features @ self.embed_query(query).T for query in queries]

    def forget_cached_texts(self) -> None:
        """Called by the harness whenever the method has changed."""
        self._texts.clear()
        self._queries.clear()

    @property
    def device(self) -> torch.device:
        """Where the backbone is."""
        return next(self.backbone.parameters()).device

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Restore what ``state_dict`` saved; override it where memory grows from task to task."""
        self.forget_cached_texts()
        return super().load_state_dict(state_dict, strict=strict, assign=assign)


class FineTuneConfig(Config):
    """Settings of the common recipe (ZSCL's released code, ICCV 2023)."""

    label_smoothing: float = 0.2


class LossMethod(Method):
    """Full fine-tuning with the common recipe; a method that is "fine-tuning plus a term" overrides ``loss``.

    Both encoders train, the logit scale does not; AdamW without weight decay, warm-up and cosine, cross-entropy
    with label smoothing over the prompts of the current task, re-encoded at every step.
    """

    Config: ClassVar[type[BaseModel]] = FineTuneConfig

    def start(self, task: Task, ctx: Context) -> None:
        """Called before the first step of a task: take an anchor or a teacher here."""

    def finish(self, task: Task, ctx: Context) -> None:
        """Called after the last step of a task: merge weights, drop what is not kept."""

    def after_step(self, step: int) -> None:
        """Called after each optimiser step, see :meth:`Context.fit`."""

    def learning_rate(self, task: Task, ctx: Context) -> float:
        """Base learning rate of a task: the protocol's; another for parameters of another kind than the encoders'."""
        return ctx.learning_rate(task)

    def loss(self, batch: Batch, logits: Tensor, ctx: Context) -> Tensor:
        """The loss of a step; ``logits`` are ``(n, c)`` over the current task's classes."""
        return self.cross_entropy(batch, logits)

    def cross_entropy(self, batch: Batch, logits: Tensor) -> Tensor:
        """Cross-entropy with the recipe's label smoothing.

        On captioned tasks it is CLIP's symmetric loss, without smoothing: ``logits`` are then ``(n, n)``, pictures by
        the captions drawn for them.
        """
        if batch.captions:
            return symmetric(logits)
        return F.cross_entropy(logits, batch.labels, label_smoothing=self.config.label_smoothing)

    def learn(self, task: Task, ctx: Context) -> None:
        """The common recipe around :meth:`loss`."""
        self.start(task, ctx)
        prompts = self.backbone.tokenize(task.prompts).to(self.device) if task.captions is None else None

        def step_loss(batch: Batch) -> Tensor:
            tokens = self.backbone.tokenize(batch.captions).to(self.device) if prompts is None else prompts
            batch.image_features = self.embed_images(batch.images)
            batch.text_features = F.normalize(self.backbone.encode_text(tokens), dim=-1)
            logits = self.backbone.logit_scale * batch.image_features @ batch.text_features.T
            return self.loss(batch, logits, ctx)

        rate = self.learning_rate(task, ctx)
        ctx.fit(checked_parameters(self.trainable_parameters()), task, step_loss, self.after_step, rate)
        self.finish(task, ctx)

    def trainable_parameters(self) -> Any:
        """Named parameters that the recipe trains."""
        return self.backbone.trainable_parameters()
