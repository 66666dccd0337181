"""Running a submission's records again here; what is kept of it lies beside each (:mod:`vlcl_bench.records.reruns`)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vlcl_bench.common.fileio import pretty_json, write_atomic
from vlcl_bench.errors import IntegrityError, UsageError, VlclError
from vlcl_bench.records.files import PREDICTIONS_NAME, RECORD_NAME, read_predictions, read_record
from vlcl_bench.records.reruns import RERUN_NAME, Rerun
from vlcl_bench.records.schema import Record
from vlcl_bench.scoring.ground_truth import ground_truth
from vlcl_bench.scoring.reproduction import compare_answers, disagreements, same_machine, seed_spread

if TYPE_CHECKING:
    from vlcl_bench.common.progress import Reporter
    from vlcl_bench.scoring.metrics import FloatArray

RERUNS = Path("runs/reruns")
"""Where runs that are made again are put, apart from those they are compared with."""


@dataclass(frozen=True)
class Result:
    """How one record fared: ``problems`` is empty where it was confirmed; ``reasons`` why not to the bit."""

    folder: Path
    record: Record
    rerun: Rerun | None
    problems: tuple[str, ...]
    reasons: tuple[str, ...] = ()
    share: float | None = None


def find_records(folder: Path, run: str | None) -> list[tuple[Path, Record]]:
    """The records of a submission, all or those whose hash begins with ``run``, in the order of their hashes.

    Raises :class:`UsageError` where there is none.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}", "Give the folder of a submission: submissions/NAME.")
    found = [(path.parent, read_record(path.parent)) for path in sorted((folder / "runs").glob(f"*/{RECORD_NAME}"))]
    chosen = [(path, record) for path, record in found if run is None or record.run_hash.startswith(run)]
    if not chosen:
        there = ", ".join(record.run_hash for _, record in found) or "none"
        which = "no record" if run is None else f"no record whose hash begins with {run!r}"
        raise UsageError(f"{folder} has {which}; its records: {there}", "Records are added with `vlcl submit add`.")
    return chosen


def rerun_submission(
    folder: Path,
    reporter: Reporter,
    run: str | None = None,
    store: Path | None = None,
    runs: Path = RERUNS,
    isolation: str | None = None,
) -> list[Result]:
    """Run the records of a submission again, compare, and write ``rerun.json`` beside each that is confirmed.

    A run that cannot be made again is a problem of its result and does not keep the others from being tried.
    """
    chosen = find_records(folder, run)
    every = find_records(folder, None)
    results = []
    for number, (path, record) in enumerate(chosen, start=1):
        identity = record.identity
        reporter.say(f"[{number}/{len(chosen)}] {record.run_hash}: {identity.protocol}, seed {identity.seed}")
        try:
            results.append(_rerun(folder, path, record, every, reporter, store, runs, isolation))
        except VlclError as error:
            results.append(Result(path, record, None, (error.message,)))
    return results


def _rerun(
    folder: Path,
    path: Path,
    record: Record,
    every: Sequence[tuple[Path, Record]],
    reporter: Reporter,
    store: Path | None,
    runs: Path,
    isolation: str | None,
) -> Result:
    import numpy as np

    from vlcl_bench.engine.prepare import Request
    from vlcl_bench.engine.run import run as run_engine
    from vlcl_bench.engine.sandbox.kinds import check_isolation
    from vlcl_bench.methods.registry import MethodRef
    from vlcl_bench.protocols.load import load_protocol
    from vlcl_bench.records.rescoring import rescored

    identity = record.identity
    before = rescored(path, record)  # refuses another version of the protocol, and damaged predictions
    protocol = load_protocol(identity.protocol)
    method = _method(folder, record)
    request = Request(
        protocol=identity.protocol, method=method, settings=identity.config, seed=identity.seed,
        backbone=None if identity.backbone == protocol.backbone else identity.backbone,
        device=record.provenance.device, runs=runs, store=store, keep_states="none",
        isolation=check_isolation(isolation or MethodRef.parse(method).default_isolation),
    )  # fmt: skip
    with _threads(record.provenance.threads):
        outcome = run_engine(request, reporter)
    here = outcome.record
    if here.identity != identity:
        facts, found = identity.facts(), here.identity.facts()
        others = [f"{key}: {facts[key]!r} in the record, {found.get(key)!r} here" for key in facts]
        changed = [text for key, text in zip(facts, others, strict=True) if facts[key] != found.get(key)]
        return Result(path, record, None, ("this is another run here: " + "; ".join(changed),))
    if outcome.found_finished and here.cost == record.cost:
        raise UsageError(
            f"{outcome.folder} is the very run that the record was copied from", "Name another folder with --runs."
        )
    again = read_predictions(outcome.folder / PREDICTIONS_NAME)
    agreement = compare_answers(read_predictions(path / PREDICTIONS_NAME), again)
    after = ground_truth(protocol).rescore(again)
    old, new = np.array(before["matrix"]), np.array(after["matrix"])
    reasons = tuple(same_machine(record.provenance, here.provenance))
    problems = disagreements(agreement, not reasons, old, new, before["tasks"], _spread(record, every))
    problems += _other_facts(record, here)
    if problems:
        return Result(path, record, None, tuple(problems), reasons, agreement.share)
    rerun = Rerun(
        run_hash=record.run_hash,
        predictions_sha256=record.predictions_sha256,
        rerun_predictions_sha256=here.predictions_sha256,
        exact=not reasons,
        identical=agreement.identical,
        answers=agreement.answers,
        equal=agreement.equal,
        largest_difference=float(np.abs(new - old).max()),
        provenance=here.provenance,
    )
    write_atomic(path / RERUN_NAME, pretty_json(rerun.model_dump(mode="json")))
    return Result(path, record, rerun, (), reasons, agreement.share)


def _other_facts(record: Record, here: Record) -> list[str]:
    """What the record says of the run and the rerun found otherwise; seconds and memory may differ."""
    said, found = (
        {
            "title": one.title, "track": one.track, "deterministic": one.deterministic,
            "unranked_because": one.unranked_because, **one.weight.model_dump(), **one.usage.model_dump(),
        }
        for one in (record, here)
    )  # fmt: skip
    for beside in ("made_pictures", "blank_pictures"):  # what lay in the store already is not made again
        said.pop(beside), found.pop(beside)
    return [
        f"{key} is {value!r} in the record, {found[key]!r} here" for key, value in said.items() if value != found[key]
    ]


def _method(folder: Path, record: Record) -> str:
    """What to run so that its name is the record's: the folder, or its file where the run was given that.

    Raises :class:`IntegrityError` where the method's file is not the one that made the record.
    """
    from vlcl_bench.methods.registry import MethodRef

    method = MethodRef.parse(str(folder))
    identity = record.identity
    if method.source_sha256 != identity.method_source_sha256:
        raise IntegrityError(
            f"the record was made with another {method.path.name} ({identity.method_source_sha256[:12]}) than the "
            f"one in the submission ({method.source_sha256[:12]})",
            "Restore the file that made the record, or run the method again and replace its records.",
        )
    if identity.method == method.path.stem and identity.method != method.name:
        return str(method.path)
    return str(folder)


def _spread(record: Record, every: Sequence[tuple[Path, Record]]) -> FloatArray | None:
    """The spread of R over the submission's seeds of the record's protocol and settings."""
    import numpy as np

    def but_seed(one: Record) -> dict[str, object]:
        return {key: value for key, value in one.identity.facts().items() if key != "seed"}

    mine = but_seed(record)
    return seed_spread([np.array(one.scores["matrix"]) for _, one in every if but_seed(one) == mine])


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Compute with as many threads as the record did, also in a process of the method's own."""
    import torch

    names, before = ("OMP_NUM_THREADS", "MKL_NUM_THREADS"), torch.get_num_threads()
    kept = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, str(count)))
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        for name, value in kept.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
