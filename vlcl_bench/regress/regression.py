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
from vlcl_bench.regress.expectations import (
    RUNS_FILE,
    Expectation,
    add_machine,
    committed,
    fast,
    read_index,
    refuse_known,
    write,
)
from vlcl_bench.regress.outcomes import Outcome, judge
from vlcl_bench.sweep.plan import Planned, SweepFile, plan, read_sweep
from vlcl_bench.sweep.runner import Job, first_state, run_all

if TYPE_CHECKING:
    from rich.console import Console

    from vlcl_bench.records.schema import Provenance

NOWHERE = Path("no-committed-records")
"""Runs are done even where a committed record of them exists: that is what they are compared with."""


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for."""

    methods: tuple[str, ...] = ()
    everything: bool = False
    update: bool = False
    add_machine: bool = False
    jobs: int = 2
    threads: int = 1
    expectations: Path = Path("tests/expectations")
    submissions: Path = Path("submissions")
    runs: Path = Path("runs/regress")
    resume: bool = False
    store: Path | None = None


@dataclass(frozen=True)
class Regression:
    """All outcomes, the calibration's seconds now, whether results were stored, and what to say at the end."""

    outcomes: tuple[Outcome, ...]
    calibration_seconds: float
    updated: bool
    words: str

    @property
    def holds(self) -> bool:
        """Whether every expectation is met, or was stored on purpose."""
        return self.updated or all(outcome.holds for outcome in self.outcomes)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        verdicts = [{**asdict(o), "holds": o.holds, "costly": o.costly} for o in self.outcomes]
        return {
            "holds": self.holds, "updated": self.updated, "calibration_seconds": self.calibration_seconds,
            "verdicts": verdicts,
        }  # fmt: skip


def regress_all(wanted: Wanted, console: Console) -> Regression:
    """Run what is wanted and compare.

    Raises :class:`UsageError` for a method that has no expectation, and where results of a machine like this one are
    to be added that are there already; :class:`MethodError` where results are to be stored and a run failed.
    """
    base = Request(protocol="", method="", device="cpu", runs=wanted.runs, store=wanted.store, keep_states="none")
    expected = _expected(wanted, base)
    if wanted.runs.exists() and not wanted.resume:
        _remove_runs(wanted.runs)
    console.print(f"calibrating: {wanted.jobs} processes of {wanted.threads} threads", highlight=False)
    calibration = calibrate(wanted.jobs, wanted.threads)
    asked = read_sweep(wanted.expectations / RUNS_FILE) if wanted.update else None
    jobs = _jobs([expectation.request for expectation in expected], base) if asked is None else _all_seeds(asked, base)
    run_all(jobs, wanted.jobs, wanted.threads, _Announcer(jobs, console))
    outcomes = tuple(judge(expectation, _job_of(expectation, jobs), calibration) for expectation in expected)
    if wanted.update or wanted.add_machine:
        _refuse_failed(jobs, "--update" if wanted.update else "--add-machine")
        words = (_update if wanted.update else _add_machine)(wanted, _by_name(jobs), calibration, outcomes)
        return Regression(outcomes, calibration, True, f"{words}. Look at them, and commit them.")
    bad = [outcome for outcome in outcomes if not outcome.holds]
    words = f"{len(outcomes) - len(bad)} of {len(outcomes)} expectations hold"
    if bad:
        words += ". If the change is meant to move these numbers: vlcl regress --update, and say why in the commit."
    return Regression(outcomes, calibration, False, words)


def _expected(wanted: Wanted, base: Request) -> list[Expectation]:
    """What is to be run and compared; raises :class:`UsageError` for options that do not go together."""
    if wanted.update and wanted.add_machine:
        raise UsageError("--update replaces what --add-machine adds to", "Give one of them.")
    if wanted.update and (wanted.methods or wanted.everything):
        raise UsageError("--update renews all short runs", "Leave out --method and --all.")
    if wanted.add_machine and (wanted.methods or wanted.everything):
        raise UsageError("--add-machine adds all short runs", "Leave out --method and --all.")
    expected = fast(base, wanted.expectations)
    if wanted.add_machine:
        refuse_known(expected, _here(wanted.threads))
    if wanted.everything:
        expected += committed(base, wanted.submissions)
    if wanted.methods:
        known = {expectation.request.method for expectation in expected}
        for name in wanted.methods:
            if name not in known:
                raise UsageError(f"no expectation of a method {name!r}", nearest(name, known))
        expected = [expectation for expectation in expected if expectation.request.method in wanted.methods]
    return expected


def _here(threads: int) -> Provenance:
    """What a run of so many threads will say that it ran on."""
    import torch

    from vlcl_bench.engine.provenance import provenance

    return provenance(torch.device("cpu")).model_copy(update={"threads": threads})


def _refuse_failed(jobs: Sequence[Job], option: str) -> None:
    failed = [job for job in jobs if job.record is None]
    if failed:
        raise MethodError(
            f"{len(failed)} runs failed, so nothing was stored; first: {failed[0].error}",
            f"Fix it, then: vlcl regress {option} --resume",
        )


def _update(wanted: Wanted, runs: dict[str, list[Path]], calibration: float, outcomes: Sequence[Outcome]) -> str:
    before = read_index(wanted.expectations)
    machines = write(wanted.expectations, runs, calibration)
    moved = [outcome.name for outcome in outcomes if not outcome.holds]
    words = f"stored {len(runs)} expectations in {wanted.expectations}"
    words += f"; other than before: {', '.join(moved)}" if moved and before else ""
    if machines:
        words += f"; removed what other machines gave ({', '.join(machines)}): add it again there with --add-machine"
    return words


def _add_machine(wanted: Wanted, runs: dict[str, list[Path]], calibration: float, outcomes: Sequence[Outcome]) -> str:
    machine = add_machine(wanted.expectations, {name: seeds[0] for name, seeds in runs.items()}, calibration)
    off = [outcome.name for outcome in outcomes if not outcome.holds]
    words = f"stored {len(runs)} results of this machine ({machine}) beside those that were there"
    words += f"; further from them than 98 % and the spread of seeds: {', '.join(off)}" if off else ""
    return words + ". They are right only if the numbers of this code are known to be"


def _remove_runs(folder: Path) -> None:
    """Empty the folder of earlier regressions, and no other folder."""
    strangers = [path.name for path in folder.iterdir() if path.name != "sweep-logs" and len(path.name) != 16]
    if strangers:
        raise UsageError(f"{folder} holds other things: {', '.join(sorted(strangers)[:3])}", "Give another --runs.")
    shutil.rmtree(folder)


def _jobs(requests: Sequence[Request], base: Request) -> list[Job]:
    blocks = [
        {
            "protocols": [request.protocol], "methods": [request.method], "settings": [request.settings],
            "seeds": [request.seed],
        }
        for request in requests
    ]  # fmt: skip
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
    by_name: defaultdict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        request = job.planned.request
        by_name[f"{Path(request.protocol).stem}/{request.method}"].append(job)
    return {
        name: [job.folder for job in sorted(seeds, key=lambda job: job.planned.request.seed)]
        for name, seeds in by_name.items()
    }


class _Announcer:
    """Says which run has ended, when it ends; on a terminal a bar shows how many have."""

    def __init__(self, jobs: Sequence[Job], console: Console) -> None:
        self.jobs, self.console = jobs, console
        self.announced: set[str] = set()

    def __call__(self) -> None:
        for job in self.jobs:
            planned: Planned = job.planned
            if job.state in ("done", "failed") and planned.run_hash not in self.announced:
                self.announced.add(planned.run_hash)
                words = " ".join(word for word in (Path(planned.words[0]).stem, *planned.words[1:]) if word)
                self.console.print(
                    f"[{len(self.announced)}/{len(self.jobs)}] {job.state}: {words} ({job.seconds:.0f} s)",
                    markup=False, highlight=False, soft_wrap=True,
                )  # fmt: skip
