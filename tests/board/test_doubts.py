"""Rows whose answers cannot be believed without a rerun are not ranked, and say why."""

import zlib
from dataclasses import replace

import numpy as np
import pytest
from support.boards import board, items, run

from vlcl_bench.board.doubts import COPIED, UNTIL, doubted, judged_rows
from vlcl_bench.board.rows import board_rows
from vlcl_bench.scoring.first_answers import agreement, first_answers

STAGES, QUESTIONS = 5, 1000


def answers(key, changed=0):
    """(5, 1000) answers that are those of ``key``, but for so many after stage 0 that differ from it."""
    found = np.random.default_rng(key).integers(0, 50, (STAGES, QUESTIONS)).astype(np.int32)
    found[1:].flat[:changed] += 1
    return found


def entry(method, level, key, home="other", seeds=(0, 1, 2), **changes):
    """Runs of a method with answers of their own, or with those given as ``key`` of seed 0."""
    runs = []
    for place, seed in enumerate(seeds):
        one = run(method, seed, level, home=home, **changes)
        given = key if isinstance(key, np.ndarray) and place == 0 else answers([zlib.crc32(method.encode()), seed])
        runs.append(replace(one, detail=replace(one.detail, answers=given)))
    return runs


def rows_of(*entries):
    return {row.method: row for row in judged_rows([run for runs in entries for run in runs])}


KNOWN = entry("known", 90, None, home="reference")


@pytest.mark.parametrize(
    ("changed", "doubt"), [(0, "100.0 %"), (1, "99.9 %"), (40, "99.0 %"), (41, ""), (2000, "")]
)  # of the 4,000 after stage 0, 41 are more than one in a hundred
def test_the_answers_of_another_method_are_not_ranked(changed, doubt):
    own = KNOWN[0].detail.answers
    copied = own.copy()
    copied[1:].flat[:changed] += 1
    found = rows_of(KNOWN, entry("copied", 60, copied))
    wanted = f"{doubt} of the answers are those of Known, {UNTIL}" if doubt else ""
    assert found["copied"].why_unranked == wanted
    assert (found["copied"].rank, found["known"].rank) == (None if doubt else 2, 1)


def test_row_0_is_the_same_for_all_and_raises_no_doubt():
    same_start = answers(5)
    same_start[0] = KNOWN[0].detail.answers[0]
    assert rows_of(KNOWN, entry("honest", 60, same_start))["honest"].rank == 2


@pytest.mark.parametrize(
    ("one", "other", "doubted_rows"),
    [
        ({"home": "reference"}, {"home": "other"}, {"other"}),
        ({"home": "other"}, {"home": "other"}, {"one", "other"}),
        ({"home": "reference"}, {"home": "reference"}, {"one", "other"}),
        ({"home": "other", "status": "rerun"}, {"home": "reference"}, {"other"}),
        ({"home": "other", "status": "rerun"}, {"home": "other", "status": "rerun"}, set()),
        ({"home": ""}, {"home": ""}, set()),
        ({"home": ""}, {"home": "other"}, set()),
    ],
)
def test_of_two_methods_with_the_same_answers_the_less_trusted_is_doubted(one, other, doubted_rows):
    shared = answers(7)
    found = rows_of(KNOWN, entry("one", 50, shared, **one), entry("other", 40, shared, **other))
    assert {name for name, row in found.items() if row.why_unranked} == doubted_rows


def test_settings_of_one_method_may_agree():
    shared = answers(7)
    found = judged_rows([*KNOWN, *entry("one", 50, shared), *entry("one", 50, shared, entry_id="b", label="x=1")])
    assert [row.why_unranked for row in found] == ["", "", ""]


def test_two_seeds_with_the_same_answers_are_one():
    runs = entry("twin", 50, None)
    runs[2] = replace(runs[2], detail=replace(runs[2].detail, answers=runs[0].detail.answers))
    assert rows_of(KNOWN, runs)["twin"].why_unranked == f"seeds 0 and 2 give the same first answers, {UNTIL}"
    still = [replace(one, deterministic=True) for one in runs]
    assert rows_of(KNOWN, still)["twin"].rank == 2


@pytest.mark.parametrize(("right", "doubt"), [(100.0, "100.0 %"), (99.5, "99.5 %"), (97.0, "")])
def test_labels_for_answers_are_not_ranked(right, doubt):
    scores = items(50, 1, samples=200)
    for part in scores.values():
        part[1:] = 100.0
        part[1:, : round(2 * (100 - right))] = 0.0
    labels = [replace(one, detail=replace(one.detail, items=scores)) for one in entry("labels", 50, None)]
    why = rows_of(KNOWN, labels)["labels"].why_unranked
    assert why == (f"{doubt} of the answers after stage 0 are right, {UNTIL}" if doubt else "")


def test_whoever_leads_is_looked_at_first():
    found = rows_of(KNOWN, entry("first", 95, None), entry("second", 94, None), entry("third", 60, None))
    assert found["first"].why_unranked == found["second"].why_unranked == f"it would lead, {UNTIL}"
    assert {name: row.rank for name, row in found.items()} == {"first": None, "second": None, "known": 1, "third": 2}
    rerun = rows_of(KNOWN, entry("first", 95, None, status="rerun"), entry("second", 94, None))
    assert {name: row.rank for name, row in rerun.items()} == {"first": 1, "second": 2, "known": 3}


def test_a_lead_counts_within_protocol_and_track():
    elsewhere = entry("elsewhere", 40, None, protocol="mini-mtil-2")
    lavish = entry("lavish", 40, None, track="open-budget")
    found = rows_of(KNOWN, elsewhere, lavish)
    assert found["elsewhere"].why_unranked == found["lavish"].why_unranked == f"it would lead, {UNTIL}"


def test_rows_outside_of_submissions_and_those_unranked_anyway_stay_as_they_are():
    rows = board_rows(board())
    assert doubted(rows) == rows
    few = entry("few", 99, None, seeds=(0,))
    assert rows_of(KNOWN, few)["few"].why_unranked == "n = 1 of 3 seeds"


def test_the_order_of_the_runs_changes_nothing():
    runs = [*KNOWN, *entry("one", 50, answers(3)), *entry("other", 40, answers(3, changed=7))]
    assert judged_rows(runs) == judged_rows(runs[::-1])


def test_agreement_is_counted_without_stage_0_and_only_of_equal_questions():
    assert agreement(answers(1), answers(1, changed=40)) == COPIED
    assert agreement(answers(1), answers(1)[:, :10]) == 0.0
    assert agreement(answers(1)[:1], answers(1)[:1]) == 0.0


@pytest.mark.parametrize("name", ["finetune", "zero_shot"])
@pytest.mark.parametrize("protocol", ["mini-mtil-1", "mini-c2f"])
def test_first_answers_do_not_depend_on_the_order_of_rows(name, protocol):
    from support.submission_fixture import committed

    from vlcl_bench.records.files import read_predictions, read_record

    folder = committed(protocol, 0, name)
    frame, tasks = read_predictions(folder / "predictions.parquet"), read_record(folder).scores["tasks"]
    found = first_answers(frame, tasks)
    assert found.size == len(frame)
    assert (first_answers(frame.sample(frac=1, random_state=0), tasks) == found).all()
    last = frame[frame["stage"] == len(tasks)]
    assert sorted(found[-1]) == sorted(last["top1" if "top1" in last else "id1"])
