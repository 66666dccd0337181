"""``vlcl submit rerun``: run a submission again here."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vlcl_bench.cli.options import AsJson, StoreFolder, Traceback, emit
from vlcl_bench.cli.terminal import say

if TYPE_CHECKING:
    from vlcl_bench.submissions.rerun import Result


def register(app: typer.Typer) -> None:
    """Add the command to ``vlcl submit``."""
    app.command("rerun")(rerun)


def rerun(
    folder: Annotated[Path, typer.Argument(help="Folder of the submission.")],
    run: Annotated[
        str | None, typer.Option(metavar="HASH", help="Only the record whose hash begins so; all by default.")
    ] = None,
    store: StoreFolder = None,
    runs: Annotated[Path, typer.Option(help="Folder of the runs that are made again.")] = Path("runs/reruns"),
    isolation: Annotated[
        str | None,
        typer.Option(envvar="VLCL_ISOLATION", help="Where the method lives: inline, process or container."),
    ] = None,
    as_json: AsJson = False,
    traceback: Traceback = False,
) -> None:
    """Run a submission's records again here and compare every answer; exit code 3 where one is not confirmed.

    On equal machines (torch build, processor capability, threads) predictions must be equal, elsewhere at least 98 %
    of the first answers, and R within its spread over seeds. A record that is confirmed gets a rerun.json, and the
    badge "rerun" on the board.
    """
    import contextlib
    import os
    import sys

    from rich.console import Console

    from vlcl_bench.common.progress import RichReporter
    from vlcl_bench.submissions.rerun import Means, rerun_submission

    if traceback:
        os.environ["VLCL_TRACEBACK"] = "1"
    with contextlib.redirect_stdout(sys.stderr):  # what a method prints is not our answer
        results = rerun_submission(folder, RichReporter(Console(stderr=True)), run, Means(store, runs, isolation))
    if as_json:
        emit({"folder": str(folder), "reruns": [_facts(result) for result in results]})
    else:
        for result in results:
            for line in _lines(result):
                say(line)
    if any(result.findings for result in results):
        raise typer.Exit(3)


def _facts(result: Result) -> dict[str, Any]:
    identity = result.record.identity
    return {
        "run": result.record.run_hash,
        "protocol": identity.protocol,
        "seed": identity.seed,
        "confirmed": result.rerun is not None,
        "identical": result.rerun is not None and result.rerun.identical,
        "agreement": result.share,
        "not_exact_because": list(result.reasons),
        "findings": [asdict(finding) for finding in result.findings],
    }


def _lines(result: Result) -> list[str]:
    identity = result.record.identity
    name = f"{result.record.run_hash} ({identity.protocol}, seed {identity.seed})"
    if result.rerun is None:
        return [f"{name}: NOT confirmed", *(f"  {finding.message}" for finding in result.findings)]
    how = "every prediction is equal" if result.rerun.identical else f"{result.rerun.share:.2f} % of the answers equal"
    elsewhere = [f"  equal bytes could not be expected: {'; '.join(result.reasons)}"] if result.reasons else []
    return [f"{name}: confirmed, {how}", *elsewhere]
