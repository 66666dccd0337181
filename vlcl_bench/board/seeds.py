"""Which seeds a row may have: 0, 1 and 2, and those that follow, so that nobody shows the best three of thirty."""

from __future__ import annotations

from collections.abc import Collection


def picked_seeds(seeds: Collection[int], needed: int) -> str:
    """The seeds in words where they are not the first ones from 0 on; empty where they are.

    ``needed`` is how many ranking needs. While some are missing, those that are there must be among the first; where
    one is enough, since the seed changes nothing, any will do.
    """
    if needed < 2 or set(seeds) <= set(range(max(needed, len(seeds)))):
        return ""
    return ", ".join(str(seed) for seed in sorted(seeds))
