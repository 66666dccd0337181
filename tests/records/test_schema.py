"""The schema of a record: the keys of its file are those of the first records, whatever the attributes are called."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from vlcl_bench.records.files import read_record, write_record
from vlcl_bench.records.schema import Footprint, Identity, Record

COMMITTED = sorted(path.parent for path in (Path(__file__).parents[2] / "submissions").glob("*/runs/*/run.json"))
RENAMED = {"config": "settings", "auxiliary": "reference"}


@pytest.fixture
def folder() -> Path:
    """A committed record whose method used reference data."""
    return next(folder for folder in COMMITTED if read_record(folder).identity.reference)


def test_what_is_written_has_the_keys_of_what_was_read(folder: Path, tmp_path: Path) -> None:
    stated = json.loads((folder / "run.json").read_text())
    assert {"config", "auxiliary"} <= stated["identity"].keys()
    assert "weight" in stated
    write_record(tmp_path, read_record(folder))
    assert (tmp_path / "run.json").read_bytes() == (folder / "run.json").read_bytes()


def test_fences_are_kept_where_there_are_some_and_leave_no_trace_where_there_are_none(
    folder: Path, tmp_path: Path
) -> None:
    record = read_record(folder)
    assert record.provenance.fences == []
    assert "fences" not in record.model_dump()["provenance"]
    held = record.provenance.model_copy(update={"fences": ["audit", "seccomp"]})
    write_record(tmp_path, record.model_copy(update={"provenance": held}))
    assert read_record(tmp_path).provenance == held
    assert json.loads((tmp_path / "run.json").read_text())["provenance"]["fences"] == ["audit", "seccomp"]


def test_every_way_to_dump_a_record_gives_the_keys_of_the_file(folder: Path) -> None:
    record = read_record(folder)
    python, text = record.model_dump(), json.loads(record.model_dump_json())
    for dumped in (python, text, record.model_dump(mode="json")):
        assert "weight" in dumped
        assert "footprint" not in dumped
        assert not RENAMED.values() & dumped["identity"].keys()
    assert record.identity.model_dump()["config"] == record.identity.settings
    assert Record.model_validate(python) == record


def test_the_run_hash_is_over_the_keys_of_the_file(folder: Path) -> None:
    identity = read_record(folder).identity
    assert {"config", "auxiliary"} <= identity.facts().keys()
    assert identity.run_hash == folder.name
    by_attribute = {RENAMED.get(key, key): value for key, value in identity.facts().items()}
    assert Identity(**by_attribute).run_hash == folder.name


def test_a_wrong_value_is_named_by_the_key_that_stands_in_the_file(folder: Path) -> None:
    stated = json.loads((folder / "run.json").read_text())
    stated["weight"]["parameters_total"] = -1
    with pytest.raises(ValidationError) as refused:
        Record.model_validate(stated)
    assert refused.value.errors()[0]["loc"] == ("weight", "parameters_total")


def test_a_footprint_says_what_each_stage_keeps() -> None:
    counted = {"parameters_total": 3, "parameters_trained": 2, "parameters_added": 1, "bytes_between_tasks": 8}
    with pytest.raises(ValidationError):
        Footprint.model_validate(counted)
    assert Footprint.model_validate(counted | {"bytes_by_stage": [4, 8]}).bytes_between_tasks == 8
