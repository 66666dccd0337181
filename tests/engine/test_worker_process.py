"""The harness's end of a method's process: whatever that process does, the harness goes on and nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from vlcl_bench.engine.sandbox import limits
from vlcl_bench.engine.sandbox.worker_process import WorkerProcess, worker_environment
from vlcl_bench.errors import MachineError, MethodError, UsageError

CHILD = """
import json, os, socket, struct, sys, time
line = socket.socket(fileno=int(sys.argv[1]))
def exactly(count):
    data = b""
    while len(data) < count:
        part = line.recv(count - len(data))
        if not part:
            os._exit(0)
        data += part
    return data
def receive():
    told = json.loads(exactly(struct.unpack(">I", exactly(4))[0]))
    return told, [exactly(int(__import__("math").prod(a["shape"])) * 1) for a in told["arrays"]]
def send(header, data=b"", arrays=()):
    text = json.dumps({{**header, "arrays": list(arrays)}}).encode()
    line.sendall(struct.pack(">I", len(text)) + text + data)
first = receive()
{body}
time.sleep(60)
"""
DOING = "learning task 2, 'food'"
Start = Callable[..., WorkerProcess]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a process with this program in place of a method's."""
    begun: list[WorkerProcess] = []

    def one(body: str, **settings: Any) -> WorkerProcess:
        seconds = settings.pop("seconds", 60.0)
        program = CHILD.format(body=body)
        begun.append(
            WorkerProcess(wrap=lambda command, scratch: [sys.executable, "-c", program, command[-1]], **settings)
        )
        begun[-1].seconds = seconds
        return begun[-1]

    yield one
    for process in begun:
        process.close()
        assert not psutil.pid_exists(process.pid)
        assert not process.scratch.exists()


def call(process: WorkerProcess, **more: Any) -> Any:
    return process.call({"call": "learn"}, doing=DOING, **more)


def test_a_call_is_answered_and_printing_does_not_disturb_it(start: Start, capfd: pytest.CaptureFixture[str]) -> None:
    told = {"dtype": "uint8", "shape": [3]}
    process = start(f"print('hello'); os.write(1, b'again')\nsend({{'reply': True, 'x': 1}}, b'abc', [{told}])")
    reply = call(process, most=3)
    assert (reply.header["x"], bytes(reply.arrays[0])) == (1, b"abc")
    process.close()
    out, err = capfd.readouterr()
    assert (out, "again" in err) == ("", True)


def test_large_arrays_cross_while_the_child_talks(start: Start) -> None:
    body = "for n in range(2000): send({'progress': [n, 2000, 'x' * 50]})\nsend({'reply': True, 'n': len(first[1][0])})"
    seen: list[int] = []
    reply = start(body).call(
        {"call": "x"}, [np.zeros(20_000_000, np.uint8)], doing=DOING, progress=lambda done, *_: seen.append(done)
    )
    assert reply.header["n"] == 20_000_000
    assert seen == list(range(2000))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("os._exit(3)", "ended with exit code 3"),
        ("sys.exit(0)", "ended with exit code 0"),
        ("os.kill(os.getpid(), 11)", "was ended by signal 11 (SIGSEGV)"),
        ("os.kill(os.getpid(), 9)", "was ended by signal 9 (SIGKILL), which is what the system does where memory"),
        ("raise ValueError('oh')", "ended with exit code 1"),
        ("line.sendall(b'\\x00\\x00\\x00\\x05{'); os._exit(2)", "ended with exit code 2"),
    ],
)
def test_a_crash_is_told_with_the_place(body: str, said: str, start: Start) -> None:
    with pytest.raises(MethodError) as caught:
        call(start(body))
    assert f"the method's process {said}" in caught.value.message
    assert caught.value.message.endswith(f"while {DOING}")
    assert "the same command goes on from there" in str(caught.value.hint)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("body", ["time.sleep(60)", "while True: pass", "while True: send({'progress': [1, 2, '']})"])
def test_a_hang_ends_with_the_time_limit(body: str, start: Start) -> None:
    process, began = start(body, seconds=0.5), time.monotonic()
    with pytest.raises(MethodError, match=r"ended after 0.5 seconds while learning task 2, 'food'"):
        call(process)
    assert time.monotonic() - began < 20
    assert not psutil.pid_exists(process.pid)


def test_the_harness_takes_its_own_time(start: Start) -> None:
    process = start("send({'ask': 'synthesise'}); receive(); send({'reply': True})", seconds=5)
    process.seconds = 1.0

    def slow(message: Any) -> Any:
        time.sleep(1.5)
        return {}, []

    assert call(process, handlers={"synthesise": slow}).header == {"reply": True}


def test_too_much_memory_ends_the_process(start: Start) -> None:
    process = start("data = b'x' * 300_000_000\ntime.sleep(60)", memory=200_000_000)
    with pytest.raises(MethodError, match=r"while learning task 2, 'food': it had \d+ MiB in memory, .* is 191 MiB"):
        call(process)
    assert process.peak > 200_000_000


def test_memory_of_what_it_started_counts(start: Start) -> None:
    body = "import subprocess\nsubprocess.Popen([sys.executable, '-c', 'x = b\"x\" * 300_000_000; input()'], stdin=-1)"
    process = start(body + "\ntime.sleep(60)", memory=200_000_000)
    with pytest.raises(MethodError, match="in memory"):
        call(process)


PICKLE = """
import pickle
class Evil:
    def __reduce__(self): return os.system, ('touch {path}',)
data = pickle.dumps(Evil())
"""


@pytest.mark.parametrize(
    "body",
    [
        "line.sendall(b'\\xff' * 100)",
        "send({'neither': 1})",
        "send({'ask': 'labels'})",
        "send({'progress': 'fast'})",
        "send({'progress': [1.5, 2, 'x']})",
        "send({'reply': True}, b'abcd', [{'dtype': 'uint8', 'shape': [4]}])",
        "send({'reply': True}, b'', [{'dtype': 'uint8', 'shape': [1 << 38]}])",
        PICKLE + "line.sendall(data)",
        PICKLE + "line.sendall(struct.pack('>I', len(data)) + data)",
        PICKLE + "send({'reply': True}, data, [{'dtype': 'object', 'shape': [1]}])",
    ],
)
def test_what_is_no_reply_is_refused_and_never_unpickled(body: str, start: Start, tmp_path: Path) -> None:
    with pytest.raises(MethodError, match=r"sent something else than a reply while learning task 2"):
        call(start(body.replace("{path}", str(tmp_path / "touched"))), most=3)
    assert not (tmp_path / "touched").exists()


def test_errors_come_over_as_plain_text(start: Start) -> None:
    body = "send({'error': 'UsageError', 'message': 'no \\x1b[31msetting\\x07', 'hint': None}); receive()"
    body += "\nsend({'error': 'SystemExit', 'message': 'x' * 9000, 'hint': 'h'})"
    process = start(body)
    with pytest.raises(UsageError) as first:
        call(process)
    assert (first.value.message, first.value.hint) == ("no ?[31msetting?", None)
    with pytest.raises(MethodError) as second:
        call(process)
    assert len(second.value.message) == 4000


def test_words_on_the_progress_cannot_break_the_display(start: Start) -> None:
    seen: list[str] = []
    process = start("send({'progress': [1, 2, '[/red]\\x1b[2J\\n' + 'y' * 99]}); send({'reply': True})")
    call(process, progress=lambda done, total, word: seen.append(word))
    assert len(seen) == 1
    assert len(seen[0]) == 60
    assert not set("[\x1b\n") & set(seen[0])


def test_nothing_of_the_user_is_in_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (
        "HF_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "VLCL_STORE",
        "VLCL_DATA_HOME",
        "VLCL_DATA_ROOT",
        "SSH_AUTH_SOCK",
    ):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    found = worker_environment(tmp_path)
    assert "secret" not in found.values()
    assert found["OMP_NUM_THREADS"] == "1"


def test_clearing_the_scratch_folder_follows_no_link(start: Start, tmp_path: Path) -> None:
    process = start("send({'reply': True})")
    (tmp_path / "kept").write_text("x")
    (process.scratch / "link").symlink_to(tmp_path)
    (process.scratch / "deep" / "er").mkdir(parents=True)
    (process.scratch / "deep" / "er" / "file").write_text("x")
    process.clear_scratch()
    assert list(process.scratch.iterdir()) == []
    assert (tmp_path / "kept").exists()


def test_interrupting_the_harness_ends_the_process(start: Start) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    process = start("send({'progress': [1, 2, '']})")
    with pytest.raises(KeyboardInterrupt):
        call(process, progress=interrupt)
    assert not psutil.pid_exists(process.pid)


HARNESS = """
import os, sys
from vlcl_bench.engine.sandbox.worker import die_with_parent
from vlcl_bench.engine.sandbox.worker_process import WorkerProcess
program = "from vlcl_bench.engine.sandbox.worker import die_with_parent; die_with_parent()"
program += "; import time; print('up', flush=True); time.sleep(300)"
process = WorkerProcess(wrap=lambda command, scratch: [sys.executable, "-c", program])
print(process.pid, flush=True)
process.call({"call": "x"}, doing="x")
"""


def test_killing_the_harness_ends_the_process(tmp_path: Path) -> None:
    harness = subprocess.Popen(
        [sys.executable, "-c", HARNESS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert harness.stdout is not None
    assert harness.stderr is not None
    pid = int(harness.stdout.readline())
    assert harness.stderr.readline().strip() == "up"
    harness.send_signal(signal.SIGKILL)
    harness.wait()
    deadline = time.monotonic() + 20
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_process_that_cannot_be_started() -> None:
    with pytest.raises(MachineError, match="cannot be started"):
        WorkerProcess(wrap=lambda command, scratch: ["/no/such/program"])


@pytest.mark.parametrize(
    ("text", "size"), [("8GiB", 8 << 30), ("500MB", 500_000_000), ("1.5 gib", 3 << 29), ("1000", 1000), ("none", None)]
)
def test_amounts_of_memory(text: str, size: int | None) -> None:
    assert limits.parse_bytes(text) == size


@pytest.mark.parametrize("text", ["8 apples", "", "GiB", "-1", "0", "1e3GB", "1_0GiB", "1_000"])
def test_no_amount_of_memory(text: str) -> None:
    with pytest.raises(UsageError, match="--memory-limit 8GiB"):
        limits.parse_bytes(text)


def test_time_limits() -> None:
    assert limits.Limits().seconds_at("mini") == 1800
    assert limits.Limits(limits.parse_seconds("2.5")).seconds_at("full") == 2.5
    assert limits.Limits(limits.parse_seconds("none")).seconds_at("mini") == float("inf")
    for text in ("0", "-3", "soon", "nan", "inf", "1_0", "1e400"):
        with pytest.raises(UsageError, match="--time-limit 600"):
            limits.parse_seconds(text)
