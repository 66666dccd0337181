"""The narrow line between the harness and a method: learn, score, save, load, footprint.

Everything that crosses it is plain data (arrays, strings, paths), so the method can live in another process
(:mod:`vlcl_bench.engine.sandbox`); no test label is among it.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from vlcl_bench.common.fileio import write_atomic
from vlcl_bench.common.progress import Advance
from vlcl_bench.common.seeds import derive_seed
from vlcl_bench.data.transforms import Augmentation
from vlcl_bench.engine.beside import beside_digest
from vlcl_bench.engine.footprint import (
    TRAINED,
    kept_tensors,
    moved_parameters,
    parameter_names,
    trained_names,
    weigh,
)
from vlcl_bench.engine.provenance import peak_memory
from vlcl_bench.errors import IntegrityError, MethodError, VlclError
from vlcl_bench.methods.base import Method
from vlcl_bench.methods.context import Context
from vlcl_bench.methods.terms import Loans, Rules
from vlcl_bench.methods.usage import Usage
from vlcl_bench.protocols.budget import Budget
from vlcl_bench.records.schema import Footprint
from vlcl_bench.tasks import LabelSet, Query, Task


@dataclass(frozen=True)
class LearnReport:
    """What learning a task used and said: metered usage, names of trained parameters, the method's log.

    ``seconds_synthesising`` is the part of the time in which synthetic pictures were made.
    """

    usage: Usage
    trained: tuple[str, ...]
    log: list[dict[str, float | int | str]] = field(default_factory=list)
    seconds_synthesising: float = 0.0


class Stream(Protocol):
    """What a learner must know of a protocol: for each task the :class:`Rules` that its method is told."""

    @property
    def budget(self) -> Budget:
        """Steps, batch sizes and learning rates of a task."""

    @property
    def augmentation(self) -> Augmentation:
        """The random crops of training pictures."""

    def label_sets_before(self, task: int) -> tuple[LabelSet, ...]:
        """The names of the tasks before ``task``, which counts from 1."""


class Learner(ABC):
    """A method as the engine sees it."""

    @abstractmethod
    def learn(self, task: Task, progress: Advance) -> LearnReport:
        """Learn a task; raises :class:`MethodError` where the method fails."""

    @abstractmethod
    def score(self, images: np.ndarray, queries: Sequence[Query]) -> list[np.ndarray]:
        """Logits ``(n, c)`` float32 of uint8 pictures ``(n, s, s, 3)`` for each label space, checked."""

    @abstractmethod
    def packed_state(self) -> bytes:
        """All that the next task needs, as the bytes of a safetensors file."""

    @abstractmethod
    def unpack_state(self, data: bytes) -> None:
        """Take up what :meth:`packed_state` gave; raises ``SafetensorError`` where it is something else."""

    def beside_state(self) -> str | None:
        """A digest of what the method held beside its state when that was packed; ``None`` where it is not known.

        See :mod:`vlcl_bench.engine.beside`.
        """
        return None

    def save(self, path: Path) -> None:
        """Write all that the next task needs."""
        write_atomic(path, self.packed_state())

    def load(self, path: Path, whole: Callable[[bytes], bytes] = bytes) -> None:
        """Read what :meth:`save` wrote; raises :class:`IntegrityError` where it is damaged.

        ``whole`` makes a state of the file's content, where it is stored in another form.
        """
        try:
            data = whole(path.read_bytes())
            self.unpack_state(data)
        except (SafetensorError, OSError, ValueError) as error:
            hint = f"Delete {path.parent.parent} and give the same command again: it starts over."
            raise IntegrityError(f"the state {path} is damaged: {error}", hint) from error

    @abstractmethod
    def footprint(self) -> Footprint:
        """What the method weighs now."""

    def memory(self) -> tuple[int, int | None]:
        """Peak resident bytes of the process that the method lives in, and of its CUDA allocator if there is one."""
        return peak_memory()

    def close(self) -> None:  # noqa: B027 (nothing to end where there is no other process)
        """End what was started for the method."""


class InProcessLearner(Learner):
    """A method in the harness's own process.

    ``sizes_before`` are those of the backbone's tensors before the method was made
    (:func:`vlcl_bench.engine.footprint.backbone_sizes`), so that what it builds into the backbone counts as added.
    """

    def __init__(
        self,
        method: Method,
        protocol: Stream,
        seed: int,
        device: torch.device,
        sizes_before: Mapping[str, int],
        loans: Loans | None = None,
    ) -> None:
        self.method = method.to(device)
        self.protocol = protocol
        self.seed = seed
        self.device = device
        self.loans = loans or Loans()
        self._sizes_before = sizes_before
        self._trained: set[str] = set()

    def learn(self, task: Task, progress: Advance) -> LearnReport:
        """See :meth:`Learner.learn`."""
        protocol = self.protocol
        rules = Rules(protocol.budget, protocol.augmentation, protocol.label_sets_before(task.index))
        ctx = Context(
            self.seed, rules, self.device, self.method.backbone.preprocess, partial(parameter_names, self.method),
            progress, self.loans,
        )  # fmt: skip
        seed_everything(int(ctx.generator("learn", task.index).initial_seed()))
        before = {name: value.detach().clone() for name, value in self.method.named_parameters()}
        self.method.train()
        self.method.is_learning = True
        with guarded(f"learning task {task.index}, {task.name!r}"), ctx.counting_steps():
            self.method.learn(task, ctx)
        self.method.is_learning = False
        self.method.forget_cached_texts()
        trained = ctx.trained | moved_parameters(self.method, before)
        self._trained |= trained
        return LearnReport(ctx.usage, tuple(sorted(trained)), ctx.logged, ctx.seconds_synthesising)

    def score(self, images: np.ndarray, queries: Sequence[Query]) -> list[np.ndarray]:
        """See :meth:`Learner.score`."""
        self.method.eval()
        seed_everything(derive_seed(self.seed, "score"))  # not what learning left: it is gone after a kill
        with torch.inference_mode(), guarded("scoring pictures"):
            pixels = self.method.backbone.preprocess(torch.from_numpy(images).to(self.device))
            answers = self.method.score_all(pixels, queries)
            return [checked_logits(logits, len(images), query) for logits, query in zip(answers, queries, strict=True)]

    def packed_state(self) -> bytes:
        """See :meth:`Learner.packed_state`."""
        with guarded("saving the method's state"):
            state = {name: tensor.detach().cpu().contiguous() for name, tensor in kept_tensors(self.method).items()}
            return save(state, {TRAINED: "\n".join(sorted(self._trained))})

    def beside_state(self) -> str | None:
        """See :meth:`Learner.beside_state`."""
        return beside_digest(self.method)

    def unpack_state(self, data: bytes) -> None:
        """See :meth:`Learner.unpack_state`."""
        state = load(data)
        with guarded("loading the method's state"):
            self.method.load_state_dict(state)
        self._trained = set(trained_names(data))
        self.method.forget_cached_texts()

    def parameter_sizes(self) -> dict[str, int]:
        """Elements of each parameter of the method."""
        return {name: p.numel() for name, p in self.method.named_parameters()}

    def footprint(self) -> Footprint:
        """See :meth:`Learner.footprint`."""
        with guarded("weighing what it keeps"):
            state = kept_tensors(self.method)
            kept = {name: t.numel() * t.element_size() for name, t in state.items()}
        return weigh(self._sizes_before, self.parameter_sizes(), self._trained, kept, self.loans.generator_bytes)


def checked_logits(logits: object, pictures: int, query: Query) -> np.ndarray:
    """A method's answer as float32 ``(n, c)``; raises :class:`MethodError` where it is anything else."""
    wanted = (pictures, len(query.names))
    if not isinstance(logits, torch.Tensor):
        raise MethodError(f"score must return a tensor of shape {wanted}, got {type(logits).__name__}")
    if tuple(logits.shape) != wanted:
        raise MethodError(
            f"score must return logits of shape {wanted} (pictures, candidates), got {tuple(logits.shape)}",
            "Return one logit for each picture and each candidate of the query, in the query's order.",
        )
    values = logits.detach().float().cpu().numpy()
    if not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).any(axis=1).sum())
        raise MethodError(
            f"score returned NaN or infinite logits for {bad} of {pictures} pictures",
            "Look for a zero norm, or lower the learning rate.",
        )
    return values


@contextmanager
def guarded(doing: str) -> Iterator[None]:
    """Turn what a method raises into a :class:`MethodError` that keeps the original as its cause."""
    try:
        yield
    except VlclError:
        raise
    except (Exception, SystemExit) as error:
        raise MethodError(
            f"the method raised {type(error).__name__} while {doing}: {error}",
            "The stages before are kept. A corrected file is another run: it starts over, and an out (--out) needs "
            "another folder. --traceback shows where it happened.",
        ) from error


def seed_everything(seed: int) -> None:
    """Seed the global generators too, for methods that draw from them instead of asking the context."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
