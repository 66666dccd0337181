"""Nothing that has not changed is evaluated or stored again; and nothing that has is taken for unchanged."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.fakes import FakeBackbone
from support.harness import SCORED_BATCHES, TASKS, TINY, Sabotage, World, flip, method_file, vlcl

from vlcl_bench.backbones import load_backbone
from vlcl_bench.engine.beside import beside_digest
from vlcl_bench.engine.learner import InProcessLearner
from vlcl_bench.engine.states import Original, keep_state, stored_form, whole_state
from vlcl_bench.errors import IntegrityError
from vlcl_bench.methods.registry import MethodRef
from vlcl_bench.records.files import read_predictions

ZERO_SHOT = ("run", "--protocol", "tiny", "--method", "zero_shot", "--out", "run")
STAGES = len(TASKS) + 1


class Counted:
    """How many batches of test pictures a method was asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.batches = 0
        original = InProcessLearner.score

        def score(learner: InProcessLearner, *arguments: Any) -> Any:
            self.batches += 1
            return original(learner, *arguments)

        monkeypatch.setattr(InProcessLearner, "score", score)


# What is known of a method beside its state

BEFORE = """
import threading

import numpy as np
import torch

import helper_beside

from vlcl_bench.methods import LossMethod, Method, RowMemory

COUNT = 0
LIST = []


class Held:
    def __init__(self):
        self.value = 0


class Word(str):
    pass


def constant(x):
    return x * 2.0


class Slotted:
    __slots__ = ("value",)


def scaled(x, by=[1.0]):
    return x * by[0]


class Mine(Method):
    title = "Mine"
    shared = {"shift": 0.0}

    def __init__(self, backbone, config):
        super().__init__(backbone, config)
        self.count, self.held, self.array = 0, Held(), np.zeros(3)
        self.register_buffer("loose", torch.zeros(2), persistent=False)
        self.register_buffer("kept", torch.zeros(2))
        self.memory = RowMemory(rows=torch.empty(0, 2))
        self.rng = np.random.default_rng(1)
        self.generator = torch.Generator().manual_seed(1)
        self.table, self.word = {"a": 1}, Word("even")
        self.lookup = self.table.get
        self.backbone.extra = Held()
        cell = [0]
        self.closure = lambda: cell[0]
        self.poke = lambda: cell.__setitem__(0, 1)

    def learn(self, task=None, ctx=None):
        global COUNT
"""
CHANGES = {
    "nothing": ("pass", "same"),
    "a word that is put back": ("self.count = 1; self.count = 0", "same"),
    "cached texts, which follow from the state": ("self._texts['x'] = {}", "same"),
    "the training flag, which the harness sets": ("self.eval()", "same"),
    "an attribute": ("self.count += 1", "other"),
    "a new attribute": ("self.seen = ['cat']", "other"),
    "an attribute of an object of its own": ("self.held.value = 3", "other"),
    "an array": ("self.array[1] = 2.0", "other"),
    "a buffer that is not in the state": ("self.loose += 1", "other"),
    "an attribute of a module within it": ("self.memory.level = 2", "other"),
    "a generator that has drawn": ("self.rng.random()", "other"),
    "torch's generator that has drawn": ("torch.rand(1, generator=self.generator)", "other"),
    "the class": ("type(self).shift = 1", "other"),
    "a value in the class": ("type(self).shared['shift'] = 1.0", "other"),
    "a global of its file": ("COUNT += 1", "other"),
    "a list of its file": ("LIST.append(1)", "other"),
    "a default of a function": ("scaled.__defaults__[0][0] = 2.0", "other"),
    "what a function closes over": ("self.poke()", "other"),
    "another function in place of one": ("self.closure = lambda: 5", "other"),
    "a method of its own, replaced": ("self.embed_images = lambda images: images", "other"),
    "another constant in a function": ("self.closure = lambda: 2.0 if self.count else 7.5", "other"),
    "a constant deep in a function": ("self.closure = lambda: [x * 3.0 for x in (1.0,)]", "other"),
    "a constant of a file's function": ("globals()['constant'] = lambda x: x * -3.0", "other"),
    "a value in a module beside its file": ("helper_beside.SIGN[0] = -1.0", "other"),
    "a function of a module beside its file": ("helper_beside.sign = lambda: -1.0", "other"),
    "what a bound method of a dictionary gives": ("self.table['a'] = 2", "other"),
    "an attribute of a word": ("self.word.mood = 'odd'", "other"),
    "an object of its own in the backbone": ("self.backbone.extra.value = 2", "other"),
    "a word in the backbone": ("self.backbone.depth = 3", "other"),
    "a word deep in the backbone": ("next(iter(self.backbone.children())).depth = 3", "other"),
    "a hook in the backbone": ("self.backbone.towers.register_forward_hook(lambda *_: None)", "other"),
    "something that cannot be read": ("self.lock = threading.Lock()", "unknown"),
    "an object with slots": ("self.slotted = Slotted()", "unknown"),
    "an iterator": ("self.rows = iter([1, 2])", "unknown"),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_method_holds_beside_its_state_is_seen(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body, expected = CHANGES[change]
    monkeypatch.delitem(sys.modules, "helper_beside", raising=False)
    (tmp_path / "helper_beside.py").write_text("SIGN = [1.0]\n\n\ndef sign():\n    return SIGN[0]\n")
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "mine.py"
    path.write_text(BEFORE + f"        {body}\n")
    cls: Any = MethodRef.parse(str(path)).load()
    method = cls(FakeBackbone(), cls.Config())
    before = beside_digest(method)
    assert before is not None
    method.learn()
    after = beside_digest(method)
    assert {"same": after == before, "other": after not in (before, None), "unknown": after is None}[expected]


def test_the_digest_is_that_of_another_object_made_the_same_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "helper_beside.py").write_text("SIGN = [1.0]\n")
    monkeypatch.delitem(sys.modules, "helper_beside", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "mine.py"
    path.write_text(BEFORE + "        pass\n")
    cls: Any = MethodRef.parse(str(path)).load()
    one, two = (cls(FakeBackbone(), cls.Config()) for _ in range(2))
    assert beside_digest(one) == beside_digest(two)
    with torch.no_grad():
        two.kept += 1
        next(two.backbone.parameters()).add_(1)
    assert beside_digest(one) == beside_digest(two), "values of the state are the state's matter"


# A run of a method that learns nothing


@pytest.mark.slow
def test_zero_shot_is_evaluated_once_and_stores_no_weights(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(monkeypatch)
    ended = vlcl(*ZERO_SHOT, "--keep-states", "all")
    assert ended.code == 0, ended.err
    assert counted.batches == SCORED_BATCHES
    assert ended.err.count("nothing changed: the answers are those of before") == len(TASKS)
    states = sorted(Path("run").glob("stage-*/state.safetensors"))
    assert len(states) == STAGES
    assert states[0].stat().st_size < 100_000
    assert len({path.stat().st_ino for path in states}) == 1
    monkeypatch.setattr("vlcl_bench.engine.run_folder.RunFolder.unchanged", lambda folder, stage: False)
    assert vlcl(*ZERO_SHOT[:-1], "anew").code == 0
    assert counted.batches == SCORED_BATCHES * (1 + STAGES)
    one, two = (Path(run) / "predictions.parquet" for run in ("run", "anew"))
    assert one.read_bytes() == two.read_bytes()
    mine, theirs = (json.loads((Path(run) / "run.json").read_text()) for run in ("run", "anew"))
    for key in ("identity", "run_hash", "scores", "predictions_sha256", "weight", "usage", "log"):
        assert mine[key] == theirs[key], key


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "call"),
    [("stages:write_predictions", 2), ("stages:keep_state", 2), ("stages:evaluate", 1), ("stages:keep_state", 3)],
)
def test_a_stopped_run_goes_on_and_asks_nothing_twice(
    target: str, call: int, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert vlcl(*ZERO_SHOT[:-1], "whole").code == 0
    with monkeypatch.context() as patched:
        Sabotage(f"vlcl_bench.engine.{target}", call, "interrupt").install(patched.setattr)
        assert vlcl(*ZERO_SHOT).code == 130
    counted = Counted(monkeypatch)
    assert vlcl(*ZERO_SHOT).code == 0
    assert counted.batches == (SCORED_BATCHES if target == "stages:evaluate" else 0)
    assert Path("run/predictions.parquet").read_bytes() == Path("whole/predictions.parquet").read_bytes()


SHIFTS = {
    "in a plain attribute": "self.count = task.index",
    "while it is scored": "pass",
    "in something that cannot be read": "self.count, self.lock = task.index, __import__('threading').Lock()",
}


@pytest.mark.slow
@pytest.mark.parametrize("place", SHIFTS)
def test_a_method_whose_answers_follow_from_something_beside_its_state_is_asked_at_every_stage(
    place: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored = "        self.count += 1\n" if place == "while it is scored" else ""
    body = f"""    count = 0

    def learn(self, task, ctx):
        {SHIFTS[place]}

    def score(self, images, query):
{scored}        return super().score(images, query).roll(self.count, dims=1)
"""
    counted = Counted(monkeypatch)
    line = ("run", "--protocol", "tiny", "--method", method_file(Path("methods"), body, "Method"), "--out", "run")
    ended = vlcl(*line)
    assert ended.code == 0, ended.err
    assert counted.batches == SCORED_BATCHES * STAGES
    assert "nothing changed" not in ended.err


@pytest.mark.slow
def test_a_run_of_an_earlier_version_that_did_not_say_is_evaluated(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vlcl_bench.engine.learner.beside_digest", lambda method: None)
    counted = Counted(monkeypatch)
    assert vlcl(*ZERO_SHOT).code == 0
    assert counted.batches == SCORED_BATCHES * STAGES


def class_groups() -> Path:
    """The first of the tiny protocol's data sets, in two tasks."""
    path = Path("groups.toml")
    text = TINY.replace('"tiny"', '"tiny-groups"').replace(json.dumps(TASKS), json.dumps(TASKS[:1]))
    path.write_text(text + f"\n[class_groups.{TASKS[0]}]\nsize = 2\norder = [0, 1, 2, 3]\n")
    return path


@pytest.mark.slow
def test_which_names_were_seen_still_counts_where_nothing_was_learned(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = ("run", "--protocol", class_groups(), "--method", "zero_shot", "--out")
    assert vlcl(*line, "run").code == 0
    with monkeypatch.context() as patched:
        patched.setattr("vlcl_bench.engine.run_folder.RunFolder.unchanged", lambda folder, stage: False)
        assert vlcl(*line, "anew").code == 0
        Sabotage("vlcl_bench.engine.stages:Stages.learn", 3, "interrupt").install(patched.setattr)
        assert vlcl(*line, "halted").code == 130
    assert vlcl(*line, "halted").code == 0
    for run in ("run", "halted"):
        assert (Path(run) / "predictions.parquet").read_bytes() == Path("anew/predictions.parquet").read_bytes()
    seen = read_predictions(Path("run/predictions.parquet")).groupby("stage")["seen_top1"].max()
    assert seen.tolist() == [-1, 1, 3]


# States on the disk


def weights(seed: int = 0) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    values = {"a": torch.randn(40, 8, generator=rng), "b": torch.randn(300, generator=rng), "c": torch.randn(3)}
    return {**values, "half": values["a"].half(), "count": torch.arange(200)}


def packed(state: dict[str, torch.Tensor], trained: str = "backbone.a") -> bytes:
    from safetensors.torch import save

    return save(state, {"trained": trained})


STATES = {
    "all of the backbone": (lambda own: {f"backbone.{name}": value for name, value in own.items()}, 0.6),
    "one tensor trained": (lambda own: {"backbone.a": own["a"] + 1, "backbone.b": own["b"]}, 1.0),
    "a teacher that is the backbone": (lambda own: {"teacher.x": own["a"], "teacher.y": own["count"]}, 0.5),
    "the same values in another shape": (lambda own: {"backbone.a": own["a"].view(8, 40)}, 9.0),
    "the same beginning": (lambda own: {"backbone.a": torch.cat([own["a"][:39], own["a"][:1]])}, 9.0),
    "another type": (lambda own: {"backbone.a": own["a"].bfloat16(), "backbone.half": own["half"]}, 2.0),
    "nothing of it": (lambda own: {"memory.rows": torch.zeros(0, 3), "é": torch.ones(5)}, 99.0),
}


@pytest.mark.parametrize("case", STATES)
def test_a_stored_state_comes_back_bit_for_bit(case: str) -> None:
    make, share = STATES[case]
    own = weights()
    original = Original.of(own, [lambda: own])
    state = packed(make(own))
    stored = stored_form(state, original)
    assert whole_state(stored, original) == state
    assert len(stored) < share * len(state)


def test_weights_that_a_method_trained_meanwhile_are_loaded_again() -> None:
    own = weights()
    original = Original.of(own, [lambda: {name: value * 2 for name, value in own.items()}, lambda: own])
    state = packed({"backbone.b": own["b"]})
    assert whole_state(stored_form(state, original), original) == state


@pytest.mark.parametrize("other", [{}, weights(1), {"b": torch.zeros(300)}], ids=["gone", "others", "trained"])
def test_a_state_of_other_weights_is_refused(other: dict[str, torch.Tensor]) -> None:
    own = weights()
    stored = stored_form(packed({"backbone.b": own["b"]}), Original.of(own, []))
    with pytest.raises(IntegrityError, match="other weights of the backbone"):
        whole_state(stored, Original.of(own, [lambda: other]))


def test_a_state_that_was_stored_whole_is_still_read() -> None:
    state = packed(weights())
    assert whole_state(state, Original()) == state


@pytest.mark.parametrize("place", [0.0, 0.05, 0.3])
def test_a_damaged_state_is_refused_in_words(place: float, tmp_path: Path) -> None:
    own = weights()
    original = Original.of(own, [lambda: own])
    path = tmp_path / "state"
    path.write_bytes(stored_form(packed({f"backbone.{name}": value for name, value in own.items()}), original))
    flip(path, place)
    learner = object.__new__(InProcessLearner)
    with pytest.raises(IntegrityError):
        learner.load(path, lambda stored: whole_state(stored, original))


def test_an_equal_state_is_another_name_of_the_same_file_and_outlives_it(tmp_path: Path) -> None:
    one, two = tmp_path / "stage-00" / "state", tmp_path / "stage-01" / "state"
    digest = keep_state(one, b"content")
    for _ in range(2):  # the second time after a stop between the state and the journal's line
        assert keep_state(two, b"content", one) == digest
    assert one.stat().st_ino == two.stat().st_ino
    one.unlink()
    assert two.read_bytes() == b"content"


@pytest.mark.parametrize("why", ["no links", "other content", "damaged", "gone"])
def test_where_there_can_be_no_second_name_the_state_is_written(
    why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    keep_state(one, b"content" if why != "other content" else b"before")

    def refuse(*_: object) -> None:
        raise OSError(95, os.strerror(95))

    if why == "no links":
        monkeypatch.setattr("vlcl_bench.engine.states.os.link", refuse)
    elif why == "damaged":
        flip(one)
    elif why == "gone":
        one.unlink()
    keep_state(two, b"content", one)
    assert two.read_bytes() == b"content"
    assert not one.exists() or one.stat().st_ino != two.stat().st_ino


@pytest.mark.slow
def test_the_mini_backbone_leaves_kilobytes() -> None:
    backbone = load_backbone("vlcl-mini/v1")
    original = Original.of(backbone.state_dict(), [backbone.state_dict])
    state = {f"backbone.{name}": value for name, value in backbone.state_dict().items()}
    state |= {f"teacher.{name}": value.clone() for name, value in backbone.state_dict().items()}
    stored = stored_form(packed(state, ""), original)
    assert len(stored) < 100_000 < np.prod([1024, 1024])
