"""Protocols by name or by file."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from pathlib import Path

from pydantic import ValidationError

from vlcl_bench.errors import UsageError, VlclError, nearest
from vlcl_bench.protocols.stream import Protocol

FOLDER = Path(__file__).parent


def protocol_names() -> tuple[str, ...]:
    """Names of the protocols that come with the package."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def load_protocol(name: str | Path) -> Protocol:
    """A protocol by name, or by the path of a TOML file; raises :class:`UsageError` with the nearest name.

    Equal files give the same object where all their manifests are committed, so that fingerprint and label spaces are
    computed once in a process.
    """
    name = str(name)
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not path.exists() and name.endswith(".toml"):
        raise UsageError(f"there is no file {name}", "Give a protocol's name, or the path of its TOML file.")
    if not path.exists():
        raise UsageError(f"unknown protocol {name!r}", nearest(name, protocol_names()))
    try:
        text = path.read_text(encoding="utf-8")
        protocol = _protocol(text)
        # What a manifest of first use says may change while this process lives.
        return protocol if _is_frozen(protocol) else _parsed(text)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "Give the path of a TOML file.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError) as error:
        raise UsageError(f"{path} is not a valid protocol: {error}") from error


@lru_cache(maxsize=64)
def _protocol(text: str) -> Protocol:
    return _parsed(text)


def _parsed(text: str) -> Protocol:
    return Protocol.model_validate(tomllib.loads(text))


def _is_frozen(protocol: Protocol) -> bool:
    try:
        return protocol.frozen
    except VlclError:  # it names a data set that is not there: whoever asks for it will say so
        return False
