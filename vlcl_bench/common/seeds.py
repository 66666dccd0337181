"""Seeds derived from facts: the same facts give the same stream whatever ran before."""

from __future__ import annotations

import hashlib

from vlcl_bench.errors import UsageError

LARGEST = 2**60
"""Of seeds, as records hold them; negative ones as large are seeds, too."""


def check_seed(seed: int) -> int:
    """A run's seed; raises :class:`UsageError` for one that no record can hold."""
    if not -LARGEST <= seed <= LARGEST:
        digits = str(seed) if abs(seed) < 10**40 else "of more than 40 digits"
        raise UsageError(f"seed (--seed) {digits} is too large", "Seeds are whole numbers from -2**60 to 2**60.")
    return seed


def derive_seed(seed: int, *facts: str | int) -> int:
    """A 63-bit seed from a run's seed and the facts that name a stream, e.g. ``("batches", 3, "train")``."""
    text = "\x1f".join([str(seed), *map(str, facts)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
