"""Trying a submission's method: learners of it on a small stream, its answers, and what they have in common."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vlcl_bench.backbones import load_backbone
from vlcl_bench.backbones.base import Backbone
from vlcl_bench.engine.learner import InProcessLearner, LearnReport, guarded, seed_everything
from vlcl_bench.engine.footprint import backbone_sizes, kept_tensors
from vlcl_bench.methods.base import Method
from vlcl_bench.methods.card import make_settings
from vlcl_bench.methods.declaration import declared_reference
from vlcl_bench.methods.registry import load_method
from vlcl_bench.methods.terms import Loans
from vlcl_bench.common.seeds import derive_seed
from vlcl_bench.submissions.contracts.peeking import Watch
from vlcl_bench.submissions.contracts.small_stream import BACKBONE, WORLD, SmallStreams, Stream
from vlcl_bench.tasks import Query, Task

BATCH = 16
NEAR_TIE = 1e-4
"""Two best scores nearer than this share of the logit scale may change places between batches."""
MOST_EXCEPTIONS = 0.005
"""Share of answers that may change at all."""

Answers = list[list[np.ndarray]]
"""For each of a stream's sets of pictures the logits ``(n, c)`` for each of its label spaces, in order."""


class WatchedLearner(InProcessLearner):
    """A learner whose method is watched while its code runs."""

    def __init__(self, watch: Watch, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.watch = watch

    def learn(self, task: Task, progress: Callable[[int, int, str], None]) -> LearnReport:
        """See :meth:`Learner.learn`."""
        with self.watch.over(f"learning {task.name!r}"):
            return super().learn(task, progress)

    def score(self, images: np.ndarray, queries: Sequence[Query]) -> list[np.ndarray]:
        """See :meth:`Learner.score`."""
        with self.watch.over("scoring pictures"):
            return super().score(images, queries)

    def load(self, path: Path) -> None:
        """See :meth:`Learner.load`."""
        with self.watch.over("loading its state"):
            super().load(path)

    def state(self) -> dict[str, torch.Tensor]:
        """A copy of what the method keeps."""
        with self.watch.over("giving its state"), guarded("giving its state"):
            return {name: tensor.detach().cpu().clone() for name, tensor in kept_tensors(self.method).items()}


class Trial:
    """A submission's method and all that is needed to play it, again and again from the start."""

    def __init__(self, folder: Path, streams: SmallStreams, work: Path, store: Path | None = None) -> None:
        self.folder, self.streams, self.work = folder, streams, work
        self.watch = Watch(folder, (work,), store)
        self._pristine: Backbone | None = None
        self._modules: set[str] = set()

    def load(self) -> type[Method]:
        """The method, freshly imported: what an earlier object left in its module is not there."""
        for name in [name for name in sys.modules if name in self._modules or name.startswith("baselines.")]:
            del sys.modules[name]
        with self.watch.over("being imported"):
            loaded = load_method(str(self.folder))
        self._modules.add(loaded.__module__)
        return loaded

    def learner(self, seed: int = 0, stream: Stream | None = None, loaded: type[Method] | None = None) -> WatchedLearner:
        """A new object of the method with the mini CLIP as it came."""
        loaded = loaded or self.load()
        if self._pristine is None:
            self._pristine = load_backbone(BACKBONE)
        backbone = copy.deepcopy(self._pristine)
        sizes = backbone_sizes(backbone)
        seed_everything(derive_seed(seed, "construct"))
        with self.watch.over("being made"), guarded("being made"):
            method = loaded(backbone, make_settings(loaded, {}, WORLD))
        kinds = declared_reference(loaded)
        loans = Loans(self.streams.reference(kinds), self.streams.synthesis(kinds))
        return WatchedLearner(
            self.watch, method, stream or self.streams.whole, seed, torch.device("cpu"), sizes, loans
        )  # fmt: skip

    def ask(
        self,
        learner: InProcessLearner,
        stream: Stream | None = None,
        batch: int = BATCH,
        shuffle: int | None = None,
        reverse: bool = False,
        change: Callable[[np.ndarray], np.ndarray] = lambda pictures: pictures,
    ) -> Answers:
        """All answers, in batches of this size; pictures shuffled, label spaces reversed, pixels changed if asked."""
        found = []
        for asked in (stream or self.streams.whole).asked:
            count, queries = len(asked.pictures), asked.queries[::-1] if reverse else asked.queries
            order = np.arange(count) if shuffle is None else np.random.default_rng(shuffle).permutation(count)
            parts: list[list[np.ndarray]] = [[] for _ in queries]
            for start in range(0, count, batch):
                pictures = np.ascontiguousarray(change(asked.pictures[order[start : start + batch]]))
                for part, logits in zip(parts, learner.score(pictures, queries), strict=True):
                    part.append(logits)
            back = np.argsort(order)
            whole = [np.concatenate(part)[back] for part in parts]
            found.append(whole[::-1] if reverse else whole)
        return found

    def near_tie(self, learner: InProcessLearner) -> float:
        """The gap between two best logits that counts as a tie: :data:`NEAR_TIE` of the backbone's logit scale."""
        return NEAR_TIE * float(learner.method.backbone.logit_scale)


@contextmanager
def modules_restored() -> Iterator[None]:
    """Leave the reference methods' modules as they were found, for whoever else has them."""
    before = {name: module for name, module in sys.modules.items() if name.startswith(("baselines.", "vlcl_method_"))}
    try:
        yield
    finally:
        for name, module in before.items():
            sys.modules[name] = module
            parent, _, own = name.rpartition(".")
            if parent in sys.modules:
                setattr(sys.modules[parent], own, module)


@dataclass(frozen=True)
class Changed:
    """Answers that are others: how many of ``total``, how many of them near ties, and the first one in words."""

    changed: int
    near: int
    total: int
    example: str = ""

    @property
    def share(self) -> float:
        """Percent of answers that changed."""
        return 100.0 * self.changed / self.total

    @property
    def excused(self) -> bool:
        """Whether there are so few that rounding, also at a router's or a selector's threshold, may have done it."""
        return self.changed <= MOST_EXCEPTIONS * self.total

    def __add__(self, other: Changed) -> Changed:
        return Changed(
            self.changed + other.changed, self.near + other.near, self.total + other.total,
            self.example or other.example,
        )  # fmt: skip


def changes(stream: Stream, before: Answers, after: Answers, near_tie: float = 0.0, said: str = "") -> Changed:
    """Which best answers differ; ``near_tie`` is the gap of the two best logits below which they may."""
    changed = near = total = 0
    example = ""
    for asked, one, two in zip(stream.asked, before, after, strict=True):
        for query, old, new in zip(asked.queries, one, two, strict=True):
            was, now = old.argmax(axis=1), new.argmax(axis=1)
            rows = np.flatnonzero(was != now)
            best = np.sort(old, axis=1)
            gap = best[:, -1] - best[:, -2] if old.shape[1] > 1 else np.full(len(old), np.inf)
            changed, near, total = changed + len(rows), near + int((gap[rows] < near_tie).sum()), total + len(old)
            if len(rows) and not example:
                first = rows[0]
                space = "all names" if query.task is None else f"the names of {query.task}"
                example = (
                    f"{said}picture {first} of {asked.name} is {query.names[now[first]]!r} among {space}, "
                    f"before {query.names[was[first]]!r} (by {gap[first]:.2f})"
                )
    return Changed(changed, near, total, example)


def unequal_tensors(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> list[str]:
    """Names of tensors that are not equal to the bit in two states, sorted."""
    return sorted(
        name
        for name in one.keys() | two.keys()
        if name not in one or name not in two or one[name].dtype != two[name].dtype or not _equal(one[name], two[name])
    )


def _equal(one: torch.Tensor, two: torch.Tensor) -> bool:
    if one.shape != two.shape:
        return False
    return bool(torch.equal(one, two) or (one.is_floating_point() and torch.equal(one.nan_to_num(), two.nan_to_num())))
