"""Worlds: where data sets come from, and what methods are given beside them. Each is a plug-in.

A protocol names its world in two lines of its file: ``source`` says whose data sets it learns, ``scale`` whose
reference data, generator, names and time limits its methods get. Worlds are found through the entry points
``vlcl_bench.worlds``, and nothing else in this package knows one by name. The command line loads the module of every
world, so such a module imports what is slow to import (pandas, torch) only when it is asked for something.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from vlcl_bench.errors import UsageError, nearest

if TYPE_CHECKING:
    from typer import Typer

    from vlcl_bench.backbones.base import Backbone
    from vlcl_bench.data.interface import DataSet, Places
    from vlcl_bench.data.reference import ReferencePlan

ENTRY_POINTS = "vlcl_bench.worlds"


class World(ABC):
    """A world. ``source`` and ``scale`` are what protocols call it by.

    ``generator`` is the text-to-image pipeline that methods get where they name none, ``settings`` the name under which
    methods keep values of their own for this world (``mini``: ``mini_settings``; empty: none), and ``call_seconds`` the
    time that a method's process has for one call. ``lends`` says in a few words what reference data and generated
    pictures are, where they suit the world's own backbones and hardly any other. ``hidden`` are folders of this world
    that no method may read: what draws or labels its test pictures.
    """

    source: str
    scale: str
    generator: str
    settings: str = ""
    lends: str = ""
    call_seconds: float = 6 * 3600.0
    hidden: tuple[Path, ...] = ()

    @abstractmethod
    def open_dataset(self, name: str) -> DataSet:
        """The data set of this name; raises :class:`UsageError` where there is none."""

    @abstractmethod
    def plan_reference(self, kinds: Sequence[str], places: Places, side: int) -> ReferencePlan:
        """All reference data of these ``kinds`` (``pictures``, ``texts``) that this world has."""

    @abstractmethod
    def prompt_names(self) -> Sequence[str]:
        """Names of what the backbone knew before any task: the base of prompts for synthetic pictures."""

    def backbones(self) -> Mapping[str, Callable[[], Backbone]]:
        """Backbones that come with this world, by name."""
        return {}

    def checkpoints(self) -> Mapping[str, Path]:
        """The files of these backbones' weights, by name."""
        return {}

    def register_models(self) -> None:  # noqa: B027 (most worlds have none)
        """Make architectures that come with this world known to open_clip."""

    def pipelines(self) -> Mapping[str, Path]:
        """Text-to-image pipelines that come with this world: name and folder."""
        return {}

    def pipeline_classes(self) -> Mapping[str, Callable[[], type]]:
        """Kinds of pipelines that diffusers does not know, by the class name in a pipeline's index."""
        return {}

    def commands(self) -> Mapping[str, Typer]:
        """Commands for those who maintain or inspect this world, by the name that ``vlcl`` has them under."""
        return {}


@cache
def worlds() -> tuple[World, ...]:
    """All worlds that are installed, in the order of their scales."""
    found = [point.load()() for point in entry_points(group=ENTRY_POINTS)]
    return tuple(sorted(found, key=lambda world: world.scale))


def world_names() -> tuple[str, ...]:
    """The scales that a protocol can name."""
    return tuple(world.scale for world in worlds())


def world_of(scale: str) -> World:
    """The world of a scale; raises :class:`UsageError` where there is none."""
    for world in worlds():
        if world.scale == scale:
            return world
    raise UsageError(f"no world of the scale {scale!r}", nearest(scale, world_names()))


def world_of_source(source: str) -> World:
    """The world whose data sets a source names; raises :class:`UsageError` where there is none."""
    for world in worlds():
        if world.source == source:
            return world
    raise UsageError(f"no data source {source!r}", nearest(source, [world.source for world in worlds()]))
