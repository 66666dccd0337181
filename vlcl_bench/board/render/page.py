"""The board as one page for a browser: no network, no framework, and the same bytes for the same rows.

All names and texts travel as JSON in an element that is never run, escaped so that none can end it, and reach the
page as text only. A Content-Security-Policy allows the page's own script and style by their hashes, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from itertools import groupby
from typing import Any

import numpy as np

from vlcl_bench.board.detail import Detail
from vlcl_bench.board.published import ERRATA, LABELS, PublishedRow, alike, derived_values, shown_columns
from vlcl_bench.board.render.cells import ranks_shown
from vlcl_bench.board.render.facts import number
from vlcl_bench.board.reported import MATRIX_SOURCE, ORDERS
from vlcl_bench.board.rows import BoardRow, Statistic
from vlcl_bench.scoring.column import Column
from vlcl_bench.scoring.columns import GROUPS, RANKING, UNCHANGED, by_unit, columns

PARTS = files("vlcl_bench.board.render") / "assets"
MATRIX_DECIMALS = 2
METRICS = columns("headline", "score", place="entry")
COSTS = [*by_unit(columns("cost")), *columns("samples")]
_HARMLESS = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def render_page(rows: Sequence[BoardRow], published: Sequence[PublishedRow]) -> str:
    """The HTML page, in UTF-8 when written."""
    html, css, js = (_part(name) for name in ("page.html", "page.css", "page.js"))
    policy = f"default-src 'none'; script-src {_hash(js)}; style-src {_hash(css)}; img-src data:; base-uri 'none'"
    filled = {"policy": f"{policy}; form-action 'none'", "style": css, "script": js}
    for name, text in (filled | {"data": embedded(page_data(rows, published))}).items():
        before, after = html.split(f"{{{{{name}}}}}")
        html = before + text + after
    return html


def embedded(value: Any) -> str:
    """JSON that cannot end the script element it stands in, nor start any other."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.translate(_HARMLESS)


def page_data(rows: Sequence[BoardRow], published: Sequence[PublishedRow]) -> dict[str, Any]:
    """What the page shows, JSON-ready: ``protocols`` with their ``entries`` in the board's order, and ``published``."""
    protocols = []
    for name, group in groupby(rows, key=lambda row: row.protocol):
        section = list(group)
        details = [run.detail for row in section for run in row.runs if run.detail is not None]
        # What was scored here says what the tasks are; a record that was only reported may name any.
        scored = next((one for one in details if one.items), details[0] if details else None)
        tasks = list(scored.tasks) if scored else []
        protocols.append(
            {
                "name": name,
                "title": min(row.protocol_title for row in section),
                "tasks": tasks,
                "samples": list(scored.samples) if scored else [],
                "figures": _figure_columns(details),
                "entries": [_entry(row, tasks) for row in section],
            }
        )
    return {
        "metrics": [_column(column) for column in METRICS],
        "costs": [_column(column) for column in COSTS],
        "ranking": RANKING.id,
        "unchanged": _column(UNCHANGED),
        "labels": LABELS,
        "groups": dict(GROUPS),
        "protocols": protocols,
        "published": [
            {
                "stream": stream,
                "tables": [_published(part) for part in alike([r for r in published if r.stream == stream])],
            }
            for stream in dict.fromkeys(row.stream for row in published)
        ],
        "derived": {
            "source": MATRIX_SOURCE,
            "streams": {
                stream: {
                    method: {column.id: column.text(values[column.id]) for column in METRICS}
                    for method, values in derived_values(stream).items()
                }
                for stream in ORDERS
            },
        },
        "errata": [_erratum(one, published) for one in ERRATA],
    }


def _entry(row: BoardRow, tasks: Sequence[str]) -> dict[str, Any]:
    details = [run.detail for run in row.runs if run.detail is not None]
    whole = bool(details) and len(details) == row.seeds and all(list(one.tasks) == list(tasks) for one in details)
    return {
        "method": row.method,
        "title": row.method_title,
        "label": row.label,
        "entry": row.entry_id,
        "backbone": row.backbone,
        "track": row.track,
        "status": row.status,
        "earlier": row.earlier_source,
        "deterministic": row.deterministic,
        "rank": row.rank,
        "ranks": ranks_shown(row),
        "range": row.rank_range,
        "unranked": row.why_unranked,
        "n": row.seeds,
        "metrics": {column.id: _statistic(row.metrics[column.id]) for column in METRICS},
        "agnostic": {column.id: _statistic(row.agnostic[column.id]) for column in METRICS},
        "intervals": {name: list(bounds) for name, bounds in row.intervals.items()},
        "delta": {name: number(value) for name, value in row.delta.items()},
        "cost": {column.id: number(row.cost[column.id]) for column in COSTS},
        "unchanged": row.unchanged_from_zero_shot,
        "settings": {key: str(value) for key, value in sorted(details[0].settings.items())} if details else {},
        "figures": _mean_figures(details) if whole else {},
        "matrices": _mean_matrices(details) if whole else {},
        "runs": [
            {
                "seed": run.seed,
                "run": run.run_hash,
                "source": run.source,
                "metrics": {column.id: number((run.metrics or {}).get(column.id)) for column in METRICS},
                "seconds": number(run.cost.get("seconds_total")),
            }
            for run in row.runs
        ],
    }


def _column(column: Column) -> dict[str, Any]:
    """What the page needs of a column; ``table`` and ``entry`` say where it stands."""
    return {
        "id": column.id,
        "label": column.label,
        "short": column.narrow,
        "meaning": column.meaning,
        "group": column.group,
        "unit": column.unit,
        "better": column.better,
        "table": "page" in column.places,
        "entry": "entry" in column.places,
    }


def _figure_columns(details: Sequence[Detail]) -> list[dict[str, Any]]:
    """The columns that only streams of this kind have, of all runs."""
    by_id = {column.id: column for one in details for column, _ in one.figures}
    return [_column(column) for column in by_id.values()]


def _mean_matrices(details: Sequence[Detail]) -> dict[str, list[list[float]]]:
    """Means over seeds, (T + 1, T) each, of the matrices that all of them have, by name."""
    labels = [label for label in details[0].matrices if all(label in one.matrices for one in details)]
    return {label: _table(np.mean([one.matrices[label] for one in details], axis=0)) for label in labels}


def _mean_figures(details: Sequence[Detail]) -> dict[str, float | None]:
    """Means over seeds of the figures that all of them have, by column."""
    figures = [{column.id: value for column, value in one.figures} for one in details]
    shared = [name for name in figures[0] if all(name in one for one in figures)]
    return {name: number(float(np.mean([one[name] for one in figures]))) for name in shared}


def _published(rows: Sequence[PublishedRow]) -> dict[str, Any]:
    """One table of published rows, values as printed."""
    metrics, deltas = shown_columns(rows)
    fields = ("setting", "method", "status", "source", "note")
    return {
        "metrics": metrics,
        "deltas": deltas,
        "rows": [
            {**{name: getattr(row, name) for name in fields}, "printed": row.printed, "delta": row.delta}
            for row in rows
        ],
    }


def _erratum(one: Mapping[str, str], published: Sequence[PublishedRow]) -> dict[str, Any]:
    """A misprint in a source, with the difference that follows from the source's own values."""
    deltas = [
        row.delta[one["metric"]]
        for row in published
        if (row.stream, row.method) == (one["stream"], one["method"]) and one["metric"] in row.delta
    ]
    return {**one, "correct": f"{deltas[0]:+.1f}" if deltas else ""}


def _statistic(over_seeds: Statistic | None) -> list[float | None] | None:
    return None if over_seeds is None else [number(over_seeds.mean), number(over_seeds.deviation)]


def _table(values: np.ndarray) -> list[list[float]]:
    return [[float(x) + 0.0 for x in row] for row in np.around(values, MATRIX_DECIMALS)]


def _part(name: str) -> str:
    return (PARTS / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"
