"""From the record of a run to what the board needs of it: scored again where that can be done, else marked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from vlcl_bench.board.declarations import Declaration, Declarations
from vlcl_bench.board.detail import detail_of
from vlcl_bench.board.rows import OWN_PROTOCOL, RunSummary
from vlcl_bench.common.fileio import canonical_json, sha256_text
from vlcl_bench.errors import IntegrityError, VlclError
from vlcl_bench.protocols.load import load_protocol, protocol_names
from vlcl_bench.protocols.stream import Protocol
from vlcl_bench.records.files import verified_predictions
from vlcl_bench.records.reruns import rerun_of
from vlcl_bench.records.rescoring import can_rescore, joint_of
from vlcl_bench.records.schema import Record
from vlcl_bench.records.streams import PROTOCOL_NAME, stream_of
from vlcl_bench.scoring.column import Scored
from vlcl_bench.scoring.columns import COSTS, METRICS, values
from vlcl_bench.scoring.ground_truth import ground_truth
from vlcl_bench.scoring.joint import with_joint
from vlcl_bench.scoring.views import AGNOSTIC


def summarise(record: Record, folder: Path, root: Path, declarations: Declarations) -> RunSummary:
    """What the board needs of the run in ``folder``, ``root`` being the folder of all runs.

    Raises :class:`IntegrityError` for damaged predictions, a ``rerun.json`` of other ones, scores of no known form, or
    a run that lies in the submission of another method.
    """
    identity, rescorable = record.identity, can_rescore(record)
    protocol, scored = protocol_of(folder, record)
    own = scored and not rescorable
    if protocol is not None and scored:
        answers, truth = verified_predictions(folder, record), ground_truth(protocol)
        scores: dict[str, Any] = with_joint(truth.rescore(answers), joint_of(record))
        detail = detail_of(record, scores, truth.item_scores(answers), answers)
    else:
        scores = dict(record.scores)
        detail = detail_of(record, scores)
    agnostic, declared = AGNOSTIC.part(scores), declarations.of(folder, record)
    if declared is not None and declared.owner not in ("", identity.method):
        raise IntegrityError(
            f"{folder} is a run of {identity.method!r} and lies in the submission {declared.owner!r}",
            f"Delete it there: runs of {identity.method!r} belong into its own submission.",
        )
    return RunSummary(
        run_hash=record.run_hash,
        protocol=identity.protocol,
        protocol_title=identity.protocol if protocol is None else protocol.title,
        method=identity.method,
        method_title=record.title,
        entry_id=entry_id(record),
        label=label(record),
        seed=identity.seed,
        track=record.track,
        deterministic=record.deterministic,
        backbone=identity.backbone,
        metrics=values(METRICS, Scored(scores)),
        agnostic_metrics=None if agnostic is None else values(METRICS, Scored(agnostic)),
        status=status_of(folder, record, rescorable),
        cost=values(COSTS, record),
        ranked_protocol=protocol.ranked if rescorable and protocol is not None else record.ranked_protocol,
        unranked_because=record.unranked_because
        or (OWN_PROTOCOL if own else ablation(record, declared))
        or other_backbone(record, protocol)
        or _batch_dependent(record),
        earlier_source=declared is not None and declared.earlier_source,
        home="" if declared is None else "reference" if declared.is_reference else "other",
        source=Path(os.path.relpath(folder, root.parent)).as_posix(),
        detail=detail,
    )


def protocol_of(folder: Path, record: Record) -> tuple[Protocol | None, bool]:
    """The protocol of a run, if it is here, and whether the run is scored again on it: the package's, or its own.

    Of a run under an older version of a protocol of the package that is today's, and it is not scored again.
    """
    name = record.identity.protocol
    packaged = load_protocol(name) if name in protocol_names() else None
    if packaged is not None and can_rescore(record):
        return packaged, True
    own = own_stream(folder, record)
    return own or packaged, own is not None


def own_stream(folder: Path, record: Record) -> Protocol | None:
    """The protocol of one's own that a run keeps, where its manifests are here too; ``None`` where that is not so."""
    try:
        return stream_of(folder, record) if (folder / PROTOCOL_NAME).is_file() else None
    except VlclError:
        return None


def status_of(folder: Path, record: Record, rescorable: bool) -> str:
    """How far a run is to be trusted: made again here, scored again here, or neither."""
    if not rescorable:
        return "self-reported"
    return "rescored" if rerun_of(folder, record) is None else "rerun"


def ablation(record: Record, declared: Declaration | None) -> str:
    """Why a run of a submission is not ranked although its method is: its settings are no entry that was declared.

    Ranking every setting that was tried would be choosing by test pictures. Of a reference method its defaults are
    ranked beside declared entries; of another one, whose record could claim any defaults, the only settings that are
    not declared. Runs that are in no submission may all be ranked.
    """
    if declared is None:
        return ""
    if declared.is_reference and record.defaults is not None:
        changed = changed_settings(record)
        return "" if not changed or changed in declared.entries else "a variant that is not declared as an entry"
    if declared.is_entry or declared.undeclared < 2:
        return ""
    return "one of several settings, none of which is declared"


def other_backbone(record: Record, protocol: Protocol | None) -> str:
    """Why a run from another model than the protocol's is not ranked: the model is half of a score."""
    if protocol is None or record.identity.backbone == protocol.backbone:
        return ""
    return f"from another backbone than the protocol's {protocol.backbone}"


def entry_id(record: Record) -> str:
    """What must be equal for runs to be seeds of one entry: the digest of source, settings, weights and protocol."""
    identity = {key: value for key, value in record.identity.facts().items() if key != "seed"}
    return sha256_text(canonical_json(identity))[:16]


def label(record: Record) -> str:
    """The settings in words where they are not the method's defaults; all, where the record does not say those."""
    return ", ".join(f"{key}={value}" for key, value in changed_settings(record).items())


def changed_settings(record: Record) -> dict[str, Any]:
    """The settings, sorted by name, that differ from the defaults that the record says its method to have."""
    defaults = record.defaults or {}
    return {key: value for key, value in sorted(record.identity.settings.items()) if defaults.get(key, ...) != value}


def _batch_dependent(record: Record) -> str:
    """Why the run's answers are said to hang on who was asked with whom; empty where nothing says so."""
    return record.rechecks.batch_dependent if record.rechecks else ""
