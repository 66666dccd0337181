"""From what a user asks for to what a run is: protocol, method, settings, backbone, data, and their one identity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vlcl_bench.backbones import load_backbone, weights_sha256
from vlcl_bench.backbones.base import Backbone
from vlcl_bench.common.progress import Reporter
from vlcl_bench.common.seeds import check_seed
from vlcl_bench.data.interface import Places
from vlcl_bench.data.reference import ReferencePlan
from vlcl_bench.engine.names import check_names
from vlcl_bench.engine.pictures import check_own_data, describe_data
from vlcl_bench.engine.reference import lent_to_another, reference_plan
from vlcl_bench.engine.sandbox.limits import Limits
from vlcl_bench.engine.synthesis import plan_recipe
from vlcl_bench.errors import UsageError
from vlcl_bench.methods.card import MethodCard
from vlcl_bench.methods.registry import MethodRef
from vlcl_bench.protocols.load import load_protocol
from vlcl_bench.protocols.stream import Protocol
from vlcl_bench.records.schema import Identity
from vlcl_bench.synthesis import GENERATOR
from vlcl_bench.synthesis.generator import Recipe

KeepStates = Literal["none", "last", "all"]


@dataclass(frozen=True)
class Request:
    """What a user asks for with ``vlcl run``."""

    protocol: str
    method: str
    settings: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    backbone: str | None = None
    device: str = "auto"
    out: Path | None = None
    runs: Path = Path("runs")
    store: Path | None = None
    data_root: Path | None = None
    hub_root: Path | None = None
    keep_states: KeepStates = "last"
    isolation: str = "inline"
    limits: Limits = field(default_factory=Limits)
    method_ref: MethodRef | None = None
    """The method itself, where it is a class in memory, which no specification names."""


Describe = Callable[[MethodRef, Protocol], MethodCard]
"""What has a method describe itself, where its file must not be imported here."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """All that a run needs but the pictures, which are still to be opened, and its identity."""

    protocol: Protocol
    method: MethodRef
    card: MethodCard
    backbone: Backbone
    places: Places
    reference: ReferencePlan | None
    recipe: Recipe | None
    identity: Identity
    remarks: tuple[str, ...] = ()
    """What a user should know of the reference data, and the record says too."""


Backbones = dict[str, tuple[Backbone, str]]
"""Backbones by name, each with the hash of its weights."""


def prepare(
    request: Request, reporter: Reporter, loaded: Backbones | None = None, describe: Describe | None = None
) -> Prepared:
    """Find and check everything that a request names; no picture is drawn, and the store is not touched.

    Real data that nobody has described before are read once, for their manifest is part of the identity.

    ``loaded`` keeps backbones from call to call, for many requests in a row; such a backbone must not be trained.
    ``describe`` takes the place of importing the method here.
    """
    check_seed(request.seed)
    places = Places.given(request.data_root, request.hub_root)
    protocol = load_protocol(request.protocol).at(request.protocol, places.root)
    method = request.method_ref or MethodRef.parse(request.method)
    if describe is None:
        card = MethodCard.of(method.load(), request.settings, protocol.scale)
    else:
        card = describe(method, protocol)
    backbone, digest = backbone_named(request.backbone or protocol.backbone, reporter, loaded)
    check_picture_size(backbone, protocol, chosen=request.backbone is not None)
    check_names(protocol, backbone, reporter)
    describe_data(protocol, places, reporter)
    check_own_data(protocol, places, reporter)
    say_small_tasks(protocol, reporter)
    reference, remarks = reference_plan(protocol, card, places, folder_of(request.protocol), reporter)
    remarks += lent_to_another(protocol, card, backbone)
    recipe = plan_recipe(protocol, card)
    identities = (reference.identity if reference else {}) | ({GENERATOR: recipe.identity()} if recipe else {})
    identity = Identity(
        protocol=protocol.name, protocol_version=protocol.version, protocol_fingerprint=protocol.fingerprint,
        method=method.name, method_source_sha256=method.source_sha256, settings=recorded_settings(card, recipe),
        backbone=backbone.name, backbone_sha256=digest, seed=request.seed, reference=identities,
        backbone_source_sha256=backbone.source_sha256,
    )  # fmt: skip
    return Prepared(protocol, method, card, backbone, places, reference, recipe, identity, tuple(remarks))


def backbone_named(name: str, reporter: Reporter, loaded: Backbones | None = None) -> tuple[Backbone, str]:
    """A backbone and the hash of its weights, out of ``loaded`` where it is there already."""
    if loaded is not None and name in loaded:
        return loaded[name]
    with reporter.phase(f"loading {name}"):
        backbone = load_backbone(name)
        hashed = backbone, weights_sha256(backbone)
    for note in backbone.notes:
        reporter.say(note)
    if loaded is not None:
        loaded[name] = hashed
    return hashed


def folder_of(protocol: str) -> Path | None:
    """The folder of a protocol that was named by its file; what that names lies there or below the data root."""
    return Path(protocol).parent if protocol.endswith(".toml") else None


def recorded_settings(card: MethodCard, recipe: Recipe | None) -> dict[str, Any]:
    """A method's settings as a record has them: a generator that somebody chose by the name that records give it."""
    if recipe is None or card.settings.get("generator") is None:
        return dict(card.settings)
    return {**card.settings, "generator": recipe.name}


def check_picture_size(backbone: Backbone, protocol: Protocol, chosen: bool) -> None:
    """Raise :class:`UsageError` where the backbone takes pictures of another size than the protocol has.

    ``chosen``: whether the user named the backbone, and not the protocol's file.
    """
    if backbone.image_size == protocol.side:
        return
    sides = f"{backbone.image_size} pixels; those of {protocol.name} have {protocol.side}"
    ways = ["name another backbone in the protocol's file"]
    if chosen:
        ways = [f"leave backbone (--backbone) out: the protocol's is {protocol.backbone}"]
    if backbone.source_sha256:
        ways.append(f"set image_size = {protocol.side} in the backbone's file")
    if protocol.picture_size is not None:
        ways.append(f"set picture_size = {backbone.image_size} in the protocol's file, if it is your own")
    hint = "; or ".join(ways) + "."
    raise UsageError(f"backbone {backbone.name!r} takes pictures of {sides}", hint[0].upper() + hint[1:])


def say_small_tasks(protocol: Protocol, reporter: Reporter) -> None:
    """Say which tasks of one's own data have fewer training pictures than a batch: their budget cannot be used up."""
    own, size = {spec.name for spec in protocol.data}, protocol.budget.batch_size
    small: dict[str, int] = {}
    for task in protocol.tasks:
        if protocol.dataset_names[task.dataset] in own:
            labels = protocol.manifests[task.dataset].labels("train")
            count = len(labels) if task.classes is None else int(np.isin(labels, task.classes).sum())
            small |= {task.name: count} if count < size else {}
    if small:
        tasks = ", ".join(f"{name} ({count})" for name, count in small.items())
        reporter.say(f"batch_size {size} is more than the training pictures of {tasks}: a step there sees all of them")
