"""Is everything that a method knows in its state, and does everything random in it follow from the seed?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

from vlcl_bench.backbones.base import Backbone
from vlcl_bench.engine.footprint import kept_tensors
from vlcl_bench.submissions.contracts.comparison import changes, listed, unequal_tensors
from vlcl_bench.submissions.contracts.contract import contract
from vlcl_bench.submissions.contracts.trial import Trial, silent
from vlcl_bench.submissions.finding import Finding

OF_EVERY_METHOD = {"backbone", "config", "_text_version", "_texts", "_queries", "is_learning", "training"}
"""Attributes that are the harness's, or follow from the state."""
SMALL = 1024
"""Bytes in plain attributes that are not worth a word."""
DEEP = 6
KEEP_HINT = (
    "Keep all that the next task needs in parameters or buffers (self.register_buffer, or a memory of "
    "vlcl_bench.methods.memory); make the rest again in learn()."
)


@contract("beside-state", "what is held beside the state", "contract-beside-state", requires=["learning"])
def beside_state(trial: Trial) -> list[Finding]:
    """After learning, tensors and arrays that the method holds are in its state, or can be made anew. Others are a
    remark: a run that is continued has lost them.
    """
    learned = trial.learned
    method = learned.learner.method
    method.forget_cached_texts()
    counted = {_storage(tensor) for tensor in kept_tensors(method).values()}
    counted |= {_storage(tensor) for tensor in method.backbone.buffers()}
    sizes: dict[str, int] = {}
    for name, value in _plain_values(method, learned.modules):
        size = sum(_sizes(value, counted, DEEP).values())
        if size > SMALL:
            sizes[name] = size
    if not sizes:
        return []
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:5]
    places = ", ".join(f"{name} ({size:,} bytes)" for name, size in largest)
    message = f"after learning it holds {sum(sizes.values()):,} bytes that are not in its state_dict(): {places}"
    hint = f"Fine if it can be made again, else it is lost when a run is continued. {KEEP_HINT}"
    return [Finding("contract-beside-state", trial.where, message, hint, "remark")]


@contract("seed", "the same seed", "contract-seed", "contract-learns-in-score", requires=["repeat"],
          failure="contract-seed")  # fmt: skip
def seed(trial: Trial) -> list[Finding]:
    """The same seed gives the same method once more, also where no test pictures are scored between the tasks."""
    before, state = trial.learned.states
    learner = trial.learner()
    learner.learn(trial.streams.whole.tasks[0], silent)
    after_first = unequal_tensors(before, learner.state())
    learner.learn(trial.streams.whole.tasks[1], silent)
    unequal = unequal_tensors(state, learner.state())
    changed = changes(trial.streams.whole, trial.learned.answers, trial.ask(learner))
    if not unequal and not changed.changed:
        return []
    if after_first or not unequal:
        message = f"the same seed twice gives another method: {changed.changed} of {changed.total} answers differ"
        hint = "Draw random numbers from ctx.generator(...) or the global generators only; use no clock and no hash()."
        return [Finding("contract-seed", trial.where, message, hint)]
    message = (
        f"learning task 2 comes out differently when test pictures were scored after task 1: {changed.changed} of "
        f"{changed.total} answers differ"
    )
    hint = "score() must leave nothing behind that learn() uses."
    return [Finding("contract-learns-in-score", trial.where, message, hint)]


@contract("resume", "resuming", "contract-resume", requires=["seed"], failure="contract-resume")
def resume(trial: Trial) -> list[Finding]:
    """A new object that loads the state after task 1 and learns task 2 comes out as one that learned both."""
    learner = trial.learner()
    learner.load(trial.saved(1))
    learner.learn(trial.streams.whole.tasks[1], silent)
    unequal = unequal_tensors(trial.learned.states[1], learner.state())
    changed = changes(trial.streams.whole, trial.learned.answers, trial.ask(learner))
    if not unequal and not changed.changed:
        return []
    message = (
        "learning task 1, saving, loading into a new object and learning task 2 is not the same as learning both in "
        f"one go: {changed.changed} of {changed.total} answers differ"
        f"{', as does ' + listed(unequal) + ' of the state' if unequal else ''}. "
        "Something that it knows of task 1 is not in state_dict() but in a plain attribute, the class or the module, "
        "and is not among the bytes that it is said to keep either"
    )
    return [Finding("contract-resume", trial.where, message, KEEP_HINT)]


@contract("state", "saving and loading", "contract-state", requires=["seed"], failure="contract-state")
def state(trial: Trial) -> list[Finding]:
    """A new object that loads the state after the last task has that state and gives the same answers."""
    learner = trial.learner()
    learner.load(trial.saved(2))
    unequal = unequal_tensors(trial.learned.states[1], learner.state())
    changed = changes(trial.streams.whole, trial.learned.answers, trial.ask(learner))
    if not unequal and not changed.changed:
        return []
    differences = [f"{listed(unequal)} in its state"] if unequal else []
    if changed.changed:
        differences.append(f"{changed.changed} of {changed.total} answers; for instance, {changed.example}")
    message = f"saved and loaded into a new object it is another method: it differs in {' and in '.join(differences)}"
    return [Finding("contract-state", trial.where, message, KEEP_HINT)]


@contract(
    "deterministic", "another seed", "contract-deterministic", requires=["seed"], failure="contract-deterministic"
)
def deterministic(trial: Trial) -> list[Finding]:
    """A method that says deterministic = True gives the same answers for another seed."""
    if not trial.method.deterministic:
        return []
    learner = trial.learner(seed=1)
    for task in trial.streams.whole.tasks:
        learner.learn(task, silent)
    changed = changes(trial.streams.whole, trial.learned.answers, trial.ask(learner))
    if not changed.changed:
        return []
    message = (
        f"it says deterministic = True, but seeds 0 and 1 differ in {changed.changed} of {changed.total} answers; "
        f"for instance, {changed.example}"
    )
    hint = "Leave deterministic out: the method then needs three seeds to be ranked."
    return [Finding("contract-deterministic", trial.where, message, hint)]


def _plain_values(method: nn.Module, modules: Mapping[str, ModuleType]) -> Iterator[tuple[str, Any]]:
    """Attributes, class attributes and globals of its files that are no parameters, buffers or sub-modules of it."""
    towers = tuple(prefix for prefix, module in method.named_modules() if isinstance(module, Backbone))
    for prefix, module in method.named_modules():
        if prefix.startswith(towers):
            continue  # masks and the like, which every backbone has
        for name, value in vars(module).items():
            if name not in OF_EVERY_METHOD and name not in ("_parameters", "_buffers", "_modules"):
                yield f"{prefix}.{name}".removeprefix("."), value
        for name in module._non_persistent_buffers_set:
            yield f"{prefix}.{name}".removeprefix("."), module._buffers[name]
    cls = type(method)
    for name, value in vars(cls).items():
        if not name.startswith("__") and not callable(value):
            yield f"{cls.__name__}.{name}", value
    for file, module in _files(cls.__module__, modules):
        for name, value in vars(module).items():
            if not name.startswith("__") and not callable(value):
                yield f"{file}: {name}", value


def _files(method: str, modules: Mapping[str, ModuleType]) -> Iterator[tuple[str, ModuleType]]:
    """The method's module and, where it is one of a package, those beside it, by the names of their files."""
    package, _, _ = method.rpartition(".")
    for name, module in modules.items():
        if name == method or (package and name.startswith(f"{package}.")):
            yield Path(module.__file__ or name).name, module


def _sizes(value: Any, counted: set[int], depth: int) -> dict[int, int]:
    """Bytes of every tensor and array within a value, by where they lie; those in ``counted`` are left out."""
    if isinstance(value, torch.Tensor):
        place = _storage(value)
        return {} if place in counted else {place: value.numel() * value.element_size()}
    if isinstance(value, np.ndarray):
        return {id(value): value.nbytes}
    if isinstance(value, (bytes, bytearray)):
        return {id(value): len(value)}
    if depth == 0 or isinstance(value, (str, int, float, ModuleType)):
        return {}
    if isinstance(value, nn.Module):
        children: list[Any] = [*value.parameters(), *value.buffers()]
    elif isinstance(value, Mapping):
        children = list(value.values())
    elif isinstance(value, (list, tuple, set, frozenset)):
        children = list(value)
    else:
        children = list(getattr(value, "__dict__", {}).values())
    sizes: dict[int, int] = {}
    for child in children:
        sizes |= _sizes(child, counted, depth - 1)
    return sizes


def _storage(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr() if tensor.numel() else id(tensor)

