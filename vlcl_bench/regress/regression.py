"""Doing a regression: calibrate, run, compare, and store new expectations where that is asked for."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlcl_bench.common.progress import Reporter
from vlcl_bench.engine.prepare import Request
from vlcl_bench.errors import MethodError, UsageError, nearest
from vlcl_bench.regress.calibration import calibrate
from vlcl_bench.regress.expectations import RUNS_FILE, Expectation, committed, fast, read_index, write
from vlcl_bench.regress.outcomes import Verdict, judge
from vlcl_bench.sweep.plan import Planned, SweepFile, plan, read_sweep
from vlcl_bench.sweep.runner import Job, first_state, run_all

if TYPE_CHECKING:
    from rich.console import Console

NOWHERE = Path("no-committed-records")
"""Runs are done even where a committed record of them exists: that is what they are compared with."""


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for."""

    methods: tuple[str, ...] = ()
    everything: bool = False
    update: bool = False
    jobs: int = 2
    threads: int = 1
    expectations: Path = Path("tests/expectations")
    submissions: Path = Path("submissions")
    runs: Path = Path("runs/regress")
    resume: bool = False
    store: Path | None = None


@dataclass(frozen=True)
class Regression:
    """All verdicts, the calibration's seconds now, and what to say at the end."""

    verdicts: tuple[Verdict, ...]
    calibration_seconds: float
    updated: bool
    words: str

    @property
    def holds(self) -> bool:
        """Whether every expectation is met, or was replaced on purpose."""
        return self.updated or all(one.holds for one in self.verdicts)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        verdicts = [{**asdict(one), "holds": one.holds, "costly": one.costly} for one in self.verdicts]
        return {
            "holds": self.holds, "updated": self.updated, "calibration_seconds": self.calibration_seconds,
            "verdicts": verdicts,
        }  # fmt: skip


def regress_all(wanted: Wanted, console: Console) -> Regression:
    """Run what is wanted and compare; raises :class:`UsageError` for a method that has no expectation."""
    if wanted.update and (wanted.methods or wanted.everything):
        raise UsageError("--update renews all short runs", "Leave out --method and --all.")
    base = Request(protocol="", method="", device="cpu", runs=wanted.runs, store=wanted.store, keep_states="none")
    expected = fast(base, wanted.expectations)
    if wanted.everything:
        expected += committed(base, wanted.submissions)
    if wanted.methods:
        known = {one.request.method for one in expected}
        for name in wanted.methods:
            if name not in known:
                raise UsageError(f"no expectation of a method {name!r}", nearest(name, known))
        expected = [one for one in expected if one.request.method in wanted.methods]
    if wanted.runs.exists() and not wanted.resume:
        _remove_runs(wanted.runs)
    console.print(f"calibrating: {wanted.jobs} processes of {wanted.threads} threads", highlight=False)
    calibration = calibrate(wanted.jobs, wanted.threads)
    asked = read_sweep(wanted.expectations / RUNS_FILE) if wanted.update else None
    jobs = _jobs([one.request for one in expected], base) if asked is None else _all_seeds(asked, base)
    run_all(jobs, wanted.jobs, wanted.threads, _Teller(jobs, console))
    by_name = _by_name(jobs)
    verdicts = tuple(
        judge(one, _job_of(one, jobs), None if one.calibration_seconds is None else calibration) for one in expected
    )
    if wanted.update:
        failed = [job for job in jobs if job.record is None]
        if failed:
            raise MethodError(
                f"{len(failed)} runs failed, so nothing was stored; first: {failed[0].error}",
                "Mend it, then: vlcl regress --update --resume",
            )
        before = read_index(wanted.expectations)
        write(wanted.expectations, by_name, calibration)
        moved = [one.name for one in verdicts if not one.holds]
        words = f"stored {len(by_name)} expectations in {wanted.expectations}"
        words += f"; other than before: {', '.join(moved)}" if moved and before else ""
        return Regression(verdicts, calibration, True, words + ". Look at them, and commit them.")
    bad = [one for one in verdicts if not one.holds]
    words = f"{len(verdicts) - len(bad)} of {len(verdicts)} expectations hold"
    if bad:
        words += ". If the change is meant to move these numbers: vlcl regress --update, and say why in the commit."
    return Regression(verdicts, calibration, False, words)


def _remove_runs(folder: Path) -> None:
    """Empty the folder of earlier regressions, and no other folder."""
    strangers = [path.name for path in folder.iterdir() if path.name != "sweep-logs" and len(path.name) != 16]
    if strangers:
        raise UsageError(f"{folder} holds other things: {', '.join(sorted(strangers)[:3])}", "Give another --runs.")
    shutil.rmtree(folder)


def _jobs(requests: Sequence[Request], base: Request) -> list[Job]:
    blocks = [
        {"protocols": [one.protocol], "methods": [one.method], "settings": [one.settings], "seeds": [one.seed]}
        for one in requests
    ]
    return _all_seeds(SweepFile.model_validate({"runs": blocks}), base)


def _all_seeds(asked: SweepFile, base: Request) -> list[Job]:
    return [first_state(planned) for planned in plan(asked, base, NOWHERE, Reporter())]


def _job_of(expected: Expectation, jobs: Sequence[Job]) -> Job:
    wanted = _key(expected.request)
    return next(job for job in jobs if _key(job.planned.request) == wanted)


def _key(request: Request) -> tuple[str, str, str, int]:
    return request.protocol, request.method, repr(sorted(request.settings.items())), request.seed


def _by_name(jobs: Sequence[Job]) -> dict[str, list[Path]]:
    """Folders of the runs of each expectation, by seed."""
    found: defaultdict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        request = job.planned.request
        found[f"{Path(request.protocol).stem}/{request.method}"].append(job)
    return {
        name: [job.folder for job in sorted(own, key=lambda job: job.planned.request.seed)]
        for name, own in found.items()
    }


class _Teller:
    """Says which run has ended, as it does; on a terminal a bar shows how many have."""

    def __init__(self, jobs: Sequence[Job], console: Console) -> None:
        self.jobs, self.console = jobs, console
        self.told: set[str] = set()

    def __call__(self) -> None:
        for job in self.jobs:
            planned: Planned = job.planned
            if job.state in ("done", "failed") and planned.run_hash not in self.told:
                self.told.add(planned.run_hash)
                words = " ".join(word for word in (Path(planned.words[0]).stem, *planned.words[1:]) if word)
                self.console.print(
                    f"[{len(self.told)}/{len(self.jobs)}] {job.state}: {words} ({job.seconds:.0f} s)",
                    markup=False, highlight=False, soft_wrap=True,
                )  # fmt: skip
