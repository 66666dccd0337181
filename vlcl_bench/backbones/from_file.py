"""Backbones from Python files: any dual encoder, wrapped in a few lines, beside those that are known by name."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import ModuleType

import torch

from vlcl_bench.backbones.base import Backbone
from vlcl_bench.backbones.trial import try_out
from vlcl_bench.common.fileio import sha256_text
from vlcl_bench.common.importing import import_file
from vlcl_bench.common.tokens import token_digest
from vlcl_bench.errors import MethodError, UsageError, VlclError, nearest

FUNCTION = "backbone"
"""What a file calls the function that makes its backbone, if it has several classes or one with arguments."""


def is_file_name(name: str) -> bool:
    """Whether a backbone's name is ``<file>.py`` or ``<file>.py:<factory>``."""
    return name.endswith(".py") or ".py:" in name


def load_from_file(name: str) -> Backbone:
    """The backbone of a Python file.

    ``name`` is ``my_backbone.py`` or ``my_backbone.py:factory``. A factory is a subclass of :class:`Backbone` or a
    function; it takes no arguments. Without one it is the file's function ``backbone``, else its only concrete
    subclass of :class:`Backbone`. The backbone is then named ``<file without .py>:<factory>``; what it is is
    known by the hash of its weights and by what its source says (:func:`source_digest`). Weights that the factory
    draws from torch's generator are the same each time.

    Raises :class:`UsageError` where there is no such file, it does not import, has no such factory, or where the
    factory fails or returns something else than a complete backbone.
    """
    location, _, wanted = name.rpartition(":") if ".py:" in name else (name, "", "")
    path = Path(location)
    try:
        digest = source_digest(path)
    except OSError as error:
        raise UsageError(
            f"the backbone file {location!r} cannot be read: {error.strerror}",
            f"Give the path of a Python file, from the folder you are in ({Path.cwd()}).",
        ) from error
    try:
        with redirect_stdout(sys.stderr):  # what a file prints is not the answer of a command
            module = import_file(path, digest)
    except MethodError as error:
        raise UsageError(error.message, error.hint) from error
    called, factory = _factory(module, wanted, location)
    try:
        with redirect_stdout(sys.stderr), same_draws():
            made = factory()
    except VlclError:
        raise
    except Exception as error:  # a plugin may raise anything: missing weights, a missing package
        raise UsageError(
            f"{called} of {location} raised {type(error).__name__}: {error}",
            "It is called without arguments and returns a backbone ready to be used.",
        ) from error
    backbone = _checked(made, f"{called} of {location}")
    with redirect_stdout(sys.stderr), same_draws():
        try_out(backbone, f"{called} of {location}")
    backbone.name = f"{path.stem}:{called}"
    backbone.source_sha256 = digest
    return backbone


def source_digest(path: Path) -> str:
    """SHA-256 of what a backbone's file says, and the modules beside it that it imports, directly or by way of others.

    Comments, docstrings and blank lines do not count (:mod:`vlcl_bench.common.tokens`). Installed packages, and files
    that are read, are not covered. Raises :class:`OSError` for a file that cannot be read.
    """
    files = [path]
    for file in files:  # it grows while it is walked through
        known = {each.resolve() for each in files}
        files += [found for found in imported_beside(file, path.absolute().parent) if found.resolve() not in known]
    first, *others = (token_digest(file.read_bytes()) for file in files)
    return sha256_text("\n".join([first, *sorted(others)])) if others else first


def imported_beside(file: Path, folder: Path) -> list[Path]:
    """The modules that a file imports by name from ``folder``, or relative to where it lies, found in its syntax tree.

    Nothing is imported.
    """
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    above = file.absolute().parents
    named: set[tuple[Path, str]] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            named |= {(folder, alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = above[min(node.level, len(above)) - 1] if node.level else folder
            module = [node.module] if node.module else []
            named |= {(start, name) for name in (*module, *(".".join([*module, alias.name]) for alias in node.names))}
    parts = {(start, name.rsplit(".", cut)[0]) for start, name in named for cut in range(name.count(".") + 1)}
    places = [start.joinpath(*name.split(".")) for start, name in sorted(parts)]
    files = [candidate for place in places for candidate in (place.with_suffix(".py"), place / "__init__.py")]
    return [candidate for candidate in files if candidate.is_file()]


@contextmanager
def same_draws() -> Iterator[None]:
    """Within it torch's generator starts from the same place each time; afterwards it goes on as if nothing had been.

    Two processes that make the same backbone must get the same weights.
    """
    before = torch.get_rng_state()
    torch.default_generator.manual_seed(0)
    try:
        yield
    finally:
        torch.set_rng_state(before)


def _factory(module: ModuleType, wanted: str, where: str) -> tuple[str, Callable[[], object]]:
    """The factory that is meant, and its name."""
    own = {
        name: value
        for name, value in vars(module).items()
        if getattr(value, "__module__", None) == module.__name__
        and (inspect.isclass(value) or inspect.isfunction(value))
    }
    classes = {name: value for name, value in own.items() if inspect.isclass(value) and issubclass(value, Backbone)}
    functions = {name: value for name, value in own.items() if inspect.isfunction(value)}
    if wanted:
        known = classes | functions
        if wanted not in known:
            raise UsageError(f"{where} has no backbone class or function {wanted!r}", nearest(wanted, known))
        return wanted, _complete(known[wanted], where)
    if FUNCTION in functions:
        return FUNCTION, functions[FUNCTION]
    concrete = {name: value for name, value in classes.items() if not inspect.isabstract(value)}
    if len(concrete) > 1:
        names = sorted(concrete)
        raise UsageError(f"{where} has several backbones: {', '.join(names)}", f"Name one: {where}:{names[0]}")
    if not classes:
        raise UsageError(
            f"{where} has no backbone",
            "Expected a class that derives from vlcl_bench.backbones.base.Backbone, or a function called "
            f"{FUNCTION!r} that returns one.",
        )
    name, cls = next(iter((concrete or classes).items()))
    return name, _complete(cls, where)


def _complete(factory: Callable[[], object], where: str) -> Callable[[], object]:
    missing = sorted(getattr(factory, "__abstractmethods__", ()))
    if missing:
        raise UsageError(
            f"class {factory.__name__} in {where} does not define {', '.join(missing)}",
            "vlcl_bench.backbones.base.Backbone says what each of them is.",
        )
    return factory


def _checked(made: object, what: str) -> Backbone:
    """Refuse what is no backbone, or one that does not say what the harness must know."""
    if not isinstance(made, Backbone):
        raise UsageError(
            f"{what} returned {type(made).__name__}, expected a Backbone",
            "Derive it from vlcl_bench.backbones.base.Backbone.",
        )
    unsaid = [key for key in ("image_size", "context_length") if not isinstance(getattr(made, key, None), int)]
    unsaid += [key for key in ("mean", "std") if not _is_for_channels(getattr(made, key, None))]
    if unsaid:
        raise UsageError(
            f"the backbone that {what} returned does not say its {', '.join(unsaid)}",
            "For instance: image_size = 224 and context_length = 77; mean and std have a number for each channel.",
        )
    if not any(True for _ in made.parameters()):
        raise UsageError(f"the backbone that {what} returned has no parameters")
    return made


def _is_for_channels(value: object) -> bool:
    return isinstance(value, list | tuple) and len(value) == 3 and all(isinstance(each, int | float) for each in value)
