"""Streaming retrieval: brute force, ties, batches; recall of an oracle and of chance."""

from math import comb

import numpy as np
import pytest

from vlcl_bench.errors import MethodError, UsageError
from vlcl_bench.scoring.retrieval import RECALL_AT, TopK, best_columns, recall_at


def stream(scores, blocks, k=10):
    top = TopK(*scores.shape, k)
    for block in blocks:
        top.add(block, scores[block])
    return top.i2t(), top.t2i()


def brute_force(scores, k):
    rows = [sorted(range(scores.shape[1]), key=lambda j: (-row[j], j))[:k] for row in scores.tolist()]
    return np.array([row + [-1] * (k - len(row)) for row in rows])


def random_scores(seed, shape, kind):
    rng = np.random.default_rng(seed)
    if kind == "ties":
        return rng.integers(-2, 3, shape).astype(np.float32) * rng.choice(np.float32([1, -1]), shape)
    return (rng.normal(size=shape) * 10.0 ** rng.integers(-30, 30, shape)).astype(np.float32)


@pytest.mark.parametrize("kind", ["ties", "all sizes"])
@pytest.mark.parametrize(("shape", "k"), [((40, 90), 10), ((4, 20), 10), ((20, 4), 10), ((1, 1), 10), ((30, 30), 1)])
def test_answers_agree_with_sorting_everything(kind, shape, k):
    scores = random_scores(0, shape, kind)
    i2t, t2i = stream(scores, np.array_split(np.arange(shape[0]), max(1, shape[0] // 7)), k)
    assert (i2t.dtype, t2i.dtype) == (np.int32, np.int32)
    assert (i2t.shape, t2i.shape) == ((shape[0], k), (shape[1], k))
    assert np.array_equal(i2t, brute_force(scores, k))
    assert np.array_equal(t2i, brute_force(scores.T, k))
    assert np.array_equal(best_columns(scores, k), brute_force(scores, k))


@pytest.mark.parametrize("kind", ["ties", "all sizes"])
@pytest.mark.parametrize("size", [1, 3, 16, 64, 1000])
def test_neither_size_nor_order_of_the_blocks_matters(kind, size):
    scores = random_scores(1, (64, 50), kind)
    order = np.random.default_rng(size).permutation(64)
    found = stream(scores, [order[i : i + size] for i in range(0, 64, size)])
    expected = stream(scores, [np.arange(64)])
    assert np.array_equal(found[0], expected[0])
    assert np.array_equal(found[1], expected[1])


def test_zero_and_minus_zero_are_equal_scores():
    scores = np.array([[-0.0, 0.0, -0.0, 1e-45]], dtype=np.float32)
    assert best_columns(scores, 4).tolist() == [[3, 0, 1, 2]]


def test_scores_in_any_memory_order_are_read_alike():
    scores = random_scores(2, (12, 30), "all sizes")
    assert np.array_equal(best_columns(np.asfortranarray(scores), 5), best_columns(scores, 5))
    assert np.array_equal(best_columns(scores[::2, ::3], 5), best_columns(scores[::2, ::3].copy(), 5))


def test_an_oracle_finds_everything():
    rng = np.random.default_rng(0)
    owners = rng.permutation(np.repeat(np.arange(50), 5))
    features = np.linalg.qr(rng.normal(size=(64, 64)))[0][:50].astype(np.float32)
    i2t, t2i = stream(features @ features[owners].T, np.array_split(np.arange(50), 4))
    for k in RECALL_AT:
        assert recall_at(i2t, owners, k, "i2t") == 100.0
        assert recall_at(t2i, owners, k, "t2i") == 100.0
    assert all(set(row[:5]) == set(np.flatnonzero(owners == i)) for i, row in enumerate(i2t.tolist()))


def test_chance_is_what_drawing_without_replacement_gives():
    rng = np.random.default_rng(7)
    N, galleries = 40, 250
    owners = np.repeat(np.arange(N), 5)
    answers = [stream(rng.random((N, 5 * N), dtype=np.float32), [np.arange(N)]) for _ in range(galleries)]
    for k in RECALL_AT:
        by_picture = np.mean([recall_at(i2t, owners, k, "i2t") for i2t, _ in answers]) / 100
        by_caption = np.mean([recall_at(t2i, owners, k, "t2i") for _, t2i in answers]) / 100
        for found, expected, queries in [
            (by_picture, 1 - comb(5 * N - 5, k) / comb(5 * N, k), N * galleries),
            (by_caption, k / N, 5 * N * galleries),
        ]:
            assert abs(found - expected) < 4 * np.sqrt(expected * (1 - expected) / queries)


def test_a_hand_worked_recall():
    owners = np.array([0, 0, 1, 2])
    i2t = np.array([[2, 1, -1], [3, 0, -1], [3, 2, -1]], dtype=np.int32)
    assert recall_at(i2t, owners, 1, "i2t") == pytest.approx(100 / 3)
    assert recall_at(i2t, owners, 2, "i2t") == pytest.approx(200 / 3)
    t2i = np.array([[1, 0, 2], [0, 2, 1], [2, 0, 1], [1, 2, 0]], dtype=np.int32)
    assert [recall_at(t2i, owners, k, "t2i") for k in (1, 2, 3)] == [25.0, 75.0, 100.0]


def test_no_answer_is_never_right():
    # The last caption, which -1 would index, belongs to picture 0.
    assert recall_at(np.array([[1, -1]]), np.array([0, 1, 0]), 2, "i2t") == 0.0


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        (np.zeros((2, 3)), "float32"),
        (np.zeros(3, np.float32), "two dimensions"),
        ([[0.0, 0.0, 0.0]], "float32"),
        (np.zeros((2, 4), np.float32), r"expected \(2, 3\)"),
        (np.zeros((1, 3), np.float32), r"expected \(2, 3\)"),
        (np.array([[0, 0, 0], [0, np.nan, 0]], np.float32), "row 1, column 1 is nan"),
        (np.array([[0, 0, np.inf], [0, 0, 0]], np.float32), "row 0, column 2 is inf"),
    ],
)
def test_scores_that_cannot_be_ranked_are_refused(scores, words):
    with pytest.raises(MethodError, match=words):
        TopK(4, 3).add(np.array([0, 1]), scores)


@pytest.mark.parametrize(
    ("pictures", "words"),
    [
        (np.array([0, 4]), "outside the gallery of 4"),
        (np.array([-1, 0]), "outside the gallery"),
        (np.array([1, 1]), "twice"),
        (np.array([0, 3]), "twice"),
        (np.array([0.0, 1.0]), "whole numbers"),
        (np.array([[0, 1]]), r"array \(b,\)"),
    ],
)
def test_pictures_that_are_not_new_ones_of_the_gallery_are_refused(pictures, words):
    top = TopK(4, 3)
    top.add(np.array([3]), np.zeros((1, 3), np.float32))
    with pytest.raises(UsageError, match=words):
        top.add(pictures, np.zeros((2, 3), np.float32))


def test_answers_before_the_last_picture_are_refused():
    top = TopK(4, 3)
    top.add(np.array([0, 2]), np.zeros((2, 3), np.float32))
    for answer in (top.i2t, top.t2i):
        with pytest.raises(UsageError, match="2 of 4 pictures were not scored; the first is picture 1"):
            answer()


def test_senseless_sizes_are_refused():
    for sizes in ((0, 3, 1), (3, 0, 1), (3, 3, 0)):
        with pytest.raises(UsageError, match="at least 1"):
            TopK(*sizes)
    with pytest.raises(UsageError, match="at least 1"):
        best_columns(np.zeros((1, 3), np.float32), 0)
    with pytest.raises(UsageError, match="recall at 11"):
        recall_at(np.zeros((1, 10), int), np.array([0]), 11, "i2t")
    with pytest.raises(UsageError, match="direction"):
        recall_at(np.zeros((1, 10), int), np.array([0]), 1, "i2i")
    with pytest.raises(UsageError, match="at least one query"):
        recall_at(np.zeros((0, 10), int), np.array([0]), 1, "i2t")
