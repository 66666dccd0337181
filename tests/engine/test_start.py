"""A run says on what it runs before it begins, and counts its seconds from its command on, also over a stop."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from support.harness import Sabotage, World, vlcl

RUN = ("run", "--protocol", "tiny", "--method", "zero_shot", "--out", "run")


@pytest.mark.slow
def test_seconds_count_from_the_command_on_over_a_stop(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    walls = []
    for sabotage in (Sabotage("vlcl_bench.engine.run:Stages.learn", 2, "interrupt"), None):
        with monkeypatch.context() as patch:
            if sabotage is not None:
                sabotage.install(patch.setattr)
            start = time.monotonic()
            ended = vlcl(*RUN)
            walls.append(time.monotonic() - start)
        assert ended.code == (130 if sabotage else 0), ended.err
        assert ended.err.count("running on cpu (") == 1
        assert " in float32" in ended.err
    record = json.loads(Path("run/run.json").read_text())
    events = [json.loads(line) for line in Path("run/journal.jsonl").read_text().splitlines()]
    prepared = [event["elapsed"] for event in events if event["event"] == "prepared"]
    cost = record["cost"]
    assert (len(prepared), cost["resumed"]) == (2, 1)
    assert cost["seconds_prepare"] == pytest.approx(sum(prepared), abs=0.01)
    assert sum(prepared) < cost["seconds_total"] <= sum(walls)
    parts = sum(cost["seconds_learn"]) + sum(cost["seconds_evaluate"]) + cost["seconds_other"]
    assert parts + cost["seconds_prepare"] == pytest.approx(cost["seconds_total"], abs=0.01)
    assert cost["seconds_total"] > sum(walls) - 2.0  # what is said after the record is not part of it
    assert record["provenance"]["precision"] == "float32"
    again = vlcl(*RUN)
    assert "running on" not in again.err
    assert "preparing" in again.out
