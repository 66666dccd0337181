"""A folder that cannot be written is named together with the setting that moves it; nothing ends in a traceback."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest
from support.harness import World, vlcl

from vlcl_bench.common import fileio, places
from vlcl_bench.common.fileio import machine_error, refusal_in, write_atomic
from vlcl_bench.errors import MachineError

RUN = ("run", "--protocol", "tiny", "--method", "zero_shot")


COMMITTED = next(Path(__file__).parents[2].glob("submissions/zero_shot/runs/*"))


@pytest.fixture
def a_file(tmp_path: Path) -> Path:
    """A file in place of a folder: nobody can write below it, root neither."""
    path = tmp_path / "in-the-way"
    path.write_text("a file")
    return path


IN_A_RUN = {
    "data home": ({"VLCL_DATA_HOME": "{}/home"}, (), "VLCL_DATA_HOME"),
    "store": ({"VLCL_STORE": "{}/store"}, (), "VLCL_STORE"),
    "runs": ({}, ("--runs", "{}/runs"), "--runs"),
    "this run": ({}, ("--out", "{}"), "--out"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", IN_A_RUN)
def test_a_run_names_the_setting_of_the_folder_that_cannot_be_written(
    case: str, world: World, a_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables, options, setting = IN_A_RUN[case]
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(a_file))
    monkeypatch.setattr("vlcl_bench.backbones.canary.COMMITTED", Path("nowhere"))  # a first use: the canary is written
    ended = vlcl(*RUN, *(option.format(a_file) for option in options))
    assert ended.code == 5, ended.err
    hint = ended.err.strip().splitlines()[-1]
    assert setting in hint, ended.err
    others = {"VLCL_DATA_HOME", "VLCL_STORE", "--runs", "--out"} - {setting}
    others -= {"--out"} if setting == "--runs" else set()
    assert not any(other in hint for other in others), hint


DEFAULTS = {
    "data home by XDG": ({"VLCL_DATA_HOME": "", "XDG_DATA_HOME": "{}"}, "vlcl-bench/manifests", "VLCL_DATA_HOME"),
    "data home by HOME": (
        {"VLCL_DATA_HOME": "", "XDG_DATA_HOME": "", "HOME": "{}"},
        ".local/share/vlcl-bench/canaries",
        "VLCL_DATA_HOME",
    ),
    "store by XDG": ({"VLCL_STORE": "", "XDG_CACHE_HOME": "{}"}, "vlcl-bench/store/a", "VLCL_STORE"),
    "store by HOME": (
        {"VLCL_STORE": "", "XDG_CACHE_HOME": "", "HOME": "{}"},
        ".cache/vlcl-bench/store/synthetic/a",
        "VLCL_STORE",
    ),
    "hub by HOME": (
        {"HF_HOME": "", "HF_HUB_CACHE": "", "XDG_CACHE_HOME": "", "HOME": "{}"},
        ".cache/huggingface/hub",
        "HF_HOME",
    ),
    "hub by its own": ({"HF_HUB_CACHE": "{}"}, "models", "HF_HUB_CACHE"),
    "torch by XDG": ({"TORCH_HOME": "", "XDG_CACHE_HOME": "{}"}, "torch/hub/checkpoints", "TORCH_HOME"),
}


@pytest.mark.parametrize("case", DEFAULTS)
def test_folders_that_nobody_chose_have_a_setting_too(case: str, a_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variables, path, setting = DEFAULTS[case]
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(a_file))
    with pytest.raises(MachineError, match=f"{a_file} is a file, not a folder") as error:
        write_atomic(a_file / path / "x", "text")
    assert setting in (error.value.hint or "")


def test_a_store_that_was_chosen_is_moved_by_the_option(a_file: Path) -> None:
    from vlcl_bench.data.store import Store

    with pytest.raises(MachineError, match="--store"):
        write_atomic(Store(a_file / "mine").root / "x", "text")


@pytest.mark.parametrize(
    "command", [("leaderboard", "build", "--local", "--out", "{}/board"), ("methods", "new", "{}/m.py")]
)
def test_other_commands_name_it_too(command: tuple[str, ...], world: World, a_file: Path) -> None:
    shutil.copytree(COMMITTED, "runs/one")
    ended = vlcl(*(word.format(a_file) for word in command))
    assert ended.code == 5
    assert "is a file, not a folder" in ended.err
    assert ("--out" if "board" in command[-1] else "Choose another folder") in ended.err


REFUSED = {
    "ENOSPC": ("no space left on the disk", "Free some space"),
    "EDQUOT": ("quota of disk space is used up", "Free some space"),
    "EACCES": ("not allowed to write",),
    "EPERM": ("not allowed to write",),
    "EROFS": ("not allowed to write", "file system is read-only"),
    "ESTALE": ("network file system has lost it",),
    "ENAMETOOLONG": ("could not write", "File name too long"),
    "EIO": ("could not write", "Input/output error"),
}
FOLDERS = {
    "manifests": "VLCL_DATA_HOME", "canaries": "VLCL_DATA_HOME", "store": "--store (or VLCL_STORE)",
    "store/synthetic": "--store (or VLCL_STORE)", "hub": "HF_HOME", "torch": "TORCH_HOME", "out": "--out",
    "board": "--out",
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("folder", FOLDERS)
def test_every_refusal_names_the_setting_of_its_folder(
    name: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, place in (
        ("VLCL_DATA_HOME", "."),
        ("VLCL_STORE", "store"),
        ("HF_HOME", "hub"),
        ("TORCH_HOME", "torch"),
    ):
        monkeypatch.setenv(variable, str(tmp_path / place))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    places.named(tmp_path / "out", "this run", "--out (out)")
    places.named(tmp_path / "board", "the board", "--out")
    number = getattr(errno, name)
    path = tmp_path / folder / "x"

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(fileio.tempfile, "mkstemp", refuse)
    with pytest.raises(MachineError) as error:
        write_atomic(path, "text")
    for part in REFUSED[name]:
        assert part in str(error.value)
    assert FOLDERS[folder] in (error.value.hint or "")


def test_the_innermost_folder_and_the_chosen_one_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLCL_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("VLCL_STORE", str(tmp_path / "store"))
    assert "VLCL_STORE" in places.moving(tmp_path / "store" / "x")
    assert "VLCL_DATA_HOME" in places.moving(tmp_path / "stores" / "x")
    places.named(tmp_path / "store", "runs", "--runs")
    assert "--runs" in places.moving(tmp_path / "store" / "x")
    monkeypatch.chdir(tmp_path)
    assert "--runs" in places.moving(Path("store/x"))
    assert places.moving(Path("/somewhere/else")) == "Choose another folder."


def test_what_a_library_wraps_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    cause = OSError(errno.EROFS, "Read-only file system", str(tmp_path / "hub" / "x"))
    wrapped = RuntimeError("could not load")
    wrapped.__cause__ = ValueError("no file")
    wrapped.__cause__.__context__ = cause
    found = refusal_in(wrapped)
    assert "HF_HOME" in str(found)
    assert "read-only" in str(found)
    assert refusal_in(RuntimeError("no disk in it")) is None
    assert refusal_in(FileNotFoundError(errno.ENOENT, "No such file", "x")) is None


def test_a_file_in_place_of_a_folder_is_named(a_file: Path) -> None:
    error = machine_error(NotADirectoryError(errno.ENOTDIR, "Not a directory"), a_file / "a" / "b")
    assert f"{a_file} is a file, not a folder" in error.message


@pytest.fixture
def without_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user whom the system does not know, without a home, as in a container."""
    for variable in ("HOME", "VLCL_DATA_HOME", "VLCL_STORE", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(variable, raising=False)

    def unknown(number: int) -> None:
        raise KeyError(number)

    monkeypatch.setattr("pwd.getpwuid", unknown)


@pytest.mark.usefixtures("without_home")
def test_without_a_home_the_variable_that_does_without_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, asked in (("VLCL_DATA_HOME", places.data_home), ("VLCL_STORE", places.store_home)):
        with pytest.raises(MachineError, match=f"no home folder(.|\n)*Set {variable}"):
            asked()
        monkeypatch.setenv(variable, "/somewhere")
        assert asked() == Path("/somewhere")


@pytest.mark.usefixtures("without_home")
def test_commands_without_a_home_end_in_a_message() -> None:
    ended = vlcl("data", "gc", "--dry-run")
    assert (ended.code, "Set VLCL_STORE" in ended.err) == (5, True)
    assert places.moving(Path("/somewhere/x")) == "Choose another folder."


def test_without_a_folder_for_temporary_files_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fileio.tempfile, "tempdir", "/nowhere/at/all")
    with pytest.raises(MachineError, match="TMPDIR names another folder"):
        fileio.scratch_folder("vlcl-")
    none = FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")
    assert "TMPDIR" in str(refusal_in(none))
