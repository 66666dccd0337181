"""The three texts of the board: Markdown for people, CSV for spreadsheets, JSON for programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from vlcl_bench.board.agreement import Agreement, agreement_markdown
from vlcl_bench.board.published import PublishedRow, derived_values, published_markdown
from vlcl_bench.board.ranks import METRICS as CERTAIN
from vlcl_bench.board.render.markdown import cell, table
from vlcl_bench.board.reported import ORDERS
from vlcl_bench.board.rows import COSTS, DELTA_METRICS, METRICS, BoardRow, Statistic
from vlcl_bench.common.fileio import pretty_json
from vlcl_bench.scoring.metrics import format_metric

DECIMALS = 4
LABELS = {
    "transfer": "Transfer",
    "avg": "Avg",
    "last": "Last",
    "bwt": "BWT",
    "fwt": "FWT",
    "forgetting": "Forgetting",
    "diagonal": "Diagonal",
}
SAMPLES = ("reference_pictures", "synthetic_pictures", "replayed_samples", "generated_pictures")
LEAD = ("Method", "Backbone", "n")
INTRO = """# Leaderboard

Generated from the records by `vlcl leaderboard build`; do not edit. Percent, mean ± sample standard deviation
over seeds. Ranked by Avg within protocol and track, from three seeds on (one for deterministic entries), and
only where the scores were computed again from stored predictions (`rescored`). Δ is the difference to the
`l2` row of the same protocol and backbone. Ranks are those that the data leave open, from simultaneous 95 %
bootstrap intervals of the differences over test samples and seeds, as is the 95 % interval of Avg
(`vlcl_bench/board/ranks.py`); equal ranges are ties. Still: how many cells of R before their task is learned hold
exactly the untouched model's answers, in all seeds. Cost is the median over seeds, on the machines of the records:
seconds (learning and evaluation), peak memory, what must be kept between tasks, parameters, and samples handed out
beside the task's own: auxiliary, synthetic, replayed, and pictures asked of a generator. `index.html` shows all
this to sort, filter and open; the records of every row are named in `leaderboard.json`."""
TRACK_TITLES = {
    "standard": "Standard budget",
    "open-budget": "Open budget (more training than the protocol allows; ranked apart)",
}


def render_markdown(
    rows: Sequence[BoardRow], published: Sequence[PublishedRow], agreement: Sequence[Agreement] = ()
) -> str:
    """The page: per protocol and track a table (two with the task-agnostic twin), agreement, published numbers."""
    parts = [INTRO, "## Measured"]
    if not rows:
        parts.append("No entries yet.")
    for _, of_protocol in groupby(rows, key=lambda row: row.protocol):
        section = list(of_protocol)
        parts.append(f"### {cell(min(row.protocol_title for row in section))} (`{section[0].protocol}`)")
        for track, of_track in groupby(section, key=lambda row: row.track):
            lines = list(of_track)
            parts += [
                f"#### {TRACK_TITLES[track]}",
                _scores(lines),
                "Cost, in the same order:",
                _costs(lines),
            ]
            recorded = [row for row in lines if row.agnostic["avg"] is not None]
            if recorded:
                parts += [
                    "Task-agnostic (the names of all tasks compete), in the same order:",
                    _agnostic(recorded),
                ]
    if agreement:
        parts.append(agreement_markdown(agreement))
    return "\n\n".join([*parts, published_markdown(published)]) + "\n"


def render_csv(rows: Sequence[BoardRow]) -> str:
    """One line per row of the board; empty where a number is not defined."""
    lines = [_flat(row) for row in rows]
    names = list(_flat_names())
    out = io.StringIO()
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


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


def _scores(rows: Sequence[BoardRow]) -> str:
    head = ["Ranks", *LEAD, *(LABELS[name] for name in METRICS), "Avg, 95 %", "Still"]
    head += [f"Δ {LABELS[n]}" for n in DELTA_METRICS]
    body = [
        [
            ranks_shown(row),
            *_lead(row),
            *(plus_minus(row.metrics[name]) for name in METRICS),
            _between(row.intervals.get("avg")),
            "–" if row.still is None else f"{row.still[0]} of {row.still[1]}",
            *(_signed(row.delta[name]) for name in DELTA_METRICS),
            f"unranked ({row.why_unranked})" if row.rank is None else row.status,
        ]
        for row in rows
    ]
    return table([*head, "Status"], body, right=[0, *range(3, len(head))])


def _costs(rows: Sequence[BoardRow]) -> str:
    head = [*LEAD, "Seconds", "Learning", "Evaluation", "Peak MB", "Bytes between tasks"]
    head += ["Parameters trained", "Parameters added", "Auxiliary", "Synthetic", "Replayed", "Generated"]
    whole = ("bytes_between_tasks", "parameters_trained", "parameters_added", *SAMPLES)
    body = [
        [
            *_lead(row),
            *(_shown(row.cost[f"seconds_{name}"], "{:.1f}") for name in ("total", "learn", "evaluate")),
            _shown(row.cost["peak_memory_bytes"], "{:.0f}", 1e6),
            *(_shown(row.cost[name], "{:,.0f}") for name in whole),
        ]
        for row in rows
    ]
    return table(head, body, right=range(2, len(head)))


def _agnostic(rows: Sequence[BoardRow]) -> str:
    head = [*LEAD, *(LABELS[name] for name in METRICS)]
    body = [[*_lead(row), *(plus_minus(row.agnostic[name]) for name in METRICS)] for row in rows]
    return table(head, body, right=range(2, len(head)))


def title(row: BoardRow) -> str:
    """What a row is called: its method's title, and its settings where they are not the defaults."""
    return f"{row.method_title} ({row.variant})" if row.variant else row.method_title


def ranks_shown(row: BoardRow) -> str:
    """The ranks that the data leave open, ``2–4``; the rank by Avg where no range is known, a dash for none."""
    if row.rank is None:
        return "–"
    low, high = row.rank_range or (row.rank, row.rank)
    return str(low) if low == high else f"{low}–{high}"


def _lead(row: BoardRow) -> list[str]:
    return [title(row), row.backbone, str(row.seeds)]


def _between(interval: tuple[float, float] | None) -> str:
    return "–" if interval is None else f"{format_metric(interval[0])} to {format_metric(interval[1])}"


def plus_minus(statistic: Statistic | None) -> str:
    """Mean ± sample standard deviation with one decimal."""
    if statistic is None:
        return format_metric(None)
    mean = format_metric(statistic.mean)
    return mean if statistic.deviation is None else f"{mean} ± {format_metric(statistic.deviation)}"


def _signed(value: float | None) -> str:
    text = format_metric(value)
    return text if value is None or text.startswith("-") or text == "0.0" else f"+{text}"


def _shown(value: float | None, form: str, unit: float = 1.0) -> str:
    return "–" if value is None else form.format(value / unit)


def _round(value: float | None) -> float | None:
    return None if value is None else float(np.around(value, DECIMALS)) + 0.0


def _identity(row: BoardRow) -> dict[str, Any]:
    return {
        "protocol": row.protocol,
        "track": row.track,
        "rank": row.rank,
        "rank_low": None if row.rank_range is None else row.rank_range[0],
        "rank_high": None if row.rank_range is None else row.rank_range[1],
        "unranked": row.why_unranked or None,
        "method": row.method,
        "method_title": row.method_title,
        "variant": row.variant,
        "configuration": row.configuration,
        "backbone": row.backbone,
        "status": row.status,
        "deterministic": row.deterministic,
        "seeds": row.seeds,
    }


def _flat_names() -> list[str]:
    """The columns of the CSV file."""
    names = ["protocol", "track", "rank", "rank_low", "rank_high", "unranked", "method", "method_title", "variant"]
    names += ["configuration", "backbone", "status", "deterministic", "seeds"]
    for prefix in ("", "agnostic_"):
        names += [f"{prefix}{name}{end}" for name in METRICS for end in ("", "_sd")]
    names += [f"{name}_{end}" for name in CERTAIN for end in ("low", "high")]
    names += [f"delta_{name}" for name in DELTA_METRICS]
    return [*names, *COSTS, "identical_to_zero_shot", "sources"]


def _flat(row: BoardRow) -> dict[str, Any]:
    flat = _identity(row)
    flat["deterministic"] = "yes" if row.deterministic else "no"
    for prefix, part in (("", row.metrics), ("agnostic_", row.agnostic)):
        for name, found in part.items():
            flat[f"{prefix}{name}"] = None if found is None else _fixed(found.mean)
            flat[f"{prefix}{name}_sd"] = None if found is None else _fixed(found.deviation)
    for name in CERTAIN:
        low, high = row.intervals.get(name, (None, None))
        flat |= {f"{name}_low": _fixed(low), f"{name}_high": _fixed(high)}
    flat |= {f"delta_{name}": _fixed(value) for name, value in row.delta.items()}
    flat |= {name: _number(value) for name, value in row.cost.items()}
    flat["identical_to_zero_shot"] = None if row.still is None else row.still[0]
    return flat | {"sources": " ".join(run.source for run in row.runs)}


def _fixed(value: float | None) -> str | None:
    return None if value is None else f"{_round(value):.{DECIMALS}f}"


def _number(value: float | None) -> int | float | None:
    """A cost for a file: whole numbers as such, seconds to four decimals."""
    rounded = _round(value)
    return int(rounded) if rounded is not None and rounded.is_integer() else rounded


def _entry(row: BoardRow) -> dict[str, Any]:
    def part(found: Statistic | None) -> dict[str, float | None] | None:
        return None if found is None else {"mean": _round(found.mean), "sd": _round(found.deviation)}

    def each(values: Any, form: Callable[[Any], Any]) -> dict[str, Any]:
        return {name: form(value) for name, value in values.items()}

    agnostic = each(row.agnostic, part)
    return {
        **_identity(row),
        "protocol_title": row.protocol_title,
        "metrics": each(row.metrics, part),
        "agnostic_metrics": agnostic if any(x is not None for x in agnostic.values()) else None,
        "interval_95": {name: list(bounds) for name, bounds in row.intervals.items()} or None,
        "identical_to_zero_shot": None if row.still is None else {"cells": row.still[0], "of": row.still[1]},
        "delta_to_l2": each(row.delta, _round),
        "cost_median": each(row.cost, _number),
        "runs": [
            {
                "run": run.run_hash,
                "seed": run.seed,
                "source": run.source,
                "avg": _round((run.metrics or {}).get("avg")),
            }
            for run in row.runs
        ],
    }
