"""What a protocol's TOML file may say, and the tasks that follow from it alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from vlcl_bench.data.manifest import FOLDER as MANIFESTS
from vlcl_bench.data.real.catalogue import FOLDER as CATALOGUE
from vlcl_bench.data.real.spec import RealSpec
from vlcl_bench.data.transforms import Augmentation
from vlcl_bench.data.world import world_names
from vlcl_bench.errors import nearest
from vlcl_bench.protocols.budget import Budget


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class ClassGroups(_Frozen):
    """A data set cut into tasks of ``size`` classes each, taken from ``order`` (class ids)."""

    size: int = Field(gt=0)
    order: tuple[int, ...]


class CaptionBank(_Frozen):
    """Training captions that pictures are captioned with, drawn once.

    ``groups`` of data sets give equal shares of ``size``; equal captions count once.
    """

    size: int = Field(gt=0)
    seed: int
    groups: tuple[tuple[str, ...], ...]


class OwnReference(_Frozen):
    """Reference data that the protocol brings, in place of its world's.

    ``pictures`` is a data set of ``[[data]]``, or a folder below the data root; ``texts`` is a file with a text a line,
    from the protocol's file or the data root.
    """

    pictures: str | None = Field(default=None, min_length=1)
    texts: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if self.pictures is None and self.texts is None:
            raise ValueError("expected pictures, texts or both; leave the table out for those of the protocol's scale")
        for key, name in self.model_dump(exclude_none=True).items():
            if PurePath(name).is_absolute() or ".." in PurePath(name).parts:
                raise ValueError(
                    f"{key} = {name!r} is not a path from the data root or the protocol's file; a protocol names no "
                    "place of one machine"
                )
        return self


@dataclass(frozen=True)
class TaskSpec:
    """One task of a stream: a data set, or those of its classes that are learned together.

    ``dataset`` is the place of its data set in :attr:`Protocol.datasets`. ``seen`` are the class ids of the data set
    known after this task, in the order in which they are learned; ``None`` where all are learned at once.
    """

    name: str
    dataset: int
    classes: tuple[int, ...] | None = None
    seen: tuple[int, ...] | None = None


class ProtocolFile(_Frozen):
    """What the TOML file of a protocol states; see ``docs/design.md`` for the words.

    ``dataset_names`` (in the file: ``tasks``) are the data sets in order, each a task of its own unless
    ``class_groups`` cuts it into several.
    ``aliases`` are names that mean the same where the names of all data sets compete. ``picture_size`` is the side
    of real pictures after preprocessing. ``data`` describes data sets that are not in the catalogue, and ``reference``
    names reference data of one's own.
    """

    name: str
    version: int
    title: str
    description: str
    source: str
    backbone: str
    dataset_names: tuple[str, ...] = Field(min_length=1, alias="tasks")
    evaluation_batch: int = Field(gt=0)
    scale: str
    ranked: bool = True
    budget: Budget
    augmentation: Augmentation
    picture_size: int | None = Field(default=None, gt=0)
    class_groups: dict[str, ClassGroups] = {}
    aliases: tuple[tuple[str, ...], ...] = ()
    bank: CaptionBank | None = None
    reference: OwnReference | None = None
    data: tuple[RealSpec, ...] = ()

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if len(set(self.dataset_names)) < len(self.dataset_names):
            raise ValueError("tasks: a data set can be in a stream once only")
        for spec in self.data:
            _check_own(spec)
        if self.scale not in world_names():
            raise ValueError(f"scale {self.scale!r}: {nearest(self.scale, world_names())}")
        groups, rates = set(self.class_groups), set(self.budget.learning_rates)
        unknown = sorted(rates - set(self.dataset_names) - {task.name for task in self.tasks})
        if unknown:
            raise ValueError(f"learning_rates names tasks that the stream does not have: {', '.join(unknown)}")
        if groups - set(self.dataset_names):
            raise ValueError(
                f"class_groups names no data set of the stream: {', '.join(groups - set(self.dataset_names))}"
            )
        aliases = [name for group in self.aliases for name in group]
        if len(set(aliases)) < len(aliases):
            raise ValueError("aliases: a name can be in one group only")
        for name, group in self.class_groups.items():
            if sorted(group.order) != list(range(len(group.order))) or len(group.order) % group.size:
                raise ValueError(f"class_groups.{name}: order must hold every class id once and divide by size")
        banked = {name for group in self.bank.groups for name in group} if self.bank else set()
        if banked - set(self.dataset_names):
            raise ValueError(
                f"bank.groups names no data set of the stream: {', '.join(sorted(banked - set(self.dataset_names)))}"
            )
        return self

    @cached_property
    def tasks(self) -> tuple[TaskSpec, ...]:
        """The tasks in training order."""
        tasks = []
        for place, name in enumerate(self.dataset_names):
            group = self.class_groups.get(name)
            if group is None:
                tasks.append(TaskSpec(name, place))
                continue
            for number, start in enumerate(range(0, len(group.order), group.size), start=1):
                end = start + group.size
                tasks.append(TaskSpec(f"{name}-{number:02d}", place, group.order[start:end], group.order[:end]))
        return tuple(tasks)

    @property
    def task_names(self) -> tuple[str, ...]:
        """Names of the tasks in training order."""
        return tuple(task.name for task in self.tasks)


OWN_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


def _check_own(spec: RealSpec) -> None:
    """Raise :class:`ValueError` for a data set of a protocol's own that would pass for another or cannot be used."""
    if not OWN_NAME.fullmatch(spec.name):
        raise ValueError(f"data.{spec.name}: a name has small letters, digits, dots, hyphens and underscores only")
    if spec.name in {path.stem for folder in (CATALOGUE, MANIFESTS) for path in folder.iterdir()}:
        raise ValueError(f"data.{spec.name}: there is a data set of this name already; choose another")
    if not spec.captioned and not (spec.class_names and spec.templates):
        raise ValueError(f"data.{spec.name}: class_names and templates are needed where there are no captions")
    without = [template for template in spec.templates if "{c}" not in template]
    if without:
        raise ValueError(f"data.{spec.name}: the template {without[0]!r} has no place {{c}} for the class name")
