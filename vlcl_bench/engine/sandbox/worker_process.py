"""The harness's end: starts a method's process, calls it, watches time and memory, and ends it whatever happens."""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vlcl_bench.common.fileio import scratch_folder
from vlcl_bench.engine.sandbox.environment import KEPT
from vlcl_bench.engine.sandbox.limits import shown
from vlcl_bench.engine.sandbox.output import Output, plain_words
from vlcl_bench.engine.sandbox.sent_errors import ERRORS, how_it_ended, sent_error
from vlcl_bench.engine.sandbox.wire import Incoming, Message, WireError, pack
from vlcl_bench.errors import MachineError, MethodError, VlclError

LOOK_EVERY = 0.2
"""Seconds between two looks at the memory and the clock."""
MOST_QUEUED = 1 << 30
"""Bytes waiting to be taken by the process, beyond which nothing more is read from it."""
MOMENT = 0.5
"""Seconds that a process has to end when it is told to, before it is killed."""
GRACE = 5.0
"""Seconds that a process has to end once its line is closed."""
AGAIN = "Finished stages are kept: the same command goes on from there."
Handler = Callable[[Message], tuple[dict[str, Any], Sequence[np.ndarray]] | None]
"""What answers a question of the process's, or ``None`` where none is expected."""
Wrapper = Callable[[list[str], Path], list[str]]
"""Puts a command into a container, given the scratch folder."""


def package_root() -> Path:
    """The folder that holds this package (and ``baselines``, in a checkout)."""
    return Path(__file__).resolve().parents[3]


def worker_environment(scratch: Path) -> dict[str, str]:
    """The environment of a method's process: what Python and torch need, and nothing of the user's."""
    kept = {name: value for name, value in os.environ.items() if name in KEPT}
    # Weights that come from the hub are in its cache by now: the harness has loaded them.
    return kept | {"PYTHONPATH": str(package_root()), "TMPDIR": str(scratch), "HF_HUB_OFFLINE": "1"}


class WorkerProcess:
    """A method's process. It has the scratch folder ``scratch``, which :meth:`clear_scratch` empties.

    :meth:`call` raises :class:`MethodError` for a crash, for what came too late or took too much memory, and for
    anything that is no proper reply; the process is then gone. Use it as a context manager, or :meth:`close` it.
    """

    _output: Output | None = None
    believed: Collection[str] = tuple(ERRORS)
    """Kinds of errors that the process may name; any other is the method's."""

    def __init__(
        self, memory: int | None = None, wrap: Wrapper = lambda command, scratch: command, policy: str = ""
    ) -> None:
        self.memory = memory
        self.seconds = 3600.0
        self.scratch = scratch_folder("vlcl-method-").resolve()
        self.peak = 0
        ours, theirs = socket.socketpair()
        self._line = ours
        self._line.setblocking(False)
        self._outgoing: deque[memoryview] = deque()
        self._queued = 0
        number = theirs.fileno()
        command = [sys.executable, "-P", "-m", "vlcl_bench.engine.sandbox.worker", str(number)]
        # What the method prints must not mix with the command's own answer, which is on standard output.
        self._output = Output()
        try:
            self._process = subprocess.Popen(
                wrap(command, self.scratch), stdin=subprocess.PIPE, stdout=self._output.theirs,
                stderr=self._output.theirs, pass_fds=[number], env=worker_environment(self.scratch),
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            self._line.close()
            shutil.rmtree(self.scratch, ignore_errors=True)
            raise MachineError(f"the method's process cannot be started: {error}") from error
        finally:
            theirs.close()
            self._output.begin()
        with contextlib.suppress(OSError):  # it has ended, and will be missed at the first call
            assert self._process.stdin is not None
            self._process.stdin.write(policy.encode())
            self._process.stdin.close()

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The number of the process that was started."""
        return self._process.pid

    def clear_scratch(self) -> None:
        """Empty the scratch folder: what a method leaves there is no part of its state."""
        for entry in os.scandir(self.scratch):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)

    def call(
        self,
        header: dict[str, Any],
        arrays: Sequence[np.ndarray] = (),
        *,
        doing: str,
        most: int = 0,
        seconds: float | None = None,
        handlers: Mapping[str, Handler] | None = None,
        progress: Callable[[int, int, str], None] = lambda done, total, word: None,
    ) -> Message:
        """Send a call and wait for its reply, of which the arrays may have ``most`` bytes; answer what is asked.

        The limit is ``seconds``, by default those of all calls; what the harness itself takes to answer does not count.
        """
        self._queue(pack(header, arrays))
        # What the process asks comes with rows and draws for a batch.
        incoming = Incoming(max(most, 64 << 20))
        limit = self.seconds if seconds is None else seconds
        deadline = time.monotonic() + limit
        try:
            while True:
                message = self._next(incoming, deadline, limit, doing)
                started = time.monotonic()
                received = message.header
                if received.get("reply") is True:
                    if sum(array.nbytes for array in message.arrays) > most:
                        raise WireError(f"a reply with more than {most} bytes")
                    return message
                if "error" in received:
                    raise sent_error(received, self.believed)
                if "progress" in received:
                    progress(*_progress(received["progress"]))
                else:
                    handler = (handlers or {}).get(str(received.get("ask")))
                    answer = handler(message) if handler else None
                    if answer is None:
                        raise WireError(f"a question that nobody expects while {doing}: {str(received)[:100]}")
                    self._queue(pack(*answer))
                deadline += time.monotonic() - started
        except WireError as error:
            self.close()
            raise MethodError(
                f"the method's process sent something else than a reply while {doing}: {error}", AGAIN
            ) from error
        except BaseException as error:
            if not isinstance(error, VlclError):
                self.close()
            raise

    def _queue(self, parts: list[memoryview]) -> None:
        self._outgoing.extend(parts)
        self._queued += sum(map(len, parts))

    def _next(self, incoming: Incoming, deadline: float, limit: float, doing: str) -> Message:
        """The next frame, while what is queued is sent."""
        looked = 0.0
        with selectors.DefaultSelector() as selector:
            selector.register(self._line, selectors.EVENT_READ)
            while True:
                events = selectors.EVENT_READ if self._queued <= MOST_QUEUED else 0
                selector.modify(self._line, events | (selectors.EVENT_WRITE if self._outgoing else 0))
                ready = selector.select(LOOK_EVERY)
                now = time.monotonic()
                if now - looked >= LOOK_EVERY:
                    looked = now
                    self._look(now, deadline, limit, doing)
                for _, mask in ready:
                    try:
                        if mask & selectors.EVENT_WRITE:
                            self._send()
                        if mask & selectors.EVENT_READ:
                            message = self._receive(incoming)
                            if message is not None:
                                return message
                    except (EOFError, OSError) as error:
                        raise self._ended(doing) from error

    def _send(self) -> None:
        part = self._outgoing[0]
        sent = self._line.send(part)
        self._queued -= sent
        if sent == len(part):
            self._outgoing.popleft()
        else:
            self._outgoing[0] = part[sent:]

    def _receive(self, incoming: Incoming) -> Message | None:
        with contextlib.suppress(BlockingIOError):
            count = self._line.recv_into(incoming.room())
            if not count:
                raise EOFError
            return incoming.filled(count)
        return None

    def _look(self, now: float, deadline: float, limit: float, doing: str) -> None:
        """End the process where it has taken too long or too much."""
        if now > deadline:
            self.close()
            raise MethodError(
                f"the method's process was ended after {limit:g} seconds while {doing}: that is the time limit",
                f"{AGAIN} --time-limit SECONDS sets another limit for each call.",
            )
        if self.memory is not None:
            resident = sum(_resident(pid) for pid in self._pids())
            self.peak = max(self.peak, resident)
            if resident > self.memory:
                self.close()
                raise MethodError(
                    f"the method's process was ended while {doing}: it had {shown(resident)} in memory, "
                    f"and the limit is {shown(self.memory)}",
                    f"{AGAIN} --memory-limit sets another limit.",
                )

    def _pids(self) -> list[int]:
        """The process and what it has started."""
        import psutil

        try:
            return [self.pid, *(child.pid for child in psutil.Process(self.pid).children(recursive=True))]
        except psutil.Error:
            return [self.pid]

    def peak_resident(self) -> int:
        """Largest resident bytes of the process so far, as the system counts them."""
        sizes = [self.peak]
        for pid in self._pids():
            with contextlib.suppress(OSError, ValueError, IndexError):
                lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
                sizes += [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")]
            sizes.append(_resident(pid))
        self.peak = max(sizes)
        return self.peak

    def _ended(self, doing: str) -> MethodError:
        """What to say of a process that has closed its line."""
        try:
            code = self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            code = None
        self.close()
        how = how_it_ended(code)
        return MethodError(f"the method's process {how} while {doing}", f"{AGAIN} What it said is above.")

    def close(self) -> None:
        """End the process and all that it started, and delete its scratch folder; harmless when done already."""
        self._line.close()
        if self._process.poll() is None:
            # A warden ends what is left of the method's, itself last (:mod:`vlcl_bench.engine.sandbox.warden`).
            for pid in reversed(self._pids()):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGTERM if pid == self.pid else signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(MOMENT)
        with contextlib.suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        if self._output is not None:
            self._output.end()
        shutil.rmtree(self.scratch, ignore_errors=True)


def _resident(pid: int) -> int:
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def _progress(sent: object) -> tuple[int, int, str]:
    if isinstance(sent, list) and len(sent) == 3 and all(type(n) is int for n in sent[:2]):
        return sent[0], sent[1], plain_words(sent[2], 60).replace("[", "(").replace("\n", " ")
    raise WireError(f"a word on the progress that is none: {str(sent)[:100]}")
