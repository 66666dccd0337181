"""The schedule of learning rates."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


def warm_up_then_cosine(step: int, steps: int, warmup: int) -> float:
    """Factor on a learning rate: ``(step + 1) / warmup`` before ``warmup``, then half a cosine to zero at ``steps``."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))
