"""Getting a protocol's data ready for a run: described by manifests, decoded into the store, compared on the way."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from vlcl_bench.data.manifest import (
    COMMITTED,
    Manifest,
    keep_first_use,
    read_manifest,
)
from vlcl_bench.data.originals import Original
from vlcl_bench.data.pictures import Pictures, UncheckedPictures, some
from vlcl_bench.data.sources import MINI_REFERENCE, Collection, DataSet, Places, open_dataset
from vlcl_bench.data.store import Store, StoredDataSet
from vlcl_bench.data.verify import aligned, first_manifest
from vlcl_bench.engine.reporter import Advance, Reporter
from vlcl_bench.errors import UsageError, VlclError
from vlcl_bench.fileio import sha256_text
from vlcl_bench.methods.reference import KINDS, Reference
from vlcl_bench.protocols import Protocol
from vlcl_bench.records import DataOrigin


def describe_data(protocol: Protocol, places: Places, reporter: Reporter) -> None:
    """Make the manifests that nobody has made before, from the copy that is here.

    Counts, classes and labels are the protocol's before a manifest is written; content is required ever after.
    """
    missing = protocol.missing_manifests()
    found: list[tuple[DataSet, Collection]] = []
    errors: list[VlclError] = []
    for dataset in missing:  # all of them before any is read: hashing takes long, and the last may not be there
        try:
            found.append((dataset, dataset.collect(places)))
        except VlclError as error:
            errors.append(error)
    if errors:
        others = "".join(f"\nAnd: {error.message}" for error in errors[1:])
        raise type(errors[0])(errors[0].message + others, errors[0].hint)
    for dataset, collection in found:
        total = len(collection.entries)
        with reporter.phase(f"reading {dataset.name} for the first time", total) as progress:
            manifest = first_manifest(dataset, collection, partial(_named, progress, dataset.name))
        path = keep_first_use(manifest, dataset.key)
        reporter.say(f"{dataset.name}: {total} pictures described in {path}; this content is required from now on")


def open_store(protocol: Protocol, places: Places, store: Store, reporter: Reporter) -> list[StoredDataSet]:
    """The pictures of all data sets; those that the store keeps are decoded where they are missing."""
    side, found = protocol.side, []
    pairs = list(zip(protocol.datasets, protocol.manifests, strict=True))
    missing = [manifest.dataset for dataset, manifest in pairs if not store.has(dataset, manifest, side)]
    total, before = sum(_kept(d, m) for d, m in pairs if m.dataset in missing), 0
    collections: dict[str, Collection] = {}
    for dataset, manifest in pairs:
        if manifest.dataset in missing or not dataset.small:
            collections[dataset.name] = aligned(dataset, manifest, dataset.collect(places, manifest))
    if missing:
        with reporter.phase("building the picture store (once)", total) as progress:
            for dataset, manifest in pairs:
                if manifest.dataset in missing:
                    report = partial(_shifted, progress, before, total, dataset.name)
                    store.build(dataset, manifest, collections[dataset.name], side, report)
                    before += _kept(dataset, manifest)
    for dataset, manifest in pairs:
        entries = collections[dataset.name].entries if dataset.name in collections else ()
        found.append(store.open(dataset, manifest, side, [entry for entry in entries if entry.split == "train"]))
    return found


def _kept(dataset: DataSet, manifest: Manifest) -> int:
    """Number of pictures that the store keeps of a data set."""
    return len(manifest.rows) if dataset.small else len(manifest.samples("test"))


def _named(progress: Advance, name: str, done: int, total: int) -> None:
    progress(done, total, name)


def _shifted(progress: Advance, before: int, total: int, name: str, done: int, of: int) -> None:
    """Progress of one data set as progress of all of them."""
    progress(before + done, total, name)


def data_origin(manifest: Manifest) -> DataOrigin:
    """What a record says of a data set."""
    source = manifest.origin.get("source", "drawn" if manifest.status == COMMITTED else "unknown")
    return DataOrigin(manifest=manifest.fingerprint(), status=manifest.status, source=source)  # type: ignore[arg-type]


def open_reference(
    protocol: Protocol,
    kinds: Sequence[str],
    config: Any,
    places: Places,
    store: Store,
    reporter: Reporter,
) -> Reference | None:
    """The reference data of a protocol for a method that declares ``kinds``; ``None`` for one that declares none.

    A method's settings ``reference_pictures`` and ``reference_texts`` (``None``: all) say how many are taken, drawn
    with seed 42. Raises :class:`UsageError` for a kind that does not exist.
    """
    if not kinds:
        return None
    unknown = set(kinds) - set(KINDS)
    if unknown:
        raise UsageError(f"no auxiliary data {sorted(unknown)}", f"A method can declare: {', '.join(KINDS)}.")
    side = protocol.side
    full: np.ndarray | Pictures
    if protocol.scale == "mini":
        dataset = open_dataset("mini", MINI_REFERENCE)
        manifest = read_manifest(MINI_REFERENCE)
        if not store.has(dataset, manifest, side):
            collection = aligned(dataset, manifest, dataset.collect(places))
            with reporter.phase("drawing the reference pictures (once)", len(manifest.rows)) as progress:
                store.build(dataset, manifest, collection, side, partial(_named, progress, dataset.name))
        full, texts = store.open(dataset, manifest, side).train, manifest.captions("train")
        captions = tuple(dict.fromkeys(text for own in texts for text in own))
        sizes = {"pictures": len(full), "texts": len(captions)}
        named = {kind: f"{MINI_REFERENCE} {sizes[kind]} {manifest.fingerprint()[:16]}" for kind in kinds}
    else:
        full, captions, named = _real_reference(kinds, places, side)
    found: dict[str, Any] = {"pictures": full, "texts": captions}
    for kind in KINDS:
        most = getattr(config, f"reference_{kind}", None)
        if kind == "pictures":
            most = min(protocol.budget.auxiliary_size, len(found[kind]) if most is None else most)
        rows = np.arange(len(found[kind])) if kind in kinds else np.arange(0)
        if kind in kinds and most is not None and most < len(rows):
            rows = np.sort(np.random.default_rng(42).permutation(len(rows))[:most])
            named[kind] += f", {most} of {len(found[kind])}"
        if len(rows) < len(found[kind]):
            found[kind] = tuple(captions[row] for row in rows) if kind == "texts" else some(full, rows)
    return Reference(found["pictures"], found["texts"], named)


def _real_reference(
    kinds: Sequence[str], places: Places, side: int
) -> tuple[Pictures, tuple[str, ...], dict[str, str]]:
    """ImageNet's training pictures and Conceptual Captions' validation captions, as far as they are declared.

    Of 1.28 million pictures the list is fingerprinted (of a hub copy, its commit too) and not every file's content: one
    that cannot be decoded is refused when it is drawn, one that was replaced is not noticed.
    """
    from vlcl_bench.data.real.captions import read_texts
    from vlcl_bench.data.real.catalogue import spec_of
    from vlcl_bench.data.real.hub import read_hub
    from vlcl_bench.data.real.layouts import locate

    originals: list[Original] = []
    texts: tuple[str, ...] = ()
    named = {}
    if "pictures" in kinds:
        collection = open_dataset("real", "imagenet").collect(places)
        originals = [entry.original for entry in collection.entries]
        listed = sha256_text("\n".join(entry.sample for entry in collection.entries))
        named["pictures"] = " ".join(filter(None, ("imagenet", str(len(originals)), listed[:16], collection.revision)))
    if "texts" in kinds:
        spec = spec_of("conceptual_captions")
        found = (
            read_texts(locate(spec, places.root), spec) if places.root else read_hub(spec, places.hub_root, None).texts
        )
        texts = tuple(dict.fromkeys(found))
        named["texts"] = f"conceptual_captions {len(texts)} {sha256_text(chr(10).join(texts))[:16]}"
    return UncheckedPictures(originals, side), texts, named
