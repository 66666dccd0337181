"""Records: what a finished run leaves, as a documented schema; and the predictions beside it.

A record holds no label and no score that cannot be recomputed: ``vlcl score`` and the board ignore ``scores``
and count again from ``predictions.parquet`` and the manifests. It names no host, user or path.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, NotRequired

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer
from typing_extensions import TypedDict

from vlcl_bench.common.fileio import canonical_json, sha256_text

Seconds = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=2**60)]
"""What can be measured: other people's records are read, too, and no number in them may break the board."""


OWN_SOURCE = "backbone_source_sha256"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    def model_dump(self, **options: Any) -> dict[str, Any]:
        """See pydantic; under the keys of a record's file, some of which are older than their attribute's name."""
        return super().model_dump(**{"by_alias": True, **options})

    def model_dump_json(self, **options: Any) -> str:
        """See pydantic; under the keys of a record's file."""
        return super().model_dump_json(**{"by_alias": True, **options})


class _Growing(_Model):
    """Facts that later versions add to: a ``newer`` field that says nothing is not written.

    So an older record that is read and written again keeps its bytes.
    """

    newer: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _as_it_was(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        found: dict[str, Any] = serialise(self)
        fields = type(self).model_fields
        return {key: value for key, value in found.items() if key not in self.newer or value != fields[key].default}


def _in_file(key: str, **more: Any) -> Any:
    """A field that a record's file has under another ``key``: the file's keys do not change."""
    return Field(validation_alias=key, serialization_alias=key, **more)


class Identity(_Model):
    """What makes a run this run: equal identities are the same run, and continue each other."""

    protocol: str
    protocol_version: int
    protocol_fingerprint: str
    method: str
    method_source_sha256: str
    settings: dict[str, Any] = _in_file("config")
    backbone: str
    backbone_sha256: str
    seed: Annotated[int, Field(ge=-(2**60), le=2**60)]
    reference: dict[str, str] = _in_file("auxiliary", default={})
    """The data beside the tasks that the method used: what it is, and its fingerprint."""
    backbone_source_sha256: str = ""
    """What the backbone's own Python file says; empty, and not in the record, for one that is known by name."""

    @model_serializer(mode="wrap")
    def _without_what_is_not_there(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        dumped = dump(self)
        return dumped if self.backbone_source_sha256 else {k: v for k, v in dumped.items() if k != OWN_SOURCE}

    def facts(self) -> dict[str, Any]:
        """What is hashed, under the file's keys; reference data and a backbone's source only where there are some.

        So runs without them keep the hash that they had before there were any.
        """
        facts = self.model_dump(mode="json")
        return facts if self.reference else {key: value for key, value in facts.items() if key != "auxiliary"}

    @property
    def run_hash(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 over the identity's canonical JSON."""
        return sha256_text(canonical_json(self.facts()))[:16]


class Provenance(_Growing):
    """On what the run ran: enough to know whether equal bytes can be expected."""

    newer: ClassVar[frozenset[str]] = frozenset({"precision"})

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
    precision: str = ""
    """The type of the backbone's parameters; older records do not say, theirs was float32."""


class Cost(_Growing):
    """Seconds by phase and memory, measured by the harness; ``resumed`` counts how often the run was continued.

    ``seconds_total`` counts from the command on; in older records, whose ``seconds_prepare`` is ``None``, from the
    moment at which all was prepared.
    """

    newer: ClassVar[frozenset[str]] = frozenset({"seconds_prepare"})

    seconds_total: Seconds
    seconds_prepare: Seconds | None = None
    seconds_learn: list[Seconds]
    seconds_evaluate: list[Seconds]
    seconds_other: Seconds
    seconds_synthesise: list[Seconds] = []
    peak_memory_bytes: Count
    peak_device_memory_bytes: Count | None
    resumed: Count


class Footprint(_Model):
    """What a method weighs, counted by the harness: parameters in all, trained so far, added to the backbone.

    ``bytes_by_stage`` is what it keeps between tasks after each stage that is counted (a single one, or all of a run),
    and ``bytes_between_tasks`` the largest of these numbers.
    """

    parameters_total: Count
    parameters_trained: Count
    parameters_added: Count
    bytes_between_tasks: Count
    bytes_by_stage: list[Count]


class Usage(_Growing):
    """Samples handed out over the whole run, metered where they were handed out."""

    newer = frozenset({"own_steps", "own_samples"})

    task_pictures: Count
    reference_pictures: Count
    synthetic_pictures: Count
    replayed_samples: Count
    generated_pictures: Count = 0
    blank_pictures: Count = 0
    made_pictures: Count | None = None
    """Of the generated ones those made by this run, not found in the store; older records do not say."""
    own_steps: Count | None = None
    """Optimiser steps beside the common loop, which the budget does not count; older records do not say."""
    own_samples: Count | None = None
    """What was shown in them, as the method says; older records do not say."""
    task_budget: Count


class Matrices(TypedDict):
    """R in percent, the zero-shot row, and what follows from them (``None``: not defined)."""

    matrix: list[list[float]]
    zero_shot: list[float]
    metrics: dict[str, float | list[float | None] | None]


class TopFive(TypedDict):
    """R and the zero-shot row in percent, counting the five best answers."""

    matrix: list[list[float]]
    zero_shot: list[float]


class Incremental(TypedDict):
    """Class-incremental accuracy of a data set that is learned class by class, in percent."""

    curve: list[float]
    average: float
    last: float
    final: float


class Scores(Matrices):
    """What :meth:`ClassTruth.rescore` or, on caption streams, :meth:`CaptionTruth.rescore` returns."""

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
    repeats: dict[str, Count] = {}
    """Equal pictures by kind, as :mod:`vlcl_bench.data.repeats` counts them; absent where there are none, and in older
    records."""

    @model_serializer(mode="wrap")
    def _without_empty(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        facts: dict[str, Any] = handler(self)
        if not self.repeats:
            facts.pop("repeats", None)
        return facts


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
    footprint: Footprint = _in_file("weight")
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
    reference_notes: list[str] = []
    """What was said of the reference data when the run began; absent where there was nothing to say."""

    @model_serializer(mode="wrap")
    def _without_empty_notes(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        facts: dict[str, Any] = handler(self)
        if not self.reference_notes:
            facts.pop("reference_notes", None)
        return facts

    @property
    def first_predictions_sha256(self) -> str:
        """Of the predictions as the run wrote them, whether they were made compact since or not."""
        return self.predictions_full_sha256 or self.predictions_sha256
