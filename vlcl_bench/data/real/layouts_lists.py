"""Readers of layouts with lists: FGVC-Aircraft, DTD, Food-101, Pets (text), Flowers and Cars (MATLAB files)."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from vlcl_bench.data.real.file_names import composed
from vlcl_bench.data.real.layouts_common import Listed, Split, lines_of, listed_files, missing, restore, same_names
from vlcl_bench.data.real.spec import Entry, RealSpec
from vlcl_bench.errors import IntegrityError

SPLITS: tuple[Split, ...] = ("train", "test")


def aircraft(root: Path, spec: RealSpec) -> list[Entry]:
    """FGVC-Aircraft: ``data/variants.txt``, ``data/images_variant_{train,test}.txt``, ``data/images/<id>.jpg``.

    Copies without the folder ``data`` in between are read, too.
    """
    data = root / "data" if (root / "data").is_dir() else root
    same_names(lines_of(data / "variants.txt", spec), spec, data / "variants.txt")
    number = {composed(name): label for label, name in enumerate(spec.names_in_source)}
    listed: list[Listed] = []
    for split in SPLITS:
        path = data / f"images_variant_{split}.txt"
        for line in lines_of(path, spec):
            picture, _, name = line.partition(" ")
            if composed(name) not in number:
                raise IntegrityError(f"{spec.name}: {path} has no known variant in the line {line!r}", restore(spec))
            listed.append((f"images/{picture}.jpg", split, number[composed(name)]))
    return _below("data/", listed_files(data, listed, spec))


def dtd(root: Path, spec: RealSpec) -> list[Entry]:
    """DTD: ``labels/{train,test}<partition>.txt`` with lines like ``banded/banded_0001.jpg``, below ``images``.

    Option ``partition``: one of the ten official ones.
    """
    partition = spec.options.get("partition", "1")
    lists = {split: lines_of(root / "labels" / f"{split}{partition}.txt", spec) for split in SPLITS}
    same_names(
        sorted({line.split("/")[0] for lines in lists.values() for line in lines}), spec, root / "labels", ordered=False
    )
    number = {composed(name): label for label, name in enumerate(spec.names_in_source)}
    listed: list[Listed] = [
        (f"images/{line}", split, number[composed(line.split("/")[0])]) for split in SPLITS for line in lists[split]
    ]
    return listed_files(root, listed, spec)


def food(root: Path, spec: RealSpec) -> list[Entry]:
    """Food-101: ``meta/{train,test}.json`` (class → pictures), ``meta/classes.txt``, ``images/<class>/<id>.jpg``.

    ``classes.txt`` is compared as a set, since labels follow the sorted names and not that file.
    """
    if (root / "meta" / "classes.txt").exists():
        same_names(lines_of(root / "meta" / "classes.txt", spec), spec, root / "meta" / "classes.txt", ordered=False)
    listed: list[Listed] = []
    for split in SPLITS:
        path = root / "meta" / f"{split}.json"
        try:
            pictures: dict[str, list[str]] = json.loads("\n".join(lines_of(path, spec)))
        except json.JSONDecodeError as error:
            raise IntegrityError(f"{spec.name}: {path} is not valid JSON: {error}", restore(spec)) from error
        same_names(list(pictures), spec, path, ordered=False)
        pictures = {composed(name): listing for name, listing in pictures.items()}
        for label, name in enumerate(spec.names_in_source):
            for picture in pictures[composed(name)]:
                if not composed(picture).startswith(f"{composed(name)}/"):
                    raise IntegrityError(f"{spec.name}: {path} has {picture} under {name!r}", restore(spec))
                listed.append((f"images/{picture}.jpg", split, label))
    return listed_files(root, listed, spec)


def pets(root: Path, spec: RealSpec) -> list[Entry]:
    """Oxford-IIIT Pet: ``annotations/{trainval,test}.txt`` with lines like ``Abyssinian_1 1 1 1``, and ``images``.

    The breed in a picture's name must be the one that the label, which counts from 1, stands for.
    """
    listed: list[Listed] = []
    for split, file in (("train", "trainval.txt"), ("test", "test.txt")):
        path = root / "annotations" / file
        for line in lines_of(path, spec):
            if line.startswith("#"):
                continue
            words = line.split()
            if len(words) < 2 or not words[1].isdigit():
                raise IntegrityError(f"{spec.name}: {path} has the line {line!r}, expected a name and a label")
            label, breed = int(words[1]) - 1, words[0].rpartition("_")[0]
            known = spec.names_in_source[label] if 0 <= label < len(spec.names_in_source) else None
            if known is None or composed(breed) != composed(known):
                raise IntegrityError(
                    f"{spec.name}: {path} gives {words[0]} the label {words[1]}, which stands for {known!r}",
                    restore(spec),
                )
            listed.append((f"images/{words[0]}.jpg", split, label))  # type: ignore[arg-type]
    return listed_files(root, listed, spec)


def flowers(root: Path, spec: RealSpec) -> list[Entry]:
    """Oxford Flowers 102: ``imagelabels.mat`` (labels from 1), ``setid.mat`` (``trnid``, ``tstid``), ``jpg``."""
    labels = np.ravel(_mat(root / "imagelabels.mat", "labels", spec)).astype(int)
    listed: list[Listed] = []
    for split, key in (("train", "trnid"), ("test", "tstid")):
        numbers = np.ravel(_mat(root / "setid.mat", key, spec)).astype(int)
        if numbers.size and not 1 <= numbers.min() <= numbers.max() <= len(labels):
            raise IntegrityError(
                f"{spec.name}: {root / 'setid.mat'} names pictures {numbers.min()} to {numbers.max()}, and "
                f"imagelabels.mat has labels for 1 to {len(labels)}",
                restore(spec),
            )
        for number in numbers:
            listed.append((f"jpg/image_{number:05d}.jpg", split, int(labels[number - 1]) - 1))  # type: ignore[arg-type]
    return listed_files(root, listed, spec)


def cars(root: Path, spec: RealSpec) -> list[Entry]:
    """Stanford Cars: ``cars_meta.mat``, ``cars_train_annos.mat`` and ``cars_test_annos_withlabels.mat``.

    These lie in ``devkit`` or beside it; pictures are in ``cars_train`` and ``cars_test``, labels count from 1.
    """
    meta = _beside(root, "cars_meta.mat", spec)
    same_names([str(name) for name in np.atleast_1d(_mat(meta, "class_names", spec))], spec, meta)
    listed: list[Listed] = []
    for split, file in (("train", "cars_train_annos.mat"), ("test", "cars_test_annos_withlabels.mat")):
        path = _beside(root, file, spec)
        found = _mat(path, "annotations", spec)
        for annotation in [found] if isinstance(found, dict) else found:
            if "class" not in annotation:
                raise IntegrityError(
                    f"{spec.name}: {path} has no labels", "The file wanted is cars_test_annos_withlabels.mat."
                )
            picture = f"cars_{split}/{annotation['fname']}"
            listed.append((picture, split, int(annotation["class"]) - 1))  # type: ignore[arg-type]
    return listed_files(root, listed, spec)


def _beside(root: Path, name: str, spec: RealSpec) -> Path:
    for folder in (root / "devkit", root):
        if (folder / name).is_file():
            return folder / name
    error = missing(root / "devkit" / name, spec)
    if name == "cars_test_annos_withlabels.mat":
        error.hint = f"cars_test_annos.mat of the devkit has no labels. {error.hint}"
    raise error


def _mat(path: Path, key: str, spec: RealSpec) -> Any:
    """A variable of a MATLAB file, structures as dictionaries."""
    from scipy.io import loadmat

    if not path.is_file():
        raise missing(path, spec)
    try:
        return loadmat(path, simplify_cells=True)[key]
    except Exception as error:  # scipy raises many kinds over a damaged file
        raise IntegrityError(f"{spec.name}: {path} cannot be read for {key!r}: {error}", restore(spec)) from error


def _below(prefix: str, entries: list[Entry]) -> list[Entry]:
    return [replace(entry, sample=prefix + entry.sample) for entry in entries]
