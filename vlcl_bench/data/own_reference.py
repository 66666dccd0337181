"""Reference data of a protocol's own: pictures of a described data set or of any folder, texts of a file.

Whatever is given is identified by its content, so that a run's identity says what a method saw, wherever it lay. Every
picture is read and hashed when it is used for the first time; that is kept beside the manifests under what the files
looked like (name, size, times), so that an unchanged folder is not read again, and a changed one is another reference.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vlcl_bench.common.fileio import canonical_json, read_json, sha256_text, write_atomic
from vlcl_bench.common.places import data_home
from vlcl_bench.common.progress import Reporter
from vlcl_bench.data.interface import DataSet, Places
from vlcl_bench.data.originals import FilePicture, Original
from vlcl_bench.data.pictures import EncodedPictures, in_parallel
from vlcl_bench.data.real.file_names import LEFT_BEHIND, ending, is_picture_name, is_readable
from vlcl_bench.errors import IntegrityError, MachineError, UsageError

CHANGED = "Put the picture right or take it away, and give the command again: the others are then described anew."


@dataclass(frozen=True, eq=False)
class OwnPictures:
    """Reference pictures by a name: where they are, their content hashes, and the words that identify them."""

    name: str
    originals: Sequence[Original]
    hashes: Sequence[str]

    @property
    def identity(self) -> str:
        """Name, number and a digest of the contents, in whatever order and under whatever file names."""
        return f"own {self.name} {len(self.hashes)} {sha256_text(chr(10).join(sorted(self.hashes)))[:16]}"

    def open(self, side: int) -> EncodedPictures:
        """The pictures themselves, decoded and compared with their hashes when they are drawn."""
        return _ReferencePictures(self.originals, self.hashes, side)


class _ReferencePictures(EncodedPictures):
    def original(self, row: int) -> np.ndarray:
        try:
            return super().original(row)
        except IntegrityError as error:
            raise IntegrityError(f"reference picture: {error.message}", CHANGED) from error


def own_pictures(
    name: str, dataset: DataSet | None, places: Places, beside: Path | None, reporter: Reporter
) -> OwnPictures:
    """The training pictures of a data set, or all pictures in a folder and the folders in it.

    A folder lies below the data root, or ``beside`` the protocol's file. Raises :class:`UsageError` where there is no
    such folder or no picture, and :class:`IntegrityError` for a picture that cannot be read or decoded.
    """
    if dataset is not None:
        originals = [entry.original for entry in dataset.collect(places).entries if entry.split == "train"]
        where, passed = f"the training pictures of {name}", 0
    else:
        folder = _found(name, "folder", [places.root, beside], "pictures")
        files, passed = _files(folder)
        originals, where = [FilePicture(str(path)) for path in files], str(folder)
    if not originals:
        raise UsageError(
            f"[reference] pictures = {name!r}: there is no picture in {where}"
            + (f", only {passed} other files" if passed else ""),
            "Put PNG or JPEG files there, in folders of any names.",
        )
    hashes = _hashes(name, originals, passed, reporter)
    # In the order of their contents: which file name a picture has changes no draw.
    order = sorted(range(len(hashes)), key=hashes.__getitem__)
    return OwnPictures(name, [originals[row] for row in order], [hashes[row] for row in order])


def own_texts(name: str, places: Places, beside: Path | None) -> tuple[tuple[str, ...], str]:
    """The texts of a file, one a line, equal ones once; and the words that identify them.

    The file lies ``beside`` the protocol's file or below the data root. Raises :class:`UsageError` for a file that is
    not there, is no text in UTF-8, or is empty.
    """
    path = _found(name, "file", [beside, places.root], "texts")
    try:
        lines = path.read_bytes().decode("utf-8-sig").splitlines()
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}", "Reference texts are a file, a text a line."
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path} is not a text in UTF-8: byte {error.object[error.start]:#04x} at place {error.start}",
            "Reference texts are a file with a text a line; save it as UTF-8.",
        ) from error
    texts = tuple(dict.fromkeys(stripped for line in lines if (stripped := line.strip())))
    if not texts:
        raise UsageError(f"{path} holds no text", "Reference texts are a file with a text a line.")
    return texts, f"own {name} {len(texts)} {sha256_text(chr(10).join(texts))[:16]}"


def _found(name: str, kind: str, roots: Sequence[Path | None], key: str) -> Path:
    """The folder or file of a relative name below the first of some folders that has it."""
    tried = [root / name for root in dict.fromkeys(roots) if root is not None]
    for path in tried:
        if path.is_dir() if kind == "folder" else path.is_file():
            return path
    other = [path for path in tried if path.exists()]
    said = f"{other[0]} is no {kind}" if other else f"there is no {kind} {' and none '.join(map(str, tried)) or name}"
    places = "the data root (--data-root) or the folder of the protocol's file"
    known = " It may also be the name of a data set under [[data]]." if kind == "folder" else ""
    raise UsageError(f"[reference] {key} = {name!r}: {said}", f"It is the path of a {kind} from {places}.{known}")


def _files(folder: Path) -> tuple[list[Path], int]:
    """All picture files in a folder and the folders in it, sorted, and how many other files there are; none hidden.

    Names decide as they do for data sets. Raises :class:`IntegrityError` for pictures of a kind that is not read here,
    and for a folder that cannot be listed.
    """
    found, unreadable, passed = [], [], 0
    home = folder.resolve()
    visited = {str(place) for place in (home, *home.parents)}  # a link to a folder above leads round in a circle
    for place, inside, names in os.walk(folder, onerror=_refuse_folder, followlinks=True):
        inside[:] = [name for name in sorted(inside) if _is_new(os.path.join(place, name), visited)]
        for name in sorted(name for name in names if not name.startswith(".")):
            path = Path(place) / name
            if is_readable(name):
                found.append(path)
            elif is_picture_name(name):
                unreadable.append(path)
            else:
                passed += 1
    if unreadable:
        kinds = ", ".join(sorted({ending(path.name) for path in unreadable}))
        raise IntegrityError(
            f"{folder} holds {len(unreadable):,} {'picture' if len(unreadable) == 1 else 'pictures'} of a kind that "
            f"cannot be read here: {kinds} (the first is {min(unreadable).relative_to(folder)})",
            "Save these as PNG or JPEG, or move what is not wanted out of the folder.",
        )
    return sorted(found), passed


def _refuse_folder(error: OSError) -> None:
    raise IntegrityError(f"{error.filename} cannot be listed: {error.strerror}") from error


def _is_new(folder: str, visited: set[str]) -> bool:
    """Whether a folder is to be looked into: not hidden, none that storage devices leave, and none for a second time.

    It then counts among the ``visited`` ones, which are known by where they really are.
    """
    name, place = os.path.basename(folder), os.path.realpath(folder)
    if name.startswith(".") or name in LEFT_BEHIND or place in visited:
        return False
    visited.add(place)
    return True


def _hashes(name: str, originals: Sequence[Original], passed: int, reporter: Reporter) -> list[str]:
    """Content hashes, kept from the first use where the files look as they did then."""
    states = [_state(original) for original in originals]
    kept = None
    if None not in states:
        kept = data_home() / "reference" / f"{sha256_text(canonical_json(states))[:32]}.json"
        with contextlib.suppress(IntegrityError):  # there is none yet, or it is damaged: they are read
            known = read_json(kept)
            if isinstance(known, list) and len(known) == len(originals):
                return [str(digest) for digest in known]
    hashes = []
    with reporter.phase(f"reading the reference pictures of {name} for the first time", len(originals)) as progress:
        try:
            for done, (digest, _) in enumerate(in_parallel(lambda original: original.load(), originals), start=1):
                hashes.append(digest)
                progress(done, len(originals), name)
        except IntegrityError as error:
            raise IntegrityError(f"reference picture: {error.message}", CHANGED) from error
    others = f" ({passed} other files were passed over)" if passed else ""
    reporter.say(f"{name}: {len(originals)} reference pictures{others}")
    if kept is not None:
        with contextlib.suppress(MachineError):  # a home that cannot be written costs time, and nothing else
            write_atomic(kept, canonical_json(hashes))
    return hashes


def _state(original: Original) -> list[str | int] | None:
    """What a picture's file looks like without reading it; ``None`` where it is no file."""
    if not isinstance(original, FilePicture):
        return None
    try:
        found = os.stat(original.path)
    except OSError:
        return None  # reading it says what is wrong
    return [os.path.realpath(original.path), found.st_size, found.st_mtime_ns, found.st_ctime_ns]
