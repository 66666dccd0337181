"""Options that several commands share, and how a command prints JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output, for programs.")]
DataRoot = Annotated[
    Path | None,
    typer.Option(
        help="Folder with real data sets as their official archives unpack (default: $VLCL_DATA_ROOT, else the hub)."
    ),
]
HubRoot = Annotated[
    Path | None,
    typer.Option(help="Folder with local copies of hub repositories, OWNER/NAME (default: $VLCL_HUB_ROOT)."),
]
StoreFolder = Annotated[
    Path | None,
    typer.Option(help="Folder of decoded pictures (default: $VLCL_STORE or the user's cache)."),
]
Traceback = Annotated[bool, typer.Option("--traceback", help="Show where an error happened.")]


def emit(value: Any) -> None:
    """One JSON object on standard output."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))
