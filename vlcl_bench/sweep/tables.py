"""The results tables of a sweep file, from its finished runs: what was measured beside what a paper prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vlcl_bench.board.render.tables import table
from vlcl_bench.board.rows import statistic
from vlcl_bench.scoring.column import PERCENT, within
from vlcl_bench.scoring.columns import COSTS, HEADLINES, METRICS, column
from vlcl_bench.scoring.ground_truth import ground_truth
from vlcl_bench.scoring.metrics import format_metric
from vlcl_bench.scoring.views import BLEU4

if TYPE_CHECKING:
    from vlcl_bench.records.schema import Record
    from vlcl_bench.scoring.column import Column
    from vlcl_bench.sweep.plan import ResultsTable, SweepFile
    from vlcl_bench.sweep.runner import Job

PUBLISHED = tuple(headline.id for headline in HEADLINES)
PUBLISHED_HEADINGS = (f"published {HEADLINES[0].label}", *(headline.label for headline in HEADLINES[1:]))
COLUMNS = {
    one.id: one
    for one in (
        *METRICS,
        *(within(BLEU4, metric) for metric in METRICS),
        *COSTS,
        replace(column("bytes_between_tasks"), id="bytes", label="bytes kept"),
    )
}
"""The columns that a table may have, by name; those of BLEU-4 are of its own matrix."""


def results(sweep: SweepFile, jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """Every table of the file: title, note and rows of means and sample deviations over the seeds that are done.

    Where a table asks for it, each row has its difference to one of them, too; see :func:`_differences`.
    """
    by_place = {place: job for job in jobs for place in job.planned.places}
    place = sum(len(block.combinations()) for block in sweep.runs)
    found = []
    for asked in sweep.tables:
        rows, done = [], []
        for row in asked.rows:
            own = [by_place.get(place + k) for k in range(len(asked.seeds))]
            place += len(asked.seeds)
            done.append([job for job in own if job is not None and job.record is not None])
            records = [job.record for job in done[-1] if job.record is not None]
            published = None if row.published is None else dict(zip(PUBLISHED, row.published, strict=True))
            rows.append(
                {"name": row.name, "n": len(records), "published": published} | over_seeds(records, asked.columns)
            )
        for line, difference in zip(rows, _differences(asked, done), strict=True):
            line["against"] = difference
        found.append(
            {"title": asked.title, "protocol": asked.protocol, "note": asked.note, "columns": list(asked.columns),
             "against": asked.against or None, "by": asked.by, "rows": rows}
        )  # fmt: skip
    return found


def over_seeds(records: Sequence[Record], columns: Sequence[str]) -> dict[str, dict[str, float | None]]:
    """Mean and sample deviation of each column over runs; ``None`` where one of them lacks it."""
    by_column = {name: statistic([COLUMNS[name].of(record) for record in records]) for name in columns}
    return {
        name: {"mean": part.mean if part else None, "deviation": part.deviation if part else None}
        for name, part in by_column.items()
    }


def _differences(asked: ResultsTable, done: Sequence[Sequence[Job]]) -> list[dict[str, float] | None]:
    """Each row minus the one that the table names, by its metric: paired bootstrap, Holm's correction over the rows.

    ``None`` for that row itself and for rows without runs.
    """
    from vlcl_bench.board.pairs import protocol_file
    from vlcl_bench.records.files import PREDICTIONS_NAME, read_predictions
    from vlcl_bench.records.streams import stream_of
    from vlcl_bench.scoring.significance import compare, holm

    names = [row.name for row in asked.rows]
    if not asked.against or not done[names.index(asked.against)]:
        return [None] * len(names)
    job = done[names.index(asked.against)][0]
    assert job.record is not None, "it is done"
    key = ground_truth(stream_of(job.folder, job.record, protocol_file(asked.protocol)))

    def scores(jobs: Sequence[Job]) -> dict[int, Any]:
        return {
            job.planned.request.seed: key.item_scores(read_predictions(job.folder / PREDICTIONS_NAME)) for job in jobs
        }

    base = scores(done[names.index(asked.against)])
    found: list[dict[str, float] | None] = []
    for name, jobs in zip(names, done, strict=True):
        if name == asked.against or not jobs:
            found.append(None)
            continue
        one = next(one for one in compare(scores(jobs), base).headlines if one.name == asked.by)
        found.append({"difference": one.difference, "low": one.low, "high": one.high, "p": one.p})
    for difference, corrected in zip(found, holm([None if one is None else one["p"] for one in found]), strict=True):
        if difference is not None:
            difference["p_corrected"] = float(corrected or 0)
    return found


def cells(row: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """A row as it is printed, ``found`` being its table."""
    shown = [row["name"], str(row["n"])]
    for name in found["columns"]:
        shown.append(_cell(COLUMNS[name], row[name]["mean"], row[name]["deviation"]))
    if found["against"]:
        one = row["against"]
        shown.append("" if one is None else difference_in_words(one))
    if any(other["published"] for other in found["rows"]):
        shown += [format_metric((row["published"] or {}).get(name)) for name in PUBLISHED]
    return shown


def _cell(column: Column, mean: float | None, deviation: float | None) -> str:
    """A mean over seeds, of a score with its deviation."""
    if column.unit != PERCENT:
        return "" if mean is None else column.text(mean)
    return column.text(mean) + ("" if deviation is None else f" ± {column.text(deviation)}")


def difference_in_words(one: dict[str, float]) -> str:
    """A difference with its interval, and its corrected p, or that it is not significant."""
    p = one["p_corrected"]
    words = "n.s." if p >= 0.05 else "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
    return f"{one['difference']:+.1f} ({one['low']:+.1f} to {one['high']:+.1f}), {words}"


def headings(found: dict[str, Any]) -> list[str]:
    """The headings of a table."""
    shown = ["", "n", *(COLUMNS[name].label for name in found["columns"])]
    if found["against"]:
        shown.append(f"{COLUMNS[found['by']].label} against {found['against']}")
    return shown + (list(PUBLISHED_HEADINGS) if any(row["published"] for row in found["rows"]) else [])


def markdown(tables: Sequence[dict[str, Any]]) -> str:
    """All tables as Markdown."""
    parts = []
    for found in tables:
        lines = table(headings(found), [cells(row, found) for row in found["rows"]])
        note = f"\n{found['note']}\n" if found["note"] else ""
        parts.append(f"### {found['title']} ({found['protocol']})\n{note}\n{lines}")
    return "\n\n".join(part.rstrip() for part in parts) + "\n"
