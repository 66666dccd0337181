"""``vlcl sweep``: many runs from one file, a table while it goes and one at the end."""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vlcl_bench.cli.options import EXIT_CODES, AsJson, DataRoot, HubRoot, StoreFolder, emit, whole
from vlcl_bench.cli.run import check_keep_states
from vlcl_bench.errors import UsageError
from vlcl_bench.scoring.columns import columns

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

    from vlcl_bench.sweep.runner import Job

HEADLINES = tuple(column.id for column in columns(place="progress"))
Jobs = Annotated[
    int, typer.Option(parser=whole(1, 4096), metavar="<int>", help="Runs at once, each in a process of its own.")
]
Threads = Annotated[
    int | None,
    typer.Option(parser=whole(1, 4096), metavar="<int>", help="Threads of each run (default: processors / jobs)."),
]


def sweep(
    file: Annotated[
        Path,
        typer.Argument(
            help="TOML file with blocks of runs (protocols, methods, seeds, settings) and of tables to make of them."
        ),
    ],
    jobs: Jobs = 1,
    threads: Threads = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    runs: Annotated[Path, typer.Option(help="Folder of the runs: the sweep's only state.")] = Path("runs"),
    submissions: Annotated[
        Path, typer.Option(help="Folder with committed records; their runs are not done again.")
    ] = Path("submissions"),
    store: StoreFolder = None,
    data_root: DataRoot = None,
    hub_root: HubRoot = None,
    keep_states: Annotated[
        str, typer.Option(help="Which states to keep of finished runs: none, last or all.")
    ] = "none",
    markdown: Annotated[Path | None, typer.Option(help="File to write the results tables to, as Markdown.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    as_json: AsJson = False,
) -> None:
    """Do all runs of a file, as many at once as asked for. Interrupted, the same command continues.

    Exit code 4 where a run failed; the others are done all the same.
    """
    from rich.console import Console

    from vlcl_bench.common.fileio import write_atomic
    from vlcl_bench.common.places import named
    from vlcl_bench.common.progress import Reporter
    from vlcl_bench.engine.prepare import Request
    from vlcl_bench.sweep.plan import plan, read_sweep
    from vlcl_bench.sweep.runner import first_state
    from vlcl_bench.sweep.tables import markdown as as_markdown
    from vlcl_bench.sweep.tables import results

    named(runs, "runs", "--runs")
    base = Request(
        protocol="", method="", device=device, runs=runs, store=store, data_root=data_root, hub_root=hub_root,
        keep_states=check_keep_states(keep_states),
    )  # fmt: skip
    asked, console = read_sweep(file), Console(stderr=True)
    if markdown is not None and not asked.tables:
        raise UsageError(f"{file} asks for no tables, so there is nothing to write to {markdown}", "Add [[tables]].")
    planned_jobs = [first_state(planned) for planned in plan(asked, base, submissions, Reporter())]
    if not dry_run:
        _run_shown(planned_jobs, jobs, threads, console)
    tables = results(asked, planned_jobs)
    if as_json:
        emit({"runs": [_facts(job) for job in planned_jobs], "rows": rows(planned_jobs), "tables": tables})
    elif dry_run:
        _print(progress_table(planned_jobs))
    else:
        _print_results(planned_jobs, tables, console)
    if markdown is not None and not dry_run:
        write_atomic(named(markdown, "the tables", "--markdown"), as_markdown(tables))
    raise typer.Exit(4 if any(job.state == "failed" for job in planned_jobs) else 0)


def _print_results(jobs: list[Job], tables: list[dict[str, Any]], errors: Console) -> None:
    """The means of the runs and the tables asked for; to ``errors`` a line for each run that failed."""
    if jobs:
        _print(final_table(jobs))
    for table in tables:
        _print(results_table(table))
    for job in jobs:
        if job.state == "failed":
            errors.print(_line(job), markup=False, highlight=False, soft_wrap=True)


def _print(table: RenderableType) -> None:
    from vlcl_bench.cli.terminal import terminal

    terminal().print(table)


def _run_shown(jobs: list[Job], at_once: int, threads: int | None, console: Console) -> None:
    """Do the runs; a terminal has a table that is kept up to date, anything else a line for each run that ended."""
    from rich.live import Live

    from vlcl_bench.data.pictures import processors
    from vlcl_bench.sweep.runner import run_all, waits_for

    threads = threads or max(1, processors() // at_once)

    said: set[str] = set()

    def say_held() -> None:
        for job in jobs:
            if job.held and job.state == "waiting" and (note := "held " + job.planned.run_hash) not in said:
                said.add(note)
                console.print(waits_for(job), markup=False, highlight=False, soft_wrap=True)

    def say_ended() -> None:
        say_held()
        for job in jobs:
            if job.state in ("done", "failed") and job.process is not None and job.planned.run_hash not in said:
                said.add(job.planned.run_hash)
                console.print(_line(job), markup=False, highlight=False, soft_wrap=True)

    if console.is_terminal:
        with Live(console=console, refresh_per_second=2) as live:

            def show() -> None:
                say_held()
                live.update(live_table(jobs, console.height - 1))

            run_all(jobs, at_once, threads, show)
    else:
        run_all(jobs, at_once, threads, say_ended)


def register(app: typer.Typer) -> None:
    """Add the command to ``vlcl``."""
    app.command(epilog=EXIT_CODES)(sweep)


def live_table(jobs: list[Job], lines: int) -> RenderableType:
    """The progress table in no more than ``lines`` lines of a terminal.

    Where not every run has a line, a count of all comes first, then those that are running, that failed (the last
    of them) and that come next, as many as fit.
    """
    from rich.console import Group
    from rich.text import Text

    if len(jobs) < lines:
        return progress_table(jobs, one_line=True)
    by_state: dict[str, list[Job]] = {state: [] for state in ("running", "failed", "waiting", "done", "committed")}
    for job in jobs:
        by_state[job.state].append(job)
    counts = ", ".join(f"{len(group)} {state}" for state, group in by_state.items() if group)
    count = Text(f"{len(jobs)} runs: {counts}", no_wrap=True, overflow="ellipsis")
    room = lines - 2  # the count and the headings
    if room < 1:
        return count
    listed = by_state["running"][:room]
    listed += by_state["failed"][max(0, len(by_state["failed"]) - (room - len(listed))) :]
    listed += by_state["waiting"][: room - len(listed)]
    return Group(count, progress_table(listed, one_line=True))


def progress_table(jobs: list[Job], one_line: bool = False) -> Table:
    """A line for each run: where it is, and its headline numbers once it is done.

    Long settings take several lines, or are cut short with ``one_line``.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 1, 0, 0))
    for heading in ("protocol", "method", "settings", "seed", "state", *HEADLINES, "seconds"):
        table.add_column(heading, no_wrap=heading != "settings", overflow="fold")
    for job in jobs:
        state: str = job.state
        seconds = f"{job.seconds:.0f}" if job.seconds else ""
        if state == "running":
            state = f"{job.stages_done()} of {job.planned.stages} stages"
            seconds = f"{time.monotonic() - job.started:.0f}"
        numbers = [_shown(_metric(job, name)) for name in HEADLINES]
        protocol, method, settings, seed = job.planned.words
        # The column may still wrap, so that it is the first to be made narrow.
        shown = Text(settings, no_wrap=True, overflow="ellipsis") if one_line else settings
        table.add_row(protocol, method, shown, seed, state, *numbers, seconds)
    return table


def final_table(jobs: list[Job]) -> Table:
    """A line for each protocol, method and settings: means over the seeds, with the sample standard deviation."""
    from rich.table import Table

    table = Table("protocol", "method", "settings", "n", *HEADLINES)
    for row in rows(jobs):
        cells = []
        for name in HEADLINES:
            mean, deviation = row[name]["mean"], row[name]["deviation"]
            cells.append(_shown(mean) + ("" if deviation is None else f" ± {deviation:.1f}"))
        table.add_row(row["protocol"], row["method"], row["settings"], str(row["n"]), *cells)
    return table


def results_table(found: dict[str, Any]) -> Table:
    """A table that the file asks for."""
    from rich.table import Table

    from vlcl_bench.sweep.tables import cells, headings

    title = f"{found['title']} ({found['protocol']})"
    table = Table(*headings(found), title=title, caption=found["note"] or None, title_justify="left")
    for row in found["rows"]:
        table.add_row(*cells(row, found))
    return table


def rows(jobs: list[Job]) -> list[dict[str, Any]]:
    """Means and sample standard deviations over the seeds of runs that are done."""
    from vlcl_bench.sweep.tables import over_seeds

    groups: defaultdict[tuple[str, str, str, str | None], list[Job]] = defaultdict(list)
    for job in jobs:
        if job.record is not None:
            groups[*job.planned.words[:3], job.planned.request.backbone].append(job)
    found = []
    for (protocol, method, settings, backbone), group in groups.items():
        row: dict[str, Any] = {"protocol": protocol, "method": method, "settings": settings, "backbone": backbone}
        row["n"] = len(group)
        row |= over_seeds([job.record for job in group if job.record is not None], HEADLINES)
        found.append(row)
    return found


def _metric(job: Job, name: str) -> float | None:
    value = job.record.scores["metrics"].get(name) if job.record is not None else None
    return value if isinstance(value, float) else None


def _shown(value: float | None) -> str:
    from vlcl_bench.scoring.metrics import format_metric

    return "" if value is None else format_metric(value)


def _line(job: Job) -> str:
    from vlcl_bench.sweep.runner import log_path

    name = " ".join(word for word in job.planned.words if word)
    if job.state == "failed":
        return f"failed: {name}: {job.error} (see {log_path(job.planned)})"
    numbers = ", ".join(f"{key} {_shown(_metric(job, key))}" for key in HEADLINES)
    return f"{job.state}: {name}: {numbers} ({job.seconds:.0f} s)"


def _facts(job: Job) -> dict[str, Any]:
    request = job.planned.request
    return {
        "run": job.planned.run_hash, "folder": str(job.planned.folder), "protocol": request.protocol,
        "method": request.method, "settings": request.settings, "backbone": request.backbone, "seed": request.seed,
        "state": job.state, "error": job.error or None, "metrics": {name: _metric(job, name) for name in HEADLINES},
    }  # fmt: skip
