"""Runs of a method that is a folder: in a process of its own as inline, its other files imported early or late."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.harness import World, vlcl

pytestmark = pytest.mark.slow

METHOD = """
from vlcl_bench.methods import FineTuneConfig, LossMethod

from .terms import penalty


class Mine(LossMethod):
    title = "Mine, in several files"

    class Config(FineTuneConfig):
        strength: float = 0.01

    def loss(self, batch, logits, ctx):
        from .late import times

        return self.cross_entropy(batch, logits) + times(self.config.strength, penalty(logits))
"""


def make(folder: Path, power: int = 2) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "method.py").write_text(METHOD)
    (folder / "terms.py").write_text(f"def penalty(logits):\n    return (logits.abs() ** {power}).mean()\n")
    (folder / "late.py").write_text("def times(a, b):\n    return a * b\n")
    return folder


def run(folder: Path, out: str, *arguments: str) -> dict[str, Any]:
    ended = vlcl("run", "--protocol", "tiny", "--method", folder, "--out", out, *arguments)
    assert ended.code == 0, ended.err
    return json.loads((Path(out) / "run.json").read_text())


def test_a_folder_runs_in_a_process_as_inline_and_its_helper_is_its_source(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VLCL_ISOLATION", raising=False)
    folder = make(tmp_path / "mine")
    process, inline = run(folder, "process"), run(folder, "inline", "--isolation", "inline")
    assert (process["provenance"]["isolation"], inline["provenance"]["isolation"]) == ("process", "inline")
    assert process["identity"] == inline["identity"]
    assert process["identity"]["method"] == "mine"
    for name in ("predictions.parquet", "stage-02/state.safetensors"):
        assert (tmp_path / "process" / name).read_bytes() == (tmp_path / "inline" / name).read_bytes()
    changed = run(make(folder, power=3), "changed", "--isolation", "inline")
    assert changed["identity"]["method_source_sha256"] != process["identity"]["method_source_sha256"]
    assert changed["run_hash"] != process["run_hash"]
    assert changed["predictions_sha256"] != process["predictions_sha256"]
    ended = vlcl("run", "--protocol", "tiny", "--method", folder, "--out", "process", "--isolation", "inline")
    assert (ended.code, "method_source_sha256" in ended.err) == (2, True)
