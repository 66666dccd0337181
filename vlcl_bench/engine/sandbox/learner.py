"""A method in a process of its own, as the engine sees it.

The process is not trusted: all that it sends is checked for form and size, and what can be found out without it (the
time, the bytes of the state, which of its tensors moved, pictures that the generator made) is not asked of it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from vlcl_bench.common.progress import Advance
from vlcl_bench.data.pictures import Pictures
from vlcl_bench.engine.footprint import trained_names, weigh
from vlcl_bench.engine.learner import Learner, LearnReport, Stream, checked_logits
from vlcl_bench.engine.sandbox.answers import (
    asked_original,
    asked_pictures,
    checked_report,
    deserialize_state,
    opened_state,
    shared_arrays,
    with_trained,
)
from vlcl_bench.engine.sandbox.wire import Message
from vlcl_bench.engine.sandbox.worker_process import Handler, WorkerProcess
from vlcl_bench.errors import MethodError
from vlcl_bench.methods.terms import Loans
from vlcl_bench.methods.usage import GENERATED, Usage
from vlcl_bench.records.schema import Footprint
from vlcl_bench.tasks import Query, Task

MOST_STATE = 16 << 30
"""Bytes of a state: more than any backbone here with several teachers."""
MOST_GENERATED = 1_000_000
"""Synthetic pictures in one request."""


class SandboxedLearner(Learner):
    """A method in a process of its own.

    ``sizes_before`` as for :class:`vlcl_bench.engine.learner.InProcessLearner`. The method is made by :meth:`build`.
    """

    def __init__(
        self,
        process: WorkerProcess,
        protocol: Stream,
        seed: int,
        sizes_before: Mapping[str, int],
        loans: Loans | None = None,
    ) -> None:
        self.process, self.protocol, self.seed, self.loans = process, protocol, seed, loans or Loans()
        self._sizes_before = sizes_before
        self._trained: set[str] = set()
        self._moved: set[str] = set()
        self._parameters: dict[str, int] = {}
        self._kept: dict[str, int] = {}
        self._state: bytes | None = None
        self._beside: str | None = None
        self._digests: dict[str, bytes] | None = None
        self._queries: dict[Query, int] = {}
        self._device_memory: int | None = None
        self._random = np.random.default_rng()  # from the system: nobody can predict the order of pictures

    def build(self) -> None:
        """Have the method made; raises :class:`MethodError` where it fails."""
        reference: dict[str, Any] | None = None
        arrays: list[np.ndarray] = []
        if self.loans.reference is not None:
            pictures, arrays = shared_arrays(self.loans.reference.pictures)
            texts, identity = self.loans.reference.texts, self.loans.reference.identity
            reference = {"pictures": pictures, "texts": texts, "identity": identity}
        synthesis = self.loans.synthesis is not None
        header = {"call": "build", "seed": self.seed, "reference": reference, "synthesis": synthesis}
        self.process.call(header, arrays, doing="being made")

    def learn(self, task: Task, progress: Advance) -> LearnReport:
        """See :meth:`Learner.learn`."""
        if self._digests is None:
            self._fetch()
        self.process.clear_scratch()
        self._state = None
        self._queries.clear()
        before = self._digests or {}
        bench = _Bench(self, task, progress)
        pictures, arrays = shared_arrays(task.images)
        earlier = [(k.dataset, k.class_names, k.template) for k in self.protocol.label_sets_before(task.index)]
        described = {
            "index": task.index, "name": task.name, "class_names": task.class_names, "templates": task.templates,
            "dataset": task.dataset, "captions": task.captions, "pictures": pictures,
        }  # fmt: skip
        reply = self.process.call(
            {"call": "learn", "task": described, "earlier": earlier}, [task.labels, *arrays],
            doing=f"learning task {task.index}, {task.name!r}", handlers=bench.handlers(), progress=progress,
        )  # fmt: skip
        self.process.clear_scratch()
        report = checked_report(reply.header)
        self._fetch(set(report.trained), before)
        trained = tuple(sorted(self._moved | set(report.trained)))
        return LearnReport(bench.with_generated(report.usage), trained, report.log, bench.seconds)

    def score(self, images: np.ndarray, queries: Sequence[Query]) -> list[np.ndarray]:
        """See :meth:`Learner.score`. Pictures cross without ids, in an order that nobody can predict."""
        new = {}
        for query in queries:
            if query not in self._queries:
                self._queries[query] = len(self._queries)
                new[str(self._queries[query])] = (query.dataset, query.names, query.prompts)
        order = self._random.permutation(len(images))
        wanted = [(len(images), len(query.names)) for query in queries]
        reply = self.process.call(
            {"call": "score", "new": new, "queries": [self._queries[query] for query in queries]}, [images[order]],
            doing="scoring pictures", most=4 * sum(math.prod(shape) for shape in wanted),
        )  # fmt: skip
        if [(a.shape, a.dtype.name) for a in reply.arrays] != [(shape, "float32") for shape in wanted]:
            shapes = ", ".join(f"{a.dtype.name} {a.shape}" for a in reply.arrays)
            raise MethodError(f"scoring must give float32 logits of the shapes {wanted}, got {shapes or 'nothing'}")
        answers = []
        for logits, query in zip(reply.arrays, queries, strict=True):
            back = np.empty_like(logits)
            back[order] = checked_logits(torch.from_numpy(logits), len(images), query)
            answers.append(back)
        return answers

    def _fetch(self, trained: set[str] | None = None, before: Mapping[str, bytes] | None = None) -> None:
        """Take the state from the process and weigh it; what differs from ``before`` has been trained."""
        reply = self.process.call({"call": "save"}, doing="saving the method's state", most=MOST_STATE)
        parameters = reply.header.get("parameters")
        if len(reply.arrays) != 1 or not isinstance(parameters, dict):
            raise MethodError("the method's process sent no state")
        claimed = {str(name): size for name, size in parameters.items() if type(size) is int and size >= 0}
        data = reply.arrays[0].tobytes()
        tensors, stated = opened_state(data)
        elements = {name: math.prod(tensor["shape"]) for name, tensor in tensors.items()}
        self._parameters = {name: elements.get(name, size) for name, size in claimed.items()}
        self._kept = {name: len(tensor["data"]) for name, tensor in tensors.items()}
        self._digests = {name: hashlib.sha256(tensor["data"]).digest() for name, tensor in tensors.items()}
        self._moved = set()
        if before is not None:
            digests = self._digests
            self._moved = {n for n in self._parameters if n in digests and before.get(n) != digests[n]}
            self._trained |= self._moved | {name for name in trained or () if name in self._parameters}
        names = sorted(self._trained)
        self._state = data if stated == names else with_trained(data, names)
        beside = reply.header.get("beside")
        self._beside = beside if isinstance(beside, str) and len(beside) == 64 else None
        memory = reply.header.get("device_memory")
        self._device_memory = memory if type(memory) is int else None

    def packed_state(self) -> bytes:
        """See :meth:`Learner.packed_state`; it is given once, for it is large."""
        if self._state is None:
            self._fetch()
        data, self._state = self._state or b"", None
        return data

    def beside_state(self) -> str | None:
        """See :meth:`Learner.beside_state`: what the process says. All that it could gain by a lie is equal answers."""
        return self._beside

    def unpack_state(self, data: bytes) -> None:
        """See :meth:`Learner.unpack_state`."""
        tensors, self._trained = deserialize_state(data), set(trained_names(data))
        self._digests = {name: hashlib.sha256(tensor["data"]).digest() for name, tensor in tensors.items()}
        self._state = None
        self._queries.clear()
        doing = "loading the method's state"
        self.process.call({"call": "load"}, [np.frombuffer(data, np.uint8)], doing=doing)

    def footprint(self) -> Footprint:
        """See :meth:`Learner.footprint`: weighed from the state that crossed the wire."""
        if self._state is None:
            self._fetch()
        return weigh(self._sizes_before, self._parameters, self._trained, self._kept, self.loans.generator_bytes)

    def memory(self) -> tuple[int, int | None]:
        """See :meth:`Learner.memory`."""
        return self.process.peak_resident(), self._device_memory

    def close(self) -> None:
        """See :meth:`Learner.close`."""
        self.process.close()


class _Bench:
    """What the harness does for a method's process while it learns a task: hands out pictures, and has some made."""

    def __init__(self, learner: SandboxedLearner, task: Task, progress: Advance) -> None:
        self.learner, self.task, self.progress = learner, task, progress
        self.generated = Usage()
        self.seconds = 0.0

    def handlers(self) -> dict[str, Handler]:
        """What answers the questions that the process may ask."""
        pictures: dict[str, np.ndarray | Pictures] = {"task": self.task.images}
        if self.learner.loans.reference is not None:
            pictures["reference"] = self.learner.loans.reference.pictures
        handlers: dict[str, Handler] = {
            "pictures": lambda message: asked_pictures(message, pictures),
            "original": lambda message: asked_original(message, pictures),
        }
        return handlers if self.learner.loans.synthesis is None else {**handlers, "synthesise": self.synthesise}

    def synthesise(self, message: Message) -> tuple[dict[str, Any], Sequence[np.ndarray]] | None:
        """Make pictures for the task; which names were learned before it, the protocol says."""
        count, with_names = message.header.get("count"), message.header.get("task_prompts")
        maker = self.learner.loans.synthesis
        if maker is None or type(count) is not int or not 1 <= count <= MOST_GENERATED:
            return None
        label_sets = self.learner.protocol.label_sets_before(self.task.index)
        learned = tuple(prompt for label_set in label_sets for prompt in label_set.prompts)
        made = maker.make(
            count, learned if with_names else (), self.task.index, self.learner.seed,
            lambda done, total: self.progress(done, total, "making pictures"),
        )  # fmt: skip
        self.generated.generated_pictures += count
        self.generated.made_pictures += made.made.made
        self.generated.blank_pictures += made.blank
        self.seconds += made.seconds
        header = {
            "prompts": made.prompts, "blank": made.blank, "made": made.made.made, "found": made.made.found,
            "blank_now": made.made.blank, "seconds": made.seconds,
        }  # fmt: skip
        return header, [made.images]

    def with_generated(self, usage: Usage) -> Usage:
        """What the process says that it used, with what was made for it as counted here."""
        counted = self.generated.by_name()
        return replace(usage, **{name: counted[name] for name in GENERATED})
