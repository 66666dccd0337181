"""On which terms a method learns a task: the protocol's rules, and what it is given beside the task's pictures."""

from __future__ import annotations

from dataclasses import dataclass

from vlcl_bench.data.reference import Reference
from vlcl_bench.data.transforms import Augmentation
from vlcl_bench.protocols.budget import Budget
from vlcl_bench.synthesis.loan import Maker
from vlcl_bench.tasks import LabelSet


@dataclass(frozen=True)
class Rules:
    """What a protocol says to a method about a task, which is all of a protocol that a method may know.

    ``budget`` gives steps, batch sizes and learning rates, ``augmentation`` the random crops of training pictures, and
    ``earlier`` the names of each data set of the tasks before, in the order in which they came.
    """

    budget: Budget
    augmentation: Augmentation
    earlier: tuple[LabelSet, ...] = ()


@dataclass(frozen=True, eq=False)
class Loans:
    """What a method is given because it declares it: ``reference`` data; ``synthesis``, who makes pictures for it."""

    reference: Reference | None = None
    synthesis: Maker | None = None

    @property
    def generator_bytes(self) -> int:
        """Bytes of the generator's weights, which count among what the method keeps; 0 without one."""
        return 0 if self.synthesis is None else self.synthesis.bytes
