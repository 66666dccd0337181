"""Builds the board: the same records give the same bytes, on any machine and at any time."""

from __future__ import annotations

from collections.abc import Iterable

from vlcl_bench.board.agreement import agreements
from vlcl_bench.board.published import published_rows
from vlcl_bench.board.render import render_csv, render_json, render_markdown
from vlcl_bench.board.rows import BoardRow, RunSummary, board_rows

__all__ = ["BoardRow", "RunSummary", "board_rows", "board_text"]


def board_text(runs: Iterable[RunSummary], *, include_unverifiable: bool = False) -> dict[str, str]:
    """File name to content (``README.md``, ``leaderboard.csv``, ``leaderboard.json``), newlines ``\\n``.

    Independent of the order of ``runs``. Published rows of status ``claimed-unverifiable`` are left out
    unless asked for. Raises :class:`IntegrityError` when a row would hold one seed twice.
    """
    rows = board_rows(runs)
    published = published_rows(include_unverifiable=include_unverifiable)
    agreement = agreements(rows, published)
    return {
        "README.md": render_markdown(rows, published, agreement),
        "leaderboard.csv": render_csv(rows),
        "leaderboard.json": render_json(rows, published, agreement),
    }
