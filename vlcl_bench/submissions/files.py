"""The files of a submission: only known names, no links, nothing large, nothing packed."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from vlcl_bench.records.files import PREDICTIONS_NAME, RECORD_NAME
from vlcl_bench.submissions.finding import Finding
from vlcl_bench.submissions.manifest import MANIFEST_LIMIT, MANIFEST_NAME, METHOD_NAME
from vlcl_bench.records.reruns import RERUN_NAME
from vlcl_bench.submissions.text import NAME_HINT, UnreadableError, is_name, read_limited, shown

KIB, MIB = 1024, 1024 * 1024
METHOD_LIMIT, RECORD_LIMIT, PREDICTIONS_LIMIT = 256 * KIB, 4 * MIB, 32 * MIB
TOTAL_LIMIT, MOST_FILES = 128 * MIB, 500
TOP_FILES = {MANIFEST_NAME: MANIFEST_LIMIT, "README.md": 256 * KIB, "LICENSE": 64 * KIB}
PYTHON_FILE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}\.py")
"""Modules of the method: beside its ``method.py`` there may be others, of :data:`METHOD_LIMIT` bytes together."""
RUN_FILES = {RECORD_NAME: RECORD_LIMIT, PREDICTIONS_NAME: PREDICTIONS_LIMIT}
RERUN_LIMIT = 64 * KIB
RUN_HASH = re.compile(r"[0-9a-f]{16}")
LEFTOVER = re.compile(r"\.[A-Za-z0-9][A-Za-z0-9_.-]{0,80}\.[A-Za-z0-9_]{8}\.tmp")
"""What a command that was killed leaves of a file or folder that it was writing: nothing ever reads it."""
KNOWN = (
    f"A submission holds {METHOD_NAME} and other Python files beside it, {', '.join(TOP_FILES)}, and runs/<hash>/ with "
    f"{' and '.join(RUN_FILES)}."
)
RUNNING = (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".bin", ".npy", ".npz", ".joblib", ".so", ".pyc")
PACKED = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst", ".whl")


def check_tree(folder: Path) -> tuple[list[Path], list[Finding]]:
    """The run folders that can be looked into, in order of their names, and all that is wrong with the tree."""
    if folder.is_symlink() or not folder.is_dir():
        return [], [Finding("no-folder", ".", f"{shown(str(folder))} is not a folder", "Give the submission's folder.")]
    findings, sizes, runs = list[Finding](), dict[str, int](), list[Path]()
    if not is_name(folder.absolute().name):
        message = f"the folder's name {shown(folder.absolute().name)} is not one for a submission"
        findings.append(Finding("name", ".", message, NAME_HINT))
    for count, (where, entry) in enumerate(_walk(folder, findings)):
        if count == MOST_FILES:
            message = f"there are more than {MOST_FILES} files and folders; the rest was not looked at"
            findings.append(Finding("too-many-files", ".", message, KNOWN))
            break
        status = entry.stat(follow_symlinks=False)
        if entry.is_dir(follow_symlinks=False):
            runs += [folder / where] if where.startswith("runs/") else []
            continue
        sizes[where] = status.st_size if stat.S_ISREG(status.st_mode) else 0
        findings += _file_findings(where, entry, status)
    findings += _size_findings(sizes)
    for run in sorted(runs):
        for name in sorted(name for name in RUN_FILES if not os.path.lexists(run / name)):
            hint = "Copy the run in with `vlcl submit add`, or delete the folder."
            findings.append(Finding("incomplete-run", _within(folder, run), f"{name} is missing", hint))
    whole = [run for run in sorted(runs) if all(_plain(run / name) for name in RUN_FILES)]
    return whole, findings


def _size_findings(sizes: Mapping[str, int]) -> Iterator[Finding]:
    """What is too large together, given the bytes of each file by its path."""
    total = sum(sizes.values())
    if total > TOTAL_LIMIT:
        message = f"the files have {total:,} bytes together; at most {TOTAL_LIMIT:,} are taken"
        yield Finding("too-large", ".", message, "Leave runs out, or open an issue first.")
    python = [size for where, size in sizes.items() if PYTHON_FILE.fullmatch(where)]
    if sum(python) > METHOD_LIMIT >= max(python):
        message = f"its Python files have {sum(python):,} bytes together; at most {METHOD_LIMIT:,} are taken"
        yield Finding("too-large", METHOD_NAME, message, "Keep tables and weights out of the source.")


def _walk(folder: Path, findings: list[Finding]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Every entry with its path; folders that do not belong are reported, not entered, and never through a link."""
    waiting = [folder]
    while waiting:
        place = waiting.pop()
        try:
            with os.scandir(place) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError as error:
            where = _within(folder, place)
            message = f"the folder {shown(where)} cannot be looked into: {error.strerror}"
            findings.append(Finding("unreadable-folder", shown(where), message, "Let everybody read it."))
            continue
        for entry in entries:
            where = _within(folder, Path(entry.path))
            if entry.is_dir(follow_symlinks=False):
                if entry.name == "__pycache__":
                    findings += _cache_findings(where, Path(entry.path))
                    continue
                if LEFTOVER.fullmatch(entry.name) and place == folder / "runs":
                    findings.append(_leftover(where))
                    continue
                if where != "runs" and not (place == folder / "runs" and RUN_HASH.fullmatch(entry.name)):
                    findings.append(_misplaced(where, place == folder / "runs"))
                    continue
                waiting.append(Path(entry.path))
            yield where, entry


def _misplaced(where: str, among_runs: bool) -> Finding:
    if among_runs:
        message = f"the folder {shown(where)} is not named after a run hash (16 hexadecimal digits)"
        hint = "Copy runs in with `vlcl submit add`, which names the folder."
        return Finding("run-name", shown(where), message, hint)
    return Finding("unexpected-file", shown(where), f"the folder {shown(where)} does not belong here", KNOWN)


def _limit(where: str) -> int | None:
    """The bytes that a file may have; ``None`` for one that does not belong where it is."""
    if "/" not in where:
        return METHOD_LIMIT if PYTHON_FILE.fullmatch(where) else TOP_FILES.get(where)
    in_run = {**RUN_FILES, RERUN_NAME: RERUN_LIMIT}
    return in_run.get(where.rpartition("/")[2]) if where.count("/") == 2 else None


def _file_findings(where: str, entry: os.DirEntry[str], status: os.stat_result) -> list[Finding]:
    limit = _limit(where)
    if LEFTOVER.fullmatch(entry.name) and stat.S_ISREG(status.st_mode):
        return [_leftover(where)]
    if entry.is_symlink():
        message = f"{shown(where)} is a link"
        return [Finding("link", shown(where), message, "Put the file itself there; links are not followed.")]
    if not stat.S_ISREG(status.st_mode):
        return [Finding("not-a-file", shown(where), f"{shown(where)} is not a plain file", "Delete it.")]
    if limit is None:
        kind = next((what for ends, what in ((RUNNING, "can run code when it is opened"), (PACKED, "is packed"))
                     if entry.name.lower().endswith(ends)), "")  # fmt: skip
        message = f"the file {shown(where)} does not belong here" + (f": what ends so {kind}" if kind else "")
        return [Finding("unexpected-file", shown(where), message, f"Delete it. {KNOWN}")]
    if status.st_size > limit:
        message = f"{where} has {status.st_size:,} bytes; at most {limit:,} are taken"
        return [Finding("too-large", where, message, "Records made by `vlcl submit add` are far smaller.")]
    return []


def _leftover(where: str) -> Finding:
    message = "a command that was killed left this half-written"
    hint = "Delete it, or give the command again: `vlcl submit add` removes it."
    return Finding("leftover", shown(where), message, hint, severity="remark")


MOST_NAMED = 50
"""Files of byte code that are named; all are looked at until so many were found."""


def _cache_findings(where: str, place: Path) -> list[Finding]:
    """Python's own leftovers are harmless, but not byte code that is run whatever the source says (PEP 552)."""
    findings: list[Finding] = []
    hint = "Delete the folder; it is not part of a submission."
    for path in sorted(place.iterdir()):
        if len(findings) >= MOST_NAMED:
            break
        try:
            head = read_limited(path, METHOD_LIMIT * 4)[4:8]
        except UnreadableError:
            head = b""
        if path.suffix != ".pyc" or head != bytes(4):
            within = f"{where}/{path.name}"
            message = f"{shown(within)} is byte code that Python would run in place of the source"
            findings.append(Finding("unexpected-file", shown(within), message, hint))
    return findings or [Finding("leftover", shown(where), "Python's cache of byte code", hint, severity="remark")]


def _plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _within(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()
