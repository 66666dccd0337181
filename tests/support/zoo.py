"""A stream of one's own with a small real data set: ten picture files of as many sizes, and the protocol's file."""

from pathlib import Path

import numpy as np
from PIL import Image

TRAIN, TEST = 3, 2
CLASSES = ("red fox", "snow_owl")

PROTOCOL = """
name = "zoo-stream"
version = 1
title = "a zoo"
description = "for tests"
source = "real"
scale = "full"
backbone = "vlcl-mini/v1"
picture_size = 8
tasks = ["zoo"]
evaluation_batch = 3

[budget]
steps = 2
batch_size = 2
learning_rate = 1e-3
warmup = 1
ensemble_interval = 1
reference_batch = 2
auxiliary_size = 4

[augmentation]
scale = [0.9, 1.0]
ratio = [0.75, 1.3333333333333333]

[[data]]
name = "zoo"
title = "Zoo"
layout = "folder"
folders = ["zoo"]
class_names = ["red fox", "snow_owl"]
templates = ["a photo of a {c}."]
train = 6
test = 4
licence = "none"
source = "made by a test"
"""


def noise(height: int, width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def make_zoo(root: Path) -> Path:
    """Write the pictures, PNG and JPEG in turn, in the layout ``folder`` below a data root."""
    number = 0
    for split, count in (("train", TRAIN), ("test", TEST)):
        for name in CLASSES:
            folder = root / "zoo" / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                path = folder / f"{i}.{'jpg' if number % 2 else 'png'}"
                Image.fromarray(noise(9 + number, 24 - number, number)).save(path)
                number += 1
    return root
