"""Records: what a finished run leaves, as a documented schema; and the predictions beside it.

A record holds no label and no score that cannot be recomputed: ``vlcl score`` and the board ignore ``scores``
and count again from ``predictions.parquet`` and the manifests. It names no host, user or path.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from typing_extensions import TypedDict

from vlcl_bench.errors import IntegrityError, UsageError, first_invalid
from vlcl_bench.fileio import canonical_json, pretty_json, read_json, sha256_file, sha256_text, write_atomic
from vlcl_bench.scoring import AGNOSTIC_COLUMNS, LOGIT_COLUMNS

SCHEMA_VERSION = 1
RECORD_NAME = "run.json"
PREDICTIONS_NAME = "predictions.parquet"
RESTORE = "Restore the file from a copy, or delete the run's folder and run it again."


Seconds = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=2**60)]
"""What can be measured: other people's records are read, too, and no number in them may break the board."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Identity(_Model):
    """What makes a run this run: equal identities are the same run, and continue each other."""

    protocol: str
    protocol_version: int
    protocol_fingerprint: str
    method: str
    method_source_sha256: str
    config: dict[str, Any]
    backbone: str
    backbone_sha256: str
    seed: Annotated[int, Field(ge=-(2**60), le=2**60)]
    auxiliary: dict[str, str] = {}
    """The data beside the tasks that the method used: what it is, and its fingerprint."""

    def facts(self) -> dict[str, Any]:
        """What is hashed; ``auxiliary`` only where there is some, so that runs without keep their hash."""
        facts = self.model_dump(mode="json")
        return facts if self.auxiliary else {key: value for key, value in facts.items() if key != "auxiliary"}

    @property
    def run_hash(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 over the identity's canonical JSON."""
        return sha256_text(canonical_json(self.facts()))[:16]


class Provenance(_Model):
    """On what the run ran: enough to know whether equal bytes can be expected."""

    vlcl_bench: str
    python: str
    torch: str
    open_clip: str
    numpy: str
    platform: str
    processor: str
    cpu_capability: str
    threads: int
    device: str
    device_name: str
    deterministic_algorithms: bool
    pillow: str = ""
    torchvision: str = ""
    float32: str = ""
    diffusers: str = ""
    transformers: str = ""
    isolation: str = ""


class Cost(_Model):
    """Seconds by phase and memory, measured by the harness; ``resumed`` counts how often the run was continued."""

    seconds_total: Seconds
    seconds_learn: list[Seconds]
    seconds_evaluate: list[Seconds]
    seconds_other: Seconds
    seconds_synthesise: list[Seconds] = []
    peak_memory_bytes: Count
    peak_device_memory_bytes: Count | None
    resumed: Count


class Weight(_Model):
    """Counted by the harness after the last task; ``bytes_between_tasks`` is the largest over the stages."""

    parameters_total: Count
    parameters_trained: Count
    parameters_added: Count
    bytes_between_tasks: Count
    bytes_by_stage: list[Count]


class Usage(_Model):
    """Samples handed out over the whole run, metered where they were handed out."""

    task_pictures: Count
    reference_pictures: Count
    synthetic_pictures: Count
    replayed_samples: Count
    generated_pictures: Count = 0
    blank_pictures: Count = 0
    made_pictures: Count | None = None
    """Of the generated ones those made by this run, not found in the store; older records do not say."""
    task_budget: Count


class Matrices(TypedDict):
    """R in percent, the untouched model's row, and what follows from them (``None``: cannot be had)."""

    matrix: list[list[float]]
    zero_shot: list[float]
    metrics: dict[str, float | list[float | None] | None]


class TopFive(TypedDict):
    """R and the untouched model's row in percent, counting the five best answers."""

    matrix: list[list[float]]
    zero_shot: list[float]


class Incremental(TypedDict):
    """Class-incremental accuracy of a data set that is learned class by class, in percent."""

    curve: list[float]
    average: float
    last: float
    final: float


class Scores(Matrices):
    """What :meth:`LabelTable.rescore` or, on caption streams, :meth:`CaptionTable.rescore` returns."""

    tasks: list[str]
    samples: list[int]
    top5: NotRequired[TopFive]
    agnostic: NotRequired[Matrices | None]
    agnostic_plain: NotRequired[Matrices | None]
    incremental: NotRequired[dict[str, Incremental]]
    retrieval: NotRequired[dict[str, Any]]
    bleu4: NotRequired[dict[str, Any]]


class DataOrigin(_Model):
    """Which data a run saw: the manifest's fingerprint, whether it is the committed one, where the copy came from.

    ``first-use`` means that nobody had frozen this data set before: the manifest was made from this copy.
    """

    manifest: str
    status: Literal["committed", "first-use"]
    source: str


class Record(_Model):
    """A finished run."""

    schema_version: Literal[1] = 1
    identity: Identity
    run_hash: str
    title: str
    track: Literal["standard", "open-budget"]
    deterministic: bool
    ranked_protocol: bool
    unranked_because: str = ""
    provenance: Provenance
    cost: Cost
    weight: Weight
    usage: Usage
    log: list[dict[str, Any]]
    predictions_sha256: str
    predictions_rows: Count
    predictions_full_sha256: str = ""
    """Of the predictions before :func:`compact_record` took their logits; empty where they have them."""
    scores: Scores
    data: dict[str, DataOrigin] = {}
    canary: str = ""
    """How the backbone's canary check went: ``known``, ``required`` or ``first-use``."""
    defaults: dict[str, Any] | None = None
    """The settings that the method has by default on this protocol; ``None`` in records that do not say."""

    @property
    def first_predictions_sha256(self) -> str:
        """Of the predictions as the run wrote them, whether they were made compact since or not."""
        return self.predictions_full_sha256 or self.predictions_sha256


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
    try:
        record = Record.model_validate(read_json(path))
    except IntegrityError as error:
        raise IntegrityError(error.message, RESTORE) from error
    except ValidationError as error:
        raise IntegrityError(f"{path} is not a record: {first_invalid(error)}", RESTORE) from error
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
    frame = predictions_of(source, record)
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


def read_predictions(path: Path) -> pd.DataFrame:
    """Read predictions; raises :class:`IntegrityError` where the file is missing or damaged."""
    try:
        return pq.read_table(path).to_pandas()
    except FileNotFoundError as error:
        raise IntegrityError(f"{path} is missing", RESTORE) from error
    except (pa.ArrowException, OSError) as error:
        raise IntegrityError(f"{path} is damaged: {error}", RESTORE) from error


def predictions_of(folder: Path, record: Record) -> pd.DataFrame:
    """A record's predictions; raises :class:`IntegrityError` where they are not those it was written with."""
    path = folder / PREDICTIONS_NAME
    if path.exists() and sha256_file(path) != record.predictions_sha256:
        raise IntegrityError(f"{path} is damaged: it is not the file that the record was written with", RESTORE)
    return read_predictions(path)
