"""Compact records: smaller predictions, the same scores."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from vlcl_bench.common.fileio import sha256_file
from vlcl_bench.errors import IntegrityError
from vlcl_bench.records.files import (
    PREDICTIONS_NAME,
    compact_predictions,
    compact_record,
    read_predictions,
    read_record,
)
from vlcl_bench.records.rescoring import rescored
from vlcl_bench.scoring.classes import LOGIT_COLUMNS
from vlcl_bench.scoring.ground_truth import ground_truth

COMMITTED = next(Path(__file__).parents[2].glob("submissions/zero_shot/runs/*"))


@pytest.fixture
def full(tmp_path):
    """A committed record with logits put back, as a run leaves it."""
    folder = tmp_path / "full"
    shutil.copytree(COMMITTED, folder)
    frame = read_predictions(folder / PREDICTIONS_NAME)
    for k, name in enumerate(LOGIT_COLUMNS, 1):
        frame[name] = (-float(k) * (frame[f"top{k}"] >= 0)).where(frame[f"top{k}"] >= 0).astype("float32")
    frame = frame.sample(frac=1, random_state=0)
    record = read_record(folder).model_copy(update={"predictions_full_sha256": ""})
    from vlcl_bench.records.files import write_predictions, write_record

    digest = write_predictions(folder / PREDICTIONS_NAME, frame)
    write_record(folder, record.model_copy(update={"predictions_sha256": digest}))
    return folder


def test_a_compact_record_gives_the_same_scores_and_names_the_file_it_came_from(full, tmp_path):
    target, before = tmp_path / "compact", read_record(full)
    record = compact_record(full, target)
    assert record == read_record(target)
    assert record.predictions_full_sha256 == before.predictions_sha256
    assert record.predictions_sha256 == sha256_file(target / PREDICTIONS_NAME) != before.predictions_sha256
    assert rescored(target, record) == rescored(full, before)
    assert record.run_hash == before.run_hash
    assert (target / PREDICTIONS_NAME).stat().st_size < 0.5 * (full / PREDICTIONS_NAME).stat().st_size


def test_making_it_compact_twice_changes_nothing(full):
    compact_record(full, full)
    bytes_then = [(full / name).read_bytes() for name in ("run.json", PREDICTIONS_NAME)]
    compact_record(full, full)
    assert [(full / name).read_bytes() for name in ("run.json", PREDICTIONS_NAME)] == bytes_then


def test_the_answers_are_all_there_whatever_the_order_of_rows():
    asked = ["stage", "task", "sample"]
    frame = read_predictions(COMMITTED / PREDICTIONS_NAME)
    pd.testing.assert_frame_equal(
        compact_predictions(frame.sample(frac=1, random_state=1)), compact_predictions(frame), check_dtype=False
    )
    again = compact_predictions(frame).sort_values(asked, ignore_index=True)
    expected = frame.astype({"task": str}).sort_values(asked, ignore_index=True)
    pd.testing.assert_frame_equal(again, expected[list(again.columns)], check_dtype=False)


def test_a_damaged_run_is_not_made_to_look_whole(full, tmp_path):
    path = full / PREDICTIONS_NAME
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(IntegrityError, match="damaged"):
        compact_record(full, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_part_of_the_logits_is_no_form_of_predictions(full):
    frame = read_predictions(full / PREDICTIONS_NAME).drop(columns="logit5")
    from vlcl_bench.protocols.load import load_protocol

    protocol = load_protocol(read_record(full).identity.protocol)
    with pytest.raises(IntegrityError, match=r"missing .*logit5"):
        ground_truth(protocol).rescore(frame)
