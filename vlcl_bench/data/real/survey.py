"""Files of a copy that are not read: how many, and why; and those that nobody would want to be left out.

Only of layouts in which a picture's folder is its class: elsewhere the archive's lists say what is read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from vlcl_bench.data.real.file_names import LEFT_BEHIND, ending, is_picture_name, is_readable, on_disk
from vlcl_bench.data.real.layouts_folders import CLASS_FOLDERS
from vlcl_bench.data.real.spec import RealSpec
from vlcl_bench.errors import IntegrityError

HIDDEN = "hidden"
NAMELESS = "without a picture's name"
BESIDE = "beside the class folders"
NO_CLASS = "in folders that are no class"
LEAVINGS = "left behind by archivers and file managers"


@dataclass
class Survey:
    """What lies in a copy and is not read.

    ``passed_over`` holds paths below the data set's folder by reason. The other lists hold what must not be dropped:
    pictures in ``nested`` folders of a class folder, pictures that are ``unreadable`` by their name, and ``broken``
    ones: links to nothing, and what is no file.
    """

    passed_over: dict[str, list[str]] = field(default_factory=dict)
    nested: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def words(self) -> str:
        """``passed over 3 files: 2 hidden (first …), 1 …``; empty where nothing was."""
        total = sum(map(len, self.passed_over.values()))
        if not total:
            return ""
        parts = [f"{len(paths):,} {reason} ({_first(paths)})" for reason, paths in self.passed_over.items() if paths]
        return f"passed over {total:,} {'file' if total == 1 else 'files'}: {', '.join(parts)}"

    def note(self, reason: str, path: str) -> None:
        """Count a file that is passed over."""
        self.passed_over.setdefault(reason, []).append(path)

    def refuse(self, spec: RealSpec, root: Path) -> None:
        """Raise :class:`IntegrityError` where pictures would be dropped; all kinds at once, each with its first."""
        parts, hints = [], []
        if self.nested:
            parts.append(f"{_pictures(self.nested)} in folders inside a class folder ({_first(self.nested)})")
            hints.append("Put pictures directly into their class's folder; folders inside it are not read.")
        if self.unreadable:
            kinds = ", ".join(sorted({ending(path) for path in self.unreadable}))
            parts.append(
                f"{_pictures(self.unreadable)} of a kind that cannot be read here: {kinds} ({_first(self.unreadable)})"
            )
            hints.append("Save these as PNG or JPEG.")
        if self.broken:
            parts.append(f"{_pictures(self.broken)} that cannot be opened as files ({_first(self.broken)})")
            hints.append("A link that leads nowhere, or something that is no file: put the picture there.")
        if parts:
            hints.append("Or move what is not wanted out of the data set's folder.")
            raise IntegrityError(f"{spec.name}: {root} holds " + ", and ".join(parts), " ".join(hints))


def survey(root: Path, spec: RealSpec) -> Survey:
    """What lies below a data set's folder and is not read; nothing, for layouts that read by lists.

    Raises :class:`IntegrityError` where a folder cannot be listed.
    """
    found = Survey()
    folders = CLASS_FOLDERS.get(spec.layout)
    if folders is None or "split_list" in spec.options:
        return found
    classes = {os.path.normpath(on_disk(root, folder)) for folder in folders(spec)}
    above = {str(parent) for folder in classes for parent in Path(folder).parents}
    _look(root, os.path.normpath(root), _Walk(found, classes, above))
    return found


@dataclass(frozen=True)
class _Walk:
    found: Survey
    classes: set[str]
    above: set[str]


def _look(root: Path, folder: str, walk: _Walk) -> None:
    """Sort what lies in a folder that is a class's, or above such a one."""
    is_class, found = folder in walk.classes, walk.found
    for item in _scan(folder):
        path = os.path.relpath(item.path, root).replace(os.sep, "/")
        inside = os.path.normpath(item.path)
        if item.name.startswith("."):
            found.note(HIDDEN, path)
        elif item.is_dir() and item.name in LEFT_BEHIND:
            found.note(LEAVINGS, path)
        elif item.is_dir() and (inside in walk.classes or inside in walk.above):
            _look(root, inside, walk)
        elif item.is_dir():
            for below in _files(item.path, root):
                if is_class and is_picture_name(below):
                    found.nested.append(below)
                else:
                    found.note(NO_CLASS if not is_class else NAMELESS, below)
        elif not is_class:
            found.note(BESIDE, path)
        elif not is_picture_name(item.name):
            found.note(NAMELESS, path)
        elif not item.is_file():
            found.broken.append(path)
        elif not is_readable(item.name):
            found.unreadable.append(path)


def _scan(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as items:
            return sorted(items, key=lambda item: item.name)
    except OSError as error:
        raise IntegrityError(f"{folder} cannot be listed: {error.strerror}") from error


def _files(folder: str, root: Path) -> Iterator[str]:
    """Paths below the root of all files in or below a folder, without hidden ones; no link to a folder is followed."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in LEFT_BEHIND)
        for name in sorted(names):
            if not name.startswith("."):
                yield os.path.relpath(os.path.join(place, name), root).replace(os.sep, "/")


def _first(paths: list[str]) -> str:
    return paths[0] if len(paths) == 1 else f"the first is {paths[0]}"


def _pictures(paths: list[str]) -> str:
    return f"{len(paths):,} {'picture' if len(paths) == 1 else 'pictures'}"
