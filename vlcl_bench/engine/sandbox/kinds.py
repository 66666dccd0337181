"""Where a method can live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vlcl_bench.errors import UsageError, nearest

KINDS = ("inline", "process", "container")
"""In the harness's own process, in one of its own, or in one within bubblewrap."""


@dataclass(frozen=True)
class Living:
    """Where a method lives, and the fences around it there (:mod:`vlcl_bench.engine.sandbox.fences`)."""

    isolation: str
    fences: tuple[str, ...] = ()

    def facts(self) -> dict[str, Any]:
        """As the journal has it, for each stage."""
        return {"isolation": self.isolation} | ({"fences": list(self.fences)} if self.fences else {})


INLINE = Living("inline")


def check_isolation(kind: str) -> str:
    """The kind of isolation that is meant; raises :class:`UsageError` for another word."""
    if kind not in KINDS:
        raise UsageError(f"isolation (--isolation) {kind!r} is not one of {', '.join(KINDS)}", nearest(kind, KINDS))
    return kind
