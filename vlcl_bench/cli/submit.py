"""``vlcl submit``: a submission from its first file to its records."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlcl_bench.cli.options import EXIT_CODES, AsJson, StoreFolder, Traceback, emit
from vlcl_bench.cli.submit_rerun import register as register_rerun

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from vlcl_bench.submissions.finding import Fault

submit_app = typer.Typer(
    help="Submit a method: write it, check it, add its runs.", no_args_is_help=True, epilog=EXIT_CODES
)


@submit_app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Name of the submission: letters, digits, - and _.")],
    folder: Annotated[Path, typer.Option(help="Folder of all submissions.")] = Path("submissions"),
) -> None:
    """Write a folder with a method that runs as it is, and a submission.toml to fill in."""
    from vlcl_bench.submissions.new import new_submission

    made = new_submission(name, folder)
    typer.echo(f"wrote {made}/method.py and {made}/submission.toml")
    typer.echo(f"write your method, fill in what says TODO, then: vlcl submit check {made}")


@submit_app.command("check")
def check(
    folder: Annotated[Path, typer.Argument(help="Folder of the submission.")],
    data_only: Annotated[
        bool, typer.Option("--data-only", help="Look at the files only; nothing of the submission is imported or run.")
    ] = False,
    store: StoreFolder = None,
    as_json: AsJson = False,
    traceback: Traceback = False,
) -> None:
    """Say everything that is wrong with a submission, all at once, with what to do. Exit code 3 where it is refused.

    Its files and records are read as data first. Then, without --data-only, its method is imported and tried out: only
    do that with code that you trust.
    """
    import os

    from rich.console import Console

    from vlcl_bench.submissions.check import check_data

    if traceback:
        os.environ["VLCL_TRACEBACK"] = "1"
    faults = check_data(folder)
    tried = not data_only and not any(fault.severe and fault.code in NO_METHOD for fault in faults)
    if tried:
        from vlcl_bench.common.progress import RichReporter
        from vlcl_bench.submissions.contracts.process import check_contract

        faults += check_contract(folder, store=store, reporter=RichReporter(Console(stderr=True)))
    severe = sum(fault.severe for fault in faults)
    if as_json:
        found = [asdict(fault) for fault in faults]
        emit({"folder": str(folder), "method_tried": tried, "severe": severe, "faults": found})
    else:
        print_faults(Console(), folder, faults)
        if not tried:
            why = "as you asked" if data_only else "because of the faults above"
            typer.echo(f"The method was not tried out, {why}.")
    if severe:
        raise typer.Exit(3)


NO_METHOD = {"no-folder", "link", "method-path", "method-unreadable", "name-taken", "toml-unreadable", "toml-encoding",
             "toml-syntax"}  # fmt: skip
"""Faults after which there is no method that could be tried, or none that should."""


@submit_app.command("add")
def add(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="Folders of runs, or the beginnings of their hashes.")
    ],
    to: Annotated[Path, typer.Option("--to", help="Folder of the submission.")],
    runs_folder: Annotated[Path, typer.Option("--runs", help="Folder in which hashes are looked for.")] = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Copy finished runs of a submission into it, compact. Doing it again changes nothing."""
    from vlcl_bench.cli.show import find_run
    from vlcl_bench.submissions.add import add_runs

    added = add_runs([find_run(run, runs_folder) for run in runs], to)
    if as_json:
        emit({"added": [{"folder": str(one.folder), "run": one.record.run_hash, "bytes": one.size,
                         "was_there": one.before, "note": one.note} for one in added]})  # fmt: skip
        return
    for one in added:
        identity = one.record.identity
        did = "was there already" if one.before else f"added, {one.size / 1000:,.0f} KB"
        typer.echo(f"{one.folder}: {identity.protocol}, seed {identity.seed}: {did}")
        if one.note:
            typer.echo(f"  {one.note}")
    typer.echo(f"next: vlcl submit check {to}, then vlcl leaderboard build")


def print_faults(console: Console, folder: Path, faults: Sequence[Fault]) -> None:
    """Each fault with its place and what to do, what refuses the submission first; nothing in them is interpreted."""
    from rich.text import Text

    for fault in sorted(faults, key=lambda one: not one.severe):
        style, word = ("bold red", "fault") if fault.severe else ("yellow", "note")
        line = Text.assemble((f"{word}: ", style), (f"{_plain(fault.where)}: ", "bold"), _plain(fault.message))
        console.print(line, Text(f" [{fault.code}]", "dim"), soft_wrap=True, sep="")
        if fault.hint:
            console.print(Text(f"  {_plain(fault.hint)}"), soft_wrap=True)
    severe = sum(fault.severe for fault in faults)
    rest = len(faults) - severe
    notes = f", {rest} note{'s' * (rest != 1)}" if rest else ""
    verdict = f"{severe} fault{'s' * (severe != 1)}" if severe else "no fault"
    console.print(Text(f"{_plain(str(folder))}: {verdict}{notes}"), soft_wrap=True)


def _plain(text: str) -> str:
    """Nothing that a terminal would act on."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def register(app: typer.Typer) -> None:
    """Add the commands to ``vlcl``."""
    app.add_typer(submit_app, name="submit")


register_rerun(submit_app)
