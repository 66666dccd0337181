"""What a protocol's TOML file may say, and the tasks that follow from it alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from vlcl_bench.common.faults import Fault, Faults, Flag, Positive, Whole
from vlcl_bench.data.real.names import OneLine, Title
from vlcl_bench.data.real.spec import RealSpec
from vlcl_bench.data.transforms import Augmentation
from vlcl_bench.protocols.budget import Budget
from vlcl_bench.protocols.checks import stream_faults


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class ClassGroups(_Frozen):
    """A data set cut into tasks of ``size`` classes each, taken from ``order`` (class ids)."""

    size: Positive
    order: tuple[Whole, ...] = Field(min_length=1)


class CaptionBank(_Frozen):
    """Training captions that pictures are captioned with, drawn once.

    ``groups`` of data sets give equal shares of ``size``; equal captions count once.
    """

    size: Positive
    seed: Whole
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
    version: Positive
    title: Title
    description: str
    source: str
    backbone: OneLine
    dataset_names: tuple[str, ...] = Field(min_length=1, alias="tasks")
    evaluation_batch: Positive
    scale: str
    ranked: Flag = True
    budget: Budget
    augmentation: Augmentation
    picture_size: Positive | None = None
    class_groups: dict[str, ClassGroups] = {}
    aliases: tuple[tuple[str, ...], ...] = ()
    bank: CaptionBank | None = None
    reference: OwnReference | None = None
    data: tuple[RealSpec, ...] = ()

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        Faults.raised(fitting_faults({key: getattr(self, key) for key in ProtocolFile.model_fields}))
        return self

    @cached_property
    def tasks(self) -> tuple[TaskSpec, ...]:
        """The tasks in training order."""
        return tasks_of(self.dataset_names, self.class_groups)

    @property
    def task_names(self) -> tuple[str, ...]:
        """Names of the tasks in training order."""
        return tuple(task.name for task in self.tasks)


def tasks_of(names: Sequence[str], groups: Mapping[str, ClassGroups]) -> tuple[TaskSpec, ...]:
    """The tasks that data sets give, in training order: each its own, or one for every group of its classes."""
    tasks = []
    for place, name in enumerate(names):
        group = groups.get(name)
        if group is None:
            tasks.append(TaskSpec(name, place))
            continue
        for number, start in enumerate(range(0, len(group.order), group.size), start=1):
            end = start + group.size
            tasks.append(TaskSpec(f"{name}-{number:02d}", place, group.order[start:end], group.order[:end]))
    return tuple(tasks)


def fitting_faults(parts: Mapping[str, Any]) -> list[Fault]:
    """What of a file's parts does not fit together; ``parts`` are those that have the right form, by attribute."""
    known = dict(parts)
    if "dataset_names" in known and "class_groups" in known:
        known["task_names"] = tuple(task.name for task in tasks_of(known["dataset_names"], known["class_groups"]))
    return stream_faults(known)
