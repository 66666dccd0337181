"""Published numbers are the facts, carry status and source, and hide what cannot be verified."""

import numpy as np
import pytest

from vlcl_bench.board.published import published_rows
from vlcl_bench.board.reported import (
    STATUSES,
    published_matrix,
    published_methods,
    reported_rows,
    zero_shot_row,
)
from vlcl_bench.errors import UsageError

# GI-09 and GI-10 of facts/seeds.md: Transfer, Avg, Last in order I and order II.
POSTER = {
    "Zero-shot": (69.4, 65.3, 65.3, 65.4, 65.3, 65.3),
    "Continual Finetune": (44.6, 55.9, 77.3, 46.6, 56.2, 67.4),
    "l2 baseline": (61.0, 62.7, 75.9, 60.6, 68.8, 77.2),
    "LwF": (56.9, 64.7, 74.6, 53.2, 62.2, 71.9),
    "iCaRL": (50.4, 65.7, 80.1, 50.9, 56.9, 71.6),
    "LwF-VR": (57.2, 65.1, 76.6, 53.1, 60.6, 68.3),
    "WiSE-FT": (52.3, 60.7, 77.7, 51.0, 61.5, 72.2),
    "ZSCL": (68.1, 75.4, 83.6, 64.2, 74.5, 83.4),
    "MoE-Adapters": (68.9, 76.7, 85.0, 64.3, 74.7, 84.1),
    "GIFT": (69.3, 77.3, 86.0, 65.9, 75.7, 85.3),
}


def test_the_poster_tables_are_shipped_as_printed():
    frame = reported_rows()
    frame = frame[frame["source"].str.contains("GIFT poster") & (frame["setting"] == "ViT-B/16")]
    values = {key: part["value"].tolist() for key, part in frame.groupby("method")}
    assert {method: tuple(found) for method, found in values.items()} == POSTER


def test_every_row_has_a_known_status_a_source_and_a_finite_value():
    frame = reported_rows(include_unverifiable=True)
    assert len(frame) > 200
    assert set(frame["status"]) == set(STATUSES)
    assert frame["source"].str.len().min() > 0
    assert np.isfinite(frame["value"]).all()
    np.testing.assert_array_equal(frame["printed"].astype(float), frame["value"])


def test_unverifiable_claims_are_hidden_until_asked_for():
    shown, everything = reported_rows(), reported_rows(include_unverifiable=True)
    hidden = everything[everything["status"] == "claimed-unverifiable"]
    assert set(hidden["method"]) == {"Auto-Seed VL2"}
    assert len(shown) == len(everything) - len(hidden) == len(everything) - 7
    assert "Auto-Seed VL2" not in set(shown["method"])


def test_changing_a_returned_frame_does_not_change_the_next_one():
    first = reported_rows()
    first["value"] = 0.0
    assert reported_rows()["value"].max() > 0


def test_rows_on_other_splits_or_with_known_faults_carry_a_caveat():
    frame = reported_rows().set_index(["stream", "method"]).sort_index()
    assert frame.loc[("mtil-1", "DIKI"), "note"].str.contains("not comparable").all()
    assert frame.loc[("mtil-2", "iCaRL"), "note"].str.contains("diverged").all()
    assert (frame.loc[("mtil-1", "ZSCL"), "note"] == "").all()


@pytest.mark.parametrize(
    ("stream", "published", "released"),
    [
        ("mtil-1", 0, "Continual-FT"),
        ("mtil-2", 3, "Continual-FT"),
        ("mtil-1", 0, "ZSCL"),
        ("mtil-2", 3, "ZSCL"),
    ],
)
def test_released_matrices_agree_with_the_poster_in_last(stream, published, released):
    printed = POSTER["Continual Finetune" if released == "Continual-FT" else released][published + 2]
    assert published_matrix(stream, released).R[-1].mean() == pytest.approx(printed, abs=0.0501)


def test_differences_are_computed_and_correct_the_posters_misprint():
    delta = {(row.stream, row.method, row.setting): row.delta for row in published_rows()}
    assert delta["mtil-2", "LwF-VR", "ViT-B/16"] == {"transfer": -7.5, "avg": -8.2, "last": -8.9}
    assert delta["mtil-1", "GIFT", "ViT-B/16"] == {"transfer": 8.3, "avg": 14.6, "last": 10.1}
    assert delta["mtil-1", "l2 baseline", "ViT-B/16"] == {"transfer": 0.0, "avg": 0.0, "last": 0.0}
    assert delta["mtil-1", "DIKI", "ViT-B/16"] == {}  # another source, another set-up


def test_both_orders_hold_the_same_zero_shot_row():
    one, two = (published_matrix(stream, "ZSCL") for stream in ("mtil-1", "mtil-2"))
    assert dict(zip(one.tasks, one.zero_shot, strict=True)) == dict(zip(two.tasks, two.zero_shot, strict=True))
    assert one.tasks != two.tasks
    assert zero_shot_row("mtil-2")[0] == 64.7  # StanfordCars comes first in order II


def test_a_released_matrix_is_read_with_its_values_and_source():
    found = published_matrix("mtil-2", "iCaRL")
    assert found.R.shape == (11, 11)
    assert found.R[6, found.tasks.index("StanfordCars")] == 0.497451
    assert "ZSCL" in found.source
    assert found.status == "reported"


def test_unknown_streams_and_methods_are_named_with_the_nearest():
    with pytest.raises(UsageError, match="Did you mean 'ZSCL'"):
        published_matrix("mtil-1", "ZSCLL")
    with pytest.raises(UsageError, match="mtil-3"):
        published_methods("mtil-3")
