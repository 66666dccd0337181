"""Bounds of settings whose class declares none: what a weight, a count or a temperature cannot be.

A penalty of a negative weight is a reward for what it should prevent, trains without an error and gives a number. So a
setting whose meaning is plain from its name and its default is held to that meaning. A class that means something else
says so with a bound of its own, ``weight: float = Field(0.0, ge=-1)``, and is then taken at its word.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from vlcl_bench.errors import UsageError

NEVER_NEGATIVE = (
    "weight",
    "strength",
    "penalty",
    "smoothing",
    "rate",
    "decay",
    "dropout",
    "fraction",
    "share",
    "ratio",
)
"""Last words of names of settings that are zero or more, as every whole number is whose default is."""
POSITIVE = ("temperature", "tau")
AT_MOST_ONE = ("smoothing", "dropout", "fraction")


def check_bounds(values: BaseModel, title: str) -> None:
    """Raise :class:`UsageError` for settings of the method ``title`` that are outside the bounds of their kind."""
    for name, value, bound in _outside(values):
        default = type(values).model_fields[name].default
        raise UsageError(
            f"setting {name}={value!r} of {title}: it must be {bound}",
            f"Leave it out for the default, {default!r}. A method that means another range says so in its Config, "
            f"for instance: {name}: {type(default).__name__} = Field({default!r}, ge=-10)",
        )


def _outside(values: BaseModel) -> Iterator[tuple[str, float, str]]:
    """Settings outside the bounds of their kind, with the bound in words."""
    for name, field in type(values).model_fields.items():
        value, default = getattr(values, name), field.default
        if field.metadata or not _is_number(value) or not _is_number(default) or default < 0:
            continue
        word = name.rpartition("_")[2]
        if word in POSITIVE and default > 0 and value <= 0:
            yield name, value, "more than 0"
        elif (word in NEVER_NEGATIVE or isinstance(default, int)) and value < 0:
            yield name, value, "0 or more"
        elif word in AT_MOST_ONE and default <= 1 < value:
            yield name, value, "at most 1"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
