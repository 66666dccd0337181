"""Scenes: whole pictures from edge to edge, with land, sky, weather and a few things in them."""

from __future__ import annotations

import random

from vlcl_bench.mini.drawings.pen import Sketch, drawing, tint


def _rect(x: float, y: float, w: float, h: float, fill: str) -> str:
    return f'<rect x="{x:.2f}" y="{y:.2f}" width="{w:.2f}" height="{h:.2f}" fill="{fill}"/>'


def _disc(x: float, y: float, r: float, fill: str) -> str:
    return f'<circle cx="{x:.2f}" cy="{y:.2f}" r="{r:.2f}" fill="{fill}"/>'


def _poly(points: list[tuple[float, float]], fill: str) -> str:
    return f'<polygon points="{" ".join(f"{x:.2f},{y:.2f}" for x, y in points)}" fill="{fill}"/>'


def _sky(rng: random.Random) -> list[str]:
    """Day, dusk or overcast sky, sometimes with a sun or clouds: its colour must not give the scene away."""
    sky = tint(rng, rng.choice(["#8ecdf0", "#f3b98a", "#c9ced4", "#b7a6d9", "#f5e3b0"]), 20)
    parts = [_rect(0, 0, 72, 72, sky)]
    if rng.random() < 0.5:
        parts.append(_disc(rng.uniform(8, 64), rng.uniform(5, 18), rng.uniform(3, 6), "#fff2a8"))
    for _ in range(rng.randint(0, 2)):
        x, y = rng.uniform(5, 60), rng.uniform(6, 20)
        parts += [_disc(x + 4 * i, y - (i % 2), 3.5, "#ffffff") for i in range(3)]
    return parts


def _ridge(rng: random.Random, base: float, low: float, high: float, fill: str, peaks: int) -> str:
    step = 72 / peaks
    points = [(-2.0, 74.0), (-2.0, base)]
    for i in range(peaks):
        points.append((step * (i + rng.uniform(0.3, 0.7)), base - rng.uniform(low, high)))
        points.append((step * (i + 1), base - rng.uniform(0, low * 0.5)))
    return _poly([*points, (74, 74)], fill)


def _pine(x: float, y: float, size: float, fill: str) -> str:
    layers = [
        [(x - size * w, y - size * h), (x + size * w, y - size * h), (x, y - size * (h + 0.8))]
        for w, h in ((0.5, 0.2), (0.4, 0.7), (0.28, 1.2))
    ]
    return _rect(x - size * 0.08, y - size * 0.25, size * 0.16, size * 0.25, "#5b3a1e") + "".join(
        _poly(layer, fill) for layer in layers
    )


def mountain_landscape(rng: random.Random) -> str:
    """Snow-capped mountains over a meadow."""
    parts, rock = _sky(rng), tint(rng, "#6d7684", 30)
    horizon = rng.uniform(44, 58)
    for _ in range(rng.randint(2, 4)):
        x, top, half = rng.uniform(5, 67), horizon - rng.uniform(20, 38), rng.uniform(14, 26)
        parts.append(_poly([(x - half, horizon), (x, top), (x + half, horizon)], tint(rng, rock, 20)))
        parts.append(
            _poly(
                [
                    (x - half * 0.25, top + (horizon - top) * 0.25),
                    (x, top),
                    (x + half * 0.25, top + (horizon - top) * 0.25),
                    (x, top + 6),
                ],
                "#ffffff",
            )
        )
    return drawing([*parts, _rect(0, horizon, 72, 72, tint(rng, "#7ba05b", 38))], [])


def seaside(rng: random.Random) -> str:
    """Sea to the horizon, sand in front, perhaps a parasol and a sail."""
    horizon, shore = rng.uniform(24, 36), rng.uniform(46, 58)
    parts = [*_sky(rng), _rect(0, horizon, 72, 72, tint(rng, "#2f7fb5", 30))]
    for _ in range(rng.randint(3, 7)):
        parts.append(_rect(rng.uniform(0, 60), rng.uniform(horizon + 2, shore - 2), rng.uniform(5, 14), 1, "#cfe8f5"))
    parts.append(_ridge(rng, shore, 1, 3, tint(rng, "#ead7a0", 20), 4))
    if rng.random() < 0.7:
        x, color = rng.uniform(12, 60), tint(rng, rng.choice(["#d6453d", "#3d6bd6", "#e0a020"]), 25)
        parts += [
            _rect(x, shore - 6, 1.2, 16, "#6b4a2a"),
            _poly([(x - 9, shore - 4), (x + 0.6, shore - 12), (x + 10, shore - 4)], color),
        ]
    if rng.random() < 0.6:
        x = rng.uniform(10, 60)
        parts += [
            _poly([(x, horizon - 8), (x, horizon + 2), (x + 6, horizon + 2)], "#ffffff"),
            _rect(x - 3, horizon + 2, 10, 2, "#7a3b1d"),
        ]
    return drawing(parts, [])


def city_skyline(rng: random.Random) -> str:
    """High-rise buildings with rows of windows."""
    parts, x, ground = _sky(rng), -2.0, rng.uniform(58, 70)
    while x < 72:
        width, top = rng.uniform(8, 16), rng.uniform(10, 42)
        wall = tint(rng, rng.choice(["#5b6675", "#8a6f5c", "#3f4a5c", "#a3a8b0"]), 25)
        parts.append(_rect(x, top, width, ground - top, wall))
        lit = rng.choice(["#ffe9a0", "#d8ecf7"])
        for row in range(int((ground - top - 3) // 5)):
            for column in range(int((width - 2) // 4)):
                if rng.random() < 0.8:
                    parts.append(_rect(x + 1.5 + 4 * column, top + 2.5 + 5 * row, 2, 2.6, lit))
        x += width + rng.uniform(0, 2)
    return drawing([*parts[:150], _rect(0, ground, 72, 72, "#4a4d52")], [])


def woodland(rng: random.Random) -> str:
    """Many trees one behind the other."""
    parts, ground = _sky(rng), rng.uniform(40, 50)
    parts.append(_rect(0, ground, 72, 72, tint(rng, "#4f6b3a", 38)))
    conifers = rng.random() < 0.5
    for row in range(3):
        for _ in range(rng.randint(5, 7)):
            x, y, size = rng.uniform(0, 72), ground + row * 9 + rng.uniform(0, 4), 10 + row * 4.0
            leaf = tint(rng, rng.choice(["#2f6b35", "#47803a", "#8a7a2c", "#b0632a"]), 30)
            if conifers:
                parts.append(_pine(x, y, size, leaf))
            else:
                parts += [
                    _rect(x - 1, y - size * 0.6, 2, size * 0.6, "#5b3a1e"),
                    _disc(x, y - size, size * 0.5, leaf),
                ]
    return drawing(parts, [])


def desert(rng: random.Random) -> str:
    """Sand dunes with a cactus or two."""
    horizon, sand = rng.uniform(34, 46), tint(rng, "#e0b466", 25)
    parts = [
        *_sky(rng),
        _ridge(rng, horizon, 3, 9, sand, rng.randint(2, 3)),
        _ridge(rng, horizon + 12, 2, 8, tint(rng, sand, 30), 2),
    ]
    for _ in range(rng.randint(1, 3)):
        x, y, h, green = (
            rng.uniform(8, 64),
            rng.uniform(52, 66),
            rng.uniform(12, 22),
            tint(rng, "#3f7a3f", 30),
        )
        parts += [
            _rect(x - 2, y - h, 4, h, green),
            _rect(x - 7, y - h * 0.7, 3, h * 0.35, green),
            _rect(x - 7, y - h * 0.4, 6, 3, green),
            _rect(x + 4, y - h * 0.85, 3, h * 0.4, green),
            _rect(x + 1, y - h * 0.5, 6, 3, green),
        ]
    return drawing(parts, [])


def snowy_village(rng: random.Random) -> str:
    """Small houses under snow, flakes in the air."""
    ground = rng.uniform(50, 60)
    parts = [*_sky(rng), _ridge(rng, ground, 1, 4, "#f4f7fb", 3)]
    for i in range(rng.randint(2, 4)):
        x, w, h = 4 + 18 * i + rng.uniform(-2, 4), rng.uniform(11, 16), rng.uniform(9, 14)
        wall = tint(rng, rng.choice(["#a8583a", "#7a5a44", "#c9a15a", "#6a7f94"]), 25)
        y = ground + rng.uniform(0, 6)
        parts += [
            _rect(x, y - h, w, h, wall),
            _poly([(x - 2, y - h), (x + w / 2, y - h - 8), (x + w + 2, y - h)], "#ffffff"),
            _rect(x + w / 2 - 1.5, y - 6, 3, 6, "#3b2a1e"),
            _rect(x + 1.5, y - h + 2, 2.5, 3, "#ffe9a0"),
        ]
    parts += [_disc(rng.uniform(0, 72), rng.uniform(0, 72), rng.uniform(0.7, 1.4), "#ffffff") for _ in range(25)]
    return drawing(parts, [])


def starry_night(rng: random.Random) -> str:
    """A dark sky full of stars, a moon, a dark horizon."""
    sky = tint(rng, rng.choice(["#131a3a", "#0d0d1f", "#1f1238", "#0f2b33"]), 25)
    parts = [_rect(0, 0, 72, 72, sky)]
    for _ in range(rng.randint(25, 60)):
        parts.append(
            _disc(
                rng.uniform(0, 72),
                rng.uniform(0, 58),
                rng.uniform(0.5, 1.4),
                rng.choice(["#ffffff", "#fff2c0"]),
            )
        )
    if rng.random() < 0.7:
        x, y, r = rng.uniform(14, 58), rng.uniform(10, 26), rng.uniform(5, 9)
        parts += [_disc(x, y, r, "#f6efc8"), _disc(x + r * rng.uniform(0.3, 0.6), y - r * 0.2, r * 0.85, sky)]
    return drawing([*parts, _ridge(rng, rng.uniform(58, 66), 3, 9, "#05060c", rng.randint(2, 5))], [])


def coral_reef(rng: random.Random) -> str:
    """Under water: coral on the ground, fish, rising bubbles."""
    parts = [
        _rect(0, 0, 72, 72, tint(rng, rng.choice(["#2a86b8", "#1f9c9c", "#2c5fa8"]), 25)),
        _ridge(rng, rng.uniform(58, 64), 1, 4, "#d9c48a", 3),
    ]
    for _ in range(rng.randint(3, 6)):
        x, color = rng.uniform(4, 68), tint(rng, rng.choice(["#e0567a", "#f08a3c", "#a45bd0", "#e6d04a"]), 25)
        for k in range(4):
            lean = (k - 1.5) * rng.uniform(2, 4)
            parts.append(_poly([(x, 66), (x + lean, 66 - rng.uniform(9, 20)), (x + 2.5, 66)], color))
    for _ in range(rng.randint(2, 5)):
        x, y, d = rng.uniform(10, 62), rng.uniform(10, 48), rng.choice([-1, 1])
        color = tint(rng, rng.choice(["#f5a623", "#f5e04a", "#e05050", "#ffffff"]), 25)
        parts += [
            f'<ellipse cx="{x:.2f}" cy="{y:.2f}" rx="5" ry="3" fill="{color}"/>',
            _poly([(x + 4 * d, y), (x + 8 * d, y - 3), (x + 8 * d, y + 3)], color),
        ]
    parts += [_disc(rng.uniform(4, 68), rng.uniform(4, 60), rng.uniform(0.8, 2), "#bfe6f5") for _ in range(8)]
    return drawing(parts, [])


def farmyard(rng: random.Random) -> str:
    """A barn, a fence and a field."""
    horizon = rng.uniform(40, 48)
    parts = [
        *_sky(rng),
        _rect(0, horizon, 72, 72, tint(rng, rng.choice(["#86b04e", "#c9b04e", "#6f9a4a"]), 25)),
    ]
    x, w, h = rng.uniform(6, 34), rng.uniform(22, 30), rng.uniform(14, 18)
    barn = tint(rng, rng.choice(["#b03a2e", "#8a5a3a", "#7f8c8d"]), 25)
    roof = [
        (x - 2, horizon - h + 6),
        (x + w * 0.2, horizon - h - 3),
        (x + w / 2, horizon - h - 8),
        (x + w * 0.8, horizon - h - 3),
        (x + w + 2, horizon - h + 6),
    ]
    parts += [
        _rect(x, horizon - h + 6, w, h, barn),
        _poly(roof, tint(rng, "#5a3a30", 25)),
        _rect(x + w / 2 - 5, horizon - 5, 10, 11, "#f3ead8"),
        _rect(x + w / 2 - 4, horizon - 4, 8, 10, barn),
    ]
    fence, y = rng.choice(["#f7f3ea", "#8a6a45"]), rng.uniform(56, 62)
    parts += [_rect(px, y - 6, 1.8, 10, fence) for px in range(2, 72, rng.randint(8, 11))]
    return drawing([*parts, _rect(0, y - 4, 72, 1.6, fence), _rect(0, y, 72, 1.6, fence)], [])


def living_room(rng: random.Random) -> str:
    """A wall, a floor, a sofa, a window or picture, perhaps a lamp."""
    floor = rng.uniform(48, 56)
    parts = [
        _rect(0, 0, 72, 72, tint(rng, rng.choice(["#efe2cf", "#cfdfe6", "#e6cfd6", "#d6e2c8"]), 20)),
        _rect(0, floor, 72, 72, tint(rng, rng.choice(["#a8794a", "#8a8f98", "#c9a97a"]), 25)),
    ]
    x, w, color = (
        rng.uniform(6, 28),
        rng.uniform(28, 38),
        tint(rng, rng.choice(["#b5463c", "#3f6fa8", "#5a8a5a", "#c99a3a"]), 25),
    )
    parts += [
        _rect(x, floor - 14, w, 12, color),
        _rect(x - 3, floor - 8, 5, 14, tint(rng, color, 38)),
        _rect(x + w - 2, floor - 8, 5, 14, tint(rng, color, 38)),
        _rect(x, floor - 3, w, 7, tint(rng, color, 38)),
    ]
    fx, fw, fh = rng.uniform(6, 44), rng.uniform(14, 22), rng.uniform(12, 18)
    parts += [_rect(fx, 6, fw, fh, "#ffffff"), _rect(fx + 1.5, 7.5, fw - 3, fh - 3, tint(rng, "#9cd0ee", 38))]
    if rng.random() < 0.5:
        parts.append(_rect(fx + fw / 2 - 0.6, 6, 1.2, fh, "#ffffff"))
    if rng.random() < 0.6:
        lx = 64 if x < 18 else 5
        parts += [
            _rect(lx, floor - 22, 1.4, 26, "#4a4a4a"),
            _poly(
                [(lx - 5, floor - 20), (lx - 2, floor - 29), (lx + 4, floor - 29), (lx + 7, floor - 20)],
                "#f5d98a",
            ),
        ]
    return drawing(parts, [])


def city_street(rng: random.Random) -> str:
    """A road running to the horizon between houses."""
    horizon = rng.uniform(30, 38)
    parts, vx = _sky(rng), rng.uniform(28, 44)
    parts.append(_rect(0, horizon, 72, 72, tint(rng, "#9a9a96", 25)))
    for side in (0, 1):
        for depth in range(3):
            near, far = (72 if side else 0), vx + (14 - 4 * depth) * (1 if side else -1)
            step = abs(near - far) / 3
            px = near - (depth + 1) * step if side else near + depth * step
            height = rng.uniform(20, 30) - depth * 6
            wall = tint(rng, rng.choice(["#b5654a", "#c9b08a", "#8a9bb0", "#a87a9a"]), 25)
            parts += [_rect(px, horizon + 6 - height, step, height + (2 - depth) * 5, wall)]
            parts += [_rect(px + step * f, horizon + 9 - height, step * 0.18, 4, "#e9f3f8") for f in (0.2, 0.6)]
    parts.append(_poly([(vx - 2, horizon), (vx + 2, horizon), (66, 72), (6, 72)], tint(rng, "#55585e", 20)))
    for k in range(4):
        y = horizon + 4 + k * k * 2.4 + k * 3
        parts.append(
            _rect(
                vx + (36 - vx) * (y - horizon) / (72 - horizon) - 0.4 - k * 0.3,
                y,
                0.8 + k * 0.6,
                2 + k,
                "#f5f0c8",
            )
        )
    return drawing(parts, [])


def volcano(rng: random.Random) -> str:
    """An erupting cone with lava and smoke."""
    base, x, top = rng.uniform(56, 64), rng.uniform(26, 46), rng.uniform(20, 30)
    lava = tint(rng, "#f0562a", 25)
    parts = [
        *_sky(rng),
        *[
            _disc(
                x + rng.uniform(-10, 10),
                top - rng.uniform(3, 18),
                rng.uniform(4, 8),
                tint(rng, "#6a6a70", 38),
            )
            for _ in range(6)
        ],
        _poly([(x - 26, base), (x - 6, top), (x + 6, top), (x + 26, base)], tint(rng, "#5a4038", 25)),
        _poly([(x - 6, top), (x + 6, top), (x + 3, top + 14), (x, top + 6), (x - 3, top + 18)], lava),
    ]
    return drawing([*parts, _rect(0, base, 72, 72, tint(rng, "#4f6b4a", 38))], [])


CONCEPTS: dict[str, Sketch] = {
    "mountain landscape": mountain_landscape,
    "seaside": seaside,
    "city skyline": city_skyline,
    "woodland": woodland,
    "desert": desert,
    "snowy village": snowy_village,
    "starry night": starry_night,
    "coral reef": coral_reef,
    "farmyard": farmyard,
    "living room": living_room,
    "city street": city_street,
    "volcano": volcano,
}
