"""The matrix R on a terminal: a row for each stage, a column for each task, coloured and readable without colour."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

TASKS_BESIDE = 11
"""Tasks next to each other in a heat map: as many as MTIL has, on eighty characters."""
PREFIXES = re.compile("^(dev-|coco-|mini-scenes-|mini-)")
"""What tells apart data sets of different streams, but not those of one."""


def print_heat_map(
    console: Console,
    tasks: Sequence[str],
    matrix: Sequence[Sequence[float | None]],
    zero_shot: Sequence[float] | None,
    what: str,
    letter: str = "R",
) -> None:
    """The heat map, in parts where the stream has more tasks than fit next to each other."""
    for start in range(0, len(tasks), TASKS_BESIDE):
        shown = range(start, min(start + TASKS_BESIDE, len(tasks)))
        console.print(heat_map(tasks, matrix, zero_shot, what, letter, shown))


def heat_map(
    tasks: Sequence[str],
    matrix: Sequence[Sequence[float | None]],
    zero_shot: Sequence[float] | None,
    what: str = "accuracy",
    letter: str = "R",
    places: Sequence[int] | None = None,
) -> Table:
    """R as a table: a row for each stage, a column for each task, cells coloured from low (red) to high (green).

    Numbers stand in every cell, so that nothing is lost without colour; the task just learned is bold.
    """
    table = Table(
        title=f"{letter}: {what} in % on each task (columns) after each stage (rows)",
        title_style="bold", title_justify="left", box=None, padding=(0, 0), pad_edge=False,
    )  # fmt: skip
    table.add_column("after", no_wrap=True)
    shown = range(len(tasks)) if places is None else places
    tasks = without_shared_beginning(tasks)
    alike = len({short(task) for task in tasks}) < len(tasks)
    for i in shown:
        heading = f" {i + 1}:{short(tasks[i]).strip()[:3]}" if alike else short(tasks[i])
        table.add_column(heading, justify="right", no_wrap=True)
    if zero_shot is not None:
        table.add_row(" 0 nothing ", *[_cell(zero_shot[i], False) for i in shown])
    for j, row in enumerate(matrix):
        table.add_row(f"{j + 1:2d} {row_name(tasks[j]):7} ", *[_cell(row[i], i == j) for i in shown])
    return table


def without_shared_beginning(tasks: Sequence[str]) -> list[str]:
    """Names of tasks without what all of them begin with (``my-``), up to a hyphen or the like; whole words stay."""
    words = [re.split("(?<=[-_. ])", task) for task in tasks]
    count = 0
    while len(tasks) > 1 and len({tuple(name[: count + 1]) for name in words}) == 1:
        count += 1
    rests = ["".join(name[count:]) for name in words]
    return rests if all(rest[:1].isalpha() for rest in rests) else list(tasks)


def short(task: str) -> str:
    """A task's name in the five letters that leave room for eleven columns on eighty characters."""
    numbered = re.fullmatch(r"(?:mini-)?(..).*(-\d\d)", task)
    if numbered:
        return " " + numbered[1] + numbered[2]
    return " " + PREFIXES.sub("", task.removeprefix("task "))[:5]


def row_name(task: str) -> str:
    """A task's name in seven letters."""
    return short(task).strip() if re.search(r"-\d\d$", task) else PREFIXES.sub("", task)[:7]


def _cell(value: float | None, learned: bool) -> Text:
    if value is None:  # not evaluated
        return Text("    – ")
    share = min(max(value / 100, 0.0), 1.0)
    red, green = round(210 * min(1.0, 2 * (1 - share))), round(170 * min(1.0, 2 * share))
    style = f"{'bold ' if learned else ''}white on rgb({red},{green},60)"
    return Text(f"{value:5.1f} ", style=style)
