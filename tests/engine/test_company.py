"""Batches of test pictures: whom a picture is asked with is drawn anew, and some are asked again."""

import numpy as np
import pytest

from vlcl_bench.engine.company import ALONE, Answered, Batch, altered_pictures, batches
from vlcl_bench.records.schema import Rechecks

COUNTS = [
    (1, 7),
    (2, 7),
    (3, 1),
    (7, 7),
    (13, 7),
    (100, 7),
    (250, 125),
    (251, 125),
    (300, 125),
    (1000, 64),
    (6000, 125),
]


@pytest.mark.parametrize(("count", "size"), COUNTS)
def test_every_picture_is_asked_for_the_first_time_once_and_no_batch_is_too_large(count, size):
    drawn = batches(count, size, np.random.default_rng())
    first = np.concatenate([batch.rows[~batch.again] for batch in drawn])
    assert sorted(first) == list(range(count))
    assert max(len(batch.rows) for batch in drawn) <= max(size, 2)
    assert not any((batch.altered & ~batch.again).any() for batch in drawn)


@pytest.mark.parametrize(("count", "size"), [case for case in COUNTS if case[0] > 1])
def test_second_questions_come_in_other_company_in_other_sizes_and_alone(count, size):
    drawn = batches(count, size, np.random.default_rng())
    home = {int(row): place for place, batch in enumerate(drawn) for row in batch.rows[~batch.again]}
    again = [(place, int(row)) for place, batch in enumerate(drawn) for row in batch.rows[batch.again]]
    assert again
    assert all(home[row] != place for place, row in again)
    alone = [batch for batch in drawn if len(batch.rows) == 1 and batch.again.all()]
    assert len(alone) >= min(ALONE, count)
    within = [batch for batch in drawn if batch.again.any() and not batch.again.all()]
    assert within  # some cannot be told from first questions


def test_company_and_order_are_others_every_time():
    def company():
        return [batch.rows.tolist() for batch in batches(300, 125, np.random.default_rng())]

    drawn = [company() for _ in range(5)]
    assert len({str(rows) for rows in drawn}) == 5


def test_how_many_of_a_class_are_in_a_batch_is_a_matter_of_chance():
    # Class by class in the manifest, as in the mini world's: no batch may hold a number that is known beforehand.
    labels, deviations = np.repeat(np.arange(10), 25), []
    for _ in range(300):
        drawn = next(batch for batch in batches(250, 125, np.random.default_rng()) if len(batch.rows) > 50)
        first = drawn.rows[~drawn.again]
        share = len(first) / 250
        variance = 25 * share * (1 - share) * (250 - 25) / (250 - 1)  # hypergeometric
        deviations.append(((labels[first] == 3).sum() - 25 * share) / variance**0.5)
    assert np.mean(deviations) == pytest.approx(0, abs=0.3)
    assert np.var(deviations) == pytest.approx(1, rel=0.4)


def test_altered_pictures_differ_in_one_value_of_a_hundred_by_one():
    pictures = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    changed = altered_pictures(pictures)
    distance = np.abs(pictures.astype(int) - changed)
    assert distance.max() == 1
    assert 0.005 < distance.mean() < 0.015
    assert (altered_pictures(pictures[2:3])[0] == changed[2]).all()  # not a matter of the batch


def batch(rows, again=(), altered=()):
    rows = np.array(rows)
    return Batch(rows, np.isin(np.arange(len(rows)), again), np.isin(np.arange(len(rows)), altered))


def test_answers_that_changed_are_counted_unless_the_best_scores_were_near():
    answered = Answered(3, 1)
    answered.add(batch([0, 1]), [np.array([[5, 1, 0], [2.0, 1.999, 0]], np.float32)])
    answered.add(batch([2, 0, 1], again=[1, 2]), [np.array([[0, 0, 9], [1, 5, 0], [1.999, 2.0, 0]], np.float32)])
    answered.add(batch([0], again=[0]), [np.array([[5, 1, 0]], np.float32)])
    assert answered.rechecks(100.0) == Rechecks(asked=3, changed=1)  # 0 changed once; 1 was a near tie
    assert answered.rechecks(1.0) == Rechecks(asked=3, changed=2)


def test_the_second_question_may_come_first():
    answered = Answered(2, 1)
    answered.add(batch([1], again=[0]), [np.array([[0, 3]], np.float32)])
    answered.add(batch([0, 1]), [np.array([[3, 0], [3, 0]], np.float32)])
    assert answered.rechecks(100.0) == Rechecks(asked=1, changed=1)


def test_altered_pictures_are_counted_apart_and_may_change_a_little_sooner():
    answered = Answered(2, 1)
    answered.add(batch([0, 1]), [np.array([[3, 0], [0.4, 0]], np.float32)])
    answered.add(batch([0, 1], again=[0, 1], altered=[0, 1]), [np.array([[0, 3], [0, 0.4]], np.float32)])
    assert answered.rechecks(100.0) == Rechecks(altered=2, altered_changed=1)


@pytest.mark.parametrize(
    ("rechecks", "said"),
    [
        (Rechecks(), ""),
        (Rechecks(asked=3000), ""),
        (Rechecks(asked=3000, changed=15), ""),  # half a percent
        (Rechecks(asked=3000, changed=60), "batch-dependent: 60 of 3000 answers (2.0 %) are others in other company"),
        (Rechecks(asked=40, changed=1), ""),  # 2.5 %, but one answer says nothing
        (Rechecks(asked=40, changed=40), "batch-dependent: 40 of 40"),
        (Rechecks(altered=400, altered_changed=20), ""),
        (Rechecks(altered=400, altered_changed=60), "batch-dependent: 60 of 400 answers (15.0 %) are others in other "),
        (Rechecks(asked=2**60, changed=2**59), "batch-dependent"),  # a made-up record costs no time
    ],
)  # fmt: skip
def test_a_run_is_batch_dependent_where_more_answers_changed_than_chance_explains(rechecks, said):
    assert rechecks.batch_dependent.startswith(said)
    assert bool(rechecks.batch_dependent) == bool(said)


def test_more_changed_answers_than_questions_are_no_record():
    with pytest.raises(ValueError, match="more answers changed"):
        Rechecks(asked=1, changed=2)


def test_rechecks_add_up():
    assert Rechecks(asked=1, changed=1) + Rechecks(altered=3) == Rechecks(asked=1, changed=1, altered=3)
