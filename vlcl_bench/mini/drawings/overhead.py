"""Parametric land seen straight from above: fourteen scenes that fill the square, as in a satellite picture.

Scenes are drawn around the middle over ``±REACH`` units and turned as a whole, so north can be anywhere.
Ground, water and roads take their colours from shared lists: a place shows in its layout, not in its hue.
"""

import math
import random
from collections.abc import Callable, Iterable, Sequence

from vlcl_bench.mini.drawings.pen import Point, Sketch, drawing, shade, tint
from vlcl_bench.mini.drawings.textures import REACH, box, disc, fill, stroke, trail

LAND = (
    "#6f8f4a",
    "#8a9a5b",
    "#a39a62",
    "#b59f72",
    "#7d8b6a",
    "#5f7d52",
    "#9c8a6a",
    "#c4b795",
    "#b0764f",
    "#d9dcd6",
)
CROWN = ("#2f5a2c", "#3f6f38", "#567d3a", "#6b7a35", "#8a6f2c", "#a3592a", "#2c5248", "#4a5b3f")
WATER = ("#2f6f9e", "#3b8aa0", "#1f4f70", "#5a8f8a", "#6a7f6a", "#8a7d5f", "#4f86b5", "#27566a")
SAND = ("#e6d6a6", "#dcc08a", "#f0e6cc", "#c9b59a", "#b8a58c")
ROAD = ("#5a5c60", "#77787a", "#9a9894", "#4a4b50", "#b5b0a8")
ROOF = ("#b5533c", "#8a4a3a", "#6a6f78", "#a8a5a0", "#d8d4cc", "#4f6a80", "#9a7a5a", "#5f5048")
FIELD = ("#7fa04a", "#a8b85a", "#d8c46a", "#c49a55", "#8a6a48", "#5a8040", "#e0d6a0", "#98b878", "#b5804a")
CAR = ("#f4f4f4", "#c23a32", "#2f4f8f", "#222222", "#d8b040")


def _pick(rng: random.Random, colors: Sequence[str]) -> str:
    return tint(rng, rng.choice(colors), 12)


def _blob(rng: random.Random, x: float, y: float, r: float, rough: float) -> str:
    """Return an uneven round outline whose bumps come from a few sine waves."""
    waves = [(k, rng.uniform(0, rough / k**0.5), rng.uniform(0, 6.28)) for k in (1, 2, 3, 5)]
    points = []
    for i in range(40):
        angle = i * 0.15708
        reach = r * (1 + sum(size * math.sin(k * angle + phase) for k, size, phase in waves))
        points.append((x + reach * math.cos(angle), y + reach * math.sin(angle)))
    return trail(points, close=True)


def _bend(rng: random.Random, swing: float) -> Callable[[float], float]:
    """Return a smooth random course: the sideways place at every way along."""
    waves = [(rng.uniform(0.04, 0.07), 0.7), (rng.uniform(0.09, 0.15), 0.35)]
    phases = [rng.uniform(0, 6.28) for _ in waves]
    return lambda x: swing * sum(a * math.sin(f * x + p) for (f, a), p in zip(waves, phases, strict=True))


def _line(course: Callable[[float], float], shift: float = 0.0) -> list[Point]:
    return [(float(x), course(x) + shift) for x in range(-54, 56, 3)]


def _view(rng: random.Random, land: str, parts: Iterable[str], angle: float | None = None) -> str:
    """Lay the turned scene over its ground."""
    turn = rng.uniform(0, 360) if angle is None else angle
    ground = f'<rect x="0" y="0" width="72" height="72" fill="{land}"/>'
    return drawing([ground, f'<g transform="translate(36 36) rotate({turn:.1f})">{"".join(parts)}</g>'], [])


def _patches(rng: random.Random, land: str, count: int) -> list[str]:
    return [fill([_blob(rng, *_spot(rng), rng.uniform(8, 20), 0.3)], tint(rng, land, 14)) for _ in range(count)]


def _spot(rng: random.Random) -> Point:
    return rng.uniform(-46, 46), rng.uniform(-46, 46)


def _trees(rng: random.Random, places: Sequence[Point], size: float, glints: bool = True) -> list[str]:
    """Tree crowns with shadows, in a few tones of one foliage."""
    leaf = _pick(rng, CROWN)
    parts = []
    for batch in range(3):
        crowns = [(x, y, size * rng.uniform(0.75, 1.2)) for x, y in places[batch::3]]
        parts.append(fill([disc(x + r * 0.3, y + r * 0.3, r) for x, y, r in crowns], "#1b241c", ' fill-opacity="0.5"'))
        parts.append(fill([disc(x, y, r) for x, y, r in crowns], tint(rng, leaf, 20)))
        if glints:
            lit = [disc(x - r * 0.25, y - r * 0.25, r * 0.5) for x, y, r in crowns]
            parts.append(fill(lit, "#ffffff", ' fill-opacity="0.13"'))
    return parts


def _countryside(rng: random.Random, land: str) -> list[str]:
    """What may lie around anything: patches of ground, or fields, and a few trees."""
    parts = _fields(rng, rng.uniform(16, 26)) if rng.random() < 0.35 else _patches(rng, land, 5)
    return parts + _trees(rng, [_spot(rng) for _ in range(rng.randint(0, 40))], rng.uniform(1.6, 2.6))


def _plots(rng: random.Random, x: float, y: float, w: float, h: float, least: float) -> list[tuple[float, ...]]:
    """Split an oblong again and again into uneven smaller ones."""
    if max(w, h) < least * 2 or (max(w, h) < least * 3 and rng.random() < 0.25):
        return [(x, y, w, h)]
    share = rng.uniform(0.35, 0.65)
    if w > h:
        return _plots(rng, x, y, w * share, h, least) + _plots(rng, x + w * share, y, w - w * share, h, least)
    return _plots(rng, x, y, w, h * share, least) + _plots(rng, x, y + h * share, w, h - h * share, least)


def _fields(rng: random.Random, least: float) -> list[str]:
    parts = []
    for x, y, w, h in _plots(rng, -REACH, -REACH, 2 * REACH, 2 * REACH, least)[:60]:
        crop = _pick(rng, FIELD)
        parts.append(fill([box(x, y, w, h)], crop, ' stroke="#5b6338" stroke-width="0.8"'))
        step, level = rng.uniform(1.8, 3.4), rng.random() < 0.5
        if rng.random() < 0.6:
            count = int((h if level else w) / step)
            rows = [f"M{x:.2f} {y + (k + 0.5) * step:.2f}h{w:.2f}" for k in range(count)]
            columns = [f"M{x + (k + 0.5) * step:.2f} {y:.2f}v{h:.2f}" for k in range(count)]
            parts.append(stroke(rows if level else columns, shade(crop, rng.choice((0.78, 1.18))), step * 0.4))
    return parts


def forest(rng: random.Random) -> str:
    """Crown beside crown, perhaps with a clearing or a track."""
    step = rng.uniform(7, 10.5)
    count = int(REACH / step) + 1
    places = [
        (step * (i + rng.uniform(-0.45, 0.45)), step * (j + rng.uniform(-0.45, 0.45)))
        for i in range(-count, count + 1)
        for j in range(-count, count + 1)
        if math.hypot(i, j) * step < REACH + 3
    ]
    rng.shuffle(places)
    half = len(places) // rng.choice((2, 3))
    parts = _trees(rng, places[half:], step * 0.62, glints=False) + _trees(rng, places[:half], step * 0.6)
    extra = rng.random()
    if extra < 0.25:
        parts.append(fill([_blob(rng, *_spot(rng), rng.uniform(6, 11), 0.3)], _pick(rng, LAND)))
    elif extra < 0.45:
        parts.append(stroke([trail(_line(_bend(rng, 10)))], _pick(rng, SAND), 1.8))
    return _view(rng, "#26331f", parts)


def river(rng: random.Random) -> str:
    """A winding stream from edge to edge, with banks and perhaps a side arm."""
    land, water, bank = _pick(rng, LAND), _pick(rng, WATER), _pick(rng, (*SAND, *LAND))
    width, course = rng.uniform(6, 14), _bend(rng, rng.uniform(10, 20))
    lines = [(trail(_line(course)), width)]
    if rng.random() < 0.5:
        x = rng.uniform(-20, 20)
        side = rng.choice((-1, 1))
        lines.append((f"M{x:.2f} {course(x):.2f}q{4 * side} {20 * side} 22 {50 * side}", width * 0.5))
    parts = _countryside(rng, land)
    parts += [stroke([data], bank, w + 2.4) for data, w in lines] + [stroke([data], water, w) for data, w in lines]
    parts.append(stroke([trail(_line(course, -width * 0.15))], shade(water, 1.1), width * 0.3))
    if rng.random() < 0.35:
        x = rng.uniform(-20, 20)
        parts.append(fill([_blob(rng, x, course(x), width * 0.25, 0.3)], bank))
    return _view(rng, land, parts)


def _cars(rng: random.Random, lanes: Sequence[float], course: Callable[[float], float], count: int) -> list[str]:
    parts = []
    for _ in range(count):
        x, lane, long = rng.uniform(-40, 40), rng.choice(lanes), rng.choice((3.0, 3.4, 6.5))
        lean = math.degrees(math.atan2(course(x + 1) - course(x - 1), 2))
        turn = f' transform="translate({x:.2f} {course(x) + lane:.2f}) rotate({lean:.1f})"'
        parts.append(fill([box(-long / 2, -0.9, long, 1.8)], rng.choice(CAR), turn))
    return parts


def highway(rng: random.Random) -> str:
    """A wide road with a median, lane marks and cars, perhaps with an exit or a bridge across."""
    land, road = _pick(rng, LAND), _pick(rng, ROAD)
    curve = rng.uniform(-0.006, 0.006)
    lanes, wide, gap = rng.randint(2, 4), rng.uniform(2.8, 3.6), rng.uniform(0.8, 4)

    def course(x: float) -> float:
        return curve * x * x - curve * 800

    half = lanes * wide
    parts = _countryside(rng, land)
    exit_way = rng.random()
    if exit_way < 0.5:
        parts.append(stroke([f"M-54 {course(-54) + half:.2f}Q-5 {course(-5) + half + 3:.2f} 22 54"], road, wide * 1.5))
    parts.append(stroke([trail(_line(course))], shade(road, 0.85), 2 * half + gap + 3))
    for side in (-1, 1):
        middle = side * (half + gap) / 2
        parts.append(stroke([trail(_line(course, middle))], road, half))
        marks = [trail(_line(course, middle + (k - lanes / 2) * wide)) for k in range(1, lanes)]
        parts.append(stroke(marks, "#f5f5ee", 0.6, ' stroke-dasharray="3.5 3"'))
        parts.append(stroke([trail(_line(course, middle + half / 2))], "#f5f5ee", 0.4))
    parts.append(stroke([trail(_line(course))], tint(rng, rng.choice((land, "#d8d4c8")), 10), gap))
    places = [side * (gap / 2 + (k + 0.5) * wide) for k in range(lanes) for side in (-1, 1)]
    parts += _cars(rng, places, course, rng.randint(5, 16))
    if exit_way > 0.75:
        x = rng.uniform(-20, 20)
        parts.append(stroke([f"M{x:.2f} -54L{x + rng.uniform(-20, 20):.2f} 54"], shade(road, 1.2), 5))
    return _view(rng, land, parts)


def farmland(rng: random.Random) -> str:
    """A patchwork of crop fields with furrows, or round irrigated ones."""
    least = rng.uniform(9, 17)
    parts = _fields(rng, least)
    if rng.random() < 0.25:
        for x, y, w, h in _plots(rng, -REACH, -REACH, 2 * REACH, 2 * REACH, least * 1.6):
            if 0.6 < w / h < 1.6:
                parts.append(fill([disc(x + w / 2, y + h / 2, min(w, h) * 0.48)], _pick(rng, FIELD)))
    if rng.random() < 0.5:
        parts.append(stroke([f"M-54 {rng.uniform(-20, 20):.2f}H54"], _pick(rng, SAND), 1.8))
    return _view(rng, "#6a7040", parts)


def residential(rng: random.Random) -> str:
    """Rows of small pitched roofs along streets, with garden trees."""
    land, road = _pick(rng, LAND[:8]), _pick(rng, ROAD)
    block, street = rng.uniform(22, 30), rng.uniform(3.5, 6)
    lot, roofs = rng.uniform(7.5, 10.5), [_pick(rng, ROOF) for _ in range(rng.randint(1, 3))]
    sunny: list[list[str]] = [[] for _ in roofs]
    shady: list[list[str]] = [[] for _ in roofs]
    drops, places, pools = [], [], []
    start = rng.uniform(0, block)
    ys = [start + block * k for k in range(-4, 4)]
    for y in ys:
        for side in (-1, 1):
            for k in range(-int(REACH / lot), int(REACH / lot) + 1):
                x = k * lot + rng.uniform(-0.6, 0.6)
                cy = y + side * (street / 2 + 5.2 + rng.uniform(-0.5, 0.5))
                if math.hypot(x, cy) > REACH + 4 or rng.random() < 0.06:
                    continue
                w, h, kind = lot * rng.uniform(0.62, 0.78), rng.uniform(5.5, 7), rng.randrange(len(roofs))
                drops.append(box(x - w / 2 + 0.9, cy - h / 2 + 0.9, w, h))
                sunny[kind].append(box(x - w / 2, cy - h / 2, w, h / 2))
                shady[kind].append(box(x - w / 2, cy, w, h / 2))
                garden = cy + side * rng.uniform(5, 7)
                if rng.random() < 0.5:
                    places.append((x + rng.uniform(-3, 3), garden))
                elif rng.random() < 0.15:
                    pools.append(box(x, garden - 1, 2.6, 1.8))
    across = [f"M{rng.uniform(-36, 36):.2f} -54V54"] if rng.random() < 0.5 else []
    parts = [*_patches(rng, land, 3), stroke([f"M-54 {y:.2f}H54" for y in ys], road, street)]
    parts += [fill(drops, "#20221f", ' fill-opacity="0.45"')]
    for color, light, dark in zip(roofs, sunny, shady, strict=True):
        parts += [fill(light, shade(color, 1.12)), fill(dark, shade(color, 0.78))]
    parts += [stroke(across, road, street), fill(pools, "#5ac4dc"), *_trees(rng, places, 1.7)]
    return _view(rng, land, parts)


def lake(rng: random.Random) -> str:
    """Still water closed in by its shore, perhaps with an island or a jetty."""
    land, water = _pick(rng, LAND), _pick(rng, WATER)
    x, y, r, rough = rng.uniform(-6, 6), rng.uniform(-6, 6), rng.uniform(16, 27), rng.uniform(0.12, 0.34)
    state = rng.getstate()
    parts = _countryside(rng, land)
    outlines = []
    for size in (1.1, 1.0, 0.72):
        # The same state gives the same shape, so shore, water and depth run parallel.
        rng.setstate(state)
        outlines.append(_blob(rng, x, y, r * size, rough))
    shore = _pick(rng, (*SAND, *LAND))
    parts += [
        fill([outlines[0]], shore),
        fill([outlines[1]], water),
        fill([outlines[2]], shade(water, 0.86)),
    ]
    extra = rng.random()
    if extra < 0.4:
        parts.append(fill([_blob(rng, x + rng.uniform(-7, 7), y, rng.uniform(2.5, 5), 0.25)], _pick(rng, CROWN)))
    elif extra < 0.6:
        parts.append(stroke([f"M{x + r * 1.1:.2f} {y:.2f}h{-r * 0.5:.2f}"], "#d8cbb0", 1.3))
    return _view(rng, land, parts)


def orchard(rng: random.Random) -> str:
    """Tree crowns in an even grid, perhaps with a track through."""
    land = _pick(rng, (*LAND, *SAND))
    step = rng.uniform(6.5, 12)
    rise, size = step * rng.uniform(0.9, 1.3), step * rng.uniform(0.26, 0.38)
    gap = rng.choice((0.0, 0.0, rng.uniform(4, 8)))
    places = []
    for i in range(-9, 10):
        for j in range(-9, 10):
            x, y = i * step + (gap if i > 0 else 0), j * rise
            if math.hypot(x, y) < REACH + 3 and rng.random() > 0.02:
                places.append((x + rng.uniform(-0.3, 0.3), y + rng.uniform(-0.3, 0.3)))
    rng.shuffle(places)
    strips = [box(-54, (j + 0.3) * rise, 108, rise * 0.4) for j in range(-9, 10)] if rng.random() < 0.5 else []
    track = [box(step / 2, -54, gap, 108)] if gap else []
    parts = [fill(strips, tint(rng, land, 22)), fill(track, _pick(rng, SAND))]
    return _view(rng, land, parts + _trees(rng, places, size))


def beach(rng: random.Random) -> str:
    """A coast line: sea, foam, a strip of sand, and land behind it."""
    land, water, sand = _pick(rng, LAND), _pick(rng, WATER), _pick(rng, SAND)
    course, width, place = _bend(rng, rng.uniform(3, 9)), rng.uniform(8, 18), rng.uniform(-10, 8)
    behind = _bend(rng, 4)

    def band(shift: float) -> str:
        return trail([*_line(course, place + shift), (56, 60), (-56, 60)], close=True)

    inland = [*_line(lambda x: course(x) * 0.6 + behind(x), place - width), (56, -60), (-56, -60)]
    places = [(x, y) for x, y in (_spot(rng) for _ in range(rng.randint(0, 90))) if y < course(x) + place - width - 2]
    parts = [fill([trail(inland, close=True)], land), *_trees(rng, places, rng.uniform(1.6, 2.8))]
    parts += [fill([band(0)], "#f7fbfa"), fill([band(1.4)], shade(water, 1.2))]
    parts += [fill([band(rng.uniform(5, 8))], water), fill([band(rng.uniform(15, 24))], shade(water, 0.82))]
    crests = [trail(_line(course, place + s)) for s in (rng.uniform(3, 5), rng.uniform(8, 12))]
    parts.append(stroke(crests, "#ffffff", 0.9, ' stroke-opacity="0.7" stroke-dasharray="14 6 25 9"'))
    for _ in range(rng.choice((0, 0, 14))):
        x = rng.uniform(-40, 40)
        parts.append(fill([disc(x, course(x) + place - rng.uniform(2.5, 6), 1.3)], rng.choice(CAR)))
    return _view(rng, sand, parts)


def industrial(rng: random.Random) -> str:
    """A few large flat roofs, round tanks and parked lorries on paved ground."""
    paved = _pick(rng, ROAD)
    parts = []
    for x, y, w, h in _plots(rng, -REACH, -REACH, 2 * REACH, 2 * REACH, rng.uniform(17, 22)):
        inset, kind, roof = rng.uniform(1.8, 3), rng.random(), tint(rng, rng.choice(ROOF), 18)
        x, y, w, h = x + inset, y + inset, w - 2 * inset, h - 2 * inset
        if kind < 0.3:
            size = min(w, h) / rng.choice((1, 2, 2))
            spots = [
                (x + (i + 0.5) * size, y + (j + 0.5) * size, size * 0.42)
                for i in range(int(w / size + 0.01))
                for j in range(int(h / size + 0.01))
            ]
            parts.append(fill([disc(cx + 1.2, cy + 1.2, r) for cx, cy, r in spots], "#1c1c1e", ' fill-opacity="0.5"'))
            parts.append(fill([disc(cx, cy, r) for cx, cy, r in spots], "#e4e4e0"))
            parts.append(stroke([disc(cx, cy, r * 0.7) for cx, cy, r in spots], "#a8a8a4", 0.8))
            continue
        if kind < 0.42:
            parts += _fields_of_lorries(rng, x, y, w, h)
            continue
        parts.append(fill([box(x + 1.5, y + 1.5, w, h)], "#1c1c1e", ' fill-opacity="0.5"'))
        parts.append(fill([box(x, y, w, h)], roof))
        count = rng.randint(3, 6)
        if rng.random() < 0.6:
            ribs = [box(x + w * k / count, y, w / count / 2, h) for k in range(count)]
            parts.append(fill(ribs, shade(roof, 0.85)))
        vents = [box(x + rng.uniform(0.1, 0.8) * w, y + rng.uniform(0.1, 0.8) * h, 2, 2) for _ in range(count)]
        parts.append(fill(vents, shade(roof, 1.3)))
    return _view(rng, paved, parts)


def _fields_of_lorries(rng: random.Random, x: float, y: float, w: float, h: float) -> list[str]:
    colors = [rng.choice((*CAR, *ROOF)) for _ in range(3)]
    rows: list[list[str]] = [[], [], []]
    for i in range(int(w / 3.2)):
        for j in range(int(h / 8)):
            if rng.random() < 0.75:
                rows[rng.randrange(3)].append(box(x + i * 3.2, y + j * 8, 2.1, 6.2))
    return [fill(row, color) for row, color in zip(rows, colors, strict=True)]


def mountain_range(rng: random.Random) -> str:
    """Ridges with spurs, lit on one side and dark on the other, snow along the tops."""
    rock, low, snow_line = (
        _pick(rng, (*LAND, "#7a7570", "#8a7f78")),
        _pick(rng, LAND[:9]),
        rng.uniform(0.45, 0.66),
    )
    apart, step, course = rng.uniform(30, 48), rng.uniform(7, 9), _bend(rng, rng.uniform(5, 11))
    rise, start = apart / 6, rng.uniform(0, 30)
    columns, rows = int(56 / step) + 1, int(62 / rise) + 1
    mesh = {}
    for i in range(-columns, columns + 1):
        for j in range(-rows, rows + 1):
            x, y = i * step, j * rise
            crest = abs(((y + start) / apart) % 1 - 0.5) * 2
            spur = 0.2 * math.cos(math.pi * i) * (1 - abs(2 * crest - 1))
            # Peaks and passes alternate along each ridge.
            crest *= 0.82 + 0.18 * math.sin(x * 0.13 + 2.1 * math.floor((y + start) / apart))
            z = min(1.0, max(0.0, crest + spur + rng.uniform(-0.09, 0.09)))
            mesh[i, j] = (x + rng.uniform(-0.3, 0.3) * step, y + course(x) + rng.uniform(-0.2, 0.2) * rise, z)
    facets: dict[str, list[str]] = {}
    for i in range(-columns, columns):
        for j in range(-rows, rows):
            a, b, c, d = mesh[i, j], mesh[i + 1, j], mesh[i, j + 1], mesh[i + 1, j + 1]
            for p, q, r in ((a, b, c), (b, d, c)):
                ux, uy, uz, vx, vy, vz = (
                    q[0] - p[0],
                    q[1] - p[1],
                    q[2] - p[2],
                    r[0] - p[0],
                    r[1] - p[1],
                    r[2] - p[2],
                )
                area = ux * vy - uy * vx
                slope = ((uy * vz - uz * vy) + 0.5 * (uz * vx - ux * vz)) / area * apart * 0.35 if area else 0.0
                light = 1 + 0.09 * max(-5, min(3, round(slope * 5)))
                height = (p[2] + q[2] + r[2]) / 3
                base = "#e9eef4" if height > snow_line else rock if height > 0.3 else low
                outline = trail([(p[0], p[1]), (q[0], q[1]), (r[0], r[1])], close=True)
                facets.setdefault(shade(base, light), []).append(outline)
    # A layer without antialiasing lies below, or the ground would shine through the seams between facets.
    crisp = [fill(data, color, ' shape-rendering="crispEdges"') for color, data in facets.items()]
    parts = crisp + [fill(data, color) for color, data in facets.items()]
    return _view(rng, low, parts)


def harbour(rng: random.Random) -> str:
    """Piers in the water with boats moored along them."""
    water, quay = _pick(rng, WATER), _pick(rng, (*ROAD, *SAND))
    shore, parts = rng.uniform(-30, -18), []
    step, pier = rng.uniform(14, 20), rng.uniform(1.6, 3.2)
    long = rng.uniform(26, 44)
    for k in range(-3, 4):
        x, reach = k * step + rng.uniform(-1, 1), long * rng.uniform(0.8, 1.1)
        parts.append(fill([box(x - pier / 2, shore, pier, reach)], quay))
        for side in (-1, 1):
            y = shore + 4
            while y < shore + reach - 2:
                beam, size = rng.uniform(2.4, 3.6), side * min(step / 2 - 2.5, rng.uniform(4, 7))
                if rng.random() < 0.7:
                    near = x + side * (pier / 2 + 0.4)
                    side_wall, bow, half = size * 0.55, size * 0.45, beam / 2
                    hull = f"M{near:.2f} {y:.2f}h{side_wall:.2f}q{size * 0.4:.2f} 0 {bow:.2f} {half:.2f}"
                    hull += f"q{-size * 0.05:.2f} {half:.2f} {-bow:.2f} {half:.2f}h{-side_wall:.2f}z"
                    parts.append(fill([hull], rng.choice(("#ffffff", "#f2ede0", *CAR))))
                y += beam + rng.uniform(0.6, 1.6)
    parts.append(fill([box(-54, -60, 108, 60 + shore)], quay))
    sheds = [box(x, shore - 15, rng.uniform(9, 15), 9) for x in range(-50, 50, 18)]
    parts.append(fill(sheds, _pick(rng, ROOF)))
    if rng.random() < 0.5:
        parts.append(
            stroke([f"M-54 {shore + long + 9:.2f}Q0 {shore + long + 16:.2f} 20 {shore + long + 10:.2f}"], quay, 3)
        )
    return _view(rng, water, parts[:140])


def airport_runway(rng: random.Random) -> str:
    """A long strip with threshold bars and a centre line, a taxiway beside it."""
    land, paved = _pick(rng, LAND), _pick(rng, ROAD[:4])
    half, long = rng.uniform(5, 8), rng.uniform(30, 40)
    far = rng.choice((long, 60.0))
    side, off = rng.choice((-1, 1)), half + rng.uniform(9, 15)
    taxi = [f"M-54 {side * off:.2f}H54"] + [
        f"M{x:.2f} 0l{rng.uniform(-8, 8):.2f} {side * off:.2f}" for x in (-24, 2, 26)
    ]
    parts = [*_patches(rng, land, 4), stroke(taxi, shade(paved, 1.15), half * 0.7)]
    parts.append(stroke([taxi[0]], "#e0c040", 0.5))
    parts.append(fill([box(-long - 3, -half, long + far + 6, 2 * half)], paved))
    marks = []
    for end in (-1, 1) if far == long else (-1,):
        for k in (-3.5, -2.5, -1.5, 1.5, 2.5, 3.5):
            marks.append(box(end * (long - 4) - 4, k * half / 4.4 - half * 0.07, 8, half * 0.14))
        for k in (-1, 1):
            marks.append(box(end * (long - 18) - 3, k * half * 0.45 - half * 0.14, 6, half * 0.28))
    marks += [box(x, -0.4, 4.5, 0.8) for x in range(-int(long) + 12, int(min(far, 54)) - 12, 8)]
    parts.append(fill(marks, "#f7f7f2"))
    if rng.random() < 0.6:
        plane = "M7-.7L2-.7-1-6h-2L-1.5-.7-4-.7-5.2-2.6h-1.3L-6 0-6.5 2.6h1.3L-4 .7h2.5L-3 6h2L2 .7 7 .7 8 0z"
        x, y = rng.uniform(-20, 20), rng.choice((0, side * off))
        parts.append(fill([plane], "#ffffff", f' transform="translate({x:.2f} {y:.2f})"'))
    return _view(rng, land, parts)


def desert_dunes(rng: random.Random) -> str:
    """Wind-blown ridges of sand, each with a lee side in the shade."""
    sand = _pick(rng, (*SAND, "#d09a58", "#c47a48", "#e0c8b0"))
    step, parts = rng.uniform(9, 17), []
    course, lee = _bend(rng, rng.uniform(5, 10)), shade(sand, rng.uniform(0.6, 0.78))
    for k in range(-int(60 / step), int(60 / step) + 1):
        own, wide, beat = _bend(rng, 4), step * rng.uniform(0.35, 0.6), rng.uniform(0, 6.28)
        crest = [(x, y + own(x) + k * step) for x, y in _line(course)]
        foot = [(x, y + wide * max(0.0, math.sin(x * 0.11 + beat) + 0.45)) for x, y in crest]
        parts.append(fill([trail([*crest, *reversed(foot)], close=True)], lee))
        parts.append(stroke([trail(crest)], shade(sand, 1.15), 1.1))
    return _view(rng, sand, parts)


def roundabout(rng: random.Random) -> str:
    """A ring road round an island, with three to five roads leading off."""
    land, road = _pick(rng, LAND), _pick(rng, ROAD)
    r, width, arms = rng.uniform(11, 18), rng.uniform(5.5, 8), rng.randint(3, 5)
    ways = []
    for k in range(arms):
        angle = 6.283 * (k + rng.uniform(-0.15, 0.15)) / arms
        ways.append(f"M{r * math.cos(angle):.2f} {r * math.sin(angle):.2f}")
        ways[-1] += f"L{60 * math.cos(angle):.2f} {60 * math.sin(angle):.2f}"
    trees = [(x, y) for x, y in (_spot(rng) for _ in range(40)) if math.hypot(x, y) > r + width]
    parts = [*_patches(rng, land, 4), *_trees(rng, trees, 2.0)]
    parts += [stroke(ways, "#e4e2da", width + 1.4), stroke([disc(0, 0, r)], "#e4e2da", width + 1.4)]
    parts += [stroke(ways, road, width), stroke([disc(0, 0, r)], road, width)]
    parts.append(stroke(ways, "#f5f5ee", 0.6, ' stroke-dasharray="3 2.5" stroke-dashoffset="-8"'))
    parts.append(fill([disc(0, 0, r - width / 2 - 0.6)], _pick(rng, (*LAND, *FIELD))))
    if rng.random() < 0.6:
        parts += _trees(rng, [(rng.uniform(-0.4, 0.4) * r, rng.uniform(-0.4, 0.4) * r) for _ in range(6)], 1.8)
    for _ in range(rng.randint(2, 7)):
        turn = f' transform="rotate({rng.uniform(0, 360):.1f}) translate(0 {r:.2f})"'
        parts.append(fill([box(-1.7, -0.9, 3.4, 1.8)], rng.choice(CAR), turn))
    return _view(rng, land, parts)


CONCEPTS: dict[str, Sketch] = {
    "forest": forest,
    "river": river,
    "highway": highway,
    "farmland": farmland,
    "residential": residential,
    "lake": lake,
    "orchard": orchard,
    "beach": beach,
    "industrial": industrial,
    "mountain range": mountain_range,
    "harbour": harbour,
    "airport runway": airport_runway,
    "desert dunes": desert_dunes,
    "roundabout": roundabout,
}
