"""Parametric textures: fourteen patterns that cover the whole square, after the Describable Textures manner.

Every pattern is drawn around the middle of the square over ``±REACH`` units and then turned, so that it still
covers the corners at any angle. Shapes of one colour share one path, which keeps rendering cheap.
"""

import math
import random
from collections.abc import Iterable, Sequence
from functools import partial

from vlcl_bench.mini.drawings.pen import Point, Sketch, drawing

# Half the diagonal of the 72-unit square (50.9) and a little more.
REACH = 52.0


def _hex(hue: float, saturation: float, lightness: float) -> str:
    spread = saturation * min(lightness, 1 - lightness)
    channels = []
    for offset in (0, 8, 4):
        k = (offset + hue * 12) % 12
        channels.append(round(255 * (lightness - spread * max(-1.0, min(k - 3, 9 - k, 1.0)))))
    return "#{:02x}{:02x}{:02x}".format(*channels)


def _light(color: str) -> int:
    return 2 * int(color[1:3], 16) + 4 * int(color[3:5], 16) + int(color[5:7], 16)


def _palette(rng: random.Random, count: int) -> list[str]:
    """Return colours of any hue whose lightness lies well apart, so that the pattern stays legible."""
    hue = rng.random()
    ends = [rng.uniform(0.16, 0.36), rng.uniform(0.68, 0.92)]
    rng.shuffle(ends)
    colors = []
    # The first colour is the ground: the second keeps further from it than from the third.
    for share in (0.0, 0.68, 1.0) if count == 3 else (0.0, 1.0):
        colors.append(_hex(hue, rng.uniform(0.25, 0.9), ends[0] + (ends[1] - ends[0]) * share))
        hue += rng.choice((0.0, 0.06, -0.08, 0.33, 0.5, 0.62))
    return colors


def _cover(rng: random.Random, ground: str, parts: Sequence[str], angle: float | None = None) -> str:
    """Lay turned parts over a ground that fills the square."""
    turn = rng.uniform(0, 360) if angle is None else angle
    inner = "".join(parts)
    back = f'<rect x="0" y="0" width="72" height="72" fill="{ground}"/>'
    return drawing([back, f'<g transform="translate(36 36) rotate({turn:.1f})">{inner}</g>'], [])


def fill(data: Iterable[str], color: str, more: str = "") -> str:
    """Return one filled path."""
    return f'<path d="{"".join(data)}" fill="{color}"{more}/>'


def stroke(data: Iterable[str], color: str, width: float, more: str = "") -> str:
    """Return one stroked path."""
    return f'<path d="{"".join(data)}" fill="none" stroke="{color}" stroke-width="{width:.2f}"{more}/>'


def box(x: float, y: float, w: float, h: float) -> str:
    """Return an oblong as path data."""
    return f"M{x:.2f} {y:.2f}h{w:.2f}v{h:.2f}h{-w:.2f}z"


def disc(x: float, y: float, r: float) -> str:
    """Return a circle as path data."""
    return f"M{x - r:.2f} {y:.2f}a{r:.2f} {r:.2f} 0 1 0 {2 * r:.2f} 0a{r:.2f} {r:.2f} 0 1 0 {-2 * r:.2f} 0z"


def trail(points: Iterable[Point], close: bool = False) -> str:
    """Return straight lines through points as path data."""
    return "M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in points) + ("z" if close else "")


def _steps(step: float, start: float = 0.0) -> list[float]:
    """Return evenly spaced positions that reach past both ends."""
    count = int(REACH / step) + 2
    return [start + i * step for i in range(-count, count + 1)]


def striped(rng: random.Random) -> str:
    """Straight parallel bands."""
    ground, first, second = _palette(rng, 3)
    period, share = rng.uniform(7, 17), rng.uniform(0.3, 0.6)
    bands = [box(-REACH, y, 2 * REACH, period * share) for y in _steps(period, rng.uniform(0, period))]
    parts = [fill(bands, first)]
    extra = rng.random()
    if extra < 0.35:
        parts.append(fill(bands[::2], second))
    elif extra < 0.6:
        parts.append(fill([box(-REACH, y + period * (1 + share) / 2, 2 * REACH, 1.2) for y in _steps(period)], second))
    return _cover(rng, ground, parts)


def dotted(rng: random.Random) -> str:
    """Separate filled spots in rows, sometimes a little astray."""
    ground, first, second = _palette(rng, 3)
    step = rng.uniform(9, 18)
    radius, astray = step * rng.uniform(0.22, 0.36), step * rng.choice((0.0, 0.0, 0.12))
    offset = step / 2 * rng.choice((0, 1))
    rise = step * (0.87 if offset else 1.0)
    spots: tuple[list[str], list[str]] = ([], [])
    mix = rng.choice((0.0, 0.0, 0.4))
    for row, y in enumerate(_steps(rise)):
        for x in _steps(step, offset * (row % 2)):
            dx, dy = rng.uniform(-astray, astray), rng.uniform(-astray, astray)
            spots[int(rng.random() < mix)].append(disc(x + dx, y + dy, radius))
    return _cover(rng, ground, [fill(spots[0], first), fill(spots[1], second)])


def checkered(rng: random.Random) -> str:
    """Squares (or long oblongs, or lozenges) of alternating colour."""
    ground, other = _palette(rng, 2)
    width = rng.uniform(7, 18)
    height = width * rng.choice((1.0, 1.0, rng.uniform(0.6, 1.5)))
    squares = [
        box(x, y, width, height)
        for i, x in enumerate(_steps(width))
        for j, y in enumerate(_steps(height))
        if (i + j) % 2
    ]
    return _cover(rng, ground, [fill(squares, other)])


def zigzagged(rng: random.Random) -> str:
    """Bands that turn sharply to and fro."""
    ground, first, second = _palette(rng, 3)
    half = rng.uniform(5, 10)
    rise = half * rng.uniform(0.8, 1.3)
    period = rng.uniform(8, 14) + rise * 0.3
    bands = [
        trail([(x, y + rise * (-0.5 if i % 2 else 0.5)) for i, x in enumerate(_steps(half))]) for y in _steps(period)
    ]
    width = period * rng.uniform(0.25, 0.48)
    parts = [stroke(bands, first, width)]
    if rng.random() < 0.45:
        parts.append(stroke(bands[::2], second, width))
    return _cover(rng, ground, parts)


def woven(rng: random.Random) -> str:
    """Two sets of strands that pass over and under each other."""
    ground, first, second = sorted(_palette(rng, 3), key=_light)
    if rng.random() < 0.3:
        second = first
    cell = rng.uniform(8, 14)
    gap = cell * rng.uniform(0.1, 0.2)
    run = rng.choice((1, 1, 2))
    threads = rng.choice((0, 1, 2))
    strands: tuple[list[str], list[str]] = ([], [])
    seams: list[str] = []
    for i, x in enumerate(_steps(cell)):
        for j, y in enumerate(_steps(cell)):
            # A plain weave changes at every crossing; a twill (run 2) shifts by one strand a row.
            across = (i + j) % (2 * run) < run
            ends = gap * 0.35
            if across:
                strands[0].append(box(x - ends, y + gap, cell + 2 * ends, cell - 2 * gap))
            else:
                strands[1].append(box(x + gap, y - ends, cell - 2 * gap, cell + 2 * ends))
            for k in range(threads):
                place = gap + (cell - 2 * gap) * (k + 1) / (threads + 1)
                seams.append(
                    f"M{x:.2f} {y + place:.2f}h{cell:.2f}" if across else f"M{x + place:.2f} {y:.2f}v{cell:.2f}"
                )
    parts = [fill(strands[0], first), fill(strands[1], second), stroke(seams, ground, cell * 0.06)]
    return _cover(rng, ground, parts)


def _cells(points: Sequence[Point]) -> list[list[Point]]:
    """Cut the plane into the cells nearest to each point, by clipping a square at the bisectors."""
    cells = []
    for px, py in points:
        cell = [(-REACH, -REACH), (REACH, -REACH), (REACH, REACH), (-REACH, REACH)]
        near = sorted(points, key=partial(math.dist, (px, py)))
        for qx, qy in near[1:14]:
            nx, ny = qx - px, qy - py
            limit = (qx * qx + qy * qy - px * px - py * py) / 2
            kept: list[Point] = []
            for (ax, ay), (bx, by) in zip(cell, cell[1:] + cell[:1], strict=True):
                a, b = ax * nx + ay * ny - limit, bx * nx + by * ny - limit
                if a <= 0:
                    kept.append((ax, ay))
                if a * b < 0:
                    kept.append((ax + (bx - ax) * a / (a - b), ay + (by - ay) * a / (a - b)))
            cell = kept
        cells.append(cell)
    return cells


def cracked(rng: random.Random) -> str:
    """Dried-out plates of uneven shape, with jagged gaps between."""
    crack, plate, other = sorted(_palette(rng, 3), key=_light)
    if rng.random() < 0.5:
        other = plate
    step = rng.uniform(14, 24)
    points = [
        (x + rng.uniform(-0.48, 0.48) * step, y + rng.uniform(-0.48, 0.48) * step)
        for x in _steps(step)
        for y in _steps(step)
        if abs(x) < REACH and abs(y) < REACH
    ]
    jag = step * rng.uniform(0.05, 0.11)
    plates: tuple[list[str], list[str]] = ([], [])
    hairs: list[str] = []
    for cell in _cells(points):
        edge: list[Point] = []
        for (ax, ay), (bx, by) in zip(cell, cell[1:] + cell[:1], strict=True):
            # The kink depends on the edge alone, so that both plates along a gap share it.
            mark = 1.7 * (ax + bx) + 2.9 * (ay + by)
            length = min(1.0, math.hypot(bx - ax, by - ay) / step * 1.5)
            edge += [
                (ax, ay),
                (
                    (ax + bx) / 2 + jag * length * math.sin(mark),
                    (ay + by) / 2 + jag * length * math.cos(mark),
                ),
            ]
        plates[rng.randint(0, 1)].append(trail(edge, close=True))
        if edge and rng.random() < 0.4:
            middle = (sum(p[0] for p in edge) / len(edge), sum(p[1] for p in edge) / len(edge))
            hairs.append(trail([rng.choice(edge), middle]))
    width = rng.uniform(1.3, 3.0)
    more = f' stroke="{crack}" stroke-width="{width:.2f}"'
    return _cover(
        rng,
        crack,
        [fill(plates[0], plate, more), fill(plates[1], other, more), stroke(hairs, crack, width * 0.6)],
    )


def honeycombed(rng: random.Random) -> str:
    """Six-sided cells in a close even packing."""
    ground, first, second = _palette(rng, 3)
    side = rng.uniform(6, 12)
    inner = side * rng.uniform(0.74, 0.9)
    corners = [(math.sin(k * math.pi / 3), math.cos(k * math.pi / 3)) for k in range(6)]
    cells: tuple[list[str], list[str], list[str]] = ([], [], [])
    mix = rng.choice((0.0, 0.0, 0.3))
    for row, y in enumerate(_steps(1.5 * side)):
        for x in _steps(math.sqrt(3) * side, math.sqrt(3) / 2 * side * (row % 2)):
            cells[int(rng.random() < mix)].append(
                trail([(x + inner * cx, y + inner * cy) for cx, cy in corners], close=True)
            )
            cells[2].append(trail([(x + inner * 0.6 * cx, y + inner * 0.6 * cy) for cx, cy in corners], close=True))
    parts = [fill(cells[0], first), fill(cells[1], second)]
    if mix == 0.0 and rng.random() < 0.35:
        parts.append(fill(cells[2], second))
    return _cover(rng, ground, parts)


def spiralled(rng: random.Random) -> str:
    """One to many curls that wind in from the rim."""
    ground, first, second = _palette(rng, 3)
    pitch = rng.choice((rng.uniform(17, 26), rng.uniform(26, 44), 110.0))
    turns = rng.uniform(2.0, 3.0) if pitch < 40 else rng.uniform(3.2, 5.5)
    radius = pitch * 0.47
    sense, alternate = rng.choice((-1, 1)), rng.random() < 0.5
    curls: tuple[list[str], list[str]] = ([], [])
    mix = rng.choice((0.0, 0.5))
    shift = rng.uniform(-8, 8)
    for i, x in enumerate(_steps(pitch)):
        for j, y in enumerate(_steps(pitch)):
            if abs(x) > REACH + radius or abs(y) > REACH + radius:
                continue
            way = -sense if alternate and (i + j) % 2 else sense
            begin, count = rng.uniform(0, 6.28), int(turns * 16)
            line = [
                (
                    x + shift + radius * k / count * math.cos(begin + way * k * 0.3927),
                    y + shift + radius * k / count * math.sin(begin + way * k * 0.3927),
                )
                for k in range(count + 1)
            ]
            curls[int(rng.random() < mix)].append(trail(line))
    width = radius / turns * rng.uniform(0.3, 0.5)
    more = ' stroke-linecap="round" stroke-linejoin="round"'
    return _cover(rng, ground, [stroke(curls[0], first, width, more), stroke(curls[1], second, width, more)])


def scaly(rng: random.Random) -> str:
    """Rounded or pointed scales that overlap like roof tiles."""
    edge, first, second = _palette(rng, 3)
    if rng.random() < 0.4:
        second = first
    half = rng.uniform(6.5, 10.5)
    depth, rise = half * rng.uniform(1.05, 1.5), half * rng.uniform(0.75, 0.95)
    pointed = rng.random() < 0.2
    more = f' stroke="{edge}" stroke-width="{rng.uniform(1.1, 2.0):.2f}"'
    parts = []
    # The lowest row comes first, so that every row lies over the one below it.
    for row, y in reversed(list(enumerate(_steps(rise)))):
        scales = []
        for x in _steps(2 * half, half * (row % 2)):
            if math.hypot(x, y) > REACH + half:
                continue
            tip = (
                f"Q{x - half:.2f} {y + depth * 0.6:.2f} {x:.2f} {y + depth:.2f}"
                f"Q{x + half:.2f} {y + depth * 0.6:.2f} {x + half:.2f} {y:.2f}"
                if pointed
                else f"A{half:.2f} {depth:.2f} 0 0 0 {x + half:.2f} {y:.2f}"
            )
            scales.append(f"M{x - half:.2f} {y - depth:.2f}V{y:.2f}{tip}V{y - depth:.2f}z")
        parts.append(fill(scales, second if row % 2 else first, more))
    return _cover(rng, first, parts)


def bubbly(rng: random.Random) -> str:
    """Round bubbles of many sizes, each with a rim and a glint."""
    ground, rim, body = _palette(rng, 3)
    largest = rng.uniform(7, 13)
    bubbles: list[tuple[float, float, float]] = []
    for attempt in range(320):
        radius = largest * (1 - 0.8 * attempt / 320) * rng.uniform(0.7, 1.0)
        x, y = rng.uniform(-40, 40), rng.uniform(-40, 40)
        if all(math.hypot(x - bx, y - by) > radius + br for bx, by, br in bubbles):
            bubbles.append((x, y, radius))
    glints = [
        f"M{x - r * 0.58:.2f} {y:.2f}A{r * 0.58:.2f} {r * 0.58:.2f} 0 0 1 {x:.2f} {y - r * 0.58:.2f}"
        for x, y, r in bubbles
        if r > 2.2
    ]
    circles = [disc(x, y, r * 0.92) for x, y, r in bubbles]
    more = f' stroke="{rim}" stroke-width="{rng.uniform(0.8, 1.6):.2f}"'
    shine = stroke(glints, "#ffffff", 1.3, ' stroke-linecap="round"')
    return _cover(rng, ground, [fill(circles, body, more), shine], rng.uniform(-20, 20))


def grid(rng: random.Random) -> str:
    """Thin lines that cross and leave open cells."""
    ground, first, second = _palette(rng, 3)
    width = rng.uniform(8, 18)
    height = width * rng.choice((1.0, 1.0, rng.uniform(0.6, 1.6)))
    upright = [f"M{x:.2f} {-REACH:.2f}V{REACH:.2f}" for x in _steps(width)]
    level = [f"M{-REACH:.2f} {y:.2f}H{REACH:.2f}" for y in _steps(height)]
    thick = width * rng.uniform(0.08, 0.2)
    parts = [stroke(upright + level, first, thick)]
    if rng.random() < 0.3:
        parts.append(stroke(upright[::2] + level[::2], second, thick))
    return _cover(rng, ground, parts)


def starry(rng: random.Random) -> str:
    """Pointed stars strewn over the ground."""
    ground, first, second = _palette(rng, 3)
    step, points, waist = rng.uniform(12, 22), rng.choice((4, 5, 5, 6, 8)), rng.uniform(0.3, 0.5)
    astray = step * rng.choice((0.0, 0.2, 0.3))
    stars: tuple[list[str], list[str]] = ([], [])
    for row, y in enumerate(_steps(step * 0.87)):
        for x in _steps(step, step / 2 * (row % 2)):
            cx, cy = x + rng.uniform(-astray, astray), y + rng.uniform(-astray, astray)
            size, turn = step * rng.uniform(0.28, 0.5), rng.uniform(0, 6.28)
            corners = []
            for k in range(2 * points):
                reach, angle = size * (waist if k % 2 else 1.0), turn + k * math.pi / points
                corners.append((cx + reach * math.cos(angle), cy + reach * math.sin(angle)))
            stars[int(rng.random() < 0.3)].append(trail(corners, close=True))
    return _cover(rng, ground, [fill(stars[0], first), fill(stars[1], second)])


def wavy(rng: random.Random) -> str:
    """Bands that swing gently to and fro."""
    ground, first, second = _palette(rng, 3)
    length = rng.uniform(20, 36)
    swing = length * rng.uniform(0.09, 0.15)
    period, drift = rng.uniform(7, 13), rng.choice((0.0, 0.0, 0.4))
    bands = [
        trail(
            [(x, y + swing * math.sin(6.283 * x / length + drift * k)) for x in _steps(length / 12)],
        )
        for k, y in enumerate(_steps(period))
    ]
    width = period * rng.uniform(0.25, 0.5)
    parts = [stroke(bands, first, width)]
    if rng.random() < 0.4:
        parts.append(stroke(bands[::2], second, width))
    return _cover(rng, ground, parts)


def braided(rng: random.Random) -> str:
    """Plaits side by side, their strands crossing in the middle."""
    ground, first, second = sorted(_palette(rng, 3), key=_light)
    if rng.random() < 0.4:
        second = first
    width = rng.uniform(22, 36)
    rise, lean = width * rng.uniform(0.34, 0.44), rng.uniform(0.5, 0.8)
    more = f' stroke="{ground}" stroke-width="{rng.uniform(1.2, 2.0):.2f}"'
    parts = []
    for k, y in enumerate(_steps(rise / 2)):
        # Left and right strands take turns, and each laps over the tail of the one before.
        side = -1 if k % 2 else 1
        strands = []
        for x in _steps(width):
            if math.hypot(x, y) > REACH + width:
                continue
            ax, ay = x + side * width * 0.46, y - width * lean * 0.5
            bx, by = x - side * width * 0.16, y + width * lean * 0.25
            strands.append(
                f"M{ax:.2f} {ay:.2f}C{ax:.2f} {ay + rise:.2f} "
                f"{bx + side * rise * 0.5:.2f} {by + rise * 0.6:.2f} {bx:.2f} {by:.2f}"
                f"C{bx:.2f} {by - rise * 0.7:.2f} {ax - side * rise:.2f} {ay:.2f} {ax:.2f} {ay:.2f}z"
            )
        parts.append(fill(strands, second if k % 2 else first, more))
    return _cover(rng, ground, parts)


CONCEPTS: dict[str, Sketch] = {
    "striped": striped,
    "dotted": dotted,
    "checkered": checkered,
    "zigzagged": zigzagged,
    "woven": woven,
    "cracked": cracked,
    "honeycombed": honeycombed,
    "spiralled": spiralled,
    "scaly": scaly,
    "bubbly": bubbly,
    "grid": grid,
    "starry": starry,
    "wavy": wavy,
    "braided": braided,
}
