"""Matrix files in every accepted form read alike; every other file is refused with its place."""

import json

import numpy as np
import pytest

from vlcl_bench.errors import UsageError
from vlcl_bench.scoring import matrix_file
from vlcl_bench.scoring.matrix_parts import Reading

R = np.array([[62.5, 20.0, 30.0], [60.0, 70.25, 50.0], [40.0, 65.0, 90.0]])
ROW = np.array([45.0, 25.0, 35.0])


def read_matrix(path, with_zero_shot):
    """R and row 0 of a file."""
    found = matrix_file.read_matrix(path, Reading(with_zero_shot=with_zero_shot))
    return found.R, found.zero_shot


@pytest.fixture
def write(tmp_path):
    def write(text, name="matrix.csv"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def lines(matrix, separator):
    return "\n".join(separator.join(str(x) for x in row) for row in matrix) + "\n"


@pytest.mark.parametrize("separator", [",", ";", "\t", " ", "  ", ", ", " ; "])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_every_separator_reads_alike_with_and_without_row_zero(write, separator, ends):
    found, none = read_matrix(write(lines(R, separator).replace("\n", ends)), with_zero_shot=False)
    assert none is None
    np.testing.assert_array_equal(found, R)
    found, row = read_matrix(write(lines([ROW, *R], separator)), with_zero_shot=True)
    np.testing.assert_array_equal(found, R)
    np.testing.assert_array_equal(row, ROW)


def test_blank_lines_quotes_and_a_byte_order_mark_do_not_matter(write):
    found, _ = read_matrix(write('\ufeff\n"62.5","20"\n\n 60 ,70.25\n\n'), with_zero_shot=False)
    np.testing.assert_array_equal(found, [[62.5, 20], [60, 70.25]])


@pytest.mark.parametrize("name", ["matrix.json", "matrix.txt"])
@pytest.mark.parametrize("key", [None, "matrix", "R"])
def test_json_reads_as_list_or_object(write, name, key):
    data = R.tolist() if key is None else {key: R.tolist(), "tasks": ["a", "b", "c"]}
    found, none = read_matrix(write(json.dumps(data), name), with_zero_shot=False)
    assert none is None
    np.testing.assert_array_equal(found, R)


@pytest.mark.parametrize("flag", [True, False])
def test_json_may_carry_row_zero_beside_the_matrix(write, flag):
    path = write(json.dumps({"R": R.tolist(), "zero_shot": ROW.tolist()}), "m.json")
    found, row = read_matrix(path, with_zero_shot=flag)
    np.testing.assert_array_equal(found, R)
    np.testing.assert_array_equal(row, ROW)


def test_json_with_row_zero_inside_the_matrix(write):
    found, row = read_matrix(write(json.dumps([ROW.tolist(), *R.tolist()]), "m.json"), with_zero_shot=True)
    np.testing.assert_array_equal(found, R)
    np.testing.assert_array_equal(row, ROW)


@pytest.mark.parametrize(
    ("name", "text", "flag", "parts"),
    [
        ("m.csv", lines([ROW, *R], ","), False, ("4 rows of 3", "--with-zero-shot")),
        ("m.csv", lines(R, ","), True, ("no row 0", "--with-zero-shot")),
        ("m.csv", lines(R[:2], ","), False, ("2 rows of 3", "T tasks need T rows")),
        ("m.csv", "1,9,3\n4,5\n6,7,8\n", False, ("line 2", "2 values", "line 1 has 3")),
        ("m.csv", "\n1 2\n3 4 5\n", False, ("line 3", "3 values", "line 2 has 2")),
        ("m.csv", "Aircraft,Caltech101\n50,60\n40,80\n", True, ("line 1 is a header", "no row 0")),
        ("m.csv", "50,FT\n40,80\n", False, ("line 1, value 2", "not a number: 'FT'")),
        ("m.csv", "0,1\n50,60\n40,80\n", True, ("line 1 is a header",)),
        ("m.csv", "50,60\n40,nan\n", False, ("line 2, value 2 is nan",)),
        ("m.csv", "50,60\n-inf,3\n", False, ("line 2, value 1 is -inf",)),
        ("m.csv", "50,60\n,80\n", False, ("line 2, value 1 is empty",)),
        ("m.csv", "5,0,5;60,5\n40,0;80,0\n", False, ("line 1", "decimal point")),
        ("m.csv", "", False, ("is empty",)),
        ("m.csv", " \n\n", False, ("is empty",)),
        ("m.json", "", False, ("is empty",)),
        ("m.json", "[]", False, ("is empty",)),
        ("m.json", "[[]]", False, ("is empty",)),
        ("m.json", "[[50, 60], [40, 80]", False, ("not valid JSON",)),
        ("m.json", "[[50, 60], [40]]", False, ("row 2", "1 values")),
        ("m.json", "[[50, 60], [40, NaN]]", False, ("row 2, value 2 is nan",)),
        ("m.json", "[[50, 60], [null, 80]]", False, ("row 2, value 1", "null")),
        ("m.json", "[[50, true], [40, 80]]", False, ("row 1, value 2", "True")),
        ("m.json", '[[50, "sixty"], [40, 80]]', False, ("row 1, value 2", "'sixty'")),
        ("m.json", '[[50, {"a": 1}], [40, 80]]', False, ("row 1, value 2", "'a'")),
        ("m.json", "[[50, 60], []]", False, ("row 2", "0 values")),
        ("m.json", "[50, 60]", False, ("row 1 must be a list",)),
        ("m.json", "50", False, ("list of rows",)),
        ("m.json", '{"scores": [[50]]}', False, ("matrix", "R", "scores")),
        ("m.json", '{"matrix": [[50]], "R": [[50]]}', False, ("one of the keys",)),
        ("m.json", '{"R": [[50, 60], [40, 80]], "zero_shot": [1]}', False, ("zero_shot has 1 values",)),
        (
            "m.json",
            '{"R": [[5, 6], [50, 60], [40, 80]], "zero_shot": [5, 6]}',
            True,
            ("zero_shot row as well",),
        ),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(write, name, text, flag, parts):
    path = write(text, name)
    with pytest.raises(UsageError) as error:
        read_matrix(path, with_zero_shot=flag)
    assert str(path) in error.value.message
    for part in parts:
        assert part in str(error.value)


def test_missing_files_folders_and_binary_files_are_usage_errors(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        read_matrix(tmp_path / "none.csv", with_zero_shot=False)
    with pytest.raises(UsageError, match="cannot be read"):
        read_matrix(tmp_path, with_zero_shot=False)
    (tmp_path / "m.npy").write_bytes(b"\x93NUMPY\x01\x00\xff\xfe")
    with pytest.raises(UsageError, match="not a text file"):
        read_matrix(tmp_path / "m.npy", with_zero_shot=False)
