"""The command line. Commands import what they need when they run, so that ``vlcl --help`` is quick."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vlcl_bench.errors import VlclError

INTERRUPTED = 130


def main() -> None:
    """Entry point of ``vlcl``: run a command and turn deliberate errors into a message and an exit code."""
    started = time.monotonic()
    from vlcl_bench.common.streams import settle_streams

    settle_streams()
    from vlcl_bench.cli.app import app
    from vlcl_bench.common.environment import check_environment
    from vlcl_bench.errors import VlclError

    try:
        for unknown in check_environment():
            print(f"note: {unknown.name} is no variable of vlcl-bench. {unknown.hint}", file=sys.stderr)
        refuse_empty(sys.argv[1:])
        app(prog_name="vlcl", obj=started)
    except VlclError as error:
        report(error)
        sys.exit(error.exit_code)
    except SystemExit as end:
        if end.code == INTERRUPTED:  # typer has already caught the KeyboardInterrupt
            print("\ninterrupted; give the same command again: a run continues where it was", file=sys.stderr)
        _flush(end.code)
        raise
    except BrokenPipeError:
        # The reader of our output has gone. `vlcl show … | head` is done; a run was cut short and can be continued.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(INTERRUPTED if sys.argv[1:2] == ["run"] else 0)
    except (OSError, UnicodeEncodeError) as error:
        deliberate = _refusal(error)
        if deliberate is None:
            raise
        report(deliberate)
        sys.exit(deliberate.exit_code)


def _refusal(error: OSError | UnicodeEncodeError) -> VlclError | None:
    """What a disk refused somewhere below, or a text of the command line that no file can hold; else ``None``."""
    from pathlib import Path

    from vlcl_bench.common.fileio import FULL, machine_error, refusal_in
    from vlcl_bench.errors import UsageError

    if isinstance(error, UnicodeEncodeError):
        if not any("\ud800" <= letter <= "\udfff" for letter in error.object):
            return None
        words = error.object.encode("ascii", "backslashreplace").decode()[:60]
        return UsageError(f"{words!r} is not a text in UTF-8", "Names and settings are; only paths may be other bytes.")
    unnamed = machine_error(error, Path("a file")) if error.errno in FULL else None
    return refusal_in(error) or unnamed


def _flush(code: object) -> None:
    """Write what is still to be written; a full disk behind ``> FILE`` must not pass for a finished answer."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(f"error: standard output cannot be written: {error.strerror}", file=sys.stderr)
        sys.exit(5 if code in (0, None) else code)  # type: ignore[arg-type]


def refuse_empty(arguments: Sequence[str]) -> None:
    """Raise :class:`UsageError` for an empty argument: mostly a shell's variable that is not set, never a value.

    As a folder it would be the current one, and as a name the default.
    """
    from vlcl_bench.errors import UsageError

    for before, argument in zip(["vlcl", *arguments], arguments, strict=False):
        option = argument.removesuffix("=") if re.fullmatch("--[a-z-]+=", argument) else before
        if not argument.strip() or option != before:
            raise UsageError(
                f"the argument of {option} is empty" if option.startswith("-") else "an argument is empty",
                "Give a value, or leave it out. Is a variable of the shell not set?",
            )


def report(error: Exception) -> None:
    """Print a deliberate error: what was found, and what to do next."""
    from rich.console import Console
    from rich.text import Text

    from vlcl_bench.common.environment import traceback_wanted
    from vlcl_bench.common.plain import plain
    from vlcl_bench.errors import VlclError

    console = Console(stderr=True, soft_wrap=True)
    message = error.message if isinstance(error, VlclError) else str(error)
    console.print(Text.assemble(("error: ", "bold red"), plain(message, lines=True)))
    if isinstance(error, VlclError) and error.hint:
        console.print(Text(plain(error.hint, lines=True)))
    if traceback_wanted():
        import traceback

        traceback.print_exception(error)
