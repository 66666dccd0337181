"""The commands as users and programs see them: exit codes, messages that say what to type next, and JSON alone."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.harness import TASKS, World, flip, method_file, tree, vlcl

from vlcl_bench.board import published

pytestmark = pytest.mark.usefixtures("world")

RUN = ("run", "--protocol", "tiny", "--method", "finetune")
COMMANDS = [
    [], ["run"], ["protocols"], ["protocols", "new"], ["methods"], ["methods", "new"], ["backbones"],
    ["backbones", "new"], ["backbones", "renew"], ["show"], ["score"], ["leaderboard"],
    ["leaderboard", "build"], ["world"], ["world", "sheet"], ["world", "freeze"], ["world", "pretrain"],
    ["world", "cards"], ["world", "diffuse"], ["world", "recognise"], ["synthesise"],
    ["world", "check"], ["conformance"], ["doctor"], ["sweep"], ["compare"], ["data"], ["data", "list"],
    ["data", "card"], ["data", "verify"], ["data", "get"], ["data", "gc"], ["regress"], ["submit"], ["submit", "new"],
    ["submit", "check"], ["submit", "add"], ["submit", "rerun"],
]  # fmt: skip
HEADLINES = {"transfer", "avg", "last", "bwt", "fwt"}
MATRICES = json.loads((Path(published.__file__).parent / "published_matrices.json").read_text())


def edit(folder: Path, **changes: Any) -> None:
    """Change fields of a record; a dotted name with ``__`` for each dot; ``...`` deletes."""
    path = folder / "run.json"
    record = json.loads(path.read_text())
    for name, value in changes.items():
        *parents, last = name.split("__")
        place = record
        for parent in parents:
            place = place[parent]
        if value is ...:
            del place[last]
        else:
            place[last] = value
    path.write_text(json.dumps(record))


def rehash(folder: Path) -> None:
    """Make the run hash follow from a changed identity again."""
    from vlcl_bench.records.schema import Identity

    identity = Identity.model_validate(json.loads((folder / "run.json").read_text())["identity"])
    edit(folder, run_hash=identity.run_hash)


# Help and names


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help(command: list[str]) -> None:
    ended = vlcl(*command, "--help")
    assert (ended.code, ended.err) == (0, "")
    assert "Usage: vlcl" in ended.out


def test_the_list_of_commands_tested_here_is_complete() -> None:
    from typer.main import get_command

    from vlcl_bench.cli.app import app

    def names(command: Any, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
        below = getattr(command, "commands", {})
        return {path}.union(*(names(sub, (*path, name)) for name, sub in below.items()))

    assert names(get_command(app)) == {tuple(command) for command in COMMANDS}


def test_exit_codes_are_in_the_help() -> None:
    assert "130 interrupted" in " ".join(vlcl("--help").out.split())


@pytest.mark.parametrize("code", ["vlcl_bench.cli.app", "vlcl_bench.cli"])
def test_help_needs_no_torch(code: str) -> None:
    program = f"import sys, {code}; sys.exit('torch' in sys.modules or 'pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (("run", "--protocol", "mini-mtil1", "--method", "finetune"), ["'mini-mtil1'", "Did you mean 'mini-mtil-1'?"]),
        (("run", "--protocol", "tiny", "--method", "fintune"), ["'fintune'", "Did you mean 'finetune'?"]),
        (("run", "--protocol", "tiny", "--method", "mine.py"), ["no method file", "vlcl methods new mine.py"]),
        ((*RUN, "--set", "label_smothing=1"), ["no setting 'label_smothing'", "Did you mean 'label_smoothing'?"]),
        ((*RUN, "--set", "label_smoothing=much"), ["label_smoothing='much'"]),
        ((*RUN, "--set", "label_smoothing"), ["not of the form key=value", "--set alpha=0.5"]),
        ((*RUN, "--backbone", "vlcl-mimi/v1"), ["unknown backbone", "Did you mean 'vlcl-mini/v1'?"]),
        ((*RUN, "--device", "gpu"), ["unknown device 'gpu'", "cuda"]),
        ((*RUN, "--device", "meta"), ["unknown device 'meta'"]),
        ((*RUN, "--keep-states", "some"), ["none, last, all"]),
        (("show", "abc"), ["no run 'abc'", "no finished run under runs/"]),
        (("show", "**"), ["no run '**'"]),
        (("score",), ["either a RUN or --matrix FILE"]),
        (("score", "--matrix", "none.csv"), ["none.csv does not exist"]),
        (("leaderboard", "build", "--local"), ["no folder runs", "--runs"]),
        (("methods", "new", "mine.txt"), ["not a Python file", "vlcl methods new mine.py"]),
    ],
)
def test_a_wrong_command_ends_with_2_and_says_what_to_type(line: tuple[str, ...], said: list[str]) -> None:
    ended = vlcl(*line)
    assert ended.code == 2, ended.err
    for words in said:
        assert words in ended.err
    assert ended.out == ""
    assert "Traceback" not in ended.err
    assert not Path("runs").exists()


@pytest.mark.parametrize("line", [("run",), ("rum",), ("show",), ("run", "--sed", "1"), (*RUN, "--seed", "x")])
def test_a_line_that_typer_refuses_ends_with_2(line: tuple[str, ...]) -> None:
    assert vlcl(*line).code == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import torch\nx = 1 / 0\n", "mine.py, line 2, does not import: ZeroDivisionError"),
        ("def learn(:\n", "mine.py, line 1, does not import: SyntaxError"),
        ("import no_such_module\n", "does not import: ModuleNotFoundError: No module named 'no_such_module'"),
        ("import sys\nsys.exit(0)\n", "mine.py, line 2, does not import: SystemExit"),
        ("x = 1\n", "has no method class"),
        ("from vlcl_bench.methods import Method\nclass Mine(Method):\n    title = 'x'\n", "does not define learn"),
    ],
)
def test_a_method_file_that_cannot_be_used_ends_with_4(text: str, said: str) -> None:
    Path("mine.py").write_text(text)
    ended = vlcl("run", "--protocol", "tiny", "--method", "mine.py")
    assert ended.code == 4
    assert said in ended.err
    assert not Path("runs").exists()


def test_a_device_that_is_not_there_ends_with_5() -> None:
    ended = vlcl(*RUN, "--device", "cuda:99")
    assert ended.code == 5
    assert "no device 'cuda:99'" in ended.err
    assert "--device cpu" in ended.err


# JSON


def test_the_lists_are_json() -> None:
    protocols = vlcl("protocols", "--json").json["protocols"]
    assert {"mini-mtil-1", "mini-mtil-2", "tiny"} <= {protocol["name"] for protocol in protocols}
    prints = {protocol["name"]: protocol["fingerprint"] for protocol in protocols}
    assert all(len(prints[name]) == 64 for name in ("mini-mtil-1", "mini-mtil-2", "tiny"))
    assert prints["mtil-1"] is None  # nobody has described its data here
    methods = vlcl("methods", "--json").json["methods"]
    names = {"zero_shot", "finetune", "l2", "lwf", "lwf_vr", "icarl", "wise_ft", "zscl", "moe_adapter"}
    assert names <= {method["name"] for method in methods}
    assert "finetune" in vlcl("methods").out
    assert "mini-mtil-1" in vlcl("protocols").out


def test_run_show_and_score_print_the_same_json_numbers(finished: Path) -> None:
    again, shown, scored = (
        vlcl(*RUN, "--out", finished, "--json").json,
        vlcl("show", finished, "--json").json,
        vlcl("score", finished, "--json").json,
    )
    assert again == shown
    assert set(again["metrics"]) >= HEADLINES | {"forgetting", "diagonal"}
    assert all(isinstance(again["metrics"][name], float) for name in HEADLINES)
    for key in ("metrics", "matrix", "zero_shot", "tasks", "agnostic"):
        assert scored[key] == shown[key]
    assert again["tasks"] == list(TASKS)
    assert Path(again["record"]).exists()


def test_a_whole_run_prints_json_alone_and_progress_elsewhere() -> None:
    ended = vlcl("run", "--protocol", "tiny", "--method", "zero_shot", "--json")
    assert ended.code == 0
    assert ended.json["metrics"]["bwt"] == 0
    assert ended.json["metrics"]["fwt"] == 0
    assert "stage  2" in ended.err


def test_a_run_can_be_named_by_the_beginning_of_its_hash(finished: Path) -> None:
    name = json.loads((finished / "run.json").read_text())["run_hash"]
    Path("runs").mkdir()
    shutil.move(finished, Path("runs") / name)
    assert vlcl("show", name[:6], "--json").json["run"] == name
    assert vlcl("score", name[:6], "--json").json["run"] == name
    assert name in vlcl("show", "nothing").err


def test_what_people_see_has_the_matrix_the_metrics_and_the_record(finished: Path) -> None:
    for ended in (vlcl(*RUN, "--out", finished), vlcl("show", finished)):
        assert ended.code == 0
        for words in ("R: accuracy", "Transfer", "BWT", "record: " + str(finished / "run.json")):
            assert words in ended.out


def test_a_path_in_square_brackets_is_printed_as_it_is(finished: Path) -> None:
    odd = finished.parent / "[bold]x[/red]"
    shutil.move(finished, odd)
    ended = vlcl(*RUN, "--out", odd)
    assert ended.code == 0, ended.err
    assert f"record: {odd / 'run.json'}" in ended.out
    assert f"already finished: {odd}" in ended.err


# score


def write_csv(rows: list[list[float]], path: Path = Path("matrix.csv")) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("order_I/Continual-FT", (44.6, 55.9, 77.3)),
        ("order_I/ZSCL", (68.1, 75.4, 83.6)),
        ("order_II/Continual-FT", (46.6, 56.2, 67.4)),
        ("order_II/ZSCL", (64.2, 74.5, 83.4)),
    ],
)
def test_published_matrices_give_the_published_rows(name: str, expected: tuple[float, ...]) -> None:
    path = write_csv(MATRICES[name])
    metrics = vlcl("score", "--matrix", path, "--json").json["metrics"]
    assert [round(metrics[key], 1) for key in ("transfer", "avg", "last")] == list(expected)
    assert metrics["fwt"] is None
    assert metrics["bwt"] < 0
    assert set(metrics) >= HEADLINES
    printed = vlcl("score", "--matrix", path).out
    for number in expected:
        assert str(number) in printed


def test_the_constant_zero_shot_matrix_gives_the_zero_shot_row() -> None:
    row = MATRICES["zero_shot_order_I"]
    ended = vlcl("score", "--matrix", write_csv([row] * 12), "--with-zero-shot", "--json")
    metrics = ended.json["metrics"]
    assert [round(metrics[key], 1) for key in ("transfer", "avg", "last")] == [69.4, 65.3, 65.3]
    assert metrics["bwt"] == pytest.approx(0, abs=1e-9)
    assert metrics["fwt"] == pytest.approx(0, abs=1e-9)


def test_scoring_ignores_stored_scores(finished: Path) -> None:
    true = vlcl("score", finished, "--json").json
    edit(finished, scores__metrics__avg=99.9, scores__metrics__transfer=99.9, scores__matrix=[[99.0] * 2] * 2)
    assert vlcl("show", finished, "--json").json["metrics"]["avg"] == 99.9
    assert vlcl("score", finished, "--json").json == true


@pytest.mark.parametrize("place", [0.001, 0.3, 0.999])
def test_scoring_refuses_predictions_of_another_hash(place: float, finished: Path) -> None:
    flip(finished / "predictions.parquet", place)
    ended = vlcl("score", finished, "--json")
    assert (ended.code, ended.out) == (3, "")
    assert "predictions.parquet is damaged" in ended.err
    assert "run it again" in ended.err


def test_scoring_refuses_predictions_that_were_exchanged(finished: Path) -> None:
    import pandas as pd

    from vlcl_bench.records.files import write_predictions

    path = finished / "predictions.parquet"
    frame = pd.read_parquet(path)
    frame["top1"], frame["top2"] = frame["top2"], frame["top1"]
    digest = write_predictions(path, frame)
    assert vlcl("score", finished).code == 3
    # Who also forges the hash has made other predictions: they are scored as they are.
    edit(finished, predictions_sha256=digest)
    assert vlcl("score", finished).code == 0


def test_scoring_a_run_of_an_unknown_protocol_says_so(finished: Path, world: World) -> None:
    edit(finished, identity__protocol="tinny")
    rehash(finished)
    ended = vlcl("score", finished)
    assert ended.code == 2
    assert "was run under the protocol 'tinny', which this vlcl-bench does not have" in ended.err
    assert vlcl("show", finished).code == 0


def test_scoring_a_run_of_another_fingerprint_says_so(finished: Path) -> None:
    edit(finished, identity__protocol_fingerprint="0" * 64)
    rehash(finished)
    ended = vlcl("score", finished)
    assert ended.code == 3
    assert "000000000000" in ended.err
    assert "run it again" in ended.err


# Damaged records


DAMAGES: dict[str, tuple[Any, str]] = {
    "bad JSON": ("{", "is not valid JSON"),
    "no text": (b"\xff\xfe\x00", "is not valid JSON"),
    "empty": ("", "is not valid JSON"),
    "a list": ("[]", "is not a record"),
}
CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "a missing field": ({"usage": ...}, "usage: Field required"),
    "a missing inner field": ({"identity__seed": ...}, "identity.seed: Field required"),
    "a field too many": ({"rank": 1}, "rank: Extra inputs are not permitted"),
    "a wrong type": ({"cost__seconds_total": "fast"}, "cost.seconds_total"),
    "missing scores": ({"scores": {}}, "scores.matrix: Field required"),
    "missing metrics": ({"scores__metrics": ...}, "scores.metrics: Field required"),
    "another track": ({"track": "fast"}, "track"),
    "another schema": ({"schema_version": 2}, "schema_version"),
    "a changed identity": ({"identity__seed": 7}, "was changed"),
    "a changed hash": ({"run_hash": "0" * 16}, "was changed"),
}


@pytest.mark.parametrize("kind", [*DAMAGES, *CHANGES])
def test_a_damaged_record_is_refused_by_every_command(kind: str, finished: Path) -> None:
    if kind in DAMAGES:
        text, said = DAMAGES[kind]
        (finished / "run.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    else:
        changes, said = CHANGES[kind]
        edit(finished, **changes)
    lines = (("show", finished), ("score", finished), ("leaderboard", "build", "--runs", finished, "--out", "board"))
    for line in lines:
        ended = vlcl(*line)
        assert ended.code == 3, ended.err
        assert str(finished / "run.json") in ended.err
        assert said in ended.err
        assert "Restore" in ended.err
    assert "No entries yet." in Path("board/README.md").read_text()  # and nobody else's is kept from it


def test_a_folder_without_a_record(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    ended = vlcl("show", "empty")
    assert ended.code == 2
    assert "not the folder of a run" in ended.err


def test_a_run_that_is_not_finished_is_named_as_such(halted: Path) -> None:
    ended = vlcl("score", halted)
    assert ended.code == 2
    assert "is not finished" in ended.err
    assert "vlcl run" in ended.err


# The leaderboard


def board_rows() -> list[dict[str, str]]:
    return list(csv.DictReader(Path("runs/board/leaderboard.csv").read_text().splitlines()))


def make_runs(unbroken: Path, folder: Path, order: list[int], **changes: Any) -> Path:
    """Several seeds of one entry, made out of one run, written in this order."""
    for seed in order:
        target = folder / f"seed-{seed}"
        shutil.copytree(unbroken, target, ignore=shutil.ignore_patterns("stage-*", ".lock"))
        edit(target, identity__seed=seed, **changes)
        rehash(target)
    return folder


def test_the_board_is_the_same_bytes_whatever_the_order(unbroken: Path, tmp_path: Path) -> None:
    seeds = [0, 1, 2, 3, 4]
    make_runs(unbroken, tmp_path / "runs", seeds)
    first = vlcl("leaderboard", "build", "--local", "--json")
    assert first.code == 0, first.err
    assert first.json["runs"] == len(seeds)
    assert [Path(path).exists() for path in first.json["files"]] == [True] * 4
    board = tree(Path("runs/board"))
    assert vlcl("leaderboard", "build", "--local").code == 0
    assert tree(Path("runs/board")) == board
    shutil.rmtree("runs")
    shuffled = random.Random(1).sample(seeds, len(seeds))
    make_runs(unbroken, tmp_path / "runs", shuffled)
    os.utime("runs/seed-0/run.json", (1, 1))
    assert vlcl("leaderboard", "build", "--local").code == 0
    assert tree(Path("runs/board")) == board


def test_a_record_of_an_unknown_protocol_is_shown_as_self_reported(unbroken: Path, tmp_path: Path) -> None:
    make_runs(unbroken, tmp_path / "runs", [0, 1, 2], identity__protocol_fingerprint="0" * 64)
    assert vlcl("leaderboard", "build", "--local").code == 0
    (row,) = board_rows()
    assert row["rank"] == ""
    assert "self-reported" in row["unranked"]


def test_a_record_cannot_name_a_protocol_file_of_its_own(unbroken: Path, tmp_path: Path, world: World) -> None:
    path = Path(shutil.copy(world.protocols / "tiny.toml", tmp_path / "own.toml"))
    make_runs(unbroken, tmp_path / "runs", [0, 1, 2], identity__protocol=str(path))
    assert vlcl("leaderboard", "build", "--local").code == 0
    (row,) = board_rows()
    assert "self-reported" in row["unranked"]


def test_a_record_cannot_make_the_board_import_a_file(unbroken: Path, tmp_path: Path) -> None:
    Path("trap.py").write_text("raise SystemExit('caught')")
    make_runs(unbroken, tmp_path / "runs", [0], identity__method="trap.py")
    assert vlcl("leaderboard", "build", "--local").code == 0


@pytest.mark.parametrize(("ranked", "rank"), [("true", "1"), ("false", "")])
def test_a_stream_for_development_is_never_ranked(
    ranked: str, rank: str, unbroken: Path, tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vlcl_bench.protocols.load import load_protocol

    protocols = Path(shutil.copytree(world.protocols, tmp_path / "protocols"))
    path = protocols / "tiny.toml"
    path.write_text(path.read_text().replace("ranked = false", f"ranked = {ranked}"))
    monkeypatch.setattr("vlcl_bench.protocols.load.FOLDER", protocols)
    fingerprint = load_protocol("tiny").fingerprint
    make_runs(unbroken, tmp_path / "runs", [0, 1, 2], identity__protocol_fingerprint=fingerprint)
    assert vlcl("leaderboard", "build", "--local").code == 0
    (row,) = board_rows()
    assert row["rank"] == rank
    assert ("development" in row["unranked"]) == (ranked == "false")


def test_a_board_of_falsified_scores_shows_the_true_ones(unbroken: Path, tmp_path: Path) -> None:
    make_runs(unbroken, tmp_path / "runs", [0, 1, 2])
    assert vlcl("leaderboard", "build", "--local").code == 0
    board = tree(Path("runs/board"))
    for folder in Path("runs").glob("seed-*"):
        edit(folder, scores__metrics__avg=99.9)
    assert vlcl("leaderboard", "build", "--local").code == 0
    assert tree(Path("runs/board")) == board


# A method of one's own


@pytest.mark.slow
def test_the_written_start_runs_as_it_is() -> None:
    written = vlcl("methods", "new", "my_method.py")
    assert written.code == 0
    assert "vlcl run" in written.out
    assert "--method my_method.py" in written.out
    assert vlcl("methods", "new", "my_method.py").code == 2
    ended = vlcl("run", "--protocol", "tiny", "--method", "my_method.py", "--set", "strength=0.5", "--json")
    assert ended.code == 0, ended.err
    assert ended.json["config"]["strength"] == 0.5
    assert ended.json["method"] == "my_method"


@pytest.mark.slow
def test_a_protocol_can_be_given_as_a_file(world: World, unbroken: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(world.protocols / "tiny.toml", tmp_path / "mine.toml"))
    method = method_file(tmp_path, "    def learn(self, task, ctx):\n        pass\n", "Method")
    ended = vlcl("run", "--protocol", path, "--method", method, "--json")
    assert ended.code == 0
    assert ended.json["protocol"] == "tiny"


def test_the_committed_board_cannot_be_overwritten_with_other_runs(tmp_path: Path) -> None:
    refused = vlcl("leaderboard", "build", "--runs", tmp_path)
    assert (refused.code, "--out" in refused.err) == (2, True)


def test_a_run_that_must_not_be_ranked_says_so(tmp_path: Path) -> None:
    body = '''    @classmethod
    def unranked_because(cls, config):
        return "it peeks"'''
    line = ("run", "--protocol", "tiny", "--method", method_file(tmp_path, body), "--out", tmp_path / "run")
    assert "not ranked: it peeks" in vlcl(*line).out
    assert vlcl("show", tmp_path / "run", "--json").json["unranked_because"] == "it peeks"
