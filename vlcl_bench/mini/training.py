"""What the project's own trainings share: pictures drawn once, the schedule, the state to go on from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from vlcl_bench.common.fileio import write_atomic

if TYPE_CHECKING:
    from rich.progress import Progress

    from vlcl_bench.mini.pictures import Picture


class Stateful(Protocol):
    """A module or an optimiser."""

    def state_dict(self) -> Any:
        """All that it is made of."""

    def load_state_dict(self, state_dict: Any) -> Any:
        """Become what was saved."""


def drawn(
    pictures: Sequence[Picture],
    draw: Callable[[Picture], np.ndarray],
    side: int,
    cache: Path,
    progress: Progress,
    what: str,
    workers: int = 2,
) -> np.ndarray:
    """Pictures ``(n, side, side, 3)`` uint8, drawn in several processes, or mapped from ``cache`` if they are there."""
    import multiprocessing

    bar = progress.add_task(what, total=len(pictures))
    if cache.exists():
        progress.update(bar, completed=len(pictures))
        return np.load(cache, mmap_mode="r")
    found = np.empty((len(pictures), side, side, 3), np.uint8)
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for i, image in enumerate(pool.imap(draw, pictures, chunksize=64)):
            found[i] = image
            progress.update(bar, completed=i + 1)
    write_atomic(cache, lambda file: np.save(file, found))
    return found


def save_state(work: Path, step: int, seconds: float, parts: dict[str, Stateful]) -> None:
    """Keep what a stopped training continues from."""
    import torch

    state = {"step": step, "seconds": seconds} | {name: part.state_dict() for name, part in parts.items()}
    write_atomic(work / "state.pt", lambda file: torch.save(state, file))


def restore(work: Path, parts: dict[str, Stateful]) -> tuple[int, float]:
    """Continue from ``work/state.pt`` where there is one: the next step and the seconds spent."""
    import torch

    path = work / "state.pt"
    if not path.exists():
        return 0, 0.0
    state = torch.load(path, map_location="cpu", weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return state["step"], state["seconds"]
