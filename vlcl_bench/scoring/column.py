"""What a column is: one number that is shown of a run, with all that tables must know of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Protocol

from vlcl_bench.scoring.metrics import format_metric
from vlcl_bench.scoring.views import View

Group = Literal["headline", "score", "zero-shot", "cost", "samples", "captions", "classes", "published", "row"]
"""``headline`` are the metrics that papers print, ``score`` the board's further ones. ``zero-shot`` describes the
backbone, ``captions`` and ``classes`` only streams of that kind; ``published`` are numbers that only papers have and
``row`` what only several runs together tell."""
Place = Literal["files", "markdown", "page", "entry", "readme", "show", "progress"]
"""Where a column stands: the CSV and JSON files; the tables of the Markdown page; those of the HTML page; an entry
opened there; the README; ``vlcl show``; and a sweep while it goes."""
BOARD: frozenset[Place] = frozenset({"files", "markdown", "page", "entry"})
SCORED: frozenset[Place] = BOARD | {"show"}
PERCENT, SECONDS, BYTES, COUNT = "%", "s", "B", ""


class Run(Protocol):
    """What a column may look at: a record, whose ``scores`` may have been computed anew."""

    @property
    def scores(self) -> Any:
        """As :class:`vlcl_bench.records.schema.Scores`."""


class Scored(NamedTuple):
    """Scores alone, for columns that need nothing else."""

    scores: Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """One number: what it is called, what it means and where it comes from.

    ``label`` heads it, ``short`` where there is little room, and ``phrase`` explains it in a few words behind the label
    in a terminal. ``of`` takes a record (of a ``row`` column a row of the board) and returns the value in ``unit``, or
    ``None`` where there is none. Texts show the value over ``scale`` with so many ``decimals``. ``better`` says which
    values are, ``linear`` that it is a linear function of R, so that a difference of entries is one of their scores.
    """

    id: str
    label: str
    meaning: str
    group: Group
    of: Callable[[Any], float | None]
    unit: str = PERCENT
    decimals: int = 1
    better: Literal["more", "less", ""] = "more"
    short: str = ""
    phrase: str = ""
    scale: float = 1.0
    linear: bool = False
    places: frozenset[Place] = SCORED

    def text(self, value: float | None) -> str:
        """A value as tables show it; a dash for ``None``."""
        if value is None or self.unit == PERCENT:
            return format_metric(value)
        separator = "," if self.decimals == 0 and self.scale == 1 else ""
        return f"{value / self.scale:{separator}.{self.decimals}f}"

    @property
    def narrow(self) -> str:
        """Its heading where there is little room."""
        return self.short or self.label

    @property
    def explained(self) -> str:
        """Label and phrase."""
        return f"{self.label}: {self.phrase}" if self.phrase else self.label


def within(view: View, column: Column) -> Column:
    """A metric's column of another matrix than the primary one, such as ``bleu4.avg``."""

    def of(run: Run) -> float | None:
        part = view.part(run.scores)
        return None if part is None else column.of(Scored(part))

    return replace(column, id=f"{view.key}.{column.id}", label=f"{view.label} {column.label}", of=of)
