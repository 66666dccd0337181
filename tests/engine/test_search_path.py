"""Where a method's process looks for modules: as the harness while the backbone is loaded, and nowhere after it."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import pytest

from vlcl_bench.engine.sandbox.audit import library_places
from vlcl_bench.engine.sandbox.search_path import added_places, also_searched, missing_module, where_it_is
from vlcl_bench.engine.sandbox.sent_errors import sent_error
from vlcl_bench.errors import MethodError, UsageError


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "lib" / "my_package").mkdir(parents=True)
    (tmp_path / "lib" / "my_module.py").write_text("x = 1\n")
    (tmp_path / "lib" / "my_package" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path / "lib")
    return tmp_path / "lib"


def test_what_the_user_added_is_told_and_libraries_are_not(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place.parent)
    monkeypatch.setattr(sys, "path", ["", "lib", str(place), str(place / "missing"), *library_places()])
    assert added_places() == [str(place.parent), str(place)]


def test_added_places_are_searched_within_and_only_readable_ones_after_it(place: Path, monkeypatch) -> None:
    before = ("/here", *library_places())
    monkeypatch.setattr(sys, "path", list(before))
    other = place.parent / "other"
    other.mkdir()
    with also_searched([str(place), str(other), library_places()[0]], [str(other.parent / "other")]):
        assert sys.path[:3] == ["/here", str(place), str(other)]
        assert tuple(sys.path[3:]) == before[1:]
    assert sys.path == ["/here", str(other), *before[1:]]
    with pytest.raises(ZeroDivisionError), also_searched([str(place)], []):
        _ = 1 / 0
    assert str(place) not in sys.path


@pytest.mark.parametrize("module", ["my_module", "my_package", "my_package.part"])
def test_a_module_that_the_harness_finds_is_answered_with_the_option(module: str, place: Path) -> None:
    said = where_it_is(module)
    assert f"lies in {place}," in said
    assert f"--allow-read {place}" in said
    assert "--isolation inline" in said


@pytest.mark.parametrize("module", ["nowhere_at_all", "../x", "", "os path"])
def test_a_module_that_nobody_finds_is_answered_with_nothing(module: str, place: Path) -> None:
    assert where_it_is(module) == ""


def test_the_missing_module_is_found_behind_what_was_raised_of_it() -> None:
    def load() -> None:
        try:
            importlib.import_module("nowhere_at_all")
        except ImportError as error:
            raise MethodError("x does not import") from error

    with pytest.raises(MethodError) as raised:
        load()
    assert missing_module(raised.value) == "nowhere_at_all"
    assert missing_module(ValueError("no module")) == ""


def test_a_sent_error_keeps_its_own_hint_where_nothing_is_missing(place: Path) -> None:
    sent = {"error": "UsageError", "message": "m", "hint": "h"}
    assert (type(sent_error(sent)), sent_error(sent).hint) == (UsageError, "h")
    assert sent_error({**sent, "missing": ["my_module"]}).hint == "h"
    assert "--allow-read" in str(sent_error({**sent, "missing": "my_module"}).hint)


def test_nothing_of_the_current_folder_is_added_twice(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.symlink(place, place.parent / "link")
    monkeypatch.setattr(sys, "path", [str(place)])
    with also_searched([str(place.parent / "link")], []):
        assert sys.path == [str(place)]
    assert sys.path == [str(place)]
