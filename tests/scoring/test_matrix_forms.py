"""Matrices as people have them (an index, means, blanks, LaTeX) give the right numbers, or are refused with the option.

What is expected is computed here, by loops over the plain matrix.
"""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from support.harness import vlcl

import vlcl_bench
from vlcl_bench.errors import UsageError
from vlcl_bench.scoring.matrix_file import read_matrix
from vlcl_bench.scoring.matrix_parts import Reading

R = [[62.5, 20.1, 30.4], [60.2, 70.25, 50.6], [40.3, 65.7, 90.8]]
ROW = [45.2, 25.3, 35.9]
NAMES = ["birds", "boats", "bread"]


def expected(matrix, row0=None, lower=False) -> dict[str, float | None]:
    """The headline numbers by their definitions."""
    count = len(matrix)

    def over(values):
        values = list(values)
        return sum(values) / len(values) if values else None

    last = matrix[-1]
    found = {
        "transfer": over(over(matrix[j][i] for j in range(i)) for i in range(1, count)),
        "avg": over(over(matrix[j][i] for j in range(count)) for i in range(count)),
        "fwt": over(matrix[i - 1][i] - row0[i] for i in range(1, count)) if row0 else None,
    }
    if lower:
        found = dict.fromkeys(found)
    found["last"] = over(last)
    found["bwt"] = over(last[i] - matrix[i][i] for i in range(count - 1))
    found["forgetting"] = over(max(matrix[j][i] for j in range(i, count - 1)) - last[i] for i in range(count - 1))
    found["diagonal"] = over(matrix[i][i] for i in range(count))
    found["zero_shot"] = over(row0) if row0 else None
    return found


def text(rows, separator=",") -> str:
    return "\n".join(separator.join(str(cell) for cell in row) for row in rows) + "\n"


def frame(rows, **options) -> str:
    return pd.DataFrame(rows).to_csv(**options)


def mean(values, digits=2) -> float:
    return round(sum(values) / len(values), digits)


ALL = [ROW, *R]
MEANS_OF_ROWS = [[*row, mean(row)] for row in R]
MEANS_OF_COLUMNS = [*R, [mean(column) for column in zip(*R, strict=True)]]
SO_FAR = [[cell if i <= j else None for i, cell in enumerate(row)] for j, row in enumerate(R)]
FILLED = [[cell if i <= j else 0.0 for i, cell in enumerate(row)] for j, row in enumerate(R)]


def blanks(mark: str) -> str:
    return text([[mark if cell is None else cell for cell in row] for row in SO_FAR])


PLAIN = {
    "pandas, everything written": (frame(R), {}, False),
    "pandas, no header": (frame(R, header=False), {}, False),
    "pandas, no index": (frame(R, index=False), {}, False),
    "pandas, (T + 1) x T, no header": (frame(ALL, header=False), {"with_zero_shot": True}, True),
    "pandas, (T + 1) x T, everything": (frame(ALL), {"with_zero_shot": True}, True),
    "index from 1": (text([[n, *row] for n, row in enumerate(R, 1)]), {}, False),
    "index by name": (text([[name, *row] for name, row in zip(NAMES, R, strict=True)]), {}, False),
    "index in words": (text([[f"after task {n}", *row] for n, row in enumerate(R, 1)]), {}, False),
    "index with the word zero-shot": (
        text([[n, *row] for n, row in zip(["zero-shot", 1, 2, 3], ALL, strict=True)]),
        {},
        True,
    ),
    "a dash for the index of row 0": (
        text([[n, *row] for n, row in zip(["-", *NAMES], ALL, strict=True)]),
        {"with_zero_shot": True},
        True,
    ),
    "R's write.table": (text([NAMES, *([n, *row] for n, row in zip("123", R, strict=True))], " "), {}, False),
    "header and index by name": (
        text([["", *NAMES], *([n, *row] for n, row in zip(NAMES, R, strict=True))], ";"),
        {},
        False,
    ),
    "header of numbers from 1": (text([[1, 2, 3], *R], "\t"), {}, False),
    "column of means by name": (text([[*NAMES, "Avg."], *MEANS_OF_ROWS]), {}, False),
    "column of means without name": (text(MEANS_OF_ROWS), {}, False),
    "row of means by name": (
        text([[n, *row] for n, row in zip([*NAMES, "mean"], MEANS_OF_COLUMNS, strict=True)]),
        {},
        False,
    ),
    "row of means without name": (text(MEANS_OF_COLUMNS), {}, False),
    "row and column of means": (text([[*row, mean(row)] for row in MEANS_OF_COLUMNS]), {}, False),
    "row 0, column of means": (text([[*row, mean(row, 1)] for row in ALL]), {"with_zero_shot": True}, True),
    "row 0, means of the others": (text([*ALL, MEANS_OF_COLUMNS[-1]]), {"with_zero_shot": True}, True),
    "rows of means and spread": (
        text([[n, *row] for n, row in zip([*NAMES, "Average", "std"], [*MEANS_OF_COLUMNS, [1, 2, 3]], strict=True)]),
        {},
        False,
    ),
    "percent signs": (text([[f"{cell}%" for cell in row] for row in R]), {}, False),
    "percent signs with a space": (text([[f"{cell} %" for cell in row] for row in R], "  "), {}, False),
    "percent signs in row 0": (
        text([[f"{cell} %" for cell in row] for row in ALL], ";"),
        {"with_zero_shot": True},
        True,
    ),
    "spread behind plus-minus": (text([[f"{cell} ± 0.3" for cell in row] for row in R], " "), {}, False),
    "spread in brackets": (text([[f"{cell} (0.3)" for cell in row] for row in R]), {}, False),
    "decimal commas, semicolons": (text(R, ";").replace(".", ","), {}, False),
    "decimal commas, tabs": (text(R, "\t").replace(".", ","), {}, False),
    "decimal commas, spaces": (text(R, " ").replace(".", ","), {}, False),
    "decimal commas, quotes": (text([[f'"{cell}"'.replace(".", ",") for cell in row] for row in R]), {}, False),
    "fractions": (text([[round(cell / 100, 6) for cell in row] for row in R]), {"fractions": True}, False),
    "LaTeX": (
        r"\toprule"
        + "\n"
        + "\n".join(" & ".join(rf"\textbf{{{cell}}}" for cell in row) + r" \\" for row in R)
        + "\n\\bottomrule\n",
        {},
        False,
    ),
    "LaTeX as pandas writes it": (pd.DataFrame(R).to_latex(index=False, header=False), {}, False),
    "LaTeX as pandas writes it, with a caption": (
        pd.DataFrame(R).to_latex(index=False, header=False, caption="Accuracy", label="tab:r", column_format="l|rr"),
        {},
        False,
    ),
    "LaTeX with names and spread": (
        "\n".join(
            n + " & " + " & ".join(rf"${cell}_{{\pm 0.3}}$" for cell in row) + r" \\ \hline"
            for n, row in zip(NAMES, R, strict=True)
        ),
        {},
        False,
    ),
    "Markdown": (
        "| | a | b | c |\n|---|---:|---:|---:|\n"
        + "\n".join(
            f"| {n} | " + " | ".join(f"**{cell}**" for cell in row) + " |" for n, row in zip(NAMES, R, strict=True)
        ),
        {},
        False,
    ),
    "NumPy with a comment": (
        "# birds boats bread\n" + text([[f"{cell:.18e}" for cell in row] for row in R], " "),
        {},
        False,
    ),
    "a separator at the end": (text([[*row, ""] for row in R]), {}, False),
    "JSON of strings": (json.dumps([[f"{cell}%" for cell in row] for row in R]), {}, False),
    "JSON with means": (json.dumps(MEANS_OF_ROWS), {}, False),
}


@pytest.mark.parametrize("form", PLAIN)
def test_a_matrix_gives_the_same_numbers_in_every_form(form, tmp_path, monkeypatch) -> None:
    content, options, row0 = PLAIN[form]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "R.csv").write_text(content, encoding="utf-8")
    found = read_matrix(tmp_path / "R.csv", Reading(**options))
    np.testing.assert_allclose(found.R, R, atol=1e-9)
    flags = [f"--{name.replace('_', '-')}" for name in options]
    printed = vlcl("score", "--matrix", "R.csv", *flags, "--json").json
    for name, value in expected(R, ROW if row0 else None).items():
        assert printed["metrics"][name] == pytest.approx(value), name
    assert vlcl("score", "--matrix", "R.csv", *flags).code == 0


SO_FAR_FORMS = {
    "empty": (blanks(""), {}, None),
    "nan": (blanks("nan"), {}, None),
    "dash": (blanks("-"), {}, None),
    "long dash": (blanks("—"), {}, None),
    "N/A": (blanks("N/A"), {}, None),
    "short rows": (text([row[: n + 1] for n, row in enumerate(R)]), {}, None),
    "short rows of JSON": (json.dumps([row[: n + 1] for n, row in enumerate(R)]), {}, None),
    "JSON null": (json.dumps(SO_FAR), {}, None),
    "JSON NaN": (json.dumps([[float("nan") if cell is None else cell for cell in row] for row in SO_FAR]), {}, None),
    "pandas": (frame(SO_FAR), {}, None),
    "pandas, no header": (frame(SO_FAR, header=False), {}, None),
    "zeros": (text(FILLED), {"lower": True}, None),
    "minus one": (
        text([[cell if i <= j else -1 for i, cell in enumerate(row)] for j, row in enumerate(R)]),
        {"lower": True},
        None,
    ),
    "also the next task": (
        text([[cell if i <= j + 1 else "" for i, cell in enumerate(row)] for j, row in enumerate(R)]),
        {"lower": True},
        None,
    ),
    "all, but only so far is asked for": (text(R), {"lower": True}, None),
    "row 0 in full": (text([ROW, *FILLED]), {"lower": True, "with_zero_shot": True}, ROW),
    "row 0 of zeros": (text([[0, 0, 0], *FILLED]), {"lower": True, "with_zero_shot": True}, None),
    "row 0 blank": (text([["-"] * 3, *FILLED]), {"lower": True}, None),
    "means of what is there": (
        text([[*["" if c is None else c for c in row], mean([c for c in row if c is not None])] for row in SO_FAR]),
        {},
        None,
    ),
    "means of what is not 0": (text([[*row, mean([c for c in row if c])] for row in FILLED]), {"lower": True}, None),
}


@pytest.mark.parametrize("form", SO_FAR_FORMS)
def test_of_a_lower_triangle_only_what_it_can_say_is_said(form, tmp_path, monkeypatch) -> None:
    content, options, row0 = SO_FAR_FORMS[form]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "R.csv").write_text(content, encoding="utf-8")
    flags = [f"--{name.replace('_', '-')}" for name in options]
    printed = vlcl("score", "--matrix", "R.csv", *flags, "--json").json
    for name, value in expected(R, row0, lower=True).items():
        assert printed["metrics"][name] == (None if value is None else pytest.approx(value)), name
    assert printed["metrics"]["zsd"] is None
    assert printed["matrix"] == [[cell if i <= j else None for i, cell in enumerate(row)] for j, row in enumerate(R)]
    shown = vlcl("score", "--matrix", "R.csv", *flags)
    assert (shown.code, "–" in shown.out) == (0, True)


UNCERTAIN = {
    "zeros above the diagonal": (text(FILLED), {}, ("all 3 values above the diagonal are 0", "--lower", "--no-lower")),
    "one value above the diagonal": (
        text([[cell if i <= j else 50 for i, cell in enumerate(row)] for j, row in enumerate(R)]),
        {},
        ("above the diagonal are 50", "--lower"),
    ),
    "minus one above the diagonal": (
        text([[cell if i <= j else -1 for i, cell in enumerate(row)] for j, row in enumerate(R)]),
        {},
        ("above the diagonal are -1", "--lower"),
    ),
    "also the next task": (
        text([[cell if i <= j + 1 else "-" for i, cell in enumerate(row)] for j, row in enumerate(R)]),
        {},
        ("line 1, value 3 is -", "--lower"),
    ),
    "zeros from the second on": (
        text([[50 + i + j if i <= j + 1 else 0 for i in range(4)] for j in range(4)]),
        {},
        ("second place", "--lower"),
    ),
    "two rows that may be counted": (text([[1, 50.5], [2, 60.5]]), {}, ("counts 1, 2", "--index", "--no-index")),
    "counted with decimals": (
        text([[f"{n}.0", *row] for n, row in enumerate(ALL)]),
        {},
        ("counts 0.0, 1.0, 2.0, 3.0", "--index"),
    ),
    "one row more": (
        frame(ALL, header=False),
        {},
        ("4 rows of 3 values (the first column names the rows: 0, 1, 2", "--with-zero-shot"),
    ),
    "constant rows and their mean": (text([[50, 60, 70]] * 4), {}, ("--with-zero-shot", "--means")),
    "fractions": (
        text([[cell / 100 for cell in row] for row in R]),
        {},
        ("looks like fractions", "--fractions", "--no-fractions"),
    ),
    "fractions that are none": (text(R), {"fractions": True}, ("largest value is 90.8", "--fractions")),
    "percent signs here and there": (
        text([["62.5%", 20.1], ["60.2%", "70.25%"]]),
        {},
        ("line 1, value 2 has no percent sign",),
    ),
    "rows and columns exchanged": (
        text([["" if c is None else c for c in row] for row in zip(*SO_FAR, strict=True)]),
        {},
        ("columns seem to be stages", "R.T"),
    ),
    "rows and columns exchanged, zeros": (
        text(zip(*FILLED, strict=True)),
        {"lower": True},
        ("columns seem to be stages", "R.T"),
    ),
    "thousands": (text([["1.234,5", 20], [30, 40]], ";"), {}, ("line 1, value 1", "thousands")),
    "decimal commas as commas": ("62,5,20,1\n60,2,70,2\n", {}, ("2 rows of 4", "semicolons")),
    "a damaged number": (text([["7l.8", 20], [30, 40]]), {}, ("line 1, value 1 is not a number: '7l.8'",)),
    "an underscore": (text([["7_1", 20], [30, 40]]), {}, ("line 1, value 1 is not a number: '7_1'",)),
    "a header and nothing else": ("birds,boats\n", {}, ("line 1 is a header", "nothing stands below")),
    "nothing below the diagonal": (text([[62.5, 20], ["", 40]]), {}, ("line 2, value 1 is empty",)),
}


@pytest.mark.parametrize("form", UNCERTAIN)
def test_what_can_be_read_in_two_ways_is_refused_with_the_option(form, tmp_path) -> None:
    content, options, parts = UNCERTAIN[form]
    (tmp_path / "R.csv").write_text(content, encoding="utf-8")
    with pytest.raises(UsageError) as error:
        read_matrix(tmp_path / "R.csv", Reading(**options))
    for part in parts:
        assert part in str(error.value)


DECIDED = {
    "zeros are scores": (text(FILLED), {"lower": False}, FILLED),
    "no index": (
        text([[0, 50.5, 1], [1, 60.5, 2], [2, 3, 4]]),
        {"index": False},
        [[0, 50.5, 1], [1, 60.5, 2], [2, 3, 4]],
    ),
    "an index of two": (text([[1, 50.5], [2, 60.5]]), {"index": True, "with_zero_shot": True}, [[60.5]]),
    "no header": (text([[0, 1], [50, 60]]), {"header": False}, [[0, 1], [50, 60]]),
    "no means": (
        text([[40, 60, 50], [20, 60, 40], [10, 20, 15]]),
        {"means": False},
        [[40, 60, 50], [20, 60, 40], [10, 20, 15]],
    ),
    "means of constant rows": (text([[50, 60, 70]] * 4), {"means": True}, [[50, 60, 70]] * 3),
    "percent below one": (text([[0.5, 0.2], [0.1, 0.9]]), {"fractions": False}, [[0.5, 0.2], [0.1, 0.9]]),
}


@pytest.mark.parametrize("form", DECIDED)
def test_options_decide(form, tmp_path) -> None:
    content, options, matrix = DECIDED[form]
    (tmp_path / "R.csv").write_text(content, encoding="utf-8")
    np.testing.assert_array_equal(read_matrix(tmp_path / "R.csv", Reading(**options)).R, matrix)


def test_what_is_left_out_is_said_and_names_are_kept(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [["after", *NAMES, "average"], *([name, *row] for name, row in zip(NAMES, MEANS_OF_ROWS, strict=True))]
    (tmp_path / "R.csv").write_text(text(rows))
    ended = vlcl("score", "--matrix", "R.csv", "--json")
    assert ended.json["tasks"] == NAMES
    assert "line 1 is a header: 'after birds boats bread average'" in ended.err
    assert "the first column names the rows: birds, boats, bread" in ended.err
    assert "column 4 of the scores is left out: it is called 'average'" in ended.err
    assert len(ended.json["notes"]) == 3


def test_a_notebook_says_it_with_the_same_words(tmp_path) -> None:
    path = tmp_path / "R.csv"
    path.write_text(text(FILLED))
    wanted = expected(R, lower=True)
    for scores in (vlcl_bench.score(path, lower=True), vlcl_bench.score(FILLED, lower=True)):
        assert {name: scores.metrics[name] for name in wanted} == pytest.approx(wanted)
    with pytest.raises(UsageError, match="unknown option 'lowr'"):
        vlcl_bench.score(FILLED, lowr=True)
