"""Options that several commands share, and how a command prints JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from vlcl_bench.common import streams
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


DIGITS = 20
"""Of a number in a message; more than any number has that is taken."""


def whole(least: int | None = None, most: int = 2**60) -> Callable[[object], int]:
    """A parser of whole numbers as people write them (Python's own takes ``1_0`` for 10)."""

    def number(text: object) -> int:
        written = str(text).strip()
        if not re.fullmatch(r"[+-]?[0-9]+", written):
            raise typer.BadParameter(f"{str(text)[:40]!r} is not a whole number.")
        lowest, sign = -most if least is None else least, "-" if written.startswith("-") else ""
        digits = written.lstrip("+-").lstrip("0") or "0"
        found = int(sign + digits) if len(digits) <= DIGITS else None  # Python reads no number of thousands of digits
        if found is None or not lowest <= found <= most:
            shown = f"{sign}{digits[:DIGITS]}…" if found is None else found
            raise typer.BadParameter(f"{shown} is not from {lowest} to {most}.")
        return found

    return number


def emit(value: Any) -> None:
    """One JSON object on standard output: what a terminal would act on is escaped, or all where not all can be written.

    The value is the same in both.
    """
    text = plain_json(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))
    streams.say(text if streams.can_write(text) else json.dumps(value, indent=2, allow_nan=False))
