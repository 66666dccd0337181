"""Comparing a copy of a data set with its manifest, and making the manifest where there is none yet."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from vlcl_bench.data.interface import Collection, DataSet
from vlcl_bench.data.manifest import Manifest, make_manifest
from vlcl_bench.data.originals import Original
from vlcl_bench.data.pictures import in_parallel
from vlcl_bench.data.real.dataset import RealDataSet, matched
from vlcl_bench.data.real.file_names import composed
from vlcl_bench.data.real.spec import Entry
from vlcl_bench.errors import IntegrityError

Report = Callable[[int, int], None]


def first_manifest(dataset: DataSet, collection: Collection, report: Report) -> Manifest:
    """The manifest of a copy that nobody has described before: every picture is read, hashed and decoded once."""
    hashes, turned, total = [], 0, len(collection.entries)
    found = in_parallel(partial(_examined, dataset), (entry.original for entry in collection.entries))
    for done, (digest, is_turned) in enumerate(found, start=1):
        hashes.append(digest)
        turned += is_turned
        report(done, total)
    made = make_manifest(
        dataset.name, dataset.class_names, collection.entries, hashes, collection.origin, collection.revision, turned
    )
    dataset.check_manifest(made)
    return made


def _examined(dataset: DataSet, original: Original) -> tuple[str, bool]:
    """Content hash, and whether EXIF data ask to turn the picture."""
    found = original.examine()  # decoding too: a picture that was cut short must not get into a manifest
    dataset.check_picture(found.pixels, original.where)
    return found.digest, found.turned


def aligned(dataset: DataSet, manifest: Manifest, collection: Collection) -> Collection:
    """The same collection in the manifest's order.

    Raises :class:`IntegrityError` with the first picture that is missing, unknown, of another split, or labelled or
    captioned otherwise than the manifest says.
    """
    hint = dataset.advice
    if collection.origin.startswith("folder") and manifest.origin.get("source", "").startswith("hub "):
        # The hub's names are not the archive's: the pictures are found by their content.
        extra = isinstance(dataset, RealDataSet) and dataset.spec.gallery is not None
        found = matched(list(collection.entries), manifest, None, extra)
        return Collection(found, collection.origin, collection.revision)
    by_sample = {(entry.split, composed(entry.sample)): entry for entry in collection.entries}
    wanted = list(zip(manifest.rows["split"], map(composed, manifest.rows["sample"]), strict=True))
    missing = [key for key in wanted if key not in by_sample]
    if missing:
        split, sample = missing[0]
        other = "test" if split == "train" else "train"
        moved = " (it is there, but in the other split)" if (other, sample) in by_sample else ""
        raise IntegrityError(
            f"{dataset.name}: {len(missing)} of the manifest's {len(wanted)} pictures are not there; the first is "
            f"{split}/{sample}{moved}",
            hint,
        )
    if len(by_sample) > len(wanted):
        known = set(wanted)
        first = next(key for key in by_sample if key not in known)
        raise IntegrityError(
            f"{dataset.name}: {len(by_sample) - len(wanted)} pictures are not in the manifest; the first is "
            f"{'/'.join(first)}",
            hint,
        )
    entries = [by_sample[key] for key in wanted]
    _check_truth(dataset, manifest, entries, hint)
    return Collection(entries, collection.origin, collection.revision)


def _check_truth(dataset: DataSet, manifest: Manifest, entries: list, hint: str) -> None:
    """Labels and captions must be the manifest's."""
    for entry, label in zip(entries, manifest.rows["label"], strict=True):
        if entry.label != label:
            said, known = (_name(dataset, number) for number in (entry.label, label))
            raise IntegrityError(
                f"{dataset.name}: {entry.sample} is labelled {said} here, {known} in the manifest: a label file was "
                "swapped, shifted or sorted otherwise",
                hint,
            )
    if "captions" in manifest.rows:
        for entry, captions in zip(entries, manifest.rows["captions"], strict=True):
            if tuple(entry.captions) != tuple(captions):
                raise IntegrityError(f"{dataset.name}: {entry.sample} has other captions than in the manifest", hint)


def _name(dataset: DataSet, label: int) -> str:
    names = dataset.class_names
    return f"{label} ({names[label]})" if 0 <= label < len(names) else str(label)


def verify(dataset: DataSet, manifest: Manifest, collection: Collection, report: Report) -> int:
    """Compare every picture's content with the manifest; returns how many carry a rotation in their EXIF data.

    Raises :class:`IntegrityError` naming the first wrong file.
    """
    entries = aligned(dataset, manifest, collection).entries
    pairs, turned = zip(entries, manifest.rows["sha256"], strict=True), 0
    for done, is_turned in enumerate(in_parallel(_verified, pairs), start=1):
        turned += is_turned
        report(done, len(entries))
    return turned


def _verified(pair: tuple[Entry, str]) -> bool:
    original, expected = pair[0].original, pair[1]
    found = original.examine()
    original.require(found.digest, expected)
    return found.turned
