"""Predictions of strangers: whatever is in the file, reading it ends in words, and with little memory."""

import io
import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vlcl_bench.errors import IntegrityError
from vlcl_bench.records import guard
from vlcl_bench.records import unpack as unpack_module
from vlcl_bench.records.files import read_predictions, write_predictions
from vlcl_bench.records.unpack import unpack

ROWS = 1000


def words(word, rows=ROWS, **how):
    column = pa.DictionaryArray.from_arrays(np.zeros(rows, np.int8), pa.array([word]))
    return packed(pa.table({"task": column.cast(pa.string()) if how.pop("plain", False) else column}), **how)


def packed(table, **how):
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", **how)
    return buffer.getvalue()


def lying(data, size):
    """The same file, whose footer says of every size that it is small."""

    def varint(number, length=0):
        out = bytearray()
        while number > 127 or len(out) < length - 1:
            out.append(number & 127 | 128)
            number >>= 7
        return bytes([*out, number])

    length = int.from_bytes(data[-8:-4], "little")
    head, footer = data[: -8 - length], data[-8 - length : -8]
    places = [column.total_uncompressed_size for column in columns(data)]
    for claimed in places:
        old = varint(2 * claimed)
        assert old in footer
        footer = footer.replace(old, varint(2 * size, len(old)))
    return head + footer + data[-8:]


def columns(data):
    group = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0)
    return [group.column(place) for place in range(group.num_columns)]


def not_utf8():
    text = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(np.array([0, 2], np.int32)), pa.py_buffer(b"\xff\xfe")]
    )
    return packed(pa.table({"task": pa.DictionaryArray.from_arrays(np.zeros(5, np.int8), text)}))


def numbers(**of):
    return pa.table({name: pa.array(values) for name, values in of.items()})


REFUSED = {
    "rows without end": (lambda: packed(numbers(stage=np.zeros(5_000_000, np.int16))), "archive-bomb"),
    "a word without end": (lambda: words("a" * 60_000_000, use_dictionary=True), "archive-bomb"),
    "a long word that is used often": (lambda: words("a" * 3_000_000, use_dictionary=True), "predictions-types"),
    "a long word in every row": (lambda: words("a" * 3_000, plain=True, use_dictionary=True), "predictions-types"),
    "a footer that lies": (lambda: lying(words("a" * 150_000_000, use_dictionary=True), 100), ""),
    "columns without end": (lambda: packed(numbers(**{f"c{k}": [1] for k in range(2000)})), "archive-bomb"),
    "groups without end": (lambda: packed(numbers(a=np.zeros(3000, np.int8)), row_group_size=1), "archive-bomb"),
    "lists in lists": (lambda: packed(pa.table({"a": pa.array([[[1]], [[2]]])})), "predictions-types"),
    "objects": (lambda: packed(pa.table({"a": pa.array([{"b": 1}])})), "predictions-types"),
    "dates": (lambda: packed(pa.table({"a": pa.array(pd.to_datetime(["2020-01-01"]))})), "predictions-types"),
    "missing values": (lambda: packed(pa.table({"a": pa.array([1, None])})), "predictions-types"),
    "a name twice": (lambda: packed(pa.table([pa.array([1]), pa.array([2])], ["a", "a"])), "predictions-types"),
    "words that are no UTF-8": (not_utf8, "predictions-unreadable"),
    "no parquet": (lambda: b"PAR1" + b"x" * 100 + b"PAR1", "predictions-unreadable"),
    "half a file": (lambda: packed(numbers(a=np.arange(500)))[:700], "predictions-unreadable"),
    "nothing": (lambda: b"", "predictions-unreadable"),
}  # fmt: skip

MEASURED = """
import json, resource, sys
from pathlib import Path
from vlcl_bench.records.guard import tried
answers = tried([(Path(path), 1000, None) for path in sys.argv[1:]])
# What getrusage says of this process counts the memory of the one that started it.
own = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
most = max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
print(json.dumps({"codes": [code for code, _ in answers], "mib": most // 1024}))
"""


@pytest.mark.slow
def test_no_file_is_read_with_more_than_a_gibibyte_and_each_ends_in_words(tmp_path):
    paths = []
    for number, (make, _) in enumerate(REFUSED.values()):
        paths.append(tmp_path / f"{number:02d}.parquet")
        paths[-1].write_bytes(make())
        assert paths[-1].stat().st_size < 2**20
    command = [sys.executable, "-c", MEASURED, *map(str, paths)]
    ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    wanted = {kind: code for kind, (_, code) in REFUSED.items()}
    codes = dict(zip(REFUSED, found["codes"], strict=True))
    assert codes["a footer that lies"] in ("archive-bomb", "predictions-types")
    assert codes | {"a footer that lies": ""} == wanted
    assert found["mib"] < 1024


@pytest.mark.parametrize("kind", ["words that are no UTF-8", "lists in lists", "no parquet", "a name twice", "nothing"])
def test_reading_predictions_names_the_damage(kind, tmp_path):
    path = tmp_path / "predictions.parquet"
    path.write_bytes(REFUSED[kind][0]())
    with pytest.raises(IntegrityError, match=r"predictions\.parquet is damaged"):
        read_predictions(path)


@pytest.mark.parametrize(
    "metadata",
    [
        {"pandas": '{"index_columns": ["gone"], "columns": []}'},
        {"pandas": "no JSON"},
        {"pandas": '{"index_columns": [{"kind": "range", "start": 0, "stop": 9999999999, "step": 1}], "columns": []}'},
        {"pandas": '{"index_columns": [], "columns": [{"field_name": "stage", "numpy_type": "M8[ns]"}]}'},
        {"\xff": "\xff" * 1000},
    ],
)
def test_what_a_file_says_beside_its_columns_is_not_listened_to(metadata, tmp_path):
    table = pa.table({"stage": pa.array([0, 1], pa.int16())}).replace_schema_metadata(metadata)
    (tmp_path / "a.parquet").write_bytes(packed(table))
    assert unpack(str(tmp_path / "a.parquet"), 10, str(tmp_path / "a.arrow")) == ("", "")
    frame = read_predictions(tmp_path / "a.parquet")
    assert (list(frame.columns), list(frame["stage"]), list(frame.index)) == (["stage"], [0, 1], [0, 1])
    assert pa.ipc.open_file(str(tmp_path / "a.arrow")).schema.metadata is None


def test_a_logit_that_is_not_there_is_no_number(tmp_path):
    write_predictions(tmp_path / "a.parquet", pd.DataFrame({"top5": [1, -1], "logit5": [0.5, np.nan]}))
    assert unpack(str(tmp_path / "a.parquet"), 10) == ("", "")
    found = read_predictions(tmp_path / "a.parquet")
    assert (list(found["top5"]), found["logit5"].isna().tolist()) == ([1, -1], [False, True])


def test_words_may_be_packed_in_any_way_where_a_file_is_ours(tmp_path):
    (tmp_path / "a.parquet").write_bytes(words("digits", 5, plain=True))
    assert list(read_predictions(tmp_path / "a.parquet")["task"]) == ["digits"] * 5


def test_files_are_read_by_several_processes_and_each_gets_its_own_answer(tmp_path, monkeypatch):
    monkeypatch.setattr(guard, "AT_ONCE", 2)
    paths = [tmp_path / f"{number}.parquet" for number in range(5)]
    for path in paths:
        path.write_bytes(packed(numbers(stage=[1, 2])))
    paths[2].write_bytes(b"PAR1")
    answers = guard.tried([(path, 10, None) for path in paths])
    assert [code for code, _ in answers] == ["", "", "predictions-unreadable", "", ""]


@pytest.mark.parametrize(
    ("written", "answers"),
    [(b"", 0), (b'{"code": "", "message": ""}\n{"code": "x", "mess', 1), (b'{"code": ""}\n', 0), (b"\xff\xfe\n", 0),
     (b'{"code": "", "message": ""}\n' * 9, 3)],
)  # fmt: skip
def test_what_a_dying_reader_wrote_half_is_no_answer(written, answers, tmp_path, monkeypatch):
    reader = tmp_path / "reader.py"
    reader.write_text(f"import sys\nsys.stdin.read()\nsys.stdout.buffer.write({written!r})\n")
    monkeypatch.setattr(unpack_module, "__file__", str(reader))
    found, end = guard._read([(tmp_path / "x.parquet", 1, None)] * 3)
    assert (len(found), end) == (answers, "exit code 0")
