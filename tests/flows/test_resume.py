"""A run that was killed anywhere continues and ends in the same bytes; what is damaged or not its own is refused."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.harness import FINISHED_FILES, SCORED_BATCHES, STEPS, TASKS, Child, Sabotage, World, files, flip, vlcl

from vlcl_bench.records.streams import PROTOCOL_NAME

RUN = ("run", "--protocol", "tiny", "--method", "finetune")
JOURNAL = "vlcl_bench.engine.journal:Journal.append"
SCHEDULE = "vlcl_bench.methods.context:Context.schedule"
SCORE = "vlcl_bench.engine.learner:InProcessLearner.score"
# The last thing before a finished file gets its name. In a run: state and predictions of stage 0, 1, 2, then the
# one predictions file and the record.
NAMING = "vlcl_bench.common.fileio:current_umask"

# Lines of the journal: started, then learned and evaluated for stages 0, 1, 2, then finished.
POINTS = {
    "between two steps of the second task": Sabotage(SCHEDULE, STEPS + 3),
    "while the state is written": Sabotage(NAMING, 3),
    "between the state and its journal line": Sabotage(JOURNAL, 4),
    "between learning and evaluation": Sabotage(JOURNAL, 4, after=True),
    "inside evaluation": Sabotage(SCORE, SCORED_BATCHES + 3),
    "while a stage's predictions are written": Sabotage(NAMING, 4),
    "between the predictions and their journal line": Sabotage(JOURNAL, 5),
    "between a stage and the clearing of the one before": Sabotage(JOURNAL, 7, after=True),
    "while the one predictions file is written": Sabotage(NAMING, 7),
    "while the record is written": Sabotage(NAMING, 8),
    "between the record and the last journal line": Sabotage(JOURNAL, 8),
    "between the last journal line and the clearing": Sabotage(JOURNAL, 8, after=True),
}


def assert_as_unbroken(folder: Path, unbroken: Path) -> None:
    """The same predictions byte for byte, the same scores, and nothing left lying about."""
    assert (folder / "predictions.parquet").read_bytes() == (unbroken / "predictions.parquet").read_bytes()
    mine, theirs = (json.loads((path / "run.json").read_text()) for path in (folder, unbroken))
    for key in ("identity", "scores", "usage", "weight", "log", "predictions_sha256", "track"):
        assert mine[key] == theirs[key], key
    assert files(folder) - {PROTOCOL_NAME} == FINISHED_FILES
    assert not list(folder.rglob("*.tmp"))


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_killed_and_started_again_ends_in_the_same_bytes(
    point: str, world: World, unbroken: Path, tmp_path: Path
) -> None:
    killed = Child(world, tmp_path / "said", *RUN, "--out", "run", sabotage=POINTS[point]).wait()
    assert killed.code == -signal.SIGKILL, killed.err
    again = vlcl(*RUN, "--out", "run")
    assert again.code == 0, again.err
    assert_as_unbroken(tmp_path / "run", unbroken)


@pytest.mark.slow
@pytest.mark.parametrize("written", [1, 2, 3, 6])
def test_killed_while_the_store_is_built(written: int, world: World, unbroken: Path, tmp_path: Path) -> None:
    # Three files for each of the two data sets.
    building = Sabotage("vlcl_bench.data.store:write_atomic", written)
    line = (*RUN, "--out", "run", "--store", "store")
    killed = Child(world, tmp_path / "said", *line, sabotage=building).wait()
    assert killed.code == -signal.SIGKILL, killed.err
    again = vlcl(*line)
    assert again.code == 0, again.err
    assert_as_unbroken(tmp_path / "run", unbroken)


@pytest.mark.slow
def test_killed_again_and_again_in_other_processes(world: World, unbroken: Path, tmp_path: Path) -> None:
    line = (*RUN, "--out", "run", "--json")
    for sabotage in (Sabotage(SCORE, 2), Sabotage(SCHEDULE, 2), Sabotage(NAMING, 2), Sabotage(SCORE, 3)):
        assert Child(world, tmp_path / "said", *line, sabotage=sabotage).wait().code == -signal.SIGKILL
    last = Child(world, tmp_path / "said", *line).wait()
    assert last.code == 0, last.err
    assert last.json["cost"]["resumed"] == 4
    assert_as_unbroken(tmp_path / "run", unbroken)


@pytest.mark.slow
def test_killed_at_random_times(world: World, unbroken: Path, tmp_path: Path) -> None:
    seconds = json.loads((unbroken / "run.json").read_text())["cost"]["seconds_total"] + 1
    waits = []
    for _ in range(5):
        child = Child(world, tmp_path / "said", *RUN, "--out", "run")
        waits.append(random.uniform(0, seconds))
        time.sleep(waits[-1])
        child.kill()
    print("killed after", waits)
    last = Child(world, tmp_path / "said", *RUN, "--out", "run").wait()
    assert last.code == 0, last.err
    assert_as_unbroken(tmp_path / "run", unbroken)


@pytest.mark.slow
def test_the_installed_command_is_killed_and_continues(world: World, unbroken: Path, tmp_path: Path) -> None:
    line = [str(Path(sys.executable).parent / "vlcl"), *RUN, "--out", "run"]
    line[line.index("tiny")] = str(world.protocols / "tiny.toml")
    first = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    journal = tmp_path / "run" / "journal.jsonl"
    while not (journal.exists() and b'"evaluated"' in journal.read_bytes()):
        assert first.poll() is None
        time.sleep(0.02)
    first.kill()
    assert first.wait() == -signal.SIGKILL
    last = subprocess.run(line, capture_output=True, text=True)
    assert last.returncode == 0, last.stderr
    assert "continuing after stage" in last.stderr
    assert_as_unbroken(tmp_path / "run", unbroken)


def test_an_interrupted_run_says_how_to_go_on_and_does(
    world: World, unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        Sabotage(SCHEDULE, STEPS + 2, "interrupt").install(patched.setattr)
        stopped = vlcl(*RUN, "--out", "run")
    assert stopped.code == 130
    assert "interrupted" in stopped.err
    assert "give the same command again" in stopped.err
    again = vlcl(*RUN, "--out", "run")
    assert "continuing after stage 1 of 2" in again.err
    assert_as_unbroken(tmp_path / "run", unbroken)


@pytest.mark.slow
def test_sigint_ends_with_130_and_the_same_message(world: World, tmp_path: Path) -> None:
    child = Child(world, tmp_path / "said", *RUN, "--out", "run", sabotage=Sabotage(SCORE, 3, "stop"))
    child.wait_until_stopped()
    os.kill(child.process.pid or 0, signal.SIGINT)
    child.go_on()
    ended = child.wait()
    assert ended.code == 130
    assert "interrupted; give the same command again" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.slow
def test_a_second_process_on_the_same_folder_is_refused(world: World, unbroken: Path, tmp_path: Path) -> None:
    first = Child(world, tmp_path / "said", *RUN, "--out", "run", sabotage=Sabotage(SCORE, 3, "stop"))
    first.wait_until_stopped()
    try:
        second = vlcl(*RUN, "--out", "run")
        assert second.code == 2
        assert "another process is at work in run" in second.err
        shown = vlcl("show", "run")
        assert (shown.code, "not finished" in shown.err) == (2, True)
    finally:
        first.go_on()
    assert first.wait().code == 0
    assert_as_unbroken(tmp_path / "run", unbroken)


def test_a_finished_run_is_shown_again_and_not_done_again(finished: Path) -> None:
    before = (finished / "journal.jsonl").read_bytes()
    again = vlcl(*RUN, "--out", finished, "--json")
    assert again.code == 0
    assert "already finished" in again.err
    assert again.json["run"]
    assert (finished / "journal.jsonl").read_bytes() == before


def test_the_same_run_elsewhere_is_the_same(world: World, unbroken: Path, tmp_path: Path) -> None:
    assert vlcl(*RUN).code == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name == json.loads((unbroken / "run.json").read_text())["run_hash"]
    assert_as_unbroken(folder, unbroken)


def test_another_seed_is_another_run(world: World, unbroken: Path, tmp_path: Path) -> None:
    assert vlcl(*RUN, "--seed", 1, "--out", "run").code == 0
    assert (tmp_path / "run" / "predictions.parquet").read_bytes() != (unbroken / "predictions.parquet").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(("keep", "stages"), [("none", set()), ("all", {"stage-00", "stage-01", "stage-02"})])
def test_states_are_kept_as_asked(keep: str, stages: set[str], halted: Path) -> None:
    assert vlcl(*RUN, "--out", halted, "--keep-states", keep).code == 0
    # Stage 0's state went in the first part of the run, which kept the last one only.
    assert {name for name in files(halted) if name.startswith("stage")} == stages - {"stage-00"}


# The journal


def test_a_journal_line_that_was_cut_off_is_dropped(halted: Path, unbroken: Path) -> None:
    with (halted / "journal.jsonl").open("a") as file:
        file.write('{"event":"learned","stage":2,"state_sh')
    assert vlcl(*RUN, "--out", halted).code == 0
    assert_as_unbroken(halted, unbroken)


@pytest.mark.parametrize("cut", range(1, 400, 57))
def test_a_first_line_that_was_cut_off_starts_anew(cut: int, halted: Path, world: World) -> None:
    fresh = halted.parent / "fresh"
    fresh.mkdir()
    (fresh / ".lock").touch()
    (fresh / ".journal.jsonl.abc.tmp").touch()
    (fresh / "journal.jsonl").write_bytes((halted / "journal.jsonl").read_bytes()[:cut])
    from vlcl_bench.engine.journal import Journal

    journal = Journal(fresh / "journal.jsonl")
    assert journal.events == []
    journal.append("started")
    assert [event["event"] for event in Journal(fresh / "journal.jsonl").events] == ["started"]


def damaged_lines(line: str) -> dict[str, str]:
    digit = next(character for character in line if character in "123456789")  # the last one may not change a float
    return {
        "a flipped bit": line.replace('"event"', '"ewent"', 1),
        "another digit": line.replace(digit, str(int(digit) - 1), 1),
        "half a line": line[: len(line) // 2],
        "no check sum": line[: line.index('"check"')] + '"seconds":1}',
        "a list": "[1, 2]",
        "an empty line": "",
    }


@pytest.mark.parametrize("kind", damaged_lines('{"check":"1","event":1}'))
@pytest.mark.parametrize("number", [1, 3, 5])
def test_a_damaged_journal_line_is_refused(kind: str, number: int, halted: Path) -> None:
    path = halted / "journal.jsonl"
    lines = path.read_text().splitlines()
    lines[number - 1] = damaged_lines(lines[number - 1])[kind]
    path.write_text("\n".join(lines) + "\n")
    before = path.read_bytes()
    ended = vlcl(*RUN, "--out", halted)
    assert ended.code == 3
    assert f"damaged in line {number}" in ended.err
    assert f"Delete {halted}" in ended.err
    assert path.read_bytes() == before


# Damaged states, predictions, records, pictures


def test_a_damaged_state_is_refused(halted: Path) -> None:
    flip(halted / "stage-01" / "state.safetensors")
    ended = vlcl(*RUN, "--out", halted)
    assert ended.code == 3
    assert "state.safetensors is damaged" in ended.err
    assert f"Delete {halted} and give the same command again" in ended.err


def test_a_missing_state_is_refused(halted: Path) -> None:
    shutil.rmtree(halted / "stage-01")
    ended = vlcl(*RUN, "--out", halted)
    assert (ended.code, "is missing" in ended.err) == (3, True)


def test_damaged_stage_predictions_are_refused(halted: Path) -> None:
    flip(halted / "predictions" / "stage-00.parquet")
    ended = vlcl(*RUN, "--out", halted)
    assert ended.code == 3
    assert "stage-00.parquet are damaged" in ended.err
    assert not (halted / "run.json").exists()


@pytest.mark.slow
def test_after_damage_deleting_the_folder_helps(halted: Path, unbroken: Path) -> None:
    flip(halted / "stage-01" / "state.safetensors")
    assert vlcl(*RUN, "--out", halted).code == 3
    shutil.rmtree(halted)
    assert vlcl(*RUN, "--out", halted).code == 0
    assert_as_unbroken(halted, unbroken)


@pytest.mark.parametrize("name", ["predictions.parquet", "run.json"])
@pytest.mark.parametrize("kind", ["damaged", "missing"])
def test_a_finished_run_whose_files_are_gone_or_damaged_is_not_shown(name: str, kind: str, finished: Path) -> None:
    if kind == "missing":
        (finished / name).unlink()
    else:
        flip(finished / name, 0.01)
    ended = vlcl(*RUN, "--out", finished)
    assert ended.code == 3
    assert name in ended.err
    assert "Restore" in ended.err
    assert "delete" in ended.err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["train.u8", "test.u8", "index.json"])
def test_a_damaged_store_is_refused_and_built_anew_once_deleted(name: str, world: World, tmp_path: Path) -> None:
    store = Path(shutil.copytree(world.store, tmp_path / "store"))
    folder = next(path for path in store.iterdir() if path.name.startswith(TASKS[0]))
    flip(folder / name)
    line = ("run", "--protocol", "tiny", "--method", "zero_shot", "--store", store)
    ended = vlcl(*line)
    assert ended.code == 3
    assert name in ended.err
    assert f"Delete {folder} and give the same command again" in ended.err
    shutil.rmtree(folder)
    assert vlcl(*line).code == 0


# Folders that cannot be used


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (("--seed", 1), "seed: 0 there, 1 here"),
        (("--method", "zero_shot"), "method: 'finetune' there, 'zero_shot' here"),
        (("--set", "label_smoothing=0.1"), "config: {'label_smoothing': 0.2} there, {'label_smoothing': 0.1} here"),
    ],
)
def test_a_folder_with_another_run_is_refused(changes: tuple[object, ...], said: str, finished: Path) -> None:
    before = {path: path.read_bytes() for path in finished.iterdir()}
    ended = vlcl(*RUN, "--out", finished, *changes)
    assert ended.code == 2
    assert "holds another run" in ended.err
    assert said in ended.err
    assert "--out" in ended.err
    assert {path: path.read_bytes() for path in finished.iterdir()} == before


def test_a_folder_with_something_else_is_refused_and_left_alone(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "chapter.tex").write_text("dear to me")
    ended = vlcl(*RUN, "--out", folder)
    assert ended.code == 2
    assert "it holds chapter.tex" in ended.err
    assert "--out" in ended.err
    assert files(folder) == {"chapter.tex"}


def test_a_path_that_cannot_be_a_folder(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for out in ("file", "file/run", "/proc/run"):
        ended = vlcl(*RUN, "--out", out)
        assert ended.code == 5, ended.err
        assert f"could not write {out}" in ended.err
        assert "--out" in ended.err


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EPERM])
def test_a_folder_that_may_not_be_written(
    number: int, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("vlcl_bench.common.fileio.tempfile.mkstemp", refuse)
    ended = vlcl("run", "--protocol", "tiny", "--method", "zero_shot", "--out", "run")
    assert ended.code == 5
    assert "not allowed to write run/stage-00/state.safetensors" in ended.err
    assert "--out" in ended.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(world: World, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    ended = vlcl(*RUN, "--out", "locked/run")
    assert (ended.code, "not allowed to write" in ended.err) == (5, True)


# A full disk


@pytest.mark.parametrize("writes", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2, 6)), 3, 7])
def test_a_disk_that_fills_up_keeps_what_is_done(
    writes: int, unbroken: Path, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = iter([True] * writes)
    original = os.fsync

    def fill(descriptor: int) -> None:
        name = os.readlink(f"/proc/self/fd/{descriptor}")
        if name.endswith(".tmp") and not next(left, False):
            raise OSError(errno.ENOSPC, "No space left on device")
        original(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", fill)
        ended = vlcl(*RUN, "--out", "run")
    assert ended.code == 5
    assert "no space left on the disk while writing run/" in ended.err
    assert "Free some space and give the same command again" in ended.err
    assert not list((tmp_path / "run").rglob("*.tmp"))
    assert vlcl(*RUN, "--out", "run").code == 0
    assert_as_unbroken(tmp_path / "run", unbroken)


@pytest.mark.slow
def test_a_really_full_disk(unbroken: Path, world: World, small_disk) -> None:
    state = next(unbroken.glob("stage-*/state.safetensors")).stat().st_size
    folder = small_disk(state // 2) / "run"  # room for stage 0, whose state holds no weights of its own
    ended = vlcl(*RUN, "--out", folder)
    assert ended.code == 5
    assert "no space left on the disk" in ended.err
    assert (folder / "predictions" / "stage-00.parquet").exists()
    again = vlcl(*RUN, "--out", folder)
    assert again.code == 5
    small_disk(4 * state)
    last = vlcl(*RUN, "--out", folder)
    assert last.code == 0, last.err
    assert "continuing after stage 0" in last.err
    assert_as_unbroken(folder, unbroken)


@pytest.mark.slow
def test_a_disk_too_full_for_the_store(world: World, small_disk) -> None:
    disk = small_disk(100_000)
    line = ("run", "--protocol", "tiny", "--method", "zero_shot", "--out", "run", "--store", disk / "store")
    ended = vlcl(*line)
    assert (ended.code, "no space left on the disk" in ended.err) == (5, True)
    small_disk(50_000_000)
    assert vlcl(*line).code == 0
