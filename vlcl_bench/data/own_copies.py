"""Data sets of a protocol's own: which manifest is a copy's, and whether the pictures still are those it describes.

Such a data set has no official archive: whatever lies in the folder is right until it changes. So its manifest is
filed under its description *and* the data root: two roots never share one. No path gets into a record, for the
fingerprint of a manifest is over contents alone, and equal pictures below another root are the same data.

Reading every picture at the start of every run would take long, so size and times of each file are kept beside the
manifests when it was compared, and only a file that has others is read again (as git's index does it).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlcl_bench.common.fileio import canonical_json, read_json, sha256_text, write_atomic
from vlcl_bench.common.places import data_home
from vlcl_bench.data.manifest import Manifest, first_use_folder, read_manifest
from vlcl_bench.data.originals import FilePicture
from vlcl_bench.data.pictures import in_parallel
from vlcl_bench.data.real.file_names import composed
from vlcl_bench.data.real.spec import Entry
from vlcl_bench.errors import IntegrityError, MachineError, UsageError

EARLIER = "earlier"
"""The folder, within that of the manifests, of those that were renewed: old runs are still scored with them."""

DIGITS = 12
"""Of the hash of a description, in a key."""


@dataclass(frozen=True)
class OwnCopy:
    """Which copy of a protocol's own data sets is meant.

    ``protocol`` is the protocol's file as it was named, ``root`` the data root.
    """

    protocol: str | None = None
    root: Path | None = None

    def options(self) -> str:
        """What has to be typed behind ``vlcl data verify NAME``."""
        return f"--protocol {self.protocol or 'FILE'} --data-root {self.root or 'DIR'}"


def key_of(name: str, described: str, copy: OwnCopy) -> str:
    """What the manifest of a copy is filed under; ``described`` is the hash of the data set's description.

    Without a data root, the only one that there is; :class:`UsageError` where several have different contents.
    """
    base = f"{name}-{described[:DIGITS]}"
    if copy.root is not None:
        return f"{base}-{sha256_text(os.path.realpath(copy.root))[:8]}"
    keys = _filed(base)
    if not keys:
        return base
    if len({read_manifest(key, first_use_folder()).fingerprint() for key in keys}) > 1:
        raise UsageError(
            f"{name}: {len(keys)} copies with different pictures were described here, below as many data roots",
            "Say which one is meant with --data-root DIR.",
        )
    return keys[0]


def _filed(base: str) -> list[str]:
    """Keys of the manifests that there are of a description; of those that were renewed, the latest."""
    return sorted(path.stem for path in first_use_folder().glob(f"{base}*.parquet"))


def other_contents(key: str, manifest: Manifest) -> int:
    """How many other copies of the same description have other contents than this one's ``manifest``.

    Damaged manifests of other copies do not count: they are no fault of this one.
    """
    base = key[: len(manifest.dataset) + 1 + DIGITS]  # a key ends with it where no data root was named
    found = 0
    for other in _filed(base):
        with contextlib.suppress(IntegrityError):
            found += other != key and read_manifest(other, first_use_folder()).fingerprint() != manifest.fingerprint()
    return found


@dataclass(frozen=True)
class Changes:
    """How a copy differs from its manifest: sample names, those of moved ones as ``old -> new``.

    ``other_split`` are pictures that lie where they lay and are in the other split, where a split is drawn.
    """

    added: Sequence[str] = ()
    removed: Sequence[str] = ()
    replaced: Sequence[str] = ()
    moved: Sequence[str] = ()
    other_split: Sequence[str] = ()

    def words(self) -> str:
        """``1 added (train/robin/9.png), 2 removed (the first: …)``; empty where nothing changed."""
        kinds = {
            "added": self.added,
            "removed": self.removed,
            "replaced": self.replaced,
            "moved or renamed": self.moved,
            "in the other split now, as a drawn split changes with every picture of its class": self.other_split,
        }
        return ", ".join(
            f"{len(names):,} {kind} ({'the first: ' if len(names) > 1 else ''}{names[0]})"
            for kind, names in kinds.items()
            if names
        )


def changes(key: str, manifest: Manifest, entries: Sequence[Entry]) -> Changes:
    """Compare a copy's pictures with its manifest; those are read whose file was touched since the last comparison.

    Only the names and contents of picture files count; of others (arrays, rows of a table) the contents. Raises
    :class:`IntegrityError` where a picture that has to be read cannot be decoded.
    """
    seen = _seen(seen_path(key, manifest))
    named = zip(manifest.rows["split"], map(composed, manifest.rows["sample"]), strict=True)
    known: dict[tuple[str, str], str] = dict(zip(named, manifest.rows["sha256"], strict=True))
    here: dict[tuple[str, str], Entry] = {(entry.split, entry.sample): entry for entry in entries}
    states = states_of(entries)
    both = [place for place in here if place in known]
    touched = [place for place in both if states[place[1]] is None or seen.get(place[1]) != states[place[1]]]
    found = in_parallel(lambda place: here[place].original.digest(), touched)
    replaced = [
        sample for (split, sample), digest in zip(touched, found, strict=True) if digest != known[split, sample]
    ]
    new, gone = [place for place in here if place not in known], [place for place in known if place not in here]
    moved = _moved(new, gone, here, known)
    arrived = set(moved.values())
    result = Changes(
        added=[place[1] for place in new if place not in arrived],
        removed=[place[1] for place in gone if place not in moved],
        replaced=replaced,
        moved=[f"{old} -> {sample}" for (_, old), (_, sample) in moved.items() if old != sample],
        other_split=[old for (_, old), (_, sample) in moved.items() if old == sample],
    )
    if not result.words():
        remember(key, manifest, states)
    return result


def seen_path(key: str, manifest: Manifest) -> Path:
    """Where is kept what the files of a copy looked like when they were found to be the manifest's."""
    return data_home() / "seen" / f"{key}-{manifest.fingerprint()[:16]}.json"


def states_of(entries: Sequence[Entry]) -> dict[str, list[int] | None]:
    """Size and times of each picture's file by sample name; to be taken before the files are read."""
    return {entry.sample: _state(entry) for entry in entries}


def _moved(
    new: Sequence[tuple[str, str]],
    gone: Sequence[tuple[str, str]],
    here: Mapping[tuple[str, str], Entry],
    known: Mapping[tuple[str, str], str],
) -> dict[tuple[str, str], tuple[str, str]]:
    """New splits and names by old ones, of pictures that are there in another place; first those that kept a name."""
    digests = {place: here[place].original.digest() for place in (new if gone else ())}
    moved: dict[tuple[str, str], tuple[str, str]] = {}
    same_name = {(known[place], place[1]): place for place in gone}
    for place, digest in digests.items():
        if (digest, place[1]) in same_name:
            moved[same_name[digest, place[1]]] = place
    lost, arrived = {known[place]: place for place in gone if place not in moved}, set(moved.values())
    for place, digest in digests.items():
        if digest in lost and place not in arrived:
            moved[lost.pop(digest)] = place
    return moved


def remember(key: str, manifest: Manifest, states: Mapping[str, Any]) -> None:
    """Keep what the files looked like, where that can be written; else they are read again the next time."""
    path = seen_path(key, manifest)
    with contextlib.suppress(MachineError):  # of a data folder that can only be read: nothing is lost but time
        write_atomic(path, canonical_json({sample: state for sample, state in states.items() if state is not None}))


def _seen(path: Path) -> dict[str, Any]:
    try:
        found = read_json(path)
    except IntegrityError:
        return {}
    return found if isinstance(found, dict) else {}


def _state(entry: Entry) -> list[int] | None:
    """Size and times of a picture's file; ``None`` for what is no file."""
    if not isinstance(entry.original, FilePicture):
        return None
    try:
        state = os.stat(entry.original.path)
    except OSError:
        return None  # reading it says what is wrong
    return [state.st_size, state.st_mtime_ns, state.st_ctime_ns]
