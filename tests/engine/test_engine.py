"""What the engine hands to a method, what it makes of what comes back, and what it writes down."""

from __future__ import annotations

import dataclasses
import functools
import getpass
import inspect
import json
import re
import socket
import types
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from support.harness import (
    BATCH,
    EVALUATION_BATCH,
    STEPS,
    TASKS,
    Ended,
    World,
    enter,
    files,
    method_file,
    vlcl,
)

from vlcl_bench.common.fileio import sha256_bytes
from vlcl_bench.data.manifest import Manifest, read_manifest
from vlcl_bench.engine.learner import InProcessLearner, LearnReport
from vlcl_bench.methods.context import Context
from vlcl_bench.protocols.stream import Protocol
from vlcl_bench.scoring.classes import ClassTruth
from vlcl_bench.tasks import Query, Task

pytestmark = pytest.mark.usefixtures("world")

NO_LEARNING = """    def learn(self, task, ctx):
        pass
"""


def run(body: str, base: str = "Method", *arguments: object) -> Ended:
    """Run a method with this class body on the tiny protocol, in ``run``."""
    path = method_file(Path("methods"), body, base)
    return vlcl("run", "--protocol", "tiny", "--method", path, "--out", "run", *arguments)


def record(folder: str | Path = "run") -> dict[str, Any]:
    return json.loads((Path(folder) / "run.json").read_text())


def journal(folder: str | Path = "run") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (Path(folder) / "journal.jsonl").read_text().splitlines()]


# No test label reaches a method


class Spied:
    """Everything that crossed the line to a method in a run."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []
        self.scored: list[tuple[np.ndarray, Sequence[Query]]] = []
        self.contexts: list[Context] = []
        self.methods: list[Any] = []


@pytest.fixture(scope="module")
def spied(shared_world: World, tmp_path_factory: pytest.TempPathFactory) -> Spied:
    found = Spied()

    class SpyPlayer(InProcessLearner):
        def learn(self, task: Task, progress: Any) -> LearnReport:
            found.tasks.append(task)
            return super().learn(task, progress)

        def score(self, images: np.ndarray, queries: Sequence[Query]) -> list[np.ndarray]:
            found.scored.append((images.copy(), queries))
            found.methods.append(self.method)
            return super().score(images, queries)

    class SpyContext(Context):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            found.contexts.append(self)

    folder = tmp_path_factory.mktemp("spied") / "run"
    with pytest.MonkeyPatch.context() as monkeypatch:
        enter(shared_world, monkeypatch)
        monkeypatch.setattr("vlcl_bench.engine.run.InProcessLearner", SpyPlayer)
        monkeypatch.setattr("vlcl_bench.engine.learner.Context", SpyContext)
        assert vlcl("run", "--protocol", "tiny", "--method", "finetune", "--out", folder).code == 0
    return found


def reachable(*starts: Any) -> list[Any]:
    """Every object that can be reached by attributes, items, closures, arguments of partials and bound methods."""
    seen: dict[int, Any] = {}
    left = list(starts)
    while left:
        thing = left.pop()
        if id(thing) in seen or isinstance(thing, (str, bytes, int, float, type, types.ModuleType, type(None))):
            continue
        seen[id(thing)] = thing
        if isinstance(thing, dict):
            left += [*thing.keys(), *thing.values()]
        elif isinstance(thing, (list, tuple, set, frozenset)):
            left += list(thing)
        elif isinstance(thing, functools.partial):
            left += [thing.func, thing.args, thing.keywords]
        elif inspect.ismethod(thing):
            left += [thing.__self__, thing.__func__]
        elif inspect.isfunction(thing):
            left += [cell.cell_contents for cell in thing.__closure__ or ()] + list(thing.__defaults__ or ())
        elif not isinstance(thing, np.ndarray):
            left.append(getattr(thing, "__dict__", None))
    return list(seen.values())


def holds(array: np.ndarray, labels: np.ndarray) -> bool:
    """Whether ``labels`` occur in ``array`` in one piece."""
    flat = array.ravel()
    if array.ndim > 2 or len(flat) < len(labels) or flat.dtype.kind not in "iuf":
        return False  # pictures have four dimensions
    return bool((np.lib.stride_tricks.sliding_window_view(flat, len(labels)) == labels).all(axis=1).any())


def test_what_a_method_learns_from_is_the_training_split_of_that_task_alone(spied: Spied) -> None:
    assert [task.name for task in spied.tasks] == list(TASKS)
    assert [task.index for task in spied.tasks] == [1, 2]
    for task in spied.tasks:
        manifest = read_manifest(task.name)
        assert [sha256_bytes(image.tobytes()) for image in task.images] == manifest.hashes("train")
        assert not set(manifest.hashes("train")) & set(manifest.hashes("test"))
        np.testing.assert_array_equal(task.labels, manifest.labels("train"))
        assert task.class_names == manifest.class_names
        assert not task.images.flags.writeable


def test_what_a_method_scores_is_pictures_and_names(spied: Spied) -> None:
    names = [field.name for field in dataclasses.fields(Query)]
    assert names == ["dataset", "names", "prompts"]
    assert {field.name for field in dataclasses.fields(Task)} == {
        "index", "name", "class_names", "templates", "images", "labels", "dataset", "captions",
    }  # fmt: skip
    stages = len(TASKS) + 1
    for name in TASKS:
        manifest = read_manifest(name)
        parts = [images for images, queries in spied.scored if queries[1].dataset == name]
        hashes = [sha256_bytes(image.tobytes()) for images in parts for image in images]
        assert all(len(images) <= EVALUATION_BATCH for images in parts)
        asked = Counter(hashes)
        assert all(asked[known] >= stages for known in manifest.hashes("test"))
        altered = sum(times for known, times in asked.items() if known not in set(manifest.hashes("test")))
        assert altered + stages * len(manifest.hashes("test")) < 1.15 * len(hashes)
        # Samples stand class by class in the manifest, so their order would tell the labels.
        assert hashes[: len(hashes) // stages] != manifest.hashes("test")


def test_no_test_label_can_be_reached_from_what_a_method_is_given(spied: Spied) -> None:
    found = reachable(spied.tasks, spied.scored, spied.contexts, spied.methods)
    assert any(isinstance(thing, Task) for thing in found)
    assert any(isinstance(thing, np.ndarray) for thing in found)
    for forbidden in (ClassTruth, Manifest, Protocol, InProcessLearner, pd.DataFrame):
        assert not [thing for thing in found if isinstance(thing, forbidden)], forbidden
    arrays = [thing for thing in found if isinstance(thing, np.ndarray)]
    for name in TASKS:
        manifest = read_manifest(name)
        place = dict(zip(manifest.hashes("test"), manifest.labels("test"), strict=True))
        parts = [images for images, queries in spied.scored if queries[1].dataset == name]
        asked = np.array([place.get(sha256_bytes(image.tobytes()), -1) for images in parts for image in images])
        for labels in (manifest.labels("test"), asked[: len(place)], asked[:EVALUATION_BATCH]):
            assert not [array.shape for array in arrays if holds(array, labels)]


def test_the_spy_would_have_seen_labels() -> None:
    labels = read_manifest(TASKS[0]).labels("test")
    hidden = types.SimpleNamespace(call=functools.partial(lambda kept, x: x, {"deep": [labels]}))
    assert any(isinstance(thing, np.ndarray) and holds(thing, labels) for thing in reachable(hidden))
    assert holds(np.concatenate([[5, 5], labels, [1]]), labels)


# Methods that fail


FAILING = {
    "a wrong shape": (
        "    def score(self, images, query):\n        return super().score(images, query)[:, 1:]\n",
        [
            "score must return logits of shape (n, 12) (pictures, candidates), got (n, 11)",
            "one logit for each picture",
        ],
    ),
    "NaN": (
        "    def score(self, images, query):\n        return super().score(images, query) * float('nan')\n",
        ["NaN or infinite logits for n of n pictures"],
    ),
    "infinity": (
        "    def score(self, images, query):\n        return super().score(images, query) / 0\n",
        ["NaN or infinite logits"],
    ),
    "no tensor": (
        "    def score(self, images, query):\n        return np.zeros((len(images), len(query.names)))\n",
        ["score must return a tensor of shape (n, 12), got ndarray"],
    ),
    "nothing": (
        "    def score(self, images, query):\n        pass\n",
        ["score must return a tensor of shape (n, 12), got NoneType"],
    ),
    "an error in score": (
        "    def score(self, images, query):\n        return images @ query\n",
        ["the method raised TypeError while scoring pictures"],
    ),
    "too few answers": (
        "    def score_all(self, images, queries):\n        return super().score_all(images, queries)[:1]\n",
        ["while scoring pictures"],
    ),
    "a state that is no tensor": (
        "    def state_dict(self, *a, **k):\n        return {'memory': [1, 2]}\n",
        ["state_dict() holds 'memory', which is no tensor but of type list", "register_buffer"],
    ),
    "a state that shares memory": (
        "    def state_dict(self, *a, **k):\n        x = torch.zeros(9)\n        return {'a': x[:6], 'b': x[3:]}\n",
        ["while saving the method's state"],
    ),
    "an error in the constructor": (
        "    def __init__(self, backbone, config):\n        raise ValueError('no')\n",
        ["the method raised ValueError while being made: no"],
    ),
}


@pytest.mark.parametrize("kind", FAILING)
def test_a_method_that_answers_nonsense(kind: str) -> None:
    body, said = FAILING[kind]
    ended = run(NO_LEARNING + body)
    assert ended.code == 4, ended.err
    # How many pictures are asked at once, chance decides.
    err = re.sub(r"\d+ of \d+ pictures", "n of n pictures", re.sub(r"\(\d+, (\d+)\)", r"(n, \1)", ended.err))
    for words in said:
        assert words in err
    assert "Traceback" not in err
    assert not Path("run/run.json").exists()


IN_TASK_2 = {
    "raises": ("raise KeyError('teacher')", "the method raised KeyError while learning task 2, 'dev-activities'"),
    "ends the process": ("sys.exit(0)", "the method raised SystemExit while learning task 2"),
    "logs what is no number": ("ctx.log(loss=[1])", "ctx.log(loss=a list): only finite numbers and strings"),
    "logs NaN": ("ctx.log(loss=torch.tensor(float('nan')))", "ctx.log(loss=nan)"),
    "diverges": (
        "ctx.fit(dict(self.backbone.trainable_parameters()), task, lambda b: b.images.sum() * float('nan'))",
        "the loss became nan at step 0",
    ),
}


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=() if kind == "raises" else pytest.mark.slow) for kind in IN_TASK_2]
)
def test_a_method_that_fails_in_the_second_task_keeps_what_was_done(kind: str) -> None:
    statement, said = IN_TASK_2[kind]
    body = f"    def learn(self, task, ctx):\n        if task.index == 2:\n            {statement}\n"
    ended = run(body)
    assert ended.code == 4, ended.err
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert [event["stage"] for event in journal() if event["event"] == "evaluated"] == [0, 1]
    assert files(Path("run/predictions")) == {"stage-00.parquet", "stage-01.parquet"}
    # The same file fails at the same place, without doing the first task again.
    again = run(body)
    assert again.code == 4
    assert "continuing after stage 1 of 2" in again.err
    # A corrected file is another run.
    changed = run(NO_LEARNING)
    assert changed.code == 2
    assert "holds another run" in changed.err
    assert "method_source_sha256" in changed.err
    assert "--out" in changed.err


def test_a_method_error_says_that_a_changed_file_is_another_run() -> None:
    ended = run("    def learn(self, task, ctx):\n        raise ValueError('x')\n")
    assert "A corrected file is another run" in ended.err
    assert "--traceback" in ended.err


@pytest.mark.slow
def test_the_traceback_is_shown_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLCL_TRACEBACK", raising=False)
    ended = run("    def learn(self, task, ctx):\n        raise ValueError('x')\n", "Method", "--traceback")
    assert ended.code == 4
    assert "in learn" in ended.err


# Methods that do not fail


def test_a_method_that_never_trains_is_fine() -> None:
    assert run(NO_LEARNING).code == 0
    found = record()
    assert found["weight"]["parameters_trained"] == 0
    assert found["usage"]["task_pictures"] == 0
    assert found["track"] == "standard"


@pytest.mark.slow
def test_numbers_of_torch_and_numpy_can_be_logged() -> None:
    body = "    def learn(self, task, ctx):\n        ctx.log(a=torch.tensor(0.5), b=np.float32(2), c='x', d=True)\n"
    assert run(body).code == 0
    assert record()["log"] == [{"stage": stage, "a": 0.5, "b": 2.0, "c": "x", "d": True} for stage in (1, 2)]


def test_what_a_method_prints_is_not_on_standard_output() -> None:
    ended = run("    def learn(self, task, ctx):\n        print('hello')\n", "Method", "--json")
    assert ended.json["metrics"]
    assert "hello" in ended.err


def test_the_budget_is_what_fit_spends(finished: Path) -> None:
    usage = record(finished)["usage"]
    assert usage["task_pictures"] == usage["task_budget"] == len(TASKS) * STEPS * BATCH
    assert record(finished)["track"] == "standard"


@pytest.mark.parametrize(
    ("presentations", "track"),
    [
        ((2, 0), "open-budget"),
        pytest.param((1, 1), "standard", marks=pytest.mark.slow),
        pytest.param((0, 2), "open-budget", marks=pytest.mark.slow),
    ],
)
def test_more_pictures_than_a_task_allows_are_another_track(presentations: tuple[int, int], track: str) -> None:
    times = f"{presentations}[task.index - 1]"
    body = f"""    def learn(self, task, ctx):
        batches = ctx.batches(task)
        for _ in range({times} * ctx.budget.steps):
            next(batches)
"""
    assert run(body).code == 0
    assert record()["track"] == track
    assert record()["usage"]["task_pictures"] == sum(presentations) * STEPS * BATCH


@pytest.mark.slow
def test_pictures_of_a_second_stream_are_counted_apart(world: World) -> None:
    assert vlcl("run", "--protocol", "tiny", "--method", "lwf", "--out", "run").code == 0
    usage = record()["usage"]
    assert usage["task_pictures"] == usage["reference_pictures"] == len(TASKS) * STEPS * BATCH
    assert record()["track"] == "standard"


@pytest.mark.slow
def test_a_method_that_scores_at_random_is_not_ranked() -> None:
    # Its draws follow from the seed and not from the picture, whose company is another every time.
    body = """    def learn(self, task, ctx):
        self.drawn = float(torch.rand(1))  # it has changed, and so is asked anew

    def score(self, images, query):
        return torch.rand(len(images), len(query.names)) + torch.from_numpy(np.random.rand(len(images), 1))
"""
    ended = run(body, "Method")
    assert ended.code == 0, ended.err
    assert "not to be ranked: batch-dependent: " in ended.err
    rechecks = record()["rechecks"]
    assert rechecks["changed"] > rechecks["asked"] / 2


# What is written down


def test_predictions_hold_answers_for_every_stage_task_and_sample(finished: Path) -> None:
    frame = pq.read_table(finished / "predictions.parquet").to_pandas()
    counts = frame.groupby(["stage", "task"], observed=True)["sample"].agg(["size", "nunique"])
    for name in TASKS:
        samples = len(read_manifest(name).labels("test"))
        assert counts.xs(name, level="task").to_numpy().tolist() == [[samples, samples]] * (len(TASKS) + 1)
    assert not [name for name in frame.columns if re.search("label|correct|rank|hit|true", name)]
    assert len(frame) == record(finished)["predictions_rows"]


def test_the_record_says_what_ran_on_what_and_what_it_took(finished: Path) -> None:
    found = record(finished)
    assert found["identity"]["protocol"] == "tiny"
    assert found["identity"]["method"] == "finetune"
    assert re.fullmatch("[0-9a-f]{16}", found["run_hash"])
    cost = found["cost"]
    assert len(cost["seconds_learn"]) == len(TASKS)
    assert len(cost["seconds_evaluate"]) == len(TASKS) + 1
    spent = sum(cost["seconds_learn"]) + sum(cost["seconds_evaluate"]) + cost["seconds_other"]
    spent += cost["seconds_prepare"]
    assert spent == pytest.approx(cost["seconds_total"], abs=0.01)
    assert cost["resumed"] == 0
    assert cost["peak_memory_bytes"] > 50_000_000
    weight = found["weight"]
    assert 0 < weight["parameters_trained"] < weight["parameters_total"]
    assert weight["parameters_added"] == weight["bytes_between_tasks"] == 0


def test_parameters_and_memory_that_a_method_adds_are_counted() -> None:
    body = """    def __init__(self, backbone, config):
        super().__init__(backbone, config)
        self.head = torch.nn.Parameter(torch.zeros(7))
        self.register_buffer("memory", torch.zeros(5, dtype=torch.uint8))

    def learn(self, task, ctx):
        ctx.fit({"head": self.head}, task, lambda batch: self.head.sum())
"""
    assert run(body).code == 0
    weight = record()["weight"]
    assert weight["parameters_trained"] == weight["parameters_added"] == 7
    assert weight["bytes_by_stage"] == [7 * 4 + 5] * (len(TASKS) + 1)


def test_nothing_names_the_host_the_user_or_a_path(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("USER", "LOGNAME", "USERNAME"):
        monkeypatch.setenv(name, "trillian-the-user")
    monkeypatch.setenv("HOME", str(tmp_path / "home-of-trillian"))
    for function in ("socket.gethostname", "platform.node"):
        monkeypatch.setattr(function, lambda: "magrathea-the-host")
    body = "    def learn(self, task, ctx):\n        ctx.log(at=task.name)\n"
    assert run(body).code == 0
    secrets = {"trillian", "magrathea", str(tmp_path), str(world.store), str(Path.cwd()), str(Path.home())}
    monkeypatch.undo()
    secrets |= {getpass.getuser(), socket.gethostname(), str(Path.home()), str(Path(__file__).parents[2])}
    folder = tmp_path / "run"
    written = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert {path.name for path in written} == {".lock", "journal.jsonl", "predictions.parquet", "run.json"}
    for path, data in written.items():
        for secret in secrets:
            pattern = rb"(?<![\w.-])" + re.escape(secret.encode()) + rb"(?![\w.-])"
            assert not re.search(pattern, data), f"{path.name} holds {secret!r}"
