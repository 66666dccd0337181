"""Answers on captioned pictures and their truth: joined once, exactly, and refused when they do not fit."""

import io
import json
import re
from dataclasses import replace
from math import comb

import numpy as np
import pandas as pd
import pytest

from vlcl_bench.errors import IntegrityError
from vlcl_bench.scoring.bleu import bleu4
from vlcl_bench.scoring.captions import CAPTION_COLUMNS, ID_COLUMNS, CaptionTruth, answers_frame
from vlcl_bench.scoring.consensus import Bank
from vlcl_bench.scoring.metrics import continual_metrics
from vlcl_bench.scoring.retrieval import TopK, best_columns

TASKS = ("parks", "rooms", "boats")
SIZES = {"parks": (12, 30), "rooms": (3, 7), "boats": (9, 20)}
WORDS = [
    "a",
    "the",
    "small",
    "dog",
    "cat",
    "boat",
    "runs",
    "sits",
    "floats",
    "on",
    "under",
    "water",
    "grass",
    "red",
    "table",
]


def sentence(rng):
    return " ".join(rng.choice(WORDS, rng.integers(4, 10)))


def make_table(seed=0):
    rng = np.random.default_rng(seed)
    owners, references = {}, {}
    for task, (n, c) in SIZES.items():
        owners[task] = rng.permutation(np.concatenate([np.arange(n), rng.integers(0, n, c - n)]))
        references[task] = [[sentence(rng) for _ in range(rng.integers(1, 6))] for _ in range(n)]
    # Some bank captions are references, so that four words match.
    bank = [captions[0] for task in TASKS for captions in references[task]] + [sentence(rng) for _ in range(20)]
    return CaptionTruth(TASKS, owners, {task: SIZES[task][0] for task in TASKS}, references, tuple(bank))


def make_frame(table, seed=0, stages=range(4)):
    rng = np.random.default_rng(seed)
    parts = []
    for stage in stages:
        for task, (n, c) in SIZES.items():
            answers = {
                "i2t": np.stack([rng.permutation(c)[:10] for _ in range(n)]),
                "t2i": np.stack([rng.permutation(n)[:10] for _ in range(c)]),
                "caption": rng.integers(0, len(table.bank), n),
                "nearest": rng.integers(0, len(table.bank), n),
            }
            parts.append(answers_frame(stage, task, answers))
    return pd.concat(parts, ignore_index=True)


def cells(frame, table):
    """Everything by a loop over rows: {name: (4, 3)}."""
    found = {}
    for (stage, task), part in frame.groupby(["stage", "task"]):
        at = stage, TASKS.index(task)
        rows = part.to_dict("records")
        owners = table.owners[task].tolist()
        for k in (1, 5, 10):
            right = [
                any(row[name] >= 0 and owners[row[name]] == row["query"] for name in ID_COLUMNS[:k])
                for row in rows
                if row["kind"] == "i2t"
            ]
            found.setdefault(f"i2t@{k}", np.zeros((4, 3)))[at] = 100 * sum(right) / len(right)
            right = [
                owners[row["query"]] in [row[name] for name in ID_COLUMNS[:k]] for row in rows if row["kind"] == "t2i"
            ]
            found.setdefault(f"t2i@{k}", np.zeros((4, 3)))[at] = 100 * sum(right) / len(right)
        for kind in ("caption", "nearest"):
            chosen = {row["query"]: table.bank[row["id1"]] for row in rows if row["kind"] == kind}
            captions = [chosen[i] for i in range(len(chosen))]
            found.setdefault(kind, np.zeros((4, 3)))[at] = bleu4(captions, table.references[task])
    return found


def assert_parted(found, expected):
    np.testing.assert_allclose(found["matrix"], expected[1:], rtol=1e-12)
    np.testing.assert_allclose(found["zero_shot"], expected[0], rtol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_everything_agrees_with_a_loop_over_rows(seed):
    table = make_table(seed)
    frame = make_frame(table, seed)
    expected = cells(frame, table)
    found = table.rescore(frame)
    primary = (expected["i2t@1"] + expected["t2i@1"]) / 2
    assert_parted(found, primary)
    assert found["metrics"] == continual_metrics(found["matrix"], found["zero_shot"], tiny=True).to_dict()
    recalls = [f"{direction}@{k}" for direction in ("i2t", "t2i") for k in (1, 5, 10)]
    assert list(found["retrieval"]) == [*recalls, "rsum"]
    for name in recalls:
        assert_parted(found["retrieval"][name], expected[name])
    assert_parted(found["retrieval"]["rsum"], sum(expected[name] for name in recalls))
    captions = found["bleu4"]
    assert expected["caption"].max() > 0
    assert_parted(captions, expected["caption"])
    assert_parted(captions["nearest"], expected["nearest"])
    assert captions["metric"] == "bleu4@bank-v1"
    assert captions["metrics"] == continual_metrics(captions["matrix"], captions["zero_shot"], tiny=True).to_dict()
    assert (found["tasks"], found["samples"]) == (list(TASKS), [12, 3, 9])
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_the_order_of_rows_and_the_types_of_columns_do_not_matter():
    table = make_table()
    frame = make_frame(table)
    expected = table.rescore(frame)
    shuffled = frame.sample(frac=1, random_state=1).astype({"task": "category", "kind": "category", "id1": "int64"})
    assert table.rescore(shuffled) == expected
    buffer = io.BytesIO()
    shuffled.to_parquet(buffer)
    assert table.rescore(pd.read_parquet(buffer)[list(reversed(CAPTION_COLUMNS))]) == expected


def test_a_row_holds_the_answers_and_nothing_else():
    table = make_table()
    frame = make_frame(table, stages=[2])
    assert tuple(frame.columns) == CAPTION_COLUMNS
    assert frame["stage"].dtype == np.int16
    assert {frame[name].dtype for name in ("query", *ID_COLUMNS)} == {np.dtype(np.int32)}
    rooms = frame[(frame["task"] == "rooms") & (frame["kind"] == "i2t")]
    assert (rooms[list(ID_COLUMNS[7:])] == -1).all(axis=None)
    assert (rooms[list(ID_COLUMNS[:7])] >= 0).all(axis=None)


def test_a_stage_by_itself_scores_as_within_the_whole():
    table = make_table()
    frame = make_frame(table)
    found = table.rescore(frame)
    for stage, row in enumerate([found["zero_shot"], *found["matrix"]]):
        part = frame[frame["stage"] == stage]
        table.check(part, [stage])
        assert table.stage_scores(part) == dict(zip(TASKS, row, strict=True))


def test_stage_scores_want_one_stage():
    table = make_table()
    frame = make_frame(table)
    for part, words in ((frame, r"stages \[0, 1, 2, 3\]"), (frame[:0], r"stages \[\]")):
        with pytest.raises(IntegrityError, match=words):
            table.stage_scores(part)
    with pytest.raises(IntegrityError, match="1 missing"):
        table.stage_scores(make_frame(table, stages=[3])[1:])


def test_relative_forgetting_is_the_share_of_bleu_that_was_lost():
    table = make_table()
    frame = make_frame(table)
    # A caption that is the first reference for "parks" after its own stage, then for every other picture only.
    row = (frame["task"] == "parks") & (frame["kind"] == "caption")
    frame.loc[row & (frame["stage"] == 1), "id1"] = np.arange(12, dtype=np.int32)
    half = np.where(np.arange(12) % 2, 30, np.arange(12)).astype(np.int32)
    frame.loc[row & (frame["stage"] == 3), "id1"] = half
    # "rooms" gets a caption without four matching words at its own stage: nothing that could be lost.
    empty = replace(table, bank=(*table.bank, "zebra"))
    frame.loc[(frame["task"] == "rooms") & (frame["kind"] == "caption") & (frame["stage"] == 2), "id1"] = np.int32(44)
    captions = empty.rescore(frame)["bleu4"]
    assert captions["matrix"][0][0] == pytest.approx(100.0)
    assert captions["matrix"][1][1] == 0.0
    first, second, third = captions["relative_forgetting"]
    assert first == pytest.approx(1 - captions["matrix"][2][0] / 100.0)
    assert 0 < first < 1
    assert second is None
    assert third is None


def whole_path(scores, owners, references, bank, bank_scores, block):
    """One task, two stages with the same answers, as the harness does it."""
    n, c = scores.shape
    top = TopK(n, c)
    for start in range(0, n, block):
        top.add(np.arange(start, min(n, start + block)), scores[start : start + block])
    nearest = best_columns(bank_scores, 25)
    answers = {"i2t": top.i2t(), "t2i": top.t2i(), "caption": Bank(bank).choose(nearest), "nearest": nearest[:, 0]}
    table = CaptionTruth(("only",), {"only": owners}, {"only": n}, {"only": references}, bank)
    return table.rescore(pd.concat([answers_frame(stage, "only", answers) for stage in (0, 1)]))


def test_perfect_embeddings_score_100_and_100():
    rng = np.random.default_rng(0)
    n = 30
    owners = np.repeat(np.arange(n), 5)
    # A picture's 25 bank captions are its own, most of them one sentence; the others are far away.
    said = [" ".join(f"{word}{i}" for word in ("one", "two", "three", "four", "five", "six")) for i in range(n)]
    bank = tuple(said[i // 25] if i % 25 else f"odd{i}" for i in range(25 * n))
    features = np.linalg.qr(rng.normal(size=(n, n)))[0].astype(np.float32)
    bank_scores = features @ features[np.arange(25 * n) // 25].T
    # Its own bank captions first, and among them the odd one nearest.
    bank_scores[np.arange(n), 25 * np.arange(n)] += 1
    found = whole_path(features @ features[owners].T, owners, [[text, "x"] for text in said], bank, bank_scores, 7)
    assert (found["matrix"], found["zero_shot"]) == ([[100.0]], [100.0])
    assert found["retrieval"]["rsum"]["matrix"] == [[600.0]]
    assert found["bleu4"]["matrix"][0][0] == pytest.approx(100.0, abs=1e-9)
    assert found["bleu4"]["nearest"]["matrix"] == [[0.0]]
    assert found["metrics"]["last"] == 100.0


def test_random_embeddings_score_what_chance_gives():
    rng = np.random.default_rng(5)
    n = 1000
    owners = np.repeat(np.arange(n), 5)
    scores = rng.random((n, 5 * n), dtype=np.float32)
    bank = tuple(f"caption {i}" for i in range(30))
    found = whole_path(scores, owners, [["a caption"]] * n, bank, rng.random((n, 30), dtype=np.float32), 128)
    for k in (1, 5, 10):
        for name, expected, queries in [
            (f"i2t@{k}", 1 - comb(5 * n - 5, k) / comb(5 * n, k), n),
            (f"t2i@{k}", k / n, 5 * n),
        ]:
            score = found["retrieval"][name]["matrix"][0][0] / 100
            assert abs(score - expected) < 4 * np.sqrt(expected * (1 - expected) / queries)


def damaged(change):
    table = make_table()
    frame = make_frame(table)
    found = change(frame)
    return table, frame if found is None else found


def at(frame, stage, task, kind, query):
    rows = (frame["stage"] == stage) & (frame["task"] == task) & (frame["kind"] == kind) & (frame["query"] == query)
    return int(np.flatnonzero(rows)[0])


def put(frame, key, **values):
    row = at(frame, *key)
    for name, value in values.items():
        frame.loc[row, name] = value


def drop(frame, *keys):
    return frame.drop(index=[at(frame, *key) for key in keys])


def double(frame, key):
    return pd.concat([frame, frame.loc[[at(frame, *key)]]], ignore_index=True)


REFUSED = {
    "a missing column": (lambda f: f.drop(columns="id7"), "missing ['id7'], unknown []"),
    "a column with scores": (lambda f: f.assign(right=1), "missing [], unknown ['right']"),
    "no rows": (lambda f: f[:0], "stage 0, task 'parks', kind 'i2t', query 0 is missing"),
    "a missing row": (
        lambda f: drop(f, (2, "rooms", "t2i", 6), (3, "parks", "i2t", 0)),
        "2 missing, 0 duplicate, 0 unknown; first: stage 2, task 'rooms', kind 't2i', query 6 is missing",
    ),
    "a row twice": (
        lambda f: double(f, (1, "boats", "caption", 8)),
        "0 missing, 1 duplicate, 0 unknown; first: stage 1, task 'boats', kind 'caption', query 8 is there 2 times",
    ),
    "a row too many": (
        lambda f: put(f, (0, "boats", "nearest", 3), query=9),
        "query 3 is missing; stage 0, task 'boats', kind 'nearest', query 9 is unknown",
    ),
    "a negative query": (
        lambda f: put(f, (0, "parks", "i2t", 3), query=-1),
        "stage 0, task 'parks', kind 'i2t', query -1 is unknown",
    ),
    "another task": (
        lambda f: put(f, (0, "parks", "i2t", 3), task="moons"),
        "1 missing, 0 duplicate, 1 unknown; first: stage 0, task 'parks', kind 'i2t', query 3 is missing; "
        "stage 0, task 'moons', kind 'i2t', query 3 is unknown",
    ),
    "another kind": (lambda f: put(f, (0, "parks", "i2t", 3), kind="t2t"), "kind 't2t', query 3 is unknown"),
    "no kind": (lambda f: put(f, (0, "parks", "i2t", 3), kind=None), "query 3 is unknown"),
    "another stage": (lambda f: f.assign(stage=f["stage"] + 1), "stage 4, task 'boats', kind 'caption'"),
    "an id beyond the gallery of captions": (
        lambda f: put(f, (1, "parks", "i2t", 4), id10=30),
        "1 prediction(s) with ids out of range or badly padded; first: stage 1, task 'parks', kind 'i2t', query 4",
    ),
    "an id beyond the gallery of pictures": (
        lambda f: put(f, (1, "parks", "t2i", 4), id2=12),
        "first: stage 1, task 'parks', kind 't2i', query 4",
    ),
    "an id beyond the bank": (lambda f: put(f, (3, "rooms", "caption", 2), id1=44), "kind 'caption', query 2 (44, -1"),
    "no bank id": (lambda f: put(f, (3, "rooms", "nearest", 2), id1=-1), "kind 'nearest', query 2 (-1, -1"),
    "two captions": (lambda f: put(f, (3, "rooms", "caption", 0), id2=1), "badly padded"),
    "too few answers": (lambda f: put(f, (3, "parks", "i2t", 0), id10=-1), "badly padded"),
    "more answers than the gallery has": (lambda f: put(f, (3, "rooms", "t2i", 0), id4=0), "badly padded"),
    "an id twice": (
        lambda f: put(f, (2, "boats", "t2i", 19), id9=f.loc[at(f, 2, "boats", "t2i", 19), "id1"]),
        "1 prediction(s) with the same id twice; first: stage 2, task 'boats', kind 't2i', query 19",
    ),
    "ids that are not whole": (lambda f: f.astype({"id3": "float32"}), "column 'id3' of the predictions must hold"),
    "queries that are text": (lambda f: f.astype({"query": str}), "column 'query' of the predictions must hold"),
    "a stage that is missing": (lambda f: f.astype({"stage": "Int16"}).replace({"stage": {0: pd.NA}}), "'stage'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_answers_that_are_not_whole_are_refused(case):
    change, words = REFUSED[case]
    table, frame = damaged(change)
    for use in (lambda: table.check(frame, range(4)), lambda: table.rescore(frame)):
        with pytest.raises(IntegrityError, match=re.escape(words)):
            use()


def test_check_wants_exactly_the_stages_it_is_told():
    table = make_table()
    frame = make_frame(table, stages=[1, 3])
    table.check(frame, [3, 1])
    with pytest.raises(IntegrityError, match="stage 2, task 'parks', kind 'i2t', query 0 is missing"):
        table.check(frame, [1, 2, 3])
    with pytest.raises(IntegrityError, match=r"stage 3, .* is unknown"):
        table.check(frame, [1])
    with pytest.raises(IntegrityError, match="is unknown"):
        table.check(frame, [])


def bent(**changes):
    """Fields of the table with the entry of "rooms" replaced."""
    table = make_table()
    return {name: {**getattr(table, name), "rooms": value} for name, value in changes.items()}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tasks": ()}, "at least one"),
        ({"tasks": ("parks", "parks")}, "distinct"),
        ({"tasks": (*TASKS, "moons")}, "no owners, pictures or references for task 'moons'"),
        ({"bank": ()}, "bank is empty"),
        (bent(owners=np.array([])), "owners of task 'rooms' must be a non-empty array"),
        (bent(owners=[0, 1, 2]), "owners of task 'rooms' must be"),
        (bent(owners=np.array([0, 1, 2, 3])), "run from 0 to 3; there are 3 pictures"),
        (bent(owners=np.array([-1, 0, 1, 2])), "run from -1 to 2"),
        (bent(owners=np.array([0, 2, 2])), "picture 1 of task 'rooms' has no gallery caption"),
        (bent(references=[["a"], ["b"]]), "references of 2 pictures; it has 3"),
        (bent(references=[["a"], [], ["b"]]), "picture 1 of task 'rooms' has no list of reference captions"),
        (bent(references=["a", "b", "c"]), "picture 0 of task 'rooms' has no list"),
    ],
)
def test_a_table_whose_parts_do_not_fit_is_refused(changes, words):
    with pytest.raises(IntegrityError, match=words):
        replace(make_table(), **changes)


def test_the_means_of_item_scores_are_the_primary_score_and_one_picture_counts_its_own_hits():
    table = make_table()
    frame = make_frame(table)
    scores = table.rescore(frame)
    found = table.item_scores(frame.sample(frac=1, random_state=0))
    means = np.stack([found[task].mean(axis=1) for task in TASKS], axis=1)
    np.testing.assert_allclose(means, np.vstack([scores["zero_shot"], scores["matrix"]]))
    part = frame[(frame["stage"] == 2) & (frame["task"] == "parks")]
    owners, (n, c) = table.owners["parks"], SIZES["parks"]
    for picture in range(n):
        best = part[(part["kind"] == "i2t") & (part["query"] == picture)][ID_COLUMNS[0]].item()
        own = np.flatnonzero(owners == picture)
        answers = part[(part["kind"] == "t2i") & part["query"].isin(own)][ID_COLUMNS[0]]
        expected = 50.0 * (owners[best] == picture) + 50.0 * (answers == picture).sum() / (c / n)
        assert found["parks"][2, picture] == pytest.approx(expected)
