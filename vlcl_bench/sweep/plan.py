"""What a sweep file asks for, as a list of runs with their hashes."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vlcl_bench.engine.prepare import Request, prepare
from vlcl_bench.errors import UsageError, first_invalid
from vlcl_bench.scoring.columns import columns

if TYPE_CHECKING:
    from vlcl_bench.backbones.base import Backbone
    from vlcl_bench.common.progress import Reporter

EXAMPLE = """[[runs]]
protocols = ["mini-mtil-1", "mini-mtil-2"]
methods = ["finetune", "zscl"]
seeds = [0, 1, 2]
"""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Block(_Frozen):
    """All combinations of these protocols, methods, settings and seeds."""

    protocols: tuple[str, ...] = Field(min_length=1)
    methods: tuple[str, ...] = Field(min_length=1)
    seeds: tuple[int, ...] = (0,)
    settings: tuple[dict[str, Any], ...] = ({},)
    backbone: str | None = None

    def combinations(self) -> list[tuple[str, str, dict[str, Any], int]]:
        """Protocol, method, settings and seed of each run: seeds vary first, then settings, methods, protocols."""
        return list(itertools.product(self.protocols, self.methods, self.settings, self.seeds))


class TableRow(_Frozen):
    """A line of a results table: what it is called, its settings, and Transfer, Avg and Last as a paper prints them."""

    name: str
    settings: dict[str, Any] = {}
    method: str | None = None
    published: tuple[float, float, float] | None = None


class ResultsTable(_Frozen):
    """A table to be made of runs: its rows on one protocol, means over these seeds. ``note`` says what is compared.

    ``columns`` are names of :data:`vlcl_bench.sweep.tables.COLUMNS`. Where ``against`` names a row, each of the others
    has its difference to it by the metric ``by``, with an interval and a test.
    """

    title: str
    protocol: str
    method: str
    rows: tuple[TableRow, ...] = Field(min_length=1)
    seeds: tuple[int, ...] = (0,)
    note: str = ""
    columns: tuple[str, ...] = Field(tuple(one.id for one in columns(place="progress")), min_length=1)
    against: str = ""
    by: str = "last"

    @model_validator(mode="after")
    def _names_what_there_is(self) -> Self:
        from vlcl_bench.scoring.significance import METRICS
        from vlcl_bench.sweep.tables import COLUMNS

        unknown = [name for name in self.columns if name not in COLUMNS]
        if unknown:
            raise ValueError(f"there is no column {unknown[0]!r}; there are {', '.join(COLUMNS)}")
        if self.by not in METRICS:
            raise ValueError(f"entries are not compared by {self.by!r}; they are by {', '.join(METRICS)}")
        if self.against and self.against not in [row.name for row in self.rows]:
            raise ValueError(f"against names no row of the table: {self.against!r}")
        return self


class SweepFile(_Frozen):
    """A sweep as its TOML file states it: ``[[runs]]`` blocks and the runs of ``[[tables]]``, done in this order."""

    runs: tuple[Block, ...] = ()
    tables: tuple[ResultsTable, ...] = ()

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if not self.runs and not self.tables:
            raise ValueError("there is neither a [[runs]] block nor one of [[tables]]")
        return self


@dataclass(frozen=True)
class Planned:
    """One run of a sweep: what is asked, its hash, its folder, and a committed record of it, if there is one.

    ``places`` are those of the file's requests that it answers.
    """

    request: Request
    run_hash: str
    folder: Path
    stages: int
    committed: Path | None
    places: tuple[int, ...] = ()

    @property
    def words(self) -> tuple[str, str, str, str]:
        """Protocol, method, settings (with the backbone where it is not left to the protocol) and seed, for tables."""
        settings = [f"{key}={value}" for key, value in self.request.settings.items()]
        if self.request.backbone is not None:
            settings.insert(0, f"backbone={self.request.backbone}")
        return self.request.protocol, self.request.method, ", ".join(settings), str(self.request.seed)


def read_sweep(path: Path) -> SweepFile:
    """Read a sweep file; raises :class:`UsageError` saying what is wrong where."""
    hint = f"A sweep file holds, for instance:\n{EXAMPLE}"
    try:
        return SweepFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}", hint) from error
    except ValidationError as error:
        raise UsageError(f"{path} is not a sweep file: {first_invalid(error)}", hint) from error


def plan(sweep: SweepFile, base: Request, submissions: Path, reporter: Reporter) -> list[Planned]:
    """Every run of a sweep, in the file's order, each once; a method, setting or protocol that is wrong ends it here.

    ``base`` holds what all runs share: folders, device.
    """
    backbones: dict[str, tuple[Backbone, str]] = {}
    found: dict[str, Planned] = {}
    for place, request in enumerate(requests(sweep, base)):
        prepared = prepare(request, reporter, backbones)
        digest = prepared.identity.run_hash
        committed = next(iter(sorted(submissions.glob(f"*/runs/{digest}/run.json"))), None)
        stages = len(prepared.protocol.tasks) + 1
        planned = found.setdefault(digest, Planned(request, digest, base.runs / digest, stages, committed))
        found[digest] = replace(planned, places=(*planned.places, place))
    return list(found.values())


def requests(sweep: SweepFile, base: Request) -> Sequence[Request]:
    """The combinations of every block, then the tables' rows with their seeds."""
    blocks = [
        replace(base, protocol=protocol, method=method, settings=settings, seed=seed, backbone=block.backbone)
        for block in sweep.runs
        for protocol, method, settings, seed in block.combinations()
    ]
    tables = [
        replace(base, protocol=table.protocol, method=row.method or table.method, settings=row.settings, seed=seed)
        for table in sweep.tables
        for row in table.rows
        for seed in table.seeds
    ]
    return blocks + tables
