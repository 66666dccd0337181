"""What a method hands to the recipe's optimiser loop: checked, so that a slip is named and not met by torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor, nn

from vlcl_bench.errors import MethodError


def checked_loss(value: object) -> Tensor:
    """A step's loss: one number that a gradient can be taken of; raises :class:`MethodError` for anything else."""
    if not isinstance(value, Tensor):
        kind = "nothing" if value is None else f"a {type(value).__name__}"
        raise MethodError(f"loss returned {kind}, expected a tensor with one number", "Does it end with return?")
    if value.numel() != 1:
        raise MethodError(
            f"loss returned {value.numel()} numbers (shape {tuple(value.shape)}), expected one",
            "Take their mean: .mean().",
        )
    if not value.requires_grad and bool(value.isfinite()):  # what is not finite is said by the loop
        raise MethodError(
            "loss returned a number without a gradient: nothing that is trained went into it",
            "Look for detach(), item() or no_grad() on the way, and for what trainable_parameters gives.",
        )
    return value


def checked_parameters(given: object) -> dict[str, nn.Parameter]:
    """Parameters by name, at least one; raises :class:`MethodError` for anything else."""
    pairs = given.items() if isinstance(given, Mapping) else given
    named = list(pairs) if isinstance(pairs, Iterable) else []
    if not all(isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[1], Tensor) for pair in named):
        raise MethodError(
            "trainable_parameters must give names and parameters in pairs",
            "named_parameters() of a module does, parameters() does not.",
        )
    if not named:
        raise MethodError("trainable_parameters gave no parameters: there is nothing to train")
    return dict(named)
