"""Reads the matrix that ``vlcl score --matrix FILE`` is given: CSV without a header, or JSON.

Only the form is checked here (numbers, equal rows, T rows or T + 1); whether the values can be percent is
the business of :func:`vlcl_bench.scoring.metrics.continual_metrics`.
"""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from vlcl_bench.errors import UsageError
from vlcl_bench.scoring.metrics import FloatArray

FLAG = "--with-zero-shot"
FORMAT = "Expected T rows of T numbers (one row after each task), separated by comma, semicolon, tab or space."

Row = tuple[str, list[float]]


def read_matrix(path: Path, with_zero_shot: bool) -> tuple[FloatArray, FloatArray | None]:
    """Read ``R`` (T, T) and, where given, row 0 (T,) from a CSV or JSON file.

    ``with_zero_shot`` says that the first row of the matrix is row 0. A JSON file is a list of lists, or an
    object with ``matrix`` or ``R`` and perhaps ``zero_shot``. Raises :class:`UsageError` with file and place.
    """
    text = _read(path)
    row0: list[float] | None = None
    if path.suffix.lower() == ".json" or text.lstrip()[:1] in ("[", "{"):
        rows, row0 = _json_rows(text, path)
    else:
        rows = _csv_rows(text, path)
    if not rows or not rows[0][1]:
        raise UsageError(f"{path} is empty", FORMAT)
    width = len(rows[0][1])
    for name, row in rows:
        if len(row) != width:
            raise UsageError(f"{path}, {name}: {len(row)} values, but {rows[0][0]} has {width}", FORMAT)
    values = np.array([row for _, row in rows], dtype=np.float64)
    return _split(values, row0, with_zero_shot, path)


def _split(
    values: FloatArray, row0: list[float] | None, with_zero_shot: bool, path: Path
) -> tuple[FloatArray, FloatArray | None]:
    """Part row 0 from R, or say why the number of rows does not fit the flag."""
    rows, columns = values.shape
    shape = f"{path} holds {rows} rows of {columns} values"
    if row0 is not None:
        if rows == columns + 1:
            raise UsageError(
                f"{shape} and a zero_shot row as well",
                f"Give row 0 once: in the matrix with {FLAG}, or as zero_shot.",
            )
        if len(row0) != columns:
            raise UsageError(f"{path}: zero_shot has {len(row0)} values, but there are {columns} tasks")
        if rows == columns:
            return values, np.array(row0, dtype=np.float64)
    elif rows == columns + 1:
        if with_zero_shot:
            return values[1:], values[0]
        raise UsageError(
            f"{shape}: one row more than tasks",
            f"If the first row is the zero-shot model (row 0), add {FLAG}; in Python, give that row as zero_shot.",
        )
    elif rows == columns:
        if not with_zero_shot:
            return values, None
        raise UsageError(f"{shape}: there is no row 0 in it", f"Put the zero-shot row first, or leave {FLAG} out.")
    raise UsageError(f"{shape}; T tasks need T rows of T values (T + 1 rows with {FLAG})", FORMAT)


def _read(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not a text file (UTF-8): {error.reason}", FORMAT) from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    if not text.strip():
        raise UsageError(f"{path} is empty", FORMAT)
    return text


def _csv_rows(text: str, path: Path) -> list[Row]:
    """Lines of numbers with their names (``line 3``); the separator is one for the whole file."""
    separator = next((mark for mark in (";", "\t", ",") if mark in text), None)
    rows: list[Row] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        cells = line.split() if separator is None else next(csv.reader([line], delimiter=separator))
        cells = [cell.strip() for cell in cells]
        parsed = [_number(cell) for cell in cells]
        if not rows and _is_header(cells, parsed):
            raise UsageError(
                f"{path}, line {number} is a header: {line.strip()[:60]!r}",
                "Remove it; columns are the tasks in order.",
            )
        rows.append(
            (
                f"line {number}",
                [
                    _finite(x, cell, path, number, c)
                    for c, (x, cell) in enumerate(zip(parsed, cells, strict=True), start=1)
                ],
            )
        )
    return rows


def _is_header(cells: list[str], parsed: list[float | None]) -> bool:
    """Names only, or the column numbers 0, 1, 2, … that pandas writes (else they would pass for row 0)."""
    numbered = len(cells) > 1 and cells == [str(n) for n in range(len(cells))]
    named = all(x is None for x in parsed) and any(cell and "," not in cell for cell in cells)
    return numbered or named


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _finite(value: float | None, shown: object, path: Path, line: int, column: int, unit: str = "line") -> float:
    """``value`` if it is a finite number, else :class:`UsageError` with its place."""
    place = f"{path}, {unit} {line}, value {column}"
    if value is None:
        if shown == "":
            raise UsageError(f"{place} is empty", "Every entry is needed: also for tasks not yet learned.")
        hint = "Write a decimal point." if isinstance(shown, str) and "," in shown else FORMAT
        raise UsageError(f"{place} is not a number: {shown!r}", hint)
    if not math.isfinite(value):
        raise UsageError(f"{place} is {shown}", "Every entry is needed: also for tasks not yet learned.")
    return value


def _json_rows(text: str, path: Path) -> tuple[list[Row], list[float] | None]:
    """Rows with their names (``row 3``), and ``zero_shot`` where the file is an object that has it."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(f"{path} is not valid JSON: {error}") from error
    row0 = None
    if isinstance(data, dict):
        keys = [key for key in ("matrix", "R") if key in data]
        if len(keys) != 1:
            raise UsageError(
                f'{path} must have one of the keys "matrix" and "R"; it has: {", ".join(sorted(data)) or "none"}'
            )
        if data.get("zero_shot") is not None:
            row0 = _json_row(data["zero_shot"], path, 0)
        data = data[keys[0]]
    if not isinstance(data, list):
        raise UsageError(f"{path} must hold a list of rows, not {type(data).__name__}", FORMAT)
    return [(f"row {n}", _json_row(row, path, n)) for n, row in enumerate(data, start=1)], row0


def _json_row(row: Any, path: Path, number: int) -> list[float]:
    if not isinstance(row, list):
        raise UsageError(f"{path}, row {number} must be a list of numbers, not {type(row).__name__}", FORMAT)
    numbers = [None if isinstance(x, bool) or not isinstance(x, int | float) else float(x) for x in row]
    return [
        _finite(x, shown, path, number, c, unit="row")
        for c, (x, shown) in enumerate(zip(numbers, row, strict=True), start=1)
    ]
