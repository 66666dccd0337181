"""Writing the manifests of the mini world: a maintainer's step, taken when the world changes on purpose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from vlcl_bench.data.interface import DataSet, Places
from vlcl_bench.data.manifest import COMMITTED, FOLDER, Manifest, write_manifest
from vlcl_bench.data.verify import first_manifest


def freeze(dataset: DataSet, folder: Path = FOLDER) -> Manifest:
    """Draw every picture of a data set and write its manifest."""
    made = first_manifest(dataset, dataset.collect(Places()), lambda done, total: None)
    manifest = replace(made, origin={}, status=COMMITTED)
    write_manifest(manifest, folder)
    return manifest
