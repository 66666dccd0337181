"""The Python files of a submission: which they are, what their digest is and what they say. Nothing is imported."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from vlcl_bench.methods.source import source_digest
from vlcl_bench.submissions.files import METHOD_LIMIT, MOST_FILES
from vlcl_bench.submissions.manifest import METHOD_NAME
from vlcl_bench.submissions.text import UnreadableError, read_limited, shown


def python_files(folder: Path) -> list[Path]:
    """The method's file and those beside it, by name, each read once.

    Raises :class:`UnreadableError` where one is a link or something else than a plain file, lies deeper than the
    folder itself, or where they have more than :data:`~vlcl_bench.submissions.files.METHOD_LIMIT` bytes together: the
    digest of a submission covers them all, and is computed of nothing else.
    """
    total = len(read_limited(folder / METHOD_NAME, METHOD_LIMIT))
    files = [folder / METHOD_NAME]
    for path in _entries(folder):
        where = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise UnreadableError(f"there is a link in its folder, {shown(where)}")
        if path.suffix != ".py" or path.is_dir() or path == files[0]:
            continue
        if path.parent != folder:
            raise UnreadableError(f"there is a Python file where none belongs, {shown(where)}")
        total += len(read_limited(path, METHOD_LIMIT))
        files.append(path)
    if total > METHOD_LIMIT:
        raise UnreadableError(f"its Python files have {total:,} bytes together; at most {METHOD_LIMIT:,} are read")
    return files


def _entries(folder: Path) -> Iterator[Path]:
    """All files and folders below one, in order; no link is entered."""
    count = 0
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted([*folders, *names]):
            count += 1
            if count > MOST_FILES:
                raise UnreadableError(f"there are more than {MOST_FILES} files and folders")
            yield Path(place, name)


def submission_digest(folder: Path, method: Path) -> str:
    """The digest of a submission's source, as its records carry it.

    ``method`` is the file that ``submission.toml`` names: of the submission's own one all Python files of the folder
    count, of a reference method those that it imports.
    """
    return source_digest(method, folder if method.parent == folder else None)


def says_deterministic(sources: Iterable[Path]) -> bool:
    """Whether a class in one of the files has ``deterministic = True``; read from the syntax tree."""
    return any(_says_deterministic(source) for source in sources)


def _says_deterministic(source: Path) -> bool:
    try:
        tree = ast.parse(source.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError, OSError):
        return False
    for node in ast.walk(tree):
        for part in node.body if isinstance(node, ast.ClassDef) else ():
            if not isinstance(part, ast.Assign | ast.AnnAssign):
                continue
            targets = part.targets if isinstance(part, ast.Assign) else [part.target]
            named = any(isinstance(target, ast.Name) and target.id == "deterministic" for target in targets)
            if named and isinstance(part.value, ast.Constant) and part.value.value is True:
                return True
    return False
