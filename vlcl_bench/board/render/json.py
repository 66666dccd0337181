"""The board for programs: ``leaderboard.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vlcl_bench.board.agreement import Agreement
from vlcl_bench.board.published import PublishedRow, derived_values
from vlcl_bench.board.render.facts import identity, number, rounded
from vlcl_bench.board.reported import ORDERS
from vlcl_bench.board.rows import BoardRow, Statistic
from vlcl_bench.common.fileio import pretty_json
from vlcl_bench.scoring.columns import RANKING, UNCHANGED, columns

METRICS = columns("headline", "score", place="files")
COSTS = columns("cost", "samples", place="files")


def render_json(
    rows: Sequence[BoardRow], published: Sequence[PublishedRow], agreement: Sequence[Agreement] = ()
) -> str:
    """Rows with their runs, and the published numbers and the agreement with them under keys of their own."""
    value = {
        "schema": 1,
        "entries": [_entry(row) for row in rows],
        "published": [row.to_dict() for row in published],
        "derived_from_published_matrices": {stream: derived_values(stream) for stream in ORDERS},
        "agreement_with_published": [one.to_dict() for one in agreement],
    }
    return pretty_json(value)


def _entry(row: BoardRow) -> dict[str, Any]:
    agnostic, unchanged = _statistics(row.agnostic), row.unchanged_from_zero_shot
    return {
        **identity(row),
        "protocol_title": row.protocol_title,
        "metrics": _statistics(row.metrics),
        "agnostic_metrics": agnostic if any(part is not None for part in agnostic.values()) else None,
        "interval_95": {name: list(bounds) for name, bounds in row.intervals.items()} or None,
        UNCHANGED.id: None if unchanged is None else {"cells": unchanged[0], "of": unchanged[1]},
        "delta_to_l2": {name: rounded(value) for name, value in row.delta.items()},
        "cost_median": {column.id: number(row.cost[column.id]) for column in COSTS},
        "runs": [
            {
                "run": run.run_hash,
                "seed": run.seed,
                "source": run.source,
                RANKING.id: rounded((run.metrics or {}).get(RANKING.id)),
            }
            for run in row.runs
        ],
    }


def _statistics(values: Mapping[str, Statistic | None]) -> dict[str, dict[str, float | None] | None]:
    """Means and deviations by metric; ``None`` where one is not defined."""
    by_metric = {column.id: values[column.id] for column in METRICS}
    return {
        name: None if part is None else {"mean": rounded(part.mean), "sd": rounded(part.deviation)}
        for name, part in by_metric.items()
    }
