"""A lock that another process has, one that no file system gives, and one that a dead machine left are told apart."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest
from support.harness import World, vlcl

from vlcl_bench.common import locks, places
from vlcl_bench.data import manifest as manifests
from vlcl_bench.errors import MachineError
from vlcl_bench.sweep import runner

WITHOUT = ("ENOSYS", "ENOTSUP", "EOPNOTSUPP", "ENOLCK", "EINVAL")
TAKEN = ("EAGAIN", "EWOULDBLOCK", "EACCES")
OTHER = {"EIO": "could not write", "ESTALE": "network file system has lost it", "EROFS": "read-only"}


def refuse(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Every lock is refused with this error of the system's."""
    number = getattr(errno, name)

    def flock(handle: object, how: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.mark.parametrize("name", WITHOUT[:1])
def test_a_run_says_that_the_file_system_has_no_locks_and_which_option_moves_it(
    name: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, name)
    ended = vlcl("run", "--protocol", "tiny", "--method", "zero_shot")
    assert ended.code == 5
    for part in ("has no locks", os.strerror(getattr(errno, name)), "--runs", "--out"):
        assert part in ended.err
    assert "another process" not in ended.err


@pytest.mark.parametrize("name", TAKEN[:1])
def test_a_lock_that_is_taken_is_another_process_and_names_the_file_of_a_dead_one(
    name: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, name)
    ended = vlcl("run", "--protocol", "tiny", "--method", "zero_shot", "--out", "here")
    assert (ended.code, "another process is at work in here" in ended.err) == (2, True)
    assert "delete here/.lock" in ended.err


@pytest.mark.parametrize("name", [*WITHOUT, *OTHER])
def test_what_a_disk_refuses_is_said_as_it_is(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, name)
    places.named(tmp_path, "this run", "--out (out)")
    path = tmp_path / ".lock"
    with path.open("w") as handle, pytest.raises(MachineError, match=r"--out \(out\) names the folder") as error:
        locks.take(handle, path)
    assert OTHER.get(name, "has no locks") in error.value.message


@pytest.mark.parametrize("name", TAKEN)
def test_a_lock_that_is_taken_is_no_error(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, name)
    with (tmp_path / ".lock").open("w") as handle:
        assert not locks.take(handle, tmp_path / ".lock")


@pytest.mark.parametrize("name", [*WITHOUT, *OTHER])
def test_a_manifest_of_first_use_names_the_data_home(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, name)
    manifest = manifests.read_manifest("mini-animals") if manifests.has_manifest("mini-animals") else None
    with pytest.raises(MachineError, match="VLCL_DATA_HOME names the folder"):
        manifests.keep_first_use(manifest, "mine")  # type: ignore[arg-type]


def test_a_manifest_does_not_wait_for_ever_for_a_lock_that_was_left(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, "EAGAIN")
    monkeypatch.setattr(locks, "PATIENCE", 0.1)
    with pytest.raises(MachineError, match=r"has been held for(.|\n)*delete .*manifests/\.lock"):
        manifests.keep_first_use(None, "mine")  # type: ignore[arg-type]


class Planned:
    """As much of a planned run as a look at its lock needs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder


@pytest.mark.parametrize(("names", "held"), [(WITHOUT, False), (tuple(OTHER), False), (TAKEN, True)])
def test_a_sweep_waits_only_where_another_process_is_at_work(
    names: tuple[str, ...], held: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".lock").touch()
    for name in names:
        refuse(monkeypatch, name)
        assert runner.is_held(Planned(tmp_path)) is held, name  # type: ignore[arg-type]


def test_a_sweep_says_what_it_waits_for(tmp_path: Path) -> None:
    said = runner.waits_for(runner.Job(Planned(tmp_path), "waiting"))  # type: ignore[arg-type]
    assert said.startswith(f"waiting: another process is at work in {tmp_path}.")
    assert f"delete {tmp_path}/.lock" in said


def test_locks_of_this_machine_are_taken_once(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with path.open("w") as first, path.open("w") as second:
        assert locks.take(first, path)
        assert not locks.take(second, path)
    with path.open("w") as third:
        locks.wait_for(third, path)
