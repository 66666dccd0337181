"""``vlcl compare A B``: differences of two entries, with intervals and tests, and in plain words."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vlcl_bench.cli.options import EXIT_CODES, AsJson, emit

if TYPE_CHECKING:
    from rich.table import Table

    from vlcl_bench.board.entries import Entry
    from vlcl_bench.scoring.significance import Comparison, Difference


def compare(
    first: Annotated[str, typer.Argument(help="METHOD, METHOD:KEY=VALUE as on the board, or a run's folder or hash.")],
    second: Annotated[str, typer.Argument(help="The entry to compare it with.")],
    protocol: Annotated[
        str | None,
        typer.Option(help="Where both have runs on several protocols: a name, or the TOML file of your own."),
    ] = None,
    places: Annotated[
        list[Path] | None, typer.Option("--in", help="Folder with records; repeatable (default: submissions and runs).")
    ] = None,
    draws: Annotated[int, typer.Option(min=100, help="How often samples and seeds are drawn again.")] = 10_000,
    as_json: AsJson = False,
) -> None:
    """Say by how much A is better than B, and which differences are more than chance.

    Test samples (within each task) and seeds are drawn again with replacement, the same for both: a paired bootstrap.
    Its p-values are corrected for the number of lines of their table (Holm). Beside them stand a paired t-test over
    common seeds and, by task, McNemar's exact test at the first common seed.
    """
    from vlcl_bench.board.entries import PLACES
    from vlcl_bench.board.pairs import find_pair, item_scores
    from vlcl_bench.cli.terminal import terminal
    from vlcl_bench.scoring.columns import COMPARED
    from vlcl_bench.scoring.significance import compare as compared

    a, b = find_pair(first, second, protocol, places or PLACES)
    found = compared(*item_scores((a, b), protocol), draws)
    if as_json:
        emit(facts(a, b, found))
        return
    console = terminal()
    console.print(f"A: {words(a, b)}\nB: {words(b, a)}\non {a.protocol}", highlight=False)
    console.print(table("metric", found.headlines, {column.id: column.label for column in COMPARED}))
    console.print("After the last task:")
    console.print(table("task", found.tasks, {}))
    for line in in_words(found):
        console.print(line, highlight=False)


def register(app: typer.Typer) -> None:
    """Add the command to ``vlcl``."""
    app.command(epilog=EXIT_CODES)(compare)


def words(entry: Entry, other: Entry) -> str:
    """An entry in a line; with its backbone where the ``other`` one has another."""
    setting = f" ({entry.label})" if entry.label else ""
    seeds = ", ".join(map(str, sorted(entry.runs)))
    backbone, beside = (one.first[1].identity.backbone for one in (entry, other))
    return f"{entry.title}{setting}, seed{'s' * (len(entry.runs) > 1)} {seeds}" + (
        f", on {backbone}" if backbone != beside else ""
    )


def facts(a: Entry, b: Entry, found: Comparison) -> dict[str, Any]:
    """The comparison as one JSON object."""
    entry = [
        {"entry": one.name, "title": one.title, "runs": [r.run_hash for _, r in one.runs.values()]} for one in (a, b)
    ]
    return {"protocol": a.protocol, "first": entry[0], "second": entry[1], **asdict(found), "words": in_words(found)}


def table(title: str, differences: tuple[Difference, ...], labels: dict[str, str]) -> Table:
    """Differences with their intervals and tests; significant ones are marked."""
    from rich.table import Table

    from vlcl_bench.scoring.metrics import format_metric

    by_task = any(one.p_mcnemar is not None for one in differences)
    headings = ["A", "B", "A − B", "95 % interval", "p", "p, seeds", *(["p, McNemar"] if by_task else [])]
    caption = "p is corrected for the number of lines (Holm), the intervals are not"
    shown = Table(caption=caption, caption_justify="left")
    shown.add_column(title, overflow="fold")
    for heading in headings:
        shown.add_column(heading)
    for one in differences:
        numbers = [format_metric(value) for value in (one.first, one.second)]
        interval = f"{one.low:+.1f} to {one.high:+.1f}"
        mark = " *" if one.significant else ""
        tests = [_p(one.p_corrected) + mark, _p(one.p_seeds), *([_p(one.p_mcnemar)] if by_task else [])]
        shown.add_row(labels.get(one.name, one.name), *numbers, f"{one.difference:+.1f}", interval, *tests)
    return shown


def in_words(found: Comparison) -> list[str]:
    """What the tables say, without symbols."""
    from vlcl_bench.scoring.columns import COMPARED

    columns = {column.id: column for column in COMPARED}
    lines = []
    for better, sign in (("A is better", 1), ("B is better", -1)):
        names = [
            columns[line.name].label
            for line in found.headlines
            if line.significant and line.difference * sign * (-1 if columns[line.name].better == "less" else 1) > 0
        ]
        if names:
            lines.append(f"{better} by {', '.join(names)}: more than chance would give.")
    unclear = [columns[line.name].label for line in found.headlines if not line.significant]
    if unclear:
        lines.append(f"No clear difference by {', '.join(unclear)}: as large a one would come about by chance.")
    tasks = [sum(one.significant and one.difference * sign > 0 for one in found.tasks) for sign in (1, -1)]
    lines.append(f"After the last task A is clearly better on {tasks[0]} of {len(found.tasks)} tasks, B on {tasks[1]}.")
    first, second, common = found.seeds
    if common < 3:
        lines.append(
            f"Seeds: {first} of A, {second} of B, {common} in common; with so few, seeds hardly count as drawn."
        )
    return lines


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
