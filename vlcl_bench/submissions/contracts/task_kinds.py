"""Does a method learn the other kinds of tasks: groups of classes of one data set, and captions?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vlcl_bench.errors import MethodError, VlclError
from vlcl_bench.submissions.contracts.contract import contract
from vlcl_bench.submissions.contracts.trial import Trial, advice, silent
from vlcl_bench.submissions.finding import Finding

if TYPE_CHECKING:
    from vlcl_bench.submissions.contracts.small_stream import Stream


@contract("groups", "groups of classes", "contract-groups", requires=["learning"])
def groups(trial: Trial) -> list[Finding]:
    """A data set whose classes come in groups, a task for each, can be learned and scored."""
    try:
        _learn_and_ask(trial, trial.streams.groups)
    except VlclError as error:
        message = f"on classes that come in groups: {error.message}"
        return [Finding("contract-groups", trial.where, message, advice(error))]
    return []


@contract("captions", "captions", "contract-captions", requires=["learning"])
def captions(trial: Trial) -> list[Finding]:
    """A task with captions in place of classes can be learned and scored, or is refused with a MethodError that says
    why. Anything else is a remark only.
    """
    hint = (
        "Use task.captions where it is not None, or refuse such tasks: raise MethodError with the reason. "
        "It matters for caption streams only."
    )
    try:
        _learn_and_ask(trial, trial.streams.captions)
    except VlclError as error:
        if isinstance(error, MethodError):
            if error.__cause__ is None:
                return []
        else:
            hint = advice(error)
        message = f"on a task with captions: {error.message}"
        return [Finding("contract-captions", trial.where, message, hint, "remark")]
    return []


def _learn_and_ask(trial: Trial, stream: Stream) -> None:
    learner = trial.learner(stream=stream)
    for task in stream.tasks:
        learner.learn(task, silent)
    trial.ask(learner, stream)
