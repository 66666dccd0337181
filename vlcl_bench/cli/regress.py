"""``vlcl regress``: do the reference methods still give what they gave?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vlcl_bench.cli.options import EXIT_CODES, AsJson, StoreFolder, emit

if TYPE_CHECKING:
    from rich.table import Table

    from vlcl_bench.regress.outcomes import Verdict


def regress(
    methods: Annotated[
        list[str] | None, typer.Option("--method", metavar="NAME", help="Only this method; repeatable.")
    ] = None,
    everything: Annotated[
        bool,
        typer.Option("--all", help="Run the committed records again as well, one seed of each entry (hours)."),
    ] = False,
    update: Annotated[
        bool, typer.Option("--update", help="Run all seeds of the short runs and store them as the new expectations.")
    ] = False,
    strict_cost: Annotated[
        bool, typer.Option("--strict-cost", help="Fail where time or memory is half as much again as expected.")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Runs at once.")] = 2,
    threads: Annotated[
        int, typer.Option(min=1, help="Threads of each run; answers are only compared bit by bit for as many as then.")
    ] = 1,
    expectations: Annotated[Path, typer.Option(help="Folder of the expectations.")] = Path("tests/expectations"),
    submissions: Annotated[Path, typer.Option(help="Folder with committed records, for --all.")] = Path("submissions"),
    runs: Annotated[Path, typer.Option(help="Folder of the runs; emptied first, unless --resume.")] = Path(
        "runs/regress"
    ),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a regression that was interrupted.")] = False,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Run every reference method on short streams and compare all answers with the stored ones.

    Where torch's build, the processor's capability and the number of threads are those of then, every answer must be
    equal; elsewhere 98 % of the best answers, and R within what seeds differ by. Time and memory are compared by their
    ratio to a calibration in the same run; they warn only. Exit code 3 where an expectation is not met.
    """
    from rich.console import Console

    from vlcl_bench.regress.regression import Wanted, regress_all

    console = Console(stderr=True)
    wanted = Wanted(
        methods=tuple(methods or ()), everything=everything, update=update, jobs=jobs, threads=threads,
        expectations=expectations, submissions=submissions, runs=runs, resume=resume, store=store,
    )  # fmt: skip
    result = regress_all(wanted, console)
    if as_json:
        emit(result.to_dict())
    else:
        out = Console()
        out.print(verdict_table(result.verdicts))
        for one in result.verdicts:
            if not one.holds:
                out.print(f"{one.name}: {one.state}: {one.words}", markup=False, soft_wrap=True)
                if one.where:
                    out.print(f"    {one.where}", markup=False, soft_wrap=True)
        for one in result.verdicts:
            if one.costly:
                out.print(f"warning: {one.name} {_cost_words(one)}", markup=False, soft_wrap=True)
        out.print(result.words, markup=False, soft_wrap=True)
    if not result.holds or (strict_cost and any(one.costly for one in result.verdicts)):
        raise typer.Exit(3)


def verdict_table(verdicts: tuple[Verdict, ...]) -> Table:
    """A line for each expectation."""
    from rich.table import Table

    table = Table("expectation", "", "answers equal", "Transfer", "Avg", "Last", "time", "memory")
    for one in verdicts:
        moved = [
            "" if name not in one.moved else f"{one.moved[name][1] - one.moved[name][0]:+.1f}"
            for name in ("transfer", "avg", "last")
        ]
        agreement = "" if one.agreement is None else f"{one.agreement:.2f} %"
        table.add_row(one.name, one.state, agreement, *moved, _times(one.time_ratio), _times(one.memory_ratio))
    return table


def register(app: typer.Typer) -> None:
    """Add the command to ``vlcl``."""
    app.command(epilog=EXIT_CODES)(regress)


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"× {ratio:.2f}"


def _cost_words(one: Verdict) -> str:
    found: list[Any] = []
    if one.time_ratio is not None:
        found.append(f"took {one.time_ratio:.2f} times the time expected on this machine")
    if one.memory_ratio is not None:
        found.append(f"{one.memory_ratio:.2f} times the memory")
    return " and ".join(found)
