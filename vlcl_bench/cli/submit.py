"""``vlcl submit``: a submission from its first file to its records."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlcl_bench.cli.options import EXIT_CODES, AsJson, StoreFolder, Traceback, emit
from vlcl_bench.cli.submit_rerun import register as register_rerun
from vlcl_bench.cli.terminal import say, terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from vlcl_bench.submissions.finding import Finding

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
    say(f"wrote {made}/method.py and {made}/submission.toml")
    say(f"write your method, fill in what says TODO, then: vlcl submit check {made}")


def _list_contracts(wanted: bool) -> None:
    if not wanted:
        return
    from vlcl_bench.submissions.contracts.checks import CHECKS

    for contract in CHECKS:
        say(f"{contract.name}: {' '.join(contract.requirement.split())} [{', '.join(contract.codes)}]")
    raise typer.Exit


@submit_app.command("check")
def check(
    folder: Annotated[Path, typer.Argument(help="Folder of the submission.")],
    data_only: Annotated[
        bool, typer.Option("--data-only", help="Look at the files only; nothing of the submission is imported or run.")
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Examine this contract of the method only, and those without which it cannot be judged. Repeatable.",
        ),
    ] = None,
    _list: Annotated[
        bool,
        typer.Option(
            "--list", is_eager=True, callback=_list_contracts, help="List the contracts of a method, and do nothing."
        ),
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

    from vlcl_bench.errors import UsageError
    from vlcl_bench.submissions.check import check_data

    if traceback:
        os.environ["VLCL_TRACEBACK"] = "1"
    if only and data_only:
        raise UsageError("--only names a contract of the method, which --data-only leaves out", "Give one of the two.")
    findings = check_data(folder)
    tried = not data_only and not any(finding.is_error and finding.code in NO_METHOD for finding in findings)
    if tried:
        from rich.console import Console

        from vlcl_bench.common.progress import RichReporter
        from vlcl_bench.submissions.contracts.process import check_contract

        reporter = RichReporter(Console(stderr=True))
        findings += check_contract(folder, store=store, reporter=reporter, only=only or ())
    _say(folder, findings, as_json, tried, data_only)
    if any(finding.is_error for finding in findings):
        raise typer.Exit(3)


NO_METHOD = {"no-folder", "link", "method-path", "method-unreadable", "name-taken", "toml-unreadable", "toml-encoding",
             "toml-syntax"}  # fmt: skip
"""Errors after which there is no method that could be tried, or none that should."""


def _say(folder: Path, findings: Sequence[Finding], as_json: bool, tried: bool, data_only: bool) -> None:
    """All findings, for people or for programs."""

    if as_json:
        errors = sum(finding.is_error for finding in findings)
        facts = [asdict(finding) for finding in findings]
        emit({"folder": str(folder), "method_tried": tried, "errors": errors, "findings": facts})
        return
    print_findings(terminal(), folder, findings)
    if not tried:
        say(f"The method was not tried out, {'as you asked' if data_only else 'because of the errors above'}.")


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
        emit({"added": [{"folder": str(run.folder), "run": run.record.run_hash, "bytes": run.size,
                         "was_there": run.before, "note": run.note} for run in added]})  # fmt: skip
        return
    for run in added:
        identity = run.record.identity
        did = "was there already" if run.before else f"added, {run.size / 1000:,.0f} KB"
        say(f"{run.folder}: {identity.protocol}, seed {identity.seed}: {did}")
        if run.note:
            say(f"  {run.note}")
    say(f"next: vlcl submit check {to}, then vlcl leaderboard build")


def print_findings(console: Console, folder: Path, findings: Sequence[Finding]) -> None:
    """Each finding with its place and what to do, errors first; nothing in them is interpreted."""
    from rich.text import Text

    from vlcl_bench.common.plain import plain

    for finding in sorted(findings, key=lambda finding: not finding.is_error):
        style = "bold red" if finding.is_error else "yellow"
        line = Text.assemble(
            (f"{finding.severity}: ", style),
            (f"{plain(finding.where)}: ", "bold"),
            plain(finding.message, lines=True),
        )
        console.print(line, Text(f" [{finding.code}]", "dim"), soft_wrap=True, sep="")
        if finding.hint:
            console.print(Text(f"  {plain(finding.hint, lines=True)}"), soft_wrap=True)
    errors = sum(finding.is_error for finding in findings)
    remarks = len(findings) - errors
    rest = f", {remarks} remark{'s' * (remarks != 1)}" if remarks else ""
    count = f"{errors} error{'s' * (errors != 1)}" if errors else "no error"
    console.print(Text(f"{plain(str(folder))}: {count}{rest}"), soft_wrap=True)


def register(app: typer.Typer) -> None:
    """Add the commands to ``vlcl``."""
    app.add_typer(submit_app, name="submit")


register_rerun(submit_app)
