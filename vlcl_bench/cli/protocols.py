"""``vlcl protocols``: the streams that can be named, and a start for one of your own."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vlcl_bench.cli.options import AsJson, DataRoot, emit
from vlcl_bench.cli.terminal import say

if TYPE_CHECKING:
    from rich.table import Table

    from vlcl_bench.protocols.found import FoundSet
    from vlcl_bench.protocols.stream import Protocol
    from vlcl_bench.protocols.template import Encoder

protocols_app = typer.Typer(
    help="List the protocols, or write a start for your own pictures.", invoke_without_command=True
)


@protocols_app.callback()
def protocols(context: typer.Context, as_json: AsJson = False) -> None:
    """List the protocols (tasks, budget, fingerprint), or write a start for your own pictures."""
    if context.invoked_subcommand is not None:
        return
    from rich.console import Console

    from vlcl_bench.protocols.load import load_protocol, protocol_names

    streams = [load_protocol(name) for name in protocol_names()]
    if as_json:
        emit({"protocols": [facts(stream) for stream in streams]})
    else:
        console = Console()
        console.print(protocol_table(streams))
        console.print("Your own pictures: `vlcl protocols new my-stream.toml --data-root DIR`", highlight=False)


@protocols_app.command("new")
def new(
    path: Annotated[Path, typer.Argument(help="File to write, such as my-stream.toml.")],
    data_root: DataRoot = None,
    data_set: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="A folder below --data-root; repeatable, in this order. All, if none is named."
        ),
    ] = None,
    classes_per_task: Annotated[
        int | None, typer.Option(metavar="N", help="Cut each data set into tasks of N classes.")
    ] = None,
    backbone: Annotated[
        str | None, typer.Option(help="Name of the backbone (default: the small one that comes with the package).")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a complete protocol over the pictures in --data-root: NAME/train|test/CLASS/PICTURE. It runs as it is.

    Folders of classes that are not divided yet (NAME/CLASS/PICTURE) are divided four to one.
    """
    from vlcl_bench.data.interface import Places
    from vlcl_bench.errors import UsageError
    from vlcl_bench.protocols.found import LAYOUT, find_sets, passed_over
    from vlcl_bench.protocols.load import load_protocol
    from vlcl_bench.protocols.template import check_target, write_start

    check_target(path, force)
    root = Places.given(data_root, None).root
    if root is None:
        raise UsageError("--data-root is missing: the folder that holds your pictures", f"They lie there as {LAYOUT}.")
    sets = find_sets(root, data_set or [])
    write_start(path, sets, encoder(backbone), classes_per_task)
    stream = load_protocol(str(path))
    left = [] if data_set else passed_over(root, sets)
    command = f"vlcl run --protocol {shlex.quote(str(path))} --data-root {shlex.quote(str(root))} --method zero_shot"
    if as_json:
        found = [
            {
                "name": one.spec.name, "folder": one.spec.folders[0], "layout": one.spec.layout, "train": one.train,
                "test": one.test, "classes": list(one.spec.class_names), "nameless": list(one.nameless),
            }
            for one in sets
        ]  # fmt: skip
        facts = {"file": str(path), "protocol": stream.name, "tasks": stream.task_names, "data_sets": found}
        emit({**facts, "passed_over": left, "run": command})
        return
    count = len(stream.tasks)
    say(f"wrote {path}: {count} task{'s' if count > 1 else ''}: {', '.join(stream.task_names)}")
    for one in sets:
        _say(one, path)
    if left:
        say(f"passed over, for they have not both train and test: {', '.join(left)}", err=True)
    say(f"try it with: {command}")


def _say(one: FoundSet, path: Path) -> None:
    """What was found of a data set, and which of its names somebody has to write."""
    classes = f"{len(one.spec.class_names)} classes, " if one.spec.class_names else ""
    say(f"{one.spec.name}: {classes}{one.train:,} training and {one.test:,} test pictures")
    if one.nameless:
        have = "1 class has" if len(one.nameless) == 1 else f"{len(one.nameless)} classes have"
        say(
            f"  {have} no name yet ({one.nameless[0]!r} …): write class_names of "
            f"{one.spec.name} in {path}; source_names maps them to their folders",
            err=True,
        )


def encoder(name: str | None) -> Encoder:
    """What a new protocol says of a backbone, by default of the one that comes with a world; no weights are fetched.

    Raises :class:`UsageError` as :func:`~vlcl_bench.backbones.load_backbone` does.
    """
    from vlcl_bench.data.world import world_of_source, worlds
    from vlcl_bench.protocols.template import Encoder

    shipped = {called: (world.scale, load) for world in worlds() for called, load in world.backbones().items()}
    chosen = name or next(iter(shipped))
    if chosen in shipped:
        scale, load = shipped[chosen]
        return Encoder(chosen, load().image_size, scale, 3e-4)
    return Encoder(chosen, _side(chosen), world_of_source("real").scale, 1e-5)


def _side(name: str) -> int:
    """The side of the pictures that a backbone takes; open_clip knows it of its models without their weights."""
    import open_clip

    from vlcl_bench.backbones import load_backbone

    model, _, tag = name.partition("/")
    size = None
    if tag and open_clip.get_pretrained_cfg(model, tag):
        size = (open_clip.get_model_config(model) or {}).get("vision_cfg", {}).get("image_size")
    return size if isinstance(size, int) else load_backbone(name).image_size


def facts(protocol: Protocol) -> dict[str, Any]:
    """A protocol as one JSON object."""
    stated = protocol.model_dump(mode="json", by_alias=True, exclude={"data"})
    return {**stated, "steps": protocol.task_names, "fingerprint": fingerprint(protocol), "frozen": protocol.frozen}


def fingerprint(protocol: Protocol) -> str | None:
    """A protocol's fingerprint; ``None`` where it cannot be known before the first use of its data."""
    return None if protocol.missing_manifests() else protocol.fingerprint


def protocol_table(streams: list[Protocol]) -> Table:
    """A line for each protocol."""
    from rich.table import Table

    table = Table("protocol", "what it is", "tasks", "budget a task", "fingerprint")
    for protocol in streams:
        counts = {
            name: sum(protocol.dataset_names[task.dataset] == name for task in protocol.tasks)
            for name in protocol.dataset_names
        }
        parts = [name if count == 1 else f"{name} in {count}" for name, count in counts.items()]
        digest = fingerprint(protocol)
        shown = "needs its data" if digest is None else digest[:12] + ("" if protocol.frozen else " (first use)")
        table.add_row(
            protocol.name,
            protocol.title + ("" if protocol.ranked else " (never ranked)"),
            f"{len(protocol.tasks)}: " + ", ".join(parts),
            f"{protocol.budget.steps} steps of {protocol.budget.batch_size}",
            shown,
        )
    return table


def register(app: typer.Typer) -> None:
    """Add the commands to ``vlcl``."""
    app.add_typer(protocols_app, name="protocols")
