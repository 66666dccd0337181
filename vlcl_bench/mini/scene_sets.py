"""The data sets of ``mini-c2f``: composed scenes with five captions each.

Five sets stand for COCO's captions by groups of categories: coloured drawings of things of one family, and plain
sentences. ``mini-stories`` stands for Flickr30k: things of all families in two tones on coloured paper, and livelier
sentences. A scene is a pure function of its identifier ``scenes/<set>/<split>/<number>``, which gives its
description; the picture and the captions follow from the description.

Its things are sketches of this module's own: instances from 5,000 (training) and 6,000 (gallery) for the five sets,
from 7,000 and 8,000 for the stories.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from types import MappingProxyType
from typing import Literal

import numpy as np
from PIL import Image, ImageFilter

from vlcl_bench.errors import UsageError
from vlcl_bench.mini.domains import BENCHMARK_CONCEPTS, sketches
from vlcl_bench.mini.pictures import drawing_svg, seeded
from vlcl_bench.mini.renditions import SIZE, Style, inked, over, place, rasterise, rgb, transform
from vlcl_bench.mini.scene_captions import Language, captions_of
from vlcl_bench.mini.scene_moods import MOODS, Mood
from vlcl_bench.mini.scene_settings import GARDENS, OUTDOORS, ROOMS, SKY, TABLES, WALL, Place, Sign

COUNTS = {"train": 160, "test": 50}
CAPTIONS = 5
FIGURES = 3
"""At most so many things are in a scene."""

WASH = 110
"""How much paler than its drawing a background is, of 256: things must stand out in so small a picture."""

Arrangement = Literal["alone", "left", "right", "above", "under"]


@dataclass(frozen=True)
class Group:
    """One kind of thing in a scene: ``count`` of a concept."""

    concept: str
    family: str
    count: int


@dataclass(frozen=True)
class Figure:
    """One thing: its drawing, its middle in the picture's 72 units, its size as a share, its tilt in degrees."""

    concept: str
    drawing: str
    x: float
    y: float
    scale: float
    tilt: float


@dataclass(frozen=True)
class Scene:
    """A scene's description.

    Of two groups the first is one large thing, the second is one or two small ones; ``arrangement`` says where
    the first is, seen from the second. A group ``alone`` has two or three things of one size.
    """

    id: str
    set: SceneSet = field(repr=False, compare=False)
    groups: tuple[Group, ...]
    arrangement: Arrangement
    place_name: str
    sign_name: str
    figures: tuple[Figure, ...]

    @property
    def place(self) -> Place:
        """Where it happens."""
        return self.set.places[self.place_name]

    @property
    def sign(self) -> Sign | None:
        """What else is to be seen, if anything."""
        return self.set.signs[self.sign_name] if self.sign_name else None

    @property
    def captions(self) -> tuple[str, ...]:
        """Five different sentences, all true."""
        return captions_of(self, self.set.language, seeded(f"{self.id}/captions"))

    def render(self) -> np.ndarray:
        """The picture, ``(SIZE, SIZE, 3)`` uint8."""
        rng = seeded(f"{self.id}/pixels")
        layers = self.place.draw(rng)
        if self.sign:
            layers = [*layers, *self.sign.draw(rng)]
        head = '<svg viewBox="0 0 72 72" xmlns="http://www.w3.org/2000/svg">'
        canvas = over(np.full((SIZE, SIZE, 3), 255, np.uint8), rasterise(f"{head}{''.join(layers)}</svg>"))
        canvas = (canvas.astype(np.int32) * (256 - WASH) // 256 + WASH * 255 // 256).astype(np.uint8)
        for figure in self.figures:
            # Layer by layer, since masks of two sketches in one SVG would share their names.
            svg = place(drawing_svg(figure.drawing), figure.scale, figure.tilt, figure.x - 36, figure.y - 36)
            layer = rasterise(svg)
            canvas = over(over(canvas, rimmed(layer, self.rim)), self._painted(layer))
        return transform(canvas, self.set.style, rng)

    @property
    def rim(self) -> tuple[int, int, int]:
        """The colour around each thing."""
        return rgb(self.place.light if isinstance(self.place, Mood) else "#ffffff")

    def _painted(self, layer: np.ndarray) -> np.ndarray:
        """A thing's layer as it is, or in the two tones of the scene's mood."""
        if not isinstance(self.place, Mood):
            return layer
        dark, light = (np.array(rgb(color), np.int32) for color in (self.place.dark, self.place.light))
        gray = np.asarray(Image.fromarray(over(np.full((SIZE, SIZE, 3), 255, np.uint8), layer)).convert("L"))
        shade = gray.astype(np.int32)[..., None]
        painted = layer.copy()
        painted[..., :3] = (dark * (255 - shade) + light * shade) // 255
        return painted


def rimmed(layer: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    """A layer's shape, one pixel wider, in one colour: laid under a thing it sets it off from what is behind."""
    wider = inked(layer, color)
    wider[..., 3] = np.asarray(Image.fromarray(layer[..., 3]).filter(ImageFilter.MaxFilter(3)))
    return wider


@dataclass(frozen=True, eq=False)
class SceneSet:
    """A captioned set: its scenes are those of its families' concepts in its places, told in its language."""

    name: str
    stands_for: str
    families: tuple[str, ...]
    places: Mapping[str, Place]
    signs: Mapping[str, Sign]
    style: Style
    language: Language
    first_instance: Mapping[str, int]
    arrangements: tuple[Arrangement, ...] = ("left", "right")
    licence: str = "Apache-2.0 (our own drawings and sentences)"
    source: str = "vlcl_bench.mini.drawings, composed by vlcl_bench.mini.scene_sets"

    def descriptions(self, split: str) -> Iterator[Scene]:
        """The scenes of a split (``train``, or ``test`` for the gallery), in order."""
        if split not in COUNTS:
            raise UsageError(f"{self.name} has no split {split!r}", f"Splits: {', '.join(COUNTS)}.")
        return (self.scene(split, number) for number in range(COUNTS[split]))

    def scenes(self, split: str) -> Iterator[tuple[str, Callable[[], np.ndarray], tuple[str, ...]]]:
        """Identifier, a function that draws the picture, and five captions, for each scene of a split in order."""
        return ((scene.id, scene.render, scene.captions) for scene in self.descriptions(split))

    def scene(self, split: str, number: int) -> Scene:
        """The scene of a split with a number; it depends on its identifier alone."""
        name = f"scenes/{self.name}/{split}/{number:03d}"
        rng = seeded(name)
        groups = _contents(self.families, f"{self.name}/{split}")[number]
        arrangement: Arrangement = "alone" if len(groups) == 1 else rng.choice(self.arrangements)
        places, signs = sorted(self.places), ["", *sorted(self.signs)]
        figures = _figures(groups, arrangement, self.first_instance[split] + FIGURES * number, rng)
        return Scene(name, self, groups, arrangement, rng.choice(places), rng.choice(signs), figures)


@functools.cache
def _contents(families: tuple[str, ...], seed: str) -> tuple[tuple[Group, ...], ...]:
    """What is in each scene of a split; contents come back only when all of their kind have been used.

    Of eight scenes six show two things, one shows several of the same thing, and one a thing beside two of another.
    """
    rng = seeded(f"contents of {seed}")
    things = [(concept, family) for family in families for concept in sketches(family)[:BENCHMARK_CONCEPTS]]

    def endless(found: list[tuple[Group, ...]]) -> Iterator[tuple[Group, ...]]:
        while True:
            yield from rng.sample(found, len(found))

    # Where families mix, the two things of a scene are of different ones.
    pairs = [(a, b) for a, b in combinations(things, 2) if len(families) == 1 or a[1] != b[1]]
    turned = [pair if rng.random() < 0.5 else pair[::-1] for pair in pairs]
    one = endless([(Group(*a, 1), Group(*b, 1)) for a, b in turned])
    many = endless([(Group(*a, count),) for a in things for count in (2, 3)])
    mixed = endless([(Group(*a, 1), Group(*b, 2)) for b, a in turned])
    turns = (one, one, mixed, one, one, many, one, one)
    return tuple(next(turns[number % len(turns)]) for number in range(max(COUNTS.values())))


def _figures(groups: tuple[Group, ...], arrangement: Arrangement, first: int, rng: random.Random) -> tuple[Figure, ...]:
    """The things with their places, from the back to the front."""
    found = []
    spots = [spot for group in _spots(groups, arrangement) for spot in group]
    things = [group for group in groups for _ in range(group.count)]
    for instance, (group, (x, y, scale)) in enumerate(zip(things, spots, strict=True), first):
        where = (round(x + rng.uniform(-2, 2), 2), round(y + rng.uniform(-2, 2), 2))
        drawing = f"sketch/{group.family}/{group.concept}/{instance}"
        found.append(Figure(group.concept, drawing, *where, scale, round(rng.uniform(-8, 8), 2)))
    return tuple(found)


def _spots(groups: tuple[Group, ...], arrangement: Arrangement) -> list[list[tuple[float, float, float]]]:
    """Middle and size of every thing of every group; the first group's thing is the large one."""
    if arrangement == "alone":
        if groups[0].count == 2:
            return [[(21, 38, 0.62), (51, 44, 0.62)]]
        return [[(36, 24, 0.5), (19, 50, 0.5), (53, 50, 0.5)]]
    along = {"left": (27, 39), "right": (45, 39), "above": (36, 27), "under": (36, 45)}[arrangement]
    single, double = {
        "left": ((57, 54), ((57, 28), (57, 56))),
        "right": ((15, 54), ((15, 28), (15, 56))),
        "above": ((36, 57), ((18, 57), (54, 57))),
        "under": ((36, 15), ((18, 15), (54, 15))),
    }[arrangement]
    others = [single] if groups[1].count == 1 else double
    return [[(*along, 0.74)], [(x, y, 0.46) for x, y in others]]


@functools.cache
def scene_sets() -> dict[str, SceneSet]:
    """The data sets of ``mini-c2f``, by name, in the protocol's order."""
    plain = Style(noise=8, blur=0.3)
    instances = MappingProxyType({"train": 5_000, "test": 6_000})

    def chosen(*names: str) -> Mapping[str, Place]:
        return MappingProxyType({name: OUTDOORS[name] for name in names})

    def captions_by_category(name: str, group: str, family: str, places: Mapping[str, Place], signs: Mapping[str, Sign],
                             arrangements: tuple[Arrangement, ...] = ("left", "right")) -> SceneSet:  # fmt: skip
        stands_for = f"COCO captions, {group}"
        return SceneSet(name, stands_for, (family,), places, signs, plain, "plain", instances, arrangements)

    everywhere: tuple[Arrangement, ...] = ("left", "right", "above", "under")
    found = [
        captions_by_category(
            "mini-scenes-transport", "vehicles", "vehicles",
            chosen("road", "snow", "desert", "beach", "mountain"), SKY,
        ),
        captions_by_category(
            "mini-scenes-animals", "animals", "animals", chosen("grass", "snow", "desert", "beach", "forest"), SKY
        ),
        captions_by_category("mini-scenes-food", "food and kitchen", "food", TABLES, {}, everywhere),
        captions_by_category("mini-scenes-interior", "indoor things", "objects", ROOMS, WALL),
        captions_by_category("mini-scenes-garden", "the rest", "plants", GARDENS, SKY),
        SceneSet(
            "mini-stories", "Flickr30k", ("animals", "food", "vehicles", "plants", "objects"), MOODS, {},
            Style(noise=16, contrast=0.9), "story", MappingProxyType({"train": 7_000, "test": 8_000}), everywhere,
        ),
    ]  # fmt: skip
    return {found_set.name: found_set for found_set in found}
