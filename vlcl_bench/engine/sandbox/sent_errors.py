"""Errors that a method's process sends, as errors of the harness: of a known kind, and plain text."""

from __future__ import annotations

from typing import Any

from vlcl_bench.engine.sandbox.search_path import where_it_is
from vlcl_bench.errors import IntegrityError, MachineError, MethodError, UsageError, VlclError

ERRORS: dict[str, type[VlclError]] = {
    error.__name__: error for error in (UsageError, IntegrityError, MethodError, MachineError)
}


def sent_error(header: dict[str, Any]) -> VlclError:
    """An error that the process sent; where it lacks a module that the harness finds, with what lets it."""
    hint = header.get("hint")
    missing = header.get("missing")
    instead = where_it_is(missing) if isinstance(missing, str) else ""
    kind = ERRORS.get(str(header["error"]), MethodError)
    return kind(plain(header.get("message")), instead or (plain(hint) if hint else None))


def plain(text: object, most: int = 4000) -> str:
    """Text of the process's without what could drive a terminal."""
    return "".join(sign if sign.isprintable() or sign == "\n" else "?" for sign in str(text)[:most])
