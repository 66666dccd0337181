"""The fence of files: what a method's process can open is held by the kernel (Landlock), whatever code asks.

It holds for the thread that lays it and for all that it starts, so it is laid before there is a second one.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable, Iterator

from vlcl_bench.engine.sandbox.syscalls import this_architecture

(EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR, REMOVE_FILE, MAKE_CHAR, MAKE_DIR, MAKE_REG, MAKE_SOCK, MAKE_FIFO,
 MAKE_BLOCK, MAKE_SYM, REFER, TRUNCATE, IOCTL_DEV) = (1 << bit for bit in range(16))  # fmt: skip
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
"""What can be granted for a single file."""
READING = READ_FILE | READ_DIR
WRITING = READING | WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | MAKE_SYM | REFER | TRUNCATE
DEVICE = READING | WRITE_FILE | IOCTL_DEV
SCOPES = 0b11
"""Neither signals to processes outside the fence, nor sockets without a file that such processes made."""
PR_SET_NO_NEW_PRIVS = 38


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("granted", ctypes.c_uint64), ("folder", ctypes.c_int32))


def version() -> int:
    """The kernel's version of Landlock; 0 where it has none."""
    return max(0, _call("landlock_create_ruleset", None, ctypes.c_size_t(0), ctypes.c_uint32(1)))


def open_places(roots: Iterable[str], hidden: Iterable[str]) -> Iterator[str]:
    """Files and folders that together are the ``roots`` without what is ``hidden`` below them.

    Only the roots may be links: what a link below them leads to is not theirs to open.
    """
    covered = tuple(dict.fromkeys(os.path.realpath(place) for place in hidden))
    for root in dict.fromkeys(os.path.realpath(root) for root in roots):
        yield from _without(root, covered)


def _without(place: str, covered: tuple[str, ...]) -> Iterator[str]:
    if any(place == hidden or place.startswith(hidden.rstrip("/") + "/") for hidden in covered):
        return
    if not any(hidden.startswith(place.rstrip("/") + "/") for hidden in covered):
        yield place
        return
    try:
        entries = sorted(os.scandir(place), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if not entry.is_symlink():
            yield from _without(entry.path, covered)


def lay(read: Iterable[str], write: Iterable[str], listed: Iterable[str] = (), devices: Iterable[str] = ()) -> str:
    """Lay the fence: from now on only what is below these places can be opened; returns why it could not be, or ''.

    Below ``read`` files can be read, below ``write`` also written, below ``listed`` folders can be listed; ``devices``
    can be spoken to. Nothing can be executed. What is not there is passed over.
    """
    abi = version()
    if not abi:
        return "this kernel has no Landlock" if sys.platform == "linux" else "Landlock is Linux's"
    known = (1 << (13, 14, 15, 15, 16)[min(abi, 5) - 1]) - 1
    attributes = _Ruleset(known, 0, SCOPES if abi >= 6 else 0)
    size = (8, 16, 24)[(abi >= 4) + (abi >= 6)]
    ruleset = _call("landlock_create_ruleset", ctypes.byref(attributes), ctypes.c_size_t(size), ctypes.c_uint32(0))
    if ruleset < 0:
        return _said()
    try:
        for places, rights in ((read, READING), (write, WRITING), (listed, READ_DIR), (devices, DEVICE)):
            for place in places:
                _grant(ruleset, place, rights & known)
        if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
            return _said()
        return _said() if _call("landlock_restrict_self", ctypes.c_int(ruleset), ctypes.c_uint32(0)) else ""
    finally:
        os.close(ruleset)


def _grant(ruleset: int, place: str, rights: int) -> None:
    """Grant rights on what is below a place; one that is gone, or of a kind that cannot be, grants nothing."""
    try:
        folder = os.open(place, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        rights &= -1 if os.path.isdir(place) else OF_FILES
        rule = _Beneath(rights, folder)
        _call("landlock_add_rule", ctypes.c_int(ruleset), ctypes.c_int(1), ctypes.byref(rule), ctypes.c_uint32(0))
    finally:
        os.close(folder)


def _call(name: str, *arguments: object) -> int:
    architecture = this_architecture()
    if architecture is None:
        return -1
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return int(libc.syscall(ctypes.c_long(architecture.number(name) or 0), *arguments))


def _said() -> str:
    return f"the kernel says: {os.strerror(ctypes.get_errno())}"
