"""Parametric household objects: fourteen kinds, no two drawings of a kind alike.

They share the vehicles' colours and short-hand pen, so a kind shows only in its shape.
"""

import random

from vlcl_bench.mini.drawings.pen import Sketch, path, polar
from vlcl_bench.mini.drawings.vehicles import Easel

WOOD = ("#a8744a", "#c99a62", "#7a5a44", "#d8b888", "#5f4a3c")
METAL = ("#c0c5c9", "#8a9299", "#d8b050", "#b5763c", "#e2e4e6")


def chair(rng: random.Random) -> str:
    """A seat on legs with a back rest: wooden, armchair or swivel chair, from the front or the side."""
    e = Easel(rng)
    wood, cloth, kind = rng.choice((e.paint(), rng.choice(WOOD))), e.paint(), rng.random()
    seat, top, half = rng.uniform(38, 43), rng.uniform(5, 12), rng.uniform(14, 19)
    if kind < 0.4:
        for s in (-1, 1):
            e.box(wood, 36 + s * (half - 2) - 2, top, 4, seat - top, 1)
        if rng.random() < 0.5:
            for k in range(rng.randint(2, 3)):
                e.box(wood, 36 - half + 4, top + 4 + k * 9, 2 * half - 8, rng.uniform(4, 5.5))
        else:
            e.box(wood, 36 - half + 2, top + 2, 2 * half - 4, 5, 1)
            for k in range(rng.randint(2, 4)):
                e.box(wood, 36 - half + 7 + k * (2 * half - 14) / 3 - 1, top + 7, 3, seat - top - 7)
        for s in (-1, 1):
            e.path(wood, "M", 36 + s * half, seat + 3, "L", 36 + s * (half + 2), 67, "h", -s * 4, "L",
                   36 + s * (half - 5), seat + 3, "Z")  # fmt: skip
        if rng.random() < 0.5:
            e.box(wood, 36 - half + 2, 54, 2 * half - 4, 3)
        e.path(cloth, "M", 36 - half + 2, seat - 4, "H", 34 + half, "L", 38 + half, seat + 5, "H", 34 - half, "Z")
    elif kind < 0.65:
        left, right, lean = 36 - half, 36 + half, rng.uniform(0, 6)
        for x, splay in ((left + 3, -2), (right - 3, 2)):
            e.path(wood, "M", x - 2, seat, "L", x + splay - 1.5, 67, "h 3 L", x + 2.5, seat, "Z")
        e.path(wood, "M", left, seat + 3, "L", left - lean, top, "q 3 -4 6 0 L", left + 6, seat + 3, "Z")
        e.box(cloth, left - 1, seat - 2, right - left + 3, rng.uniform(5, 8), rng.uniform(1, 3))
        if rng.random() < 0.5:
            e.path("", "M", left, 57, "H", right)
    elif kind < 0.82:
        wide = half + 8
        for s in (-1, 1):
            e.box(wood, 36 + s * (wide - 5) - 1.5, 58, 4, 9)
        e.box(cloth, 36 - wide + 4, top + 4, 2 * wide - 8, 50 - top, rng.uniform(5, 12))
        e.box(cloth, 36 - wide + 6, seat - 2, 2 * wide - 12, 9, 3)
        for s in (-1, 1):
            e.box(cloth, 36 + s * (wide - 4) - 4.5, seat - 9, 9, 30, rng.uniform(3, 4.5))
        e.box(cloth, 36 - wide + 8.5, seat + 7, 2 * wide - 17, 13)
    else:
        e.box("#6a6e72", 34, seat, 4, 17)
        for x in (18, 36, 54):
            e.path("", "M 36 57 L", x, 63)
            e.oval("#3a3d40", x, 65, 2.5)
        e.box("#6a6e72", 34, top + 16, 4, seat - top - 16)
        e.box(cloth, 36 - half + 2, top, 2 * half - 4, rng.uniform(19, 24), rng.uniform(3, 9))
        e.box(cloth, 36 - half - 1, seat - 3, 2 * half + 2, 7, 3.5)
    return e.done()


def lamp(rng: random.Random) -> str:
    """A shade over a stand: on a table, on the floor, on a jointed arm, or hanging."""
    e = Easel(rng)
    shade, stand, kind = e.paint(), rng.choice((e.paint(), rng.choice(METAL))), rng.random()
    narrow, wide = rng.uniform(6, 13), rng.uniform(16, 24)
    if kind < 0.45:
        bottom, foot = rng.uniform(30, 38), rng.uniform(9, 15)
        if rng.random() < 0.5:
            e.box(stand, 34, bottom, 4, 63 - bottom)
        else:
            r = rng.uniform(7, 11)
            e.path(stand, "M 34", bottom, "Q", 36 - 2 * r, 50, "32 64 H 40 Q", 36 + 2 * r, 50, "38", bottom, "Z")
        e.box(stand, 36 - foot, 63, 2 * foot, 4.5, 2)
        e.path(shade, "M", 36 - narrow, 6, "H", 36 + narrow, "L", 36 + wide, bottom, "H", 36 - wide, "Z")
        if rng.random() < 0.4:
            e.path("", "M", 36 - wide + 2, bottom - 4, "H", 34 + wide)
        if rng.random() < 0.5:
            e.path("", "M", 36 + wide * 0.6, bottom, "v 9")
    elif kind < 0.6:
        e.box(stand, 34.5, 20, 3, 44)
        e.path(stand, "M 24 67 Q 36 58 48 67 Z")
        e.path(shade, "M", 36 - narrow * 0.8, 4, "H", 36 + narrow * 0.8, "L", 36 + wide * 0.7, 23, "H",
               36 - wide * 0.7, "Z")  # fmt: skip
    elif kind < 0.85:
        knee, head = (rng.uniform(14, 22), rng.uniform(30, 38)), (rng.uniform(38, 44), rng.uniform(10, 15))
        e.tube(path("M 32 62 L", *knee, "L", *head), stand, 4)
        e.oval(stand, *knee, 3)
        e.path(stand, "M 18 66 Q 20 59 32 59 Q 44 59 46 66 Z")
        hx, hy = head
        e.oval("#f5e6a0", hx + 10, hy + 14, 5)
        e.path(shade, "M", hx - 4, hy + 4, "Q", hx, hy - 8, hx + 9, hy - 3, "L", hx + 22, hy + 7, "L", hx + 1,
               hy + 21, "Z")  # fmt: skip
    else:
        e.path("", "M 36 2 V 24")
        top = rng.uniform(20, 28)
        e.oval("#f5e6a0", 36, top + 27, 6)
        e.path(shade, "M 32", top, "h 8 Q", 36 + wide, top + 4, 39 + wide, top + 27, "H", 33 - wide, "Q",
               36 - wide, top + 4, "32", top, "Z")  # fmt: skip
    return e.done(lean=3)


def umbrella(rng: random.Random) -> str:
    """A scalloped canopy on a stick with a crook, open, at any slant."""
    e = Easel(rng)
    first, second, r = e.paint(), e.paint(), rng.uniform(25, 31)
    rim, high, parts = rng.uniform(34, 40), rng.uniform(24, 31), rng.randint(3, 5)
    crook = rng.uniform(3.5, 6) * rng.choice((-1, 1))
    e.tube(path("M 36", rim - 4, "V 60", "A", abs(crook), abs(crook), "0 0", 0 if crook > 0 else 1,
           36 + 2 * crook, "60"), rng.choice((*WOOD, "#6a6e72")), 3)  # fmt: skip
    e.path("", "M 36", rim - high, "v -4")
    xs = [36 - r + 2 * r * k / parts for k in range(parts + 1)]
    canopy: list[str | float] = [
        "M",
        xs[0],
        rim,
        "C",
        36 - r,
        rim - high * 1.33,
        36 + r,
        rim - high * 1.33,
        xs[-1],
        rim,
    ]
    for a, b in zip(xs[-1:0:-1], xs[-2::-1], strict=True):
        canopy += ["Q", (a + b) / 2, rim - rng.choice((5.0, 6.0)), b, rim]
    e.path(first, *canopy, "Z")
    if rng.random() < 0.8:
        top = rim - high
        for k in range(parts // 2 + 1 if second != first else 0):
            a, b = xs[2 * k], xs[min(2 * k + 1, parts)]
            if rng.random() < 0.8 and b > a:
                e.path(second, "M", a, rim, "Q", (a + 36) / 2 + (a - 36) * 0.35, top + 4, 36, top, "Q",
                       (b + 36) / 2 + (b - 36) * 0.35, top + 4, b, rim, "Q", (a + b) / 2, rim - 6, a, rim,
                       "Z")  # fmt: skip
    for x in xs[1:-1]:
        e.path("", "M 36", rim - high, "Q", (x + 36) / 2 + (x - 36) * 0.35, rim - high + 4, x, rim)
    return e.done(lean=35)


def cup(rng: random.Random) -> str:
    """A mug or tea cup with a handle, perhaps on a saucer or steaming."""
    e = Easel(rng)
    body, second, top = e.paint(), e.paint(), rng.uniform(18, 26)
    wide, low, floor = rng.uniform(16, 22), rng.uniform(9, 20), rng.uniform(56, 62)
    bowl = rng.random() < 0.5
    if bowl:
        floor -= 6
        low = rng.uniform(6, 10)
    saucer = rng.random() < (0.7 if bowl else 0.15)
    high, out = rng.uniform(12, 20), rng.uniform(9, 14)
    e.tube(path("M", 32 + wide - 3, top + 7, "c", out * 1.3, -4, out * 1.3, high + 4, -(wide - low) * 0.4 - 1,
           high), body, 5)  # fmt: skip
    if saucer:
        e.path(second, "M 4", floor, "H 62 Q 58", floor + 7, "44", floor + 7, "H 22 Q 8", floor + 7, "4",
               floor, "Z")  # fmt: skip
    if bowl:
        e.path(body, "M", 32 - wide, top, "H", 32 + wide, "Q", 32 + wide, floor - 3, 32 + low, floor, "H",
               32 - low, "Q", 32 - wide, floor - 3, 32 - wide, top, "Z")  # fmt: skip
    else:
        e.path(body, "M", 32 - wide, top, "H", 32 + wide, "L", 32 + low, floor - 3, "q 0 3 -3 3 H", 35 - low,
               "q -3 0 -3 -3 Z")  # fmt: skip
    mark = rng.random()
    if mark < 0.25:
        e.oval(second, 32, (top + floor) / 2 + 1, min(low, 7.0))
    elif mark < 0.5:
        e.box(second, 32 - wide + 2, top + 6, 2 * wide - 4, rng.uniform(3, 8), line=False)
    if rng.random() < 0.6:
        e.oval(rng.choice(("#6a4630", "#f2ede0", "#b5763c")), 32, top, wide, rng.uniform(2.5, 5))
    for k in range(rng.choice((0, 0, 2, 3))):
        e.path("", "M", 24 + 8 * k, top - 6, "q -3 -3 0 -6 t 0 -5")
    return e.done(lean=5)


def key(rng: random.Random) -> str:
    """A bow with a hole, a shank, and a bit with teeth, at any angle."""
    e = Easel(rng)
    metal, r, y = rng.choice((e.paint(), rng.choice(METAL))), rng.uniform(9, 13), 36.0
    thick, end, x = rng.uniform(4, 6.5), rng.uniform(63, 68), 5 + r
    e.box(metal, x, y - thick / 2, end - x, thick, 1)
    place, teeth = end - rng.uniform(2, 5), rng.randint(1, 4)
    for _ in range(teeth):
        wide = rng.uniform(3.2, 5)
        place -= wide
        e.box(metal, place, y + thick / 2 - 0.5, wide, rng.uniform(4, 9 if teeth < 4 else 6))
        place -= rng.choice((0.0, 2.0))
    kind = rng.random()
    hole = r * rng.uniform(0.35, 0.6)
    if kind < 0.45:
        e.oval(metal, x, y, r, r * rng.uniform(0.85, 1.15))
    elif kind < 0.7:
        for turn in (90, 180, 270):
            cx, cy = polar(x, y, r * 0.6, turn)
            e.oval(metal, cx, cy, r * 0.6)
        hole = 0.0 if rng.random() < 0.3 else r * 0.3
    else:
        e.box(metal, x - r, y - r, 2 * r, 2 * r, rng.uniform(2, r * 0.7))
    if hole:
        # The hole shows whatever is behind; a drawing has no background, so paper white stands in.
        e.oval("#ffffff", x - (r * 0.2 if kind > 0.7 else 0), y, hole)
    if rng.random() < 0.4:
        e.box(metal, x + r, y - thick * 0.9, 3, thick * 1.8)
    return e.done(lean=180)


def clock(rng: random.Random) -> str:
    """A dial with two hands and marks: on the wall, with bells, with a pendulum, or a watch."""
    e = Easel(rng)
    body, face, kind = e.paint(), rng.choice(("#ffffff", "#f5eeda", "#e2ecf0", e.paint())), rng.random()
    x, y, r = 36.0, 36.0, rng.uniform(24, 29)
    square = rng.random() < 0.25
    if kind < 0.3:
        y, r, square = 40.0, rng.uniform(20, 23), False
        for s in (-1, 1):
            e.path("", "M", x + s * r * 0.6, y + r * 0.7, "l", s * 6, 8)
            bx, by = polar(x, y, r + 4, -90 + s * 40)
            e.path(body, "M", bx - 8, by + s * 4, "A 8.5 8.5 0 0 1", bx + 7, by - 1 + s * 6, "Z")
        e.path("", "M 36", y - r, "v -6 m -3 0 h 6")
    elif kind < 0.5:
        y, r = 24.0, rng.uniform(16, 19)
        low = rng.uniform(62, 67)
        e.path(body, "M", x - r * 0.75, y, "V", low, "H", x + r * 0.75, "V", y, "Z")
        e.path("", "M 36", y, "L", x + rng.uniform(-5, 5), low - 9)
        e.oval("#e8c860", x + rng.uniform(-4, 4), low - 9, 4.5)
    elif kind < 0.62:
        r = rng.uniform(16, 20)
        e.box(e.paint(), x - 8, 2, 16, 68, 3)
        e.box(body, x + r - 1, y - 2.5, 5, 5, 1)
    if square:
        e.box(body, x - r, y - r, 2 * r, 2 * r, rng.uniform(1, 8))
    else:
        e.oval(body, x, y, r)
    inner = r * rng.uniform(0.74, 0.86)
    e.oval(face, x, y, inner)
    for k in range(0, 12, rng.choice((1, 3, 3))):
        a, b = polar(x, y, inner * 0.82, k * 30), polar(x, y, inner * 0.92, k * 30)
        e.path("", "M", *a, "L", *b)
    hour = rng.uniform(0, 12)
    e.trace(path("M", x, y, "L", *polar(x, y, inner * 0.5, hour * 30 - 90)), 3)
    e.path("", "M", x, y, "L", *polar(x, y, inner * 0.76, hour * 360 - 90))
    e.dot(x, y, 2)
    return e.done(lean=6, stretch=0.06)


def guitar(rng: random.Random) -> str:
    """A waisted body with a long neck and a head with pegs: acoustic, electric, or ukulele-sized."""
    e = Easel(rng)
    body, neck, electric = e.paint(), rng.choice(WOOD), rng.random() < 0.4
    low, up, top = rng.uniform(13, 17), rng.uniform(9, 12), rng.uniform(34, 40)
    half, nut = rng.uniform(2.2, 3), rng.uniform(9, 13)
    waist, y = up * rng.uniform(0.65, 0.85), top + 13.0
    if electric:
        horn = rng.uniform(2, 9)
        e.path(body, "M 32", top + 5, "L", 36 - up - 2, top - horn, "Q", 36 - up - 6, top + 8, 36 - waist,
               y + 2, "Q", 34 - low, y + 6, 36 - low, y + 12, "Q", 36 - low, 70, "36 70 Q", 36 + low, 70,
               36 + low, y + 12, "Q", 38 + low, y + 6, 36 + waist, y + 1, "Q", 36 + up + 6, top + 9,
               36 + up + 1, top - horn * 0.4, "L 40", top + 5, "Z")  # fmt: skip
        for k in range(rng.randint(2, 3)):
            e.box("#3a3d40", 30, y + 1 + k * 5, 12, 2.5, line=False)
    else:
        e.path(body, "M 36", top, "C", 36 - up - 3, top - 1, 36 - up - 3, top + 10, 36 - waist, y, "C",
               34 - low, y + 5, 34 - low, 69, "36 69 C", 38 + low, 69, 38 + low, y + 5, 36 + waist, y, "C",
               36 + up + 3, top + 10, 36 + up + 3, top - 1, 36, top, "Z")  # fmt: skip
        e.oval("#4a3a30", 36, y + 2, rng.uniform(4, 5.5))
    e.box("#4a3a30", 30, 60, 12, rng.uniform(2, 3.5))
    e.box(neck, 36 - half, nut, 2 * half, top + 6 - nut)
    for k in range(rng.choice((0, 3, 5))):
        e.trace(path("M", 36 - half, nut + 4 + k * 4.5, "h", 2 * half), 1)
    e.trace(path("M 36", nut, "V 60"), 1)
    wide = rng.uniform(3.5, 5)
    pegs = rng.randint(2, 3)
    for k in range(pegs):
        for s in (-1, 1):
            e.path("", "M", 36 + s * wide, nut - 1.5 - k * 3.2, "h", s * 2.5)
    e.path(rng.choice((body, neck)), "M", 36 - half, nut, "L", 36 - wide, nut - 3 * pegs, "q", wide,
           rng.uniform(-4, 3), 2 * wide, 0, "L", 36 + half, nut, "Z")  # fmt: skip
    return e.done(lean=60)


def scissors(rng: random.Random) -> str:
    """Two crossed blades with finger loops, more or less open, at any angle."""
    e = Easel(rng)
    grip, blade, gape = e.paint(), rng.choice(METAL), rng.uniform(9, 25)
    long, thick, y = rng.uniform(32, 38), rng.uniform(4, 6), rng.uniform(38, 42)
    rx, ry, reach = rng.uniform(6, 8), rng.uniform(7.5, 11), rng.uniform(17, 20)
    for s in (-1, 1):
        ax, ay = polar(36, y, long, -90 + s * gape)
        hx, hy = polar(36, y, reach, 90 + s * (gape + 14))
        jx, jy = polar(36, y, 7, 90 + s * gape)
        e.tube(path("M 36", y, "L", jx, jy, "L", *polar(36, y, reach - ry * 0.8, 90 + s * (gape + 10))), grip, 4)
        sx, sy = polar(0, 0, thick, s * gape + (0 if s < 0 else 180))
        e.path(blade, "M", 36 - sx * 0.3, y - sy * 0.3, "L", ax, ay, "Q", (ax + 36) / 2 + sx * 1.5,
               (ay + y) / 2 + sy * 1.5, 36 + sx * 0.7, y + sy * 0.7, "Z")  # fmt: skip
        wide = rng.uniform(3.2, 4.2)
        ring = path("M", hx - rx, hy, "a", rx, ry, "0 1 0", 2 * rx, 0, "a", rx, ry, "0 1 0", -2 * rx, 0)
        e.tube(ring, grip, wide)
    e.oval("#6a6e72", 36, y, 2)
    return e.done(lean=180)


def hat(rng: random.Random) -> str:
    """A crown with a brim: top hat, straw hat, peaked cap, bowler or bobble cap."""
    e = Easel(rng)
    cloth, band, kind = e.paint(), e.paint(), rng.random()
    floor, half, brim = rng.uniform(50, 56), rng.uniform(15, 20), rng.uniform(28, 33)
    top = rng.uniform(14, 24)
    if kind < 0.3:
        flare = rng.uniform(-3, 4)
        e.oval(cloth, 36, floor, brim, rng.uniform(4, 7))
        e.path(cloth, "M", 36 - half, floor, "L", 36 - half - flare, top, "Q 36", top - rng.uniform(-5, 5),
               36 + half + flare, top, "L", 36 + half, floor, "Q 36", floor + 6, 36 - half, floor,
               "Z")  # fmt: skip
        e.path(band, "M", 36 - half - flare * 0.2, floor - 8, "Q 36", floor - 3, 36 + half + flare * 0.2,
               floor - 8, "V", floor, "Q 36", floor + 6, 36 - half, floor, "Z")  # fmt: skip
    elif kind < 0.6:
        dip = rng.uniform(-8, 8)
        e.path(cloth, "M", 36 - brim, floor - dip, "Q 36", floor + 16, 36 + brim, floor - dip, "Q 36",
               floor - 14, 36 - brim, floor - dip, "Z")  # fmt: skip
        crease = rng.choice((0.0, 8.0))
        e.path(cloth, "M", 36 - half, floor, "C", 36 - half, top, 30, top - 2, 36, top + crease, "C 42",
               top - 2, 36 + half, top, 36 + half, floor, "Q 36", floor + 6, 36 - half, floor,
               "Z")  # fmt: skip
        e.path(band, "M", 36 - half, floor - 6, "Q 36", floor, 36 + half, floor - 6, "v 6 Q 36", floor + 6,
               36 - half, floor, "Z")  # fmt: skip
    elif kind < 0.8:
        r, peak = rng.uniform(19, 23), rng.uniform(16, 22)
        e.path(band, "M", 30 + r - 9, floor - 5, "Q", 32 + r + peak, floor - 7, 30 + r + peak, floor + 3, "Q",
               30 + r, floor - 2, "22", floor, "Z")  # fmt: skip
        e.path(cloth, "M", 30 - r, floor, "V", floor - r * 0.5, "Q", 30 - r, floor - r * 1.5, 30,
               floor - r * 1.5, "Q", 30 + r, floor - r * 1.5, 30 + r, floor - r * 0.4, "V", floor - 3, "Q 30",
               floor - 7, 30 - r, floor, "Z")  # fmt: skip
        e.path("", "M 30", floor - r * 1.5, "Q", 30 + r * 0.5, floor - r, 30 + r * 0.45, floor - 5)
        e.oval(band, 30, floor - r * 1.5 - 1, 2.5, 1.8)
    else:
        e.oval(band, 36, top - 4, rng.uniform(5, 8))
        e.path(cloth, "M", 34 - half, floor, "C", 34 - half, top - 8, 38 + half, top - 8, 38 + half, floor, "Z")
        for k in range(rng.choice((0, 3))):
            e.path("", "M", 36 - half + 6 + k * (half - 6), floor - 4, "Q", 36 + (k - 1) * (half - 7),
                   floor - 18, 36 + (k - 1) * 3, top)  # fmt: skip
        e.box(band, 31 - half, floor - 3, 2 * half + 10, rng.uniform(8, 12), rng.uniform(2, 5))
    return e.done(lean=14)


def book(rng: random.Random) -> str:
    """Covers and pages: closed with a spine, lying, or open."""
    e = Easel(rng)
    cover, second, kind = e.paint(), e.paint(), rng.random()
    page = rng.choice(("#ffffff", "#f5eeda", "#ece4d0"))
    if kind < 0.45:
        wide, high, depth = rng.uniform(36, 46), rng.uniform(50, 58), rng.uniform(4, 8)
        x, y = 36 - wide / 2, 36 - high / 2
        e.path(page, "M", x + 3, y + high - depth, "H", x + wide - 1, "v", depth - 1, "H", x + 3, "Z")
        e.path("", "M", x + 6, y + high - depth / 2, "H", x + wide - 3)
        e.box(cover, x, y, wide, high - depth, 2)
        e.path(cover, "M", x, y + 2, "V", y + high - 4, "q 0 4 4 4 H", x + wide, "v -1 H", x + 5,
               "q -2 -1 -2 -3 Z")  # fmt: skip
        e.path("", "M", x + rng.uniform(5, 9), y, "V", y + high - depth)
        for k in range(rng.randint(0, 3)):
            e.box(second, x + 14, y + 9 + k * 6, (wide - 20) * rng.uniform(0.6, 1), 3)
        if rng.random() < 0.4:
            e.oval(second, x + wide / 2 + 4, y + high * 0.62, rng.uniform(5, 8))
        if rng.random() < 0.35:
            e.path(e.paint(), "M", x + wide - 11, y, "v 15 l 3 -3 l 3 3 v -15 Z")
    elif kind < 0.8:
        half, top, low, arch = (
            rng.uniform(27, 32),
            rng.uniform(17, 24),
            rng.uniform(52, 58),
            rng.uniform(4, 10),
        )
        e.path(cover, "M", 34 - half, top + 3, "H", 38 + half, "V", low + 4, "H", 34 - half, "Z")
        for s in (-1, 1):
            e.path(page, "M 36", top + 2, "C", 36 + s * half * 0.3, top - arch, 36 + s * half * 0.7,
                   top - arch, 36 + s * half, top, "V", low, "C", 36 + s * half * 0.7, low - arch,
                   36 + s * half * 0.3, low - arch, 36, low + 2, "Z")  # fmt: skip
            for k in range(rng.choice((0, 3, 4))):
                y = top + 7 + 6 * k
                e.path("", "M", 36 + s * 6, y, "Q", 36 + s * half * 0.5, y - arch * 0.6, 36 + s * (half - 6),
                       y - 1)  # fmt: skip
    else:
        count = rng.randint(2, 4)
        for k in range(count):
            y, left, right = 22 + 7 * count - 14 * k, rng.uniform(4, 12), rng.uniform(58, 67)
            e.box(e.paint(), left, y, right - left, 13, 2)
            e.path(page, "M", right, y + 3.5, "H", left + 8, "q -3 3 0 6 H", right, "Z")
            e.path("", "M", left + 11, y + 6.5, "H", right - 3)
    return e.done(lean=20)


def bottle(rng: random.Random) -> str:
    """A tall body that narrows to a neck with a stopper, perhaps with a label."""
    e = Easel(rng)
    glass, half, neck = e.paint(), rng.uniform(8.5, 14), rng.uniform(3, 5)
    shoulder, throat, soft = rng.uniform(26, 36), rng.uniform(17, 24), rng.random()
    e.box(e.paint(), 36 - neck - 1, rng.uniform(3, 5), 2 * neck + 2, rng.uniform(5, 9), 1)
    e.path(glass, "M", 36 - neck, 9, "V", throat, "C", 36 - neck, throat + 6 * soft, 36 - half, shoulder - 6,
           36 - half, shoulder, "V 65 q 0 4 4 4 H", 32 + half, "q 4 0 4 -4 V", shoulder, "C", 36 + half,
           shoulder - 6, 36 + neck, throat + 6 * soft, 36 + neck, throat, "V 9 Z")  # fmt: skip
    if rng.random() < 0.7:
        y = rng.uniform(shoulder + 2, 46)
        e.box(rng.choice(("#ffffff", "#f5eeda", e.paint())), 36 - half, y, 2 * half, rng.uniform(10, 17))
    if rng.random() < 0.5:
        e.box(e.paint(), 36 - neck, 12, 2 * neck, rng.uniform(3, 5))
    return e.done(lean=35)


def hammer(rng: random.Random) -> str:
    """A heavy head across a handle: with a claw, two faces, or a mallet, at any angle."""
    e = Easel(rng)
    wood, metal, wide = rng.choice((*WOOD, e.paint())), rng.choice((*METAL, e.paint())), rng.uniform(3, 4.5)
    top, high, kind = rng.uniform(10, 14), rng.uniform(10, 14), rng.random()
    e.path(wood, "M", 36 - wide * 0.8, top, "L", 36 - wide, 68, "q", wide, 3, 2 * wide, 0, "L",
           36 + wide * 0.8, top, "Z")  # fmt: skip
    if rng.random() < 0.5:
        e.box(e.paint(), 36 - wide - 1, 48, 2 * wide + 2, 20, 3)
    if kind < 0.55:
        e.path(metal, "M 30", top, "H 43 L 46", top + 1, "H 56 V", top + high - 1, "H 46 L 43", top + high,
               "H 30 Q 20", top + high * 0.6, "10", top + high + rng.uniform(-1, 5), "Q 14", top, "30", top,
               "Z")  # fmt: skip
        e.box(metal, 54, top - 1.5, 6, high + 3, 1)
    elif kind < 0.8:
        e.box(metal, 16, top, 40, high, 2)
        e.box(metal, 12, top - 1.5, 6, high + 3, 1)
        e.box(metal, 54, top - 1.5, 6, high + 3, 1)
    else:
        half = rng.uniform(17, 22)
        e.box(rng.choice((wood, metal)), 36 - half, top - 3, 2 * half, high + 8, rng.uniform(1, 5))
        e.path("", "M", 36 - half + 5, top - 3, "v", high + 8, "M", 31 + half, top - 3, "v", high + 8)
    return e.done(lean=180)


def shoe(rng: random.Random) -> str:
    """Seen from the side: laced trainer, boot, or high heel."""
    e = Easel(rng)
    upper, sole, kind = e.paint(), rng.choice((e.paint(), "#ffffff", "#55585c")), rng.random()
    floor, toe = rng.uniform(54, 58), rng.uniform(10, 15)
    if kind < 0.7:
        top = rng.uniform(24, 32) if kind < 0.4 else rng.uniform(6, 14)
        throat = rng.uniform(26, 31)
        e.path(upper, "M 8", floor, "Q 5", floor - 10, "9", top, "Q 18", top + 5, throat, top, "L",
               throat + 3, floor - 21, "Q", throat + 12, floor - toe - 2, "54", floor - toe, "Q 67",
               floor - toe + 2, "67", floor, "Z")  # fmt: skip
        count = rng.randint(2, 4)
        for k in range(count):
            x, y = throat + 3 + k * 5, floor - 20 + k * 3.2
            e.path("", "M", x, y, "l -6 5")
        if rng.random() < 0.5:
            e.path(e.paint(), "M 8.5", floor, "V", floor - 12, "q 9 0 11 12 Z")
        if rng.random() < 0.5:
            e.path("", "M 55", floor - toe, "Q 50", floor - 6, "54", floor)
        e.box(sole, 5, floor - 1, 63, rng.uniform(4, 8), 3)
    else:
        heel = rng.uniform(18, 26)
        e.path(sole, "M 7", floor - heel, "L 9", floor + 7, "h 4 Q 14", floor - 8, "20", floor - heel + 10, "Z")
        e.path(upper, "M 6", floor - heel - 10, "Q 16", floor - heel - 4, "24", floor - heel, "Q 36",
               floor - 9, "50", floor - 8, "Q 66", floor - 4, "68", floor + 4, "V", floor + 7, "H 44 Q 34",
               floor + 5, "26", floor - heel + 14, "Q 16", floor - heel + 8, "7", floor - heel + 4,
               "Z")  # fmt: skip
        if rng.random() < 0.5:
            e.path("", "M 6", floor - heel - 10, "q 10 -8 20 -1 v 12")
        if rng.random() < 0.4:
            e.oval(e.paint(), 56, floor - 5, 3.5)
    return e.done(lean=10)


def teapot(rng: random.Random) -> str:
    """A round pot with a spout, a handle and a lid with a knob."""
    e = Easel(rng)
    body, lid, rx = e.paint(), e.paint(), rng.uniform(16, 20)
    ry, x, y = rng.uniform(13, 19), 37.0, rng.uniform(42, 46)
    if rng.random() < 0.3:
        e.tube(path("M", x - rx * 0.8, y - ry * 0.5, "C", x - rx, y - ry - 24, x + rx, y - ry - 24,
               x + rx * 0.8, y - ry * 0.5), lid, 4)  # fmt: skip
    else:
        out = rng.uniform(12, 17)
        e.tube(path("M", x + rx - 4, y - ry * 0.6, "C", x + rx + out, y - ry, x + rx + out, y + ry,
               x + rx - 4, y + ry * 0.6), rng.choice((body, lid)), 4.5)  # fmt: skip
    lip = y - ry * rng.uniform(0.5, 0.9)
    e.path(body, "M", x - rx + 3, y - 3, "Q", 14, y + 2, 5, lip - 2, "l 6 -3 Q", 17, y - 8, x - rx * 0.5,
           y - ry * 0.3, "V", y + ry * 0.7, "Q 16", y + ry * 0.6, x - rx + 3, y - 3, "Z")  # fmt: skip
    e.box(body, x - rx * 0.6, y + ry - 3, rx * 1.2, 6, 1)
    knob = rng.uniform(2.5, 4)
    e.oval(lid, x, y - ry - 5, knob)
    e.oval(lid, x, y - ry + 1, rx * 0.6, 5)
    if rng.random() < 0.75:
        e.oval(body, x, y, rx, ry)
    else:
        e.path(body, "M", x - rx * 0.65, y - ry, "H", x + rx * 0.65, "L", x + rx, y + ry, "H", x - rx, "Z")
    mark = rng.random()
    if mark < 0.3:
        e.path("", "M", x - rx * 0.7, y - ry * 0.6, "Q", x, y - ry * 0.3, x + rx * 0.7, y - ry * 0.6)
    elif mark < 0.6:
        e.oval(lid, x, y, rng.uniform(4, 7))
    return e.done(lean=10)


CONCEPTS: dict[str, Sketch] = {
    "chair": chair,
    "lamp": lamp,
    "umbrella": umbrella,
    "cup": cup,
    "key": key,
    "clock": clock,
    "guitar": guitar,
    "scissors": scissors,
    "hat": hat,
    "book": book,
    "bottle": bottle,
    "hammer": hammer,
    "shoe": shoe,
    "teapot": teapot,
}
