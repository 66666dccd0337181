"""``vlcl run``."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from vlcl_bench.cli.options import (
    AsJson,
    DataRoot,
    Device,
    HubRoot,
    MethodName,
    ProtocolName,
    Settings,
    StoreFolder,
    Traceback,
    emit,
    whole,
)

if TYPE_CHECKING:
    from vlcl_bench.engine.prepare import KeepStates

Backbone = Annotated[
    str | None,
    typer.Option(
        help="Instead of the protocol's: <open_clip model>/<tag or checkpoint file>, a folder with a model and its "
        "open_clip_config.json, or a file my.py or my.py:factory."
    ),
]
Isolation = Annotated[
    str | None,
    typer.Option(
        envvar="VLCL_ISOLATION",
        help="Where the method lives: inline, process (of its own; the default for a file or a submission), "
        "or container (bubblewrap).",
    ),
]
TimeLimit = Annotated[
    str | None,
    typer.Option(
        metavar="SECONDS",
        help="For each call to a method in its own process, or none; half an hour on mini, else six hours.",
    ),
]
MemoryLimit = Annotated[
    str | None, typer.Option(metavar="SIZE", help="Of a method's own process, such as 8GiB; none by default.")
]
AllowRead = Annotated[
    list[Path] | None,
    typer.Option(help="A file or folder that a method in its own process may read too: weights; repeatable."),
]


def run(
    context: typer.Context,
    protocol: ProtocolName,
    method: MethodName,
    settings: Settings = None,
    seed: Annotated[
        int, typer.Option(parser=whole(), metavar="<int>", help="Seed of everything random in the run.")
    ] = 0,
    backbone: Backbone = None,
    device: Device = "auto",
    out: Annotated[Path | None, typer.Option(help="Folder of this run, instead of runs/<hash>.")] = None,
    runs: Annotated[Path, typer.Option(help="Folder of all runs, in which this one gets <hash>.")] = Path("runs"),
    store: StoreFolder = None,
    data_root: DataRoot = None,
    hub_root: HubRoot = None,
    keep_states: Annotated[
        str, typer.Option(help="Which states of the method to keep when done: none, last or all.")
    ] = "last",
    isolation: Isolation = None,
    time_limit: TimeLimit = None,
    memory_limit: MemoryLimit = None,
    allow_read: AllowRead = None,
    as_json: AsJson = False,
    traceback: Traceback = False,
) -> None:
    """Run a method on a protocol. The same command after a kill continues; a finished run is shown again."""
    from rich.console import Console

    from vlcl_bench.cli.show import print_run, summary
    from vlcl_bench.cli.terminal import terminal
    from vlcl_bench.common.progress import RichReporter
    from vlcl_bench.engine.prepare import Request
    from vlcl_bench.engine.run import run as run_engine
    from vlcl_bench.engine.sandbox.kinds import check_isolation
    from vlcl_bench.engine.sandbox.limits import Limits, parse_bytes, parse_seconds
    from vlcl_bench.methods.card import parse_settings
    from vlcl_bench.methods.registry import MethodRef

    if traceback:
        os.environ["VLCL_TRACEBACK"] = "1"
    request = Request(
        protocol=protocol, method=method, settings=parse_settings(settings or []), seed=seed, backbone=backbone,
        device=device, out=out, runs=runs, store=store, data_root=data_root, hub_root=hub_root,
        keep_states=check_keep_states(keep_states),
        isolation=check_isolation(isolation or MethodRef.parse(method).default_isolation),
        limits=Limits(parse_seconds(time_limit), parse_bytes(memory_limit), tuple(allow_read or ())),
    )  # fmt: skip
    with contextlib.redirect_stdout(sys.stderr):  # what a method prints is not our answer
        outcome = run_engine(request, RichReporter(Console(stderr=True)), started=context.find_root().obj)
    if as_json:
        emit(summary(outcome.folder, outcome.record))
    else:
        print_run(terminal(), outcome.folder, outcome.record)


def check_keep_states(word: str) -> KeepStates:
    """Which states are meant; raises :class:`UsageError` for another word."""
    from vlcl_bench.engine.prepare import KeepStates
    from vlcl_bench.errors import UsageError

    if word not in get_args(KeepStates):
        raise UsageError(
            f"keep_states (--keep-states) {word!r} is not one of {', '.join(get_args(KeepStates))}",
            "Leave it out for the default.",
        )
    return cast("KeepStates", word)


def register(app: typer.Typer) -> None:
    """Add the command to ``vlcl``."""
    app.command()(run)
