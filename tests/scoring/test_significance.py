"""``vlcl compare``: differences of entries, their intervals and tests, and how entries are named."""

import json
import math
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from support.harness import vlcl

from vlcl_bench.board.entries import entries
from vlcl_bench.board.pairs import find_pair
from vlcl_bench.errors import UsageError
from vlcl_bench.scoring.metrics import continual_metrics
from vlcl_bench.scoring.significance import METRICS, compare, holm, metric

SIZES = {"birds": 60, "cups": 40, "hats": 50}
COMMITTED = Path(__file__).parents[2] / "submissions"


def scores(right, seed, sizes=SIZES):
    """Right and wrong answers, each right with a probability."""
    rng = np.random.default_rng(seed)
    stages = len(sizes) + 1
    return {task: 100.0 * (rng.random((stages, n)) < right) for task, n in sizes.items()}


def matrix(items):
    return np.stack([one.mean(axis=1) for one in items.values()], axis=1)


@pytest.mark.parametrize("name", METRICS)
def test_metrics_of_many_matrices_are_those_of_each(name):
    R = np.random.default_rng(0).uniform(0, 100, (4, 6, 5))
    expected = [getattr(continual_metrics(one[1:], one[0]), name) for one in R]
    np.testing.assert_allclose(metric(R, name), expected)
    assert metric(R[0] - R[1], name) == pytest.approx(expected[0] - expected[1])


def test_an_unknown_metric_is_refused():
    with pytest.raises(UsageError, match="'speed' is none of the metrics transfer"):
        metric(np.zeros((3, 2)), "speed")


def test_differences_are_those_of_the_means_over_seeds():
    first, second = ({k: scores(p, 10 * k + j) for k in range(3)} for j, p in ((0, 0.8), (1, 0.6)))
    found = compare(first, second, draws=200)
    for one in found.headlines:
        a, b = (
            np.mean([getattr(continual_metrics(matrix(x)[1:], matrix(x)[0]), one.name) for x in entry.values()])
            for entry in (first, second)
        )
        assert (one.first, one.second, one.difference) == (pytest.approx(a), pytest.approx(b), pytest.approx(a - b))
    assert [one.name for one in found.tasks] == list(SIZES)
    for i, one in enumerate(found.tasks):
        values = [matrix(first[k])[-1, i] - matrix(second[k])[-1, i] for k in range(3)]
        assert one.difference == pytest.approx(np.mean(values))
        t = np.mean(values) / (np.std(values, ddof=1) / math.sqrt(3))
        # With two degrees of freedom the t distribution has a closed form.
        assert one.p_seeds == pytest.approx(1 - abs(t) / math.sqrt(2 + t * t))
    assert found.seeds == (3, 3, 3)


def test_the_interval_of_a_share_is_that_of_the_binomial():
    n = 400
    half = {0: {"only": np.repeat([[100.0, 0.0]], n // 2, axis=1).reshape(1, n).repeat(2, axis=0)}}
    none = {0: {"only": np.zeros((2, n))}}
    (last,) = (one for one in compare(half, none, draws=4000).headlines if one.name == "last")
    deviation = 100 * math.sqrt(0.25 / n)
    assert last.difference == 50.0
    assert (last.low, last.high) == (
        pytest.approx(50 - 1.96 * deviation, abs=0.5),
        pytest.approx(50 + 1.96 * deviation, abs=0.5),
    )


def test_pairing_takes_out_what_both_have_in_common():
    rng = np.random.default_rng(0)
    base = {task: 100.0 * (rng.random((4, n)) < 0.5) for task, n in SIZES.items()}
    better = {task: one.copy() for task, one in base.items()}
    for one in better.values():
        one[:, :4] = 100.0  # four samples in each task answered rightly by the one, the rest alike
    paired = next(one for one in compare({0: better}, {0: base}).headlines if one.name == "last")
    shuffled = {task: rng.permuted(one, axis=1) for task, one in base.items()}
    apart = next(one for one in compare({0: better}, {0: shuffled}).headlines if one.name == "last")
    assert paired.high - paired.low < (apart.high - apart.low) / 2


def test_an_entry_is_no_better_than_itself():
    entry = {k: scores(0.5, k) for k in range(3)}
    found = compare(entry, entry, draws=200)
    assert all((one.difference, one.low, one.high, one.p_corrected) == (0, 0, 0, 1) for one in found.headlines)
    assert all(one.p_mcnemar == 1 and one.p_seeds is None and not one.significant for one in found.tasks)


def test_equal_entries_are_called_different_about_as_rarely_as_the_level_says():
    wrong = 0
    for world in range(60):
        first, second = {0: scores(0.7, 2 * world)}, {0: scores(0.7, 2 * world + 1)}
        last = next(one for one in compare(first, second, draws=400).headlines if one.name == "last")
        wrong += not last.low <= 0 <= last.high
    assert wrong <= 9  # 3 expected; ten or more have a chance below 1 in 1,000


def test_a_large_difference_is_significant_and_small_ones_in_the_same_table_do_not_hide_it():
    first = {k: scores(0.9, k) for k in range(3)}
    second = {k: scores(0.9, 50 + k) | {"hats": scores(0.2, 90 + k)["hats"]} for k in range(3)}
    found = {one.name: one for one in compare(first, second, draws=1000).tasks}
    assert found["hats"].significant
    assert found["hats"].p_mcnemar < 0.001
    assert not found["birds"].significant


def test_mcnemar_counts_only_samples_on_which_the_two_differ():
    a = {"only": np.array([[0.0] * 12, [100.0] * 9 + [0.0] * 3])}
    b = {"only": np.array([[0.0] * 12, [100.0] * 2 + [0.0] * 9 + [100.0]])}
    # Only a: 7; only b: 1. Twice the chance of at most one of eight at a fair coin.
    expected = 2 * sum(math.comb(8, k) for k in (0, 1)) / 2**8
    (only,) = compare({0: a}, {0: b}, draws=100).tasks
    assert only.p_mcnemar == pytest.approx(expected)


def test_scores_that_are_no_answers_have_no_mcnemar_test():
    first, second = scores(0.5, 0), {task: one / 2 for task, one in scores(0.5, 1).items()}
    assert {one.p_mcnemar for one in compare({0: first}, {0: second}, draws=100).tasks} == {None}


def test_one_seed_is_compared_with_the_mean_of_many():
    many, single = {k: scores(0.8, k) for k in range(3)}, {0: scores(0.6, 9)}
    found = compare(many, single, draws=100)
    last = next(one for one in found.headlines if one.name == "last")
    assert last.first == pytest.approx(np.mean([metric(matrix(one), "last") for one in many.values()]))
    assert found.seeds == (3, 1, 1)


def test_seeds_count_pair_by_pair_where_both_have_several():
    first, second = {k: scores(0.8, k) for k in (0, 1, 7)}, {k: scores(0.6, 20 + k) for k in (0, 1, 2)}
    last = next(one for one in compare(first, second, draws=100).headlines if one.name == "last")
    assert last.first == pytest.approx(np.mean([metric(matrix(first[k]), "last") for k in (0, 1)]))


def test_different_test_samples_are_refused():
    with pytest.raises(UsageError, match="not scored on the same tasks and test samples"):
        compare({0: scores(0.5, 0)}, {0: scores(0.5, 0, SIZES | {"hats": 51})})
    with pytest.raises(UsageError, match="cannot be compared"):
        compare({0: scores(0.5, 0)}, {0: dict(reversed(list(scores(0.5, 0).items())))})


def test_holms_correction_by_hand():
    # Sorted: 0.01 x 4, 0.02 x 3, 0.04 x 2 (a smaller product than the one before takes its place), 0.5 x 1.
    assert holm([0.04, 0.01, None, 0.5, 0.02]) == [
        pytest.approx(0.08),
        pytest.approx(0.04),
        None,
        pytest.approx(0.5),
        pytest.approx(0.06),
    ]
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    values = np.random.default_rng(0).random(20)
    corrected = np.array(holm(list(values)))[np.argsort(values)]
    assert all(a <= b for a, b in pairwise(corrected))


# Entries and the command, on committed records


def test_committed_entries_are_found_by_name_with_their_seeds():
    found = {(one.protocol, one.name): one for one in entries([COMMITTED])}
    assert sorted(found["mini-mtil-1", "zscl"].runs) == [0, 1, 2]
    assert found["mini-mtil-1", "zscl:l2_weight=0.0"].title == "ZSCL"
    key = found["mini-mtil-1", "zero_shot"]
    (items,) = key.item_scores().values()
    record = key.runs[0][1]
    np.testing.assert_allclose(metric(matrix(items), "last"), record.scores["metrics"]["last"])


@pytest.mark.parametrize(
    ("names", "protocol", "words", "hint"),
    [
        (("zscl", "zcsl"), None, "no entry 'zcsl'", "Did you mean 'zscl'?"),
        (("zscl", "finetune"), None, "which protocol?", "protocol (--protocol), for instance mini-"),
        (
            ("zscl", "finetune"),
            "mini-dev",
            "nothing to compare: 'zscl' has runs on",
            "Both must",
        ),
    ],
)
def test_names_that_do_not_say_enough_are_refused(names, protocol, words, hint):
    with pytest.raises(UsageError, match=words.replace("?", r"\?")) as refused:
        find_pair(*names, protocol, [COMMITTED])
    assert hint in refused.value.hint


def test_the_command_prints_tables_and_plain_words_and_the_same_as_json():
    given = ("compare", "zero_shot", "finetune", "--protocol", "mini-mtil-1", "--in", COMMITTED, "--draws", "300")
    printed, told = vlcl(*given), vlcl(*given, "--json")
    assert (printed.code, told.code) == (0, 0)
    assert "A is better by Transfer" in " ".join(printed.out.split())
    assert "seeds hardly count as drawn" in " ".join(printed.out.split())
    found = json.loads(told.out)
    by_name = {one["name"]: one for one in found["headlines"]}
    assert by_name["transfer"]["low"] > 20
    assert (found["protocol"], found["first"]["entry"], found["seeds"]) == ("mini-mtil-1", "zero_shot", [1, 3, 1])
    assert any("No clear difference" in line or "is better" in line for line in found["words"])


def test_a_runs_folder_is_an_entry_of_its_own(tmp_path):
    run = min(COMMITTED.glob("zscl/runs/*/run.json")).parent
    shutil.copytree(run, tmp_path / "mine")
    protocol = json.loads((run / "run.json").read_text())["identity"]["protocol"]
    first, second = find_pair(str(tmp_path / "mine"), "zero_shot", None, [COMMITTED])
    assert (first.protocol, second.protocol, len(first.runs)) == (protocol, protocol, 1)
