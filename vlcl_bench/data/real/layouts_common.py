"""What the readers of folder layouts share: listing pictures, reading lists, comparing class names."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

from vlcl_bench.data.originals import FilePicture
from vlcl_bench.data.real.file_names import LEFT_BEHIND, composed, is_readable, on_disk, refuse_twins, shown
from vlcl_bench.data.real.spec import Entry, RealSpec
from vlcl_bench.errors import IntegrityError

Reader = Callable[[Path, RealSpec], list[Entry]]
Split = Literal["train", "test", "pool"]
Listed = tuple[str, Split, int]
"""A picture of a list: sample id, which is the path below a root; split; label."""


def restore(spec: RealSpec) -> str:
    """What to do about a damaged or incomplete copy."""
    if spec.is_own:
        return f"Put the pictures right, or what the protocol's file says of {spec.name!r} under [[data]]."
    return f"Unpack the official archive again ({spec.source}); `vlcl data card {spec.name}` says what is expected."


def pictures_in(folder: Path, spec: RealSpec) -> list[str]:
    """Names of the picture files in a folder, sorted as text; hidden files and everything else are passed over.

    What was passed over, :func:`~vlcl_bench.data.real.survey.survey` says.
    """
    return _listed(folder, spec, lambda item: is_readable(item.name) and item.is_file())


def folders_in(folder: Path, spec: RealSpec) -> list[str]:
    """Names of the folders in a folder, sorted as text, without hidden ones and what archivers leave behind."""
    return _listed(folder, spec, lambda item: item.name not in LEFT_BEHIND and item.is_dir())


def _listed(folder: Path, spec: RealSpec, wanted: Callable[[os.DirEntry[str]], bool]) -> list[str]:
    """Names of what is wanted in a folder, sorted as text; never what is hidden, and never two of one spelling."""
    try:
        with os.scandir(folder) as found:
            names = sorted(item.name for item in found if not item.name.startswith(".") and wanted(item))
    except OSError as error:
        raise IntegrityError(f"{spec.name}: {folder} cannot be listed: {error.strerror}", restore(spec)) from error
    refuse_twins(names, f"{spec.name}: {folder}")
    return names


def lines_of(path: Path, spec: RealSpec) -> list[str]:
    """The lines of a text file of the archive, stripped, without empty ones."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise missing(path, spec) from error
    except (OSError, UnicodeDecodeError) as error:
        raise IntegrityError(f"{spec.name}: {path} cannot be read: {error}", restore(spec)) from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def missing(path: Path, spec: RealSpec) -> IntegrityError:
    """The error for a file of the archive that is not there."""
    return IntegrityError(f"{spec.name}: {path} is missing", restore(spec))


def same_names(found: Sequence[str], spec: RealSpec, where: Path | str, ordered: bool = True) -> None:
    """Refuse a copy whose own classes are not the protocol's, naming the first difference (:class:`IntegrityError`).

    With ``ordered``, the copy numbers its classes by this list; otherwise only the set of names counts.
    """
    there, wanted = found, [composed(name) for name in spec.names_in_source]
    found = [composed(name) for name in there]
    if list(found) == wanted or (not ordered and sorted(found) == sorted(wanted)):
        return
    absent = [name for name in wanted if name not in set(found)]
    unknown = [name for name in found if name not in set(wanted)]
    if absent or unknown:
        parts = [f"{shown(absent[0])} is not there"] if absent else []
        parts += [f"{shown(there[found.index(unknown[0])])} is none of them"] if unknown else []
        difference = ", and ".join(parts)
    elif len(found) != len(wanted):
        twice = next(name for name in found if list(found).count(name) > 1)
        difference = f"{twice!r} is there twice"
    else:
        place = next(index for index, pair in enumerate(zip(found, wanted, strict=True)) if pair[0] != pair[1])
        difference = f"the same names stand in another order: number {place} is {found[place]!r}, not {wanted[place]!r}"
    if absent and unknown and spec.source_names is None and spec.layout in ("folder", "class_folders"):
        difference += "; folders that are not called like their classes are listed in source_names"
    raise IntegrityError(
        f"{spec.name}: {where} has {len(found)} classes, expected {len(wanted)}: {difference}{because(spec, found)}",
        restore(spec),
    )


def because(spec: RealSpec, found: Sequence[str]) -> str:
    """The known reason for a number of classes, as the end of a sentence."""
    reason = explain(spec, "classes", len(found))
    return "" if reason is None else f" ({reason})"


def explain(spec: RealSpec, what: str, count: int) -> str | None:
    """What a number is known for, from the data set's ``traps``."""
    return next((trap.why for trap in spec.traps if trap.what == what and trap.count == count), None)


def listed_files(root: Path, listed: Iterable[Listed], spec: RealSpec) -> list[Entry]:
    """Entries of listed pictures; :class:`IntegrityError` with the first that is not there and how many are not."""
    listed = list(listed)
    names: dict[str, set[str]] = defaultdict(set)
    for folder in {os.path.dirname(sample) for sample, _, _ in listed}:
        if on_disk(root, folder).is_dir():
            names[folder] = set(os.listdir(on_disk(root, folder)))
    files = {sample: _file(sample, names) for sample, _, _ in listed}
    absent = [sample for sample, _, _ in listed if files[sample] is None]
    if absent:
        raise IntegrityError(
            f"{spec.name}: {root / absent[0]} is missing, the first of {len(absent)} of the {len(listed)} pictures "
            "that the archive's lists name",
            restore(spec),
        )
    folders = {folder: on_disk(root, folder) for folder in names}
    return [
        Entry(sample, split, label, FilePicture(str(folders[os.path.dirname(sample)] / str(files[sample]))))
        for sample, split, label in listed
    ]


def _file(sample: str, names: dict[str, set[str]]) -> str | None:
    """The file of a listed picture as its folder has it, however the accents of its name are written."""
    folder, name = os.path.split(sample)
    if name in names[folder] or name.isascii():
        return name if name in names[folder] else None
    return next((other for other in names[folder] if composed(other) == composed(name)), None)
