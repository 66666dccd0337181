"""Local copies of hub repositories, in the layout that the library itself writes."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from vlcl_bench.data.real.spec import HubSpec, RealSpec

NAMES = ("apple", "aquarium fish", "baby")


REPO = "owner/small-set"


COMMIT = "0123456789abcdef0123456789abcdef01234567"


def encoded(grey: int, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    PillowImage.fromarray(np.full((5, 4, 3), grey, np.uint8)).save(buffer, format=kind)
    return buffer.getvalue()


def cell(grey: int, kind: str = "PNG") -> dict[str, Any]:
    return {"bytes": encoded(grey, kind), "path": f"{grey}.{kind.lower()}"}


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


def write(folder: Path, split: str, columns: dict[str, Any], types: dict[str, Any]) -> Path:
    from datasets import Dataset, Features

    path = folder / "data" / f"{split}-00000-of-00001.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    Dataset.from_dict(columns, features=Features(types)).to_parquet(str(path))
    return path


@pytest.fixture(name="copy")
def hub_copy(tmp_path: Path) -> Callable[..., Path]:
    """Write a copy with train rows 10, 20, 30 and test rows 40, 50; returns the root to be given as ``mirror``."""

    def make(names: tuple[str, ...] | None = NAMES, label: Any = None, repo: str = REPO, **more: Any) -> Path:
        from datasets import ClassLabel, Image, Value

        kind = label or (ClassLabel(names=list(names)) if names is not None else Value("int64"))
        types = {"img": Image(), "fine_label": kind, **{key: value for key, (value, _) in more.items()}}
        for split, greys, labels in (("train", (10, 20, 30), [2, 0, 1]), ("test", (40, 50), [1, 1])):
            if label is not None:
                labels = [(names or NAMES)[index] for index in labels]  # type: ignore[misc]
            columns = {"img": [cell(grey) for grey in greys], "fine_label": labels}
            columns |= {key: values[split] for key, (_, values) in more.items()}
            write(tmp_path / "root" / repo, split, columns, types)
        return tmp_path / "root"

    return make


def spec(hub: dict[str, Any] | None = None, **more: Any) -> RealSpec:
    fields: dict[str, Any] = {"splits": {"train": ("train",), "test": ("test",)}, "image": "img", "label": "fine_label"}
    known = HubSpec(repo=REPO, **(fields | (hub or {})))
    fields = {"name": "small", "title": "", "layout": "x", "folders": ("x",), "licence": "", "source": ""}
    return RealSpec(**(fields | {"class_names": NAMES, "hub": known} | more))
