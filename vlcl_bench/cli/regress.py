"""``vlcl regress``: do the reference methods still give what they gave?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlcl_bench.cli.options import EXIT_CODES, AsJson, StoreFolder, emit, whole

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from vlcl_bench.regress.outcomes import Outcome
    from vlcl_bench.regress.regression import Regression

Threads = Annotated[
    int,
    typer.Option(
        parser=whole(1, 4096), metavar="<int>",
        help="Threads of each run; answers are only compared bit by bit for as many as then.",
    ),
]  # fmt: skip


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
    add_machine: Annotated[
        bool,
        typer.Option(
            "--add-machine", help="Store this machine's results, too; only from code that is known to be right."
        ),
    ] = False,
    strict_cost: Annotated[
        bool, typer.Option("--strict-cost", help="Fail where time or memory is half as much again as expected.")
    ] = False,
    jobs: Annotated[int, typer.Option(parser=whole(1, 4096), metavar="<int>", help="Runs at once.")] = 2,
    threads: Threads = 1,
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

    Where results of a machine with torch's build, the processor's capability and the number of threads of this one are
    stored, every answer must be equal; elsewhere 98 % of the best answers of the first machine, and R within what seeds
    differ by. Time and memory are compared by their ratio to a calibration in the same run; they warn only. Exit code 3
    where an expectation is not met.
    """
    from rich.console import Console

    from vlcl_bench.regress.regression import Wanted, regress_all

    console = Console(stderr=True)
    wanted = Wanted(
        methods=tuple(methods or ()), everything=everything, update=update, add_machine=add_machine, jobs=jobs,
        threads=threads, expectations=expectations, submissions=submissions, runs=runs, resume=resume, store=store,
    )  # fmt: skip
    result = regress_all(wanted, console)
    if as_json:
        emit(result.to_dict())
    else:
        print_regression(Console(), result)
    if not result.holds or (strict_cost and any(outcome.costly for outcome in result.outcomes)):
        raise typer.Exit(3)


def print_regression(console: Console, result: Regression) -> None:
    """The outcomes in a table, then what moved, what it cost more, and what to do."""
    console.print(outcome_table(result.outcomes))
    for outcome in result.outcomes:
        if not outcome.holds:
            console.print(f"{outcome.name}: {outcome.state}: {outcome.words}", markup=False, soft_wrap=True)
            if outcome.where:
                console.print(f"    {outcome.where}", markup=False, soft_wrap=True)
    for outcome in result.outcomes:
        if outcome.costly:
            console.print(f"warning: {outcome.name} {_cost_words(outcome)}", markup=False, soft_wrap=True)
    console.print(result.words, markup=False, soft_wrap=True)


def outcome_table(outcomes: tuple[Outcome, ...]) -> Table:
    """A line for each expectation."""
    from rich.table import Table

    from vlcl_bench.scoring.columns import HEADLINES

    shown = [column for column in HEADLINES if any(column.id in outcome.moved for outcome in outcomes)]
    table = Table()
    table.add_column("expectation", overflow="fold")
    for heading in ("", "answers equal", *(column.label for column in shown), "time", "memory"):
        table.add_column(heading)
    for outcome in outcomes:
        moved = [
            ""
            if column.id not in outcome.moved
            else f"{outcome.moved[column.id][1] - outcome.moved[column.id][0]:+.1f}"
            for column in shown
        ]
        agreement = "" if outcome.agreement is None else f"{outcome.agreement:.2f} %"
        costs = (_times(ratio) for ratio in (outcome.time_ratio, outcome.memory_ratio))
        table.add_row(outcome.name, outcome.state, agreement, *moved, *costs)
    return table


def register(app: typer.Typer) -> None:
    """Add the command to ``vlcl``."""
    app.command(epilog=EXIT_CODES)(regress)


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"× {ratio:.2f}"


def _cost_words(outcome: Outcome) -> str:
    costs: list[str] = []
    if outcome.time_ratio is not None:
        costs.append(f"took {outcome.time_ratio:.2f} times the time expected on this machine")
    if outcome.memory_ratio is not None:
        costs.append(f"{outcome.memory_ratio:.2f} times the memory")
    return " and ".join(costs)
