"""Files that are either whole or absent, canonical JSON, and content hashes.

Every file the project writes goes through :func:`write_atomic`: a temporary name in the same folder, synced,
renamed, and the folder synced. A reader therefore never meets half a file, whatever killed the writer.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from vlcl_bench.common.places import moving
from vlcl_bench.errors import IntegrityError, MachineError

TEMPORARY = "TMPDIR names another folder for them; it must exist."
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
IN_THE_WAY = frozenset({errno.ENOTDIR, errno.EEXIST, errno.EISDIR})
REFUSALS = FULL | NOT_ALLOWED | IN_THE_WAY | {
    errno.ENAMETOOLONG, errno.ELOOP, errno.ESTALE, errno.EIO, errno.EMFILE, errno.ENFILE, errno.EBUSY, errno.ETXTBSY,
    errno.ENODEV, errno.ENXIO, errno.ENOTCONN, errno.ETIMEDOUT,
}  # fmt: skip
"""What a disk or a file system refuses: no fault of the program's."""


def write_atomic(path: Path, write: bytes | str | Callable[[BinaryIO], object]) -> Path:
    """Write ``path`` whole or not at all.

    ``write`` is the content, or a function that writes it to a binary file object. Raises
    :class:`MachineError` when the disk is full or the folder cannot be written.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        with os.fdopen(fd, "wb") as file:
            if callable(write):
                write(file)
            else:
                file.write(write.encode() if isinstance(write, str) else write)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~current_umask())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        raise machine_error(error, path) from error
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)
    return path


def remove_leftovers(folder: Path) -> None:
    """Delete the half-written files that a killed :func:`write_atomic` left in ``folder`` or below.

    Only for a folder in which nobody else is writing.
    """
    for path in folder.rglob(".*.tmp"):
        path.unlink(missing_ok=True)


def remove_half_written(path: Path) -> None:
    """Delete what a killed :func:`write_atomic` of this very file left beside it. Only where nobody else writes it."""
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        if leftover.is_file() or leftover.is_symlink():
            leftover.unlink(missing_ok=True)


def current_umask() -> int:
    """The process's umask (``mkstemp`` makes private files; ours have the permissions of ordinary ones)."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` survive a power cut."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def machine_error(error: OSError, path: Path, doing: str = "write") -> MachineError:
    """Say in plain words what the operating system refused, and which setting moves what was to be written."""
    again = "give the same command again: it continues from the last complete stage."
    if error.errno in FULL:
        what = "your quota of disk space is used up" if error.errno == errno.EDQUOT else "no space left on the disk"
        return MachineError(f"{what} while writing {path}", f"Free some space and {again} {moving(path)}")
    if error.errno in NOT_ALLOWED:
        why = ": its file system is read-only" if error.errno == errno.EROFS else ""
        return MachineError(f"not allowed to {doing} {path}{why}", moving(path))
    file = next((place for place in (path, *path.parents) if os.path.isfile(place)), None)
    if error.errno in IN_THE_WAY and file is not None and file != path:
        return MachineError(f"could not {doing} {path}: {file} is a file, not a folder", moving(path))
    if error.errno == errno.ESTALE:
        return MachineError(
            f"could not {doing} {path}: its network file system has lost it ({error.strerror})",
            f"When the file system is there again, {again} {moving(path)}",
        )
    return MachineError(f"could not {doing} {path}: {error.strerror or error}", moving(path))


def refusal_in(error: BaseException) -> MachineError | None:
    """What a disk refused to a library, which may have wrapped it; ``None`` where no error in it names a file."""
    seen: list[BaseException] = []
    found: BaseException | None = error
    while found is not None and found not in seen:
        if isinstance(found, FileNotFoundError) and "usable temporary directory" in str(found):
            return MachineError(f"there is no folder for temporary files: {found.strerror}", TEMPORARY)
        if isinstance(found, OSError) and found.errno in REFUSALS:
            names = [name for name in (found.filename2, found.filename) if isinstance(name, str | bytes)]
            if names:
                return machine_error(found, Path(os.fsdecode(names[-1])), "use")
        seen.append(found)
        found = found.__cause__ or found.__context__
    return None


def scratch_folder(prefix: str) -> Path:
    """A new folder for what is soon deleted; raises :class:`MachineError` where none can be made."""
    try:
        return Path(tempfile.mkdtemp(prefix=prefix))
    except OSError as error:
        raise MachineError(f"no temporary folder can be made: {error.strerror or error}", TEMPORARY) from error


def canonical_json(value: Any) -> str:
    """JSON with sorted keys, no spaces and no NaN: equal values give equal text, so it can be hashed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def pretty_json(value: Any) -> str:
    """JSON for people and diffs: indented, in the given key order, ending in a newline."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def sha256_text(text: str) -> str:
    """Hexadecimal SHA-256 of UTF-8 text."""
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_bytes(data: bytes | memoryview) -> str:
    """Hexadecimal SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path) -> Any:
    """Read a JSON file of ours; raises :class:`IntegrityError` naming the file and the place of the damage."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise IntegrityError(f"{path} is missing") from error
    except OSError as error:
        raise IntegrityError(f"{path} cannot be read: {error.strerror}") from error
    except RecursionError as error:
        raise IntegrityError(f"{path} is not valid JSON: too many brackets within brackets") from error
    except ValueError as error:  # also bytes that are no UTF-8, and numbers of thousands of digits
        raise IntegrityError(f"{path} is not valid JSON: {error}") from error
