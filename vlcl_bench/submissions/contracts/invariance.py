"""Does an answer depend on anything but its picture: on its batch, its place, what was asked before, one pixel?"""

from __future__ import annotations

import hashlib

import numpy as np

from vlcl_bench.submissions.finding import Fault
from vlcl_bench.submissions.contracts.trial import MOST_EXCEPTIONS, Answers, Changed, Trial, WatchedLearner, changes, unequal_tensors

SIZES = (1, 7, 10_000)
SHUFFLES = (1, 2)
NUDGED, NUDGE_TIE, MOST_NUDGED = 0.01, 0.005, 0.05
"""Share of values that are changed by one; gap of the best logits, as a share of the logit scale, below which an answer
may then be another; share of answers that may be others beyond that."""


def check(trial: Trial, learner: WatchedLearner, where: str, answers: Answers) -> list[Fault]:
    """Ask a method that has learned the same pictures again in other ways; ``answers`` are its first ones.

    One fault for one cause: a method that does not give the same answers to the same questions is not asked in other
    orders. After it the state must be the one before.
    """
    kept = learner.state()
    faults = _same_again(trial, learner, where, answers) or _batches(trial, learner, where, answers)
    faults = faults or _order(trial, learner, where, answers)
    faults = faults if any(fault.severe for fault in faults) else faults + _pixels(trial, learner, where, answers)
    moved = unequal_tensors(kept, learner.state())
    if moved:
        message = f"score changes the method's state: {_few(moved)} after test pictures were scored"
        hint = "Learn in learn() only; score() must leave parameters and buffers alone. Is a BatchNorm in train mode?"
        faults.append(Fault("contract-learns-in-score", where, message, hint))
    return faults


def _same_again(trial: Trial, learner: WatchedLearner, where: str, answers: Answers) -> list[Fault]:
    stream = trial.streams.whole
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
    return [Fault("contract-repeat", where, message, hint)]


def _batches(trial: Trial, learner: WatchedLearner, where: str, answers: Answers) -> list[Fault]:
    stream, tie = trial.streams.whole, trial.near_tie(learner)
    found = Changed(0, 0, 0)
    for size in SIZES:
        said = f"in batches of {size}, " if size < 1000 else "in one batch, "
        found += changes(stream, answers, trial.ask(learner, batch=size), tie, said)
    if found.excused:
        return _said(found, where, "batches of other sizes")
    message = f"answers depend on the batch: {_counted(found)} (at most {100 * MOST_EXCEPTIONS:g} % may)"
    hint = "Score each picture by itself: no statistics over the batch, no ranking or choosing among its pictures."
    return [Fault("contract-batch", where, message, hint)]


def _order(trial: Trial, learner: WatchedLearner, where: str, answers: Answers) -> list[Fault]:
    stream, tie = trial.streams.whole, trial.near_tie(learner)
    found = Changed(0, 0, 0)
    for seed in SHUFFLES:
        found += changes(stream, answers, trial.ask(learner, shuffle=seed), tie, "in another order, ")
    found += changes(stream, answers, trial.ask(learner, reverse=True), tie, "with label spaces in another order, ")
    if found.excused:
        return _said(found, where, "other orders")
    message = (
        f"answers depend on the order in which pictures or label spaces are asked: {_counted(found)} "
        f"(at most {100 * MOST_EXCEPTIONS:g} % may)"
    )
    hint = "Use nothing but the picture and the query: no positions, no counts of calls, nothing from the query before."
    return [Fault("contract-order", where, message, hint)]


def _pixels(trial: Trial, learner: WatchedLearner, where: str, answers: Answers) -> list[Fault]:
    """Change a few values by one: whoever knows pictures by their bytes does not know these."""

    def nudged(pictures: np.ndarray) -> np.ndarray:
        changed = pictures.copy()
        for picture in changed:  # what is changed follows from the picture, not from its batch
            seed = int.from_bytes(hashlib.sha256(picture.tobytes()).digest()[:8], "big")
            chosen = np.random.default_rng(seed).random(picture.shape) < NUDGED
            picture[chosen] ^= 1
        return changed

    stream, scale = trial.streams.whole, float(learner.method.backbone.logit_scale)
    found = changes(stream, answers, trial.ask(learner, change=nudged), NUDGE_TIE * scale)
    far = found.changed - found.near
    if far <= MOST_NUDGED * found.total:
        return []
    message = (
        f"answers hang on single pixels: {far} of {found.total} change when one value in a hundred is changed by 1 of "
        f"255; for instance, {found.example}. It looks as if test pictures are known by their bytes"
    )
    hint = "Answer from what a picture shows. A method that looks test pictures up is refused."
    return [Fault("contract-lookup", where, message, hint)]


def _said(found: Changed, where: str, what: str) -> list[Fault]:
    """A remark on the few answers that changed although their two best scores were not near."""
    far = found.changed - found.near
    if not far:
        return []
    message = f"{far} of {found.total} answers change under {what} although their two best scores are not near"
    hint = "Few enough to pass. A router or selector with a threshold may do that."
    return [Fault("contract-exceptions", where, message, hint, severe=False)]


def _counted(found: Changed) -> str:
    return f"{found.changed} of {found.total} ({found.share:.1f} %) change; for instance, {found.example}"


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more changed" if len(names) > 3 else " changed")
