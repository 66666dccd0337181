"""The audit hook: what a method may read, write and do, and what happens where it tries more.

Python tells its audit hooks of every file that it opens, process that it starts and socket that it makes (PEP 578).
One table of events and one rule serve two modes. In a run, :func:`watch` refuses an attempt and remembers it. In the
contract tests, :class:`Notice` writes the same attempts down, and lets those that only look go on, so that everything
can be said at once. The hook stops mistakes and simple looks at test data. It is no wall: native code opens files
without telling Python (`docs/isolation.md` lists what passes, and the tests show it).
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
import urllib.parse
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from vlcl_bench.engine.sandbox.deeds import EVENTS, LOOKING, ONLY_OTHERS, WORDS, Deed
from vlcl_bench.engine.sandbox.native_openers import OPENED_NATIVELY, NativeOpeners
from vlcl_bench.methods.source import baselines_folder

MOST_KEPT = 20
"""Attempts that a run remembers; more would say nothing new."""
SYSTEM = ("/usr/lib", "/usr/lib64", "/usr/share", "/usr/local/lib", "/lib", "/lib64", "/etc", "/sys",
          "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/dev/null", "/dev/random", "/dev/urandom")  # fmt: skip
"""Places of the system that may be read."""
LISTED = ("/usr", "/lib32", "/bin", "/sbin")
"""Further places whose names may be listed, as libraries do that look for fonts or compilers."""
CODE = (".py", ".pyc", ".so")
"""What of this package and of the reference methods may be read: a method imports from them, and needs no data."""


class RefusedError(PermissionError):
    """Something that a method may not do."""


@dataclass(frozen=True)
class Attempt:
    """Something that a method may not do: the deed, and the place or the particulars of it."""

    deed: Deed
    what: str

    def __str__(self) -> str:
        return f"{WORDS[self.deed][0]} {self.what}"

    @property
    def done(self) -> str:
        """The deed as a sentence about the method: ``opens /etc/x``."""
        return f"{WORDS[self.deed][1]} {self.what}"

    def refused(self) -> RefusedError:
        """The error that the method meets."""
        return RefusedError(f"the method tried to {self}; {WORDS[self.deed][2]}")


class Boundary:
    """The rule: what a method may read, write and do.

    Below ``read`` files may be read, below ``write`` also written; ``denied`` wins over ``read``. Python's libraries,
    the system's, the code of this package and of the reference methods, and the process's own entries of ``/proc`` may
    always be read.
    """

    def __init__(
        self, read: Iterable[str | Path], write: Iterable[str | Path], denied: Iterable[str | Path] = ()
    ) -> None:
        libraries = library_places()
        self.code = _roots([Path(__file__).parents[2], baselines_folder()])
        self.read = tuple(root for root in _roots(read) if root not in self.code)
        self.write = _roots(write)
        self.shared = _roots([*libraries, *SYSTEM, f"/proc/{os.getpid()}"])
        self.denied = _roots([*denied, *data_of_libraries()])
        # Importing a module lists the folders of the search path; their names say nothing about test pictures.
        self.searched = set(_roots(entry or "." for entry in sys.path))

    def attempts(self, event: str, arguments: Sequence[Any]) -> Iterator[Attempt]:
        """What an event with these arguments does that is not allowed; nothing for most events."""
        known = EVENTS.get(event)
        if known is None:
            return
        for place in known.paths:
            if place >= len(arguments):
                continue  # a default, which lies in the home folder: the scratch folder
            if arguments[place] is not None or known.deed == "list":
                yield from self._at(known.deed, event, arguments[place], arguments)
        if known.paths:
            return
        if event in ONLY_OTHERS and arguments and arguments[0] in (0, os.getpid()):
            return
        if known.deed == "signal":
            if arguments[0] != os.getpid() or event == "signal.pidfd_send_signal":
                yield Attempt("signal", f"signal {arguments[1]} to process {arguments[0]}")
        else:
            yield Attempt(known.deed, f"({event}{_first_text(arguments)})")

    def _at(self, deed: Deed, event: str, path: Any, arguments: Sequence[Any]) -> Iterator[Attempt]:
        """What is done to one path."""
        if isinstance(path, int):
            return  # an open file or folder: it was allowed, or it is the harness's line
        scheme, _, rest = path.partition("://") if event == OPENED_NATIVELY else ("", "", "")
        if rest and scheme != "file":
            yield Attempt("connect", f"({event}: {path[:100]})")
            return
        if deed == "open":
            deed = "write" if _writes(*arguments[1:3]) else "read"
        if deed == "change":
            text = _database(path) if event == "sqlite3.connect" else os.fsdecode(path)
            # The name itself is changed, not what a link of that name leads to.
            whole = os.path.abspath(text)
            place = os.path.join(os.path.realpath(os.path.dirname(whole)), os.path.basename(whole))
            if text != ":memory:" and (not self.may_write(place) or place in self.write):
                yield Attempt("change", f"{place} ({event})")
            return
        place = os.path.realpath("." if path is None else rest or os.fsdecode(path))
        allowed = {"read": self.may_read, "write": self.may_write, "list": self.may_list}[deed]
        if not allowed(place):
            yield Attempt(deed, place)

    def may_read(self, place: str) -> bool:
        """Whether the file at a real path may be read."""
        if _within(place, self.write):
            return True
        if _within(place, self.denied):
            return False
        if _within(place, self.code) and not place.endswith(CODE):  # wherever this package is installed
            return _within(place, self.read)
        return _within(place, self.read) or _within(place, self.code) or _within(place, self.shared)

    def may_list(self, place: str) -> bool:
        """Whether the folder at a real path may be listed."""
        code = _within(place, self.code) and not _within(place, self.denied)
        return code or place in self.searched or _within(place, LISTED) or self.may_read(place)

    def may_write(self, place: str) -> bool:
        """Whether a real path may be written."""
        return _within(place, self.write) or place == os.devnull


class Refusal:
    """The hook of a run: an attempt raises :class:`RefusedError` and is remembered."""

    def __init__(self, boundary: Boundary) -> None:
        self.boundary = boundary
        self.attempts: list[str] = []

    def __call__(self, event: str, arguments: Sequence[Any]) -> None:
        """Python's call for every event."""
        for attempt in self.boundary.attempts(event, arguments):
            if len(self.attempts) < MOST_KEPT and str(attempt) not in self.attempts:
                self.attempts.append(str(attempt))
            raise attempt.refused()


class Notice:
    """The hook of the contract tests: ``seen`` has a sentence for each attempt, with what was going on meanwhile.

    What only looks goes on; everything else raises :class:`RefusedError`, as in a run.
    """

    def __init__(self, boundary: Boundary) -> None:
        self.boundary = boundary
        self.seen: dict[str, str] = {}
        self.doing = ""

    def __call__(self, event: str, arguments: Sequence[Any]) -> None:
        """What :func:`_tell` passes on."""
        for attempt in self.boundary.attempts(event, arguments):
            self.seen.setdefault(str(attempt), f"{attempt.done} while {self.doing}")
            if attempt.deed not in LOOKING:
                raise attempt.refused()

    @contextmanager
    def over(self, doing: str) -> Iterator[None]:
        """Notice what happens meanwhile, as done while ``doing`` something."""
        _install()
        self.doing = doing
        with NativeOpeners():
            _noticing.append(self)
            try:
                yield
            finally:
                _noticing.remove(self)


_refusing: list[Refusal] = []
_noticing: list[Notice] = []


def watch(
    allowed_read: Sequence[str | Path], allowed_write: Sequence[str | Path], denied: Sequence[str | Path] = ()
) -> None:
    """From now on, refuse what this process must not touch (see :class:`Boundary`); there is no way back.

    A hook cannot be removed again, so this is for processes that end with the code they watch. What is refused raises
    :class:`RefusedError`, a ``PermissionError`` that names what was tried, and is listed by :func:`attempts` even where
    the code went on regardless. Called twice, both hold.
    """
    refusal = Refusal(Boundary(allowed_read, allowed_write, denied))
    if not _refusing:
        NativeOpeners().__enter__()
    _refusing.append(refusal)
    sys.addaudithook(refusal)


def attempts() -> tuple[str, ...]:
    """What was tried and refused so far in this process, in plain words."""
    return tuple(attempt for refusal in _refusing for attempt in refusal.attempts)


@cache
def _install() -> None:
    """Hook into the interpreter, once: a hook cannot be taken out, but this one sleeps while nothing is noticed."""
    sys.addaudithook(_tell)


def _tell(event: str, arguments: tuple[Any, ...]) -> None:
    for notice in _noticing:
        notice(event, arguments)


def library_places() -> list[str]:
    """Where Python's own files and installed packages lie, of the search path also archives."""
    places = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    installed = {entry for entry in sys.path if entry.endswith((".zip", "/site-packages", "/dist-packages"))}
    return sorted(places | set(site.getsitepackages()) | installed)


def data_of_libraries() -> list[str]:
    """What lies in installed packages and is what the test pictures of some world are made of."""
    from vlcl_bench.data.world import worlds

    parts = sorted({part for world in worlds() for part in world.made_of})
    return [os.path.join(place, part) for place in library_places() for part in parts]


def _writes(mode: Any = None, flags: Any = 0) -> bool:
    asked = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
    return bool(asked) or (isinstance(mode, str) and any(letter in mode for letter in "wax+"))


def _database(path: Any) -> str:
    """The file of an SQLite database, which may be given as ``file:PATH?mode=ro``."""
    text = os.fsdecode(path)
    return urllib.parse.unquote(urllib.parse.urlsplit(text).path) if text.startswith("file:") else text


def _roots(places: Iterable[str | Path]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(os.path.realpath(place) for place in places))


def _within(place: str, roots: Iterable[str]) -> bool:
    return any(place == root or place.startswith(root.rstrip("/") + "/") for root in roots)


def _first_text(arguments: Sequence[Any]) -> str:
    """The first telling argument of an event, briefly."""
    texts = [os.fsdecode(value) for value in arguments if isinstance(value, (str, bytes)) and value]
    return f": {texts[0][:100]}" if texts else ""
