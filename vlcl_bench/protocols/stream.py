"""A protocol as a stream: data sets, label spaces, names that compete, and the fingerprint of it all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import PrivateAttr

from vlcl_bench.common.fileio import canonical_json, sha256_text
from vlcl_bench.data.interface import DataSet
from vlcl_bench.data.manifest import Manifest, find_manifest, has_manifest, is_committed
from vlcl_bench.data.open import open_dataset
from vlcl_bench.data.own_copies import OwnCopy
from vlcl_bench.data.world import World, world_of
from vlcl_bench.errors import IntegrityError, UsageError
from vlcl_bench.protocols.schema import ProtocolFile, TaskSpec
from vlcl_bench.tasks import LabelSet

LATER_FIELDS = ("picture_size", "class_groups", "aliases", "bank", "reference")
"""Fields that version 1 of the mini protocols did not have."""


class Protocol(ProtocolFile):
    """A frozen stream: what its file states, and what follows from it and from the manifests of its data sets."""

    _copy: OwnCopy = PrivateAttr(default_factory=OwnCopy)

    def of_copy(self, copy: OwnCopy) -> Self:
        """The same stream on a certain copy of its own data sets; one without such data sets is given back as it is."""
        if not self.data:
            return self
        placed = self.model_copy()
        placed._copy = copy
        return placed

    def at(self, file: str | Path, root: Path | None) -> Self:
        """The same stream on the copy of its own data sets below a data root; ``file`` is how messages call it."""
        return self.of_copy(OwnCopy(str(file), root))

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """See pydantic; what was computed of the original is not taken along."""
        copied = super().model_copy(update=update, deep=deep)
        for name in set(vars(copied)) - set(type(self).model_fields):
            del copied.__dict__[name]
        return copied

    @property
    def world(self) -> World:
        """What gives reference data, generator and names to methods at this protocol's scale."""
        return world_of(self.scale)

    def label_sets_before(self, task: int) -> tuple[LabelSet, ...]:
        """Names known of each data set of which a task comes before ``task``, which counts from 1; none of captions."""
        known: dict[int, list[int]] = {}
        for spec in self.tasks[: task - 1]:
            every = range(len(self.datasets[spec.dataset].class_names))
            known.setdefault(spec.dataset, []).extend(every if spec.classes is None else spec.classes)
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
        found = tuple(open_dataset(self.source, name, self.data).of_copy(self._copy) for name in self.dataset_names)
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
                    f"Make it from your copy: {dataset.describe_command}",
                )
            dataset.check_manifest(manifest)
            found.append(manifest)
        return tuple(found)

    @property
    def frozen(self) -> bool:
        """Whether all manifests are the committed ones, so that everybody has the same fingerprint."""
        return all(is_committed(dataset.key) for dataset in self.datasets)

    def with_manifests(self, manifests: Sequence[Manifest]) -> Self:
        """The same protocol with these manifests, in the order of its data sets, in place of those that are here."""
        copied = self.model_copy()
        copied.__dict__["manifests"] = tuple(manifests)
        return copied

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over all that changes a number; see :meth:`facts`."""
        return sha256_text(canonical_json(self.facts()))

    def facts(self) -> dict[str, Any]:
        """All that changes a number, under the file's keys: order, budget, transforms, classes, templates, samples.

        Fields that came after the first protocols count only where they are set, so that those keep their fingerprint.
        """
        facts = self.model_dump(mode="json", by_alias=True, exclude={"title", "description", "data"})
        for later in LATER_FIELDS:
            if not facts[later]:
                del facts[later]
        facts["data"] = [
            {"name": d.name, "classes": d.class_names, "templates": d.templates, "manifest": m.fingerprint()}
            for d, m in zip(self.datasets, self.manifests, strict=True)
        ]
        if self.bank is not None:
            facts["bank_captions"] = sha256_text("\n".join(self.bank_captions))
        return facts

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

    def test_rows(self, spec: TaskSpec) -> np.ndarray:
        """Rows of a task's test pictures within its data set's."""
        labels = self.manifests[spec.dataset].labels("test")
        return np.arange(len(labels)) if spec.classes is None else np.flatnonzero(np.isin(labels, spec.classes))

    @cached_property
    def bank_captions(self) -> tuple[str, ...]:
        """The captions of the bank, drawn from those of training pictures; equal ones count once."""
        if self.bank is None:
            return ()
        by_name = dict(zip(self.dataset_names, self.manifests, strict=True))
        chosen: dict[str, None] = {}
        for number, group in enumerate(self.bank.groups):
            texts = [text for name in group for captions in by_name[name].captions("train") for text in captions]
            fresh = [text for text in dict.fromkeys(texts) if text not in chosen]
            # In the order of their hashes: as good as any generator's, and no library can change it.
            fresh.sort(key=lambda text, number=number: sha256_text(f"{self.bank.seed} {number} {text}"))  # type: ignore[misc]
            chosen |= dict.fromkeys(fresh[: self.bank.size // len(self.bank.groups)])
        return tuple(chosen)
