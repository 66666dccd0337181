"""``vlcl regress``: what is the same holds, what moved is named, costs warn, and nothing is stored unasked."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from support.harness import TINY, tree, vlcl

from vlcl_bench.errors import IntegrityError, UsageError
from vlcl_bench.records.files import (  # fmt: skip
    PREDICTIONS_NAME,
    compact_record,
    read_predictions,
    read_record,
    write_predictions,
    write_record,
)
from vlcl_bench.regress import calibration, expectations, regression
from vlcl_bench.regress.expectations import (
    MACHINES,
    Expectation,
    StoredRun,
    add_machine,
    fast,
    machine_name,
    read_index,
    spread_of,
    stored_runs,
    write,
)
from vlcl_bench.regress.outcomes import COSTLY, judge
from vlcl_bench.sweep.plan import Request

REPOSITORY = Path(__file__).parents[2]
RUNS = """
[[runs]]
protocols = ["{protocol}"]
methods = ["zero_shot"]
seeds = [0, 1]
"""


def changed(folder, target, answers=0, seconds=1.0, memory=1.0, **provenance):
    """A copy of a run with some first answers to the last task at the last stage swapped, and other costs."""
    shutil.copytree(folder, target)
    frame, record = read_predictions(target / PREDICTIONS_NAME), read_record(target)
    own = frame.index[(frame["stage"] == frame["stage"].max()) & (frame["task"] == frame["task"].iloc[-1])][:answers]
    frame.loc[own, ["top1", "top2"]] = frame.loc[own, ["top2", "top1"]].to_numpy()
    matrix = np.array(record.scores["matrix"])
    matrix[-1, -1] -= answers / 2
    cost = record.cost.model_copy(
        update={
            "seconds_learn": [seconds * x for x in record.cost.seconds_learn],
            "seconds_evaluate": [seconds * x for x in record.cost.seconds_evaluate],
            "peak_memory_bytes": int(memory * record.cost.peak_memory_bytes),
        }
    )
    digest = write_predictions(target / PREDICTIONS_NAME, frame)
    record = record.model_copy(
        update={
            "cost": cost, "predictions_sha256": digest, "scores": {**record.scores, "matrix": matrix.tolist()},
            "provenance": record.provenance.model_copy(update=provenance),
        }
    )  # fmt: skip
    write_record(target, record)
    return target


def outcome(expected, new, tmp_path, spread=None, then=1.0, now=1.0):
    compact_record(expected, tmp_path / "stored")
    stored = StoredRun(tmp_path / "stored", read_record(expected), then)
    return judged(Expectation("tiny/finetune", Request("tiny", "finetune"), (stored,), spread), new, now)


def judged(expectation, new, now=1.0):
    return judge(expectation, SimpleNamespace(record=read_record(new), folder=new, error=""), now)


# Outcomes


def test_equal_answers_are_the_same_even_if_stored_compact(finished, tmp_path):
    result = outcome(finished, finished, tmp_path)
    assert (result.state, result.agreement, result.moved, result.holds) == ("same", 100.0, {}, True)
    assert result.time_ratio == pytest.approx(1)
    assert result.memory_ratio == pytest.approx(1)


def test_one_other_answer_on_the_same_machine_has_moved(finished, tmp_path):
    result = outcome(finished, changed(finished, tmp_path / "new", answers=1), tmp_path)
    assert (result.state, result.holds) == ("moved", False)
    assert "equal ones were expected" in result.words
    assert "stage 2, dev-activities: 1 of 200 answers differ" in result.words
    assert "stage 2, dev-activities" in result.where


def test_few_other_answers_on_another_machine_are_tolerated_and_many_are_not(finished, tmp_path):
    few = changed(finished, tmp_path / "few", answers=2, threads=64)
    result = outcome(finished, few, tmp_path)
    assert (result.state, result.holds) == ("within tolerance", True)
    assert "threads" in result.words
    many = changed(finished, tmp_path / "many", answers=150, threads=64)
    result = outcome(finished, many, tmp_path)
    assert (result.state, result.holds) == ("moved", False)
    assert "at least 98 %" in result.words


def test_elsewhere_r_may_move_as_far_as_seeds_lie_apart(finished, tmp_path):
    other = changed(finished, tmp_path / "new", answers=10, cpu_capability="OTHER")  # 5 points of one entry of R
    assert outcome(finished, other, tmp_path / "a").state == "moved"
    wide = np.full((2, 2), 6.0)
    assert outcome(finished, other, tmp_path / "b", spread=wide).state == "within tolerance"


def test_a_run_that_failed_or_has_nothing_stored_does_not_hold(finished):
    expectation = Expectation("tiny/x", Request("tiny", "x"), ())
    assert judge(expectation, SimpleNamespace(record=None, error="boom"), None).words == "boom"
    result = judged(expectation, finished, None)
    assert (result.state, result.holds) == ("not stored", False)


def test_another_protocol_is_not_compared(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "new")
    record = read_record(finished)
    identity = record.identity.model_copy(update={"protocol_fingerprint": "0" * 64})
    new = record.model_copy(update={"identity": identity, "run_hash": identity.run_hash})
    write_record(tmp_path / "new", new)
    assert "fingerprint changed" in outcome(finished, tmp_path / "new", tmp_path).words


def test_time_counts_against_the_calibration_of_its_own_day(finished, tmp_path):
    slow = changed(finished, tmp_path / "slow", seconds=3.0)
    result = outcome(finished, slow, tmp_path / "a", then=1.0, now=3.0)
    assert result.time_ratio == pytest.approx(1)
    assert not result.costly
    result = outcome(finished, slow, tmp_path / "b", then=1.0, now=1.0)
    assert result.time_ratio == pytest.approx(3)
    assert result.costly
    assert result.holds


def test_more_memory_is_costly_from_a_share_on(finished, tmp_path):
    for share, costly in ((COSTLY * 0.99, False), (COSTLY * 1.01, True)):
        big = changed(finished, tmp_path / f"big{share}", memory=share)
        assert outcome(finished, big, tmp_path / f"out{share}").costly is costly


# Machines


def on_two_machines(finished, tmp_path):
    """An expectation with the results of a machine ``FIRST``, and 30 other answers of one called ``SECOND``."""
    write(tmp_path / "kept", {"tiny/finetune": [changed(finished, tmp_path / "first", cpu_capability="FIRST")]}, 0.25)
    second = changed(finished, tmp_path / "second", answers=30, cpu_capability="SECOND")
    assert add_machine(tmp_path / "kept", {"tiny/finetune": second}, 0.5).partition("-")[2].startswith("SECOND-")
    stored = stored_runs(tmp_path / "kept" / "tiny" / "finetune", read_index(tmp_path / "kept"))
    return Expectation("tiny/finetune", Request("tiny", "finetune"), stored)


def test_a_run_is_compared_with_the_results_of_a_machine_like_its_own(finished, tmp_path):
    expectation = on_two_machines(finished, tmp_path)
    assert [stored.calibration_seconds for stored in expectation.stored] == [0.25, 0.5]
    assert judged(expectation, tmp_path / "first").state == "same"
    assert judged(expectation, tmp_path / "second").state == "same"
    result = judged(expectation, changed(finished, tmp_path / "new", answers=29, cpu_capability="SECOND"))
    assert result.state == "moved"
    assert "equal ones were expected" in result.words


def test_a_run_on_a_third_machine_is_compared_with_the_first_one_under_tolerances(finished, tmp_path):
    expectation = on_two_machines(finished, tmp_path)
    near = judged(expectation, changed(finished, tmp_path / "near", answers=1, cpu_capability="THIRD"))
    assert (near.state, near.agreement < 100) == ("within tolerance", True)
    assert "'FIRST' there, 'THIRD' here" in near.words
    far = judged(expectation, changed(finished, tmp_path / "far", answers=30, cpu_capability="THIRD"))
    assert far.state == "moved"  # although the second machine gave these very answers


def test_another_torch_or_number_of_threads_is_another_machine(finished, tmp_path):
    expectation = on_two_machines(finished, tmp_path)
    for facts in ({"torch": "0.0"}, {"threads": 64}):
        record = read_record(changed(finished, tmp_path / "-".join(facts), cpu_capability="SECOND", **facts))
        assert expectation.closest(record.provenance) is expectation.stored[0]
        assert machine_name(record.provenance) != expectation.stored[1].folder.name


def test_a_machine_is_not_added_twice_and_not_beside_nothing(finished, tmp_path):
    on_two_machines(finished, tmp_path)
    before = tree(tmp_path / "kept")
    for name in ("first", "second"):
        with pytest.raises(UsageError, match="holds the results of such a machine already"):
            add_machine(tmp_path / "kept", {"tiny/finetune": tmp_path / name})
    third = changed(finished, tmp_path / "third", cpu_capability="THIRD")
    with pytest.raises(UsageError, match="nothing is stored for tiny/l2"):
        add_machine(tmp_path / "kept", {"tiny/finetune": third, "tiny/l2": third})
    assert tree(tmp_path / "kept") == before


def test_what_was_stored_for_all_is_replaced_with_what_other_machines_gave(finished, tmp_path):
    on_two_machines(finished, tmp_path)
    (machine,) = [path.name for path in (tmp_path / "kept/tiny/finetune" / MACHINES).iterdir()]
    assert write(tmp_path / "kept", {"tiny/finetune": [finished]}, 0.75) == [machine]
    assert not (tmp_path / "kept/tiny/finetune" / MACHINES).exists()
    assert read_index(tmp_path / "kept").machines == {}


def test_the_repository_holds_every_short_run_of_three_machines():
    expectations = fast(Request("", ""), REPOSITORY / "tests/expectations")
    machines = {
        tuple(stored.record.provenance.cpu_capability for stored in expectation.stored) for expectation in expectations
    }
    assert machines == {("AVX512", "AVX2", "AVX512")}  # AMD's, AMD's and Intel's
    for expectation in expectations:
        first, *others = (stored.record.identity for stored in expectation.stored)
        assert all(one == first for one in others)


# What is stored


def test_stored_expectations_come_back_with_the_spread_of_their_seeds(finished, tmp_path):
    other = changed(finished, tmp_path / "other", answers=10)
    write(tmp_path / "kept", {"tiny/finetune": [finished, other]}, 0.25)
    assert read_record(tmp_path / "kept/tiny/finetune").predictions_full_sha256
    index = read_index(tmp_path / "kept")
    assert index.calibration_seconds == 0.25
    assert index.spreads["tiny/finetune"] == [[0.0, 0.0], [0.0, 5.0]]
    write(tmp_path / "kept", {"tiny/l2": [finished]}, 0.25)
    assert not (tmp_path / "kept/tiny/finetune").exists()
    assert spread_of([read_record(finished)]) is None


def test_a_damaged_index_is_named(tmp_path):
    (tmp_path / "expectations.json").write_text('{"calibration_seconds": "fast"}')
    with pytest.raises(IntegrityError, match="calibration_seconds"):
        read_index(tmp_path)


def test_every_reference_method_has_a_short_run():
    expectations = fast(Request("", ""), REPOSITORY / "tests/expectations")
    assert {expectation.request.seed for expectation in expectations} == {0}
    assert len({expectation.name for expectation in expectations}) == len(expectations)


def test_outside_a_checkout_it_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = vlcl("regress")
    assert (ended.code, "in a checkout" in ended.err) == (2, True)


def test_a_reference_method_without_a_run_is_named(tmp_path):
    (tmp_path / "runs.toml").write_text(RUNS.format(protocol="mini-dev"))
    with pytest.raises(UsageError, match=r"no run of .*finetune"):
        fast(Request("", ""), tmp_path)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--update", "--method", "finetune"), "--update renews all"),
        (("--add-machine", "--all"), "--add-machine adds all"),
        (("--add-machine", "--update"), "--update replaces what --add-machine adds to"),
    ],
)
def test_what_is_stored_is_stored_as_a_whole(options, words, tmp_path):
    ended = vlcl("regress", *options)
    assert (ended.code, words in ended.err) == (2, True)


def test_a_folder_with_other_things_is_not_emptied(tmp_path):
    (tmp_path / "0123456789abcdef").mkdir()
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UsageError, match=r"thesis\.tex"):
        regression._remove_runs(tmp_path)
    assert (tmp_path / "thesis.tex").exists()


def test_the_calibration_takes_time_and_tells_when_it_cannot_be_done(monkeypatch):
    assert calibration.measure() > 0
    monkeypatch.setattr(calibration.sys, "executable", "/bin/false")
    with pytest.raises(Exception, match="calibration failed"):
        calibration.calibrate(1, 1)


# From the command line


@pytest.mark.slow
def test_a_change_that_moves_numbers_is_refused_until_it_is_stored(world, tmp_path, monkeypatch):
    (tmp_path / "tiny.toml").write_text(TINY)
    kept = tmp_path / "expectations"
    kept.mkdir()
    (kept / "runs.toml").write_text(RUNS.format(protocol=tmp_path / "tiny.toml"))
    monkeypatch.setattr(expectations, "list_methods", lambda: [SimpleNamespace(name="zero_shot", source="baselines")])
    monkeypatch.setattr(regression, "calibrate", lambda at_once, threads: 0.5)
    anew = ("regress", "--expectations", kept, "--runs", tmp_path / "runs", "--jobs", 2, "--json")
    line = (*anew[:-1], "--resume", "--json")  # what has been run need not run again: only what is made of it matters
    ended = vlcl(*line)
    assert (ended.code, [outcome["state"] for outcome in ended.json["verdicts"]]) == (3, ["not stored"])
    assert set(tree(kept)) == {"runs.toml"}
    ended = vlcl(*line, "--update")
    assert (ended.code, ended.json["updated"]) == (0, True), ended.err
    stored = tree(kept)
    assert set(stored) == {
        "runs.toml", "expectations.json", "tiny/zero_shot/run.json", "tiny/zero_shot/predictions.parquet",
    }  # fmt: skip
    ended = vlcl(*anew)
    assert (ended.code, ended.json["verdicts"][0]["state"]) == (0, "same"), ended.err
    ended = vlcl(*line, "--add-machine")
    assert (ended.code, "of such a machine already" in ended.err) == (2, True)
    record = read_record(kept / "tiny/zero_shot")
    elsewhere = record.provenance.model_copy(update={"cpu_capability": "OTHER"})
    write_record(kept / "tiny/zero_shot", record.model_copy(update={"provenance": elsewhere}))
    ended = vlcl(*line, "--add-machine")
    assert (ended.code, ended.json["updated"]) == (0, True), ended.err
    assert set(tree(kept)) - set(stored) == {
        f"tiny/zero_shot/machines/{machine_name(record.provenance)}/{name}" for name in ("run.json", PREDICTIONS_NAME)
    }
    ended = vlcl(*line)
    assert (ended.code, ended.json["verdicts"][0]["state"]) == (0, "same"), ended.err
    assert "removed what other machines gave" in vlcl(*line[:-1], "--update").out
    assert set(tree(kept)) == set(stored)
    folder = kept / "tiny/zero_shot"
    frame = read_predictions(folder / PREDICTIONS_NAME)
    frame.loc[0, ["top1", "top2"]] = frame.loc[0, ["top2", "top1"]].to_numpy()
    write_predictions(folder / PREDICTIONS_NAME, frame)
    ended = vlcl(*line[:-1])
    assert ended.code == 3
    assert "tiny/zero_shot: moved: 1 of " in ended.out
    assert "vlcl regress --update" in ended.out
    assert json.loads((kept / "expectations.json").read_text())["calibration_seconds"] == 0.5
