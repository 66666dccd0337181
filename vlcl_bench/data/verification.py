"""Whether copies of data sets are right: what ``vlcl data verify`` says, and what a run checks of own pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vlcl_bench.common.progress import Reporter
from vlcl_bench.data.first_use import Renewal, check_renewable, describe, renew, under_name
from vlcl_bench.data.interface import Collection, DataSet, Places
from vlcl_bench.data.manifest import Manifest, find_manifest, has_manifest
from vlcl_bench.data.own_copies import changes
from vlcl_bench.data.real.dataset import RealDataSet
from vlcl_bench.data.repeats import repeats_of
from vlcl_bench.data.texts import find_texts
from vlcl_bench.data.verify import verify
from vlcl_bench.errors import IntegrityError, UsageError, VlclError


def verify_all(
    datasets: Sequence[RealDataSet], places: Places, write: bool, reporter: Reporter, anew: bool = False
) -> list[dict[str, Any]]:
    """Verify data sets one after the other, also after one was refused.

    A line for each: ``name``, ``result`` in words, ``error`` (the refusal, which names the first wrong picture, or
    ``None``), ``exit_code`` of that refusal, ``pictures``, ``source`` and ``notes``: what else is worth knowing, such
    as files that were passed over. With ``anew`` manifests of first use are renewed.
    """
    lines = []
    for dataset in datasets:
        line: dict[str, Any] = {"name": dataset.name, "pictures": 0, "source": None, "error": None, "exit_code": 0}
        line["notes"] = []
        try:
            line |= _renewed(dataset, places, reporter) if anew else _verified(dataset, places, write, reporter)
        except VlclError as error:
            line |= {"result": "refused", "error": str(error), "exit_code": error.exit_code}
        lines.append(line)
    return lines


def _verified(dataset: RealDataSet, places: Places, write: bool, reporter: Reporter) -> dict[str, Any]:
    if dataset.spec.texts:
        texts, source = find_texts(dataset.spec, places)
        return {"source": source, "result": f"{len(texts):,} texts"}
    manifest = find_manifest(dataset.key)
    if manifest is not None:
        dataset.check_manifest(manifest)
    collection = dataset.collect(places, manifest)
    total, turned = len(collection.entries), 0
    if manifest is None and not write:
        result = "counts, classes and labels fit; no manifest to compare the content with (--write makes one)"
    elif manifest is None:
        result = f"described in {describe(dataset, collection, reporter)}; this content is required from now on"
    else:
        if dataset.own and collection.origin == "folder":
            refuse_changes(dataset, manifest, collection)
        with reporter.phase(f"verifying {dataset.name}", total) as progress:
            turned = verify(dataset, manifest, collection, under_name(progress, dataset.name))
        result = f"every picture is the one in the {manifest.status} manifest"
    return {
        "pictures": total, "source": collection.origin, "result": result, "notes": _notes(dataset, collection, turned)
    }  # fmt: skip


def _renewed(dataset: RealDataSet, places: Places, reporter: Reporter) -> dict[str, Any]:
    if dataset.spec.texts:
        raise UsageError(f"{dataset.name} is a set of texts, which has no manifest", "Leave --renew out.")
    check_renewable(dataset)
    there = has_manifest(dataset.key)
    collection = dataset.collect(places)
    renewal = renew(dataset, collection, reporter)
    return {
        "pictures": len(collection.entries), "source": collection.origin, "result": _renewal_in_words(renewal, there),
        "notes": _notes(dataset, collection, 0),
    }  # fmt: skip


def _renewal_in_words(renewal: Renewal, there: bool) -> str:
    if not there:
        return f"described in {renewal.path}; this content is required from now on"
    if not renewal.changed:
        return f"the pictures are those that were described before; {renewal.path} has their present names"
    return (
        f"described anew in {renewal.path}: {renewal.came:,} new, {renewal.went:,} gone, {renewal.stayed:,} as before; "
        "this content is required from now on. Runs are made anew on it, and those on the earlier pictures stay"
    )


def _notes(dataset: RealDataSet, collection: Collection, turned: int) -> list[str]:
    """What is worth knowing of a copy that is in order."""
    manifest = find_manifest(dataset.key)
    notes = [collection.passed_over] if collection.passed_over else []
    if manifest is not None:
        notes += [f"warning: {words}" for words in repeats_of([manifest])[0].words()]
        notes += rotation_in_words(turned or manifest.turned)
    return notes


def refuse_changes(dataset: DataSet, manifest: Manifest, collection: Collection) -> None:
    """Raise :class:`IntegrityError` where a protocol's own pictures are not those that its manifest describes.

    All kinds of change are said at once; only pictures whose file was touched are read.
    """
    if manifest.origin.get("source", "").startswith("hub "):
        return  # the hub's names are others; these pictures are found by their content
    words = changes(dataset.key, manifest, collection.entries).words()
    if words:
        raise IntegrityError(
            f"{dataset.name}: the pictures are not those that were described here before: {words}", dataset.advice
        )


def rotation_in_words(turned: int) -> list[str]:
    """What to say of so many pictures whose EXIF data ask for a rotation; nothing where there are none."""
    if not turned:
        return []
    carry = "1 picture carries" if turned == 1 else f"{turned:,} pictures carry"
    return [f"{carry} a rotation in the EXIF data, which is not applied: it is read as it is stored"]
