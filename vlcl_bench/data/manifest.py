"""Manifests: which samples a data set has, what they contain, and what is true of them.

A manifest is all that rescoring needs: labels join predictions through it, without a picture.
The committed files are the truth; a picture whose hash differs from its manifest's is refused.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from vlcl_bench.errors import IntegrityError
from vlcl_bench.fileio import sha256_text, write_atomic

FOLDER = Path(__file__).parent.parent / "manifests"
COLUMNS = ("split", "sample", "sha256", "label")


@dataclass(frozen=True)
class Manifest:
    """Rows ``split, sample, sha256, label`` in the data set's own order, and the names of its classes."""

    dataset: str
    class_names: tuple[str, ...]
    rows: pd.DataFrame

    def labels(self, split: str) -> np.ndarray:
        """Class ids ``(n,)`` int64 of a split's samples, in order."""
        return self.rows.loc[self.rows["split"] == split, "label"].to_numpy(np.int64)

    def hashes(self, split: str) -> list[str]:
        """Content hashes of a split's samples, in order."""
        return self.rows.loc[self.rows["split"] == split, "sha256"].tolist()

    def samples(self, split: str) -> list[str]:
        """Sample identifiers of a split, in order."""
        return self.rows.loc[self.rows["split"] == split, "sample"].tolist()

    def fingerprint(self) -> str:
        """SHA-256 over names and rows; the same whatever wrote the file."""
        lines = [self.dataset, *self.class_names]
        lines += ["\t".join(map(str, row)) for row in self.rows[list(COLUMNS)].itertuples(index=False)]
        return sha256_text("\n".join(lines))


def write_manifest(manifest: Manifest, folder: Path = FOLDER) -> Path:
    """Write ``<data set>.parquet``."""
    table = pa.Table.from_pandas(manifest.rows[list(COLUMNS)], preserve_index=False)
    names = "\n".join(manifest.class_names).encode()
    table = table.replace_schema_metadata({b"dataset": manifest.dataset.encode(), b"class_names": names})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return write_atomic(folder / f"{manifest.dataset}.parquet", buffer.getvalue())


def read_manifest(dataset: str, folder: Path = FOLDER) -> Manifest:
    """Read a data set's committed manifest; raises :class:`IntegrityError` where it is missing or damaged."""
    path = folder / f"{dataset}.parquet"
    if not path.exists():
        raise IntegrityError(f"no manifest for data set {dataset!r} at {path}")
    try:
        table = pq.read_table(path)
        metadata = table.schema.metadata or {}
        names = tuple(metadata[b"class_names"].decode().split("\n"))
        rows = pd.DataFrame({name: table.column(name).to_pylist() for name in COLUMNS})
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise IntegrityError(
            f"the manifest {path} is damaged: {error}",
            "Restore it from the repository or reinstall vlcl-bench.",
        ) from error
    return Manifest(dataset, names, rows)
