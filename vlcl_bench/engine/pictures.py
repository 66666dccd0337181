"""Getting a protocol's data ready for a run: described by manifests, decoded into the store, compared on the way."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from vlcl_bench.common.progress import Advance, Reporter
from vlcl_bench.data.first_use import describe
from vlcl_bench.data.interface import Collection, DataSet, Places
from vlcl_bench.data.manifest import COMMITTED, Manifest
from vlcl_bench.data.repeats import repeats_of
from vlcl_bench.data.store import Store, StoredDataSet
from vlcl_bench.data.verification import refuse_changes, rotation_in_words
from vlcl_bench.data.verify import aligned
from vlcl_bench.errors import UsageError, VlclError
from vlcl_bench.protocols.stream import Protocol
from vlcl_bench.records.schema import DataOrigin


def describe_data(protocol: Protocol, places: Places, reporter: Reporter) -> None:
    """Make the manifests that nobody has made before, from the copy that is here.

    Counts, classes and labels are the protocol's before a manifest is written; content is required from then on.
    """
    missing = protocol.missing_manifests()
    collected: list[tuple[DataSet, Collection]] = []
    errors: list[VlclError] = []
    for dataset in missing:  # all of them before any is read: hashing takes long, and the last may not be there
        try:
            collected.append((dataset, dataset.collect(places)))
        except VlclError as error:
            errors.append(error)
    if errors:
        others = "".join(f"\nAnd: {error.message}" for error in errors[1:])
        raise type(errors[0])(errors[0].message + others, errors[0].hint)
    for dataset, collection in collected:
        path, total = describe(dataset, collection, reporter), len(collection.entries)
        reporter.say(f"{dataset.name}: {total} pictures described in {path}; this content is required from now on")


def open_store(protocol: Protocol, places: Places, store: Store, reporter: Reporter) -> list[StoredDataSet]:
    """The pictures of all data sets; those that the store keeps are decoded where they are missing."""
    side, stored = protocol.side, []
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
        stored.append(store.open(dataset, manifest, side, [entry for entry in entries if entry.split == "train"]))
    return stored


def _kept(dataset: DataSet, manifest: Manifest) -> int:
    """Number of pictures that the store keeps of a data set."""
    return len(manifest.rows) if dataset.small else len(manifest.samples("test"))


def _shifted(progress: Advance, before: int, total: int, name: str, done: int, of: int) -> None:
    """Progress of one data set as progress of all of them."""
    progress(before + done, total, name)


def check_own_data(protocol: Protocol, places: Places, reporter: Reporter) -> None:
    """Compare a protocol's own pictures with what was described before, also where a run on these is finished.

    Files are read only where their size or times are not those of the last comparison. Raises
    :class:`~vlcl_bench.errors.IntegrityError` where they are others; where they are not there any more, that is said.
    """
    for dataset, manifest in zip(protocol.datasets, protocol.manifests, strict=True):
        if not dataset.own or manifest.origin.get("source", "").startswith("hub "):
            continue
        if places.root is None:
            reporter.say(f"{dataset.name}: without --data-root its pictures are not compared with what was described")
            continue
        try:
            collection = dataset.collect(places, manifest)
        except UsageError as error:
            reporter.say(f"{error.message}: its pictures are not compared with what was described")
            continue
        if collection.origin == "folder":
            refuse_changes(dataset, manifest, collection)
            aligned(dataset, manifest, collection)  # labels and captions too
        if collection.passed_over:
            reporter.say(f"{dataset.name}: {collection.passed_over}")


def warn_of_pictures(protocol: Protocol, reporter: Reporter) -> None:
    """Say, before a run, what is odd about its pictures and refuses nothing: equal ones, and rotations in EXIF data."""
    for manifest, repeats in zip(protocol.manifests, repeats_of(protocol.manifests), strict=True):
        for words in [*repeats.words(), *rotation_in_words(manifest.turned)]:
            reporter.say(f"warning: {manifest.dataset}: {words}")


def data_origins(manifests: Sequence[Manifest]) -> dict[str, DataOrigin]:
    """What a record says of a stream's data sets."""
    repeats = repeats_of(manifests)
    return {
        manifest.dataset: data_origin(manifest).model_copy(update={"repeats": dict(found.counts)})
        for manifest, found in zip(manifests, repeats, strict=True)
    }


def data_origin(manifest: Manifest) -> DataOrigin:
    """What a record says of a data set, but for its equal pictures."""
    source = manifest.origin.get("source", "drawn" if manifest.status == COMMITTED else "unknown")
    return DataOrigin(manifest=manifest.fingerprint(), status=manifest.status, source=source)  # type: ignore[arg-type]
