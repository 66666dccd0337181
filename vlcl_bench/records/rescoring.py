"""Scoring a stored run again: from its predictions and the committed manifests, and from nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vlcl_bench.errors import IntegrityError
from vlcl_bench.protocols.load import load_protocol, protocol_names
from vlcl_bench.records.files import verified_predictions
from vlcl_bench.records.schema import Record
from vlcl_bench.records.streams import stream_of
from vlcl_bench.scoring.ground_truth import ground_truth
from vlcl_bench.scoring.joint import JointReference, known_joint, read_joint, with_joint


def rescored(folder: Path, record: Record, protocol_file: Path | None = None) -> dict[str, Any]:
    """Matrices and metrics of a run, recomputed.

    Raises :class:`IntegrityError` where the predictions are damaged, and what :func:`stream_of` raises.
    ``protocol_file`` is the TOML file of a protocol that does not come with the package.
    """
    protocol = stream_of(folder, record, protocol_file)
    return ground_truth(protocol).rescore(verified_predictions(folder, record))


def rescored_with_joint(
    folder: Path, record: Record, protocol_file: Path | None = None, joint_file: Path | None = None
) -> dict[str, Any]:
    """The same, with the row of a jointly trained model and the metrics that need it, where there is such a model."""
    return with_joint(rescored(folder, record, protocol_file), joint_of(record, joint_file))


def joint_of(record: Record, joint_file: Path | None = None) -> JointReference | None:
    """The jointly trained reference that a run is compared with: that of the file, else the package's if it has one."""
    identity = record.identity
    if joint_file is not None:
        return read_joint(joint_file, identity.backbone)
    return known_joint(identity.protocol, identity.backbone)


def can_rescore(record: Record) -> bool:
    """Whether this repository holds the manifests that the run was made with: those of a first use do not count."""
    identity = record.identity
    if identity.protocol not in protocol_names():
        return False
    protocol = load_protocol(identity.protocol)
    try:
        return protocol.frozen and protocol.fingerprint == identity.protocol_fingerprint
    except IntegrityError:
        return False
