"""Code of strangers that tries what it must not: everything in the table, in a process, in a container, and unfenced.

Unfenced, nearly all of it must work: an attempt that fails by itself would show nothing. ``pytest -s`` prints counts.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

import pytest
from support.adversaries import ATTEMPTS, Place, Room, try_all

from vlcl_bench.engine.sandbox import container, landlock, seccomp
from vlcl_bench.errors import MachineError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the fences are those of Linux")


def assert_as_expected(place: Place, folder: Path, late: bool = False) -> list[str]:
    """Try everything; the fences that held."""
    came = try_all(ATTEMPTS, Room(folder, os.getpid()).make(), place, late)
    outcomes = came["outcomes"]
    wrong = [
        f"{attempt.kind}: {attempt.name}: {outcomes[f'{attempt.kind}: {attempt.name}']}"
        for attempt in ATTEMPTS
        if not attempt.is_met(outcomes[f"{attempt.kind}: {attempt.name}"][0], place)
    ]
    counted = Counter(outcome for outcome, _ in outcomes.values())
    print(f"{len(outcomes)} attempts, {place}: {dict(counted)}")
    assert wrong == []
    assert len(outcomes) == len(ATTEMPTS)
    return came["held"]  # type: ignore[no-any-return]


@pytest.mark.skipif(bool(seccomp.why_not()) or not landlock.version(), reason="this kernel has no fences")
def test_nothing_but_what_is_allowed_works_in_a_process(tmp_path: Path) -> None:
    assert assert_as_expected("process", tmp_path) == ["landlock", "audit", "seccomp"]


@pytest.mark.slow
@pytest.mark.skipif(bool(seccomp.why_not()) or not landlock.version(), reason="this kernel has no fences")
def test_a_fence_that_is_laid_late_holds_the_same_and_is_called_so(tmp_path: Path) -> None:
    held = assert_as_expected("process", tmp_path, late=True)
    assert held == ["landlock-late", "audit", "seccomp"]


@pytest.mark.slow
def test_nothing_but_what_is_allowed_works_in_a_container(tmp_path: Path) -> None:
    try:
        container.require_bwrap()
    except MachineError as error:
        pytest.skip(f"no bubblewrap here: {error}")
    assert_as_expected("container", tmp_path)


@pytest.mark.slow
def test_without_fences_the_attempts_work(tmp_path: Path) -> None:
    if os.getuid():
        pytest.skip("some of the attempts need a user who may do everything")
    assert assert_as_expected("bare", tmp_path) == []
