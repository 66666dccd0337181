"""The two data sets of ``mini-c2r``: small colour drawings by groups of classes, then renditions of classes.

``mini-color`` stands for CIFAR-100 and ``mini-renditions`` for ImageNet-R. A protocol makes tasks of consecutive
class numbers, so the classes of a set alternate between the families. Twenty names are in both sets, as some of
CIFAR-100's are in ImageNet-R. Drawings from 3,000 on are for training and from 4,000 on for testing; the two sets
have no drawing in common, and none with the corpus or the other mini protocols.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from vlcl_bench.errors import UsageError
from vlcl_bench.mini.domains import home_of, sketches
from vlcl_bench.mini.pictures import Picture
from vlcl_bench.mini.renditions import Style

FAMILIES = ("animals", "food", "vehicles", "plants", "objects")
TRAIN_PER_CLASS, TEST_PER_CLASS = 20, 10
TRAIN_START, TEST_START = 3_000, 4_000

_NIGHT = ("#bfe3ff", "#ffd0e0", "#d8f5c0")
_TAR = ("#14141c", "#2a1020", "#0f2418")


@dataclass(frozen=True, eq=False)
class ClassStream:
    """A data set whose classes come group by group; it looks like a :class:`~vlcl_bench.mini.domains.Domain`.

    ``styles`` holds the styles that its pictures name; a class's pictures take them in turn. ``offset`` is added
    to the numbers of its drawings. ``group`` consecutive classes make a task.
    """

    name: str
    stands_for: str
    classes: tuple[str, ...]
    styles: Mapping[str, Style]
    templates: tuple[str, ...]
    source: str
    offset: int
    group: int

    def pictures(self, split: str) -> Iterator[tuple[Picture, int]]:
        """Pictures with labels of a split (``train`` or ``test``), class by class."""
        if split not in ("train", "test"):
            raise UsageError(f"{self.name} has no split {split!r}", "Splits: train, test.")
        start, count = (TRAIN_START, TRAIN_PER_CLASS) if split == "train" else (TEST_START, TEST_PER_CLASS)
        names, families = tuple(self.styles), "+".join(FAMILIES)
        for label, concept in enumerate(self.classes):
            family = home_of(concept, families)
            for number in range(count):
                # Starting elsewhere for each class, so that no rendition is one class's more than another's.
                style = names[(number + label) % len(names)]
                yield Picture(f"sketch/{family}/{concept}/{start + self.offset + number}", style), label


def _alternating(first: int, last: int) -> tuple[str, ...]:
    """Concepts ``first`` to ``last`` (exclusive) of every family, one family after the other, each from a start
    of its own, so that neighbours are no neighbours in their families' lists."""
    count = last - first
    return tuple(
        sketches(family)[first + (turn + 3 * index) % count]
        for turn in range(count)
        for index, family in enumerate(FAMILIES)
    )


@functools.cache
def class_streams() -> dict[str, ClassStream]:
    """The data sets of ``mini-c2r``, by name, in the protocol's order."""
    renditions = {
        "chalk": Style("line", "dark", ink=_NIGHT, scale=(0.7, 0.95), tilt=15, blur=0.7, noise=16),
        "shadow": Style("silhouette", "speckle", ink=_TAR, scale=(0.65, 0.9), tilt=20),
        "two-tone": Style("duotone", "grid", scale=(0.7, 0.95), tilt=15),
        "cut-out": Style("flat", "dark", scale=(0.7, 0.95), tilt=15),
        "negative": Style("color", "pale", scale=(0.7, 0.95), tilt=15, negative=True, noise=8),
        "pencil": Style("line", "clutter", ink=_TAR, scale=(0.7, 0.95), tilt=15, gray=True),
    }
    color = Style("color", "gradient", scale=(0.65, 0.95), tilt=15, hue=36, pixels=14)
    found = [
        ClassStream(
            "mini-color", "CIFAR-100", _alternating(0, 8), MappingProxyType({"mini-color": color}),
            ("a photo of a {c}.", "a blurry photo of a {c}.", "a photo of a small {c}."),
            "sketch:" + "+".join(FAMILIES), offset=0, group=8,
        ),
        ClassStream(
            "mini-renditions", "ImageNet-R", _alternating(4, 10),
            MappingProxyType({f"mini-renditions-{name}": style for name, style in renditions.items()}),
            ("a rendition of a {c}.", "a drawing of a {c}.", "a sketch of a {c}.", "a photo of a {c}."),
            "sketch:" + "+".join(FAMILIES), offset=500, group=6,
        ),
    ]  # fmt: skip
    return {stream.name: stream for stream in found}
