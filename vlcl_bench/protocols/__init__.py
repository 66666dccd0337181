"""Protocols: frozen streams, each a versioned TOML file with a fingerprint over everything that changes a number."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vlcl_bench.data.manifest import Manifest, find_manifest, has_manifest, is_committed
from vlcl_bench.data.real.spec import RealSpec
from vlcl_bench.data.sources import DataSet, open_dataset
from vlcl_bench.errors import IntegrityError, UsageError, nearest
from vlcl_bench.fileio import canonical_json, sha256_text
from vlcl_bench.scoring import LabelTable
from vlcl_bench.tasks import LabelSet

if TYPE_CHECKING:
    from vlcl_bench.captions.consensus import Bank
    from vlcl_bench.captions.scoring import CaptionTable

FOLDER = Path(__file__).parent
CATALOGUE, MANIFESTS = FOLDER.parent / "data" / "real" / "catalogue", FOLDER.parent / "manifests"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Budget(_Frozen):
    """What a method may spend on a task: presentations of its pictures are ``steps * batch_size``.

    ``warmup`` and ``ensemble_interval`` are in steps; ``reference_batch`` is the number of auxiliary pictures a
    step may use and ``auxiliary_size`` how many there are. ``learning_rates`` holds the exceptions by task.
    """

    steps: int = Field(gt=0)
    batch_size: int = Field(gt=0)
    learning_rate: float = Field(gt=0)
    learning_rates: dict[str, float] = {}
    warmup: int = Field(ge=0)
    ensemble_interval: int = Field(gt=0)
    reference_batch: int = Field(gt=0)
    auxiliary_size: int = Field(ge=0)

    @property
    def presentations(self) -> int:
        """Pictures of the current task that a method may be shown while it learns the task."""
        return self.steps * self.batch_size

    @property
    def reference_presentations(self) -> int:
        """Reference pictures (under whatever transform) that a method may be shown while it learns a task."""
        return self.steps * self.reference_batch


class Augmentation(_Frozen):
    """The training transform: a random crop of this share of the area, resized to the input size; no flip."""

    scale: tuple[float, float]
    ratio: tuple[float, float]


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


@dataclass(frozen=True)
class Step:
    """One task of a stream: a data set, or those of its classes that are learned together.

    ``dataset`` is the place of its data set in :attr:`Protocol.tasks`. ``seen`` are the class ids of the data set
    known after this task, in the order in which they are learned; ``None`` where all are learned at once.
    """

    name: str
    dataset: int
    classes: tuple[int, ...] | None = None
    seen: tuple[int, ...] | None = None


class Protocol(_Frozen):
    """A protocol as its TOML file states it; see ``docs/design.md`` for the words.

    ``tasks`` are the data sets in order, each a task of its own unless ``class_groups`` cuts it into several.
    ``aliases`` are names that mean the same where the names of all data sets compete. ``picture_size`` is the side
    of real pictures after preprocessing. ``data`` describes data sets that are not in the catalogue.
    """

    name: str
    version: int
    title: str
    description: str
    source: str
    backbone: str
    tasks: tuple[str, ...] = Field(min_length=1)
    evaluation_batch: int = Field(gt=0)
    scale: Literal["full", "mini"]
    ranked: bool = True
    budget: Budget
    augmentation: Augmentation
    picture_size: int | None = Field(default=None, gt=0)
    class_groups: dict[str, ClassGroups] = {}
    aliases: tuple[tuple[str, ...], ...] = ()
    bank: CaptionBank | None = None
    data: tuple[RealSpec, ...] = ()

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if len(set(self.tasks)) < len(self.tasks):
            raise ValueError("tasks: a data set can be in a stream once only")
        for spec in self.data:
            _check_own(spec)
        groups, rates = set(self.class_groups), set(self.budget.learning_rates)
        unknown = sorted(rates - set(self.tasks) - {step.name for step in self.steps})
        if unknown:
            raise ValueError(f"learning_rates names tasks that the stream does not have: {', '.join(unknown)}")
        if groups - set(self.tasks):
            raise ValueError(f"class_groups names no data set of the stream: {', '.join(groups - set(self.tasks))}")
        aliases = [name for group in self.aliases for name in group]
        if len(set(aliases)) < len(aliases):
            raise ValueError("aliases: a name can be in one group only")
        for name, group in self.class_groups.items():
            if sorted(group.order) != list(range(len(group.order))) or len(group.order) % group.size:
                raise ValueError(f"class_groups.{name}: order must hold every class id once and divide by size")
        banked = {name for group in self.bank.groups for name in group} if self.bank else set()
        if banked - set(self.tasks):
            raise ValueError(
                f"bank.groups names no data set of the stream: {', '.join(sorted(banked - set(self.tasks)))}"
            )
        return self

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The tasks in training order."""
        found = []
        for place, name in enumerate(self.tasks):
            group = self.class_groups.get(name)
            if group is None:
                found.append(Step(name, place))
                continue
            for number, start in enumerate(range(0, len(group.order), group.size), start=1):
                end = start + group.size
                found.append(Step(f"{name}-{number:02d}", place, group.order[start:end], group.order[:end]))
        return tuple(found)

    @property
    def task_names(self) -> tuple[str, ...]:
        """Names of the tasks in training order."""
        return tuple(step.name for step in self.steps)

    def label_sets_before(self, task: int) -> tuple[LabelSet, ...]:
        """Names known of each data set of which a task comes before ``task``, which counts from 1; none of captions."""
        known: dict[int, list[int]] = {}
        for step in self.steps[: task - 1]:
            every = range(len(self.datasets[step.dataset].class_names))
            known.setdefault(step.dataset, []).extend(every if step.classes is None else step.classes)
        found = []
        for place, classes in known.items():
            dataset = self.datasets[place]
            if not dataset.captioned:
                names = tuple(dataset.class_names[label] for label in classes)
                found.append(LabelSet(dataset.name, names, dataset.templates[0]))
        return tuple(found)

    def prompts_before(self, task: int) -> tuple[str, ...]:
        """Training prompts (first template) of the classes of all tasks before ``task``, which counts from 1."""
        return tuple(prompt for known in self.label_sets_before(task) for prompt in known.prompts)

    @cached_property
    def datasets(self) -> tuple[DataSet, ...]:
        """The data sets, in order; :class:`UsageError` where class groups do not cover all classes of theirs."""
        found = tuple(open_dataset(self.source, task, self.data) for task in self.tasks)
        for dataset in found:
            group, classes = self.class_groups.get(dataset.name), len(dataset.class_names)
            if group is not None and len(group.order) != classes:
                raise UsageError(f"class_groups.{dataset.name} orders {len(group.order)} classes; there are {classes}")
        return found

    @property
    def captioned(self) -> bool:
        """Whether pictures have captions in place of classes."""
        return self.datasets[0].captioned

    @property
    def side(self) -> int:
        """Side in pixels of the pictures that a backbone is given."""
        found = self.picture_size or self.datasets[0].side
        if found is None:
            raise UsageError(f"protocol {self.name} does not say of what size its pictures are", "Add picture_size.")
        return found

    def missing_manifests(self) -> list[DataSet]:
        """The data sets that nobody has described yet: their first use here will."""
        return [dataset for dataset in self.datasets if not has_manifest(dataset.key)]

    @cached_property
    def manifests(self) -> tuple[Manifest, ...]:
        """The manifests of the data sets, in order; :class:`IntegrityError` where one is missing or does not fit."""
        found = []
        for dataset in self.datasets:
            manifest = find_manifest(dataset.key)
            if manifest is None:
                raise IntegrityError(
                    f"there is no manifest for data set {dataset.name!r} yet",
                    f"Make it from your copy: vlcl data verify {dataset.name} --write --data-root DIR",
                )
            dataset.check_manifest(manifest)
            found.append(manifest)
        return tuple(found)

    @property
    def frozen(self) -> bool:
        """Whether all manifests are the committed ones, so that everybody has the same fingerprint."""
        return all(is_committed(dataset.key) for dataset in self.datasets)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over all that changes a number: order, budget, transforms, classes, templates, samples.

        Fields that came after the first protocols count only where they are set, so that those keep theirs.
        """
        facts = self.model_dump(mode="json", exclude={"title", "description", "data"})
        for later in LATER_FIELDS:
            if not facts[later]:
                del facts[later]
        facts["data"] = [
            {"name": d.name, "classes": d.class_names, "templates": d.templates, "manifest": m.fingerprint()}
            for d, m in zip(self.datasets, self.manifests, strict=True)
        ]
        if self.bank is not None:
            facts["bank_captions"] = sha256_text("\n".join(self.bank_captions))
        return sha256_text(canonical_json(facts))

    @cached_property
    def distinct_names(self) -> tuple[str, ...]:
        """All class names of all data sets, equal names once, in order of first appearance."""
        return tuple(dict.fromkeys(name for dataset in self.datasets for name in dataset.class_names))

    @cached_property
    def merged_place(self) -> dict[str, int]:
        """For every class name its place among the merged names, in which aliases are one with their first name."""
        first = {name: group[0] for group in self.aliases for name in group}
        unknown = sorted(set(first) - set(self.distinct_names))
        if unknown:
            raise UsageError(f"aliases of protocol {self.name} name no class of it: {', '.join(unknown)}")
        merged = dict.fromkeys(first.get(name, name) for name in self.distinct_names)
        place = {name: i for i, name in enumerate(merged)}
        return {name: place[first.get(name, name)] for name in self.distinct_names}

    def test_rows(self, step: Step) -> np.ndarray:
        """Rows of a task's test pictures within its data set's."""
        labels = self.manifests[step.dataset].labels("test")
        return np.arange(len(labels)) if step.classes is None else np.flatnonzero(np.isin(labels, step.classes))

    @cached_property
    def answer_key(self) -> LabelTable | CaptionTable:
        """What is true of the test pictures, for scoring only: nothing here may reach a method."""
        return self._caption_table() if self.captioned else self._label_table()

    def _label_table(self) -> LabelTable:
        own, merged, classes = {}, {}, {}
        for step in self.steps:
            manifest, names = self.manifests[step.dataset], self.datasets[step.dataset].class_names
            labels = manifest.labels("test")[self.test_rows(step)]
            own[step.name] = labels
            merged[step.name] = np.array([self.merged_place[names[label]] for label in labels], np.int64)
            classes[step.name] = len(names)
        increments = {
            name: tuple(step.name for step in self.steps if self.tasks[step.dataset] == name)
            for name in self.tasks
            if name in self.class_groups
        }
        count = max(self.merged_place.values()) + 1
        return LabelTable(self.task_names, own, classes, merged, count, increments)

    def _caption_table(self) -> CaptionTable:
        from vlcl_bench.captions.scoring import CaptionTable

        references = {step.name: self.manifests[step.dataset].captions("test") for step in self.steps}
        return CaptionTable(
            tasks=self.task_names,
            owners={
                name: np.repeat(np.arange(len(texts)), [len(t) for t in texts]) for name, texts in references.items()
            },
            pictures={name: len(texts) for name, texts in references.items()},
            references=references,
            bank=self.bank_captions,
        )

    @cached_property
    def bank_captions(self) -> tuple[str, ...]:
        """The captions of the bank, drawn from those of training pictures; equal ones count once."""
        if self.bank is None:
            return ()
        by_name = dict(zip(self.tasks, self.manifests, strict=True))
        chosen: dict[str, None] = {}
        for number, group in enumerate(self.bank.groups):
            texts = [text for name in group for captions in by_name[name].captions("train") for text in captions]
            fresh = [text for text in dict.fromkeys(texts) if text not in chosen]
            # In the order of their hashes: as good as any generator's, and no library can change it.
            fresh.sort(key=lambda text, number=number: sha256_text(f"{self.bank.seed} {number} {text}"))  # type: ignore[misc]
            chosen |= dict.fromkeys(fresh[: self.bank.size // len(self.bank.groups)])
        return tuple(chosen)

    @cached_property
    def counted_bank(self) -> Bank:
        """The captions of the bank, tokenised and counted once for all stages."""
        from vlcl_bench.captions.consensus import Bank

        return Bank(self.bank_captions)


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


LATER_FIELDS = ("picture_size", "class_groups", "aliases", "bank")
"""Fields of :class:`Protocol` that version 1 of the mini protocols did not have."""


def protocol_names() -> tuple[str, ...]:
    """Names of the protocols that come with the package."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def load_protocol(name: str) -> Protocol:
    """A protocol by name, or by the path of a TOML file; raises :class:`UsageError` with the nearest name."""
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not path.exists() and name.endswith(".toml"):
        raise UsageError(f"there is no file {name}", "Give a protocol's name, or the path of its TOML file.")
    if not path.exists():
        raise UsageError(f"unknown protocol {name!r}", nearest(name, protocol_names()))
    try:
        return Protocol.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "Give the path of a TOML file.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError) as error:
        raise UsageError(f"{path} is not a valid protocol: {error}") from error
