"""On what a run ran and what it took: versions, hardware, seconds, memory. No host, user or path."""

from __future__ import annotations

import os
import platform
import re
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import torch

from vlcl_bench import __version__
from vlcl_bench.engine.journal import Journal
from vlcl_bench.errors import MachineError, UsageError
from vlcl_bench.records.schema import Provenance


def choose_device(name: str) -> torch.device:
    """``auto`` takes CUDA where there is one; raises :class:`MachineError` for a device that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise UsageError(f"unknown device {name!r}", "Use auto, cpu, cuda or cuda:1.")
    device = torch.device(name)
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.type == "cuda" and (device.index or 0) >= there:
        raise MachineError(
            f"no device {name!r}: there are {there} CUDA devices here",
            "Leave device out, or make it cpu (--device cpu).",
        )
    return device


def settle_determinism() -> None:
    """Have kernels give the same bytes twice where they can.

    Filling fresh memory finds bugs in kernels; it costs 5 % of a step and changes no result, so it is left out.
    """
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def settle_precision(device: torch.device) -> None:
    """Full float32 in matrix products and convolutions: by default a GPU may round their inputs to ten bits (TF32)."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    if device.type == "cuda":
        # What torch asks for before it calls cuBLAS deterministic; it is read when the library is first used.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def provenance(device: torch.device) -> Provenance:
    """What this process runs on."""
    return Provenance(
        vlcl_bench=__version__,
        python=platform.python_version(),
        torch=torch.__version__,
        open_clip=version("open_clip_torch"),
        numpy=version("numpy"),
        pillow=version("pillow"),
        torchvision=version("torchvision"),
        diffusers=version("diffusers"),
        transformers=version("transformers"),
        float32="tf32" if torch.backends.cudnn.allow_tf32 or torch.backends.cuda.matmul.allow_tf32 else "full",
        platform=f"{platform.system()} {platform.machine()}",
        processor=processor_name(),
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
        threads=torch.get_num_threads(),
        device=device.type,
        device_name=torch.cuda.get_device_name(device) if device.type == "cuda" else "",
        deterministic_algorithms=torch.are_deterministic_algorithms_enabled(),
    )


def precision_of(parameters: Iterable[torch.Tensor]) -> str:
    """The type in which a model computes, ``float32`` for instance."""
    return str(next(iter(parameters)).dtype).removeprefix("torch.")


def in_words(device: torch.device, precision: str) -> str:
    """On what and in which precision a run computes."""
    if device.type == "cpu":
        return f"running on cpu ({processor_name()}, {torch.get_num_threads()} threads) in {precision}"
    rounded = torch.backends.cudnn.allow_tf32 or torch.backends.cuda.matmul.allow_tf32
    name, tf32 = torch.cuda.get_device_name(device), "on" if rounded else "off"
    return f"running on {device} ({name}) in {precision}, TF32 {tf32}"


def processor_name() -> str:
    """The processor's model, where the system says it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def peak_memory() -> tuple[int, int | None]:
    """Peak resident bytes of this process, and of the CUDA allocator where there is one."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    resident = peak if sys.platform == "darwin" else peak * 1024
    return resident, torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None


class Clock:
    """Seconds of this process, and of the processes before it that worked on the same run.

    ``started`` is when this process's command was given (``time.monotonic``); now, if it is ``None``.
    """

    def __init__(self, started: float | None = None) -> None:
        self._start = time.monotonic() if started is None else started

    @contextmanager
    def measure(self) -> Iterator[Callable[[], float]]:
        """Time a block; the yielded function returns its seconds, also after the block has ended."""
        start, end = time.monotonic(), [0.0]
        yield lambda: (end[0] or time.monotonic()) - start
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        end[0] = time.monotonic()

    def elapsed(self) -> float:
        """Seconds since this process began to work on the run: since its command was given."""
        return time.monotonic() - self._start

    def total(self, journal: Journal) -> float:
        """Seconds of all processes: for those that were killed, up to the last stage that they committed."""
        total, last = 0.0, 0.0
        for event in journal.events:
            if event["event"] == "resumed":
                total, last = total + last, 0.0
            last = event.get("elapsed", last)
        return total + self.elapsed()
