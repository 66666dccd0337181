"""``vlcl backbones``: the backbones that can be named, a start for a new one, and new canaries for a corrected one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vlcl_bench.cli.options import AsJson, emit
from vlcl_bench.cli.terminal import say

backbones_app = typer.Typer(
    help="List the backbones, write a start for one of your own, or renew its canaries.", invoke_without_command=True
)
OTHERS = (
    "Beside these: <model>/<checkpoint file>, a folder with open_clip_config.json and a checkpoint (local-dir:FOLDER), "
    "and any encoder in a Python file: `vlcl backbones new my_backbone.py`, then `vlcl run --backbone my_backbone.py …`"
)


@backbones_app.callback()
def backbones(context: typer.Context, as_json: AsJson = False) -> None:
    """List the backbones that can be named: those that come with the project, and open_clip's published weights."""
    if context.invoked_subcommand is not None:
        return
    from vlcl_bench.backbones.names import published, shipped

    names = {"shipped": list(shipped()), "open_clip": list(published())}
    if as_json:
        emit(names)
        return
    # Whole names, a line each: they are there to be copied.
    for source, words in (("shipped", "With this project:"), ("open_clip", "open_clip's, fetched when first used:")):
        say(words)
        for name in names[source]:
            say(f"  {name}")
    say(OTHERS)


@backbones_app.command("new")
def new(
    path: Annotated[Path, typer.Argument(help="File to write; it must not exist yet.")],
    image_size: Annotated[
        int, typer.Option(help="Side of its pictures in pixels: 48 on the mini streams, else the protocol's.")
    ] = 48,
) -> None:
    """Write a working start for a backbone of your own."""
    from vlcl_bench.backbones.template import write_template

    write_template(path, image_size)
    where = "mini-dev" if image_size == 48 else "my-stream.toml"
    say(f"wrote {path}; try it with: vlcl run --protocol {where} --backbone {path} --method zero_shot")


@backbones_app.command("renew")
def renew(
    name: Annotated[str, typer.Argument(help="The backbone, as `vlcl run --backbone` names it.")],
    as_json: AsJson = False,
) -> None:
    """Take what a backbone gives now as right: its canaries of an earlier first use are replaced.

    Do this after you have corrected its file. The project's own canaries are not renewed.
    """
    from vlcl_bench.backbones import canary, load_backbone
    from vlcl_bench.common.places import data_home

    path = canary.renew(load_backbone(name), data_home() / "canaries")
    emit({"written": str(path)}) if as_json else say(f"wrote {path}; runs are compared with it from now on")


def register(app: typer.Typer) -> None:
    """Add the commands to ``vlcl``."""
    app.add_typer(backbones_app, name="backbones")
