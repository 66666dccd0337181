"""From vector drawings to pixels: painting a drawing in a rendition on a background, then a transform.

All arithmetic is on integers (resvg's rasteriser, Pillow's filters and NumPy on ``uint8``), so that the same
picture has the same bytes on every machine.
"""

from __future__ import annotations

import io
import random
import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageFilter, ImageOps

SIZE = 48
"""Pixels on a side of every picture of the mini world."""

Paint = Literal["color", "flat", "line", "silhouette", "duotone"]
Background = Literal["plain", "pale", "dark", "gradient", "clutter", "grid", "speckle"]

_GROUP = re.compile(r'<g id="([^"]+)"')
_SVG_OPEN = re.compile(r"<svg[^>]*>")


@dataclass(frozen=True)
class Style:
    """How the pictures of a domain are painted; ranges are drawn again for each picture.

    ``scale`` is the drawing's size as a share of the picture, ``tilt`` the largest rotation in degrees, ``blur``
    the largest Gaussian radius in pixels, ``noise`` the largest deviation per channel (of 255), ``hue`` the
    largest rotation of the hue circle in 256ths, ``pixels`` the resolution that the picture is reduced to.
    """

    paint: Paint = "color"
    background: Background = "plain"
    ink: tuple[str, ...] = ("#000000",)
    scale: tuple[float, float] = (0.75, 1.0)
    tilt: float = 0.0
    blur: float = 0.0
    noise: int = 0
    hue: int = 0
    contrast: float = 1.0
    pixels: int = 0
    gray: bool = False
    negative: bool = False
    full_bleed: bool = False


def rasterise(svg: str) -> np.ndarray:
    """Render SVG text to ``(SIZE, SIZE, 4)`` uint8, straight alpha."""
    import resvg_py

    png = resvg_py.svg_to_bytes(svg_string=svg, width=SIZE, height=SIZE, skip_system_fonts=True)
    return np.asarray(Image.open(io.BytesIO(bytes(png))).convert("RGBA"))


def keep_groups(svg: str, wanted: Literal["fill", "line"]) -> str:
    """The drawing without its line group, or with nothing but it (OpenMoji's top-level group names)."""
    pieces = re.split(r'(?=\n?\s*<g id="(?:color|line|hair|skin|skin-shadow|color-foreground)")', svg)
    kept = [pieces[0]]
    for piece in pieces[1:]:
        group = _GROUP.search(piece)
        is_line = group is not None and group.group(1) == "line"
        if is_line == (wanted == "line"):
            kept.append(piece.replace("</svg>", ""))
    return "".join(kept) + "</svg>"


def place(svg: str, scale: float, tilt: float, dx: float, dy: float) -> str:
    """Scale and turn a drawing about the middle of its 72-unit view box, then shift it."""
    opening = _SVG_OPEN.search(svg)
    if opening is None:
        raise ValueError("not an SVG drawing")
    move = f"translate({36 + dx:.2f} {36 + dy:.2f}) rotate({tilt:.2f}) scale({scale:.3f}) translate(-36 -36)"
    body = svg[opening.end() :].replace("</svg>", "")
    head = '<svg viewBox="0 0 72 72" xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
    return f'{head}<g transform="{move}">{body}</g></svg>'


def rgb(color: str) -> tuple[int, int, int]:
    """``#rrggbb`` as integers."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def hsv(rng: random.Random, saturation: tuple[int, int], value: tuple[int, int]) -> tuple[int, int, int]:
    """A colour of any hue with saturation and value (0 to 255) in the given ranges."""
    pixel = (rng.randrange(256), rng.randint(*saturation), rng.randint(*value))
    red, green, blue = np.asarray(Image.new("HSV", (1, 1), pixel).convert("RGB"))[0, 0].tolist()
    return red, green, blue


def over(canvas: np.ndarray, layer: np.ndarray) -> np.ndarray:
    """Alpha-composite an RGBA layer over an RGB canvas, in integers."""
    alpha = layer[..., 3:].astype(np.int32)
    mixed = layer[..., :3].astype(np.int32) * alpha + canvas.astype(np.int32) * (255 - alpha)
    return ((mixed + 127) // 255).astype(np.uint8)


def inked(layer: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    """The layer's shape in one colour."""
    painted = np.empty_like(layer)
    painted[..., :3] = color
    painted[..., 3] = layer[..., 3]
    return painted


def random_bytes(rng: random.Random, count: int) -> np.ndarray:
    """``count`` uniform bytes from PCG64's raw stream, which NumPy promises never to change."""
    raw = np.random.PCG64(rng.getrandbits(64)).random_raw((count + 7) // 8)
    return np.atleast_1d(raw).astype("<u8").view(np.uint8)[:count]


def paint_background(kind: Background, rng: random.Random) -> np.ndarray:
    """A background, ``(SIZE, SIZE, 3)`` uint8."""
    canvas = np.empty((SIZE, SIZE, 3), np.uint8)
    if kind == "pale":
        canvas[:] = hsv(rng, (0, 50), (225, 255))
    elif kind == "dark":
        canvas[:] = hsv(rng, (30, 160), (25, 70))
    elif kind == "gradient":
        top, bottom = (np.array(hsv(rng, (20, 150), (120, 255)), np.int32) for _ in range(2))
        ramp = np.arange(SIZE, dtype=np.int32)[:, None, None]
        shade = (top * (SIZE - 1 - ramp) + bottom * ramp) // (SIZE - 1)
        canvas[:] = shade if rng.random() < 0.5 else shade.transpose(1, 0, 2)
    elif kind == "clutter":
        canvas[:] = over(np.full_like(canvas, hsv(rng, (10, 120), (130, 240))), rasterise(_clutter(rng)))
    elif kind == "grid":
        canvas[:] = hsv(rng, (10, 90), (190, 250))
        step, start = rng.randint(5, 9), rng.randint(0, 4)
        canvas[start::step] = canvas[:, start::step] = hsv(rng, (40, 120), (130, 190))
    elif kind == "speckle":
        canvas[:] = hsv(rng, (10, 120), (120, 230))
        noise = random_bytes(rng, SIZE * SIZE).reshape(SIZE, SIZE, 1).astype(np.int16) % 61 - 30
        canvas = np.clip(canvas.astype(np.int16) + noise, 0, 255).astype(np.uint8)
    else:
        canvas[:] = hsv(rng, (0, 130), (130, 255))
    return canvas


def _clutter(rng: random.Random) -> str:
    """Random strokes and spots, as a photograph's background distracts from its subject."""
    parts = []
    for _ in range(rng.randint(6, 12)):
        color = "#{:02x}{:02x}{:02x}".format(*hsv(rng, (20, 170), (70, 250)))
        x, y, w = (rng.randint(0, 72) for _ in range(3))
        if rng.random() < 0.5:
            parts.append(f'<circle cx="{x}" cy="{y}" r="{3 + w // 8}" fill="{color}"/>')
        else:
            end = f'x2="{rng.randint(0, 72)}" y2="{rng.randint(0, 72)}"'
            parts.append(f'<line x1="{x}" y1="{y}" {end} stroke="{color}" stroke-width="{2 + w // 14}"/>')
    return f'<svg viewBox="0 0 72 72" xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'


def paint_drawing(svg: str, style: Style, rng: random.Random) -> np.ndarray:
    """A drawing painted in a style on its background, before the transform: ``(SIZE, SIZE, 3)`` uint8."""
    canvas = paint_background(style.background, rng)
    if style.paint in ("flat", "line"):
        svg = keep_groups(svg, "fill" if style.paint == "flat" else "line")
    if not style.full_bleed:
        scale, tilt = rng.uniform(*style.scale), rng.uniform(-style.tilt, style.tilt)
        room = 36 * (1 - scale)
        svg = place(svg, scale, tilt, rng.uniform(-room, room), rng.uniform(-room, room))
    ink = rgb(rng.choice(style.ink))
    layer = rasterise(svg)
    if style.paint in ("line", "silhouette"):
        return over(canvas, inked(layer, ink))
    if style.paint == "duotone":
        dark, light = (
            np.array(hsv(rng, s, v), np.int32) for s, v in (((120, 255), (30, 110)), ((20, 160), (190, 255)))
        )
        gray = np.asarray(Image.fromarray(over(np.full_like(canvas, 255), layer)).convert("L")).astype(np.int32)
        layer = layer.copy()
        layer[..., :3] = (dark * (255 - gray[..., None]) + light * gray[..., None]) // 255
    return over(canvas, layer)


def transform(pixels: np.ndarray, style: Style, rng: random.Random) -> np.ndarray:
    """The style's degradations, in a fixed order: resolution, blur, hue, gray, contrast, negative, noise."""
    image = Image.fromarray(pixels)
    if style.pixels:
        image = image.resize((style.pixels, style.pixels), Image.Resampling.BOX)
        image = image.resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    if style.blur:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, style.blur)))
    if style.hue:
        turned = np.array(image.convert("HSV"))
        turned[..., 0] += np.uint8(rng.randint(-style.hue, style.hue) % 256)
        image = Image.fromarray(turned, "HSV").convert("RGB")
    if style.gray:
        image = ImageOps.grayscale(image).convert("RGB")
    out = np.asarray(image).astype(np.int32)
    if style.contrast < 1:
        keep = rng.randint(round(256 * style.contrast), 256)
        out = 128 + (out - 128) * keep // 256
    if style.negative:
        out = 255 - out
    if style.noise:
        width = 2 * rng.randint(style.noise // 2, style.noise) + 1
        out = out + random_bytes(rng, out.size).reshape(out.shape).astype(np.int32) * width // 256 - width // 2
    return np.clip(out, 0, 255).astype(np.uint8)
