"""The contract tests of a submission's code, in a process of their own: a crash or a hang is a fault like any other."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from vlcl_bench.common.progress import Advance, Reporter
from vlcl_bench.submissions.finding import Fault

SECONDS = 600.0
"""Time after which a method is given up."""
LINES_SHOWN = 3


def check_contract(
    folder: Path, *, store: Path | None = None, reporter: Reporter | None = None, seconds: float = SECONDS
) -> list[Fault]:
    """Run the contract tests on the method of a submission's folder; all faults at once, one for each contract.

    The method learns and answers a few small tasks with the mini CLIP, offline, in about a minute. ``store`` is the
    folder of decoded pictures (default: the usual one), which the method must not read.

    This keeps mistakes and simple cheating out. It is no wall against hostile code, which runs with the rights of
    whoever calls this: check what strangers send where there is nothing to lose.
    """
    command = [sys.executable, "-m", "vlcl_bench.submissions.contracts.examiner", str(folder.absolute())]
    if store is not None:
        command.append(str(store.absolute()))
    with tempfile.TemporaryFile() as errors, (reporter or Reporter()).phase("contract tests", 10) as progress:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True, encoding="utf-8"
        )
        timer = threading.Timer(seconds, child.kill)
        timer.start()
        try:
            assert child.stdout is not None
            found, doing = _listen(child.stdout, progress)
            code = child.wait()
        finally:
            late = not timer.is_alive()
            timer.cancel()
            child.kill()
            child.wait()
        if found is not None:
            return found
        return [_ended(code, late, seconds, doing, errors)]


def _listen(lines: Iterable[str], progress: Advance) -> tuple[list[Fault] | None, str]:
    """The faults that the other process tells at the end, ``None`` where it does not; and what it did last."""
    doing = "starting"
    for line in lines:
        try:
            told: dict[str, Any] = json.loads(line)
            if "faults" in told:
                return [Fault(**fault) for fault in told["faults"]], doing
            doing = str(told["word"])
            progress(int(told["step"]), int(told["of"]), doing)
        except (ValueError, TypeError, KeyError):
            continue  # not ours
    return None, doing


def _ended(code: int, late: bool, seconds: float, doing: str, errors: IO[bytes]) -> Fault:
    errors.seek(0)
    said = [line for line in errors.read()[-20_000:].decode(errors="replace").splitlines() if line.strip()]
    last = " | ".join(said[-LINES_SHOWN:])
    if late:
        message = f"the contract tests were not done after {seconds:g} seconds (last: {doing})"
        hint = "Each takes a few steps on a few pictures. Is there an endless loop, or a wait for something?"
        return Fault("contract-hang", "method.py", message, hint)
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    message = f"the process of the contract tests ended with {how} while {doing}" + (f": {last}" if last else "")
    return Fault(
        "contract-crash", "method.py", message, "A method must not end its process; nor may native code crash."
    )
