"""The contract tests of a submission's code, in a process of their own: a crash or a hang is a finding like others."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any

from vlcl_bench.common.progress import Advance, Reporter
from vlcl_bench.submissions.finding import Finding

SECONDS = 600.0
"""Time after which a method is given up."""
LINES_SHOWN = 3


def check_contract(
    folder: Path,
    *,
    store: Path | None = None,
    reporter: Reporter | None = None,
    seconds: float = SECONDS,
    only: Sequence[str] = (),
) -> list[Finding]:
    """Run the contract tests on the method of a submission's folder; all findings at once, one for each code.

    The method learns and answers a few small tasks with the mini CLIP, offline, in about a minute. ``store`` is the
    folder of decoded pictures (default: the usual one), which the method must not read; ``only`` names contracts, which
    are then examined alone, with those without which they cannot be judged. Raises :class:`UsageError` for one that
    there is not.

    This keeps mistakes and simple cheating out. It is no wall against hostile code, which runs with the rights of
    whoever calls this: check what strangers send where there is nothing to lose.
    """
    if only:
        from vlcl_bench.submissions.contracts.checks import CHECKS
        from vlcl_bench.submissions.contracts.contract import selected

        selected(CHECKS, only)
    command = [sys.executable, "-m", "vlcl_bench.submissions.contracts.examiner", str(folder.absolute())]
    command += [] if store is None else ["--store", str(store.absolute())]
    command += [part for name in only for part in ("--only", name)]
    with tempfile.TemporaryFile() as errors, (reporter or Reporter()).phase("contract tests", 10) as progress:
        examiner = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True, encoding="utf-8"
        )
        timer = threading.Timer(seconds, examiner.kill)
        timer.start()
        try:
            assert examiner.stdout is not None
            findings, doing = _listen(examiner.stdout, progress)
            code = examiner.wait()
        finally:
            late = not timer.is_alive()
            timer.cancel()
            examiner.kill()
            examiner.wait()
        if findings is not None:
            return findings
        return [_ended(code, late, seconds, doing, errors)]


def _listen(lines: Iterable[str], progress: Advance) -> tuple[list[Finding] | None, str]:
    """The findings that the other process tells at the end, ``None`` where it does not; and what it did last."""
    doing = "starting"
    for line in lines:
        try:
            message: dict[str, Any] = json.loads(line)
            if "findings" in message:
                return [Finding(**facts) for facts in message["findings"]], doing
            doing = str(message["word"])
            progress(int(message["step"]), int(message["of"]), doing)
        except (ValueError, TypeError, KeyError):
            continue  # not ours
    return None, doing


def _ended(code: int, late: bool, seconds: float, doing: str, errors: IO[bytes]) -> Finding:
    errors.seek(0)
    lines = [line for line in errors.read()[-20_000:].decode(errors="replace").splitlines() if line.strip()]
    last = " | ".join(lines[-LINES_SHOWN:])
    if late:
        message = f"the contract tests were not done after {seconds:g} seconds (last: {doing})"
        hint = "Each takes a few steps on a few pictures. Is there an endless loop, or a wait for something?"
        return Finding("contract-hang", "method.py", message, hint)
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    message = f"the process of the contract tests ended with {how} while {doing}" + (f": {last}" if last else "")
    return Finding(
        "contract-crash", "method.py", message, "A method must not end its process; nor may native code crash."
    )
