"""Is everything that a method knows in its state, and does everything random in it follow from the seed?"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from vlcl_bench.backbones.base import Backbone
from vlcl_bench.engine.footprint import kept_tensors
from vlcl_bench.submissions.finding import Fault
from vlcl_bench.submissions.contracts.trial import Answers, Trial, WatchedLearner, changes, unequal_tensors

State = dict[str, torch.Tensor]
OWN = {"backbone", "config", "_text_version", "_texts", "_queries", "is_learning", "training"}
"""Attributes of every method that are the harness's, or follow from the state."""
SMALL = 1024
"""Bytes in plain attributes that are not worth a word."""
DEEP = 6
KEEP_HINT = (
    "Keep all that the next task needs in parameters or buffers (self.register_buffer, or a memory of "
    "vlcl_bench.methods.memory); make the rest anew in learn()."
)


def round_trip(trial: Trial, where: str, state: State, answers: Answers) -> list[Fault]:
    """A new object that loads the state after the last task must have that state and give the same answers."""
    learner = trial.learner()
    learner.load(trial.work / "state-2.safetensors")
    unequal = unequal_tensors(state, learner.state())
    found = changes(trial.streams.whole, answers, trial.ask(learner))
    if not unequal and not found.changed:
        return []
    what = [f"{_few(unequal)} in its state"] if unequal else []
    if found.changed:
        what.append(f"{found.changed} of {found.total} answers; for instance, {found.example}")
    message = f"saved and loaded into a new object it is another method: it differs in {' and in '.join(what)}"
    return [Fault("contract-state", where, message, KEEP_HINT)]


def resume(trial: Trial, where: str, state: State, answers: Answers) -> list[Fault]:
    """A new object that loads the state after task 1 and learns task 2 must come out as one that learned both."""
    learner = trial.learner()
    learner.load(trial.work / "state-1.safetensors")
    learner.learn(trial.streams.whole.tasks[1], _silent)
    unequal = unequal_tensors(state, learner.state())
    found = changes(trial.streams.whole, answers, trial.ask(learner))
    if not unequal and not found.changed:
        return []
    message = (
        "learning task 1, saving, loading into a new object and learning task 2 is not the same as learning both in "
        f"one go: {found.changed} of {found.total} answers differ"
        f"{', as does ' + _few(unequal) + ' of the state' if unequal else ''}. "
        "Something that it knows of task 1 is not in state_dict() but in a plain attribute, the class or the module, "
        "and is not among the bytes that it is said to keep either"
    )
    return [Fault("contract-resume", where, message, KEEP_HINT)]


def same_seed(trial: Trial, where: str, before: State, state: State, answers: Answers) -> list[Fault]:
    """The same seed once more, now without scoring between the tasks, must give the same answers."""
    learner = trial.learner()
    learner.learn(trial.streams.whole.tasks[0], _silent)
    after_first = unequal_tensors(before, learner.state())
    learner.learn(trial.streams.whole.tasks[1], _silent)
    unequal = unequal_tensors(state, learner.state())
    found = changes(trial.streams.whole, answers, trial.ask(learner))
    if not unequal and not found.changed:
        return []
    if after_first or not unequal:
        message = f"the same seed twice gives another method: {found.changed} of {found.total} answers differ"
        hint = "Draw random numbers from ctx.generator(...) or the global generators only; use no clock and no hash()."
        return [Fault("contract-seed", where, message, hint)]
    message = (
        f"learning task 2 comes out differently when test pictures were scored after task 1: {found.changed} of "
        f"{found.total} answers differ"
    )
    hint = "score() must leave nothing behind that learn() uses."
    return [Fault("contract-learns-in-score", where, message, hint)]


def other_seed(trial: Trial, where: str, answers: Answers) -> list[Fault]:
    """A method that says its seed changes nothing must give the same answers for another one."""
    if not trial.load().deterministic:
        return []
    learner = trial.learner(seed=1)
    for task in trial.streams.whole.tasks:
        learner.learn(task, _silent)
    found = changes(trial.streams.whole, answers, trial.ask(learner))
    if not found.changed:
        return []
    message = (
        f"it says deterministic = True, but seeds 0 and 1 differ in {found.changed} of {found.total} answers; "
        f"for instance, {found.example}"
    )
    hint = "Leave deterministic out: the method then needs three seeds to be ranked."
    return [Fault("contract-deterministic", where, message, hint)]


def kept_beside(learner: WatchedLearner, where: str) -> list[Fault]:
    """Say what tensors and arrays a method holds after learning that are neither in its state nor counted."""
    method = learner.method
    method.forget_cached_texts()
    counted = {_storage(tensor) for tensor in kept_tensors(method).values()}
    counted |= {_storage(tensor) for tensor in method.backbone.buffers()}
    found: dict[str, int] = {}
    for name, value in _plain_values(method):
        size = sum(_sizes(value, counted, DEEP).values())
        if size > SMALL:
            found[name] = size
    if not found:
        return []
    listed = ", ".join(f"{name} ({size:,} bytes)" for name, size in sorted(found.items(), key=lambda one: -one[1])[:5])
    message = f"after learning it holds {sum(found.values()):,} bytes that are not in its state_dict(): {listed}"
    hint = f"Fine if it can be made anew, else it is lost when a run is continued. {KEEP_HINT}"
    return [Fault("contract-beside-state", where, message, hint, severe=False)]


def _plain_values(method: nn.Module) -> Iterator[tuple[str, Any]]:
    """Attributes, class attributes and module globals that are no parameters, buffers or sub-modules of it."""
    towers = tuple(prefix for prefix, module in method.named_modules() if isinstance(module, Backbone))
    for prefix, module in method.named_modules():
        if prefix.startswith(towers):
            continue  # masks and the like, which every backbone has
        for name, value in vars(module).items():
            if name not in OWN and name not in ("_parameters", "_buffers", "_modules"):
                yield f"{prefix}.{name}".removeprefix("."), value
        for name in module._non_persistent_buffers_set:
            yield f"{prefix}.{name}".removeprefix("."), module._buffers[name]
    cls = type(method)
    for name, value in vars(cls).items():
        if not name.startswith("__") and not callable(value):
            yield f"{cls.__name__}.{name}", value
    for name, value in vars(sys.modules[cls.__module__]).items():
        if not name.startswith("__") and not callable(value):
            yield f"{cls.__module__.split('_')[2]}.py: {name}", value


def _sizes(value: Any, counted: set[int], depth: int) -> dict[int, int]:
    """Bytes of every tensor and array within a value, by where they lie; those in ``counted`` are left out."""
    if isinstance(value, torch.Tensor):
        place = _storage(value)
        return {} if place in counted else {place: value.numel() * value.element_size()}
    if isinstance(value, np.ndarray):
        return {id(value): value.nbytes}
    if isinstance(value, (bytes, bytearray)):
        return {id(value): len(value)}
    if depth == 0 or isinstance(value, (str, int, float, type(sys))):
        return {}
    if isinstance(value, nn.Module):
        children: list[Any] = [*value.parameters(), *value.buffers()]
    elif isinstance(value, Mapping):
        children = list(value.values())
    elif isinstance(value, (list, tuple, set, frozenset)):
        children = list(value)
    else:
        children = list(getattr(value, "__dict__", {}).values())
    found: dict[int, int] = {}
    for child in children:
        found |= _sizes(child, counted, depth - 1)
    return found


def _storage(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr() if tensor.numel() else id(tensor)


def _silent(done: int, total: int, word: str) -> None:
    """No progress."""


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
