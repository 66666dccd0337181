"""A method may be a folder: its file imports the others in it, and all of them are its source."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.harness import method_file

from vlcl_bench.errors import MethodError
from vlcl_bench.methods.registry import MethodRef

METHOD = """
from vlcl_bench.methods import LossMethod

from .helper import TITLE


class Mine(LossMethod):
    title = TITLE
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "method.py").write_text(METHOD)
    (folder / "helper.py").write_text('from .words import WORD\n\nTITLE = WORD + " and helper"\n')
    (folder / "words.py").write_text('WORD = "method"\n')
    return folder


def test_its_file_imports_the_others(folder: Path) -> None:
    method = MethodRef.parse(str(folder))
    assert (method.name, method.folder, method.path) == ("mine", folder, folder / "method.py")
    assert method.load().title == "method and helper"


CHANGED = {
    "method.py": METHOD.replace("title = TITLE", 'title = "other and " + TITLE'),
    "helper.py": 'from .words import WORD\n\nTITLE = "other and " + WORD + " and helper"\n',
    "words.py": 'WORD = "other and method"\n',
}


@pytest.mark.parametrize("name", sorted(CHANGED))
def test_a_change_of_any_file_changes_the_digest_and_is_loaded(folder: Path, name: str) -> None:
    before = MethodRef.parse(str(folder))
    digest, title = before.source_sha256, before.load().title
    (folder / name).write_text(CHANGED[name])
    after = MethodRef.parse(str(folder))
    assert after.source_sha256 != digest
    assert after.load().title == f"other and {title}"


def test_a_comment_in_a_helper_and_a_file_that_is_no_python_change_no_digest(folder: Path) -> None:
    before = MethodRef.parse(str(folder)).source_sha256
    (folder / "words.py").write_text('# a word\nWORD = "method"\n')
    (folder / "notes.txt").write_text("notes")
    assert MethodRef.parse(str(folder)).source_sha256 == before


def test_a_file_that_nobody_imports_counts_but_for_those_of_runs(folder: Path) -> None:
    before = MethodRef.parse(str(folder)).source_sha256
    (folder / "runs").mkdir()
    (folder / "runs" / "kept.py").write_text("x = 1\n")
    assert MethodRef.parse(str(folder)).source_sha256 == before
    (folder / "later.py").write_text("x = 1\n")
    assert MethodRef.parse(str(folder)).source_sha256 != before


def test_folders_with_helpers_of_one_name_do_not_get_in_each_others_way(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for path in folder.glob("*.py"):
        (other / path.name).write_text(path.read_text().replace('"method"', '"another"'))
    titles = [MethodRef.parse(str(place)).load().title for place in (folder, other, folder)]
    assert titles == ["method and helper", "another and helper", "method and helper"]


def test_a_class_of_a_folder_and_a_file_below_it_find_their_neighbours(folder: Path) -> None:
    (folder / "method.py").write_text(METHOD + "\n\nclass Other(Mine):\n    title = 'other'\n")
    method = MethodRef.parse(f"{folder}:Other")
    assert method.load().title == "other"
    again = MethodRef.parse(method.specification)
    assert (again.folder, again.class_name, again.load().title) == (folder, "Other", "other")
    below = folder / "code"
    below.mkdir()
    for path in folder.glob("*.py"):
        path.rename(below / path.name)
    (folder / "submission.toml").write_text('method = "code/method.py"\n')
    method = MethodRef.parse(f"{folder}:Mine")
    assert (method.path, method.folder) == (below / "method.py", folder)
    assert MethodRef.parse(method.specification).load().title == "method and helper"


def test_a_helper_that_does_not_import_is_told_with_the_line_of_the_method(folder: Path) -> None:
    (folder / "words.py").write_text("WORD = 1 / 0\n")
    with pytest.raises(MethodError, match=r"method\.py, line 4, does not import: ZeroDivisionError"):
        MethodRef.parse(str(folder)).load()
    (folder / "words.py").write_text('WORD = "corrected"\n')
    assert MethodRef.parse(str(folder)).load().title == "corrected and helper"


def test_a_file_by_itself_has_no_neighbours(tmp_path: Path) -> None:
    path = method_file(tmp_path, "    pass\n")
    path.write_text(METHOD)
    (tmp_path / "helper.py").write_text('TITLE = "helper"\n')
    with pytest.raises(MethodError, match="does not import: ImportError"):
        MethodRef.parse(str(path)).load()
