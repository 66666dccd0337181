"""The audit hook: what it refuses, what it lets through on purpose, and what passes it unseen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sklearn

from vlcl_bench.engine.sandbox.audit import Boundary, Notice, Refusal, RefusedError
from vlcl_bench.engine.sandbox.deeds import EVENTS, LOOKING
from vlcl_bench.engine.sandbox.native_openers import OPENED_NATIVELY

START = """
import json, sys, os
from pathlib import Path
from vlcl_bench.engine.sandbox.audit import attempts, watch
own, scratch, secret = map(Path, sys.argv[1:])
os.chdir(scratch)
watch([own], [scratch])
said = ""
try:
{body}
except PermissionError as error:
    said = str(error)
sys.stderr.write(json.dumps([said, attempts()]))
"""


@dataclass(frozen=True)
class Told:
    """What was refused to the code, in the words of the error, and what the hook remembers."""

    said: str
    attempts: list[str]


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path, Path]:
    for name in ("own", "scratch", "secret"):
        (tmp_path / name).mkdir()
    (tmp_path / "own" / "notes.txt").write_text("mine")
    (tmp_path / "secret" / "labels.txt").write_text("hidden answer")
    return tmp_path / "own", tmp_path / "scratch", tmp_path / "secret"


def tried(places: tuple[Path, Path, Path], body: str) -> Told:
    code = START.format(body="".join(f"    {line}\n" for line in body.splitlines()))
    done = subprocess.run([sys.executable, "-c", code, *map(str, places)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return Told(*json.loads(done.stderr))


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("open(secret / 'labels.txt')", "read {secret}/labels.txt"),
        ("(secret / 'labels.txt').read_bytes()", "read {secret}/labels.txt"),
        ("os.open(secret / 'labels.txt', os.O_RDONLY)", "read {secret}/labels.txt"),
        ("open('../secret/labels.txt')", "read {secret}/labels.txt"),
        ("os.symlink(secret, 'link'); open('link/labels.txt')", "read {secret}/labels.txt"),
        ("open('/proc/self/cwd/../secret/labels.txt')", "read {secret}/labels.txt"),
        ("import mmap, io; io.open_code(str(secret / 'labels.txt'))", "read {secret}/labels.txt"),
        ("os.listdir(secret)", "list the folder {secret}"),
        ("list(os.scandir(secret))", "list the folder {secret}"),
        ("list(secret.iterdir())", "list the folder {secret}"),
        ("open(own / 'notes.txt', 'a')", "write {own}/notes.txt"),
        ("os.open(own / 'new', os.O_CREAT | os.O_RDWR)", "write {own}/new"),
        ("os.remove(secret / 'labels.txt')", "change {secret}/labels.txt"),
        ("os.rename(secret / 'labels.txt', 'labels')", "change {secret}/labels.txt"),
        ("os.link(secret / 'labels.txt', 'labels')", "change {secret}/labels.txt"),
        ("os.symlink('x', secret / 'y')", "change {secret}/y"),
        ("os.rmdir(scratch)", "change {scratch}"),
        ("import sqlite3; sqlite3.connect(secret / 'labels.txt')", "change {secret}/labels.txt"),
        (
            "import sqlite3; sqlite3.connect(f'file:{secret}/labels.txt?mode=ro', uri=True)",
            "change {secret}/labels.txt",
        ),
        ("import pyarrow; pyarrow.OSFile(str(secret / 'labels.txt'))", "read {secret}/labels.txt"),
        ("import pyarrow.parquet as pq; pq.read_table(secret / 'labels.txt')", "read {secret}/labels.txt"),
        (
            "import pyarrow.parquet as pq; pq.read_table(source=f'file://{secret}/labels.txt')",
            "read {secret}/labels.txt",
        ),
        ("import pyarrow.parquet as pq; pq.read_table('s3://bucket/labels')", "use the network"),
        ("import pyarrow.dataset as ds; ds.dataset([str(secret / 'labels.txt')])", "read {secret}/labels.txt"),
        ("import safetensors; safetensors.safe_open(str(secret / 'labels.txt'), 'np')", "read {secret}/labels.txt"),
        ("import safetensors.numpy as st; st.load_file(secret / 'labels.txt')", "read {secret}/labels.txt"),
        ("os.system('true')", "start a process (os.system: true)"),
        ("import subprocess; subprocess.run(['cat', 'x'])", "start a process (subprocess.Popen: cat)"),
        ("os.fork()", "start a process (os.fork)"),
        ("os.posix_spawn('/bin/true', ['true'], {{}})", "start a process (os.posix_spawn: /bin/true)"),
        ("os.execv('/bin/true', ['true'])", "start a process (os.exec: /bin/true)"),
        ("import socket; socket.socket()", "use the network (socket.__new__)"),
        ("import socket; socket.getaddrinfo('example.org', 80)", "use the network (socket.getaddrinfo: example.org)"),
        ("import urllib.request; urllib.request.urlopen('http://127.0.0.1:9/')", "use the network"),
        ("os.kill(os.getppid(), 9)", "send signal 9 to process"),
        ("open(f'/proc/{os.getppid()}/environ')", "read /proc/"),
        ("os.mkfifo('fifo')", "make a special file (os.mkfifo: fifo)"),
        ("import posix; posix.mknod('node')", "make a special file (os.mknod: node)"),
        ("import signal; signal.pidfd_send_signal(3, 9)", "send signal 9 to process 3"),
        ("import resource; resource.prlimit(os.getppid(), 4)", "set priorities or limits (resource.prlimit)"),
        ("os.setpriority(os.PRIO_PROCESS, os.getppid(), 5)", "set priorities or limits (os.setpriority)"),
        ("os.sched_setaffinity(os.getppid(), [0])", "set priorities or limits (os.sched_setaffinity)"),
        ("import readline; readline.read_history_file(secret / 'labels.txt')", "read {secret}/labels.txt"),
        ("import readline; readline.append_history_file(1, secret / 'x')", "write {secret}/x"),
        (
            "import multiprocessing as m; m.get_context('spawn').Process(target=print).start()",
            "start a process (_posixsubprocess.fork_exec",
        ),
        ("import sklearn.datasets as d; d.load_digits()", "read "),
    ],
)
def test_refused_by_name_and_remembered(body: str, what: str, places: tuple[Path, Path, Path]) -> None:
    own, scratch, secret = places
    body = body.replace("{{}}", "{}")
    told = tried(places, body)
    wanted = what.format(own=own, scratch=scratch, secret=secret)
    assert f"the method tried to {wanted}" in told.said
    assert any(attempt.startswith(wanted) for attempt in told.attempts)
    assert (secret / "labels.txt").read_text() == "hidden answer"


def test_an_attempt_that_was_swallowed_is_remembered(places: tuple[Path, Path, Path]) -> None:
    told = tried(places, "import contextlib\nwith contextlib.suppress(OSError):\n    open(secret / 'labels.txt')")
    assert told.said == ""
    assert told.attempts == [f"read {places[2]}/labels.txt"]


def test_what_a_method_needs_is_let_through(places: tuple[Path, Path, Path]) -> None:
    body = """
assert (own / 'notes.txt').read_text() == 'mine'
(scratch / 'a').mkdir(); (scratch / 'a' / 'b').write_text('x'); os.remove('a/b'); os.rmdir('a'); os.listdir(own)
import csv, decimal, sqlite3, tempfile, threading, xml.etree.ElementTree
import numpy, safetensors.numpy
sqlite3.connect(':memory:').close()
open('/dev/null', 'w').close(); open('/proc/self/status').read(); open('/proc/cpuinfo').read(); os.urandom(3)
os.kill(os.getpid(), 0)
""".strip()
    assert tried(places, body) == Told("", [])


def test_denied_wins_over_allowed(places: tuple[Path, Path, Path]) -> None:
    body = "watch([own, secret], [scratch], [secret])\nopen(secret / 'labels.txt')"
    assert "labels.txt" in tried(places, body).said


# One table and one rule for a run, which refuses, and for the contract tests, which notice.

READ, WRITE = os.O_RDONLY, os.O_WRONLY | os.O_CREAT


def examples(own: Path, scratch: Path, secret: Path) -> dict[str, tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]]:
    """For every event of the table: arguments that are refused, and arguments that are let through."""
    hidden, mine, kept = str(secret / "labels.txt"), str(own / "notes.txt"), str(scratch / "kept")
    system, records = "/usr/lib/os-release", str(own / "runs" / "x" / "run.json")
    digits = str(Path(sklearn.__file__).parent / "datasets" / "data" / "digits.csv.gz")
    package = Path(__file__).parents[2] / "vlcl_bench"
    examples_of: dict[str, tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]] = {
        "open": (
            [
                (hidden, "r", READ), (hidden.encode(), "rb", READ), (mine, "a", WRITE), (mine, None, WRITE),
                (records, "r", READ), (str(package / "protocols" / "mini-dev.toml"), "r", READ),
                (str(package / "board" / "reported_rows.csv"), "r", READ), ("/usr/bin/env", "r", READ),
                ("/proc/1/environ", "r", READ), ("/dev/null/../../root/x", "r", READ), (system, "w", WRITE),
                (digits, "r", READ),
            ],
            [
                (mine, "r", READ), (kept, "w", WRITE), (kept, "r", READ), (system, "r", READ), (3, "r", READ),
                (os.devnull, "w", WRITE), (json.__file__, "r", READ), (str(package / "tasks.py"), "r", READ),
                (f"/proc/{os.getpid()}/status", "r", READ),
            ],
        ),
        OPENED_NATIVELY: ([(hidden,), ("s3://bucket/labels",), (f"file://{hidden}",)], [(mine,), (f"file://{mine}",)]),
        "os.symlink": ([("x", hidden, -1)], [(hidden, kept, -1)]),
        "sqlite3.connect": ([(hidden,), (f"file:{hidden}?mode=ro",)], [(kept,), (":memory:",), ("file::memory:",)]),
        "os.kill": ([(1, 9)], [(os.getpid(), 0)]),
        "os.killpg": ([(1, 9)], [(os.getpid(), 0)]),
        "signal.pidfd_send_signal": ([(4, 9), (os.getpid(), 9)], []),
        "os.sched_setaffinity": ([(1, {0})], [(0, {0}), (os.getpid(), {0})]),
        "resource.prlimit": ([(1, 4, (0, 0))], [(0, 4), (os.getpid(), 4, (0, 0))]),
        "readline.read_history_file": ([(hidden,)], [(mine,), (kept,), ()]),
        "readline.read_init_file": ([(hidden,)], [(mine,), ()]),
        "readline.write_history_file": ([(hidden,), (mine,)], [(kept,), ()]),
        "readline.append_history_file": ([(3, hidden)], [(3, kept), (3,)]),
    }  # fmt: skip
    for event, rule in EVENTS.items():
        if event in examples_of:
            continue
        if rule.deed == "list":
            examples_of[event] = (
                [(str(secret),), (str(own / "runs"),)],
                [(str(own),), (str(scratch),), (4,), ("/usr/bin",)],
            )
        elif rule.deed == "change":
            examples_of[event] = ([(hidden, hidden), (str(scratch), kept), (mine, mine)], [(kept, kept)])
        else:
            examples_of[event] = ([("true", 80), ()], [])
    return examples_of


@pytest.mark.parametrize("event", EVENTS)
def test_what_a_run_refuses_is_exactly_what_the_contract_tests_notice(
    event: str, places: tuple[Path, Path, Path]
) -> None:
    own, scratch, _ = places
    refused, allowed = examples(*places)[event]
    assert refused
    boundary = Boundary([own], [scratch], [own / "runs", Path(__file__).parents[2] / "vlcl_bench" / "protocols"])
    for arguments in refused:
        refusal, notice = Refusal(boundary), Notice(boundary)
        notice.doing = "learning"
        with pytest.raises(RefusedError, match="the method tried to "):
            refusal(event, arguments)
        attempt, *_ = boundary.attempts(event, arguments)
        assert refusal.attempts == noticed(notice, event, arguments, attempt.deed in LOOKING)
        assert notice.seen[str(attempt)] == f"{attempt.done} while learning"
    for arguments in allowed:
        refusal, notice = Refusal(boundary), Notice(boundary)
        refusal(event, arguments)
        notice(event, arguments)
        assert (refusal.attempts, notice.seen) == ([], {})


def noticed(notice: Notice, event: str, arguments: tuple[Any, ...], goes_on: bool) -> list[str]:
    """What the contract tests notice; only what looks goes on."""
    if goes_on:
        notice(event, arguments)
    else:
        with pytest.raises(RefusedError):
            notice(event, arguments)
    return list(notice.seen)


def test_events_that_are_not_in_the_table_say_nothing(places: tuple[Path, Path, Path]) -> None:
    boundary = Boundary([places[0]], [places[1]])
    assert not list(boundary.attempts("object.__getattr__", (places[2],)))


def test_the_hook_of_the_contract_tests_sleeps_and_openers_are_put_back(places: tuple[Path, Path, Path]) -> None:
    import pyarrow

    own, scratch, secret = places
    notice, before = Notice(Boundary([own], [scratch])), pyarrow.OSFile
    with notice.over("learning"):
        assert (secret / "labels.txt").read_text() == "hidden answer"
        pyarrow.OSFile(str(secret / "labels.txt")).close()
        with pytest.raises(RefusedError):
            os.remove(secret / "labels.txt")
    assert pyarrow.OSFile is before
    assert (secret / "labels.txt").read_text() == "hidden answer"
    os.listdir(secret)
    path = secret / "labels.txt"
    assert list(notice.seen.values()) == [f"opens {path} while learning", f"changes {path} (os.remove) while learning"]


# What passes the hook, and meets the fences of the kernel (tests/flows/test_adversaries.py). Whoever closes one of
# these moves the test up and corrects docs/isolation.md.

MISSES = {
    "the C library through ctypes": """
import ctypes
libc = ctypes.CDLL(None)
number = libc.open(str(secret / 'labels.txt').encode(), 0)
assert os.read(number, 13) == b'hidden answer'
""",
    "a native reader of another package past its usual names": """
import pyarrow.fs
with pyarrow.fs.LocalFileSystem().open_input_file(str(secret / 'labels.txt')) as file:
    assert file.read() == b'hidden answer'
""",
    "a folder's number with a path that the hook reads otherwise": """
os.makedirs('a/b')
os.chdir('a/b')
number = os.open(own, os.O_RDONLY)
(scratch / 'a' / 'secret').mkdir()
(scratch / 'a' / 'secret' / 'labels.txt').write_text('decoy')
read = os.open('../secret/labels.txt', os.O_RDONLY, dir_fd=number)
assert os.read(read, 13) == b'hidden answer'
""",
    "whether a file is there, and how large it is": """
assert os.stat(secret / 'labels.txt').st_size == 13
""",
}


def test_databases_are_not_attached_to_each_other(places: tuple[Path, Path, Path]) -> None:
    body = """
import sqlite3
base = sqlite3.connect(scratch / 'mine')
base.execute('create table t (a)')
try:
    base.execute(f"attach '{secret}/labels.txt' as other")
except sqlite3.OperationalError as error:
    assert 'attached databases' in str(error)
else:
    raise AssertionError
""".strip()
    assert tried(places, body) == Told("", [])


@pytest.mark.parametrize("way", MISSES)
def test_a_known_miss_is_not_caught(way: str, places: tuple[Path, Path, Path]) -> None:
    assert tried(places, MISSES[way].strip()) == Told("", [])
