"""``vlcl show`` and ``vlcl score``: what a finished run says, and what its answers say."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from vlcl_bench.cli.options import AsJson, emit


def show(
    run_name: Annotated[str, typer.Argument(metavar="RUN", help="A run's folder, or the beginning of its hash.")],
    drift: Annotated[
        bool, typer.Option("--drift", help="How far answers moved since each task was learned, and since stage 0.")
    ] = False,
    seeds: Annotated[
        bool, typer.Option("--seeds", help="What the run logged of its seeds and of its memory, task by task.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show a finished run: its R matrix, metrics, cost and where it ran."""
    from vlcl_bench.cli.show import drift_of, drift_table, find_run, print_run, summary
    from vlcl_bench.cli.terminal import terminal
    from vlcl_bench.records.files import read_record

    folder = find_run(run_name)
    record = read_record(folder)
    with _in_form(folder):
        if drift:
            rows = drift_of(folder, record)
            if as_json:
                emit({"run": record.run_hash, "drift": [vars(row) for row in rows]})
            else:
                terminal().print(drift_table(rows))
        elif seeds:
            from vlcl_bench.cli.seeds import seed_tables, seeds_of

            reports = seeds_of(record)
            if as_json:
                emit({"run": record.run_hash, **reports})
            else:
                for table in seed_tables(reports):
                    terminal().print(table, "")
        elif as_json:
            emit(summary(folder, record))
        else:
            print_run(terminal(), folder, record, full=True)


@contextlib.contextmanager
def _in_form(folder: Path) -> Iterator[None]:
    """What parts of a record that no schema describes do to the code that shows them is an error of the record."""
    from vlcl_bench.errors import IntegrityError

    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        message = f"the record in {folder} cannot be shown: {type(error).__name__}: {str(error)[:200]}"
        raise IntegrityError(message, "Its scores can be counted anew: vlcl score. Else run it again.") from error


def score(
    run_name: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="A run's folder, or the beginning of its hash.")
    ] = None,
    matrix: Annotated[
        Path | None,
        typer.Option(help="CSV or JSON of R instead: no header, a row after each task, in percent."),
    ] = None,
    with_zero_shot: Annotated[
        bool, typer.Option("--with-zero-shot", help="The matrix's first row is row 0, zero-shot.")
    ] = False,
    protocol: Annotated[
        Path | None, typer.Option(help="TOML file of the run's protocol, where it is not one of the package's.")
    ] = None,
    joint: Annotated[
        Path | None, typer.Option(help="JSON file with what a jointly trained model gets right, task by task.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Recompute everything from stored predictions and labels; stored scores are ignored."""
    from vlcl_bench.cli.show import find_run, print_scores, score_matrix, score_run
    from vlcl_bench.cli.terminal import terminal
    from vlcl_bench.errors import UsageError

    if (run_name is None) == (matrix is None):
        raise UsageError("give either a RUN or --matrix FILE", "vlcl score --help shows both.")
    if run_name is None:
        result = score_matrix(matrix, with_zero_shot, joint)  # type: ignore[arg-type]
    else:
        result = score_run(find_run(run_name), protocol, joint)
    if as_json:
        emit(result)
    else:
        print_scores(terminal(), result)


def register(app: typer.Typer) -> None:
    """Add the commands to ``vlcl``."""
    app.command()(show)
    app.command()(score)
