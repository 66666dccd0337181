"""Readers of the captioned sets in Karpathy's split (COCO, Flickr30k), and of Conceptual Captions' texts.

The split and the sentences are those of Karpathy and Fei-Fei, "Deep Visual-Semantic Alignments for Generating Image
Descriptions" (CVPR 2015): ``dataset_coco.json`` and ``dataset_flickr30k.json``.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeVar

from vlcl_bench.data.originals import FilePicture
from vlcl_bench.data.real.coco_tasks import GROUPS, RESTORE_INSTANCES, read_instances, task_by_objects, task_by_words
from vlcl_bench.data.real.spec import Entry, RealSpec
from vlcl_bench.errors import IntegrityError, UsageError, nearest

Reader = Callable[[Path, RealSpec], list[Entry]]
Found = TypeVar("Found")

JSON_FOLDERS = ("", "annotations", "karpathy")
COCO_FOLDERS = ("train2014", "val2014")
FLICKR_FOLDERS = ("flickr30k-images", "flickr30k_images", "images", "Images")
TEXTS = "Validation_GCC-1.1.0-Validation.tsv"
RULES = ("instances", "lexicon")
_SPLITS: dict[str, Literal["train", "test"] | None] = {
    "train": "train",
    "restval": "train",
    "val": None,
    "test": "test",
}
_SOURCE = "caption_datasets.zip of https://cs.stanford.edu/people/karpathy/deepimagesent/"


@dataclass(frozen=True)
class _Picture:
    """A picture of Karpathy's file: folder in the archive, file name, our split, COCO's number, captions."""

    folder: str
    file: str
    split: Literal["train", "test"] | None
    number: int
    captions: tuple[str, ...]


def coco_karpathy(folder: Path, spec: RealSpec) -> list[Entry]:
    """COCO 2014: all of Karpathy's split, or one of the five tasks.

    Options: ``category`` names a task of :data:`~vlcl_bench.data.real.coco_tasks.GROUPS`, and ``rule`` says whether
    ``instances`` (the annotated objects, the default) or ``lexicon`` (words of the captions) choose its pictures.
    Raises :class:`UsageError` for an unknown option, :class:`IntegrityError` naming what is missing or damaged.
    """
    category, rule = spec.options.get("category"), spec.options.get("rule", "instances")
    if category is not None and category not in GROUPS:
        raise UsageError(f"{spec.name}: COCO has no task {category!r}", nearest(category, GROUPS))
    if rule not in RULES:
        raise UsageError(f"{spec.name}: no rule {rule!r} to choose pictures", nearest(rule, RULES))
    path = _json_path(folder, "dataset_coco.json")
    pictures = [picture for picture in _karpathy(path, "coco") if picture.split is not None]
    for picture in pictures:
        if picture.folder not in COCO_FOLDERS:
            raise IntegrityError(
                f"{path}: {picture.file} is in {picture.folder or 'no folder'!r}, expected train2014 or val2014",
                f"Restore it from {_SOURCE}.",
            )
    if category is not None:
        choose = _by_objects if rule == "instances" else _by_words
        pictures = choose(folder, path, pictures, category)
    archive = "{}.zip of https://cocodataset.org/#download"
    places = {name: _place(folder / name, name, archive.format(name)) for name in COCO_FOLDERS}
    return _entries([(picture, places[picture.folder]) for picture in pictures], path, spec)


def _by_objects(folder: Path, path: Path, pictures: list[_Picture], category: str) -> list[_Picture]:
    instances = {name: read_instances(folder / "annotations" / f"instances_{name}.json") for name in COCO_FOLDERS}
    chosen = []
    for picture in pictures:
        known = instances[picture.folder]
        if picture.number not in known.pictures:
            file = folder / "annotations" / f"instances_{picture.folder}.json"
            raise IntegrityError(
                f"{file} does not cover {picture.folder}/{picture.file}, which {path.name} lists: "
                "it has the content of another file",
                RESTORE_INSTANCES,
            )
        if task_by_objects(known.categories.get(picture.number, ())) == category:
            chosen.append(picture)
    return chosen


def _by_words(folder: Path, path: Path, pictures: list[_Picture], category: str) -> list[_Picture]:
    tasks = _once(path, _tasks_by_words)
    return [picture for picture in pictures if tasks[picture.folder, picture.file] == category]


def flickr30k_karpathy(folder: Path, spec: RealSpec) -> list[Entry]:
    """Flickr30k in Karpathy's split: 29,000 pictures for training, 1,000 for testing, 1,014 unused.

    Raises :class:`IntegrityError` naming what is missing or damaged.
    """
    path = _json_path(folder, "dataset_flickr30k.json")
    pictures = [picture for picture in _karpathy(path, "flickr30k") if picture.split is not None]
    present = [folder / name for name in FLICKR_FOLDERS if (folder / name).is_dir()]
    place = _place(
        present[0] if present else folder / FLICKR_FOLDERS[0],
        FLICKR_FOLDERS[0],
        "flickr30k-images.tar.gz of https://shannon.cs.illinois.edu/DenotationGraph/",
    )
    return _entries([(picture, place) for picture in pictures], path, spec)


CAPTION_LAYOUTS: dict[str, Reader] = {"coco_karpathy": coco_karpathy, "flickr30k_karpathy": flickr30k_karpathy}


def read_texts(folder: Path, spec: RealSpec) -> list[str]:
    """The validation captions of Conceptual Captions, in the file's order.

    ``spec.train`` is their expected number (15,840 in the official file). Raises :class:`IntegrityError` where the
    file is missing, cut short or has a line without a caption.
    """
    path = folder / TEXTS
    restore = "Download it from https://ai.google.com/research/ConceptualCaptions/download."
    try:
        content = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise IntegrityError(f"{path} is missing", f"{restore} It belongs in {folder}.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise IntegrityError(f"{path} cannot be read: {error}", restore) from error
    texts = []
    # Not splitlines(): a caption may hold one of Unicode's other line ends.
    for number, line in enumerate(content.removesuffix("\n").split("\n"), 1):
        text, tab, _ = line.partition("\t")
        if not tab or not text.strip():
            raise IntegrityError(
                f"{path}, line {number} is not a caption, a tab and an address: {line[:60]!r}", restore
            )
        texts.append(text.strip())
    if spec.train is not None and len(texts) != spec.train:
        raise IntegrityError(f"{path} has {len(texts)} captions, expected {spec.train}", restore)
    return texts


def _json_path(folder: Path, name: str) -> Path:
    for below in JSON_FOLDERS:
        if (folder / below / name).is_file():
            return folder / below / name
    raise IntegrityError(f"{folder / name} is missing", f"It is in {_SOURCE}; it belongs in {folder}.")


def _once(path: Path, parse: Callable[[str, int, int], Found]) -> Found:
    """Call a cached parser with the file's state, so that a changed file is read again."""
    state = path.stat()
    return parse(str(path), state.st_mtime_ns, state.st_size)


def _karpathy(path: Path, dataset: str) -> tuple[_Picture, ...]:
    found, pictures = _once(path, _parse)
    if found != dataset:
        raise IntegrityError(
            f"{path} describes the data set {found!r}, expected {dataset!r}", f"Restore it from {_SOURCE}."
        )
    return pictures


@lru_cache(maxsize=4)
def _parse(path: str, mtime: int, size: int) -> tuple[str, tuple[_Picture, ...]]:
    restore = f"Restore it from {_SOURCE}."
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise IntegrityError(f"{path} was cut short or damaged: {error}", restore) from error
    try:
        pictures = tuple(
            _Picture(
                folder=str(image.get("filepath", "")),
                file=str(image["filename"]),
                split=_SPLITS[image["split"]],
                number=int(image.get("cocoid", image["imgid"])),
                captions=tuple(text for sentence in image["sentences"] if (text := str(sentence["raw"]).strip())),
            )
            for image in content["images"]
        )
        dataset = str(content["dataset"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise IntegrityError(f"{path} is not in the format of Karpathy's splits: {error!r}", restore) from error
    for picture in pictures:
        if not picture.captions:
            raise IntegrityError(f"{path}: {picture.file} has no caption", restore)
    for (_, file), count in Counter((picture.folder, picture.file) for picture in pictures).most_common(1):
        if count > 1:
            raise IntegrityError(f"{path}: {file} stands there {count} times", restore)
    return dataset, pictures


@lru_cache(maxsize=4)
def _tasks_by_words(path: str, mtime: int, size: int) -> dict[tuple[str, str], str | None]:
    _, pictures = _parse(path, mtime, size)
    return {(picture.folder, picture.file): task_by_words(picture.captions) for picture in pictures}


@dataclass(frozen=True)
class _Place:
    """A folder of pictures, its name in the official archive, and the files in it."""

    folder: Path
    official: str
    files: frozenset[str]


def _place(folder: Path, official: str, archive: str) -> _Place:
    """List a folder in one go: asking for each of 120,000 files takes much longer."""
    try:
        with os.scandir(folder) as found:
            return _Place(folder, official, frozenset(entry.name for entry in found))
    except OSError as error:
        raise IntegrityError(
            f"{folder} cannot be read: {error.strerror}", f"Unpack {archive} so that the pictures are in {folder}."
        ) from error


def _entries(pictures: list[tuple[_Picture, _Place]], path: Path, spec: RealSpec) -> list[Entry]:
    """Entries in the order of Karpathy's file; :class:`IntegrityError` where pictures are missing."""
    missing = [(picture, place) for picture, place in pictures if picture.file not in place.files]
    if missing:
        picture, place = missing[0]
        raise IntegrityError(
            f"{len(missing)} of the {len(pictures)} pictures that {path.name} lists are missing, "
            f"the first: {place.folder / picture.file}",
            f"Put them there, or take them out of {path.name}."
            if spec.is_own
            else "Unpack the official archive again; nothing may be left out of it.",
        )
    return [
        Entry(
            sample=f"{place.official}/{picture.file}",
            split=picture.split,
            label=-1,
            original=FilePicture(str(place.folder / picture.file)),
            captions=picture.captions,
        )
        for picture, place in pictures
        if picture.split is not None
    ]
