"""Reference data: pictures and texts beside the tasks, which a method declares that it uses.

A method with ``reference = ("pictures",)``, ``("texts",)`` or both gets them through its context, metered. Which
they are, the protocol's world says (:mod:`vlcl_bench.data.world`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vlcl_bench.common.progress import Reporter
from vlcl_bench.data.pictures import Pictures, some
from vlcl_bench.data.store import Store
from vlcl_bench.errors import UsageError

KINDS = ("pictures", "texts")


@dataclass(frozen=True, eq=False)
class Reference:
    """``pictures`` ``(n, s, s, 3)`` uint8 or decoded on demand, ``texts``, and what identifies them in a record."""

    pictures: np.ndarray | Pictures
    texts: tuple[str, ...]
    identity: dict[str, str]


@dataclass(frozen=True, eq=False)
class ReferencePlan:
    """Reference data as far as they are known without drawing or decoding a picture.

    ``identity`` names by kind what is given; ``texts`` are given as they are; of ``count`` pictures, which
    ``pictures`` opens, the ``rows`` are given (``None``: all of them).
    """

    identity: dict[str, str]
    texts: tuple[str, ...]
    count: int
    pictures: Callable[[Store, Reporter], np.ndarray | Pictures]
    rows: np.ndarray | None = None

    def open(self, store: Store, reporter: Reporter) -> Reference:
        """The reference data themselves; those that the store keeps are drawn where they are missing."""
        pictures = self.pictures(store, reporter)
        return Reference(pictures if self.rows is None else some(pictures, self.rows), self.texts, self.identity)


def plan_reference(
    lends: Callable[[Sequence[str]], ReferencePlan],
    kinds: Sequence[str],
    most_pictures: int,
    settings: Mapping[str, Any],
) -> ReferencePlan | None:
    """What is given to a method that declares ``kinds``; ``None`` for one that declares none.

    ``lends`` gives all that there is of some kinds, and a protocol allows ``most_pictures``.

    A method's settings ``reference_pictures`` and ``reference_texts`` (``None``: all) say how many are taken, drawn
    with seed 42. Raises :class:`UsageError` for a kind that does not exist, and where none would be left.
    """
    if not kinds:
        return None
    unknown = set(kinds) - set(KINDS)
    if unknown:
        raise UsageError(f"no reference data {sorted(unknown)}", f"A method can declare: {', '.join(KINDS)}.")
    for kind in kinds:
        asked = settings.get(f"reference_{kind}")
        if asked is not None and asked < 1:
            raise UsageError(
                f"reference_{kind} is {asked}; expected at least 1", f"Leave reference_{kind} out to take all of them."
            )
    if "pictures" in kinds and most_pictures < 1:
        raise UsageError(
            "the method needs reference pictures; the protocol has none (its auxiliary_size is 0)",
            "Choose a method without reference pictures, or set auxiliary_size in the protocol's file.",
        )
    found = lends(kinds)
    sizes = {"pictures": found.count, "texts": len(found.texts)}
    named, rows = dict(found.identity), {}
    for kind in kinds:
        most = settings.get(f"reference_{kind}")
        if kind == "pictures":
            most = min(most_pictures, sizes[kind] if most is None else most)
        if most is not None and most < sizes[kind]:
            rows[kind] = np.sort(np.random.default_rng(42).permutation(sizes[kind])[:most])
            named[kind] += f", {most} of {sizes[kind]}"
    texts = tuple(found.texts[row] for row in rows["texts"]) if "texts" in rows else found.texts
    return replace(found, identity=named, texts=texts, rows=rows.get("pictures"))
