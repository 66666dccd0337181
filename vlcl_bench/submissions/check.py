"""A submission as data: everything that can be said of it without importing or running anything that is in it."""

from __future__ import annotations

from vlcl_bench.scoring.ground_truth import ground_truth

import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlcl_bench.errors import IntegrityError
from vlcl_bench.common.fileio import canonical_json, sha256_bytes, sha256_text
from vlcl_bench.methods.source import source_digest
from vlcl_bench.protocols.stream import Protocol
from vlcl_bench.records.files import PREDICTIONS_NAME, RECORD_NAME, compact_predictions, read_record
from vlcl_bench.records.schema import Record
from vlcl_bench.submissions import unpack
from vlcl_bench.submissions.declared import is_reference_submission
from vlcl_bench.submissions.finding import Fault
from vlcl_bench.submissions.manifest import METHOD_NAME, Submission, method_file, read_submission
from vlcl_bench.submissions.text import UnreadableError, read_limited, shown
from vlcl_bench.submissions.record_checks import AGAIN, EDITED, Method, Protocols, is_todays, read_run, record_faults, score_faults
from vlcl_bench.records.reruns import RERUN_NAME, rerun_of
from vlcl_bench.submissions.settings import says_deterministic, undeclared
from vlcl_bench.submissions.files import METHOD_LIMIT, PREDICTIONS_LIMIT, RERUN_LIMIT, check_tree

COMMITTED = Path(__file__).parents[2] / "submissions"
"""The submissions of the repository that this code is of, which may be another than the one that is looked at."""
REFERENCE = COMMITTED / "zero_shot" / "runs"
"""The committed runs of the untouched model."""
ONE_TASK, ON_AVERAGE = 2.0, 0.5
"""By how many points row 0 may differ from the untouched model's: near-ties fall otherwise on other machines."""
SEEDS_NEEDED = 3
PATIENCE = 300
"""Seconds in which the predictions of a submission must be read."""


@dataclass
class _Run:
    folder: Path
    where: str
    record: Record
    protocol: Protocol | None
    answers: str = ""
    """SHA-256 of the file of predictions and, once they are read, of the answers in it."""
    scores: dict[str, Any] | None = None


def check_data(folder: Path) -> list[Fault]:
    """All faults of a submission that its files tell; nothing of it is imported or run, and no link is followed."""
    runs, faults = check_tree(folder)
    if any(fault.code == "no-folder" for fault in faults):
        return faults
    submission, found = read_submission(folder)
    faults += found
    digest, found = _source(folder, submission)
    faults += found
    name, protocols = folder.absolute().name, Protocols()
    is_reference = submission is not None and is_reference_submission(folder, submission, name)
    method = Method(name, digest, submission, is_reference)
    whole: list[_Run] = []
    for run in runs:
        where = run.relative_to(folder).as_posix()
        record, found = read_run(run, where)
        faults += found
        if record is not None:
            faults += record_faults(record, run, where, method, protocols)
            whole.append(_Run(run, where, record, protocols.find(record.identity.protocol)))
            faults += _badge(whole[-1], method.name)
    faults += _predictions(whole)
    for one in whole:
        faults += _row_zero(one)
    faults += _across(whole)
    faults += _promises(folder, whole, submission)
    if not runs:
        hint = f"vlcl run --protocol mini-mtil-1 --method {folder}, then vlcl submit add RUN --to {folder}."
        faults.append(Fault("no-runs", ".", "there are no runs yet", hint, severe=False))
    return faults


def _source(folder: Path, submission: Submission | None) -> tuple[str | None, list[Fault]]:
    """The hash of the method's file as records hold it; found from its bytes, nothing is imported."""
    if submission is not None:
        path, faults = method_file(folder, submission)
    else:  # what it says was refused already; runs can be compared with the file all the same
        path, faults = (folder / METHOD_NAME if os.path.lexists(folder / METHOD_NAME) else None), []
    if path is None:
        return None, faults
    try:
        read_limited(path, METHOD_LIMIT)
        return source_digest(path), []
    except (UnreadableError, RecursionError, MemoryError) as error:
        hint = f"A submission has its method in {METHOD_NAME}, or names one of baselines/."
        return None, [Fault("method-unreadable", METHOD_NAME, f"{path.name} cannot be read: {error}", hint)]


def _badge(run: _Run, name: str) -> Iterator[Fault]:
    """A rerun is of the maintainers, who made it: one that comes with a submission proves nothing."""
    path = run.folder / RERUN_NAME
    if not os.path.lexists(path):
        return
    at = f"{run.where}/{RERUN_NAME}"
    try:
        known = read_limited(COMMITTED / name / "runs" / run.folder.name / RERUN_NAME, RERUN_LIMIT)
        same = read_limited(path, RERUN_LIMIT) == known
    except UnreadableError:
        same = False
    if same:
        try:
            rerun_of(run.folder, run.record)
        except IntegrityError as error:
            yield Fault("rerun", at, error.message, error.hint or "Restore the file, or delete it.")
    else:
        message = "it says that the run was confirmed by running it again; this repository knows of no such rerun"
        yield Fault("rerun", at, message, "Leave it out: reruns are made, and committed, by the maintainers.")


def _predictions(runs: Sequence[_Run]) -> list[Fault]:
    """Hashes, form, completeness, and the scores that follow, of all runs."""
    faults, asked = [], list[tuple[_Run, int]]()
    for run in runs:
        at, record = f"{run.where}/{PREDICTIONS_NAME}", run.record
        try:
            run.answers = sha256_bytes(read_limited(run.folder / PREDICTIONS_NAME, PREDICTIONS_LIMIT))
        except UnreadableError as error:
            faults.append(Fault("predictions-unreadable", at, f"it cannot be read: {error}", AGAIN))
            continue
        if run.answers != record.predictions_sha256:
            message = (f"it has the SHA-256 {run.answers[:12]}; the record was written with "
                       f"{shown(record.predictions_sha256, 12)}")  # fmt: skip
            faults.append(Fault("predictions-hash", at, message, "Predictions are never edited. " + AGAIN))
        if run.protocol is not None and is_todays(record, run.protocol):
            asked.append((run, _rows(run.protocol)))
    with tempfile.TemporaryDirectory(prefix="vlcl-predictions-") as scratch:
        unpacked = _unpacked([(run.folder / PREDICTIONS_NAME, 2 * rows + 1000) for run, rows in asked], Path(scratch))
        for (run, _), (code, message, table) in zip(asked, unpacked, strict=True):
            at = f"{run.where}/{PREDICTIONS_NAME}"
            faults += [Fault(code, at, message, AGAIN)] if code else _scored(run, table, at)
    return faults


def _rows(protocol: Protocol) -> int:
    """How many predictions a run has."""
    return (len(protocol.tasks) + 1) * ground_truth(protocol).answers_a_stage


def _unpacked(wanted: Sequence[tuple[Path, int]], scratch: Path) -> list[tuple[str, str, Path]]:
    """For each file a fault's code and message, empty where it was read, and where its table is now."""
    targets = [scratch / f"{place}.arrow" for place in range(len(wanted))]
    found: list[tuple[str, str, Path]] = []
    while len(found) < len(wanted):
        start = len(found)
        rest = [
            [str(path.absolute()), rows, str(target)]
            for (path, rows), target in zip(wanted[start:], targets[start:], strict=True)
        ]
        command = [sys.executable, "-I", unpack.__file__]
        try:
            done = subprocess.run(command, input=json.dumps(rest), capture_output=True, text=True, timeout=PATIENCE)
            lines, ended = done.stdout.splitlines(), f"exit code {done.returncode}"
        except subprocess.TimeoutExpired as error:
            told = error.stdout or b""
            lines = (told.decode() if isinstance(told, bytes) else told).splitlines()
            ended = f"more than {PATIENCE} seconds"
        for line in lines:
            answer = json.loads(line)
            found.append((answer["code"], answer["message"], targets[len(found)]))
        if len(found) < len(wanted):  # this file brought its reader down: go on with the next
            message = f"reading it ended its reader ({ended}): it needs too much memory or time, or is broken"
            found.append(("archive-bomb", message, targets[len(found)]))
    return found


def _scored(run: _Run, table: Path, at: str) -> list[Fault]:
    import pyarrow as pa

    assert run.protocol is not None
    with pa.OSFile(str(table)) as source:
        frame = pa.ipc.open_file(source).read_all().to_pandas()
    faults = []
    if len(frame) != run.record.predictions_rows:
        message = f"it has {len(frame):,} rows; the record says {run.record.predictions_rows:,}"
        faults.append(Fault("predictions-rows", at, message, AGAIN))
    try:
        run.scores = ground_truth(run.protocol).rescore(frame)
        # Of the answers and not of the file: the same ones can be packed in many ways.
        run.answers = sha256_text(compact_predictions(frame).to_csv(index=False))
    except IntegrityError as error:
        return [*faults, Fault("predictions", at, error.message, AGAIN)]
    except Exception as error:  # whatever a strange table does to pandas is a fault of the table
        message = f"it cannot be scored: {type(error).__name__}: {shown(str(error), 200)}"
        return [*faults, Fault("predictions", at, message, AGAIN)]
    return faults + score_faults(run.record, run.scores, f"{run.where}/{RECORD_NAME}")


def _row_zero(run: _Run) -> Iterator[Fault]:
    """Stage 0 is the untouched model, whatever the method: its weights and, nearly, its answers are known."""
    reference = None if run.protocol is None else _untouched(run.record)
    if reference is None:
        return
    at, known = f"{run.where}/{RECORD_NAME}", reference.identity.backbone_sha256
    if run.record.identity.backbone_sha256 != known:
        message = (f"it starts from other weights ({shown(run.record.identity.backbone_sha256, 12)}) than "
                   f"{run.record.identity.backbone} has ({known[:12]})")  # fmt: skip
        hint = "Use the protocol's backbone as it is, or give other weights under their own name with --backbone."
        yield Fault("backbone", at, message, hint)
    if run.scores is None:
        return
    pairs = zip(run.scores["zero_shot"], reference.scores["zero_shot"], strict=True)
    differences = [mine - theirs for mine, theirs in pairs]
    mean = sum(differences) / len(differences)
    if max(map(abs, differences)) > ONE_TASK or abs(mean) > ON_AVERAGE:
        message = (f"before the first task it differs from the untouched model by {mean:+.1f} points on average, "
                   f"{max(differences, key=abs):+.1f} on one task")  # fmt: skip
        hint = "Row 0 is measured before anything is learned. Say in README.md what the method changes beforehand."
        yield Fault("row-zero", at, message, hint, severe=False)


def _untouched(record: Record) -> Record | None:
    """The committed run of the untouched model under the same protocol and from the backbone of that name."""
    for path in sorted(REFERENCE.glob("*/")):
        known = read_record(path)
        same = ("protocol", "protocol_fingerprint", "backbone")
        if all(getattr(known.identity, key) == getattr(record.identity, key) for key in same):
            return known
    return None


def _promises(folder: Path, runs: Sequence[_Run], submission: Submission | None) -> Iterator[Fault]:
    """What records of somebody's own method say of it and its file does not: that no seed is needed, its settings."""
    own = folder / METHOD_NAME
    if submission is None or submission.method != METHOD_NAME or not own.is_file() or own.is_symlink():
        return
    if any(run.record.deterministic for run in runs) and not says_deterministic(own):
        message = f"its records say that the seed changes nothing; no class in {METHOD_NAME} says deterministic = True"
        yield Fault("deterministic", "runs", message, EDITED)
    by_protocol: defaultdict[str, list[_Run]] = defaultdict(list)
    for run in runs:
        by_protocol[run.record.identity.protocol].append(run)
    for protocol, group in by_protocol.items():
        several = undeclared([run.record.identity.config for run in group], submission.entries)
        if len(several) > 1:
            message = f"runs on {shown(protocol)} have {len(several)} different settings that no entry declares"
            hint = "Keep the runs of one, and declare the others as entries = [{ setting = value }] in submission.toml."
            yield Fault("settings", "runs", message, hint)
    for run in runs:
        if run.record.provenance.isolation in ("inline", ""):
            at, message = f"{run.where}/{RECORD_NAME}", "the method lived in the harness's own process"
            hint = "Leave --isolation out: the method of a submission has a process of its own."
            yield Fault("inline", at, message, hint, severe=False)


def _across(runs: Sequence[_Run]) -> Iterator[Fault]:
    """What only several runs tell: seeds that count twice, and promises about them."""
    entries: defaultdict[str, list[_Run]] = defaultdict(list)
    for run in runs:
        facts = {key: value for key, value in run.record.identity.facts().items() if key != "seed"}
        entries[sha256_text(canonical_json(facts))].append(run)
    for group in entries.values():
        identity, seeds = group[0].record.identity, dict[int, _Run]()
        answers: dict[str, _Run] = {}
        deterministic = all(run.record.deterministic for run in group)
        for run in group:
            seed = run.record.identity.seed
            if seed in seeds:
                message = (
                    f"seed {seed} stands in {seeds[seed].where} too, with the same settings on {identity.protocol}"
                )
                yield Fault("repeated-seed", run.where, message, "Delete one of the two; a seed counts once.")
            elif run.answers in answers and not deterministic:
                other = answers[run.answers]
                message = f"seed {seed} has the very same answers as seed {other.record.identity.seed} ({other.where})"
                hint = "A method whose seed changes nothing says deterministic = True, and needs one run only."
                yield Fault("repeated-answers", run.where, message, hint)
            seeds.setdefault(seed, run)
            answers.setdefault(run.answers, run)
        if deterministic and len({canonical_json(run.scores) for run in group if run.scores}) > 1:
            message = (
                f"the method says that its seed changes nothing; its {len(group)} runs on {identity.protocol} differ"
            )
            yield Fault("not-deterministic", "runs", message, "Leave deterministic = True out, and run three seeds.")
        needed = 1 if deterministic else SEEDS_NEEDED
        if len(seeds) < needed and (group[0].protocol is None or group[0].protocol.ranked):
            message = f"{len(seeds)} of {needed} seeds on {shown(identity.protocol)}: the row will not be ranked yet"
            yield Fault("few-seeds", "runs", message, "Run the other seeds with the same settings.", severe=False)
