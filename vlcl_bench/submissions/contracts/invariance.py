"""Does an answer depend on anything but its picture: on its batch, its place, what was asked before, one pixel?"""

from __future__ import annotations

from vlcl_bench.engine.company import ALTERED_NEAR_TIE, altered_pictures
from vlcl_bench.records.schema import ALLOWED_ALTERED, ALLOWED_CHANGED
from vlcl_bench.submissions.contracts.comparison import Changed, changes, listed, unequal_tensors
from vlcl_bench.submissions.contracts.contract import contract
from vlcl_bench.submissions.contracts.trial import Trial
from vlcl_bench.submissions.finding import Finding

SIZES = (1, 7, 10_000)
SHUFFLES = (1, 2)


@contract("repeat", "the same questions again", "contract-repeat", requires=["learning"])
def repeat(trial: Trial) -> list[Finding]:
    """The same pictures asked again, in the same order and batches, get the same answers, whatever was asked in
    between: nothing is counted, remembered or drawn at random while pictures are scored.
    """
    stream, learner, answers = trial.streams.whole, trial.learned.learner, trial.learned.answers
    again = changes(stream, answers, trial.ask(learner))
    if not again.changed:
        trial.ask(learner, change=lambda pictures: pictures[:, ::-1])  # other pictures, upside down, in between
        first = stream.asked[0]
        learner.score(first.pictures[:1], first.queries[:1])  # and an odd one, for counts that come round again
        again = changes(stream, answers, trial.ask(learner))
    if not again.changed:
        return []
    message = (
        f"the same pictures asked again, in the same order and batches, get other answers: {_counted(again)}. "
        "What score returns depends on what was scored before, on a count of its calls, or on chance"
    )
    hint = "Let score() remember nothing and draw no random numbers; count no calls and no pictures."
    return [Finding("contract-repeat", trial.where, message, hint)]


@contract("batches", "other sizes of batches", "contract-batch", "contract-exceptions", requires=["repeat"])
def batches(trial: Trial) -> list[Finding]:
    """An answer does not depend on the size of the batch, nor on the other pictures in it. Near ties may be decided
    otherwise, in at most half a percent of the answers.
    """
    stream, learner, answers = trial.streams.whole, trial.learned.learner, trial.learned.answers
    total, tie = Changed(0, 0, 0), trial.near_tie(learner)
    for size in SIZES:
        way = f"in batches of {size}, " if size < 1000 else "in one batch, "
        total += changes(stream, answers, trial.ask(learner, batch=size), tie, way)
    if total.excused:
        return _exceptions(total, trial.where, "batches of other sizes")
    message = f"answers depend on the batch: {_counted(total)} (at most {100 * ALLOWED_CHANGED:g} % may)"
    hint = "Score each picture by itself: no statistics over the batch, no ranking or choosing among its pictures."
    return [Finding("contract-batch", trial.where, message, hint)]


@contract("order", "other orders", "contract-order", "contract-exceptions", requires=["batches"])
def order(trial: Trial) -> list[Finding]:
    """An answer does not depend on the order in which pictures or label spaces are asked. Near ties may be decided
    otherwise, in at most half a percent of the answers.
    """
    stream, learner, answers = trial.streams.whole, trial.learned.learner, trial.learned.answers
    total, tie = Changed(0, 0, 0), trial.near_tie(learner)
    for seed in SHUFFLES:
        total += changes(stream, answers, trial.ask(learner, shuffle=seed), tie, "in another order, ")
    total += changes(stream, answers, trial.ask(learner, reverse=True), tie, "with label spaces in another order, ")
    if total.excused:
        return _exceptions(total, trial.where, "other orders")
    message = (
        f"answers depend on the order in which pictures or label spaces are asked: {_counted(total)} "
        f"(at most {100 * ALLOWED_CHANGED:g} % may)"
    )
    hint = "Use nothing but the picture and the query: no positions, no counts of calls, nothing from the query before."
    return [Finding("contract-order", trial.where, message, hint)]


@contract("lookup", "single pixels", "contract-lookup", requires=["order"])
def lookup(trial: Trial) -> list[Finding]:
    """Answers follow from what pictures show: changing one value in a hundred by 1 of 255 changes few of them. A table
    of known test pictures would not find them again.
    """
    stream, learner = trial.streams.whole, trial.learned.learner
    scale = float(learner.method.backbone.logit_scale)
    total = changes(stream, trial.learned.answers, trial.ask(learner, change=altered_pictures), ALTERED_NEAR_TIE * scale)
    far = total.changed - total.near
    if far <= ALLOWED_ALTERED * total.total:
        return []
    message = (
        f"answers hang on single pixels: {far} of {total.total} change when one value in a hundred is changed by 1 of "
        f"255; for instance, {total.example}. It looks as if test pictures are known by their bytes"
    )
    hint = "Answer from what a picture shows. A method that looks test pictures up is refused."
    return [Finding("contract-lookup", trial.where, message, hint)]


@contract("scoring", "the state after scoring", "contract-learns-in-score", requires=["learning"])
def scoring(trial: Trial) -> list[Finding]:
    """Scoring pictures changes nothing in the method's state."""
    trial.ask(trial.learned.learner)
    moved = unequal_tensors(trial.learned.scored, trial.learned.learner.state())
    if not moved:
        return []
    message = f"score changes the method's state: {listed(moved)} changed after test pictures were scored"
    hint = "Learn in learn() only; score() must leave parameters and buffers alone. Is a BatchNorm in train mode?"
    return [Finding("contract-learns-in-score", trial.where, message, hint)]


def _exceptions(changed: Changed, where: str, what: str) -> list[Finding]:
    """A remark on the few answers that changed although their two best scores were not near."""
    far = changed.changed - changed.near
    if not far:
        return []
    message = f"{far} of {changed.total} answers change under {what} although their two best scores are not near"
    hint = "Few enough to pass. A router or selector with a threshold may do that."
    return [Finding("contract-exceptions", where, message, hint, "remark")]


def _counted(changed: Changed) -> str:
    counts = f"{changed.changed} of {changed.total} ({changed.share:.1f} %)"
    return f"{counts} change; for instance, {changed.example}"
