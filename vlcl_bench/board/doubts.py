"""Rows that are not ranked until somebody here has made their runs again: what the answers alone let one doubt.

Scores that are counted again here follow from the answers; where the answers come from they do not say. Four things
speak against a row of a submission. None proves anything, and a rerun settles each.

- *Two seeds with the same first answers* at every stage after 0, of a method that does not say that its seed changes
  nothing: one run was copied.
- *Nearly every answer right* after stage 0 (:data:`ALL_RIGHT`): the labels themselves.
- *The answers of another method* (:data:`COPIED`): of two methods the less trusted one is doubted, a rerun being
  trusted most, then the project's own methods. Methods that leave the model as it is agree honestly, with zero-shot's.
- *The lead*, of a method that is not the project's own: whoever leads a board is looked at first.

The bounds are from the 220 records of the first edition. Two runs of different methods agree in at most 94.6 % of the
first answers (``mini-c2r``; 94.0 on ``mini-mtil-1`` and ``-2``, 70.4 on ``mini-c2f``), two seeds of one in at most
96.6 %. The best single stage of any run has 83.6 % right on average, and one cell of a hundred reaches 100. So 99 % is
far from all of them, and they leave none of today's rows unranked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from vlcl_bench.board.rows import BoardRow, RunSummary, board_rows, ordered
from vlcl_bench.scoring.columns import RANKING
from vlcl_bench.scoring.first_answers import agreement

COPIED = ALL_RIGHT = 99.0
"""Percent of equal first answers after stage 0, and of right ones, from which on a row is doubted."""
UNTIL = "until it is run again here"


def judged_rows(runs: Iterable[RunSummary]) -> list[BoardRow]:
    """The rows of these runs in the order of the board, without a rank where one is doubted."""
    return ordered(doubted(board_rows(runs)))


def doubted(rows: Sequence[BoardRow]) -> list[BoardRow]:
    """The rows in the same order, with the reason where one that could be ranked is not to be, until it is rerun."""
    found = [
        row if row.why_unranked or _trust(row) in (None, 2) else replace(row, why_unranked=_answers_doubt(row, rows))
        for row in rows
    ]
    return [replace(row, why_unranked=_lead_doubt(row, found)) if not row.why_unranked else row for row in found]


def _trust(row: BoardRow) -> int | None:
    """2 for a row made again here, 1 for the project's own methods, 0 for others', ``None`` outside of submissions."""
    if row.status == "rerun":
        return 2
    homes = {run.home for run in row.runs}
    return None if homes == {""} else int(homes == {"reference"})


def _answers_doubt(row: BoardRow, rows: Sequence[BoardRow]) -> str:
    """What speaks against the row's answers; empty where nothing does."""
    for doubt in (*_same_seeds(row), *_all_right(row), *_copied(row, rows)):
        return f"{doubt}, {UNTIL}"
    return ""


def _same_seeds(row: BoardRow) -> Iterator[str]:
    if row.deterministic:
        return
    for one, other in combinations(row.runs, 2):
        if _agreement(one, other) == 100.0:
            yield f"seeds {one.seed} and {other.seed} give the same first answers"


def _all_right(row: BoardRow) -> Iterator[str]:
    for run in row.runs:
        items = {} if run.detail is None else run.detail.items
        right = float(np.mean([scores[1:].mean() for scores in items.values()])) if items else 0.0
        if right >= ALL_RIGHT:
            yield f"{_percent(right)} of the answers after stage 0 are right"


def _copied(row: BoardRow, rows: Sequence[BoardRow]) -> Iterator[str]:
    """Another method's row that this one's answers are, and that is trusted at least as much."""
    for other in rows:
        trust = _trust(other)
        if other.protocol != row.protocol or other.method == row.method or trust is None:
            continue
        if trust >= (_trust(row) or 0):
            share = max(_agreement(one, two) for one in row.runs for two in other.runs)
            if share >= COPIED:
                yield f"{_percent(share)} of the answers are those of {other.method_title}"


def _lead_doubt(row: BoardRow, rows: Sequence[BoardRow]) -> str:
    """Whether a row of somebody else's method is better than all those that are known here."""
    if _trust(row) != 0:
        return ""
    known = [
        other.mean(RANKING.id) or 0.0
        for other in rows
        if (other.protocol, other.track) == (row.protocol, row.track) and not other.why_unranked and _trust(other)
    ]
    leads = (row.mean(RANKING.id) or 0.0) > max(known, default=-1.0)
    return f"it would lead, {UNTIL}" if leads else ""


def _agreement(one: RunSummary, other: RunSummary) -> float:
    """Percent of equal first answers; 0 where those of one are not known."""
    answers = [None if run.detail is None else run.detail.answers for run in (one, other)]
    return 0.0 if answers[0] is None or answers[1] is None else agreement(answers[0], answers[1])


def _percent(share: float) -> str:
    """With one decimal, and never 100 where something differs."""
    return f"{share if share == 100.0 else min(share, 99.9):.1f} %"
