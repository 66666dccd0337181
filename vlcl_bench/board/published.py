"""The second part of the board: what others published, per stream, with status and source, never ranked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vlcl_bench.board.render.tables import cell, table
from vlcl_bench.board.reported import MATRIX_SOURCE, ORDERS, published_matrix, published_methods, reported_rows
from vlcl_bench.scoring.column import Scored
from vlcl_bench.scoring.columns import HEADLINES, METRICS, columns
from vlcl_bench.scoring.metrics import Metrics, continual_metrics

TITLE = "Published numbers (reported, not measured here, not ranked)"
BASELINE = "l2 baseline"
ERRATA = (
    {
        "stream": "mtil-2",
        "method": "LwF-VR",
        "metric": "last",
        "source": "GIFT poster (Luo et al., CVPR 2025), table 2",
        "printed": "-3.9",
    },
)
"""Differences that a source prints wrong; the right ones follow from the values that it prints."""
LABELS = {column.id: column.label for column in columns("headline", "published")}
"""Of the metrics that papers print, in the order in which tables show them."""


@dataclass(frozen=True)
class PublishedRow:
    """The values of one method in one setting; ``printed`` maps a metric to the text of its source."""

    stream: str
    setting: str
    method: str
    status: str
    source: str
    note: str
    printed: dict[str, str]
    delta: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; the differences to the l2 baseline are rounded to the printed decimal."""
        values = {name: float(text) for name, text in self.printed.items()}
        head = {"stream": self.stream, "setting": self.setting, "method": self.method}
        tail = {"status": self.status, "source": self.source, "note": self.note}
        return {**head, "values": values, "delta": self.delta, **tail}


def published_rows(*, include_unverifiable: bool = False) -> list[PublishedRow]:
    """The published values, those of one (stream, setting, method, status, source) together, in file order.

    ``delta``: Transfer, Avg and Last minus those of the l2 baseline of the same stream, setting and source.
    """
    frame = reported_rows(include_unverifiable=include_unverifiable)
    base = frame[frame["method"] == BASELINE]
    baseline = {
        (stream, setting, source, metric): value
        for stream, setting, source, metric, value in zip(
            *(base[name] for name in ("stream", "setting", "source", "metric", "value")), strict=True
        )
    }
    rows = []
    keys = ["stream", "setting", "method", "status", "source"]
    for key, part in frame.groupby(keys, sort=False):
        stream, setting, method, status, source = (str(x) for x in key)
        printed = dict(zip(part["metric"], part["printed"], strict=True))
        delta = {
            column.id: round(float(printed[column.id]) - baseline[stream, setting, source, column.id], 1)
            for column in HEADLINES
            if column.id in printed and (stream, setting, source, column.id) in baseline
        }
        notes = "; ".join(dict.fromkeys(note for note in part["note"] if note))
        rows.append(PublishedRow(stream, setting, method, status, source, notes, printed, delta))
    return rows


def published_markdown(rows: Sequence[PublishedRow]) -> str:
    """The section of the board's page, tables per stream; values as their sources print them."""
    parts = [
        f"## {TITLE}",
        "Copied from the sources named in each row, which used their own splits, code and hardware. "
        "Δ is the difference to the l2 baseline of the same source, computed here from the printed values. "
        "BLEU-4 is a fraction, all else percent.",
    ]
    for stream in dict.fromkeys(row.stream for row in rows):
        parts.append(f"### {cell(stream)}")
        parts.extend(_table(group) for group in alike([row for row in rows if row.stream == stream]))
        if stream in ORDERS:
            parts.append(_derived(stream))
    return "\n\n".join(parts)


def alike(rows: Sequence[PublishedRow]) -> list[list[PublishedRow]]:
    """Rows whose metrics are a subset of another row's share that row's table."""
    sets = [frozenset(row.printed) for row in rows]
    widest = [s for s in dict.fromkeys(sets) if not any(s < other for other in sets)]
    home = [next(w for w in widest if s <= w) for s in sets]
    return [[row for row, h in zip(rows, home, strict=True) if h == w] for w in widest]


def shown_columns(rows: Sequence[PublishedRow]) -> tuple[list[str], list[str]]:
    """The metrics that rows of one table print, in the order shown, and those with a difference."""
    order, printed = list(LABELS), dict.fromkeys(name for row in rows for name in row.printed)
    metrics = sorted(printed, key=lambda name: order.index(name) if name in order else math.inf)
    return metrics, [column.id for column in HEADLINES if any(column.id in row.delta for row in rows)]


def _table(rows: Sequence[PublishedRow]) -> str:
    metrics, deltas = shown_columns(rows)
    head = ["Method", "Setting", *(LABELS.get(n, n) for n in metrics), *(f"Δ {LABELS[n]}" for n in deltas)]
    body = [
        [
            row.method,
            row.setting or "–",
            *(row.printed.get(name, "–") for name in metrics),
            *(f"{row.delta[name]:+.1f}" if name in row.delta else "–" for name in deltas),
            row.status,
            f"{row.source}; {row.note}" if row.note else row.source,
        ]
        for row in rows
    ]
    return table([*head, "Status", "Source"], body, right=range(2, len(head)))


def _derived(stream: str) -> str:
    """All metrics, most of which the papers do not print, from the released matrices."""
    body = []
    for method in published_methods(stream):
        run = Scored({"metrics": _metrics(stream, method).headlines()})
        body.append([method, *(column.text(column.of(run)) for column in METRICS)])
    head = ["Method", *(column.label for column in METRICS)]
    intro = (
        f"Computed here from the released matrices ({cell(MATRIX_SOURCE)}); "
        "FWT is relative to the zero-shot row, which is known to one decimal."
    )
    return f"{intro}\n\n{table(head, body, right=range(1, len(head)))}"


def derived_values(stream: str) -> dict[str, dict[str, float | None]]:
    """Headline numbers of every released matrix of ``stream``, rounded to four decimals for the JSON file."""
    values = {}
    for method in published_methods(stream):
        headlines = _metrics(stream, method).headlines()
        values[method] = {k: None if v is None else float(np.around(v, 4)) for k, v in headlines.items()}
    return values


def _metrics(stream: str, method: str) -> Metrics:
    released = published_matrix(stream, method)
    return continual_metrics(released.R, released.zero_shot)
