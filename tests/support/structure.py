"""How the package is built, in numbers: ``python tests/support/structure.py [FOLDER]`` prints them of a checkout.

Imports are read from the syntax tree, nothing is imported. Those inside functions count, those for type checkers alone
(``if TYPE_CHECKING:``) do not. The limits are in ``tests/test_structure.py``.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

PACKAGE = "vlcl_bench"
LAYERS: tuple[tuple[str, ...], ...] = (
    ("", "errors"),
    ("common",),
    ("tasks", "data"),
    ("protocols", "backbones", "synthesis"),
    ("scoring",),
    ("records", "methods"),
    ("engine", "board"),
    ("sweep",),
    ("submissions", "regress", "benchmarks"),
    ("mini",),
    ("cli",),
)
"""Rooms from the lowest up; each imports lower ones only. The empty name is the package's ``__init__``, whose names are
looked up when they are used: of it the others import the version and nothing else."""
LEAVES = ("__init__.py", "errors.py", "tasks.py")
"""Modules that belong beside the rooms."""
WITHOUT_TORCH = ("scoring", "records", "board")
DRAWINGS = (".drawings.", ".sketches.")
"""One drawing after the other: such modules may be long. (The second name is that of the flat layout.)"""
LONG_MODULE, LONG_FUNCTION, MANY_PARAMETERS = 300, 60, 7
FLAT = {
    "answers": "scoring", "captions": "scoring", "compare": "scoring", "drift": "scoring", "matrix_file": "scoring",
    "metrics": "scoring", "same_answers": "scoring", "scoring": "scoring", "conformance": "cli", "doctor": "cli",
    "fileio": "common", "places": "common", "seeds": "common", "training": "common", "isolation": "engine",
    "manifests": "data", "reported": "board", "rescoring": "records", "submit": "submissions", "world": "mini",
}  # fmt: skip
"""What modules and folders of the flat layout, before there were rooms, have become: its arrows can be counted, too."""

Graph = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Module:
    """A module: its name, its file's text as a tree and lines, and the modules (ours and others) that it imports.

    ``imports`` are all of them, ``at_import`` those that are imported with it.
    """

    name: str
    tree: ast.Module
    lines: int
    imports: frozenset[str]
    at_import: frozenset[str]

    @property
    def child(self) -> str:
        """The folder or file of the package in which it lies; empty for the package's own ``__init__``."""
        return child_of(self.name)

    @property
    def room(self) -> str:
        """Its room, also where it lies in the flat layout."""
        return FLAT.get(self.child, self.child)


@dataclass(frozen=True)
class Structure:
    """A checkout: what lies in its package, and all modules by name."""

    children: tuple[str, ...]
    modules: Mapping[str, Module]

    @cached_property
    def graph(self) -> Graph:
        """Which of our modules imports which others of ours."""
        ours = self.modules.keys()
        return {name: frozenset(module.imports & ours - {name}) for name, module in self.modules.items()}

    @cached_property
    def child_graph(self) -> Graph:
        """The same for folders and loose modules of the package."""
        arrows: dict[str, set[str]] = {module.child: set() for module in self.modules.values()}
        for name, targets in self.graph.items():
            arrows[child_of(name)] |= {child_of(target) for target in targets} - {child_of(name)}
        return {child: frozenset(targets) for child, targets in arrows.items()}

    @property
    def loose(self) -> list[str]:
        """Modules that lie beside the rooms."""
        return [name for name in self.children if name.endswith(".py") and name != "__init__.py"]

    @property
    def misplaced(self) -> list[str]:
        """Those of them that have a room."""
        return [name for name in self.loose if name not in LEAVES]

    @property
    def module_circles(self) -> list[str]:
        """Modules that import each other, directly or by way of others: a line for each circle."""
        return [" ".join(circle) for circle in circles(self.graph)]

    @property
    def room_circles(self) -> list[str]:
        """Rooms that import each other, directly or by way of others."""
        return [" ".join(circle) for circle in circles(self.child_graph)]

    @property
    def arrows_up(self) -> list[str]:
        """Imports of a room that is not lower: from, to."""
        return [
            f"{name} -> {target}"
            for name, targets in self.graph.items()
            for target in sorted(targets)
            if (room := self.modules[name].room) != (other := self.modules[target].room)
            and level_of(room) <= level_of(other)
        ]

    @property
    def long_modules(self) -> list[str]:
        """Modules over :data:`LONG_MODULE` lines, drawings aside."""
        return [
            f"{module.name}: {module.lines}"
            for module in self.modules.values()
            if module.lines > LONG_MODULE and not any(part in module.name for part in DRAWINGS)
        ]

    @property
    def long_functions(self) -> list[str]:
        """Functions over :data:`LONG_FUNCTION` lines, from ``def`` to their last line."""
        return [
            f"{module.name}.{function.name}: {lines}"
            for module in self.modules.values()
            for function in functions(module.tree)
            if (lines := (function.end_lineno or function.lineno) - function.lineno + 1) > LONG_FUNCTION
        ]

    @property
    def many_parameters(self) -> list[str]:
        """Functions of more than :data:`MANY_PARAMETERS` parameters; ``self``, and commands of ``vlcl``, aside."""
        return [
            f"{module.name}.{function.name}: {count}"
            for module in self.modules.values()
            for function in functions(module.tree)
            if not is_command(function) and (count := parameters(function)) > MANY_PARAMETERS
        ]

    def walls(self) -> dict[str, list[str]]:
        """Imports through a wall: by wall, from, to and by way of what."""
        ours = [module for module in self.modules.values() if module.room in WITHOUT_TORCH]
        lower = [m for m in self.modules.values() if level_of(m.room) < level_of("engine")]
        return {
            "scoring, records, board: no torch": self._ways(ours, is_torch, at_import=True)
            + [f"{m.name} -> torch" for m in ours if any(map(is_torch, m.imports - m.at_import))],
            "scoring, records, board: no method": self._ways(ours, lambda name: self._in(name, "methods")),
            "scoring, records, board: no submission": self._ways(ours, lambda name: self._in(name, "submissions")),
            "nothing below the engine imports it": [
                f"{m.name} -> {target}" for m in lower for target in sorted(m.imports) if self._in(target, "engine")
            ],
            "the mini world through entry points only": [
                f"{m.name} -> {target}"
                for m in self.modules.values()
                if m.room != "mini"
                for target in sorted(m.imports)
                if self._in(target, "mini")
            ],
        }

    def _in(self, name: str, room: str) -> bool:
        return name in self.modules and self.modules[name].room == room

    def _ways(self, starts: Sequence[Module], wanted: Callable[[str], bool], at_import: bool = False) -> list[str]:
        """For each start from which something wanted is reached: the shortest way there."""
        return [way for start in starts if (way := self._way(start, wanted, at_import))]

    def _way(self, start: Module, wanted: Callable[[str], bool], at_import: bool) -> str:
        ways, seen = [[start.name]], {start.name}
        for way in ways:  # it grows while it is walked through
            module = self.modules[way[-1]]
            for target in sorted((module.at_import if at_import else module.imports) - seen):
                if wanted(target):
                    return " -> ".join([*way, target])
                seen.add(target)
                if target in self.modules:
                    ways.append([*way, target])
        return ""


def read_structure(checkout: Path) -> Structure:
    """Read the package of a checkout."""
    folder = checkout / PACKAGE
    hidden = [path for path in folder.iterdir() if path.name.startswith((".", "__pycache__"))]
    children = tuple(sorted(path.name for path in folder.iterdir() if path not in hidden))
    files = {module_name(path.relative_to(checkout)): path for path in sorted(folder.rglob("*.py"))}
    return Structure(children, {name: read_module(name, path, files) for name, path in files.items()})


def read_module(name: str, path: Path, files: Mapping[str, Path]) -> Module:
    """Read one module; ``files`` are all modules of the package."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    found = list(imports_of(tree, files))
    everything = frozenset(target for target, _ in found)
    return Module(name, tree, len(text.splitlines()), everything, frozenset(t for t, inside in found if not inside))


def module_name(path: Path) -> str:
    """The name under which a file of the package is imported."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def level_of(room: str) -> int:
    """The number of a room's layer, 0 for the lowest; raises :class:`ValueError` for a room that has none."""
    for number, rooms in enumerate(LAYERS):
        if room in rooms:
            return number
    raise ValueError(f"{room} has no layer: add it to LAYERS")


def child_of(name: str) -> str:
    """What a module lies in: the second part of its name."""
    return name.split(".")[1] if "." in name else ""


def imports_of(tree: ast.AST, files: Mapping[str, Path], inside: bool = False) -> Iterator[tuple[str, bool]]:
    """Modules that are imported, and whether that is inside a function; not those for type checkers alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            for other in node.orelse:
                yield from imports_of(other, files, inside)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield (full if full in files else node.module), inside
        else:
            yield from imports_of(node, files, inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def is_torch(name: str) -> bool:
    """Whether this is torch, or a package that cannot be imported without it."""
    return name.partition(".")[0] in ("torch", "torchvision", "open_clip", "timm", "diffusers", "safetensors.torch")


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """All functions and methods of a module."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How many parameters a function has, ``self`` and ``cls`` not counted."""
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    own = bool(positional) and positional[0].arg in ("self", "cls")
    return len(positional) + len(arguments.kwonlyargs) - own


def is_command(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a function's parameters are options that typer reads."""
    return "typer.Option" in ast.unparse(function.args) or any(
        "command" in ast.unparse(decorator) for decorator in function.decorator_list
    )


def circles(graph: Graph) -> list[list[str]]:
    """The strongly connected components of more than one node (Tarjan), each sorted."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    parts: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in sorted(graph.get(node, ())):
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            place = stack.index(node)
            parts.append(sorted(stack[place:]))
            del stack[place:]

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return sorted(part for part in parts if len(part) > 1)


def table(structure: Structure) -> list[tuple[str, int, list[str]]]:
    """Every figure: what it counts, how many there are, and which."""
    lines: list[tuple[str, int, list[str]]] = [
        (f"children of {PACKAGE}/", len(structure.children), []),
        ("loose modules", len(structure.loose), structure.loose),
        ("of which have a room", len(structure.misplaced), structure.misplaced),
    ]
    lists = {
        "circles of modules": structure.module_circles,
        "circles of rooms": structure.room_circles,
        "arrows back up": structure.arrows_up,
        f"modules over {LONG_MODULE} lines": structure.long_modules,
        f"functions over {LONG_FUNCTION} lines": structure.long_functions,
        f"functions of more than {MANY_PARAMETERS} parameters": structure.many_parameters,
        **structure.walls(),
    }
    return lines + [(what, len(which), which) for what, which in lists.items()]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures of a checkout, by default of this one; with ``--list`` also what is counted."""
    parser = argparse.ArgumentParser(description="How the package of a checkout is built, in numbers.")
    parser.add_argument("checkout", nargs="?", type=Path, default=Path(__file__).parents[2], help="default: this one")
    parser.add_argument("--list", action="store_true", help="also print what is counted")
    options = parser.parse_args(arguments)
    if not (options.checkout / PACKAGE).is_dir():
        parser.error(f"{options.checkout} has no folder {PACKAGE}/: give the folder of a checkout")
    for what, count, which in table(read_structure(options.checkout)):
        print(f"{what:<42}{count:>4}")
        if options.list:
            print(*(f"    {line}" for line in which), sep="\n", end="\n" if which else "")


if __name__ == "__main__":
    main()
