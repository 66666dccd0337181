"""Readers of layouts in which a picture's folder is its class."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vlcl_bench.data.originals import FilePicture
from vlcl_bench.data.real.file_names import composed, on_disk
from vlcl_bench.data.real.layouts_common import (
    Listed,
    Split,
    folders_in,
    lines_of,
    listed_files,
    pictures_in,
    restore,
    same_names,
)
from vlcl_bench.data.real.spec import Entry, RealSpec
from vlcl_bench.errors import IntegrityError


def class_folders(root: Path, spec: RealSpec) -> list[Entry]:
    """``<class>/*``: EuroSAT, Caltech101, and sets by WordNet id.

    Classes are in the specification's order, files sorted as text. Options: ``ignore`` is a folder that is no class,
    ``inside`` one between the class and its pictures, ``split_list`` a file in ``root`` that divides the pictures.
    Without such a list all pictures are for training where the split is official, else they are a pool.
    """
    ignored = {spec.options.get("ignore")}
    same_names([name for name in folders_in(root, spec) if name not in ignored], spec, root, ordered=False)
    if "split_list" in spec.options:
        return _by_list(root, root / spec.options["split_list"], spec)
    split: Split = "train" if spec.split == "official" else "pool"
    return _by_class(root, _inside_classes(spec), split, spec)


def _by_list(root: Path, path: Path, spec: RealSpec) -> list[Entry]:
    """The pictures of one list: a line ``train``, then ``<class>/<file>`` a line, and the same with ``test``.

    This is how RAPF's list of ImageNet-R is written. The order is that of the list.
    """
    if not path.is_file():
        raise IntegrityError(
            f"{spec.name}: {path} is missing, the list that says which pictures are for training and for testing",
            f"`vlcl data card {spec.name}` says where to get it; put it into {root}.",
        )
    number = {composed(name): label for label, name in enumerate(spec.names_in_source)}
    split: Split | None = None
    listed: list[Listed] = []
    for line in lines_of(path, spec):
        name, slash, file = line.partition("/")
        if line in ("train", "test"):
            split = "train" if line == "train" else "test"
        elif split is None or composed(name) not in number or not slash or "/" in file or not file:
            raise IntegrityError(
                f"{spec.name}: {path} has the line {line!r}, expected 'train' or 'test', and below it "
                f"<class>/<file>, such as {spec.names_in_source[0]}/art_0.jpg",
                f"Get the list again; `vlcl data card {spec.name}` says where.",
            )
        else:
            listed.append((line, split, number[composed(name)]))
    return listed_files(root, listed, spec)


def split_folders(root: Path, spec: RealSpec) -> list[Entry]:
    """``train|test/<class>/*``, for your own streams; classes in the specification's order, files sorted."""
    entries = []
    for split in _splits(spec):
        if not (root / split).is_dir():
            raise IntegrityError(
                f"{spec.name}: {root / split} is missing",
                f"The layout is {root}/train/<class>/<picture> and {root}/test/<class>/<picture>.",
            )
        same_names(folders_in(root / split, spec), spec, root / split, ordered=False)
        entries += _by_class(root, _of_split(split, spec), split, spec)
    return entries


def sun(root: Path, spec: RealSpec) -> list[Entry]:
    """SUN397: ``ClassName.txt`` with lines like ``/b/bow_window/outdoor``, and the folders that these name.

    The order is by class in that file, then by file name as text, whatever the file system says.
    """
    path = root / "ClassName.txt"
    same_names(lines_of(path, spec), spec, path)
    for name in spec.names_in_source:
        if not (root / name[1:]).is_dir():
            raise IntegrityError(f"{spec.name}: the class folder {root / name[1:]} is missing", restore(spec))
    return _by_class(root, _of_sun(spec), "pool", spec)


def _by_class(root: Path, folders: list[str], split: Split, spec: RealSpec) -> list[Entry]:
    """The pictures of each class's folder; their names have composed accents, their paths are those on disk."""
    places = [on_disk(root, folder) for folder in folders]
    return [
        Entry(composed(f"{folder}{file}"), split, label, FilePicture(str(place / file)))
        for label, (folder, place) in enumerate(zip(folders, places, strict=True))
        for file in pictures_in(place, spec)
    ]


def _splits(spec: RealSpec) -> tuple[Split, ...]:
    return ("train",) if spec.test == 0 else ("train", "test")


def _of_split(split: str, spec: RealSpec) -> list[str]:
    return [f"{split}/{name}/" for name in spec.names_in_source]


def _inside_classes(spec: RealSpec) -> list[str]:
    inside = f"{spec.options['inside']}/" if "inside" in spec.options else ""
    return [f"{name}/{inside}" for name in spec.names_in_source]


def _of_sun(spec: RealSpec) -> list[str]:
    return [f"{name[1:]}/" for name in spec.names_in_source]


CLASS_FOLDERS: dict[str, Callable[[RealSpec], list[str]]] = {
    "class_folders": _inside_classes,
    "folder": lambda spec: [folder for split in _splits(spec) for folder in _of_split(split, spec)],
    "sun": _of_sun,
}
"""By layout, the folders below a data set's own that hold a class's pictures each."""
