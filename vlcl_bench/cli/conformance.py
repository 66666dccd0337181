"""``vlcl conformance``."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from vlcl_bench.cli.options import AsJson, DataRoot, Device, HubRoot, StoreFolder, Traceback, emit


def conformance(
    protocol: Annotated[str, typer.Option(help="A protocol with a published zero-shot row, such as mtil-1.")],
    backbone: Annotated[str | None, typer.Option(help="Weights of the row's own backbone from a file.")] = None,
    device: Device = "auto",
    store: StoreFolder = None,
    data_root: DataRoot = None,
    hub_root: HubRoot = None,
    as_json: AsJson = False,
    traceback: Traceback = False,
) -> None:
    """Run the zero-shot model and compare every column with the published row; say which is off, and why that may be.

    Exit code 3 where a column is off by more than its tolerance.
    """
    from rich.console import Console

    from vlcl_bench.cli.diagnostics.conformance import check, print_result
    from vlcl_bench.common.progress import RichReporter
    from vlcl_bench.data.interface import Places

    if traceback:
        os.environ["VLCL_TRACEBACK"] = "1"
    places = Places.given(data_root, hub_root)
    result = check(protocol, backbone, device, store, places, RichReporter(Console(stderr=True)))
    if as_json:
        emit(result.to_dict())
    else:
        print_result(Console(), result)
    if not result.conforms:
        raise typer.Exit(3)


def register(app: typer.Typer) -> None:
    """Add the command to ``vlcl``."""
    app.command()(conformance)
