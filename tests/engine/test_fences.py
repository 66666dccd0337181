"""The fences of the kernel: what the filter says of calls, what may be opened, and what is left where neither is."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from vlcl_bench.engine.accounting import run_fences
from vlcl_bench.engine.sandbox import seccomp
from vlcl_bench.engine.sandbox.fences import Policy, words_on_missing
from vlcl_bench.engine.sandbox.landlock import open_places
from vlcl_bench.engine.sandbox.syscalls import ARCHITECTURES, NEWEST, NUMBERS, Architecture
from vlcl_bench.engine.sandbox.worker_process import WorkerProcess

ME = 4711
EPERM, ENOSYS = seccomp.REFUSE | errno.EPERM, seccomp.REFUSE | errno.ENOSYS
THREAD, PROCESS, VFORK = 0x3D0F00, 17, 0x4111
"""Flags with which the C library makes a thread, ``fork`` a child and ``posix_spawn`` one that shares memory."""


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda known: known.name)
@pytest.mark.parametrize(
    ("call", "arguments", "verdict"),
    [
        ("execve", (), EPERM), ("execveat", (), EPERM), ("fork", (), EPERM), ("vfork", (), EPERM),
        ("clone3", (), ENOSYS),
        ("clone", (THREAD,), seccomp.ALLOW), ("clone", (PROCESS,), EPERM), ("clone", (VFORK,), EPERM),
        ("clone", (THREAD | 0x40000000,), EPERM), ("clone", (THREAD | 0x2000,), EPERM), ("clone", (0,), EPERM),
        ("clone", (THREAD | 1 << 40,), seccomp.ALLOW),  # the kernel, too, looks at the lower half only
        ("kill", (ME, 9), seccomp.ALLOW), ("kill", (ME + 1, 9), EPERM), ("kill", (0, 9), EPERM),
        ("kill", (-1, 9), EPERM),
        ("tgkill", (ME, 5000, 6), seccomp.ALLOW), ("tgkill", (1, 1, 6), EPERM), ("pidfd_send_signal", (3, 9), EPERM),
        ("prlimit64", (0,), seccomp.ALLOW), ("prlimit64", (ME,), seccomp.ALLOW), ("prlimit64", (1,), EPERM),
        ("sched_setaffinity", (0,), seccomp.ALLOW), ("sched_setaffinity", (1,), EPERM), ("setpriority", (0, 0), EPERM),
        ("prctl", (15,), seccomp.ALLOW), ("prctl", (1, 0), EPERM), ("prctl", (36,), EPERM), ("prctl", (22,), EPERM),
        ("prctl", (0x53564D41,), seccomp.ALLOW), ("ioctl", (0, 0x5401), seccomp.ALLOW), ("ioctl", (0, 0x5412), EPERM),
        ("fcntl", (3, 1), seccomp.ALLOW), ("fcntl", (3, 8, 1), EPERM), ("socket", (1,), EPERM), ("setuid", (0,), EPERM),
        ("mknodat", (), EPERM), ("io_uring_setup", (), EPERM), ("ptrace", (), EPERM), ("bpf", (), EPERM),
    ],
)  # fmt: skip
def test_what_the_filter_says(architecture: Architecture, call: str, arguments: tuple[int, ...], verdict: int) -> None:
    number = architecture.number(call)
    if number is not None:
        made = seccomp.filter_for(architecture, ME)
        assert made.verdict(architecture.audit, number, arguments) == verdict


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda known: known.name)
def test_other_calls_pass_newer_ones_are_unknown_and_other_processors_end(architecture: Architecture) -> None:
    made = seccomp.filter_for(architecture, ME)
    listed = {architecture.number(call) for call in NUMBERS}
    for number in range(NEWEST + 1):
        if number not in listed:
            assert made.verdict(architecture.audit, number) == seccomp.ALLOW
    for number in (NEWEST + 1, 1000, 0x40000000 | 39, -1):  # the third is x32's
        assert made.verdict(architecture.audit, number) == ENOSYS
    for other in (0x40000003, *(known.audit for known in ARCHITECTURES if known is not architecture)):
        assert made.verdict(other, 39) == seccomp.KILL
    assert len(made.packed()) == 8 * len(made.instructions) < 8 * 4096


@pytest.mark.parametrize(
    ("column", "header"),
    [(0, "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), (1, "/usr/include/asm-generic/unistd.h")],
)
def test_the_numbers_are_the_kernels(column: int, header: str) -> None:
    if not Path(header).exists():
        pytest.skip(f"no {header} here")
    text = Path(header).read_text()
    known = {name: int(number) for name, number in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)}
    mine = {call: numbers[column] for call, numbers in NUMBERS.items()}
    assert mine == {call: known.get(call) for call in NUMBERS}


# What may be opened


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a/x", "a/b/y", "a/b/c/z", "d/w"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "a" / "link").symlink_to(tmp_path / "d")
    return tmp_path


@pytest.mark.parametrize(
    ("roots", "hidden", "left"),
    [
        (["a"], [], ["a"]),
        (["a"], ["d"], ["a"]),
        (["a"], ["a"], []),
        (["a/b"], ["a"], []),
        (["a"], ["a/b"], ["a/x"]),
        (["a"], ["a/b/c"], ["a/b/y", "a/x"]),
        (["a"], ["a/b/c/z"], ["a/b/y", "a/x"]),
        (["a"], ["a/later"], ["a/b", "a/x"]),
        (["a", "a/link"], ["a/x"], ["a/b", "d"]),  # a link is what it leads to, and only where it is named
        (["a/x", "none"], ["none/x"], ["a/x"]),
    ],
)
def test_places_without_what_is_hidden(tree: Path, roots: list[str], hidden: list[str], left: list[str]) -> None:
    def whole(places: list[str]) -> list[str]:
        return [str(tree / place) for place in places]

    assert list(open_places(whole(roots), whole(hidden))) == whole(left)


def test_a_policy_crosses_as_text_and_without_one_nothing_is_granted() -> None:
    policy = Policy(["/a b", "/ü"], ["/h"], late=True)
    assert Policy.heard(policy.told()) == policy
    assert Policy.heard("") == Policy()


# What is said and recorded


def test_what_is_missing_is_said() -> None:
    assert words_on_missing({}) == ""
    said = words_on_missing({"seccomp": "too old"})
    assert said == (
        "fences that are missing here: seccomp (too old), so that new processes and sockets are not held; the record "
        "says so"
    )


def test_a_record_names_the_fences_that_held_in_every_stage() -> None:
    both, one = {"fences": ["audit", "seccomp"]}, {"fences": ["audit"]}
    assert run_fences([both, both]) == ["audit", "seccomp"]
    assert run_fences([both, one]) == ["audit"]
    assert run_fences([both, {}]) == run_fences([{}]) == run_fences([]) == []


# Where the kernel does not filter calls


WARDEN = """
import os, subprocess, sys, time
from vlcl_bench.engine.sandbox.warden import stay_behind
stay_behind()
daemon = "import os, time; os.setsid(); os.fork() and (time.sleep(0.5), os._exit(0))"
daemon += "; print(os.getpid(), flush=True); time.sleep(300)"
subprocess.run([sys.executable, "-c", daemon])
{end}
"""


@pytest.mark.skipif(sys.platform != "linux", reason="orphans fall to a warden on Linux only")
@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("os._exit(7)", 7),
        ("os.kill(os.getpid(), 9)", 128 + 9),
        ("time.sleep(300)", 128 + 9),
        ("kill the harness", None),
    ],
)
def test_what_was_started_does_not_outlive_the_method(end: str, code: int | None) -> None:
    last = "time.sleep(300)" if end == "kill the harness" else end
    program = [sys.executable, "-c", WARDEN.format(end=last)]
    if end == "kill the harness":
        program = [sys.executable, "-c", f"import subprocess; subprocess.run({program!r})"]
    started = subprocess.Popen(program, stdout=subprocess.PIPE, text=True)
    assert started.stdout is not None
    orphan = int(started.stdout.readline())
    assert psutil.pid_exists(orphan) or code == 7
    if "sleep" in last:
        os.kill(started.pid, signal.SIGKILL if end == "kill the harness" else signal.SIGTERM)
    ended = started.wait(20)
    assert code is None or ended == code
    deadline = time.monotonic() + 20
    while psutil.pid_exists(orphan) and psutil.Process(orphan).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.02)


BARE = """
import ctypes, os, sys, time
from vlcl_bench.engine.sandbox import landlock, seccomp, worker
seccomp.why_not = lambda: "no filters here"
landlock.version = lambda: 0
def serve(self):
    self.line.next_call()
    self.fences.last([], [])
    if not ctypes.CDLL(None).fork():
        os.setsid()
        time.sleep(300)
    self.line.send({"reply": True, "held": self.fences.held, "missing": self.fences.missing, "pid": os.getpid()})
    time.sleep(300)
worker.Worker.serve = serve
sys.argv = ["worker", sys.argv[1]]
worker.main()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="orphans fall to a warden on Linux only")
def test_without_fences_of_the_kernel_it_is_said_and_a_warden_ends_what_was_started() -> None:
    process = WorkerProcess(wrap=lambda command, scratch: [sys.executable, "-P", "-c", BARE, command[-1]])
    try:
        told = process.call({"call": "start"}, doing="starting").header
        assert told["held"] == ["audit"]
        assert told["missing"] == {"landlock": "this kernel has no Landlock", "seccomp": "no filters here"}
        assert told["pid"] != process.pid
        left = psutil.Process(process.pid).children(recursive=True)
        assert len(left) == 2
    finally:
        process.close()
    assert [one for one in left if one.is_running() and one.status() != psutil.STATUS_ZOMBIE] == []
