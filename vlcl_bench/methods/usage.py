"""What a method uses while it learns a task, counted where it is handed out and never declared."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass
class Usage:
    """Numbers of samples: pictures of the task shown in training, of reference data, synthetic ones, replayed samples.

    ``generated_pictures`` were asked of a generator; ``made_pictures`` of them were made now and not found in the
    store, and ``blank_pictures`` were thrown away before them. ``own_steps`` are optimiser steps outside the common
    loop, for networks of the method's own say, and ``own_samples`` what was shown in them.
    """

    task_pictures: int = 0
    reference_pictures: int = 0
    synthetic_pictures: int = 0
    replayed_samples: int = 0
    generated_pictures: int = 0
    made_pictures: int = 0
    blank_pictures: int = 0
    own_steps: int = 0
    own_samples: int = 0

    def by_name(self) -> dict[str, int]:
        """The numbers by name, as the journal keeps them."""
        return asdict(self)


GENERATED = ("generated_pictures", "made_pictures", "blank_pictures")
"""What the harness counts itself where the method lives in another process: it is the harness that makes pictures."""
