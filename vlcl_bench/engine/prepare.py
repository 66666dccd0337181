"""From what a user asks for to what a run is: protocol, method, settings, backbone, data, and their one identity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from vlcl_bench.backbones import load_backbone, weights_sha256
from vlcl_bench.backbones.base import Backbone
from vlcl_bench.common.progress import Reporter
from vlcl_bench.common.seeds import check_seed
from vlcl_bench.data.interface import Places
from vlcl_bench.data.reference import ReferencePlan, plan_reference
from vlcl_bench.engine.pictures import describe_data
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
    protocol = load_protocol(request.protocol)
    method = request.method_ref or MethodRef.parse(request.method)
    if describe is None:
        card = MethodCard.of(method.load(), request.settings, protocol.scale)
    else:
        card = describe(method, protocol)
    places = Places.given(request.data_root, request.hub_root)
    backbone, digest = backbone_named(request.backbone or protocol.backbone, reporter, loaded)
    check_picture_size(backbone, protocol)
    describe_data(protocol, places, reporter)
    reference = reference_plan(protocol, card, places)
    recipe = plan_recipe(protocol, card)
    identities = (reference.identity if reference else {}) | ({GENERATOR: recipe.identity()} if recipe else {})
    identity = Identity(
        protocol=protocol.name, protocol_version=protocol.version, protocol_fingerprint=protocol.fingerprint,
        method=method.name, method_source_sha256=method.source_sha256, settings=recorded_settings(card, recipe),
        backbone=backbone.name, backbone_sha256=digest, seed=request.seed, reference=identities,
    )  # fmt: skip
    return Prepared(protocol, method, card, backbone, places, reference, recipe, identity)


def backbone_named(name: str, reporter: Reporter, loaded: Backbones | None = None) -> tuple[Backbone, str]:
    """A backbone and the hash of its weights, out of ``loaded`` where it is there already."""
    if loaded is not None and name in loaded:
        return loaded[name]
    with reporter.phase(f"loading {name}"):
        backbone = load_backbone(name)
        hashed = backbone, weights_sha256(backbone)
    if loaded is not None:
        loaded[name] = hashed
    return hashed


def reference_plan(protocol: Protocol, card: MethodCard, places: Places) -> ReferencePlan | None:
    """The reference data that a method declares, as far as they are known without opening them."""
    kinds = tuple(kind for kind in card.reference if kind != GENERATOR)
    lends = partial(protocol.world.plan_reference, places=places, side=protocol.side)
    return plan_reference(lends, kinds, protocol.budget.auxiliary_size, card.settings)


def recorded_settings(card: MethodCard, recipe: Recipe | None) -> dict[str, Any]:
    """A method's settings as a record has them: a generator that somebody chose by the name that records give it."""
    if recipe is None or card.settings.get("generator") is None:
        return dict(card.settings)
    return {**card.settings, "generator": recipe.name}


def check_picture_size(backbone: Backbone, protocol: Protocol) -> None:
    """Raise :class:`UsageError` where the backbone takes pictures of another size than the protocol has."""
    if backbone.image_size != protocol.side:
        raise UsageError(
            f"backbone {backbone.name!r} takes pictures of {backbone.image_size} pixels; those of {protocol.name} "
            f"have {protocol.side}",
            f"Leave backbone (--backbone) out: the protocol's is {protocol.backbone}.",
        )
