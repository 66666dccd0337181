"""Parametric drawings of plants: every call draws another plant of its kind.

Colours overlap between the kinds on purpose (red tulips and red roses, yellow daisies and yellow sunflowers),
so that a flower must be told from the next by its build.
"""

from __future__ import annotations

import math
import random

from vlcl_bench.mini.drawings.pen import (
    Pen,
    Point,
    Sketch,
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

GREENS = ("#5c9e31", "#3f7f3a", "#7fb04a", "#2f6b4a", "#8a9a35", "#4e8f6a")
PETALS = ("#f4f1ea", "#e9627d", "#d22f27", "#f5cf3f", "#f2a0c0", "#a074c4", "#f08a4b", "#fbd9e3")


def _green(rng: random.Random) -> str:
    """A leaf colour."""
    return tint(rng, rng.choice(GREENS), 16)


def _bent(start: Point, end: Point, sway: float, steps: int) -> list[Point]:
    """Points along a bowed line, ``sway`` to the side half way."""
    steps_at = (i / steps for i in range(steps + 1))
    (ax, ay), (bx, by) = start, end
    return [(ax + (bx - ax) * t + sway * math.sin(math.pi * t), ay + (by - ay) * t) for t in steps_at]


def _stem(pen: Pen, rng: random.Random, top: Point, green: str, width: float, bend: float = 6) -> list[Point]:
    """A bent stem from the ground to ``top``; returns points along it, from the top down."""
    foot = (36 + rng.uniform(-4, 4), rng.uniform(65, 67.5))
    sway = rng.uniform(-bend, bend)
    points = _bent(top, foot, sway, 4)
    pen.tube(smooth(points), green, width)
    return points


def _head(
    pen: Pen,
    center: Point,
    squash: float,
    count: int,
    size: tuple[float, float, float],
    color: str,
    start: float,
) -> None:
    """A wreath of petals, foreshortened by ``squash``; ``size`` is inner radius, outer radius and width."""
    inner, outer, width = size
    cx, cy = center
    for i in range(count):
        angle = start + 360 * i / count
        (x0, y0), (x1, y1) = polar(0, 0, inner, angle), polar(0, 0, outer, angle)
        x0, y0, x1, y1 = cx + x0, cy + y0 * squash, cx + x1, cy + y1 * squash
        length, turn = math.hypot(x1 - x0, y1 - y0), math.degrees(math.atan2(y1 - y0, x1 - x0))
        pen.both(leaf(x0, y0, turn, length, width, 0.6), color, 1.4)


def daisy(rng: random.Random) -> str:
    """Long narrow petals about a small eye."""
    pen, green, color = Pen(), _green(rng), tint(rng, rng.choice(PETALS), 10)
    stemmed = rng.random() < 0.65
    squash = rng.uniform(0.6, 1)
    radius = rng.uniform(19, 23) if stemmed else rng.uniform(27, 31)
    center = (36 + rng.uniform(-5, 5), 8 + radius * squash + rng.uniform(0, 5)) if stemmed else (36.0, 36.0)
    if stemmed:
        points = _stem(pen, rng, center, green, rng.uniform(3, 4))
        for _ in range(rng.randint(0, 2)):
            side = rng.choice((-35, -145))
            turn, size = side + rng.uniform(-15, 15), rng.uniform(13, 20)
            pen.both(leaf(*points[3], turn, size, rng.uniform(5, 8)), green)
    eye = radius * rng.uniform(0.22, 0.3)
    count = rng.randint(9, 14)
    width = 2 * math.pi * radius * 0.65 / count * rng.uniform(0.85, 1.15)
    for i in range(count):
        angle = math.radians(360 * (i + rng.uniform(-0.12, 0.12)) / count)
        reach = radius * rng.uniform(0.9, 1)
        dx, dy = math.cos(angle), math.sin(angle) * squash
        length, turn = reach / 2 * math.hypot(dx, dy), math.degrees(math.atan2(dy, dx))
        middle = (center[0] + dx * reach * 0.55, center[1] + dy * reach * 0.55)
        pen.both(ellipse(*middle, length * 0.9, width / 2, turn), color, 1.4)
    yolk = tint(rng, rng.choice(("#f5b921", "#e08a1a", "#7a5a22")), 14)
    pen.both(ellipse(*center, eye, eye * squash), yolk)
    return pen.svg(rng.random() < 0.5, rng.uniform(-8, 8) if stemmed else 0)


def sunflower(rng: random.Random) -> str:
    """A great seeded disc with a fringe of short pointed petals."""
    pen, green = Pen(), _green(rng)
    color = tint(rng, rng.choice(("#f5c518", "#f0a020", "#e9dc60", "#b5482a", "#f6e6a8")), 12)
    stemmed = rng.random() < 0.7
    squash = rng.uniform(0.72, 1)
    radius = rng.uniform(19, 22) if stemmed else rng.uniform(28, 31)
    center = (36 + rng.uniform(-5, 5), 6 + radius * squash + rng.uniform(0, 4)) if stemmed else (36.0, 36.0)
    if stemmed:
        points = _stem(pen, rng, center, green, rng.uniform(4, 6))
        for side, where in zip((-25, -155), rng.sample((2, 3, 3), 2), strict=True):
            if rng.random() < 0.8:
                turn = side + rng.uniform(-12, 20)
                pen.both(leaf(*points[where], turn, rng.uniform(17, 23), rng.uniform(11, 15), 0.35), green)
    disc = radius * rng.uniform(0.5, 0.6)
    count = rng.randint(13, 18)
    size = (disc * 0.7, radius, 2 * math.pi * disc / count * rng.uniform(1.3, 1.6))
    start = rng.uniform(0, 30)
    _head(pen, center, squash, count, size, shade(color, 0.85), start)
    if rng.random() < 0.6:
        _head(pen, center, squash, count, (size[0], radius * 0.92, size[2]), color, start + 180 / count)
    brown = tint(rng, rng.choice(("#5a3a1c", "#3d2817", "#7a4d20", "#6a6a24")), 10)
    pen.both(ellipse(*center, disc, disc * squash), brown)
    if rng.random() < 0.5:
        pen.fill(ellipse(*center, disc * 0.5, disc * 0.5 * squash), shade(brown, rng.choice((0.65, 1.3))))
    for i in range(rng.randint(10, 22)):
        # The golden angle spreads the seeds as the flower does.
        x, y = polar(0, 0, disc * 0.85 * math.sqrt((i + 0.5) / 22), i * 137.5)
        pen.dot(center[0] + x, center[1] + y * squash, disc * 0.07)
    return pen.svg(rng.random() < 0.5, rng.uniform(-6, 6))


def tulip(rng: random.Random) -> str:
    """Closed cups with pointed rims on stems between blade-like leaves."""
    pen, green = Pen(), _green(rng)
    blooms = rng.choice((1, 1, 2, 3))
    color = tint(rng, rng.choice(PETALS), 10)
    for i in range(blooms):
        w = rng.uniform(10, 14) if blooms == 1 else rng.uniform(7, 9)
        h = w * rng.uniform(2.0, 2.5)
        x = 36 + (rng.uniform(-3, 3) if blooms == 1 else (i - (blooms - 1) / 2) * rng.uniform(20, 23))
        base = 5 + h + rng.uniform(0, 3 if blooms == 1 else 14)
        _stem(pen, rng, (x, base - 2), green, rng.uniform(3, 4.5), 3)
        flare, dip = rng.uniform(0.75, 1.1) * w, h * rng.uniform(0.25, 0.4)
        back = shade(color, 0.78)
        pen.both(leaf(x, base, -90 + rng.uniform(-4, 4), h * 0.97, w * 1.1, 0.5), back)
        for side in (-1, 1):
            tip, foot = (x + side * flare, base - h), (x, base - h + dip * 1.7)
            swell = (x + side * w * 1.25, base + 1, x + side * w * 1.2, base - h * 0.4)
            crease = (x + side * w * 0.2, base - h * 0.8)
            pen.both(path("M", x, base, "C", *swell, *tip, "Q", *crease, *foot, "Z"), color)
        if rng.random() < 0.7:
            front = leaf(x, base, -90 + rng.uniform(-5, 5), h * rng.uniform(0.75, 0.9), w * 1.15, 0.45)
            pen.both(front, shade(color, 1.12))
    for side in rng.sample((-1, 1, rng.choice((-1, 1))), rng.randint(1, 3)):
        lean, tall = rng.uniform(6, 22), rng.uniform(28, 38)
        x, tip = 36 + side * 2, (36 + side * (lean + 4), 68 - tall)
        outer, inner = (x + side * (lean + 10), 62), (x + side * lean * 0.2, 68 - tall * 0.6)
        pen.both(path("M", x, 68, "Q", *outer, *tip, "Q", *inner, x - side * 4, 68, "Z"), shade(green, 0.9))
    return pen.svg(rng.random() < 0.5, rng.uniform(-6, 6), (rng.uniform(0.88, 1), rng.uniform(0.92, 1)))


def rose(rng: random.Random) -> str:
    """A round bloom of petals wound about each other; thorns and paired leaves on the stem."""
    pen, green = Pen(), _green(rng)
    color = tint(rng, rng.choice(PETALS), 10)
    stemmed = rng.random() < 0.7
    r = rng.uniform(15, 18) if stemmed else rng.uniform(23, 26)
    cx, cy = (36 + rng.uniform(-6, 6), 9 + r + rng.uniform(0, 3)) if stemmed else (36.0, 36.0)
    if stemmed:
        points = _stem(pen, rng, (cx, cy), green, rng.uniform(3, 4))
        for where in rng.sample((2, 3, 3), rng.randint(1, 2)):
            x, y = points[where]
            for side in rng.sample((-20, -160), rng.randint(1, 2)):
                turn, size = side + rng.uniform(-15, 15), rng.uniform(13, 18)
                pen.both(leaf(x, y, turn, size, size * 0.62, 0.5), green)
                pen.trace(path("M", x, y, "L", *polar(x, y, size * 0.75, turn)), 1.2)
        for x, y in points[2:4]:
            side = rng.choice((-1, 1))
            pen.both(polygon([(x, y + 3), (x + side * 5, y + 4), (x, y + 7)]), green, 1.4)
        for turn in (40, 140, 90):
            pen.both(leaf(cx, cy + r * 0.5, turn + rng.uniform(-10, 10), r * 0.85, r * 0.4), green, 1.6)
    else:
        for i in range(rng.randint(0, 4)):
            pen.both(leaf(cx, cy, rng.uniform(0, 40) + 90 * i, r * 1.35, r * 0.7, 0.65), green)
    turn, count = rng.uniform(0, 360), rng.randint(4, 6)
    for scale, number in ((0.62, count), (0.42, count - 1), (0.22, 3)):
        for i in range(number):
            x, y = polar(cx, cy, r * scale, turn + 360 * i / number)
            broad = r * scale * 2.1 * math.sin(math.pi / number) * 0.62 + r * 0.07
            angle = turn + 360 * i / number
            petal = ellipse(x, y, r * 0.34, max(broad, r * 0.25), angle)
            pen.both(petal, shade(color, 0.72 + 0.45 * scale + rng.uniform(-0.04, 0.04)), 1.5)
        turn += rng.uniform(25, 60)
    heart = r * rng.uniform(0.22, 0.3)
    pen.both(circle(cx, cy, heart), shade(color, 0.8), 1.5)
    spiral = [polar(cx, cy, heart * t / 8, turn + 70 * t) for t in range(8)]
    pen.trace(smooth(spiral), 1.4)
    return pen.svg(rng.random() < 0.5, rng.uniform(-8, 8))


def lotus(rng: random.Random) -> str:
    """Broad pointed petals opened like a fan above the water."""
    pen, green = Pen(), _green(rng)
    color = tint(rng, rng.choice(("#f2a0c0", "#f4f1ea", "#b98ad6", "#f5dc7a", "#e05f8f", "#8fb4e8")), 10)
    x, base = 36, rng.uniform(52, 56)
    if rng.random() < 0.7:
        wide = rng.uniform(22, 31)
        pen.both(ellipse(x + rng.uniform(-4, 4), base + 2, wide, rng.uniform(6, 10)), green)
    if rng.random() < 0.5:
        for y in (base + 8, base + 11)[: rng.randint(1, 2)]:
            wave = [(x + d, y + (1.5 if i % 2 else -1.5)) for i, d in enumerate((-28, -14, 0, 14, 28))]
            pen.trace(smooth(wave), 1.6)
    spread, tall = rng.uniform(68, 82), rng.uniform(38, 46)
    width = rng.uniform(10, 14)
    layers = rng.choice(((4, 5), (6, 3), (5, 4), (7, 4)))
    for layer, count in enumerate(layers):
        reach = spread * (1 if layer == 0 else 0.75)
        order = sorted(range(count), key=lambda i: -abs(i - (count - 1) / 2))
        for i in order:
            t = 2 * i / (count - 1) - 1
            angle = -90 + t * reach
            length = tall * (1 - 0.28 * t * t) * (1 if layer == 0 else rng.uniform(0.72, 0.8))
            petal = leaf(x, base + 3, angle, length * rng.uniform(0.95, 1), width, 0.62)
            pen.both(petal, shade(color, (0.85, 1.05)[layer]), 1.7)
    return pen.svg(rng.random() < 0.5, rng.uniform(-5, 5), (rng.uniform(0.75, 0.9), rng.uniform(0.88, 1)))


def cactus(rng: random.Random) -> str:
    """A spiny column with raised arms, a ribbed ball, or jointed pads; often in a pot."""
    pen, green = Pen(), _green(rng)
    potted = rng.random() < 0.5
    ground = 54.0 if potted else 66.0
    kind = rng.choice(("column", "column", "ball", "pads"))
    spines: list[Point] = []
    crown: Point = (36, 10)
    if kind == "column":
        w, top = rng.uniform(11, 16), rng.uniform(11, 17)
        for side in rng.sample((-1, 1), rng.choice((1, 2, 2))):
            arm, y = rng.uniform(8, 11), rng.uniform(top + 20, ground - 10)
            x = 36 + side * (w / 2 + rng.uniform(9, 13))
            high = y - rng.uniform(9, 18)
            pen.tube(path("M", 36, y, "H", x - side * 5, "Q", x, y, x, y - 5, "V", high), green, arm)
            spines += [(x, high + 1), (x, high + 8)]
        pen.both(rect(36 - w / 2, top, w, ground - top + 4, w / 2), green)
        pen.stripe(path("M", 36, top + 6, "V", ground), shade(green, 0.75), 1.6)
        spines += [(36 + rng.choice((-1, 1)) * w * 0.25, y) for y in range(int(top) + 7, int(ground) - 2, 8)]
        crown = (36, top)
    elif kind == "ball":
        rx, ry = rng.uniform(17, 23), rng.uniform(17, 22)
        cy = ground + 2 - ry
        pen.both(ellipse(36, cy, rx, ry), green)
        for bow in (-0.55, 0, 0.55):
            pen.trace(path("M", 36, cy - ry, "Q", 36 + bow * rx * 2, cy, 36 + bow * rx * 0.4, cy + ry), 1.3)
            spines += [(36 + bow * rx * (1 if bow else 0) + 5, cy + dy) for dy in (-8, 0, 8)]
        crown = (36, cy - ry)
    else:
        h = rng.uniform(13, 15)
        for side in (-1, 1):
            a = side * rng.uniform(28, 50)
            x, y = polar(36, ground - 2 * h + 6, h * 1.1, -90 + a)
            pen.both(ellipse(x, y, h * 0.55, h * 0.85, a), shade(green, 1.08))
            spines += [(x - 2, y - 3), (x + 3, y + 3)]
            if rng.random() < 0.4:
                pen.both(circle(*polar(x, y, h, -90 + a), 3.5), tint(rng, "#d84a6b", 25), 1.6)
        pen.both(ellipse(36, ground - h + 2, h * 0.75, h), green)
        spines += [(32, ground - h), (39, ground - h - 5), (37, ground - h + 6)]
        crown = (36, ground - 2 * h + 2)
    for x, y in spines:
        pen.trace(path("M", x - 2, y - 1.5, "L", x + 2, y + 1.5, "M", x + 2, y - 1.5, "L", x - 2, y + 1.5), 1)
    if rng.random() < 0.45:
        flower = tint(rng, rng.choice(("#e9627d", "#f5cf3f", "#f4f1ea")), 15)
        for turn in (-140, -40, -90):
            pen.both(leaf(*crown, turn, 8, 5), flower, 1.5)
    if potted:
        pot = tint(rng, rng.choice(("#b5653a", "#d98a5b", "#7d8ea6", "#ece4d4")), 14)
        w = rng.uniform(13, 17)
        pen.both(polygon([(36 - w, 54), (36 + w, 54), (36 + w * 0.7, 68), (36 - w * 0.7, 68)]), pot)
        pen.both(rect(33 - w, 51, 2 * w + 6, 6, 1), pot)
    elif rng.random() < 0.7:
        pen.trace(path("M", 10, 67, "H", 62))
    return pen.svg(rng.random() < 0.5, rng.uniform(-4, 4), (rng.uniform(0.9, 1.08), 1))


def pine_tree(rng: random.Random) -> str:
    """A narrow cone of boughs in tiers on a short trunk."""
    pen = Pen()
    green = tint(rng, rng.choice(("#2f6b4a", "#3f7f3a", "#1f5a3f", "#5b8f6a", "#5d8294", "#8a9a35")), 14)
    bark = tint(rng, rng.choice(("#7a5230", "#5a3f2a", "#9a7450")), 12)
    tiers, half = rng.randint(3, 5), rng.uniform(17, 26)
    top, low = rng.uniform(4, 8), rng.uniform(54, 60)
    w = rng.uniform(3, 5)
    pen.both(rect(36 - w, low - 6, 2 * w, 74 - low, 1), bark)
    droop, ragged = rng.uniform(-1, 6), rng.random() < 0.5
    snowy = rng.random() < 0.2
    for i in reversed(range(tiers)):
        bottom = top + (low - top) * (i + 1) / tiers
        peak = max(top, bottom - (low - top) / tiers * 1.9)
        wide = half * (0.38 + 0.62 * (i + 1) / tiers)
        teeth = 5 if ragged else 1
        hem: list[Point] = []
        for k in range(2 * teeth + 1):
            t = 1 - k / teeth
            hem.append((36 + wide * t, bottom + droop * abs(t) - (3 if k % 2 and ragged else 0)))
        pen.both(polygon([(36, peak), *hem]), shade(green, 1 + 0.06 * (tiers - i)))
        if snowy:
            side, deep = wide * 0.4, peak + (bottom - peak) * 0.45
            pen.fill(polygon([(36, peak + 1), (36 + side, deep), (36 - side, deep - 2)]), "#eef4f8")
    return pen.svg(rng.random() < 0.5, rng.uniform(-4, 4), (rng.uniform(0.8, 1.1), 1))


def palm_tree(rng: random.Random) -> str:
    """A bare leaning trunk with a crown of arching fronds."""
    pen, green = Pen(), _green(rng)
    bark = tint(rng, rng.choice(("#a9784a", "#8a6a48", "#c49a6a")), 12)
    foot, top = (36 - rng.uniform(0, 14), 67.0), (36 + rng.uniform(-4, 6), rng.uniform(24, 30))
    bend = rng.uniform(-7, 7)
    trunk = _bent(foot, top, bend, 6)
    width = rng.uniform(5, 7)
    if rng.random() < 0.35:
        x = foot[0]
        sand = tint(rng, "#ead9a0", 12)
        pen.both(path(f"M {x - 18} 69 Q {x} 57 {x + 22} 69 Z"), sand)
    pen.tube(smooth(trunk), bark, width)
    for x, y in trunk[1:-1]:
        pen.trace(path("M", x - width / 2, y, "Q", x, y + 2, x + width / 2, y), 1.2)
    count = rng.randint(5, 8)
    toothed = rng.random() < 0.5
    for i in sorted(range(count), key=lambda i: abs(i - (count - 1) / 2)):
        t = 2 * i / (count - 1) - 1
        angle = -90 + t * rng.uniform(95, 118)
        reach = rng.uniform(22, 27) * (1 - 0.25 * (1 - abs(t)))
        tip = polar(*top, reach, angle)
        tip = (tip[0], tip[1] + 6 * abs(t))
        bow = polar(*top, reach * 0.7, angle - math.copysign(38, t))
        under = polar(*top, reach * 0.45, angle - math.copysign(8, t))
        shape: list[str | float] = ["M", *top, "Q", *bow, *tip]
        if toothed:
            # Notches along the lower edge, as feathered fronds have.
            for k in (0.75, 0.5, 0.25):
                (ax, ay) = (top[0] + (tip[0] - top[0]) * k, top[1] + (tip[1] - top[1]) * k)
                nx, ny = bow[0] * 0.175 + under[0] * 0.325, bow[1] * 0.175 + under[1] * 0.325
                shape += ["L", ax / 2 + nx, ay / 2 + ny, "L", ax, ay + 2.5]
            shape += ["Z"]
        else:
            shape += ["Q", *under, *top, "Z"]
        pen.both(path(*shape), shade(green, rng.uniform(0.88, 1.12)), 1.2 if toothed else 1.7)
    if rng.random() < 0.5:
        nut = tint(rng, rng.choice(("#6b4423", "#c98a2b")), 12)
        for dx in (-3, 3, 0)[: rng.randint(1, 3)]:
            pen.both(circle(top[0] + dx, top[1] + 3.5, 3), nut, 1.5)
    return pen.svg(rng.random() < 0.5, rng.uniform(-5, 5), (rng.uniform(0.9, 1.05), 1))


def oak_tree(rng: random.Random) -> str:
    """A broad billowing crown on a stout trunk."""
    pen = Pen()
    green = tint(rng, rng.choice((*GREENS, "#d98a2b", "#b5482a", "#e0b53a")), 14)
    bark = tint(rng, rng.choice(("#7a5230", "#5a3f2a", "#8a6a50")), 12)
    rx, ry = rng.uniform(25, 31), rng.uniform(18, 23)
    cy, w, flare = 6 + ry, rng.uniform(4, 6), rng.uniform(3, 6)
    a = w + flare
    pen.both(path(f"M {36 - w} {cy} V 58 L {36 - a} 67 H {36 + a} L {36 + w} 58 V {cy}"), bark)
    if rng.random() < 0.5:
        side = rng.choice((-1, 1))
        pen.tube(path("M", 36, 54, "Q", 36 + side * 10, 48, 36 + side * 14, cy + ry * 0.6), bark, 4)
    bumps = rng.randint(7, 11)
    crown = ring(36, cy, rx * 0.8, ry * 0.78, bumps, rng.uniform(0, 90))
    shape: list[str | float] = ["M", *crown[0]]
    for (ax, ay), (bx, by) in zip(crown, [*crown[1:], crown[0]], strict=True):
        bulge = math.hypot(bx - ax, by - ay) * rng.uniform(0.5, 0.62)
        shape += ["A", bulge, bulge, "0 0 1", bx, by]
    pen.both(path(*shape, "Z"), green)
    for _ in range(rng.randint(2, 5)):
        x, y, size = 36 + rng.uniform(-0.5, 0.5) * rx, cy + rng.uniform(-0.5, 0.4) * ry, rng.uniform(3, 6)
        pen.fill(ellipse(x, y, size, size * 0.7), shade(green, rng.choice((0.85, 1.15))))
        if rng.random() < 0.6:
            pen.trace(path("M", x - size, y, "Q", x, y + size, x + size, y), 1.5)
    return pen.svg(rng.random() < 0.5, rng.uniform(-4, 4), (rng.uniform(0.92, 1.05), rng.uniform(0.88, 1)))


def fern(rng: random.Random) -> str:
    """Arching fronds with leaflets in pairs that taper to the tip."""
    pen, green = Pen(), _green(rng)
    fronds = rng.choice((1, 1, 3, 4, 5))
    for i in range(fronds):
        if fronds == 1:
            foot, lean, tall = (36 + rng.uniform(-10, -2), 68.0), rng.uniform(-10, 24), 61.0
            size = rng.uniform(15, 20)
        else:
            t = 2 * i / (fronds - 1) - 1
            lean, tall = 27 * t + rng.uniform(-3, 3), rng.uniform(50, 58) * (1 - 0.38 * abs(t))
            foot, size = (36.0, 67.0), rng.uniform(9, 12)
        pairs = rng.randint(8, 10) if fronds == 1 else rng.randint(6, 8)
        width = 3.0 if fronds == 1 else 2.5
        spine: list[Point] = []
        leaflets: list[str | float] = []
        for k in range(pairs + 1):
            t = k / pairs
            x, y = foot[0] + lean * t * t, foot[1] - tall * (t - 0.12 * t * t * (abs(lean) / 20))
            spine.append((x, y))
            heading = math.degrees(math.atan2(-tall, 2 * lean * t))
            if k:
                reach = size * (1 - t) ** 0.75 * min(1, 0.55 + 1.5 * t) + 1.5
                for side in (-1, 1):
                    tip = polar(x, y, reach, heading + side * 62)
                    middle = polar(x, y, reach * 0.6, heading + side * 74)
                    leaflets += ["M", x, y, "Q", *middle, *tip]
        pen.tube(path(commands(smooth(spine)), *leaflets), tint(rng, green, 8), width, 1.1)
    return pen.svg(rng.random() < 0.5, rng.uniform(-8, 8), (rng.uniform(0.85, 1), rng.uniform(0.92, 1)))


def mushroom(rng: random.Random) -> str:
    """A domed cap, often spotted, on a thick stalk."""
    pen = Pen()
    color = tint(rng, rng.choice(("#d22f27", "#a9784a", "#e8d9bd", "#d98a3b", "#7d6a9a", "#8a5a3a")), 12)
    pale = tint(rng, "#efe6d4", 10)
    caps = [(36.0, rng.uniform(0.85, 1.0))] if rng.random() < 0.65 else [(46.0, 0.75), (24.0, 0.5)]
    spotted = rng.random() < 0.6
    for x, scale in caps:
        w, h = rng.uniform(22, 30) * scale, rng.uniform(22, 34) * scale
        y = 66 - rng.uniform(26, 32) * scale
        s, b = rng.uniform(5, 8) * scale, rng.uniform(8, 12) * scale
        left, right = f"{x - s} 55 {x - b} 64", f"{x + s} 55 {x + s} {y}"
        pen.both(path(f"M {x - s} {y} Q {left} Q {x} 70 {x + b} 64 Q {right} Z"), pale)
        if rng.random() < 0.5:
            a, c = s + 1, s + 3
            low = f"L {x + c} {y + 11} Q {x} {y + 16} {x - c} {y + 11}"
            pen.both(path(f"M {x - a} {y + 6} Q {x} {y + 11} {x + a} {y + 6} {low} Z"), pale, 1.5)
        sag = rng.uniform(1, 7) * scale
        pen.both(ellipse(x, y, w * 0.97, max(sag, 2)), shade(pale, 0.85))
        peak = rng.uniform(1.25, 1.4) * h
        dome = f"C {x - w * 0.9} {y - peak} {x + w * 0.9} {y - peak} {x + w} {y}"
        pen.both(path(f"M {x - w} {y} {dome} Q {x} {y + sag - 4} {x - w} {y} Z"), color)
        if spotted:
            for t in (-0.6, -0.15, 0.3, 0.65)[: rng.randint(3, 4)]:
                r = rng.uniform(2, 4) * scale
                high = y - h * (0.85 - 0.8 * abs(t)) * rng.uniform(0.5, 0.8) - 2
                pen.both(ellipse(x + t * w, high, r * 1.2, r), pale, 1.2)
    return pen.svg(rng.random() < 0.5, rng.uniform(-8, 8), (1, rng.uniform(0.9, 1)))


def clover(rng: random.Random) -> str:
    """Three (rarely four) heart-shaped leaflets on one stalk."""
    pen, green = Pen(), _green(rng)
    count = 3 if rng.random() < 0.65 else 4
    cx, cy = 36 + rng.uniform(-3, 3), rng.uniform(28, 32)
    stalk = smooth([(cx, cy), (cx + rng.uniform(-2, 6), 50), (36 + rng.uniform(-8, 10), 67)])
    pen.tube(stalk, shade(green, 0.9), rng.uniform(3, 4))
    size, fat = rng.uniform(22, 25), rng.uniform(0.75, 0.95) if count == 4 else rng.uniform(0.9, 1.15)
    start = -90 + (45 if count == 4 else 0) + rng.uniform(-14, 14)
    banded = rng.random() < 0.5
    for i in range(count):
        turn = start + 360 * i / count
        tip = [polar(cx, cy, size * k, turn + d) for k, d in ((0.82, 0), (0.75, 45 * fat), (1.2, 32 * fat))]
        anti = [polar(cx, cy, size * k, turn - d) for k, d in ((1.2, 32 * fat), (0.75, 45 * fat))]
        heart = path("M", cx, cy, "C", *tip[1], *tip[2], *tip[0], "C", *anti[0], *anti[1], cx, cy, "Z")
        pen.both(heart, tint(rng, green, 6))
        if banded:
            bow = [polar(cx, cy, size * k, turn + d) for k, d in ((0.5, -24), (0.68, 0), (0.5, 24))]
            pen.stripe(smooth(bow), shade(green, 1.45), 2)
        pen.trace(path("M", cx, cy, "L", *polar(cx, cy, size * 0.4, turn)), 1.2)
    return pen.svg(rng.random() < 0.5, rng.uniform(-8, 8))


def bamboo(rng: random.Random) -> str:
    """Straight jointed canes with narrow leaves at the joints."""
    pen, green = Pen(), tint(rng, rng.choice(("#7fb04a", "#5c9e31", "#a9b84a", "#c9b25a", "#4e8f6a")), 14)
    canes = rng.randint(1, 4)
    gap = rng.uniform(12, 14)
    for i in range(canes):
        x, w = 36 + (i - (canes - 1) / 2) * gap, rng.uniform(5, 7) if canes > 1 else rng.uniform(9, 12)
        lean, top, step = rng.uniform(-3, 3), rng.uniform(11, 20), rng.uniform(11, 17)
        y, color = 68.0, tint(rng, green, 12)
        while y > top + 4:
            high = max(y - step, top)
            a, b = x + lean * (68 - y) / 60, x + lean * (68 - high) / 60
            half = w / 2
            if rng.random() < 0.5:
                side = rng.choice((-1, 1))
                for turn in (20, 55)[: rng.randint(1, 2)]:
                    angle = -90 + side * (turn + rng.uniform(0, 45))
                    pen.both(leaf(b, high, angle, rng.uniform(11, 14), 4.5, 0.4), shade(green, 0.8), 1.5)
            waist = (y + high) / 2
            left, right = (
                f"{a - half * 0.7} {waist} {b - half} {high}",
                f"{a + half * 0.7} {waist} {a + half} {y}",
            )
            pen.both(path(f"M {a - half} {y} Q {left} H {b + half} Q {right} Z"), color)
            y = high
    return pen.svg(rng.random() < 0.5, rng.uniform(-6, 6), (rng.uniform(0.85, 1), 0.94))


def maple_leaf(rng: random.Random) -> str:
    """One flat leaf of five toothed lobes."""
    pen = Pen()
    color = tint(rng, rng.choice(("#d22f27", "#e0762b", "#e9b53a", "#5c9e31", "#8a3a2a", "#7fb04a")), 14)
    cx, cy = 36, rng.uniform(41, 44)
    stalk = smooth([(cx, cy), (cx + rng.uniform(-3, 3), 58), (cx + rng.uniform(-7, 7), 68)])
    pen.tube(stalk, shade(color, 0.7), 3)
    spread, tall = rng.uniform(50, 60), rng.uniform(34, 38)
    right: list[Point] = []
    for turn, reach, breadth in ((0, tall, 13), (spread, tall * 0.88, 14), (spread * 2.05, tall * 0.55, 15)):
        k = rng.uniform(0.6, 0.7)
        heading = turn - 90
        before, after = (polar(cx, cy, reach * k, heading + d) for d in (-breadth, breadth))
        tooth = polar(cx, cy, reach * 0.8, heading + breadth * 1.5)
        inner = polar(cx, cy, reach * 0.62, heading + breadth)
        pre = polar(cx, cy, reach * 0.8, heading - breadth * 1.5)
        lobe = [pre, before, polar(cx, cy, reach, heading), after, tooth, inner]
        notch = polar(cx, cy, tall * rng.uniform(0.28, 0.36), heading + spread / 2)
        right += lobe[2:5] if turn == 0 else lobe[:1] + lobe[2:5]
        right.append(notch)
    right[-1] = (cx + 1.5, cy + 5)
    left = [(2 * cx - x, y) for x, y in reversed(right[1:])]
    pen.both(polygon([*right, *left]), color)
    for turn in (-90, -90 - spread, -90 + spread, -90 - 2 * spread, -90 + 2 * spread):
        reach = tall * (0.65 if abs(turn + 90) < 80 else 0.35)
        pen.trace(path("M", cx, cy + 2, "L", *polar(cx, cy, reach, turn)), 1.3)
    return pen.svg(rng.random() < 0.5, rng.uniform(-25, 25), (rng.uniform(0.85, 1), rng.uniform(0.9, 1)))


CONCEPTS: dict[str, Sketch] = {
    "daisy": daisy,
    "tulip": tulip,
    "sunflower": sunflower,
    "rose": rose,
    "lotus": lotus,
    "cactus": cactus,
    "pine tree": pine_tree,
    "palm tree": palm_tree,
    "oak tree": oak_tree,
    "fern": fern,
    "mushroom": mushroom,
    "clover": clover,
    "bamboo": bamboo,
    "maple leaf": maple_leaf,
}
