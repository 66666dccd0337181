"""The files of a submission: only known names, no links, nothing large, nothing packed."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from vlcl_bench.records.files import PREDICTIONS_NAME, RECORD_NAME
from vlcl_bench.submissions.finding import Fault
from vlcl_bench.submissions.manifest import MANIFEST_LIMIT, MANIFEST_NAME, METHOD_NAME
from vlcl_bench.submissions.text import NAME_HINT, UnreadableError, is_name, read_limited, shown
from vlcl_bench.records.reruns import RERUN_NAME

KIB, MIB = 1024, 1024 * 1024
METHOD_LIMIT, RECORD_LIMIT, PREDICTIONS_LIMIT = 256 * KIB, 4 * MIB, 32 * MIB
TOTAL_LIMIT, MOST_FILES = 128 * MIB, 500
TOP_FILES = {
    MANIFEST_NAME: MANIFEST_LIMIT,
    METHOD_NAME: METHOD_LIMIT,
    "README.md": 256 * KIB,
    "LICENSE": 64 * KIB,
}
RUN_FILES = {RECORD_NAME: RECORD_LIMIT, PREDICTIONS_NAME: PREDICTIONS_LIMIT}
RERUN_LIMIT = 64 * KIB
RUN_HASH = re.compile(r"[0-9a-f]{16}")
KNOWN = f"A submission holds {', '.join(TOP_FILES)}, and runs/<hash>/ with {' and '.join(RUN_FILES)}."
RUNNING = (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".bin", ".npy", ".npz", ".joblib", ".so", ".pyc")
PACKED = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst", ".whl")


def check_tree(folder: Path) -> tuple[list[Path], list[Fault]]:
    """The run folders that can be looked into, in order of their names, and all that is wrong with the tree."""
    if folder.is_symlink() or not folder.is_dir():
        return [], [Fault("no-folder", ".", f"{shown(str(folder))} is not a folder", "Give the submission's folder.")]
    faults, total, runs = list[Fault](), 0, list[Path]()
    if not is_name(folder.absolute().name):
        message = f"the folder's name {shown(folder.absolute().name)} is not one for a submission"
        faults.append(Fault("name", ".", message, NAME_HINT))
    for count, (where, entry) in enumerate(_walk(folder, faults)):
        if count == MOST_FILES:
            message = f"there are more than {MOST_FILES} files and folders; the rest was not looked at"
            faults.append(Fault("too-many-files", ".", message, KNOWN))
            break
        found = entry.stat(follow_symlinks=False)
        total += found.st_size if stat.S_ISREG(found.st_mode) else 0
        if entry.is_dir(follow_symlinks=False) and where.startswith("runs/"):
            runs.append(folder / where)
        elif not entry.is_dir(follow_symlinks=False):
            faults += _file_faults(where, entry, found)
    if total > TOTAL_LIMIT:
        message = f"the files have {total:,} bytes together; at most {TOTAL_LIMIT:,} are taken"
        faults.append(Fault("too-large", ".", message, "Leave runs out, or open an issue first."))
    for run in sorted(runs):
        names = {name for name in RUN_FILES if os.path.lexists(run / name)}
        for name in sorted(set(RUN_FILES) - names):
            hint = "Copy the run in with `vlcl submit add`, or delete the folder."
            faults.append(Fault("incomplete-run", _within(folder, run), f"{name} is missing", hint))
    whole = [run for run in sorted(runs) if all(_plain(run / name) for name in RUN_FILES)]
    return whole, faults


def _walk(folder: Path, faults: list[Fault]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Every entry with its path; folders that do not belong are reported, not entered, and never through a link."""
    waiting = [folder]
    while waiting:
        place = waiting.pop()
        with os.scandir(place) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        for entry in entries:
            where = _within(folder, Path(entry.path))
            if entry.is_dir(follow_symlinks=False):
                if entry.name == "__pycache__":
                    faults += _cache_faults(where, Path(entry.path))
                    continue
                if where != "runs" and not (place == folder / "runs" and RUN_HASH.fullmatch(entry.name)):
                    faults.append(_misplaced(where, place == folder / "runs"))
                    continue
                waiting.append(Path(entry.path))
            yield where, entry


def _misplaced(where: str, among_runs: bool) -> Fault:
    if among_runs:
        message = f"the folder {shown(where)} is not named after a run hash (16 hexadecimal digits)"
        return Fault("run-name", shown(where), message, "Copy runs in with `vlcl submit add`, which names the folder.")
    return Fault("unexpected-file", shown(where), f"the folder {shown(where)} does not belong here", KNOWN)


def _file_faults(where: str, entry: os.DirEntry[str], found: os.stat_result) -> list[Fault]:
    in_run = {**RUN_FILES, RERUN_NAME: RERUN_LIMIT}
    known = TOP_FILES if "/" not in where else in_run if where.count("/") == 2 else {}
    limit = known.get(entry.name)
    if entry.is_symlink():
        message = f"{shown(where)} is a link"
        return [Fault("link", shown(where), message, "Put the file itself there; links are not followed.")]
    if not stat.S_ISREG(found.st_mode):
        return [Fault("not-a-file", shown(where), f"{shown(where)} is not a plain file", "Delete it.")]
    if limit is None:
        kind = next((what for ends, what in ((RUNNING, "can run code when it is opened"), (PACKED, "is packed"))
                     if entry.name.lower().endswith(ends)), "")  # fmt: skip
        message = f"the file {shown(where)} does not belong here" + (f": what ends so {kind}" if kind else "")
        return [Fault("unexpected-file", shown(where), message, f"Delete it. {KNOWN}")]
    if found.st_size > limit:
        message = f"{where} has {found.st_size:,} bytes; at most {limit:,} are taken"
        return [Fault("too-large", where, message, "Records made by `vlcl submit add` are far smaller.")]
    return []


def _cache_faults(where: str, place: Path) -> list[Fault]:
    """Python's own leftovers are harmless, but not byte code that is run whatever the source says (PEP 552)."""
    faults = []
    hint = "Delete the folder; it is not part of a submission."
    for path in sorted(place.iterdir())[:50]:
        try:
            head = read_limited(path, METHOD_LIMIT * 4)[4:8]
        except UnreadableError:
            head = b""
        if path.suffix != ".pyc" or head != bytes(4):
            within = f"{where}/{path.name}"
            message = f"{shown(within)} is byte code that Python would run in place of the source"
            faults.append(Fault("unexpected-file", shown(within), message, hint))
    return faults or [Fault("leftover", shown(where), "Python's cache of byte code", hint, severe=False)]


def _plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _within(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()
