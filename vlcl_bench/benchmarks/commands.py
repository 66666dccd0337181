"""How long commands take, from start to finish."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

COMMAND = [sys.executable, "-c", "from vlcl_bench.cli import main; main()"]


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


def _run(method: str, out: Path) -> list[str]:
    return ["run", "--protocol", "mini-mtil-1", "--method", method, "--device", "cpu", "--out", str(out), "--json"]
