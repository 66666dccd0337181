"""The digest of a method's source: what changes it, what does not, and that its version of Python is neither."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from vlcl_bench.common.tokens import token_digest
from vlcl_bench.methods.registry import MethodRef
from vlcl_bench.methods.source import source_digest, source_files

SOURCE = b'''"""What it does."""

from __future__ import annotations

import torch

from vlcl_bench.methods import Context, Task
from vlcl_bench.methods.base import Config


class Mine:
    """A class."""

    weight = 0.5
    """What it weighs."""

    def learn(self, task: Task, ctx: Context) -> None:
        """Learn."""
        # as it is
        print(f"{task.name!r:>{10}} of {ctx.device}", self.weight)
'''

SAME = {
    "another docstring": (b"What it does.", b"Something else\n\nin more lines."),
    "no docstring of a function": (b'        """Learn."""\n', b""),
    "no docstring of an attribute": (b'    """What it weighs."""\n', b""),
    "another comment": (b"# as it is", b"# otherwise, with more words"),
    "a comment behind a statement": (b"weight = 0.5\n", b"weight = 0.5  # half\n"),
    "more blank lines": (b"\n\nclass", b"\n\n\n\nclass"),
    "an import from another of our modules": (b"vlcl_bench.methods.base", b"vlcl_bench.methods"),
    "own imports in one line": (
        b"import Context, Task\nfrom vlcl_bench.methods.base import Config", b"import Config, Context, Task",
    ),
    "own imports in brackets": (b"import Context, Task\n", b"import (\n    Context,\n    Task,\n)\n"),
    "a statement over two lines": (b"ctx.device}\", self", b"ctx.device}\",\n              self"),
}  # fmt: skip
OTHER = {
    "another number": (b"0.5", b"0.25"),
    "another name": (b"weight", b"mass"),
    "another text in an f-string": (b"} of {", b"} on {"),
    "another format": (b":>{10}", b":<{10}"),
    "another import from elsewhere": (b"import torch", b"import numpy as torch"),
    "another of our names": (b"import Config", b"import FineTuneConfig"),
    "one of our names under the name of another": (b"import Config", b"import FineTuneConfig as Config"),
    "a statement in another block": (b"        print", b"    print"),
    "a string that is used": (b'    """What it weighs."""', b'    text = """What it weighs."""'),
}


@pytest.mark.parametrize("change", SAME)
def test_what_says_nothing_to_python_leaves_the_digest(change):
    assert token_digest(_changed(*SAME[change])) == token_digest(SOURCE)


@pytest.mark.parametrize("change", OTHER)
def test_what_python_runs_changes_the_digest(change):
    assert token_digest(_changed(*OTHER[change])) != token_digest(SOURCE)


def test_the_digest_is_that_of_the_list_of_names_and_tokens():
    source = b"from vlcl_bench.methods import Task as T\nx = f'{T!r} a'  # why\n\nif x:\n  pass\n"
    words = ["x", "=", "f'{T!r} a'", "<newline>", "if", "x", ":", "<newline>", "<indent>", "pass", "<newline>"]
    text = json.dumps([["Task as T"], [*words, "<dedent>"]])
    assert token_digest(source) == hashlib.sha256(text.encode()).hexdigest()


def test_a_file_that_is_no_python_has_the_hash_of_its_bytes():
    odd = b"from baselines.parts import ("
    assert token_digest(odd) == hashlib.sha256(odd).hexdigest()


def test_encodings_and_line_ends_do_not_count():
    assert token_digest(SOURCE.replace(b"\n", b"\r\n")) == token_digest(SOURCE)
    text = "x = '\u00e9'\n"
    assert token_digest(b"# coding: latin-1\n" + text.encode("latin-1")) == token_digest(text.encode())


def test_a_loaded_method_carries_the_digest_of_its_file():
    path = Path(__file__).parents[2] / "baselines" / "lwf.py"
    assert MethodRef.parse("lwf").source_sha256 == source_digest(path) == token_digest(path.read_bytes())


@pytest.fixture
def shared(tmp_path, monkeypatch):
    """A folder of reference methods in which one file imports others, in every way."""
    monkeypatch.setattr("vlcl_bench.methods.source.baselines_folder", lambda: tmp_path)
    files = {
        "mine/method.py": "from baselines.parts.one import thing\nfrom .beside import other\n",
        "mine/beside.py": "import torch\n",
        "mine/report.py": "nobody = 'imports this'\n",
        "parts/one.py": "import baselines.parts.two\n",
        "parts/two.py": "from baselines.parts import three\n",
        "parts/three.py": "x = 3\n",
        "parts/other.py": "x = 4\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_the_source_is_what_a_method_imports_of_its_own_and_of_the_reference_methods(shared):
    method = shared / "mine" / "method.py"
    names = [path.relative_to(shared).as_posix() for path in source_files(method)]
    assert names[0] == "mine/method.py"
    assert sorted(names[1:]) == ["mine/beside.py", "parts/one.py", "parts/three.py", "parts/two.py"]
    before = source_digest(method)
    for name in ("mine/beside.py", "parts/one.py", "parts/two.py", "parts/three.py"):
        text = (shared / name).read_text()
        (shared / name).write_text(text + "changed = True\n")
        assert source_digest(method) != before, name
        (shared / name).write_text(text + "# changed\n")
        assert source_digest(method) == before, name
    (shared / "parts" / "other.py").write_text("changed = True\n")
    (shared / "mine" / "report.py").write_text("changed = True\n")
    assert source_digest(method) == before


def test_a_part_that_moves_leaves_the_digest(shared):
    method, part = shared / "mine" / "method.py", shared / "parts" / "one.py"
    before = source_digest(method)
    part.rename(shared / "mine" / "first.py")
    method.write_text("from baselines.mine.first import thing\nfrom baselines.mine.beside import other\n")
    assert source_digest(method) == before


def test_of_a_folder_all_python_files_count_but_its_runs(shared):
    folder, method = shared / "mine", shared / "mine" / "method.py"
    before = source_digest(method, folder)
    (folder / "runs").mkdir()
    (folder / "runs" / "left.py").write_text("x = 1\n")
    assert source_digest(method, folder) == before
    (folder / "report.py").write_text("changed = True\n")
    assert source_digest(method, folder) != before


def _changed(old: bytes, new: bytes) -> bytes:
    assert SOURCE.count(old) >= 1, old
    return SOURCE.replace(old, new, 1)
