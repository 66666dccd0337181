"""Manifests: which samples a data set has, what they contain, and what is true of them.

A manifest is all that rescoring needs: labels or captions join predictions through it, without a picture. The
committed files are the truth. What could not be frozen where this package was made is written on first use, from
the copy of the data that is there, into the user's data folder, and required ever after; a record says which.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from vlcl_bench import __version__
from vlcl_bench.data.real.spec import Entry
from vlcl_bench.errors import IntegrityError
from vlcl_bench.fileio import canonical_json, sha256_text, write_atomic
from vlcl_bench.places import data_home

FOLDER = Path(__file__).parent.parent / "manifests"
COLUMNS = ("split", "sample", "sha256", "label")
COMMITTED, FIRST_USE = "committed", "first-use"
BETWEEN_CAPTIONS = "\x1f"


@dataclass(frozen=True)
class Manifest:
    """Rows ``split, sample, sha256, label`` in the data set's own order, and the names of its classes.

    Captioned sets have a fifth column ``captions`` (tuples of texts), no classes and the label -1. ``origin``
    tells where the rows come from (``source``, ``vlcl_bench``); it is not part of the fingerprint.
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

    def fingerprint(self) -> str:
        """SHA-256 over names and rows; the same whatever wrote the file."""
        lines = [self.dataset, *self.class_names]
        lines += ["\t".join(map(str, row)) for row in self.rows[list(COLUMNS)].itertuples(index=False)]
        if "captions" in self.rows:
            lines += [BETWEEN_CAPTIONS.join(texts) for texts in self.rows["captions"]]
        return sha256_text("\n".join(lines))

    def hub_revision(self, repo: str) -> str | None:
        """The hub's revision that this manifest was made from, where it was made from ``repo``."""
        _, found, revision = self.origin.get("source", "").partition(f"{repo}@")
        return revision if found else None


def make_manifest(
    dataset: str, class_names: tuple[str, ...], entries: Sequence[Entry], hashes: Sequence[str], source: str
) -> Manifest:
    """A new manifest of pictures and their content hashes."""
    rows = pd.DataFrame(
        [(entry.split, entry.sample, digest, entry.label) for entry, digest in zip(entries, hashes, strict=True)],
        columns=list(COLUMNS),
    )
    if any(entry.captions for entry in entries):
        rows["captions"] = [entry.captions for entry in entries]
    return Manifest(dataset, class_names, rows, {"source": source, "vlcl_bench": __version__}, FIRST_USE)


def write_manifest(manifest: Manifest, folder: Path = FOLDER) -> Path:
    """Write ``<data set>.parquet``."""
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
    return write_atomic(folder / f"{manifest.dataset}.parquet", buffer.getvalue())


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
            else "Restore it from a copy; or delete it and make it anew with `vlcl data verify --write`.",
        ) from error
    return Manifest(dataset, names, pd.DataFrame(found), origin, COMMITTED if place == FOLDER else FIRST_USE)


def first_use_folder() -> Path:
    """Where manifests that are not committed live."""
    return data_home() / "manifests"


def find_manifest(dataset: str) -> Manifest | None:
    """The committed manifest, else the one of an earlier first use, else ``None``."""
    for folder in (FOLDER, first_use_folder()):
        if (folder / f"{dataset}.parquet").exists():
            return read_manifest(dataset, folder)
    return None
