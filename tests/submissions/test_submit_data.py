"""A submission's way: written by ``new``, filled by ``add``, passed by ``check``; what is said and does not refuse."""

import json
import os
import shutil
import stat
from pathlib import Path

import pytest
from support.harness import vlcl
from support.submission_fixture import ROOT, Mine, committed, make, with_logits

from vlcl_bench.common.fileio import current_umask
from vlcl_bench.errors import IntegrityError, UsageError
from vlcl_bench.methods.registry import MethodRef, load_method
from vlcl_bench.methods.source import source_digest
from vlcl_bench.protocols.load import load_protocol
from vlcl_bench.records.files import read_predictions, read_record
from vlcl_bench.records.rescoring import rescored
from vlcl_bench.scoring.ground_truth import ground_truth
from vlcl_bench.submissions.add import add_runs
from vlcl_bench.submissions.check import check_data
from vlcl_bench.submissions.manifest import method_file, read_submission
from vlcl_bench.submissions.new import new_submission
from vlcl_bench.records.guard import rows_expected
from vlcl_bench.submissions.sources import python_files, submission_digest
from vlcl_bench.submissions.text import UnreadableError, unsafe


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    return make(tmp_path_factory.mktemp("good") / "mine").folder


@pytest.fixture
def mine(once, tmp_path):
    return Mine(shutil.copytree(once, tmp_path / "submissions" / "mine"))


@pytest.fixture
def run(mine, tmp_path):
    """A full run of ``mine`` as ``vlcl run`` leaves it, apart from the submission, which then has none."""
    mine.edit_predictions(with_logits)
    mine.edit_record(lambda record: record.update(predictions_full_sha256=""))
    target = tmp_path / "runs" / mine.run.name
    shutil.move(mine.run, target)
    (target / "journal.jsonl").write_text("{}\n")
    return target


def notes(findings):
    return [finding.code for finding in findings if not finding.is_error]


# Committed submissions


@pytest.mark.parametrize("name", sorted(path.parent.name for path in ROOT.glob("submissions/*/submission.toml")))
def test_what_every_committed_submission_says_of_itself_is_in_order(name):
    found, findings = read_submission(ROOT / "submissions" / name)
    assert findings == []
    assert found is not None
    assert found.name


def test_the_committed_runs_of_the_untouched_model_pass():
    assert check_data(ROOT / "submissions" / "zero_shot") == []


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.parent.name for path in ROOT.glob("submissions/*/submission.toml")))
def test_every_committed_submission_passes(name):
    assert [finding for finding in check_data(ROOT / "submissions" / name) if finding.is_error] == []


@pytest.mark.parametrize("name", sorted(path.parent.name for path in ROOT.glob("submissions/*/submission.toml")))
def test_the_method_that_a_committed_submission_names_is_the_one_that_is_run(name):
    folder = ROOT / "submissions" / name
    submission, _ = read_submission(folder)
    path, findings = method_file(folder, submission)
    assert findings == []
    assert path.resolve() == MethodRef.parse(str(folder)).path
    assert submission_digest(folder, path) == MethodRef.parse(str(folder)).source_sha256


def test_a_python_file_beside_a_reference_is_refused(tmp_path):
    folder = shutil.copytree(
        ROOT / "submissions" / "moe_adapter", tmp_path / "moe_adapter", ignore=shutil.ignore_patterns("runs")
    )
    submission, _ = read_submission(folder)
    assert method_file(folder, submission)[0] == ROOT / "baselines" / "moe_adapter" / "method.py"
    (folder / "mixture.py").write_text("x = 1\n")
    path, (finding,) = method_file(folder, submission)
    assert (path, finding.code) == (None, "method-path")


# Several Python files


def test_a_file_beside_the_method_is_part_of_its_source(mine):
    (mine.folder / "losses.py").write_text("class Base:\n    weight = 0.5\n")
    before = MethodRef.parse(str(mine.folder)).source_sha256
    assert mine.severe() == ["other-source"]
    mine.edit_record(lambda record: record["identity"].update(method_source_sha256=before))
    assert mine.severe() == []
    (mine.folder / "losses.py").write_text("class Base:\n    weight = 0.6\n")
    assert mine.severe() == ["other-source"]
    assert MethodRef.parse(str(mine.folder)).source_sha256 != before


def test_a_run_is_added_where_the_source_is_several_files(mine, run):
    (mine.folder / "losses.py").write_text("weight = 0.5\n")
    with pytest.raises(UsageError, match="another version of the method's files"):
        add_runs([run], mine.folder)
    record = json.loads((run / "run.json").read_text())
    record["identity"]["method_source_sha256"] = MethodRef.parse(str(mine.folder)).source_sha256
    run = mine.rename(run, record)
    assert [added.before for added in add_runs([run], mine.folder)] == [False]
    assert mine.severe() == []


def test_any_of_the_files_may_say_that_the_method_is_deterministic(mine):
    (mine.folder / "parts.py").write_text("class Base:\n    deterministic = True\n")
    digest = MethodRef.parse(str(mine.folder)).source_sha256
    mine.edit_record(
        lambda record: (record.update(deterministic=True), record["identity"].update(method_source_sha256=digest))
    )
    assert mine.check() == []


@pytest.mark.parametrize("place", ["runs/x.py", "parts/x.py", "__pycache__/x.py", ".hidden/x.py"])
def test_source_is_not_read_where_python_files_lie_elsewhere(place, mine):
    path = mine.folder / place
    path.parent.mkdir(exist_ok=True)
    path.write_text("x = 1\n")
    with pytest.raises(UnreadableError, match="a Python file where none belongs"):
        python_files(mine.folder)


def test_source_is_not_read_through_links_and_pipes(mine):
    assert python_files(mine.folder) == [mine.folder / "method.py"]
    os.mkfifo(mine.folder / "pipe.py")
    with pytest.raises(UnreadableError, match="not a plain file"):
        python_files(mine.folder)
    (mine.folder / "pipe.py").unlink()
    (mine.folder / "elsewhere").symlink_to(mine.folder.parent)
    with pytest.raises(UnreadableError, match="there is a link in its folder, 'elsewhere'"):
        python_files(mine.folder)


# Scores


def test_a_score_that_a_record_does_not_state_is_not_missed_and_one_that_there_is_not_is(mine):
    mine.edit_record(lambda record: record["scores"]["metrics"].pop("bwt"))
    assert mine.severe() == []
    mine.edit_record(lambda record: record["scores"]["metrics"].update(praise=100.0))
    (finding,) = (finding for finding in mine.check() if finding.is_error)
    assert "'metrics.praise' is stated as '100.0'; its predictions give nothing" in finding.message
    mine.edit_record(lambda record: (record["scores"]["metrics"].pop("praise"), record["scores"]["matrix"].pop()))
    assert mine.severe() == ["scores"]


# New


def test_a_new_submission_runs_as_it_is_and_says_what_is_left_to_write(tmp_path):
    ended = vlcl("submit", "new", "my-entry", "--folder", tmp_path / "submissions")
    assert ended.code == 0
    folder = tmp_path / "submissions" / "my-entry"
    assert sorted(path.name for path in folder.iterdir()) == ["method.py", "submission.toml"]
    assert f"vlcl submit check {folder}" in ended.out
    method = load_method(str(folder))
    assert (method.title, method.__name__) == ("my entry", "MyEntry")
    said = [finding for finding in check_data(folder) if finding.is_error]
    assert {finding.code for finding in said} == {"toml-text"}
    assert sorted(finding.message.split("'")[1] for finding in said) == ["authors.0", "paper"]
    toml = folder / "submission.toml"
    toml.write_text(toml.read_text().replace("TODO: ", ""))
    assert [(finding.code, finding.severity) for finding in check_data(folder)] == [("no-runs", "remark")]


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "-a", "a b", "a.b", "ä", "a\n", "x" * 65, "zscl", "ZSCL"])
def test_a_name_that_a_submission_cannot_have_is_refused_and_nothing_is_written(name, tmp_path):
    with pytest.raises(UsageError, match="name of a"):
        new_submission(name, tmp_path / "submissions")
    assert not (tmp_path / "submissions").exists()


@pytest.mark.parametrize("name", ["method", "loss-method", "3d", "_".join("abc")])
def test_the_class_of_a_new_method_never_hides_what_it_derives_from(name, tmp_path):
    assert issubclass(load_method(str(new_submission(name, tmp_path))), object)


def test_a_name_in_other_letters_is_the_same_name(tmp_path):
    new_submission("Mine", tmp_path)
    with pytest.raises(UsageError, match="exists already"):
        new_submission("mine", tmp_path)


# Add


def test_a_run_is_added_compact_and_the_submission_then_passes(mine, run):
    before = read_record(run)
    ended = vlcl("submit", "add", run, "--to", mine.folder)
    assert ended.code == 0, ended.err
    assert f"{mine.folder / 'runs' / before.run_hash}: mini-mtil-1, seed 0: added" in ended.out
    assert sorted(path.name for path in mine.run.iterdir()) == ["predictions.parquet", "run.json"]
    after = read_record(mine.run)
    assert after.predictions_full_sha256 == before.predictions_sha256 != after.predictions_sha256
    assert "logit1" not in read_predictions(mine.run / "predictions.parquet")
    assert rescored(mine.run, after) == rescored(run, before)
    assert [finding for finding in mine.check() if finding.is_error] == []


def test_adding_a_run_again_changes_nothing(mine, run):
    add_runs([run], mine.folder)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in mine.run.iterdir()}
    again = add_runs([run], mine.folder)
    assert [one.before for one in again] == [True]
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in mine.run.iterdir()} == before


def test_a_run_is_found_by_the_beginning_of_its_hash(mine, run):
    ended = vlcl("submit", "add", run.name[:6], "--to", mine.folder, "--runs", run.parent, "--json")
    assert ended.code == 0, ended.err
    (added,) = ended.json["added"]
    assert added["run"] == run.name
    assert added["was_there"] is False


def _other_method(run, mine):
    shutil.copytree(committed("mini-mtil-1", 0), run, dirs_exist_ok=True)


def _other_file(run, mine):
    with (mine.folder / "method.py").open("a") as file:
        file.write("changed = True\n")


def _unfinished(run, mine):
    (run / "run.json").unlink()


def _damaged(run, mine):
    path = run / "predictions.parquet"
    path.write_bytes(path.read_bytes()[:-9] + bytes(9))


def _edited(run, mine):
    record = json.loads((run / "run.json").read_text())
    record["scores"]["metrics"]["avg"] = 99.0
    (run / "run.json").write_text(json.dumps(record))


def _unfilled(run, mine):
    mine.replace("unpublished", "TODO: where")


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (_other_method, UsageError, "a run of the method 'finetune', not of 'mine'"),
        (_other_file, UsageError, "another version of the method's files"),
        (_unfinished, UsageError, "is not finished"),
        (_damaged, IntegrityError, "is damaged"),
        (_edited, IntegrityError, "was changed: 'metrics.avg' is stated as '99.0'"),
        (_unfilled, UsageError, "is no submission yet"),
    ],
)
def test_a_run_that_does_not_belong_is_refused_and_none_is_copied(spoil, error, words, mine, run, tmp_path):
    good = shutil.copytree(run, tmp_path / "good")
    spoil(run, mine)
    with pytest.raises(error, match=words):
        add_runs([good, run], mine.folder)
    assert list(mine.folder.glob("runs/*")) == []


def test_the_same_run_with_other_answers_does_not_replace_what_is_there(mine, run):
    add_runs([run], mine.folder)
    there = (mine.run / "run.json").read_bytes()
    other = Mine(run.parent.parent)
    other.edit_predictions(lambda frame: frame.assign(top4=frame["top5"], top5=frame["top4"]).pipe(with_logits))
    with pytest.raises(UsageError, match="the same run with other answers"):
        add_runs([run], mine.folder)
    assert (mine.run / "run.json").read_bytes() == there


# Check: what refuses nothing


def test_three_seeds_pass_without_a_word(mine):
    assert notes(mine.check()) == ["few-seeds"]
    for seed in (1, 2):
        mine.add(committed("mini-mtil-1", seed))
    assert mine.check() == []
    ended = vlcl("submit", "check", mine.folder, "--data-only")
    assert ended.code == 0
    assert f"{mine.folder}: no error, 3 remarks\n" in ended.out
    assert ended.out.count("[copied-answers]") == 3
    assert "not tried out, as you asked" in ended.out


def test_a_deterministic_method_needs_one_seed_and_may_not_have_seeds_that_differ(mine):
    source = mine.folder / "method.py"
    source.write_text(source.read_text() + "\n    deterministic = True\n")
    digest = source_digest(source)
    mine.edit_record(
        lambda record: (record.update(deterministic=True), record["identity"].update(method_source_sha256=digest))
    )
    assert mine.check() == []
    mine.add(committed("mini-mtil-1", 1))
    for path in (mine.folder / "runs").glob("*/run.json"):
        path.write_text(path.read_text().replace('"deterministic": false', '"deterministic": true'))
    assert mine.severe() == ["not-deterministic"]


def test_a_method_in_the_harness_s_own_process_is_noted(mine):
    mine.edit_record(lambda record: record["provenance"].update(isolation="inline"))
    assert notes(mine.check()) == ["few-seeds", "inline"]
    assert mine.severe() == []


def test_a_second_setting_is_in_order_where_it_is_declared(mine):
    other = mine.add(committed("mini-mtil-1", 1))
    record = json.loads((other / "run.json").read_text())
    record["identity"]["config"]["learning_rate"] = 0.5
    mine.rename(other, record)
    assert mine.severe() == ["settings"]
    with mine.toml.open("a") as file:
        file.write("entries = [{ learning_rate = 0.5 }]\n")
    assert mine.severe() == []


def test_full_predictions_pass_as_compact_ones_do(mine):
    mine.edit_predictions(with_logits)
    assert mine.severe() == []


def test_a_row_before_the_first_task_that_is_not_the_untouched_models_is_noted(mine):
    from vlcl_bench.records.files import write_predictions

    frame = read_predictions(mine.run / "predictions.parquet")
    start = frame["stage"] == 0
    frame.loc[start, ["top1", "top2"]] = frame.loc[start, ["top2", "top1"]].to_numpy()
    digest = write_predictions(mine.run / "predictions.parquet", frame)
    record = read_record(mine.run)
    scores = ground_truth(load_protocol("mini-mtil-1")).rescore(frame)
    mine.edit_record(lambda found: found.update(predictions_sha256=digest, scores=scores))
    assert record.scores["zero_shot"] != scores["zero_shot"]
    assert "row-zero" in notes(mine.check())
    assert mine.severe() == []


def test_open_budget_is_in_order_where_it_is_declared(mine):
    def over(record):
        record["usage"]["task_pictures"] *= 10
        record["track"] = "open-budget"

    mine.edit_record(over)
    mine.replace('"standard"', '"open-budget"')
    assert mine.severe() == []


def test_declared_data_are_in_order(mine):
    used = {"pictures": "mini-reference 4000 d268c8d9ab1d"}
    mine.edit_record(lambda record: record["identity"].update(auxiliary=used))
    mine.replace("auxiliary_data = []", 'auxiliary_data = ["mini-reference: all of its pictures"]')
    assert mine.severe() == []


def test_pythons_own_leftovers_are_noted_only(mine):
    cache = mine.folder / "__pycache__"
    cache.mkdir()
    (cache / "method.cpython-311.pyc").write_bytes(b"\x01\x02\r\n" + bytes(4) + b"rest")
    assert "leftover" in notes(mine.check())
    assert mine.severe() == []


@pytest.mark.parametrize("before", [0, 1, 49, 50, 51, 500])
def test_byte_code_that_runs_whatever_the_source_says_is_found_behind_any_number_of_leftovers(mine, before):
    cache = mine.folder / "__pycache__"
    cache.mkdir()
    for number in range(before):
        (cache / f"a{number:04d}.cpython-311.pyc").write_bytes(b"\x01\x02\r\n" + bytes(4) + b"rest")
    (cache / "method.cpython-311.pyc").write_bytes(b"\x01\x02\r\n" + b"\x01\0\0\0" + b"rest")
    found = [finding for finding in mine.check() if finding.code == "unexpected-file"]
    assert [finding.where for finding in found] == ["'__pycache__/method.cpython-311.pyc'"]


def test_much_byte_code_is_not_named_without_end(mine):
    cache = mine.folder / "__pycache__"
    cache.mkdir()
    for number in range(300):
        (cache / f"a{number:04d}.cpython-311.pyc").write_bytes(b"\x01\x02\r\n" + b"\x03\0\0\0" + b"rest")
    assert len([finding for finding in mine.check() if finding.code == "unexpected-file"]) == 50


def test_a_badge_that_the_repository_knows_of_is_in_order(mine, monkeypatch, tmp_path):
    record = read_record(mine.run)
    rerun = {
        "run_hash": record.run_hash, "predictions_sha256": record.predictions_sha256,
        "rerun_predictions_sha256": "0" * 64, "exact": False, "identical": False, "answers": 10, "equal": 10,
        "largest_difference": 0.0, "provenance": record.provenance.model_dump(mode="json"),
    }  # fmt: skip
    (mine.run / "rerun.json").write_text(json.dumps(rerun))
    assert mine.severe() == ["rerun"]
    monkeypatch.setattr("vlcl_bench.submissions.check.COMMITTED", mine.folder.parent)
    assert mine.severe() == []


@pytest.mark.parametrize("protocol", ["mini-mtil-1", "mini-c2r", "mini-c2f"])
def test_the_number_of_answers_is_known_beforehand(protocol):
    record = read_record(committed(protocol, 0, "proto_replay" if protocol.startswith("mini-c2") else "finetune"))
    assert rows_expected(load_protocol(protocol)) == record.predictions_rows


# The command


def test_check_tries_the_method_out_after_its_files_were_found_in_order(mine, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "vlcl_bench.submissions.contracts.process.check_contract",
        lambda folder, **more: asked.append((folder, more["store"])) or [],
    )
    assert vlcl("submit", "check", mine.folder, "--store", "somewhere").code == 0
    assert asked == [(mine.folder, Path("somewhere"))]
    (mine.folder / "method.py").unlink()
    ended = vlcl("submit", "check", mine.folder)
    assert ended.code == 3
    assert "because of the errors above" in ended.out
    assert len(asked) == 1


def test_a_folder_that_is_not_there_is_a_fault():
    ended = vlcl("submit", "check", "nowhere", "--data-only", "--json")
    assert ended.code == 3
    assert [finding["code"] for finding in ended.json["findings"]] == ["no-folder"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Zoë & Søren's “ZSCL*” (α = 0.2), 図", ""),
        ("a<b", "markup"),
        ("a|b", "markup"),
        ("[x](javascript:1)", "markup"),
        ("a\u202eb", "U+202E"),
        ("a\u200bb", "U+200B"),
        ("a\x1bb", "U+001B"),
        ("two\nlines", "U+000A"),
    ],
)
def test_what_may_be_shown(text, found):
    why = unsafe(text)
    assert found in why
    assert bool(why) == bool(found)


# What is stated, and what has changed since


@pytest.mark.parametrize("change", ["fewer metrics", "no twin"])
def test_scores_that_a_record_does_not_state_refuse_nothing(mine, change):
    def without(record):
        if change == "fewer metrics":
            for name in ("fwt_raw", "diagonal", "diagonal_by_task"):
                del record["scores"]["metrics"][name]
        else:
            del record["scores"]["agnostic"]

    assert mine.severe() == []
    mine.edit_record(without)
    assert mine.severe() == []


@pytest.mark.parametrize("key", ["matrix", "zero_shot"])
def test_a_list_that_is_stated_is_stated_whole(mine, key):
    mine.edit_record(lambda record: record["scores"][key].pop())
    (fault,) = [fault for fault in mine.check() if fault.is_error]
    assert (fault.code, f"the length of {key}" in fault.message) == ("scores", True)


def test_a_score_that_no_predictions_give_is_refused(mine):
    mine.edit_record(lambda record: record["scores"]["metrics"].update(brilliance=100.0))
    (fault,) = [fault for fault in mine.check() if fault.is_error]
    assert fault.code == "scores"
    assert "metrics.brilliance is stated as 100.0; its predictions give nothing" in fault.message.replace("'", "")


def test_records_of_an_earlier_source_of_a_reference_method_are_remarked_and_not_refused(tmp_path):
    source = committed("mini-mtil-1", 0, "l2")
    l2 = Mine(tmp_path / "submissions" / "l2")
    shutil.copytree(source, l2.folder / "runs" / source.name)
    shutil.copy(ROOT / "submissions" / "l2" / "submission.toml", l2.folder)
    assert "earlier-source" not in notes(l2.check())
    l2.edit_record(lambda record: record["identity"].update(method_source_sha256="0" * 64))
    assert l2.severe() == []
    assert "earlier-source" in notes(l2.check())
    mine = l2.folder.rename(l2.folder.with_name("mine"))  # under another name it is nobody's reference
    assert "other-method" in [fault.code for fault in check_data(mine) if fault.is_error]


@pytest.mark.parametrize("left", [".{run}.abcdefgh.tmp/run.json", "{run}/.run.json.abcdefgh.tmp",
                                  "{run}/predictions.parquet"])  # fmt: skip
def test_adding_again_after_a_kill_leaves_a_submission_that_passes(left, mine, run):
    path = mine.folder / "runs" / left.format(run=run.name)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half")
    assert [added.before for added in add_runs([run], mine.folder)] == [False]
    assert mine.severe() == []
    assert "leftover" not in notes(mine.check())
    assert [path.name for path in (mine.folder / "runs").iterdir()] == [run.name]
    assert stat.S_IMODE((mine.folder / "runs" / run.name).stat().st_mode) == 0o777 & ~current_umask()


def test_a_run_that_cannot_be_copied_whole_is_not_there_at_all(mine, run, monkeypatch):
    def killed(folder, record):
        raise KeyboardInterrupt

    monkeypatch.setattr("vlcl_bench.records.files.write_record", killed)
    with pytest.raises(KeyboardInterrupt):
        add_runs([run], mine.folder)
    assert not (mine.folder / "runs" / run.name).exists()
