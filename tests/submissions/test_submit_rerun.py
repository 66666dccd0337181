"""Running a submission's records again: what is confirmed, what is not, and what the file beside a record says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.harness import World, method_file, vlcl
from support.submission_fixture import committed

from vlcl_bench.errors import IntegrityError
from vlcl_bench.records.files import (
    PREDICTIONS_NAME,
    RECORD_NAME,
    compact_record,
    read_predictions,
    read_record,
    write_predictions,
)
from vlcl_bench.records.reruns import RERUN_NAME, rerun_of
from vlcl_bench.submissions.rerun import _other_facts

BODY = """
    def learn(self, task, ctx):
        with torch.no_grad():
            self.backbone.logit_scale_change = None
            for _, parameter in self.backbone.trainable_parameters():
                parameter += 1e-3 * torch.randn(parameter.shape)
"""


@pytest.fixture(scope="module")
def submitted_once(shared_world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A submission with one record of the tiny protocol, compact; not to be changed."""
    from support.harness import enter

    folder = tmp_path_factory.mktemp("submissions") / "mine"
    method_file(folder, BODY, "Method", "method.py")
    run = folder.parent / "run"
    with pytest.MonkeyPatch.context() as monkeypatch:
        enter(shared_world, monkeypatch)
        ended = vlcl(
            "run", "--protocol", "tiny", "--method", folder, "--out", run, "--isolation", "inline",
            "--keep-states", "none",
        )  # fmt: skip
    assert ended.code == 0, ended.err
    compact_record(run, folder / "runs" / read_record(run).run_hash)
    return folder


@pytest.fixture
def submitted(submitted_once: Path, tmp_path: Path, world: World) -> Path:
    return Path(shutil.copytree(submitted_once, tmp_path / "mine"))


def record_folder(submission: Path) -> Path:
    (path,) = (submission / "runs").iterdir()
    return path


def rerun(submission: Path, *more: object) -> Any:
    return vlcl("submit", "rerun", submission, "--isolation", "inline", "--json", *more)


def change_record(folder: Path, **facts: Any) -> None:
    path = folder / RECORD_NAME
    record = json.loads(path.read_text())
    for key, value in facts.items():
        record[key] = record[key] | value if isinstance(value, dict) else value
    path.write_text(json.dumps(record))


def change_answers(folder: Path, share: float) -> None:
    """Give other first answers at the last stage's first task: stored scores are not looked at."""
    frame = read_predictions(folder / PREDICTIONS_NAME)
    rows = frame.index[: max(1, int(share * len(frame)))]
    one, two = frame.loc[rows, "top1"].copy(), frame.loc[rows, "top2"].copy()
    frame.loc[rows, "top1"], frame.loc[rows, "top2"] = two, one
    change_record(folder, predictions_sha256=write_predictions(folder / PREDICTIONS_NAME, pd.DataFrame(frame)))


def test_an_honest_record_is_confirmed_and_says_so(submitted: Path) -> None:
    folder = record_folder(submitted)
    assert rerun_of(folder, read_record(folder)) is None
    ended = rerun(submitted)
    assert ended.code == 0, ended.err
    (result,) = ended.json["reruns"]
    assert (result["confirmed"], result["identical"], result["agreement"]) == (True, True, 100.0)
    record = read_record(folder)
    found = rerun_of(folder, record)
    assert found is not None
    assert found.exact
    assert found.equal == found.answers == len(read_predictions(folder / PREDICTIONS_NAME))
    text = (folder / RERUN_NAME).read_text()
    assert str(submitted) not in text
    again = vlcl("submit", "rerun", submitted, "--isolation", "inline")
    assert "confirmed, every prediction is equal" in again.out
    assert (folder / RERUN_NAME).read_text() == text

    change_record(folder, predictions_sha256="0" * 64)
    with pytest.raises(IntegrityError, match="compared other predictions"):
        rerun_of(folder, read_record(folder))


def test_one_changed_answer_is_found_where_it_is(submitted: Path) -> None:
    folder = record_folder(submitted)
    change_answers(folder, 0)
    ended = rerun(submitted)
    assert ended.code == 3
    (result,) = ended.json["reruns"]
    (problem,) = (finding["message"] for finding in result["findings"])
    assert "1 of 900 rows of predictions differ, and equal ones were expected" in problem
    assert "stage 0, dev-activities: 1 of 200 answers differ" in problem
    assert not (folder / RERUN_NAME).exists()


def test_on_another_machine_few_changed_answers_pass_and_many_do_not(submitted: Path) -> None:
    folder = record_folder(submitted)
    change_record(folder, provenance={"torch": "1.0"})
    change_answers(folder, 0.002)
    ended = rerun(submitted)
    assert ended.code == 0, ended.out
    (result,) = ended.json["reruns"]
    assert (result["confirmed"], result["identical"]) == (True, False)
    assert result["not_exact_because"][0].startswith("torch '1.0' there")
    found = rerun_of(folder, read_record(folder))
    assert found is not None
    assert not found.exact
    assert 98 < found.share < 100

    change_answers(folder, 0.2)
    ended = rerun(submitted)
    assert ended.code == 3
    assert "of the answers are equal, at least 98 % were expected" in ended.json["reruns"][0]["findings"][0]["message"]


def test_another_method_file_is_not_run(submitted: Path) -> None:
    (submitted / "method.py").write_text((submitted / "method.py").read_text() + "\nchanged = True\n")
    ended = rerun(submitted)
    assert ended.code == 3
    assert "was made with another method.py" in ended.json["reruns"][0]["findings"][0]["message"]


def test_the_run_it_was_copied_from_is_no_rerun(submitted: Path, submitted_once: Path, tmp_path: Path) -> None:
    run_hash = record_folder(submitted).name
    shutil.copytree(submitted_once.parent / "run", tmp_path / "own" / run_hash)
    ended = rerun(submitted, "--runs", tmp_path / "own")
    assert ended.code == 3
    assert "is the very run that the record was copied from" in ended.json["reruns"][0]["findings"][0]["message"]


def test_missing_folders_and_records_are_named(submitted: Path, tmp_path: Path) -> None:
    assert rerun(tmp_path / "nothing").code == 2
    ended = rerun(submitted, "--run", "ffffffff")
    assert ended.code == 2
    assert "no record whose hash begins with 'ffffffff'" in ended.err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"equal": 10}, "identical predictions have equal answers"),
        ({"identical": False}, "equal predictions were expected and not found"),
        ({"identical": False, "exact": False, "equal": 800}, "are too few"),
        ({"equal": 901}, "more answers are equal than there are"),
        ({"run_hash": "0" * 16}, "is of run 0000000000000000"),
        ({"rerun_predictions_sha256": None}, "rerun_predictions_sha256"),
        ({"praise": "high"}, "praise"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(
    submitted_once: Path, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    folder = tmp_path / "record"
    shutil.copytree(record_folder(submitted_once), folder)
    record = read_record(folder)
    facts = {
        "schema_version": 1, "run_hash": record.run_hash, "predictions_sha256": record.predictions_sha256,
        "rerun_predictions_sha256": "a" * 64, "exact": True, "identical": True, "answers": 900, "equal": 900,
        "largest_difference": 0.0, "provenance": record.provenance.model_dump(),
    }  # fmt: skip
    (folder / RERUN_NAME).write_text(json.dumps(facts))
    assert rerun_of(folder, record) is not None
    (folder / RERUN_NAME).write_text(json.dumps(facts | change))
    with pytest.raises(IntegrityError, match=said) as caught:
        rerun_of(folder, record)
    assert "vlcl submit rerun" in str(caught.value.hint)


def test_what_an_older_record_does_not_count_is_no_difference_and_what_it_counts_is() -> None:
    older = read_record(committed("mini-mtil-1", 0))

    def counted(steps: int | None) -> Any:
        return older.model_copy(update={"usage": older.usage.model_copy(update={"own_steps": steps, "own_samples": 9})})

    assert "own_steps" not in older.usage.model_dump()
    assert _other_facts(older, counted(4)) == []
    assert _other_facts(counted(5), counted(4)) == ["own_steps is 5 in the record, 4 here"]
