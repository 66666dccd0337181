"""How long and how large a method's process may become, and what it may read beside its own folder."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from pydantic import ByteSize, TypeAdapter, ValidationError

from vlcl_bench.data.world import world_of
from vlcl_bench.errors import UsageError


@dataclass(frozen=True)
class Limits:
    """``seconds`` for each call to the method (``None``: by the protocol's scale; infinite: none), ``memory`` in
    bytes that its process and what it starts may have resident (``None``: none), and further folders and files that it
    may ``read``: weights, for instance.
    """

    seconds: float | None = None
    memory: int | None = None
    read: tuple[Path, ...] = ()

    def seconds_at(self, scale: str) -> float:
        """The time limit of one call on protocols of this scale."""
        return world_of(scale).call_seconds if self.seconds is None else self.seconds


def parse_seconds(text: str | None) -> float | None:
    """``--time-limit``: a number of seconds above 0, or ``none``; raises :class:`UsageError`."""
    if text is None:
        return None
    if text.strip().lower() == "none":
        return math.inf
    try:
        seconds = math.nan if "_" in text else float(text)  # Python reads 1_0 as 10; nobody means that
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise UsageError(
            f"--time-limit {text!r} is not a number of seconds", "For instance --time-limit 600, or --time-limit none."
        )
    return seconds


def parse_bytes(text: str | None) -> int | None:
    """``--memory-limit``: ``8GiB``, ``500MB``, a number of bytes, or ``none``; raises :class:`UsageError`."""
    if text is None or text.strip().lower() == "none":
        return None
    try:
        size = TypeAdapter(ByteSize).validate_python(text)
    except ValidationError:
        size = ByteSize(0)
    if size <= 0 or "_" in text:
        raise UsageError(
            f"--memory-limit {text!r} is not an amount of memory", "For instance --memory-limit 8GiB, 500MB or none."
        )
    return int(size)


def shown(size: float) -> str:
    """Bytes for people."""
    return f"{size / (1 << 30):.2f} GiB" if size >= 1 << 30 else f"{size / (1 << 20):.0f} MiB"
