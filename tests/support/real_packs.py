"""Small packs of real photographs, laid out as the official archives of the sets that they stand for unpack.

The packs lie in ``../shared/data/packs`` beside the repository, if at all. They are no copies of the real sets, so
they come with protocols of their own: ``check-real`` (the eleven packs in the order of MTIL's first stream),
``check-real-captions`` (two halves of captioned pictures) and ``check-real-increments`` (ten classes at a time).
A pack's own division into training and test pictures is kept where the official set has a division of its own; where
it is one pool that the protocol divides by the rule ``pool-42`` (caltech101, eurosat, scene15), all of the pack's
pictures are that pool, and the rule divides them anew.
"""

from __future__ import annotations

import functools
import gzip
import io
import json
import os
import pickle
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from scipy.io import savemat

from vlcl_bench.data.real.catalogue import spec_of
from vlcl_bench.data.real.spec import RealSpec

PACKS = Path(__file__).resolve().parents[3] / "shared" / "data" / "packs"
MISSING = "the packs of real pictures are not in ../shared/data/packs"
STANDS_FOR = {
    "aircraft": "aircraft",
    "caltech101": "caltech101",
    "tinyimagenet32": "cifar100",
    "dtd10": "dtd",
    "eurosat": "eurosat",
    "flowers102": "flowers102",
    "food101": "food101",
    "mnist": "mnist",
    "oxford_pets": "oxford_pets",
    "stanford_cars": "stanford_cars",
    "scene15": "sun397",
}
"""The packs with labels, in the order of MTIL's first stream, and the data set whose layout and prompts each has."""
CAPTIONS = "flickr8k_mini"
HALVES = ("flickr30k-1", "flickr30k-2")
"""Folders with one half of the captioned pictures each, beside the folder with all of them."""


@dataclass(frozen=True)
class Pack:
    """A zip: class names, the classes as the source spells them, pictures as ``split → [(label, JPEG bytes)]``."""

    name: str
    info: dict[str, Any]
    pictures: dict[str, list[tuple[int, bytes]]]

    @property
    def keys(self) -> list[str]:
        return list(self.info["keys"])

    def numbered(self) -> list[tuple[str, int, int, bytes]]:
        """Split, label, running number within the class (training pictures first, from 1), JPEG bytes."""
        seen = [0] * len(self.keys)
        rows = []
        for split, found in self.pictures.items():
            for label, data in found:
                seen[label] += 1
                rows.append((split, label, seen[label], data))
        return rows

    def array(self, split: str, mode: str) -> tuple[np.ndarray, list[int]]:
        """Decoded pictures of a split and their labels."""
        decoded = [np.asarray(Image.open(io.BytesIO(data)).convert(mode)) for _, data in self.pictures[split]]
        return np.stack(decoded), [label for label, _ in self.pictures[split]]


@functools.lru_cache(maxsize=2)
def pack(name: str, most: int | None = None) -> Pack:
    """A pack, or only the first ``most`` pictures of each class and split."""
    with zipfile.ZipFile(PACKS / f"{name}.zip") as file:
        pictures: dict[str, list[tuple[int, bytes]]] = {"train": [], "test": []}
        taken: Counter[str] = Counter()
        for path in sorted(path for path in file.namelist() if path.endswith(".jpg")):
            split, label, _ = path.split("/")
            taken[f"{split}/{label}"] += 1
            if most is None or taken[f"{split}/{label}"] <= most:
                pictures[split].append((int(label), file.read(path)))
        return Pack(name, json.loads(file.read("info.json")), pictures)


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def write_lines(path: Path, rows: list[str]) -> None:
    write(path, "".join(f"{row}\n" for row in rows).encode())


def write_mat(path: Path, **variables: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, variables)


def source_names(found: Pack) -> list[str]:
    """The classes as the laid-out copy spells them."""
    return [f"/{key[0]}/{key}" for key in found.keys] if STANDS_FOR[found.name] == "sun397" else found.keys


def aircraft(folder: Path, found: Pack) -> None:
    write_lines(folder / "data/variants.txt", found.keys)
    lists: dict[str, list[str]] = {"train": [], "test": []}
    for number, (split, label, _, data) in enumerate(found.numbered(), 1):
        lists[split].append(f"{number:07d} {found.keys[label]}")
        write(folder / f"data/images/{number:07d}.jpg", data)
    for split, rows in lists.items():
        write_lines(folder / f"data/images_variant_{split}.txt", rows)


def caltech(folder: Path, found: Pack) -> None:
    for _, label, number, data in found.numbered():
        write(folder / found.keys[label] / f"image_{number:04d}.jpg", data)


def cifar(folder: Path, found: Pack) -> None:
    write(folder / "meta", pickle.dumps({"fine_label_names": found.keys}, protocol=2))
    for split in found.pictures:
        pixels, labels = found.array(split, "RGB")
        rows = {"data": pixels.transpose(0, 3, 1, 2).reshape(len(pixels), -1), "fine_labels": labels}
        write(folder / split, pickle.dumps(rows, protocol=2))


def dtd(folder: Path, found: Pack) -> None:
    lists: dict[str, list[str]] = {"train": [], "test": []}
    for split, label, number, data in found.numbered():
        key = found.keys[label]
        lists[split].append(f"{key}/{key}_{number:04d}.jpg")
        write(folder / f"images/{key}/{key}_{number:04d}.jpg", data)
    for split, rows in lists.items():
        write_lines(folder / f"labels/{split}1.txt", rows)


def eurosat(folder: Path, found: Pack) -> None:
    for _, label, number, data in found.numbered():
        write(folder / found.keys[label] / f"{found.keys[label]}_{number}.jpg", data)


def flowers(folder: Path, found: Pack) -> None:
    rows = found.numbered()
    ids: dict[str, list[int]] = {"train": [], "test": []}
    for number, (split, _, _, data) in enumerate(rows, 1):
        ids[split].append(number)
        write(folder / f"jpg/image_{number:05d}.jpg", data)
    write_mat(folder / "imagelabels.mat", labels=np.array([[label + 1 for _, label, _, _ in rows]], np.uint8))
    write_mat(folder / "setid.mat", trnid=np.array([ids["train"]], np.uint16), tstid=np.array([ids["test"]], np.uint16))


def food(folder: Path, found: Pack) -> None:
    write_lines(folder / "meta/classes.txt", found.keys)
    lists: dict[str, dict[str, list[str]]] = {split: {key: [] for key in found.keys} for split in found.pictures}
    for split, label, number, data in found.numbered():
        key = found.keys[label]
        lists[split][key].append(f"{key}/{number}")
        write(folder / f"images/{key}/{number}.jpg", data)
    for split, classes in lists.items():
        write(folder / f"meta/{split}.json", json.dumps(classes).encode())


def mnist(folder: Path, found: Pack) -> None:
    for split, stem in (("train", "train"), ("test", "t10k")):
        pixels, labels = found.array(split, "L")
        sizes = np.array(pixels.shape, ">u4").tobytes()
        for kind, dimensions, data in (("images", 3, pixels.tobytes()), ("labels", 1, bytes(labels))):
            header = bytes([0, 0, 8, dimensions]) + sizes[: 4 * dimensions]
            write(folder / f"{stem}-{kind}-idx{dimensions}-ubyte.gz", gzip.compress(header + data, mtime=0))


def pets(folder: Path, found: Pack) -> None:
    lists: dict[str, list[str]] = {"train": [], "test": []}
    for split, label, number, data in found.numbered():
        name = f"{found.keys[label]}_{number}"
        lists[split].append(f"{name} {label + 1} 1 1")
        write(folder / f"images/{name}.jpg", data)
    write_lines(folder / "annotations/trainval.txt", lists["train"])
    write_lines(folder / "annotations/test.txt", lists["test"])


def cars(folder: Path, found: Pack) -> None:
    write_mat(folder / "devkit/cars_meta.mat", class_names=np.array([found.keys], dtype=object))
    columns = [("class", object), ("fname", object)]
    files = {"train": "devkit/cars_train_annos.mat", "test": "cars_test_annos_withlabels.mat"}
    for split, file in files.items():
        rows = [(np.uint8(label + 1), f"{n:05d}.jpg") for n, (label, _) in enumerate(found.pictures[split], 1)]
        write_mat(folder / file, annotations=np.array([rows], dtype=columns))
        for (_, name), (_, data) in zip(rows, found.pictures[split], strict=True):
            write(folder / f"cars_{split}" / name, data)


def sun(folder: Path, found: Pack) -> None:
    names = source_names(found)
    write_lines(folder / "ClassName.txt", names)
    for _, label, number, data in found.numbered():
        write(folder / names[label][1:] / f"sun_{number:04d}.jpg", data)


WRITERS: dict[str, Callable[[Path, Pack], None]] = {
    "aircraft": aircraft,
    "caltech101": caltech,
    "cifar100": cifar,
    "dtd": dtd,
    "eurosat": eurosat,
    "flowers102": flowers,
    "food101": food,
    "mnist": mnist,
    "oxford_pets": pets,
    "stanford_cars": cars,
    "sun397": sun,
}


def lay_out(name: str, root: Path, most: int | None = None) -> Path:
    """Lay a pack out below a data root, where the set that it stands for is looked for first; returns the folder.

    ``most`` limits the pictures of each class and split.
    """
    folder = root / spec_of(STANDS_FOR[name]).folders[0]
    WRITERS[STANDS_FOR[name]](folder, pack(name, most))
    return folder


def lay_out_captions(root: Path) -> Path:
    """``flickr30k`` with all captioned pictures, and the two halves by file name beside it (as links)."""
    with zipfile.ZipFile(PACKS / f"{CAPTIONS}.zip") as file:
        listed = sorted(json.loads(file.read("captions.json")), key=lambda line: Path(line["file"]).name)
        whole = root / "flickr30k"
        for line in listed:
            write(whole / "flickr30k-images" / Path(line["file"]).name, file.read(line["file"]))
    _write_karpathy(whole, listed)
    splits = [[line for line in listed if line["file"].startswith(f"{split}/")] for split in ("train", "test")]
    for place, half in enumerate(HALVES):
        lines = [line for split in splits for line in np.array_split(np.array(split, object), 2)[place]]
        (root / half / "flickr30k-images").mkdir(parents=True)
        for line in lines:
            picture = Path("flickr30k-images") / Path(line["file"]).name
            os.link(whole / picture, root / half / picture)
        _write_karpathy(root / half, lines)
    return whole


def _write_karpathy(folder: Path, listed: list[dict[str, Any]]) -> None:
    words = {"train": "train", "dev": "val", "test": "test"}
    images = [
        {
            "filename": Path(line["file"]).name,
            "imgid": number,
            "split": words[line["file"].split("/")[0]],
            "sentences": [{"raw": text} for text in line["captions"]],
        }
        for number, line in enumerate(listed)
    ]
    write(folder / "dataset_flickr30k.json", json.dumps({"dataset": "flickr30k", "images": images}).encode())


def pack_spec(name: str, most: int | None = None, prompts: int | None = None) -> RealSpec:
    """A pack as a data set of its own, ``pack-<name>``: its names and counts, the layout and prompts of another."""
    real, found = spec_of(STANDS_FOR[name]), pack(name, most)
    counts = {
        split: tuple(np.bincount([label for label, _ in rows], minlength=len(found.keys)).tolist())
        for split, rows in found.pictures.items()
    }
    pool = tuple(a + b for a, b in zip(counts["train"], counts["test"], strict=True))
    expected: dict[str, Any] = {
        "train": sum(counts["train"]), "train_per_class": counts["train"],
        "test": sum(counts["test"]), "test_per_class": counts["test"],
    }  # fmt: skip
    if real.split != "official":
        n = sum(pool)
        expected = {"pool": n, "pool_per_class": pool, "train": n * 8 // 10, "test": n - n * 8 // 10}
    return RealSpec(
        name=f"pack-{name}", title=f"a part of {real.title}, or something like it", layout=real.layout,
        folders=real.folders[:1], class_names=tuple(found.info["classes"]), source_names=tuple(source_names(found)),
        templates=real.templates[:prompts], split=real.split, sample_pattern=real.sample_pattern, small=real.small,
        options={key: value for key, value in real.options.items() if key != "ignore"},
        licence=found.info["licence"], source=found.info["source"], **expected,
    )  # fmt: skip


def half_spec(folder: str, gallery: int | None) -> RealSpec:
    return RealSpec(
        name=f"pack-{folder}", title="half of a part of Flickr8k", layout="flickr30k_karpathy", folders=(folder,),
        captioned=True, train=1000, test=500, gallery=gallery, licence="research", source="Hodosh et al., 2013",
    )  # fmt: skip


class Protocols(NamedTuple):
    """Paths of the protocols' files."""

    stream: Path
    captions: Path
    increments: Path


def write_protocols(
    folder: Path,
    side: int = 48,
    steps: int = 20,
    names: tuple[str, ...] = tuple(STANDS_FOR),
    most: int | None = None,
    prompts: int | None = None,
    gallery: int | None = None,
    bank: int = 2000,
    learning_rate: float = 1e-4,
) -> Protocols:
    """Write the three protocols for pictures of ``side`` pixels and ``steps`` steps of 32 a task.

    ``names`` are the packs of ``check-real``, of which ``most`` pictures of each class and split were laid out;
    ``prompts`` limits the templates; ``gallery`` test pictures of each half are searched (500 at most).
    """
    rest = {"side": side, "steps": steps, "learning_rate": learning_rate}
    labelled = [pack_spec(name, most, prompts) for name in names]
    groups = f"\n[class_groups.pack-tinyimagenet32]\nsize = 10\norder = {list(range(100))}\n"
    halves = [half_spec(half, gallery) for half in HALVES]
    share = ", ".join(f'["{spec.name}"]' for spec in halves)
    drawn = f"\n[bank]\nsize = {bank}\nseed = 0\ngroups = [{share}]\n"
    return Protocols(
        _protocol(folder, "check-real", labelled, "", **rest),
        _protocol(folder, "check-real-captions", halves, drawn, **rest),
        _protocol(folder, "check-real-increments", [pack_spec("tinyimagenet32", most, prompts)], groups, **rest),
    )


def _protocol(
    folder: Path, name: str, specs: list[RealSpec], tables: str, side: int, steps: int, learning_rate: float
) -> Path:
    top = {
        "name": name, "version": 1, "title": name, "description": "Real pictures, to check with; no benchmark.",
        "source": "real", "scale": "mini", "ranked": False, "backbone": "vlcl-mini/v1", "picture_size": side,
        "tasks": [spec.name for spec in specs], "evaluation_batch": 125,
    }  # fmt: skip
    budget = {
        "steps": steps, "batch_size": 32, "learning_rate": learning_rate, "warmup": max(1, steps // 10),
        "ensemble_interval": max(1, steps // 10), "reference_batch": 32, "auxiliary_size": 1000,
    }  # fmt: skip
    parts = [toml(top), "\n[budget]\n", toml(budget), "\n[augmentation]\nscale = [0.9, 1.0]\nratio = [0.75, 1.33]\n"]
    parts += [tables, *("\n[[data]]\n" + toml(spec.model_dump(exclude_defaults=True)) for spec in specs)]
    path = folder / f"{name}.toml"
    write(path, "".join(parts).encode())
    return path


def toml(values: dict[str, Any]) -> str:
    """TOML of plain values; JSON writes strings, numbers and lists the same way."""
    return "".join(f"{key} = {_value(value)}\n" for key, value in values.items())


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(inner)}" for key, inner in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)
