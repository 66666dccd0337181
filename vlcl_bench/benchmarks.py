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


def main() -> None:
    """Measure, print a table, and write it as JSON where ``--out`` says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks.json"), help="JSON file to write")
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder))
    table = Table("what", "seconds", "target", title=f"{processor_name()}, {os.cpu_count()} cores")
    for figure in figures:
        table.add_row(figure.name, f"{figure.seconds:.2f}", f"{figure.target:.0f}")
    Console().print(table)
    facts = {"processor": processor_name(), "cores": os.cpu_count(), "figures": [asdict(f) for f in figures]}
    write_atomic(out, pretty_json(facts))


if __name__ == "__main__":
    main()
