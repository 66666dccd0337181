"""What a method weighs: parameters by kind, and the bytes that it keeps between tasks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Set
from typing import Any

import torch

from vlcl_bench.backbones.base import Backbone
from vlcl_bench.errors import MethodError
from vlcl_bench.methods.base import Method
from vlcl_bench.records.schema import Footprint

TRAINED = "trained"
"""Entry of a state file's metadata: names of the parameters trained so far, a line each."""


def trained_names(data: bytes) -> list[str]:
    """Names of the parameters trained so far, from the bytes of a state file that safetensors could read."""
    length = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + length]).get("__metadata__") or {}
    return sorted(filter(None, metadata.get(TRAINED, "").split("\n")))


def weigh(
    sizes_before: Mapping[str, int],
    parameters: Mapping[str, int],
    trained: Set[str],
    kept: Mapping[str, int],
    more: int,
) -> Footprint:
    """What a method weighs now: ``bytes_by_stage`` holds this one number.

    ``sizes_before`` are :func:`backbone_sizes` before the method was made, so that what it builds into the backbone
    counts as added, and ``parameters`` the elements of each of its parameters now. ``trained`` are names of
    parameters; ``kept`` bytes of each tensor of its state; ``more`` bytes that it uses beside these, its generator's.
    """
    sizes = {f"backbone.{name}": size for name, size in sizes_before.items()}
    added = {name: n for name, n in parameters.items() if name not in sizes and name in trained}
    size = sum(size for name, size in kept.items() if name not in sizes) + more
    return Footprint(
        parameters_total=sum(sizes.values()) + sum(added.values()),
        parameters_trained=sum(parameters.get(name, 0) for name in trained),
        parameters_added=sum(added.values()),
        bytes_between_tasks=size,
        bytes_by_stage=[size],
    )


def journal_form(footprint: Footprint) -> dict[str, Any]:
    """A single stage's footprint as the journal keeps it: without the list, which would repeat its one number."""
    return footprint.model_dump(exclude={"bytes_by_stage"})


def footprint_of_run(stages: Sequence[Mapping[str, Any]]) -> Footprint:
    """A run's footprint from those of its stages, as :func:`journal_form` gives them and in their order.

    Parameters are counted after the last stage; the bytes kept are the most of all stages.
    """
    sizes = [stage["bytes_between_tasks"] for stage in stages]
    return Footprint(**{**stages[-1], "bytes_between_tasks": max(sizes), "bytes_by_stage": sizes})


def moved_parameters(method: Method, before: Mapping[str, torch.Tensor]) -> set[str]:
    """Names of parameters that are not what they were, or are new: trained, by whatever optimiser."""
    return {
        name
        for name, value in method.named_parameters()
        if name not in before or before[name].shape != value.shape or not torch.equal(before[name], value)
    }


def kept_tensors(method: Method) -> dict[str, torch.Tensor]:
    """A method's ``state_dict``; raises :class:`MethodError` where something in it is no tensor."""
    state = dict(method.state_dict())
    for name, value in state.items():
        if not isinstance(value, torch.Tensor):
            raise MethodError(
                f"state_dict() holds {name!r}, which is no tensor but of type {type(value).__name__}",
                "Keep what the next task needs in parameters or buffers: self.register_buffer(name, tensor).",
            )
    return state


def parameter_names(method: Method) -> dict[int, str]:
    """Names of a method's parameters by identity (no bound method of the learner: the context must not lead to it)."""
    return {id(parameter): name for name, parameter in method.named_parameters()}


def backbone_sizes(backbone: Backbone) -> dict[str, int]:
    """Elements of each parameter and buffer of a backbone as it came."""
    return {name: tensor.numel() for name, tensor in backbone.state_dict().items()}
