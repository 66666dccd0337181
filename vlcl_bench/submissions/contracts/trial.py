"""Trying a submission's method: learners of it on a small stream, and its answers, with its code watched."""

from __future__ import annotations

import contextlib
import copy
import os
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from vlcl_bench.backbones import load_backbone
from vlcl_bench.common.seeds import derive_seed
from vlcl_bench.engine.company import NEAR_TIE
from vlcl_bench.engine.footprint import Footprint, backbone_sizes, kept_tensors
from vlcl_bench.engine.learner import InProcessLearner, LearnReport, guarded, seed_everything
from vlcl_bench.engine.sandbox.audit import Boundary, Notice
from vlcl_bench.engine.sandbox.supervisor import CACHES, hidden_places, method_places
from vlcl_bench.methods.card import make_settings
from vlcl_bench.methods.declaration import declared_reference
from vlcl_bench.methods.registry import MethodRef
from vlcl_bench.methods.terms import Loans
from vlcl_bench.submissions.contracts.comparison import Answers, State
from vlcl_bench.submissions.contracts.small_stream import BACKBONE, WORLD, SmallStreams, Stream

if TYPE_CHECKING:
    from vlcl_bench.backbones.base import Backbone
    from vlcl_bench.errors import VlclError
    from vlcl_bench.methods.base import Method
    from vlcl_bench.tasks import Query, Task

BATCH = 16
METHODS = ("baselines.", "vlcl_method_")
"""How the names of modules begin that belong to methods."""


@dataclass(frozen=True, eq=False)
class Learned:
    """A learner after two tasks: its states after each, as :meth:`Trial.saved` has them too, and its answers.

    ``scored`` is its state after those answers, ``modules`` are those of the method as it was then.
    """

    learner: WatchedLearner
    states: tuple[State, State]
    answers: Answers
    reports: tuple[LearnReport, ...]
    scored: State
    modules: dict[str, ModuleType]


class WatchedLearner(InProcessLearner):
    """A learner whose method's code runs as in a run: watched, and in a scratch folder."""

    def __init__(self, trial: Trial, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.trial = trial

    def learn(self, task: Task, progress: Callable[[int, int, str], None]) -> LearnReport:
        """See :meth:`Learner.learn`."""
        self.trial.clear_scratch()
        with self.trial.code(f"learning {task.name!r}"):
            report = super().learn(task, progress)
        self.trial.clear_scratch()
        return report

    def score(self, images: np.ndarray, queries: Sequence[Query]) -> list[np.ndarray]:
        """See :meth:`Learner.score`."""
        with self.trial.code("scoring pictures"):
            return super().score(images, queries)

    def packed_state(self) -> bytes:
        """See :meth:`InProcessLearner.packed_state`."""
        with self.trial.code("saving its state"):
            return super().packed_state()

    def unpack_state(self, data: bytes) -> None:
        """See :meth:`InProcessLearner.unpack_state`."""
        with self.trial.code("loading its state"):
            super().unpack_state(data)

    def footprint(self) -> Footprint:
        """See :meth:`Learner.footprint`."""
        with self.trial.code("being weighed"):
            return super().footprint()

    def state(self) -> State:
        """A copy of what the method keeps."""
        with self.trial.code("giving its state"), guarded("giving its state"):
            return {name: tensor.detach().cpu().clone() for name, tensor in kept_tensors(self.method).items()}


class Trial:
    """A submission's method and all that is needed to try it, again and again from the start.

    ``work`` is a folder for its states; ``store`` the folder of decoded pictures, which it may not read.
    """

    def __init__(self, folder: Path, streams: SmallStreams, work: Path, store: Path | None = None) -> None:
        self.folder, self.streams, self.work = folder.absolute(), streams, work.absolute()
        self.store = None if store is None else store.absolute()
        self.scratch = self.work / "scratch"
        self.scratch.mkdir(parents=True, exist_ok=True)
        self._pristine: Backbone | None = None

    @property
    def where(self) -> str:
        """The method's file as the submission names it."""
        named = "method.py" if (self.folder / "method.py").exists() else self.declared.get("method", "method.py")
        return str(named)

    @cached_property
    def declared(self) -> dict[str, Any]:
        """What ``submission.toml`` says; nothing where there is none, or no valid one."""
        try:
            return tomllib.loads((self.folder / "submission.toml").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}

    @cached_property
    def reference(self) -> MethodRef:
        """The method that the folder names; raises :class:`UsageError` where it names none."""
        return MethodRef.parse(str(self.folder))

    @cached_property
    def notice(self) -> Notice:
        """What notices the method's attempts; what it may do is what it may do in a run."""
        hidden = hidden_places(self.reference.folder, self.store)
        return Notice(Boundary(method_places(self.reference), [self.scratch], hidden))

    @property
    def attempts(self) -> list[str]:
        """What the method tried so far that a run would refuse, a sentence each."""
        return list(self.notice.seen.values()) if "notice" in self.__dict__ else []

    @contextlib.contextmanager
    def code(self, doing: str) -> Iterator[None]:
        """Within it the method's code runs: watched, its folders for temporary and cached files in the scratch folder.

        No byte code is written, nor read that lies beside the source.
        """
        notice = self.notice  # before the places are others
        caches = {name: str(self.scratch / "caches" / name.lower()) for name in CACHES}
        places = {**caches, "TMPDIR": str(self.scratch)}
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.chdir(self.scratch))
            stack.enter_context(_environment(places))
            stack.enter_context(_attribute(tempfile, "tempdir", str(self.scratch)))
            stack.enter_context(_attribute(sys, "dont_write_bytecode", True))
            stack.enter_context(notice.over(doing))
            yield

    def clear_scratch(self) -> None:
        """Empty the scratch folder, as it is before and after each task of a run."""
        shutil.rmtree(self.scratch)
        self.scratch.mkdir()

    def load(self) -> type[Method]:
        """The method, freshly imported: what an earlier object left in its modules is not there.

        Raises :class:`UsageError` where there is no method, and :class:`MethodError` where it does not import.
        """
        for name in [name for name in sys.modules if name.startswith(METHODS)]:
            del sys.modules[name]
        with self.code("being imported"), _attribute(sys, "pycache_prefix", str(self.scratch / "no-bytecode")):
            return self.reference.load()

    @cached_property
    def method(self) -> type[Method]:
        """The method as it was first imported; raises as :meth:`load` does."""
        return self.load()

    @cached_property
    def learned(self) -> Learned:
        """Two tasks learned, each scored and saved; raises :class:`MethodError` where that fails."""
        learner, states, reports, answers = self.learner(method=self.method), [], [], Answers()
        for number, task in enumerate(self.streams.whole.tasks, start=1):
            reports.append(learner.learn(task, silent))
            learner.footprint()
            states.append(learner.state())
            learner.save(self.saved(number))
            answers = self.ask(learner)
        modules = {name: module for name, module in sys.modules.items() if name.startswith(METHODS)}
        return Learned(learner, (states[0], states[1]), answers, tuple(reports), learner.state(), modules)

    def saved(self, task: int) -> Path:
        """The file of the state after a task, which counts from 1."""
        return self.work / f"state-{task}.safetensors"

    def learner(
        self, seed: int = 0, stream: Stream | None = None, method: type[Method] | None = None
    ) -> WatchedLearner:
        """A new object of the method (freshly imported if none is given) with the mini CLIP as it came."""
        method = method or self.load()
        if self._pristine is None:
            self._pristine = load_backbone(BACKBONE)
        backbone = copy.deepcopy(self._pristine)
        sizes = backbone_sizes(backbone)
        seed_everything(derive_seed(seed, "construct"))
        with self.code("being made"), guarded("being made"):
            made = method(backbone, make_settings(method, {}, WORLD))
        kinds = declared_reference(method)
        loans = Loans(self.streams.reference(kinds), self.streams.synthesis(kinds))
        return WatchedLearner(
            self, made, stream or self.streams.whole, seed, torch.device("cpu"), sizes, loans
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
        answers = []
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
            answers.append(whole[::-1] if reverse else whole)
        return answers

    def near_tie(self, learner: InProcessLearner) -> float:
        """The gap between two best logits that counts as a tie: :data:`NEAR_TIE` of the backbone's logit scale."""
        return NEAR_TIE * float(learner.method.backbone.logit_scale)


@contextlib.contextmanager
def modules_restored() -> Iterator[None]:
    """Leave the methods' modules as they were found, for whoever else has them."""
    before = {name: module for name, module in sys.modules.items() if name.startswith(METHODS)}
    try:
        yield
    finally:
        for name, module in before.items():
            sys.modules[name] = module
            parent, _, child = name.rpartition(".")
            if parent in sys.modules:
                setattr(sys.modules[parent], child, module)


def advice(error: VlclError) -> str:
    """An error's hint without what holds for runs only."""
    hint = error.hint or "Fix that in the method's file; `vlcl methods new FILE` writes one that works."
    here = "`python -m vlcl_bench.submissions.contracts.examiner FOLDER` shows where it happened."
    return hint if "--out" not in hint else here


def silent(done: int, total: int, word: str) -> None:
    """No progress."""


@contextlib.contextmanager
def _attribute(target: Any, name: str, value: object) -> Iterator[None]:
    before = getattr(target, name)
    setattr(target, name, value)
    try:
        yield
    finally:
        setattr(target, name, before)


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
