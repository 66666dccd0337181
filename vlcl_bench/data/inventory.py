"""What ``vlcl data`` says: which data sets there are, what is here of them, whether it is right, what can go."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from vlcl_bench.data.manifest import FOLDER, find_manifest, first_use_folder, read_manifest, write_manifest
from vlcl_bench.data.real.spec import RealSpec
from vlcl_bench.data.sources import Places, RealDataSet
from vlcl_bench.data.store import INDEX_NAME, Store
from vlcl_bench.data.verify import first_manifest, verify
from vlcl_bench.engine.reporter import Advance, Reporter
from vlcl_bench.errors import UsageError, VlclError


def wanted(names: Sequence[str], protocol: str | None) -> list[RealDataSet]:
    """The real data sets named, or those of a protocol, or all of the catalogue."""
    from vlcl_bench.data.real.catalogue import catalogue, spec_of
    from vlcl_bench.protocols import load_protocol

    if protocol is not None:
        own = [dataset for dataset in load_protocol(protocol).datasets if isinstance(dataset, RealDataSet)]
        if not own:
            raise UsageError(
                f"{protocol} has no real data: its pictures are drawn here", "`vlcl world cards` describes them."
            )
        unknown = set(names) - {dataset.name for dataset in own}
        if unknown:
            raise UsageError(f"{protocol} has no data set {', '.join(sorted(unknown))}")
        return [dataset for dataset in own if not names or dataset.name in names]
    return [RealDataSet(spec_of(name)) for name in names or catalogue()]


def inventory(datasets: Sequence[RealDataSet], places: Places) -> list[dict[str, Any]]:
    """A line for each data set: name, title, counts, manifest's status, whether it is here, where to put it."""
    from vlcl_bench.data.real.layouts import locate

    lines = []
    for dataset in datasets:
        spec, here, put_it = dataset.spec, "not looked for", ""
        if places.root is not None:
            try:
                here = locate(spec, places.root).relative_to(places.root).as_posix()
            except VlclError as error:
                here, put_it = "missing", f"{error.message}. {error.hint or ''}"
        elif places.hub_root is not None and spec.hub is not None:
            folder = places.hub_root / spec.hub.repo
            here = spec.hub.repo if folder.is_dir() else "missing"
            put_it = "" if folder.is_dir() else f"fetch it: vlcl data get {spec.name} --hub-root {places.hub_root}"
        manifest = None if spec.texts else find_manifest(spec.name)
        status = "none yet" if manifest is None else f"{manifest.status} {manifest.fingerprint()[:12]}"
        lines.append(
            {
                "name": spec.name, "title": spec.title, "train": spec.train, "test": spec.test,
                "manifest": "texts" if spec.texts else status, "here": here, "put_it": put_it,
                "folders": list(spec.folders), "hub": spec.hub.repo if spec.hub else None,
                "licence": spec.licence, "source": spec.source,
            }
        )  # fmt: skip
    return lines


def card_of(spec: RealSpec) -> dict[str, Any]:
    """All that the protocol knows of a data set, for people."""
    hub = spec.hub
    card: dict[str, Any] = {
        "name": spec.name, "title": spec.title, "description": spec.description, "home_page": spec.source,
        "licence": spec.licence, "citation": spec.citation,
        "train_pictures": "not stated" if spec.train is None else spec.train,
        "test_pictures": "not stated" if spec.test is None else spec.test,
        "layout": spec.layout, "split": spec.split, "gallery": spec.gallery or "all", "folders": list(spec.folders),
        "hub": f"{hub.repo}@{hub.revision or 'resolved on first use'}" if hub else "none gives this split",
        "templates": list(spec.templates), "classes": list(spec.class_names), "notes": list(spec.notes),
    }  # fmt: skip
    if not spec.captioned:
        del card["gallery"]
    return card


def verify_all(
    datasets: Sequence[RealDataSet], places: Places, write: bool, reporter: Reporter
) -> list[dict[str, Any]]:
    """Verify data sets one after the other; the first wrong picture raises :class:`IntegrityError`."""
    lines = []
    for dataset in datasets:
        if dataset.spec.texts:
            lines.append(_verified_texts(dataset, places))
            continue
        manifest = find_manifest(dataset.name)
        collection = dataset.collect(places, manifest)
        total = len(collection.entries)
        line = {"name": dataset.name, "pictures": total, "source": collection.origin}
        if manifest is None and not write:
            result = "counts, classes and labels fit; no manifest to compare the content with (--write makes one)"
        elif manifest is None:
            with reporter.phase(f"reading {dataset.name} for the first time", total) as progress:
                made = first_manifest(dataset, collection, partial(_named, progress, dataset.name))
            result = f"described in {write_manifest(made, first_use_folder())}; this content is required from now on"
        else:
            with reporter.phase(f"verifying {dataset.name}", total) as progress:
                verify(dataset, manifest, collection, partial(_named, progress, dataset.name))
            result = f"every picture is the one in the {manifest.status} manifest"
        lines.append(line | {"result": result})
    return lines


def _verified_texts(dataset: RealDataSet, places: Places) -> dict[str, Any]:
    from vlcl_bench.data.real.captions import read_texts
    from vlcl_bench.data.real.hub import read_hub
    from vlcl_bench.data.real.layouts import locate

    spec, source = dataset.spec, "folder"
    if places.root is not None:
        texts = read_texts(locate(spec, places.root), spec)
    else:
        found = read_hub(spec, places.hub_root, spec.hub.revision if spec.hub else None)
        texts, source = list(found.texts), found.origin
    return {"name": dataset.name, "pictures": 0, "source": source, "result": f"{len(texts):,} texts"}


def _named(progress: Advance, name: str, done: int, total: int) -> None:
    progress(done, total, name)


def collect_garbage(store: Store, everything: bool, dry_run: bool) -> dict[str, Any]:
    """Delete the store's folders that belong to no manifest, or all of them; half-built ones always go.

    Whatever else lies there is left alone.
    """
    needed = set()
    for folder in (FOLDER, first_use_folder()):
        for path in sorted(folder.glob("*.parquet")):
            manifest = read_manifest(path.stem, folder)
            needed.add(f"{manifest.dataset}-{manifest.fingerprint()[:16]}")
    lines, total, freed = [], 0, 0
    for folder in sorted(path for path in store.root.glob("*") if _is_stored(path)):
        size = folder_bytes(folder)
        total += size
        known = any(folder.name == name or folder.name.startswith(f"{name}-") for name in needed)
        why = "all are to go" if everything else "no manifest needs it"
        if known and not everything:
            if (folder / INDEX_NAME).exists():
                continue
            why = "half built"
        lines.append({"folder": str(folder), "bytes": size, "why": why})
        freed += size
        if not dry_run:
            shutil.rmtree(folder)
    return {"store": str(store.root), "total": total, "freed": freed, "folders": lines}


def _is_stored(folder: Path) -> bool:
    """Whether a folder looks like one of a store's: whoever names another folder as the store must not lose it."""
    named = re.fullmatch(r".+-[0-9a-f]{16}(-\d+)?", folder.name) is not None
    return named and folder.is_dir() and all(re.search(r"\.(u8|json|tmp)$", path.name) for path in folder.iterdir())


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
