"""The audit hook: what it refuses, what it lets through on purpose, and what passes it unseen."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

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
    ],
)
def test_refused_by_name_and_remembered(body: str, what: str, places: tuple[Path, Path, Path]) -> None:
    own, scratch, secret = places
    body = body.replace("{{}}", "{}")
    found = tried(places, body)
    wanted = what.format(own=own, scratch=scratch, secret=secret)
    assert f"the method tried to {wanted}" in found.said
    assert any(attempt.startswith(wanted) for attempt in found.attempts)
    assert (secret / "labels.txt").read_text() == "hidden answer"


def test_an_attempt_that_was_swallowed_is_remembered(places: tuple[Path, Path, Path]) -> None:
    found = tried(places, "import contextlib\nwith contextlib.suppress(OSError):\n    open(secret / 'labels.txt')")
    assert found.said == ""
    assert found.attempts == [f"read {places[2]}/labels.txt"]


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


# What passes. Whoever closes one of these moves the test up and mends docs/isolation.md.

MISSES = {
    "the C library through ctypes": """
import ctypes
libc = ctypes.CDLL(None)
number = libc.open(str(secret / 'labels.txt').encode(), 0)
assert os.read(number, 13) == b'hidden answer'
""",
    "a native reader of another package": """
import pyarrow
with pyarrow.OSFile(str(secret / 'labels.txt')) as file:
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


@pytest.mark.parametrize("way", MISSES)
def test_a_known_miss_is_not_caught(way: str, places: tuple[Path, Path, Path]) -> None:
    assert tried(places, MISSES[way].strip()) == Told("", [])
