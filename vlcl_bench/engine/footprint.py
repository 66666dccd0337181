"""What a method weighs: parameters by kind, and the bytes that it keeps between tasks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from vlcl_bench.backbones.base import Backbone
from vlcl_bench.errors import MethodError
from vlcl_bench.methods.base import Method

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Footprint:
    """Counted by the harness: parameters in all, trained so far, added to the backbone; bytes kept."""

    parameters_total: int
    parameters_trained: int
    parameters_added: int
    bytes_between_tasks: int


TRAINED = "trained"
"""Entry of a state file's metadata: names of the parameters trained so far, a line each."""


def trained_names(data: bytes) -> list[str]:
    """Names of the parameters trained so far, from the bytes of a state file that safetensors could read."""
    length = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + length]).get("__metadata__") or {}
    return sorted(filter(None, metadata.get(TRAINED, "").split("\n")))


def weigh(
    pristine: Mapping[str, int], parameters: Mapping[str, int], trained: Set[str], kept: Mapping[str, int], more: int
) -> Footprint:
    """Weigh a method: elements of its backbone's tensors as they came, and of its own ``parameters`` now.

    ``trained`` are names of parameters; ``kept`` bytes of each tensor of its state; ``more`` bytes that it uses
    beside these, its generator's.
    """
    sizes = {f"backbone.{name}": size for name, size in pristine.items()}
    added = {name: n for name, n in parameters.items() if name not in sizes and name in trained}
    return Footprint(
        parameters_total=sum(sizes.values()) + sum(added.values()),
        parameters_trained=sum(parameters.get(name, 0) for name in trained),
        parameters_added=sum(added.values()),
        bytes_between_tasks=sum(size for name, size in kept.items() if name not in sizes) + more,
    )


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
