"""vlcl-bench: the benchmark and leaderboard for continual learning of vision-language models.

What ``vlcl`` does on the command line, a notebook does with the names below::

    import vlcl_bench

    run = vlcl_bench.run(protocol="mini-mtil-1", method="finetune", seed=0)
    run.R, run.metrics["avg"], run.folder

They are looked up when they are first used: importing the package, reading protocols and records, scoring and
building a board need no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vlcl_bench.cli.notebook import compare, leaderboard, read_record, run, score
    from vlcl_bench.methods import Context, LossMethod, Method, Query, Task
    from vlcl_bench.protocols.load import load_protocol

__version__ = "0.1.0"
__all__ = [
    "Context",
    "LossMethod",
    "Method",
    "Query",
    "Task",
    "compare",
    "leaderboard",
    "load_protocol",
    "read_record",
    "run",
    "score",
]
_PLACES = {
    **dict.fromkeys(("compare", "leaderboard", "read_record", "run", "score"), "vlcl_bench.cli.notebook"),
    **dict.fromkeys(("Context", "LossMethod", "Method", "Query", "Task"), "vlcl_bench.methods"),
    "load_protocol": "vlcl_bench.protocols.load",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
