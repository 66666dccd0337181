"""Describing a copy of a data set that nobody has described before: what it holds is required from then on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vlcl_bench.common.progress import Advance, Reporter
from vlcl_bench.data.interface import Collection, DataSet
from vlcl_bench.data.manifest import keep_first_use
from vlcl_bench.data.verify import first_manifest


def under_name(progress: Advance, name: str) -> Callable[[int, int], None]:
    """Reports progress with ``name`` beside done and total."""
    return lambda done, total: progress(done, total, name)


def describe(dataset: DataSet, collection: Collection, reporter: Reporter) -> Path:
    """Read every picture of a copy once and write its manifest; returns where that lies.

    Raises :class:`~vlcl_bench.errors.IntegrityError` as :func:`~vlcl_bench.data.verify.first_manifest` and
    :func:`~vlcl_bench.data.manifest.keep_first_use` do.
    """
    with reporter.phase(f"reading {dataset.name} for the first time", len(collection.entries)) as progress:
        manifest = first_manifest(dataset, collection, under_name(progress, dataset.name))
    return keep_first_use(manifest, dataset.key)
