"""How fast pictures are evaluated, against the bare forward pass on the same batches."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vlcl_bench.common.fileio import write_atomic

if TYPE_CHECKING:
    import torch

    from vlcl_bench.backbones.base import Backbone
    from vlcl_bench.data.store import StoredDataSet
    from vlcl_bench.protocols.stream import Protocol

REPEATS = 5


@dataclass(frozen=True)
class Rate:
    """Pictures a second: by evaluation as a run does it, and by the bare forward pass on the same batches."""

    backbone: str
    pictures: int
    evaluating: float
    bare: float

    @property
    def share(self) -> float:
        """Evaluation's part of the bare pass's speed; 0.9 is wanted."""
        return self.evaluating / self.bare


def evaluation_rate(protocol_name: str, store: Path) -> Rate:
    """Measure evaluation against the bare image encoder, from a store that is built.

    Evaluation includes encoding all prompts once, reading the store, preprocessing, three label spaces a batch and
    the answers; see :func:`rate_of` for the bare pass.
    """
    import torch

    from vlcl_bench.backbones import load_backbone
    from vlcl_bench.common.progress import Reporter
    from vlcl_bench.data.interface import Places
    from vlcl_bench.data.store import Store
    from vlcl_bench.engine.pictures import open_store
    from vlcl_bench.protocols.load import load_protocol

    protocol = load_protocol(protocol_name)
    stored = open_store(protocol, Places.given(None, None), Store(store), Reporter())
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return rate_of(load_backbone(protocol.backbone), protocol, stored, device, REPEATS)


def large_evaluation_rate(folder: Path, pictures: int = 128, side: int = 224, device: str = "cpu") -> Rate:
    """The same for a ViT-B/16 with random weights at ``side`` pixels, on JPEGs made here, read as real data are.

    ``folder`` takes the pictures, their manifest and the store. The speed of weights does not depend on their values.
    """
    import torch

    from vlcl_bench.backbones.clip import create
    from vlcl_bench.common.progress import Reporter
    from vlcl_bench.data.interface import Places
    from vlcl_bench.data.store import Store
    from vlcl_bench.engine.pictures import describe_data, open_store
    from vlcl_bench.protocols.load import load_protocol

    path = folder / "made.toml"
    write_atomic(path, MADE.format(test=pictures, side=side))
    make_jpegs(folder / "made", pictures)
    before = os.environ.get("VLCL_DATA_HOME")
    os.environ["VLCL_DATA_HOME"] = str(folder / "home")
    try:
        protocol, places = load_protocol(str(path)), Places(folder)
        describe_data(protocol, places, Reporter())
        stored = open_store(protocol, places, Store(folder / "store"), Reporter())
        torch.manual_seed(0)
        backbone = create("ViT-B-16 with random weights", "ViT-B-16", None)
        return rate_of(backbone, protocol, stored, torch.device(device), 1)
    finally:
        if before is None:
            del os.environ["VLCL_DATA_HOME"]
        else:
            os.environ["VLCL_DATA_HOME"] = before


def rate_of(
    backbone: Backbone, protocol: Protocol, stored: list[StoredDataSet], device: torch.device, repeats: int
) -> Rate:
    """Evaluation as a run does it against the bare image encoder, in turns; the best of ``repeats`` of each.

    The bare pass is the forward pass and nothing else: its batches are full ones, each picture once, and lie on the
    device as the encoder takes them. That the evaluation asks some pictures again is part of its time.
    """
    import numpy as np
    import torch

    from vlcl_bench.engine.backbone import zero_shot_learner
    from vlcl_bench.engine.evaluate import evaluate

    learner = zero_shot_learner(backbone, protocol, device)
    backbone.to(device).eval()
    size = protocol.evaluation_batch
    raw = [np.array(data.test[start : start + size]) for data in stored for start in range(0, len(data.test), size)]
    with torch.inference_mode():
        batches = [backbone.preprocess(torch.from_numpy(pixels).to(device)) for pixels in raw]

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    def bare() -> None:
        with torch.inference_mode():
            for batch in batches:
                backbone.encode_image(batch)
        wait()

    def whole() -> None:
        learner.method.forget_cached_texts()
        evaluate(learner, protocol, stored, 0, lambda done, total, word: None)
        wait()

    with torch.inference_mode():  # kernels are chosen, memory is there
        backbone.encode_image(batches[0][:8])
    best = {bare: float("inf"), whole: float("inf")}
    for _ in range(repeats):
        for work in best:
            start = time.perf_counter()
            work()
            best[work] = min(best[work], time.perf_counter() - start)
    count = sum(len(data.test) for data in stored)
    return Rate(backbone.name, count, count / best[whole], count / best[bare])


MADE = """
name = "made-for-timing"
version = 1
title = "Pictures made for timing"
description = "Coloured noise in JPEG files; only for measuring speed."
source = "real"
scale = "full"
ranked = false
backbone = "vlcl-mini/v1"
picture_size = {side}
tasks = ["made"]
evaluation_batch = 64

[budget]
steps = 1
batch_size = 1
learning_rate = 1e-5
warmup = 0
ensemble_interval = 1
reference_batch = 1
auxiliary_size = 0

[augmentation]
scale = [0.9, 1.0]
ratio = [0.75, 1.3333333333333333]

[[data]]
name = "made"
title = "Coloured noise"
layout = "folder"
folders = ["made"]
class_names = ["even", "odd"]
templates = ["a photo of {{c}} numbers."]
train = 2
test = {test}
licence = "Apache-2.0"
source = "vlcl_bench.benchmarks.evaluation"
"""


def make_jpegs(folder: Path, count: int) -> None:
    """Two training pictures and ``count`` test pictures of coloured noise, the same every time."""
    import io

    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for split, number in [("train", 0), ("train", 1), *(("test", n) for n in range(count))]:
        coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        file = io.BytesIO()
        coarse.resize((400, 300), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
        name = ("even", "odd")[number % 2]
        write_atomic(folder / split / name / f"{number:04d}.jpg", file.getvalue())
