"""Which settings of a submission's runs are entries: one may go undeclared, further ones stand in its ``entries``."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vlcl_bench.common.fileio import canonical_json


def undeclared(configs: Iterable[Mapping[str, Any]], entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """The different settings (canonical JSON, in order) that agree with none of ``entries``.

    An entry need not name every setting: those that it names must be as it says.
    """
    found = {canonical_json(dict(config)) for config in configs if not is_declared(config, entries)}
    return sorted(found)


def is_declared(config: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> bool:
    """Whether one of ``entries`` speaks of these settings."""
    missing = object()
    return any(entry and all(config.get(key, missing) == value for key, value in entry.items()) for entry in entries)


def says_deterministic(source: Path) -> bool:
    """Whether a class in the method's file has ``deterministic = True``; read from the syntax tree, nothing is run."""
    try:
        tree = ast.parse(source.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError, OSError):
        return False
    for node in ast.walk(tree):
        for part in node.body if isinstance(node, ast.ClassDef) else ():
            if not isinstance(part, ast.Assign | ast.AnnAssign):
                continue
            targets = part.targets if isinstance(part, ast.Assign) else [part.target]
            named = any(isinstance(target, ast.Name) and target.id == "deterministic" for target in targets)
            if named and isinstance(part.value, ast.Constant) and part.value.value is True:
                return True
    return False
