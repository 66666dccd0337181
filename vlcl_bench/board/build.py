"""Builds the board from folders of records, and writes it or compares it with the one that is there."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vlcl_bench.board.collect import Collected, Fault, collect
from vlcl_bench.board.confidence import with_confidence
from vlcl_bench.board.declarations import Declarations
from vlcl_bench.board.doubts import judged_rows
from vlcl_bench.board.entries import entries_of
from vlcl_bench.board.files import files_of
from vlcl_bench.board.pages import MethodPage, installed_pages
from vlcl_bench.board.readme import renewed
from vlcl_bench.board.rows import OWN_PROTOCOL, BoardRow, RunSummary
from vlcl_bench.common.fileio import remove_half_written, write_atomic
from vlcl_bench.errors import IntegrityError, UsageError
from vlcl_bench.protocols.load import protocol_names
from vlcl_bench.records.rescoring import can_rescore

COMMITTED = "leaderboard"
"""Name of the folder of the committed board, beside which the README's tables are renewed."""
DIFFERENCE, WIDTH = 20, 160
"""Lines of a difference that are shown, and characters of each."""

Pages = Callable[[Collection[str]], Sequence[MethodPage]]
"""Gives the pages of methods by their names, as :func:`installed_pages` does."""


@dataclass(frozen=True)
class Board:
    """A finished board: its rows, its files by name, and how many runs it is made of and how many were scored again.

    ``own`` ones were scored again too, but on protocols of one's own, so that they are not ranked. ``faults`` are the
    runs that it was made without.
    """

    rows: list[BoardRow]
    files: dict[str, str]
    counts: dict[str, int]
    faults: list[Fault] = field(default_factory=list)


def board_of(
    runs: Path, declarations: Declarations, include_unverifiable: bool = False, pages: Pages = installed_pages
) -> Board:
    """The board of every finished run below ``runs``; published claims that nobody can check only where asked for.

    A damaged record is left out and named among the board's ``faults``. Raises :class:`UsageError` where there is no
    such folder.
    """
    if not runs.is_dir():
        raise UsageError(f"there is no folder {runs}", "Give one with runs (--runs), or run a method first.")
    found = collect(runs, declarations)
    rows = with_confidence(judged_rows(told_apart(found)))
    files = files_of(rows, include_unverifiable=include_unverifiable)
    if wanted := pages({summary.method for summary in found.summaries}):
        scored = [
            one for one in entries_of(found.records) if all(can_rescore(record) for _, record in one.runs.values())
        ]
        files |= {page.name: page.text(scored) for page in wanted}
    reported = [summary for summary in found.summaries if summary.status == "self-reported"]
    own = sum(summary.unranked_because == OWN_PROTOCOL for summary in reported)
    counts = {"runs": len(found.summaries), "rescored": len(found.summaries) - len(reported), "own": own}
    return Board(rows, files, counts, found.faults)


def told_apart(found: Collected) -> list[RunSummary]:
    """The runs as the board needs them, own protocols of one name told apart by their fingerprints.

    A protocol of the package keeps its name: of an older one the runs cannot be scored again, and that is said.
    """
    digests = [record.identity.protocol_fingerprint for _, record in found.records]
    summaries, known = list(zip(found.summaries, digests, strict=True)), set(protocol_names())
    streams = {(summary.protocol, digest) for summary, digest in summaries if summary.protocol not in known}
    shared = {name for name, count in Counter(name for name, _ in streams).items() if count > 1}
    return [
        replace(one, protocol=f"{one.protocol}@{digest[:8]}", protocol_title=f"{one.protocol_title} ({digest[:8]})")
        if one.protocol in shared
        else one
        for one, digest in summaries
    ]


def build_from_runs(runs: Path, out: Path, declarations: Declarations, **how: Any) -> dict[str, Any]:
    """Write the board of ``runs`` to the folder ``out``; and, beside ``leaderboard/``, the README.

    ``how`` as :func:`board_of`; returns its counts, its ``faults`` as objects, and the ``files`` written. What a build
    that was killed left half-written is removed.
    """
    board = board_of(runs, declarations, **how)
    files = placed(board, out)
    for path in files:
        remove_half_written(path)
    written = [str(write_atomic(path, text)) for path, text in files.items()]
    return {**board.counts, "faults": _facts(board), "files": written}


def check_board(runs: Path, out: Path, declarations: Declarations, **how: Any) -> dict[str, Any]:
    """Build the board in memory only; raises :class:`IntegrityError` with the difference where ``out`` is another."""
    board = board_of(runs, declarations, **how)
    files = placed(board, out)
    stale, lines = [], list[str]()
    for path, text in files.items():
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        if before != text:
            stale.append(path.name if path.parent == out else str(path))
            lines += difflib.unified_diff(
                before.splitlines(), text.splitlines(), str(path), f"{path} as the records say", n=0, lineterm=""
            )
    if stale:
        more = f"\n... and {len(lines) - DIFFERENCE} more lines" if len(lines) > DIFFERENCE else ""
        shown = "\n".join(line[:WIDTH] for line in lines[:DIFFERENCE])
        raise IntegrityError(
            f"{', '.join(stale)} in {out} are not what the records give:\n{shown}{more}",
            "Build it again, look at what changed, and commit it: vlcl leaderboard build.",
        )
    return {**board.counts, "faults": _facts(board), "files": [str(path) for path in files]}


def _facts(board: Board) -> list[dict[str, str]]:
    return [{"folder": str(one.folder), "message": one.message, "hint": one.hint} for one in board.faults]


def placed(board: Board, out: Path) -> dict[Path, str]:
    """The board's files by path in ``out``; with the README above where that is the project's ``leaderboard``."""
    files = {out / name: text for name, text in board.files.items()}
    readme = out.parent / "README.md"
    if out.name == COMMITTED and readme.exists():
        files[readme] = renewed(readme.read_text(encoding="utf-8"), board.rows, str(readme))
    return files
