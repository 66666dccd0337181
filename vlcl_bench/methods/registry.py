"""Finding methods: by name, by file, by submission folder, or from an installed package's entry point."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import inspect
import json
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from vlcl_bench.errors import MethodError, UsageError, nearest
from vlcl_bench.methods.source import baselines_folder, source_digest

if TYPE_CHECKING:
    from vlcl_bench.methods.base import Method

ENTRY_POINTS = "vlcl_bench.methods"


@dataclass(frozen=True)
class MethodInfo:
    """A method that can be named on the command line, read without importing it."""

    name: str
    title: str
    summary: str
    source: str


@dataclass(frozen=True)
class LoadedMethod:
    """A method's class, the name that records carry, and the SHA-256 of its source, see :func:`source_digest`."""

    name: str
    cls: type[Method]
    source_sha256: str


def list_methods() -> list[MethodInfo]:
    """Baselines and entry points, sorted by name; nothing is imported."""
    found = []
    for path in sorted(baselines_folder().glob("[!_]*.py")):
        title, summary = _headline(path)
        found.append(MethodInfo(path.stem, title, summary, "baselines"))
    for point in entry_points(group=ENTRY_POINTS):
        found.append(MethodInfo(point.name, point.name, f"from {point.value}", "entry point"))
    return sorted(found, key=lambda info: info.name)


def _headline(path: Path) -> tuple[str, str]:
    """Title of the last class and first line of the module's docstring, from the syntax tree."""
    tree, title = ast.parse(path.read_text(encoding="utf-8")), path.stem
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "title":
            title = str(ast.literal_eval(node.value))
    return title, (ast.get_docstring(tree) or "").split("\n")[0]


def load_method(spec: str) -> LoadedMethod:
    """The method that ``spec`` names.

    ``spec`` is a name (``finetune``), a file (``my.py`` or ``my.py:Mine``), or a folder with ``method.py`` or a
    ``submission.toml`` whose ``method`` points at one. Raises :class:`UsageError` for a name that does not exist
    and :class:`MethodError` for a file that cannot be imported or holds no method.
    """
    location, _, class_name = spec.partition(":")
    path = Path(location)
    baseline = baselines_folder() / f"{location}.py"
    if location.isidentifier() and baseline.exists():  # first: a folder of that name must not hide it
        return _from_file(baseline, class_name, location)
    if path.is_dir():
        return _from_file(_submission_file(path), class_name, path.resolve().name)
    if location.endswith(".py"):
        if not path.exists():
            raise UsageError(f"no method file {location!r}", "Write a start with: vlcl methods new " + location)
        return _from_file(path, class_name, path.stem)
    for point in entry_points(group=ENTRY_POINTS):
        if point.name == location:
            return _from_entry_point(point)
    known = [info.name for info in list_methods()]
    raise UsageError(f"unknown method {spec!r}", nearest(spec, known) + " `vlcl methods` lists them all.")


def _submission_file(folder: Path) -> Path:
    settings = folder / "submission.toml"
    if (folder / "method.py").exists():
        return folder / "method.py"
    if settings.exists():
        try:
            target = tomllib.loads(settings.read_text(encoding="utf-8")).get("method")
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            raise UsageError(f"{settings} is not valid TOML: {error}", 'It needs: method = "method.py"') from error
        if isinstance(target, str) and (folder / target).is_file():
            return (folder / target).resolve()
    raise UsageError(f"{folder} holds no method", "A submission has a method.py, or a submission.toml that names one.")


def _from_file(path: Path, class_name: str, name: str) -> LoadedMethod:
    try:
        digest = source_digest(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "Give a Python file with a method.") from error
    return LoadedMethod(name, _only_method(import_file(path, digest), class_name, str(path)), digest)


def import_file(path: Path, digest: str) -> ModuleType:
    """Import a file under a name that depends on its place and content, so that no two get in each other's way."""
    place = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]
    name = f"vlcl_method_{path.stem}_{place}_{digest[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise MethodError(f"{path} cannot be imported: it is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, KeyboardInterrupt):
            raise
        line = _line_in(error, path)
        raise MethodError(
            f"{path}{line} does not import: {type(error).__name__}: {error}",
            "Mend the file, or see the whole story with: python " + str(path),
        ) from error
    return module


def _line_in(error: BaseException, path: Path) -> str:
    if isinstance(error, SyntaxError) and error.lineno and Path(error.filename or "").absolute() == path.absolute():
        return f", line {error.lineno},"
    trace, found = error.__traceback__, ""
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename).absolute() == path.absolute():
            found = f", line {trace.tb_lineno},"
        trace = trace.tb_next
    return found


def _only_method(module: ModuleType, class_name: str, where: str) -> type[Method]:
    from vlcl_bench.methods.base import Method

    classes = {
        name: value
        for name, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, Method) and value.__module__ == module.__name__
    }
    if class_name:
        if class_name not in classes:
            raise MethodError(f"{where} has no method class {class_name!r}", nearest(class_name, classes))
        return _complete(classes[class_name], where)
    concrete = list(dict.fromkeys(value for value in classes.values() if not inspect.isabstract(value)))
    if len(concrete) == 1:
        return _complete(concrete[0], where)
    if concrete:
        names = sorted(value.__name__ for value in concrete)
        raise MethodError(f"{where} has several method classes: {', '.join(names)}", f"Name one: {where}:{names[0]}")
    if classes:
        return _complete(next(iter(classes.values())), where)
    raise MethodError(
        f"{where} has no method class",
        "Expected a class that derives from vlcl_bench.methods.Method or LossMethod; "
        "`vlcl methods new my_method.py` writes a working start.",
    )


def _complete(cls: type[Method], where: str) -> type[Method]:
    missing = sorted(getattr(cls, "__abstractmethods__", ()))
    if missing:
        raise MethodError(f"class {cls.__name__} in {where} does not define {', '.join(missing)}")
    if not isinstance(getattr(cls, "title", None), str):
        raise MethodError(f"class {cls.__name__} in {where} has no title", 'Give it one: title = "My method"')
    return cls


def _from_entry_point(point: Any) -> LoadedMethod:
    try:
        target = point.load()
    except Exception as error:
        raise MethodError(f"the entry point {point.name!r} ({point.value}) does not import: {error}") from error
    module = target if inspect.ismodule(target) else sys.modules[target.__module__]
    digest = source_digest(Path(inspect.getfile(module)))
    cls = _only_method(module, "", point.value) if inspect.ismodule(target) else _complete(target, point.value)
    return LoadedMethod(point.name, cls, digest)


def parse_settings(pairs: Iterable[str]) -> dict[str, Any]:
    """``key=value`` pairs; values are read as JSON where they are JSON (``0.5``, ``true``), else as text."""
    settings: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"--set {pair!r} is not of the form key=value", "For instance: --set alpha=0.5")
        try:
            settings[key.strip()] = json.loads(value)
        except json.JSONDecodeError:
            settings[key.strip()] = value
    return settings


def make_config(cls: type[Method], settings: Mapping[str, Any], scale: str) -> Any:
    """The method's configuration: its defaults, its values for the protocol's scale, then the user's settings."""
    from pydantic import ValidationError

    from vlcl_bench.methods.base import Config

    if not issubclass(cls.Config, Config):
        raise MethodError(
            f"the settings class of {cls.title} does not derive from vlcl_bench.methods.base.Config",
            "Without it a misspelt --set would pass unseen.",
        )
    merged = {**(cls.mini_settings if scale == "mini" else {}), **settings}
    try:
        return cls.Config.model_validate(merged)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "settings"
        fields = cls.Config.model_fields
        if first["type"] == "extra_forbidden":
            known = nearest(key, fields) if fields else "It has none."
            raise UsageError(f"{cls.title} has no setting {key!r}", known) from error
        raise UsageError(f"setting {key}={first['input']!r} of {cls.title}: {first['msg']}") from error
