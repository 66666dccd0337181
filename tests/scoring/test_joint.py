"""A jointly trained reference: read, refused where it does not fit, and only for runs from the same backbone."""

import json
from pathlib import Path

import pytest
from support.harness import vlcl

from vlcl_bench.cli.show import score_matrix, score_run
from vlcl_bench.errors import UsageError
from vlcl_bench.protocols.load import load_protocol, protocol_names
from vlcl_bench.records.files import read_record
from vlcl_bench.scoring.joint import FOLDER, known_joint, read_joint, with_joint
from vlcl_bench.scoring.metrics import continual_metrics

ROOT = Path(__file__).parents[2]
R, ROW0 = [[50.0, 20.0], [40.0, 70.0]], [45.0, 25.0]


@pytest.fixture
def file(tmp_path):
    def written(value):
        path = tmp_path / "joint.json"
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return path

    return written


def test_the_row_is_in_the_order_of_training_by_name_or_as_listed(file):
    named = read_joint(file({"accuracy": {"b": 80, "c": 10, "a": 90.5}, "source": "somewhere"}))
    assert named.row(["a", "b"]).tolist() == [90.5, 80.0]
    assert read_joint(file({"accuracy": [90.5, 80]})).row(["x", "y"]).tolist() == [90.5, 80.0]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("{", "not valid JSON"),
        ({"accuracy": {"a": 101}}, "not a jointly trained reference"),
        ({"accuracy": [None, 1]}, "not a jointly trained reference"),
        ({"accuracies": [1, 2]}, "not a jointly trained reference"),
        ({"accuracy": {"a": 90}}, "no accuracy on b"),
        ({"accuracy": [90]}, "has 1 values; there are 2 tasks"),
    ],
)
def test_what_is_no_reference_of_these_tasks_is_refused(file, value, words):
    with pytest.raises(UsageError, match=words):
        read_joint(file(value)).row(["a", "b"])


def test_scores_with_a_reference_hold_its_row_and_what_they_had(file):
    scores = {"tasks": ["a", "b"], "matrix": R, "zero_shot": ROW0, "metrics": continual_metrics(R, ROW0).to_dict()}
    found = with_joint(scores, read_joint(file({"accuracy": [90, 80]})))
    assert found["joint"] == [90.0, 80.0]
    assert found["metrics"] == continual_metrics(R, ROW0, [90, 80]).to_dict()
    assert with_joint(scores, None) == scores
    with pytest.raises(UsageError, match="the jointly trained row has 1 values; R has 2 tasks"):
        continual_metrics(R, ROW0, [90])


def test_the_packages_references_fit_their_protocols():
    for path in sorted(FOLDER.glob("*.json")):
        reference = read_joint(path)
        assert reference.source
        for name in reference.protocols:
            assert name in protocol_names()
            assert len(reference.row(load_protocol(name).task_names)) == len(load_protocol(name).tasks)
            assert known_joint(name, reference.backbone) == reference
            assert known_joint(name, "another/backbone") is None
    assert known_joint("mini-c2r", "vlcl-mini/v1") is None


def test_anybody_can_give_one_for_a_run_and_for_a_matrix(file, tmp_path):
    run = min(ROOT.glob("submissions/l2/runs/*"))
    record = read_record(run)
    tasks = record.scores["tasks"]
    path = file({"accuracy": dict.fromkeys(tasks, 77.0), "backbone": record.identity.backbone})
    found = score_run(run, joint=path)
    assert found["joint"] == [77.0] * len(tasks)
    diagonal = [record.scores["matrix"][i][i] for i in range(len(tasks))]
    assert found["metrics"]["intransigence"] == pytest.approx(77.0 - sum(diagonal) / len(tasks))
    other = file({"accuracy": dict.fromkeys(tasks, 77.0), "backbone": "ViT-B-16/openai"})
    with pytest.raises(UsageError, match="is of the backbone ViT-B-16/openai; the run started from vlcl-mini"):
        score_run(run, joint=other)
    matrix = tmp_path / "R.json"
    matrix.write_text(json.dumps(R))
    assert "joint" not in score_matrix(matrix, False)
    ended = vlcl("score", "--matrix", matrix, "--joint", file({"accuracy": [90, 80]}), "--json")
    assert ended.json["joint"] == [90.0, 80.0]
    assert ended.json["metrics"]["intransigence"] == 25.0
    shown = {
        line.split("│")[2].strip() for line in vlcl("score", "--matrix", matrix).out.splitlines() if "Intr" in line
    }
    assert shown == {"–"}
