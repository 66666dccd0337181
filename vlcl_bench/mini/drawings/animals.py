"""Parametric drawings of animals: every call draws another animal of its kind, in another pose.

The four-footed ones share their poses (a face, sitting, walking) and their coats, so that ears, snouts and
tails must tell them apart.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from vlcl_bench.mini.drawings.pen import (
    Pen,
    Point,
    Sketch,
    circle,
    ellipse,
    leaf,
    path,
    polar,
    polygon,
    rect,
    ring,
    shade,
    smooth,
    tint,
)

FUR = ("#8a5a3a", "#b98a5a", "#8f9298", "#5a5560", "#e8d9c0", "#d9873f", "#f4f0ea", "#c9a98a")
BRIGHT = (
    "#e8603a",
    "#f5c23f",
    "#4a8fd0",
    "#7a5ab0",
    "#5aa86a",
    "#e07aa8",
    "#3fb0b0",
    "#c0392b",
    "#8a6a4a",
    "#9aa4b0",
)


class Build(NamedTuple):
    """A four-footed body: half length, half height, leg length and width, size of the head, its lift."""

    long: float
    high: float
    leg: float
    thick: float
    head: float
    lift: float


class Coat(NamedTuple):
    """What a head's painter needs: the pen, the random numbers, the fur's colour and a paler one."""

    pen: Pen
    rng: random.Random
    fur: str
    pale: str


Head = Callable[[Coat, float, float, float], None]
Tail = Callable[[Coat, float, float, float], None]


def _pick(rng: random.Random, colors: Sequence[str], amount: int = 12) -> str:
    """One of some colours, slightly off."""
    return tint(rng, rng.choice(colors), amount)


def _eyes(pen: Pen, rng: random.Random, x: float, y: float, apart: float, r: float) -> None:
    """A pair of eyes: round, tall or shut."""
    look = rng.choice(("round", "round", "tall", "shut"))
    for side in (-1, 1):
        if look == "shut":
            pen.trace(path(f"M {x + side * apart - r} {y} q {r} {-r * 1.3} {2 * r} 0"), 1.6)
        else:
            pen.dot(x + side * apart, y, r, r * (1.5 if look == "tall" else 1))


def _mammal(rng: random.Random, head: Head, tail: Tail, colors: Sequence[str], build: Build) -> str:
    """A four-footed animal's face alone, or the whole of it sitting or walking."""
    pen, fur = Pen(), _pick(rng, colors, 14)
    coat = Coat(pen, rng, fur, shade(fur, 1.55))
    pose = rng.choice(("face", "sit", "walk", "walk"))
    if pose == "face":
        head(coat, 36, 40, rng.uniform(20, 23))
        size = (rng.uniform(0.9, 1.05), rng.uniform(0.9, 1.05))
        return pen.svg(rng.random() < 0.5, rng.uniform(-12, 12), size)
    r = 13 * build.head * rng.uniform(0.92, 1.08)
    if pose == "sit":
        wide, tall = rng.uniform(13, 17), rng.uniform(17, 20)
        tail(coat, 36 + wide * 0.8, 50, 1)
        pen.both(ellipse(36, 67 - tall, wide, tall), fur)
        if rng.random() < 0.6:
            pen.fill(ellipse(36, 70 - tall, wide * 0.6, tall * 0.7), coat.pale)
        for side in (-1, 1):
            pen.both(ellipse(36 + side * wide * 0.62, 65, 6, 4), fur)
            pen.trace(path(f"M {36 + side * 4} {64 - tall * 0.8} V 63"), 1.6)
        head(coat, 36 + rng.uniform(-2, 2), max(50 - tall * 0.7 - r * 0.35, r + 9), r)
        return pen.svg(rng.random() < 0.5, rng.uniform(-6, 6))
    long, high = build.long * rng.uniform(0.9, 1.1), build.high * rng.uniform(0.9, 1.12)
    y = 66 - build.leg - high
    x = 40.0
    tail(coat, x + long * 0.9, y - high * 0.2, 1)
    feet = [(x + t * long, rng.uniform(-3, 3)) for t in (-0.42, 0.82, -0.75, 0.5)]
    for i, (fx, step) in enumerate(feet):
        if i == 2:
            pen.both(ellipse(x, y, long, high), fur)
        color = shade(fur, 0.82) if i < 2 else fur
        hip, left = y + high * 0.4, fx + step - build.thick / 2
        pen.both(rect(left, hip, build.thick, 66 - hip, build.thick * 0.4), color)
    # The body's middle hides where the near legs join it.
    pen.both(ellipse(x, y - high * 0.12, long * 0.93, high * 0.8), fur, 0.01)
    head(coat, x - long * 0.95, y - high * 0.5 - build.lift * rng.uniform(0.8, 1.3), r)
    return pen.svg(rng.random() < 0.5, rng.uniform(-5, 5), (0.96, 0.97))


def _whiskers(pen: Pen, x: float, y: float, r: float) -> None:
    """Two or so whiskers on either side."""
    for side in (-1, 1):
        for lift in (-0.12, 0.14):
            shape = path(f"M {x + side * r * 0.5} {y + lift * r * 0.5} L {x + side * r * 1.2} {y + lift * r * 1.6}")
            pen.trace(shape, 1)


def _long_tail(coat: Coat, x: float, y: float, scale: float) -> None:
    """A long furry tail, raised or trailing."""
    up = coat.rng.choice((1, 1, -0.4))
    tip = (x + coat.rng.uniform(5, 10), y - 22 * up)
    shape = path(f"M {x} {y} Q {x + 12} {y - 2} {x + 9} {y - 12 * up} T {tip[0]} {tip[1]}")
    coat.pen.tube(shape, coat.fur, 5 * scale)


def _short_tail(coat: Coat, x: float, y: float, scale: float) -> None:
    """A round puff."""
    coat.pen.both(circle(x + 2, y + 1, coat.rng.uniform(4, 6) * scale), coat.pale)


def _thin_tail(coat: Coat, x: float, y: float, scale: float) -> None:
    """A long bare tail."""
    end = y + coat.rng.uniform(-18, 6)
    shape = path(f"M {x} {y} C {x + 10} {y + 4} {x + 4} {end} {x + 14} {end}")
    coat.pen.tube(shape, "#e0a0a0", 3 * scale, 1.6)


def _tuft_tail(coat: Coat, x: float, y: float, scale: float) -> None:
    """A hanging tail with a tuft."""
    coat.pen.tube(path(f"M {x} {y} q 7 3 5 13"), coat.fur, 3.5 * scale, 1.8)
    coat.pen.both(leaf(x + 5, y + 11, 90, 8, 5), shade(coat.fur, 0.6), 1.6)


def _curl_tail(coat: Coat, x: float, y: float, scale: float) -> None:
    """A corkscrew."""
    coat.pen.tube(path(f"M {x} {y} q 9 2 7 -5 q -3 -5 -5 0 q 0 5 9 2"), coat.fur, 3 * scale, 1.8)


def _cat_head(coat: Coat, x: float, y: float, r: float) -> None:
    """Pointed ears, whiskers, a small nose."""
    pen, rng = coat.pen, coat.rng
    tall, wide = rng.uniform(1.25, 1.5) * r, rng.uniform(0.95, 1.08) * r
    for side in (-1, 1):
        ear = [(wide * 0.95, r * 0.1), (wide * 0.85, tall), (r * 0.15, r * 0.75)]
        ear = [(x + side * a, y - b) for a, b in ear]
        pen.both(polygon(ear), coat.fur)
        cx, cy = (sum(p[k] for p in ear) / 3 for k in (0, 1))
        pen.fill(polygon([(cx + (a - cx) * 0.5, cy + (b - cy) * 0.5) for a, b in ear]), "#f0b8b8")
    pen.both(ellipse(x, y, wide, r * 0.86), coat.fur)
    if rng.random() < 0.45:
        for dx in (-0.25, 0, 0.25):
            pen.stripe(path(f"M {x + dx * r} {y - r * 0.78} v {r * 0.3}"), shade(coat.fur, 0.6), r * 0.11)
    if rng.random() < 0.5:
        pen.fill(ellipse(x, y + r * 0.42, r * 0.5, r * 0.36), coat.pale)
    _eyes(pen, rng, x, y - r * 0.05, r * 0.42, r * 0.11)
    shape = polygon([(x - r * 0.12, y + r * 0.2), (x + r * 0.12, y + r * 0.2), (x, y + r * 0.34)])
    pen.both(shape, "#e08a8a", 1)
    a, b, c = r * 0.16, r * 0.12, r * 0.28
    shape = path(f"M {x - c} {y + r * 0.5} q {a} {r * 0.1} {c} {-r * 0.14} q {b} {r * 0.24} {c} {r * 0.14}")
    pen.trace(shape, 1.3)
    _whiskers(pen, x, y + r * 0.35, r)


def _rabbit_head(coat: Coat, x: float, y: float, r: float) -> None:
    """Long ears, one of them perhaps folded; front teeth."""
    pen, rng = coat.pen, coat.rng
    y, r = y + r * 0.35, r * 0.8
    long, splay = rng.uniform(0.72, 0.95) * r, rng.uniform(6, 24)
    for side in (-1, 1):
        lop = rng.random() < 0.15
        turn = side * (splay + (75 if lop else 0))
        ex, ey = polar(x + side * r * 0.4, y - r * 0.5, long * 0.85, turn - 90)
        pen.both(ellipse(ex, ey, r * 0.27, long, turn), coat.fur)
        pen.fill(ellipse(ex, ey, r * 0.13, long * 0.7, turn), "#f0b8b8")
    pen.both(ellipse(x, y, r * 0.9, r * rng.uniform(0.8, 0.95)), coat.fur)
    _eyes(pen, rng, x, y - r * 0.1, r * 0.42, r * 0.12)
    for side in (-1, 1):
        pen.both(ellipse(x + side * r * 0.22, y + r * 0.4, r * 0.28, r * 0.2), coat.pale, 1.1)
    pen.both(rect(x - r * 0.14, y + r * 0.5, r * 0.28, r * 0.28, 1), "#ffffff", 1.1)
    pen.both(ellipse(x, y + r * 0.2, r * 0.13, r * 0.09), "#e08a8a", 1.1)


def _bear_head(coat: Coat, x: float, y: float, r: float) -> None:
    """Small round ears and a broad muzzle."""
    pen, rng = coat.pen, coat.rng
    ear = rng.uniform(0.3, 0.4) * r
    for side in (-1, 1):
        ex, ey = polar(x, y, r * 0.98, -90 + side * rng.uniform(42, 48))
        pen.both(circle(ex, ey, ear), coat.fur)
        pen.fill(circle(ex, ey, ear * 0.5), shade(coat.fur, 0.7))
    pen.both(ellipse(x, y, r, r * 0.92), coat.fur)
    drop = rng.uniform(0.3, 0.42) * r
    pen.both(ellipse(x, y + drop, r * rng.uniform(0.45, 0.58), r * 0.4), coat.pale, 1.4)
    pen.dot(x, y + drop - r * 0.16, r * 0.18, r * 0.13)
    shape = path(f"M {x} {y + drop} v {r * 0.14} m {-r * 0.18} {r * 0.06} q {r * 0.18} {r * 0.12} {r * 0.36} 0")
    pen.trace(shape, 1.3)
    _eyes(pen, rng, x, y - r * 0.14, r * 0.4, r * 0.1)


def _elephant_head(coat: Coat, x: float, y: float, r: float) -> None:
    """Great flat ears, a trunk, often tusks."""
    pen, rng = coat.pen, coat.rng
    y -= r * 0.2
    for side in (-1, 1):
        spread = rng.uniform(0.85, 0.95) * r
        shape = ellipse(x + side * spread, y - r * 0.05, r * 0.55, r * rng.uniform(0.72, 0.85), side * -10)
        pen.both(shape, coat.fur)
        pen.fill(ellipse(x + side * spread * 1.05, y, r * 0.32, r * 0.5, side * -10), shade(coat.fur, 0.82))
    pen.both(ellipse(x, y, r * 0.72, r * 0.8), coat.fur)
    if rng.random() < 0.65:
        for side in (-1, 1):
            shape = leaf(x + side * r * 0.36, y + r * 0.5, 90 - side * 25, r * 0.7, r * 0.25)
            pen.both(shape, "#fbf6e6", 1.4)
    swing, width = rng.choice((-1, 1)) * rng.uniform(0.25, 0.75) * r, r * rng.uniform(0.34, 0.42)
    shape = path(f"M {x} {y + r * 0.25} V {y + r * 0.8} Q {x} {y + r * 1.4} {x + swing} {y + r * 1.25}")
    pen.tube(shape, coat.fur, width)
    # The top of the trunk melts into the face.
    pen.both(ellipse(x, y + r * 0.1, width * 0.52, r * 0.35), coat.fur, 0.01)
    for lift in (0.6, 0.85):
        pen.trace(path(f"M {x - width * 0.3} {y + r * lift} h {width * 0.6}"), 1.1)
    _eyes(pen, rng, x, y - r * 0.1, r * 0.36, r * 0.09)


def _mouse_head(coat: Coat, x: float, y: float, r: float) -> None:
    """Very large round ears on a face that narrows to the nose."""
    pen, rng = coat.pen, coat.rng
    ear = rng.uniform(0.52, 0.64) * r
    for side in (-1, 1):
        ex, ey = x + side * r * 0.74, y - r * rng.uniform(0.62, 0.72)
        pen.both(circle(ex, ey, ear), coat.fur)
        pen.fill(circle(ex, ey, ear * 0.62), "#f0b8b8")
    a, top, cheek, low = r * 0.85, y - r * 0.8, y + r * 0.3, y + r * 0.85
    right = f"C {x + a * 1.1} {top} {x + a} {cheek} {x} {low}"
    left = f"C {x - a} {cheek} {x - a * 1.1} {top} {x} {top}"
    pen.both(path(f"M {x} {top} {right} {left} Z"), coat.fur)
    _eyes(pen, rng, x, y - r * 0.12, r * 0.3, r * 0.1)
    _whiskers(pen, x, y + r * 0.5, r * 0.75)
    pen.both(circle(x, low - r * 0.08, r * 0.15), "#e08a9a", 1.4)


def _pig_head(coat: Coat, x: float, y: float, r: float) -> None:
    """Flopped triangular ears and a flat snout."""
    pen, rng = coat.pen, coat.rng
    pen.both(ellipse(x, y, r, r * 0.88), coat.fur)
    for side in (-1, 1):
        out = rng.uniform(0.95, 1.2) * r
        ear = [(r * 0.3, r * 0.8), (out, r), (r * 0.88, r * 0.3)]
        ear = [(x + side * a, y - b) for a, b in ear]
        pen.both(polygon(ear), shade(coat.fur, 0.88))
    wide = rng.uniform(0.38, 0.48) * r
    pen.both(ellipse(x, y + r * 0.25, wide, wide * 0.72), shade(coat.fur, 0.85), 1.6)
    for side in (-1, 1):
        pen.dot(x + side * wide * 0.4, y + r * 0.25, r * 0.07, r * 0.12)
    pen.trace(path(f"M {x - r * 0.25} {y + r * 0.66} q {r * 0.25} {r * 0.14} {r * 0.5} 0"), 1.4)
    _eyes(pen, rng, x, y - r * 0.2, r * 0.46, r * 0.1)


def cat(rng: random.Random) -> str:
    """A cat."""
    return _mammal(rng, _cat_head, _long_tail, FUR, Build(18, 9.5, 15, 5.5, 0.95, 6))


def rabbit(rng: random.Random) -> str:
    """A rabbit."""
    return _mammal(rng, _rabbit_head, _short_tail, FUR, Build(17, 12, 6, 7, 1.05, 6))


def bear(rng: random.Random) -> str:
    """A bear."""
    return _mammal(rng, _bear_head, _short_tail, FUR, Build(21, 14.5, 11, 9.5, 0.95, 4))


def elephant(rng: random.Random) -> str:
    """An elephant."""
    colors = ("#9aa4b0", "#8a8f98", "#b0a59a", "#a0a8c8", "#c0b0a8")
    return _mammal(rng, _elephant_head, _tuft_tail, colors, Build(18, 15, 12, 9, 0.98, 4))


def mouse(rng: random.Random) -> str:
    """A mouse."""
    return _mammal(rng, _mouse_head, _thin_tail, FUR, Build(15, 11, 4, 5, 1.0, 2))


def pig(rng: random.Random) -> str:
    """A pig."""
    colors = ("#f2b0b8", "#e89aa8", "#d9a890", "#8a7a78", "#f0cfc0")
    return _mammal(rng, _pig_head, _curl_tail, colors, Build(19, 13, 8, 7, 0.92, 1))


def fish(rng: random.Random) -> str:
    """A fish, slim or deep, with fins and often stripes or scales."""
    pen, color = Pen(), _pick(rng, BRIGHT, 18)
    fin = shade(color, 0.75) if rng.random() < 0.5 else _pick(rng, BRIGHT, 18)
    long, high = rng.uniform(21, 26), rng.uniform(10, 20)
    x, fork = 32.0, rng.uniform(-2, 8)
    tail, tall = x + long - 3, rng.uniform(10, 16)
    pen.both(path(f"M {tail} 36 L 68 {36 - tall} Q {68 - fork} 36 68 {36 + tall} Z"), fin)
    rise = high + rng.uniform(5, 9)
    end = x + long * 0.6
    shape = path(f"M {x - long * 0.4} {38 - high} Q {x} {36 - rise * 1.2} {end} {36 - rise * 0.8} L {end} 36 Z")
    pen.both(shape, fin)
    if rng.random() < 0.7:
        pen.both(path(f"M {x - 2} {34 + high} L {x + 10} {36 + rise} L {x + 14} 38 Z"), fin)
    front, rear, bulge, belly = x - long * 0.6, x + long * 0.4, high * 1.4, high * 1.3
    over = f"C {front} {36 - bulge} {rear} {36 - belly} {x + long} 36"
    under = f"C {rear} {36 + belly} {front} {36 + bulge} {x - long} 36"
    pen.both(path(f"M {x - long} 36 {over} {under} Z"), color)
    marks = rng.choice(("stripes", "scales", "none"))
    for t in (-0.15, 0.2, 0.5) if marks == "stripes" else ():
        reach = high * (0.85 - 0.75 * max(t, 0)) * 0.95
        shape = path(f"M {x + t * long} {36 - reach} q 4 {reach} 0 {2 * reach}")
        pen.stripe(shape, _pick(rng, ("#ffffff", "#26262e", fin)), 4)
    for dx, dy in ((0, -5), (0, 5), (8, 0), (14, -4), (14, 4)) if marks == "scales" else ():
        pen.trace(path(f"M {x + dx - 2} {36 + dy * high / 14 - 3} q 5 3 0 6"), 1.3)
    pen.both(leaf(x - 2, 38, 25 + rng.uniform(-15, 25), 11, 7), fin, 1.6)
    pen.both(circle(x - long * 0.58, 36 - high * 0.22, 3.2), "#ffffff", 1.2)
    pen.dot(x - long * 0.6, 36 - high * 0.22, 1.7)
    pen.trace(path(f"M {x - long * 0.93} 38 q 3 2 5 0.5"), 1.4)
    return pen.svg(rng.random() < 0.5, rng.uniform(-18, 18))


def bird(rng: random.Random) -> str:
    """A bird that stands, or flies with raised wings."""
    pen, color = Pen(), _pick(rng, BRIGHT, 18)
    wing = shade(color, 0.75) if rng.random() < 0.6 else _pick(rng, BRIGHT)
    beak = _pick(rng, ("#f0a030", "#5a5560", "#e0702f"))
    flying = rng.random() < 0.35
    long, high = rng.uniform(16, 20), rng.uniform(10.5, 14)
    x, y = 38.0, 40.0 if flying else rng.uniform(38, 41)
    tilt = rng.uniform(-5, 8) if flying else rng.uniform(8, 28)
    r, back = rng.uniform(8, 10.5), polar(x, y, long * 0.75, tilt)
    hx, hy = polar(x, y, long * 0.85, 180 + tilt + rng.uniform(0, 25))
    if not flying:
        for dx in (-2, 5):
            pen.trace(path(f"M {x + dx} {y + high * 0.8} V 65 m -5 2 l 5 -2 l 4 2"), 1.8)
    else:
        pen.both(leaf(x - 4, y - 4, rng.uniform(-75, -55), 28, 13, 0.4), shade(wing, 0.85))
    for spread in (-9, 9, 0)[: rng.randint(2, 3)]:
        pen.both(leaf(*back, tilt + spread, rng.uniform(17, 22), 8, 0.65), wing)
    long_beak = rng.uniform(6, 12)
    shape = polygon([(hx - r * 0.8, hy - 3), (hx - r - long_beak, hy + rng.uniform(0, 3)), (hx - r * 0.8, hy + 4)])
    pen.both(shape, beak)
    if rng.random() < 0.3:
        for turn in (-110, -80, -50):
            pen.both(leaf(hx, hy - r * 0.7, turn, 9, 4), wing, 1.5)
    pen.both(ellipse(x, y, long, high, tilt), color)
    pen.both(circle(hx, hy, r), color)
    # No line between the head and the body.
    pen.both(circle(hx + (x - hx) * 0.45, hy + (y - hy) * 0.45, min(r, high) * 0.85), color, 0.01)
    if rng.random() < 0.5:
        pen.fill(ellipse(x - 4, y + high * 0.4, long * 0.5, high * 0.42, tilt), shade(color, 1.5))
    if flying:
        pen.both(leaf(x + 2, y - 2, rng.uniform(-110, -75), rng.uniform(30, 34), 15, 0.4), wing)
    else:
        pen.both(leaf(x - 7, y - 2, tilt + rng.uniform(0, 15), long * 1.25, high * 0.9, 0.35), wing)
    pen.dot(hx - r * 0.2, hy - r * 0.2, 1.8)
    return pen.svg(rng.random() < 0.5, rng.uniform(-8, 8), (0.92, rng.uniform(0.92, 1)))


def butterfly(rng: random.Random) -> str:
    """Two pairs of patterned wings on a thin body, spread or folded."""
    pen, color, inner = Pen(), _pick(rng, BRIGHT, 18), _pick(rng, (*BRIGHT, "#ffffff"), 18)
    folded = rng.random() < 0.25
    top, low = rng.uniform(25, 30), rng.uniform(18, 23)
    rise, drop = rng.uniform(-48, -30), rng.uniform(35, 55)
    fat_top, fat_low = rng.uniform(9, 12), rng.uniform(8, 10.5)
    cx = 20 if folded else 36
    if folded:
        top, low, fat_top, fat_low = top * 1.3, low * 1.3, fat_top * 1.3, fat_low * 1.3
    pattern = rng.choice(("spots", "inner", "both", "plain"))
    for side in (1,) if folded else (-1, 1):
        for turn, reach, fat in ((drop, low, fat_low), (rise, top, fat_top)):
            a = turn if side > 0 else 180 - turn
            (x, y), base = polar(cx, 37, reach * 0.6, a), 34 + 3 * math.copysign(1, turn)
            end = polar(cx, 37, reach * 1.12, a)
            near, far = [], []
            for across in (-90, 90):
                near.append(polar(x, y, fat, a + across))
                far.append(polar(*end, fat * 0.9, a + across))
            front, back = ("C", *near[0], *far[0], *end), ("C", *far[1], *near[1], cx, base)
            pen.both(path("M", cx, base, *front, *back, "Z"), color)
            if pattern in ("inner", "both"):
                pen.fill(ellipse(x, y, reach * 0.3, fat * 0.5, a), inner)
            if pattern in ("spots", "both"):
                pen.both(circle(*polar(cx, 37, reach * 0.9, a), rng.uniform(1.8, 3)), inner, 1.2)
    dark = _pick(rng, ("#3a2a2a", "#5a4030", "#26262e"))
    for side in (-1, 1):
        pen.trace(path(f"M {cx} 24 Q {cx + side * 2} 16 {cx + side * 8} 13"), 1.5)
        pen.dot(cx + side * 8, 13, 1.5)
    pen.both(ellipse(cx, 38, rng.uniform(2.3, 3.5), 13), dark)
    pen.both(circle(cx, 25, 3.2), dark)
    return pen.svg(rng.random() < 0.5, rng.uniform(-30, 30), (1, rng.uniform(0.95, 1.1)))


def snail(rng: random.Random) -> str:
    """A whorled shell on a creeping foot, with stalked eyes."""
    pen, body = Pen(), _pick(rng, ("#d9b98a", "#b8a07a", "#c8c08a", "#e0a890", "#9aa08a"), 14)
    shell = _pick(rng, BRIGHT, 16)
    r = rng.uniform(16, 21)
    cx, cy, head = rng.uniform(39, 43), 60 - r * 0.95, rng.uniform(33, 42)
    for dx, tall in ((-5, rng.uniform(10, 15)), (3, rng.uniform(11, 16))):
        pen.tube(path(f"M 15 {head + 3} L {15 + dx} {head - tall}"), body, 3, 1.6)
        pen.dot(15 + dx, head - tall, 2.2)
    neck = f"M 9 {head + 4} C 8 {head - 6} 22 {head - 6} 22 {head + 4}"
    shape = path(f"{neck} Q 23 54 34 54 L 56 56 Q 64 60 68 66 H 18 Q 9 66 9 56 Z")
    pen.both(shape, body)
    pen.both(ellipse(cx, cy, r, r * rng.uniform(0.9, 1)), shell)
    turns, start = rng.uniform(1.6, 2.6), rng.uniform(0, 360)
    steps = round(turns * 8)
    coil = [polar(cx, cy, r * 0.92 * (1 - i / (steps + 1)) ** 0.9, start + 45 * i) for i in range(steps + 1)]
    pen.stripe(smooth(coil), shade(shell, 0.72), r * 0.14)
    pen.trace(smooth(coil), 1.7)
    pen.trace(path(f"M 9 {head + 10} q 3 2 6 0"), 1.3)
    return pen.svg(rng.random() < 0.5, rng.uniform(-8, 8), (rng.uniform(0.88, 0.95), rng.uniform(0.92, 1)))


def turtle(rng: random.Random) -> str:
    """A plated shell with head and legs out, from the side or from above."""
    pen, skin = Pen(), _pick(rng, ("#7fa85a", "#5f8a5a", "#a8a860", "#6a9a90", "#b89a6a"), 14)
    shell = _pick(rng, ("#5a7a3a", "#8a6a3f", "#a8703a", "#4f6f6a", "#b0a04a"), 14)
    if rng.random() < 0.5:
        w, h = rng.uniform(20, 25), rng.uniform(19, 27)
        x, y, r = 39.0, rng.uniform(51, 54), rng.uniform(6.5, 8.5)
        pen.both(leaf(x + w - 3, y, 15, 11, 6), skin)
        hx, hy = x - w - r * 0.5, y - rng.uniform(2, 14)
        pen.tube(path(f"M {x - w * 0.6} {y - 3} Q {x - w} {y} {hx + 2} {hy + 1}"), skin, r * 1.2)
        pen.both(ellipse(hx, hy, r, r * 0.85), skin)
        for dx in (-0.6, 0.6):
            pen.both(rect(x + dx * w - 5, y - 4, 10, 16, 4), skin)
        pen.both(path(f"M {x - w} {y} C {x - w} {y - h * 1.33} {x + w} {y - h * 1.33} {x + w} {y} Z"), shell)
        pen.both(rect(x - w - 2, y - 2, 2 * w + 4, 6, 3), shade(shell, 1.3))
        a, b, top = w * 0.35, w * 0.5, y - h * 0.65
        pen.trace(path(f"M {x - b} {y - 3} L {x - a} {top} H {x + a} L {x + b} {y - 3}"), 1.5)
        pen.trace(path(f"M {x - a} {top} L {x - b} {y - h * 0.8} M {x + a} {top} L {x + b} {y - h * 0.8}"), 1.5)
        pen.dot(hx - r * 0.3, hy - r * 0.2, 1.6)
        pen.trace(path(f"M {hx - r * 0.8} {hy + r * 0.35} h {r * 0.6}"), 1.3)
        return pen.svg(rng.random() < 0.5, rng.uniform(-8, 8), (0.9, 0.95))
    rx, ry = rng.uniform(16, 19), rng.uniform(19, 23)
    for side in (-1, 1):
        for dy, turn in ((-0.6, rng.uniform(-50, -15)), (0.65, rng.uniform(20, 60))):
            a = turn if side > 0 else 180 - turn
            pen.both(leaf(36 + side * rx * 0.6, 38 + dy * ry, a, rng.uniform(18, 22), 10, 0.6), skin)
    pen.both(leaf(36, 38 + ry - 2, 90, 9, 5), skin)
    pen.both(ellipse(36, 38 - ry - 4, 6.5, 9), skin)
    for side in (-1, 1):
        pen.dot(36 + side * 3, 34 - ry - 4, 1.3)
    pen.both(ellipse(36, 38, rx, ry), shell)
    plate = ring(36, 38, rx * 0.48, ry * 0.48, 6, 30)
    pen.both(polygon(plate), shade(shell, 1.25), 1.4)
    for (ax, ay), (bx, by) in zip(plate, ring(36, 38, rx, ry, 6, 30), strict=True):
        pen.trace(path(f"M {ax} {ay} L {bx} {by}"), 1.4)
    return pen.svg(rng.random() < 0.5, rng.uniform(-60, 60), (0.86, 0.86))


def _ribbon(points: Sequence[Point], width: float) -> str:
    """A band along points that tapers to the last of them."""
    edges: tuple[list[Point], list[Point]] = ([], [])
    for i, (x, y) in enumerate(points):
        (ax, ay), (bx, by) = points[max(i - 1, 0)], points[min(i + 1, len(points) - 1)]
        away = math.degrees(math.atan2(by - ay, bx - ax)) + 90
        half = width / 2 * min(1, 0.12 + 2.2 * (1 - i / (len(points) - 1)))
        for edge, side in zip(edges, (1, -1), strict=True):
            edge.append(polar(x, y, half * side, away))
    return smooth([*edges[0], *edges[1][::-1]], closed=True)


def snake(rng: random.Random) -> str:
    """A long body in waves, in a spiral, or coiled with a raised head."""
    colors = ("#6a9a3a", "#b89a3a", "#8a5a3a", "#c0503a", "#4f7f7a", "#8a8a90", "#d8b04a")
    pen, color = Pen(), _pick(rng, colors, 16)
    mark, banded = shade(color, rng.choice((0.6, 1.5))), rng.random() < 0.65
    pose, w = rng.choice(("waves", "waves", "spiral", "coil")), rng.uniform(7.5, 10)
    if pose == "coil":
        y = 60.0
        for i in range(rng.randint(2, 3)):
            pen.both(ellipse(36 + rng.uniform(-2, 2), y, 26 - 6 * i, 7.5), color)
            y -= 8
        hx, hy, heading = 36 - rng.uniform(6, 14), rng.uniform(12, 17), 180.0
        spine = [(38.0, y + 4), (44.0, y - 6), (38.0, (y + hy) / 2), (hx + 6, hy)]
        pen.tube(smooth(spine), color, w)
        spots = spine[1:3]
    else:
        if pose == "waves":
            bends, tall = rng.uniform(1.2, 2.2), rng.uniform(9, 15)
            phase = rng.uniform(0, 360)
            steps = [i / 20 for i in range(21)]
            spine = [(15 + 50 * t, 36 + tall * math.sin(math.radians(phase + 360 * bends * t))) for t in steps]
        else:
            turns = rng.uniform(1.6, 1.95)
            start, steps = rng.uniform(0, 360), [i / 28 for i in range(29)]
            spine = [polar(36, 36, 25 - 20 * t, start + 360 * turns * t) for t in steps]
        (hx, hy), (nx, ny) = spine[0], spine[1]
        heading = math.degrees(math.atan2(hy - ny, hx - nx))
        pen.both(_ribbon(spine, w), color)
        spots = spine[3:-5:2]
    for x, y in spots if banded else []:
        pen.fill(circle(x, y, w * 0.26), mark)
    tip = polar(hx, hy, w * 1.35, heading)
    for fork in (-25, 25):
        pen.trace(path("M", hx, hy, "L", *tip, "L", *polar(*tip, 3.5, heading + fork)), 1.3)
    pen.both(ellipse(hx, hy, w * 0.85, w * 0.62, heading), color)
    for side in (-1, 1):
        pen.dot(*polar(hx, hy, w * 0.35, heading + side * 60), 1.3)
    return pen.svg(rng.random() < 0.5, rng.uniform(-20, 20) if pose == "waves" else 0)


def spider(rng: random.Random) -> str:
    """Eight bent legs about a small head and a round belly; it may hang by a thread."""
    pen, color = Pen(), _pick(rng, ("#3a3440", "#6a4a3a", "#8a7a6a", "#b0503a", "#5a6a4a"), 16)
    r, reach = rng.uniform(9, 13), rng.uniform(22, 28)
    cy = rng.uniform(36, 40)
    if rng.random() < 0.4:
        pen.trace(path(f"M 36 {cy} V 3"), 1.3)
    lift = rng.uniform(5, 12)
    for side in (-1, 1):
        for i, turn in enumerate((-55, -20, 15, 50)):
            a = turn + rng.uniform(-6, 6)
            ex, ey = polar(0, 0, reach * (0.95 if i in (0, 3) else 1.05), a)
            kx, ky = ex * 0.62, ey * 0.62 - (lift if turn < 40 else lift * 0.4)
            knee, end = f"{36 + side * kx} {cy + ky}", f"{36 + side * ex} {cy + ey + 3}"
            pen.trace(path(f"M {36 + side * 4} {cy + i} L {knee} L {end}"), rng.uniform(2.2, 2.6))
    pen.both(ellipse(36, cy + r * 0.7, r, r * rng.uniform(1, 1.2)), color)
    if rng.random() < 0.5:
        pen.fill(ellipse(36, cy + r * 0.8, r * 0.35, r * 0.5), _pick(rng, BRIGHT))
    head = r * rng.uniform(0.55, 0.7)
    pen.both(circle(36, cy - r * 0.45, head), shade(color, 1.15))
    for side in (-1, 1):
        pen.both(circle(36 + side * head * 0.42, cy - r * 0.5, 2), "#ffffff", 1)
    return pen.svg(rng.random() < 0.5, rng.uniform(-15, 15))


def crab(rng: random.Random) -> str:
    """A broad shell, raised claws, eyes on stalks, three or four legs a side."""
    pen, color = Pen(), _pick(rng, ("#d8502f", "#e08a3a", "#4a7a9a", "#b0603f", "#c03a4a", "#8a9a5a"), 16)
    w, h, y = rng.uniform(17, 21), rng.uniform(11, 14), rng.uniform(44, 48)
    for side in (-1, 1):
        for i in range(legs := rng.randint(3, 4)):
            dy = y - 2 + i * h * 1.1 / legs
            shape = path(f"M {36 + side * w * 0.8} {dy} l {side * 9} {-2 + i} l {side * 3} {7 + i * 0.5}")
            pen.tube(shape, color, 3.4, 1.6)
        cx, cy, size = 36 + side * (w + rng.uniform(1, 6)), y - h - rng.uniform(7, 12), rng.uniform(7.5, 10)
        shape = path(f"M {36 + side * w * 0.7} {y - 4} Q {36 + side * (w + 9)} {y - 8} {cx} {cy + 4}")
        pen.tube(shape, color, 5)
        gape = -90 + rng.uniform(-15, 15) - side * 20
        a, b, hinge = (polar(cx, cy, *at) for at in ((size, gape - 28), (size, gape + 28), (size * 0.1, gape)))
        pen.both(path("M", *hinge, "L", *a, "A", size, size, "0 1 0", *b, "Z"), color)
        ex, ey = 36 + side * rng.uniform(5, 8), y - h - rng.uniform(4, 8)
        pen.trace(path(f"M {36 + side * 5} {y - h + 3} L {ex} {ey}"), 2)
        pen.both(circle(ex, ey, 3), "#ffffff", 1.5)
        pen.dot(ex, ey, 1.4)
    pen.both(ellipse(36, y, w, h), color)
    if rng.random() < 0.5:
        for dx in (-0.5, 0, 0.5):
            pen.fill(circle(36 + dx * w, y - h * 0.45 + abs(dx) * 3, 2), shade(color, 1.4))
    pen.trace(path(f"M {31} {y + h * 0.3} q 5 4 10 0"), 1.6)
    return pen.svg(rng.random() < 0.5, rng.uniform(-8, 8), (0.95, 1))


CONCEPTS: dict[str, Sketch] = {
    "cat": cat,
    "rabbit": rabbit,
    "bear": bear,
    "fish": fish,
    "bird": bird,
    "butterfly": butterfly,
    "snail": snail,
    "turtle": turtle,
    "snake": snake,
    "elephant": elephant,
    "mouse": mouse,
    "pig": pig,
    "spider": spider,
    "crab": crab,
}
