"""What ``vlcl show RUN --seeds`` prints: what a run's log says of its seeds and of its memory, task by task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from vlcl_bench.cli.heat_map import PREFIXES
from vlcl_bench.errors import UsageError
from vlcl_bench.records.schema import Record

CLAIM = "The page on Auto-Seed VL2 claims 0.89 ± 0.05 to class means, and outside < 1."
Line = Mapping[str, Any]


def seeds_of(record: Record) -> dict[str, list[dict[str, Any]]]:
    """The log's lines on seeds (``seeds``) and on what is kept between tasks (``memory``), in the order of the tasks.

    Raises :class:`UsageError` where there are neither.
    """
    found = {kind: [line for line in record.log if line.get("report") == kind] for kind in ("seeds", "memory")}
    if not any(found.values()):
        raise UsageError(
            f"the log of this run of {record.identity.method!r} says nothing of seeds or of a memory",
            "Methods that replay features log both, auto_seed_vl2 for one; `vlcl show RUN` shows any other run.",
        )
    return {kind: [_without_report(line) for line in lines] for kind, lines in found.items()}


def _without_report(line: Line) -> dict[str, Any]:
    return {key: value for key, value in line.items() if key != "report"}


def seed_tables(found: Mapping[str, Sequence[Line]]) -> list[Table]:
    """A table on the seeds, with the page's claim below it, and one on the memory; neither where there is none."""
    tables = []
    if found["seeds"]:
        tables.append(seed_table(found["seeds"]))
    if found["memory"]:
        tables.append(memory_table(found["memory"]))
    return tables


def seed_table(lines: Sequence[Line]) -> Table:
    """A line for each task; columns that only some kinds of tasks have are left out where no task has them."""
    table = Table(
        title="the seeds kept of each task when it ended: cosine with class means and texts, variance to real variance",
        title_justify="left", title_style="bold", caption=CLAIM, caption_justify="left", box=None,
    )  # fmt: skip
    varied = any("variance_inside" in line or "variance_outside" in line for line in lines)
    probed = any("probe_bleu4" in line for line in lines)
    headings = ["n", "classes", "pictures", "texts", *(["inside", "outside"] if varied else [])]
    headings += ["BLEU-4", "chance"] if probed else []
    table.add_column("task")
    for heading in headings:
        table.add_column(heading, justify="right")
    for line in lines:
        cells = [_count(line.get("seeds")), _count(line.get("classes"))]
        cells += [_spread(line, "fidelity_image"), _spread(line, "fidelity_text")]
        if varied:
            cells += [_ratio(line.get(name)) for name in ("variance_inside", "variance_outside")]
        if probed:
            cells += [_percent(line.get(name)) for name in ("probe_bleu4", "probe_chance")]
        table.add_row(PREFIXES.sub("", str(line["task"])), *cells)
    return table


def memory_table(lines: Sequence[Line]) -> Table:
    """A line for each task: items, bytes, and bytes of each part of what is kept."""
    parts = list(dict.fromkeys(name for line in lines for name in line if name.startswith("bytes_")))
    table = Table(
        title="kept after each task, the frozen towers left out: items, and bytes by part",
        title_justify="left", title_style="bold", box=None,
    )  # fmt: skip
    table.add_column("task")
    for heading in ("items", "bytes", *(name.removeprefix("bytes_") for name in parts)):
        table.add_column(heading, justify="right")
    for line in lines:
        cells = [_count(line.get(name)) for name in ("items", "bytes", *parts)]
        table.add_row(PREFIXES.sub("", str(line["task"])), *cells)
    return table


def _count(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _ratio(value: float | None) -> str:
    """Three digits, also where seeds hardly differ."""
    return "" if value is None else f"{value:#.3g}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _spread(line: Line, name: str) -> str:
    if name not in line:
        return ""
    spread = line.get(f"{name}_sd")
    return f"{line[name]:.3f}" if spread is None else f"{line[name]:.3f} ± {spread:.3f}"
