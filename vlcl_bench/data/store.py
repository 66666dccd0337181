"""The store: every picture decoded once, kept as one memory-mapped array a split, addressed by its content.

A data set lives in ``<store>/<data set>-<first 16 digits of its manifest's fingerprint>/``: ``train.u8``,
``test.u8`` (raw uint8, ``(n, s, s, 3)``) and ``index.json`` with shapes and hashes. It is verified when it is
opened. Nothing in it is precious: it can be deleted at any time and is built again.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vlcl_bench.data.manifest import Manifest
from vlcl_bench.data.sources import SPLITS, DataSet
from vlcl_bench.errors import IntegrityError
from vlcl_bench.fileio import pretty_json, read_json, sha256_bytes, write_atomic

Report = Callable[[int, int], None]
"""Called with pictures done and pictures in all."""


def default_root() -> Path:
    """``$VLCL_STORE``, or the user's cache folder."""
    chosen = os.environ.get("VLCL_STORE")
    if chosen:
        return Path(chosen)
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "vlcl-bench" / "store"


@dataclass(frozen=True)
class StoredDataSet:
    """A data set's decoded pictures: ``train`` and ``test``, read-only ``(n, s, s, 3)`` uint8."""

    name: str
    train: np.ndarray
    test: np.ndarray


class Store:
    """Decoded pictures under one root folder."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = default_root() if root is None else root

    def folder(self, manifest: Manifest) -> Path:
        """Where a data set with this content lives."""
        return self.root / f"{manifest.dataset}-{manifest.fingerprint()[:16]}"

    def has(self, manifest: Manifest) -> bool:
        """Whether the data set was built (not whether it is whole: :meth:`open` checks that)."""
        return (self.folder(manifest) / "index.json").exists()

    def open(self, manifest: Manifest) -> StoredDataSet:
        """Map a built data set, after checking it; raises :class:`IntegrityError` where a byte is off."""
        folder = self.folder(manifest)
        hint = f"Delete {folder} and give the same command again: the store is built anew."
        try:
            index = read_json(folder / "index.json")
            arrays = {}
            for split in SPLITS:
                path, shape = folder / f"{split}.u8", tuple(index[split]["shape"])
                if not path.exists() or path.stat().st_size != int(np.prod(shape)):
                    found = f"{path.stat().st_size} bytes" if path.exists() else "no file"
                    raise IntegrityError(f"{path}: expected {int(np.prod(shape))} bytes, found {found}", hint)
                mapped = np.memmap(path, dtype=np.uint8, mode="r", shape=shape)
                if sha256_bytes(mapped.data) != index[split]["sha256"]:
                    raise IntegrityError(f"{path} is damaged: its hash differs from the index's", hint)
                arrays[split] = mapped
        except (KeyError, TypeError) as error:
            raise IntegrityError(f"{folder / 'index.json'} is damaged: {error!r}", hint) from error
        except IntegrityError as error:
            raise IntegrityError(error.message, hint) from error
        return StoredDataSet(manifest.dataset, arrays["train"], arrays["test"])

    def build(self, dataset: DataSet, manifest: Manifest, report: Report) -> StoredDataSet:
        """Decode a data set, compare every picture with the manifest, and keep it."""
        total, done, index = len(manifest.rows), 0, {}
        for split in SPLITS:
            expected = manifest.hashes(split)
            samples = [sample for sample, _ in dataset.samples(split)]
            if samples != manifest.samples(split):
                raise IntegrityError(
                    f"{dataset.name}/{split}: the samples differ from the manifest's "
                    f"({len(samples)} found, {len(manifest.samples(split))} expected)"
                )
            images = np.empty((len(samples), dataset.image_size, dataset.image_size, 3), np.uint8)
            pictures = zip(samples, expected, dataset.pictures(split), strict=True)
            for i, (sample, digest, image) in enumerate(pictures):
                if sha256_bytes(image.tobytes()) != digest:
                    raise IntegrityError(
                        f"{dataset.name}/{split}: picture {sample!r} is not the one in the manifest",
                        "Another version of a drawing or imaging package is installed; "
                        "install the versions of requirements.lock.",
                    )
                images[i] = image
                done += 1
                report(done, total)
            data = images.tobytes()
            write_atomic(self.folder(manifest) / f"{split}.u8", data)
            index[split] = {"shape": list(images.shape), "sha256": sha256_bytes(data)}
        write_atomic(self.folder(manifest) / "index.json", pretty_json(index))
        return self.open(manifest)
