"""Adds to the rows of the board how sure their places are; see :mod:`vlcl_bench.board.ranks`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from vlcl_bench.board.ranks import certainty
from vlcl_bench.board.rows import BoardRow


def with_confidence(rows: Sequence[BoardRow]) -> list[BoardRow]:
    """The rows with intervals and, the ranked ones, the ranks that the data leave open; each track for itself.

    Rows without predictions that could be scored here stay as they are.
    """
    confident = []
    for _, section in groupby(rows, key=lambda row: (row.protocol, row.track)):
        lines = {str(place): row for place, row in enumerate(section)}
        items = {
            key: {run.seed: run.detail.items for run in row.runs if run.detail is not None}
            for key, row in lines.items()
            if all(run.detail is not None and run.detail.items for run in row.runs)
        }
        sure = certainty(items, [key for key in items if lines[key].rank is not None])
        confident += [
            replace(row, intervals=sure.intervals.get(key, {}), rank_range=sure.ranks.get(key))
            for key, row in lines.items()
        ]
    return confident
