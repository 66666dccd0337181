"""Writing the manifests of the mini world: a maintainer's step, taken when the world changes on purpose."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from vlcl_bench.data.manifest import FOLDER, Manifest, write_manifest
from vlcl_bench.data.sources import SPLITS, DataSet
from vlcl_bench.fileio import sha256_bytes


def freeze(dataset: DataSet, folder: Path = FOLDER) -> Manifest:
    """Draw every picture of a data set and write its manifest."""
    rows = []
    for split in SPLITS:
        for (sample, label), image in zip(dataset.samples(split), dataset.pictures(split), strict=True):
            rows.append((split, sample, sha256_bytes(image.tobytes()), label))
    frame = pd.DataFrame(rows, columns=["split", "sample", "sha256", "label"])
    manifest = Manifest(dataset.name, dataset.class_names, frame)
    write_manifest(manifest, folder)
    return manifest
