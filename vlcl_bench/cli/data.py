"""``vlcl data``: what the data sets are, what is here of them, whether it is right, and what the store may forget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vlcl_bench.cli.options import EXIT_CODES, AsJson, DataRoot, HubRoot, StoreFolder, emit
from vlcl_bench.cli.terminal import say

if TYPE_CHECKING:
    from vlcl_bench.data.interface import Places
    from vlcl_bench.data.real.dataset import RealDataSet

data_app = typer.Typer(
    help="Data sets: where they come from, what is here, whether it is right.", no_args_is_help=True, epilog=EXIT_CODES
)

Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Data sets; all, if none is named.")]


@data_app.command("list")
def list_data(
    names: Names = None,
    protocol: Annotated[str | None, typer.Option(help="Only the data sets of this protocol.")] = None,
    data_root: DataRoot = None,
    hub_root: HubRoot = None,
    as_json: AsJson = False,
) -> None:
    """Say of every real data set what it is, whether it is here, and where to put it if not."""
    from rich.console import Console
    from rich.table import Table

    from vlcl_bench.data.interface import Places
    from vlcl_bench.data.inventory import inventory

    places = Places.given(data_root, hub_root)
    lines = inventory(wanted(names or [], protocol, places), places)
    if as_json:
        emit({"data_sets": lines})
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("data set", "train / test", "manifest", "here"):
        table.add_column(heading, overflow="fold")
    for line in lines:
        counts = " / ".join("?" if line[split] is None else f"{line[split]:,}" for split in ("train", "test"))
        table.add_row(line["name"], counts, line["manifest"], line["here"])
    console = Console()
    console.print(table)
    for line in lines:
        if line["passed_over"]:
            console.print(f"{line['name']}: {line['passed_over']}", markup=False, highlight=False, soft_wrap=True)
        if line["put_it"]:
            console.print(f"{line['name']}: {line['put_it']}", markup=False, highlight=False, soft_wrap=True)
    console.print("Licence, citation, classes and prompts of one: vlcl data card NAME", highlight=False)


@data_app.command()
def card(
    name: Annotated[str, typer.Argument(help="A data set.")],
    protocol: Annotated[
        str | None, typer.Option(help="Where a protocol's own data set is meant: its TOML file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show a data set's card: classes, prompts, split, counts, layouts, licence, citation, notes."""
    from rich.console import Console
    from rich.table import Table

    from vlcl_bench.data.inventory import card_of
    from vlcl_bench.data.manifest import find_manifest
    from vlcl_bench.errors import UsageError

    dataset = wanted([name], protocol)[0]
    try:
        manifest = find_manifest(dataset.key)
    except UsageError:
        manifest = None  # several copies of it were described here; what a card says is the same for all
    facts = card_of(dataset.spec, manifest)
    if as_json:
        emit(facts)
        return
    table = Table(show_header=False, title=facts["title"], title_justify="left")
    for key, value in facts.items():
        shown = "\n".join(map(str, value)) if isinstance(value, list) else str(value)
        table.add_row(key.replace("_", " "), shown)
    Console().print(table, markup=False)


@data_app.command()
def verify(
    names: Names = None,
    protocol: Annotated[str | None, typer.Option(help="The data sets of this protocol.")] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Write a manifest where there is none yet: it is required from then on.")
    ] = False,
    anew: Annotated[
        bool,
        typer.Option(
            "--renew", help="Accept the pictures that are here now: of the data sets named, write a new manifest."
        ),
    ] = False,
    data_root: DataRoot = None,
    hub_root: HubRoot = None,
    as_json: AsJson = False,
) -> None:
    """Compare every picture with the manifest, and name the first that is wrong. Without a manifest: counts, labels.

    With --renew the pictures that are here now are the right ones from then on; runs on the earlier ones stay.
    Exit code 3 where a data set was refused, 2 where one is not there.
    """
    from rich.console import Console

    from vlcl_bench.common.progress import RichReporter
    from vlcl_bench.data.interface import Places
    from vlcl_bench.data.verification import verify_all
    from vlcl_bench.errors import IntegrityError, UsageError

    reporter = RichReporter(Console(stderr=True))
    places = Places.given(data_root, hub_root)
    if anew and not names:
        raise UsageError("--renew accepts changed pictures, so it needs a name", "Name the data sets: NAME --renew.")
    lines = verify_all(wanted(names or [], protocol, places), places, write, reporter, anew)
    if as_json:
        emit({"data_sets": lines})
    else:
        for line in lines:
            if line["error"] is None:
                say(f"{line['name']}: {line['pictures']:,} pictures, {line['result']}")
                for note in line["notes"]:
                    say(f"{line['name']}: {note}")
        for line in lines:
            if line["error"] is not None:
                say(f"{line['name']}: refused: {line['error']}", err=True)
        refused = sum(line["error"] is not None for line in lines)
        if refused and len(lines) > 1:
            say(f"{refused} of {len(lines)} data sets were refused", err=True)
    codes = [line["exit_code"] for line in lines if line["error"] is not None]
    if codes:
        raise typer.Exit(IntegrityError.exit_code if IntegrityError.exit_code in codes else codes[0])


@data_app.command()
def get(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Data sets to fetch.")],
    data_root: DataRoot = None,
    hub_root: HubRoot = None,
) -> None:
    """Fetch data sets: official archives into --data-root, or the hub's copies into --hub-root."""
    from vlcl_bench.data.fetch import fetch, wanted_place

    for name in names:
        say(fetch(name, *wanted_place(data_root, hub_root)))


@data_app.command()
def gc(
    store: StoreFolder = None,
    everything: Annotated[bool, typer.Option("--all", help="Delete all decoded pictures, not only the stale.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete decoded pictures that no manifest needs any more. The store can be deleted: it is built again.

    What another process may be building, because it changed within the last hour, is left alone without --all.
    """
    from vlcl_bench.data.inventory import collect_garbage
    from vlcl_bench.data.store import Store

    garbage: dict[str, Any] = collect_garbage(Store(store), everything, dry_run)
    if as_json:
        emit(garbage)
        return
    for line in garbage["folders"]:
        say(f"{line['folder']}: {line['bytes'] / 2**20:.1f} MiB, {line['why']}")
    for line in garbage["left"]:
        say(f"{line['folder']}: left alone, {line['why']} (--all deletes it too)")
    verb = "would free" if dry_run else "freed"
    say(f"{verb} {garbage['freed'] / 2**20:.1f} MiB of {garbage['total'] / 2**20:.1f} MiB in {garbage['store']}")


def wanted(names: Sequence[str], protocol: str | None, places: Places | None = None) -> list[RealDataSet]:
    """The real data sets named, or those of a protocol, or all of the catalogue; :class:`UsageError` for others.

    ``places`` say which copy of a protocol's own ones is meant.
    """
    from vlcl_bench.data.real.catalogue import catalogue, spec_of
    from vlcl_bench.data.real.dataset import RealDataSet
    from vlcl_bench.errors import UsageError
    from vlcl_bench.protocols.load import load_protocol

    if protocol is None:
        return [RealDataSet(spec_of(name)) for name in names or catalogue()]
    stream = load_protocol(protocol).at(protocol, None if places is None else places.root)
    real = [dataset for dataset in stream.datasets if isinstance(dataset, RealDataSet)]
    if not real:
        raise UsageError(
            f"{protocol} has no real data: its pictures are drawn here", "`vlcl world cards` describes them."
        )
    unknown = set(names) - {dataset.name for dataset in real}
    if unknown:
        raise UsageError(f"{protocol} has no data set {', '.join(sorted(unknown))}")
    return [dataset for dataset in real if not names or dataset.name in names]


def register(app: typer.Typer) -> None:
    """Add the commands to ``vlcl``."""
    app.add_typer(data_app, name="data")
