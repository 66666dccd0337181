"""What lies in a folder of pictures, as data sets of a protocol's own: layout, classes, names, counts."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from vlcl_bench.data.interface import Places
from vlcl_bench.data.manifest import FOLDER as MANIFESTS
from vlcl_bench.data.real.catalogue import catalogue, spec_of
from vlcl_bench.data.real.dataset import RealDataSet
from vlcl_bench.data.real.file_names import LEFT_BEHIND, is_readable
from vlcl_bench.data.real.names import seen
from vlcl_bench.data.real.spec import RealSpec
from vlcl_bench.errors import UsageError

LAYOUT = "DIR/NAME/train/<class>/<picture> and DIR/NAME/test/<class>/<picture>"
CAPTIONS = "dataset_flickr30k.json"
OTHER_TESTS = ("val", "valid", "validation", "eval", "testing")
TEMPLATE = "a photo of a {c}."
SYNSET = re.compile(r"n\d{8}")
NUMBERED = re.compile(r"\d+[ ._-]+(?=\D)")


@dataclass(frozen=True)
class FoundSet:
    """A data set that was found: its description, numbers of pictures, and what somebody has to look at.

    ``nameless`` are the class names that were made up, because a folder's name says nothing.
    """

    spec: RealSpec
    train: int
    test: int
    nameless: tuple[str, ...]


def find_sets(root: Path, wanted: Sequence[str]) -> list[FoundSet]:
    """The data sets below a data root: the ``wanted`` folders, or all; the root itself, if it is one.

    Raises :class:`UsageError` where there is none, or a wanted one is none, and as a run does for a set that cannot be
    read.
    """
    Places(root)  # is it a folder at all
    if wanted:
        places = list(dict.fromkeys(wanted))
    elif _layout(root) is not None:
        places = ["."]
    else:
        places = [name for name in _folders(root) if _layout(root / name) is not None]
    if not places:
        near = next((root / name for name in _folders(root) if "train" in _folders(root / name)), root)
        raise UsageError(
            f"there is no data set in {root}; of {near}: {_seen_in(near)}", f"Put pictures there as {LAYOUT}."
        )
    found: list[FoundSet] = []
    for place in places:
        folder = root / place
        layout = _layout(folder) if folder.is_dir() else None
        if layout is None:
            said = f"{folder} is no data set: {_seen_in(folder)}" if folder.is_dir() else f"there is no folder {folder}"
            raise UsageError(said, f"Expected {LAYOUT}, with {place} in place of NAME.")
        found.append(_described(root, place, layout, {one.spec.name for one in found}))
    return found


def passed_over(root: Path, sets: Sequence[FoundSet]) -> list[str]:
    """The folders of a data root that are none of the data sets found in it."""
    taken = {one.spec.folders[0] for one in sets}
    return [] if "." in taken else [name for name in _folders(root) if name not in taken]


def slug(text: str, taken: Collection[str] = (), otherwise: str = "mine") -> str:
    """A name of small letters, digits, dots, hyphens and underscores after a text; none of those that are taken."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9._-]+", "-", plain).strip("._-")[:48] or otherwise
    if name in taken:
        name = f"my-{name}"
    first, number = name, 2
    while name in taken:
        name, number = f"{first}-{number}", number + 1
    return name


def class_names(folders: Sequence[str]) -> tuple[list[str], list[str]]:
    """Names for classes after their folders', and those of them that are made up.

    ``blue_tit`` and ``017.blue_tit`` (where all are numbered) become ``blue tit``; a WordNet id gets ImageNet's name,
    where ImageNet has it; of a mere number nobody knows what it is. Where two names would be one, the folders' stay;
    and where these are one too, as ``Robin`` and ``robin`` are to a backbone, the second is numbered, which is made up.
    """
    known = {}
    if any(SYNSET.fullmatch(folder) for folder in folders):
        spec = spec_of("imagenet")
        known = dict(zip(spec.names_in_source, spec.class_names, strict=True))
    numbered = all(NUMBERED.match(folder) for folder in folders)
    names: list[str] = []
    made_up: list[str] = []
    for folder in folders:
        name = known.get(folder) or _tidy(NUMBERED.sub("", folder, count=1) if numbered else folder)
        if re.fullmatch(r"[\d\W]*", name) or SYNSET.fullmatch(name):
            name = f"class {folder.strip() or len(names)}"
            made_up.append(name)
        names.append(name)
    if len({seen(name).casefold() for name in names}) < len(names):
        return _numbered([_tidy(folder, "_") for folder in folders])
    return names, made_up


def _numbered(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Names with a number behind each that looks like an earlier one but for capitals; and those that got one.

    Many tokenizers know no capitals, so ``Robin`` and ``robin`` would be one class to the backbone.
    """
    taken = {seen(name).casefold() for name in names}
    met: set[str] = set()
    told_apart, numbered = [], []
    for name in names:
        if seen(name).casefold() in met:
            name = next(new for number in count(2) if (new := f"{name} {number}").casefold() not in taken)
            taken.add(name.casefold())
            numbered.append(name)
        met.add(seen(name).casefold())
        told_apart.append(name)
    return told_apart, numbered


def _tidy(folder: str, underscore: str = " ") -> str:
    """A folder's name as one line of text, with blanks or something else for underscores."""
    plain = "".join(" " if unicodedata.category(letter).startswith("C") else letter for letter in folder)
    return " ".join(unicodedata.normalize("NFC", plain).replace("_", underscore).split())


def _layout(folder: Path) -> str | None:
    """The layout that a folder has, or none: split folders, captions, or folders of classes without a split."""
    inside = _folders(folder)
    if "train" in inside and "test" in inside:
        return "folder"
    if any((folder / below / CAPTIONS).is_file() for below in ("", "annotations", "karpathy")):
        return "flickr30k_karpathy"
    if len(inside) > 1 and "train" not in inside and all(_has_pictures(folder / name) for name in inside):
        return "class_folders"
    return None


def _described(root: Path, place: str, layout: str, taken: set[str]) -> FoundSet:
    folder = root / place
    name = slug(folder.resolve().name, {*taken, *catalogue(), *(path.stem for path in MANIFESTS.glob("*.parquet"))})
    described: dict[str, object] = {
        "name": name, "title": _tidy(folder.resolve().name), "layout": layout, "folders": (place,),
        "licence": "not stated", "source": "not stated",
    }  # fmt: skip
    made_up: list[str] = []
    if layout == "flickr30k_karpathy":
        described["captioned"] = True
    else:
        folders = _sorted(_classes(folder, layout))
        names, made_up = class_names(folders)
        described |= {"class_names": names, "templates": (TEMPLATE,)}
        if names != folders:
            described["source_names"] = folders
        if layout == "class_folders":
            described["split"] = "per-class-42"
    spec = RealSpec.model_validate(described)
    entries = RealDataSet(spec, own=True).collect(Places(root)).entries
    counts = Counter(entry.split for entry in entries)
    trained = {entry.label for entry in entries if entry.split == "train"}
    lone = [name for label, name in enumerate(spec.class_names) if label not in trained]
    if lone:
        raise UsageError(
            f"{folder}: class {lone[0]!r} has a single picture; expected one for training and one for testing at least",
            "Add pictures, or take the class out.",
        )
    return FoundSet(spec, counts["train"], counts["test"], tuple(made_up))


def _classes(folder: Path, layout: str) -> list[str]:
    if layout == "class_folders":
        return _folders(folder)
    train, test = (
        {unicodedata.normalize("NFC", n): n for n in _folders(folder / split)} for split in ("train", "test")
    )
    lone = [("train", name) for name in train if name not in test] + [
        ("test", name) for name in test if name not in train
    ]
    if lone:
        more = f", and {len(lone) - 1} more are in one only" if lone[1:] else ""
        raise UsageError(
            f"{folder}: class {lone[0][1]!r} is in {lone[0][0]} only{more}; expected the same classes in both",
            "Add the missing folders with pictures, or take these classes out.",
        )
    if not train:
        raise UsageError(f"{folder / 'train'} has no folders of classes: {_seen_in(folder / 'train')}", LAYOUT)
    return list(train.values())


def _sorted(names: Sequence[str]) -> list[str]:
    """As text; numbers by what they are."""
    return sorted(names, key=lambda name: (0, int(name), name) if name.isdecimal() else (1, 0, name))


def _folders(folder: Path) -> list[str]:
    try:
        return sorted(
            path.name
            for path in folder.iterdir()
            if path.is_dir() and not path.name.startswith(".") and path.name not in LEFT_BEHIND
        )
    except OSError as error:
        raise UsageError(f"{folder} cannot be listed: {error.strerror}", "Choose another --data-root.") from error


def _has_pictures(folder: Path) -> bool:
    return any(is_readable(path.name) for path in folder.iterdir() if path.is_file())


def _seen_in(folder: Path) -> str:
    """What lies in a folder, for somebody who has to see why it is no data set."""
    inside = _folders(folder)
    other = [name for name in OTHER_TESTS if name in inside]
    if "train" in inside and other:
        return f"it has train and {other[0]}, but no test: rename {other[0]} to test"
    if "train" in inside:
        return "it has train, but no test"
    if not inside:
        return "it has no folders"
    return f"it has the folders {', '.join(inside[:5])}{' …' if inside[5:] else ''}"
