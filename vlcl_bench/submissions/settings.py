"""Which settings of a submission's runs are entries: one may go undeclared, further ones stand in its ``entries``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vlcl_bench.common.fileio import canonical_json


def undeclared(configs: Iterable[Mapping[str, Any]], entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """The different settings (canonical JSON, in order) that agree with none of ``entries``.

    An entry need not name every setting: those that it names must be as it says.
    """
    return sorted({canonical_json(dict(config)) for config in configs if not is_declared(config, entries)})


def is_declared(config: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> bool:
    """Whether one of ``entries`` speaks of these settings."""
    missing = object()
    return any(entry and all(config.get(key, missing) == value for key, value in entry.items()) for entry in entries)

