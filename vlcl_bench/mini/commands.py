"""``vlcl world``: the mini world and its CLIP, for those who maintain or inspect them; the command line mounts it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vlcl_bench.common.streams import say

app = typer.Typer(help="The mini world and its CLIP: inspect, freeze, pretrain.", no_args_is_help=True)


@app.command()
def sheet(
    out: Annotated[Path, typer.Argument(help="PNG to write.")],
    per_split: Annotated[int, typer.Option(help="Pictures of each class and split.")] = 5,
    development: Annotated[bool, typer.Option("--development", help="Show mini-dev's data sets instead.")] = False,
    streams: Annotated[
        bool, typer.Option("--streams", help="Show mini-c2r's and mini-c2f's data sets instead.")
    ] = False,
) -> None:
    """Draw a contact sheet: training pictures left, test pictures right, of every class or captioned set."""
    from vlcl_bench.errors import UsageError
    from vlcl_bench.mini.contact_sheet import contact_sheet, stream_sheet

    if streams:
        if development:
            raise UsageError("--streams and --development ask for two sheets", "Give one of them.")
        say(f"wrote {stream_sheet(out)}")
        return
    say(f"wrote {contact_sheet(out, per_split, development)}")


@app.command()
def cards(
    development: Annotated[bool, typer.Option("--development", help="mini-dev's data sets instead.")] = False,
) -> None:
    """Show the data cards: what each data set is, whose drawings it uses, and under which licence."""
    from rich.console import Console
    from rich.table import Table

    from vlcl_bench.data.open import open_dataset
    from vlcl_bench.mini.domains import development_domains, domains

    table = Table("data set", "what it is", "classes", "licence", "source")
    for name in development_domains() if development else domains():
        dataset = open_dataset("mini", name)
        card = dataset.card
        table.add_row(name, card.description, ", ".join(dataset.class_names), card.licence, card.source)
    Console().print(table)


@app.command()
def freeze() -> None:
    """Rewrite the committed manifests: only when the world is changed on purpose, with a new protocol version."""
    from vlcl_bench.data.open import open_dataset
    from vlcl_bench.mini.domains import development_domains, domains
    from vlcl_bench.mini.manifests import freeze as freeze_dataset

    for name in (*domains(), *development_domains()):
        manifest = freeze_dataset(open_dataset("mini", name))
        say(f"{name}: {len(manifest.rows)} pictures, {manifest.fingerprint()[:12]}")


@app.command()
def pretrain(
    out: Annotated[Path, typer.Argument(help="Checkpoint to write (safetensors).")],
    work: Annotated[Path, typer.Option(help="Folder for the rendered corpus and the state to continue from.")],
    steps: Annotated[int, typer.Option(help="Steps of 256 pictures.")] = 3000,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Pretrain the mini CLIP on the mini world's corpus; the same command after a kill continues."""
    from rich.progress import Progress

    from vlcl_bench.engine.provenance import choose_device
    from vlcl_bench.mini.clip.pretraining import PretrainSettings
    from vlcl_bench.mini.clip.pretraining import pretrain as train

    with Progress() as progress:
        card = train(out, work, PretrainSettings(steps=steps), progress, str(choose_device(device)))
    say(str(card))


@app.command()
def diffuse(
    out: Annotated[Path, typer.Argument(help="Folder to write the pipeline to.")],
    work: Annotated[Path, typer.Option(help="Folder for the drawn pictures and the state to continue from.")],
    steps: Annotated[int | None, typer.Option(help="Steps of 64 pictures (default: the committed model's).")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Train the mini text-to-image model on pretraining pictures of 300 names; the same command continues."""
    from rich.progress import Progress

    from vlcl_bench.engine.provenance import choose_device
    from vlcl_bench.mini.diffusion.training import TrainSettings, train

    settings = TrainSettings() if steps is None else TrainSettings(steps=steps)
    with Progress() as progress:
        card = train(out, work, settings, progress, str(choose_device(device)))
    say(str(card))


@app.command()
def recognise(
    work: Annotated[Path, typer.Option(help="Folder that keeps the drawn real pictures.")],
    pipeline: Annotated[str, typer.Option(help="Folder of the pipeline.")] = "vlcl-mini-diffusion/v1",
    per_name: Annotated[int, typer.Option(min=1, help="Pictures of each of the 300 names.")] = 4,
    steps: Annotated[int, typer.Option(min=1, help="Denoising steps.")] = 10,
    guidance: Annotated[float | None, typer.Option(help="Guidance (default: the pipeline's own).")] = None,
    sheet: Annotated[
        Path | None, typer.Option(help="PNG to write: made pictures beside the nearest real ones.")
    ] = None,
) -> None:
    """Say how many pictures of the mini text-to-image model are recognised among twenty names of a category."""
    import json
    from dataclasses import asdict

    from rich.progress import Progress

    from vlcl_bench.mini.diffusion.recognition import check as judge
    from vlcl_bench.synthesis.generator import Recipe

    with Progress(transient=True) as progress:
        shares = judge(work, per_name, Recipe(pipeline, steps, guidance), progress, sheet)
    say(json.dumps(asdict(shares), indent=2, ensure_ascii=False, allow_nan=False))


@app.command()
def check(
    jointly: Annotated[bool, typer.Option("--jointly", help="Also fine-tune one model on all tasks mixed.")] = False,
) -> None:
    """Say how much room the mini CLIP leaves: zero-shot accuracy by task, chance, and jointly trained accuracy."""
    from rich.console import Console

    from vlcl_bench.mini.clip.headroom import print_room

    print_room(Console(), jointly)
