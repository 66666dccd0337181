"""The board's files: written whole, the same for the same records, and refused by ``--check`` when stale."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from support.harness import vlcl

from vlcl_bench.board.build import board_of
from vlcl_bench.board.build import build_from_runs as build_declared
from vlcl_bench.board.build import check_board as check_declared
from vlcl_bench.board.readme import renewed
from vlcl_bench.board.summaries import ablation
from vlcl_bench.errors import IntegrityError, UsageError
from vlcl_bench.records.files import read_record, write_record
from vlcl_bench.submissions.declared import SubmissionDeclarations

ROOT = Path(__file__).parents[2]


def board_files(runs, **how):
    board = board_of(runs, SubmissionDeclarations(), **how)
    return board.files, board.counts


def build_from_runs(runs, out, **how):
    return build_declared(runs, out, SubmissionDeclarations(), **how)


def check_board(runs, out, **how):
    return check_declared(runs, out, SubmissionDeclarations(), **how)


def why_unranked(folder):
    record = read_record(folder)
    return ablation(record, SubmissionDeclarations().of(folder, record))


@pytest.fixture
def runs(tmp_path):
    """A folder with two committed runs of methods that took no time."""
    for run in sorted(ROOT.glob("submissions/zero_shot/runs/*")):
        if read_record(run).identity.protocol.startswith("mini-mtil"):
            shutil.copytree(run, tmp_path / "submissions" / "zero_shot" / "runs" / run.name)
    return tmp_path / "submissions"


def test_the_files_written_are_those_of_the_records(runs, tmp_path):
    built = build_from_runs(runs, tmp_path / "board")
    files, counts = board_files(runs, include_unverifiable=False)
    assert {Path(path).name: Path(path).read_bytes() for path in built["files"]} == {
        n: t.encode() for n, t in files.items()
    }
    assert (built["runs"], built["rescored"]) == (counts["runs"], counts["rescored"]) == (2, 2)
    assert sorted(path.name for path in (tmp_path / "board").iterdir()) == sorted(files)


def test_the_order_in_which_records_lie_does_not_matter(runs, tmp_path):
    expected, _ = board_files(runs, include_unverifiable=False)
    first = min(runs.glob("zero_shot/runs/*"))
    first.rename(first.with_name("zzz"))
    found, _ = board_files(runs, include_unverifiable=False)
    assert {name: text.replace("runs/zzz", f"runs/{first.name}") for name, text in found.items()} == expected


def test_a_board_that_is_up_to_date_passes_the_check_and_nothing_is_written(runs, tmp_path):
    build_from_runs(runs, tmp_path / "board")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "board").iterdir()}
    assert check_board(runs, tmp_path / "board")["rescored"] == 2
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "board").iterdir()} == before


@pytest.mark.parametrize("damage", ["edited", "missing", "a new record"])
def test_a_stale_board_is_refused_with_what_differs(damage, runs, tmp_path):
    board = tmp_path / "board"
    if damage == "a new record":
        held = max(runs.glob("zero_shot/runs/*"))
        shutil.move(held, tmp_path / "held")
        build_from_runs(runs, board)
        shutil.move(tmp_path / "held", held)
    else:
        build_from_runs(runs, board)
    if damage == "edited":
        page = board / "README.md"
        page.write_text(page.read_text().replace("| 65.2 |", "| 99.9 |"))
    if damage == "missing":
        (board / "leaderboard.csv").unlink()
    ended = vlcl("leaderboard", "build", "--check", "--runs", runs, "--out", board)
    assert ended.code == 3
    name = {"edited": "README.md", "missing": "leaderboard.csv"}.get(damage, "leaderboard.json")
    assert name in ended.err
    assert "vlcl leaderboard build" in ended.err
    if damage == "edited":
        assert "99.9" in ended.err


def test_what_is_stale_is_told_by_name_and_long_differences_are_cut(runs, tmp_path):
    with pytest.raises(
        IntegrityError, match=r"README\.md, leaderboard\.csv, leaderboard\.json, index\.html in"
    ) as refused:
        check_board(runs, tmp_path / "nothing")
    assert "more lines" in refused.value.message
    assert len(refused.value.message.splitlines()) < 30


MARKED = "Before.\n\n<!-- board:mini-mtil-1 -->\nold\n<!-- /board -->\n\nAfter.\n"


def test_the_readmes_tables_are_renewed_with_the_committed_board_and_checked(runs, tmp_path):
    readme, board = tmp_path / "README.md", tmp_path / "leaderboard"
    readme.write_text(MARKED)
    built = build_from_runs(runs, board)
    text = readme.read_text()
    assert str(readme) in built["files"]
    assert text.startswith("Before.\n\n<!-- board:mini-mtil-1 -->\n| Ranks | Method | n |")
    assert "| 1 | Zero-shot | 1 | 67.2 | 65.2 | 65.2 | 0.0 | 65.2 |\n<!-- /board -->\n\nAfter.\n" in text
    check_board(runs, board)
    readme.write_text(text.replace("65.2", "99.9"))
    with pytest.raises(IntegrityError, match=r"README\.md in"):
        check_board(runs, board)


def test_a_readmes_table_may_show_the_first_rows_alone(runs):
    row = board_of(runs, SubmissionDeclarations()).rows[0]
    rows = [replace(row, method_title=name, rank=rank) for rank, name in enumerate(("First", "Second", "Third"), 1)]
    marked = MARKED.replace("mini-mtil-1", f"{row.protocol} top 2")
    found = renewed(marked, rows)
    assert ("First" in found, "Second" in found, "Third" in found) == (True, True, False)
    assert renewed(found, rows) == found
    assert "Third" in renewed(marked.replace(" top 2", ""), rows)


@pytest.mark.parametrize("words", ["top 0", "top", "top five", "first 5"])
def test_a_marker_that_says_something_else_is_refused(runs, tmp_path, words):
    (tmp_path / "README.md").write_text(MARKED.replace("mini-mtil-1", f"mini-mtil-1 {words}"))
    with pytest.raises(IntegrityError, match="marker"):
        build_from_runs(runs, tmp_path / "leaderboard")


def test_a_board_elsewhere_leaves_the_readme_above_it_alone(runs, tmp_path):
    (tmp_path / "README.md").write_text(MARKED)
    build_from_runs(runs, tmp_path / "board")
    assert (tmp_path / "README.md").read_text() == MARKED


def test_a_marker_without_an_end_is_refused(runs, tmp_path):
    (tmp_path / "README.md").write_text("<!-- board:mini-mtil-1 -->\n<!-- board:mini-mtil-2 -->\n<!-- /board -->\n")
    with pytest.raises(IntegrityError, match="has no end"):
        build_from_runs(runs, tmp_path / "leaderboard")


def test_zero_shot_is_itself_in_all_cells_before_their_task(runs):
    entries = json.loads(board_files(runs, include_unverifiable=False)[0]["leaderboard.json"])["entries"]
    assert [one["unchanged_from_zero_shot"] for one in entries] == [{"cells": 55, "of": 55}] * 2


def test_the_same_run_in_full_and_compact_is_one_run(runs, tmp_path):
    first = min(runs.glob("zero_shot/runs/*"))
    copy = first.with_name("copy")
    shutil.copytree(first, copy)
    record = json.loads((first / "run.json").read_text())
    full = record["predictions_full_sha256"] or "f" * 64
    (first / "run.json").write_text(json.dumps(record | {"predictions_full_sha256": full}))
    (copy / "run.json").write_text(json.dumps(record | {"predictions_full_sha256": "", "predictions_sha256": full}))
    assert board_files(runs, include_unverifiable=False)[1]["runs"] == 2


def test_a_folder_that_is_not_there_is_a_users_error(tmp_path):
    with pytest.raises(UsageError, match="there is no folder"):
        check_board(tmp_path / "nowhere", tmp_path)


@pytest.mark.slow
def test_the_committed_board_is_what_the_committed_records_give(monkeypatch):
    monkeypatch.chdir(ROOT)
    check_board(Path("submissions"), Path("leaderboard"))


# Entries and ablations


@pytest.fixture
def l2_run(tmp_path):
    """A run of a reference method in a submission, and a function that gives it another setting."""
    source = min(ROOT.glob("submissions/l2/runs/*"))
    folder = tmp_path / "submissions" / "l2" / "runs" / source.name
    shutil.copytree(source, folder)
    shutil.copy(ROOT / "submissions" / "l2" / "submission.toml", folder.parents[1])

    def with_settings(**settings):
        record = read_record(source)
        identity = record.identity.model_copy(update={"settings": {**record.identity.settings, **settings}})
        write_record(folder, record.model_copy(update={"identity": identity, "run_hash": identity.run_hash}))
        return why_unranked(folder)

    return folder, with_settings


def test_of_a_reference_method_the_defaults_and_declared_settings_are_ranked(l2_run):
    folder, with_settings = l2_run
    assert with_settings() == ""
    assert with_settings(weight=0.123) == "a variant that is not declared as an entry"
    declared = folder.parents[1] / "submission.toml"
    declared.write_text(declared.read_text() + "entries = [{ weight = 0.5 }, { weight = 0.123 }]\n")
    assert with_settings(weight=0.123) == ""
    assert with_settings(weight=0.124) != ""


def test_of_another_peoples_method_the_only_undeclared_settings_are_ranked(l2_run):
    folder, _ = l2_run
    mine = folder.parents[2] / "mine"
    shutil.copytree(folder.parents[1], mine)
    declared = mine / "submission.toml"
    declared.write_text(declared.read_text().replace("../../baselines/l2.py", "method.py"))

    def put(name, **settings):
        record = read_record(folder)
        identity = record.identity.model_copy(update={"method": "mine", "settings": settings})
        write_record(
            mine / "runs" / name, record.model_copy(update={"identity": identity, "run_hash": identity.run_hash})
        )

    first = mine / "runs" / folder.name
    put(folder.name, weight=1)
    assert why_unranked(first) == ""
    put("other", weight=2)
    for run in (first, mine / "runs" / "other"):
        assert why_unranked(run) == "one of several settings, none of which is declared"
    declared.write_text(declared.read_text() + "entries = [{ weight = 2 }]\n")
    for run in (first, mine / "runs" / "other"):
        assert why_unranked(run) == ""


def test_runs_that_are_in_no_submission_may_be_ranked_whatever_their_settings(l2_run):
    folder, with_settings = l2_run
    (folder.parents[1] / "submission.toml").unlink()
    assert with_settings(weight=0.123) == ""


def test_the_committed_ablations_are_shown_and_not_ranked():
    rows = json.loads((ROOT / "leaderboard" / "leaderboard.json").read_text())["entries"]
    own = [row for row in rows if (row["protocol"], row["method"]) == ("mini-c2r", "auto_seed_vl2")]
    assert [row["label"] for row in own if row["rank"] is not None] == [""]
    assert len(own) == 11
    assert {row["label"] for row in rows if row["method"] == "er_vlm" and row["rank"]} == {"", "budget=equal_bytes"}


# What has changed since


def test_a_record_of_an_earlier_source_of_a_reference_method_says_so_and_stays_ranked(l2_run):
    folder, _ = l2_run
    runs = folder.parents[2]

    def texts():
        files, _ = board_files(runs)
        (entry,) = json.loads(files["leaderboard.json"])["entries"]
        return entry, files

    entry, files = texts()
    assert entry["earlier_source"] is False
    assert "of an earlier source" not in files["README.md"]
    record = read_record(folder)
    identity = record.identity.model_copy(update={"method_source_sha256": "0" * 64})
    changed = record.model_copy(update={"identity": identity, "run_hash": identity.run_hash, "deterministic": True})
    write_record(folder, changed)
    entry, files = texts()
    assert entry["earlier_source"] is True
    assert (entry["rank"], entry["metrics"]["avg"]["mean"]) == (1, round(record.scores["metrics"]["avg"], 4))
    assert "| rescored, of an earlier source |" in files["README.md"]
    assert ",rescored,yes,yes,1," in files["leaderboard.csv"]
    assert '"earlier":true' in files["index.html"]


def test_what_a_strangers_record_says_of_its_defaults_labels_it_and_does_not_rank_it(l2_run):
    folder, _ = l2_run
    home = folder.parents[1]
    mine = home.with_name("mine")
    shutil.copytree(home, mine)
    shutil.rmtree(home)
    declared = mine / "submission.toml"
    declared.write_text(declared.read_text().replace("../../baselines/l2.py", "method.py"))
    record = read_record(mine / "runs" / folder.name)
    shutil.rmtree(mine / "runs")
    for weight in (1, 2):
        identity = record.identity.model_copy(update={"method": "mine", "settings": {"weight": weight}})
        changes = {"identity": identity, "run_hash": identity.run_hash, "defaults": {"weight": weight}}
        target = mine / "runs" / identity.run_hash
        shutil.copytree(next(ROOT.glob(f"submissions/l2/runs/{folder.name}")), target)
        write_record(target, record.model_copy(update=changes))
    entries = json.loads(board_files(mine.parent)[0]["leaderboard.json"])["entries"]
    assert [entry["unranked"] for entry in entries] == ["one of several settings, none of which is declared"] * 2
    assert {entry["label"] for entry in entries} == {""}
