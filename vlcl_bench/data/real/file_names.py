"""What a file's name says: is it a picture, can it be read, is it the name that was asked for.

Names with accents can be written in two ways that print alike: composed (NFC) and decomposed (NFD), as some file
systems and archivers write them. They are compared in the composed form; what is on disk is opened as it is.
"""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from PIL import Image

from vlcl_bench.data.decoding import picture_formats
from vlcl_bench.errors import IntegrityError

LEFT_BEHIND = frozenset({"__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found"})
"""Folders that archivers, file managers and storage devices leave behind."""
NO_PICTURES = frozenset({".pdf", ".ps", ".h5", ".hdf", ".grib", ".bufr", ".mpg", ".mpeg", ".iim", ".palm"})
"""Endings that Pillow registers, of files that are no pictures or that it cannot read."""
OTHER_PICTURES = frozenset(
    "." + name
    for names in (
        "jpg jpeg jpe jfif png apng gif bmp dib webp avif avifs tif tiff ppm pgm pbm pnm jp2 j2k j2c jpc jpf jpx tga",
        "ico cur icns psd qoi heic heif hif jxl jxr wdp hdp svg svgz eps wmf emf exr hdr xcf kra",
        "raw dng cr2 cr3 crw nef nrw arw srf sr2 orf rw2 raf pef srw x3f",
    )
    for name in names.split()
)
"""Endings of pictures, whether this Pillow reads them or not: such a file is never passed over in silence."""


@cache
def readable_endings() -> frozenset[str]:
    """Endings, with their dot, of the picture files that Pillow reads here."""
    readable = set(picture_formats())
    return frozenset(end for end, kind in Image.registered_extensions().items() if kind in readable) - NO_PICTURES


def ending(name: str) -> str:
    """A file's ending in small letters, with its dot; empty where it has none."""
    return os.path.splitext(name)[1].lower()


def is_readable(name: str) -> bool:
    """Whether a file has the name of a picture that can be read here."""
    return ending(name) in readable_endings()


def is_picture_name(name: str) -> bool:
    """Whether a file has a picture's name, be it one that can be read here or not."""
    return is_readable(name) or ending(name) in OTHER_PICTURES


def composed(name: str) -> str:
    """A name with every accent composed with its letter (NFC), the form in which names are compared and kept."""
    return unicodedata.normalize("NFC", name)


def shown(name: str) -> str:
    """A name for a message, with its code points where it may print like another one."""
    return repr(name) if name.isascii() else f"{name!r} (written {name!a})"


def refuse_twins(names: Iterable[str], where: Path | str) -> None:
    """Raise :class:`IntegrityError` where two names in a folder are the same but for how accents are written."""
    written: dict[str, list[str]] = defaultdict(list)
    for name in names:
        written[composed(name)].append(name)
    twins = [sorted(alike) for alike in written.values() if len(alike) > 1]
    if twins:
        first, second = twins[0][:2]
        raise IntegrityError(
            f"{where} holds {first!r} twice, written {first!a} and {second!a}: only the accents differ, composed in one"
            " name and decomposed in the other",
            "Join the two, or rename one of them.",
        )


def on_disk(folder: Path, relative: str) -> Path:
    """A path below a folder as it is written there; the path as given where there is none.

    Raises :class:`IntegrityError` where two ways of writing it are there.
    """
    if relative.isascii() or Path(relative).is_absolute():
        return folder / relative
    for part in Path(relative).parts:
        folder = folder / _in_folder(folder, part)
    return folder


def _in_folder(folder: Path, name: str) -> str:
    if name.isascii() or not folder.is_dir():
        return name
    alike = [item for item in os.listdir(folder) if composed(item) == composed(name)]
    refuse_twins(alike, folder)
    return alike[0] if alike else name
