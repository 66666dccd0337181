"""The source of a method that is a class in memory, of a notebook say: its text, and what of its surroundings it uses.

A class has no file that could be hashed, and a cell that is run again may have changed a function that the class calls
or a number that it reads. So its digest is over its own source, over that of the functions and classes beside it that
it uses, directly or by way of others, and over the values of plain constants. What cannot be hashed is refused.
"""

from __future__ import annotations

import ast
import dis
import inspect
import linecache
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import CellType, CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from vlcl_bench.common.fileio import sha256_text
from vlcl_bench.common.tokens import token_digest
from vlcl_bench.errors import MethodError, UsageError
from vlcl_bench.methods.registry import MethodRef, reference_method

if TYPE_CHECKING:
    from vlcl_bench.methods.base import Method

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
LOADS = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
"""Instructions that read a name from outside a function."""
PLAIN = (int, float, complex, str, bytes, bool, type(None), range)
IN_A_FILE = "Write the method to a file, and name the file: method='my.py'."
ELSE = f"Or: {IN_A_FILE[0].lower()}{IN_A_FILE[1:]}"


@dataclass(frozen=True)
class ClassRef(MethodRef):
    """A method that is a class in memory: it lives in the harness's own process, and no other can be given it."""

    method_class: type[Method] | None = None
    digest: str = ""

    @classmethod
    def of(cls, method_class: type[Method]) -> ClassRef:
        """The reference of a class.

        Raises :class:`UsageError` for a class that is no method, for one whose name is that of a reference method, and
        where its source cannot be found or hashed.
        """
        from vlcl_bench.methods.base import Method

        name = method_class.__name__
        if not issubclass(method_class, Method):
            raise UsageError(f"class {name} is no method", "It must derive from vlcl_bench.Method or LossMethod.")
        if reference_method(name) is not None:
            raise UsageError(f"there is a reference method {name!r} already", "Give your class another name.")
        return cls(name, Path(), method_class=method_class, digest=class_digest(method_class))

    @property
    def specification(self) -> str:
        """See :attr:`MethodRef.specification`; raises :class:`UsageError`, for a class has none."""
        raise UsageError(f"class {self.name} cannot be given to another process", IN_A_FILE)

    @property
    def source_sha256(self) -> str:
        """See :attr:`MethodRef.source_sha256`."""
        return self.digest

    @property
    def is_reference(self) -> bool:
        """See :attr:`MethodRef.is_reference`."""
        return False

    @property
    def default_isolation(self) -> str:
        """See :attr:`MethodRef.default_isolation`."""
        return "inline"

    def load(self) -> type[Method]:
        """See :meth:`MethodRef.load`."""
        assert self.method_class is not None
        missing = sorted(getattr(self.method_class, "__abstractmethods__", ()))
        if missing:
            raise MethodError(f"class {self.name} does not define {', '.join(missing)}")
        if not isinstance(getattr(self.method_class, "title", None), str):
            raise MethodError(f"class {self.name} has no title", 'Give it one: title = "My method"')
        return self.method_class


def class_digest(method_class: type) -> str:
    """SHA-256 of what the source of a class says, and of what it uses beside it.

    Comments and docstrings do not count. Raises :class:`UsageError` where some of it cannot be found or hashed.
    """
    texts: list[str] = []
    constants: dict[str, str] = {}
    waiting: list[Any] = [method_class]
    for thing in waiting:  # it grows while it is walked through
        text = source_of(thing)
        texts.append(text)
        surroundings = _surroundings(thing)
        for name in sorted(names_read(text) & surroundings.keys()):
            value = surroundings[name]
            if inspect.isclass(value) or inspect.isfunction(value):
                if value.__module__ == method_class.__module__ and not any(value is other for other in waiting):
                    waiting.append(value)
            elif _is_plain(value):
                constants[name] = _in_words(value)
            elif not _is_of_a_package(value):
                raise UsageError(
                    f"{method_class.__name__} uses {name!r}, a {type(value).__name__} that is made outside of it and "
                    "cannot be hashed: runs with other values of it would look the same",
                    f"Make it inside the class, or make it a setting. {ELSE}",
                )
    digests = [token_digest(text.encode()) for text in texts]
    if len(digests) == 1 and not constants:
        return digests[0]
    lines = [digests[0], *sorted(digests[1:]), *(f"{name} = {value}" for name, value in sorted(constants.items()))]
    return sha256_text("\n".join(lines))


def source_of(thing: type | FunctionType) -> str:
    """The text of a class or function as it was run, from its file or cell; :class:`UsageError` where there is none."""
    for function in _functions(thing):
        code = function.__code__
        text = "".join(linecache.getlines(code.co_filename, function.__globals__))
        node = _definition(text, thing.__name__, code.co_firstlineno)
        if node is None:
            continue
        if not any(_is_same(code, other) for other in _codes(compile(text, code.co_filename, "exec"))):
            raise UsageError(
                f"{code.co_filename} has changed since {thing.__name__} was imported from it",
                f"Import it again. {ELSE}",
            )
        lines = text.splitlines(keepends=True)
        return textwrap.dedent("".join(lines[_first_line(node) - 1 : node.end_lineno]))
    try:
        return textwrap.dedent(inspect.getsource(thing))
    except (OSError, TypeError) as error:
        raise UsageError(
            f"the source of {thing.__name__} cannot be found, and a run's identity rests on it", IN_A_FILE
        ) from error


def names_read(text: str) -> set[str]:
    """Names that a piece of source takes from outside of itself (and some of its own class bodies).

    Python's own (``__name__``, which every class body reads) are left out.
    """
    code = compile(text, "<source>", "exec", dont_inherit=True)
    instructions = (instruction for part in _codes(code) for instruction in dis.get_instructions(part))
    names = {str(instruction.argval) for instruction in instructions if instruction.opname in LOADS}
    return {name for name in names if not (name.startswith("__") and name.endswith("__"))}


def _functions(thing: type | FunctionType) -> Iterator[FunctionType]:
    """A function itself; of a class, those that are written in it."""
    if inspect.isfunction(thing):
        yield thing
        return
    for value in vars(thing).values():
        inner = getattr(value, "__func__", getattr(value, "fget", value))
        function = inspect.unwrap(inner) if callable(inner) else inner
        if inspect.isfunction(function) and function.__qualname__.startswith(f"{thing.__qualname__}."):
            yield function


def _surroundings(thing: type | FunctionType) -> Mapping[str, Any]:
    """What the names in a class or function mean that come from outside: of its module, or of a function around it."""
    names: dict[str, Any] = dict(vars(sys.modules[thing.__module__])) if thing.__module__ in sys.modules else {}
    for function in _functions(thing):
        names |= function.__globals__
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        names |= {name: cell.cell_contents for name, cell in cells if name != "__class__" and _is_filled(cell)}
    names.pop(thing.__name__, None)
    return names


def _definition(text: str, name: str, line: int) -> Definition | None:
    """The definition of this name that contains the line."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, Definition) and node.name == name and _first_line(node) <= line <= (node.end_lineno or 0):
            return node
    return None


def _first_line(node: Definition) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _is_same(code: CodeType, other: CodeType) -> bool:
    """Whether two pieces do the same; ``==`` asks for equal flags, too, which a notebook keeps from cell to cell."""
    facts = [(part.co_firstlineno, part.co_code, part.co_names, part.co_varnames) for part in (code, other)]
    constants = [[part for part in code.co_consts if not isinstance(part, CodeType)] for code in (code, other)]
    inner = [[part for part in code.co_consts if isinstance(part, CodeType)] for code in (code, other)]
    return facts[0] == facts[1] and constants[0] == constants[1] and all(map(_is_same, *inner))


def _is_filled(cell: CellType) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def _is_plain(value: object) -> bool:
    if isinstance(value, tuple | list | set | frozenset):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(_is_plain(key) and _is_plain(part) for key, part in value.items())
    return type(value) in PLAIN


def _in_words(value: object) -> str:
    """A plain value as text; equal values give equal text in every process."""
    if isinstance(value, set | frozenset):
        return f"{type(value).__name__}({sorted(map(_in_words, value))})"
    if isinstance(value, tuple | list):
        return f"{type(value).__name__}({list(map(_in_words, value))})"
    if isinstance(value, dict):
        return f"dict({[(_in_words(key), _in_words(part)) for key, part in value.items()]})"
    return repr(value)


def _is_of_a_package(value: object) -> bool:
    """Whether this is a part of a package (a module, a compiled function, a type variable), and no value made here."""
    return isinstance(value, ModuleType) or inspect.isroutine(value) or type(value).__module__ in ("typing", "types")
