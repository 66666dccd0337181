"""The tables of the project's README: between markers, renewed with the board.

A marker is a line ``<!-- board:PROTOCOL -->``, or ``<!-- board:PROTOCOL top N -->`` for its first ``N``
rows alone, and the table ends before the next line ``<!-- /board -->``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from vlcl_bench.board.render.cells import plus_minus, ranks_shown, title
from vlcl_bench.board.render.tables import table
from vlcl_bench.board.rows import BoardRow
from vlcl_bench.errors import IntegrityError
from vlcl_bench.scoring.columns import columns

END = "<!-- /board -->"
_BEGIN = re.compile(r"^<!-- board:(?P<protocol>[\w.@-]+)(?: top (?P<top>[1-9]\d*))? -->$", re.MULTILINE)


def renewed(text: str, rows: Sequence[BoardRow], where: str = "README.md") -> str:
    """``text`` with the table of ranked rows (standard budget) between every pair of markers.

    Raises :class:`IntegrityError` where a marker has no end or says something else.
    """
    for line in text.splitlines():
        if line.startswith("<!-- board:") and not _BEGIN.fullmatch(line):
            raise IntegrityError(
                f"{where}: {line!r} is no marker", "Write <!-- board:PROTOCOL --> or <!-- board:PROTOCOL top 5 -->."
            )
    parts, place = [], 0
    for found in _BEGIN.finditer(text):
        end = text.find(END, found.end())
        following = _BEGIN.search(text, found.end())
        if end < 0 or (following is not None and following.start() < end):
            raise IntegrityError(f"{where}: the marker {found[0]} has no end", f"Add a line {END} after its table.")
        top = int(found["top"]) if found["top"] else None
        parts += [text[place : found.end()], "\n", readme_table(found["protocol"], rows, top), "\n"]
        place = end
    return "".join([*parts, text[place:]])


def readme_table(protocol: str, rows: Sequence[BoardRow], top: int | None = None) -> str:
    """The ranked rows of a protocol at the standard budget, mean and deviation over seeds, in percent.

    With ``top`` no more than the first so many of them.
    """
    ranked = [row for row in rows if row.protocol == protocol and row.track == "standard" and row.rank is not None]
    if not ranked:
        return "No ranked entries yet."
    shown = columns("headline", "score", place="readme")
    head = ["Ranks", "Method", "n", *(column.label for column in shown)]
    body = [
        [ranks_shown(row), title(row), str(row.seeds), *(plus_minus(row.metrics[column.id]) for column in shown)]
        for row in ranked[:top]
    ]
    return table(head, body, right=[0, *range(2, len(head))])
