"""The metrics agree with the published tables, with brute force and with closed forms."""

import json
import math

import numpy as np
import pytest

from vlcl_bench.board.reported import published_matrix, zero_shot_row
from vlcl_bench.errors import UsageError
from vlcl_bench.scoring.metrics import HEADLINES, PER_TASK, continual_metrics, format_metric

# facts/mtil.md, derived summaries of sections 3.1 and 3.2:
# Transfer, Avg, Last, mean diagonal, BWT, Forgetting (maximum up to j = T), FWT
DERIVED = {
    ("mtil-1", "Continual-FT"): (44.56, 55.85, 77.27, 88.2, -12.0, 12.0, -32.6),
    ("mtil-1", "LwF"): (56.90, 64.70, 74.64, 85.2, -11.6, 11.7, -18.6),
    ("mtil-1", "iCaRL"): (50.37, 65.66, 80.10, 87.1, -7.7, 7.9, -16.4),
    ("mtil-1", "LwF-VR"): (57.24, 65.13, 76.56, 85.8, -10.1, 10.1, -18.7),
    ("mtil-1", "WiSE-FT"): (52.33, 60.72, 77.69, 88.5, -11.9, 11.9, -23.0),
    ("mtil-1", "ZSCL*"): (62.17, 72.63, 84.46, 88.7, -4.7, 4.7, -10.4),
    ("mtil-1", "ZSCL"): (68.14, 75.39, 83.62, 87.1, -3.8, 3.8, -1.1),
    ("mtil-2", "Continual-FT"): (46.61, 56.17, 67.37, 88.4, -23.1, 23.1, -26.8),
    ("mtil-2", "LwF"): (53.22, 62.18, 71.91, 85.1, -14.6, 14.7, -16.5),
    ("mtil-2", "iCaRL"): (50.91, 56.90, 71.58, 82.5, -12.0, 13.7, -25.0),
    ("mtil-2", "LwF-VR"): (53.10, 60.59, 68.26, 84.4, -17.7, 17.8, -17.3),
    ("mtil-2", "WiSE-FT"): (51.04, 61.53, 72.16, 88.3, -17.8, 17.8, -21.6),
    ("mtil-2", "ZSCL*"): (59.78, 71.77, 83.25, 88.9, -6.2, 6.2, -9.2),
    ("mtil-2", "ZSCL"): (64.15, 74.52, 83.42, 87.0, -4.0, 4.0, -1.9),
}


def brute_force(R, zero_shot, joint):
    """The definitions of docs/design.md, as loops over a 1-based table with row 0."""
    T = len(R)
    A = [[None, *zero_shot]] + [[None, *row] for row in R]
    total = {
        "transfer": 0.0,
        "avg": 0.0,
        "last": 0.0,
        "bwt": 0.0,
        "fwt": 0.0,
        "fwt_raw": 0.0,
        "forgetting": 0.0,
    }
    total |= {"diagonal": 0.0, "zero_shot": 0.0, "zero_shot_transfer": 0.0, "zsd": 0.0, "intransigence": 0.0}
    for i in range(1, T + 1):
        total["last"] += A[T][i] / T
        total["diagonal"] += A[i][i] / T
        total["zero_shot"] += A[0][i] / T
        total["intransigence"] += (joint[i - 1] - A[i][i]) / T
        for j in range(1, T + 1):
            total["avg"] += A[j][i] / T / T
        if i >= 2:
            for j in range(1, i):
                total["transfer"] += A[j][i] / (i - 1) / (T - 1)
            total["fwt"] += (A[i - 1][i] - A[0][i]) / (T - 1)
            total["fwt_raw"] += A[i - 1][i] / (T - 1)
            total["zero_shot_transfer"] += A[0][i] / (T - 1)
            most = -1.0
            for j in range(i):  # 0 <= j <= i - 1
                most = A[j][i] if A[j][i] > most else most
            total["zsd"] += (most - A[i - 1][i]) / (T - 1)
        if i < T:
            best = A[i][i]
            for j in range(i, T):
                if A[j][i] > best:
                    best = A[j][i]
            total["forgetting"] += (best - A[T][i]) / (T - 1)
            total["bwt"] += (A[T][i] - A[i][i]) / (T - 1)
    return total


@pytest.mark.parametrize(
    ("stream", "method", "printed"),
    [
        ("mtil-1", "Continual-FT", ("44.6", "55.9", "77.3")),
        ("mtil-1", "ZSCL", ("68.1", "75.4", "83.6")),
        ("mtil-2", "Continual-FT", ("46.6", "56.2", "67.4")),
        ("mtil-2", "ZSCL", ("64.2", "74.5", "83.4")),
    ],
)
def test_released_matrices_print_the_published_transfer_avg_and_last(stream, method, printed):
    m = continual_metrics(published_matrix(stream, method).R)
    assert (format_metric(m.transfer), format_metric(m.avg), format_metric(m.last)) == printed


@pytest.mark.parametrize(("stream", "transfer"), [("mtil-1", "69.4"), ("mtil-2", "65.4")])
def test_a_constant_matrix_prints_the_published_zero_shot_row(stream, transfer):
    row = zero_shot_row(stream)
    m = continual_metrics(np.tile(row, (11, 1)), row)
    assert [format_metric(x) for x in (m.transfer, m.avg, m.last)] == [transfer, "65.3", "65.3"]
    assert format_metric(m.zero_shot_transfer) == transfer
    assert m.bwt == m.fwt == m.forgetting == 0.0


@pytest.mark.parametrize(("stream", "method"), list(DERIVED))
def test_derived_tables_of_the_facts_hold_within_their_rounding(stream, method):
    found = published_matrix(stream, method)
    m = continual_metrics(found.R, found.zero_shot)
    transfer, avg, last, diagonal, bwt, forgetting, fwt = DERIVED[stream, method]
    assert (m.transfer, m.avg, m.last) == pytest.approx((transfer, avg, last), abs=0.00501)
    assert (m.diagonal, m.bwt, m.fwt) == pytest.approx((diagonal, bwt, fwt), abs=0.0501)
    up_to_last = np.mean([found.R[i:, i].max() - found.R[-1, i] for i in range(10)])
    assert up_to_last == pytest.approx(forgetting, abs=0.0501)
    assert up_to_last - 0.3 < m.forgetting <= up_to_last


@pytest.mark.parametrize("T", [2, 3, 5, 11])
@pytest.mark.parametrize("seed", range(5))
def test_every_headline_agrees_with_brute_force(T, seed):
    rng = np.random.default_rng(seed)
    R, row, joint = rng.uniform(0, 100, (T, T)), rng.uniform(0, 100, T), rng.uniform(0, 100, T)
    expected = brute_force(R.tolist(), row.tolist(), joint.tolist())
    assert continual_metrics(R, row, joint).headlines() == pytest.approx(expected, rel=1e-12)
    without = continual_metrics(R, row).headlines()
    assert without.pop("intransigence") is None
    assert without == pytest.approx({name: expected[name] for name in without}, rel=1e-12)


def test_per_task_parts_by_hand_and_their_means_are_the_headlines():
    m = continual_metrics([[50, 20, 30], [60, 70, 50], [40, 65, 90]], [45, 25, 35], [80, 75, 85])
    assert m.transfer_by_task == (None, 20, 40)
    assert m.avg_by_task == (50, pytest.approx(155 / 3), pytest.approx(170 / 3))
    assert m.last_by_task == (40, 65, 90)
    assert m.bwt_by_task == (-10, -5, None)
    assert m.fwt_by_task == (None, -5, 15)
    assert m.forgetting_by_task == (20, 5, None)
    assert m.diagonal_by_task == (50, 70, 90)
    assert m.zero_shot_by_task == (45, 25, 35)
    assert m.intransigence_by_task == (30, 5, -5)
    assert (m.fwt_raw, m.zero_shot_transfer) == (35, 30)
    for name in PER_TASK:
        defined = [x for x in getattr(m, name) if x is not None]
        assert getattr(m, name.removesuffix("_by_task")) == pytest.approx(sum(defined) / len(defined))


def test_forgetting_leaves_out_row_zero_and_the_last_row():
    # Task 1 is best untouched (90) and at the end (60): neither counts as its maximum.
    m = continual_metrics([[50, 10, 10], [40, 50, 10], [60, 50, 50]], [90, 10, 10])
    assert m.forgetting_by_task == (-10, 0, None)
    assert m.forgetting == -5


def test_zero_shot_degradation_is_the_drop_from_the_best_before_a_task_is_learned():
    # Task 2 is best at row 0, task 3 after the first task; the learned task and what comes after do not count.
    m = continual_metrics([[50, 10, 40], [60, 70, 15], [40, 65, 90]], [99, 25, 35])
    assert m.zsd_by_task == (None, 15, 25)
    assert m.zsd == 20
    assert continual_metrics([[50, 30, 40], [60, 70, 45], [40, 65, 90]], [99, 25, 35]).zsd == 0
    assert continual_metrics([[50, 10], [45, 80]]).zsd is None  # row 0 counts, and is not known


def test_intransigence_is_what_joint_training_gains_over_the_diagonal():
    m = continual_metrics([[50, 10], [45, 80]], joint=[90, 70])
    assert m.intransigence_by_task == (40, -10)
    assert m.intransigence == 15
    assert json.dumps(continual_metrics([[50, 10], [45, 80]]).to_dict()["intransigence"]) == "null"


def test_transfer_takes_the_mean_per_task_first():
    R = np.full((3, 3), 50.0)
    R[0, 1], R[0, 2], R[1, 2] = 90, 30, 30
    assert continual_metrics(R).transfer == 60.0  # the flat mean of the triangle would be 50


def test_one_task_has_neither_transfer_nor_backward_or_forward_parts():
    m = continual_metrics([[80.0]], [70.0])
    assert (m.avg, m.last, m.diagonal, m.zero_shot) == (80, 80, 80, 70)
    names = ("transfer", "bwt", "fwt", "fwt_raw", "forgetting", "zero_shot_transfer", "zsd")
    assert [getattr(m, name) for name in names] == [None] * 7


def test_without_row_zero_forward_transfer_and_zero_shot_are_none():
    m = continual_metrics([[50, 40], [45, 80]])
    assert m.fwt is None
    assert m.zero_shot is None
    assert m.zero_shot_transfer is None
    assert m.fwt_by_task == m.zero_shot_by_task == (None, None)
    assert m.fwt_raw == 40


@pytest.mark.parametrize("row", [None, [12.5, 30.0]])
def test_to_dict_is_plain_json_without_nan(row):
    value = continual_metrics([[50, 40], [45, 80]], row).to_dict()
    assert list(value) == [*HEADLINES, *PER_TASK]
    assert json.loads(json.dumps(value, allow_nan=False)) == value


def test_nothing_is_rounded_before_display():
    assert continual_metrics([[100 / 3, 200 / 3], [100 / 7, 0.123456789]]).bwt == 100 / 7 - 100 / 3


@pytest.mark.parametrize(
    ("R", "zero_shot", "found"),
    [
        ([[50, 60, 70], [50, 60, 70]], None, "2 x 3"),
        ([[50, 60], [50, 60], [50, 60]], None, "3 x 2"),
        ([], None, "dimension"),
        ([50, 60], None, "dimension"),
        ([[50, 60], [50]], None, "ragged"),
        ([[50, math.nan], [50, 60]], None, "row 1, column 2 is nan"),
        ([[50, 60], [math.inf, 60]], None, "row 2, column 1 is inf"),
        ([[50, 60], [50, 100.5]], None, "row 2, column 2 is 100.5"),
        ([[50, -0.5], [50, 60]], None, "row 1, column 2 is -0.5"),
        ([["50", "x"], ["50", "60"]], None, "'50'"),
        ([[True, False], [True, True]], None, "True"),
        ([[50, None], [50, 60]], None, "None"),
        ([[50, 60], [50, 60]], [50, 60, 70], "3 values"),
        ([[50, 60], [50, 60]], [50, math.nan], "column 2 is nan"),
    ],
)
def test_what_cannot_be_percent_is_refused_and_named(R, zero_shot, found):
    with pytest.raises(UsageError) as error:
        continual_metrics(R, zero_shot)
    assert found in error.value.message


def test_fractions_are_refused_with_a_hint_unless_vouched_for():
    R = [[0.5, 0.6], [0.4, 1.0]]
    with pytest.raises(UsageError) as error:
        continual_metrics(R)
    assert "fractions; give percent" in (error.value.hint or "")
    assert continual_metrics(R, tiny=True).last == 0.7
    assert continual_metrics(R, [5.0, 6.0]).last == 0.7  # row 0 shows that it is percent
    assert continual_metrics(np.zeros((2, 2))).avg == 0.0


def test_format_shows_one_decimal_with_halves_to_even_as_numpy_does():
    values = [0.25, 0.75, 2.5, -0.25, -0.01, 64.15045440460318, 100.0, 65.35]
    assert [format_metric(x) for x in values] == ["0.2", "0.8", "2.5", "-0.2", "0.0", "64.2", "100.0", "65.4"]
    assert format_metric(None) == "–"
    with pytest.raises(UsageError):
        format_metric(math.nan)
