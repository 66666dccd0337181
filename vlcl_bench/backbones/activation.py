"""The activation of weights, which must be the model's: QuickGELU, ``x * sigmoid(1.702 x)``, or the exact GELU."""

from __future__ import annotations

import open_clip

from vlcl_bench.errors import UsageError

TWIN = "-quickgelu"
CONFIG_NAME = "open_clip_config.json"


def has_quick_gelu(model: str) -> bool:
    """Whether open_clip's configuration of a model has QuickGELU."""
    return bool(open_clip.get_model_config(model).get("quick_gelu", False))


def twin_of(model: str) -> str | None:
    """The same model with the other activation, where open_clip has it."""
    twin = model.removesuffix(TWIN) if model.endswith(TWIN) else model + TWIN
    return twin if twin in open_clip.list_models() else None


def require_activation(model: str, weights: str, quick: bool, what: str) -> None:
    """Refuse a model whose activation is not that of its weights."""
    twin = twin_of(model)
    if twin and has_quick_gelu(twin) == quick:
        hint = f"Write {twin}/{weights}."
    else:
        hint = (
            f"open_clip has no other model for them. Fetch the weights together with their own {CONFIG_NAME}, "
            "which decides, and give that folder as the backbone."
        )
    refuse_activation(has_quick_gelu(model), quick, what, hint, f"the model {model}")


def refuse_activation(model: bool, weights: bool, what: str, hint: str, whose: str = "the model") -> None:
    """Raise :class:`UsageError` where the activations (QuickGELU or not) of a model and its weights differ."""
    if model != weights:
        raise UsageError(
            f"{what} were trained with {_activation(weights)}, but {whose} has {_activation(model)}: "
            "they would load without an error and give wrong features",
            hint,
        )


def _activation(quick: bool) -> str:
    return "QuickGELU" if quick else "GELU"
