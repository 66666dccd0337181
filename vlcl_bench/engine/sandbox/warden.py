"""Nothing outlives the run, also where the kernel cannot keep a method from starting processes.

Where there is no filter of calls, the process that the harness started stays behind as a warden, and its child becomes
the method's process. Whatever that starts, and however it leaves its parents, falls to the warden, which ends it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time

import psutil

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
PAUSE = 0.01
"""Seconds between two looks at what is left."""


def stay_behind() -> None:
    """Go on in a child; this process waits for it, then ends all that is left, and itself as the child has ended.

    The same happens when it is told to end, or when the harness dies.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    awaited = {signal.SIGCHLD, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    child = os.fork()
    if not child:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, awaited)
        return
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    sys.stdin.close()
    for number in (int(word) for word in os.listdir("/proc/self/fd")):
        if number > 2:
            with contextlib.suppress(OSError):
                os.close(number)
    _wait(child)


def _wait(child: int) -> None:
    status: int | None = None
    while status is None:
        told = signal.sigtimedwait({signal.SIGCHLD, signal.SIGTERM}, 1.0)
        if told is not None and told.si_signo == signal.SIGTERM:
            status = int(signal.SIGKILL)
        status = _buried().get(child, status)
    while left := psutil.Process().children(recursive=True):
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        _buried()
        time.sleep(PAUSE)
    os._exit(128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))


def _buried() -> dict[int, int]:
    """Children that have ended, with how."""
    ended = {}
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            ended[found[0]] = found[1]
    return ended
