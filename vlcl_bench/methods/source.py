"""The source of a method: which files it is, and the digest that records carry of them.

What counts in a file, and what does not, is in :mod:`vlcl_bench.common.tokens`.
"""

from __future__ import annotations

import ast
import importlib.util
import os
from pathlib import Path

from vlcl_bench.common.fileio import sha256_text
from vlcl_bench.common.tokens import token_digest


def baselines_folder() -> Path:
    """Folder of the reference methods."""
    spec = importlib.util.find_spec("baselines")
    if spec is None or not spec.submodule_search_locations:
        return Path(__file__).parents[2] / "baselines"
    return Path(next(iter(spec.submodule_search_locations)))


def source_digest(method: Path, folder: Path | None = None) -> str:
    """SHA-256 of what a method's source says.

    ``method`` is its file; with it count, transitively, the modules of ``baselines`` and of its own package (relative
    imports) that it imports, found in the syntax tree, and all Python files of ``folder`` where one is given (a
    submission's). One file has its own :func:`token_digest`; several the digest of the list of theirs, the method's
    first and the others sorted, so that their names do not count. Nothing is imported. Raises :class:`OSError` for a
    file that cannot be read.
    """
    first, *others = source_files(method, folder)
    digest = token_digest(first.read_bytes())
    if not others:
        return digest
    return sha256_text("\n".join([digest, *sorted(token_digest(path.read_bytes()) for path in others)]))


def source_files(method: Path, folder: Path | None = None) -> list[Path]:
    """The files that are a method's source, its own first; see :func:`source_digest`."""
    files = [method]
    if folder is not None:
        files += [path for path in _python_files(folder) if not path.samefile(method)]
    places = {path.resolve() for path in files}
    for path in files:  # it grows while it is walked through
        for module in _imported_files(path):
            if module.resolve() not in places:
                places.add(module.resolve())
                files.append(module)
    return files


def _python_files(folder: Path) -> list[Path]:
    """The Python files below a folder, but for those of its ``runs``, which are not even looked for."""
    files: list[Path] = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "runs"]
        files += [Path(place, name) for name in names if name.endswith(".py")]
    return sorted(files)


def _imported_files(path: Path) -> list[Path]:
    """Files of ``baselines``, and of the file's own package, that it imports."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    places: list[Path] = []
    root = baselines_folder()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            places += [root.joinpath(*name.split(".")[1:]) for name in names if name.startswith("baselines.")]
        elif isinstance(node, ast.ImportFrom):
            parts = (node.module or "").split(".") if node.module else []
            if node.level > 0:
                base = path.parents[node.level - 1].joinpath(*parts)
            elif parts[:1] == ["baselines"]:
                base = root.joinpath(*parts[1:])
            else:
                continue
            places += [base, *(base / alias.name for alias in node.names)]
    files = [place.with_name(f"{place.name}.py") for place in places]
    return [file for file in files if file.is_file()]
