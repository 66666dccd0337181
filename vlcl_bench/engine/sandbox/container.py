"""A method's process within bubblewrap: no network, and of the file system only what it needs, read-only."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from vlcl_bench.errors import MachineError

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/sys")
NVIDIA = "nvidia*"
HINT = (
    "Install bubblewrap (Debian, Ubuntu: apt-get install bubblewrap) on a system where users may make namespaces, or "
    "choose process for isolation (--isolation)."
)


def require_bwrap() -> str:
    """The path of ``bwrap``; raises :class:`MachineError` where it is missing or may not do its work."""
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        raise MachineError(
            "container isolation (--isolation container) needs bubblewrap, and there is no `bwrap` here", HINT
        )
    command = [bwrap, "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true"]
    tried = subprocess.run(command, capture_output=True, text=True)
    if tried.returncode:
        raise MachineError(f"bubblewrap may not make a container here: {tried.stderr.strip()[:300]}", HINT)
    return bwrap


def contained(
    command: Sequence[str], scratch: Path, read: Sequence[Path], hidden: Sequence[Path], bwrap: str = "bwrap"
) -> list[str]:
    """The command within bubblewrap.

    ``read`` and Python's own places can be read, ``hidden`` ones among them are empty, only ``scratch`` can be written;
    everything else, the home folder among it, is not there. Graphics cards are passed through.
    """
    line = [bwrap, "--die-with-parent", "--unshare-all", "--new-session", "--proc", "/proc", "--dev", "/dev"]
    line += ["--tmpfs", "/tmp"]
    for place in SYSTEM:
        line += ["--ro-bind-try", place, place]
    for device in sorted(Path("/dev").glob(NVIDIA)):
        line += ["--dev-bind-try", str(device), str(device)]
    wanted = [Path(sys.prefix), Path(sys.base_prefix), *_search_path(), *(place.resolve() for place in read)]
    # From the outside in, or a folder would cover what was bound below it.
    for place in sorted({str(place) for place in wanted if place.exists() and str(place) != "/"}):
        line += ["--ro-bind", place, place]
    for covered in hidden:
        if covered.is_dir():
            line += ["--tmpfs", str(covered)]
        elif covered.exists():
            line += ["--ro-bind", "/dev/null", str(covered)]
    return [*line, "--bind", str(scratch), str(scratch), "--chdir", str(scratch), *command]


def _search_path() -> list[Path]:
    """Entries of the search path that hold installed packages; a checkout's own folder is bound in parts."""
    return [Path(entry) for entry in sys.path if entry and Path(entry).name in ("site-packages", "dist-packages")]
