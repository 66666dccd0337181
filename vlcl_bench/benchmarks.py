"""Benchmarks of the harness itself: ``make benchmarks`` or ``python -m vlcl_bench.benchmarks``.

Each figure is measured in a process of its own, as a user would meet it, and printed beside its target. Nothing
here is a test: speed depends on the machine, and a slow machine is not a fault.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from vlcl_bench.engine.provenance import processor_name
from vlcl_bench.fileio import pretty_json, write_atomic

COMMAND = [sys.executable, "-c", "from vlcl_bench.cli import main; main()"]


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
    """Measure evaluation against the bare image encoder, in turns, from a store that is built; best of each.

    Evaluation includes encoding all prompts once, reading the store, three label spaces a batch and the answers.
    """
    import numpy as np
    import torch

    from vlcl_bench.backbones import load_backbone
    from vlcl_bench.data.sources import Places
    from vlcl_bench.data.store import Store
    from vlcl_bench.engine.data import open_store
    from vlcl_bench.engine.evaluate import evaluate
    from vlcl_bench.engine.player import InlinePlayer, backbone_sizes
    from vlcl_bench.engine.reporter import Reporter
    from vlcl_bench.methods.registry import load_method
    from vlcl_bench.protocols import load_protocol

    protocol = load_protocol(protocol_name)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    backbone = load_backbone(protocol.backbone)
    stored = open_store(protocol, Places.given(None, None), Store(store), Reporter())
    untouched = load_method("zero_shot").cls
    player = InlinePlayer(untouched(backbone, untouched.Config()), protocol, 0, device, backbone_sizes(backbone))
    silent = lambda done, total, word: None  # noqa: E731

    def bare() -> None:
        with torch.inference_mode():
            for data in stored:
                for start in range(0, len(data.test), protocol.evaluation_batch):
                    pixels = np.array(data.test[start : start + protocol.evaluation_batch])
                    features = backbone.encode_image(backbone.preprocess(torch.from_numpy(pixels).to(device)))
                features.cpu()

    def whole() -> None:
        player.method.forget_cached_texts()
        evaluate(player, protocol, stored, 0, silent)

    whole()  # the mode is set, kernels are chosen
    best = {bare: float("inf"), whole: float("inf")}
    for _ in range(REPEATS):
        for work in best:
            start = time.perf_counter()
            work()
            best[work] = min(best[work], time.perf_counter() - start)
    count = sum(len(data.test) for data in stored)
    return Rate(backbone.name, count, count / best[whole], count / best[bare])


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
    table = Table("what", "seconds", "target", title=f"{processor_name()}, {os.cpu_count()} cores")
    for figure in figures:
        table.add_row(figure.name, f"{figure.seconds:.2f}", f"{figure.target:.0f}")
    Console().print(table)
    Console().print(
        f"evaluation: {rate.evaluating:.0f} pictures a second, {rate.share:.2f} of the bare forward pass of "
        f"{rate.backbone} ({rate.bare:.0f}); wanted: at least 0.90",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    facts: dict[str, object] = {
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "figures": [asdict(f) for f in figures],
    }
    facts["evaluation"] = asdict(rate) | {"share": rate.share}
    write_atomic(out, pretty_json(facts))


if __name__ == "__main__":
    main()
