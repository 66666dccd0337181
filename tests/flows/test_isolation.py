"""Runs with the method in a process of its own: the same bytes as inline, and a run that outlives the method."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.harness import (
    FINISHED_FILES,
    SCORED_BATCHES,
    TASKS,
    Child,
    Ended,
    Sabotage,
    World,
    files,
    method_file,
    vlcl,
)

from vlcl_bench.engine.sandbox import container

pytestmark = pytest.mark.slow

PROCESS = ("--isolation", "process")
RUN = ("run", "--protocol", "tiny", "--method", "finetune", "--out", "run")


@pytest.fixture(autouse=True)
def _no_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLCL_ISOLATION", raising=False)


@pytest.fixture(autouse=True)
def _no_orphans() -> Any:
    yield
    left = [p for p in psutil.process_iter() if "vlcl_bench.engine.sandbox.worker" in " ".join(_line(p))]
    assert [p for p in left if psutil.Process() in p.parents()] == []


def _line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def record(folder: str | Path) -> dict[str, Any]:
    return json.loads((Path(folder) / "run.json").read_text())


def assert_same(one: Path, two: Path) -> None:
    assert (one / "predictions.parquet").read_bytes() == (two / "predictions.parquet").read_bytes()
    mine, theirs = record(one), record(two)
    for key in ("identity", "run_hash", "title", "scores", "usage", "weight", "log", "track", "deterministic"):
        assert mine[key] == theirs[key], key
    state = f"stage-{len(TASKS):02d}/state.safetensors"
    assert (one / state).read_bytes() == (two / state).read_bytes()
    assert files(one) == files(two) == FINISHED_FILES


def run(body: str, *arguments: object, base: str = "LossMethod") -> Ended:
    """Run a method with this class body from a file; files are isolated by default."""
    path = method_file(Path("methods"), body, base)
    return vlcl("run", "--protocol", "tiny", "--method", path, "--out", "run", *arguments)


def test_finetune_gives_the_same_bytes(world: World, unbroken: Path, tmp_path: Path) -> None:
    ended = vlcl(*RUN, *PROCESS)
    assert ended.code == 0, ended.err
    assert_same(tmp_path / "run", unbroken)
    assert record("run")["provenance"]["isolation"] == "process"
    assert record(unbroken)["provenance"]["isolation"] == "inline"


def test_a_method_with_statistics_and_parts_gives_the_same_bytes(world: World, tmp_path: Path) -> None:
    line = ("run", "--protocol", "tiny", "--method", "auto_seed_vl2")
    for kind in ("inline", "process"):
        ended = vlcl(*line, "--isolation", kind, "--out", kind)
        assert ended.code == 0, ended.err
    assert_same(tmp_path / "inline", tmp_path / "process")


CRASHING = """    def finish(self, task, ctx):
        import os
        if task.index == 2 and not os.environ.get("OMP_MENDED"):
            os._exit(7)
"""


def test_a_crash_keeps_the_finished_stages_and_the_run_goes_on(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = run(CRASHING)
    assert ended.code == 4
    assert f"ended with exit code 7 while learning task 2, '{TASKS[1]}'" in ended.err
    assert (tmp_path / "run" / "predictions" / "stage-01.parquet").exists()
    monkeypatch.setenv("OMP_MENDED", "1")  # not the file, which would be another run; this one reaches the process
    again = run(CRASHING)
    assert again.code == 0, again.err
    assert "continuing after stage 1" in again.err
    plain = vlcl("run", "--protocol", "tiny", "--method", "methods/mine.py", "--isolation", "inline", "--out", "inline")
    assert plain.code == 0, plain.err
    assert_same(tmp_path / "run", tmp_path / "inline")


def test_killing_the_harness_leaves_nothing_and_the_run_goes_on(world: World, unbroken: Path, tmp_path: Path) -> None:
    sabotage = Sabotage("vlcl_bench.engine.sandbox.learner:SandboxedLearner.score", SCORED_BATCHES + 3)
    killed = Child(world, tmp_path / "said", *RUN, *PROCESS, sabotage=sabotage).wait()
    assert killed.code == -signal.SIGKILL, killed.err
    again = vlcl(*RUN)  # inline: a run may be continued either way, and says so
    assert again.code == 0, again.err
    assert_same(tmp_path / "run", unbroken)
    assert record("run")["provenance"]["isolation"] == "inline+process"


def test_a_hang_is_ended(world: World) -> None:
    body = "    def start(self, task, ctx):\n        import time\n        time.sleep(600)\n"
    ended = run(body, "--time-limit", 30)
    assert ended.code == 4
    assert f"ended after 30 seconds while learning task 1, '{TASKS[0]}'" in ended.err
    assert "--time-limit" in ended.err


PEEKING = """    def start(self, task, ctx):
        import contextlib
        with contextlib.suppress(OSError):
            open({path!r})
"""


@pytest.mark.parametrize("what", ["manifest", "store", "record"])
def test_peeking_ends_the_run_even_where_the_error_is_swallowed(what: str, world: World, tmp_path: Path) -> None:
    import vlcl_bench

    folder = {
        "manifest": Path(vlcl_bench.__file__).parent / "data" / "manifests",
        "store": world.store,
        "record": tmp_path,
    }
    path = folder[what] / "dev-food.parquet"
    ended = run(PEEKING.format(path=str(path)))
    assert ended.code == 4
    assert f"the method tried to read {path}; it was refused" in ended.err
    assert (tmp_path / "run" / "predictions" / "stage-00.parquet").exists()


def test_a_submission_reads_its_own_folder_and_prints_to_standard_error(
    world: World, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    body = """    def start(self, task, ctx):
        from pathlib import Path
        print("learning", Path(__file__).with_name("notes.txt").read_text())
        Path("scratch.txt").write_text("here")
"""
    path = method_file(tmp_path / "entry", body, name="method.py")
    path.with_name("notes.txt").write_text("my notes")
    (path.parent / "runs" / "0123456789abcdef").mkdir(parents=True)  # hidden from it, and so not listed for its source
    ended = vlcl("run", "--protocol", "tiny", "--method", path.parent, "--out", "run", "--json")
    assert ended.code == 0, ended.err
    assert ended.json["run"]
    assert "learning my notes" in capfd.readouterr().err
    assert record("run")["identity"]["method"] == "entry"


def test_settings_and_errors_of_the_method_come_over(world: World) -> None:
    wrong = vlcl(*RUN, *PROCESS, "--set", "label_smoothin=0.1")
    assert (wrong.code, "Continual-FT has no setting 'label_smoothin'" in wrong.err) == (2, True), wrong.err
    raised = run("    def start(self, task, ctx):\n        raise ValueError('oh')\n")
    assert raised.code == 4
    assert f"the method raised ValueError while learning task 1, '{TASKS[0]}': oh" in raised.err
    shutil.rmtree("methods")
    broken = run("    x = 1 / 0\n")
    assert broken.code == 4
    assert "does not import: ZeroDivisionError" in broken.err


def test_hidden_byte_code_is_not_what_runs(world: World, tmp_path: Path) -> None:
    """A compiled file with the right time stamp would run in place of the source whose hash is in the record."""
    import importlib.util
    import os
    import py_compile

    good = "    def start(self, task, ctx):\n        ctx.log(which='the source')\n"
    path = method_file(tmp_path / "methods", good.replace("the source", "the secret"))
    stamp = path.stat()
    compiled = Path(importlib.util.cache_from_source(str(path)))
    py_compile.compile(str(path), cfile=str(compiled))
    path.write_text(path.read_text().replace("the secret", "the source"))
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    ended = vlcl("run", "--protocol", "tiny", "--method", path, "--out", "run")
    assert ended.code == 0, ended.err
    assert {line["which"] for line in record("run")["log"]} == {"the source"}


def test_the_same_bytes_in_a_container_without_network_and_files(world: World, unbroken: Path, tmp_path: Path) -> None:
    try:
        container.require_bwrap()
    except Exception as error:
        pytest.skip(f"no bubblewrap here: {error}")
    ended = vlcl(*RUN, "--isolation", "container")
    assert ended.code == 0, ended.err
    assert_same(tmp_path / "run", unbroken)
    assert record("run")["provenance"]["isolation"] == "container"


NATIVE = """    def start(self, task, ctx):
        import ctypes, os
        number = ctypes.CDLL(None).open({path!r}.encode(), 0)
        ctx.log(read=os.read(number, 4).hex() if number >= 0 else "nothing")
"""


@pytest.mark.parametrize("kind", ["process", "container"])
def test_known_miss_native_code_reads_labels_past_the_hook_but_not_out_of_a_container(
    kind: str, world: World, tmp_path: Path
) -> None:
    import vlcl_bench

    if kind == "container":
        try:
            container.require_bwrap()
        except Exception as error:
            pytest.skip(f"no bubblewrap here: {error}")
    path = Path(vlcl_bench.__file__).parent / "data" / "manifests" / "dev-food.parquet"
    ended = run(NATIVE.format(path=str(path)), "--isolation", kind)
    assert ended.code == 0, ended.err
    found = {line["read"] for line in record("run")["log"]}
    assert found == ({b"PAR1".hex()} if kind == "process" else {"nothing"})


def test_a_backbones_modules_on_the_search_path_are_found_and_stay_closed_to_the_method(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vlcl_bench.backbones.template import rendered

    library = tmp_path / "library"
    library.mkdir()
    (library / "my_sizes.py").write_text("SIDE = 48\n")
    (library / "my_secret.py").write_text("x = 1\n")
    backbone = tmp_path / "encoder.py"
    text = rendered("encoder", 48).replace("image_size = 48", "image_size = SIDE")
    backbone.write_text(text.replace("import torch\n", "import torch\nfrom my_sizes import SIDE\n", 1))
    monkeypatch.syspath_prepend(library)
    run = ("run", "--protocol", "tiny", "--backbone", backbone, *PROCESS, "--method")
    ended = vlcl(*run, method_file(tmp_path, "    pass"))
    assert ended.code == 0, ended.err
    curious = method_file(tmp_path, "    import my_secret", name="curious.py")
    ended = vlcl(*run, curious)
    assert ended.code == 4
    assert f"--allow-read {library}" in ended.err
    assert vlcl(*run, curious, "--allow-read", library).code == 0
    reader = method_file(tmp_path, f"    open({str(library / 'my_secret.py')!r})", name="reader.py")
    ended = vlcl(*run, reader)
    assert ended.code == 4
    assert "it was refused" in ended.err
