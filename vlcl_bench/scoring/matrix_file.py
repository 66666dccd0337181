"""Reads the matrix that ``vlcl score --matrix FILE`` is given: a table in text (CSV, LaTeX, Markdown), or JSON.

What belongs to R and what does not is decided here: where a file can be read in two ways, it is refused with the
options that say which is meant (:class:`~vlcl_bench.scoring.matrix_parts.Reading`). Whether the values can be percent
is the business of :func:`vlcl_bench.scoring.metrics.continual_metrics`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vlcl_bench.errors import UsageError
from vlcl_bench.scoring.matrix_cells import FORMAT, Cell, Line, json_lines, text_lines
from vlcl_bench.scoring.matrix_parts import (
    UNLEARNED,
    Grid,
    Reading,
    drop_computed_means,
    drop_named_means,
    take_header,
    take_index,
)
from vlcl_bench.scoring.metrics import FloatArray

FLAG = "--with-zero-shot"
Cells = list[tuple[Cell, ...]]


@dataclass(frozen=True, eq=False)
class MatrixFile:
    """What a file holds: ``R`` (T, T) and, where given, row 0 (T,), both in percent.

    ``lower`` says that only R's lower triangle was evaluated; what is above is NaN. ``tasks`` are names that the file
    gives, or empty; ``notes`` say what was left out.
    """

    R: FloatArray
    zero_shot: FloatArray | None = None
    lower: bool = False
    tasks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_matrix(path: Path, reading: Reading | None = None) -> MatrixFile:
    """Read R and what goes with it from a file; ``reading`` decides what the file leaves open.

    A JSON file is a list of lists, or an object with ``matrix`` or ``R`` and perhaps ``zero_shot`` and ``tasks``.
    Raises :class:`UsageError` with file and place.
    """
    reading = reading or Reading()
    text = _read(path)
    row0: Line | None = None
    names: list[str] = []
    if path.suffix.lower() == ".json" or text.lstrip()[:1] in ("[", "{"):
        lines, row0, names = json_lines(text, path)
    else:
        lines = text_lines(text, path)
    if not lines or not any(line.cells for line in lines):
        raise UsageError(f"{path} is empty", FORMAT)
    grid = Grid(lines, [], [], [])
    take_header(grid, reading)
    take_index(grid, reading)
    _make_even(grid, path)
    drop_named_means(grid, reading)
    if not grid.lines:
        raise UsageError(f"{path} holds no row of scores", FORMAT)
    unlearned = _unlearned(grid)
    doubt = drop_computed_means(grid, reading, reading.with_zero_shot or unlearned)
    R, first = _split(grid, row0, reading.with_zero_shot or unlearned, doubt, path)
    matrix, lower = _triangle(R, grid, reading, path)
    zero_shot = _row0(first, lower, grid)
    matrix, zero_shot = _in_percent(matrix, zero_shot, [*R, *([first] if first else [])], reading, path)
    tasks = tuple(names or grid.columns)
    named = len(tasks) == len(matrix) and len(set(tasks)) == len(tasks) and not tasks[0].isdigit()
    if any(cell.beside for row in R for cell in row):
        grid.notes.append("what stands beside a score (±, brackets) is left out")
    return MatrixFile(matrix, zero_shot, lower, tasks if named else (), tuple(grid.notes))


def _read(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist") from error
    except (UnicodeDecodeError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise UsageError(f"{path} is not a text file (UTF-8): {reason}", FORMAT) from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    if not text.strip():
        raise UsageError(f"{path} is empty", FORMAT)
    return text


def _make_even(grid: Grid, path: Path) -> None:
    """Rows of one length; those of a triangle, each a cell longer than the one before, are filled up."""
    lengths = [len(line.cells) for line in grid.lines]
    if len(set(lengths)) == 1 and lengths[0]:
        return
    if len(lengths) > 1 and lengths in (list(range(1, len(lengths) + 1)), list(range(len(lengths)))):
        filled = [
            Line(line.name, line.cells + tuple(Cell("", line.name, missing=True) for _ in range(lengths[-1] - count)))
            for line, count in zip(grid.lines, lengths, strict=True)
        ]
        grid.lines[:] = filled
        return
    first = grid.lines[0]
    other = next((line for line in grid.lines if len(line.cells) != lengths[0]), first)
    raise UsageError(f"{path}, {other.name}: {len(other.cells)} values, but {first.name} has {lengths[0]}", FORMAT)


def _unlearned(grid: Grid) -> bool:
    """Whether the first row says of itself that it is row 0, or is blank: then nothing was evaluated before."""
    rows, columns = grid.shape
    if grid.labels and UNLEARNED.fullmatch(grid.labels[0].strip()):
        return True
    return rows == columns + 1 and all(cell.missing for cell in grid.lines[0].cells)


def _split(
    grid: Grid, row0: Line | None, with_zero_shot: bool, doubt: bool, path: Path
) -> tuple[Cells, tuple[Cell, ...] | None]:
    """Part row 0 from R, or say why the number of rows does not fit."""
    rows, columns = grid.shape
    cells = [line.cells for line in grid.lines]
    left_out = f" ({'; '.join(grid.notes)})" if grid.notes else ""
    shape = f"{path} holds {rows} rows of {columns} values{left_out}"
    means = " Where its last row or column holds means, add --means." if doubt else ""
    if row0 is not None:
        if rows == columns + 1:
            raise UsageError(
                f"{shape} and a zero_shot row as well",
                f"Give row 0 once: in the matrix with {FLAG}, or as zero_shot.",
            )
        if len(row0.cells) != columns:
            raise UsageError(f"{path}: zero_shot has {len(row0.cells)} values, but there are {columns} tasks")
        if rows == columns:
            return cells, row0.cells
    elif rows == columns + 1:
        if with_zero_shot:
            return cells[1:], cells[0]
        raise UsageError(
            f"{shape}: one row more than tasks",
            f"If the first row is the zero-shot model (row 0), add {FLAG}; "
            f"in Python, give that row as zero_shot.{means}",
        )
    elif rows == columns:
        if not with_zero_shot:
            return cells, None
        raise UsageError(f"{shape}: there is no row 0 in it", f"Put the zero-shot row first, or leave {FLAG} out.")
    whole = all(cell.whole is not None for row in cells for cell in row)
    doubled = whole and columns >= 2 * (rows - 1)
    commas = " If its commas are decimal commas, part the values by semicolons." if doubled else ""
    raise UsageError(
        f"{shape}; T tasks need T rows of T values (T + 1 rows with {FLAG})",
        f"{FORMAT}{commas}{means} A column of numbers or names of rows is left out with --index.",
    )


def _triangle(rows: Cells, grid: Grid, reading: Reading, path: Path) -> tuple[FloatArray, bool]:
    """R, and whether only its lower triangle counts; refused where zeros could be scores or not."""
    count = len(rows)
    above = [(j, i) for j in range(count) for i in range(j + 1, count)]
    below = [(j, i) for j in range(count) for i in range(j)]
    missing = [place for place in above if rows[place[0]][place[1]].missing]
    lower = reading.lower is True and count > 1
    if not lower and above and len(missing) == len(above) and not any(rows[j][i].missing for j, i in below):
        lower = True
        grid.notes.append("nothing stands above the diagonal: what needs scores of unlearned tasks is not defined")
    if _is_turned(rows, reading):
        raise UsageError(
            f"{path}: everything below the diagonal is 0 or missing: its columns seem to be stages",
            "Exchange rows and columns (in pandas: R.T): a row after each task, a column for each task.",
        )
    if missing and not lower and reading.lower is None:
        j, i = missing[0]
        raise UsageError(
            f"{rows[j][i].place} is {rows[j][i].text or 'empty'}",
            "Every entry is needed, also for tasks not yet learned; --lower takes only what stands on and below the "
            "diagonal.",
        )
    if lower:
        matrix = np.full((count, count), np.nan)
        for j in range(count):
            matrix[j, : j + 1] = [cell.number() for cell in rows[j][: j + 1]]
        return matrix, True
    matrix = np.array([[cell.number() for cell in row] for row in rows], dtype=np.float64)
    if reading.lower is None:
        _refuse_filled(matrix, path)
    return matrix, False


def _is_turned(rows: Cells, reading: Reading) -> bool:
    """Whether only what stands above the diagonal was evaluated: columns are then stages, and rows tasks."""
    above = [row[i] for j, row in enumerate(rows) for i in range(j + 1, len(rows))]
    below = [row[i] for j, row in enumerate(rows) for i in range(j)]
    filled = any(not _nothing(cell) for cell in above)
    zeros = reading.lower is not False and all(_nothing(cell) for cell in below)
    return len(rows) > 2 and filled and (zeros or all(cell.missing for cell in below))


def _nothing(cell: Cell) -> bool:
    return cell.missing or cell.value == 0


def _refuse_filled(matrix: FloatArray, path: Path) -> None:
    """Refuse an upper triangle that seems to be filled up: one value, or 0 from the second place on."""
    count = len(matrix)
    above, far = matrix[np.triu_indices(count, 1)], matrix[np.triu_indices(count, 2)]
    if not len(above) or not matrix[np.tril_indices(count)].any():
        return
    one_value = (above == above[0]).all() and (above[0] <= 0 or (count > 2 and (matrix != above[0]).any()))
    if one_value or (len(far) > 2 and (far == 0).all()):
        what = "from the second place beside the diagonal on, all values are 0"
        if one_value:
            what = f"all {len(above)} values above the diagonal are {above[0]:g}"
        raise UsageError(
            f"{path}: {what}",
            "If tasks were not evaluated before they were learned, add --lower (Last, BWT and forgetting, the others "
            "are not defined); if these are scores, --no-lower.",
        )


def _row0(cells: tuple[Cell, ...] | None, lower: bool, grid: Grid) -> FloatArray | None:
    """Row 0, where something stands in it."""
    if cells is None:
        return None
    if all(cell.missing for cell in cells) or (lower and all(_nothing(cell) for cell in cells)):
        grid.notes.append("nothing stands in row 0")
        return None
    return np.array([cell.number() for cell in cells], dtype=np.float64)


def _in_percent(
    matrix: FloatArray, zero_shot: FloatArray | None, rows: Cells, reading: Reading, path: Path
) -> tuple[FloatArray, FloatArray | None]:
    """Fractions as percent where they are said to be; refused where it is not certain which of both they are."""
    top = max(float(np.nanmax(matrix)), 0.0 if zero_shot is None else float(zero_shot.max()))
    used = [cell for row in rows for cell in row if cell.value]
    signs = sum(cell.percent for cell in used)
    if 0 < signs < len(used):
        odd = next(cell for cell in used if not cell.percent)
        raise UsageError(
            f"{odd.place} has no percent sign, but {signs} other values have one", "Write all of them in one way."
        )
    if reading.fractions:
        if top > 1 or signs:
            raise UsageError(f"{path}: the largest value is {top:g}{'%' if signs else ''}", "Leave --fractions out.")
        return matrix * 100, None if zero_shot is None else zero_shot * 100
    if 0 < top <= 1 and not signs and reading.fractions is None:
        raise UsageError(
            f"{path}: the largest value is {top:g}",
            "This looks like fractions; give percent (0 to 100), or add --fractions. If it is percent, --no-fractions.",
        )
    return matrix, zero_shot
