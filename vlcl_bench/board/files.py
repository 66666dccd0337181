"""Builds the board: the same records give the same bytes, on any machine and at any time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby

from vlcl_bench.board.agreement import agreements
from vlcl_bench.board.published import published_rows
from vlcl_bench.board.ranks import certainty
from vlcl_bench.board.render.page import render_page
from vlcl_bench.board.render.texts import render_csv, render_json, render_markdown
from vlcl_bench.board.rows import BoardRow, RunSummary, board_rows

__all__ = ["BoardRow", "RunSummary", "board_rows", "board_text", "files_of", "with_certainty"]


def board_text(runs: Iterable[RunSummary], *, include_unverifiable: bool = False) -> dict[str, str]:
    """File name to content, newlines ``\\n``: ``README.md``, ``leaderboard.csv``, ``leaderboard.json``, ``index.html``.

    Independent of the order of ``runs``. Published rows of status ``claimed-unverifiable`` are left out
    unless asked for. Raises :class:`IntegrityError` when a row would hold one seed twice.
    """
    return files_of(with_certainty(board_rows(runs)), include_unverifiable=include_unverifiable)


def files_of(rows: Sequence[BoardRow], *, include_unverifiable: bool = False) -> dict[str, str]:
    """The files of finished rows."""
    published = published_rows(include_unverifiable=include_unverifiable)
    agreement = agreements(rows, published)
    return {
        "README.md": render_markdown(rows, published, agreement),
        "leaderboard.csv": render_csv(rows),
        "leaderboard.json": render_json(rows, published, agreement),
        "index.html": render_page(rows, published),
    }


def with_certainty(rows: Sequence[BoardRow]) -> list[BoardRow]:
    """The rows with intervals and, the ranked ones, the ranks that the data leave open; each track for itself.

    Rows without predictions that could be scored here stay as they are.
    """
    found = []
    for _, section in groupby(rows, key=lambda row: (row.protocol, row.track)):
        lines = {str(place): row for place, row in enumerate(section)}
        items = {
            key: {run.seed: run.detail.items for run in row.runs if run.detail is not None}
            for key, row in lines.items()
            if all(run.detail is not None and run.detail.items for run in row.runs)
        }
        known = certainty(items, [key for key in items if lines[key].rank is not None])
        found += [
            replace(row, intervals=known.intervals.get(key, {}), rank_range=known.ranks.get(key))
            for key, row in lines.items()
        ]
    return found
