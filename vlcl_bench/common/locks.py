"""Locks on files, with the three answers that matter: taken, another process has it, this file system has none.

A file system without locks (some network and container file systems) answers with an error that must not be taken for
another process: whoever waits for it waits for ever.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path
from typing import IO

from vlcl_bench.common.fileio import machine_error
from vlcl_bench.common.places import moving
from vlcl_bench.errors import MachineError

TAKEN = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK})
"""What says that another process has the lock: not every system agrees on one number."""
WITHOUT = frozenset({errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL, errno.EBADF})
"""What says that there are no locks here. A network file system without its lock service says ENOLCK."""
PATIENCE = 60.0
"""Seconds that a lock is waited for that others hold for moments only."""
PAUSE = 0.05


def take(handle: IO[str] | IO[bytes], path: Path, shared: bool = False) -> bool:
    """Take the lock of an open file, at once or not at all: False where another process has it.

    Raises :class:`MachineError` where the file system has no locks, with the setting that moves the folder.
    """
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in TAKEN:
            return False
        if error.errno in WITHOUT:
            raise MachineError(
                f"the file system of {path.parent} has no locks ({error.strerror or os.strerror(error.errno or 0)}), "
                "and without one two processes could write the same files",
                f"{moving(path)} A local disk has locks.",
            ) from error
        raise machine_error(error, path) from error
    return True


def wait_for(handle: IO[str] | IO[bytes], path: Path) -> None:
    """Take the lock of an open file that others hold for moments only.

    Raises :class:`MachineError` as :func:`take` does, and where the lock is not given up within :data:`PATIENCE`.
    """
    end = time.monotonic() + PATIENCE
    while not take(handle, path):
        if time.monotonic() > end:
            raise MachineError(
                f"the lock {path} has been held for {PATIENCE:.0f} seconds, though nobody needs it for more than one",
                left_behind(path),
            )
        time.sleep(PAUSE)


def left_behind(path: Path) -> str:
    """What to do about a lock that no living process holds: a network file system may keep it when a machine dies."""
    return f"If no process is at work there (a network file system can keep a dead one's lock), delete {path}."
