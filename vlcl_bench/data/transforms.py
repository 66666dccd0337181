"""The protocol's two transforms of original pictures, before normalisation: for testing and for training.

Both are Pillow's bicubic through torchvision's functions, as in CLIP's own preprocessing (Radford et al., 2021,
`clip.py`) and in ZSCL's training (Zheng et al., ICCV 2023).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Self

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, model_validator

from vlcl_bench.common.faults import Fault, Faults, Number, wrong

Box = tuple[int, int, int, int]
"""Top, left, height and width of a crop."""

CROP_ATTEMPTS = 10
FLATTEST = 100.0
"""The most that a crop may be wider than high, or higher than wide."""


class Augmentation(BaseModel):
    """The training transform: a random crop of this share of the area, resized to the input size; no flip."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scale: tuple[Number, Number]
    ratio: tuple[Number, Number]

    @model_validator(mode="after")
    def _possible(self) -> Self:
        faults: list[Fault] = []
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            faults.append(wrong("scale", self.scale, "two shares of the area above 0 and up to 1, the smaller first"))
        if not 1 / FLATTEST <= self.ratio[0] <= self.ratio[1] <= FLATTEST:
            wanted = f"two ratios of width to height from {1 / FLATTEST:g} to {FLATTEST:g}, the smaller first"
            faults.append(wrong("ratio", self.ratio, wanted))
        Faults.raised(faults)
        return self


def evaluation_crop(pixels: np.ndarray, side: int) -> np.ndarray:
    """Short side to ``side`` pixels, then the middle: ``(h, w, 3)`` to ``(side, side, 3)`` uint8."""
    from torchvision.transforms.v2 import functional as vision

    if pixels.shape[:2] == (side, side):
        return pixels
    image = vision.resize(Image.fromarray(pixels), [side], vision.InterpolationMode.BICUBIC)
    return np.asarray(vision.center_crop(image, [side, side]))


def training_crop(pixels: np.ndarray, box: Box, side: int) -> np.ndarray:
    """A crop of the original, resized to ``(side, side, 3)`` uint8."""
    from torchvision.transforms.v2 import functional as vision

    image = Image.fromarray(pixels)
    return np.asarray(vision.resized_crop(image, *box, [side, side], vision.InterpolationMode.BICUBIC))


def crop_box(height: int, width: int, augmentation: Augmentation, draws: Iterable[Sequence[float]]) -> Box:
    """A random crop: area uniform, aspect ratio log-uniform, else the middle within the allowed ratios.

    ``draws`` gives four numbers in 0..1 for each of up to ten attempts. torchvision draws the same distribution,
    but only from the global generator.
    """
    low, high = (math.log(ratio) for ratio in augmentation.ratio)
    for _, (share, shape, down, right) in zip(range(CROP_ATTEMPTS), draws, strict=False):
        area = height * width * (augmentation.scale[0] + share * (augmentation.scale[1] - augmentation.scale[0]))
        ratio = math.exp(low + shape * (high - low))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return int(down * (height - h + 1)), int(right * (width - w + 1)), h, w
    h, w = height, width
    if width / height < augmentation.ratio[0]:
        h = max(1, round(width / augmentation.ratio[0]))
    elif width / height > augmentation.ratio[1]:
        w = max(1, round(height * augmentation.ratio[1]))
    return (height - h) // 2, (width - w) // 2, h, w
