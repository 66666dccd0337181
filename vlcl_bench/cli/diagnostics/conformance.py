"""Conformance: does the zero-shot model give the published row here?

Transfer, Avg and FWT all contain that row, so a copy of the data, a prompt or a preprocessing that moves it moves
every method's numbers. The rows, their sources and tolerances are in ``conformance.toml``, beside this file.
"""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from vlcl_bench.errors import UsageError
from vlcl_bench.scoring.ground_truth import ground_truth

if TYPE_CHECKING:
    from rich.console import Console

    from vlcl_bench.common.progress import Reporter
    from vlcl_bench.data.interface import Places

FILE = Path(__file__).with_name("conformance.toml")


class Row(BaseModel):
    """A published zero-shot row: percent by task, and how far a column may be off, in points."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backbone: str
    source: str
    tolerance: float
    tolerances: dict[str, float] = {}
    scores: dict[str, float]


@dataclass(frozen=True)
class Column:
    """One task: what was measured, what was published, by how much it may differ, and the usual reasons."""

    task: str
    measured: float
    published: float
    tolerance: float
    reasons: tuple[str, ...]

    @property
    def difference(self) -> float:
        """Measured minus published, in points."""
        return self.measured - self.published

    @property
    def fits(self) -> bool:
        """Whether the column is within its tolerance; the published value is rounded to one decimal itself."""
        return abs(self.difference) <= self.tolerance


@dataclass(frozen=True)
class Result:
    """All columns of a protocol."""

    protocol: str
    backbone: str
    source: str
    columns: tuple[Column, ...]

    @property
    def conforms(self) -> bool:
        """Whether every column fits."""
        return all(column.fits for column in self.columns)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        columns = [asdict(c) | {"difference": c.difference, "fits": c.fits} for c in self.columns]
        return {"protocol": self.protocol, "backbone": self.backbone, "source": self.source,
                "conforms": self.conforms, "columns": columns}  # fmt: skip


def published_row(protocol: str) -> tuple[Row, dict[str, tuple[str, ...]]]:
    """The row of a protocol, and the usual reasons by task (``any`` for all); :class:`UsageError` without a row."""
    rows = tomllib.loads(FILE.read_text(encoding="utf-8"))
    reasons = {task: tuple(texts) for task, texts in rows.pop("reasons").items()}
    if protocol not in rows:
        raise UsageError(
            f"no published zero-shot row is known for protocol {protocol!r}", "Known: " + ", ".join(sorted(rows)) + "."
        )
    return Row.model_validate(rows[protocol]), reasons


def check(
    name: str, backbone: str | None, device: str, store: Path | None, places: Places, reporter: Reporter
) -> Result:
    """Evaluate the zero-shot model on a protocol and compare it with the published row.

    ``backbone`` may name other weights of the row's own model (a checkpoint file); another model is refused.
    """
    from vlcl_bench.backbones import load_backbone
    from vlcl_bench.data.store import Store
    from vlcl_bench.engine.backbone import make_ready, zero_shot_learner
    from vlcl_bench.engine.evaluate import evaluate
    from vlcl_bench.engine.pictures import describe_data, open_store
    from vlcl_bench.engine.prepare import check_picture_size
    from vlcl_bench.engine.provenance import choose_device
    from vlcl_bench.protocols.load import load_protocol

    protocol = load_protocol(name)
    row, reasons = published_row(protocol.name)
    chosen = backbone or row.backbone
    model, published_model = chosen.partition("/")[0], row.backbone.partition("/")[0]
    if model != published_model:
        raise UsageError(
            f"the published row of {name} is {row.backbone}'s, not {chosen}'s",
            f"Leave --backbone out, or name a checkpoint file: {published_model}/<file>.",
        )
    with reporter.phase(f"loading {chosen}"):
        loaded = load_backbone(chosen)
    check_picture_size(loaded, protocol, chosen=backbone is not None)
    where = choose_device(device)
    make_ready(loaded, where)
    describe_data(protocol, places, reporter)
    stored = open_store(protocol, places, Store(store), reporter)
    learner = zero_shot_learner(loaded, protocol, where)
    with reporter.phase("evaluating the zero-shot model", sum(len(data.test) for data in stored)) as progress:
        frame = evaluate(learner, protocol, stored, 0, progress).frame
    scores = ground_truth(protocol).stage_scores(frame)
    columns = tuple(
        Column(
            task, scores[task], published, row.tolerances.get(task, row.tolerance),
            (*reasons.get(task, ()), *reasons.get("any", ())),
        )
        for task, published in row.scores.items()
    )  # fmt: skip
    return Result(protocol.name, loaded.name, row.source, columns)


def print_result(console: Console, result: Result) -> None:
    """A line for each column, then the usual reasons for those that are off."""
    from rich.table import Table

    table = Table("task", "here", "published", "difference", "allowed", "")
    for column in result.columns:
        verdict = "ok" if column.fits else "[bold red]off[/]"
        table.add_row(
            column.task, f"{column.measured:.2f}", f"{column.published:.1f}", f"{column.difference:+.2f}",
            f"±{column.tolerance:g}", verdict,
        )  # fmt: skip
    console.print(table)
    console.print(f"published by: {result.source}", highlight=False, soft_wrap=True)
    for column in result.columns:
        if not column.fits:
            console.print(f"{column.task} is off by {column.difference:+.2f}. Usual reasons:", highlight=False)
            for reason in column.reasons:
                console.print(f"  - {reason}", markup=False, highlight=False, soft_wrap=True)
    console.print("conforms" if result.conforms else "does not conform", style="bold")
