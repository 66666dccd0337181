"""The drawing kit of the sketches: shapes as SVG text, and a pen that fills and outlines them.

A *shape* is the inside of an SVG element without paint, e.g. ``circle cx="36" cy="36" r="9"``. A finished
drawing has OpenMoji's layout: fills in a group ``color``, black outlines in a group ``line``, 72 units a
side. Coordinates are rounded to two decimals, so that the same random numbers give the same text on every
machine.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Iterable, Sequence

Sketch = Callable[[random.Random], str]
Point = tuple[float, float]

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")
_ROUND = 'stroke-linecap="round" stroke-linejoin="round"'


def num(value: float) -> str:
    """A coordinate with at most two decimals."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def drawing(color: Iterable[str], line: Iterable[str]) -> str:
    """A whole SVG drawing from the elements of its two groups."""
    head = '<svg id="emoji" viewBox="0 0 72 72" xmlns="http://www.w3.org/2000/svg">'
    return f'{head}\n<g id="color">{"".join(color)}</g>\n<g id="line">{"".join(line)}</g>\n</svg>'


def ellipse(cx: float, cy: float, rx: float, ry: float, turn: float = 0) -> str:
    """An ellipse, turned clockwise by ``turn`` degrees about its middle."""
    shape = f'ellipse cx="{num(cx)}" cy="{num(cy)}" rx="{num(rx)}" ry="{num(ry)}"'
    return shape + (f' transform="rotate({num(turn)} {num(cx)} {num(cy)})"' if turn else "")


def circle(cx: float, cy: float, r: float) -> str:
    """A circle."""
    return f'circle cx="{num(cx)}" cy="{num(cy)}" r="{num(r)}"'


def rect(x: float, y: float, width: float, height: float, r: float = 0, turn: float = 0) -> str:
    """A rectangle with corners rounded by ``r``, turned about its middle."""
    shape = f'rect x="{num(x)}" y="{num(y)}" width="{num(width)}" height="{num(height)}" rx="{num(r)}"'
    middle = f"{num(x + width / 2)} {num(y + height / 2)}"
    return shape + (f' transform="rotate({num(turn)} {middle})"' if turn else "")


def polygon(points: Iterable[Point]) -> str:
    """A closed polygon."""
    return f'polygon points="{" ".join(f"{num(x)},{num(y)}" for x, y in points)}"'


def path(*parts: str | float) -> str:
    """A path from commands and coordinates: ``path("M", 1, 2, "Z")`` or ``path(f"M {x} {y} Z")``."""
    return f'path d="{_NUMBER.sub(lambda m: num(float(m[0])), " ".join(map(str, parts)))}"'


def commands(shape: str) -> str:
    """A path's commands, to join paths: ``path(commands(a), commands(b))``."""
    return shape.split('"')[1]


def smooth(points: Sequence[Point], closed: bool = False) -> str:
    """A smooth (Catmull-Rom) curve through points."""
    count = len(points)
    at = (lambda i: points[i % count]) if closed else (lambda i: points[min(max(i, 0), count - 1)])
    parts: list[str | float] = ["M", *points[0]]
    for i in range(count if closed else count - 1):
        (ax, ay), (bx, by), (cx, cy), (dx, dy) = at(i - 1), at(i), at(i + 1), at(i + 2)
        parts += ["C", bx + (cx - ax) / 6, by + (cy - ay) / 6, cx - (dx - bx) / 6, cy - (dy - by) / 6, cx, cy]
    return path(*parts, *(["Z"] if closed else []))


def polar(cx: float, cy: float, r: float, degrees: float) -> Point:
    """The point at a distance and an angle (0 to the right, 90 down)."""
    return cx + r * math.cos(math.radians(degrees)), cy + r * math.sin(math.radians(degrees))


def ring(cx: float, cy: float, rx: float, ry: float, count: int, start: float = 0) -> list[Point]:
    """Points at equal angles on an ellipse."""
    steps = (polar(0, 0, 1, start + 360 * i / count) for i in range(count))
    return [(cx + rx * x, cy + ry * y) for x, y in steps]


def blob(rng: random.Random, cx: float, cy: float, rx: float, ry: float, wobble: float = 0.12, count: int = 8) -> str:
    """A closed smooth shape near an ellipse; each of its points is off by up to ``wobble`` of the radius."""
    start = rng.uniform(0, 360)
    points = ring(0, 0, rx, ry, count, start)
    scales = [1 + rng.uniform(-wobble, wobble) for _ in points]
    return smooth([(cx + x * k, cy + y * k) for (x, y), k in zip(points, scales, strict=True)], closed=True)


def leaf(x: float, y: float, degrees: float, length: float, width: float, widest: float = 0.5) -> str:
    """A pointed leaf or petal from its foot; ``widest`` is where along its length it is broadest."""
    tip, (mx, my) = polar(x, y, length, degrees), polar(x, y, length * widest, degrees)
    # A quadratic curve reaches half way to its control point: the factor 1 makes `width` the full width.
    (lx, ly), (rx, ry) = polar(mx, my, width, degrees - 90), polar(mx, my, width, degrees + 90)
    return path("M", x, y, "Q", lx, ly, *tip, "Q", rx, ry, x, y, "Z")


def shade(color: str, factor: float) -> str:
    """A colour darkened (factor below 1) or lightened towards white (above 1)."""
    channels = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    lift = min(factor - 1, 1)
    mixed = [c * factor if factor <= 1 else c + (255 - c) * lift for c in channels]
    return "#" + "".join(f"{round(c):02x}" for c in mixed)


def tint(rng: random.Random, color: str, amount: int = 24) -> str:
    """A colour with each channel off by up to ``amount`` (of 255)."""
    channels = (int(color[i : i + 2], 16) + rng.randint(-amount, amount) for i in (1, 3, 5))
    return "#" + "".join(f"{min(max(c, 0), 255):02x}" for c in channels)


def filled(shape: str, color: str) -> str:
    """A shape's fill, for the group ``color``."""
    return f'<{shape} fill="{color}"/>'


def outlined(shape: str, width: float = 2, color: str = "#000") -> str:
    """A shape's outline, for the group ``line``; with another colour, a coloured stroke."""
    return f'<{shape} fill="none" stroke="{color}" stroke-width="{num(width)}" {_ROUND}/>'


class Pen:
    """Collects fills and outlines; a later solid shape hides the outlines that lie behind it."""

    def __init__(self) -> None:
        self.color: list[str] = []
        self.line: list[str] = []
        self._masks = 0

    def _without(self, elements: Sequence[str], hole: str) -> str:
        """Elements with a hole (a painted black element) cut out of them."""
        self._masks += 1
        area = 'x="-72" y="-72" width="216" height="216"'
        name = f"m{self._masks}"
        mask = f'<mask id="{name}" maskUnits="userSpaceOnUse" {area}><rect {area} fill="#fff"/>{hole}</mask>'
        return f'{mask}<g mask="url(#{name})">{"".join(elements)}</g>'

    def fill(self, shape: str, color: str) -> None:
        """Fill without an outline."""
        self.color.append(filled(shape, color))

    def trace(self, shape: str, width: float = 2) -> None:
        """Outline without a fill."""
        self.line.append(outlined(shape, width))

    def both(self, shape: str, color: str, width: float = 2) -> None:
        """Fill and outline a solid shape."""
        self.fill(shape, color)
        if self.line:
            self.line = [self._without(self.line, filled(shape, "#000"))]
        self.trace(shape, width)

    def tube(self, shape: str, color: str, width: float, edge: float = 2) -> None:
        """A thick coloured stroke along a path, with an outline on either side: stems, legs, tails."""
        self.color.append(outlined(shape, width, color))
        if self.line:
            self.line = [self._without(self.line, outlined(shape, width))]
        self.line.append(self._without([outlined(shape, width + edge)], outlined(shape, max(width - edge, 0.1))))

    def stripe(self, shape: str, color: str, width: float) -> None:
        """A coloured stroke without an outline: markings."""
        self.color.append(outlined(shape, width, color))

    def dot(self, x: float, y: float, rx: float = 1.8, ry: float | None = None, turn: float = 0) -> None:
        """A black spot in the line group: eyes, nostrils, pips."""
        self.line.append(filled(ellipse(x, y, rx, rx if ry is None else ry, turn), "#000"))

    def svg(self, mirror: bool = False, turn: float = 0, stretch: Point = (1, 1)) -> str:
        """The whole drawing, stretched, turned (degrees) and mirrored about the middle of the view box."""
        sx, sy = (-stretch[0] if mirror else stretch[0]), stretch[1]
        move = f"translate(36 36) rotate({num(turn)}) scale({num(sx)} {num(sy)}) translate(-36 -36)"
        groups = ([f'<g transform="{move}">', *group, "</g>"] for group in (self.color, self.line))
        return drawing(*groups)
