"""What stands in a matrix file beside R: names of tasks, an index, means, and stages that were not evaluated.

Each is recognised where it cannot be anything else, and then left out with a note; where it could be scores as well,
:class:`UsageError` names the options that decide. Nothing is guessed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vlcl_bench.errors import UsageError
from vlcl_bench.scoring.matrix_cells import Cell, Line

CERTAIN = 3
"""Rows that an index has at least, and sums that must come out, before numbers alone are believed."""
MEANS = re.compile(
    r"(?:macro[- ]?)?(?:avg|ave|average|mean|overall|ø|μ)s?\.?(?: acc(?:uracy|\.)?)?|std\.?|sd|stdev|s\.d\.|"
    r"transfer|last|bwt|fwt|forgetting",
    re.IGNORECASE,
)
"""Names of rows and columns that are computed from the others."""
UNLEARNED = re.compile(
    r"zero[- _]?shot.*|zs|pre-?trained.*|before\b.*|init(?:ial)?|no(?:ne|thing)|clip\b.*|0 nothing", re.IGNORECASE
)
"""Names of the row before any task."""
CORNERS = re.compile(
    r"|unnamed: 0|index|stages?|after(?: task)?|tasks?|steps?|sessions?|trained on|method", re.IGNORECASE
)
"""What stands above an index."""


@dataclass(frozen=True)
class Reading:
    """What a user says of a matrix file; ``None`` leaves it to what the file shows.

    ``with_zero_shot``: the first row is row 0. ``lower``: only what was evaluated so far counts, on and below the
    diagonal. ``header``: the first line names the columns. ``index``: the first column names or counts the rows.
    ``means``: a last row or column that equals the mean of the others is one. ``fractions``: scores run from 0 to 1.
    """

    with_zero_shot: bool = False
    lower: bool | None = None
    header: bool | None = None
    index: bool | None = None
    means: bool | None = None
    fractions: bool | None = None


@dataclass
class Grid:
    """Cells that are still to be told apart, names of their rows and columns, and what was left out so far."""

    lines: list[Line]
    columns: list[str]
    labels: list[str]
    notes: list[str]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.lines), len(self.lines[0].cells) if self.lines else 0

    def drop_row(self, number: int, why: str) -> None:
        """Leave a row out, and say so."""
        self.notes.append(f"{self.lines[number].name} is left out: {why}")
        del self.lines[number]
        if self.labels:
            del self.labels[number]

    def drop_column(self, number: int, why: str) -> None:
        """Leave a column out, and say so."""
        self.notes.append(f"column {number + 1} of the scores is left out: {why}")
        self.lines = [Line(line.name, line.cells[:number] + line.cells[number + 1 :]) for line in self.lines]
        if self.columns:
            del self.columns[number]


def take_header(grid: Grid, reading: Reading) -> None:
    """Move a first line that names the columns, or counts them, out of the grid."""
    first = grid.lines[0].cells
    if reading.header is False or not first or not (reading.header or _is_header(first)):
        return
    shown = " ".join(cell.text for cell in first)[:60]
    grid.notes.append(f"{grid.lines[0].name} is a header: {shown!r}")
    grid.columns = [cell.text for cell in first]
    del grid.lines[0]
    if not grid.lines:
        raise UsageError(f"{first[0].place.rpartition(', ')[0]} is a header, and nothing stands below it")


def _is_header(cells: Sequence[Cell]) -> bool:
    """Names, or the numbers 0, 1, 2, … that pandas writes (else they would pass for row 0), perhaps beside a corner."""
    corner = cells[0].text == "" or cells[0].is_name
    rest = cells[1:] if corner and len(cells) > 1 else cells
    counted = [cell.whole for cell in rest]
    if counted == list(range(len(rest))):
        return len(rest) > 1 or corner
    if counted == list(range(1, len(rest) + 1)):
        return len(rest) >= CERTAIN or (corner and len(rest) > 1 and bool(CORNERS.fullmatch(cells[0].text)))
    return all(cell.is_name for cell in rest)


def take_index(grid: Grid, reading: Reading) -> None:
    """Move a first column that names or counts the rows out of the grid; its texts become the labels."""
    width = max(len(line.cells) for line in grid.lines)
    if reading.index is False or width < 2 or not all(line.cells for line in grid.lines):
        return
    first = [line.cells[0] for line in grid.lines]
    if not (reading.index or _is_index(first, grid.columns, width)):
        return
    shown = ", ".join(cell.text for cell in first[:3]) + (", …" if len(first) > 3 else "")
    grid.notes.append(f"the first column names the rows: {shown}")
    grid.labels = [cell.text for cell in first]
    grid.lines = [Line(line.name, line.cells[1:]) for line in grid.lines]
    if len(grid.columns) == width:
        del grid.columns[0]


def _is_index(first: Sequence[Cell], columns: Sequence[str], width: int) -> bool:
    if columns and (len(columns) == width - 1 or columns[0] == ""):
        return True
    if all(cell.is_name or cell.missing for cell in first) and any(cell.is_name for cell in first):
        return True
    inner = list(first)
    while inner and (inner[-1].is_name or (inner[-1].missing and len(inner) < len(first))):
        inner.pop()
    while inner and (inner[0].is_name or inner[0].missing):
        inner.pop(0)
    numbers = [cell.value for cell in inner]
    counts = len(inner) > 1 and numbers in [[start + n for n in range(len(inner))] for start in (0.0, 1.0)]
    if not counts:
        return False
    named = len(inner) < len(first) or bool(columns and CORNERS.fullmatch(columns[0]))
    if named or (len(inner) >= CERTAIN and all(cell.whole is not None for cell in inner)):
        return True
    raise UsageError(
        f"{first[0].place.rpartition(', value')[0]}: the first column counts {', '.join(cell.text for cell in first)}: "
        "it may be an index or scores",
        "Add --index to leave it out, or --no-index if it holds scores.",
    )


def drop_named_means(grid: Grid, reading: Reading) -> None:
    """Leave out rows and columns whose names say that they are computed from others."""
    if reading.means is False:
        return
    for number in reversed(range(len(grid.labels))):
        if MEANS.fullmatch(grid.labels[number].strip()):
            grid.drop_row(number, f"it is called {grid.labels[number]!r}")
    for number in reversed(range(len(grid.columns))):
        if MEANS.fullmatch(grid.columns[number].strip()):
            grid.drop_column(number, f"it is called {grid.columns[number]!r}")


def drop_computed_means(grid: Grid, reading: Reading, with_zero_shot: bool) -> bool:
    """Leave out a last row or column that holds the means of the others; returns whether one is in doubt."""
    rows, columns = grid.shape
    if reading.means is False or rows < 2 or columns < 2:
        return False
    table = [list(line.cells) for line in grid.lines]
    across = [list(column) for column in zip(*table, strict=True)]
    col = _matches(table, skip=()), _matches(table[:-1], skip=())
    row = _matches(across, skip=(0,)), _matches(across[:-1], skip=(0,))
    possible = _fits(rows, columns, with_zero_shot)
    believed = 0 if reading.means or not _fits(rows, columns, None) else CERTAIN
    choices = ((1, 1, min(col[1], row[1])), (1, 0, col[0]), (0, 1, row[0]))
    for drop_column, drop_row, count in choices:
        fits = _fits(rows - drop_row, columns - drop_column, with_zero_shot or None)
        if count >= believed and fits:
            if drop_row:
                grid.drop_row(rows - 1, "it holds the means of the others")
            if drop_column:
                grid.drop_column(columns - 1, "it holds the means of the others")
            return False
    return not possible and max(count for _, _, count in choices) >= 0


def _fits(rows: int, columns: int, with_zero_shot: bool | None) -> bool:
    """Whether a matrix can have this shape; ``None`` allows it with and without row 0."""
    return columns > 0 and (
        (rows == columns and with_zero_shot is not True) or (rows == columns + 1 and with_zero_shot is not False)
    )


def _matches(rows: Sequence[Sequence[Cell]], skip: Sequence[int]) -> int:
    """How many rows end in the mean of their other cells, and could not by chance; -1 where one does not.

    Means may be over all others, over those evaluated so far (cells that are there, or are not 0), and without the
    first (``skip``: of a column, that is row 0).
    """
    best = -1
    for start in (0, *(number + 1 for number in skip)):
        for counts in COUNTED:
            best = max(best, _count(rows, start, counts))
    return best


COUNTED: tuple[Callable[[Cell], bool], ...] = (
    lambda cell: True,
    lambda cell: cell.value is not None,
    lambda cell: bool(cell.value),
)
"""Which cells a mean may be taken over."""


def _count(rows: Sequence[Sequence[Cell]], start: int, counts: Callable[[Cell], bool]) -> int:
    informative = 0
    for row in rows:
        last, others = row[-1], [cell for cell in row[start:-1] if counts(cell)]
        values = [cell.value for cell in others if cell.value is not None]
        if last.value is None or not values or len(values) < len(others):
            return -1
        # Both were rounded, the mean to its own decimals and the others to theirs.
        slack = 0.5 * 10.0**-last.decimals + 0.5 * 10.0 ** -max(cell.decimals for cell in others) + 1e-9
        if abs(math.fsum(values) / len(values) - last.value) > slack:
            return -1
        informative += len(values) > 1 and max(values) - min(values) > 10 * slack
    return informative
