"""A picture of the mini world: what a person should look at before trusting numbers on it."""

from __future__ import annotations

import io
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from vlcl_bench.fileio import write_atomic
from vlcl_bench.world.domains import Domain, development_domains, domains
from vlcl_bench.world.pictures import render
from vlcl_bench.world.renditions import SIZE

COLUMNS = 3
GAP = 6


def contact_sheet(path: Path, per_split: int = 5, development: bool = False) -> Path:
    """Write a PNG with a row for each class of each data set: training pictures, a gap, test pictures."""
    strips = []
    for domain in (development_domains() if development else domains()).values():
        strips += [_strip(domain, label, per_split) for label in range(len(domain.classes))]
        strips.append(np.full((GAP, strips[-1].shape[1], 3), 255, np.uint8))
    height = sum(len(strip) for strip in strips) // COLUMNS + SIZE
    columns: list[np.ndarray] = []
    current: list[np.ndarray] = []
    for strip in strips:
        if sum(len(part) for part in current) + len(strip) > height:
            columns.append(np.concatenate(current))
            current = []
        current.append(strip)
    columns.append(np.concatenate(current))
    tallest = max(len(column) for column in columns)
    sheet = np.full((tallest, (columns[0].shape[1] + 2 * GAP) * len(columns), 3), 255, np.uint8)
    for i, column in enumerate(columns):
        left = i * (column.shape[1] + 2 * GAP)
        sheet[: len(column), left : left + column.shape[1]] = column
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, "PNG", optimize=True)
    return write_atomic(path, buffer.getvalue())


def _strip(domain: Domain, label: int, per_split: int) -> np.ndarray:
    parts = []
    for split in ("train", "test"):
        chosen = (picture for picture, found in domain.pictures(split) if found == label)
        parts += [render(picture, {domain.name: domain.style}) for picture in islice(chosen, per_split)]
        parts.append(np.full((SIZE, GAP, 3), 255, np.uint8))
    return np.concatenate(parts[:-1], axis=1)
