"""Where a composed scene happens: its place and what else is there, with the phrases that are true of it.

Coordinates are the 72 units of the drawing kit. Things stand in the lower two thirds of a scene, so outdoors the
sky's sign (sun, cloud) is in the upper third.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from vlcl_bench.mini.drawings.pen import circle, ellipse, filled, outlined, path, polygon, rect, tint

Draw = Callable[[random.Random], list[str]]

COLORS = {
    "red": "#d0473c",
    "green": "#5fa653",
    "blue": "#4a7fc8",
    "yellow": "#efcf4f",
    "white": "#f3f1ea",
    "brown": "#8f6a45",
    "orange": "#ec9440",
    "purple": "#8a62ad",
    "pink": "#eea0b8",
    "grey": "#9b9ea3",
}


@dataclass(frozen=True)
class Place:
    """A background: prepositional phrases of it, the words that name it in any of them, and its drawing."""

    phrases: tuple[str, ...]
    words: tuple[str, ...]
    draw: Draw


def backdrop(color: str) -> str:
    """The whole picture in one colour."""
    return filled(rect(0, 0, 72, 72), color)


def _outdoors(sky: str, ground: str, horizon: float, more: Draw, rng: random.Random) -> list[str]:
    """Sky and ground, slightly off in colour and height, and whatever else the place has."""
    y = horizon + rng.uniform(-3, 3)
    return [
        backdrop(tint(rng, sky, 10)),
        filled(rect(0, y, 72, 72 - y), tint(rng, ground, 12)),
        *(element for element in more(rng)),
    ]


def _nothing(rng: random.Random) -> list[str]:
    return []


def _dashes(rng: random.Random) -> list[str]:
    start = rng.uniform(-8, 4)
    return [filled(rect(start + 20 * i, 59, 12, 2.5), "#f5f3ea") for i in range(5)]


def _waves(rng: random.Random) -> list[str]:
    return [filled(rect(0, 26, 72, 12), tint(rng, "#3f8fc4", 10))]


def _dunes(rng: random.Random) -> list[str]:
    top = rng.uniform(26, 32)
    return [filled(path(f"M 0 46 Q 18 {top} 40 44 T 72 {top + 8} V 60 H 0 Z"), "#d9a94e")]


def _trees(rng: random.Random) -> list[str]:
    found = []
    for i in range(7):
        x, top = 12 * i + rng.uniform(-3, 3), rng.uniform(8, 18)
        found.append(filled(polygon([(x, top), (x - 9, 48), (x + 9, 48)]), tint(rng, "#2c5c37", 14)))
    return found


def _peaks(rng: random.Random) -> list[str]:
    found = []
    for x in (rng.uniform(10, 24), rng.uniform(44, 62)):
        top = rng.uniform(12, 18)
        found.append(filled(polygon([(x, top), (x - 26, 46), (x + 26, 46)]), tint(rng, "#85828c", 10)))
        found.append(filled(polygon([(x, top), (x - 6, top + 8), (x + 6, top + 8)]), "#fbfbfb"))
    return found


def _flakes(rng: random.Random) -> list[str]:
    return [filled(circle(rng.uniform(0, 72), rng.uniform(0, 72), 1.3), "#ffffff") for _ in range(16)]


def _outdoor_place(
    words: str, phrases: tuple[str, ...], sky: str, ground: str, y: float, more: Draw = _nothing
) -> Place:
    return Place(phrases, tuple(words.split()), partial(_outdoors, sky, ground, y, more))


OUTDOORS = {
    "road": _outdoor_place("road", ("on a road", "on a grey road"), "#bcd9ee", "#77787e", 44, _dashes),
    "snow": _outdoor_place("snow", ("on snow", "on the white snow"), "#a9bfd2", "#f6f8fa", 40, _flakes),
    "desert": _outdoor_place(
        "desert", ("by a yellow desert", "in a desert"), "#f4d9a8", "#e3b75a", 46, _dunes
    ),
    "beach": _outdoor_place(
        "beach", ("by the water", "on a beach by the water"), "#cfe8f4", "#ecdca6", 38, _waves
    ),
    "grass": _outdoor_place("grass", ("on the grass", "on green grass"), "#bfe0f2", "#79b857", 40),
    "forest": _outdoor_place("forest", ("by a forest", "near a green forest"), "#b8d2b0", "#5b8046", 46, _trees),
    "mountain": _outdoor_place(
        "mountain", ("by a mountain", "near a grey mountain"), "#c4dcec", "#8fae6b", 44, _peaks
    ),
}  # fmt: skip


def patterned(color: str, pattern: str, floor: str, rng: random.Random) -> list[str]:
    """A surface in a colour with a pattern in a paler or darker shade, above a floor if that has a colour."""
    base = tint(rng, COLORS[color], 10)
    # White takes a grey pattern, everything else a pale one.
    other = "#c9c4ba" if color == "white" else tint(rng, "#f2ecdf", 6)
    found = [backdrop(base)]
    step, start = rng.uniform(10, 13), rng.uniform(0, 6)
    at = [start + step * i for i in range(8)]
    if pattern == "striped":
        found += [filled(rect(x, 0, step * 0.4, 72), other) for x in at]
    elif pattern == "dotted":
        found += [filled(circle(x, y, 2.4), other) for x in at for y in at]
    elif pattern == "checkered":
        found += [
            filled(rect(x, y, step, step), other) for i, x in enumerate(at) for j, y in enumerate(at) if (i + j) % 2
        ]
    if floor:
        found.append(filled(rect(0, 56, 72, 16), tint(rng, floor, 10)))
    return found


PATTERNS = ("", "striped", "dotted", "checkered")


def _surfaces(noun: str, leads: tuple[str, ...], colors: str, floor: str) -> Iterator[tuple[str, Place]]:
    for color in colors.split():
        for pattern in PATTERNS:
            name = f"{color} {pattern} {noun}" if pattern else f"{color} {noun}"
            phrases = tuple(lead.replace("{x}", name).replace("a orange", "an orange") for lead in leads)
            words = (color, noun, *((pattern,) if pattern else ()))
            yield name, Place(phrases, words, partial(patterned, color, pattern, floor))


TABLES = dict(_surfaces("table", ("on a {x}", "on the {x}"), "red green blue yellow white brown", ""))
ROOMS = dict(
    _surfaces("wall", ("by a {x}", "near a {x}"), "green blue yellow white orange pink", "#7d5a3c")
)  # fmt: skip


def _fence(color: str, rng: random.Random) -> list[str]:
    paint = tint(rng, COLORS[color], 8)
    start = rng.uniform(-4, 2)
    posts = [filled(rect(start + 9 * i, 18, 6, 30, 2), paint) for i in range(9)]
    return [*posts, filled(rect(0, 24, 72, 4), paint), filled(rect(0, 38, 72, 4), paint)]


def _bricks(color: str, rng: random.Random) -> list[str]:
    found = [filled(rect(0, 14, 72, 36), tint(rng, COLORS[color], 8))]
    for row in range(6):
        shift = 6 * (row % 2) + rng.uniform(-1, 1)
        found.append(filled(rect(0, 14 + 6 * row, 72, 1), "#e8e0d4"))
        found += [filled(rect(shift + 12 * i, 14 + 6 * row, 1, 6), "#e8e0d4") for i in range(7)]
    return found


_BOUNDS: tuple[tuple[str, Callable[[str, random.Random], list[str]], str], ...] = (
    ("fence", _fence, "white brown red blue purple"),
    ("brick wall", _bricks, "red grey orange"),
)


def _gardens() -> Iterator[tuple[str, Place]]:
    for noun, draw, colors in _BOUNDS:
        for color in colors.split():
            name = f"{color} {noun}"
            # No other of the colours begins with a vowel.
            article = "an" if color == "orange" else "a"
            phrases = (f"by {article} {name}", f"near {article} {name}")
            yield name, _outdoor_place(name, phrases, "#c3e2f2", "#86b565", 47, partial(draw, color))
    for name in ("grass", "snow"):
        yield name, OUTDOORS[name]


GARDENS = dict(_gardens())


# Signs in the sky (or on a wall): what else is there.


def _sun(rng: random.Random) -> list[str]:
    x, y = rng.uniform(12, 60), rng.uniform(8, 11)
    return [filled(circle(x, y, 7.5), "#ffd21f"), outlined(circle(x, y, 7.5), 1.2, "#d98a00")]


def _moon(rng: random.Random) -> list[str]:
    x, y = rng.uniform(12, 60), rng.uniform(9, 12)
    shape = filled(path(f"M {x} {y - 8} A 8 8 0 1 0 {x + 8} {y + 3} A 7 7 0 0 1 {x} {y - 8} Z"), "#fdf6cf")
    # Night lies over whatever the place has drawn.
    return [f'<{rect(0, 0, 72, 72)} fill="#0a1038" fill-opacity="0.5"/>', shape]


def _cloud(rng: random.Random) -> list[str]:
    x, y = rng.uniform(16, 56), rng.uniform(8, 11)
    return [filled(ellipse(x + dx, y + dy, r * 1.3, r), "#ffffff") for dx, dy, r in ((-8, 2, 5), (0, -1, 7), (8, 2, 5))]


def _rain(rng: random.Random) -> list[str]:
    drops = [(rng.uniform(0, 74), rng.uniform(-4, 66)) for _ in range(30)]
    gray = f'<{rect(0, 0, 72, 72)} fill="#5a6472" fill-opacity="0.35"/>'
    return [gray, *(outlined(path(f"M {x} {y} l -2.5 7"), 1.3, "#e3efff") for x, y in drops)]


def _window(rng: random.Random) -> list[str]:
    x = rng.choice((4.0, 26.0, 48.0)) + rng.uniform(-2, 2)
    return [
        filled(rect(x, 3, 20, 18), "#bfe3f7"),
        outlined(rect(x, 3, 20, 18), 2.4, "#fdfdfd"),
        outlined(path(f"M {x + 10} 3 v 18 M {x} 12 h 20"), 1.8, "#fdfdfd"),
    ]


@dataclass(frozen=True)
class Sign:
    """What else is to be seen: phrases of it, the word that names it, and its drawing over the place."""

    phrases: tuple[str, ...]
    word: str
    draw: Draw


SKY: Mapping[str, Sign] = {
    "sun": Sign(("with the sun", "and the sun above"), "sun", _sun),
    "moon": Sign(("with the moon", "by night with the moon"), "moon", _moon),
    "cloud": Sign(("with a cloud", "and a white cloud above"), "cloud", _cloud),
    "rain": Sign(("with rain", "in the rain"), "rain", _rain),
}
WALL: Mapping[str, Sign] = {"window": Sign(("with a window", "and a window behind"), "window", _window)}
