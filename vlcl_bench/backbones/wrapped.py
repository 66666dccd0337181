"""Checkpoints whose weights stand under other names: a training script's dictionary, ``module.``, ``_orig_mod.``.

Training code saves weights beside an optimiser's state, under ``model`` or ``state_dict``, and wrappers put their own
words before every name. What is inside is found by the names that the model expects, whatever the words are; where it
is not clear what was meant, nothing is guessed.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vlcl_bench.errors import IntegrityError, UsageError

COMPILED = "_orig_mod."
"""What ``torch.compile`` puts before the names of a module's weights, also amid a name."""
DEEPEST = 3
SHOWN = 3


def unwrapped(path: Path, model: nn.Module, called: str) -> tuple[dict[str, Tensor], str]:
    """The weights of a model in a checkpoint, and a sentence that says where they were.

    Raises :class:`UsageError` where several parts of the file fit, or it holds no tensors, and :class:`IntegrityError`
    where nothing in it fits, with how many names differ.
    """
    wanted, found = model.state_dict().keys(), {}
    states = dict(_states(_read(path)))
    for place, state in states.items():
        prefix = _prefix(state, wanted)
        plain = {name.replace(COMPILED, "").removeprefix(prefix): value for name, value in state.items()}
        if plain.keys() == wanted:
            found[place] = plain, prefix, any(COMPILED in name for name in state)
    if len(found) > 1:
        raise UsageError(
            f"{path} holds the weights of {called!r} several times: under {', '.join(map(repr, found))}",
            "Save the ones that you mean alone: torch.save(model.state_dict(), path).",
        )
    if not found:
        raise _misfit(path, states, wanted, called)
    place, (plain, prefix, compiled) = next(iter(found.items()))
    words = [f"under {place!r}"] if place else []
    words += [f"with {prefix!r} before each name"] if prefix else []
    words += [f"with {COMPILED!r} in their names"] if compiled else []
    return plain, f"the weights in {path.name} stand {' and '.join(words) or 'as they are'}; that was taken off"


def _read(path: Path) -> Any:
    """What a checkpoint holds; raises :class:`UsageError` where that is not only tensors, text and numbers."""
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UsageError(
            f"{path} holds Python objects beside its weights (or is no checkpoint); these are not loaded, for loading "
            "them would run code",
            "Save the weights alone: torch.save(model.state_dict(), path), or with safetensors.",
        ) from error


def _states(value: Any, place: str = "", depth: int = 0) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """All dictionaries of tensors within a checkpoint, each with the keys that lead to it."""
    if not isinstance(value, Mapping) or depth > DEEPEST:
        return
    tensors = {str(key): each for key, each in value.items() if isinstance(each, Tensor)}
    if tensors:
        yield place, tensors
    for key, each in value.items():
        yield from _states(each, f"{place}.{key}" if place else str(key), depth + 1)


def _prefix(state: Mapping[str, Tensor], wanted: Any) -> str:
    """What stands before the model's names in a state: of the first name of the model's that ends one of its names."""
    names = [name.replace(COMPILED, "") for name in state]
    last = max(wanted, key=len)  # the longest: no other name ends like it
    fitting = [name.removesuffix(last) for name in names if name == last or name.endswith(f".{last}")]
    return min(fitting, key=len, default="")


def _misfit(path: Path, states: Mapping[str, Mapping[str, Tensor]], wanted: Any, called: str) -> IntegrityError:
    """What to say of a checkpoint in which nothing fits: the nearest part of it, and how far off it is."""
    if not states:
        return IntegrityError(f"{path} holds no weights", "Save the model's state_dict().")
    place, state = max(states.items(), key=lambda item: len(item[1].keys() & wanted))
    lacking, more = sorted(wanted - state.keys()), sorted(state.keys() - wanted)
    parts = [f"{what} {len(names)} ({', '.join(names[:SHOWN])}{', …' if len(names) > SHOWN else ''})"
             for what, names in (("lacks", lacking), ("has others,", more)) if names]  # fmt: skip
    where = f" under {place!r}" if place else ""
    return IntegrityError(
        f"the weights of backbone {called!r} do not load: of the model's {len(wanted)} tensors {path.name}{where} "
        + " and ".join(parts or ["has all, but not of the right shapes"]),
        "Is it a checkpoint of this model, and whole?",
    )
