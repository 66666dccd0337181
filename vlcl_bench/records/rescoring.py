"""Scoring a stored run again: from its predictions and the committed manifests, and from nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vlcl_bench.data.own_copies import OwnCopy
from vlcl_bench.errors import IntegrityError, UsageError
from vlcl_bench.protocols.load import load_protocol, protocol_names
from vlcl_bench.protocols.stream import Protocol
from vlcl_bench.records.files import verified_predictions
from vlcl_bench.records.schema import Record
from vlcl_bench.scoring.ground_truth import ground_truth
from vlcl_bench.scoring.joint import JointReference, known_joint, read_joint, with_joint


def rescored(folder: Path, record: Record, protocol_file: Path | None = None) -> dict[str, Any]:
    """Matrices and metrics of a run, recomputed.

    Raises :class:`IntegrityError` where the predictions are damaged, or where the protocol here is not the one
    that the run was made under (its scores would mean something else). ``protocol_file`` is the TOML file of a
    protocol that does not come with the package.
    """
    name = record.identity.protocol
    if protocol_file is None and name not in protocol_names():
        raise UsageError(
            f"{folder} was run under the protocol {name!r}, which this vlcl-bench does not have",
            "Name its TOML file with protocol (--protocol). Known: " + ", ".join(protocol_names()) + ".",
        )
    protocol = load_protocol(name if protocol_file is None else str(protocol_file))
    protocol = on_recorded_data(protocol, record)
    if protocol.fingerprint != record.identity.protocol_fingerprint:
        raise IntegrityError(
            f"{folder} was run under {protocol.name} with fingerprint {record.identity.protocol_fingerprint[:12]}; "
            f"the protocol here has {protocol.fingerprint[:12]}",
            "Score it with the version of vlcl-bench that made it, or run it again.",
        )
    return ground_truth(protocol).rescore(verified_predictions(folder, record))


def on_recorded_data(protocol: Protocol, record: Record) -> Protocol:
    """A protocol on the pictures that a run was made with.

    Of a protocol's own data sets there may be several copies here, and earlier states of one.
    """
    return protocol.of_copy(OwnCopy(recorded={name: origin.manifest for name, origin in record.data.items()}))


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
