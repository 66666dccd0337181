"""The fences around a method's process, beside the audit hook: which the kernel offers, and laying them.

Each is said by a word in the record (``provenance.fences``): ``audit`` (the hook), ``landlock`` (files), ``seccomp``
(calls), ``container`` (bubblewrap). Where the kernel offers none of its own, the run and the record say so.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from vlcl_bench.engine.sandbox import audit, container, landlock, seccomp

LATE = "landlock-late"
"""The fence of files, laid when there were other threads already, which it does not hold."""
DEVICES = ("nvidia*", "dri", "kfd", "dxg")
"""What graphics cards are called below ``/dev``."""
KERNEL = ("/proc/sys", "/proc/driver", "/proc/devices", "/proc/filesystems", "/proc/version", "/proc/loadavg")
"""What native libraries ask the system, beside what :data:`audit.SYSTEM` has."""


@dataclass(frozen=True)
class Policy:
    """What the kernel lets a method's process open: below ``read`` without what is ``hidden``, and its scratch folder.

    ``late`` says that the fence of files is laid only when the backbone is loaded: a backbone that is a Python file is
    the user's own, and may read what the user may.
    """

    read: Sequence[str] = ()
    hidden: Sequence[str] = ()
    late: bool = False

    def told(self) -> str:
        """As text that crosses to the process."""
        return json.dumps(asdict(self))

    @classmethod
    def heard(cls, text: str) -> Policy:
        """From what crossed; without any, a policy under which nothing but libraries can be read."""
        return cls(**json.loads(text)) if text.strip() else cls()


def lay_files(policy: Policy, scratch: str) -> str:
    """Lay the fence of files; returns why it could not be laid, or ''."""
    root = os.path.realpath(Path(__file__).parents[3])
    searched = [entry for entry in map(os.path.realpath, sys.path) if entry != root]
    paths = [place for place in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if place]
    read = [*audit.library_places(), *searched, *paths, *audit.SYSTEM, *container.SYSTEM, *policy.read]
    hidden = [*audit.data_of_libraries(), *policy.hidden]
    process = f"/proc/{os.getpid()}"
    if os.path.isdir(process):
        # The kernel's word for a folder of /proc holds as long as somebody keeps it open.
        _kept.append(os.open(process, os.O_PATH))
    devices = [str(path) for pattern in DEVICES for path in sorted(Path("/dev").glob(pattern))]
    return landlock.lay(
        read=[*landlock.open_places(read, hidden), *KERNEL, process],
        write=[os.path.realpath(scratch), os.devnull],
        listed=[*map(os.path.realpath, sys.path), *map(os.path.realpath, policy.read), *audit.LISTED],
        devices=devices,
    )


_kept: list[int] = []


def one_thread() -> bool:
    """Whether this process has a single thread so far."""
    with contextlib.suppress(OSError):
        return len(os.listdir("/proc/self/task")) == 1
    return False


class Fences:
    """The fences of one process: ``held`` are those that stand, ``missing`` says of the others why they do not."""

    def __init__(self, policy: Policy, scratch: str) -> None:
        self.policy, self.scratch = policy, scratch
        self.held: list[str] = []
        self.missing: dict[str, str] = {}

    def first(self) -> None:
        """Before anything is imported: the fence of files."""
        if not self.policy.late:
            self._note("landlock" if one_thread() else LATE, lay_files(self.policy, self.scratch))

    def last(self, read: Iterable[Path], denied: Iterable[Path]) -> None:
        """Before the method's code: what is left."""
        import resource

        if self.policy.late:
            self._note(LATE, lay_files(self.policy, self.scratch))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        audit.watch(list(read), [self.scratch], list(denied))
        self._note("audit", "")
        self._note("seccomp", seccomp.lay())

    def _note(self, fence: str, missing: str) -> None:
        if missing:
            self.missing[fence.removesuffix("-late")] = missing
        else:
            self.held.append(fence)


def words_on_missing(missing: dict[str, str]) -> str:
    """What a run says of fences that this system does not offer; empty where all stand."""
    meant = {"seccomp": "new processes and sockets", "landlock": "files opened by native code"}
    said = [f"{fence} ({why}), so that {meant.get(fence, 'nothing')} are not held" for fence, why in missing.items()]
    return f"fences that are missing here: {'; '.join(said)}; the record says so" if said else ""
