"""The stream that a run was made on, found again: its protocol, with the manifests that the run names.

A protocol of the package is found by its name. One of a user's own lies in the run's folder as ``protocol.toml``, where
the run put it, or in a file that is given. Manifests are found by the fingerprints that the record names, and not by
what a file says today: own data that were described anew since do not change what an old run answered.
"""

from __future__ import annotations

import glob
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vlcl_bench.common.fileio import write_atomic
from vlcl_bench.data.interface import DataSet
from vlcl_bench.data.manifest import FOLDER, Manifest, first_use_folder, read_manifest
from vlcl_bench.errors import IntegrityError, UsageError, VlclError
from vlcl_bench.protocols.load import load_protocol, protocol_names
from vlcl_bench.protocols.stream import Protocol
from vlcl_bench.records.schema import Record

PROTOCOL_NAME = "protocol.toml"
"""The file of a protocol of one's own, as a run keeps it."""
SHOWN = 5
"""Differences between two streams that are named."""


def keep_protocol(folder: Path, given: str) -> None:
    """Put a protocol that was ``given`` by its file into a run's folder, where it is not there yet."""
    path = folder / PROTOCOL_NAME
    if given.endswith(".toml") and not path.exists():
        write_atomic(path, Path(given).read_bytes())


def stream_of(folder: Path, record: Record, given: Path | None = None) -> Protocol:
    """The protocol of a run with the manifests that it was made with; ``given`` is the file of an own protocol.

    Raises :class:`UsageError` where no protocol can be found, and :class:`IntegrityError` where it is not the one that
    the run was made under (its scores would mean something else) or its manifests are not here.
    """
    kept = folder / PROTOCOL_NAME
    protocol = _with_its_manifests(folder, record, load_protocol(_which(record.identity.protocol, folder, given)))
    wanted, found = record.identity.protocol_fingerprint, protocol.fingerprint
    if found != wanted:
        here = "the protocol here has" if given is None else f"{given} is {protocol.name} with"
        raise IntegrityError(
            f"{folder} was run under {record.identity.protocol} with fingerprint {wanted[:12]}; {here} {found[:12]}",
            "Leave protocol (--protocol) out: the run's folder holds its own."
            if given is not None and kept.is_file()
            else "Score it with the version of vlcl-bench, or of the protocol's file, that made it; or run it again.",
        )
    return protocol


def _which(name: str, folder: Path, given: Path | None) -> str:
    """The name or the file of the protocol that a run was made under."""
    if given is not None:
        return str(given)
    if name in protocol_names():
        return name
    if (folder / PROTOCOL_NAME).is_file():
        return str(folder / PROTOCOL_NAME)
    raise UsageError(
        f"{folder} was run under the protocol {name!r}, which this vlcl-bench does not have",
        "Name its TOML file with protocol (--protocol). Known: " + ", ".join(protocol_names()) + ".",
    )


def _with_its_manifests(folder: Path, record: Record, protocol: Protocol) -> Protocol:
    """The protocol as it was for this run; the very same object where nothing has been described anew since."""
    try:
        here = {manifest.dataset: manifest.fingerprint() for manifest in protocol.manifests}
    except VlclError:
        here = {}
    if here and all(record.data[name].manifest == digest for name, digest in here.items() if name in record.data):
        return protocol
    return protocol.with_manifests([_manifest_of(folder, record, dataset) for dataset in protocol.datasets])


def _manifest_of(folder: Path, record: Record, dataset: DataSet) -> Manifest:
    """The manifest of a data set that the record names."""
    origin = record.data.get(dataset.name)
    for manifest in _candidates(dataset):
        if origin is None or manifest.fingerprint() == origin.manifest:
            dataset.check_manifest(manifest)
            return manifest
    where = first_use_folder()
    digest = "" if origin is None else f" with fingerprint {origin.manifest[:12]}"
    raise IntegrityError(
        f"the manifest of {dataset.name!r}{digest}, which {folder} was run with, is not in {where}",
        "It says what is right, so nothing can be scored without it. Copy it from the machine that the run was made on "
        "(the folder manifests in $VLCL_DATA_HOME there), or run it again on the data as they are now.",
    )


def _candidates(dataset: DataSet) -> Iterator[Manifest]:
    """The manifests of a data set's name that are here: the committed one, or those of first uses, of any copy."""
    if (FOLDER / f"{dataset.name}.parquet").is_file():
        yield read_manifest(dataset.name)
    for path in sorted(first_use_folder().rglob(f"{glob.escape(dataset.name)}*.parquet")):
        try:
            manifest = read_manifest(path.stem, path.parent)
        except IntegrityError:
            continue  # a damaged one is none: the one that is wanted may lie beside it
        if manifest.dataset == dataset.name:
            yield manifest


def differences(first: tuple[Path, Record], second: tuple[Path, Record]) -> list[str]:
    """In what the streams of two runs differ, the first few; empty where that cannot be found out."""
    try:
        facts = [dict(_flat("", stream_of(*run).facts())) for run in (first, second)]
    except VlclError:
        return []
    keys = [key for key in {**facts[0], **facts[1]} if facts[0].get(key) != facts[1].get(key)]
    said = [_in_words(key, *(one.get(key) for one in facts)) for key in keys]
    more = [f"and {len(said) - SHOWN} more"] if len(said) > SHOWN else []
    return said[:SHOWN] + more


def _flat(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The facts of a protocol by their place in its file; of a data set by its name."""
    if place == "data.":
        for dataset in value:
            yield from _flat(f"data.{dataset['name']}.", {k: v for k, v in dataset.items() if k != "name"})
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(f"{place}{key}.", inner)
    else:
        yield place.removesuffix("."), value


def _in_words(key: str, first: Any, second: Any) -> str:
    shown = [str(list(value) if isinstance(value, tuple) else value) for value in (first, second)]
    if key.endswith(".manifest") or max(map(len, shown)) > 80:
        return f"the pictures of {key.split('.')[1]}" if key.endswith(".manifest") else key
    return f"{key} ({shown[0]} and {shown[1]})"
