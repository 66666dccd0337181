"""Importing a Python file that somebody names."""

from __future__ import annotations

import hashlib
import importlib
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from types import CodeType, ModuleType

from vlcl_bench.errors import MethodError


class SourceLoader(importlib.machinery.SourceFileLoader):
    """Compiles a file from its source, always: byte code in a cache could be another program than what was hashed."""

    def get_code(self, fullname: str) -> CodeType:
        """See :meth:`importlib.abc.InspectLoader.get_code`."""
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


_source_only: set[str] = set()


def only_source_below(folder: Path) -> None:
    """From now on import nothing from this folder and what is below it but Python files, from their source.

    So neither a cache nor a compiled module beside the source is run in its place, whenever the import happens.
    """
    if not _source_only:
        sys.path_hooks.insert(0, _source_finder)
    _source_only.update((os.path.abspath(folder), os.path.realpath(folder)))
    for place in [place for place in sys.path_importer_cache if _is_below(place, _source_only)]:
        del sys.path_importer_cache[place]


def _source_finder(place: str) -> importlib.machinery.FileFinder:
    if _is_below(place, _source_only):
        return importlib.machinery.FileFinder(place, (SourceLoader, [".py"]))
    raise ImportError(f"{place} is no method's")


def _is_below(place: str, folders: Iterable[str]) -> bool:
    whole = os.path.abspath(place)
    return any(whole == folder or whole.startswith(folder.rstrip("/") + "/") for folder in folders)


def import_file(path: Path, digest: str, folder: Path | None = None) -> ModuleType:
    """Import a file under a name that depends on its place and content, so that no two get in each other's way.

    With a ``folder``, the file is imported as a module of that package, so that it can import others beside it:
    ``from .helper import something``. What runs is the source, never byte code beside it. Raises :class:`MethodError`
    with the line where it fails.
    """
    place = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]
    name = f"vlcl_method_{path.stem}_{place}_{digest[:8]}"
    if folder is not None:
        package = ModuleType(f"{name}_package")
        package.__path__ = [str(folder)]
        only_source_below(folder)
        sys.modules.setdefault(package.__name__, package)
        name = f"{package.__name__}.{path.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path, loader=SourceLoader(name, str(path)))
    if path.suffix != ".py" or spec is None or spec.loader is None:
        raise MethodError(f"{path} cannot be imported: it is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, KeyboardInterrupt):
            raise
        line = _line_in(error, path)
        raise MethodError(
            f"{path}{line} does not import: {type(error).__name__}: {error}",
            "Fix the file, or see the whole traceback with: python " + str(path),
        ) from error
    return module


def _line_in(error: BaseException, path: Path) -> str:
    if isinstance(error, SyntaxError) and error.lineno and Path(error.filename or "").absolute() == path.absolute():
        return f", line {error.lineno},"
    trace, found = error.__traceback__, ""
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename).absolute() == path.absolute():
            found = f", line {trace.tb_lineno},"
        trace = trace.tb_next
    return found
