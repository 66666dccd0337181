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

from vlcl_bench.board.detail import MATRICES, Detail
from vlcl_bench.board.published import ERRATA, PublishedRow, alike, derived_values, shown_columns
from vlcl_bench.board.render.texts import ranks_shown
from vlcl_bench.board.reported import MATRIX_SOURCE, ORDERS
from vlcl_bench.board.rows import COSTS, METRICS, BoardRow, Statistic
from vlcl_bench.scoring.metrics import format_metric

PARTS = files("vlcl_bench.board.render") / "assets"
DECIMALS, MATRIX_DECIMALS = 4, 2
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
                "figures": list(dict.fromkeys(label for one in details for label in one.figures)),
                "entries": [_entry(row, tasks) for row in section],
            }
        )
    return {
        "metrics": list(METRICS),
        "matrices": dict(MATRICES),
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
                    method: {name: format_metric(values[name]) for name in METRICS}
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
        "variant": row.variant,
        "configuration": row.configuration,
        "backbone": row.backbone,
        "track": row.track,
        "status": row.status,
        "deterministic": row.deterministic,
        "rank": row.rank,
        "ranks": ranks_shown(row),
        "range": row.rank_range,
        "unranked": row.why_unranked,
        "n": row.seeds,
        "metrics": {name: _statistic(row.metrics[name]) for name in METRICS},
        "agnostic": {name: _statistic(row.agnostic[name]) for name in METRICS},
        "intervals": {name: list(bounds) for name, bounds in row.intervals.items()},
        "delta": {name: _rounded(value) for name, value in row.delta.items()},
        "cost": {name: _rounded(row.cost[name]) for name in COSTS},
        "still": row.still,
        "settings": {key: str(value) for key, value in sorted(details[0].settings.items())} if details else {},
        "figures": _mean_figures(details) if whole else {},
        "matrices": _mean_matrices(details) if whole else {},
        "runs": [
            {
                "seed": run.seed,
                "run": run.run_hash,
                "source": run.source,
                "metrics": {name: _rounded((run.metrics or {}).get(name)) for name in METRICS},
                "seconds": _rounded(run.cost.get("seconds_total")),
            }
            for run in row.runs
        ],
    }


def _mean_matrices(details: Sequence[Detail]) -> dict[str, list[list[float]]]:
    """Means over seeds, (T + 1, T) each, of the matrices that all of them have."""
    keys = [key for key in MATRICES if all(key in one.matrices for one in details)]
    return {key: _table(np.mean([one.matrices[key] for one in details], axis=0)) for key in keys}


def _mean_figures(details: Sequence[Detail]) -> dict[str, float | None]:
    labels = [label for label in details[0].figures if all(label in one.figures for one in details)]
    return {label: _rounded(float(np.mean([one.figures[label] for one in details]))) for label in labels}


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


def _statistic(found: Statistic | None) -> list[float | None] | None:
    return None if found is None else [_rounded(found.mean), _rounded(found.deviation)]


def _rounded(value: float | None) -> float | int | None:
    if value is None:
        return None
    rounded = float(np.around(value, DECIMALS)) + 0.0
    return int(rounded) if rounded.is_integer() else rounded


def _table(values: np.ndarray) -> list[list[float]]:
    return [[float(x) + 0.0 for x in row] for row in np.around(values, MATRIX_DECIMALS)]


def _part(name: str) -> str:
    return (PARTS / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"
