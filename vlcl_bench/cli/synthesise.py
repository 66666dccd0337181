"""``vlcl synthesise``: make a run's synthetic pictures beforehand, in as many processes as one likes."""

from __future__ import annotations

from typing import Annotated

import typer

from vlcl_bench.cli.options import EXIT_CODES, AsJson, StoreFolder, emit, whole
from vlcl_bench.cli.terminal import say


def synthesise(
    protocol: Annotated[str, typer.Option(help="Name of a protocol; `vlcl protocols` lists them.")],
    method: Annotated[str, typer.Option(help="A method that declares a generator, gift for instance.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting of the method; repeatable."),
    ] = None,
    seed: Annotated[int, typer.Option(parser=whole(), metavar="<int>", help="Seed of the run.")] = 0,
    share: Annotated[
        str, typer.Option(metavar="K/N", help="Only the K-th of N parts: one process for each, on as many devices.")
    ] = "1/1",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Make the pictures that a run of a method will ask for; the run then finds them in the store.

    Prompts and seeds follow from the protocol, the settings and the seed alone, so nothing of the run is needed. The
    same command after a kill continues.
    """
    from rich.console import Console

    from vlcl_bench.common.progress import RichReporter
    from vlcl_bench.common.seeds import check_seed
    from vlcl_bench.data.store import Store
    from vlcl_bench.engine.provenance import choose_device
    from vlcl_bench.engine.synthesis import Share, fill_share
    from vlcl_bench.errors import UsageError
    from vlcl_bench.methods.card import MethodCard, parse_settings
    from vlcl_bench.methods.registry import load_method
    from vlcl_bench.protocols.load import load_protocol

    first, slash, second = share.partition("/")
    digits = (first + second).isascii() and first.isdigit() and second.isdigit()
    if not (slash and digits and len(share) < 20 and 1 <= int(first) <= int(second)):
        raise UsageError(f"--share {share!r} is not of the form K/N with 1 <= K <= N", "For instance: --share 2/4")
    check_seed(seed)
    stream = load_protocol(protocol)
    card = MethodCard.of(load_method(method), parse_settings(settings or []), stream.scale)
    part, reporter = Share(int(first), int(second)), RichReporter(Console(stderr=True))
    done = fill_share(stream, card, seed, part, Store(store).root, choose_device(device), reporter)
    if as_json:
        emit({"made": done.made, "found": done.found, "blank": done.blank})
    else:
        say(f"{done.made} pictures made, {done.found} found, {done.blank} blank ones made again")


def register(app: typer.Typer) -> None:
    """Add the command to ``vlcl``."""
    app.command(epilog=EXIT_CODES)(synthesise)
