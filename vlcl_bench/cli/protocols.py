"""``vlcl protocols``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from vlcl_bench.cli.options import AsJson, emit

if TYPE_CHECKING:
    from rich.table import Table

    from vlcl_bench.protocols.stream import Protocol


def protocols(as_json: AsJson = False) -> None:
    """List the protocols: tasks, budget, fingerprint."""
    from rich.console import Console

    from vlcl_bench.protocols.load import load_protocol, protocol_names

    streams = [load_protocol(name) for name in protocol_names()]
    if as_json:
        emit({"protocols": [facts(stream) for stream in streams]})
    else:
        Console().print(protocol_table(streams))


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
    """Add the command to ``vlcl``."""
    app.command()(protocols)
