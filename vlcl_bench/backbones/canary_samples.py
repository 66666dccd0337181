"""The 8 pictures and 8 texts of the canaries (:mod:`vlcl_bench.backbones.canary`), which never change.

The pictures are drawn at the backbone's own size with integer arithmetic only, so they are equal to the bit on
every machine.
"""

from __future__ import annotations

import numpy as np

COUNT = 8
TEXTS = (
    "a photo of a cat.",
    "a black and white drawing of two bicycles",
    "a satellite picture of a river between fields",
    "the number seven, written by hand",
    "a texture with wide stripes!",
    "a 1998 estate car, seen from behind",
    "people who cook soup in a small kitchen",
    "x",
)


def pictures(side: int) -> np.ndarray:
    """The 8 pictures, uint8 ``(8, side, side, 3)``: gradients, stripes, squares, discs, noise."""
    y, x = np.mgrid[0:side, 0:side].astype(np.int64)
    top = max(side - 1, 1)
    across, down = x * 255 // top, y * 255 // top
    flat = np.zeros_like(x)
    radius = (2 * x - top) ** 2 + (2 * y - top) ** 2  # in half pixels: the middle is a whole number at every size
    disc, ring = radius <= (top // 2) ** 2, radius <= (4 * top // 5) ** 2
    beside = (4 * x - top) ** 2 + (2 * y - top) ** 2 <= (top // 2) ** 2
    stripe, wide = x * 16 // side % 2, (x + y) * 6 // side % 2
    squares = (x * 8 // side + y * 8 // side) % 2
    planes = [
        (across, across, across),
        (across, down, 255 - across),
        (255 * stripe, 255 * stripe, 255 * stripe),
        (40 + 200 * wide, 120 + 80 * wide, 220 - 180 * wide),
        (255 * squares, 200 * squares + down // 8, 60 + flat),
        (30 + 210 * disc, 90 + flat, 60 + 120 * ring),
        (np.where(beside, 250, across // 2), np.where(beside, 210, 100), np.where(disc, 20, 160)),
        tuple(_noise((y * side + x) * 3 + channel) for channel in range(3)),
    ]
    return np.stack([np.stack(channels, axis=-1) for channels in planes]).astype(np.uint8)


def _noise(number: np.ndarray) -> np.ndarray:
    """A byte for each number, by the finaliser of MurmurHash3 (32 bits, Appleby, public domain)."""
    value = (number.astype(np.uint64) + np.uint64(1)) & np.uint64(0xFFFFFFFF)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        value = (value ^ (value >> np.uint64(shift))) * np.uint64(factor) & np.uint64(0xFFFFFFFF)
    return (value >> np.uint64(24)).astype(np.int64)
