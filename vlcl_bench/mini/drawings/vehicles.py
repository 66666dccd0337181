"""Parametric vehicles: fourteen kinds, mostly seen from the side, no two drawings of a kind alike.

Colours come from one list shared by all kinds, so a kind shows only in its shape.
"""

import math
import random

from vlcl_bench.mini.drawings.pen import Pen, Sketch, ellipse, path, rect, tint

PAINT = (
    "#d9473f", "#e8853a", "#f0c23c", "#7fb848", "#3f9a6a", "#3aa6b0", "#4a86cf", "#5a5fc0",
    "#9a5fb8", "#d9709a", "#a8744a", "#8a9299", "#e8e4da", "#5a6068",
)  # fmt: skip
GLASS = ("#cfe8f2", "#a8d0e0", "#e6eef0", "#8fb0c0", "#dfe6c8")
TYRE = ("#3a3d40", "#55585c", "#2c2e33")


class Easel(Pen):
    """A pen that carries its random numbers and the shared colours, and writes shapes shortly."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self.rng = rng

    def paint(self) -> str:
        """Pick one of the shared colours, slightly varied."""
        return tint(self.rng, self.rng.choice(PAINT), 16)

    def glass(self) -> str:
        """Pick a colour for window panes."""
        return self.rng.choice(GLASS)

    def put(self, shape: str, fill: str, line: bool = True) -> None:
        """Add a shape: fill and outline, or one of them (an empty fill is none)."""
        if fill and line:
            self.both(shape, fill)
        elif fill:
            self.fill(shape, fill)
        else:
            self.trace(shape)

    def path(self, fill: str, *items: str | float, line: bool = True) -> None:
        """Add a shape given by path letters and numbers."""
        self.put(path(*items), fill, line)

    def box(self, fill: str, x: float, y: float, w: float, h: float, r: float = 0, line: bool = True) -> None:
        """Add an upright oblong with rounded corners."""
        self.put(rect(x, y, w, h, r), fill, line)

    def oval(self, fill: str, x: float, y: float, rx: float, ry: float = 0, line: bool = True) -> None:
        """Add a circle, or an ellipse if a second radius is given."""
        self.put(ellipse(x, y, rx, ry or rx), fill, line)

    def band(self, color: str, width: float, *items: str | float) -> None:
        """Add a thick coloured stroke without outline."""
        self.stripe(path(*items), color, width)

    def wheel(self, x: float, y: float, r: float) -> None:
        """Add a tyre with its hub."""
        self.oval(TYRE[int(r * 7) % 3], x, y, r)
        self.oval("#c9ccd0", x, y, r * 0.42, line=r > 5.5)

    def done(self, lean: float = 4, stretch: float = 0.1) -> str:
        """Finish: turn, stretch and perhaps mirror everything."""
        rng = self.rng
        wide, high = rng.uniform(1 - stretch, 1 + stretch / 2), rng.uniform(1 - stretch, 1 + stretch / 2)
        return self.svg(rng.random() < 0.5, rng.uniform(-lean, lean), (wide, high))


def car(rng: random.Random) -> str:
    """A low body with a cabin on top: saloon, hatchback, beetle or coupe."""
    e = Easel(rng)
    body = e.paint()
    r, floor, belt = rng.uniform(5.5, 8), 52.0, rng.uniform(36, 40)
    roof, nose = belt - rng.uniform(10, 15), rng.uniform(14, 22)
    tail = rng.choice((rng.uniform(1, 4), rng.uniform(9, 15)))
    rake, round_roof = rng.uniform(5, 10), rng.random() < 0.35
    a, b = 6 + tail, 66 - nose
    fa, fb = a + rng.uniform(2, 7), b - rake
    if round_roof:
        e.path(body, "M", a, belt, "C", a, roof - 4, b - 4, roof - 6, b, belt, "Z")
    else:
        e.path(body, "M", a, belt, "L", fa, roof, "L", fb, roof, "L", b, belt, "Z")
    e.path(body, "M 6", floor, "V", belt + 2, "Q 6", belt, "10", belt, "H", b, "L 62", belt + 3, "Q 67",
           belt + 4, "67", belt + 8, "V", floor, "Z")  # fmt: skip
    glass, low = e.glass(), belt - 0.5
    middle = (fa + fb) / 2 + rng.uniform(-2, 2)
    top = roof + 3 + 2 * round_roof
    e.path(glass, "M", a + 3.5, low, "L", fa + 2 + 2 * round_roof, top, "H", middle - 1, "V", low, "Z")
    e.path(glass, "M", b - 3.5, low, "L", fb - 1, top, "H", middle + 1.5, "V", low, "Z")
    if rng.random() < 0.6:
        e.path("", "M", middle, belt + 2, "V", floor - 2)
    if rng.random() < 0.4:
        e.box(e.paint(), 6.5, belt + 6, 60, rng.uniform(2, 4), line=False)
    e.oval("#f5e6a0", 64, belt + 7, 2)
    if rng.random() < 0.2:
        e.path("", "M", fa, roof - 3, "H", fb)
    for x in (6 + rng.uniform(10, 14), 66 - rng.uniform(10, 14)):
        e.wheel(x, floor, r)
    return e.done()


def bus(rng: random.Random) -> str:
    """A long box with a row of windows, with one deck or two."""
    e = Easel(rng)
    body, glass = e.paint(), e.glass()
    decks = rng.choice((1, 1, 2))
    top = rng.uniform(22, 28) if decks == 1 else rng.uniform(8, 14)
    left, floor, r = rng.uniform(3, 7) + 5 * (decks - 1), 55.0, rng.uniform(4.5, 6)
    right = 72 - left
    e.box(body, left, top, right - left, floor - top, rng.uniform(2, 6))
    if rng.random() < 0.6:
        e.box(e.paint(), left + 0.5, floor - rng.uniform(8, 12), right - left - 1, rng.uniform(2, 5), line=False)
    count, door = rng.randint(4, 6), rng.uniform(6, 8)
    high = rng.uniform(8, 11)
    for deck in range(decks):
        y = top + 4 + deck * (high + 6)
        span = right - left - 6 - (door + 2 if deck == decks - 1 else 0)
        for k in range(count):
            e.box(glass, left + 3 + k * span / count, y, span / count - 1.6, high, rng.choice((0, 1.5)))
    e.box(glass, right - door - 2, floor - 6 - 15, door, 18, 1)
    e.path("", "M", right - 2 - door / 2, floor - 21, "v 18")
    spots = [left + rng.uniform(9, 14), right - rng.uniform(16, 20)]
    if rng.random() < 0.25:
        spots.append(spots[0] + 2 * r + 1)
    for x in spots:
        e.wheel(x, floor, r)
    return e.done()


def truck(rng: random.Random) -> str:
    """A cab in front of a separate load: box, tank, tipper or logs."""
    e = Easel(rng)
    cab, load, r = e.paint(), e.paint(), rng.uniform(4.8, 6.5)
    split, floor, top = rng.uniform(42, 49), 52.0, rng.uniform(15, 24)
    e.box("#6a6e72", 4, floor - 4, 62, 4)
    kind = rng.choice(("box", "box", "tank", "tipper", "logs"))
    if kind == "box":
        e.box(load, 4, top, split - 6, floor - 4 - top, 1)
        for k in range(1, rng.choice((1, 4, 6))):
            e.path("", "M", 4 + k * (split - 6) / 6, top + 3, "V", floor - 7)
    elif kind == "tank":
        e.box(load, 4, top + 6, split - 7, floor - 10 - top, (floor - 10 - top) / 2)
        e.box(load, 18, top + 3, 8, 3)
    elif kind == "tipper":
        e.path(load, "M 4", top + 8, "H", split - 3, "L", split - 5, floor - 4, "H 9 Z")
        e.path("#a8845a", "M 6", top + 8, "Q", split / 2, top - 8, split - 5, top + 8, "Z")
    else:
        for row in range(3):
            for k in range(4 - row):
                e.oval("#c99a62", 10 + row * 4.5 + k * 9, floor - 8.5 - row * 8, 4.4)
    hood, roof = rng.choice((0.0, rng.uniform(6, 10))), rng.uniform(24, 29)
    e.path(cab, "M", split, floor, "V", roof, "H", 64 - hood, "L", 67 - hood, 39, "H 67 Q 69 39 69 42 V",
           floor, "Z")  # fmt: skip
    e.path(e.glass(), "M", split + 4, 38, "V", roof + 4, "H", 62 - hood, "L", 64 - hood, 38, "Z")
    if rng.random() < 0.4:
        e.box("#9a9ea2", split - 2, roof - 7, 2.5, 16)
    spots = [12.0, 62.0, *rng.choice(((), (12 + 2 * r + 1,), (12 + 2 * r + 1, split - 4)))]
    for x in spots:
        e.wheel(x, floor + 1, r)
    return e.done()


def van(rng: random.Random) -> str:
    """One closed body with a sloping nose and a plain side, or a camper with windows."""
    e = Easel(rng)
    body, glass, floor = e.paint(), e.glass(), 54.0
    top, left, nose, r = rng.uniform(17, 25), rng.uniform(5, 10), rng.uniform(10, 19), rng.uniform(5.5, 7)
    front = 67.0
    hood = rng.uniform(36, 42)
    e.path(body, "M", left, floor, "V", top + 4, "Q", left, top, left + 4, top, "H", front - nose - 2, "Q",
           front - nose + 2, top, front - nose + 4, top + 4, "L", front - rng.uniform(3, 7), hood, "Q", front,
           hood + 1, front, hood + 6, "V", floor, "Z")  # fmt: skip
    if rng.random() < 0.4:
        e.box(e.paint(), left + 0.5, floor - 14, front - left - 1, rng.uniform(3, 7), line=False)
    pane = front - nose - 9
    e.path(glass, "M", pane, hood, "V", top + 5, "H", front - nose, "L", front - 8, hood, "Z")
    e.path("", "M", pane - 3, top + 5, "V", floor - 3)
    extra = rng.random()
    if extra < 0.35:
        e.box(glass, left + 5, top + 6, pane - left - 11, hood - top - 8, 1.5)
    elif extra < 0.6:
        e.oval(e.paint(), (left + pane) / 2, (top + floor) / 2 - 2, rng.uniform(5, 7.5))
    elif extra < 0.75:
        e.path("", "M", left + 4, (top + floor) / 2, "H", pane - 7)
    if rng.random() < 0.25:
        e.box(e.paint(), left + 6, top - 4, 22, 4)
    e.oval("#f5e6a0", front - 2.5, hood + 6, 2)
    for x in (left + rng.uniform(10, 13), front - rng.uniform(11, 13)):
        e.wheel(x, floor, r)
    return e.done()


def tractor(rng: random.Random) -> str:
    """A huge rear wheel, a small front one, a hood with an exhaust pipe."""
    e = Easel(rng)
    body, big, small = e.paint(), rng.uniform(13, 17), rng.uniform(6.5, 9)
    floor, hood, cab = 63.0, rng.uniform(30, 35), rng.uniform(9, 16)
    back = 8 + big
    e.path(body, "M", back - 4, 50, "V", hood, "H 62 Q 66", hood, "66", hood + 5, "V 50 Z")
    pipe = rng.uniform(50, 57)
    e.box("#6a6e72", pipe, hood - rng.uniform(9, 14), 3, 14)
    if rng.random() < 0.75:
        a, b = back - rng.uniform(5, 9), back + rng.uniform(15, 19)
        e.path(e.glass(), "M", a, hood + 6, "L", a + 2, cab, "H", b - 3, "L", b, hood + 6, "Z")
        e.box(e.paint(), a - 1, cab - 3, b - a + 1, 4, 1)
    else:
        e.path("", "M", back + 15, hood, "l 4 -8 m -4 -1 l 7 2")
        e.path(e.paint(), "M", back - 5, hood, "v -9 q 0 -2 2 -2 v 9 h 9 v 4 h -9 Z")
    for k in range(rng.randint(0, 3)):
        e.path("", "M", 58 - 4 * k, hood + 5, "v 8")
    hub = e.paint()
    for x, r in ((back, big), (64 - small, small)):
        e.oval(TYRE[0], x, floor - r, r)
        e.oval(hub, x, floor - r, r * rng.uniform(0.45, 0.6))
        e.oval("#3a3d40", x, floor - r, r * 0.14, line=False)
    return e.done()


def bicycle(rng: random.Random) -> str:
    """Two spoked wheels joined by a thin frame, with saddle and handlebar."""
    e = Easel(rng)
    frame, r = e.paint(), rng.uniform(12.5, 15)
    a, b, y = 4 + r, 68 - r, 64 - r
    rim = rng.choice((*TYRE, "#8a9299"))
    for x in (a, b):
        e.band(rim, 2.6, "M", x - r, y, "a", r, r, "0 1 0", 2 * r, 0, "a", r, r, "0 1 0", -2 * r, 0)
        e.oval("", x, y, r)
        begin = rng.uniform(0, 3)
        for k in range(rng.choice((0, 3, 4))):
            dx, dy = (r - 1) * math.cos(begin + k * 0.79), (r - 1) * math.sin(begin + k * 0.79)
            e.band("#8f959b", 0.8, "M", x - dx, y - dy, "L", x + dx, y + dy)
    crank, seat = rng.uniform(33, 36), (rng.uniform(26, 30), rng.uniform(28, 32))
    head = (b - rng.uniform(5, 8), rng.uniform(26, 31))
    step = rng.choice((0.0, 0.0, 12.0))
    tubes: list[str | float] = [
        "M",
        a,
        y,
        "L",
        *seat,
        "L",
        crank,
        y + 2,
        "Z M",
        crank,
        y + 2,
        "L",
        head[0],
        head[1] + 3,
    ]
    tubes += ["L", seat[0] + 1, seat[1] + 1 + step, "M", *head, "L", b, y]
    e.band(frame, 4.2, *tubes)
    e.path("", *tubes)
    e.path("", "M", *seat, "l -1 -5")
    e.path(e.paint(), "M", seat[0] - 6, seat[1] - 5, "h 10 q 0 -3 -4 -3 h -4 Z")
    bar = rng.choice(("q 1 -3 5 -3 q 5 0 4 5 q -1 3 -4 2", "l -6 -2 m 6 2 h 3", "q 0 -5 -8 -4"))
    e.path("", "M", *head, "l -2 -6", bar)
    e.oval(frame, crank, y + 2, 3)
    if rng.random() < 0.3:
        e.box(e.paint(), head[0] + 3, head[1] - 5, 10, 8, 1)
    return e.done()


def train(rng: random.Random) -> str:
    """On rails: a steam engine, or a modern set with a pointed nose."""
    e = Easel(rng)
    body, second, rail = e.paint(), e.paint(), 60.0
    if rng.random() < 0.5:
        boiler, cab = rng.uniform(27, 33), rng.uniform(13, 19)
        e.box(body, 5, cab, 20, 51 - cab)
        e.box(second, 2.5, cab - 4, 25, 4.5, 1)
        e.box(e.glass(), 9, cab + 5, 11, 9, 1)
        e.box(second, 25, boiler, 38, 51 - boiler, rng.uniform(2, 6))
        stack, wide = rng.uniform(50, 55), rng.uniform(2.5, 4)
        e.path(body, "M", stack - wide * 0.6, boiler, "L", stack - wide, 14, "H", stack + wide, "L",
               stack + wide * 0.6, boiler, "Z")  # fmt: skip
        if rng.random() < 0.7:
            e.path(body, "M 34", boiler, "v -3 q 0 -5 5 -5 q 5 0 5 5 v 3 Z")
        if rng.random() < 0.5:
            for k in range(3):
                e.oval("#dfe2e4", stack - 2 - k * 7, 9 - k * 1.5, 3.5 + k * 0.8, line=False)
        e.path(e.paint(), "M 62 49 h 2 l 6 10 h -8 Z")
        count, r = rng.randint(3, 4), rng.uniform(5, 6.5)
        for k in range(count):
            e.wheel(12 + k * 44 / (count - 1), rail - r, r)
        e.path("", "M 12", rail - r, "H 56")
    else:
        top, nose = rng.uniform(20, 28), rng.uniform(8, 22)
        e.path(body, "M 2 54 V", top, "H", 66 - nose, "Q", 69 - nose / 2, top + 2, "70 48 Q 70 54 66 54 Z")
        e.box(second, 2, 44, 64, rng.uniform(3, 6), line=False)
        count = rng.randint(3, 5)
        span = (60 - nose) / count
        for k in range(count):
            e.box(e.glass() if k == 0 else "#cfe8f2", 5 + k * span, top + 6, span - 2.5, 9, 1.5)
        e.path("#cfe8f2", "M", 64 - nose, top + 6, "Q", 66 - nose / 2, top + 7, 67 - nose * 0.2, top + 15,
               "H", 64 - nose, "Z")  # fmt: skip
        if rng.random() < 0.6:
            e.path("", "M 18", top, "l 6 -6 l -6 -5 h 12")
        for x in (10, 20, 46, 56):
            e.wheel(x, rail - 4, 3.5)
    e.path("", "M 1", rail + 1, "H 71")
    for k in range(rng.choice((0, 8))):
        e.path("", "M", 4 + k * 9, rail + 1, "v 3")
    return e.done(lean=2)


def sailboat(rng: random.Random) -> str:
    """A hull under one or two sails, perhaps on waves."""
    e = Easel(rng)
    hull, sail, mast, deck = e.paint(), e.paint(), rng.uniform(31, 40), rng.uniform(48, 52)
    top, belly = rng.uniform(4, 11), rng.uniform(0, 6)
    stern, bow = rng.uniform(8, 15), rng.uniform(62, 69)
    e.path(hull, "M", stern, deck, "H", bow, "Q", bow - 5, 63, bow - 15, 63, "H", stern + 10, "Q", stern + 3,
           61, stern, deck, "Z")  # fmt: skip
    if rng.random() < 0.4:
        e.path("", "M", stern + 3, deck + 4, "H", bow - 4)
    e.path("", "M", mast, top - 1, "V", deck)
    reach = mast - rng.uniform(18, 24)
    foot = deck - 4
    e.path(sail, "M", mast - 1.5, top + 1, "V", foot, "H", reach, "Q", reach + 10 - belly, top + 18,
           mast - 1.5, top + 1, "Z")  # fmt: skip
    for k in range(rng.choice((0, 0, 3))):
        y = top + 14 + k * 8
        e.path("", "M", mast - 1.5, y, "h", -(y - top) * 0.3)
    if rng.random() < 0.8:
        jib = rng.choice((sail, e.paint()))
        start = top + rng.uniform(1, 12)
        e.path(jib, "M", mast + 1.5, start, "Q", mast + 8 + belly, start + 14, bow - 3, foot, "H", mast + 1.5,
               "Z")  # fmt: skip
    if rng.random() < 0.5:
        e.path(e.paint(), "M", mast, top, "l -8 -1.5 l 8 -2.5 Z")
    if rng.random() < 0.5:
        e.path("", "M 4 66 q 5 -4 10 0 t 10 0 t 10 0 t 10 0 t 10 0 t 10 0")
    return e.done(lean=9)


def airplane(rng: random.Random) -> str:
    """Fuselage, wings and tail, seen from above or from the side, in any climb."""
    e = Easel(rng)
    body, wing = e.paint(), e.paint()
    if rng.random() < 0.5:
        half, sweep, span = rng.uniform(3.2, 5), rng.uniform(0, 14), rng.uniform(26, 33)
        chord, root = rng.uniform(9, 13), rng.uniform(38, 44)
        for s in (-1, 1):
            e.path(wing, "M", root, 36, "L", root - sweep, 36 + s * span, "h", -chord * 0.5, "L",
                   root - chord, 36, "Z")  # fmt: skip
            e.path(wing, "M 14 36 L", 11 - sweep * 0.2, 36 + s * span * 0.4, "h -5 L 7 36 Z")
            for k in range(rng.choice((0, 1, 1))):
                e.box(body, root - sweep * 0.45 - 4, 36 + s * span * (0.45 + k * 0.2) - 2, 9, 4, 2)
        e.path(body, "M 4 36 Q 10", 36 - half, "20", 36 - half, "H 56 Q 66", 36 - half, "68 36 Q 66",
               36 + half, "56", 36 + half, "H 20 Q 10", 36 + half, "4 36 Z")  # fmt: skip
        e.path(e.glass(), "M 59", 36 - half * 0.6, "q 4", half * 0.6, "0", half * 1.2, "Z")
        return e.done(lean=180)
    half = rng.uniform(6, 9)
    e.path(wing, "M 8 36 L", rng.uniform(3, 7), rng.uniform(13, 19), "h 7 L 24 34 Z")
    e.path(body, "M 5 32 Q 20", 36 - half, "40", 36 - half, "H 52 Q 68", 36 - half * 0.7, "69 38 Q 66",
           36 + half, "50", 36 + half, "H 30 Q 12", 36 + half * 0.8, "5 32 Z")  # fmt: skip
    for k in range(rng.randint(3, 6)):
        e.oval(e.glass() if k == 0 else "#e6eef0", 48 - k * 5.5, 34, 1.6)
    e.path(e.glass(), "M 56", 36 - half * 0.7, "Q 62", 36 - half * 0.6, "64 35 H 57 Z")
    back = rng.uniform(14, 22)
    e.path(wing, "M 46 40 L", 46 - back, 60, "h -8 L 30 40 Z")
    if rng.random() < 0.5:
        e.path("", "M 69 31 V 46")
    return e.done(lean=24)


def helicopter(rng: random.Random) -> str:
    """A bubble of a cabin, a tail boom, a rotor on top, skids or wheels below."""
    e = Easel(rng)
    body, r, tall = e.paint(), rng.uniform(14, 18), rng.uniform(11, 14.5)
    x, y = 66 - r, 38.0
    boom, fin = y - rng.uniform(1, 6), e.paint()
    e.path(body, "M", x - 6, boom - 4, "L 8", boom - 2, "v 4 L", x - 6, boom + 7, "Z")
    e.path(fin, "M 9", boom - 2, "L 4", boom - 11, "h 5 L 15", boom - 2, "Z")
    if rng.random() < 0.6:
        e.oval("", 7, boom, rng.uniform(4, 6))
    e.oval(body, x, y, r, tall)
    e.path(e.glass(), "M", x + 2, y - tall * 0.75, "Q", x + r - 3, y - tall * 0.7, x + r - 2, y + 1, "H",
           x + 2, "Z")  # fmt: skip
    if rng.random() < 0.6:
        e.box(e.glass(), x - 8, y - 6, 7, 7, 1)
    hub = y - tall
    e.path("", "M", x, hub, "v -6")
    reach, tip = rng.uniform(24, 30), rng.uniform(-3, 3)
    e.band("#8a9299", 3, "M", max(4.0, x - reach), hub - 6 + tip, "L", min(70, x + reach), hub - 6 - tip)
    e.path("", "M", max(4.0, x - reach), hub - 6 + tip, "L", min(70, x + reach), hub - 6 - tip)
    if rng.random() < 0.7:
        e.path("", "M", x - 7, y + tall - 1, "v 6 M", x + 7, y + tall - 1, "v 6 M", x - 15, y + tall + 5,
               "h 28 q 3 0 3 -3")  # fmt: skip
    else:
        e.wheel(x - 9, y + tall + 2, 3.5)
        e.wheel(x + 8, y + tall + 2, 3.5)
    return e.done(lean=12)


def motorcycle(rng: random.Random) -> str:
    """Two thick wheels with tank, engine and exhaust between them."""
    e = Easel(rng)
    body, r = e.paint(), rng.uniform(11, 13)
    a, b, y = 4 + r, 68 - r, 62 - r
    neck = (b - rng.uniform(7, 11), rng.uniform(26, 30))
    for x in (a, b):
        e.oval(TYRE[0], x, y, r)
        e.oval("#d5d8da", x, y, r * rng.uniform(0.5, 0.65))
        e.oval("#55585c", x, y, 1.6, line=False)
    e.band("#8a9299", 4, "M", *neck, "L", b, y)
    e.path("", "M", *neck, "L", b, y)
    e.box("#8a9299", 28, 41, 15, 13, 3)
    e.path("", "M 31 45 h 9 M 31 49 h 9")
    e.path(body, "M 30 40 Q 30", neck[1] + 1, "38", neck[1] + 1, "L", neck[0], neck[1] + 1, "L", neck[0] + 2,
           37, "L 44 42 Z")  # fmt: skip
    e.path(e.paint(), "M", rng.uniform(8, 12), 32, "Q 20 37 33 36 L 34 41 H 20 Q 12 40 10 32 Z")
    e.path("", "M", *neck, "l", rng.uniform(-5, 0), rng.uniform(-9, -5), "l", rng.uniform(-7, -3), 1)
    e.path("#b8bcc0", "M 34 53 H", a - 4, "l -6 -3 v 6 l 6 1 H 34 Z")
    e.oval("#f5e6a0", neck[0] + 5, neck[1] + 2, 3.5)
    if rng.random() < 0.5:
        e.path(body, "M", b - r - 2, y - 5, "Q", b, y - r - 10, b + r, y - 4, "Q", b, y - r - 3, b - r - 2,
               y - 5, "Z")  # fmt: skip
    if rng.random() < 0.35:
        e.path(e.glass(), "M", neck[0] + 2, neck[1], "l 2 -12 q 6 4 5 11 Z")
    return e.done()


def submarine(rng: random.Random) -> str:
    """A long rounded hull with a tower, a periscope and portholes."""
    e = Easel(rng)
    body, half, tower = e.paint(), rng.uniform(9, 14), rng.uniform(9, 13)
    y, x = rng.uniform(40, 46), rng.uniform(32, 46)
    e.path(e.paint(), "M", x - 8, y - half + 3, "L", x - 6, y - half - tower, "h 12 q 3 0 3 4 L", x + 9,
           y - half + 3, "Z")  # fmt: skip
    scope = rng.choice(("h 5", "h 4 v 3", "h -5"))
    e.path("", "M", x + rng.uniform(-3, 3), y - half - tower, "v", -rng.uniform(5, 9), scope)
    fin = e.paint()
    e.path(fin, "M 14", y, "L 4", y - half, "v", 2 * half, "Z")
    e.path(body, "M 8", y, "Q 16", y - half, "30", y - half, "H", 68 - half, "a", half, half, "0 0 1 0",
           2 * half, "H 30 Q 16", y + half, "8", y, "Z")  # fmt: skip
    if rng.random() < 0.4:
        e.path(fin, "M 10", y + 2, "H 67 Q 66", y + half - 1, "56", y + half - 1, "H 30 Q 18", y + half - 2,
               "10", y + 2, "Z", line=False)  # fmt: skip
    glass = e.glass()
    for k in range(rng.randint(2, 4)):
        e.oval(glass, 58 - k * 10, y - 1, rng.uniform(2.4, 3.6))
    e.path("", "M 5", y - 5, "V", y + 5)
    return e.done(lean=8)


def rocket(rng: random.Random) -> str:
    """A pointed tube with fins, a porthole and perhaps a flame."""
    e = Easel(rng)
    body, fin, half = e.paint(), e.paint(), rng.uniform(7, 11)
    base, shoulder, tip = rng.uniform(52, 56), rng.uniform(22, 30), rng.uniform(3, 7)
    spread, high = rng.uniform(7, 11), rng.uniform(12, 20)
    if rng.random() < 0.7:
        long = rng.uniform(66, 71)
        e.path(rng.choice(("#f0a030", "#f5d050", "#e86a3a")), "M", 36 - half * 0.6, base, "Q",
               36 - half * 0.7, 62, 36, long, "Q", 36 + half * 0.7, 62, 36 + half * 0.6, base,
               "Z")  # fmt: skip
    for s in (-1, 1):
        e.path(fin, "M", 36 + s * (half - 1), base - high, "Q", 36 + s * (half + spread), base - high * 0.6,
               36 + s * (half + spread), base + 4, "L", 36 + s * (half - 2), base - 2, "Z")  # fmt: skip
    e.path(body, "M", 36 - half, base, "V", shoulder, "Q", 36 - half, tip + 8, 36, tip, "Q", 36 + half,
           tip + 8, 36 + half, shoulder, "V", base, "Z")  # fmt: skip
    if rng.random() < 0.6:
        e.path(fin, "M", 36 - half * 0.93, shoulder - 4, "Q", 36 - half * 0.7, tip + 8, 36, tip, "Q",
               36 + half * 0.7, tip + 8, 36 + half * 0.93, shoulder - 4, "Z")  # fmt: skip
    for k in range(rng.randint(1, 2)):
        e.oval(e.glass(), 36, shoulder + 5 + k * 11, rng.uniform(3, 4.5))
    if rng.random() < 0.5:
        e.box(fin, 36 - half, base - 5, 2 * half, 5)
    return e.done(lean=60)


def hot_air_balloon(rng: random.Random) -> str:
    """A great striped envelope with a basket on ropes."""
    e = Easel(rng)
    first, second, r = e.paint(), e.paint(), rng.uniform(21, 26)
    x, y, neck = 36.0, r + 4, rng.uniform(5, 8)
    low = y + r + rng.uniform(3, 7)
    sides = (
        "C",
        x - r * 0.9,
        y + r * 0.7,
        x - neck,
        low - 5,
        x - neck,
        low,
        "H",
        x + neck,
        "C",
        x + neck,
        low - 5,
    )
    e.path(first, "M", x - r, y, *sides, x + r * 0.9, y + r * 0.7, x + r, y, "A", r, r, "0 0 0", x - r, y, "Z")
    for share in rng.choice(((0.75, 0.25), (0.55,), (0.8, 0.5, 0.2), ())):
        fill = second if share in (0.75, 0.55, 0.8, 0.2) else first
        w, n = r * share, neck * share
        e.path(fill, "M", x - n, low, "C", x - n, low - 6, x - w, y + r * 0.6, x - w, y, "Q", x - w,
               y - r * 0.8, x, y - r, "Q", x + w, y - r * 0.8, x + w, y, "C", x + w, y + r * 0.6, x + n,
               low - 6, x + n, low, "Z")  # fmt: skip
    if rng.random() < 0.35:
        e.box(e.paint(), x - r + 0.5, y - 3, 2 * r - 1, rng.uniform(4, 7))
    wide, top = rng.uniform(4, 6), rng.uniform(59, 62)
    e.path("", "M", x - neck, low, "L", x - wide, top, "M", x + neck, low, "L", x + wide, top)
    e.box(rng.choice(("#a8744a", "#c99a62", "#7a5a44")), x - wide, top, 2 * wide, 70 - top, 1.5)
    return e.done(lean=10)


CONCEPTS: dict[str, Sketch] = {
    "car": car,
    "bus": bus,
    "truck": truck,
    "van": van,
    "tractor": tractor,
    "bicycle": bicycle,
    "train": train,
    "sailboat": sailboat,
    "airplane": airplane,
    "helicopter": helicopter,
    "motorcycle": motorcycle,
    "submarine": submarine,
    "rocket": rocket,
    "hot air balloon": hot_air_balloon,
}
