"""Manifests: which samples a data set has, what they contain, and what is true of them.

A manifest is all that rescoring needs: labels or captions join predictions through it, without a picture. The
committed files are the truth. What could not be frozen where this package was made is written on first use, from
the copy of the data that is there, into the user's data folder, and required from then on; a record says which.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from vlcl_bench import __version__
from vlcl_bench.common.fileio import canonical_json, machine_error, sha256_text, write_atomic
from vlcl_bench.common.locks import wait_for
from vlcl_bench.common.places import data_home
from vlcl_bench.data.real.spec import Entry
from vlcl_bench.errors import IntegrityError

FOLDER = Path(__file__).parent / "manifests"
COLUMNS = ("split", "sample", "sha256", "label")
COMMITTED, FIRST_USE = "committed", "first-use"
BETWEEN_CAPTIONS = "\x1f"
TURNED = "exif_rotations"
COPIES = ("folder", "hub ")
"""How the source of a manifest begins that was made from a copy of real data."""


@dataclass(frozen=True)
class Manifest:
    """Rows ``split, sample, sha256, label`` in the data set's own order, and the names of its classes.

    Captioned sets have a fifth column ``captions`` (tuples of texts), no classes and the label -1. ``origin``
    says where the rows come from (``source``, ``revision``, ``vlcl_bench``); it is not part of the fingerprint.

    Copies of real data name and order pictures differently, so a manifest made from one is sorted by content, and
    its fingerprint leaves the names out: equal pictures with equal truth have equal fingerprints, wherever from.
    """

    dataset: str
    class_names: tuple[str, ...]
    rows: pd.DataFrame
    origin: Mapping[str, str] = field(default_factory=dict)
    status: str = COMMITTED

    def labels(self, split: str) -> np.ndarray:
        """Class ids ``(n,)`` int64 of a split's samples, in order."""
        return self.rows.loc[self.rows["split"] == split, "label"].to_numpy(np.int64)

    def hashes(self, split: str) -> list[str]:
        """Content hashes of a split's samples, in order."""
        return self.rows.loc[self.rows["split"] == split, "sha256"].tolist()

    def samples(self, split: str) -> list[str]:
        """Sample identifiers of a split, in order."""
        return self.rows.loc[self.rows["split"] == split, "sample"].tolist()

    def captions(self, split: str) -> list[tuple[str, ...]]:
        """Captions of a split's samples, in order; empty tuples where the set has none."""
        if "captions" not in self.rows:
            return [()] * len(self.samples(split))
        return [tuple(texts) for texts in self.rows.loc[self.rows["split"] == split, "captions"]]

    @property
    def turned(self) -> int:
        """How many pictures carry a rotation in their EXIF data, as far as that was counted when it was made."""
        return int(self.origin.get(TURNED, "0"))

    @property
    def from_copy(self) -> bool:
        """Whether the rows were made from a copy of real data."""
        return self.origin.get("source", "").startswith(COPIES)

    def fingerprint(self) -> str:
        """SHA-256 over names and rows; the same whatever wrote the file."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        lines = [self.dataset, *self.class_names]
        columns = [name for name in COLUMNS if not (self.from_copy and name == "sample")]
        lines += ["\t".join(map(str, row)) for row in self.rows[columns].itertuples(index=False)]
        if "captions" in self.rows:
            lines += [BETWEEN_CAPTIONS.join(texts) for texts in self.rows["captions"]]
        return sha256_text("\n".join(lines))

    def hub_revision(self, repo: str) -> str | None:
        """The hub's revision that this manifest was made from, where it was made from ``repo`` and that is known."""
        return self.origin.get("revision") if self.origin.get("source", "").startswith(f"hub {repo}@") else None


def make_manifest(
    dataset: str,
    class_names: tuple[str, ...],
    entries: Sequence[Entry],
    hashes: Sequence[str],
    source: str,
    revision: str | None = None,
    turned: int = 0,
) -> Manifest:
    """A new manifest of pictures and their content hashes, sorted by content where ``source`` is a copy.

    ``turned`` is the number of pictures whose EXIF data ask for a rotation; its origin says it where there are some.
    """
    rows = pd.DataFrame(
        [(entry.split, entry.sample, digest, entry.label) for entry, digest in zip(entries, hashes, strict=True)],
        columns=list(COLUMNS),
    )
    if any(entry.captions for entry in entries):
        rows["captions"] = [entry.captions for entry in entries]
    origin = {"source": source, "vlcl_bench": __version__}
    if revision is not None:
        origin["revision"] = revision
    if turned:
        origin[TURNED] = str(turned)
    made = Manifest(dataset, class_names, rows, origin, FIRST_USE)
    return replace(made, rows=sorted_by_content(rows)) if made.from_copy else made


def sorted_by_content(rows: pd.DataFrame) -> pd.DataFrame:
    """Training before test pictures, and within a split by content hash, then label, then name."""
    later = rows["split"] == "test"
    order = rows.assign(later=later).sort_values(["later", "sha256", "label", "sample"], kind="stable").index
    return rows.loc[order].reset_index(drop=True)


def write_manifest(manifest: Manifest, folder: Path = FOLDER, key: str | None = None) -> Path:
    """Write ``<key>.parquet``, by default under the data set's name."""
    columns = [*COLUMNS, *(["captions"] if "captions" in manifest.rows else [])]
    rows = manifest.rows[columns]
    if "captions" in columns:
        rows = rows.assign(captions=rows["captions"].map(list))
    table = pa.Table.from_pandas(rows, preserve_index=False)
    names = "\n".join(manifest.class_names)
    metadata: dict[str, str] = {"dataset": manifest.dataset, "class_names": names}
    if manifest.origin:
        metadata["origin"] = canonical_json(dict(manifest.origin))
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(metadata), buffer, compression="zstd")
    return write_atomic(folder / f"{key or manifest.dataset}.parquet", buffer.getvalue())


def read_manifest(dataset: str, folder: Path | None = None) -> Manifest:
    """Read a data set's manifest, by default the committed one; :class:`IntegrityError` where missing or damaged."""
    place = FOLDER if folder is None else folder
    path = place / f"{dataset}.parquet"
    if not path.exists():
        raise IntegrityError(f"no manifest for data set {dataset!r} at {path}")
    try:
        table = pq.read_table(path)
        metadata = table.schema.metadata or {}
        names = tuple(filter(None, metadata[b"class_names"].decode().split("\n")))
        found: dict[str, Any] = {name: table.column(name).to_pylist() for name in COLUMNS}
        if "captions" in table.column_names:
            found["captions"] = [tuple(texts) for texts in table.column("captions").to_pylist()]
        origin = json.loads(metadata.get(b"origin", b"{}"))
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise IntegrityError(
            f"the manifest {path} is damaged: {error}",
            "Restore it from the repository or reinstall vlcl-bench."
            if place == FOLDER
            else "Restore it from a copy; or delete it and make it again with `vlcl data verify --write`.",
        ) from error
    status = COMMITTED if place == FOLDER else FIRST_USE
    return Manifest(metadata[b"dataset"].decode(), names, pd.DataFrame(found), origin, status)


def first_use_folder() -> Path:
    """Where manifests that are not committed live."""
    return data_home() / "manifests"


def has_manifest(key: str) -> bool:
    """Whether there is a manifest, without reading it."""
    return any((folder / f"{key}.parquet").exists() for folder in (FOLDER, first_use_folder()))


def is_committed(key: str) -> bool:
    """Whether the manifest is one of those that everybody has."""
    return (FOLDER / f"{key}.parquet").exists()


def find_manifest(key: str) -> Manifest | None:
    """The committed manifest, else the one of an earlier first use, else ``None``."""
    for folder in (FOLDER, first_use_folder()):
        if (folder / f"{key}.parquet").exists():
            return read_manifest(key, folder)
    return None


@contextmanager
def changing_first_use() -> Iterator[Path]:
    """The folder of :func:`first_use_folder`, of which no other process changes a manifest meanwhile.

    To be held for moments only, so not while pictures are read. Raises :class:`MachineError` where that is not to be
    had.
    """
    folder = first_use_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as handle:
            wait_for(handle, folder / ".lock")
            yield folder
    except OSError as error:
        raise machine_error(error, folder) from error


def keep_first_use(manifest: Manifest, key: str) -> Path:
    """Write the manifest of a first use, which is required from then on.

    Another process may have been at it at the same time: its manifest stands, and :class:`IntegrityError` says so
    where the content is not the same.
    """
    with changing_first_use() as folder:
        other = find_manifest(key)
        if other is None:
            return write_manifest(manifest, folder, key)
    if other.fingerprint() != manifest.fingerprint():
        raise IntegrityError(
            f"{manifest.dataset}: another process has meanwhile described another copy, with other content",
            f"Decide which copy is right; {folder / key}.parquet holds the other one's description.",
        )
    return folder / f"{key}.parquet"
