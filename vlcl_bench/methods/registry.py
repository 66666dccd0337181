"""Finding methods: by name, by file, by submission folder, or from an installed package's entry point."""

from __future__ import annotations

import ast
import inspect
import sys
import tomllib
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from vlcl_bench.common.importing import import_file
from vlcl_bench.errors import MethodError, UsageError, nearest
from vlcl_bench.methods.source import baselines_folder, source_digest

if TYPE_CHECKING:
    from vlcl_bench.methods.base import Method

ENTRY_POINTS = "vlcl_bench.methods"
METHOD_NAME, MANIFEST_NAME = "method.py", "submission.toml"


@dataclass(frozen=True)
class MethodInfo:
    """A method that can be named on the command line, read without importing it."""

    name: str
    title: str
    summary: str
    source: str


@dataclass(frozen=True)
class MethodRef:
    """Which method is meant, and where its code is; nothing has been imported yet.

    ``name`` is what records carry, ``path`` the method's file and ``class_name`` the class named with it (empty: the
    file's only one). ``folder`` is that of a method that is one, a submission's for instance: all Python files in it
    are the method's source, its file can import the others (``from .helper import x``), and it may read them; without
    one it is its file only. A method of an installed package has an ``entry_point``; ``by_name`` says that it was not
    named by a file or folder.
    """

    name: str
    path: Path
    class_name: str = ""
    folder: Path | None = None
    entry_point: EntryPoint | None = None
    by_name: bool = False

    @classmethod
    def parse(cls, spec: str) -> MethodRef:
        """What is meant by ``spec``, as it is typed on the command line.

        A name (``finetune``), a file (``my.py`` or ``my.py:Mine``), a folder with ``method.py`` or a
        ``submission.toml`` whose ``method`` points at one, or an entry point. Raises :class:`UsageError` for a name
        that does not exist.
        """
        location, _, class_name = spec.partition(":")
        reference = reference_method(location) if location.isidentifier() else None
        if reference is not None:  # first: a folder of that name must not hide it
            return cls(location, reference, class_name, by_name=True)
        path = Path(location)
        if path.is_dir():
            file = submission_file(path)
            return cls(path.resolve().name, file, class_name, None if _is_reference(file) else path.resolve())
        if location.endswith(".py"):
            if not path.exists():
                raise UsageError(f"no method file {location!r}", "Write a start with: vlcl methods new " + location)
            return cls(path.stem, path.absolute(), class_name)
        for point in entry_points(group=ENTRY_POINTS):
            if point.name == location:
                return cls(point.name, Path(), entry_point=point, by_name=True)
        raise UsageError(f"unknown method {spec!r}", _advice(location, class_name))

    @property
    def specification(self) -> str:
        """What :meth:`parse` takes to find the same code again, in another process say."""
        if self.entry_point is not None:
            return self.name
        place = self.path if self.folder is None else self.folder
        return f"{place}:{self.class_name}" if self.class_name else str(place)

    @property
    def is_reference(self) -> bool:
        """Whether it is one of this project's own methods."""
        return self.entry_point is None and _is_reference(self.path)

    @property
    def source_sha256(self) -> str:
        """The digest of the source, as records carry it; raises :class:`UsageError` for an unreadable file."""
        path = self.path if self.entry_point is None else Path(inspect.getfile(self._module()))
        try:
            return source_digest(path, self.folder)
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}", "Give a Python file with a method.") from error

    @property
    def default_isolation(self) -> str:
        """``process`` for a submission folder or a file, ``inline`` for what is known by name."""
        return "inline" if self.by_name else "process"

    def load(self) -> type[Method]:
        """Import the method's class; raises :class:`MethodError` where that fails or there is no method."""
        if self.entry_point is not None:
            target, where = self._target(), self.entry_point.value
            return _only_method(target, "", where) if inspect.ismodule(target) else _complete(target, where)
        inside = self.folder is not None and self.path.is_relative_to(self.folder)
        package = self.path.parent if inside else None
        module = import_file(self.path, self.source_sha256, package)
        return _only_method(module, self.class_name, str(self.path))

    def _target(self) -> Any:
        assert self.entry_point is not None
        try:
            return self.entry_point.load()
        except Exception as error:
            raise MethodError(
                f"the entry point {self.name!r} ({self.entry_point.value}) does not import: {error}"
            ) from error

    def _module(self) -> ModuleType:
        target = self._target()
        return target if inspect.ismodule(target) else sys.modules[target.__module__]


def load_method(spec: str) -> type[Method]:
    """The class of the method that ``spec`` names; see :meth:`MethodRef.parse` and :meth:`MethodRef.load`."""
    return MethodRef.parse(spec).load()


def reference_method(name: str) -> Path | None:
    """The file of a reference method, ``NAME.py`` or ``NAME/method.py``; ``None`` where there is none."""
    folder = baselines_folder()
    places = (folder / f"{name}.py", folder / name / METHOD_NAME)
    return next((path for path in places if not name.startswith("_") and path.is_file()), None)


def reference_methods() -> dict[str, Path]:
    """The reference methods: name and file, sorted by name."""
    folder = baselines_folder()
    files = {path.stem: path for path in folder.glob("[!_]*.py")}
    files |= {path.parent.name: path for path in folder.glob(f"[!_]*/{METHOD_NAME}")}
    return dict(sorted(files.items()))


def _is_reference(path: Path) -> bool:
    return path.resolve() in {file.resolve() for file in reference_methods().values()}


def list_methods() -> list[MethodInfo]:
    """Baselines and entry points, sorted by name; nothing is imported."""
    methods = []
    for name, path in reference_methods().items():
        title, summary = _headline(path, name)
        methods.append(MethodInfo(name, title, summary, "baselines"))
    for point in entry_points(group=ENTRY_POINTS):
        methods.append(MethodInfo(point.name, point.name, f"from {point.value}", "entry point"))
    return sorted(methods, key=lambda info: info.name)


def _advice(location: str, class_name: str) -> str:
    """What to type instead of a name that no method has: its title counts as a word for a method."""
    path = Path(f"{location}.py")
    if path.is_file():
        return f"Did you mean the file {path}{':' + class_name if class_name else ''}?"
    infos = list_methods()
    advice = nearest(location, [info.name for info in infos], {info.title: info.name for info in infos})
    return f"{advice} `vlcl methods` lists them all."


def _headline(path: Path, name: str) -> tuple[str, str]:
    """Title of the last class and first line of the module's docstring, from the syntax tree."""
    tree, title = ast.parse(path.read_text(encoding="utf-8")), name
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "title":
            title = str(ast.literal_eval(node.value))
    return title, (ast.get_docstring(tree) or "").split("\n")[0]


def submission_file(folder: Path) -> Path:
    """The file of a submission's method, its own or the one that its ``submission.toml`` points at."""
    settings = folder / MANIFEST_NAME
    if (folder / METHOD_NAME).exists():
        return (folder / METHOD_NAME).resolve()
    if settings.exists():
        try:
            target = tomllib.loads(settings.read_text(encoding="utf-8")).get("method")
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            raise UsageError(f"{settings} is not valid TOML: {error}", 'It needs: method = "method.py"') from error
        if isinstance(target, str) and (folder / target).is_file():
            return (folder / target).resolve()
    raise UsageError(f"{folder} holds no method", "A submission has a method.py, or a submission.toml that names one.")


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
