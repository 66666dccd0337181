"""The cells of a matrix file: numbers as people, spreadsheets and papers write them, blanks, and names.

Read are CSV (comma, semicolon, tab), columns parted by spaces, Markdown and LaTeX tables, and JSON. What a cell says
beside its score is left out and told: ``71.8%``, ``71.8±0.3``, ``71.8 (0.3)``, ``\\textbf{71.8}``, ``**71.8**``.
A decimal comma is read where the comma cannot be the separator.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlcl_bench.errors import UsageError

FORMAT = "Expected T rows of T numbers (one row after each task), separated by comma, semicolon, tab or space."
THERE = "Every entry is needed: also for tasks not yet learned."
MISSING = frozenset({"", "-", "--", "---", "–", "—", "−", "nan", "na", "n/a", "none", "null", "<na>", "/", ".", "?"})
"""How people write that a score is not there."""
NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
FRACTION = re.compile(r"[0-9][.,][0-9]")
INFINITE = re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE)
SPREAD = re.compile(r"\s*(?:±|\+/-|\+-|\\pm)\s*[0-9.,]+\s*(%?)$")
IN_BRACKETS = re.compile(r"(?<=[0-9%])\s*(?:\([^()]*\)|\[[^\[\]]*\])$")
RULES = re.compile(r"\\(?:hline|toprule|midrule|bottomrule|cline|cmidrule)(?:\(\w*\))?(?:\{[^}]*\})?")
ENVIRONMENT = re.compile(
    r"\\(?:begin|end)\{[^}]*\}(?:\[[^\]]*\])?(?:\{(?:[^{}]|\{[^{}]*\})*\})?|\\(?:caption|label)\{[^{}]*\}|\\centering"
)
"""What is around the rows of a table in LaTeX, as pandas writes it."""
COLOUR = re.compile(r"\\(?:text|cell|row)?color(?:\[[^\]]*\])?\{[^}]*\}")
COMMAND = re.compile(r"\\(?:[a-zA-Z]+)(?:\[[^\]]*\])?")
RULE = re.compile(r"[|:+\-=\s]*[-=]{2,}[|:+\-=\s]*")
"""The line below the heading of a Markdown table."""
SEPARATORS = (";", "\t", "|", "&", ",")


@dataclass(frozen=True)
class Cell:
    """What stands in one place: a finite number, nothing (``missing``), or a text (neither).

    ``decimals`` are those written, ``percent`` says that a percent sign stands with it, ``beside`` that something else
    does, such as a standard deviation.
    """

    text: str
    place: str
    value: float | None = None
    missing: bool = False
    decimals: int = 0
    percent: bool = False
    beside: bool = False

    @property
    def is_text(self) -> bool:
        """Whether it is a name, or something that nobody can read."""
        return self.value is None and not self.missing

    @property
    def is_name(self) -> bool:
        """Whether it is a text that is no damaged number."""
        return self.is_text and any(letter.isalpha() for letter in self.text) and not FRACTION.search(self.text)

    @property
    def whole(self) -> int | None:
        """The number, where it is a whole one and written as such."""
        return int(self.text) if re.fullmatch(r"[0-9]{1,6}", self.text) else None

    def number(self) -> float:
        """The number; raises :class:`UsageError` with the place where there is none."""
        if self.value is not None:
            return self.value
        if self.missing:
            raise UsageError(f"{self.place} is {self.text}" if self.text else f"{self.place} is empty", THERE)
        if INFINITE.fullmatch(self.text):
            raise UsageError(f"{self.place} is {self.text}", THERE)
        hint = FORMAT
        if re.fullmatch(r"[0-9]{1,3}([.,' \u00a0\u202f][0-9]{3})+([.,][0-9]+)?", self.text):
            hint = "It looks like a number with separators of thousands; scores are percent, from 0 to 100."
        elif "," in self.text:
            hint = "Write a decimal point, in every cell."
        raise UsageError(f"{self.place} is not a number: {self.text[:60]!r}", hint)


@dataclass(frozen=True)
class Line:
    """A row of a file with its name for messages (``line 3``)."""

    name: str
    cells: tuple[Cell, ...]


def text_lines(text: str, path: Path) -> list[Line]:
    """The lines of a table in text, comments and rules left out."""
    lines = [(number, _bare(line)) for number, line in enumerate(text.splitlines(), start=1)]
    kept = [(number, line) for number, line in lines if line and not RULE.fullmatch(line)]
    separator = separator_of([line for _, line in kept])
    commas = separator != "," or any('"' in line for _, line in kept)
    found = []
    for number, line in kept:
        name = f"line {number}"
        words = enumerate(split(line, separator), start=1)
        found.append(Line(name, tuple(cell(word, f"{path}, {name}, value {n}", commas) for n, word in words)))
    return _without_empty_column(found)


def separator_of(lines: Sequence[str]) -> str | None:
    """What parts the cells, one for the whole file; ``None`` stands for spaces."""
    uses = {mark: sum(mark in line for line in lines) for mark in SEPARATORS}
    found = max(SEPARATORS, key=uses.__getitem__) if any(uses.values()) else None
    if found != ",":
        return found
    # ``71,8 60,5``: commas that are decimal commas, between spaces.
    spaced = [word for line in lines for word in split(line, None)]
    decimal = all(re.fullmatch(r"[+-]?[0-9]+,[0-9]+|[0-9]+|\w*[^\W\d]\w*", word) for word in spaced)
    inside = any(re.search(r"[0-9]\s+[0-9]", word) for line in lines for word in split(line, ","))
    return None if decimal and inside else found


def split(line: str, separator: str | None) -> list[str]:
    """The cells of a line, without spaces around them."""
    if separator is None:
        joined = re.sub(r"\s*(±|\+/-|\+-|\\pm)\s*", r"\1", re.sub(r"(?<=[0-9%])\s+(?=[%\\(\[])", "", line))
        return joined.split()
    if separator == "|":
        line = line.strip().removeprefix("|").removesuffix("|")
    words = next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
    return [word.strip() for word in words]


def cell(text: str, place: str, commas: bool = True) -> Cell:
    """What a text says; ``commas`` allows a comma in place of the decimal point."""
    if text.lower() in MISSING:
        return Cell(text, place, missing=True)
    plain = _unadorned(text)
    bare = SPREAD.sub(r"\1", plain)
    bare = IN_BRACKETS.sub("", bare).strip()
    percent = bare.endswith("%")
    number = bare.removesuffix("%").strip()
    if commas and re.fullmatch(r"[+-]?[0-9]+,[0-9]+", number):
        number = number.replace(",", ".")
    if number.lower() in MISSING:
        return Cell(text, place, missing=True)
    if not NUMBER.fullmatch(number) or not math.isfinite(float(number)):
        return Cell(text, place)
    decimals = len(number.lower().partition("e")[0].partition(".")[2])
    beside = bare != plain
    shown = number if number.isdigit() else text
    return Cell(shown, place, float(number), decimals=decimals, percent=percent, beside=beside)


def json_lines(text: str, path: Path) -> tuple[list[Line], Line | None, list[str]]:
    """The rows of a JSON file, its ``zero_shot`` row and the names of its ``tasks``, where it has them."""
    try:
        data = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is not valid JSON: {error}", FORMAT) from error
    row0, names = None, []
    if isinstance(data, dict):
        keys = [key for key in ("matrix", "R") if key in data]
        if len(keys) != 1:
            raise UsageError(
                f'{path} must have one of the keys "matrix" and "R"; it has: {", ".join(sorted(data)) or "none"}'
            )
        if data.get("zero_shot") is not None:
            row0 = _json_line(data["zero_shot"], path, 0)
        if isinstance(data.get("tasks"), list):
            names = [str(name) for name in data["tasks"]]
        data = data[keys[0]]
    if not isinstance(data, list):
        raise UsageError(f"{path} must hold a list of rows, not {type(data).__name__}", FORMAT)
    return [_json_line(row, path, n) for n, row in enumerate(data, start=1)], row0, names


def _json_line(row: Any, path: Path, number: int) -> Line:
    if not isinstance(row, list):
        raise UsageError(f"{path}, row {number} must be a list of numbers, not {type(row).__name__}", FORMAT)
    name = f"row {number}"
    return Line(name, tuple(_json_cell(value, f"{path}, {name}, value {n}") for n, value in enumerate(row, start=1)))


def _json_cell(value: Any, place: str) -> Cell:
    """JSON knows numbers; in strings they are read as in text."""
    if value is None:
        return Cell("null", place, missing=True)
    if isinstance(value, str):
        return cell(value.strip(), place)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"{place} is not a number: {str(value)[:60]!r}", FORMAT)
    return cell(str(value), place)


def _bare(line: str) -> str:
    """A line without a comment (``# …``, as NumPy writes it) and without what ends rows of a LaTeX table."""
    line = ENVIRONMENT.sub("", RULES.sub("", line))
    line = re.sub(r"\\\\\s*(?:\[[^\]]*\])?\s*$", "", line)
    return "" if re.match(r"\s*#(?!\w*\s*[,;\t&|])", line) else line.strip()


def _unadorned(text: str) -> str:
    """A cell without LaTeX commands, emphasis and marks of footnotes; a spread in a subscript becomes plain."""
    bare = text.replace(r"\%", "%").replace(r"\pm", "±")
    bare = COMMAND.sub("", COLOUR.sub("", bare))
    bare = re.sub(r"[_^]\{?\s*(±)", r"\1", bare)
    bare = re.sub(r"[_^]\{[^{}]*\}", "", bare)
    return re.sub(r"[${}*†‡]|^'|'$", "", bare).replace("\u00a0", " ").strip()


def _without_empty_column(lines: list[Line]) -> list[Line]:
    """Lines that all end in a separator have no last column."""
    while lines and len({len(line.cells) for line in lines}) == 1 and len(lines[0].cells) > 1:
        if any(line.cells[-1].text for line in lines):
            break
        lines = [Line(line.name, line.cells[:-1]) for line in lines]
    return lines
