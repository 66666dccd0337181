"""From runs to the rows of the board: seeds grouped, means taken, ranks given, differences computed."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal

from vlcl_bench.board.detail import Detail
from vlcl_bench.board.ranks import Interval
from vlcl_bench.board.seeds import picked_seeds
from vlcl_bench.errors import IntegrityError
from vlcl_bench.scoring.columns import COSTS, HEADLINES, METRICS, RANKING

SEEDS_NEEDED = 3
BASELINE_METHOD = "l2"
TRACKS = ("standard", "open-budget")
STATUSES = ("rerun", "rescored", "self-reported")
"""Ranked are the first two; see RULES.md for what each says."""

OWN_PROTOCOL = "a protocol of one's own"
"""Why a row is not ranked whose stream nobody else has, although its runs were scored again here."""

Numbers = Mapping[str, float | None]


@dataclass(frozen=True)
class RunSummary:
    """What the board needs of one finished run.

    ``entry_id`` is a digest of all that sets a method apart from its namesakes (settings and source); ``label``
    says the same in words, empty for the method's defaults. ``metrics`` and ``agnostic_metrics`` are numbers in
    percent by column, ``None`` where a run has none, and ``cost`` those of its cost and samples. ``source`` is the
    path of the record relative to the repository, and ``detail`` what only the page shows. Without
    ``ranked_protocol``, or with ``unranked_because``, its row is not ranked. ``earlier_source``: a reference method
    made it whose source has changed since. ``home`` says whether it lies in a submission of one of the project's own
    methods, of another one, or in none. Raises :class:`IntegrityError` for an unknown track or status, a cost or
    metric that is not finite, or a name that cannot be written as UTF-8.
    """

    run_hash: str
    protocol: str
    protocol_title: str
    method: str
    method_title: str
    entry_id: str
    seed: int
    track: str
    deterministic: bool
    backbone: str
    metrics: Numbers | None
    status: str
    source: str
    agnostic_metrics: Numbers | None = None
    cost: Numbers = field(default_factory=dict)
    label: str = ""
    ranked_protocol: bool = True
    unranked_because: str = ""
    earlier_source: bool = False
    home: Literal["", "reference", "other"] = ""
    detail: Detail | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.track not in TRACKS or self.status not in STATUSES:
            raise IntegrityError(
                f"{self.source}: track {self.track!r}, status {self.status!r}; "
                f"expected one of {', '.join(TRACKS)} and one of {', '.join(STATUSES)}"
            )
        settings = {} if self.detail is None else self.detail.settings
        words = [self.method_title, self.label, self.backbone, self.unranked_because]
        for text in [*words, *map(str, settings), *map(str, settings.values())]:
            if any("\ud800" <= letter <= "\udfff" for letter in text):
                raise IntegrityError(f"{self.source!a}: {text[:80]!a} holds half a character, which is no text")
        for part in (self.metrics, self.agnostic_metrics, self.cost):
            for name, value in (part or {}).items():
                if value is not None and not math.isfinite(value):
                    raise IntegrityError(f"{self.source}: {name} is {value}")


@dataclass(frozen=True)
class Statistic:
    """Mean over the seeds of a row and, from two seeds on, the sample standard deviation (n − 1)."""

    mean: float
    deviation: float | None


@dataclass(frozen=True)
class BoardRow:
    """One line of the board: the runs of one (protocol, method, entry, backbone, track, status).

    ``metrics``, ``agnostic``, ``cost`` and ``delta`` are by the ids of their columns. ``rank`` is ``None`` for an
    unranked row, and ``why_unranked`` then says why. ``delta`` holds differences of means to the protocol's ``l2``
    row, ``cost`` medians over the seeds. ``intervals`` holds the bounds of 95 % intervals by metric and
    ``rank_range`` the ranks that the data leave open (see :mod:`vlcl_bench.board.ranks`), where there are
    predictions.
    """

    protocol: str
    protocol_title: str
    method: str
    method_title: str
    entry_id: str
    label: str
    backbone: str
    track: str
    status: str
    deterministic: bool
    runs: tuple[RunSummary, ...]
    metrics: Mapping[str, Statistic | None]
    agnostic: Mapping[str, Statistic | None]
    cost: Numbers
    delta: Numbers
    rank: int | None
    why_unranked: str
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    rank_range: tuple[int, int] | None = None

    @property
    def unchanged_from_zero_shot(self) -> tuple[int, int] | None:
        """How many cells of R before their task hold the zero-shot model's answers in all seeds, and of how many.

        ``None`` without predictions.
        """
        details = [run.detail for run in self.runs if run.detail is not None and run.detail.items]
        if len(details) < len(self.runs):
            return None
        tasks = len(details[0].tasks)
        unchanged = frozenset.intersection(*(detail.unchanged_from_zero_shot for detail in details))
        return len(unchanged), tasks * (tasks - 1) // 2

    @property
    def earlier_source(self) -> bool:
        """Whether it was made by an earlier source of a reference method than the one that is here."""
        return any(run.earlier_source for run in self.runs)

    @property
    def picked_seeds(self) -> str:
        """Its seeds in words where they are not those that everybody takes, 0, 1, 2 and so on; else empty."""
        return picked_seeds([run.seed for run in self.runs], 1 if self.deterministic else SEEDS_NEEDED)

    @property
    def seeds(self) -> int:
        """Number of seeds."""
        return len(self.runs)

    def mean(self, metric: str) -> float | None:
        """The unrounded mean of ``metric``, ``None`` where it is not defined."""
        over_seeds = self.metrics[metric]
        return None if over_seeds is None else over_seeds.mean


def board_rows(runs: Iterable[RunSummary]) -> list[BoardRow]:
    """The rows in the order of the board; the order of ``runs`` does not matter.

    By protocol, track (standard first), then ranked rows by Avg (equal means share a rank), then unranked
    rows by Avg. Ranked are rescored and rerun rows with three seeds, deterministic ones with one. Raises
    :class:`IntegrityError` when two runs of a row have the same seed.
    """
    groups: defaultdict[tuple[str, ...], list[RunSummary]] = defaultdict(list)
    for run in runs:
        # A row is rerun when all its runs are; those scored here and those only reported do not mix.
        trust = "self-reported" if run.status == "self-reported" else "rescored"
        groups[run.protocol, run.method, run.entry_id, run.backbone, run.track, trust].append(run)
    rows = [_row(group) for _, group in sorted(groups.items())]
    rows = [replace(row, delta=_delta(row, _baseline(row, rows))) for row in rows]
    return ordered(rows)


def ordered(rows: Iterable[BoardRow]) -> list[BoardRow]:
    """The rows in the order of the board, those ranked that may be: that have no reason not to."""
    sections: defaultdict[tuple[str, int], list[BoardRow]] = defaultdict(list)
    for row in rows:
        sections[row.protocol, TRACKS.index(row.track)].append(row)
    return [row for _, section in sorted(sections.items()) for row in _ranked(section)]


def preference(row: BoardRow) -> tuple[bool, int, int, str]:
    """Sort key of rows that could each stand for their method; the smallest does.

    The default settings before others, rescored before self-reported, then more seeds, then the digest.
    """
    return row.label != "", STATUSES.index(row.status), -row.seeds, row.entry_id


def _row(group: Sequence[RunSummary]) -> BoardRow:
    runs = tuple(sorted(group, key=lambda run: (run.seed, run.run_hash, run.source)))
    for one, other in pairwise(runs):
        if one.seed == other.seed:
            raise IntegrityError(
                f"two runs of {one.method} on {one.protocol} have seed {one.seed}: {one.source} and {other.source}",
                "Keep one of the two records; a seed counts once.",
            )
    first = runs[0]
    row = BoardRow(
        protocol=first.protocol,
        protocol_title=min(run.protocol_title for run in runs),
        method=first.method,
        method_title=min(run.method_title for run in runs),
        entry_id=first.entry_id,
        label=min(run.label for run in runs),
        backbone=first.backbone,
        track=first.track,
        status=max((run.status for run in runs), key=STATUSES.index),
        deterministic=all(run.deterministic for run in runs),
        runs=runs,
        metrics={one.id: statistic([(run.metrics or {}).get(one.id) for run in runs]) for one in METRICS},
        agnostic={one.id: statistic([(run.agnostic_metrics or {}).get(one.id) for run in runs]) for one in METRICS},
        cost={one.id: _median([run.cost.get(one.id) for run in runs]) for one in COSTS},
        delta={},
        rank=None,
        why_unranked="",
    )
    return replace(row, why_unranked=_why_unranked(row))


def _why_unranked(row: BoardRow) -> str:
    """Empty when the row may be ranked."""
    needed = 1 if row.deterministic else SEEDS_NEEDED
    if row.mean(RANKING.id) is None:
        return "no scores"
    if row.status == "self-reported":
        return OWN_PROTOCOL if all(run.unranked_because == OWN_PROTOCOL for run in row.runs) else row.status
    if not all(run.ranked_protocol for run in row.runs):
        return "a stream for development"
    if any(run.unranked_because for run in row.runs):
        return next(run.unranked_because for run in row.runs if run.unranked_because)
    return "" if row.seeds >= needed else f"n = {row.seeds} of {needed} seeds"


def _ranked(section: Sequence[BoardRow]) -> list[BoardRow]:
    """One protocol and track: ranked rows by Avg, then the others."""
    by_average = sorted(section, key=_order)
    able = [row for row in by_average if not row.why_unranked]
    averages = [row.mean(RANKING.id) for row in able]
    ranked = [replace(row, rank=1 + averages.index(row.mean(RANKING.id))) for row in able]
    return ranked + [replace(row, rank=None) for row in by_average if row.why_unranked]


def _order(row: BoardRow) -> tuple[float, str, str, str, str]:
    average = row.mean(RANKING.id)
    return (
        math.inf if average is None else -average,
        row.method,
        row.entry_id,
        row.backbone,
        row.status,
    )


def _baseline(row: BoardRow, rows: Sequence[BoardRow]) -> BoardRow | None:
    """The ``l2`` row that ``row`` is compared with: same protocol and backbone, standard track."""
    baselines = [
        other
        for other in rows
        if (other.protocol, other.method, other.backbone, other.track)
        == (row.protocol, BASELINE_METHOD, row.backbone, "standard")
    ]
    return min(baselines, key=preference, default=None)


def _delta(row: BoardRow, baseline: BoardRow | None) -> dict[str, float | None]:
    """Differences of unrounded means; ``None`` without a baseline."""
    differences: dict[str, float | None] = {}
    for headline in HEADLINES:
        mine, theirs = row.mean(headline.id), None if baseline is None else baseline.mean(headline.id)
        differences[headline.id] = None if mine is None or theirs is None else mine - theirs
    return differences


def statistic(values: Sequence[float | None]) -> Statistic | None:
    """Mean and deviation over all seeds; ``None`` if any seed lacks the value (n must mean n), or there is none."""
    known = [float(x) for x in values if x is not None]
    if not known or len(known) < len(values):
        return None
    return Statistic(math.fsum(known) / len(known), statistics.stdev(known) if len(known) > 1 else None)


def _median(values: Sequence[float | None]) -> float | None:
    known = [float(x) for x in values if x is not None]
    return statistics.median(known) if known else None
