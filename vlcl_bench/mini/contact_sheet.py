"""A picture of the mini world: what a person should look at before trusting numbers on it."""

from __future__ import annotations

import io
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from vlcl_bench.common.fileio import write_atomic
from vlcl_bench.mini.domains import Domain, development_domains, domains
from vlcl_bench.mini.pictures import Picture, render
from vlcl_bench.mini.renditions import SIZE

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


def stream_sheet(path: Path, columns: int = 10, colors: int = 144) -> Path:
    """Write a PNG of the data sets of ``mini-c2r`` and ``mini-c2f``: training pictures left, test pictures right.

    A class has one picture on either side; of the captioned sets the first ``columns`` scenes are shown. The sheet
    is reduced to ``colors`` colours, to be small.
    """
    from vlcl_bench.mini.class_stream import class_streams
    from vlcl_bench.mini.scene_sets import scene_sets

    rows: list[np.ndarray] = []
    for stream in class_streams().values():
        sides = []
        for split in ("train", "test"):
            found: dict[int, Picture] = {}
            for picture, label in stream.pictures(split):
                found.setdefault(label, picture)
            sides.append([render(picture, stream.styles) for picture in found.values()])
        rows += _rows(sides, columns)
    for scenes in scene_sets().values():
        sides = [[draw() for _, draw, _ in islice(scenes.scenes(split), columns)] for split in ("train", "test")]
        rows += _rows(sides, columns)
    sheet = Image.fromarray(np.concatenate(rows)).quantize(colors, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    return write_atomic(path, buffer.getvalue())


def _rows(sides: list[list[np.ndarray]], columns: int) -> list[np.ndarray]:
    """Rows of training pictures and test pictures with a gap between them, and a gap below."""
    blank = np.full((SIZE, SIZE, 3), 255, np.uint8)
    rows = []
    for start in range(0, len(sides[0]), columns):
        parts: list[np.ndarray] = []
        for side in sides:
            shown = side[start : start + columns]
            parts += [*shown, *[blank] * (columns - len(shown)), np.full((SIZE, GAP, 3), 255, np.uint8)]
        rows.append(np.concatenate(parts[:-1], axis=1))
    return [*rows, np.full((GAP, rows[0].shape[1], 3), 255, np.uint8)]
