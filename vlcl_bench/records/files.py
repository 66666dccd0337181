"""The files of a record: ``run.json`` and the predictions beside it, read, written and checked."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TypeVar

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ValidationError

from vlcl_bench.common.fileio import pretty_json, sha256_file, write_atomic
from vlcl_bench.common.strict_json import MOST_VALUES, parse_json
from vlcl_bench.errors import IntegrityError, UsageError, first_invalid
from vlcl_bench.records.schema import Record
from vlcl_bench.records.unpack import MOST_BYTES, RefusedError, read_table
from vlcl_bench.scoring.classes import AGNOSTIC_COLUMNS, LOGIT_COLUMNS

Content = TypeVar("Content", bound=BaseModel)
RECORD_NAME = "run.json"
PREDICTIONS_NAME = "predictions.parquet"
RESTORE = "Restore the file from a copy, or delete the run's folder and run it again."
LARGEST = 16 * 1024 * 1024
"""Bytes of a JSON file that are read, and four times as many values as of a stranger's."""


def read_model(path: Path, content: type[Content], name: str, hint: str) -> Content:
    """A JSON file of ours; raises :class:`IntegrityError` with ``hint`` where it is damaged or is not ``name``."""
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise IntegrityError(f"{path} has {size:,} bytes; {name} has at most {LARGEST:,}", hint)
        return content.model_validate(parse_json(path.read_bytes(), 4 * MOST_VALUES))
    except FileNotFoundError as error:
        raise IntegrityError(f"{path} is missing", hint) from error
    except OSError as error:
        raise IntegrityError(f"{path} cannot be read: {error.strerror}", hint) from error
    except ValidationError as error:
        raise IntegrityError(f"{path} is not {name}: {first_invalid(error)}", hint) from error
    except ValueError as error:
        raise IntegrityError(f"{path} is not valid JSON: {error}", hint) from error


def write_record(folder: Path, record: Record) -> Path:
    """Write ``run.json``."""
    return write_atomic(folder / RECORD_NAME, pretty_json(record.model_dump(mode="json")))


def read_record(folder: Path) -> Record:
    """Read and check ``run.json``; raises :class:`IntegrityError` saying which field is wrong."""
    path = folder / RECORD_NAME
    if not path.exists():
        if (folder / "journal.jsonl").exists():
            raise UsageError(
                f"the run in {folder} is not finished: it has no {RECORD_NAME}",
                "Give its `vlcl run` command again to continue it.",
            )
        raise UsageError(f"{folder} is not the folder of a run: it holds no {RECORD_NAME}")
    record = read_model(path, Record, "a record", RESTORE)
    if record.identity.run_hash != record.run_hash:
        raise IntegrityError(
            f"{path} was changed: its identity has the run hash {record.identity.run_hash}, it says {record.run_hash}",
            RESTORE,
        )
    return record


TYPES = {"stage": pa.int16(), "sample": pa.int32(), "query": pa.int32(), "seen_top1": pa.int16()}
TYPES |= {f"top{k}": pa.int16() for k in range(1, 6)} | {f"logit{k}": pa.float32() for k in range(1, 6)}
TYPES |= {f"id{k}": pa.int32() for k in range(1, 11)} | {name: pa.int32() for name in AGNOSTIC_COLUMNS.values()}


def predictions_table(frame: pd.DataFrame) -> pa.Table:
    """Predictions with their compact types; names are dictionary-encoded."""
    columns: dict[str, pa.Array] = {}
    for name in frame.columns:
        if name in TYPES:
            columns[name] = pa.array(frame[name], TYPES[name])
        else:
            columns[name] = pa.array(frame[name].astype(str), pa.string()).dictionary_encode()
    return pa.table(columns)


def compact_predictions(frame: pd.DataFrame) -> pd.DataFrame:
    """The answers without their logits, which no score needs, ordered by what was asked and then by stage.

    Answers to the same question at later stages are mostly equal, so that a file of them is a quarter as large.
    """
    asked = [name for name in ("task", "kind", "sample", "query") if name in frame.columns]
    kept = frame.drop(columns=[name for name in LOGIT_COLUMNS if name in frame.columns])
    return kept.astype({name: str for name in ("task", "kind") if name in asked}).sort_values(
        [*asked, "stage"], kind="stable", ignore_index=True
    )


def compact_record(source: Path, target: Path) -> Record:
    """Write a finished run's record and compact predictions to the folder ``target``, which may be ``source``.

    Doing it twice changes nothing. Raises :class:`IntegrityError` where the run is damaged: it would look whole else.
    """
    record = read_record(source)
    frame = verified_predictions(source, record)
    target.mkdir(parents=True, exist_ok=True)
    digest = write_predictions(target / PREDICTIONS_NAME, compact_predictions(frame), level=19)
    if digest != record.predictions_sha256:
        changed = {"predictions_sha256": digest, "predictions_full_sha256": record.first_predictions_sha256}
        record = record.model_copy(update=changed)
    write_record(target, record)
    return record


def write_predictions(path: Path, frame: pd.DataFrame, level: int = 12) -> str:
    """Write predictions as parquet and return the file's SHA-256; equal frames give equal bytes.

    ``level`` is zstd's.
    """
    buffer = io.BytesIO()
    logits = [name for name in frame.columns if str(name).startswith("logit")]
    others = [name for name in frame.columns if name not in logits]
    pq.write_table(
        predictions_table(frame), buffer, compression="zstd", compression_level=level,
        use_dictionary=others, use_byte_stream_split=logits or False,
    )  # fmt: skip
    write_atomic(path, buffer.getvalue())
    return sha256_file(path)


def read_predictions(path: Path, rows: int | None = None) -> pd.DataFrame:
    """Read predictions; raises :class:`IntegrityError` where the file is missing, damaged, or claims to be huge.

    ``rows`` is the most that are read, where it is known how many there should be.
    """
    try:
        return read_table(str(path), rows, MOST_BYTES, packed_words=False).to_pandas()
    except FileNotFoundError as error:
        raise IntegrityError(f"{path} is missing", RESTORE) from error
    except RefusedError as error:
        raise IntegrityError(f"{path} is damaged: {error.message}", RESTORE) from error


def verified_predictions(folder: Path, record: Record) -> pd.DataFrame:
    """A record's predictions; raises :class:`IntegrityError` where they are not those it was written with."""
    check_predictions_file(folder, record)
    return read_predictions(folder / PREDICTIONS_NAME)


def check_predictions_file(folder: Path, record: Record, hint: str = RESTORE) -> None:
    """Raise :class:`IntegrityError` unless the predictions beside a record are the file it was written with."""
    path = folder / PREDICTIONS_NAME
    if not path.is_file():
        raise IntegrityError(f"{path} is missing", hint)
    if sha256_file(path) != record.predictions_sha256:
        raise IntegrityError(f"{path} is damaged: it is not the file that the record was written with", hint)
