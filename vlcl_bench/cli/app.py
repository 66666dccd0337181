"""All commands of ``vlcl``: arguments and help; the work is elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from vlcl_bench.cli import EXIT_CODES
from vlcl_bench.cli.compare import register as register_compare
from vlcl_bench.cli.data import app as data_app
from vlcl_bench.cli.doctor import register as register_doctor
from vlcl_bench.cli.leaderboard import app as leaderboard_app
from vlcl_bench.cli.options import AsJson, DataRoot, HubRoot, StoreFolder, Traceback, emit
from vlcl_bench.cli.regress import register as register_regress
from vlcl_bench.cli.submit import register as register_submit
from vlcl_bench.cli.sweep import register as register_sweep
from vlcl_bench.cli.synthesise import register as register_synthesise
from vlcl_bench.cli.world import app as world_app

app = typer.Typer(
    name="vlcl", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Benchmark and leaderboard for continual learning of vision-language models.", epilog=EXIT_CODES,
)  # fmt: skip
methods_app = typer.Typer(help="List the methods, or write a start for a new one.", invoke_without_command=True)
app.add_typer(methods_app, name="methods")
app.add_typer(leaderboard_app, name="leaderboard")
app.add_typer(world_app, name="world")
app.add_typer(data_app, name="data")


@app.command()
def run(
    protocol: Annotated[str, typer.Option(help="Name of a protocol; `vlcl protocols` lists them.")],
    method: Annotated[
        str,
        typer.Option(help="A name (`vlcl methods`), a file my.py or my.py:Class, or a submission folder."),
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting of the method; repeatable."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything random in the run.")] = 0,
    backbone: Annotated[
        str | None,
        typer.Option(
            help="Instead of the protocol's: <open_clip model>/<tag or checkpoint file>, a folder with a model and its "
            "open_clip_config.json, or a file my.py or my.py:factory."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    out: Annotated[Path | None, typer.Option(help="Folder of this run, instead of runs/<hash>.")] = None,
    runs: Annotated[Path, typer.Option(help="Folder of all runs, in which this one gets <hash>.")] = Path("runs"),
    store: StoreFolder = None,
    data_root: DataRoot = None,
    hub_root: HubRoot = None,
    keep_states: Annotated[
        str, typer.Option(help="Which states of the method to keep when done: none, last or all.")
    ] = "last",
    isolation: Annotated[
        str | None,
        typer.Option(
            envvar="VLCL_ISOLATION",
            help="Where the method lives: inline, process (of its own; the default for a file or a submission), "
            "or container (bubblewrap).",
        ),
    ] = None,
    time_limit: Annotated[
        str | None,
        typer.Option(
            metavar="SECONDS",
            help="For each call to a method in its own process, or none; half an hour on mini, else six hours.",
        ),
    ] = None,
    memory_limit: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Of a method's own process, such as 8GiB; none by default.")
    ] = None,
    allow_read: Annotated[
        list[Path] | None,
        typer.Option(help="A file or folder that a method in its own process may read too: weights; repeatable."),
    ] = None,
    as_json: AsJson = False,
    traceback: Traceback = False,
) -> None:
    """Run a method on a protocol. The same command after a kill continues; a finished run is shown again."""
    from rich.console import Console

    from vlcl_bench.cli.show import print_run, summary
    from vlcl_bench.common.progress import RichReporter
    from vlcl_bench.engine.run import Request
    from vlcl_bench.engine.run import run as run_engine
    from vlcl_bench.engine.sandbox.kinds import check_isolation
    from vlcl_bench.engine.sandbox.limits import Limits, parse_bytes, parse_seconds
    from vlcl_bench.errors import UsageError
    from vlcl_bench.methods.card import parse_settings
    from vlcl_bench.methods.registry import MethodRef

    if traceback:
        os.environ["VLCL_TRACEBACK"] = "1"
    if keep_states not in ("none", "last", "all"):
        raise UsageError(f"--keep-states {keep_states!r} is not one of none, last, all", "Leave it out for last.")
    request = Request(
        protocol=protocol, method=method, settings=parse_settings(settings or []), seed=seed, backbone=backbone,
        device=device, out=out, runs=runs, store=store, data_root=data_root, hub_root=hub_root, keep_states=keep_states,  # type: ignore[arg-type]
        isolation=check_isolation(isolation or MethodRef.parse(method).default_isolation),
        limits=Limits(parse_seconds(time_limit), parse_bytes(memory_limit), tuple(allow_read or ())),
    )  # fmt: skip
    with contextlib.redirect_stdout(sys.stderr):  # what a method prints is not our answer
        outcome = run_engine(request, RichReporter(Console(stderr=True)))
    if as_json:
        emit(summary(outcome.folder, outcome.record))
    else:
        print_run(Console(), outcome.folder, outcome.record)


@app.command()
def protocols(as_json: AsJson = False) -> None:
    """List the protocols: tasks, budget, fingerprint."""
    from rich.console import Console
    from rich.table import Table

    from vlcl_bench.protocols.load import load_protocol, protocol_names

    found = [load_protocol(name) for name in protocol_names()]
    prints = {p.name: None if p.missing_manifests() else p.fingerprint for p in found}
    if as_json:
        emit(
            {
                "protocols": [
                    {**p.model_dump(mode="json", by_alias=True, exclude={"data"}), "steps": p.task_names,
                     "fingerprint": prints[p.name], "frozen": p.frozen}
                    for p in found
                ]
            }
        )  # fmt: skip
        return
    table = Table("protocol", "what it is", "tasks", "budget a task", "fingerprint")
    for p in found:
        budget = f"{p.budget.steps} steps of {p.budget.batch_size}"
        counts = {name: sum(p.dataset_names[task.dataset] == name for task in p.tasks) for name in p.dataset_names}
        parts = [name if count == 1 else f"{name} in {count}" for name, count in counts.items()]
        tasks = f"{len(p.tasks)}: " + ", ".join(parts)
        title = p.title + ("" if p.ranked else " (never ranked)")
        print_ = prints[p.name]
        shown = "needs its data" if print_ is None else print_[:12] + ("" if p.frozen else " (first use)")
        table.add_row(p.name, title, tasks, budget, shown)
    Console().print(table)


@app.command()
def conformance(
    protocol: Annotated[str, typer.Option(help="A protocol with a published zero-shot row, such as mtil-1.")],
    backbone: Annotated[str | None, typer.Option(help="Weights of the row's own backbone from a file.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    store: StoreFolder = None,
    data_root: DataRoot = None,
    hub_root: HubRoot = None,
    as_json: AsJson = False,
    traceback: Traceback = False,
) -> None:
    """Run the untouched model and compare every column with the published row; say which is off, and why that may be.

    Exit code 3 where a column is off by more than its tolerance.
    """
    from rich.console import Console

    from vlcl_bench.cli.diagnostics.conformance import check, print_result
    from vlcl_bench.common.progress import RichReporter
    from vlcl_bench.data.interface import Places

    if traceback:
        os.environ["VLCL_TRACEBACK"] = "1"
    places = Places.given(data_root, hub_root)
    result = check(protocol, backbone, device, store, places, RichReporter(Console(stderr=True)))
    if as_json:
        emit(result.to_dict())
    else:
        print_result(Console(), result)
    if not result.conforms:
        raise typer.Exit(3)


@methods_app.callback()
def methods(context: typer.Context, as_json: AsJson = False) -> None:
    """List the methods that can be named, or write a start for a new one."""
    if context.invoked_subcommand is not None:
        return
    from rich.console import Console
    from rich.table import Table

    from vlcl_bench.methods.registry import list_methods

    found = list_methods()
    if as_json:
        emit({"methods": [vars(info) for info in found]})
        return
    table = Table("name", "title", "what it is", "from")
    for info in found:
        table.add_row(info.name, info.title, info.summary, info.source)
    console = Console()
    console.print(table)
    console.print("Your own: `vlcl methods new my_method.py`, then `vlcl run --method my_method.py …`")


@methods_app.command("new")
def methods_new(path: Annotated[Path, typer.Argument(help="File to write; it must not exist yet.")]) -> None:
    """Write a working start for a new method."""
    from vlcl_bench.methods.template import write_template

    write_template(path)
    typer.echo(f"wrote {path}; try it with: vlcl run --protocol mini-mtil-1 --method {path}")


@app.command()
def show(
    run_name: Annotated[str, typer.Argument(metavar="RUN", help="A run's folder, or the beginning of its hash.")],
    drift: Annotated[
        bool, typer.Option("--drift", help="How far answers moved since each task was learned, and since stage 0.")
    ] = False,
    seeds: Annotated[
        bool, typer.Option("--seeds", help="What the run logged of its seeds and of its memory, task by task.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show a finished run: its R matrix, metrics, cost and where it ran."""
    from rich.console import Console

    from vlcl_bench.cli.show import drift_of, drift_table, find_run, print_run, summary
    from vlcl_bench.records.files import read_record

    folder = find_run(run_name)
    record = read_record(folder)
    if drift:
        rows = drift_of(folder, record)
        if as_json:
            emit({"run": record.run_hash, "drift": [vars(row) for row in rows]})
        else:
            Console().print(drift_table(rows))
    elif seeds:
        from vlcl_bench.cli.seeds import seed_tables, seeds_of

        found = seeds_of(record)
        if as_json:
            emit({"run": record.run_hash, **found})
        else:
            for table in seed_tables(found):
                Console().print(table, "")
    elif as_json:
        emit(summary(folder, record))
    else:
        print_run(Console(), folder, record, full=True)


@app.command()
def score(
    run_name: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="A run's folder, or the beginning of its hash.")
    ] = None,
    matrix: Annotated[
        Path | None,
        typer.Option(help="CSV or JSON of R instead: no header, a row after each task, in percent."),
    ] = None,
    with_zero_shot: Annotated[
        bool, typer.Option("--with-zero-shot", help="The matrix's first row is row 0, the untouched model.")
    ] = False,
    protocol: Annotated[
        Path | None, typer.Option(help="TOML file of the run's protocol, where it is not one of the package's.")
    ] = None,
    joint: Annotated[
        Path | None, typer.Option(help="JSON file with what a jointly trained model gets right, task by task.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Recompute everything from stored predictions and labels; stored scores are ignored."""
    from rich.console import Console

    from vlcl_bench.cli.show import find_run, print_scores, score_matrix, score_run
    from vlcl_bench.errors import UsageError

    if (run_name is None) == (matrix is None):
        raise UsageError("give either a RUN or --matrix FILE", "vlcl score --help shows both.")
    if run_name is None:
        result = score_matrix(matrix, with_zero_shot, joint)  # type: ignore[arg-type]
    else:
        result = score_run(find_run(run_name), protocol, joint)
    if as_json:
        emit(result)
    else:
        print_scores(Console(), result)


register_sweep(app)
register_compare(app)
register_regress(app)
register_submit(app)
register_synthesise(app)
register_doctor(app)
