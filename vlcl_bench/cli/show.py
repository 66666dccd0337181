"""What ``run``, ``show`` and ``score`` print: the R matrix as a heat map, metrics, cost; and the same as JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vlcl_bench.errors import UsageError
from vlcl_bench.records.files import PREDICTIONS_NAME, RECORD_NAME, read_predictions, read_record
from vlcl_bench.records.rescoring import rescored_with_joint
from vlcl_bench.records.schema import Record
from vlcl_bench.scoring.column import Scored
from vlcl_bench.scoring.columns import METRICS, columns
from vlcl_bench.scoring.drift import Drift, drifts
from vlcl_bench.scoring.joint import read_joint
from vlcl_bench.scoring.matrix_file import read_matrix
from vlcl_bench.scoring.matrix_parts import Reading
from vlcl_bench.scoring.metrics import continual_metrics
from vlcl_bench.scoring.views import stream_kind

TASKS_BESIDE = 11
"""Tasks next to each other in a heat map: as many as MTIL has, on eighty characters."""
PREFIXES = re.compile("^(dev-|coco-|mini-scenes-|mini-)")
"""What tells apart data sets of different streams, but not those of one."""
EXTRAS = ("agnostic", "agnostic_plain", "incremental", "retrieval", "bleu4")
"""What a run says beside its primary scores."""


def find_run(name: str, runs: Path = Path("runs")) -> Path:
    """A run's folder from a path or from the beginning of its hash under ``runs/``."""
    path = Path(name)
    if path.name == RECORD_NAME:
        path = path.parent
    if path.is_dir():
        return path
    matches = [path for path in sorted(runs.glob("*/")) if path.name.startswith(name)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UsageError(f"{name!r} is the beginning of {len(matches)} runs", "Give more digits of the hash.")
    there = sorted(path.parent.name for path in runs.glob(f"*/{RECORD_NAME}"))
    known = "In runs/: " + ", ".join(there) if there else "There is no finished run under runs/ here."
    raise UsageError(f"no run {name!r}", known)


def summary(folder: Path, record: Record) -> dict[str, Any]:
    """A run as one JSON object; ``metrics`` holds the headline numbers, ``null`` where one is not defined."""
    scores: Mapping[str, Any] = record.scores
    return {
        "run": record.run_hash,
        "folder": str(folder),
        "record": str(folder / RECORD_NAME),
        "protocol": record.identity.protocol,
        "method": record.identity.method,
        "seed": record.identity.seed,
        "backbone": record.identity.backbone,
        "config": record.identity.settings,
        "track": record.track,
        "unranked_because": record.unranked_because or None,
        "metrics": scores["metrics"],
        "tasks": scores["tasks"],
        "matrix": scores["matrix"],
        "zero_shot": scores["zero_shot"],
        **{key: scores[key] for key in EXTRAS if key in scores},
        "cost": record.cost.model_dump(mode="json"),
        "weight": record.footprint.model_dump(mode="json"),
        "usage": record.usage.model_dump(mode="json"),
        "provenance": record.provenance.model_dump(mode="json"),
        "reference": record.identity.reference,
        "notes": record.reference_notes,
    }


def score_run(folder: Path, protocol: Path | None = None, joint: Path | None = None) -> dict[str, Any]:
    """Everything recomputed from a run's predictions and the labels of the manifests.

    ``joint`` is the file of a jointly trained reference; without one that of the package counts, if there is one.
    """
    record = read_record(folder)
    scores = rescored_with_joint(folder, record, protocol, joint)
    return {"run": record.run_hash, "protocol": record.identity.protocol, **scores}


def score_matrix(path: Path, reading: Reading, joint: Path | None = None) -> dict[str, Any]:
    """Metrics of a matrix file, and of the file of a jointly trained reference where there is one.

    ``notes`` say what of the file was left out; of a matrix that was evaluated only so far, the rest is ``None``.
    """
    found = read_matrix(path, reading)
    tasks = list(found.tasks) or [f"task {i + 1}" for i in range(len(found.R))]
    row = None if joint is None else read_joint(joint).row(tasks)
    metrics = continual_metrics(found.R, found.zero_shot, row, tiny=True, lower=found.lower).to_dict()
    return {
        "tasks": tasks,
        "matrix": [[None if np.isnan(value) else float(value) for value in values] for values in found.R],
        "zero_shot": None if found.zero_shot is None else found.zero_shot.tolist(),
        "metrics": metrics,
        "notes": list(found.notes),
        **({} if row is None else {"joint": row.tolist()}),
    }


def print_run(console: Console, folder: Path, record: Record, full: bool = False) -> None:
    """The heat map, the metrics and where the record is; with ``full`` also cost and provenance."""
    identity = record.identity
    where = f", {identity.backbone}, seed {identity.seed}"
    console.print(Text.assemble((record.title, "bold"), " on ", (identity.protocol, "bold"), where))
    print_scores(console, record.scores)
    cost, weight = record.cost, record.footprint
    prepared = "" if cost.seconds_prepare is None else f"{cost.seconds_prepare:.0f} preparing, "
    console.print(
        f"{cost.seconds_total:.0f} s ({prepared}{sum(cost.seconds_learn):.0f} learning, "
        f"{sum(cost.seconds_evaluate):.0f} evaluating), peak memory {cost.peak_memory_bytes / 2**20:.0f} MiB, "
        f"{weight.bytes_between_tasks:,} bytes kept between tasks",
        highlight=False,
    )
    if record.unranked_because:
        console.print(f"not ranked: {record.unranked_because}", highlight=False)
    for note in record.reference_notes:
        console.print(f"note: {note}", markup=False, highlight=False)
    if sum(cost.seconds_synthesise):
        console.print(synthesis_line(record), highlight=False)
    if full:
        print_details(console, record)
    console.print(f"record: {folder / RECORD_NAME}", markup=False, highlight=False, soft_wrap=True)


def synthesis_line(record: Record) -> str:
    """How many synthetic pictures a run asked for, and what it took to make those that the store did not have."""
    usage, seconds = record.usage, f"{sum(record.cost.seconds_synthesise):.0f} s"
    count, blank = f"{usage.generated_pictures:,} synthetic pictures", f"{usage.blank_pictures} blank ones made again"
    if usage.made_pictures is None:
        return f"{count} in {seconds}, {blank}"
    rest = "" if usage.made_pictures == usage.generated_pictures else ", the others were in the store"
    return f"{count} ({usage.made_pictures:,} made here in {seconds}{rest}), {blank}"


def print_details(console: Console, record: Record) -> None:
    """Configuration, usage, weight and provenance as a two-column table."""
    table = Table(show_header=False)
    details: dict[str, Any] = {
        "run": record.run_hash, "track": record.track, **record.identity.model_dump(mode="json", exclude={"reference"}),
        **{f"reference {kind}": what for kind, what in record.identity.reference.items()},
        **record.usage.model_dump(exclude_none=True), **record.footprint.model_dump(exclude={"bytes_by_stage"}),
        **record.provenance.model_dump(), "continued": f"{record.cost.resumed} times",
    }  # fmt: skip
    for key, value in details.items():
        table.add_row(key.replace("_", " "), f"{value:,}" if isinstance(value, int) else str(value))
    console.print(table)


def print_scores(console: Console, scores: Mapping[str, Any]) -> None:
    """The R matrix as a heat map, then the headline metrics, those of the other matrices beside them."""
    kind = stream_kind(scores)
    print_heat_map(console, scores["tasks"], scores["matrix"], scores["zero_shot"], kind.what)
    beside = [(view, part) for view in kind.beside if (part := view.part(scores)) is not None]
    for view, part in beside:
        if view.letter:
            print_heat_map(
                console, scores["tasks"], part["matrix"], part["zero_shot"], part["metric"], letter=view.letter
            )
    table = Table("metric", kind.short, *(view.short for view, _ in beside))
    runs = [Scored(scores), *(Scored(part) for _, part in beside)]
    for column in columns(place="show"):
        values = [column.of(run) for run in runs]
        if column in METRICS or any(value is not None for value in values):  # of other kinds of streams: not here
            table.add_row(column.explained, *map(column.text, values))
    console.print(table)
    if "retrieval" in scores:
        console.print(recall_table(scores))
    if "incremental" in scores:
        console.print(incremental_table(scores["incremental"]))


def recall_table(scores: Mapping[str, Any]) -> Table:
    """Recall after the last task by gallery, in percent, that of the zero-shot model in brackets."""
    table = Table("after the last task", *[PREFIXES.sub("", task) for task in scores["tasks"]], box=None)
    for name, found in scores["retrieval"].items():
        if name != "rsum":
            pairs = zip(found["matrix"][-1], found["zero_shot"], strict=True)
            table.add_row(name, *[f"{last:.1f} ({start:.1f})" for last, start in pairs])
    return table


def incremental_table(found: Mapping[str, Any]) -> Table:
    """Class-incremental accuracy by data set, in percent."""
    table = Table("class-incremental: names seen so far", "average", "last", "at the end of the stream")
    for name, part in found.items():
        table.add_row(name, *[f"{part[key]:.1f}" for key in ("average", "last", "final")])
    return table


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


def drift_of(folder: Path, record: Record) -> list[Drift]:
    """How far the answers of a run moved, task by task."""
    predictions = read_predictions(folder / PREDICTIONS_NAME)
    return drifts(predictions, record.scores["tasks"])


def drift_table(rows: Sequence[Drift]) -> Table:
    """A line for each task."""
    table = Table(title="at the last stage, of a task's test pictures", title_justify="left")
    if all(row.moved is None for row in rows):
        table.caption = "same: the same five best answers (a compact record has no logits)"
    for heading in ("task", "n", "same as when learned", "another answer", "logit moved by", "same as zero-shot"):
        table.add_column(heading, justify="left" if heading == "task" else "right")
    for row in rows:
        table.add_row(
            row.task,
            str(row.pictures),
            *("" if value is None else f"{value:.1f} %" for value in (row.same, row.answer_changed)),
            "" if row.moved is None else f"{row.moved:.2f}",
            f"{row.same_as_untouched:.1f} %",
        )
    return table
