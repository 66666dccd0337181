"""What a stranger's record says is shown as it is: nothing in it is interpreted, and no form of it is a traceback."""

import json
import shutil

import pytest
from support.harness import vlcl
from support.submission_fixture import committed

from vlcl_bench.records.schema import Identity

HOSTILE = "\x1b]0;owned\x07[bold red]loud[/] [link=https://x]a[/link] \u202eb\x9b2J"


@pytest.fixture
def run(tmp_path):
    return shutil.copytree(committed("mini-mtil-1", 0), tmp_path / "run")


def edited(run, change):
    record = json.loads((run / "run.json").read_text())
    change(record)
    record["run_hash"] = Identity.model_validate(record["identity"]).run_hash
    (run / "run.json").write_text(json.dumps(record))


def hostile(record):
    record |= {"title": HOSTILE, "unranked_because": HOSTILE, "track": "standard"}
    record["identity"]["config"][HOSTILE] = HOSTILE
    record["identity"]["backbone"] = HOSTILE
    record["provenance"]["processor"] = HOSTILE
    record["log"] = [{"stage": 1, "task": HOSTILE, "report": "seeds", "seeds": 1}]


@pytest.mark.parametrize("options", [[], ["--seeds"], ["--drift"], ["--json"], ["--seeds", "--json"]])
def test_a_hostile_record_is_shown_with_nothing_interpreted(options, run):
    edited(run, hostile)
    ended = vlcl("show", run, *options)
    for text in (ended.out, ended.err):
        assert text.replace("\n", "").replace("\t", "").isprintable()
    if not options:
        assert "[bold red]loud[/]" in ended.out
        assert "not ranked: \\x1b]0;owned[bold red]" in ended.out
    if options == ["--json"]:
        assert ended.json["backbone"] == HOSTILE


STRANGE = {
    "fewer rows than tasks": lambda record: record["scores"]["matrix"].pop(),
    "longer names than numbers": lambda record: record["scores"]["tasks"].append("x"),
    "no row 0": lambda record: record["scores"]["zero_shot"].clear(),
    "recall of nothing": lambda record: record["scores"].update(retrieval={"r1": {}}),
    "recall of words": lambda record: record["scores"].update(retrieval={"r1": {"matrix": "x", "zero_shot": "y"}}),
    "metrics that are missing": lambda record: record["scores"]["metrics"].clear(),
    "no tasks": lambda record: record["scores"].update(tasks=[], matrix=[], zero_shot=[]),
}


@pytest.mark.parametrize("kind", STRANGE)
@pytest.mark.parametrize("options", [[], ["--drift"], ["--seeds"], ["--json"]])
def test_scores_of_a_strange_form_end_in_words_or_are_shown(kind, options, run):
    edited(run, STRANGE[kind])
    assert vlcl("show", run, *options).code in (0, 2, 3)


@pytest.mark.parametrize("line", [{"stage": 1, "report": "seeds"}, {"report": "seeds", "task": 1, "seeds": "x"},
                                  {"report": "memory", "task": None, "items": [], "bytes": {}}])  # fmt: skip
def test_logs_of_a_strange_form_end_in_words_or_are_shown(line, run):
    edited(run, lambda record: record.update(log=[line]))
    assert vlcl("show", run, "--seeds").code in (0, 2, 3)


def test_an_error_about_a_hostile_name_prints_nothing_that_acts(tmp_path):
    ended = vlcl("show", f"{tmp_path}/{HOSTILE}")
    assert ended.code == 2
    assert ended.err.replace("\n", "").isprintable()
