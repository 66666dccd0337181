"""Functions of other packages that open files in native code, unseen by Python's audit: they are made to tell.

Each raises the audit event :data:`OPENED_NATIVELY` with the path before it opens it. Who goes past these names, to the
packages' inner modules say, is not seen (`docs/isolation.md`).
"""

from __future__ import annotations

import functools
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


class NativeOpeners(importlib.abc.MetaPathFinder):
    """While it is entered, the openers tell what they open, also those of modules that are imported meanwhile."""

    def __init__(self) -> None:
        self._before: list[tuple[ModuleType, str, Any]] = []

    def __enter__(self) -> None:
        for name in OPENERS:
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
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target) if fullname in OPENERS else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_replace(module: ModuleType) -> None:
            execute(module)
            self._replace(module)

        spec.loader.exec_module = execute_and_replace  # type: ignore[method-assign]
        return spec

    def _replace(self, module: ModuleType) -> None:
        for name in OPENERS[module.__name__]:
            if hasattr(module, name):
                self._before.append((module, name, getattr(module, name)))
                setattr(module, name, _telling(getattr(module, name)))


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
