"""One bad record is named, and everybody else's are shown all the same."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.harness import vlcl
from support.submission_fixture import ROOT, committed

from vlcl_bench.board.build import build_from_runs
from vlcl_bench.board.collect import collect
from vlcl_bench.board.declarations import NothingDeclared
from vlcl_bench.common.fileio import sha256_file
from vlcl_bench.records.schema import Identity
from vlcl_bench.submissions.declared import SubmissionDeclarations


def text(old, new):
    def change(run):
        data = (run / "run.json").read_bytes()
        assert old in data
        (run / "run.json").write_bytes(data.replace(old, new, 1))

    return change


def rewritten(change):
    """The same record, whose predictions are those that ``change`` makes of the table."""

    def write(run):
        path = run / "predictions.parquet"
        pq.write_table(change(pq.read_table(path)), path, compression="zstd")
        record = json.loads((run / "run.json").read_text())
        record["predictions_sha256"] = sha256_file(path)
        (run / "run.json").write_text(json.dumps(record))

    return write


def with_pandas(says):
    return rewritten(lambda table: table.replace_schema_metadata({"pandas": says}))


def not_utf8(table):
    codes = table.column("task").combine_chunks().indices
    size = len(table.column("task").combine_chunks().dictionary)
    offsets = pa.py_buffer(np.arange(0, 2 * size + 1, 2, dtype=np.int32))
    task = pa.Array.from_buffers(pa.string(), size, [None, offsets, pa.py_buffer(b"\xff\xfe" * size)])
    place = table.schema.get_field_index("task")
    return table.set_column(place, "task", pa.DictionaryArray.from_arrays(codes, task))


def negative_seed(run):
    record = json.loads((run / "run.json").read_text())
    record["identity"]["seed"] = -7
    record["run_hash"] = Identity.model_validate(record["identity"]).run_hash
    (run / "run.json").write_text(json.dumps(record))


def no_longer_there(run):
    """Of a seed of its own: the same run may well be whole elsewhere."""
    shutil.copy(committed("mini-mtil-1", 2) / "run.json", run)
    (run / "predictions.parquet").unlink()


SHOWN = {
    "an index that is not there": with_pandas('{"index_columns": ["gone"], "columns": []}'),
    "metadata that are no JSON": with_pandas("{"),
    "a seed below 0": negative_seed,
}
FAULTY = {
    "bytes that are no UTF-8": (text(b'"title": "', b'"title": "\xff'), "is not UTF-8"),
    "words that are no UTF-8": (rewritten(not_utf8), "damaged"),
    "half a character": (text(b'"title": "', b'"title": "\\ud800'), "half a character"),
    "a number without end": (text(b'"seconds_other": ', b'"seconds_other": 1e999, "x": '), "larger than a number"),
    "no number": (text(b'"config": {', b'"config": {"x": NaN, '), "NaN"),
    "brackets without end": (text(b'"log": []', b'"log": [' + b"[" * 5000 + b"]" * 5000 + b"]"), "brackets"),
    "a key twice": (text(b'"title": ', b'"title": "x", "title": '), "twice"),
    "no record": (lambda run: (run / "run.json").write_text("[]"), "is not a record"),
    "nothing": (lambda run: (run / "run.json").write_bytes(b""), "not valid JSON"),
    "a folder": (lambda run: ((run / "run.json").unlink(), (run / "run.json").mkdir()), "cannot be read"),
    "another identity": (text(b'"seed": 0', b'"seed": 5'), "was changed"),
    "no predictions": (no_longer_there, "missing"),
    "half the predictions": (
        lambda run: (run / "predictions.parquet").write_bytes((run / "predictions.parquet").read_bytes()[:5000]),
        "damaged",
    ),
    "a task too few": (rewritten(lambda table: table.slice(0, 1000)), "missing"),
    "rows without end": (
        rewritten(lambda table: pa.table({"stage": pa.array(np.zeros(2_000_000, np.int16))})),
        "it claims 2,000,000 rows",
    ),
    "a rerun of nothing": (lambda run: (run / "rerun.json").write_text("{}"), "rerun"),
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A good run, those that are shown all the same, and the faulty ones, in folders named after what is wrong."""
    folder, source = tmp_path_factory.mktemp("runs"), committed("mini-mtil-1", 0)
    shutil.copytree(committed("mini-mtil-1", 1), folder / "good")
    for kind, change in {**SHOWN, **{kind: change for kind, (change, _) in FAULTY.items()}}.items():
        change(shutil.copytree(source, folder / kind))
    return folder


@pytest.fixture(scope="module")
def found(place):
    return collect(place, NothingDeclared())


@pytest.mark.parametrize("kind", FAULTY)
def test_a_faulty_record_is_named_with_what_is_wrong_and_what_to_do(kind, found):
    (fault,) = [fault for fault in found.faults if fault.folder.name == kind]
    assert FAULTY[kind][1] in fault.message
    assert fault.hint


def test_all_others_are_shown_once_each(found, place):
    assert {fault.folder.name for fault in found.faults} == set(FAULTY)
    assert sorted(run.seed for run in found.summaries) == [-7, 0, 1]
    assert [run.run_hash for run in found.summaries] == [record.run_hash for _, record in found.records]


@pytest.mark.slow
def test_the_board_is_built_without_a_faulty_record_and_ends_with_exit_code_3(tmp_path):
    for seed in (0, 1, 2):
        shutil.copytree(committed("mini-mtil-1", seed), tmp_path / "runs" / str(seed))
    FAULTY["no number"][0](tmp_path / "runs" / "0")
    negative_seed(tmp_path / "runs" / "1")
    out = tmp_path / "board"
    out.mkdir()
    (out / ".leaderboard.csv.abcdefgh.tmp").write_text("half")
    ended = vlcl("leaderboard", "build", "--runs", tmp_path / "runs", "--out", out)
    assert ended.code == 3
    assert "2 runs scored again" in ended.out
    assert "NaN" in ended.err
    assert "\x1b" not in ended.err
    assert sorted(path.name for path in out.iterdir()) == [
        "README.md", "index.html", "leaderboard.csv", "leaderboard.json",
    ]  # fmt: skip
    assert [run["seed"] for run in json.loads((out / "leaderboard.json").read_text())["entries"][0]["runs"]] == [-7, 2]
    as_json = vlcl("leaderboard", "build", "--runs", tmp_path / "runs", "--out", out, "--check", "--json")
    assert as_json.code == 3
    (fault,) = as_json.json["faults"]
    assert fault["folder"] == str(tmp_path / "runs" / "0")


def submissions(tmp_path, **homes):
    """Submissions of these names, each with runs of finetune's of these seeds."""
    for name, seeds in homes.items():
        folder = tmp_path / "submissions" / name
        (folder / "runs").mkdir(parents=True)
        shutil.copy(ROOT / "submissions" / "finetune" / "submission.toml", folder)
        for seed in seeds:
            source = committed("mini-mtil-1", seed)
            shutil.copytree(source, folder / "runs" / source.name)
    return tmp_path / "submissions"


def test_a_run_in_another_methods_submission_takes_nothing_from_its_own(tmp_path):
    runs = submissions(tmp_path, aaa=[0], finetune=[0, 1])
    found = collect(runs, SubmissionDeclarations())
    assert [fault.folder.parts[-3] for fault in found.faults] == ["aaa"]
    assert "a run of 'finetune' and lies in the submission 'aaa'" in found.faults[0].message
    assert sorted(run.seed for run in found.summaries) == [0, 1]


def test_a_bad_record_does_not_spoil_the_others_of_its_submission(tmp_path):
    runs = submissions(tmp_path, finetune=[0, 1])
    FAULTY["half a character"][0](next((runs / "finetune" / "runs").iterdir()))
    found = collect(runs, SubmissionDeclarations())
    assert (len(found.faults), len(found.summaries)) == (1, 1)


def test_a_seed_that_is_there_twice_with_other_answers_counts_not_at_all(tmp_path):
    for name in ("a", "b"):
        shutil.copytree(committed("mini-mtil-1", 0), tmp_path / "runs" / name)
    shutil.copytree(committed("mini-mtil-1", 1), tmp_path / "runs" / "c")
    rewritten(lambda table: table)(tmp_path / "runs" / "b")
    record = json.loads((tmp_path / "runs" / "b" / "run.json").read_text())
    record["predictions_full_sha256"] = "0" * 64
    (tmp_path / "runs" / "b" / "run.json").write_text(json.dumps(record))
    found = collect(tmp_path / "runs", NothingDeclared())
    assert [fault.folder.name for fault in found.faults] == ["a", "b"]
    assert [run.seed for run in found.summaries] == [1]


def test_a_folder_of_bad_records_alone_gives_an_empty_board(tmp_path):
    (tmp_path / "runs" / "a").mkdir(parents=True)
    (tmp_path / "runs" / "a" / "run.json").write_text("{")
    built = build_from_runs(tmp_path / "runs", tmp_path / "board", NothingDeclared())
    assert (built["runs"], len(built["faults"])) == (0, 1)
    assert "No entries yet." in (tmp_path / "board" / "README.md").read_text()
