"""The board's files: written whole, the same for the same records, and refused by ``--check`` when stale."""

import shutil
from pathlib import Path

import pytest
from harness import vlcl

from vlcl_bench.board.collect import board_files, build_from_runs, check_board
from vlcl_bench.errors import IntegrityError, UsageError

ROOT = Path(__file__).parents[1]


@pytest.fixture
def runs(tmp_path):
    """A folder with two committed runs of methods that took no time."""
    for run in sorted(ROOT.glob("submissions/zero_shot/runs/*")):
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
    with pytest.raises(IntegrityError, match=r"README\.md, leaderboard\.csv, leaderboard\.json in") as refused:
        check_board(runs, tmp_path / "nothing")
    assert "more lines" in refused.value.message
    assert len(refused.value.message.splitlines()) < 30


def test_a_folder_that_is_not_there_is_a_users_error(tmp_path):
    with pytest.raises(UsageError, match="there is no folder"):
        check_board(tmp_path / "nowhere", tmp_path)


@pytest.mark.slow
def test_the_committed_board_is_what_the_committed_records_give(monkeypatch):
    monkeypatch.chdir(ROOT)
    check_board(Path("submissions"), Path("leaderboard"))
