"""Builds the board from folders of records, and writes it or compares it with the one that is there."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vlcl_bench.board.confidence import with_confidence
from vlcl_bench.board.declarations import Declarations
from vlcl_bench.board.entries import entries
from vlcl_bench.board.files import files_of
from vlcl_bench.board.pages import MethodPage, installed_pages
from vlcl_bench.board.readme import renewed
from vlcl_bench.board.rows import OWN_PROTOCOL, BoardRow, RunSummary, board_rows
from vlcl_bench.board.summaries import summarise
from vlcl_bench.common.fileio import write_atomic
from vlcl_bench.errors import IntegrityError, UsageError
from vlcl_bench.protocols.load import protocol_names
from vlcl_bench.records.files import RECORD_NAME, read_record
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

    ``own`` ones were scored again too, but on protocols of one's own, so that they are not ranked.
    """

    rows: list[BoardRow]
    files: dict[str, str]
    counts: dict[str, int]


def board_of(
    runs: Path, declarations: Declarations, include_unverifiable: bool = False, pages: Pages = installed_pages
) -> Board:
    """The board of every finished run below ``runs``; published claims that nobody can check only where asked for.

    Raises :class:`UsageError` where there is no such folder, and :class:`IntegrityError` for a damaged record.
    """
    if not runs.is_dir():
        raise UsageError(f"there is no folder {runs}", "Give one with runs (--runs), or run a method first.")
    summaries, seen = list[tuple[RunSummary, str]](), set()
    for folder in sorted(path.parent for path in runs.rglob(RECORD_NAME)):
        record = read_record(folder)
        same = (record.run_hash, record.first_predictions_sha256)
        if same not in seen:  # the same run twice, with the same answers (compact or not), is one run
            seen.add(same)
            summary = summarise(record, folder, runs, declarations)
            summaries.append((summary, record.identity.protocol_fingerprint))
    rows = with_confidence(board_rows(told_apart(summaries)))
    files = files_of(rows, include_unverifiable=include_unverifiable)
    if wanted := pages({summary.method for summary, _ in summaries}):
        scored = [entry for entry in entries([runs]) if all(can_rescore(record) for _, record in entry.runs.values())]
        files |= {page.name: page.text(scored) for page in wanted}
    rescored = sum(summary.status != "self-reported" for summary, _ in summaries)
    own = sum(summary.unranked_because == OWN_PROTOCOL for summary, _ in summaries)
    return Board(rows, files, {"runs": len(summaries), "rescored": rescored, "own": own})


def told_apart(summaries: Sequence[tuple[RunSummary, str]]) -> list[RunSummary]:
    """Runs, given with the fingerprints of their protocols, with own protocols of one name told apart by these.

    A protocol of the package keeps its name: of an older one the runs cannot be scored again, and that is said.
    """
    known = set(protocol_names())
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

    ``how`` as :func:`board_of`; returns its counts, and the ``files`` written.
    """
    board = board_of(runs, declarations, **how)
    written = [str(write_atomic(path, text)) for path, text in placed(board, out).items()]
    return {**board.counts, "files": written}


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
    return {**board.counts, "files": [str(path) for path in files]}


def placed(board: Board, out: Path) -> dict[Path, str]:
    """The board's files by path in ``out``; with the README above where that is the project's ``leaderboard``."""
    files = {out / name: text for name, text in board.files.items()}
    readme = out.parent / "README.md"
    if out.name == COMMITTED and readme.exists():
        files[readme] = renewed(readme.read_text(encoding="utf-8"), board.rows, str(readme))
    return files
