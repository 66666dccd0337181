"""What the harness says of a method's process that failed: never more than the process can know, and in our words."""

from __future__ import annotations

import signal
from collections.abc import Collection
from typing import Any

from vlcl_bench.engine.sandbox.output import plain_words
from vlcl_bench.engine.sandbox.search_path import where_it_is
from vlcl_bench.engine.sandbox.worker_side import OWN_FOLDER
from vlcl_bench.errors import IntegrityError, MachineError, MethodError, UsageError, VlclError

ERRORS: dict[str, type[VlclError]] = {
    error.__name__: error for error in (UsageError, IntegrityError, MethodError, MachineError)
}
ALL = tuple(ERRORS)
WHY = {
    "SIGKILL": ", which is what the system does where memory runs out",
    "SIGSYS": ", which is what the system does to a call of another kind of processor",
}


def sent_error(header: dict[str, Any], believed: Collection[str] = ALL) -> VlclError:
    """An error that the process sent, as plain text; its kind decides the exit code, so only ``believed`` ones count.

    Lines after the first are indented, so that nothing looks like a message of its own; advice that is not ours is
    said to be the process's. Where it lacks a module that the harness finds, the advice is what lets it.
    """
    missing = header.get("missing")
    instead = where_it_is(missing) if isinstance(missing, str) else ""
    hint = header.get("hint")
    name = str(header["error"])
    kind = ERRORS[name] if name in believed and name in ERRORS else MethodError
    if hint and set(believed) != set(ERRORS) and hint != OWN_FOLDER:
        hint = f"The method's process says: {hint}"
    return kind(_quoted(header.get("message")), instead or (_quoted(hint) if hint else None))


def _quoted(text: object) -> str:
    return plain_words(text).rstrip().replace("\n", "\n    ")


def how_it_ended(code: int | None) -> str:
    """What to say of a process that closed its line and has this exit code; ``None`` where it still runs."""
    if code is None:
        return "closed its line to the harness"
    if 0 <= code <= 128:
        return f"ended with exit code {code}"
    number = -code if code < 0 else code - 128
    name = signal.Signals(number).name if number in set(signal.Signals) else "unknown"
    return f"was ended by signal {number} ({name}){WHY.get(name, '')}"
