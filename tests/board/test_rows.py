"""The board: the same bytes from the same records, honest about seeds, tracks, status and differences."""

import csv
import io
import json
import math
import random
import statistics
from dataclasses import replace

import pytest

from vlcl_bench.board.files import RunSummary, board_text
from vlcl_bench.board.rows import board_rows
from vlcl_bench.errors import IntegrityError
from vlcl_bench.scoring.columns import by_unit, columns


def run(method="ft", seed=0, avg=60.0, **changes):
    metrics = {"transfer": avg - 7, "avg": avg, "last": avg + 5, "bwt": -avg / 10, "fwt": None}
    metrics |= {"forgetting": avg / 9, "diagonal": avg + 11}
    base = RunSummary(
        run_hash=f"{method}-{seed}",
        protocol="mini-mtil-1",
        protocol_title="Mini MTIL, order I",
        method=method,
        method_title=method.upper(),
        entry_id="default-digest",
        seed=seed,
        track="standard",
        deterministic=False,
        backbone="mini-vit",
        metrics=metrics,
        status="rescored",
        source=f"submissions/{method}/runs/{method}-{seed}/run.json",
        cost={"seconds_total": 60.0 + seed, "peak_memory_bytes": 1.5e9, "bytes_between_tasks": 1234567},
    )
    return replace(base, **changes)


def three(method, *averages, **changes):
    return [run(method, seed, avg, **changes) for seed, avg in enumerate(averages)]


def many():
    return [
        *three("l2", 60.0, 61.5, 63.1),
        *three("gift", 70.1, 70.2, 70.6),
        *three("zscl", 68.0, 69.9, 71.0, protocol="mini-mtil-2", protocol_title="Mini MTIL, order II"),
        *three("big", 80.0, 81.0, 82.0, track="open-budget"),
        run("zero-shot", 0, 65.0, deterministic=True),
        run("once", 0, 99.0),
        run("claimed", 0, 98.0, status="self-reported"),
        run("failed", 0, metrics=None, cost={}),
        *three("twin", 50.0, 51.0, 52.0, agnostic_metrics={"transfer": 30.0, "avg": 33.3, "last": 35.0}),
    ]


def by_method(runs):
    return {row.method: row for row in board_rows(runs)}


def entries(runs):
    return {entry["method"]: entry for entry in json.loads(board_text(runs)["leaderboard.json"])["entries"]}


def measured_lines(runs, method_title):
    """The Markdown lines of the measured part that start a row of ``method_title``."""
    measured = board_text(runs)["README.md"].split("## Published numbers")[0]
    return [line for line in measured.splitlines() if f"| {method_title} |" in line]


def test_the_board_is_byte_identical_for_shuffled_runs():
    expected = board_text(many())
    assert set(expected) == {"README.md", "leaderboard.csv", "leaderboard.json", "index.html"}
    for seed in range(5):
        runs = many()
        random.Random(seed).shuffle(runs)
        assert board_text(runs) == expected


def test_files_of_the_board_end_their_lines_alike():
    for content in board_text(many()).values():
        assert "\r" not in content
        assert content.endswith("\n")


def test_means_and_sample_deviations_are_those_of_the_seeds():
    values = [60.0, 61.5, 63.1]
    found = entries(three("l2", *values))["l2"]
    assert found["metrics"]["avg"]["mean"] == round(sum(values) / 3, 4)
    assert found["metrics"]["avg"]["sd"] == round(statistics.stdev(values), 4)
    assert found["metrics"]["fwt"] is None
    assert found["seeds"] == 3
    assert "61.5 ± 1.6" in measured_lines(three("l2", *values), "L2")[0]


def test_one_seed_shows_no_deviation():
    assert entries([run()])["ft"]["metrics"]["avg"] == {"mean": 60.0, "sd": None}
    assert "±" not in measured_lines([run()], "FT")[0]


def test_only_three_seeds_are_ranked_and_others_stand_below_with_the_reason():
    rows = board_rows([*three("l2", 60, 61, 62), *three("gift", 70, 71, 72), run("once", 0, 99.0)])
    assert [(row.method, row.rank) for row in rows] == [("gift", 1), ("l2", 2), ("once", None)]
    line = measured_lines([run("once", 0, 99.0)], "ONCE")[0]
    assert line.startswith("| – | ONCE |")
    assert "unranked (n = 1 of 3 seeds)" in line
    two = by_method(three("pair", 99, 98))["pair"]
    assert (two.rank, two.why_unranked) == (None, "n = 2 of 3 seeds")


def test_a_deterministic_entry_is_ranked_with_one_seed():
    rows = by_method([*three("l2", 60, 61, 62), run("zero-shot", 0, 65.0, deterministic=True)])
    assert (rows["zero-shot"].rank, rows["l2"].rank) == (1, 2)


def test_ranks_follow_unrounded_averages_and_equal_averages_share_one():
    runs = [*three("a", 70.01, 70.01, 70.01), *three("b", 70.04, 70.04, 70.04)]
    runs += [*three("c", 70.01, 70.01, 70.01), *three("d", 69, 69, 69)]
    assert [(r.method, r.rank) for r in board_rows(runs)] == [("b", 1), ("a", 2), ("c", 2), ("d", 4)]


def test_protocols_and_tracks_are_ranked_apart_with_the_standard_track_first():
    rows = board_rows(many())
    keys = [(row.protocol, row.track) for row in rows]
    assert list(dict.fromkeys(keys)) == [
        ("mini-mtil-1", "standard"),
        ("mini-mtil-1", "open-budget"),
        ("mini-mtil-2", "standard"),
    ]
    first = [row.method for row in rows if row.rank == 1]
    assert first == ["gift", "big", "zscl"]


def test_what_cannot_be_rescored_is_shown_but_not_ranked():
    rows = by_method([*three("claimed", 98, 98, 98, status="self-reported"), *three("l2", 60, 61, 62)])
    assert (rows["claimed"].rank, rows["claimed"].why_unranked) == (None, "self-reported")
    assert rows["l2"].rank == 1
    mixed = [run("x", 0), run("x", 1), run("x", 2, status="self-reported")]
    assert sorted((row.status, row.seeds) for row in board_rows(mixed)) == [
        ("rescored", 2),
        ("self-reported", 1),
    ]


def test_a_row_is_rerun_when_all_its_runs_are():
    some = [run("x", 0, status="rerun"), run("x", 1, status="rerun"), run("x", 2)]
    (row,) = board_rows(some)
    assert (row.status, row.seeds, row.rank) == ("rescored", 3, 1)
    (row,) = board_rows([replace(one, status="rerun") for one in some])
    assert (row.status, row.seeds, row.rank) == ("rerun", 3, 1)


def test_a_run_without_scores_keeps_its_row_unranked_and_never_shrinks_n():
    row = by_method([run("ft", 0), run("ft", 1), run("ft", 2), run("ft", 3, metrics=None)])["ft"]
    assert (row.seeds, row.mean("avg"), row.rank, row.why_unranked) == (4, None, None, "no scores")


@pytest.mark.parametrize(
    "change",
    [{"entry_id": "other"}, {"backbone": "other"}, {"track": "open-budget"}, {"protocol": "mini-c2r"}],
)
def test_seeds_of_different_set_ups_are_never_mixed(change):
    rows = board_rows([run(seed=0), run(seed=1), run(seed=2, **change)])
    assert sorted(row.seeds for row in rows) == [1, 2]
    assert all(row.rank is None for row in rows)


def test_one_seed_twice_is_refused_with_both_records():
    with pytest.raises(IntegrityError) as error:
        board_text([run(seed=4), run(seed=4, source="submissions/copy/run.json")])
    assert "seed 4" in error.value.message
    assert "submissions/copy/run.json" in error.value.message
    assert "submissions/ft/runs/ft-4/run.json" in error.value.message


def test_differences_are_taken_from_unrounded_means_of_the_l2_row():
    found = entries(many())
    mean = {m: found[m]["metrics"]["avg"]["mean"] for m in ("l2", "gift", "big")}
    assert found["gift"]["delta_to_l2"]["avg"] == pytest.approx(mean["gift"] - mean["l2"], abs=2e-4)
    assert found["big"]["delta_to_l2"]["last"] == pytest.approx(mean["big"] - mean["l2"], abs=2e-4)
    assert found["l2"]["delta_to_l2"] == {"transfer": 0.0, "avg": 0.0, "last": 0.0}
    assert found["zscl"]["delta_to_l2"] == {
        "transfer": None,
        "avg": None,
        "last": None,
    }  # no l2 on its protocol
    shown = [*three("l2", 60.04, 60.04, 60.04), *three("gift", 70.06, 70.06, 70.06)]
    assert "| +10.0 | +10.0 | +10.0 |" in measured_lines(shown, "GIFT")[0]  # 70.1 - 60.0 would be 10.1


def test_the_default_l2_is_the_baseline_and_never_that_of_another_backbone():
    variant = three("l2", 90, 91, 92, entry_id="a-first", label="strength = 9")
    runs = [*three("l2", 60, 61, 62), *variant, *three("ft", 50, 51, 52)]
    runs += three("ft", 50, 51, 52, backbone="other")
    rows = [row for row in board_rows(runs) if row.method == "ft"]
    assert {row.backbone: row.delta["avg"] for row in rows} == {"mini-vit": -10.0, "other": None}


def test_cost_is_the_median_over_seeds():
    seconds = [10.0, 500.0, 30.0]
    runs = [run(seed=s, cost={"seconds_total": x, "peak_memory_bytes": 2.5e8}) for s, x in enumerate(seconds)]
    assert by_method(runs)["ft"].cost["seconds_total"] == 30.0
    cost_line = measured_lines(runs, "FT")[1]
    known = {"seconds_total": "30.0", "peak_memory_bytes": "250"}
    cells = [known.get(column.id, "–") for column in by_unit(columns("cost", "samples", place="markdown"))]
    assert cost_line == f"| FT | mini-vit | 3 | {' | '.join(cells)} |"
    assert cells[0] == "30.0"
    assert sorted(set(cells)) == ["250", "30.0", "–"]


def test_task_agnostic_scores_stand_in_a_table_of_their_own():
    lines = measured_lines(many(), "TWIN")
    assert len(lines) == 3
    assert "33.3 ± 0.0" in lines[2]
    assert len(measured_lines(many(), "GIFT")) == 2


def test_the_csv_holds_one_line_per_row_of_the_board_in_its_order():
    lines = list(csv.DictReader(io.StringIO(board_text(many())["leaderboard.csv"])))
    rows = board_rows(many())
    assert [(x["method"], x["rank"]) for x in lines] == [(r.method, str(r.rank or "")) for r in rows]
    gift = next(x for x in lines if x["method"] == "gift")
    assert (gift["avg"], gift["fwt"], gift["bytes_between_tasks"]) == ("70.3000", "", "1234567")
    assert gift["sources"].split() == [f"submissions/gift/runs/gift-{s}/run.json" for s in range(3)]


def test_titles_cannot_break_the_page():
    title = "Evil | <img src=x> [a](b)\n| 1 | Winner"
    text = board_text([run(method_title=title)])["README.md"]
    line = next(line for line in text.splitlines() if "Evil" in line)
    assert "Winner" in line
    assert "<img" not in line.replace("\\<", "")
    assert line.replace("\\|", "").count("|") == measured_lines([run()], "FT")[0].count("|")


def test_an_empty_board_says_so_and_still_shows_published_numbers():
    text = board_text([])
    assert "No entries yet." in text["README.md"]
    assert "not measured here, not ranked" in text["README.md"]
    assert text["leaderboard.csv"].count("\n") == 1
    assert json.loads(text["leaderboard.json"])["entries"] == []


def test_published_numbers_are_never_among_the_measured_entries():
    text = board_text(many())
    data = json.loads(text["leaderboard.json"])
    assert {entry["method"] for entry in data["entries"]} == {run.method for run in many()}
    assert all("rank" not in row and row["status"] and row["source"] for row in data["published"])
    measured, published = text["README.md"].split("## Published numbers")
    assert "GIFT poster" not in measured
    assert "| Rank |" not in published
    assert "DIKI" not in text["leaderboard.csv"]


def test_agreement_with_the_published_order_stands_between_measured_and_published():
    averages = {"finetune": 46, "l2": 63, "lwf": 60, "icarl": 58, "zscl": 68}
    runs = [run for method, avg in averages.items() for run in three(method, avg, avg + 1, avg - 2)]
    text = board_text(runs)
    heads = [line for line in text["README.md"].splitlines() if line.startswith("## ")]
    assert [head[3:12] for head in heads] == ["Measured", "Agreement", "Published"]
    assert "| mini-mtil-1 against mtil-1 | mini-vit | 5 |" in text["README.md"]
    one, other = json.loads(text["leaderboard.json"])["agreement_with_published"]
    assert (one["published_stream"], one["n"], one["without"]) == ("mtil-1", 5, None)
    assert (other["n"], other["without"]) == (4, "icarl")
    assert one["spearman"]["avg"] == 0.6  # places 1 4 3 2 5 against 1 2 3 4 5: 1 - 6 * 8 / (5 * 24)
    assert one["methods"][0]["measured"]["avg"] == round(sum((46, 47, 44)) / 3, 4)
    assert one["methods"][0]["published"] == {"transfer": 44.6, "avg": 55.9, "last": 77.3}
    for seed in range(3):
        random.Random(seed).shuffle(runs)
        assert board_text(runs) == text
    assert board_text(runs, include_unverifiable=True)["README.md"].split("## Published")[0] in text["README.md"]


def test_a_board_with_too_few_published_methods_says_nothing_of_agreement():
    text = board_text(many())
    assert "Agreement" not in text["README.md"]
    assert json.loads(text["leaderboard.json"])["agreement_with_published"] == []


def test_unverifiable_claims_appear_only_when_asked_for():
    hidden, shown = board_text([]), board_text([], include_unverifiable=True)
    for name in ("README.md", "leaderboard.json"):
        assert "Auto-Seed VL2" not in hidden[name]
        assert "Auto-Seed VL2" in shown[name]
        assert "claimed-unverifiable" in shown[name]
    assert hidden["leaderboard.csv"] == shown["leaderboard.csv"]


def test_the_page_corrects_the_posters_misprint():
    line = next(x for x in board_text([])["README.md"].split("### mtil-2")[1].splitlines() if "LwF-VR" in x)
    assert "| 53.1 | 60.6 | 68.3 | -7.5 | -8.2 | -8.9 | reported |" in line


@pytest.mark.parametrize(
    "change",
    [
        {"track": "fast"},
        {"status": "trusted"},
        {"metrics": {"avg": math.nan}},
        {"cost": {"seconds_total": math.inf}},
    ],
)
def test_a_summary_that_no_record_can_have_is_refused(change):
    with pytest.raises(IntegrityError, match=r"submissions/ft/runs/ft-0/run\.json"):
        run(**change)


def test_runs_that_break_a_rule_on_purpose_are_not_ranked_and_say_why():
    fair, leaky = three("fair", 60.0, 61.0, 62.0), three("leaky", 80.0, 81.0, 82.0, unranked_because="it votes")
    found = {row.method: row for row in board_rows([*fair, *leaky])}
    assert (found["fair"].rank, found["fair"].why_unranked) == (1, "")
    assert (found["leaky"].rank, found["leaky"].why_unranked) == (None, "it votes")
