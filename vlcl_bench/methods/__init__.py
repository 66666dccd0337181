"""All that a method imports: bases and settings, what it is given, losses, memories, blocks of encoders, errors.

Names are looked up on first use, so that listing methods does not wait for torch. ``docs/methods.md`` says what each
is.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vlcl_bench.backbones.base import Backbone
    from vlcl_bench.backbones.blocks import Block, Towers, states_after, towers
    from vlcl_bench.common.fileio import sha256_file
    from vlcl_bench.common.seeds import derive_seed
    from vlcl_bench.data.reference import Reference
    from vlcl_bench.errors import MachineError, MethodError, UsageError
    from vlcl_bench.methods.base import TEXTS_AT_ONCE, Config, FineTuneConfig, LossMethod, Method
    from vlcl_bench.methods.batches import shuffled, with_every_class
    from vlcl_bench.methods.context import Batch, Context
    from vlcl_bench.methods.losses import (
        WeightEnsemble,
        alignment,
        consolidation,
        distillation,
        distillation_both_ways,
        fisher_weights,
        interpolate_,
        l2_to_anchor,
        snapshot,
        symmetric,
    )
    from vlcl_bench.methods.memory import PictureMemory, RowMemory, herd
    from vlcl_bench.methods.seed_reports import caption_probe, seed_report
    from vlcl_bench.methods.synthetic import SyntheticConfig, SyntheticMethod
    from vlcl_bench.synthesis.loan import SyntheticSet
    from vlcl_bench.tasks import LabelSet, Query, Task

__all__ = [
    "TEXTS_AT_ONCE",
    "Backbone",
    "Batch",
    "Block",
    "Config",
    "Context",
    "FineTuneConfig",
    "LabelSet",
    "LossMethod",
    "MachineError",
    "Method",
    "MethodError",
    "PictureMemory",
    "Query",
    "Reference",
    "RowMemory",
    "SyntheticConfig",
    "SyntheticMethod",
    "SyntheticSet",
    "Task",
    "Towers",
    "UsageError",
    "WeightEnsemble",
    "alignment",
    "caption_probe",
    "consolidation",
    "derive_seed",
    "distillation",
    "distillation_both_ways",
    "fisher_weights",
    "herd",
    "interpolate_",
    "l2_to_anchor",
    "seed_report",
    "sha256_file",
    "shuffled",
    "snapshot",
    "states_after",
    "symmetric",
    "towers",
    "with_every_class",
]

_EXPORTS = {
    "vlcl_bench.methods.base": (
        "Config",
        "FineTuneConfig",
        "LossMethod",
        "Method",
        "TEXTS_AT_ONCE",
    ),
    "vlcl_bench.methods.context": (
        "Batch",
        "Context",
    ),
    "vlcl_bench.methods.batches": (
        "shuffled",
        "with_every_class",
    ),
    "vlcl_bench.methods.losses": (
        "WeightEnsemble",
        "alignment",
        "consolidation",
        "distillation",
        "distillation_both_ways",
        "fisher_weights",
        "interpolate_",
        "l2_to_anchor",
        "snapshot",
        "symmetric",
    ),
    "vlcl_bench.methods.memory": (
        "PictureMemory",
        "RowMemory",
        "herd",
    ),
    "vlcl_bench.methods.synthetic": (
        "SyntheticConfig",
        "SyntheticMethod",
    ),
    "vlcl_bench.methods.seed_reports": (
        "caption_probe",
        "seed_report",
    ),
    "vlcl_bench.backbones.base": ("Backbone",),
    "vlcl_bench.backbones.blocks": (
        "Block",
        "Towers",
        "states_after",
        "towers",
    ),
    "vlcl_bench.tasks": (
        "LabelSet",
        "Query",
        "Task",
    ),
    "vlcl_bench.errors": (
        "MachineError",
        "MethodError",
        "UsageError",
    ),
    "vlcl_bench.data.reference": ("Reference",),
    "vlcl_bench.synthesis.loan": ("SyntheticSet",),
    "vlcl_bench.common.seeds": ("derive_seed",),
    "vlcl_bench.common.fileio": ("sha256_file",),
}
_PLACES = {name: module for module, names in _EXPORTS.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
