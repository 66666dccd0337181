"""Functions of which Python's audit tells nothing: readers of files in native code, and some of Python's own.

They are made to tell: an opener raises the audit event :data:`OPENED_NATIVELY` with the path before it opens it, the
others one of their own name. Who goes past these names, to the packages' inner modules say, is not seen by the hook
(`docs/isolation.md`); it meets the fences of the kernel.
"""

from __future__ import annotations

import functools
import importlib
import importlib.abc
import importlib.machinery
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any

OPENED_NATIVELY = "vlcl_bench.opened_natively"
"""The audit event; its argument is the path, or the address, as it was given."""
OPENERS = {
    "pyarrow.parquet": ("read_table", "read_pandas", "read_metadata", "ParquetFile", "ParquetDataset"),
    "pyarrow": ("memory_map", "OSFile", "input_stream"),
    "pyarrow.dataset": ("dataset",),
    "safetensors": ("safe_open",),
    "safetensors.torch": ("load_file",),
    "safetensors.numpy": ("load_file",),
}
"""The openers, by module. Their first argument is what they open, or one of :data:`NAMES`."""
NAMES = ("source", "path", "where", "path_or_paths", "filename")
_OS = ("mknod", "mkfifo", "setpriority", "sched_setaffinity", "sched_setscheduler", "sched_setparam")
SILENT = {
    "os": _OS,
    "posix": _OS,
    "_posixsubprocess": ("fork_exec",),
    "signal": ("pidfd_send_signal",),
    "_signal": ("pidfd_send_signal",),
    "sqlite3": ("connect",),
    "readline": ("read_history_file", "read_init_file", "write_history_file", "append_history_file"),
}
"""Python's own functions that no audit event tells of, by module."""
SPOKEN_OF = {"posix": "os", "_signal": "signal"}
"""The module under whose name the functions of another one are told."""


class NativeOpeners(importlib.abc.MetaPathFinder):
    """While it is entered, the openers tell what they open, also those of modules that are imported meanwhile."""

    def __init__(self) -> None:
        self._before: list[tuple[ModuleType, str, Any]] = []

    def __enter__(self) -> None:
        for name in SILENT:
            if name in sys.builtin_module_names:  # their import asks no finder
                importlib.import_module(name)
        for name in (*OPENERS, *SILENT):
            if name in sys.modules:
                self._replace(sys.modules[name])
        sys.meta_path.insert(0, self)

    def __exit__(self, *_: object) -> None:
        sys.meta_path.remove(self)
        for module, name, opener in reversed(self._before):
            setattr(module, name, opener)
        self._before.clear()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Python's question for a module that is imported now: the usual answer, but its openers are replaced."""
        spec = (
            importlib.machinery.PathFinder.find_spec(fullname, path, target)
            if fullname in OPENERS or fullname in SILENT
            else None
        )
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_replace(module: ModuleType) -> None:
            execute(module)
            self._replace(module)

        spec.loader.exec_module = execute_and_replace  # type: ignore[method-assign]
        return spec

    def _replace(self, module: ModuleType) -> None:
        for name in OPENERS.get(module.__name__) or SILENT[module.__name__]:
            if hasattr(module, name):
                original = getattr(module, name)
                event = f"{SPOKEN_OF.get(module.__name__, module.__name__)}.{name}"
                self._before.append((module, name, original))
                setattr(module, name, _telling(original) if module.__name__ in OPENERS else _saying(event, original))


def _saying(event: str, function: Callable[..., Any]) -> Callable[..., Any]:
    if event == "sqlite3.connect":
        return _one_database(function)

    @functools.wraps(function, updated=())
    def say_and_do(*arguments: Any, **named: Any) -> Any:
        sys.audit(event, *arguments, *named.values())
        return function(*arguments, **named)

    return say_and_do


def _telling(opener: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(opener, updated=())
    def tell_and_open(*arguments: Any, **named: Any) -> Any:
        for path in _paths(arguments[0] if arguments else next((named[name] for name in NAMES if name in named), None)):
            sys.audit(OPENED_NATIVELY, path)
        return opener(*arguments, **named)

    return tell_and_open


def _paths(source: object) -> Iterator[str]:
    """The paths that are named: one, several, or none where an open file is given."""
    if isinstance(source, (str, bytes, os.PathLike)):
        yield os.fsdecode(source)
    elif isinstance(source, (list, tuple)):
        for part in source:
            yield from _paths(part)


def _one_database(connect: Callable[..., Any]) -> Callable[..., Any]:
    """SQLite opens further files by a word of its language (``ATTACH``), which it forgets here."""

    @functools.wraps(connect, updated=())
    def connect_to_one(*arguments: Any, **named: Any) -> Any:
        import sqlite3

        connection = connect(*arguments, **named)
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        return connection

    return connect_to_one
