"""The places of the stories: coloured papers, on which everything is in two tones."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import partial

from vlcl_bench.mini.drawings.pen import circle, filled, outlined, path, polygon, rect, tint
from vlcl_bench.mini.scene_settings import Draw, Place, backdrop


@dataclass(frozen=True)
class Mood(Place):
    """A place of the stories, with the two tones in which the things in it are painted."""

    dark: str
    light: str


def _paper(color: str, more: Draw, rng: random.Random) -> list[str]:
    return [backdrop(tint(rng, color, 8)), *more(rng)]


def _low_sun(color: str, rng: random.Random) -> list[str]:
    x = rng.uniform(22, 50)
    rays = [
        outlined(path(f"M {x + 30 * dx} {66 - 30 * dy} L {x + 70 * dx} {66 - 70 * dy}"), 3, color) for dx, dy in _FAN
    ]
    return [filled(circle(x, 66, 24), color), *rays]


_FAN = ((-1, 0.15), (-0.8, 0.6), (-0.35, 0.94), (0.2, 0.98), (0.7, 0.7), (0.97, 0.25))


def _bands(rng: random.Random) -> list[str]:
    y = rng.uniform(14, 20)
    colors = ("#e8743a", "#c04a5e", "#7d3a78")
    return [filled(rect(0, y + 16 * i, 72, 72), color) for i, color in enumerate(colors)]


def _stars(rng: random.Random) -> list[str]:
    points = [(rng.uniform(2, 70), rng.uniform(2, 70)) for _ in range(22)]
    return [filled(polygon([(x, y - 2.6), (x + 1.6, y), (x, y + 2.6), (x - 1.6, y)]), "#f7e9a0") for x, y in points]


def _strokes(rng: random.Random) -> list[str]:
    points = [(rng.uniform(0, 76), rng.uniform(-6, 70)) for _ in range(34)]
    return [outlined(path(f"M {x} {y} l -4 9"), 1.5, "#dfe6ee") for x, y in points]


def _big_flakes(rng: random.Random) -> list[str]:
    return [filled(circle(rng.uniform(0, 72), rng.uniform(0, 72), rng.uniform(1.2, 2.6)), "#9db6d6") for _ in range(26)]


def _trunks(rng: random.Random) -> list[str]:
    found = []
    for i in range(5):
        x = 2 + 15 * i + rng.uniform(-3, 3)
        found.append(filled(rect(x, 12, 5, 60), "#6d9360"))
        found.append(filled(circle(x + 2.5, 10, 10), "#7fa86c"))
    return found


def _ripples(rng: random.Random) -> list[str]:
    found = []
    for i in range(6):
        y, shift = 6 + 12 * i + rng.uniform(-1, 1), rng.uniform(-8, 0)
        found.append(outlined(path(f"M {shift} {y}" + " q 5 -6 10 0 q 5 6 10 0" * 4), 2, "#8fd0d2"))
    return found


def _mood(word: str, phrases: tuple[str, ...], paper: str, tones: tuple[str, str], more: Draw) -> Mood:
    return Mood(phrases, (word,), partial(_paper, paper, more), *tones)


MOODS = {
    mood.words[0]: mood
    for mood in (
        _mood("sunrise", ("at sunrise", "by sunrise"), "#f9d9c0", ("#5a2340", "#fff1e0"), partial(_low_sun, "#f6b48a")),
        _mood("sunset", ("at sunset", "by sunset"), "#f3b04a", ("#2c1030", "#ffe6b0"), _bands),
        _mood("stars", ("by night with the stars", "below bright stars"), "#1d2450", ("#0a0d26", "#f4efd8"), _stars),
        _mood("rain", ("in pouring rain", "while rain comes down"), "#8593a3", ("#1c2733", "#eef3f7"), _strokes),
        _mood("snow", ("in falling snow", "on a day of snow"), "#e6eef7", ("#26375c", "#ffffff"), _big_flakes),
        _mood("forest", ("deep in the forest", "near a quiet forest"), "#a9cc94", ("#16341f", "#f0f8da"), _trunks),
        _mood("water", ("by the water", "close to the water"), "#4fa9b4", ("#0d3440", "#eafaf5"), _ripples),
    )
}  # fmt: skip
