"""What a method may spend on a task."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Budget(BaseModel):
    """What a method may spend on a task: presentations of its pictures are ``steps * batch_size``.

    ``warmup`` and ``ensemble_interval`` are in steps; ``reference_batch`` is the number of auxiliary pictures a
    step may use and ``auxiliary_size`` how many there are. ``learning_rates`` holds the exceptions by task.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(gt=0)
    batch_size: int = Field(gt=0)
    learning_rate: float = Field(gt=0)
    learning_rates: dict[str, float] = {}
    warmup: int = Field(ge=0)
    ensemble_interval: int = Field(gt=0)
    reference_batch: int = Field(gt=0)
    auxiliary_size: int = Field(ge=0)

    @property
    def presentations(self) -> int:
        """Pictures of the current task that a method may be shown while it learns the task."""
        return self.steps * self.batch_size

    @property
    def reference_presentations(self) -> int:
        """Reference pictures (under whatever transform) that a method may be shown while it learns a task."""
        return self.steps * self.reference_batch
