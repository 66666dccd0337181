"""An audit hook that refuses files, processes and sockets outside an allow list, and remembers what was tried.

Python tells its audit hooks of every file that it opens, process that it starts and socket that it makes (PEP 578).
The hook keeps honest mistakes and simple peeking out. It is no wall: native code opens files without telling Python
(`docs/isolation.md` lists what passes, and the tests show it). A hook cannot be removed again, so :func:`watch` is for
processes that end with the code they watch.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

MOST_KEPT = 20
"""Attempts that are remembered; more would tell nothing new."""
SYSTEM_READ = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/etc", "/sys")
SYSTEM_FILES = (
    "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/filesystems", "/proc/version", "/proc/uptime",
    "/proc/loadavg", "/proc/sys", "/proc/driver/nvidia",
)  # fmt: skip
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/nvidia")
LISTING = {"os.listdir", "os.scandir"}
CHANGING = {
    "os.remove": 1, "os.rmdir": 1, "os.mkdir": 1, "os.chmod": 1, "os.chown": 1, "os.truncate": 1, "os.utime": 1,
    "os.setxattr": 1, "os.removexattr": 1, "os.chflags": 1, "os.rename": 2, "os.link": 2, "sqlite3.connect": 1,
}  # fmt: skip
"""Events that change files, and how many of their first arguments are paths."""
STARTING = {
    "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "os.startfile", "subprocess.Popen",
    "pty.spawn",
}  # fmt: skip
NETWORK = {
    "socket.__new__", "socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo",
    "socket.gethostbyname", "socket.gethostbyaddr", "urllib.Request", "ftplib.connect", "smtplib.connect",
    "imaplib.open", "poplib.connect", "nntplib.connect", "telnetlib.Telnet.open", "http.client.connect",
}  # fmt: skip


class RefusedError(PermissionError):
    """Something that a method may not do."""


class Watch:
    """What is allowed, and what was tried although it is not."""

    def __init__(self, read: Iterable[str | Path], write: Iterable[str | Path], denied: Iterable[str | Path]) -> None:
        self.read, self.write, self.denied = _roots(read), _roots(write), _roots(denied)
        # Importing a module lists the folders of the search path; their names tell nothing about test pictures.
        self.listed = {os.path.realpath(entry or ".") for entry in sys.path}
        self.attempts: list[str] = []

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Python's call for every event."""
        if event == "open":
            self._opening(*arguments)
        elif event in LISTING:
            self._listing(event, arguments[0])
        elif event in CHANGING:
            for path in arguments[: CHANGING[event]]:
                self._changing(event, path)
        elif event == "os.symlink":
            self._changing(event, arguments[1])
        elif event in STARTING:
            self._refuse(f"start a process ({event}{_told(arguments)})", "it must not start processes")
        elif event in NETWORK:
            self._refuse(f"use the network ({event}{_told(arguments)})", "it has no network and no sockets")
        elif event in ("os.kill", "os.killpg") and arguments[0] != os.getpid():
            self._refuse(f"send signal {arguments[1]} to process {arguments[0]}", "it may signal nobody else")

    def _opening(self, path: Any, mode: Any = None, flags: Any = 0) -> None:
        if isinstance(path, int) or path is None:
            return  # an open file: it was allowed, or it is the harness's line
        writing = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
        if not writing and isinstance(mode, str):
            writing = any(letter in mode for letter in "wax+")
        place = _place(path)
        if writing and not self.may_write(place):
            self._refuse(f"write {place}", "it may write only to its scratch folder")
        if not writing and not self.may_read(place):
            self._refuse(f"read {place}", "it may read only Python's libraries, its own folder and its scratch folder")

    def _listing(self, event: str, path: Any) -> None:
        if isinstance(path, int):
            return
        place = _place("." if path is None else path)
        if place not in self.listed and not self.may_read(place):
            self._refuse(f"list the folder {place}", "it may look only at its own folder and its scratch folder")

    def _changing(self, event: str, path: Any) -> None:
        if isinstance(path, int) or path is None or path == ":memory:" or path == b":memory:":
            return
        # The name itself is changed, not what a link of that name leads to.
        text = os.path.abspath(os.fsdecode(path))
        place = os.path.join(os.path.realpath(os.path.dirname(text)), os.path.basename(text))
        if not self.may_write(place) or place in self.write:
            self._refuse(f"change {place} ({event})", "it may change only what is in its scratch folder")

    def may_read(self, place: str) -> bool:
        """Whether a real path may be read."""
        if _within(place, self.write):
            return True
        if _within(place, self.denied):
            return False
        own = f"/proc/{os.getpid()}"
        known = _within(place, self.read) or _within(place, SYSTEM_FILES) or _within(place, (own,))
        return known or place.startswith(DEVICES)

    def may_write(self, place: str) -> bool:
        """Whether a real path may be written."""
        return _within(place, self.write) or place.startswith(DEVICES)

    def _refuse(self, what: str, because: str) -> None:
        if len(self.attempts) < MOST_KEPT and what not in self.attempts:
            self.attempts.append(what)
        raise RefusedError(f"the method tried to {what}; {because}")


def watch(
    allowed_read: Sequence[str | Path], allowed_write: Sequence[str | Path], denied: Sequence[str | Path] = ()
) -> None:
    """From now on, refuse what this process must not touch; there is no way back.

    Below ``allowed_read`` files may be read and below ``allowed_write`` also written; ``denied`` wins over
    ``allowed_read``. Python's libraries, the system's, a few devices and the process's own entries of ``/proc`` may
    always be read. What is refused raises :class:`RefusedError`, a ``PermissionError`` that names what was tried, and
    is told by :func:`attempts` even where the code went on regardless. Called twice, both hold.
    """
    found = Watch([*python_places(), *SYSTEM_READ, *allowed_read], allowed_write, denied)
    _watches.append(found)
    sys.addaudithook(found)


def attempts() -> tuple[str, ...]:
    """What was tried and refused so far in this process, in plain words."""
    return tuple(what for found in _watches for what in found.attempts)


_watches: list[Watch] = []


def python_places() -> list[str]:
    """Where Python's own files and installed packages lie, of the search path also archives."""
    import site
    import sysconfig

    found = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    found |= set(site.getsitepackages()) if hasattr(site, "getsitepackages") else set()
    found |= {entry for entry in sys.path if entry.endswith(".zip")} | {sys.executable, f"{sys.prefix}/pyvenv.cfg"}
    return sorted(str(place) for place in found if place)


def _roots(places: Iterable[str | Path]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(os.path.realpath(place) for place in places))


def _place(path: Any) -> str:
    try:
        return os.path.realpath(os.fsdecode(path))
    except (ValueError, TypeError):
        return str(path)


def _within(place: str, roots: Iterable[str]) -> bool:
    return any(place == root or place.startswith(root.rstrip("/") + "/") for root in roots)


def _told(arguments: Sequence[Any]) -> str:
    """The first telling argument of an event, briefly."""
    words = [os.fsdecode(value) for value in arguments if isinstance(value, (str, bytes)) and value]
    return f": {words[0][:100]}" if words else ""
