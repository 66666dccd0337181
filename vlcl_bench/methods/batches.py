"""Batches: endless shuffled rows, random crops and captions drawn for them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as vision

from vlcl_bench.data.transforms import Augmentation, crop_box
from vlcl_bench.errors import MethodError
from vlcl_bench.tasks import Task


def drawn_captions(task: Task, rows: np.ndarray, generator: torch.Generator) -> list[str]:
    """A caption of each picture, drawn at random; none where the task has classes."""
    if task.captions is None:
        return []
    places = torch.rand(len(rows), generator=generator).tolist()
    texts = [task.captions[row] for row in rows]
    return [captions[int(place * len(captions))] for captions, place in zip(texts, places, strict=True)]


def shuffled(count: int, size: int, generator: torch.Generator) -> Iterator[np.ndarray]:
    """Rows of endless shuffled batches; the last of an epoch may be short.

    The first ``next`` raises :class:`MethodError` where there is no row to draw, or a batch would have none.
    """
    if count < 1 or size < 1:
        raise MethodError(
            f"batches of {size} were asked for of {count} pictures or texts; both must be at least 1",
            "Look at the method's settings: a size or a number of pictures is 0 or negative.",
        )
    while True:
        order = torch.randperm(count, generator=generator).numpy()
        for start in range(0, count, size):
            yield order[start : start + size]


def with_every_class(order: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """The first ``count`` rows of a drawn ``order`` ``(n,)``, and of every class at least one, as far as there is room.

    ``labels`` are those of all rows. A class that would be missing comes in with its first row, in place of the last
    row of the class that has most then. Rows stay in the drawn order, and where no class would be missing they are the
    first ``count``. Where there is no room for all classes, no class has two rows.
    """
    drawn = labels[order]
    kept = np.arange(len(order)) < count
    for place in np.sort(np.unique(drawn, return_index=True)[1]):
        if kept[place]:
            continue
        names, counts = np.unique(drawn[kept], return_counts=True)
        if not len(counts) or counts.max() < 2:
            break
        kept[np.flatnonzero(kept & (drawn == names[counts.argmax()]))[-1]] = False
        kept[place] = True
    return order[kept]


def loggable(key: str, value: Any) -> float | int | str:
    """A value of the method's log as it is stored in JSON; raises :class:`MethodError` for what cannot be."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, str) or (isinstance(value, (int, float)) and math.isfinite(value)):
        return value
    raise MethodError(f"ctx.log({key}={value!r}): only finite numbers and strings can be stored in the record")


def random_crops(pixels: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Random resized crops of uint8 pictures ``(n, s, s, 3)``, bicubic, no flip (ZSCL, `clip.py`)."""
    images, side = pixels.permute(0, 3, 1, 2), pixels.shape[1]
    draws = iter(lambda: torch.rand(4, generator=generator, dtype=torch.float64).tolist(), None)
    cropped = []
    for image in images:
        top, left, height, width = crop_box(side, side, augmentation, draws)
        cropped.append(
            vision.resized_crop(
                image,
                top,
                left,
                height,
                width,
                [side, side],
                vision.InterpolationMode.BICUBIC,
                antialias=True,
            )
        )
    return torch.stack(cropped).permute(0, 2, 3, 1)
