"""The plan of the rooms holds: few children, no circles, arrows one way, short modules, walls."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.structure import LONG_FUNCTION, WITHOUT_TORCH, Structure, circles, level_of, read_structure

REPOSITORY = Path(__file__).parents[1]
BARRED = ("torch", "torchvision", "open_clip", "diffusers", "vlcl_bench.methods", "vlcl_bench.submissions")
"""What scoring, records and board do without."""


@pytest.fixture(scope="module")
def structure() -> Structure:
    return read_structure(REPOSITORY)


def test_the_package_has_few_children(structure: Structure) -> None:
    assert len(structure.children) <= 20
    assert structure.misplaced == []


def test_nothing_imports_in_a_circle(structure: Structure) -> None:
    assert structure.module_circles == []
    assert structure.room_circles == []


def test_arrows_run_one_way(structure: Structure) -> None:
    assert structure.arrows_up == []


def test_modules_and_functions_are_short(structure: Structure) -> None:
    assert len(structure.long_modules) <= 3, structure.long_modules
    assert structure.long_functions == []
    assert len(structure.many_parameters) <= 3, structure.many_parameters


def test_no_import_goes_through_a_wall(structure: Structure) -> None:
    assert {wall: ways for wall, ways in structure.walls().items() if ways} == {}


def test_scores_records_and_boards_are_imported_where_there_are_no_torch_methods_and_submissions(
    structure: Structure,
) -> None:
    modules = [name for name, module in structure.modules.items() if module.room in WITHOUT_TORCH]
    program = f"""
import importlib, sys
for name in {BARRED}:
    sys.modules[name] = None  # importing it raises
for name in {modules}:
    importlib.import_module(name)
"""
    assert {"vlcl_bench.board.build", "vlcl_bench.records.files", "vlcl_bench.scoring.metrics"} <= set(modules)
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


# The counting itself, on a package made for it


def package(folder: Path, **modules: str) -> Structure:
    """A checkout whose package has these modules; ``__`` in a name stands for the folder."""
    for name, text in modules.items():
        path = folder / "vlcl_bench" / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return read_structure(folder)


def test_imports_inside_functions_count_and_those_for_type_checkers_do_not(tmp_path: Path) -> None:
    found = package(
        tmp_path,
        data__a="def f():\n    from vlcl_bench.engine.b import x\n",
        engine__b="from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from vlcl_bench.data.a import f\n",
    )
    assert found.graph == {"vlcl_bench.data.a": {"vlcl_bench.engine.b"}, "vlcl_bench.engine.b": set()}
    assert found.arrows_up == ["vlcl_bench.data.a -> vlcl_bench.engine.b"]
    assert found.walls()["nothing below the engine imports it"] == ["vlcl_bench.data.a -> vlcl_bench.engine.b"]
    assert found.module_circles == []


def test_circles_are_found_through_others(tmp_path: Path) -> None:
    found = package(
        tmp_path,
        data__a="from vlcl_bench.protocols import b\n",
        protocols__b="import vlcl_bench.board.c\n",
        board__c="from vlcl_bench.data.a import f\n",
        board__d="from vlcl_bench.board import c\n",
    )
    assert found.module_circles == ["vlcl_bench.board.c vlcl_bench.data.a vlcl_bench.protocols.b"]
    assert found.room_circles == ["board data protocols"]
    assert circles({"a": frozenset({"b"}), "b": frozenset({"c"}), "c": frozenset()}) == []


def test_torch_is_found_behind_other_modules_unless_it_is_imported_later(tmp_path: Path) -> None:
    found = package(
        tmp_path,
        scoring__a="from vlcl_bench.data.b import f\n",
        data__b="import torch.nn\n",
        records__c="from vlcl_bench.data.d import f\n",
        data__d="def f():\n    import torch\n",
        board__e="def f():\n    import torch\n",
    )
    assert found.walls()["scoring, records, board: no torch"] == [
        "vlcl_bench.scoring.a -> vlcl_bench.data.b -> torch.nn",
        "vlcl_bench.board.e -> torch",
    ]


def test_long_functions_many_parameters_and_loose_modules_are_counted(tmp_path: Path) -> None:
    body = "    x = 1\n" * LONG_FUNCTION
    command = "@app.command()\ndef g(a, b, c, d, e, f, g, h): ...\n"
    method = (
        "class C:\n    def few(self, a, b, c, d, e, f, *, g): ...\n    def many(self, a, b, c, d, e, f, *, g, h): ...\n"
    )
    found = package(tmp_path, data__a=f"def f():\n{body}", cli__b=command + method, seeds="", errors="")
    assert found.long_functions == [f"vlcl_bench.data.a.f: {LONG_FUNCTION + 1}"]
    assert found.many_parameters == ["vlcl_bench.cli.b.many: 8"]
    assert (found.loose, found.misplaced) == (["errors.py", "seeds.py"], ["seeds.py"])


def test_a_room_without_a_layer_is_named() -> None:
    with pytest.raises(ValueError, match="cellar has no layer"):
        level_of("cellar")
