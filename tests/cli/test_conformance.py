"""Conformance: the untouched model's row against a published one, column by column."""

import json
import statistics
import tomllib
from pathlib import Path

import pytest
from support.harness import TASKS, vlcl

from vlcl_bench.cli.diagnostics import conformance
from vlcl_bench.cli.diagnostics.conformance import Column, Result, published_row
from vlcl_bench.errors import UsageError
from vlcl_bench.protocols.load import load_protocol

ROWS = tomllib.loads(conformance.FILE.read_text(encoding="utf-8"))
NAMES = sorted(set(ROWS) - {"reasons"})
SUBMISSIONS = Path(__file__).parents[2] / "submissions"


@pytest.fixture
def measured(unbroken):
    """Stage 0 of a run of another method: the untouched model's row."""
    scores = json.loads((unbroken / "run.json").read_text())["scores"]
    return dict(zip(scores["tasks"], scores["zero_shot"], strict=True))


@pytest.fixture
def publish(world, tmp_path, monkeypatch):
    """Makes a published row for the tiny protocol."""

    def make(scores, tolerance=0.3, tolerances=None, backbone="vlcl-mini/v1"):
        path = tmp_path / "rows.toml"
        lines = ["[tiny]", f'backbone = "{backbone}"', 'source = "a paper"', f"tolerance = {tolerance}"]
        lines += ["[tiny.scores]", *(f"{task} = {value}" for task, value in scores.items())]
        lines += ["[tiny.tolerances]", *(f"{task} = {value}" for task, value in (tolerances or {}).items())]
        lines += ["[reasons]", 'any = ["another resize"]', f'{TASKS[0]} = ["names in lower case"]']
        path.write_text("\n".join(lines))
        monkeypatch.setattr(conformance, "FILE", path)

    return make


def ended(*more):
    return vlcl("conformance", "--protocol", "tiny", *more)


def test_a_row_within_its_tolerances_conforms_and_no_run_is_left(publish, measured, tmp_path):
    publish({task: value + 0.2 for task, value in measured.items()})
    found = ended("--json")
    assert found.code == 0, found.err
    assert set(found.json) == {"protocol", "backbone", "source", "conforms", "columns"}
    assert (found.json["protocol"], found.json["backbone"], found.json["conforms"]) == ("tiny", "vlcl-mini/v1", True)
    assert {column["task"]: column["measured"] for column in found.json["columns"]} == measured
    for column in found.json["columns"]:
        assert column["difference"] == pytest.approx(-0.2)
        assert (column["fits"], column["tolerance"]) == (True, 0.3)
    assert not (tmp_path / "runs").exists()


def test_a_column_that_is_off_is_named_with_its_usual_reasons(publish, measured):
    publish({**measured, TASKS[0]: measured[TASKS[0]] - 2})
    found = ended()
    assert found.code == 3
    assert f"{TASKS[0]} is off by +2.00. Usual reasons:" in found.out
    assert found.out.index("names in lower case") < found.out.index("another resize")
    assert f"{TASKS[1]} is off" not in found.out
    assert "does not conform" in found.out
    assert "published by: a paper" in found.out


def test_a_column_may_have_a_tolerance_of_its_own(publish, measured):
    off = {task: value + 2 for task, value in measured.items()}
    publish(off, tolerances={TASKS[1]: 2.5})
    found = ended("--json")
    assert found.code == 3
    assert [column["fits"] for column in found.json["columns"]] == [False, True]
    assert not found.json["conforms"]


def test_the_row_of_another_backbone_is_refused(publish, measured):
    publish(measured, backbone="ViT-B-16-quickgelu/openai")
    found = ended("--backbone", "vlcl-mini/v1")
    assert found.code == 2
    assert "the published row of tiny is ViT-B-16-quickgelu/openai's, not vlcl-mini/v1's" in found.err
    assert "ViT-B-16-quickgelu/<file>" in found.err


@pytest.mark.parametrize("backbone", ["vlcl-minor/v1", "ViT-B-16/openai", "RN50"])
def test_other_models_than_the_rows_are_refused(publish, measured, backbone):
    publish(measured)
    assert ended("--backbone", backbone).code == 2


def test_a_protocol_without_a_row_is_refused(world):
    found = ended()
    assert found.code == 2
    assert "no published zero-shot row is known for protocol 'tiny'" in found.err
    assert "mtil-1" in found.err


# The verdict


@pytest.mark.parametrize(
    ("here", "published", "tolerance", "fits"),
    [
        (24.5, 24.3, 0.3, True), (24.0, 24.3, 0.5, True), (24.61, 24.3, 0.3, False), (23.99, 24.3, 0.3, False),
        (65.9, 65.2, 0.7 + 1e-9, True),
    ],
)  # fmt: skip
def test_a_column_fits_within_its_tolerance_both_ways(here, published, tolerance, fits):
    column = Column("a", here, published, tolerance, ())
    assert column.fits is fits
    assert column.difference == pytest.approx(here - published)
    assert Result("p", "b", "s", (column,)).conforms is fits


# The rows that come with the package


@pytest.mark.parametrize("name", NAMES)
def test_a_row_names_exactly_the_tasks_of_its_protocol(name):
    protocol = load_protocol(name)
    row, _ = published_row(name)
    assert tuple(row.scores) == protocol.task_names
    assert row.backbone == protocol.backbone
    assert set(row.tolerances) <= set(row.scores)
    assert all(0 < score < 100 for score in row.scores.values())


@pytest.mark.parametrize("name", ["mtil-1", "mtil-2"])
def test_the_published_row_of_mtil_has_the_published_mean(name):
    row, _ = published_row(name)
    assert round(statistics.mean(row.scores.values()), 1) == 65.3


def test_both_orders_of_mtil_have_the_same_columns():
    one, two = (published_row(name)[0] for name in ("mtil-1", "mtil-2"))
    assert (one.scores, one.tolerances, one.tolerance) == (two.scores, two.tolerances, two.tolerance)


@pytest.mark.parametrize("name", NAMES)
def test_every_column_has_reasons(name):
    row, reasons = published_row(name)
    assert reasons["any"]
    if load_protocol(name).scale == "full":
        assert all(reasons.get(task) for task in row.scores)


def test_reasons_are_given_for_known_tasks_only():
    known = {task for name in NAMES for task in ROWS[name]["scores"]}
    assert set(ROWS["reasons"]) - {"any"} <= known


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("mini-")])
def test_the_mini_rows_are_those_of_the_committed_records(name):
    records = [json.loads(path.read_text()) for path in SUBMISSIONS.glob("zero_shot/runs/*/run.json")]
    found = [record["scores"] for record in records if record["identity"]["protocol"] == name]
    if not found:
        pytest.skip(f"no record of zero_shot on {name} is committed")
    (scores,) = found
    row, _ = published_row(name)
    expected = [round(value, 1) for value in scores["zero_shot"]]
    assert [round(row.scores[task], 1) for task in scores["tasks"]] == expected


def test_an_unknown_protocol_has_no_row():
    with pytest.raises(UsageError, match="no published zero-shot row"):
        published_row("mini-dev")
