"""Seeds derived from facts: the same facts give the same stream whatever ran before."""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, *facts: str | int) -> int:
    """A 63-bit seed from a run's seed and the facts that name a stream, e.g. ``("batches", 3, "train")``."""
    text = "\x1f".join([str(seed), *map(str, facts)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
