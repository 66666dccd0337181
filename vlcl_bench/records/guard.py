"""Tries files of predictions in a process of its own before this one reads them.

A file whose pages hold more than its footer says cannot be told from a good one without unpacking it. What the other
process could read with little memory, this one can; what brings it down is named, and the files after it are tried.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from vlcl_bench.protocols.stream import Protocol
from vlcl_bench.records import unpack
from vlcl_bench.scoring.ground_truth import ground_truth

AT_ONCE, PATIENCE = 200, 300
"""Files that one process reads, and the seconds in which it must."""

Wanted = tuple[Path, int, Path | None]
"""A file of predictions, the most rows that are read, and where the table is written, if it is."""


def most_rows(protocol: Protocol) -> int:
    """How many rows of a file are read: more than a run of the protocol has, so that it can be said how many."""
    return 2 * rows_expected(protocol) + 1000


def rows_expected(protocol: Protocol) -> int:
    """How many predictions a run has."""
    return (len(protocol.tasks) + 1) * ground_truth(protocol).answers_a_stage


def tried(files: Sequence[Wanted]) -> list[tuple[str, str]]:
    """Read each file elsewhere; the code and the message of what is wrong with it, both empty where it was read."""
    results: list[tuple[str, str]] = []
    while len(results) < len(files):
        batch = files[len(results) : len(results) + AT_ONCE]
        answers, end = _read(batch)
        results += answers
        if len(answers) < len(batch):  # the next file brought its reader down: go on with the one after it
            message = f"reading it ended its reader ({end}): it needs too much memory or time, or is broken"
            results.append(("archive-bomb", message))
    return results


def _read(files: Sequence[Wanted]) -> tuple[list[tuple[str, str]], str]:
    """What the reader of these files writes, one answer a file until it ends, and how it ended."""
    wanted = json.dumps(
        [[str(path.absolute()), rows, "" if table is None else str(table)] for path, rows, table in files]
    )
    command = [sys.executable, "-I", unpack.__file__]
    try:
        done = subprocess.run(command, input=wanted.encode(), capture_output=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired as error:
        return _answers(error.stdout or b"", len(files)), f"more than {PATIENCE} seconds"
    return _answers(done.stdout, len(files)), f"exit code {done.returncode}"


def _answers(output: bytes, most: int) -> list[tuple[str, str]]:
    """The whole lines that were written; what a dying process left of one is no answer."""
    answers = []
    for line in output.split(b"\n")[:-1][:most]:
        try:
            answer = json.loads(line)
            answers.append((str(answer["code"]), str(answer["message"])))
        except (ValueError, KeyError, TypeError):
            break
    return answers
