"""Predictions and labels: joined once, exactly, and refused when they do not belong together."""

import json

import numpy as np
import pandas as pd
import pytest

from vlcl_bench.errors import IntegrityError
from vlcl_bench.scoring.classes import (
    AGNOSTIC_COLUMNS,
    LOGIT_COLUMNS,
    PREDICTION_COLUMNS,
    TOP_COLUMNS,
    ClassTruth,
    check_predictions,
    rescore,
)
from vlcl_bench.scoring.metrics import continual_metrics

TASKS = ("birds", "cups", "hats")
CLASSES = {"birds": 7, "cups": 3, "hats": 12}
SIZES = {"birds": 5, "cups": 4, "hats": 11}
MERGED = 20


def make_table(seed=0):
    rng = np.random.default_rng(seed)
    labels = {task: rng.integers(0, CLASSES[task], SIZES[task]) for task in TASKS}
    agnostic = {task: rng.integers(0, MERGED, SIZES[task]) for task in TASKS}
    return ClassTruth(TASKS, labels, CLASSES, agnostic, MERGED)


def make_frame(seed=0, stages=range(4), recorded=True):
    rng = np.random.default_rng(seed)
    rows = []
    for stage in stages:
        for task in TASKS:
            for sample in range(SIZES[task]):
                k = min(5, CLASSES[task])
                ids = [*rng.permutation(CLASSES[task])[:k], *[-1] * (5 - k)]
                logits = [*sorted(rng.normal(20, 3, k), reverse=True), *[np.nan] * (5 - k)]
                agnostic = rng.integers(0, MERGED) if recorded else -1
                rows.append([stage, task, sample, *ids, *logits, agnostic, agnostic])
    frame = pd.DataFrame(rows, columns=list(PREDICTION_COLUMNS))
    frame[list(LOGIT_COLUMNS)] = frame[list(LOGIT_COLUMNS)].astype("float32")
    integers = ["stage", "sample", *TOP_COLUMNS, *AGNOSTIC_COLUMNS.values()]
    frame[integers] = frame[integers].astype("int64")
    return frame


def matrices(scores):
    """``(R, row 0)`` of a part of what :func:`rescore` returns; ``None`` of nothing."""
    return scores and (np.array(scores["matrix"]), np.array(scores["zero_shot"]))


def accuracy_matrix(frame, table):
    return matrices(rescore(frame, table))


def top5_matrix(frame, table):
    return matrices(rescore(frame, table)["top5"])


def agnostic_matrix(frame, table):
    return matrices(rescore(frame, table)["agnostic"])


def brute_force(frame, answers, columns):
    """Percent right per stage and task, by a loop over rows."""
    right, seen = {}, {}
    for row in frame.to_dict("records"):
        key = row["stage"], row["task"]
        seen[key] = seen.get(key, 0) + 1
        if answers[row["task"]][row["sample"]] in [row[name] for name in columns]:
            right[key] = right.get(key, 0) + 1
    return np.array([[100.0 * right.get((s, t), 0) / seen[s, t] for t in TASKS] for s in range(4)])


@pytest.mark.parametrize("seed", range(4))
def test_matrices_agree_with_a_loop_over_rows(seed):
    table, frame = make_table(seed), make_frame(seed)
    cases = [
        (accuracy_matrix(frame, table), table.labels, TOP_COLUMNS[:1]),
        (top5_matrix(frame, table), table.labels, TOP_COLUMNS),
        (agnostic_matrix(frame, table), table.agnostic_labels, ("agnostic_top1",)),
    ]
    for found, answers, columns in cases:
        expected = brute_force(frame, answers, columns)
        np.testing.assert_allclose(found[0], expected[1:], rtol=1e-14)
        np.testing.assert_allclose(found[1], expected[0], rtol=1e-14)


def test_perfect_answers_score_100_and_one_wrong_answer_costs_one_sample():
    table, frame = make_table(), make_frame()
    for index, row in frame.iterrows():
        right = table.labels[row["task"]][row["sample"]]
        others = [c for c in range(CLASSES[row["task"]]) if c != right]
        ids = [right, *others][:5]
        frame.loc[index, list(TOP_COLUMNS)] = [*ids, *[-1] * (5 - len(ids))]
        frame.loc[index, "agnostic_top1"] = table.agnostic_labels[row["task"]][row["sample"]]
    R, zero_shot = accuracy_matrix(frame, table)
    assert (R == 100).all()
    assert (zero_shot == 100).all()
    assert (agnostic_matrix(frame, table)[0] == 100).all()
    at = frame.index[(frame["stage"] == 2) & (frame["task"] == "cups") & (frame["sample"] == 3)][0]
    frame.loc[at, ["top1", "top2"]] = frame.loc[at, ["top2", "top1"]].to_numpy()
    R, _ = accuracy_matrix(frame, table)
    assert R[1, 1] == 75
    assert (R == 100).sum() == 8
    assert (top5_matrix(frame, table)[0] == 100).all()


def test_names_shared_by_two_tasks_are_right_under_either_label():
    # "mug" is merged to id 1 in both tasks; an answer 1 is right wherever the picture came from.
    labels = {"a": np.array([0, 1]), "b": np.array([0, 1])}
    merged = {"a": np.array([0, 1]), "b": np.array([1, 2])}
    table = ClassTruth(("a", "b"), labels, {"a": 2, "b": 2}, merged, 3)
    rows = [[s, t, i, 0, 1, -1, -1, -1, 2.0, 1.0, *[np.nan] * 3, 1, 1] for s in range(3) for t in "ab" for i in (0, 1)]
    R, zero_shot = agnostic_matrix(pd.DataFrame(rows, columns=list(PREDICTION_COLUMNS)), table)
    assert (R == 50).all()
    assert (zero_shot == 50).all()


@pytest.mark.parametrize("seed", range(3))
def test_the_order_and_index_of_rows_and_the_kind_of_column_do_not_matter(seed):
    table, frame = make_table(seed), make_frame(seed)
    expected = rescore(frame, table)
    shuffled = frame.sample(frac=1, random_state=seed)
    assert rescore(shuffled, table) == expected
    shuffled.index = [0] * len(shuffled)
    shuffled["task"] = shuffled["task"].astype("category")
    shuffled = shuffled.astype({"stage": "int8", "sample": "int32", "top1": "int16"})
    assert rescore(shuffled[list(reversed(PREDICTION_COLUMNS))], table) == expected


def test_predictions_survive_a_parquet_file(tmp_path):
    table, frame = make_table(), make_frame()
    frame.astype({"task": "category"}).to_parquet(tmp_path / "predictions.parquet")
    assert rescore(pd.read_parquet(tmp_path / "predictions.parquet"), table) == rescore(frame, table)


def test_rescore_is_json_and_its_parts_agree():
    table, frame = make_table(), make_frame()
    found = json.loads(json.dumps(rescore(frame, table), allow_nan=False))
    R, zero_shot = accuracy_matrix(frame, table)
    assert found["matrix"] == R.tolist()
    assert found["metrics"] == continual_metrics(R, zero_shot).to_dict()
    assert found["agnostic"]["metrics"]["last"] == pytest.approx(agnostic_matrix(frame, table)[0][-1].mean())
    assert found["tasks"] == list(TASKS)
    assert found["samples"] == [5, 4, 11]
    assert np.all(np.array(found["top5"]["matrix"]) >= R)


def test_agnostic_scores_are_none_when_not_recorded():
    table, frame = make_table(), make_frame(recorded=False)
    assert agnostic_matrix(frame, table) is None
    assert rescore(frame, table)["agnostic"] is None


def test_a_very_poor_method_is_still_scored():
    n = 400
    table = ClassTruth(("a",), {"a": np.arange(n)}, {"a": n})
    rows = [[s, "a", i, 0, 1, 2, 3, 4, 5.0, 4.0, 3.0, 2.0, 1.0, -1, -1] for s in (0, 1) for i in range(n)]
    assert rescore(pd.DataFrame(rows, columns=list(PREDICTION_COLUMNS)), table)["metrics"]["last"] == 0.25


def test_a_single_stage_can_be_checked_while_a_run_goes():
    check_predictions(make_frame(stages=[2]), make_table(), [2])
    with pytest.raises(IntegrityError, match="stage 1, task 'birds', sample 0 is missing"):
        check_predictions(make_frame(stages=[2]), make_table(), [1, 2])
    with pytest.raises(IntegrityError, match="20 unknown"):
        check_predictions(make_frame(stages=[1, 2]), make_table(), [2])


def spoiled(change):
    frame = make_frame().sample(frac=1, random_state=1).reset_index(drop=True)
    at = frame.index[(frame["stage"] == 1) & (frame["task"] == "hats") & (frame["sample"] == 4)]
    small = frame.index[(frame["stage"] == 1) & (frame["task"] == "cups") & (frame["sample"] == 2)]
    return change(frame, at, small)


def put(frame, at, **values):
    for name, value in values.items():
        frame.loc[at, name] = value
    return frame


KEY, SMALL = "stage 1, task 'hats', sample 4", "stage 1, task 'cups', sample 2"
SPOILERS = {
    "missing": (
        lambda f, at, s: f.drop(index=[*at, *s]),
        ["2 missing, 0 duplicate, 0 unknown", SMALL + " is missing"],
    ),
    "duplicate": (
        lambda f, at, s: pd.concat([f, f.loc[at], f.loc[at]]),
        ["0 missing, 2 duplicate", KEY + " is there 3"],
    ),
    "unknown task": (
        lambda f, at, s: put(f, at, task="shoes"),
        ["1 missing, 0 duplicate, 1 unknown", "'shoes'"],
    ),
    "unknown sample": (lambda f, at, s: put(f, at, sample=11), ["1 unknown", "sample 11 is unknown"]),
    "negative sample": (lambda f, at, s: put(f, at, sample=-1), ["1 unknown", "sample -1 is unknown"]),
    "unknown stage": (lambda f, at, s: put(f, at, stage=4), ["1 unknown", "stage 4", KEY + " is missing"]),
    "empty": (lambda f, at, s: f.iloc[:0], ["80 missing", "stage 0, task 'birds', sample 0 is missing"]),
    "id too large": (lambda f, at, s: put(f, at, top1=12), [KEY, "out of range", "top1=12"]),
    "id negative": (lambda f, at, s: put(f, at, top5=-1), [KEY, "out of range"]),
    "id not padded": (lambda f, at, s: put(f, s, top4=0), [SMALL, "padded"]),
    "id of another task": (lambda f, at, s: put(f, s, top1=5), [SMALL, "out of range"]),
    "id twice": (lambda f, at, s: put(f, at, top2=f.loc[at, "top1"]), [KEY, "the same class id twice"]),
    "logit nan": (lambda f, at, s: put(f, at, logit2=np.nan), [KEY, "not finite"]),
    "logit inf": (lambda f, at, s: put(f, at, logit1=np.inf), [KEY, "not finite"]),
    "logit not padded": (lambda f, at, s: put(f, s, logit5=0.0), [SMALL, "padded"]),
    "logits rising": (lambda f, at, s: put(f, at, logit5=99.0), [KEY, "increase"]),
    "first logit too small": (lambda f, at, s: put(f, at, logit1=-99.0), [KEY, "increase"]),
    "agnostic too large": (lambda f, at, s: put(f, at, agnostic_top1=MERGED), [KEY, "20 names"]),
    "agnostic in part": (lambda f, at, s: put(f, at, agnostic_top1=-1), [KEY, "20 names"]),
    "correctness flag": (lambda f, at, s: f.assign(correct=True), ["unknown ['correct']", "answers only"]),
    "column missing": (lambda f, at, s: f.drop(columns="top3"), ["missing ['top3']"]),
    "float ids": (lambda f, at, s: f.astype({"top1": float}), ["'top1'", "whole numbers"]),
    "text logits": (lambda f, at, s: f.astype({"logit1": str}), ["'logit1'", "floats"]),
}


@pytest.mark.parametrize("kind", SPOILERS)
def test_predictions_that_do_not_belong_are_refused_by_their_first_key(kind):
    change, parts = SPOILERS[kind]
    frame = spoiled(change)
    for use in (
        lambda: check_predictions(frame, make_table(), range(4)),
        lambda: rescore(frame, make_table()),
    ):
        with pytest.raises(IntegrityError) as error:
            use()
        for part in parts:
            assert part in str(error.value)


def test_equal_logits_are_allowed():
    check_predictions(spoiled(lambda f, at, s: put(f, at, logit2=f.loc[at, "logit1"])), make_table(), range(4))


@pytest.mark.parametrize(
    "change",
    [
        {"tasks": ()},
        {"tasks": ("birds", "birds", "hats")},
        {"labels": {"birds": np.array([0]), "cups": np.array([0])}},
        {"classes": {**CLASSES, "birds": 1}},
        {"labels": {**{t: np.array([0]) for t in TASKS}, "cups": np.array([], dtype=int)}},
        {"labels": {**{t: np.array([0]) for t in TASKS}, "cups": np.array([0.0])}},
        {"labels": {t: np.array([0]) for t in TASKS}},  # as many labels as task-agnostic labels
        {"merged": 2},
        {"agnostic_labels": {"birds": np.zeros(5, dtype=int)}},
    ],
)
def test_a_label_table_whose_parts_do_not_fit_is_refused(change):
    good = make_table()
    parts = {name: getattr(good, name) for name in ("tasks", "labels", "classes", "agnostic_labels", "merged")}
    ClassTruth(**parts)
    with pytest.raises(IntegrityError):
        ClassTruth(**{**parts, **change})


def test_the_means_of_item_scores_are_the_matrix_and_each_says_whether_one_answer_is_right():
    table, frame = make_table(), make_frame()
    R, zero_shot = accuracy_matrix(frame, table)
    found = table.item_scores(frame.sample(frac=1, random_state=0))
    assert list(found) == list(TASKS)
    means = np.stack([found[task].mean(axis=1) for task in TASKS], axis=1)
    np.testing.assert_allclose(means, np.vstack([zero_shot, R]))
    for row in frame.sample(30, random_state=1).to_dict("records"):
        right = row["top1"] == table.labels[row["task"]][row["sample"]]
        assert found[row["task"]][row["stage"], row["sample"]] == 100.0 * right
