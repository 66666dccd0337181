"""How far answers moved between stages, on predictions written by hand."""

import numpy as np
import pandas as pd
import pytest

from vlcl_bench.errors import UsageError
from vlcl_bench.records.files import compact_predictions
from vlcl_bench.scoring.drift import drifts

TASKS = ("first", "second")


def row(stage, task, sample, best, logit):
    tops = {f"top{k}": (best + k - 1) % 10 for k in range(1, 6)}
    logits = {f"logit{k}": logit - k for k in range(1, 6)}
    return {"stage": stage, "task": task, "sample": sample, **tops, **logits}


def frame():
    rows = []
    for stage in range(3):
        for sample in range(4):
            moved = {1: 0.5, 2: 2.0}.get(sample, 0.0) if stage == 2 else 0.0
            best = 7 if sample == 3 and stage == 2 else sample
            learned = 100.0 if stage >= 1 and sample != 0 else 50.0  # picture 0 is never touched
            rows.append(row(stage, "first", sample, best, learned + moved))
            rows.append(row(stage, "second", sample, sample, 10.0 * (stage == 2)))
    return pd.DataFrame(rows)


def test_shares_and_changes_are_counted_against_the_stage_after_learning_and_stage_0():
    first, second = drifts(frame(), TASKS)
    assert first.pictures == 4
    assert first.same == 25.0  # picture 0
    assert first.answer_changed == 25.0  # picture 3
    assert first.moved == pytest.approx((0.5 + 2.0) / 2)
    assert first.same_as_untouched == 25.0
    assert second.same is None
    assert second.moved is None
    assert second.same_as_untouched == 0.0


def test_the_order_of_rows_does_not_matter():
    assert drifts(frame().sample(frac=1, random_state=3), TASKS) == drifts(frame(), TASKS)


def test_nothing_moved_is_all_the_same():
    still = frame().assign(**{f"logit{k}": 1.0 for k in range(1, 6)}, **{f"top{k}": k for k in range(1, 6)})
    first, _ = drifts(still, TASKS)
    assert (first.same, first.moved, first.answer_changed, first.same_as_untouched) == (100.0, None, 0.0, 100.0)


def test_missing_answers_of_small_label_spaces_are_equal():
    few = frame().assign(top5=-1, logit5=np.nan)
    assert drifts(few, TASKS)[0].same == 25.0


def test_incomplete_predictions_are_refused():
    with pytest.raises(UsageError, match="not complete"):
        drifts(frame()[lambda rows: ~((rows["stage"] == 2) & (rows["sample"] == 1))], TASKS)


def test_of_compact_predictions_the_answers_alone_are_compared():
    first, second = drifts(compact_predictions(frame()), TASKS)
    assert (first.same, first.answer_changed, first.moved) == (75.0, 25.0, None)
    assert (first.same_as_untouched, second.same_as_untouched) == (75.0, 100.0)


def test_caption_streams_are_refused():
    with pytest.raises(UsageError, match="no columns"):
        drifts(frame().drop(columns="top1"), TASKS)
