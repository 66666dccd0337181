"""``vlcl sweep``: what is planned, what is skipped, what runs at once, what is told; and real runs, interrupted."""

from __future__ import annotations

import fcntl
import io
import itertools
import json
import shutil
import signal
import sys
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.fakes import FakeDataSet, replace_reference
from support.harness import TINY, World, method_file, tree, vlcl

from vlcl_bench.cli.sweep import final_table, live_table, progress_table, rows
from vlcl_bench.common.progress import Reporter
from vlcl_bench.engine.prepare import Request
from vlcl_bench.errors import UsageError
from vlcl_bench.mini.world import REFERENCE
from vlcl_bench.records.files import read_record
from vlcl_bench.sweep import runner
from vlcl_bench.sweep.plan import Planned, SweepFile, plan, read_sweep
from vlcl_bench.sweep.runner import Job, first_state, log_path, run_all

RECORD = min(Path(__file__).parents[2].glob("submissions/zero_shot/runs/*/run.json"))
BROKEN = """
    def start(self, task, ctx):
        raise ValueError("it broke")
"""


@pytest.fixture(autouse=True)
def _quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "PAUSE", 0.02)
    monkeypatch.setattr(runner, "REST", 0.05)


def sweep_file(folder: Path, text: str) -> Path:
    path = folder / "sweep.toml"
    path.write_text(text)
    return path


def block(methods: list[str], protocol: str = "tiny", more: str = "") -> str:
    return f"[[runs]]\nprotocols = {json.dumps([protocol])}\nmethods = {json.dumps(methods)}\n{more}\n"


def planned_from(folder: Path, text: str, submissions: Path = Path("nowhere")) -> list[Planned]:
    base = Request(protocol="", method="", device="cpu", runs=Path("runs"))
    return plan(read_sweep(sweep_file(folder, text)), base, submissions, Reporter())


def table_block(rows: str, method: str = "zero_shot") -> str:
    """A table on the tiny protocol; of l2 where its rows have a weight."""
    method = "l2" if "weight" in rows or "again" in rows else method
    return f'[[tables]]\ntitle = "Strengths"\nprotocol = "tiny"\nmethod = "{method}"\nrows = [{rows}]\n'


# The file


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot be read"),
        ("[[runs", "not valid TOML"),
        ("\udcff", "not valid TOML"),
        ("", r"neither a \[\[runs\]\] block nor"),
        ("runs = []", r"neither a \[\[runs\]\] block nor"),
        ('[[tables]]\ntitle = "t"\nprotocol = "tiny"\nmethod = "l2"\nrows = []', "tables.0.rows: "),
        (table_block(rows='{ name = "a", published = [1, 2] }'), r"tables.0.rows.0.published"),
        ('[[runs]]\nprotocols = ["tiny"]', "methods: Field required"),
        ('[[runs]]\nprotocols = []\nmethods = ["finetune"]', "protocols: "),
        (block(["finetune"], more="seeds = ['one']"), "seeds.0: "),
        (block(["finetune"], more="settings = {}"), "settings: "),
        (block(["finetune"], more="seed = 1"), "seed: Extra inputs"),
        ("at_once = 3\n" + block(["finetune"]), "at_once: Extra inputs"),
    ],
)
def test_a_file_that_is_no_sweep_is_refused_with_an_example(text: str | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "sweep.toml"
    if text is not None:
        path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UsageError, match=words) as refused:
        read_sweep(path)
    assert str(path) in refused.value.message
    assert 'methods = ["finetune", "zscl"]' in refused.value.hint


def test_the_example_of_the_refusal_is_a_sweep(tmp_path: Path) -> None:
    from vlcl_bench.sweep.plan import EXAMPLE

    assert len(read_sweep(sweep_file(tmp_path, EXAMPLE)).runs) == 1


COMMITTED = sorted(RECORD.parents[3].glob("*.toml"))


@pytest.mark.parametrize("path", COMMITTED, ids=[path.stem for path in COMMITTED])
def test_the_committed_sweeps_ask_for_methods_settings_and_protocols_that_exist(path: Path) -> None:
    from vlcl_bench.engine.prepare import Request
    from vlcl_bench.methods.card import make_settings
    from vlcl_bench.methods.registry import load_method
    from vlcl_bench.protocols.load import protocol_names
    from vlcl_bench.sweep.plan import requests

    for request in requests(read_sweep(path), Request(protocol="", method="")):
        assert request.protocol in protocol_names()
        make_settings(load_method(request.method), request.settings, "mini")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (block(["fintune"]), "fintune"),
        (block(["finetune"], protocol="tini"), "tini"),
        (block(["l2"], more="settings = [{ wight = 1 }]"), "wight"),
    ],
)
def test_a_wrong_name_anywhere_ends_the_sweep_before_it_begins(text: str, words: str, world: World) -> None:
    ended = vlcl("sweep", sweep_file(Path(), block(["zero_shot"]) + text))
    assert ended.code == 2
    assert words in ended.err
    assert not Path("runs").exists()


# The plan


def test_runs_are_planned_in_the_files_order_seeds_first(world: World, tmp_path: Path) -> None:
    text = block(["l2", "finetune"], more="seeds = [3, 1]\nsettings = [{}, { label_smoothing = 0.1 }]")
    found = planned_from(tmp_path, block(["zero_shot"]) + text)
    expected = [("zero_shot", {}, 0)]
    expected += [(m, s, k) for m in ("l2", "finetune") for s in ({}, {"label_smoothing": 0.1}) for k in (3, 1)]
    assert [(one.request.method, one.request.settings, one.request.seed) for one in found] == expected
    assert len({one.run_hash for one in found}) == len(found)
    assert {one.stages for one in found} == {3}


def test_the_same_run_is_planned_once_however_it_is_written(world: World, tmp_path: Path) -> None:
    text = block(["finetune", "finetune"], more="settings = [{}, { label_smoothing = 0.2 }]\nseeds = [0, 0]")
    found = planned_from(tmp_path, text + block(["finetune"]))
    assert [one.request.settings for one in found] == [{}]


def test_a_planned_run_is_the_one_that_vlcl_run_does(world: World, tmp_path: Path, unbroken: Path) -> None:
    found = planned_from(tmp_path, block(["finetune"]))[0]
    assert found.run_hash == read_record(unbroken).run_hash
    assert found.folder == Path("runs") / found.run_hash


@pytest.mark.slow
def test_a_planned_run_with_reference_data_is_the_one_that_vlcl_run_does(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = FakeDataSet(REFERENCE, train=12, test=0, side=48, captioned=True)
    replace_reference(monkeypatch, dataset)
    before = set(world.store.glob(f"{REFERENCE}-*"))
    found = planned_from(tmp_path, block(["zscl"], more="settings = [{ reference_pictures = 5 }]"))[0]
    assert set(world.store.glob(f"{REFERENCE}-*")) == before
    line = ("--protocol", "tiny", "--method", "zscl", "--set", "reference_pictures=5", "--device", "cpu")
    ended = vlcl("run", *line)
    assert ended.code == 0, ended.err
    record = read_record(found.folder)
    assert found.run_hash == record.run_hash
    fingerprint = dataset.manifest().fingerprint()[:16]
    assert record.identity.reference == {
        "pictures": f"{REFERENCE} 12 {fingerprint}, 5 of 12",
        "texts": f"{REFERENCE} 24 {fingerprint}",  # one, two, three captions in turn
    }
    assert set(world.store.glob(f"{REFERENCE}-*")) > before


def test_the_command_of_a_run_is_read_back_as_what_was_planned() -> None:
    from vlcl_bench.methods.card import parse_settings

    settings = {"flag": True, "weight": 0.5, "count": 3, "kind": "feature", "none": None}
    request = Request(protocol="p", method="m", settings=settings, seed=7, backbone="b", store=Path("s"))
    line = runner.command(request)
    found = parse_settings([line[place + 1] for place, word in enumerate(line) if word == "--set"])
    assert found == settings
    pairs = dict(itertools.pairwise(line))
    expected = {"--protocol": "p", "--method": "m", "--seed": "7", "--backbone": "b", "--store": "s"}
    assert expected.items() <= pairs.items()


# Skipping, and doing nothing


def states(ended: Any) -> dict[str, str]:
    return {one["method"]: one["state"] for one in ended.json["runs"]}


def test_committed_and_finished_runs_are_not_done_again(
    world: World, tmp_path: Path, unbroken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner.subprocess, "Popen", lambda *given, **named: pytest.fail("a process was started"))
    digest = read_record(unbroken).run_hash
    path = sweep_file(tmp_path, block(["finetune"]))
    for place, state in (("runs", "done"), ("submissions/mine/runs", "committed")):
        shutil.copytree(unbroken, tmp_path / place / digest)
        ended = vlcl("sweep", path, "--json")
        assert ended.code == 0, ended.err
        assert states(ended) == {"finetune": state}
        metrics = read_record(unbroken).scores["metrics"]
        assert ended.json["runs"][0]["metrics"] == {key: metrics[key] for key in ("transfer", "avg", "last", "bwt")}


def test_a_dry_run_starts_nothing_and_writes_nothing(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner.subprocess, "Popen", lambda *given, **named: pytest.fail("a process was started"))
    path = sweep_file(tmp_path, block(["finetune", "zero_shot"], more="seeds = [0, 1]"))
    before = tree(tmp_path)
    ended = vlcl("sweep", path, "--dry-run")
    assert ended.code == 0, ended.err
    assert ended.out.count("waiting") == 4
    assert tree(tmp_path) == before
    assert states(vlcl("sweep", path, "--dry-run", "--json")) == {"finetune": "waiting", "zero_shot": "waiting"}


def test_a_dry_run_with_reference_data_leaves_an_empty_store_empty(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    path = sweep_file(tmp_path, block(["zscl"], protocol="mini-mtil-1"))
    before = tree(tmp_path)
    folders = ("--store", store, "--runs", tmp_path / "runs", "--submissions", tmp_path / "submissions")
    ended = vlcl("sweep", path, "--dry-run", "--json", *folders)
    assert ended.code == 0, ended.err
    assert states(ended) == {"zscl": "waiting"}
    assert not list(store.iterdir())
    assert tree(tmp_path) == before


# Processes, with small programs in place of runs


def small_jobs(folder: Path, count: int) -> list[Job]:
    found = []
    for number in range(count):
        request = Request(protocol="p", method=f"m{number}", seed=number, runs=folder)
        found.append(Job(Planned(request, f"hash{number}", folder / f"hash{number}", 2, None), "waiting"))
    return found


def programs(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Run a program in place of every run: ``folder`` is the run's, ``record`` a record to be copied there."""
    head = "import os, pathlib, shutil, sys, time; folder, record = map(pathlib.Path, sys.argv[1:])\n"

    def command(request: Request) -> list[str]:
        folder = request.runs / f"hash{request.seed}"
        return [sys.executable, "-S", "-c", head + text, str(folder), str(RECORD)]

    monkeypatch.setattr(runner, "command", command)


FINISH = "folder.mkdir(); shutil.copy(record, folder)\n"


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_no_more_than_so_many_run_at_once(at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = "mark = folder.with_suffix('.alive'); mark.touch(); time.sleep(0.3); mark.unlink()\n"
    programs(monkeypatch, FINISH + mark)
    jobs, seen, processes = small_jobs(tmp_path, 5), [], []

    def look() -> None:
        seen.append(len(list(tmp_path.glob("*.alive"))))
        processes.append(sum(job.process is not None and job.process.poll() is None for job in jobs))

    run_all(jobs, at_once, 1, look)
    assert max(seen) <= at_once
    assert max(processes) == at_once
    assert [job.state for job in jobs] == ["done"] * 5
    assert all(job.record is not None and job.record.title == read_record(RECORD.parent).title for job in jobs)


def test_runs_are_started_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs(monkeypatch, FINISH + "open(folder.parent / 'order', 'a').write(folder.name[-1])")
    run_all(small_jobs(tmp_path, 4), 1, 1, lambda: None)
    assert (tmp_path / "order").read_text() == "0123"


def test_a_run_is_given_its_threads_and_its_own_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs(monkeypatch, FINISH + "print(os.environ['OMP_NUM_THREADS'], file=sys.stderr); print('not this')")
    (job,) = jobs = small_jobs(tmp_path, 1)
    run_all(jobs, 1, 3, lambda: None)
    assert log_path(job.planned).read_text() == "3\n"


@pytest.mark.parametrize(
    ("said", "told"),
    [("error: it broke\\nAsk someone.", "it broke"), ("Segmentation fault", "Segmentation fault"), ("", "code 4")],
)
def test_a_failing_run_is_told_with_its_error_and_the_others_are_done(
    said: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail = f"if folder.name == 'hash1': sys.stderr.write('{said}'); sys.exit(4)\n"
    programs(monkeypatch, fail + FINISH)
    jobs = small_jobs(tmp_path, 3)
    run_all(jobs, 2, 1, lambda: None)
    assert [job.state for job in jobs] == ["done", "failed", "done"]
    assert told in jobs[1].error
    assert "Ask" not in jobs[1].error


@pytest.fixture(autouse=True)
def _own_signals() -> Iterator[None]:
    """A sweep takes over SIGTERM and SIGHUP for its process, which here is that of all tests."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


ERROR = "error: it broke\n"


def killed_by(name: str) -> str:
    return f"import signal; os.kill(os.getpid(), signal.{name}); time.sleep(60)"


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (killed_by("SIGKILL"), "killed by signal 9 (SIGKILL)"),
        ("sys.stderr.write('3 of 40\\n'); sys.stderr.flush(); " + killed_by("SIGKILL"), "killed by signal 9 (SIGKILL)"),
        (killed_by("SIGRTMIN + 1"), f"killed by signal {signal.SIGRTMIN + 1}"),
        ("sys.exit(3)", "ended with code 3"),
        ("sys.exit('error: it broke again')", "it broke again"),
    ],
)
def test_a_run_is_told_with_the_error_of_this_attempt(
    now: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs(monkeypatch, now)
    (job,) = jobs = small_jobs(tmp_path, 1)
    log = log_path(job.planned)
    log.parent.mkdir()
    log.write_text(ERROR)
    run_all(jobs, 1, 1, lambda: None)
    assert (job.state, job.error) == ("failed", told)
    assert log.read_text().startswith(ERROR)


def test_a_run_that_left_no_record_where_it_was_planned_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs(monkeypatch, "")
    (job,) = jobs = small_jobs(tmp_path, 1)
    run_all(jobs, 1, 1, lambda: None)
    assert job.state == "failed"
    assert "changed since the sweep began" in job.error


def test_sigterm_ends_a_sweep_as_ctrl_c_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs(monkeypatch, "folder.with_suffix('.alive').touch(); time.sleep(60)")
    (job,) = jobs = small_jobs(tmp_path, 1)

    def look() -> None:
        if (tmp_path / "hash0.alive").exists():
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        run_all(jobs, 1, 1, look)
    assert job.process is not None
    assert job.process.poll() == -signal.SIGTERM


def test_sighup_ends_a_sweep_unless_it_is_ignored_as_nohup_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs(monkeypatch, FINISH)
    raised = lambda: signal.raise_signal(signal.SIGHUP)  # noqa: E731
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    (job,) = jobs = small_jobs(tmp_path, 1)
    run_all(jobs, 1, 1, raised)
    assert job.state == "done"
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    shutil.rmtree(job.planned.folder)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    with pytest.raises(KeyboardInterrupt):
        run_all(small_jobs(tmp_path, 1), 1, 1, raised)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


def test_a_handler_that_is_not_pythons_is_left_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs(monkeypatch, FINISH)
    (job,) = jobs = small_jobs(tmp_path, 1)
    with monkeypatch.context() as patch:
        patch.setattr(runner.signal, "getsignal", lambda number: None)
        patch.setattr(runner.signal, "signal", lambda *given: pytest.fail("a handler was replaced"))
        run_all(jobs, 1, 1, lambda: None)
    assert job.state == "done"


def test_an_interruption_ends_the_processes_and_starts_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs(monkeypatch, "folder.with_suffix('.alive').touch(); time.sleep(60)")
    jobs = small_jobs(tmp_path, 4)

    def look() -> None:
        if len(list(tmp_path.glob("*.alive"))) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_all(jobs, 2, 1, look)
    assert [job.process is not None and job.process.poll() for job in jobs[:2]] == [-signal.SIGTERM] * 2
    assert [job.state for job in jobs] == ["waiting"] * 4
    assert [job.process for job in jobs[2:]] == [None, None]


def test_a_process_that_does_not_end_when_asked_is_made_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); folder.with_suffix('.alive').touch()\n"
    programs(monkeypatch, deaf + "time.sleep(60)")
    monkeypatch.setattr(runner, "PATIENCE", 0.2)
    (job,) = jobs = small_jobs(tmp_path, 1)

    def look() -> None:
        if (tmp_path / "hash0.alive").exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_all(jobs, 1, 1, look)
    assert job.process is not None
    assert job.process.poll() == -signal.SIGKILL


def test_stages_are_counted_from_the_journal(tmp_path: Path) -> None:
    (job,) = small_jobs(tmp_path, 1)
    assert job.stages_done() == 0
    job.planned.folder.mkdir()
    journal = job.planned.folder / "journal.jsonl"
    for events, expected in ((["started"], 0), (["learned", "evaluated"], 1), (["evaluated"], 2)):
        with journal.open("a") as file:
            file.writelines(json.dumps({"event": event}, separators=(",", ":")) + "\n" for event in events)
        assert job.stages_done() == expected


# The tables that a file asks for


def test_a_table_of_the_file_holds_its_own_runs_beside_published_values() -> None:
    from vlcl_bench.sweep.tables import markdown, results

    text = """
[[runs]]
protocols = ["tiny"]
methods = ["l2", "finetune"]
seeds = [0, 1]

[[tables]]
title = "Strengths"
protocol = "tiny"
method = "l2"
seeds = [0, 1]
note = "Two of them."
rows = [{ name = "usual", published = [1.0, 2.0, 3.0] }, { name = "weak", settings = { weight = 0.1 } }]

[[tables]]
title = "Another"
protocol = "tiny"
method = "finetune"
rows = [{ name = "only" }, { name = "not done", method = "zero_shot" }]
"""
    asked = SweepFile.model_validate(tomllib.loads(text))
    # Places 0 to 3 are the block's runs, of which the tables ask again: l2 (0, 1) as 4 and 5, finetune (2) as 8.
    values = {(0, 4): 10.0, (1, 5): 12.0, (2, 8): 30.0, (3,): 99.0, (6,): 20.0, (7,): 26.0}
    jobs = [
        SimpleNamespace(
            planned=SimpleNamespace(places=places),
            record=SimpleNamespace(scores={"metrics": dict.fromkeys(("transfer", "avg", "last"), value)}),
        )
        for places, value in values.items()
    ]
    jobs.append(SimpleNamespace(planned=SimpleNamespace(places=(9,)), record=None))
    strengths, another = results(asked, jobs)
    usual, weak = strengths["rows"]
    assert (usual["n"], usual["avg"]) == (2, {"mean": 11.0, "deviation": pytest.approx(2**0.5)})
    assert usual["bwt"] == {"mean": None, "deviation": None}
    assert usual["published"] == {"transfer": 1.0, "avg": 2.0, "last": 3.0}
    assert (weak["avg"]["mean"], weak["published"]) == (23.0, None)
    only, missing = another["rows"]
    assert (only["n"], only["last"]) == (1, {"mean": 30.0, "deviation": None})
    assert (missing["n"], missing["last"]["mean"]) == (0, None)
    written = markdown([strengths, another])
    assert "### Strengths (tiny)\n\nTwo of them.\n" in written
    assert "| usual | 2 | 11.0 ± 1.4 | 11.0 ± 1.4 | 11.0 ± 1.4 | – | 1.0 | 2.0 | 3.0 |" in written
    assert "| weak | 2 | 23.0 ± 4.2 | 23.0 ± 4.2 | 23.0 ± 4.2 | – | – | – | – |" in written
    assert "| not done | 0 | – | – | – | – |" in written


def test_a_table_may_show_other_columns_and_the_difference_to_a_row(tmp_path: Path, monkeypatch: Any) -> None:
    from vlcl_bench.sweep import tables

    text = """
[[tables]]
title = "Against"
protocol = "tiny"
method = "l2"
seeds = [0, 1]
columns = ["last", "bleu4.last", "bytes"]
against = "base"
rows = [{ name = "better" }, { name = "base", method = "finetune" }, { name = "alike" }, { name = "not done" }]
"""
    asked = SweepFile.model_validate(tomllib.loads(text))
    rng = np.random.default_rng(0)
    base = rng.random((2, 3, 400)) < 0.5  # seeds, stages, samples of one task of two
    better = base | (rng.random(base.shape) < 0.3)
    answers = {0: better[0], 1: better[1], 2: base[0], 3: base[1], 4: base[1], 5: base[0]}

    def scores(place: int) -> dict[str, Any]:
        return {"one": 100.0 * answers[place], "two": 100.0 * answers[place][:, ::-1]}

    monkeypatch.setattr("vlcl_bench.records.files.read_predictions", lambda path: int(path.parent.name))
    key = SimpleNamespace(item_scores=scores)
    monkeypatch.setattr("vlcl_bench.records.streams.stream_of", lambda folder, record, protocol: None)
    monkeypatch.setattr("vlcl_bench.sweep.tables.ground_truth", lambda protocol: key)
    jobs = [
        SimpleNamespace(
            planned=SimpleNamespace(places=(place,), request=SimpleNamespace(seed=place % 2)),
            folder=tmp_path / str(place),
            record=SimpleNamespace(
                scores={"metrics": {"last": 1.0}, "bleu4": {"metrics": {"last": 20.0 + place}}},
                footprint=SimpleNamespace(bytes_between_tasks=1000 * (place + 1)),
            ),
        )
        for place in answers
    ]
    (found,) = tables.results(asked, jobs)
    first, second, third, fourth = found["rows"]
    assert (first["bleu4.last"]["mean"], first["bytes"]["mean"]) == (20.5, 1500.0)
    gained = 100 * (better[:, 2].mean() - base[:, 2].mean())
    assert first["against"]["difference"] == pytest.approx(gained)
    assert first["against"]["low"] < gained < first["against"]["high"]
    assert first["against"]["p"] == pytest.approx(1e-4)
    assert first["against"]["p_corrected"] == pytest.approx(2e-4)  # of two rows that are compared
    assert third["against"]["difference"] == pytest.approx(0)
    assert third["against"]["p_corrected"] > 0.05
    assert second["against"] is None
    assert fourth["against"] is None
    lines = tables.markdown([found]).splitlines()
    assert lines[2] == "|  | n | Last | BLEU-4 Last | bytes kept | Last against base |"
    assert lines[4].startswith("| better | 2 | 1.0 ± 0.0 | 20.5 ± 0.7 | 1,500 | +")
    assert lines[4].endswith(r", p \< 0.001 |")
    assert lines[5].endswith("| 3,500 |  |")
    assert lines[6].endswith(", n.s. |")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('columns = ["best"]', "there is no column 'best'"),
        ('against = "nothing"', "against names no row"),
        ('by = "luck"', "by"),
    ],
)
def test_a_table_that_names_what_there_is_not_is_refused(line: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "sweep.toml"
    path.write_text(table_block(rows='{ name = "a" }') + line + "\n")
    with pytest.raises(UsageError, match=words):
        read_sweep(path)


def test_the_runs_of_tables_are_planned_after_the_blocks_and_once(world: World, tmp_path: Path) -> None:
    rows = '{ name = "again" }, { name = "other", settings = { weight = 0.5 } }'
    found = planned_from(tmp_path, block(["l2"]) + table_block(rows=rows))
    assert [(one.request.settings, one.places) for one in found] == [({}, (0, 1)), ({"weight": 0.5}, (2,))]


def test_a_sweep_writes_its_tables_as_markdown(world: World, tmp_path: Path, unbroken: Path) -> None:
    record = read_record(unbroken)
    shutil.copytree(unbroken, tmp_path / "runs" / record.run_hash)
    table = table_block(rows='{ name = "nothing done", published = [69.4, 65.3, 65.3] }', method="finetune")
    out = tmp_path / "table.md"
    ended = vlcl("sweep", sweep_file(tmp_path, table), "--markdown", out)
    assert ended.code == 0, ended.err
    assert "Strengths (tiny)" in ended.out
    line = next(line for line in out.read_text().splitlines() if line.startswith("| nothing done | 1 | "))
    assert f" {record.scores['metrics']['avg']:.1f} |" in line
    assert line.endswith("| 69.4 | 65.3 | 65.3 |")


def test_markdown_of_a_file_without_tables_is_refused(world: World, tmp_path: Path) -> None:
    ended = vlcl("sweep", sweep_file(tmp_path, block(["zero_shot"])), "--markdown", tmp_path / "t.md")
    assert (ended.code, "asks for no tables" in ended.err) == (2, True)


# The table at the end


def finished_job(words: tuple[str, str, str, str], **metrics: float | None) -> Any:
    planned = SimpleNamespace(words=words, request=SimpleNamespace(backbone=None))
    return SimpleNamespace(planned=planned, record=SimpleNamespace(scores={"metrics": metrics}), state="done")


def test_rows_are_means_over_seeds_with_the_sample_deviation() -> None:
    jobs = [
        finished_job(("p", "m", "", str(seed)), transfer=value, avg=2 * value, last=10.0, bwt=None)
        for seed, value in enumerate((1.0, 2.0, 6.0))
    ]
    jobs.append(finished_job(("p", "m", "a=1", "0"), transfer=5.0, avg=6.0, last=7.0, bwt=-8.0))
    jobs.append(SimpleNamespace(planned=SimpleNamespace(words=("p", "m", "", "3")), record=None, state="failed"))
    first, second = rows(jobs)
    # Mean 3; squares of the distances 4 + 1 + 9 = 14, by two.
    assert first["transfer"] == {"mean": 3.0, "deviation": pytest.approx(7**0.5)}
    assert first["avg"] == {"mean": 6.0, "deviation": pytest.approx(2 * 7**0.5)}
    assert first["last"] == {"mean": 10.0, "deviation": 0.0}
    assert first["bwt"] == {"mean": None, "deviation": None}
    assert (first["n"], first["settings"]) == (3, "")
    assert (second["n"], second["settings"], second["bwt"]) == (1, "a=1", {"mean": -8.0, "deviation": None})


def shown(table: Any, width: int = 120) -> list[str]:
    """The lines of a table on a terminal."""
    from rich.console import Console

    console = Console(width=width, record=True, file=io.StringIO())
    console.print(table)
    return console.export_text().splitlines()


def test_the_final_table_has_a_line_for_each_row() -> None:
    jobs = [finished_job(("p", "m", "", str(k)), transfer=v, avg=v, last=v, bwt=v) for k, v in ((0, 50.0), (1, 54.0))]
    assert "\n".join(shown(final_table(jobs))).count("52.0 ± 2.8") == 4


def test_runs_on_different_backbones_are_told_apart(tmp_path: Path) -> None:
    record, jobs = read_record(RECORD.parent), []
    for number, backbone in enumerate((None, "own.pt", None, "own.pt", "other.pt")):
        request = Request("p", "m", {"weight": 2}, seed=number, backbone=backbone)
        planned = Planned(request, f"hash{number}", tmp_path / f"hash{number}", 2, None)
        jobs.append(Job(planned, "done", record=record))
    assert jobs[0].planned.words == ("p", "m", "weight=2", "0")
    assert jobs[1].planned.words == ("p", "m", "backbone=own.pt, weight=2", "1")
    found = [(row["backbone"], row["settings"], row["n"]) for row in rows(jobs)]
    assert found == [
        (None, "weight=2", 2),
        ("own.pt", "backbone=own.pt, weight=2", 2),
        ("other.pt", "backbone=other.pt, weight=2", 1),
    ]
    told = "\n".join(shown(final_table(jobs)))
    assert told.count("own.pt") == told.count("other.pt") == 1


# The table while it goes


def sixty(folder: Path) -> list[Job]:
    """A sweep in its midst: 20 done, 5 committed, 4 failed, 6 running, 25 to come; the failed ones lie between."""
    jobs = small_jobs(folder, 60)
    states = ["done"] * 20 + ["committed"] * 5 + ["failed"] * 4 + ["running"] * 6 + ["waiting"] * 25
    for job, state in zip(jobs, states, strict=True):
        job.state = state  # type: ignore[assignment]
        job.planned.request.settings["a_long_setting"] = "long word " * 20
    return jobs


def methods_in(lines: list[str]) -> list[int]:
    """Numbers of the runs that have a line."""
    return [int(line.split()[1][1:]) for line in lines if line.startswith("p ")]


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize(
    ("lines", "listed"),
    [
        (24, [*range(29, 35), *range(25, 29), *range(35, 47)]),  # running, failed, the next ones
        (12, [*range(29, 35), *range(25, 29)]),
        (10, [*range(29, 35), 27, 28]),  # the last ones that failed
        (5, [29, 30, 31]),
        (2, []),
        (1, []),
    ],
)
def test_of_more_runs_than_lines_the_running_failed_and_next_are_shown(
    lines: int, listed: list[int], width: int, tmp_path: Path
) -> None:
    found = shown(live_table(sixty(tmp_path), lines), width)
    assert len(found) <= lines
    assert found[0] == "60 runs: 6 running, 4 failed, 25 waiting, 20 done, 5 committed"
    assert methods_in(found) == listed
    assert sum("of 2 stages" in line for line in found) == min(6, len(listed))


def test_where_all_runs_have_a_line_all_are_shown(tmp_path: Path) -> None:
    found = shown(live_table(sixty(tmp_path), 61))
    assert len(found) == 61
    assert methods_in(found) == list(range(60))


def test_a_dry_run_shows_all_runs_with_all_their_settings(tmp_path: Path) -> None:
    told = " ".join("\n".join(shown(progress_table(sixty(tmp_path)))).split())
    assert told.count("long") >= 60 * 20


def test_a_failed_run_makes_the_exit_code_4_and_the_others_are_in_the_table(
    world: World, tmp_path: Path, unbroken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = read_record(unbroken)
    copy = f"import shutil; shutil.copytree({str(unbroken)!r}, {str(tmp_path / 'runs' / record.run_hash)!r})"
    fail = "import sys; sys.stderr.write('error: it broke'); sys.exit(4)"
    monkeypatch.setattr(runner, "command", lambda r: [sys.executable, "-c", copy if r.method == "finetune" else fail])
    path = sweep_file(tmp_path, block(["zero_shot", "finetune"]))
    ended = vlcl("sweep", path, "--json")
    assert ended.code == 4
    assert "failed: tiny zero_shot 0: it broke" in ended.err
    assert states(ended) == {"zero_shot": "failed", "finetune": "done"}
    assert [one["error"] for one in ended.json["runs"]] == ["it broke", None]
    (row,) = ended.json["rows"]
    assert (row["method"], row["n"]) == ("finetune", 1)
    assert row["avg"] == {"mean": record.scores["metrics"]["avg"], "deviation": None}
    again = vlcl("sweep", path)  # without --json, and with one of the two done
    assert again.code == 4
    assert "finetune" in again.out


# Real runs, each in a fresh process


@pytest.mark.slow
def test_an_interrupted_sweep_goes_on_and_ends_as_an_unbroken_run(
    world: World, tmp_path: Path, unbroken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    protocol = tmp_path / "tiny.toml"
    protocol.write_text(TINY)
    broken = method_file(tmp_path, BROKEN, name="broken.py")
    path = sweep_file(tmp_path, block(["finetune", str(broken)], protocol=str(protocol)))
    line = ("sweep", path, "--json", "--jobs", 2, "--threads", torch.get_num_threads(), "--device", "cpu")

    def interrupted(jobs: list[Job], at_once: int, threads: int, look: Any) -> None:
        def watch() -> None:
            look()
            if jobs[0].stages_done() == 1:
                raise KeyboardInterrupt

        run_all(jobs, at_once, threads, watch)

    with monkeypatch.context() as patch:
        patch.setattr(runner, "run_all", interrupted)
        first = vlcl(*line)
    assert first.code == 130, first.err
    folder = tmp_path / "runs" / read_record(unbroken).run_hash
    assert (folder / "journal.jsonl").exists()
    assert not (folder / "run.json").exists()

    ended = vlcl(*line)
    assert ended.code == 4, ended.err
    assert [one["state"] for one in ended.json["runs"]] == ["done", "failed"]
    assert "it broke" in ended.json["runs"][1]["error"]
    assert (folder / "predictions.parquet").read_bytes() == (unbroken / "predictions.parquet").read_bytes()
    assert read_record(folder).cost.resumed == 1
    assert not list(folder.glob("stage-*"))  # no state is kept of a sweep's runs unless asked for


# Runs that another process is doing


def test_the_engine_says_of_a_held_folder_what_a_sweep_listens_for(tmp_path: Path) -> None:
    from vlcl_bench.engine.run_folder import locked

    with (tmp_path / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(UsageError) as refused, locked(tmp_path, None):  # type: ignore[arg-type]
            pytest.fail("the lock was taken twice")
    assert refused.value.message.startswith(runner.AT_WORK)


def test_looking_at_a_lock_sees_its_holder_and_no_other_looker(tmp_path: Path) -> None:
    (job,) = small_jobs(tmp_path, 1)
    assert not runner.is_held(job.planned)
    job.planned.folder.mkdir()
    assert not runner.is_held(job.planned)
    with (job.planned.folder / ".lock").open("w") as handle:
        assert not runner.is_held(job.planned)
        fcntl.flock(handle, fcntl.LOCK_SH)
        assert not runner.is_held(job.planned)
        fcntl.flock(handle, fcntl.LOCK_EX)
        assert runner.is_held(job.planned)


TRIES = "tries = folder.with_suffix('.tries'); open(tries, 'a').write('x'); tried = len(tries.read_text())\n"
REFUSE = "sys.stderr.write(f'error: another process is at work in {folder}\\nWait.\\n'); sys.exit(2)\n"


def tries(folder: Path, number: int = 0) -> int:
    path = folder / f"hash{number}.tries"
    return len(path.read_text()) if path.exists() else 0


def test_a_run_that_another_process_was_first_to_begin_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs(monkeypatch, TRIES + f"if folder.name == 'hash0' and tried == 1: {REFUSE}" + FINISH)
    jobs = small_jobs(tmp_path, 2)
    run_all(jobs, 1, 1, lambda: None)
    assert [(job.state, job.error) for job in jobs] == [("done", "")] * 2
    assert [tries(tmp_path, number) for number in (0, 1)] == [2, 1]


def test_a_run_is_not_tried_again_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs(monkeypatch, TRIES + REFUSE)
    monkeypatch.setattr(runner, "RETURNS", 2)
    (job,) = jobs = small_jobs(tmp_path, 1)
    run_all(jobs, 1, 1, lambda: None)
    assert job.state == "failed"
    assert job.error == f"another process is at work in {job.planned.folder}"
    assert tries(tmp_path) == 3


def test_a_run_that_is_refused_rests_before_it_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs(monkeypatch, TRIES + f"if tried == 1: {REFUSE}" + FINISH)
    monkeypatch.setattr(runner, "REST", 0.3)
    (job,) = jobs = small_jobs(tmp_path, 1)
    looks = []
    run_all(jobs, 1, 1, lambda: looks.append((job.state, job.rests_until, job.started)))
    assert "waiting" in [state for state, _, _ in looks]
    until = max(until for _, until, _ in looks)
    assert job.started >= until > 0


@pytest.mark.parametrize("finishes", [True, False])
def test_a_failing_run_whose_folder_another_process_holds_is_left_to_that_process(
    finishes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs(monkeypatch, TRIES + "time.sleep(0.1); sys.stderr.write('error: it broke\\n'); sys.exit(4)")
    (job,) = jobs = small_jobs(tmp_path, 1)
    job.planned.folder.mkdir()
    with (job.planned.folder / ".lock").open("w") as handle:

        def look() -> None:
            if job.process is not None and not job.returns and not handle.closed:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            elif job.returns and not handle.closed:
                assert (job.state, job.process) == ("waiting", None)
                if finishes:
                    concluded(job.planned)
                handle.close()

        run_all(jobs, 1, 1, look)
    # Where the other process gives up, the run is tried once more, and its error is its own.
    assert (job.state, job.error) == (("done", "") if finishes else ("failed", "it broke"))
    assert tries(tmp_path) == (1 if finishes else 2)


def test_a_failing_run_that_another_process_finished_meanwhile_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = "(folder / 'journal.jsonl').write_text('{\"event\":\"finished\"}\\n')\n"
    programs(monkeypatch, FINISH + finish + REFUSE)
    (job,) = jobs = small_jobs(tmp_path, 1)
    run_all(jobs, 1, 1, lambda: None)
    assert (job.state, job.error) == ("done", "")


def test_two_sweeps_at_once_do_each_run_once_and_both_end_with_all_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "import fcntl; time.sleep(0.1); folder.mkdir(exist_ok=True); lock = open(folder / '.lock', 'w')\n"
    text += "try: fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)\nexcept OSError: " + REFUSE
    text += "journal = folder / 'journal.jsonl'\n"
    text += "if journal.exists(): sys.exit(0)\n"
    text += TRIES + "time.sleep(0.1); shutil.copy(record, folder)\n"
    programs(monkeypatch, text + 'journal.write_text(\'{"event":"finished"}\\n\')')
    sweeps = [small_jobs(tmp_path, 3) for _ in range(2)]
    threads = [threading.Thread(target=run_all, args=(jobs, 2, 1, lambda: None)) for jobs in sweeps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [[(job.state, job.error) for job in jobs] for jobs in sweeps] == [[("done", "")] * 3] * 2
    assert [tries(tmp_path, number) for number in range(3)] == [1, 1, 1]


def concluded(planned: Planned) -> None:
    """What a finished run leaves, as far as a sweep looks."""
    planned.folder.mkdir(exist_ok=True)
    shutil.copy(RECORD, planned.folder)
    (planned.folder / "journal.jsonl").write_text('{"check":"0","event":"finished"}\n')


def test_a_run_that_another_process_is_doing_is_waited_for_and_not_done_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs(monkeypatch, "(folder.parent / (folder.name + '.started')).touch()\n" + FINISH)
    jobs = small_jobs(tmp_path, 2)
    held = jobs[0].planned
    held.folder.mkdir()
    handle = (held.folder / ".lock").open("w")
    fcntl.flock(handle, fcntl.LOCK_EX)
    looks = []

    def look() -> None:
        looks.append(jobs[0].state)
        if jobs[1].state == "done" and not handle.closed and len(looks) > 2:
            concluded(held)
            handle.close()

    run_all(jobs, 1, 1, look)
    assert looks[0] == "waiting"
    assert [job.state for job in jobs] == ["done", "done"]
    assert (tmp_path / "hash1.started").exists()
    assert not (tmp_path / "hash0.started").exists()


def test_a_run_whose_holder_was_killed_is_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs(monkeypatch, "folder.mkdir(exist_ok=True); shutil.copy(record, folder)\n")
    jobs = small_jobs(tmp_path, 1)
    jobs[0].planned.folder.mkdir()
    handle = (jobs[0].planned.folder / ".lock").open("w")
    fcntl.flock(handle, fcntl.LOCK_EX)
    run_all(jobs, 1, 1, handle.close)
    assert jobs[0].state == "done"
    assert jobs[0].process is not None


def test_a_record_without_the_journals_last_word_is_not_finished(tmp_path: Path) -> None:
    (job,) = small_jobs(tmp_path, 1)
    concluded(job.planned)
    assert first_state(job.planned).state == "done"
    (job.planned.folder / "journal.jsonl").write_text('{"check":"0","event":"evaluated","stage":1}\n')
    assert first_state(job.planned).state == "waiting"
