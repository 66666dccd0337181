"""The list of all contracts, in the order in which `vlcl submit check` examines them."""

from __future__ import annotations

from vlcl_bench.submissions.contracts import attempts, interface, invariance, lifecycle, task_kinds
from vlcl_bench.submissions.contracts.contract import Contract

CHECKS: tuple[Contract, ...] = (
    interface.importing,
    interface.defaults,
    interface.settings,
    interface.learning,
    interface.track,
    lifecycle.beside_state,
    invariance.repeat,
    invariance.batches,
    invariance.order,
    invariance.lookup,
    invariance.scoring,
    lifecycle.seed,
    lifecycle.resume,
    lifecycle.state,
    lifecycle.deterministic,
    task_kinds.groups,
    task_kinds.captions,
    attempts.peeking,
)
