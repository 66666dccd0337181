"""Where a machine keeps things, and what is there: free space, the store, the real data sets."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from vlcl_bench.cli.diagnostics.diagnosis import Diagnosis, gigabytes
from vlcl_bench.errors import VlclError

if TYPE_CHECKING:
    from vlcl_bench.data.interface import Places

FULL_STORE = 14.6e9
"""Bytes of the decoded test pictures of the eleven MTIL sets: 97,209 pictures of 224 x 224 x 3."""
RUN_SPACE = 2e9
"""Bytes for one run on ViT-B/16: two states of 600 MB, predictions, and some room."""


def disk(store_root: Path | None = None) -> Iterator[Diagnosis]:
    """Free space where the store (``store_root``, else the default), runs and the user's data are."""
    from vlcl_bench.common.places import data_home
    from vlcl_bench.data.inventory import folder_bytes
    from vlcl_bench.data.store import default_root

    try:
        root, kept = store_root or default_root(), data_home()
    except VlclError as error:
        yield Diagnosis("disk", "problem", error.message, error.hint, {})
        return
    stored = folder_bytes(root)
    places = (
        ("store", root, FULL_STORE - stored, "VLCL_STORE"),
        ("runs", Path("runs").absolute(), RUN_SPACE, None),
        ("data home", kept, 1e7, "VLCL_DATA_HOME"),
    )
    for what, place, needed, variable in places:
        there = existing(place)
        free = shutil.disk_usage(there).free
        facts = {"what": what, "path": str(place), "free_bytes": free, "needed_bytes": max(0, int(needed))}
        move = f"Set {variable} to a folder elsewhere" if variable else "Work in another folder"
        text = f"{what}: {gigabytes(free)} free at {place}"
        file = next((above for above in (place, *place.parents) if above.is_file()), None)
        if file is not None:
            yield Diagnosis("disk", "problem", f"{what}: {file} is a file, not a folder", f"{move}.", facts)
        elif not writable(there):
            yield Diagnosis("disk", "problem", f"{what}: {there} cannot be written", f"{move}.", facts)
        elif free < needed:
            hint = f"The full protocols need {gigabytes(needed)} here, the mini ones far less. {move}, or free some."
            yield Diagnosis("disk", "warning", text, hint, facts)
        else:
            yield Diagnosis("disk", "ok", text, facts=facts)


def store(root: Path | None = None) -> Iterator[Diagnosis]:
    """How much the store of decoded pictures (``root``, else the default) holds."""
    from vlcl_bench.data.inventory import folder_bytes
    from vlcl_bench.data.store import default_root

    try:
        root = root or default_root()
    except VlclError:  # said beside the free space
        return
    entries = sorted(path.parent.name for path in root.glob("*/index.json"))
    size = folder_bytes(root)
    text = f"{len(entries)} data sets, {gigabytes(size)} in {root}"
    yield Diagnosis("store", "ok", text, facts={"path": str(root), "entries": entries, "bytes": size})


def data(root: Path | None, hub_root: Path | None = None) -> Iterator[Diagnosis]:
    """Which of the real data sets are here; whether they are the right ones is for `vlcl data verify`.

    Looked for as a run does it: below the data root where there is one, then among the copies of the hub's.
    """
    from vlcl_bench.data.interface import Places
    from vlcl_bench.data.inventory import find_copy
    from vlcl_bench.data.real.catalogue import spec_of

    try:
        places = Places.given(root, hub_root)
    except VlclError as error:
        yield Diagnosis("data", "problem", error.message, error.hint, {"root": str(root) if root else None})
        return
    if places.root is None and places.hub_root is None:
        text = "no data root was given, so the real data sets were not looked for"
        hint = "Add --data-root FOLDER or --hub-root FOLDER to see which are there."
        yield Diagnosis("data", "ok", text, hint, {"root": None})
        return
    roots = [root for root in (places.root, places.hub_root) if root is not None]
    copies = {name: find_copy(spec_of(name), places)[0] for name in _looked_for(places)}
    there = {name: None if folder is None else str(folder) for name, folder in copies.items()}
    missing = [name for name, place in there.items() if place is None]
    text = f"{len(there) - len(missing)} of {len(there)} data sets under {' and '.join(map(str, roots))}"
    if places.root is None:
        text += " (those that the hub has)"
    facts = {"root": str(places.root or places.hub_root), "found": there}
    if missing:
        hint = "`vlcl data list` says where each belongs; a protocol needs only its own."
        yield Diagnosis("data", "warning", f"{text}; missing: {', '.join(missing)}", hint, facts)
    else:
        yield Diagnosis("data", "ok", text, "`vlcl data verify` says whether they are the right ones.", facts)


def _looked_for(places: Places) -> list[str]:
    from vlcl_bench.data.real.catalogue import catalogue, spec_of

    return [name for name in catalogue() if places.root is not None or spec_of(name).hub is not None]


def existing(path: Path) -> Path:
    """The folder itself, or the nearest above it that is there."""
    path = path.absolute()
    return next(place for place in (path, *path.parents) if os.path.isdir(place))


def writable(folder: Path) -> bool:
    """Whether a file can be made in a folder, by making one: permissions alone do not show read-only disks."""
    import tempfile

    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
