"""Options that several commands share, and how a command prints JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from vlcl_bench.common.plain import plain_json

EXIT_CODES = """Exit codes: 0 done; 2 wrong command, name, setting or input file; 3 a damaged file of ours;
4 the method failed; 5 the machine refused (disk, permission, device); 130 interrupted; 1 a bug in vlcl-bench."""

ProtocolName = Annotated[str, typer.Option(help="Name of a protocol; `vlcl protocols` lists them.")]
MethodName = Annotated[
    str, typer.Option(help="A name (`vlcl methods`), a file my.py or my.py:Class, or a submission folder.")
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the method; repeatable.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
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
    """One JSON object on standard output; what a terminal would act on is escaped in it."""
    typer.echo(plain_json(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)))
