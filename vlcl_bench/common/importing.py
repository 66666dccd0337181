"""Importing a Python file that somebody names."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from vlcl_bench.errors import MethodError


def import_file(path: Path, digest: str, folder: Path | None = None) -> ModuleType:
    """Import a file under a name that depends on its place and content, so that no two get in each other's way.

    With a ``folder``, the file is imported as a module of that package, so that it can import others beside it:
    ``from .helper import something``. Raises :class:`MethodError` with the line where it fails.
    """
    place = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]
    name = f"vlcl_method_{path.stem}_{place}_{digest[:8]}"
    if folder is not None:
        package = ModuleType(f"{name}_package")
        package.__path__ = [str(folder)]
        sys.modules.setdefault(package.__name__, package)
        name = f"{package.__name__}.{path.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
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
