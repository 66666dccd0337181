"""Data sets that are texts alone: Conceptual Captions, from a folder or from the hub."""

from __future__ import annotations

from vlcl_bench.data.interface import Places
from vlcl_bench.data.real.spec import RealSpec


def find_texts(spec: RealSpec, places: Places) -> tuple[tuple[str, ...], str]:
    """All texts in the copy's order, and where they come from, in words without a path of this machine.

    A data root is looked into alone; without one, the local hub copies or the hub. Raises
    :class:`~vlcl_bench.errors.UsageError` where there is no copy and :class:`~vlcl_bench.errors.IntegrityError` where
    it does not hold what the protocol expects.
    """
    from vlcl_bench.data.real.captions import read_texts
    from vlcl_bench.data.real.hub import read_hub
    from vlcl_bench.data.real.layouts import locate

    if places.root is not None:
        return tuple(read_texts(locate(spec, places.root), spec)), "folder"
    found = read_hub(spec, places.hub_root, None)
    return found.texts, found.origin
