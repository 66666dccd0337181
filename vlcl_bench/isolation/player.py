"""A method in a process of its own, as the engine sees it.

The process is not trusted: all that it sends is checked for form and size, and what can be found out without it (the
time, the bytes of the state, which of its tensors moved, pictures that the generator made) is not asked of it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pydantic import ValidationError
from safetensors import SafetensorError, deserialize

from vlcl_bench.data.pictures import Pictures
from vlcl_bench.engine.player import TRAINED, Footprint, LearnReport, Player, checked_logits, trained_names, weigh
from vlcl_bench.errors import IntegrityError, MethodError
from vlcl_bench.fileio import write_atomic
from vlcl_bench.isolation.supervise import Handler, Supervised, plain
from vlcl_bench.isolation.wire import Message, WireError
from vlcl_bench.methods.reference import Reference
from vlcl_bench.protocols import Augmentation, Protocol
from vlcl_bench.tasks import Query, Task

if TYPE_CHECKING:
    from vlcl_bench.synthesis.lent import Synthesis

MOST_STATE = 16 << 30
"""Bytes of a state: more than any backbone here with several teachers."""
MOST_ROWS = 1 << 16
"""Pictures in one request."""
MOST_GENERATED = 1_000_000
COUNTS = (
    "task_pictures", "reference_pictures", "synthetic_pictures", "replayed_samples", "generated_pictures",
    "made_pictures", "blank_pictures",
)  # fmt: skip
Progress = Callable[[int, int, str], None]


class ProcessPlayer(Player):
    """A method in a process of its own.

    ``pristine`` as for :class:`vlcl_bench.engine.player.InlinePlayer`. The method is made by :meth:`build`.
    """

    def __init__(
        self,
        process: Supervised,
        protocol: Protocol,
        seed: int,
        pristine: Mapping[str, int],
        reference: Reference | None = None,
        synthesis: Synthesis | None = None,
    ) -> None:
        self.process, self.protocol, self.seed = process, protocol, seed
        self._pristine, self._reference, self._synthesis = pristine, reference, synthesis
        self._trained: set[str] = set()
        self._parameters: dict[str, int] = {}
        self._kept: dict[str, int] = {}
        self._state: bytes | None = None
        self._digests: dict[str, bytes] | None = None
        self._queries: dict[Query, int] = {}
        self._device_memory: int | None = None
        self._random = np.random.default_rng()  # from the system: nobody can foretell the order of pictures

    def build(self) -> None:
        """Have the method made; raises :class:`MethodError` where it fails."""
        reference: dict[str, Any] | None = None
        arrays: list[np.ndarray] = []
        if self._reference is not None:
            told, arrays = lent(self._reference.pictures)
            reference = {"pictures": told, "texts": self._reference.texts, "identity": self._reference.identity}
        header = {
            "call": "build", "seed": self.seed, "reference": reference, "synthesis": self._synthesis is not None,
        }  # fmt: skip
        self.process.call(header, arrays, doing="being made")

    def learn(self, task: Task, progress: Progress) -> LearnReport:
        """See :meth:`Player.learn`."""
        doing = f"learning task {task.index}, {task.name!r}"
        if self._digests is None:
            self._fetch()
        self.process.clear_scratch()
        self._state = None
        self._queries.clear()
        told, arrays = lent(task.images)
        made = {"generated_pictures": 0, "made_pictures": 0, "blank_pictures": 0}
        seconds = [0.0]
        pictures: dict[str, np.ndarray | Pictures] = {"task": task.images}
        if self._reference is not None:
            pictures["reference"] = self._reference.pictures
        handlers: dict[str, Handler] = {
            "pictures": lambda message: asked_pictures(message, pictures),
            "original": lambda message: asked_original(message, pictures),
        }
        if self._synthesis is not None:
            handlers["synthesise"] = lambda message: self._synthesise(message, task, made, seconds, progress)
        earlier = [(k.dataset, k.class_names, k.template) for k in self.protocol.label_sets_before(task.index)]
        described = {
            "index": task.index, "name": task.name, "class_names": task.class_names, "templates": task.templates,
            "dataset": task.dataset, "captions": task.captions, "pictures": told,
        }  # fmt: skip
        reply = self.process.call(
            {"call": "learn", "task": described, "earlier": earlier}, [task.labels, *arrays],
            doing=doing, handlers=handlers, progress=progress,
        )  # fmt: skip
        self.process.clear_scratch()
        report = checked_report(reply.header)
        before = self._digests or {}
        self._fetch(set(report.trained), before)
        return LearnReport(report.counts | made, tuple(sorted(self._moved | set(report.trained))), report.log, *seconds)

    def _synthesise(
        self, message: Message, task: Task, made: dict[str, int], seconds: list[float], progress: Progress
    ) -> tuple[dict[str, Any], Sequence[np.ndarray]] | None:
        """Make pictures for the current task; which names were learned before it, the protocol says."""
        count, with_names = message.header.get("count"), message.header.get("task_prompts")
        if self._synthesis is None or type(count) is not int or not 1 <= count <= MOST_GENERATED:
            return None
        learned = tuple(p for known in self.protocol.label_sets_before(task.index) for p in known.prompts)
        found = self._synthesis.make(
            count, learned if with_names else (), task.index, self.seed,
            lambda done, total: progress(done, total, "making pictures"),
        )  # fmt: skip
        made["generated_pictures"] += count
        made["made_pictures"] += found.made.made
        made["blank_pictures"] += found.blank
        seconds[0] += found.seconds
        header = {
            "prompts": found.prompts, "blank": found.blank, "made": found.made.made, "found": found.made.found,
            "blank_now": found.made.blank, "seconds": found.seconds,
        }  # fmt: skip
        return header, [found.images]

    def score(self, images: np.ndarray, queries: Sequence[Query]) -> list[np.ndarray]:
        """See :meth:`Player.score`. Pictures cross without ids, in an order that nobody can foretell."""
        new = {}
        for query in queries:
            if query not in self._queries:
                self._queries[query] = len(self._queries)
                new[str(self._queries[query])] = (query.task, query.names, query.prompts)
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
        """Take the state from the child and weigh it; what differs from ``before`` has been trained."""
        reply = self.process.call({"call": "save"}, doing="saving the method's state", most=MOST_STATE)
        parameters = reply.header.get("parameters")
        if len(reply.arrays) != 1 or not isinstance(parameters, dict):
            raise MethodError("the method's process sent no state")
        claimed = {str(name): size for name, size in parameters.items() if type(size) is int and size >= 0}
        data = reply.arrays[0].tobytes()
        tensors, said = opened_state(data)
        elements = {name: math.prod(tensor["shape"]) for name, tensor in tensors.items()}
        self._parameters = {name: elements.get(name, size) for name, size in claimed.items()}
        self._kept = {name: len(tensor["data"]) for name, tensor in tensors.items()}
        self._digests = {name: hashlib.sha256(tensor["data"]).digest() for name, tensor in tensors.items()}
        self._moved: set[str] = set()
        if before is not None:
            digests = self._digests
            self._moved = {n for n in self._parameters if n in digests and before.get(n) != digests[n]}
            self._trained |= self._moved | {name for name in trained or () if name in self._parameters}
        names = sorted(self._trained)
        self._state = data if said == names else with_trained(data, names)
        memory = reply.header.get("device_memory")
        self._device_memory = memory if type(memory) is int else None

    def save(self, path: Path) -> None:
        """See :meth:`Player.save`."""
        if self._state is None:
            self._fetch()
        write_atomic(path, self._state or b"")
        self._state = None

    def load(self, path: Path) -> None:
        """See :meth:`Player.load`."""
        try:
            data = path.read_bytes()
            tensors, self._trained = deserialize_state(data), set(trained_names(data))
        except (SafetensorError, OSError, ValueError) as error:
            hint = f"Delete {path.parent.parent} and give the same command again: it starts anew."
            raise IntegrityError(f"the state {path} is damaged: {error}", hint) from error
        self._digests = {name: hashlib.sha256(tensor["data"]).digest() for name, tensor in tensors.items()}
        self._state = None
        self._queries.clear()
        doing = "loading the method's state"
        self.process.call({"call": "load"}, [np.frombuffer(data, np.uint8)], doing=doing)

    def footprint(self) -> Footprint:
        """See :meth:`Player.footprint`: weighed from the state that crossed the wire."""
        if self._state is None:
            self._fetch()
        generator = 0 if self._synthesis is None else self._synthesis.store.generator.bytes
        return weigh(self._pristine, self._parameters, self._trained, self._kept, generator)

    def memory(self) -> tuple[int, int | None]:
        """See :meth:`Player.memory`."""
        return self.process.peak_resident(), self._device_memory

    def close(self) -> None:
        """See :meth:`Player.close`."""
        self.process.close()


def lent(pictures: np.ndarray | Pictures) -> tuple[dict[str, int] | None, list[np.ndarray]]:
    """How pictures are lent: an array crosses whole, others are decoded here when they are asked for."""
    if isinstance(pictures, Pictures):
        return {"count": len(pictures), "side": pictures.side}, []
    return None, [pictures]


def asked_pictures(
    message: Message, pictures: Mapping[str, np.ndarray | Pictures]
) -> tuple[dict[str, Any], Sequence[np.ndarray]]:
    """Rows of pictures that were lent, cropped with the draws that came along, or under the test transform."""
    found, arrays = _lent(message, pictures), message.arrays
    rows = arrays[0] if arrays and arrays[0].dtype == np.int64 and arrays[0].ndim == 1 else np.empty(0, np.int64)
    # As in an array, a negative row counts from the end.
    if not 0 < len(rows) <= MOST_ROWS or rows.min() < -len(found) or rows.max() >= len(found):
        raise MethodError(f"the method asks for pictures that are not there; it was lent {len(found)}")
    draws, augmentation = None, None
    if len(arrays) > 1:
        draws = arrays[1]
        try:
            augmentation = Augmentation.model_validate(message.header.get("augmentation"))
        except ValidationError as error:
            raise WireError("an augmentation that is none") from error
        proper = draws.dtype == np.float64 and draws.ndim == 3 and draws.shape[0] == len(rows) and draws.shape[2] == 4
        if not proper or not ((draws >= 0) & (draws <= 1)).all():
            raise WireError(f"draws of the shape {draws.shape} for {len(rows)} pictures, or beyond 0..1")
    return {}, [found.begin(rows % len(found), draws, augmentation)()]


def asked_original(
    message: Message, pictures: Mapping[str, np.ndarray | Pictures]
) -> tuple[dict[str, Any], Sequence[np.ndarray]]:
    """One picture as it is."""
    found, row = _lent(message, pictures), message.header.get("row")
    if type(row) is not int or not 0 <= row < len(found):
        raise MethodError(f"the method asks for picture {str(row)[:40]}; it was lent {len(found)}")
    return {}, [found.original(row)]


def _lent(message: Message, pictures: Mapping[str, np.ndarray | Pictures]) -> Pictures:
    found = pictures.get(str(message.header.get("which")))
    if not isinstance(found, Pictures):
        raise WireError("a question for pictures that were not lent")
    return found


def checked_report(told: Mapping[str, Any]) -> LearnReport:
    """The report of a task; raises :class:`MethodError` where it is none."""
    counts, trained, log = told.get("counts"), told.get("trained"), told.get("log")
    if (
        isinstance(counts, dict)
        and set(counts) == set(COUNTS)
        and all(type(n) is int and 0 <= n < 1 << 53 for n in counts.values())
        and isinstance(trained, list)
        and all(isinstance(name, str) for name in trained)
        and isinstance(log, list)
        and all(isinstance(line, dict) and all(_loggable(value) for value in line.values()) for line in log)
    ):
        return LearnReport(counts, tuple(trained), log)
    raise MethodError("the method's process sent no proper report of what it learned", plain(dict(told), 200))


def _loggable(value: object) -> bool:
    return isinstance(value, (str, bool, int)) or (isinstance(value, float) and math.isfinite(value))


def opened_state(data: bytes) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Tensors of a state and the names that it says were trained; :class:`MethodError` where it is no state."""
    try:
        return deserialize_state(data), trained_names(data)
    except (SafetensorError, ValueError, AttributeError, TypeError) as error:
        raise MethodError(f"the method's process sent a state that is no safetensors file: {error}") from error


def deserialize_state(data: bytes) -> dict[str, dict[str, Any]]:
    """Type, shape and bytes of each tensor, by name."""
    return dict(deserialize(data))


def with_trained(data: bytes, names: Sequence[str]) -> bytes:
    """The state with other names of trained parameters: the header is written anew, the tensors stay as they are."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end]) | {"__metadata__": {TRAINED: "\n".join(names)}}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the tensors begin at a multiple of 8
    return len(text).to_bytes(8, "little") + text + data[end:]
