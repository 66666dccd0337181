"""Where a method can live."""

from __future__ import annotations

from vlcl_bench.errors import UsageError, nearest

KINDS = ("inline", "process", "container")
"""In the harness's own process, in one of its own, or in one within bubblewrap."""


def check_isolation(kind: str) -> str:
    """The kind of isolation that is meant; raises :class:`UsageError` for another word."""
    if kind not in KINDS:
        raise UsageError(f"isolation (--isolation) {kind!r} is not one of {', '.join(KINDS)}", nearest(kind, KINDS))
    return kind
