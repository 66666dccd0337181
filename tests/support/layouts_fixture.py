"""Small trees in the layouts in which torchvision and the official archives unpack, with a few files a class."""

from __future__ import annotations

import gzip
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.io import savemat

from vlcl_bench.data.real.catalogue import spec_of
from vlcl_bench.data.real.spec import RealSpec

COUNTS = {"train": 3, "test": 2}
"""Pictures a class in the lists of a tree; pooled sets have their sum."""
EACH = sum(COUNTS.values())
NO_COUNTS: dict[str, Any] = dict.fromkeys(
    ("train", "test", "pool", "train_per_class", "test_per_class", "pool_per_class", "min_side", "max_side")
)


def shrunken(name: str, classes: int = 3, **update: Any) -> RealSpec:
    """A data set's specification with its first classes only and the counts of a tree made here."""
    spec = spec_of(name)
    n = min(classes, len(spec.class_names))
    names: dict[str, Any] = {"class_names": spec.class_names[:n], "source_names": spec.names_in_source[:n]}
    if spec.split == "pool-42":
        counts = {"pool": n * EACH, "pool_per_class": (EACH,) * n, "train": n * EACH * 8 // 10}
        counts["test"] = n * EACH - counts["train"]
    elif spec.split == "per-class-42":
        counts = {"pool": n * EACH}
    elif spec.test == 0:
        counts = {"train": n * EACH, "test": 0}
    else:
        counts = {split: n * count for split, count in COUNTS.items()}
    return spec.model_copy(update=NO_COUNTS | names | counts | update)


def picture(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), (number % 256, number // 256 % 256, 7)).save(path)


def lines(path: Path, rows: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{row}\n" for row in rows))


def listed(spec: RealSpec) -> list[tuple[str, int, int]]:
    """Split, label and running number (from 1) of every listed picture, classes taking turns."""
    rows = []
    for split, count in COUNTS.items():
        for _ in range(count):
            for label in range(len(spec.class_names)):
                rows.append((split, label, len(rows) + 1))
    return rows


def aircraft(folder: Path, spec: RealSpec) -> None:
    lines(folder / "data/variants.txt", list(spec.names_in_source))
    for split in COUNTS:
        rows = [(f"{number:07d}", label) for s, label, number in listed(spec) if s == split]
        lines(folder / f"data/images_variant_{split}.txt", [f"{n} {spec.names_in_source[c]}" for n, c in rows])
        for n, _ in rows:
            picture(folder / f"data/images/{n}.jpg", int(n))


def class_folders(folder: Path, spec: RealSpec) -> None:
    inside = spec.options.get("inside", "")
    for label, name in enumerate(spec.names_in_source):
        for number in range(1, EACH + 1):
            file = f"{name}_{number}.jpg" if spec.sample_pattern else f"image_{number:04d}.jpg"
            picture(folder / name / inside / file, label * EACH + number)
    if "split_list" in spec.options:  # as RAPF's: the classes in another order, both parts headed by a word
        parts = {"train": range(1, COUNTS["train"] + 1), "test": range(COUNTS["train"] + 1, EACH + 1)}
        backwards = spec.names_in_source[::-1]
        rows = {split: [f"{name}/image_{n:04d}.jpg" for name in backwards for n in ns] for split, ns in parts.items()}
        lines(folder / spec.options["split_list"], ["train", *rows["train"], "test", *rows["test"]])
    if "ignore" in spec.options:
        picture(folder / spec.options["ignore"] / "image_0001.jpg", 999)


def split_folders(folder: Path, spec: RealSpec) -> None:
    for split, label, number in listed(spec):
        picture(folder / split / spec.names_in_source[label] / f"{number}.jpg", number)


def sun(folder: Path, spec: RealSpec) -> None:
    lines(folder / "ClassName.txt", list(spec.names_in_source))
    for label, name in enumerate(spec.names_in_source):
        for number in range(EACH, 0, -1):
            picture(folder / name[1:] / f"sun_{number:04d}.jpg", label * EACH + number)


def dtd(folder: Path, spec: RealSpec) -> None:
    for split in (*COUNTS, "val"):
        rows = [(spec.names_in_source[c], n) for s, c, n in listed(spec) if s == split]
        lines(folder / f"labels/{split}1.txt", [f"{name}/{name}_{n:04d}.jpg" for name, n in rows])
        for name, n in rows:
            picture(folder / f"images/{name}/{name}_{n:04d}.jpg", n)


def food(folder: Path, spec: RealSpec) -> None:
    lines(folder / "meta/classes.txt", list(reversed(spec.names_in_source)))
    for split in COUNTS:
        found: dict[str, list[str]] = {name: [] for name in reversed(spec.names_in_source)}
        for s, label, number in listed(spec):
            if s == split:
                name = spec.names_in_source[label]
                found[name].append(f"{name}/{number}")
                picture(folder / f"images/{name}/{number}.jpg", number)
        (folder / f"meta/{split}.json").write_text(json.dumps(found))


def pets(folder: Path, spec: RealSpec) -> None:
    for split, file in (("train", "trainval.txt"), ("test", "test.txt")):
        rows = [(f"{spec.names_in_source[c]}_{n}", c) for s, c, n in listed(spec) if s == split]
        lines(folder / "annotations" / file, [f"{name} {label + 1} 1 1" for name, label in rows])
        for number, (name, _) in enumerate(rows):
            picture(folder / f"images/{name}.jpg", number)
    (folder / "images/Abyssinian_100.mat").write_bytes(b"not a picture")


def flowers(folder: Path, spec: RealSpec) -> None:
    rows = listed(spec)
    for _, _, number in rows:
        picture(folder / f"jpg/image_{number:05d}.jpg", number)
    savemat(folder / "imagelabels.mat", {"labels": np.array([[label + 1 for _, label, _ in rows]], np.uint8)})
    ids = {split: [number for s, _, number in rows if s == split] for split in COUNTS}
    arrays = {"trnid": [ids["train"]], "tstid": [ids["test"]], "valid": [[1]]}
    savemat(folder / "setid.mat", {key: np.array(value, np.uint16) for key, value in arrays.items()})


def cars(folder: Path, spec: RealSpec) -> None:
    (folder / "devkit").mkdir(parents=True)
    names = np.array([list(spec.names_in_source)], dtype=object)
    savemat(folder / "devkit/cars_meta.mat", {"class_names": names})
    box = [("bbox_x1", object), ("class", object), ("fname", object)]
    for split, file in (("train", "devkit/cars_train_annos"), ("test", "cars_test_annos_withlabels")):
        rows = [(c, n) for s, c, n in listed(spec) if s == split]
        found = np.array([[(np.uint8(1), np.uint8(c + 1), f"{n:05d}.jpg") for c, n in rows]], dtype=box)
        savemat(folder / f"{file}.mat", {"annotations": found})
        for _, n in rows:
            picture(folder / f"cars_{split}/{n:05d}.jpg", n)


def cifar(folder: Path, spec: RealSpec) -> None:
    folder.mkdir(parents=True)
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": list(spec.names_in_source)}, protocol=2))
    for split in COUNTS:
        rows = [(c, n) for s, c, n in listed(spec) if s == split]
        data = np.zeros((len(rows), 3, 32, 32), np.uint8)
        for place, (_, n) in enumerate(rows):
            data[place, 0, 0, 1] = n  # red, first row, second column
        content = {"data": data.reshape(len(rows), -1), "fine_labels": [c for c, _ in rows]}
        (folder / split).write_bytes(pickle.dumps(content, protocol=2))


def mnist(folder: Path, spec: RealSpec) -> None:
    folder.mkdir(parents=True)
    for split, stem in (("train", "train"), ("test", "t10k")):
        rows = [(c, n) for s, c, n in listed(spec) if s == split]
        pixels = np.zeros((len(rows), 28, 28), np.uint8)
        pixels[:, 0, 1] = [n for _, n in rows]
        sizes = np.array(pixels.shape, ">u4").tobytes()
        pictures = bytes([0, 0, 8, 3]) + sizes + pixels.tobytes()
        labels = bytes([0, 0, 8, 1]) + sizes[:4] + bytes(c for c, _ in rows)
        if split == "train":  # one half plain, the other packed
            (folder / f"{stem}-images-idx3-ubyte").write_bytes(pictures)
            (folder / f"{stem}-labels-idx1-ubyte").write_bytes(labels)
        else:
            (folder / f"{stem}-images-idx3-ubyte.gz").write_bytes(gzip.compress(pictures))
            (folder / f"{stem}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))


BUILDERS: dict[str, Callable[[Path, RealSpec], None]] = {
    "aircraft": aircraft,
    "cars": cars,
    "cifar": cifar,
    "class_folders": class_folders,
    "dtd": dtd,
    "flowers": flowers,
    "folder": split_folders,
    "food": food,
    "mnist": mnist,
    "pets": pets,
    "sun": sun,
}


def build(root: Path, spec: RealSpec, folder: str | None = None) -> Path:
    """Make the tree of a data set below a data root, in its recommended folder or another; returns that folder."""
    place = root / (folder or spec.folders[0])
    BUILDERS[spec.layout](place, spec)
    return place
