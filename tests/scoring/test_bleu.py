"""BLEU-4: the reference scorer's figures, hand-worked examples, and the tokens."""

import json
import math
from pathlib import Path

import pytest

from vlcl_bench.errors import UsageError
from vlcl_bench.scoring.bleu import References, bleu4, caption_tokens, tokenised

GOLDENS = json.loads((Path(__file__).parents[1] / "goldens" / "bleu4.json").read_text(encoding="utf-8"))
CAPTIONS = [text for text, _ in GOLDENS["captions"]]


def texts(case):
    candidates = [CAPTIONS[i] for i in case["candidates"]]
    return candidates, [[CAPTIONS[i] for i in captions] for captions in case["references"]]


@pytest.mark.parametrize("case", GOLDENS["cases"], ids=lambda case: case["name"])
def test_the_figure_is_the_one_of_coco_caption(case):
    found = bleu4(*texts(case))
    if case["name"].startswith("degenerate"):
        assert found == 0.0
        assert case["bleu4"] < 3.2
    else:
        assert case["bleu4"] > 10
        assert found == pytest.approx(case["bleu4"], abs=1e-6)


@pytest.mark.parametrize(("caption", "tokens"), GOLDENS["captions"])
def test_the_tokens_are_those_of_coco_caption(caption, tokens):
    assert tokenised(caption) == tokens


@pytest.mark.parametrize(
    ("caption", "tokens"),
    [
        ("A man's dog doesn't sit.", "a man 's dog does n't sit"),
        ("A man 's dog does n't sit", "a man 's dog does n't sit"),
        ("The dogs' well-worn ball -- red", "the dogs well-worn ball red"),
        ("“Quotes” and ’s and dashes – here…", "quotes and 's and dashes here"),
        ("He'll say I'm gonna; she cannot!", "he 'll say i 'm gon na she can not"),
        ("At 10:30 , 1,000 cost $2.50 , 20%", "at 10:30 1,000 cost $ 2.50 20 %"),
        ("A café (closed)", "a café -lrb- closed -rrb-"),
        ("The U.S. flag, Mr. Smith and no. 7; no.", "the u.s. flag mr. smith and no. 7 no"),
        (" . , ; - '' ", ""),
        ("", ""),
        ("one\ttwo\nthree", "one two three"),
    ],
)
def test_captions_are_split_as_in_the_penn_treebank(caption, tokens):
    assert " ".join(caption_tokens(caption)) == tokens


def test_a_hand_worked_example():
    # Matches: 7 of 7 words, 5 of 6 pairs, 3 of 5 triples, 1 of 4 quadruples; the closest reference has 7 words.
    found = bleu4(
        ["A dog runs on the green grass."], [["a dog runs on grass", "the green grass is wet today , really"]]
    )
    assert found == pytest.approx(100 * (5 / 6 * 3 / 5 * 1 / 4) ** 0.25, rel=1e-12)


def test_counts_are_clipped_at_the_largest_count_in_one_reference():
    # "the" four times: once in the first reference, twice in the second, so 2 count (and not 3); then x y z w.
    candidate, references = "the the the the x y z w", ["the x y z w q q q", "the q the x y z w q"]
    # Pairs: "the the" none of 3, "the x", "x y", "y z", "z w"; triples "the x y", "x y z", "y z w";
    # quadruples "the x y z", "x y z w".
    expected = 100 * (6 / 8 * 4 / 7 * 3 / 6 * 2 / 5) ** 0.25
    assert bleu4([candidate], [references]) == pytest.approx(expected, rel=1e-12)


def test_short_captions_are_penalised_over_the_whole_corpus():
    # Every n-gram is right; 5 + 6 words against closest references of 8 + 6.
    found = bleu4(["a b c d e", "f g h i j k"], [["a b c d e f g h", "a"], ["f g h i j k", "f g h"]])
    assert found == pytest.approx(100 * math.exp(1 - 14 / 11), rel=1e-12)


def test_of_two_references_equally_close_the_shorter_counts():
    assert bleu4(["a b c d e f"], [["a b c d e f g h", "a b c d"]]) == pytest.approx(100.0, abs=1e-9)


def test_it_is_a_score_of_the_corpus_and_not_a_mean_over_captions():
    pair = bleu4(["a b c d", "a b c d e f g h"], [["q r s t"], ["a b c d e f g h"]])
    assert pair == pytest.approx(100 * (8 / 12 * 7 / 10 * 6 / 8 * 5 / 6) ** 0.25, rel=1e-12)


def test_right_captions_score_exactly_100():
    captions = [f"the {a} dog chases the {b} ball" for a in "abcdefg" for b in "hijkl"]
    assert bleu4(captions, [[caption] for caption in captions]) == pytest.approx(100.0, abs=1e-9)
    assert bleu4(captions, [[caption] for caption in captions]) <= 100.0


def test_counted_references_score_many_candidates():
    references = References([["a small dog runs fast", "a dog"], ["the cat sleeps all day"]])
    first = references.bleu4(["a small dog runs fast", "the cat sleeps all day"])
    second = references.bleu4(["", ""])
    assert (first, second) == (pytest.approx(100.0), 0.0)
    assert references.bleu4(["a small dog runs fast", "the cat sleeps all day"]) == first


@pytest.mark.parametrize(
    ("candidates", "references", "words"),
    [
        ([], [], "at least one picture"),
        (["a"], [["a"], ["b"]], "1 candidate captions for 2 pictures"),
        (["a", "b"], [["a"]], "2 candidate captions for 1 pictures"),
        (["a", "b"], [["a"], []], "references of picture 1"),
        (["a"], ["a caption, not a list"], "references of picture 0"),
    ],
)
def test_what_does_not_fit_together_is_refused(candidates, references, words):
    with pytest.raises(UsageError, match=words):
        bleu4(candidates, references)
