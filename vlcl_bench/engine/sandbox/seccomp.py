"""The fence of calls: a filter in the kernel that refuses what a method's process never needs.

It does not depend on Python's events: whatever code makes the call, Python's, a library's or machine code of the
method's own, the kernel refuses it with ``EPERM``. Once laid it cannot be taken up again, and it holds for all threads.

The filter is a program for the kernel's packet machine (classic BPF). It is a row of blocks, one for each call: a test
of the number, then what is done where it is that call. So no jump leads out of a block.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from vlcl_bench.engine.sandbox.syscalls import NEWEST, Architecture, this_architecture

LOAD, EQUAL, ABOVE, SOME_BITS, RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
"""Instructions: load a word of the call, jump where the loaded word is equal, larger, or has a bit; end."""
NUMBER_AT, ARCHITECTURE_AT, ARGUMENTS_AT = 0, 4, 16
"""Where in the description of a call its number, the processor and the arguments (8 bytes each) stand."""
ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050000, 0x80000000
PR_SET_NO_NEW_PRIVS = 38
SET_FILTER, GET_ACTION, ALL_THREADS, UNSLOWED = 1, 2, 1, 4
"""Arguments of the call that lays a filter. ``UNSLOWED``: no mitigation against the process's own speculation, which
would cost more than the filter."""

CLONE_THREAD = 0x00010000
CLONE_ELSEWHERE = 0x7E020000 | 0x00002000
"""Flags that put a thread into a world of its own (namespaces), or under somebody's eye."""
PRCTL_ALLOWED = (2, 3, 15, 16, 21, 23, 27, 29, 30, 38, 39, 41, 42, 51, 52, 64, 0x53564D41)
"""Asking (for the signal at the parent's death, dumps, the filter, capabilities), names of threads and of memory, timer
slack, large pages. Not among them is, above all, undoing the signal at the parent's death (1)."""
FCNTL_REFUSED = (8, 10, 15, 1024, 1026)
"""Have signals sent to somebody (``F_SETOWN``, ``F_SETSIG``, ``F_SETOWN_EX``), leases, words on changed folders."""
IOCTL_REFUSED = (0x5412, 0x541C, 0x540E, 0x8901, 0x8902)
"""Typing into a terminal (``TIOCSTI``, ``TIOCLINUX``), taking one over (``TIOCSCTTY``), signals (``FIOSETOWN``,
``SIOCSPGRP``)."""

Instruction = tuple[int, int, int, int]
"""Code, steps to jump where it holds and where not, and a constant."""


@dataclass(frozen=True)
class Filter:
    """A filter: its instructions, as the kernel takes them and as they can be tried out here."""

    instructions: tuple[Instruction, ...]

    def packed(self) -> bytes:
        """The program's bytes."""
        return b"".join(struct.pack("=HBBI", *instruction) for instruction in self.instructions)

    def verdict(self, architecture: int, number: int, arguments: Iterable[int] = ()) -> int:
        """What the filter says of a call, as the kernel's machine would."""
        six = [*arguments, 0, 0, 0, 0, 0, 0][:6]
        call = struct.pack("=iIQ6Q", number, architecture, 0, *(value & (1 << 64) - 1 for value in six))
        place, word = 0, 0
        while True:
            code, yes, no, constant = self.instructions[place]
            if code == RETURN:
                return constant
            if code == LOAD:
                (word,) = struct.unpack_from("=I", call, constant)
                place += 1
                continue
            held = {EQUAL: word == constant, ABOVE: word > constant, SOME_BITS: bool(word & constant)}[code]
            place += 1 + (yes if held else no)


def refusing(number: int = errno.EPERM) -> list[Instruction]:
    """Refuse the call with this error."""
    return [(RETURN, 0, 0, REFUSE | number)]


def _argument(which: int) -> Instruction:
    # Processors here have the lower half of an argument first; what is compared is an int for the kernel too.
    return (LOAD, 0, 0, ARGUMENTS_AT + 8 * which)


def only_where(which: int, values: Iterable[int]) -> list[Instruction]:
    """Refuse the call unless its argument is one of the ``values``."""
    block = [_argument(which)]
    for value in values:
        block += [(EQUAL, 0, 1, value), (RETURN, 0, 0, ALLOW)]
    return [*block, *refusing()]


def unless_where(which: int, values: Iterable[int]) -> list[Instruction]:
    """Refuse the call where its argument is one of the ``values``."""
    block = [_argument(which)]
    for value in values:
        block += [(EQUAL, 0, 1, value), *refusing()]
    return [*block, (RETURN, 0, 0, ALLOW)]


def threads_only() -> list[Instruction]:
    """Refuse a new process, and a thread in a world of its own; threads are let through."""
    return [
        _argument(0),
        (SOME_BITS, 0, 1, CLONE_ELSEWHERE), *refusing(),
        (SOME_BITS, 0, 1, CLONE_THREAD), (RETURN, 0, 0, ALLOW),
        *refusing(),
    ]  # fmt: skip


def rules(pid: int) -> dict[str, list[Instruction]]:
    """What is done with the calls that are not simply let through, for the process ``pid``."""
    from vlcl_bench.engine.sandbox.syscalls import NUMBERS

    myself, me = only_where(0, (pid,)), only_where(0, (0, pid))
    special = {
        "clone": threads_only(),
        "clone3": refusing(errno.ENOSYS),  # the C library then makes threads with `clone`, whose flags can be read
        "prctl": only_where(0, PRCTL_ALLOWED),
        "fcntl": unless_where(1, FCNTL_REFUSED),
        "ioctl": unless_where(1, IOCTL_REFUSED),
        **dict.fromkeys(("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"), myself),
        **dict.fromkeys(("prlimit64", "sched_setaffinity", "migrate_pages", "move_pages"), me),
    }
    return {call: special.get(call, refusing()) for call in NUMBERS}


def filter_for(architecture: Architecture, pid: int) -> Filter:
    """The filter for a process of this processor and number."""
    program: list[Instruction] = [
        (LOAD, 0, 0, ARCHITECTURE_AT),
        # Calls of another processor (32 bits on a 64-bit system) have other numbers.
        (EQUAL, 1, 0, architecture.audit), (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, NUMBER_AT),
        # Newer calls than this table knows, and those of x32: as on a kernel that does not have them.
        (ABOVE, 0, 1, NEWEST), *refusing(errno.ENOSYS),
    ]  # fmt: skip
    for call, block in rules(pid).items():
        number = architecture.number(call)
        if number is not None:
            program += [(EQUAL, 0, len(block), number), *block]
    return Filter((*program, (RETURN, 0, 0, ALLOW)))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def why_not() -> str:
    """Why this kernel has no such fence; empty where it has one."""
    architecture = this_architecture()
    if architecture is None:
        return "calls can be filtered on Linux only, on x86_64 and aarch64"
    action = ctypes.c_uint32(REFUSE)
    return "" if _seccomp(architecture, GET_ACTION, 0, ctypes.byref(action)) == 0 else _said()


def lay() -> str:
    """Lay the fence around this process, all its threads and what they start; returns why it could not be, or ''."""
    missing = why_not()
    architecture = this_architecture()
    if missing or architecture is None:
        return missing
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return _said()
    program = filter_for(architecture, os.getpid())
    packed = ctypes.create_string_buffer(program.packed())
    described = _Program(len(program.instructions), ctypes.addressof(packed))
    for flags in (ALL_THREADS | UNSLOWED, ALL_THREADS):  # kernels before 4.17 do not know the second flag
        if (done := _seccomp(architecture, SET_FILTER, flags, ctypes.byref(described))) == 0:
            return ""
        if done > 0:
            return f"thread {done} could not be brought behind it"
    return _said()


def _seccomp(architecture: Architecture, operation: int, flags: int, argument: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    number = architecture.number("seccomp")
    return int(libc.syscall(ctypes.c_long(number or 0), ctypes.c_uint(operation), ctypes.c_uint(flags), argument))


def _said() -> str:
    return f"the kernel says: {os.strerror(ctypes.get_errno())}"
