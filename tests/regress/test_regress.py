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
from vlcl_bench.regress.expectations import Expectation, fast, read_index, spread_of, write
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


def verdict(expected, found, tmp_path, spread=None, then=1.0, now=1.0):
    compact_record(expected, tmp_path / "stored")
    one = Expectation(
        "tiny/finetune", Request("tiny", "finetune"), tmp_path / "stored", read_record(expected), spread, then
    )
    job = SimpleNamespace(record=read_record(found), folder=found, error="")
    return judge(one, job, now)


# Verdicts


def test_equal_answers_are_the_same_even_if_stored_compact(finished, tmp_path):
    found = verdict(finished, finished, tmp_path)
    assert (found.state, found.agreement, found.moved, found.holds) == ("same", 100.0, {}, True)
    assert found.time_ratio == pytest.approx(1)
    assert found.memory_ratio == pytest.approx(1)


def test_one_other_answer_on_the_same_machine_has_moved(finished, tmp_path):
    found = verdict(finished, changed(finished, tmp_path / "new", answers=1), tmp_path)
    assert (found.state, found.holds) == ("moved", False)
    assert "equal ones were expected" in found.words
    assert "stage 2, dev-activities: 1 of 200 answers differ" in found.words
    assert "stage 2, dev-activities" in found.where


def test_few_other_answers_on_another_machine_are_tolerated_and_many_are_not(finished, tmp_path):
    few = changed(finished, tmp_path / "few", answers=2, threads=64)
    found = verdict(finished, few, tmp_path)
    assert (found.state, found.holds) == ("within tolerance", True)
    assert "threads" in found.words
    many = changed(finished, tmp_path / "many", answers=150, threads=64)
    found = verdict(finished, many, tmp_path)
    assert (found.state, found.holds) == ("moved", False)
    assert "at least 98 %" in found.words


def test_elsewhere_r_may_move_as_far_as_seeds_lie_apart(finished, tmp_path):
    other = changed(finished, tmp_path / "new", answers=10, cpu_capability="OTHER")  # 5 points of one entry of R
    assert verdict(finished, other, tmp_path / "a").state == "moved"
    wide = np.full((2, 2), 6.0)
    assert verdict(finished, other, tmp_path / "b", spread=wide).state == "within tolerance"


def test_a_run_that_failed_or_has_nothing_stored_does_not_hold(finished):
    one = Expectation("tiny/x", Request("tiny", "x"), finished, None)
    assert judge(one, SimpleNamespace(record=None, error="boom"), None).words == "boom"
    found = judge(one, SimpleNamespace(record=read_record(finished), folder=finished), None)
    assert (found.state, found.holds) == ("not stored", False)


def test_another_protocol_is_not_compared(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "new")
    record = read_record(finished)
    identity = record.identity.model_copy(update={"protocol_fingerprint": "0" * 64})
    new = record.model_copy(update={"identity": identity, "run_hash": identity.run_hash})
    write_record(tmp_path / "new", new)
    assert "fingerprint changed" in verdict(finished, tmp_path / "new", tmp_path).words


def test_time_counts_against_the_calibration_of_its_own_day(finished, tmp_path):
    slow = changed(finished, tmp_path / "slow", seconds=3.0)
    found = verdict(finished, slow, tmp_path / "a", then=1.0, now=3.0)
    assert found.time_ratio == pytest.approx(1)
    assert not found.costly
    found = verdict(finished, slow, tmp_path / "b", then=1.0, now=1.0)
    assert found.time_ratio == pytest.approx(3)
    assert found.costly
    assert found.holds


def test_more_memory_is_costly_from_a_share_on(finished, tmp_path):
    for share, costly in ((COSTLY * 0.99, False), (COSTLY * 1.01, True)):
        big = changed(finished, tmp_path / f"big{share}", memory=share)
        assert verdict(finished, big, tmp_path / f"out{share}").costly is costly


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
    found = fast(Request("", ""), REPOSITORY / "tests/expectations")
    assert {one.request.seed for one in found} == {0}
    assert len({one.name for one in found}) == len(found)


def test_outside_a_checkout_it_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = vlcl("regress")
    assert (ended.code, "in a checkout" in ended.err) == (2, True)


def test_a_reference_method_without_a_run_is_named(tmp_path):
    (tmp_path / "runs.toml").write_text(RUNS.format(protocol="mini-dev"))
    with pytest.raises(UsageError, match=r"no run of .*finetune"):
        fast(Request("", ""), tmp_path)


def test_update_takes_no_part(tmp_path):
    ended = vlcl("regress", "--update", "--method", "finetune")
    assert (ended.code, "--update renews all" in ended.err) == (2, True)


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
    line = ("regress", "--expectations", kept, "--runs", tmp_path / "runs", "--jobs", 2, "--json")
    ended = vlcl(*line)
    assert (ended.code, [one["state"] for one in ended.json["verdicts"]]) == (3, ["not stored"])
    assert set(tree(kept)) == {"runs.toml"}
    ended = vlcl(*line, "--update")
    assert (ended.code, ended.json["updated"]) == (0, True), ended.err
    stored = tree(kept)
    assert set(stored) == {
        "runs.toml", "expectations.json", "tiny/zero_shot/run.json", "tiny/zero_shot/predictions.parquet",
    }  # fmt: skip
    ended = vlcl(*line)
    assert (ended.code, ended.json["verdicts"][0]["state"]) == (0, "same"), ended.err
    folder = kept / "tiny/zero_shot"
    frame = read_predictions(folder / PREDICTIONS_NAME)
    frame.loc[0, ["top1", "top2"]] = frame.loc[0, ["top2", "top1"]].to_numpy()
    write_predictions(folder / PREDICTIONS_NAME, frame)
    ended = vlcl(*line[:-1])
    assert ended.code == 3
    assert "tiny/zero_shot: moved: 1 of " in ended.out
    assert "vlcl regress --update" in ended.out
    assert json.loads((kept / "expectations.json").read_text())["calibration_seconds"] == 0.5
