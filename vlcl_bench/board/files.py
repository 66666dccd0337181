"""The files of the board from its runs or rows: the same give the same bytes, on any machine and at any time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vlcl_bench.board.agreement import agreements
from vlcl_bench.board.confidence import with_confidence
from vlcl_bench.board.doubts import judged_rows
from vlcl_bench.board.published import published_rows
from vlcl_bench.board.render.csv import render_csv
from vlcl_bench.board.render.json import render_json
from vlcl_bench.board.render.markdown import render_markdown
from vlcl_bench.board.render.page import render_page
from vlcl_bench.board.rows import BoardRow, RunSummary


def board_text(runs: Iterable[RunSummary], *, include_unverifiable: bool = False) -> dict[str, str]:
    """File name to content, newlines ``\\n``: ``README.md``, ``leaderboard.csv``, ``leaderboard.json``, ``index.html``.

    Independent of the order of ``runs``. Published rows of status ``claimed-unverifiable`` are left out
    unless asked for. Raises :class:`IntegrityError` when a row would hold one seed twice.
    """
    return files_of(with_confidence(judged_rows(runs)), include_unverifiable=include_unverifiable)


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
