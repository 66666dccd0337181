"""What a method does beside the common loop: its own optimiser steps, counted; pictures not looked at, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

from vlcl_bench.methods.usage import Usage
from vlcl_bench.tasks import Task


@contextmanager
def counted_steps(usage: Usage, recipes: Sequence[Optimizer]) -> Iterator[None]:
    """Within it every step of an optimiser of torch is counted as ``own_steps`` unless it is one of ``recipes``."""

    def count(optimizer: Optimizer, *_: Any) -> None:
        if all(optimizer is not recipe for recipe in recipes):
            usage.own_steps += 1

    handle = register_optimizer_step_post_hook(count)
    try:
        yield
    finally:
        handle.remove()


def note_on(task: Task, rows: np.ndarray) -> dict[str, int | str]:
    """A line of the log where ``rows`` are not all pictures of a task: how many, and is every class among them."""
    if len(rows) >= len(task.labels):
        return {}
    note = f"looked at {len(rows):,} of {len(task.labels):,} pictures of {task.name}, as many as the budget allows"
    counts = {"pictures": len(rows), "of_pictures": len(task.labels)}
    if task.captions is None:
        seen, there = (len(np.unique(labels)) for labels in (task.labels[rows], task.labels))
        note += "; every class is among them" if seen == there else f"; only {seen} of {there} classes are"
        counts |= {"classes": seen, "of_classes": there}
    return {"note": note, **counts}
