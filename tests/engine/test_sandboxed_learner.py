"""The learner that talks to a method over the wire: the same as inline, and no belief in what the other end says.

The other end runs in a thread here, without the audit hook, which could not be removed again.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import tempfile
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save
from support.fakes import AUGMENTATION, SIDE, make_budget, make_task
from support.playing import PlayedProtocol, WordyBackbone, make_reference
from support.synthetic import make_synthesis

from vlcl_bench.data.pictures import SmallPictures
from vlcl_bench.engine.footprint import backbone_sizes
from vlcl_bench.engine.learner import InProcessLearner
from vlcl_bench.engine.sandbox.answers import opened_state, with_trained
from vlcl_bench.engine.sandbox.learner import SandboxedLearner
from vlcl_bench.engine.sandbox.worker import Worker
from vlcl_bench.engine.sandbox.worker_process import WorkerProcess
from vlcl_bench.engine.sandbox.worker_side import HarnessGoneError, LentStream, Line
from vlcl_bench.errors import IntegrityError, MethodError
from vlcl_bench.methods.base import LossMethod, Method
from vlcl_bench.methods.card import make_settings
from vlcl_bench.methods.declaration import declared_reference
from vlcl_bench.methods.registry import load_method
from vlcl_bench.methods.terms import Loans
from vlcl_bench.tasks import Query, Task, plain_query, task_query

CPU = torch.device("cpu")


class Thread(WorkerProcess):
    """A supervised process that is a thread, with a given method in it."""

    def __init__(self, cls: Any, config: Any) -> None:
        self.memory, self.seconds, self.peak = None, 60.0, 0
        self.scratch = Path(tempfile.mkdtemp())
        self._line, theirs = socket.socketpair()
        self._line.setblocking(False)
        self._outgoing, self._queued = deque(), 0
        self._process: Any = SimpleNamespace(wait=lambda seconds=0: 0, poll=lambda: 0, pid=1 << 22)
        self.worker = Worker(Line(theirs))
        self.worker.start = {"device": "cpu", "scratch": str(self.scratch)}
        self.worker.backbone = WordyBackbone()
        self.worker.stream = LentStream(make_budget(), AUGMENTATION)
        self.worker.method, self.worker.settings = cls, config
        self.sent: list[tuple[dict[str, Any], list[np.ndarray]]] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(HarnessGoneError):
            self.worker.serve()

    def call(self, header: Any, arrays: Any = (), **more: Any) -> Any:
        self.sent.append((header, list(arrays)))
        return super().call(header, arrays, **more)


class Learners:
    """The same method twice: inline, and behind the wire."""

    def __init__(self, method: Any, synthesis: bool = False, **settings: Any) -> None:
        cls: Any = load_method(method) if isinstance(method, str) else method
        config = make_settings(cls, settings, "full")
        kinds = set(declared_reference(cls))
        reference = make_reference() if kinds & {"pictures", "texts"} else None
        loans = [Loans(reference, make_synthesis() if "generator" in kinds else None) for _ in range(2)]
        protocol: Any = PlayedProtocol()
        backbone = WordyBackbone()
        sizes = backbone_sizes(backbone)
        self.process = Thread(cls, config)
        from vlcl_bench.common.seeds import derive_seed
        from vlcl_bench.engine.learner import seed_everything

        seed_everything(derive_seed(0, "construct"))
        self.inline = InProcessLearner(cls(backbone, config), protocol, 0, CPU, sizes, loans[0])
        self.wired = SandboxedLearner(self.process, protocol, 0, sizes, loans[1])
        self.wired.build()

    def both(self) -> tuple[InProcessLearner, SandboxedLearner]:
        return self.inline, self.wired


@pytest.fixture(autouse=True)
def _closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    made: list[Thread] = []
    original = Thread.__init__
    monkeypatch.setattr(Thread, "__init__", lambda self, *rest: (original(self, *rest), made.append(self))[0])
    yield
    for process in made:
        process.close()


def quiet(done: int, total: int, word: str) -> None:
    pass


def pictures(count: int = 12) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)


QUERIES = [plain_query(("cat", "dog", "red boat")), task_query("t", ("dark 1", "grey 1"), ("a {c}.", "one {c}!"))]
METHODS = ("zero_shot", "finetune", "l2", "lwf", "lwf_vr", "icarl", "zscl", "wise_ft", "auto_seed_vl2", "gift",
           "generative_replay")  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_every_kind_of_method_does_the_same_as_inline(method: str, tmp_path: Path) -> None:
    settings = {"pictures": 10} if method in ("gift", "generative_replay") else {}
    learners = Learners(method, **settings)
    for index in (1, 2):
        task = make_task(index)
        one, two = (learner.learn(task, quiet) for learner in learners.both())
        one_, two_ = (vars(report) | {"seconds_synthesising": 0} for report in (one, two))
        assert one_ == two_
        assert (one.seconds_synthesising > 0) == (two.seconds_synthesising > 0)
        assert learners.inline.footprint() == learners.wired.footprint()
        paths = [tmp_path / f"{name}-{index}" for name in ("inline", "wired")]
        for learner, path in zip(learners.both(), paths, strict=True):
            learner.save(path)
        assert paths[0].read_bytes() == paths[1].read_bytes()
        for a, b in zip(*(learner.score(pictures(), QUERIES) for learner in learners.both()), strict=True):
            assert np.array_equal(a, b)


def test_a_state_of_either_is_taken_up_by_the_other(tmp_path: Path) -> None:
    first, second = Learners("icarl"), Learners("icarl")
    first.wired.learn(make_task(1), quiet)
    first.wired.save(tmp_path / "state")
    for learner in second.both():
        learner.load(tmp_path / "state")
    reports = [learner.learn(make_task(2), quiet) for learner in (*second.both(), first.wired)]
    assert reports[0] == reports[1] == reports[2]
    assert second.inline.footprint() == second.wired.footprint() == first.wired.footprint()


def test_pictures_that_are_decoded_on_demand_stay_with_the_harness() -> None:
    learners = Learners("finetune")
    task = make_task(1)
    larger = np.random.default_rng(1).integers(0, 256, (20, SIDE + 3, SIDE + 5, 3), dtype=np.uint8)
    lazy = Task(1, "x", task.class_names, task.templates, SmallPictures(larger, SIDE), task.labels)
    one, two = (learner.learn(lazy, quiet) for learner in learners.both())
    assert one == two
    header, arrays = next(sent for sent in learners.process.sent if sent[0]["call"] == "learn")
    assert header["task"]["pictures"] == {"count": 20, "side": SIDE}
    assert [array.dtype for array in arrays] == [np.int64]
    for a, b in zip(*(learner.score(pictures(), QUERIES) for learner in learners.both()), strict=True):
        assert np.array_equal(a, b)


class Asking(LossMethod):
    """Asks for what it was not given."""

    title = "asking"

    def learn(self, task: Task, ctx: Any) -> None:
        ask(task)


ask: Any = None


@pytest.mark.parametrize(
    "wanted",
    [
        lambda task: task.images[np.array([20])],
        lambda task: task.images[np.array([-21])],
        lambda task: task.images[np.empty(0, np.int64)],
        lambda task: task.images.original(20),
        lambda task: task.images.original(-1),
        lambda task: task.images._line.ask({"ask": "pictures", "which": "test"}, [np.array([0])])(),
        lambda task: task.images._line.ask({"ask": "pictures", "which": "reference"}, [np.array([0])])(),
        lambda task: task.images._line.ask({"ask": "synthesise", "count": 3})(),
    ],
)
def test_asking_for_what_is_not_lent_ends_the_call(wanted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ask", wanted)
    learners = Learners(Asking)
    task = make_task(1)
    lazy = Task(1, "x", task.class_names, task.templates, SmallPictures(task.images, SIDE), task.labels)  # type: ignore[arg-type]
    with pytest.raises(MethodError):
        learners.wired.learn(lazy, quiet)


def test_pictures_of_an_earlier_task_cannot_be_had_later(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Any] = []
    monkeypatch.setitem(globals(), "ask", lambda task: (kept.append(task.images), kept[0][np.array([0])]))
    learners = Learners(Asking)
    task = make_task(1)
    lazy = Task(1, "x", task.class_names, task.templates, SmallPictures(task.images, SIDE), task.labels)  # type: ignore[arg-type]
    learners.wired.learn(lazy, quiet)
    with pytest.raises(MethodError, match="not given"):
        learners.wired.learn(make_task(2), quiet)


def test_test_pictures_cross_in_another_order_each_time_and_without_ids() -> None:
    learners = Learners("zero_shot")
    images = pictures(40)
    first, second = learners.wired.score(images, QUERIES), learners.wired.score(images, QUERIES)
    (head_one, (one,)), (head_two, (two,)) = learners.process.sent[-2:]
    assert not np.array_equal(one, images)
    assert not np.array_equal(one, two)
    assert sorted(one.reshape(40, -1).tolist()) == sorted(images.reshape(40, -1).tolist())
    assert set(head_one) == {"call", "new", "queries"}
    assert head_two["new"] == {}  # label spaces cross once
    for a, b, c in zip(first, second, learners.inline.score(images, QUERIES), strict=True):
        assert np.array_equal(a, b)
        assert np.array_equal(a, c)


def test_nothing_but_the_current_task_crosses() -> None:
    learners = Learners("finetune")
    for index in (1, 2):
        learners.wired.learn(make_task(index), quiet)
    header, arrays = [sent for sent in learners.process.sent if sent[0]["call"] == "learn"][1]
    assert header["task"]["name"] == "task-2"
    assert [name for name, _, _ in header["earlier"]] == ["task-1"]
    assert np.array_equal(arrays[0], make_task(2).labels)
    assert np.array_equal(arrays[1], make_task(2).images)
    assert len(arrays) == 2


# What the other end says is not believed


class Lying(Learners):
    """A child whose answer to a call is changed."""

    def __init__(self, call: str, change: Any, method: str = "finetune") -> None:
        super().__init__(method)
        original = getattr(self.process.worker, f"on_{call}")
        setattr(self.process.worker, f"on_{call}", lambda message: change(*original(message)))


def wrong_report(**values: Any) -> Any:
    return lambda header, arrays: ({**header, **values}, arrays)


@pytest.mark.parametrize(
    "change",
    [
        wrong_report(counts={}),
        wrong_report(counts=dict.fromkeys(("task_pictures",), 1)),
        wrong_report(trained="all"),
        wrong_report(trained=[1]),
        wrong_report(log={}),
        wrong_report(log=[{"a": []}]),
        wrong_report(log=["line"]),
        lambda header, arrays: ({**header, "counts": {**header["counts"], "task_pictures": -5}}, arrays),
        lambda header, arrays: ({**header, "counts": {**header["counts"], "task_pictures": 1.5}}, arrays),
    ],
)
def test_a_report_that_is_none(change: Any) -> None:
    with pytest.raises(MethodError, match="no proper report"):
        Lying("learn", change).wired.learn(make_task(1), quiet)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda header, arrays: (header, arrays[:1]), "must give float32 logits"),
        (lambda header, arrays: (header, []), "got nothing"),
        (lambda header, arrays: (header, [a.T for a in arrays]), "must give float32 logits"),
        (lambda header, arrays: (header, [a.astype(np.int32) for a in arrays]), "must give float32 logits"),
        (lambda header, arrays: (header, [a * np.float32(np.nan) for a in arrays]), "NaN or infinite logits"),
        (lambda header, arrays: (header, [a.astype(np.float64) for a in arrays]), "something else than a reply"),
        (lambda header, arrays: (header, [*arrays, arrays[0]]), "something else than a reply"),
    ],
)
def test_logits_that_are_none(change: Any, said: str) -> None:
    with pytest.raises(MethodError, match=said):
        Lying("score", change).wired.score(pictures(), QUERIES)


def test_what_moved_counts_as_trained_whatever_is_said(tmp_path: Path) -> None:
    honest = Learners("finetune")
    honest.wired.learn(make_task(1), quiet)
    lying = Lying("learn", wrong_report(trained=[]))
    report = lying.wired.learn(make_task(1), quiet)
    assert "backbone.towers.textual.weight" in report.trained
    weights = [learner.footprint() for learner in (honest.wired, lying.wired)]
    assert weights[0] == weights[1]
    for name, learner in (("honest", honest.wired), ("lying", lying.wired)):
        learner.save(tmp_path / name)
    assert (tmp_path / "honest").read_bytes() == (tmp_path / "lying").read_bytes()


def test_pictures_that_were_made_are_counted_by_the_harness() -> None:
    def change(header: Any, arrays: Any) -> Any:
        return {**header, "counts": {**header["counts"], "generated_pictures": 0, "made_pictures": 0}}, arrays

    cls: Any = load_method("gift")
    assert "generator" in declared_reference(cls)
    learners = Learners("gift", pictures=10)
    original = learners.process.worker.on_learn
    learners.process.worker.on_learn = lambda message: change(*original(message))  # type: ignore[method-assign]
    assert learners.wired.learn(make_task(1), quiet).usage.generated_pictures == 10


def test_bytes_kept_are_those_of_the_state(tmp_path: Path) -> None:
    learners = Learners("icarl")
    learners.wired.learn(make_task(1), quiet)
    weight = learners.wired.footprint()
    learners.wired.save(tmp_path / "state")
    sizes = {f"backbone.{name}" for name in backbone_sizes(WordyBackbone())}
    kept = {name: t for name, t in load_file(tmp_path / "state").items() if name not in sizes}
    assert weight.bytes_between_tasks == sum(t.numel() * t.element_size() for t in kept.values()) > 0


ODD = [
    None,
    True,
    -1,
    1 << 62,
    -0.5,
    "",
    "x" * 300,
    [],
    [[]],
    ["a"],
    {},
    {"a": None},
    {"a": [1]},
    {"": -1},
    {"a": 1 << 62},
]


@pytest.mark.parametrize("value", ODD, ids=repr)
@pytest.mark.parametrize(
    ("call", "field"),
    [("learn", "counts"), ("learn", "trained"), ("learn", "log"), ("save", "parameters"), ("save", "device_memory")],
)
def test_nothing_that_is_said_makes_a_fault_of_ours(call: str, field: str, value: Any) -> None:
    """It is taken, or it is the method's failure: what would be stored can be."""
    learner = Lying(call, wrong_report(**{field: value})).wired
    try:
        report = learner.learn(make_task(1), quiet)
    except MethodError:
        return
    weight, (memory, on_device) = learner.footprint(), learner.memory()
    assert weight.parameters_trained >= 0
    assert memory >= 0
    assert on_device is None or 0 <= on_device <= 1 << 60  # what a record can hold
    json.dumps([report.log, report.trained, report.usage.by_name()], allow_nan=False, ensure_ascii=False).encode()


@pytest.mark.parametrize("state", [b"", b"\x80\x04N.", b"\xff" * 64, save({"a": torch.ones(3)})[:-2]])
def test_a_state_that_is_none(state: bytes) -> None:
    change = lambda header, arrays: (header, [np.frombuffer(state, np.uint8)])  # noqa: E731
    with pytest.raises(MethodError, match="no safetensors file"):
        Lying("save", change).wired.footprint()


def test_a_damaged_state_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"\xff" * 40)
    for learner in Learners("finetune").both():
        with pytest.raises(IntegrityError, match="is damaged"):
            learner.load(tmp_path / "state")


def test_other_names_of_trained_parameters_leave_the_tensors_alone() -> None:
    tensors = {"b": torch.randn(3, 2), "a": torch.arange(4), "ü": torch.ones(2, dtype=torch.bfloat16)}
    data = save(tensors, {"trained": "a"})
    changed, names = opened_state(with_trained(data, ["a", "b", "ü"]))
    assert names == ["a", "b", "ü"]
    assert changed == opened_state(data)[0]


def test_the_scratch_folder_is_empty_before_and_after_each_task(monkeypatch: pytest.MonkeyPatch) -> None:
    learners = Learners(Asking)
    folder, seen = learners.process.scratch, []

    def leave(task: Task) -> None:
        seen.append(os.listdir(folder))
        (folder / "left").write_text("a secret of this task")

    monkeypatch.setitem(globals(), "ask", leave)
    learners.wired.learn(make_task(1), quiet)
    seen.append(os.listdir(folder))
    (folder / "while-scoring").touch()
    learners.wired.learn(make_task(2), quiet)
    assert seen == [[], [], []]


# What passes: see docs/isolation.md


class Remembering(Method):
    """Learns from test pictures, and keeps in memory what is in no state."""

    title = "remembering"
    seen: list[int]

    def __init__(self, backbone: Any, config: Any) -> None:
        super().__init__(backbone, config)
        self.seen = []

    def learn(self, task: Task, ctx: Any) -> None:
        self.seen.append(len(task.labels))

    def score(self, images: torch.Tensor, query: Query) -> torch.Tensor:
        self.seen.append(len(images))
        return super().score(images, query) + len(self.seen)


def test_known_miss_a_method_remembers_between_calls_what_is_in_no_state() -> None:
    learners = Learners(Remembering)
    learners.wired.learn(make_task(1), quiet)
    first, second = (learners.wired.score(pictures(), QUERIES[:1])[0] for _ in range(2))
    assert np.allclose(second - first, 1.0)
    assert learners.wired.footprint().bytes_between_tasks == 0


def test_known_miss_presentations_of_pictures_that_crossed_whole_are_counted_by_the_child() -> None:
    def change(header: Any, arrays: Any) -> Any:
        return {**header, "counts": {**header["counts"], "task_pictures": 1}}, arrays

    report = Lying("learn", change).wired.learn(make_task(1), quiet)
    assert report.usage.task_pictures == 1
