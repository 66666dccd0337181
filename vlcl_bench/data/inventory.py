"""What ``vlcl data`` says: which data sets there are, what is here of them, what can go."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vlcl_bench.data.interface import Places
from vlcl_bench.data.manifest import FOLDER, Manifest, find_manifest, first_use_folder, read_manifest
from vlcl_bench.data.real.dataset import RealDataSet
from vlcl_bench.data.real.spec import RealSpec
from vlcl_bench.data.real.survey import survey
from vlcl_bench.data.repeats import in_words, repeats_of
from vlcl_bench.data.store import INDEX_NAME, Store
from vlcl_bench.errors import VlclError


def inventory(datasets: Sequence[RealDataSet], places: Places) -> list[dict[str, Any]]:
    """A line for each data set: name, title, counts, manifest's status, whether it is here, where to put it."""
    lines = []
    for dataset in datasets:
        spec = dataset.spec
        here, put_it = _copy_in_words(spec, places)
        manifest = None if spec.texts else find_manifest(dataset.key)
        status = "none yet" if manifest is None else f"{manifest.status} {manifest.fingerprint()[:12]}"
        lines.append(
            {
                "name": spec.name, "title": spec.title, "train": spec.train, "test": spec.test,
                "manifest": "texts" if spec.texts else status, "here": here, "put_it": put_it,
                "passed_over": _passed_over(spec, places), "folders": list(spec.folders),
                "hub": spec.hub.repo if spec.hub else None,
                "licence": spec.licence, "source": spec.source,
            }
        )  # fmt: skip
    return lines


def _passed_over(spec: RealSpec, places: Places) -> str:
    """Which files of a copy below the data root are not read, in words."""
    if places.root is None or spec.test == 0:  # a million reference pictures are not looked through for a list
        return ""
    folder, refusal = find_copy(spec, places)
    try:
        return "" if folder is None or refusal is not None else survey(folder, spec).words()
    except VlclError:
        return ""  # it cannot be listed; what reads it says so


def find_copy(spec: RealSpec, places: Places) -> tuple[Path | None, VlclError | None]:
    """The folder of a data set, looked for as a run does: below the data root, then among the copies of the hub's.

    Also why the data root has none; ``None`` and ``None`` where there is no data root and no copy of the hub's.
    """
    from vlcl_bench.data.real.layouts import locate

    refusal = None
    if places.root is not None:
        try:
            return locate(spec, places.root), None
        except VlclError as error:
            refusal = error  # perhaps there is a copy of the hub's
    if spec.hub is not None and places.hub_root is not None and (places.hub_root / spec.hub.repo).is_dir():
        return places.hub_root / spec.hub.repo, refusal
    return None, refusal


def _copy_in_words(spec: RealSpec, places: Places) -> tuple[str, str]:
    """Where a data set is, and what to do if it is missing."""
    if places.root is None and places.hub_root is None:
        return "not looked for", ""
    folder, refusal = find_copy(spec, places)
    if folder is not None:
        root = places.root if places.root is not None and refusal is None else places.hub_root
        return _below(folder, root or folder), ""
    if refusal is not None:
        return "missing", f"{refusal.message}. {refusal.hint or ''}"
    if spec.hub is None:
        return "no hub copy", (
            f"no copy on the hub gives this protocol's split: get the official archive from {spec.source}, unpack it "
            f"into DIR/{spec.folders[0]} and add --data-root DIR"
        )
    return "missing", f"fetch it: vlcl data get {spec.name} --hub-root {places.hub_root}"


def _below(folder: Path, root: Path) -> str:
    """A folder as seen from the data root; a specification may also name one elsewhere."""
    place, start = Path(os.path.normpath(folder)), Path(os.path.normpath(root))
    return place.relative_to(start).as_posix() if place.is_relative_to(start) else str(place)


def card_of(spec: RealSpec, manifest: Manifest | None = None) -> dict[str, Any]:
    """All that the protocol knows of a data set, for people; with its manifest, where there is one."""
    hub = spec.hub
    card: dict[str, Any] = {
        "name": spec.name, "title": spec.title, "description": spec.description, "home_page": spec.source,
        "licence": spec.licence, "citation": spec.citation,
        "train_pictures": "not stated" if spec.train is None else spec.train,
        "test_pictures": "not stated" if spec.test is None else spec.test,
        "layout": spec.layout, "split": spec.split, "gallery": spec.gallery or "all", "folders": list(spec.folders),
        "hub": f"{hub.repo}@{hub.revision or 'resolved on first use'}" if hub else "none gives this split",
        "equal_pictures": _equal_pictures(manifest), "templates": list(spec.templates),
        "classes": list(spec.class_names), "notes": list(spec.notes),
    }  # fmt: skip
    if not spec.captioned:
        del card["gallery"]
    return card


def _equal_pictures(manifest: Manifest | None) -> str:
    """What a card says of pictures that are there more than once."""
    if manifest is None:
        return "counted on first use"
    return "; ".join(in_words(repeats_of([manifest])[0].counts)) or "none"


BUILDING = 3600.0
"""Seconds without a change after which an unfinished folder counts as given up, not as being built by somebody."""


def collect_garbage(store: Store, everything: bool, dry_run: bool) -> dict[str, Any]:
    """Delete the store's folders that belong to no manifest, or all of them; half-built ones go, and left-over files.

    What changed within the last hour and is not finished is perhaps being built by another process: it is left alone
    unless ``everything`` goes, and named under ``left``. Whatever else lies there is left alone without a word.
    """
    needed = set()
    for folder in (FOLDER, first_use_folder()):
        for path in sorted(folder.glob("*.parquet")):
            manifest = read_manifest(path.stem, folder)
            needed.add(f"{manifest.dataset}-{manifest.fingerprint()[:16]}")
    lines: list[dict[str, Any]] = []
    left: list[dict[str, Any]] = []
    total = 0
    for folder in sorted(path for path in store.root.glob("*") if _is_stored(path)):
        size, known = folder_bytes(folder), any(_belongs(folder, name) for name in needed)
        total += size
        whole = (folder / INDEX_NAME).exists()
        if everything:
            lines.append({"folder": str(folder), "bytes": size, "why": "all are to go"})
        elif _being_built(folder, whole):
            left.append(
                {"folder": str(folder), "bytes": size, "why": "perhaps being built: it changed within the hour"}
            )
        elif not known or not whole:
            why = "half built" if known else "no manifest needs it"
            lines.append({"folder": str(folder), "bytes": size, "why": why})
        else:
            lines += [
                {"folder": str(path), "bytes": _bytes(path), "why": "left behind by a process that was ended"}
                for path in sorted(folder.glob(".*.tmp"))
            ]
    for line in () if dry_run else lines:
        path = Path(line["folder"])
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    freed = sum(line["bytes"] for line in lines)
    return {"store": str(store.root), "total": total, "freed": freed, "folders": lines, "left": left}


def _belongs(folder: Path, name: str) -> bool:
    return folder.name == name or folder.name.startswith(f"{name}-")


def _being_built(folder: Path, whole: bool) -> bool:
    """Whether somebody may be writing here: of a finished folder only its temporary files show it."""
    files = [*folder.glob(".*.tmp")] if whole else [folder, *folder.iterdir()]
    return any(time.time() - _changed(path) < BUILDING for path in files)


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # renamed this moment: somebody is at work
        return time.time()


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _is_stored(folder: Path) -> bool:
    """Whether a folder looks like one of a store's: whoever names another folder as the store must not lose it."""
    named = re.fullmatch(r".+-[0-9a-f]{16}(-\d+)?", folder.name) is not None
    return named and folder.is_dir() and all(re.search(r"\.(u8|json|tmp)$", path.name) for path in folder.iterdir())


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(_bytes(path) for path in folder.rglob("*") if path.is_file())
