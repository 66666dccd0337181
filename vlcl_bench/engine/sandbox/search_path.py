"""Where modules are looked for: what the harness can import for a backbone, the method's process can, too.

The folders of ``PYTHONPATH`` and the like may hold anything, records and other runs among it. So the process looks into
them only while it loads the backbone, which is the user's own code and runs before the audit hook is in force. Of these
folders only those that the method may read (``--allow-read``) are looked into afterwards.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from vlcl_bench.engine.sandbox.audit import library_places


def added_places() -> list[str]:
    """Entries of this process's search path, absolute, that are not Python's own or those of installed packages."""
    own = {os.path.realpath(place) for place in library_places()}
    places = dict.fromkeys(os.path.abspath(entry or ".") for entry in sys.path)
    return [place for place in places if os.path.isdir(place) and os.path.realpath(place) not in own]


@contextmanager
def also_searched(places: Sequence[str], kept: Sequence[str]) -> Iterator[None]:
    """Within it modules are looked for in ``places`` too; afterwards only in those of them that lie in ``kept``."""
    known = {os.path.realpath(entry or ".") for entry in sys.path}
    new = [place for place in places if os.path.realpath(place) not in known]
    sys.path[1:1] = new
    try:
        yield
    finally:
        roots = [Path(os.path.realpath(place)) for place in kept]
        left = {place for place in new if any(Path(os.path.realpath(place)).is_relative_to(root) for root in roots)}
        sys.path[:] = [entry for entry in sys.path if entry not in new or entry in left]


def missing_module(error: BaseException) -> str:
    """The name of the module whose absence an error comes from; empty for an error of another kind."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ModuleNotFoundError) and cause.name:
            return cause.name
        cause = cause.__cause__
    return ""


def where_it_is(module: str) -> str:
    """What to do about a module that a method's process does not find and this process does; empty if it does not."""
    name = module.partition(".")[0]
    try:
        spec = importlib.util.find_spec(name) if name.isidentifier() else None
    except (ImportError, ValueError):
        return ""
    if spec is None or not (spec.origin or spec.submodule_search_locations):
        return ""
    file = Path(spec.origin or next(iter(spec.submodule_search_locations or ())))
    folder = file.parent.parent if spec.submodule_search_locations and spec.origin else file.parent
    return (
        f"The module {name} lies in {folder}, which a method in a process of its own may not read. "
        f"--allow-read {folder} lets it. Or put it beside the method in a folder with a method.py "
        f"(from .{name} import …), where it counts as the method's source. Or --isolation inline."
    )
