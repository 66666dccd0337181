"""Which isolation is taken, and what is said where it cannot be had."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import method_file, vlcl

from vlcl_bench.errors import MachineError, MethodError, UsageError
from vlcl_bench.isolation import container
from vlcl_bench.isolation.described import DescribedMethod, default_isolation, locate
from vlcl_bench.methods.registry import load_method

TOLD = {"title": "T", "deterministic": False, "auxiliary": [], "settings": {"a": 0.1}, "unranked_because": ""}


def test_what_comes_from_a_file_or_folder_is_isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "entry").mkdir()
    (tmp_path / "finetune").mkdir()
    kinds = {name: default_isolation(name) for name in ("finetune", "my.py", "my.py:Mine", "entry", "./entry", "point")}
    assert kinds == {
        "finetune": "inline", "my.py": "process", "my.py:Mine": "process", "entry": "process", "./entry": "process",
        "point": "inline",
    }  # fmt: skip


def test_a_method_is_found_without_being_imported(tmp_path: Path) -> None:
    path = method_file(tmp_path / "entry", "    raise_me = 1 / 0\n", name="method.py")
    found = locate(str(path.parent))
    assert (found.name, found.path, found.folder) == ("entry", path, path.parent)
    mine = method_file(tmp_path, "    pass\n")
    for spec in ("finetune", "auto_seed_vl2", str(mine), f"{mine}:Mine"):
        loaded, located = load_method(spec), locate(spec)
        assert (located.name, located.source_sha256) == (loaded.name, loaded.source_sha256)
    with pytest.raises(UsageError, match="no method file"):
        locate("nothing.py")
    with pytest.raises(UsageError, match="unknown method 'finetun'"):
        locate("finetun")


def test_an_entry_point_can_only_be_inline(monkeypatch: pytest.MonkeyPatch) -> None:
    class Point:
        name, value = "theirs", "their.module"

    monkeypatch.setattr("vlcl_bench.isolation.described.entry_points", lambda group: [Point])
    with pytest.raises(UsageError, match="comes from an installed package"):
        locate("theirs")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--isolation", "jail"), "--isolation 'jail' is not one of inline, process, container"),
        (("--time-limit", "soon"), "--time-limit 'soon' is not a number of seconds"),
        (("--memory-limit", "much"), "--memory-limit 'much' is not an amount of memory"),
    ],
)
def test_options_that_make_no_sense(arguments: tuple[str, ...], said: str) -> None:
    ended = vlcl("run", "--protocol", "mini-dev", "--method", "finetune", *arguments)
    assert (ended.code, said in ended.err) == (2, True), ended.err


def test_without_bubblewrap_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MachineError, match="no `bwrap` here") as caught:
        container.require_bwrap()
    assert "apt-get install bubblewrap" in str(caught.value.hint)
    (tmp_path / "bwrap").write_text("#!/bin/sh\necho no permission >&2; exit 1\n")
    (tmp_path / "bwrap").chmod(0o755)
    with pytest.raises(MachineError, match="may not make a container here: no permission"):
        container.require_bwrap()


def test_a_container_binds_only_what_is_named(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    line = container.contained(["python"], tmp_path / "scratch", [tmp_path / "own", tmp_path / "gone"], [tmp_path])
    text = " ".join(line)
    assert "--unshare-all" in line
    assert f"--ro-bind {tmp_path / 'own'} {tmp_path / 'own'}" in text
    assert "gone" not in text
    assert f"--bind {tmp_path / 'scratch'}" in text
    assert str(Path.home() / ".ssh") not in text
    assert not any(line[i : i + 3] == ["--ro-bind", "/", "/"] for i in range(len(line)))


@pytest.mark.parametrize(
    "change",
    [{"title": 3}, {"title": ""}, {"title": "x" * 300}, {"deterministic": 1}, {"auxiliary": [1]}, {"settings": []},
     {"unranked_because": None}],
)  # fmt: skip
def test_a_description_that_is_none(change: dict[str, object]) -> None:
    with pytest.raises(MethodError):
        DescribedMethod(TOLD | change)


def test_described_settings_are_read_like_a_config() -> None:
    settings = DescribedMethod(TOLD).settings
    assert settings.a == 0.1
    assert getattr(settings, "pictures", 7) == 7
    assert settings.model_dump(mode="json") == {"a": 0.1}
