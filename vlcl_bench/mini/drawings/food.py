"""Parametric drawings of food: every call draws another helping of its kind.

Most dishes come in several forms (a slice or the whole pizza, a cone or a cup of ice cream), and fruit in all
the colours it ripens through, so that neither one outline nor one colour stands for a name.
"""

from __future__ import annotations

import math
import random

from vlcl_bench.mini.drawings.pen import (
    Pen,
    Point,
    Sketch,
    blob,
    circle,
    commands,
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

SWEET = ("#f2a0c0", "#7a4a2a", "#f6ecc8", "#a8dcb4", "#e9627d", "#b99adb", "#f5d76a", "#8fc7ea")
BREAD = ("#e0a85a", "#c98a3f", "#efc98a", "#b8763a")
LEAVES = ("#5c9e31", "#3f7f3a", "#8a9a35")


def _pick(rng: random.Random, colors: tuple[str, ...], amount: int = 12) -> str:
    """One of some colours, slightly off."""
    return tint(rng, rng.choice(colors), amount)


def _sprinkle(pen: Pen, rng: random.Random, spots: list[Point], size: float = 2.2) -> None:
    """Short coloured rods at some spots."""
    for x, y in spots:
        dx, dy = polar(0, 0, size, rng.uniform(0, 180))
        pen.stripe(path(f"M {x - dx} {y - dy} L {x + dx} {y + dy}"), _pick(rng, SWEET), size * 0.75)


def pizza(rng: random.Random) -> str:
    """A topped slice, or the round whole cut in slices, with one perhaps gone."""
    pen, crust, cheese = Pen(), _pick(rng, BREAD), _pick(rng, ("#f7d568", "#f4b84a", "#f6e3a1"))
    topping = _pick(rng, ("#c0392b", "#8a4a5a", "#5c9e31", "#d9603a"), 14)
    if rng.random() < 0.55:
        w, top, tip = rng.uniform(18, 27), rng.uniform(14, 20), rng.uniform(62, 67)
        arch = rng.uniform(4, 12)
        pen.both(path(f"M {36 - w} {top} Q 36 {top - arch} {36 + w} {top} L 36 {tip} Z"), cheese)
        for t, s in rng.sample(((0.2, -0.5), (0.22, 0.35), (0.45, -0.1), (0.5, 0.35), (0.7, 0)), rng.randint(3, 5)):
            r = rng.uniform(3.2, 4.8) * (1.1 - 0.4 * t)
            pen.both(circle(36 + s * w * (1 - t), top + (tip - top) * t, r), topping, 1.5)
        ends = f"M {36 - w} {top} Q 36 {top - arch} {36 + w} {top}"
        pen.tube(path(ends), crust, rng.uniform(7, 10))
        return pen.svg(rng.random() < 0.5, rng.uniform(-28, 28), (0.95, 0.95))
    r, cuts = rng.uniform(26, 30), rng.choice((4, 6, 8))
    gone = rng.choice((0, 0, 1, 1, 2)) * 360 / cuts
    start = rng.uniform(0, 360)
    for radius, color in ((r, crust), (r * 0.84, cheese)):
        (ax, ay), (bx, by) = polar(36, 36, radius, start + gone), polar(36, 36, radius, start)
        arc = f"A {radius} {radius} 0 {int(gone < 180)} 1 {bx} {by}"
        pen.both(path(f"M 36 36 L {ax} {ay} {arc} Z") if gone else circle(36, 36, radius), color)
    for i in range(cuts):
        turn = start + 360 * i / cuts
        if turn - start >= gone:
            pen.trace(path("M", 36, 36, "L", *polar(36, 36, r * 0.84, turn)), 1.3)
            for reach in rng.sample((0.35, 0.62), rng.randint(1, 2)):
                shape = circle(*polar(36, 36, r * reach, turn + 180 / cuts), rng.uniform(2.6, 3.8))
                pen.both(shape, topping, 1.4)
    return pen.svg(False, 0, (1, rng.uniform(0.7, 1)))


def hamburger(rng: random.Random) -> str:
    """Fillings stacked between the halves of a bun."""
    pen, bun, w = Pen(), _pick(rng, BREAD), rng.uniform(23, 29)
    fillings = rng.sample(("lettuce", "cheese", "tomato", "patty", "onion"), rng.randint(1, 4))
    fillings.insert(rng.randint(0, len(fillings)), "patty")
    thick = {"patty": rng.uniform(6, 9), "lettuce": 5.0, "cheese": 3.0, "tomato": 4.5, "onion": 3.5}
    y, low = 36 + (sum(thick[f] for f in fillings) + 8) / 2 + rng.uniform(5, 8), rng.uniform(7, 10)
    end, heel = y + low, f"{36 + w} {y + low} {30 + w} {y + low}"
    shape = path(f"M {36 - w} {y} H {36 + w} V {end - 6} Q {heel} H {42 - w} Q {36 - w} {end} {36 - w} {end - 6} Z")
    pen.both(shape, bun)
    for filling in fillings:
        h, a = thick[filling], w + rng.uniform(-1, 2)
        if filling == "lettuce":
            top = [(36 - a, y - h), (36, y - h - 1), (36 + a, y - h)]
            hem = [(36 + a * (1 - i / 4), y + (2 if i % 2 else -2)) for i in range(9)]
            pen.both(smooth([*top, *hem], closed=True), _pick(rng, ("#7fb04a", "#5c9e31", "#a9cf5a")))
        elif filling == "cheese":
            x = 36 + rng.uniform(-12, 12)
            hang = [(x + 10, y), (x, y + 5), (x - 10, y)]
            slab = [(36 - a, y - h), (36 + a, y - h), (36 + a, y), *hang, (36 - a, y)]
            pen.both(polygon(slab), _pick(rng, ("#f5c242", "#f7df8a")), 1.6)
        else:
            color = {"patty": "#6b3f24", "tomato": "#d8402f", "onion": "#e6d3e8"}[filling]
            pen.both(rect(36 - a, y - h, 2 * a, h, h / 2), tint(rng, color, 16))
        y -= h
    peak = rng.uniform(17, 27)
    pen.both(path(f"M {36 - w} {y} C {36 - w} {y - peak} {36 + w} {y - peak} {36 + w} {y} Z"), bun)
    for _ in range(rng.choice((0, 5, 7))):
        x, turn = rng.uniform(-0.6, 0.6), rng.uniform(-40, 40)
        lift = peak * (0.3 + 0.25 * rng.random()) * (1.15 - x * x)
        pen.fill(ellipse(36 + x * w, y - lift, 1.8, 1.1, turn), "#fdf3d8")
    return pen.svg(rng.random() < 0.5, rng.uniform(-8, 8), (rng.uniform(0.92, 1.03), rng.uniform(0.88, 1)))


def ice_cream(rng: random.Random) -> str:
    """Scoops or a soft swirl in a waffle cone or a cup."""
    pen, waffle = Pen(), _pick(rng, BREAD)
    cup, swirl = rng.random() < 0.3, rng.random() < 0.35
    scoops = rng.choice((1, 2, 3))
    w = rng.uniform(12, 15) + (4 if cup else 0)
    rim = rng.uniform(42, 46) if cup else rng.uniform(34, 39)
    if not cup and (swirl or scoops == 3):
        rim, w = rim + 6, w - 2
    if cup:
        foot, color = w * rng.uniform(0.55, 0.75), _pick(rng, SWEET)
        pen.both(polygon([(36 - w, rim), (36 + w, rim), (36 + foot, 66), (36 - foot, 66)]), color)
    else:
        pen.both(polygon([(36 - w, rim), (36 + w, rim), (36, 69)]), waffle)
        for t in (0.33, 0.66):
            x, y = w * (1 - t), rim + (69 - rim) * t
            far = w * (1 - 2 * t)
            pen.trace(path(f"M {36 - x} {y} L {36 + far} {rim} M {36 + x} {y} L {36 - far} {rim}"), 1.3)
    top = rim
    if swirl:
        color, turns = _pick(rng, SWEET), rng.choice((3, 4))
        for i in range(turns):
            k = 1 - i / (turns + 0.6)
            pen.both(ellipse(36, rim - 2 - i * 6.5, (w + 3) * k + 1, 5, rng.uniform(-14, -6)), color)
            top = rim - 7 - i * 6.5
        curl = 38 + rng.uniform(-2, 5)
        pen.both(path(f"M 31 {top + 2} Q 33 {top - 3} {curl} {top - 8} Q 40 {top} 41 {top + 2} Z"), color)
        top -= 4
    else:
        spots = [(0.0, 0.0), (0.0, -0.85), (0.0, -1.6)][:scoops]
        if cup and scoops > 1:
            spots = [(-0.55, 0.0), (0.55, 0.0), (0.0, -0.7)][:scoops]
        for sx, sy in spots:
            r = w * (0.72 if cup and scoops > 1 else 0.98 if scoops < 3 else 0.9) + 1
            x, y, color = 36 + sx * w, rim - r * 0.6 + sy * w * 1.05, _pick(rng, SWEET)
            pen.both(blob(rng, x, y, r, r * 0.95, 0.05, 10), color)
            top = min(top, y - r)
            if rng.random() < 0.4:
                spread = [(rng.uniform(-0.5, 0.5), rng.uniform(0, 0.6)) for _ in range(5)]
                _sprinkle(pen, rng, [(x + dx * r, y - dy * r) for dx, dy in spread])
    if cup:
        pen.both(rect(34 - w, rim - 3, 2 * w + 4, 5, 2), color)
    extra = rng.random()
    if extra < 0.3 and top > 9:
        pen.both(circle(36, top - 2, 3.5), _pick(rng, ("#d22f27", "#8a2be2", "#b01e4a")))
    elif 0.3 < extra < 0.5 and top > 14:
        pen.both(rect(42, top - 5, 5, 16, 1, rng.uniform(15, 35)), "#8a5a33", 1.6)
    return pen.svg(rng.random() < 0.5, rng.uniform(-18, 18), (rng.uniform(0.9, 1.1), 0.9))


def doughnut(rng: random.Random) -> str:
    """An iced ring seen from above or aslant."""
    pen, dough, icing = Pen(), _pick(rng, BREAD), _pick(rng, SWEET)
    r, tall, hole = rng.uniform(26, 30), rng.uniform(0.68, 1), rng.uniform(0.22, 0.38)
    cy = 36 + rng.uniform(-1, 1)
    lift = (1 - tall) * 14
    inner = commands(smooth(ring(36, cy - lift, r * hole, r * hole * tall, 12)[::-1], closed=True))
    body = ring(36, cy, r, r * tall, 16)
    if lift > 1:
        body = [(x, y if y > cy else y - lift) for x, y in body]
    pen.both(path(commands(smooth(body, closed=True)), inner), dough)
    waves, depth, start = rng.randint(5, 9), rng.uniform(0.02, 0.08), rng.uniform(0, 60)
    if rng.random() < 0.85:
        edge = []
        for i in range(waves * 2):
            reach = r * (0.86 + (depth if i % 2 else -depth))
            x, y = polar(0, 0, reach, start + 180 * i / waves)
            edge.append((36 + x, cy - lift + y * tall))
        back = ring(36, cy - lift, r * (hole + 0.08), r * (hole + 0.08) * tall, 12)[::-1]
        pen.both(path(commands(smooth(edge, closed=True)), commands(smooth(back, closed=True))), icing, 1.6)
    style = rng.choice(("sprinkles", "sprinkles", "zigzag", "plain"))
    middle = (hole + 0.86) / 2 * r
    if style == "sprinkles":
        for i in range(14):
            x, y = polar(0, 0, middle * rng.uniform(0.82, 1.15), 360 * (i + rng.random() / 2) / 14)
            _sprinkle(pen, rng, [(36 + x, cy - lift + y * tall)])
    elif style == "zigzag":
        for i in range(0, 360, 30):
            (ax, ay), (bx, by) = polar(0, 0, middle * 0.78, i), polar(0, 0, middle * 1.2, i + 15)
            line = path(f"M {36 + ax} {cy - lift + ay * tall} L {36 + bx} {cy - lift + by * tall}")
            pen.stripe(line, shade(icing, rng.choice((0.6, 1.6))), 1.6)
    return pen.svg(rng.random() < 0.5, rng.uniform(-12, 12))


def cake(rng: random.Random) -> str:
    """A tiered cake with icing and candles, or a slice with its layers."""
    pen, icing, sponge = Pen(), _pick(rng, SWEET), _pick(rng, ("#f0d090", "#8a5a33", "#f6b8a8", "#e8c46a"))
    if rng.random() < 0.35:
        top, tall, back = rng.uniform(24, 30), rng.uniform(20, 26), rng.uniform(-10, -6)
        pen.both(polygon([(8, top + 6), (62, top + 6), (62, top + 6 + tall), (8, top + 6 + tall)]), sponge)
        for i in range(1, layers := rng.randint(2, 4)):
            y = top + 6 + tall * i / layers
            pen.stripe(path(f"M 9 {y} H 61"), icing, 2.5)
        pen.both(polygon([(8, top + 6), (62, top + 6), (56, top + back)]), icing)
        hem = [(8 + 54 * i / 8, top + 6 + (5 if i % 2 else 1)) for i in range(9)]
        pen.both(path(commands(smooth(hem)), f"L 62 {top + 5} L 8 {top + 5} Z"), icing, 1.6)
        x, y = 47.0, top + 1
        crown = _pick(rng, ("#d22f27", "#7a3fa0", "#f5cf3f"))
        pen.both(circle(x, y - 3, rng.uniform(4, 5.5)), crown)
        return pen.svg(rng.random() < 0.5, rng.uniform(-6, 6), (rng.uniform(0.9, 1.05), rng.uniform(0.95, 1.1)))
    tiers, y = rng.choice((1, 1, 2, 3)), rng.uniform(60, 64)
    w, h = rng.uniform(22, 27), (rng.uniform(22, 28), 17.0, 13.0)[tiers - 1]
    if rng.random() < 0.6:
        pen.both(ellipse(36, y, w + 5, 5), _pick(rng, ("#dfe6ea", "#c9b8a0", "#9fc4d8")))
    for tier in range(tiers):
        a = w * (1 - 0.27 * tier)
        b, top = a * 0.2, y - h
        pen.both(path(f"M {36 - a} {top} V {y} Q 36 {y + 2 * b} {36 + a} {y} V {top} Z"), sponge)
        drips, deep = rng.randint(3, 5) * 2, h * rng.uniform(0.3, 0.5)
        hem = [(36 + a * (1 - 2 * i / drips), top + 2 + (deep if i % 2 else deep * 0.35)) for i in range(drips + 1)]
        pen.both(path(commands(smooth(hem)), f"L {36 - a} {top} H {36 + a} Z"), icing, 1.6)
        pen.both(ellipse(36, top, a, b), shade(icing, 1.25))
        y = top
    candles = rng.choice((0, 1, 3, 5)) if tiers < 3 else rng.choice((0, 1))
    for i in range(candles):
        x = 36 + (i - (candles - 1) / 2) * min(a * 1.5 / candles, 9)
        pen.both(rect(x - 1.5, y - 10, 3, 11), _pick(rng, SWEET), 1.4)
        pen.both(leaf(x, y - 10, -90, 7, 4, 0.4), "#f7b733", 1.3)
    if not candles:
        for x in (-0.5, 0, 0.5):
            pen.both(circle(36 + x * a, y - 2, 3.2), _pick(rng, ("#d22f27", "#f4f1ea")), 1.6)
    return pen.svg(rng.random() < 0.5, rng.uniform(-5, 5), (rng.uniform(0.9, 1.05), rng.uniform(0.95, 1)))


def _roll(pen: Pen, rng: random.Random, x: float, y: float, r: float, tall: float) -> None:
    """A piece of maki: rice and filling in a band of seaweed."""
    b = r * rng.uniform(0.5, 0.75)
    nori = _pick(rng, ("#26332b", "#2f4a3a", "#1f2a33"), 8)
    pen.both(path(f"M {x - r} {y} V {y + tall} A {r} {b} 0 0 0 {x + r} {y + tall} V {y} Z"), nori)
    pen.both(ellipse(x, y, r, b), nori)
    pen.both(ellipse(x, y, r * 0.84, b * 0.82), tint(rng, "#f6f3ea", 8), 1)
    for i in range(count := rng.randint(1, 3)):
        px, py = polar(x, y, 0 if count == 1 else r * 0.2, 360 * i / count + 30)
        size = r * (0.42 if count == 1 else 0.26)
        core = _pick(rng, ("#f08a5a", "#7fb04a", "#d8405a", "#f5cf3f"))
        pen.both(ellipse(px, py, size, size * b / r), core, 1.2)


def _nigiri(pen: Pen, rng: random.Random, x: float, y: float, w: float) -> None:
    """A pat of rice under a slice of fish."""
    fish = _pick(rng, ("#f08a5a", "#d8405a", "#f5cf3f", "#f3b8a8", "#f4e9e0"))
    pen.both(rect(x - w * 0.86, y - 2, w * 1.72, w * 0.62, w * 0.28), tint(rng, "#f6f3ea", 8))
    lift, drop = w * rng.uniform(0.5, 0.7), w * rng.uniform(0.12, 0.25)
    left, right = f"{x - w} {y - lift} {x} {y - lift}", f"{x + w} {y - lift} {x + w} {y + drop}"
    pen.both(path(f"M {x - w} {y + drop} Q {left} Q {right} Q {x} {y - drop} {x - w} {y + drop} Z"), fish)
    if rng.random() < 0.5:
        half = w * 0.16
        pen.both(rect(x - half, y - lift - 0.5, 2 * half, lift + w * 0.6, 1), "#26332b", 1.4)
    else:
        for t in (-0.5, -0.1, 0.3):
            pen.stripe(path(f"M {x + t * w} {y - drop - 1} l {w * 0.2} {-lift * 0.5}"), shade(fish, 1.5), 1.8)


def sushi(rng: random.Random) -> str:
    """Rolls in seaweed, slices of fish on rice, or both."""
    pen = Pen()
    kind = rng.choice(("roll", "rolls", "nigiri", "pair", "both"))
    if kind == "roll":
        _roll(pen, rng, 36, rng.uniform(26, 30), rng.uniform(23, 27), rng.uniform(12, 22))
    elif kind == "rolls":
        r = rng.uniform(13, 15)
        if rng.random() < 0.6:
            _roll(pen, rng, 36 + rng.uniform(-3, 3), 20, r, rng.uniform(9, 12))
        _roll(pen, rng, 36 - r - 1.5, rng.uniform(40, 44), r, rng.uniform(9, 12))
        _roll(pen, rng, 36 + r + 1.5, rng.uniform(42, 47), r, rng.uniform(9, 12))
    elif kind == "nigiri":
        _nigiri(pen, rng, 36, 36, rng.uniform(26, 29))
    elif kind == "pair":
        _nigiri(pen, rng, rng.uniform(28, 32), 25, rng.uniform(19, 22))
        _nigiri(pen, rng, rng.uniform(40, 44), 47, rng.uniform(19, 22))
    else:
        _nigiri(pen, rng, 40, 24, rng.uniform(20, 23))
        _roll(pen, rng, rng.uniform(24, 28), 42, rng.uniform(14, 16), rng.uniform(9, 13))
    return pen.svg(rng.random() < 0.5, rng.uniform(-14, 14))


def hot_dog(rng: random.Random) -> str:
    """A sausage that sticks out of a long bun, with a squiggle of sauce."""
    pen, bun = Pen(), _pick(rng, BREAD)
    meat = _pick(rng, ("#b5452f", "#c9603a", "#8a3f2a", "#d9806a"))
    bow, half, wide = rng.uniform(-7, 7), rng.uniform(18, 22), rng.uniform(10, 14)

    def arc(reach: float, dy: float) -> str:
        return path(f"M {36 - reach} {36 + dy} Q 36 {36 + dy + bow} {36 + reach} {36 + dy}")

    gap = wide * rng.uniform(0.5, 0.75)
    pen.tube(arc(half, -gap), shade(bun, 1.15), wide)
    if rng.random() < 0.4:
        frill = [(32 - half + i * (half + 4) / 5, 36 - gap * 0.2 + (3 if i % 2 else -4)) for i in range(11)]
        pen.tube(smooth(frill), _pick(rng, ("#7fb04a", "#5c9e31")), 6, 1.6)
    pen.tube(arc(half + rng.uniform(4, 8), 0), meat, rng.uniform(9, 11))
    pen.tube(arc(half, gap * 1.25), bun, wide)
    waves, tall = rng.randint(6, 11), rng.uniform(2, 3.5)
    swings = ((i, tall if i % 2 else -tall) for i in range(waves + 1))
    sauce = [(36 - half + 2 * half * i / waves, 34.5 + bow * 0.3 + swing) for i, swing in swings]
    pen.tube(smooth(sauce), _pick(rng, ("#f5cf3f", "#d22f27", "#f4f1ea")), 3.6, 1.4)
    return pen.svg(rng.random() < 0.5, rng.uniform(-40, 40), (1, rng.uniform(0.95, 1.15)))


def _stalk(pen: Pen, rng: random.Random, x: float, y: float) -> None:
    """A fruit's short stalk, with or without a leaf."""
    lean, tall = rng.uniform(-5, 5), rng.uniform(7, 11)
    pen.tube(path(f"M {x} {y} Q {x} {y - tall * 0.6} {x + lean} {y - tall}"), tint(rng, "#7a5230", 12), 3)
    if rng.random() < 0.65:
        side = rng.choice((-1, 1))
        turn, size = -90 + side * rng.uniform(40, 75), rng.uniform(11, 15)
        pen.both(leaf(x, y - 2, turn, size, rng.uniform(6, 8)), _pick(rng, LEAVES))


def _halved(pen: Pen, rng: random.Random, outline: list[Point], core: Point) -> None:
    """The flesh and pips of a fruit cut in half."""
    cx, cy = core
    flesh = [(cx + (x - cx) * 0.84, cy + (y - cy) * 0.86) for x, y in outline]
    pen.both(smooth(flesh, closed=True), tint(rng, "#f7efcf", 8), 1.2)
    for side in (-1, 1):
        pen.dot(cx + side * 3.5, cy, 1.4, 2.8, side * 20)


def apple(rng: random.Random) -> str:
    """A round fruit, dimpled above and below."""
    pen, color = Pen(), _pick(rng, ("#d22f27", "#7fb04a", "#f0c23f", "#b5384a", "#c9d85a"), 16)
    w, h, top = rng.uniform(23, 28), rng.uniform(42, 48), rng.uniform(17, 20)
    low, dip = w * rng.uniform(0.28, 0.45), rng.uniform(3, 6)
    half = [(w * 0.4, -3.0), (w * 0.86, h * 0.08), (w, h * 0.38), (w * 0.84, h * 0.72), (low, h - 1)]
    right = [(36 + x, top + y) for x, y in half]
    left = [(72 - x, y) for x, y in right[::-1]]
    outline = [(36, top + dip), *right, (36, top + h - 3), *left]
    pen.both(smooth(outline, closed=True), color)
    if rng.random() < 0.2:
        _halved(pen, rng, outline, (36, top + h * 0.5))
    else:
        pen.fill(ellipse(36 - w * 0.5, top + h * 0.3, w * 0.16, h * 0.12, 25), shade(color, 1.45))
        if rng.random() < 0.4:
            shape = ellipse(36 + w * 0.4, top + h * 0.55, w * 0.35, h * 0.28)
            pen.fill(shape, shade(color, rng.choice((0.88, 1.15))))
    _stalk(pen, rng, 36, top + dip + 1)
    return pen.svg(rng.random() < 0.5, rng.uniform(-14, 14))


def banana(rng: random.Random) -> str:
    """A curved fruit: one, a hand of them, or one half peeled."""
    pen = Pen()
    skin = _pick(rng, ("#f5d33f", "#f0c030", "#b8cc4a", "#dcb03a", "#f2e06a"), 10)
    kind = rng.choice(("one", "one", "hand", "hand", "peeled"))
    count = rng.randint(2, 4) if kind == "hand" else 1
    radius, span, fat = rng.uniform(25, 32) - 2 * count, rng.uniform(95, 125), rng.uniform(11, 14) - count
    start = polar(0, 0, radius, 90 + span / 2)
    for i in range(count):
        turn = (i - (count - 1) / 2) * rng.uniform(15, 20)
        edges: tuple[list[Point], list[Point]] = ([], [])
        for k in range(9):
            t = k / 8
            half = fat / 2 * (math.sin(math.pi * min(max(t, 0.04), 0.97)) ** 0.55)
            for edge, side in zip(edges, (-1, 1), strict=True):
                x, y = polar(0, 0, radius + side * max(half, 2), 90 + span * (0.5 - t))
                dx, dy = x - start[0], y - start[1]
                # Each fruit of a hand is turned about the stalk they share.
                c, s = math.cos(math.radians(turn)), math.sin(math.radians(turn))
                edge.append((36 + start[0] + c * dx - s * dy, 36 - radius * 0.72 + start[1] + s * dx + c * dy))
        inner, outer = edges
        whole = [*outer, *inner[::-1]]
        if kind == "peeled":
            pen.both(smooth(whole, closed=True), "#fbf3d5")
            at = rng.randint(3, 4)
            pen.both(smooth([*outer[: at + 1], *inner[: at + 1][::-1]], closed=True), skin)
            along = 90 + span * (0.5 - at / 8)
            for (x, y), flap in ((outer[at], 40), (inner[at], 145), (outer[at], 85)):
                shape = leaf(x, y, along + flap + rng.uniform(-12, 12), rng.uniform(14, 18), 8)
                pen.both(shape, shade(skin, 0.92))
        else:
            pen.both(smooth(whole, closed=True), skin)
            ridge = [((a + c * 2) / 3, (b + d * 2) / 3) for (a, b), (c, d) in zip(outer, inner, strict=True)]
            pen.trace(smooth(ridge[2:7]), 1.3)
            pen.fill(circle(*outer[8], 2.5), "#5a4a2a")
    ends = [outer[0], inner[0]]
    pen.both(smooth([*ends, *((x - 3, y - 7) for x, y in ends[::-1])], closed=True), shade(skin, 0.75))
    return pen.svg(rng.random() < 0.5, rng.uniform(-20, 20), (1.1, rng.uniform(1.08, 1.16)))


def grapes(rng: random.Random) -> str:
    """A bunch of berries that tapers downwards."""
    pen, color = Pen(), _pick(rng, ("#7a4a9a", "#9ac24a", "#b5384a", "#3f4a8a", "#d9a0b0"), 14)
    rows = rng.choice(((4, 3, 2, 1), (3, 4, 3, 2, 1), (4, 5, 4, 3, 1), (3, 4, 3, 2), (5, 4, 3, 2, 1)))
    r = min(27 / max(rows), 24 / len(rows)) * rng.uniform(1.1, 1.2)
    step, y = r * 1.6, 20 + r
    pen.tube(path(f"M 36 {y} Q 36 12 {36 + rng.uniform(-7, 7)} 6"), tint(rng, "#7a5230", 14), 3)
    for side in rng.sample((-1, 1), rng.randint(0, 2)):
        turn, size = -90 + side * rng.uniform(60, 95), rng.uniform(16, 21)
        pen.both(leaf(36, 15, turn, size, rng.uniform(9, 13)), _pick(rng, LEAVES))
    berries = [(36 + (i - (n - 1) / 2) * r * 1.85, y + k * step) for k, n in enumerate(rows) for i in range(n)]
    if rng.random() < 0.5:
        berries.reverse()
    for x, y in berries:
        shine = tint(rng, color, 14)
        x, y = x + rng.uniform(-0.12, 0.12) * r, y + rng.uniform(-0.12, 0.12) * r
        pen.both(circle(x, y, r * rng.uniform(0.95, 1.08)), shine, 1.6)
        pen.fill(circle(x - r * 0.3, y - r * 0.35, r * 0.22), shade(shine, 1.55))
    return pen.svg(rng.random() < 0.5, rng.uniform(-14, 14))


def strawberry(rng: random.Random) -> str:
    """A seeded fruit with a leafy cap, pointed below."""
    pen, color = Pen(), _pick(rng, ("#d8303a", "#e9627d", "#b52030", "#f2b0a8", "#e8503a"), 12)
    w, top, tip = rng.uniform(20, 26), rng.uniform(18, 21), rng.uniform(62, 67)
    half = [(w * 0.5, -2.0), (w * 0.96, 7.0), (w * 0.88, 20.0), (w * 0.5, 35.0)]
    right = [(36 + x, top + y) for x, y in half]
    shape = smooth([(36, top), *right, (36, tip), *[(72 - x, y) for x, y in right[::-1]]], closed=True)
    pen.both(shape, color)
    seed = rng.choice(("#f7e08a", "#fdf6d8", "#5a1a1a"))
    for row, count in enumerate((4, 5, 3, 2)):
        for i in range(count):
            x = 36 + (i - (count - 1) / 2) * w * (0.42, 0.35, 0.36, 0.36)[row] + rng.uniform(-1, 1)
            y = top + 9 + row * 8.5 + rng.uniform(-1, 1)
            pen.fill(ellipse(x, y, 1.3, 2), seed)
            pen.trace(path(f"M {x} {y - 1} V {y + 1}"), 1.1)
    green = _pick(rng, LEAVES)
    pen.tube(path(f"M 36 {top} Q 36 {top - 6} {36 + rng.uniform(-5, 5)} {top - 11}"), green, 3)
    points = rng.randint(5, 7)
    for i in range(points):
        turn = 10 + 160 * i / (points - 1) if i % 2 else -10 + 200 * i / (points - 1)
        pen.both(leaf(36, top - 1, turn, rng.uniform(11, 15), 7), green, 1.6)
    return pen.svg(rng.random() < 0.5, rng.uniform(-25, 25))


def pear(rng: random.Random) -> str:
    """A fruit with a narrow neck over a wide belly."""
    pen, color = Pen(), _pick(rng, ("#b8c84a", "#e0c84a", "#8fae3f", "#c98a4a", "#d8a03a", "#c0503f"), 14)
    neck, belly, lean = rng.uniform(8, 11), rng.uniform(20, 24), rng.uniform(-4, 4)
    half = [(neck * 0.8, 0.5), (neck, 8.0), (neck * 1.25, 16.0)]
    half += [(belly * 0.92, 29.0), (belly * 0.85, 42.0), (belly * 0.35, 49.0)]
    outline = [(36.0 + lean, 14.0)]
    outline += [(36 + x + lean * max(0, 1 - y / 20), 16 + y) for x, y in half]
    outline += [(36.0, 64.0)]
    outline += [(36 - x + lean * max(0, 1 - y / 20), 16 + y) for x, y in half[::-1]]
    pen.both(smooth(outline, closed=True), color)
    if rng.random() < 0.25:
        _halved(pen, rng, outline, (36, 46))
    else:
        pen.fill(ellipse(36 - belly * 0.45, 44, 3, 6, 15), shade(color, 1.4))
        for _ in range(rng.choice((0, 6))):
            pen.fill(circle(36 + rng.uniform(-0.6, 0.6) * belly, rng.uniform(38, 58), 0.9), shade(color, 0.7))
    _stalk(pen, rng, 36 + lean, 15)
    return pen.svg(rng.random() < 0.5, rng.uniform(-16, 16), (rng.uniform(0.95, 1.1), 1))


def cheese(rng: random.Random) -> str:
    """A wedge with holes, its rind at the broad end."""
    pen, color = Pen(), _pick(rng, ("#f5c93f", "#f0a83a", "#f6e6a8", "#f7dc7a"), 12)
    left, top, tall = rng.uniform(5, 9), rng.uniform(24, 32), rng.uniform(19, 26)
    peak, right = top - rng.uniform(9, 16), rng.uniform(62, 67)
    ridge = rng.uniform(46, 58)
    pen.both(path(f"M {left} {top} L {ridge} {peak} Q {right} {peak + 2} {right} {top} Z"), shade(color, 1.3))
    pen.both(rect(left, top, right - left, tall, 1), color)
    spots = ((0.15, 0.6), (0.35, 0.3), (0.55, 0.7), (0.78, 0.35), (0.36, 0.78), (0.85, 0.78))
    for t, s in rng.sample(spots, rng.randint(3, 5)):
        r = rng.uniform(2, 4.6)
        x, y = left + t * (right - left), top + s * tall
        y = min(max(y, top + r + 1.5), top + tall - r - 1.5)
        pen.both(ellipse(x, y, r, r * rng.uniform(0.8, 1)), shade(color, 0.78), 1.5)
    if rng.random() < 0.6:
        pen.both(ellipse(ridge - 8, (top + peak) / 2 + 4, 4, 2), shade(color, 0.9), 1.3)
    if rng.random() < 0.4:
        pen.both(rect(right - 4, top, 4, tall, 1), _pick(rng, ("#c0392b", "#c98a3f", "#f4f1ea")), 1.6)
    return pen.svg(rng.random() < 0.5, rng.uniform(-14, 14))


def bowl_of_soup(rng: random.Random) -> str:
    """A steaming bowl, with bits afloat and perhaps a spoon."""
    pen, china = Pen(), _pick(rng, ("#f4f1ea", "#4a7ab0", "#c0392b", "#7d8ea6", "#e0a85a", "#5f9e8a"), 14)
    soup = _pick(rng, ("#e0762b", "#e8c04a", "#c0392b", "#8a5a33", "#7fae5a", "#f3dfb0"))
    w, y, deep = rng.uniform(25, 30), rng.uniform(34, 39), rng.uniform(22, 27)
    b = w * rng.uniform(0.2, 0.36)
    foot = w * rng.uniform(0.3, 0.45)
    pen.both(rect(36 - foot, y + deep - 4, 2 * foot, 7, 1), shade(china, 0.85))
    a, low = w * 0.95, y + deep * 1.3
    pen.both(path(f"M {36 - w} {y} C {36 - a} {low} {36 + a} {low} {36 + w} {y} Z"), china)
    pen.both(ellipse(36, y, w, b), shade(china, 1.2))
    pen.both(ellipse(36, y + 1, w * 0.86, b * 0.76), soup, 1.4)
    for _ in range(rng.randint(0, 5)):
        x, dy = rng.uniform(-0.55, 0.55) * w, rng.uniform(-0.3, 0.4) * b
        shape = ellipse(36 + x, y + 1 + dy, 3, 1.8)
        pen.both(shape, _pick(rng, ("#7fb04a", "#e0762b", "#fdf3d8", "#d22f27")), 1.1)
    if rng.random() < 0.45:
        handle = path(f"M {36 + w * 0.35} {y + 1} L {36 + w * rng.uniform(0.8, 1)} {y - 22}")
        pen.tube(handle, tint(rng, "#b8c0c8", 12), 4)
    for i in range(steam := rng.choice((0, 2, 3))):
        x = 36 - 6 + (i - (steam - 1) / 2) * 10
        pen.trace(path(f"M {x} {y - b - 3} q -4 -4 0 -8 q 4 -4 0 -8"), 1.8)
    if rng.random() < 0.3:
        band = path(f"M {36 - w * 0.8} {y + deep * 0.45} Q 36 {y + deep * 0.85} {36 + w * 0.8} {y + deep * 0.45}")
        pen.stripe(band, shade(china, 0.6), 2.5)
    return pen.svg(rng.random() < 0.5, rng.uniform(-5, 5), (1, rng.uniform(0.95, 1.05)))


CONCEPTS: dict[str, Sketch] = {
    "pizza": pizza,
    "hamburger": hamburger,
    "ice cream": ice_cream,
    "doughnut": doughnut,
    "cake": cake,
    "sushi": sushi,
    "hot dog": hot_dog,
    "apple": apple,
    "banana": banana,
    "grapes": grapes,
    "strawberry": strawberry,
    "pear": pear,
    "cheese": cheese,
    "bowl of soup": bowl_of_soup,
}
