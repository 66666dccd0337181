"""``vlcl leaderboard``: the board from records, written or compared with the one that is there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vlcl_bench.cli.options import AsJson, emit
from vlcl_bench.cli.terminal import say

leaderboard_app = typer.Typer(help="Build the leaderboard from records.", no_args_is_help=True)


@leaderboard_app.command("build")
def build(
    local: Annotated[
        bool,
        typer.Option("--local", help="Build runs/board/ from runs/ instead of leaderboard/ from submissions/."),
    ] = False,
    runs: Annotated[Path | None, typer.Option(help="Folder whose runs are taken, instead of the default.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write, instead of the default.")] = None,
    include_unverifiable: Annotated[
        bool, typer.Option("--include-unverifiable", help="Show published claims that nobody can check, too.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail with the difference where the board there is stale.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Build the board: every record is scored again from its predictions; the same records give the same bytes.

    A record that is damaged is named, and the board is built without it; the exit code is then 3.
    """
    from vlcl_bench.board.build import build_from_runs, check_board
    from vlcl_bench.common.places import named
    from vlcl_bench.errors import UsageError
    from vlcl_bench.submissions.declared import SubmissionDeclarations

    if runs is not None and out is None and not local:
        raise UsageError(
            "--runs alone would write leaderboard/, which is made from submissions/ only",
            "Add --out FOLDER, or use --local.",
        )
    folder = named(out or (Path("runs/board") if local else Path("leaderboard")), "the board", "--out")
    make = check_board if check else build_from_runs
    source = runs or Path("runs" if local else "submissions")
    result = make(source, folder, SubmissionDeclarations(), include_unverifiable=include_unverifiable)
    if as_json:
        emit(result)
    else:
        own, kept = result["own"], result["runs"] - result["rescored"] - result["own"]
        reported = f", {own} on protocols of your own too (never ranked)" if own else ""
        reported += f", {kept} shown as reported (their manifests are not in this repository)" if kept else ""
        state = "the board is up to date" if check else "board"
        say(f"{result['rescored']} runs scored again{reported}; {state}: {folder / 'README.md'}")
        for fault in result["faults"]:
            say(f"left out: {fault['folder']}: {fault['message']}\n  {fault['hint']}", err=True)
    if result["faults"]:
        raise typer.Exit(3)


def register(app: typer.Typer) -> None:
    """Add the commands to ``vlcl``."""
    app.add_typer(leaderboard_app, name="leaderboard")
