"""Fixtures of the tests that run the engine: a tiny protocol, a store, one finished run and one halted run."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.harness import TINY, Sabotage, World, enter, isolate, vlcl


@pytest.fixture(scope="session", autouse=True)
def _no_data_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a machine remembers (manifests and canaries of first use) is not the user's, whatever runs first."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        isolate(monkeypatch, tmp_path_factory.mktemp("data-home"))
        yield


@pytest.fixture(autouse=True)
def _own_data_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has a data folder of its own; children of the test are given it too."""
    isolate(monkeypatch, tmp_path_factory.mktemp("data-home"))


@pytest.fixture(scope="session")
def shared_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The session's protocols and pictures; use ``world``, which also makes them the defaults."""
    from vlcl_bench.protocols import load

    folder = tmp_path_factory.mktemp("world")
    shutil.copytree(load.FOLDER, folder / "protocols", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    (folder / "protocols" / "tiny.toml").write_text(TINY)
    return World(folder / "protocols", folder / "store")


@pytest.fixture
def world(shared_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """The tiny protocol by name, the session's store, and a folder of one's own to work in."""
    enter(shared_world, monkeypatch)
    monkeypatch.chdir(tmp_path)
    return shared_world


@pytest.fixture(scope="session")
def unbroken(shared_world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that went through; not to be changed."""
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    with pytest.MonkeyPatch.context() as monkeypatch:
        enter(shared_world, monkeypatch)
        ended = vlcl("run", "--protocol", "tiny", "--method", "finetune", "--out", folder)
    assert ended.code == 0, ended.err
    return folder


@pytest.fixture
def finished(unbroken: Path, tmp_path: Path, world: World) -> Path:
    """A copy of the unbroken run, without the state that it kept."""
    return Path(shutil.copytree(unbroken, tmp_path / "finished", ignore=shutil.ignore_patterns("stage-*")))


@pytest.fixture(scope="session")
def halted_once(unbroken: Path, shared_world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was interrupted after stage 1; not to be changed."""
    folder = tmp_path_factory.mktemp("halted") / "run"
    with pytest.MonkeyPatch.context() as monkeypatch:
        enter(shared_world, monkeypatch)
        Sabotage("vlcl_bench.engine.run:Stages.learn", 3, "interrupt").install(monkeypatch.setattr)
        ended = vlcl("run", "--protocol", "tiny", "--method", "finetune", "--out", folder)
    assert ended.code == 130, ended.err
    return folder


@pytest.fixture
def halted(halted_once: Path, tmp_path: Path, world: World) -> Path:
    """A copy of the halted run, to be continued or damaged."""
    return Path(shutil.copytree(halted_once, tmp_path / "halted"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """A file system of so many bytes, to be given again to make it larger; skips where none can be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = False

    def mount(size: int) -> Path:
        nonlocal mounted
        options = f"{'remount,' if mounted else ''}size={size}"
        command = ["mount", "-t", "tmpfs", "-o", options, "vlcl-test", str(place)]
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except FileNotFoundError:
            pytest.skip("there is no mount command here")
        if done.returncode:
            pytest.skip(f"no small file system can be mounted here (root only): {done.stderr.strip()}")
        mounted = True
        return place

    yield mount
    if mounted:
        subprocess.run(["umount", "-l", str(place)], check=True)
