"""The results tables of a sweep file, from its finished runs: what was measured beside what a paper prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vlcl_bench.board.markdown import table
from vlcl_bench.board.rows import statistic
from vlcl_bench.metrics import format_metric

if TYPE_CHECKING:
    from vlcl_bench.sweep.plan import SweepFile
    from vlcl_bench.sweep.runner import Job

MEASURED = ("transfer", "avg", "last", "bwt")
PUBLISHED = ("transfer", "avg", "last")
HEADINGS = ("", "n", "Transfer", "Avg", "Last", "BWT")
PUBLISHED_HEADINGS = ("published Transfer", "Avg", "Last")


def results(sweep: SweepFile, jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """Every table of the file: title, note and rows of means and sample deviations over the seeds that are done."""
    by_place = {place: job for job in jobs for place in job.planned.places}
    place = sum(len(block.combinations()) for block in sweep.runs)
    found = []
    for asked in sweep.tables:
        rows = []
        for row in asked.rows:
            own = [by_place.get(place + k) for k in range(len(asked.seeds))]
            place += len(asked.seeds)
            metrics = [job.record.scores["metrics"] for job in own if job is not None and job.record is not None]
            published = None if row.published is None else dict(zip(PUBLISHED, row.published, strict=True))
            rows.append({"name": row.name, "n": len(metrics), "published": published} | over_seeds(metrics))
        found.append({"title": asked.title, "protocol": asked.protocol, "note": asked.note, "rows": rows})
    return found


def over_seeds(metrics: Sequence[Any]) -> dict[str, dict[str, float | None]]:
    """Mean and sample deviation of each headline metric over runs; ``None`` where one of them lacks it."""
    found = {name: statistic([one.get(name) for one in metrics]) for name in MEASURED}
    return {
        name: {"mean": one.mean if one else None, "deviation": one.deviation if one else None}
        for name, one in found.items()
    }


def cells(row: dict[str, Any], with_published: bool) -> list[str]:
    """A row as it is printed."""
    shown = [row["name"], str(row["n"])]
    for name in MEASURED:
        deviation = row[name]["deviation"]
        shown.append(format_metric(row[name]["mean"]) + ("" if deviation is None else f" ± {format_metric(deviation)}"))
    if with_published:
        shown += [format_metric((row["published"] or {}).get(name)) for name in PUBLISHED]
    return shown


def headings(found: dict[str, Any]) -> tuple[list[str], bool]:
    """The headings of a table, and whether it has published values."""
    with_published = any(row["published"] for row in found["rows"])
    return [*HEADINGS, *(PUBLISHED_HEADINGS if with_published else ())], with_published


def markdown(tables: Sequence[dict[str, Any]]) -> str:
    """All tables as Markdown."""
    parts = []
    for found in tables:
        heading, with_published = headings(found)
        lines = table(heading, [cells(row, with_published) for row in found["rows"]])
        note = f"\n{found['note']}\n" if found["note"] else ""
        parts.append(f"### {found['title']} ({found['protocol']})\n{note}\n{lines}")
    return "\n\n".join(part.rstrip() for part in parts) + "\n"
