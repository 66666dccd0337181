"""All variables of the environment that vlcl-bench reads: what is set wrong is said and not passed over."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vlcl_bench.errors import UsageError, nearest

PREFIX = "VLCL_"
OFF = frozenset({"", "0", "false", "no", "off"})
ISOLATIONS = ("inline", "process", "container")


def _folder(value: str) -> str | None:
    return None if value.strip() else "the name of a folder"


def _count(value: str) -> str | None:
    right = value.isascii() and value.isdigit() and 0 < int(value) <= MOST_WORKERS
    return None if right else f"a whole number from 1 to {MOST_WORKERS}"


def _isolation(value: str) -> str | None:
    return None if value in ISOLATIONS else f"one of {', '.join(ISOLATIONS)}"


MOST_WORKERS = 1024
VARIABLES: Mapping[str, Callable[[str], str | None]] = {
    "VLCL_STORE": _folder,
    "VLCL_DATA_HOME": _folder,
    "VLCL_DATA_ROOT": _folder,
    "VLCL_HUB_ROOT": _folder,
    "VLCL_WORKERS": _count,
    "VLCL_ISOLATION": _isolation,
    "VLCL_TRACEBACK": lambda value: None,
}
"""Each with what its value has to be, where it is not. An empty value counts as not set. See docs/commands.md."""


@dataclass(frozen=True)
class Unknown:
    """A variable that begins as ours do and is none of them, and the one that may be meant."""

    name: str
    hint: str


def check_environment() -> list[Unknown]:
    """Unknown variables that begin as ours do; raises :class:`UsageError` for a value that cannot be used."""
    for name in VARIABLES:
        value_of(name)
    names = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in VARIABLES)
    return [Unknown(name, nearest(name, VARIABLES)) for name in names]


def value_of(name: str) -> str:
    """A variable's value, empty where it is not set; raises :class:`UsageError` where it cannot be used."""
    value = os.environ.get(name, "")
    wanted = VARIABLES[name](value) if value else None
    if wanted is not None:
        raise UsageError(f"{name}={value!r} is not {wanted}", f"Set {name} to it, or unset it for the default.")
    return value


def traceback_wanted() -> bool:
    """Whether errors are shown with the place where they happened."""
    return os.environ.get("VLCL_TRACEBACK", "").strip().lower() not in OFF
