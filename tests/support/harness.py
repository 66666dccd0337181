"""What the tests of the engine and the command line share: a tiny protocol, commands, processes to kill."""

from __future__ import annotations

import functools
import importlib
import io
import itertools
import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

TASKS = ("dev-food", "dev-activities")
STEPS, BATCH, EVALUATION_BATCH = 4, 8, 50
SCORED_BATCHES = 14
"""Batches of test pictures a stage: 100 and 200 pictures in batches of at most 50, and of each data set three that are
asked again."""
FINISHED_FILES = {".lock", "journal.jsonl", "predictions.parquet", "run.json", f"stage-{len(TASKS):02d}"}

TINY = f"""
name = "tiny"
version = 1
title = "two tasks for tests"
description = "Short enough to be run often."
source = "mini"
scale = "mini"
backbone = "vlcl-mini/v1"
tasks = {json.dumps(TASKS)}
evaluation_batch = {EVALUATION_BATCH}
ranked = false

[budget]
steps = {STEPS}
batch_size = {BATCH}
learning_rate = 3e-4
warmup = 1
ensemble_interval = 1
reference_batch = 8
auxiliary_size = 40

[augmentation]
scale = [0.9, 1.0]
ratio = [0.75, 1.3333333333333333]
"""

METHOD = """
import sys

import numpy as np
import torch

from vlcl_bench.methods import LossMethod, Method


class Mine({base}):
    title = "Mine"

{body}
"""


@dataclass(frozen=True)
class World:
    """Folders that runs of one test session share: protocols with ``tiny`` among them, and decoded pictures."""

    protocols: Path
    store: Path


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code (negative: the signal that killed it) and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be JSON and nothing else."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Sabotage:
    """What to do to the process at the ``call``-th call of a function, before it or ``after`` it.

    ``target`` is ``module:name`` or ``module:Class.name``. ``kill`` and ``stop`` are the signals, ``interrupt``
    is Ctrl-C.
    """

    target: str
    call: int = 1
    action: Literal["kill", "stop", "interrupt"] = "kill"
    after: bool = False

    def install(self, set_attribute: Callable[[Any, str, Any], object] = setattr) -> None:
        """Wrap the function; in a test's own process give ``monkeypatch.setattr``."""
        module, _, path = self.target.partition(":")
        *parents, name = path.split(".")
        owner = functools.reduce(getattr, parents, importlib.import_module(module))
        original, calls = getattr(owner, name), itertools.count(1)

        @functools.wraps(original)
        def wrapped(*arguments: Any, **named: Any) -> Any:
            now = next(calls) == self.call
            if now and not self.after:
                self._act()
            result = original(*arguments, **named)
            if now and self.after:
                self._act()
            return result

        set_attribute(owner, name, wrapped)

    def _act(self) -> None:
        if self.action == "interrupt":
            raise KeyboardInterrupt
        os.kill(os.getpid(), signal.SIGKILL if self.action == "kill" else signal.SIGSTOP)


def vlcl(*arguments: object) -> Ended:
    """``vlcl`` with these arguments in this process, through its entry point; the environment is as before after it."""
    from vlcl_bench.cli import main

    out, err, code = io.StringIO(), io.StringIO(), 0
    line = ["vlcl", *map(str, arguments)]
    # `--debug` sets a variable, for child processes: the next test would print tracebacks.
    environment = patch.dict(os.environ)
    with environment, patch.object(sys, "argv", line), redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    return Ended(code, out.getvalue(), err.getvalue())


def enter(world: World, monkeypatch: Any) -> None:
    """Make the session's protocols and store the defaults."""
    monkeypatch.setattr("vlcl_bench.protocols.load.FOLDER", world.protocols)
    monkeypatch.setenv("VLCL_STORE", str(world.store))


def isolate(monkeypatch: Any, home: Path) -> None:
    """Keep what this machine remembers in ``home``, and look for real data nowhere."""
    monkeypatch.setenv("VLCL_DATA_HOME", str(home))
    # A method's file would have a process of its own, which is slow and out of reach for a test that changes something.
    monkeypatch.setenv("VLCL_ISOLATION", "inline")
    for name in ("VLCL_DATA_ROOT", "VLCL_HUB_ROOT"):
        monkeypatch.delenv(name, raising=False)


class Child:
    """``vlcl`` in a process of its own, forked from one that has the imports behind it."""

    def __init__(self, world: World, output: Path, *arguments: object, sabotage: Sabotage | None = None) -> None:
        output.mkdir(parents=True, exist_ok=True)
        self.output = output
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(
            ["harness", "open_clip", "vlcl_bench.engine.run", "vlcl_bench.cli.app", "vlcl_bench.cli.show"]
        )
        line = ["vlcl", *map(str, arguments)]
        home = os.environ["VLCL_DATA_HOME"]
        self.process = context.Process(target=_work, args=(world, output, line, os.getcwd(), home, sabotage))
        self.process.start()

    def wait(self, seconds: float = 300) -> Ended:
        """Wait for its end."""
        self.process.join(seconds)
        if self.process.exitcode is None:
            self.kill()
            raise TimeoutError((self.output / "err").read_text())
        return Ended(self.process.exitcode, (self.output / "out").read_text(), (self.output / "err").read_text())

    def wait_until_stopped(self, seconds: float = 120) -> None:
        """Wait until a sabotage of the kind ``stop`` has struck."""
        deadline = time.monotonic() + seconds
        while Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            if time.monotonic() > deadline or self.process.exitcode is not None:
                raise TimeoutError((self.output / "err").read_text())
            time.sleep(0.02)

    def go_on(self) -> None:
        """Continue after ``stop``."""
        os.kill(self._pid(), signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL, if it has not ended."""
        self.process.kill()
        self.process.join()

    def _pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid


def _work(world: World, output: Path, line: list[str], folder: str, home: str, sabotage: Sabotage | None) -> None:
    """In the child: its own output files, the session's protocols and pictures, then the command."""
    # A shell that starts the tests in the background makes them ignore SIGINT; a user's terminal does not.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from vlcl_bench.cli import main
    from vlcl_bench.protocols import load

    for number, name in ((1, "out"), (2, "err")):
        file = os.open(output / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
    os.chdir(folder)
    os.environ |= {"VLCL_STORE": str(world.store), "VLCL_DATA_HOME": home}
    load.FOLDER = world.protocols
    sys.argv = line
    if sabotage is not None:
        sabotage.install()
    main()


def method_file(folder: Path, body: str, base: str = "LossMethod", name: str = "mine.py") -> Path:
    """A method in a file: a class body, indented by four."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(METHOD.format(base=base, body=body))
    return path


def flip(path: Path, place: float = 0.5) -> None:
    """Change one bit of a file, ``place`` of the way through it."""
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 1
    path.write_bytes(bytes(data))


def files(folder: Path) -> set[str]:
    """Names of what lies in a folder."""
    return {path.name for path in folder.iterdir()}


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
