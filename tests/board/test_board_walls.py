"""The board reads records and nothing else: no torch, no method, no submission, no run engine."""

import os
import shutil
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from vlcl_bench.board.build import board_of
from vlcl_bench.board.declarations import NothingDeclared
from vlcl_bench.board.pages import GROUP, MethodPage, installed_pages
from vlcl_bench.errors import UsageError
from vlcl_bench.records.files import read_record

ROOT = Path(__file__).parents[2]
ALONE = """
import importlib, pkgutil, sys
from pathlib import Path

WALLED = ("torch", "torchvision", "open_clip", "timm", "baselines", "vlcl_bench.methods", "vlcl_bench.submissions",
          "vlcl_bench.engine", "vlcl_bench.backbones", "vlcl_bench.synthesis", "vlcl_bench.cli")

class Wall:
    def find_spec(self, name, path=None, target=None):
        if any(name == wall or name.startswith(wall + ".") for wall in WALLED):
            raise ImportError(f"{name} is behind the wall")

sys.meta_path.insert(0, Wall())
for room in ("vlcl_bench.scoring", "vlcl_bench.records", "vlcl_bench.board"):
    package = importlib.import_module(room)
    for module in pkgutil.walk_packages(package.__path__, room + "."):
        importlib.import_module(module.name)

from vlcl_bench.board.build import board_of
from vlcl_bench.board.declarations import NothingDeclared

board = board_of(Path(sys.argv[1]), NothingDeclared(), pages=lambda methods: [])
print(board.counts["rescored"], len(board.rows), "l2" in board.files["README.md"])
try:
    import torch
except ImportError as error:
    print(error)
"""


@pytest.fixture
def runs(tmp_path):
    """Two committed runs of one entry and one of the zero-shot model, in no submission."""
    chosen = [*sorted(ROOT.glob("submissions/zero_shot/runs/*"))[:1], *sorted(ROOT.glob("submissions/l2/runs/*"))[:2]]
    for run in chosen:
        shutil.copytree(run, tmp_path / "runs" / run.name)
    return tmp_path / "runs"


def test_a_board_is_built_where_neither_torch_nor_any_method_can_be_imported(runs):
    command = [sys.executable, "-c", ALONE, str(runs)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["3 3 True", "torch is behind the wall"]


# Pages of methods


def point(value, name="l2"):
    return EntryPoint(name, value, GROUP)


PAGE = MethodPage("about-l2.md", lambda entries: " ".join(sorted(entry.method for entry in entries)) + "\n")
NO_PAGE = "a text"


def test_a_methods_page_is_written_beside_the_board_where_the_method_has_runs(runs):
    offered = [point(f"{__name__}:PAGE"), point("nowhere:PAGE", "another")]
    pages = []

    def chosen(methods):
        pages.append(methods)
        return installed_pages(methods, offered)

    board = board_of(runs, NothingDeclared(), pages=chosen)
    assert pages == [{"zero_shot", "l2"}]
    assert board.files["about-l2.md"] == "l2 l2 zero_shot\n"
    shutil.rmtree(next(run for run in runs.iterdir() if read_record(run).identity.method == "zero_shot"))
    assert board_of(runs, NothingDeclared(), pages=chosen).files["about-l2.md"] == "l2 l2\n"
    assert installed_pages({"zero_shot"}, offered) == []  # and nothing of the others is imported


@pytest.mark.parametrize(
    ("value", "words"), [("nowhere:PAGE", "cannot be imported"), (f"{__name__}:NO_PAGE", "is a str, not a MethodPage")]
)
def test_what_is_no_page_is_refused_with_its_name(value, words):
    with pytest.raises(UsageError, match=words):
        installed_pages({"l2"}, [point(value)])


def test_the_projects_own_pages_are_declared_and_are_pages():
    import tomllib

    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"][GROUP]
    (page,) = installed_pages(declared, [point(value, name) for name, value in declared.items()])
    assert page.name == "auto-seed-vl2.md"
    assert page.text([]).startswith("# Auto-Seed VL2")
