"""The board for people: its page in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from vlcl_bench.board.agreement import Agreement, agreement_markdown
from vlcl_bench.board.published import PublishedRow, published_markdown
from vlcl_bench.board.render.cells import between, plus_minus, ranks_shown, signed, status_shown, title, unchanged_shown
from vlcl_bench.board.render.tables import cell, table
from vlcl_bench.board.rows import BoardRow
from vlcl_bench.scoring.columns import HEADLINES, RANKING, UNCHANGED, by_unit, columns

METRICS = columns("headline", "score", place="markdown")
COSTS = by_unit(columns("cost", "samples", place="markdown"))
LEAD = ("Method", "Backbone", "n")
INTRO = """# Leaderboard

Generated from the records by `vlcl leaderboard build`; do not edit. Percent, mean ± sample standard deviation over
seeds. Ranked by Avg within protocol and track, from three seeds on (one for deterministic entries), and only where
the scores were computed again from stored predictions (`rescored`). Δ is the difference to the `l2` row of the same
protocol and backbone. Ranks are those that the data leave open, from simultaneous 95 % bootstrap intervals of the
differences over test samples and seeds, as is the 95 % interval of Avg (`vlcl_bench/board/ranks.py`); equal ranges
are ties. "= zero-shot" says how many cells of R before their task is learned hold exactly the zero-shot model's
answers, in all seeds. Cost is the median over seeds, on the machines of the records: seconds (learning and
evaluation), peak memory, what must be kept between tasks, parameters, and pictures handed out beside the task's own:
of the reference data, synthetic, replayed, and those asked of a generator. `index.html` shows all this to sort, filter
and open; the records of every row are named in `leaderboard.json`."""
TRACK_TITLES = {
    "standard": "Standard budget",
    "open-budget": "Open budget (more training than the protocol allows; ranked apart)",
}


def render_markdown(
    rows: Sequence[BoardRow], published: Sequence[PublishedRow], agreement: Sequence[Agreement] = ()
) -> str:
    """The page: per protocol and track a table (two with the task-agnostic twin), agreement, published numbers."""
    parts = [INTRO, "## Measured"]
    if not rows:
        parts.append("No entries yet.")
    for _, of_protocol in groupby(rows, key=lambda row: row.protocol):
        section = list(of_protocol)
        parts.append(f"### {cell(min(row.protocol_title for row in section))} (`{section[0].protocol}`)")
        for track, of_track in groupby(section, key=lambda row: row.track):
            lines = list(of_track)
            parts += [
                f"#### {TRACK_TITLES[track]}",
                _scores(lines),
                "Cost, in the same order:",
                _costs(lines),
            ]
            recorded = [row for row in lines if row.agnostic[RANKING.id] is not None]
            if recorded:
                parts += [
                    "Task-agnostic (the names of all tasks compete), in the same order:",
                    _agnostic(recorded),
                ]
    if agreement:
        parts.append(agreement_markdown(agreement))
    return "\n\n".join([*parts, published_markdown(published)]) + "\n"


def _scores(rows: Sequence[BoardRow]) -> str:
    head = ["Ranks", *LEAD, *(column.label for column in METRICS), f"{RANKING.label}, 95 %", UNCHANGED.label]
    head += [f"Δ {column.label}" for column in HEADLINES]
    body = [
        [
            ranks_shown(row),
            *_lead(row),
            *(plus_minus(row.metrics[column.id]) for column in METRICS),
            between(row.intervals.get(RANKING.id)),
            unchanged_shown(row),
            *(signed(row.delta[column.id]) for column in HEADLINES),
            status_shown(row),
        ]
        for row in rows
    ]
    return table([*head, "Status"], body, right=[0, *range(3, len(head))])


def _costs(rows: Sequence[BoardRow]) -> str:
    head = [*LEAD, *(column.label for column in COSTS)]
    body = [[*_lead(row), *(column.text(row.cost[column.id]) for column in COSTS)] for row in rows]
    return table(head, body, right=range(2, len(head)))


def _agnostic(rows: Sequence[BoardRow]) -> str:
    head = [*LEAD, *(column.label for column in METRICS)]
    body = [[*_lead(row), *(plus_minus(row.agnostic[column.id]) for column in METRICS)] for row in rows]
    return table(head, body, right=range(2, len(head)))


def _lead(row: BoardRow) -> list[str]:
    return [title(row), row.backbone, str(row.seeds)]
