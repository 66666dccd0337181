"""A fixed piece of work whose time says how fast this machine is now, so that other times can be compared with it."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time

from vlcl_bench.errors import MachineError

ROUNDS = 5
SIDE, CHANNELS, BATCH, WIDTH = 24, 64, 32, 512
"""About the shapes that the mini CLIP computes with."""


def measure() -> float:
    """Median seconds of a round of convolutions and matrix products, forwards and backwards, in this process."""
    import torch

    generator = torch.Generator().manual_seed(0)
    images = torch.randn(BATCH, CHANNELS, SIDE, SIDE, generator=generator)
    kernel = torch.randn(CHANNELS, CHANNELS, 3, 3, generator=generator).requires_grad_()
    rows = torch.randn(BATCH * 36, WIDTH, generator=generator)
    matrix = torch.randn(WIDTH, WIDTH, generator=generator).requires_grad_()
    seconds = []
    for _ in range(ROUNDS + 1):
        start = time.perf_counter()
        for _ in range(8):
            loss = torch.nn.functional.conv2d(images, kernel, padding=1).square().mean()
            loss = loss + torch.nn.functional.gelu(rows @ matrix).square().mean()
            loss.backward()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])  # the first round warms up


def calibrate(at_once: int, threads: int) -> float:
    """Median of :func:`measure` in so many processes side by side, as the runs will be; raises where one fails."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    line = [sys.executable, "-c", "from vlcl_bench.regress.calibration import main; main()"]
    processes = [
        subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) for _ in range(at_once)
    ]
    seconds = []
    for process in processes:
        out, err = process.communicate()
        if process.returncode != 0:
            last = err.decode(errors="replace").strip().splitlines()[-1:] or [f"code {process.returncode}"]
            raise MachineError(f"the calibration failed: {last[0]}", "Is torch whole? `vlcl doctor` looks.")
        seconds.append(float(json.loads(out)))
    return statistics.median(seconds)


def main() -> None:
    """Print one measurement as JSON."""
    print(json.dumps(measure()))
