"""A picture is a pure function of its identifier ``<drawing>@<style>#<variation>``.

Drawings are named ``openmoji/<code>``, ``sketch/<family>/<concept>/<instance>`` or ``digits/<index>``
(scikit-learn's handwritten digits); styles are the names of a table that the caller holds.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import random
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from vlcl_bench.mini import openmoji
from vlcl_bench.mini.renditions import SIZE, Style, paint_drawing, transform


@dataclass(frozen=True)
class Picture:
    """What a picture shows (``drawing``), how it is painted (``style``), and which of many variations it is."""

    drawing: str
    style: str
    variation: int = 0

    @property
    def id(self) -> str:
        """The identifier that stands in manifests; it seeds everything random in the picture."""
        return f"{self.drawing}@{self.style}#{self.variation}"


def seeded(text: str) -> random.Random:
    """A generator that depends on nothing but the text (Python's ``random`` keeps its streams stable)."""
    return random.Random(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big"))


@functools.lru_cache(maxsize=4096)
def drawing_svg(drawing: str) -> str:
    """SVG text of an OpenMoji drawing or a sketch."""
    source, _, rest = drawing.partition("/")
    if source == "openmoji":
        return openmoji.read_svg(rest)
    family, concept, _ = rest.rsplit("/", 2)
    sketches = importlib.import_module(f"vlcl_bench.mini.drawings.{family}")
    return str(sketches.CONCEPTS[concept](seeded(drawing)))


def render(picture: Picture, styles: Mapping[str, Style]) -> np.ndarray:
    """The picture's pixels, ``(SIZE, SIZE, 3)`` uint8."""
    rng, style = seeded(picture.id), styles[picture.style]
    if picture.drawing.startswith("digits/"):
        pixels = handwritten_digit(int(picture.drawing.removeprefix("digits/")))
    else:
        pixels = paint_drawing(drawing_svg(picture.drawing), style, rng)
    return transform(pixels, style, rng)


@functools.cache
def digit_data() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's 1,797 handwritten digits: pictures ``(n, 8, 8)`` in 0..16, and labels."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return data.images.astype(np.uint8), data.target


def handwritten_digit(index: int) -> np.ndarray:
    """One handwritten digit, white on black, enlarged from 8 by 8 pixels, with a margin as MNIST's digits have."""
    small = np.minimum(digit_data()[0][index].astype(np.int32) * 16, 255).astype(np.uint8)
    side = SIZE * 5 // 8
    canvas = Image.new("L", (SIZE, SIZE))
    canvas.paste(Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC), ((SIZE - side) // 2,) * 2)
    return np.asarray(canvas.convert("RGB"))
