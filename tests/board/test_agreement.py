"""Agreement with the published order: Spearman by definition, honest about who entered and when to be silent."""

import itertools
import math
import random
from dataclasses import replace
from types import SimpleNamespace

import pytest

from vlcl_bench.board.agreement import (
    FEWEST,
    INTRO,
    METRICS,
    PUBLISHED_NAMES,
    STREAMS,
    agreement_markdown,
    agreements,
    spearman,
)
from vlcl_bench.board.published import published_rows
from vlcl_bench.board.reported import published_methods
from vlcl_bench.board.rows import RunSummary, board_rows
from vlcl_bench.board.summaries import label
from vlcl_bench.methods.card import MethodCard
from vlcl_bench.methods.registry import load_method
from vlcl_bench.protocols.load import load_protocol

# Transfer, Avg, Last on MTIL order I: table 1 of the GIFT poster; ZSCL* from the matrix of ZSCL's repository.
ORDER_I = {
    ("finetune", ""): (44.6, 55.9, 77.3),
    ("l2", ""): (61.0, 62.7, 75.9),
    ("lwf", ""): (56.9, 64.7, 74.6),
    ("icarl", ""): (50.4, 65.7, 80.1),
    ("lwf_vr", ""): (57.2, 65.1, 76.6),
    ("wise_ft", ""): (52.3, 60.7, 77.7),
    ("zscl", "l2_weight=0.0"): (62.2, 72.6, 84.5),
    ("zscl", ""): (68.1, 75.4, 83.6),
    ("moe_adapter", ""): (68.9, 76.7, 85.0),
    ("gift", ""): (69.3, 77.3, 86.0),
}
FOUR = [("finetune", ""), ("l2", ""), ("lwf", ""), ("zscl", "")]


def runs(key, values, seeds=(0, 1, 2), **changes):
    """Runs whose means over the seeds are ``values``: one seed above, one below, by a different amount each."""
    method, words = key
    off = {0: 1.25, 1: -1.75, 2: 0.5}
    fields = {
        "protocol": "mini-mtil-1",
        "protocol_title": "Mini",
        "method": method,
        "method_title": method.upper(),
        "entry_id": f"{method}/{words}",
        "label": words,
        "track": "standard",
        "deterministic": False,
        "backbone": "mini",
        "status": "rescored",
    }
    return [
        RunSummary(
            run_hash=f"{key}{seed}",
            seed=seed,
            metrics={name: value + off[seed] for name, value in zip(METRICS, values, strict=True)},
            source=f"submissions/{method}/{seed}",
            **(fields | changes),
        )
        for seed in seeds
    ]


def found(*parts):
    return agreements(board_rows(itertools.chain(*parts)), published_rows())


def told(*parts):
    """What is said of the runs; a row's rank and differences, which other rows change, are not part of it."""
    return [one.to_dict() for one in found(*parts)]


def names(one):
    return [(pair.row.method, pair.row.label) for pair in one.pairs]


def brute(xs, ys):
    """Spearman by definition: covariance of mid-ranks over the product of their deviations."""

    def ranks(values):  # the mean of all places that a value could take
        return [sum(v < x for v in values) + (sum(v == x for v in values) + 1) / 2 for x in values]

    a, b = ranks(xs), ranks(ys)
    ma, mb = sum(a) / len(a), sum(b) / len(b)
    top = sum((x - ma) * (y - mb) for x, y in zip(a, b, strict=True))
    below = math.sqrt(sum((x - ma) ** 2 for x in a) * sum((y - mb) ** 2 for y in b))
    return top / below if below else None


def test_the_correlation_is_spearmans_with_and_without_ties():
    draw = random.Random(3)
    for _ in range(60):
        n = draw.randint(4, 10)
        xs, ys = ([float(draw.randint(0, draw.choice([2, 5, 1000]))) for _ in range(n)] for _ in range(2))
        expected = brute(xs, ys)
        if expected is None:
            assert spearman(xs, ys) is None
        else:
            assert spearman(xs, ys) == pytest.approx(expected, abs=5.1e-5)


def test_the_correlation_of_known_orders():
    assert spearman([1, 2, 3, 4], [10, 20, 30, 40]) == 1.0
    assert spearman([1, 2, 3, 4], [4, 3, 2, 1]) == -1.0
    assert spearman([1, 2, 3, 4], [2, 1, 3, 4]) == 0.8  # 1 - 6 * 2 / (4 * 15)
    assert spearman([1, 2, 2, 4], [1, 2, 3, 4]) == round(4.5 / math.sqrt(4.5 * 5), 4)
    assert spearman([7, 7, 7, 7], [1, 2, 3, 4]) is None


def test_measured_means_are_compared_with_the_published_values_of_the_same_methods():
    draw = random.Random(5)
    measured = {key: tuple(draw.uniform(30, 90) for _ in METRICS) for key in ORDER_I}
    whole, without = found(*(runs(key, values) for key, values in measured.items()))
    assert names(whole) == list(ORDER_I)
    assert names(without) == [key for key in ORDER_I if key != ("icarl", "")]
    assert (whole.without, without.without) == ("", "icarl")
    assert (whole.protocol, whole.stream, whole.backbone) == ("mini-mtil-1", "mtil-1", "mini")
    for one in (whole, without):
        for i, metric in enumerate(METRICS):
            xs, ys = zip(*((measured[key][i], ORDER_I[key][i]) for key in names(one)), strict=True)
            assert one.spearman[metric] == pytest.approx(brute(xs, ys), abs=5.1e-5)
    for pair in whole.pairs:
        key = (pair.row.method, pair.row.label)
        assert tuple(pair.published[name] for name in METRICS) == ORDER_I[key]
        assert [pair.measured(name) for name in METRICS] == pytest.approx(measured[key])


def test_the_published_order_itself_agrees_fully_and_each_order_has_its_own_table():
    whole, without = found(*(runs(key, values) for key, values in ORDER_I.items()))
    assert whole.spearman == without.spearman == {"transfer": 1.0, "avg": 1.0, "last": 1.0}
    other, _ = found(*(runs(key, values, protocol="mini-mtil-2") for key, values in ORDER_I.items()))
    assert other.stream == "mtil-2"
    assert other.spearman["avg"] < 1  # LwF is before l2 in order I and after it in order II


def test_without_icarl_is_said_once_only():
    (only,) = found(*(runs(key, ORDER_I[key]) for key in FOUR))
    assert (only.without, names(only)) == ("", FOUR)


def test_fewer_than_four_methods_in_common_give_no_number():
    assert FEWEST == 4
    assert found() == []
    assert found(*(runs(key, ORDER_I[key]) for key in FOUR[:3])) == []
    with_icarl = [*FOUR[:3], ("icarl", "")]
    (only,) = found(*(runs(key, ORDER_I[key]) for key in with_icarl))  # three are left without it
    assert (only.without, len(only.pairs)) == ("", 4)
    spread = [runs(key, ORDER_I[key], protocol=f"mini-mtil-{1 + i % 2}") for i, key in enumerate(FOUR)]
    assert found(*spread) == []
    assert agreement_markdown([]) == ""


@pytest.mark.parametrize(
    "change",
    [
        {"status": "self-reported"},
        {"seeds": (0, 1)},
        {"label": "weight=3.0"},
        {"track": "open-budget"},
        {"protocol": "mini-dev"},
        {"protocol": "mini-c2r"},
        {"backbone": "other"},
        {"ranked_protocol": False},
        {"method": "unheard-of"},
        {"method": "zero_shot"},
    ],
)
def test_a_row_that_is_no_ranked_default_of_a_published_method_does_not_enter(change):
    others = [runs(key, ORDER_I[key]) for key in FOUR]
    extra = runs(("wise_ft", ""), (99.0, 99.0, 99.0), **{"entry_id": "another", **change})
    assert told(*others, extra) == told(*others) != []


def test_a_method_without_one_of_the_numbers_does_not_enter():
    others = [runs(key, ORDER_I[key]) for key in FOUR]
    lacking = [replace(run, metrics={**run.metrics, "transfer": None}) for run in runs(("gift", ""), (70, 70, 70))]
    assert told(*others, lacking) == told(*others) != []


def test_a_backbone_is_never_compared_with_another_ones_rows():
    one = [runs(key, ORDER_I[key]) for key in FOUR]
    turned = [runs(key, [-x for x in ORDER_I[key]], backbone="a-worse-one", entry_id=f"{key}w") for key in FOUR]
    worse, mini = found(*one, *turned)
    assert (worse.backbone, worse.spearman["avg"]) == ("a-worse-one", -1.0)
    assert (mini.backbone, mini.spearman["avg"]) == ("mini", 1.0)


def test_of_two_configurations_of_a_method_one_enters_whatever_their_order():
    others = [runs(key, ORDER_I[key]) for key in FOUR]
    again = runs(("l2", ""), (90.0, 90.0, 90.0), entry_id="z-later")
    (first,), (second,) = found(*others, again), found(again, *reversed(others))
    assert first == second
    assert names(first) == FOUR
    assert next(pair.row.entry_id for pair in first.pairs if pair.row.method == "l2") == "l2/"


def test_a_number_that_is_not_defined_is_shown_as_a_dash():
    (one,) = found(*(runs(key, (50.0, ORDER_I[key][1], ORDER_I[key][2])) for key in FOUR))
    assert one.spearman["transfer"] is None
    line = agreement_markdown([one]).splitlines()[-1]
    assert line.startswith("| mini-mtil-1 against mtil-1 | mini | 4 | – | 1.00 | 1.00 |")


def test_the_table_names_who_entered():
    text = agreement_markdown(found(*(runs(key, values) for key, values in ORDER_I.items())))
    assert INTRO in text
    whole, without = text.splitlines()[-2:]
    assert "| 10 | 1.00 | 1.00 | 1.00 | Continual Finetune, l2 baseline, LwF, iCaRL, LwF-VR, WiSE-FT, ZSCL\\*," in whole
    assert "| 9 | 1.00 |" in without
    assert whole.startswith("| mini-mtil-1 against mtil-1 | mini |")
    assert without.startswith("| mini-mtil-1 against mtil-1, without iCaRL | mini |")
    assert without.count("iCaRL") == 1


def test_every_mapped_name_is_published_on_both_streams():
    for stream in STREAMS.values():
        printed = {row.method for row in published_rows() if row.stream == stream}
        for wanted in PUBLISHED_NAMES.values():
            assert set(wanted) <= printed | set(published_methods(stream))


@pytest.mark.parametrize("protocol", STREAMS)
def test_zscl_star_has_the_words_that_the_board_gives_it(protocol):
    for given, words in (({"l2_weight": 0}, "l2_weight=0.0"), ({}, "")):
        card = MethodCard.of(load_method("zscl"), given, load_protocol(protocol).scale)
        record = SimpleNamespace(identity=SimpleNamespace(settings=card.settings), defaults=card.defaults)
        assert label(record) == words
        assert ("zscl", words) in PUBLISHED_NAMES
