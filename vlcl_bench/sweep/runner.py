"""Doing the runs of a sweep: so many processes at a time, each ``vlcl run``, each resumable by itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from vlcl_bench.common.fileio import machine_error
from vlcl_bench.common.locks import left_behind, take
from vlcl_bench.engine.journal import JOURNAL_NAME, LOCK_NAME
from vlcl_bench.engine.prepare import Request
from vlcl_bench.errors import MachineError, UsageError, VlclError
from vlcl_bench.records.files import RECORD_NAME, read_record
from vlcl_bench.records.schema import Record
from vlcl_bench.sweep.plan import Planned

State = Literal["waiting", "running", "done", "failed", "committed"]
PAUSE = 0.5
"""Seconds between two looks at the processes."""
PATIENCE = 30
"""Seconds that a process is given to end after it was asked to."""
LOGS = "sweep-logs"
AT_WORK = "another process is at work in"
"""What ``vlcl run`` says where a run's lock is taken."""
REST = 5.0
"""Seconds before a run that another process was first to take is looked at again."""
RETURNS = 5
"""How often a run goes back to waiting because another process was first; waiting for that process does not count."""


@dataclass
class Job:
    """A planned run and how far it is."""

    planned: Planned
    state: State
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    seconds: float = 0.0
    record: Record | None = None
    error: str = ""
    returns: int = 0
    rests_until: float = 0.0
    log_from: int = 0
    held: bool = False
    """Whether another process is at work in the run's folder, when last looked at."""
    _seen: tuple[int, int] = field(default=(-1, 0))

    @property
    def folder(self) -> Path:
        """Where the run's record and predictions are."""
        return self.planned.folder if self.planned.committed is None else self.planned.committed.parent

    def stages_done(self) -> int:
        """Stages that the journal says are committed."""
        path = self.planned.folder / JOURNAL_NAME
        size = path.stat().st_size if path.exists() else 0
        if size != self._seen[0]:
            lines = path.read_bytes().split(b"\n") if size else []
            self._seen = size, sum(b'"event":"evaluated"' in line for line in lines)
        return self._seen[1]


def first_state(planned: Planned) -> Job:
    """A run that is committed or finished is not done again."""
    if planned.committed is not None:
        return Job(planned, "committed", record=read_record(planned.committed.parent))
    if is_finished(planned):
        return Job(planned, "done", record=read_record(planned.folder))
    return Job(planned, "waiting")


def is_finished(planned: Planned) -> bool:
    """Whether the journal says so: a record alone may be of a run that was killed while it concluded."""
    path = planned.folder / JOURNAL_NAME
    return path.exists() and b'"event":"finished"' in path.read_bytes() and (planned.folder / RECORD_NAME).exists()


def is_held(planned: Planned) -> bool:
    """Whether another process is at work in the run's folder: one that a killed sweep left, or another sweep's.

    A shared lock is tried: two sweeps that look at the same moment do not take each other for that process.
    """
    try:
        handle = (planned.folder / LOCK_NAME).open("rb")
    except OSError:  # none yet; what else may be wrong with it the run itself will say
        return False
    with handle:
        try:
            return not take(handle, planned.folder / LOCK_NAME, shared=True)
        except MachineError:  # no locks here: the run itself will say so
            return False


def command(request: Request) -> list[str]:
    """The ``vlcl run`` command line of a request."""
    line = [sys.executable, "-c", "from vlcl_bench.cli import main; main()", "run", "--json"]
    line += ["--protocol", request.protocol, "--method", request.method, "--seed", str(request.seed)]
    line += ["--device", request.device, "--runs", str(request.runs), "--keep-states", request.keep_states]
    line += ["--isolation", request.isolation]
    for key, value in request.settings.items():
        line += ["--set", f"{key}={json.dumps(value)}"]
    for option, chosen in (
        ("--backbone", request.backbone), ("--store", request.store),
        ("--data-root", request.data_root), ("--hub-root", request.hub_root),
    ):  # fmt: skip
        line += [option, str(chosen)] if chosen is not None else []
    return line


def run_all(jobs: Sequence[Job], at_once: int, threads: int, look: Callable[[], Any]) -> None:
    """Do the waiting jobs, ``at_once`` at a time with ``threads`` threads each; ``look`` is called again and again.

    Ctrl-C, SIGTERM, SIGHUP or an exception of ``look`` asks the processes to end and waits for them; the same sweep
    goes on later. A signal that is ignored, as ``nohup`` makes SIGHUP, stays so. A run that another process is doing,
    or was first to begin, is waited for and not done twice.
    """
    main = threading.current_thread() is threading.main_thread()
    signals = (signal.SIGTERM, signal.SIGHUP) if main else ()
    # A handler that Python does not know (None) could not be put back.
    ours = [number for number in signals if signal.getsignal(number) not in (signal.SIG_IGN, None)]
    before = {number: signal.signal(number, signal.default_int_handler) for number in ours}
    waiting = [job for job in jobs if job.state == "waiting"]
    running: list[Job] = []
    try:
        while waiting or running:
            for job in list(waiting):
                if len(running) >= at_once:
                    break
                if time.monotonic() < job.rests_until:
                    continue
                job.held = is_held(job.planned)
                if job.held:
                    continue
                waiting.remove(job)
                if is_finished(job.planned):  # another process has done it
                    _take_record(job)
                    continue
                running.append(job)
                _start(job, threads)
            for job in list(running):
                if job.process is not None and job.process.poll() is not None:
                    _end(job)
                    running.remove(job)
                    if job.state == "waiting":
                        waiting.append(job)
            look()
            if running or waiting:
                time.sleep(PAUSE)
    finally:
        stop(running)
        for number, handler in before.items():
            signal.signal(number, handler)


def _start(job: Job, threads: int) -> None:
    log = log_path(job.planned)
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.open("ab").close()
    except OSError as error:
        raise machine_error(error, log) from error
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    with log.open("ab") as errors:
        job.log_from = os.fstat(errors.fileno()).st_size  # what stands there is of earlier attempts
        job.process = subprocess.Popen(
            command(job.planned.request), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
            env=environment, start_new_session=True,
        )  # fmt: skip
    job.state, job.started = "running", time.monotonic()


def _end(job: Job) -> None:
    """Say how a run whose process is over has ended: done, failed, or waiting for another process that has it."""
    assert job.process is not None
    job.seconds = time.monotonic() - job.started
    code = job.process.returncode
    if code == 0:
        # Usually the hash that was planned is not the one that was run: a file was edited meanwhile.
        _take_record(job, " (has the method's or the protocol's file changed since the sweep began?)")
        return
    lines = _said(job)
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    # Another sweep may have begun the same run after we looked, and taken its lock while our process was starting.
    lost = code == UsageError.exit_code and any(error.startswith(AT_WORK) for error in errors)
    if is_finished(job.planned):
        _take_record(job)
    elif (lost or is_held(job.planned)) and job.returns < RETURNS:
        job.state, job.process, job.seconds = "waiting", None, 0.0
        job.returns, job.rests_until = job.returns + 1, time.monotonic() + REST
    else:
        job.state, job.error = "failed", (errors[-1:] or [_ended(code, lines)])[0]


def waits_for(job: Job) -> str:
    """What a run waits for that another process seems to be doing, and what to do where none is."""
    lock = job.planned.folder / LOCK_NAME
    return f"waiting: {AT_WORK} {job.planned.folder}. {left_behind(lock)}"


def _take_record(job: Job, why: str = "") -> None:
    """Read the record of a run that is over; one that cannot be read has failed, perhaps because of ``why``."""
    try:
        job.state, job.record = "done", read_record(job.planned.folder)
    except VlclError as error:
        job.state, job.error = "failed", error.message + why


def _said(job: Job) -> list[str]:
    """The lines that the log has got since the job's process was started."""
    path = log_path(job.planned)
    said = path.read_bytes()[job.log_from :] if path.exists() else b""
    return said.decode(errors="replace").strip().splitlines()


def _ended(code: int, lines: list[str]) -> str:
    """How a process that named no error came to its end."""
    if code >= 0:
        return lines[-1] if lines else f"ended with code {code}"
    known = {number.value: number.name for number in signal.Signals}
    return f"killed by signal {-code}" + (f" ({known[-code]})" if -code in known else "")


def stop(jobs: Sequence[Job]) -> None:
    """Ask the processes of unfinished jobs to end, and make them if they do not."""
    alive = [job for job in jobs if job.process is not None and job.process.poll() is None]
    for job in alive:
        assert job.process is not None
        job.process.terminate()  # not Ctrl-C's signal: a shell that starts things in the background has it ignored
    for job in alive:
        assert job.process is not None
        try:
            job.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            job.process.kill()
            job.process.wait()
        job.state = "waiting"


def log_path(planned: Planned) -> Path:
    """Where a run of a sweep says what it would say on a terminal."""
    return planned.request.runs / LOGS / f"{planned.run_hash}.log"
