"""What is kept of a run that was made again, beside its record: ``rerun.json``.

The board shows such a record with the badge *rerun*. The file says on what the run was made again, how many answers are
equal and which predictions were compared; no date, so that equal reruns give equal files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from vlcl_bench.errors import IntegrityError
from vlcl_bench.records.files import read_model
from vlcl_bench.records.schema import Provenance, Record
from vlcl_bench.scoring.reproduction import TOP1_AGREEMENT

RERUN_NAME = "rerun.json"


class Rerun(BaseModel):
    """The content of ``rerun.json``.

    ``predictions_sha256`` are the record's, ``rerun_predictions_sha256`` those of the run that was made again;
    ``exact``: equal predictions could be expected of the two machines; ``identical``: they are equal in every column;
    ``equal`` of ``answers`` first answers are equal; ``largest_difference`` of an entry of R in points.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    schema_version: Literal[1] = 1
    run_hash: str
    predictions_sha256: str
    rerun_predictions_sha256: str
    exact: bool
    identical: bool
    answers: int = Field(gt=0)
    equal: int = Field(ge=0)
    largest_difference: float = Field(ge=0)
    provenance: Provenance

    @model_validator(mode="after")
    def _is_success(self) -> Self:
        if self.equal > self.answers:
            raise ValueError("more answers are equal than there are")
        if self.identical and (self.equal < self.answers or self.largest_difference > 0):
            raise ValueError("identical predictions have equal answers and scores")
        if self.exact and not self.identical:
            raise ValueError("equal predictions were expected and not found")
        if self.share < TOP1_AGREEMENT:
            raise ValueError(f"{self.share:.2f} % of equal answers are too few")
        return self

    @property
    def share(self) -> float:
        """Percent of equal answers."""
        return 100.0 * self.equal / self.answers


def rerun_of(folder: Path, record: Record) -> Rerun | None:
    """What ``rerun.json`` beside a record says; ``None`` where there is none.

    Raises :class:`IntegrityError` where it is damaged, does not speak of success, or belongs to another run or to other
    predictions than the record's.
    """
    path = folder / RERUN_NAME
    hint = f"Delete it, and make it again with: vlcl submit rerun {folder.parent.parent} --run {record.run_hash}"
    if not path.exists():
        return None
    rerun = read_model(path, Rerun, "the file of a rerun", hint)
    if rerun.run_hash != record.run_hash:
        raise IntegrityError(f"{path} is of run {rerun.run_hash}, the record beside it of {record.run_hash}", hint)
    # Making a record compact gives its predictions another hash, and does not change an answer.
    if rerun.predictions_sha256 not in (record.predictions_sha256, record.predictions_full_sha256):
        raise IntegrityError(f"{path} compared other predictions than those of the record beside it", hint)
    return rerun
