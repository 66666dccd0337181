"""Every kind of bad submission is refused with the right message, and its files are never run."""

import io
import json
import os
import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.harness import vlcl
from support.submission_fixture import committed, make

from vlcl_bench.common.fileio import sha256_file
from vlcl_bench.records import unpack


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    return make(tmp_path_factory.mktemp("good") / "mine").folder


@pytest.fixture
def mine(once, tmp_path):
    from support.submission_fixture import Mine

    return Mine(shutil.copytree(once, tmp_path / "submissions" / "mine"))


def identity(**values):
    return lambda mine: mine.edit_record(lambda record: record["identity"].update(values))


def record(**values):
    return lambda mine: mine.edit_record(lambda found: found.update(values))


def predictions(change):
    return lambda mine: mine.edit_predictions(change)


def toml(old, new):
    return lambda mine: mine.replace(old, new)


def first_row(column, value):
    def change(frame):
        frame.loc[0, column] = value
        return frame

    return predictions(change)


def same_answers_packed_anew(mine):
    """Another seed with the same answers, in another order and with logits, so that no byte of the file is the same."""
    from support.submission_fixture import with_logits

    from vlcl_bench.records.files import read_predictions, write_predictions

    source = mine.run
    target = source.with_name("copy")
    shutil.copytree(source, target)
    frame = with_logits(read_predictions(source / "predictions.parquet")).sample(frac=1, random_state=0)
    found = json.loads((source / "run.json").read_text())
    found["predictions_sha256"] = write_predictions(target / "predictions.parquet", frame)
    found["identity"]["seed"] = 7
    mine.rename(target, found)


def several_settings(mine):
    from support.submission_fixture import committed

    for seed in (1, 2):
        run = mine.add(committed("mini-mtil-1", seed))
        found = json.loads((run / "run.json").read_text())
        found["identity"]["config"]["learning_rate"] = 0.1 * seed
        mine.rename(run, found)


def cost(**values):
    return lambda mine: mine.edit_record(lambda found: found["cost"].update(values), rename=False)


def edited_scores(mine):
    def change(found):
        found["scores"]["metrics"]["avg"] += 5
        found["scores"]["matrix"][3][1] += 0.01

    mine.edit_record(change)


def edited_answers(mine):
    mine.edit_predictions(lambda frame: frame.assign(top1=frame["top2"], top2=frame["top1"]), rehash=False)


def renamed_folder(mine):
    mine.run.rename(mine.run.with_name("0123456789abcdef"))


def wrong_run_hash(mine):
    mine.edit_record(lambda found: found.update(run_hash="0123456789abcdef"), rename=False)


def claimed_rows(mine):
    """A parquet file of 150 KB that unpacks to 40 million rows."""
    table = pa.table({"stage": pa.array(np.zeros(40_000_000, np.int16))})
    pq.write_table(table, mine.run / "predictions.parquet", compression="zstd")
    size = (mine.run / "predictions.parquet").stat().st_size
    assert size < 200_000
    mine.edit_record(lambda found: found.update(predictions_sha256=sha256_file(mine.run / "predictions.parquet")))


def long_words(mine):
    """As many rows as there should be, and a word of 60 million letters in every one."""
    words = pa.DictionaryArray.from_arrays(np.zeros(100, np.int8), pa.array(["a" * 60_000_000]))
    buffer = io.BytesIO()
    pq.write_table(pa.table({"task": words}), buffer, compression="zstd", use_dictionary=True)
    (mine.run / "predictions.parquet").write_bytes(buffer.getvalue())
    assert len(buffer.getvalue()) < 100_000


def link(mine):
    target = mine.folder.parent / "elsewhere.parquet"
    shutil.move(mine.run / "predictions.parquet", target)
    (mine.run / "predictions.parquet").symlink_to(target)


def linked_run(mine):
    target = mine.folder.parent / "elsewhere"
    shutil.move(mine.run, target)
    (mine.folder / "runs" / target.name).symlink_to(target)


def another_seed(mine):
    """The same answers once more, under another seed: three seeds out of one."""
    source = mine.run
    changed = json.loads((source / "run.json").read_text())
    changed["identity"]["seed"] = 1
    mine.rename(shutil.copytree(source, source.with_name("copy")), changed)


def words_for_answers(mine):
    table = pq.read_table(mine.run / "predictions.parquet")
    place = table.schema.get_field_index("top1")
    table = table.set_column(place, "top1", table.column("top1").cast(pa.string()))
    pq.write_table(table, mine.run / "predictions.parquet")


def same_class_twice(frame):
    frame.loc[7, "top2"] = frame.loc[7, "top1"]
    return frame


def repeated_seed(mine):
    shutil.copytree(mine.run, mine.run.with_name("0123456789abcdef"))


def over_budget(mine):
    mine.edit_record(lambda found: found["usage"].update(task_pictures=10 * found["usage"]["task_budget"]))


def big_file(mine):
    with mine.toml.open("a") as file:
        file.write("# long\n" * 20_000)


def named(name, content=b"x"):
    def change(mine):
        path = mine.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    return change


def pipe(mine):
    (mine.folder / "README.md").unlink(missing_ok=True)
    os.mkfifo(mine.folder / "README.md")


def python_among_runs(mine):
    (mine.run / "method.py").write_text("x = 1\n")


def much_source(mine):
    for name in ("losses.py", "memory.py"):
        (mine.folder / name).write_text("x = 1\n" * 25_000)


def linked_source(mine):
    target = mine.folder.parent / "elsewhere.py"
    target.write_text("x = 1\n")
    (mine.folder / "losses.py").symlink_to(target)


def undeclared(mine):
    mine.edit_record(lambda found: found["identity"].update(auxiliary={"pictures": "mini-reference 4000 d268c8d9ab1d"}))


def twice_in_json(mine):
    path = mine.run / "run.json"
    path.write_text('{"title": "another",' + path.read_text().lstrip()[1:])


def deep_json(mine):
    (mine.run / "run.json").write_text('{"log":' + "[" * 100_000)


def not_a_number(mine):
    path = mine.run / "run.json"
    path.write_text(path.read_text().replace('"seconds_other": ', '"seconds_other": NaN, "x": '))


def rerun_badge(mine):
    (mine.run / "rerun.json").write_text("{}")


SCRIPT = "<script>alert(1)</script>"

BAD = {
    # predictions
    "rows cut off": (predictions(lambda f: f.iloc[:-120]), "predictions", "120 missing, 0 duplicate, 0 unknown"),
    "rows added": (predictions(lambda f: pd.concat([f, f.iloc[:3].assign(sample=9_000)])), "predictions", "3 unknown"),
    "ids twice": (predictions(lambda f: f.assign(sample=f["sample"].replace({1: 0}))), "predictions", "duplicate"),
    "a stage too many": (predictions(lambda f: f.assign(stage=f["stage"] + 1)), "predictions", "unknown"),
    "an unknown task": (predictions(lambda f: f.assign(task=f["task"].astype(str) + "x")), "predictions", "unknown"),
    "a class that is none": (first_row("top1", 99), "predictions", "class ids out of range"),
    "the same class twice": (predictions(same_class_twice), "predictions", "the same class id twice"),
    "answers in words": (words_for_answers, "predictions-types", "whole numbers"),
    "a column too many": (predictions(lambda f: f.assign(label=0)), "predictions", "unknown ['label']"),
    "answers edited": (edited_answers, "predictions-hash", "the record was written with"),
    "no parquet": (named("x"), "unexpected-file", "does not belong here"),
    "an archive bomb of rows": (claimed_rows, "archive-bomb", "it claims 40,000,000 rows"),
    "an archive bomb of words": (long_words, "archive-bomb", "it claims to unpack to"),
    # records
    "the same answers packed anew": (same_answers_packed_anew, "repeated-answers", "the very same answers as seed"),
    "several settings, none declared": (several_settings, "settings", "3 different settings that no entry declares"),
    "a seed that changes nothing": (record(deterministic=True), "deterministic", "no class in method.py says"),
    "endless seconds": (cost(seconds_total=1e300), "record-schema", "less than or equal to"),
    "negative seconds": (cost(seconds_total=-1.0), "record-schema", "greater than or equal to"),
    "a number that no machine has": (cost(peak_memory_bytes=10**400), "record-schema", "less than or equal to"),
    "a seed that no machine has": (
        lambda mine: mine.edit_record(lambda found: found["identity"].update(seed=-(10**50)), rename=False),
        "record-schema", "greater than or equal to",
    ),
    "a long title": (record(title="M" * 61), "title", "61 characters"),
    "another method's title": (record(title="MoE-Adapter"), "title", "the title of a reference method"),
    "settings without end": (identity(config={"x": list(range(3000))}), "settings-size", "longer than"),
    "scores edited": (edited_scores, "scores", "its predictions give"),
    "another version of the protocol": (identity(protocol_version=2), "protocol-version", "version 2 of mini-mtil-1"),
    "another fingerprint": (identity(protocol_fingerprint="0" * 64), "fingerprint", "today's is"),
    "an unknown protocol": (identity(protocol="mini-mtil-9"), "unknown-protocol", "there is no protocol"),
    "another method's run": (identity(method="zscl"), "other-method", "it is a run of 'zscl', not of 'mine'"),
    "another method's source": (identity(method_source_sha256="0" * 64), "other-source", "another source"),
    "other weights": (identity(backbone_sha256="0" * 64), "backbone", "other weights"),
    "another model": (identity(backbone="mini-other/v1"), "undeclared", "pretrained_models"),
    "a wrong run hash": (wrong_run_hash, "run-hash", "it says '0123456789abcdef'"),
    "a folder of another name": (renamed_folder, "folder-name", "the folder is named 0123456789abcdef"),
    "a seed twice": (repeated_seed, "repeated-seed", "a seed counts once"),
    "one run as two seeds": (another_seed, "repeated-answers", "the very same answers"),
    "more pictures than its track allows": (over_budget, "track", "28,160 are in the track"),
    "a track that is not declared": (record(track="open-budget"), "declared-track", "declared is 'standard'"),
    "a budget of its own": (
        lambda mine: mine.edit_record(lambda found: found["usage"].update(task_budget=99_999_999)),
        "budget", "the protocol's is 28,160",
    ),
    "auxiliary data that are not declared": (undeclared, "undeclared", "'mini-reference'"),
    "a script in the record's title": (record(title=SCRIPT), "record-text", "which is markup"),
    "a script in a setting": (identity(config={"label_smoothing": SCRIPT}), "record-text", "which is markup"),
    "a title that turns the page's direction": (record(title="a\u202eb"), "record-text", "U+202E"),
    "a wrong type": (record(title=3), "record-schema", "valid string"),
    "an unknown field": (record(rank=1), "record-schema", "'rank'"),
    "a key twice": (twice_in_json, "record-json", "stands there twice"),
    "no end of brackets": (deep_json, "record-json", "cannot be read"),
    "no number": (not_a_number, "record-json", "NaN"),
    "a badge that it gives itself": (rerun_badge, "rerun", "knows of no such rerun"),
    # submission.toml
    "a path out of the folder": (
        toml("track", 'method = "../../baselines/zscl.py"\ntrack'), "method-path", "not a file of the submission",
    ),
    "an absolute path": (toml("track", 'method = "/etc/passwd"\ntrack'), "method-path", "not a file of the submission"),
    "a huge TOML file": (big_file, "toml-unreadable", "at most 65,536"),
    "TOML that is not UTF-8": (
        lambda mine: mine.toml.write_bytes(mine.toml.read_bytes() + b'# \xff\xfe"'), "toml-encoding", "not UTF-8",
    ),
    "no TOML": (lambda mine: mine.toml.write_text("name = "), "toml-syntax", "not valid TOML"),
    "no end of brackets in TOML": (
        lambda mine: mine.toml.write_text("a = " + "[" * 60_000), "toml-syntax", "not valid TOML",
    ),
    "an unknown key": (toml("track", 'rank = "1"\ntrack'), "toml-unknown-key", "'rank'"),
    "a missing key": (toml('licence = "Apache-2.0"', ""), "toml-value", "'licence'"),
    "a track that does not exist": (toml('"standard"', '"easy"'), "toml-value", "'track'"),
    "a script in the name": (toml('"Mine"', f'"{SCRIPT}"'), "toml-text", "which is markup"),
    "a control character in the name": (toml('"Mine"', '"Mi\\u001b[31mne"'), "toml-text", "U+001B"),
    "a name without end": (toml('"Mine"', '"' + "m" * 200 + '"'), "toml-value", "at most 60"),
    "something left to be written": (toml('"unpublished"', '"TODO: paper"'), "toml-text", "still to be written"),
    # files
    "a link to a file": (link, "link", "is a link"),
    "a link to a folder": (linked_run, "link", "is a link"),
    "a pickle": (named("memory.pkl"), "unexpected-file", "can run code"),
    "weights": (named("model.pt"), "unexpected-file", "can run code"),
    "an archive": (named("runs.zip"), "unexpected-file", "is packed"),
    "byte code in place of the source": (
        named("__pycache__/method.cpython-311.pyc", b"\0\0\0\0\1\0\0\0rest"), "unexpected-file", "byte code",
    ),
    "a name with a line break": (named("a\nb.py"), "unexpected-file", "a\\nb.py"),
    "a name that looks like a path": (named("..\\..\\x"), "unexpected-file", "does not belong here"),
    "a second method file": (named("runs/method.py"), "unexpected-file", "does not belong here"),
    "a Python file among the runs": (python_among_runs, "unexpected-file", "does not belong here"),
    "a Python file in a folder": (named("parts/losses.py"), "unexpected-file", "does not belong here"),
    "a Python file that is not source": (named("losses.pyx"), "unexpected-file", "does not belong here"),
    "a name that is no module": (named("my-losses.py"), "unexpected-file", "does not belong here"),
    "Python files that are too large together": (
        much_source, "too-large", "its Python files have 300,",
    ),
    "Python files that are not all read": (much_source, "method-unreadable", "at most 262,144 are read"),
    "a link to a Python file": (linked_source, "link", "is a link"),
    "a file beside the method that was not there": (named("losses.py", b"x = 1\n"), "other-source", "another source"),
    "a reference method of another name": (
        toml("track", 'method = "../../baselines/moe_adapter/method.py"\ntrack'), "method-path", "not a file",
    ),
    "a pipe": (pipe, "not-a-file", "not a plain file"),
    "a run without predictions": (
        lambda mine: (mine.run / "predictions.parquet").unlink(), "incomplete-run", "predictions.parquet is missing",
    ),
    "a run in a folder of any name": (
        lambda mine: mine.run.rename(mine.run.with_name("best")), "run-name", "not named after a run hash",
    ),
    "no method": (lambda mine: (mine.folder / "method.py").unlink(), "method-unreadable", "No such file"),
    "a huge method": (
        lambda mine: (mine.folder / "method.py").write_text("# x\n" * 80_000), "method-unreadable", "at most 262,144",
    ),
    "a name of a reference method": (lambda mine: _rename(mine, "zscl"), "name-taken", "a reference method"),
    "a folder's name with a blank": (lambda mine: _rename(mine, "my method"), "name", "not one for a submission"),
}  # fmt: skip


def _rename(mine, name):
    mine.folder = mine.folder.rename(mine.folder.with_name(name))


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_submission_is_refused_with_the_right_message(kind, mine):
    breaking, code, words = BAD[kind]
    breaking(mine)
    findings = mine.check()
    found = [finding for finding in findings if finding.is_error and finding.code == code]
    assert found, findings
    assert any(words in finding.message + finding.hint for finding in found), found
    assert all(finding.hint for finding in findings if finding.is_error)
    assert all(text.isprintable() for finding in findings for text in (finding.where, finding.message, finding.hint))


def test_the_submission_that_is_broken_here_is_good(mine):
    assert mine.severe() == []


def test_a_broken_parquet_file_is_a_fault_at_whatever_byte(mine):
    path = mine.run / "predictions.parquet"
    whole = path.read_bytes()
    for place in (3, len(whole) // 2, len(whole) - 60, len(whole) - 3):
        path.write_bytes(whole[:place] + bytes(8) + whole[place + 8 :])
        assert "predictions-hash" in mine.severe()
    path.write_bytes(whole[: len(whole) // 2])
    assert {"predictions-hash", "predictions-unreadable"} <= set(mine.severe())


def test_a_file_that_brings_its_reader_down_is_a_fault_and_the_next_is_still_read(mine, monkeypatch, tmp_path):
    first = mine.run
    killer = tmp_path / "killer.py"
    killer.write_text(f"""
import io, json, os, runpy, sys
wanted, bad = json.load(sys.stdin), {str(first / "predictions.parquet")!r}
paths = [path for path, _, _ in wanted]
sys.stdin = io.StringIO(json.dumps(wanted[: paths.index(bad)] if bad in paths else wanted))
runpy.run_path({unpack.__file__!r}, run_name="__main__")
if bad in paths:
    os.abort()
""")
    monkeypatch.setattr(unpack, "__file__", str(killer))
    second = mine.add(committed("mini-mtil-1", 1))
    findings = [finding for finding in mine.check() if finding.is_error]
    bad = next(finding for finding in findings if finding.code == "archive-bomb")
    assert "ended its reader" in bad.message
    assert len(findings) == 1
    assert bad.where == f"runs/{first.name}/predictions.parquet"
    edited = json.loads((second / "run.json").read_text())
    edited["scores"]["metrics"]["avg"] = 99.0
    (second / "run.json").write_text(json.dumps(edited))
    assert {finding.code for finding in mine.check() if finding.is_error} == {"archive-bomb", "scores"}


def test_all_faults_are_said_at_once_and_nothing_of_the_submission_is_run(mine):
    witness = mine.folder.parent / "witness"
    (mine.folder / "method.py").write_text(f"open({str(witness)!r}, 'w')\n")
    mine.replace('"Mine"', '"<b>"')
    mine.replace("track", "rank = 1\ntrack")
    (mine.folder / "model.pt").write_bytes(b"x")
    mine.edit_record(lambda found: found["scores"]["metrics"].update(avg=99.0))
    mine.edit_predictions(lambda frame: frame.iloc[:-1], rehash=False)
    ended = vlcl("submit", "check", mine.folder, "--data-only", "--json")
    assert ended.code == 3
    codes = {finding["code"] for finding in ended.json["findings"]}
    assert {"toml-text", "toml-unknown-key", "unexpected-file", "other-source"} <= codes
    assert {"predictions-hash", "predictions-rows", "predictions"} <= codes
    assert ended.json["method_tried"] is False
    assert not witness.exists()


def test_a_hostile_name_is_shown_escaped_on_the_terminal(mine):
    (mine.folder / "a\x1b[31m[bold]b").write_text("x")
    mine.edit_record(lambda found: found.update(title="[blink]\x1b]0;x\x07"))
    ended = vlcl("submit", "check", mine.folder, "--data-only")
    assert ended.code == 3
    assert "\x1b" not in ended.out
    assert "\x07" not in ended.out
    assert "[bold]b" in ended.out
