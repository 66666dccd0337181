"""Readers of official archives that hold arrays: CIFAR's pickles and MNIST's idx files."""

from __future__ import annotations

import gzip
import importlib
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from vlcl_bench.data.originals import ArrayPicture
from vlcl_bench.data.real.layouts_common import missing, restore, same_names
from vlcl_bench.data.real.layouts_lists import SPLITS
from vlcl_bench.data.real.spec import Entry, RealSpec
from vlcl_bench.errors import IntegrityError

HARMLESS = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("_codecs", "encode"),
}
"""All that CIFAR's pickles call for; anything else in one could run code and is refused."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in HARMLESS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which a data file has no use for")
        if name == "_reconstruct":
            core = "numpy._core.multiarray" if hasattr(np, "_core") else "numpy.core.multiarray"
            return importlib.import_module(core)._reconstruct
        return super().find_class(module, name)


def cifar(root: Path, spec: RealSpec) -> list[Entry]:
    """CIFAR-100, the Python version: pickles ``meta``, ``train`` and ``test``, with the fine labels."""
    same_names(_field(root / "meta", "fine_label_names", spec), spec, root / "meta")
    entries = []
    for split in SPLITS:
        path = root / split
        data, labels = np.asarray(_field(path, "data", spec)), _field(path, "fine_labels", spec)
        if data.dtype != np.uint8 or data.shape != (len(labels), 3072):
            raise IntegrityError(
                f"{spec.name}: {path} has {len(labels)} labels and data of shape {data.shape}, expected a row of "
                "3,072 bytes for every label",
                restore(spec),
            )
        pictures = data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        entries += [
            Entry(f"{split}/{index}", split, int(label), ArrayPicture(f"{path}, picture {index}", pictures[index]))
            for index, label in enumerate(labels)
        ]
    return entries


def mnist(root: Path, spec: RealSpec) -> list[Entry]:
    """MNIST: ``{train,t10k}-images-idx3-ubyte`` and ``-labels-idx1-ubyte``, plain or as ``.gz``."""
    entries = []
    for split, stem in zip(SPLITS, ("train", "t10k"), strict=True):
        pictures, labels = _idx(root, f"{stem}-images", 3, spec), _idx(root, f"{stem}-labels", 1, spec)
        if len(pictures) != len(labels):
            raise IntegrityError(
                f"{spec.name}: {root} has {len(pictures)} pictures and {len(labels)} labels in {stem}-*", restore(spec)
            )
        entries += [
            Entry(f"{split}/{index}", split, int(label), ArrayPicture(f"{root}, {stem} picture {index}", picture))
            for index, (picture, label) in enumerate(zip(pictures, labels, strict=True))
        ]
    return entries


def _field(path: Path, key: str, spec: RealSpec) -> Any:
    if not path.is_file():
        raise missing(path, spec)
    try:
        found = _Unpickler(io.BytesIO(path.read_bytes()), encoding="latin1").load()
        return found[key]
    except Exception as error:  # a damaged pickle raises nearly anything
        raise IntegrityError(f"{spec.name}: {path} cannot be read for {key!r}: {error}", restore(spec)) from error


def _idx(root: Path, stem: str, dimensions: int, spec: RealSpec) -> np.ndarray:
    """An array of an idx file: two zeros, type 8 (unsigned bytes), number of dimensions, sizes, and the bytes."""
    names = [f"{stem}{dot}idx{dimensions}-ubyte{end}" for end in ("", ".gz") for dot in ("-", ".")]
    path = next((root / name for name in names if (root / name).is_file()), None)
    if path is None:
        raise missing(root / names[0], spec)
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError) as error:
        raise IntegrityError(f"{spec.name}: {path} cannot be unpacked: {error}", restore(spec)) from error
    header = 4 + 4 * dimensions
    sizes = [int(size) for size in np.frombuffer(data[4:header], ">u4")]
    if data[:4] != bytes([0, 0, 8, dimensions]) or len(sizes) != dimensions:
        raise IntegrityError(f"{spec.name}: {path} is no idx file of {dimensions} dimensions", restore(spec))
    if len(data) != header + int(np.prod(sizes)):
        raise IntegrityError(
            f"{spec.name}: {path} has {len(data) - header} bytes of data, expected {int(np.prod(sizes))}", restore(spec)
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(sizes)
