"""Pages of single methods beside the board, such as one that holds a paper's claims against what was measured.

A package offers one under the entry point group ``vlcl_bench.pages``: the entry point's name is the method's, and what
it points at is a :class:`MethodPage`. The board writes it where that method has runs, and knows no method by name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from vlcl_bench.board.entries import Entry
from vlcl_bench.errors import UsageError

GROUP = "vlcl_bench.pages"


@dataclass(frozen=True)
class MethodPage:
    """A page: the ``name`` of its file beside the board's, and its ``text`` (Markdown) from all entries scored here."""

    name: str
    text: Callable[[Sequence[Entry]], str]


def installed_pages(methods: Collection[str], points: Collection[EntryPoint] | None = None) -> list[MethodPage]:
    """The pages of these methods, by the methods' names; of installed packages, or of the entry points given.

    Nothing of another method is imported. Raises :class:`UsageError` for one that cannot be, or that is no page.
    """
    offered = entry_points(group=GROUP) if points is None else points
    return [_loaded(point) for point in sorted(offered, key=lambda point: point.name) if point.name in methods]


def _loaded(point: EntryPoint) -> MethodPage:
    try:
        page = point.load()
    except Exception as error:
        raise UsageError(f"the page {point.name!r} ({point.value}) cannot be imported: {error}") from error
    if not isinstance(page, MethodPage):
        raise UsageError(f"the page {point.name!r} ({point.value}) is a {type(page).__name__}, not a MethodPage")
    return page
