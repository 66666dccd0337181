"""Protocols: frozen streams, each a versioned TOML file with a fingerprint over everything that changes a number."""

from __future__ import annotations

import tomllib
from functools import cached_property
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vlcl_bench.data.manifest import Manifest, read_manifest
from vlcl_bench.data.sources import DataSet, open_dataset
from vlcl_bench.errors import IntegrityError, UsageError, nearest
from vlcl_bench.fileio import canonical_json, sha256_text
from vlcl_bench.scoring import LabelTable

FOLDER = Path(__file__).parent


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


class Protocol(_Frozen):
    """A protocol as its TOML file states it; see ``docs/design.md`` for the words."""

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

    @model_validator(mode="after")
    def _rates_have_tasks(self) -> Self:
        unknown = sorted(set(self.budget.learning_rates) - set(self.tasks))
        if unknown:
            raise ValueError(f"learning_rates names tasks that the stream does not have: {', '.join(unknown)}")
        return self

    @cached_property
    def datasets(self) -> tuple[DataSet, ...]:
        """The data sets of the tasks, in order."""
        return tuple(open_dataset(self.source, task) for task in self.tasks)

    @cached_property
    def manifests(self) -> tuple[Manifest, ...]:
        """The manifests of the tasks, in order; raises :class:`IntegrityError` where class names differ."""
        found = tuple(read_manifest(task) for task in self.tasks)
        for dataset, manifest in zip(self.datasets, found, strict=True):
            if dataset.class_names != manifest.class_names:
                raise IntegrityError(f"the manifest of {dataset.name!r} names other classes than the data set")
        return found

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over all that changes a number: order, budget, transforms, classes, templates, samples."""
        facts = self.model_dump(mode="json", exclude={"title", "description"})
        facts["data"] = [
            {"name": d.name, "classes": d.class_names, "templates": d.templates, "manifest": m.fingerprint()}
            for d, m in zip(self.datasets, self.manifests, strict=True)
        ]
        return sha256_text(canonical_json(facts))

    @cached_property
    def merged_names(self) -> tuple[str, ...]:
        """All class names of all tasks, equal names once, in order of first appearance."""
        return tuple(dict.fromkeys(name for dataset in self.datasets for name in dataset.class_names))

    @cached_property
    def label_table(self) -> LabelTable:
        """The test labels, for scoring only: nothing here may reach a method."""
        place = {name: i for i, name in enumerate(self.merged_names)}
        merged = {
            m.dataset: np.array([place[m.class_names[label]] for label in m.labels("test")], np.int64)
            for m in self.manifests
        }
        return LabelTable(
            tasks=self.tasks,
            labels={m.dataset: m.labels("test") for m in self.manifests},
            classes={m.dataset: len(m.class_names) for m in self.manifests},
            agnostic_labels=merged,
            merged=len(self.merged_names),
        )


def protocol_names() -> tuple[str, ...]:
    """Names of the protocols that come with the package."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def load_protocol(name: str) -> Protocol:
    """A protocol by name, or by the path of a TOML file; raises :class:`UsageError` with the nearest name."""
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not path.exists():
        raise UsageError(f"unknown protocol {name!r}", nearest(name, protocol_names()))
    try:
        return Protocol.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "Give the path of a TOML file.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError) as error:
        raise UsageError(f"{path} is not a valid protocol: {error}") from error
