"""Benchmarks of the harness itself: ``make benchmarks`` or ``python -m vlcl_bench.benchmarks.suite``.

Each figure is measured in a process of its own, as a user would meet it, and printed beside its target. Nothing
here is a test: speed depends on the machine, and a slow machine is not a fault.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from vlcl_bench.common.fileio import pretty_json, write_atomic
from vlcl_bench.engine.provenance import processor_name

if TYPE_CHECKING:
    import torch

    from vlcl_bench.backbones.base import Backbone
    from vlcl_bench.data.store import StoredDataSet
    from vlcl_bench.protocols.stream import Protocol

COMMAND = [sys.executable, "-c", "from vlcl_bench.cli import main; main()"]


REPEATS = 5
STEP_METHODS = ("finetune", "zscl", "lwf", "lwf_vr", "icarl", "l2", "wise_ft", "moe_adapter")


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


@dataclass(frozen=True)
class Figure:
    """One measurement in seconds, and what it should stay below on two ordinary cores."""

    name: str
    seconds: float
    target: float


def timed(arguments: list[str], store: Path, repeats: int = 1) -> tuple[float, str]:
    """Best wall-clock seconds of a ``vlcl`` command and its standard output; raises when the command fails."""
    best, output = float("inf"), ""
    for _ in range(repeats):
        start = time.perf_counter()
        done = subprocess.run(
            [*COMMAND, *arguments], check=True, capture_output=True, text=True,
            env={**os.environ, "VLCL_STORE": str(store)},
        )  # fmt: skip
        best, output = min(best, time.perf_counter() - start), done.stdout
    return best, output


def measure(folder: Path) -> list[Figure]:
    """Help, building the store, fine-tuning and zero-shot on mini-mtil-1 with the store built."""
    store = folder / "store"
    figures = [Figure("vlcl --help", timed(["--help"], store, 3)[0], 1.0)]
    first, output = timed(_run("zero_shot", folder / "first"), store)
    again, _ = timed(_run("zero_shot", folder / "again"), store)
    figures.append(Figure("building the store (zero-shot run with it, less one without)", first - again, 60.0))
    figures.append(Figure("zero_shot on mini-mtil-1, start to finish", again, 90.0))
    finetune, output = timed(_run("finetune", folder / "finetune"), store)
    cost = json.loads(output)["cost"]
    figures.append(Figure("finetune on mini-mtil-1, start to finish", finetune, 90.0))
    figures.append(Figure("  of which learning", sum(cost["seconds_learn"]), 90.0))
    figures.append(Figure("  of which evaluating", sum(cost["seconds_evaluate"]), 90.0))
    return figures


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
    _make_jpegs(folder / "made", pictures)
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

    The bare pass is the forward pass and nothing else: its batches are those of the evaluation, and lie on the device
    as the encoder takes them.
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
source = "vlcl_bench.benchmarks.suite"
"""


def _make_jpegs(folder: Path, count: int) -> None:
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


def step_times(names: Sequence[str], protocol_name: str, store: Path, device: str = "cpu") -> dict[str, float]:
    """Median seconds of a training step of each method on the first task, measured in turns in one process.

    What a method does once (a teacher's features) is in its first task, which is learned before the clock runs.
    """
    import torch

    from vlcl_bench.common.progress import Reporter
    from vlcl_bench.data.store import Store
    from vlcl_bench.engine.footprint import backbone_sizes
    from vlcl_bench.engine.learner import InProcessLearner
    from vlcl_bench.engine.pictures import open_store
    from vlcl_bench.engine.prepare import Request, prepare
    from vlcl_bench.methods.card import make_settings
    from vlcl_bench.methods.terms import Loans
    from vlcl_bench.tasks import Task

    learners, seconds = {}, {name: [] for name in names}  # type: ignore[var-annotated]
    for name in names:
        prepared = prepare(Request(protocol_name, name, store=store), Reporter())
        protocol = prepared.protocol
        cls = prepared.method.load()
        method = cls(prepared.backbone, make_settings(cls, prepared.card.settings, prepared.protocol.scale))
        reference = prepared.reference.open(Store(store), Reporter()) if prepared.reference else None
        sizes = backbone_sizes(prepared.backbone)
        learners[name] = InProcessLearner(method, protocol, 0, torch.device(device), sizes, Loans(reference))
    stored = open_store(protocol, prepared.places, Store(store), Reporter())[0]
    dataset, labels = protocol.datasets[0], protocol.manifests[0].labels("train")
    for turn in range(4):
        task = Task(turn + 1, dataset.name, dataset.class_names, dataset.templates, stored.train, labels, dataset.name)
        for name, learner in learners.items():
            times = [time.perf_counter()]
            learner.learn(task, lambda done, total, word, times=times: times.append(time.perf_counter()))  # type: ignore[misc]
            if turn:
                seconds[name] += [after - before for before, after in pairwise(times[1:])]
    return {name: statistics.median(found) for name, found in seconds.items()}


def _run(method: str, out: Path) -> list[str]:
    return ["run", "--protocol", "mini-mtil-1", "--method", method, "--device", "cpu", "--out", str(out), "--json"]


def main() -> None:
    """Measure, print a table, and write it as JSON where ``--out`` says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks.json"), help="JSON file to write")
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder))
        rate = evaluation_rate("mini-mtil-1", Path(folder) / "store")
        large = large_evaluation_rate(Path(folder) / "large")
        steps = step_times(STEP_METHODS, "mini-mtil-1", Path(folder) / "store")
    table = Table("what", "seconds", "target", title=f"{processor_name()}, {os.cpu_count()} cores")
    for figure in figures:
        table.add_row(figure.name, f"{figure.seconds:.2f}", f"{figure.target:.0f}")
    Console().print(table)
    for each in (rate, large):
        Console().print(
            f"evaluation: {each.evaluating:.0f} pictures a second, {each.share:.2f} of the bare forward pass of "
            f"{each.backbone} ({each.bare:.0f}); wanted: at least 0.90",
            highlight=False, soft_wrap=True,
        )  # fmt: skip
    plain = steps["finetune"]
    wanted = {"zscl": "; wanted: at most 2.20"}
    told = ", ".join(
        f"{name} {1000 * each:.0f} ms ({each / plain:.2f}{wanted.get(name, '')})" for name, each in steps.items()
    )
    Console().print(f"a training step, and its ratio to finetune's: {told}", highlight=False, soft_wrap=True)
    facts: dict[str, object] = {
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "figures": [asdict(f) for f in figures],
    }
    facts["step_seconds"] = steps
    facts["evaluation"] = asdict(rate) | {"share": rate.share}
    facts["large_evaluation"] = asdict(large) | {"share": large.share}
    write_atomic(out, pretty_json(facts))


if __name__ == "__main__":
    main()
