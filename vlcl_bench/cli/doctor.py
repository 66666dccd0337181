"""``vlcl doctor``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vlcl_bench.cli.options import AsJson, HubRoot, StoreFolder, emit
from vlcl_bench.cli.terminal import say

STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(doctor)


def doctor(
    backbone: Annotated[
        str, typer.Option(help="The backbone to check: <model>/<tag>, <model>/<checkpoint file>, or a folder.")
    ] = "vlcl-mini/v1",
    data_root: Annotated[
        Path | None,
        typer.Option(help="Folder of the real data sets, to see which are there (default: $VLCL_DATA_ROOT)."),
    ] = None,
    hub_root: HubRoot = None,
    store: StoreFolder = None,
    device: Annotated[str, typer.Option(help="Where the backbone is checked and timed: auto, cpu, cuda, cuda:1.")] = (
        "auto"
    ),
    write_canary: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Only compute the backbone's canary embeddings and write them here."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check this machine: device, precision, versions, disk, data, and that the backbone computes what it should.

    Ends with 0 if nothing is a problem (warnings are allowed), with 5 otherwise.
    """
    from rich.console import Console
    from rich.text import Text

    from vlcl_bench.cli.diagnostics.diagnosis import worst
    from vlcl_bench.cli.diagnostics.doctor import as_object, examine
    from vlcl_bench.errors import MachineError

    if write_canary is not None:
        _write_canary(backbone, write_canary, as_json)
        return
    console, diagnoses = Console(soft_wrap=True), []
    for diagnosis in examine(backbone, data_root, hub_root, store, device):
        diagnoses.append(diagnosis)
        if not as_json:
            mark = (f"{diagnosis.status:<8}", STYLES[diagnosis.status])
            console.print(Text.assemble(mark, (f"{diagnosis.topic:<10}", "bold"), diagnosis.text))
            if diagnosis.hint:
                console.print(Text(" " * 18 + diagnosis.hint, style="dim" if diagnosis.status == "ok" else ""))
    if as_json:
        emit(as_object(diagnoses))
    if worst(diagnoses) == "problem":
        raise typer.Exit(MachineError.exit_code)


def _write_canary(backbone: str, folder: Path, as_json: bool) -> None:
    from vlcl_bench.backbones import canary, load_backbone

    path = canary.write(load_backbone(backbone), folder)
    if as_json:
        emit({"written": str(path)})
    else:
        say(f"wrote {path}")
