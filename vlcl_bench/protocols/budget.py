"""What a method may spend on a task."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from vlcl_bench.common.faults import Count, Number, Positive

Rate = Annotated[Number, Field(gt=0, le=100)]
"""A learning rate. None beyond 100 is meant, and far beyond it an optimiser overflows."""


class Budget(BaseModel):
    """What a method may spend on a task: presentations of its pictures are ``steps * batch_size``.

    ``warmup`` and ``ensemble_interval`` are in steps; ``reference_batch`` is the number of auxiliary pictures a
    step may use and ``auxiliary_size`` how many there are. ``learning_rates`` holds the exceptions by task.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: Positive
    batch_size: Positive
    learning_rate: Rate
    learning_rates: dict[str, Rate] = {}
    warmup: Count
    ensemble_interval: Positive
    reference_batch: Positive
    auxiliary_size: Count

    @property
    def presentations(self) -> int:
        """Pictures of the current task that a method may be shown while it learns the task."""
        return self.steps * self.batch_size

    @property
    def reference_presentations(self) -> int:
        """Reference pictures (under whatever transform) that a method may be shown while it learns a task."""
        return self.steps * self.reference_batch
