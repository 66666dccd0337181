"""The reference data of a run: the protocol's own where its file names some, else its world's; and remarks on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from vlcl_bench.backbones.base import Backbone
from vlcl_bench.common.progress import Reporter
from vlcl_bench.data.interface import Places
from vlcl_bench.data.open import open_dataset
from vlcl_bench.data.own_reference import OwnPictures, own_pictures, own_texts
from vlcl_bench.data.reference import ReferencePlan, plan_reference
from vlcl_bench.errors import UsageError, VlclError
from vlcl_bench.methods.card import MethodCard
from vlcl_bench.protocols.stream import Protocol
from vlcl_bench.synthesis import GENERATOR


def reference_plan(
    protocol: Protocol, card: MethodCard, places: Places, beside: Path | None, reporter: Reporter
) -> tuple[ReferencePlan | None, list[str]]:
    """The reference data that a method declares, as far as they are known without opening them; and remarks on them.

    ``beside`` is the folder of the protocol's file, where it was given by one.
    """
    kinds = tuple(kind for kind in card.reference if kind != GENERATOR)
    remarks: list[str] = []
    lends = partial(_lent, protocol, places, beside, reporter, remarks)
    return plan_reference(lends, kinds, protocol.budget.auxiliary_size, card.settings), remarks


def _lent(
    protocol: Protocol,
    places: Places,
    beside: Path | None,
    reporter: Reporter,
    remarks: list[str],
    kinds: Sequence[str],
) -> ReferencePlan:
    """All reference data of these kinds, each the protocol's own or its world's."""
    own = own_kinds(protocol)
    found = _lent_by_world(protocol, places, beside, [kind for kind in kinds if kind not in own])
    identity = dict(found.identity)
    if "pictures" in kinds and "pictures" in own:
        pictures = _own_pictures(protocol, own["pictures"], places, beside, reporter)
        remarks += _seen_in_tests(protocol, pictures)
        identity["pictures"] = pictures.identity
        opened = partial(pictures.open, protocol.side)
        found = replace(found, count=len(pictures.hashes), pictures=lambda store, reporter: opened())
    if "texts" in kinds and "texts" in own:
        texts, identity["texts"] = own_texts(own["texts"], places, beside)
        found = replace(found, texts=texts)
    return replace(found, identity={kind: identity[kind] for kind in kinds})


def own_kinds(protocol: Protocol) -> dict[str, str]:
    """What a protocol's own file names as reference data, by kind."""
    return {} if protocol.reference is None else protocol.reference.model_dump(exclude_none=True)


def _lent_by_world(protocol: Protocol, places: Places, beside: Path | None, kinds: Sequence[str]) -> ReferencePlan:
    if not kinds:
        nothing = np.empty((0, protocol.side, protocol.side, 3), np.uint8)
        return ReferencePlan({}, (), 0, lambda store, reporter: nothing)
    try:
        return protocol.world.plan_reference(kinds, places, protocol.side)
    except VlclError as error:
        if beside is not None:  # a protocol of one's own
            lines = " and ".join(f'{kind} = "..."' for kind in kinds)
            own = f"Or name reference data of your own in the protocol's file: a table [reference] with {lines}."
            error.hint = f"{error.hint}\n{own}" if error.hint else own
        raise


def _own_pictures(
    protocol: Protocol, name: str, places: Places, beside: Path | None, reporter: Reporter
) -> OwnPictures:
    if name in protocol.dataset_names:
        raise UsageError(
            f"[reference] pictures = {name!r} is a task of the stream; reference pictures lie beside the tasks",
            "Name another data set, or a folder.",
        )
    described = any(spec.name == name for spec in protocol.data)
    dataset = open_dataset(protocol.source, name, protocol.data) if described else None
    return own_pictures(name, dataset, places, beside, reporter)


def _seen_in_tests(protocol: Protocol, pictures: OwnPictures) -> list[str]:
    """What is to be said where reference pictures are test pictures of the stream."""
    given, said = set(pictures.hashes), []
    for manifest in protocol.manifests:
        if shared := len(given & set(manifest.hashes("test"))):
            said.append(
                f"{shared} of the reference pictures of {pictures.name} are test pictures of {manifest.dataset}"
            )
    return said


def lent_to_another(protocol: Protocol, card: MethodCard, backbone: Backbone) -> list[str]:
    """What is to be said where a world lends a method what it made for a backbone of its own, and this is another."""
    world, own = protocol.world, own_kinds(protocol)
    made_for = sorted(world.backbones())
    lent = [kind for kind in card.reference if kind not in own and kind != GENERATOR]
    if GENERATOR in card.reference and card.settings.get("generator") is None:
        lent.append(GENERATOR)
    if not made_for or backbone.name in made_for or not lent:
        return []
    what = [f"a {kind}" if kind == GENERATOR else f"reference {kind}" for kind in lent]
    ways = ["use scale = 'full'"]
    if set(lent) - {GENERATOR}:
        ways.insert(0, "name your own in a table [reference] of the protocol's file")
    if GENERATOR in lent:
        ways.insert(0, "name another generator (--set generator=...)")
    return [
        f"scale = {world.scale!r} lends {card.title} {' and '.join(what)} of the {world.scale} world, made for "
        f"{' and '.join(made_for)}{world.lends and f' ({world.lends})'}; the backbone here is {backbone.name}. "
        f"To change that, {' or '.join(ways)}"
    ]
