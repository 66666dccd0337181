"""``python -m vlcl_bench.benchmarks``."""

from __future__ import annotations

import argparse
import os
import tempfile
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from vlcl_bench.benchmarks.commands import measure
from vlcl_bench.benchmarks.evaluation import evaluation_rate, large_evaluation_rate
from vlcl_bench.benchmarks.steps import STEP_METHODS, step_times
from vlcl_bench.common.fileio import pretty_json, write_atomic
from vlcl_bench.engine.provenance import processor_name


def main() -> None:
    """Measure, print a table, and write it as JSON where ``--out`` says."""
    parser = argparse.ArgumentParser(description="Measure the harness itself.")
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
    listed = ", ".join(
        f"{name} {1000 * each:.0f} ms ({each / plain:.2f}{wanted.get(name, '')})" for name, each in steps.items()
    )
    Console().print(f"a training step, and its ratio to finetune's: {listed}", highlight=False, soft_wrap=True)
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
