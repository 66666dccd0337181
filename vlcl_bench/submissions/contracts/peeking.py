"""Whether a method's code reaches for what it must not see: files beside its own, other processes, the network.

An audit hook of Python's (PEP 578) sees every file that is opened through Python while the method's code runs, and
a few openers written in other languages are watched at their door. What this does not see: files opened by C code
through other ways (``ctypes``), objects of the harness found by walking frames or the garbage collector, and modules
of the harness that are taken apart. A method in a process of its own has none of the latter to find.
"""

from __future__ import annotations

import functools
import importlib
import os
import site
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from vlcl_bench.data.store import default_root
from vlcl_bench.engine.sandbox.supervisor import hidden_places
from vlcl_bench.methods.source import baselines_folder
from vlcl_bench.common.places import data_home

READABLE = ("/dev/null", "/dev/urandom", "/dev/random", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat")
SYSTEM = ("/usr/lib", "/usr/lib64", "/usr/share", "/usr/local/lib", "/lib", "/lib64", "/etc", "/sys")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CODE = (".py", ".pyc", ".so")
FORBIDDEN = {
    "subprocess.Popen": "starts a process", "os.system": "starts a process", "os.posix_spawn": "starts a process",
    "os.exec": "starts a process", "os.fork": "starts a process", "os.forkpty": "starts a process",
    "socket.connect": "uses the network", "socket.bind": "uses the network", "socket.sendto": "uses the network",
    "socket.getaddrinfo": "uses the network",
}  # fmt: skip
"""Events that are not let through, in words."""
DOORS = {
    "pyarrow.parquet": ("read_table", "read_pandas", "read_metadata", "ParquetFile", "ParquetDataset"),
    "pyarrow": ("memory_map", "OSFile", "input_stream"),
    "pyarrow.dataset": ("dataset",),
    "safetensors": ("safe_open",),
    "safetensors.torch": ("load_file",),
    "safetensors.numpy": ("load_file",),
}
"""Openers that Python's audit does not see, by module; those not imported yet are left alone."""

_watching: list[Watch] = []
_installed = False


class Watch:
    """What is noticed while a method's code runs: ``seen`` has a line for each thing that it must not do.

    ``folder`` is the submission's: the method may read there, but not its records, and write nowhere. ``allowed`` are
    further places of the harness's own.
    """

    def __init__(self, folder: Path, allowed: Sequence[Path] = (), store: Path | None = None) -> None:
        package = Path(__file__).parents[1]
        self.folder = _real(folder)
        self._anything = [_real(path) for path in allowed]
        self._libraries = [_real(Path(path)) for path in _library_folders()]
        self._code = [_real(package), _real(baselines_folder())]
        self._never = [*map(_real, hidden_places()), _real(store or default_root()), _real(data_home())]
        self._never += [self.folder + os.sep + "runs"]
        self._never += [path + os.sep + os.path.join("sklearn", "datasets") for path in self._libraries]
        self.seen: dict[str, str] = {}

    @contextmanager
    def over(self, doing: str) -> Iterator[None]:
        """Notice what happens meanwhile, as done while ``doing`` something."""
        _install()
        self.doing = doing
        with ExitStack() as doors:
            for module, names in DOORS.items():
                if module in sys.modules:
                    doors.enter_context(_doors(self, importlib.import_module(module), names))
            _watching.append(self)
            try:
                yield
            finally:
                _watching.remove(self)

    def opened(self, path: object, writing: bool) -> None:
        """Note the opening of a file, unless it is a place where a method may read."""
        if not isinstance(path, (str, bytes, os.PathLike)):
            return  # a descriptor that is open already
        real = _real(Path(os.fsdecode(path)))
        if "__pycache__" in Path(real).parts or _below(real, self._anything) or real == _real(Path(os.devnull)):
            return
        if writing:
            self.seen.setdefault(real, f"writes {real} while {self.doing}")
        elif not self._may_read(real):
            self.seen.setdefault(real, f"opens {real} while {self.doing}")

    def _may_read(self, real: str) -> bool:
        if _below(real, self._never):
            return False
        code = real.endswith(CODE) and _below(real, self._code)
        itself = f"/proc/{os.getpid()}"
        return code or _below(real, [self.folder, *self._libraries, *SYSTEM, *READABLE, itself])

    def forbid(self, event: str) -> None:
        """Note and refuse an event of :data:`FORBIDDEN`."""
        self.seen.setdefault(event, f"{FORBIDDEN[event]} ({event}) while {self.doing}")
        raise PermissionError(f"a method {FORBIDDEN[event]}; that is not allowed here")


def _install() -> None:
    """Hook into the interpreter, once: a hook cannot be taken out again, but this one sleeps while nobody watches."""
    global _installed
    if not _installed:
        _installed = True
        sys.addaudithook(_hook)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching:
        return
    watch = _watching[-1]
    if event == "open":
        path, mode, flags = arguments
        writing = any(sign in mode for sign in "wax+") if isinstance(mode, str) else bool(flags & WRITING)
        watch.opened(path, writing)
    elif event == "sqlite3.connect":
        watch.opened(arguments[0], True)
    elif event in FORBIDDEN:
        watch.forbid(event)


@contextmanager
def _doors(watch: Watch, module: Any, names: Sequence[str]) -> Iterator[None]:
    """Stand at the doors of a module: its openers tell the watch what they are given first."""

    def told(opener: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(opener, updated=())
        def wrapped(*arguments: Any, **named: Any) -> Any:
            given = [*arguments, *named.values()][:1]
            if given and isinstance(given[0], (str, os.PathLike)):
                watch.opened(given[0], False)
            return opener(*arguments, **named)

        return wrapped

    before = {name: getattr(module, name) for name in names if hasattr(module, name)}
    for name, opener in before.items():
        setattr(module, name, told(opener))
    try:
        yield
    finally:
        for name, opener in before.items():
            setattr(module, name, opener)


def _library_folders() -> list[str]:
    paths = sysconfig.get_paths()
    found = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    zipped = [path for path in sys.path if path.endswith(".zip")]  # looked for, whether there or not
    return [*found, *site.getsitepackages(), *zipped]


def _real(path: Path) -> str:
    return os.path.realpath(path)


def _below(path: str, folders: Sequence[str]) -> bool:
    return any(path == folder or path.startswith(folder.rstrip(os.sep) + os.sep) for folder in folders)
