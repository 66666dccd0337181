"""A submission that passes, made of a committed run, and the ways to break it that tests share."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from vlcl_bench.common.fileio import pretty_json
from vlcl_bench.methods.source import source_digest
from vlcl_bench.records.files import compact_predictions, read_predictions, write_predictions
from vlcl_bench.records.schema import Identity
from vlcl_bench.submissions.check import check_data
from vlcl_bench.submissions.finding import Finding

ROOT = Path(__file__).parents[2]
SOURCE = "finetune"
TOML = """
name = "Mine"
authors = ["A. Nobody"]
paper = "unpublished"
implementation = "our own"
licence = "Apache-2.0"
track = "standard"
pretrained_models = ["vlcl-mini/v1"]
auxiliary_data = []
"""


def committed(protocol: str, seed: int, method: str = SOURCE) -> Path:
    """The folder of a committed run."""
    for path in sorted((ROOT / "submissions" / method / "runs").iterdir()):
        identity = json.loads((path / "run.json").read_text())["identity"]
        if (identity["protocol"], identity["seed"]) == (protocol, seed):
            return path
    raise LookupError((method, protocol, seed))


@dataclass
class Mine:
    """The submission ``mine``; ``run`` is its first run."""

    folder: Path

    @property
    def run(self) -> Path:
        return min((self.folder / "runs").iterdir())

    @property
    def toml(self) -> Path:
        return self.folder / "submission.toml"

    def check(self) -> list[Finding]:
        """What is said of it, but for what is true of all that is made here: its answers are a committed run's."""
        return [finding for finding in check_data(self.folder) if finding.code != "copied-answers"]

    def severe(self) -> list[str]:
        return [finding.code for finding in self.check() if finding.is_error]

    def add(self, source: Path) -> Path:
        """A committed run as if this method had made it."""
        record = json.loads((source / "run.json").read_text())
        record["title"] = "Mine"
        record["provenance"]["isolation"] = "process"
        record["identity"] |= {"method": "mine", "method_source_sha256": source_digest(self.folder / "method.py")}
        target = self.folder / "runs" / "new"
        shutil.copytree(source, target)
        return self.rename(target, record)

    def edit_record(self, change: Callable[[dict[str, Any]], object], rename: bool = True) -> Path:
        """Edit ``run.json``; the hash and the folder's name follow, unless they are what is to be wrong."""
        record = json.loads((self.run / "run.json").read_text())
        change(record)
        if rename:
            return self.rename(self.run, record)
        (self.run / "run.json").write_text(pretty_json(record))
        return self.run

    def edit_predictions(self, change: Callable[[pd.DataFrame], pd.DataFrame], rehash: bool = True) -> None:
        """Edit the predictions; the record's facts about the file follow, unless they are what is to be wrong."""
        frame = change(read_predictions(self.run / "predictions.parquet"))
        digest = write_predictions(self.run / "predictions.parquet", frame)
        if rehash:
            facts = {"predictions_sha256": digest, "predictions_rows": len(frame)}
            self.edit_record(lambda record: record.update(facts))

    def replace(self, old: str, new: str) -> None:
        """Edit ``submission.toml``."""
        text = self.toml.read_text()
        assert old in text
        self.toml.write_text(text.replace(old, new))

    def rename(self, run: Path, record: dict[str, Any]) -> Path:
        """Write a record into a run's folder, with the hash and the name that follow."""
        identity = Identity.model_validate(record["identity"])
        record["run_hash"] = identity.run_hash
        (run / "run.json").write_text(pretty_json(record))
        target = run.with_name(identity.run_hash)
        return run if target == run else Path(run.rename(target))


def make(folder: Path) -> Mine:
    """Write the submission with one run, of seed 0 on ``mini-mtil-1``."""
    (folder / "runs").mkdir(parents=True)
    shutil.copy(ROOT / "baselines" / f"{SOURCE}.py", folder / "method.py")
    (folder / "submission.toml").write_text(TOML)
    mine = Mine(folder)
    mine.add(committed("mini-mtil-1", 0))
    return mine


def with_logits(frame: pd.DataFrame) -> pd.DataFrame:
    """Full predictions from compact ones."""
    found = compact_predictions(frame)
    for k in range(1, 6):
        found[f"logit{k}"] = (-float(k) + 0 * found[f"top{k}"]).where(found[f"top{k}"] >= 0).astype("float32")
    return found
