"""The files of a run that is under way: which of them count is what its journal says."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from support.harness import flip

from vlcl_bench.common.fileio import sha256_file
from vlcl_bench.engine.journal import Journal
from vlcl_bench.engine.run_folder import RunFolder
from vlcl_bench.errors import IntegrityError
from vlcl_bench.records.files import write_predictions


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run with the states and predictions of stages 0 and 1."""
    folder = RunFolder(tmp_path, Journal(tmp_path / "journal.jsonl"))
    for stage in range(2):
        state = folder.state_path(stage)
        state.parent.mkdir()
        state.write_bytes(f"state {stage}".encode())
        folder.journal.append("learned", stage=stage, state_sha256=sha256_file(state))
        frame = pd.DataFrame({"stage": [stage] * 3, "task": ["a"] * 3, "sample": range(3), "top1": [stage, 5, 6]})
        path = folder.predictions_path(stage)
        folder.journal.append("evaluated", stage=stage, predictions_sha256=write_predictions(path, frame))
    return folder


def test_what_the_journal_vouches_for_is_given(folder: RunFolder) -> None:
    assert folder.state(1) == folder.path / "stage-01" / "state.safetensors"
    assert folder.predictions(2)[["stage", "top1"]].to_numpy().tolist() == [
        [0, 0], [0, 5], [0, 6], [1, 1], [1, 5], [1, 6],
    ]  # fmt: skip
    assert len(folder.predictions(1)) == 3


@pytest.mark.parametrize(("damage", "word"), [(flip, "damaged"), (Path.unlink, "missing")])
def test_a_file_that_is_another_than_the_journals_is_refused(folder: RunFolder, damage: object, word: str) -> None:
    damage(folder.state_path(1))  # type: ignore[operator]
    damage(folder.predictions_path(0))  # type: ignore[operator]
    with pytest.raises(IntegrityError, match=f"state .*stage-01.* is {word}") as refused:
        folder.state(1)
    assert str(folder.path) in str(refused.value.hint)
    with pytest.raises(IntegrityError, match=f"predictions .*stage-00.* are {word}"):
        folder.predictions(2)


def test_a_file_of_which_the_journal_knows_nothing_does_not_count(folder: RunFolder) -> None:
    for path in (folder.state_path(2), folder.predictions_path(2)):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"somebody's")
    with pytest.raises(IntegrityError, match="does not say how stage 2 was reached"):
        folder.state(2)
    with pytest.raises(IntegrityError, match="stage-02"):
        folder.predictions(3)


def test_files_that_are_not_needed_any_more_are_dropped(folder: RunFolder) -> None:
    folder.drop_states(1)
    assert [folder.state_path(stage).exists() for stage in (0, 1)] == [False, True]
    folder.drop_stage_predictions()
    folder.drop_stage_predictions()
    assert not folder.predictions_path(1).parent.exists()
