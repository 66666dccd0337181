"""The real data sets that are known by name: one TOML file each in the folder ``catalogue``."""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path

from pydantic import ValidationError

from vlcl_bench.data.real.spec import RealSpec
from vlcl_bench.errors import UsageError, nearest

FOLDER = Path(__file__).parent / "catalogue"


@functools.cache
def catalogue() -> tuple[str, ...]:
    """Names of all known real data sets, sorted."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


@functools.cache
def spec_of(name: str) -> RealSpec:
    """What the protocols expect of a data set; :class:`UsageError` with the nearest name if it is not known."""
    if name not in catalogue():
        raise UsageError(f"no real data set {name!r}", nearest(name, catalogue()))
    path = FOLDER / f"{name}.toml"
    try:
        spec = RealSpec.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise UsageError(f"{path} does not describe a data set: {error}") from error
    if spec.name != name:
        raise UsageError(f"{path} describes {spec.name!r}", "A file in the catalogue has its data set's name.")
    return spec
