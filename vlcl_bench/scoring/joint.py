"""What a jointly trained model gets right: a row beside R for metrics that compare learning one by one with it.

Such a model sees the training data of all tasks at once, which no method here may; so its row is no run's, and is kept
in a file: in ``vlcl_bench/protocols/joint/`` for streams that come with the package, and in one of their own for
anybody else's (``vlcl score --joint FILE``). A file holds JSON such as::

    {"accuracy": {"birds": 91.5, "boats": 88.0}, "backbone": "ViT-B-16/openai", "source": "how it was made"}

``accuracy`` is in percent, by task or as a list in the order of training. Only runs from the same backbone are compared
with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vlcl_bench.common.fileio import read_json
from vlcl_bench.errors import IntegrityError, UsageError, first_invalid
from vlcl_bench.scoring.metrics import FloatArray, continual_metrics
from vlcl_bench.scoring.views import Scores

FOLDER = Path(__file__).parents[1] / "protocols" / "joint"
Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]


class JointReference(BaseModel):
    """The accuracies of a jointly trained model, what it started from, on which protocols, and where they come from.

    Without a ``backbone`` it counts for any.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    accuracy: dict[str, Percent] | list[Percent]
    backbone: str = ""
    protocols: tuple[str, ...] = ()
    source: str = ""

    def row(self, tasks: Sequence[str]) -> FloatArray:
        """(T,) in percent, tasks in training order; raises :class:`UsageError` where one is missing."""
        if isinstance(self.accuracy, list):
            if len(self.accuracy) != len(tasks):
                raise UsageError(
                    f"the jointly trained reference has {len(self.accuracy)} values; there are {len(tasks)} tasks"
                )
            return np.array(self.accuracy, dtype=np.float64)
        missing = [task for task in tasks if task not in self.accuracy]
        if missing:
            raise UsageError(
                f"the jointly trained reference has no accuracy on {', '.join(missing)}",
                "Give one for every task, or a list in the order of training.",
            )
        return np.array([self.accuracy[task] for task in tasks], dtype=np.float64)


def read_joint(path: Path, backbone: str | None = None) -> JointReference:
    """Read a file; raises :class:`UsageError` where it is no reference, or of another ``backbone`` than the run's."""
    try:
        reference = JointReference.model_validate(read_json(path))
    except IntegrityError as error:
        raise UsageError(error.message, "Give a JSON file with the accuracy of every task.") from error
    except ValidationError as error:
        raise UsageError(
            f"{path} is not a jointly trained reference: {first_invalid(error)}",
            'It holds, for instance: {"accuracy": {"birds": 91.5, "boats": 88.0}}',
        ) from error
    if backbone is not None and reference.backbone not in ("", backbone):
        raise UsageError(f"{path} is of the backbone {reference.backbone}; the run started from {backbone}")
    return reference


def known_joint(protocol: str, backbone: str) -> JointReference | None:
    """The package's reference for runs from ``backbone`` on a protocol; ``None`` where there is none."""
    fitting = (one for one in _packaged() if protocol in one.protocols and one.backbone == backbone)
    return next(fitting, None)


def with_joint(scores: Scores, reference: JointReference | None) -> dict[str, Any]:
    """The scores with the reference's row (``joint``) and the metrics that follow; as they are without one."""
    if reference is None:
        return dict(scores)
    row = reference.row(scores["tasks"])
    metrics: Mapping[str, Any] = continual_metrics(scores["matrix"], scores["zero_shot"], row, tiny=True).to_dict()
    return {**scores, "joint": row.tolist(), "metrics": dict(metrics)}


@cache
def _packaged() -> tuple[JointReference, ...]:
    return tuple(read_joint(path) for path in sorted(FOLDER.glob("*.json")))
