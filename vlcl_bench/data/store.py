"""The store: pictures decoded once, kept as memory-mapped arrays, addressed by their content.

A data set lives in ``<store>/<data set>-<first 16 digits of its manifest's fingerprint>[-<side>]/``: ``test.u8``
(raw uint8, ``(n, s, s, 3)``, after the protocol's deterministic preprocessing), ``train.u8`` where the set is small
enough to be kept whole (in its own size), and ``index.json`` with shapes and hashes. It is verified when it is
opened. It can be deleted at any time and is built again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from vlcl_bench.common.fileio import pretty_json, read_json, sha256_bytes, write_atomic
from vlcl_bench.common.places import STORE_OPTION, named, store_home
from vlcl_bench.data.interface import SPLITS, Collection, DataSet
from vlcl_bench.data.manifest import Manifest
from vlcl_bench.data.pictures import EncodedPictures, Pictures, SmallPictures, in_parallel
from vlcl_bench.data.real.spec import Entry
from vlcl_bench.data.transforms import evaluation_crop
from vlcl_bench.errors import IntegrityError

Report = Callable[[int, int], None]
"""Called with pictures done and pictures in all."""
INDEX_NAME = "index.json"


def default_root() -> Path:
    """``$VLCL_STORE``, or the user's cache folder."""
    return store_home()


@dataclass(frozen=True)
class StoredDataSet:
    """A data set's pictures: ``test`` decoded, read-only ``(n, s, s, 3)`` uint8; ``train`` likewise or on demand."""

    name: str
    train: np.ndarray | Pictures
    test: np.ndarray


class Store:
    """Decoded pictures under one root folder."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = default_root() if root is None else named(root, "decoded and synthetic pictures", STORE_OPTION)

    def folder(self, dataset: DataSet, manifest: Manifest, side: int) -> Path:
        """Where a data set with this content and size lives."""
        size = "" if dataset.side == side else f"-{side}"
        return self.root / f"{manifest.dataset}-{manifest.fingerprint()[:16]}{size}"

    def has(self, dataset: DataSet, manifest: Manifest, side: int) -> bool:
        """Whether the data set was built (not whether it is whole: :meth:`open` checks that)."""
        path = self.folder(dataset, manifest, side) / INDEX_NAME
        if not path.exists():
            return False
        if dataset.side == side:  # drawn at its size, and held to its hashes
            return True
        try:
            index = read_json(path)
        except IntegrityError:
            return True  # there, but damaged: :meth:`open` says so
        made = index.get("made_with") if isinstance(index, dict) else None
        return made is None or made == made_with()  # another library may decode or resize otherwise

    def open(self, dataset: DataSet, manifest: Manifest, side: int, train: Sequence[Entry] = ()) -> StoredDataSet:
        """Map a built data set, after checking it; raises :class:`IntegrityError` where a byte is off.

        ``train`` are the originals of a set whose training pictures the store does not hold.
        """
        folder = self.folder(dataset, manifest, side)
        hint = f"Delete {folder} and give the same command again: the store is built again."
        try:
            index = read_json(folder / INDEX_NAME)
            splits = SPLITS if dataset.small else ("test",)
            arrays = {split: _mapped(folder / f"{split}.u8", index[split], hint) for split in splits}
            test = arrays["test"]
        except (KeyError, TypeError) as error:
            raise IntegrityError(f"{folder / INDEX_NAME} is damaged: {error!r}", hint) from error
        except IntegrityError as error:
            raise IntegrityError(error.message, hint) from error
        if "train" not in arrays:
            originals = EncodedPictures([entry.original for entry in train], manifest.hashes("train"), side)
            return StoredDataSet(manifest.dataset, originals, test)
        whole = arrays["train"]
        return StoredDataSet(manifest.dataset, whole if dataset.side == side else SmallPictures(whole, side), test)

    def build(self, dataset: DataSet, manifest: Manifest, collection: Collection, side: int, report: Report) -> None:
        """Decode a data set, compare every picture with the manifest, and keep it.

        ``collection`` is in the manifest's order (:func:`vlcl_bench.data.verify.aligned`).
        """
        folder = self.folder(dataset, manifest, side)
        index: dict[str, Any] = {} if dataset.side == side else {"made_with": made_with()}
        splits = SPLITS if dataset.small else ("test",)
        total, before = sum(len(manifest.samples(split)) for split in splits), 0
        for split in splits:
            entries = [entry for entry in collection.entries if entry.split == split]
            pictures = _decoded(entries, manifest.hashes(split), side if split == "test" else None)
            writer = _Writer(pictures, lambda done, start=before: report(start + done, total))  # type: ignore[misc]
            write_atomic(folder / f"{split}.u8", writer.write)
            index[split] = {"shape": [len(entries), *writer.shape], "sha256": writer.digest.hexdigest()}
            before += len(entries)
        write_atomic(folder / INDEX_NAME, pretty_json(index))


def made_with() -> dict[str, str]:
    """The versions of the libraries that decode and resize."""
    return {name: version(name) for name in ("pillow", "torchvision")}


def _mapped(path: Path, entry: dict[str, object], hint: str) -> np.ndarray:
    """A split's array, checked against the index's entry."""
    shape: tuple[int, ...] = tuple(entry["shape"])  # type: ignore[arg-type]
    expected = int(np.prod(shape))
    if not path.exists() or path.stat().st_size != expected:
        found = f"{path.stat().st_size} bytes" if path.exists() else "no file"
        raise IntegrityError(f"{path}: expected {expected} bytes, found {found}", hint)
    if expected == 0:
        return np.empty(shape, np.uint8)
    mapped = np.memmap(path, dtype=np.uint8, mode="r", shape=shape)
    if sha256_bytes(mapped.data) != entry["sha256"]:
        raise IntegrityError(f"{path} is damaged: its hash differs from the index's", hint)
    return mapped


def _decoded(entries: Sequence[Entry], hashes: Sequence[str], side: int | None) -> Iterator[np.ndarray]:
    """Verified pictures in order; under the test transform where ``side`` is given."""

    def one(pair: tuple[Entry, str]) -> np.ndarray:
        pixels = pair[0].original.verified(pair[1])
        return pixels if side is None else evaluation_crop(pixels, side)

    return in_parallel(one, zip(entries, hashes, strict=True))


class _Writer:
    """Writes pictures one after the other, hashing as it goes: a split can be larger than the memory."""

    def __init__(self, pictures: Iterator[np.ndarray], report: Callable[[int], None]) -> None:
        self.pictures, self.report = pictures, report
        self.digest = hashlib.sha256()
        self.shape: tuple[int, ...] = ()

    def write(self, file: BinaryIO) -> None:
        """Write all pictures to a file; they must be of one size."""
        for number, picture in enumerate(self.pictures, start=1):
            if number > 1 and picture.shape != self.shape:
                raise IntegrityError(
                    f"picture {number} has the shape {picture.shape}, those before it {self.shape}: "
                    "a set that is kept whole must be of one size",
                    "Set small = false for this data set.",
                )
            self.shape = picture.shape
            data = np.ascontiguousarray(picture).tobytes()
            self.digest.update(data)
            file.write(data)
            self.report(number)
