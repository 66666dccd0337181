"""``vlcl show`` and ``vlcl score``: what a finished run says, and what its answers say."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from vlcl_bench.cli.options import AsJson, emit
from vlcl_bench.cli.terminal import say, terminal

MatrixSays = bool | None
"""What an option says of a matrix file; without it the file decides where it can be read in one way only."""


def show(
    run_name: Annotated[str, typer.Argument(metavar="RUN", help="A run's folder, or the beginning of its hash.")],
    drift: Annotated[
        bool, typer.Option("--drift", help="How far answers moved since each task was learned, and since stage 0.")
    ] = False,
    seeds: Annotated[
        bool, typer.Option("--seeds", help="What the run logged of its seeds and of its memory, task by task.")
    ] = False,
    matrix: Annotated[
        Path | None, typer.Option(help="Write R, row 0 first, to this .csv or .json file, and nothing else.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show a finished run: its R matrix, metrics, cost and where it ran."""
    from vlcl_bench.cli.show import drift_of, drift_table, find_run, print_run, summary
    from vlcl_bench.records.files import read_record

    folder = find_run(run_name)
    record = read_record(folder)
    with _in_form(folder):
        if matrix is not None:
            from vlcl_bench.cli.export import write_matrix

            say(f"R of {folder}: {write_matrix(matrix, record.scores)}")
        elif drift:
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
        typer.Option(help="CSV or JSON of R instead: a row after each task, a column for each, in percent."),
    ] = None,
    with_zero_shot: Annotated[
        bool, typer.Option("--with-zero-shot", help="The matrix's first row is row 0, zero-shot.")
    ] = False,
    lower: Annotated[
        MatrixSays, typer.Option(help="Only what was evaluated so far counts, up to the diagonal.")
    ] = None,
    header: Annotated[MatrixSays, typer.Option(help="The first line names the columns.")] = None,
    index: Annotated[MatrixSays, typer.Option(help="The first column names or counts the rows.")] = None,
    means: Annotated[
        MatrixSays, typer.Option(help="A last row or column that equals the others' mean is no task.")
    ] = None,
    fractions: Annotated[MatrixSays, typer.Option(help="Scores are from 0 to 1.")] = None,
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
    from vlcl_bench.errors import UsageError
    from vlcl_bench.scoring.matrix_parts import Reading

    if (run_name is None) == (matrix is None):
        raise UsageError("give either a RUN or --matrix FILE", "vlcl score --help shows both.")
    if run_name is None:
        reading = Reading(with_zero_shot, lower, header, index, means, fractions)
        result = score_matrix(matrix, reading, joint)  # type: ignore[arg-type]
        for note in result["notes"]:
            say(f"note: {note}", err=True)
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
