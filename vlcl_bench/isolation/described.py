"""A method as its own process describes it: what the harness must know without importing its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from vlcl_bench.errors import MethodError, UsageError, nearest
from vlcl_bench.isolation import KINDS
from vlcl_bench.methods.registry import (
    ENTRY_POINTS,
    _submission_file,
    baselines_folder,
    list_methods,
    source_digest,
)

MOST_TITLE = 200


@dataclass(frozen=True)
class Located:
    """Where a method's code is: the name that records carry, its file, the class named with it, and its folder.

    ``folder`` is a submission's, which the method may read; without one it may read its file only.
    """

    name: str
    path: Path
    class_name: str
    folder: Path | None = None

    @property
    def specification(self) -> str:
        """What :func:`vlcl_bench.methods.registry.load_method` takes."""
        return f"{self.path}:{self.class_name}" if self.class_name else str(self.path)

    @property
    def source_sha256(self) -> str:
        """The hash of the source, as records carry it; raises :class:`UsageError` for an unreadable file."""
        try:
            return source_digest(self.path)
        except OSError as error:
            raise UsageError(
                f"{self.path} cannot be read: {error.strerror}", "Give a Python file with a method."
            ) from error


def locate(spec: str) -> Located:
    """The file that ``spec`` means, found as :func:`load_method` finds it, but without importing anything.

    Raises :class:`UsageError` for a name that does not exist, and for an installed package's entry point.
    """
    location, _, class_name = spec.partition(":")
    path, baseline = Path(location), baselines_folder() / f"{location}.py"
    if location.isidentifier() and baseline.exists():
        return Located(location, baseline.resolve(), class_name)
    if path.is_dir():
        return Located(path.resolve().name, _submission_file(path).resolve(), class_name, path.resolve())
    if location.endswith(".py"):
        if not path.exists():
            raise UsageError(f"no method file {location!r}", "Write a start with: vlcl methods new " + location)
        return Located(path.stem, path.absolute(), class_name)
    if any(point.name == location for point in entry_points(group=ENTRY_POINTS)):
        raise UsageError(
            f"the method {location!r} comes from an installed package, which cannot be kept in a process of its own",
            "Use --isolation inline, or give the path of the method's file.",
        )
    known = [info.name for info in list_methods()]
    raise UsageError(f"unknown method {spec!r}", nearest(spec, known) + " `vlcl methods` lists them all.")


def default_isolation(spec: str) -> str:
    """``process`` for a submission folder or a file, ``inline`` for what is known by name."""
    location = spec.partition(":")[0]
    named = location.isidentifier() and (baselines_folder() / f"{location}.py").exists()
    return "process" if not named and (location.endswith(".py") or Path(location).is_dir()) else "inline"


def check_isolation(kind: str) -> str:
    """The kind of isolation that is meant; raises :class:`UsageError` for another word."""
    if kind not in KINDS:
        raise UsageError(f"--isolation {kind!r} is not one of {', '.join(KINDS)}", nearest(kind, KINDS))
    return kind


class DescribedSettings:
    """A method's settings as plain values; what is not set is missing, as with a method's own ``Config``."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = dict(values)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_values"][name]
        except KeyError:
            raise AttributeError(name) from None

    def model_dump(self, mode: str = "json") -> dict[str, Any]:
        """All values, ready for JSON."""
        return dict(self._values)


class DescribedMethod:
    """What the harness asks of a method's class, from its description."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        self.title = _checked(told, "title", str)
        self.deterministic = _checked(told, "deterministic", bool)
        auxiliary = _checked(told, "auxiliary", list)
        self.auxiliary = tuple(word for word in auxiliary if isinstance(word, str))
        self.settings = DescribedSettings(_checked(told, "settings", dict))
        self._unranked_because = _checked(told, "unranked_because", str)
        if len(self.auxiliary) != len(auxiliary) or not 0 < len(self.title) <= MOST_TITLE:
            raise MethodError(
                f"the method describes itself as title = {self.title[:60]!r}, auxiliary = {str(auxiliary)[:100]}",
                f"The title has 1 to {MOST_TITLE} letters, and auxiliary lists words.",
            )

    def unranked_because(self, config: Any) -> str:
        """See :meth:`vlcl_bench.methods.base.Method.unranked_because`."""
        return self._unranked_because


def _checked(told: Mapping[str, Any], key: str, kind: type) -> Any:
    value = told.get(key)
    if not isinstance(value, kind):
        raise MethodError(f"the method's {key} is of type {type(value).__name__}; expected {kind.__name__}")
    return value
