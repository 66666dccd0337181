"""``vlcl methods``: the methods that can be named, and a start for a new one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vlcl_bench.cli.options import AsJson, emit
from vlcl_bench.cli.terminal import say

methods_app = typer.Typer(help="List the methods, or write a start for a new one.", invoke_without_command=True)


@methods_app.callback()
def methods(context: typer.Context, as_json: AsJson = False) -> None:
    """List the methods that can be named, or write a start for a new one."""
    if context.invoked_subcommand is not None:
        return
    from rich.console import Console
    from rich.table import Table

    from vlcl_bench.methods.registry import list_methods

    infos = list_methods()
    if as_json:
        emit({"methods": [vars(info) for info in infos]})
        return
    table = Table("name", "title", "what it is", "from")
    for info in infos:
        table.add_row(info.name, info.title, info.summary, info.source)
    console = Console()
    console.print(table)
    console.print("Your own: `vlcl methods new my_method.py`, then `vlcl run --method my_method.py …`")


@methods_app.command("new")
def new(path: Annotated[Path, typer.Argument(help="File to write; it must not exist yet.")]) -> None:
    """Write a working start for a new method."""
    from vlcl_bench.methods.template import write_template

    write_template(path)
    say(f"wrote {path}; try it with: vlcl run --protocol mini-mtil-1 --method {path}")


def register(app: typer.Typer) -> None:
    """Add the commands to ``vlcl``."""
    app.add_typer(methods_app, name="methods")
