"""The mini world's reference data: what its CLIP was pretrained on, for methods that declare it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vlcl_bench.common.progress import Reporter
from vlcl_bench.data.interface import Places
from vlcl_bench.data.manifest import read_manifest
from vlcl_bench.data.open import open_dataset
from vlcl_bench.data.pictures import Pictures
from vlcl_bench.data.reference import ReferencePlan
from vlcl_bench.data.store import Store
from vlcl_bench.data.verify import aligned
from vlcl_bench.mini import REFERENCE


def plan_reference(source: str, kinds: Sequence[str], side: int) -> ReferencePlan:
    """The pictures and captions, as far as they are declared; the manifest holds all. ``source`` is the world's."""
    manifest = read_manifest(REFERENCE)
    captions = tuple(dict.fromkeys(text for texts in manifest.captions("train") for text in texts))
    sizes = {"pictures": len(manifest.samples("train")), "texts": len(captions)}
    named = {kind: f"{REFERENCE} {sizes[kind]} {manifest.fingerprint()[:16]}" for kind in kinds}

    def pictures(store: Store, reporter: Reporter) -> np.ndarray | Pictures:
        if "pictures" not in kinds:
            return np.empty((0, side, side, 3), np.uint8)
        dataset = open_dataset(source, REFERENCE)
        if not store.has(dataset, manifest, side):
            collection = aligned(dataset, manifest, dataset.collect(Places()))
            with reporter.phase("drawing the reference pictures (once)", len(manifest.rows)) as progress:
                report = lambda done, total: progress(done, total, dataset.name)  # noqa: E731
                store.build(dataset, manifest, collection, side, report)
        return store.open(dataset, manifest, side).train

    return ReferencePlan(named, captions if "texts" in kinds else (), sizes["pictures"], pictures)
