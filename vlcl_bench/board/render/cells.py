"""How what a row of the board holds is written for people."""

from __future__ import annotations

from vlcl_bench.board.rows import BoardRow, Statistic
from vlcl_bench.scoring.metrics import format_metric


def title(row: BoardRow) -> str:
    """What a row is called: its method's title, and its settings where they are not the defaults."""
    return f"{row.method_title} ({row.label})" if row.label else row.method_title


def ranks_shown(row: BoardRow) -> str:
    """The ranks that the data leave open, ``2–4``; the rank by Avg where no range is known, a dash for none."""
    if row.rank is None:
        return "–"
    low, high = row.rank_range or (row.rank, row.rank)
    return str(low) if low == high else f"{low}–{high}"


def status_shown(row: BoardRow) -> str:
    """How far the row is to be trusted, or why it is not ranked; whether its method has changed since, odd seeds."""
    status = f"unranked ({row.why_unranked})" if row.rank is None else row.status
    status = f"{status}, of an earlier source" if row.earlier_source else status
    return f"{status}, seeds {row.picked_seeds}" if row.picked_seeds else status


def unchanged_shown(row: BoardRow) -> str:
    """How many cells of R are the zero-shot model's: ``12 of 55``, a dash without predictions."""
    cells = row.unchanged_from_zero_shot
    return "–" if cells is None else f"{cells[0]} of {cells[1]}"


def between(interval: tuple[float, float] | None) -> str:
    """An interval with one decimal."""
    return "–" if interval is None else f"{format_metric(interval[0])} to {format_metric(interval[1])}"


def plus_minus(statistic: Statistic | None) -> str:
    """Mean ± sample standard deviation with one decimal."""
    if statistic is None:
        return format_metric(None)
    mean = format_metric(statistic.mean)
    return mean if statistic.deviation is None else f"{mean} ± {format_metric(statistic.deviation)}"


def signed(value: float | None) -> str:
    """A difference with its sign."""
    text = format_metric(value)
    return text if value is None or text.startswith("-") or text == "0.0" else f"+{text}"
