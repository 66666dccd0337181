"""Pictures of one's own, made by code: a ``folder`` data set of three classes, and a complete protocol over it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CLASSES = ("robin", "wren", "blue tit")
TRAIN, TEST, SIDE = 8, 4, 64
"""Pictures of each class, and their side in pixels."""

TOP: dict[str, Any] = {
    "name": "my-stream", "version": 1, "title": "My stream", "description": "for tests", "source": "real",
    "scale": "mini", "backbone": "vlcl-mini/v1", "picture_size": 48, "tasks": ["birds"], "evaluation_batch": 16,
    "ranked": False,
}  # fmt: skip
BUDGET: dict[str, Any] = {
    "steps": 2, "batch_size": 8, "learning_rate": 1e-4, "warmup": 1, "ensemble_interval": 1, "reference_batch": 8,
    "auxiliary_size": 16,
}  # fmt: skip
AUGMENTATION: dict[str, Any] = {"scale": [0.9, 1.0], "ratio": [0.75, 1.3333333333333333]}


def picture(number: int, side: int = SIDE) -> Image.Image:
    """A picture that no other number gives: a colour with noise on it."""
    random = np.random.default_rng(number)
    colour = random.integers(0, 200, 3)
    return Image.fromarray((colour + random.integers(0, 56, (side, side, 3))).astype(np.uint8))


def write_own_data(
    root: Path,
    name: str = "birds",
    classes: Sequence[str] = CLASSES,
    train: int = TRAIN,
    test: int = TEST,
    side: int = SIDE,
) -> Path:
    """Write ``root/<name>/train|test/<class>/<number>.png``; returns the data root.

    No two pictures of one call are equal. With ``test=0`` there is no folder ``test``.
    """
    number = 0
    for split, count in (("train", train), ("test", test)):
        for called in classes if count else ():
            folder = root / name / split / called
            folder.mkdir(parents=True)
            for place in range(count):
                picture(number, side).save(folder / f"{place}.png")
                number += 1
    return root


def own_data_set(name: str = "birds", classes: Sequence[str] = CLASSES, **changes: Any) -> dict[str, Any]:
    """A ``[[data]]`` table; a change to ``None`` takes a key out."""
    table: dict[str, Any] = {
        "name": name, "title": "Birds of our garden", "layout": "folder", "folders": [name],
        "class_names": list(classes), "templates": ["a photo of a {c}."], "licence": "ours", "source": "our garden",
    }  # fmt: skip
    return _changed(table, changes)


def write_own_protocol(
    path: Path,
    data: Sequence[Mapping[str, Any]] | None = None,
    budget: Mapping[str, Any] | None = None,
    augmentation: Mapping[str, Any] | None = None,
    tables: str = "",
    **top: Any,
) -> Path:
    """Write a complete protocol over :func:`write_own_data`'s pictures, with these changes, and return its path.

    ``budget``, ``augmentation`` and keywords change single keys, and take out those that are ``None``; ``data`` are the
    ``[[data]]`` tables in place of the one of :func:`own_data_set`; ``tables`` is text for further tables.
    """
    parts = [_lines(_changed(TOP, top)), "\n[budget]\n", _lines(_changed(BUDGET, budget or {}))]
    parts += ["\n[augmentation]\n", _lines(_changed(AUGMENTATION, augmentation or {})), "\n", tables]
    for table in [own_data_set()] if data is None else data:
        parts += ["\n[[data]]\n", _lines(table)]
    path.write_text("".join(parts), encoding="utf-8")
    return path


def _changed(table: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in {**table, **changes}.items() if value is not None}


def _lines(table: Mapping[str, Any]) -> str:
    return "".join(f"{key} = {_value(value)}\n" for key, value in table.items())


def _value(value: Any) -> str:
    """TOML of a plain value, which JSON writes the same way; tables inside are inline."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_value(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, float):
        return repr(value)  # TOML knows inf and nan, JSON does not
    return json.dumps(value, ensure_ascii=False)
