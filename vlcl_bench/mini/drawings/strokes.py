"""Handwritten characters as pen strokes: digits for pretraining, letters for the development stream.

Each character is a few polylines in a unit square (x to the right, y down). A drawing jitters the points,
slants and stretches the whole, and varies the pen, as hands do. The benchmark's own digits are real ones
(scikit-learn's handwritten digits), so these only teach what the characters look like.
"""

from __future__ import annotations

import itertools
import random

from vlcl_bench.mini.drawings.pen import Sketch, drawing

Polyline = list[tuple[float, float]]

_RING: Polyline = [
    (0.5, 0),
    (0.15, 0.15),
    (0.05, 0.5),
    (0.15, 0.85),
    (0.5, 1),
    (0.85, 0.85),
    (0.95, 0.5),
    (0.85, 0.15),
]

SKELETONS: dict[str, list[list[Polyline]]] = {
    "0 - zero": [[[*_RING, (0.5, 0)]]],
    "1 - one": [[[(0.5, 0), (0.5, 1)]], [[(0.25, 0.25), (0.55, 0), (0.55, 1)]]],
    "2 - two": [[[(0.1, 0.25), (0.3, 0), (0.7, 0), (0.9, 0.25), (0.7, 0.55), (0.1, 1), (0.95, 1)]]],
    "3 - three": [
        [
            [
                (0.1, 0.1),
                (0.5, 0),
                (0.85, 0.2),
                (0.7, 0.45),
                (0.4, 0.5),
                (0.8, 0.6),
                (0.9, 0.8),
                (0.5, 1),
                (0.1, 0.9),
            ]
        ]
    ],
    "4 - four": [
        [[(0.6, 0), (0.1, 0.65), (0.95, 0.65)], [(0.7, 0.3), (0.7, 1)]],
        [[(0.15, 0), (0.15, 0.55), (0.9, 0.55)], [(0.75, 0), (0.75, 1)]],
    ],
    "5 - five": [[[(0.85, 0), (0.2, 0), (0.15, 0.45), (0.6, 0.4), (0.9, 0.65), (0.75, 0.95), (0.4, 1), (0.1, 0.9)]]],
    "6 - six": [
        [
            [
                (0.7, 0),
                (0.3, 0.3),
                (0.1, 0.7),
                (0.3, 1),
                (0.7, 1),
                (0.9, 0.75),
                (0.7, 0.5),
                (0.35, 0.5),
                (0.12, 0.7),
            ]
        ]
    ],
    "7 - seven": [
        [[(0.1, 0), (0.9, 0), (0.45, 1)]],
        [[(0.1, 0.05), (0.9, 0), (0.5, 1)], [(0.3, 0.5), (0.85, 0.5)]],
    ],
    "8 - eight": [
        [
            [(0.5, 0.48), (0.2, 0.3), (0.25, 0.05), (0.5, 0), (0.75, 0.05), (0.8, 0.3), (0.5, 0.48)],
            [(0.5, 0.48), (0.1, 0.7), (0.2, 0.95), (0.5, 1), (0.8, 0.95), (0.9, 0.7), (0.5, 0.48)],
        ]
    ],
    "9 - nine": [
        [
            [
                (0.85, 0.3),
                (0.6, 0.5),
                (0.25, 0.45),
                (0.15, 0.2),
                (0.4, 0),
                (0.75, 0.05),
                (0.87, 0.3),
                (0.8, 0.7),
                (0.6, 1),
            ]
        ]
    ],
    "letter A": [[[(0.05, 1), (0.5, 0), (0.95, 1)], [(0.25, 0.62), (0.75, 0.62)]]],
    "letter E": [[[(0.9, 0), (0.15, 0), (0.15, 1), (0.9, 1)], [(0.15, 0.5), (0.75, 0.5)]]],
    "letter H": [[[(0.15, 0), (0.15, 1)], [(0.85, 0), (0.85, 1)], [(0.15, 0.5), (0.85, 0.5)]]],
    "letter K": [[[(0.15, 0), (0.15, 1)], [(0.85, 0), (0.2, 0.5), (0.9, 1)]]],
    "letter M": [[[(0.05, 1), (0.15, 0), (0.5, 0.6), (0.85, 0), (0.95, 1)]]],
    "letter R": [[[(0.15, 1), (0.15, 0), (0.7, 0.02), (0.85, 0.25), (0.7, 0.48), (0.2, 0.5), (0.9, 1)]]],
    "letter T": [[[(0.05, 0), (0.95, 0)], [(0.5, 0), (0.5, 1)]]],
    "letter X": [[[(0.1, 0), (0.9, 1)], [(0.9, 0), (0.1, 1)]]],
}


def write(character: str, rng: random.Random) -> str:
    """One handwritten instance of a character of :data:`SKELETONS`."""
    width, height = rng.uniform(20, 40), rng.uniform(44, 58)
    slant, pen, wobble = rng.uniform(-0.2, 0.35), rng.uniform(3.0, 9.0), rng.uniform(0.0, 0.06)
    strokes = []
    for line in rng.choice(SKELETONS[character]):
        points = []
        for x, y in line:
            x, y = x + rng.uniform(-wobble, wobble), y + rng.uniform(-wobble, wobble)
            points.append((36 + (x - 0.5) * width + (0.5 - y) * slant * height * 0.6, 36 + (y - 0.5) * height))
        strokes.append(
            f'<path d="{_smooth(points)}" fill="none" stroke="#000" stroke-width="{pen:.2f}"'
            ' stroke-linecap="round" stroke-linejoin="round"/>'
        )
    return drawing([], strokes)


def _smooth(points: Polyline) -> str:
    """A path through the middles of the segments with the points as controls: round turns, straight ends."""
    if len(points) == 2:
        (x0, y0), (x1, y1) = points
        return f"M{x0:.2f} {y0:.2f}L{x1:.2f} {y1:.2f}"
    path = f"M{points[0][0]:.2f} {points[0][1]:.2f}"
    for (x0, y0), (x1, y1) in itertools.pairwise(points[1:]):
        # Three quarters of the way keeps corners recognisable while no turn is angular.
        path += f"Q{x0:.2f} {y0:.2f} {x0 * 0.4 + x1 * 0.6:.2f} {y0 * 0.4 + y1 * 0.6:.2f}"
    return path + f"L{points[-1][0]:.2f} {points[-1][1]:.2f}"


def _sketch(character: str) -> Sketch:
    return lambda rng: write(character, rng)


CONCEPTS: dict[str, Sketch] = {character: _sketch(character) for character in SKELETONS}
