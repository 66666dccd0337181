"""The command line. Commands import what they need when they run, so that ``vlcl --help`` is quick."""

from __future__ import annotations

import os
import sys

INTERRUPTED = 130


def main() -> None:
    """Entry point of ``vlcl``: run a command and turn deliberate errors into a message and an exit code."""
    from vlcl_bench.cli.app import app
    from vlcl_bench.errors import VlclError

    try:
        app(prog_name="vlcl")
    except VlclError as error:
        report(error)
        sys.exit(error.exit_code)
    except SystemExit as end:
        if end.code == INTERRUPTED:  # typer has already caught the KeyboardInterrupt
            print("\ninterrupted; give the same command again: a run continues where it was", file=sys.stderr)
        raise
    except BrokenPipeError:
        # The reader of our output has gone. `vlcl show … | head` is done; a run was cut short and can be continued.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(INTERRUPTED if sys.argv[1:2] == ["run"] else 0)


def report(error: Exception) -> None:
    """Print a deliberate error: what was found, and what to do next."""
    from rich.console import Console
    from rich.text import Text

    from vlcl_bench.common.plain import plain
    from vlcl_bench.errors import VlclError

    console = Console(stderr=True, soft_wrap=True)
    message = error.message if isinstance(error, VlclError) else str(error)
    console.print(Text.assemble(("error: ", "bold red"), plain(message, lines=True)))
    if isinstance(error, VlclError) and error.hint:
        console.print(Text(plain(error.hint, lines=True)))
    if os.environ.get("VLCL_TRACEBACK"):
        import traceback

        traceback.print_exception(error)
