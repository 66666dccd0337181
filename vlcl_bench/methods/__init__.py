"""The interface of a method, and how methods are found.

The names are looked up on first use, so that listing methods does not wait for torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vlcl_bench.methods.base import LossMethod, Method
    from vlcl_bench.methods.context import Batch, Context
    from vlcl_bench.tasks import Query, Task

__all__ = ["Batch", "Context", "LossMethod", "Method", "Query", "Task"]

_PLACES = {
    "LossMethod": "vlcl_bench.methods.base",
    "Method": "vlcl_bench.methods.base",
    "Batch": "vlcl_bench.methods.context",
    "Context": "vlcl_bench.methods.context",
    "Query": "vlcl_bench.tasks",
    "Task": "vlcl_bench.tasks",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PLACES[name]), name)
