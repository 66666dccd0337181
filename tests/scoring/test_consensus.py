"""The caption on which its neighbours agree, against counting by hand and by brute force."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from vlcl_bench.errors import UsageError
from vlcl_bench.scoring.consensus import Bank

WORDS = ["a", "the", "dog", "cat", "runs", "sleeps", "on", "under", "grass", "table", "red", "big"]


def f1(first, second):
    grams = []
    for caption in (first, second):
        words = caption.split()
        grams.append(Counter(words) + Counter(pairwise(words)))
    size = grams[0].total() + grams[1].total()
    return 2 * (grams[0] & grams[1]).total() / size if size else 0.0


def brute_force(captions, row):
    means = []
    for i in row:
        others = [f1(captions[i], captions[j]) for j in row if j != i]
        means.append(sum(others) / len(others) if others else 0.0)
    best = max(means)
    return next(i for i, mean in zip(row, means, strict=True) if mean > best - 1e-9)


def random_captions(rng, n):
    return [" ".join(rng.choice(WORDS, rng.integers(0, 9))) for _ in range(n)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("k", [1, 2, 3, 25])
def test_choices_agree_with_brute_force(seed, k):
    rng = np.random.default_rng(seed)
    captions = random_captions(rng, 80)
    nearest = np.stack([rng.permutation(80)[:k] for _ in range(20)])
    expected = [brute_force(captions, row) for row in nearest.tolist()]
    found = Bank(captions).choose(nearest)
    assert found.dtype == np.int32
    assert found.tolist() == expected


def test_a_hand_worked_example():
    # Sizes 5, 5, 3. F1 of 0 and 1: words a, dog and the pair, 6/10; 0 and 2: dog, 2/8; 1 and 2: dog, sits, pair, 6/8.
    bank = Bank(["a dog runs", "A dog sits.", "dog sits"])
    np.testing.assert_allclose(
        bank._f1(np.array([[0, 1, 2]]))[0], [[0, 0.6, 0.25], [0.6, 0, 0.75], [0.25, 0.75, 0]], atol=1e-15
    )
    assert bank.choose(np.array([[0, 1, 2], [2, 0, 1]])).tolist() == [1, 1]


def test_repeated_words_count_as_often_as_both_have_them():
    # {a: 3, aa: 2} and {a: 2, aa: 1}: 2 + 1 in common, of 5 + 3.
    assert Bank(["a a a", "a a"])._f1(np.array([[0, 1]]))[0, 0, 1] == pytest.approx(6 / 8)


def test_ties_go_to_the_better_rank():
    bank = Bank(["a dog", "a dog", "a cat", "a cat"])
    assert bank.choose(np.array([[2, 0, 3, 1], [1, 3, 0, 2], [3, 2, 1, 0]])).tolist() == [2, 1, 3]
    assert Bank(["one", "two", "three"]).choose(np.array([[2, 1, 0]])).tolist() == [2]
    assert Bank(["", " . ", "!"]).choose(np.array([[1, 0, 2]])).tolist() == [1]


def test_rounding_does_not_decide_between_captions_of_the_same_words():
    rng = np.random.default_rng(3)
    captions = random_captions(rng, 40)
    bank = Bank(captions + captions)
    for _ in range(50):
        ids = rng.permutation(40)[:12]
        row = rng.permutation(np.concatenate([ids, ids + 40]))
        chosen = int(bank.choose(row[None])[0])
        twin = (chosen + 40) % 80
        assert row.tolist().index(chosen) < row.tolist().index(twin)


def test_choices_do_not_depend_on_the_other_pictures():
    rng = np.random.default_rng(1)
    bank = Bank(random_captions(rng, 300))
    nearest = np.stack([rng.permutation(300)[:25] for _ in range(600)])
    whole = bank.choose(nearest)
    order = rng.permutation(600)
    assert np.array_equal(bank.choose(nearest[order]), whole[order])
    assert np.array_equal(np.concatenate([bank.choose(nearest[i : i + 1]) for i in range(5)]), whole[:5])
    assert bank.choose(nearest[:0]).shape == (0,)


@pytest.mark.parametrize(
    ("nearest", "words"),
    [
        (np.array([0, 1]), r"array \(n, k\)"),
        (np.array([[0.0, 1.0]]), "whole numbers"),
        ([[0, 1]], r"array \(n, k\)"),
        (np.zeros((2, 0), int), "at least one nearest"),
        (np.array([[0, 3]]), "3 is not in the bank"),
        (np.array([[0, -1]]), "-1 is not in the bank"),
        (np.array([[0, 1], [2, 2]]), "twice"),
    ],
)
def test_nearest_captions_that_make_no_sense_are_refused(nearest, words):
    with pytest.raises(UsageError, match=words):
        Bank(["a", "b", "c"]).choose(nearest)


def test_an_empty_bank_is_refused():
    with pytest.raises(UsageError, match="at least one caption"):
        Bank([])
