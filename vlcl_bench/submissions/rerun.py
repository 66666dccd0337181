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
from vlcl_bench.submissions.finding import Finding

if TYPE_CHECKING:
    from vlcl_bench.common.progress import Reporter
    from vlcl_bench.engine.run import Outcome as RunOutcome
    from vlcl_bench.scoring.metrics import FloatArray

RERUNS = Path("runs/reruns")
"""Where runs that are made again are put, apart from those they are compared with."""
NOT_CONFIRMED = "Make sure that the submission holds the source that made the record, or open an issue."
OTHER_RUN = "Restore the protocol, weights and method that made the record, or run the method again."


@dataclass(frozen=True)
class Result:
    """How one record fared: ``findings`` is empty where it was confirmed; ``reasons`` why not to the bit."""

    folder: Path
    record: Record
    rerun: Rerun | None
    findings: tuple[Finding, ...]
    reasons: tuple[str, ...] = ()
    share: float | None = None


def find_records(folder: Path, run: str | None) -> list[tuple[Path, Record]]:
    """The records of a submission, all or those whose hash begins with ``run``, in the order of their hashes.

    Raises :class:`UsageError` where there is none.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}", "Give the folder of a submission: submissions/NAME.")
    records = [(path.parent, read_record(path.parent)) for path in sorted((folder / "runs").glob(f"*/{RECORD_NAME}"))]
    chosen = [(path, record) for path, record in records if run is None or record.run_hash.startswith(run)]
    if not chosen:
        there = ", ".join(record.run_hash for _, record in records) or "none"
        which = "no record" if run is None else f"no record whose hash begins with {run!r}"
        raise UsageError(f"{folder} has {which}; its records: {there}", "Records are added with `vlcl submit add`.")
    return chosen


@dataclass(frozen=True)
class Means:
    """With what runs are made again: the ``store`` of decoded pictures, the folder of the new ``runs``, ``isolation``.

    The last by default as a run of the method would have it.
    """

    store: Path | None = None
    runs: Path = RERUNS
    isolation: str | None = None


def rerun_submission(
    folder: Path, reporter: Reporter, run: str | None = None, means: Means | None = None
) -> list[Result]:
    """Run the records of a submission again, compare, and write ``rerun.json`` beside each that is confirmed.

    A run that cannot be made again is a finding of its result and does not keep the others from being tried.
    """
    chosen = find_records(folder, run)
    siblings = [record for _, record in find_records(folder, None)]
    results = []
    for number, (path, record) in enumerate(chosen, start=1):
        identity, where = record.identity, path.relative_to(folder).as_posix()
        reporter.say(f"[{number}/{len(chosen)}] {record.run_hash}: {identity.protocol}, seed {identity.seed}")
        try:
            outcome = _run_again(folder, record, path, means or Means(), reporter)
            results.append(_compare(path, record, outcome, siblings, where))
        except VlclError as error:
            results.append(Result(path, record, None, (Finding("rerun", where, error.message, error.hint or ""),)))
    return results


def _run_again(folder: Path, record: Record, path: Path, means: Means, reporter: Reporter) -> RunOutcome:
    """Make a record's run again, of the method in a submission's folder."""
    from vlcl_bench.engine.prepare import Request
    from vlcl_bench.engine.run import run as run_engine
    from vlcl_bench.engine.sandbox.kinds import check_isolation
    from vlcl_bench.methods.registry import MethodRef
    from vlcl_bench.protocols.load import load_protocol
    from vlcl_bench.records.rescoring import rescored

    rescored(path, record)  # refuses another version of the protocol, and damaged predictions
    identity, method = record.identity, _method(folder, record)
    protocol = load_protocol(identity.protocol)
    request = Request(
        protocol=identity.protocol, method=method, settings=identity.settings, seed=identity.seed,
        backbone=None if identity.backbone == protocol.backbone else identity.backbone,
        device=record.provenance.device, runs=means.runs, store=means.store, keep_states="none",
        isolation=check_isolation(means.isolation or MethodRef.parse(method).default_isolation),
    )  # fmt: skip
    with _threads(record.provenance.threads):
        return run_engine(request, reporter)


def _compare(path: Path, record: Record, outcome: RunOutcome, siblings: Sequence[Record], where: str) -> Result:
    """Compare a run that was made again with its record, and write ``rerun.json`` where it is confirmed.

    ``siblings`` are all records of the submission, which tell how far seeds differ. Raises :class:`UsageError` where
    the run is the very one that the record was copied from.
    """
    import numpy as np

    from vlcl_bench.protocols.load import load_protocol

    here = outcome.record
    if here.identity != record.identity:
        message = "this is another run here: " + "; ".join(_other_identity(record, here))
        return Result(path, record, None, (Finding("rerun", where, message, OTHER_RUN),))
    if outcome.found_finished and here.cost == record.cost:
        raise UsageError(
            f"{outcome.folder} is the very run that the record was copied from", "Name another folder with --runs."
        )
    truth = ground_truth(load_protocol(record.identity.protocol))
    stored, again = (read_predictions(place / PREDICTIONS_NAME) for place in (path, outcome.folder))
    agreement, before, after = compare_answers(stored, again), truth.rescore(stored), truth.rescore(again)
    old, new = np.array(before["matrix"]), np.array(after["matrix"])
    reasons = tuple(same_machine(record.provenance, here.provenance))
    differences = disagreements(agreement, not reasons, old, new, before["tasks"], _spread(record, siblings))
    differences += _other_facts(record, here)
    if differences:
        findings = tuple(Finding("rerun", where, message, NOT_CONFIRMED) for message in differences)
        return Result(path, record, None, findings, reasons, agreement.share)
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


def _other_identity(record: Record, here: Record) -> list[str]:
    """What identifies the record's run and is otherwise of the run that was made here."""
    there, facts = record.identity.facts(), here.identity.facts()
    return [f"{key}: {value!r} in the record, {facts.get(key)!r} here" for key, value in there.items()
            if value != facts[key]]  # fmt: skip


def _other_facts(record: Record, here: Record) -> list[str]:
    """What the record says of the run and the rerun found otherwise; seconds and memory may differ."""
    stated, measured = (
        {
            "title": side.title, "track": side.track, "deterministic": side.deterministic,
            "unranked_because": side.unranked_because, **side.footprint.model_dump(), **side.usage.model_dump(),
        }
        for side in (record, here)
    )  # fmt: skip
    for beside in ("made_pictures", "blank_pictures"):  # what lay in the store already is not made again
        stated.pop(beside), measured.pop(beside)
    return [
        f"{key} is {value!r} in the record, {measured[key]!r} here"
        for key, value in stated.items()
        if value != measured[key]
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
            "Restore the files that made the record, or run the method again and replace its records.",
        )
    if identity.method == method.path.stem and identity.method != method.name:
        return str(method.path)
    return str(folder)


def _spread(record: Record, siblings: Sequence[Record]) -> FloatArray | None:
    """The spread of R over the submission's seeds of the record's protocol and settings."""
    import numpy as np

    def but_seed(run: Record) -> dict[str, object]:
        return {key: value for key, value in run.identity.facts().items() if key != "seed"}

    same = but_seed(record)
    return seed_spread([np.array(run.scores["matrix"]) for run in siblings if but_seed(run) == same])


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
