"""The board for spreadsheets: ``leaderboard.csv``."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from vlcl_bench.board.render.facts import DECIMALS, identity, number, rounded
from vlcl_bench.board.rows import BoardRow
from vlcl_bench.common.plain import spreadsheet_cell
from vlcl_bench.scoring.columns import CERTAIN, HEADLINES, UNCHANGED, columns

METRICS = columns("headline", "score", place="files")
COSTS = columns("cost", "samples", place="files")


def render_csv(rows: Sequence[BoardRow]) -> str:
    """One line per row of the board; empty where a number is not defined."""
    out = io.StringIO()
    writer = csv.DictWriter(out, _names(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(_line(row) for row in rows)
    return out.getvalue()


def _names() -> list[str]:
    names = ["protocol", "track", "rank", "rank_low", "rank_high", "unranked", "method", "method_title", "label"]
    names += ["entry_id", "backbone", "status", "earlier_source", "deterministic", "seeds"]
    for prefix in ("", "agnostic_"):
        names += [f"{prefix}{column.id}{end}" for column in METRICS for end in ("", "_sd")]
    names += [f"{column.id}_{end}" for column in CERTAIN for end in ("low", "high")]
    names += [f"delta_{column.id}" for column in HEADLINES]
    return [*names, *(column.id for column in COSTS), UNCHANGED.id, "sources"]


def _line(row: BoardRow) -> dict[str, Any]:
    line = {key: spreadsheet_cell(value) if isinstance(value, str) else value for key, value in identity(row).items()}
    line |= {key: "yes" if line[key] else "no" for key in ("earlier_source", "deterministic")}
    for prefix, part in (("", row.metrics), ("agnostic_", row.agnostic)):
        for column in METRICS:
            over_seeds = part[column.id]
            line[f"{prefix}{column.id}"] = None if over_seeds is None else _fixed(over_seeds.mean)
            line[f"{prefix}{column.id}_sd"] = None if over_seeds is None else _fixed(over_seeds.deviation)
    for column in CERTAIN:
        low, high = row.intervals.get(column.id, (None, None))
        line |= {f"{column.id}_low": _fixed(low), f"{column.id}_high": _fixed(high)}
    line |= {f"delta_{column.id}": _fixed(row.delta[column.id]) for column in HEADLINES}
    line |= {column.id: number(row.cost[column.id]) for column in COSTS}
    line[UNCHANGED.id] = number(UNCHANGED.of(row))
    return line | {"sources": spreadsheet_cell(" ".join(run.source for run in row.runs))}


def _fixed(value: float | None) -> str | None:
    return None if value is None else f"{rounded(value):.{DECIMALS}f}"
