"""Getting a protocol's data ready for a run: described by manifests, decoded into the store, compared on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from vlcl_bench.data.describe import describe, under_name
from vlcl_bench.data.manifest import COMMITTED, Manifest, read_manifest
from vlcl_bench.data.originals import Original
from vlcl_bench.data.pictures import Pictures, UncheckedPictures, some
from vlcl_bench.data.sources import MINI_REFERENCE, Collection, DataSet, Places, open_dataset
from vlcl_bench.data.store import Store, StoredDataSet
from vlcl_bench.data.texts import find_texts
from vlcl_bench.data.verify import aligned
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
        path, total = describe(dataset, collection, reporter), len(collection.entries)
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


def _shifted(progress: Advance, before: int, total: int, name: str, done: int, of: int) -> None:
    """Progress of one data set as progress of all of them."""
    progress(before + done, total, name)


def data_origin(manifest: Manifest) -> DataOrigin:
    """What a record says of a data set."""
    source = manifest.origin.get("source", "drawn" if manifest.status == COMMITTED else "unknown")
    return DataOrigin(manifest=manifest.fingerprint(), status=manifest.status, source=source)  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class ReferencePlan:
    """Reference data as far as they are known without drawing or decoding a picture.

    ``identity`` names by kind what is lent; ``texts`` are lent as they stand; of ``count`` pictures, which
    ``pictures`` opens, the ``rows`` are lent (``None``: all of them).
    """

    identity: dict[str, str]
    texts: tuple[str, ...]
    count: int
    pictures: Callable[[Store, Reporter], np.ndarray | Pictures]
    rows: np.ndarray | None = None

    def open(self, store: Store, reporter: Reporter) -> Reference:
        """The reference data themselves; those that the store keeps are drawn where they are missing."""
        pictures = self.pictures(store, reporter)
        return Reference(pictures if self.rows is None else some(pictures, self.rows), self.texts, self.identity)


def plan_reference(protocol: Protocol, kinds: Sequence[str], config: Any, places: Places) -> ReferencePlan | None:
    """What a protocol lends to a method that declares ``kinds``; ``None`` for one that declares none.

    A method's settings ``reference_pictures`` and ``reference_texts`` (``None``: all) say how many are taken, drawn
    with seed 42. Raises :class:`UsageError` for a kind that does not exist, and where none would be left to lend.
    """
    if not kinds:
        return None
    unknown = set(kinds) - set(KINDS)
    if unknown:
        raise UsageError(f"no auxiliary data {sorted(unknown)}", f"A method can declare: {', '.join(KINDS)}.")
    for kind in kinds:
        asked = getattr(config, f"reference_{kind}", None)
        if asked is not None and asked < 1:
            raise UsageError(
                f"reference_{kind} is {asked}; expected at least 1", f"Leave reference_{kind} out to take all of them."
            )
    if "pictures" in kinds and protocol.budget.auxiliary_size < 1:
        raise UsageError(
            "the method needs reference pictures; the protocol lends none (its auxiliary_size is 0)",
            "Choose a method without reference pictures, or set auxiliary_size in the protocol's file.",
        )
    mini = protocol.scale == "mini"
    found = _mini_reference(kinds, protocol.side) if mini else _real_reference(kinds, places, protocol.side)
    sizes = {"pictures": found.count, "texts": len(found.texts)}
    named, rows = dict(found.identity), {}
    for kind in kinds:
        most = getattr(config, f"reference_{kind}", None)
        if kind == "pictures":
            most = min(protocol.budget.auxiliary_size, sizes[kind] if most is None else most)
        if most is not None and most < sizes[kind]:
            rows[kind] = np.sort(np.random.default_rng(42).permutation(sizes[kind])[:most])
            named[kind] += f", {most} of {sizes[kind]}"
    texts = tuple(found.texts[row] for row in rows["texts"]) if "texts" in rows else found.texts
    return replace(found, identity=named, texts=texts, rows=rows.get("pictures"))


def _mini_reference(kinds: Sequence[str], side: int) -> ReferencePlan:
    """The mini CLIP's pretraining pictures and captions, as far as they are declared; the manifest tells all."""
    manifest = read_manifest(MINI_REFERENCE)
    captions = tuple(dict.fromkeys(text for own in manifest.captions("train") for text in own))
    sizes = {"pictures": len(manifest.samples("train")), "texts": len(captions)}
    named = {kind: f"{MINI_REFERENCE} {sizes[kind]} {manifest.fingerprint()[:16]}" for kind in kinds}

    def pictures(store: Store, reporter: Reporter) -> np.ndarray | Pictures:
        if "pictures" not in kinds:
            return np.empty((0, side, side, 3), np.uint8)
        dataset = open_dataset("mini", MINI_REFERENCE)
        if not store.has(dataset, manifest, side):
            collection = aligned(dataset, manifest, dataset.collect(Places()))
            with reporter.phase("drawing the reference pictures (once)", len(manifest.rows)) as progress:
                store.build(dataset, manifest, collection, side, under_name(progress, dataset.name))
        return store.open(dataset, manifest, side).train

    return ReferencePlan(named, captions if "texts" in kinds else (), sizes["pictures"], pictures)


def _real_reference(kinds: Sequence[str], places: Places, side: int) -> ReferencePlan:
    """ImageNet's training pictures and Conceptual Captions' validation captions, as far as they are declared.

    Of 1.28 million pictures the list is fingerprinted (of a hub copy, its commit too) and not every file's content: one
    that cannot be decoded is refused when it is drawn, one that was replaced is not noticed.
    """
    from vlcl_bench.data.real.catalogue import spec_of

    originals: list[Original] = []
    texts: tuple[str, ...] = ()
    named = {}
    if "pictures" in kinds:
        collection = open_dataset("real", "imagenet").collect(places)
        originals = [entry.original for entry in collection.entries]
        listed = sha256_text("\n".join(entry.sample for entry in collection.entries))
        named["pictures"] = " ".join(filter(None, ("imagenet", str(len(originals)), listed[:16], collection.revision)))
    if "texts" in kinds:
        texts = tuple(dict.fromkeys(find_texts(spec_of("conceptual_captions"), places)[0]))
        named["texts"] = f"conceptual_captions {len(texts)} {sha256_text(chr(10).join(texts))[:16]}"
    return ReferencePlan(named, texts, len(originals), lambda store, reporter: UncheckedPictures(originals, side))
