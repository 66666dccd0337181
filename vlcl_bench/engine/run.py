"""One run: stage 0, then learn a task, evaluate all tasks, commit; and the record at the end.

A stage is committed when the journal says so. The order within a stage is: save the method's state, evaluate,
write the predictions, then the journal's line. A run killed anywhere continues from the last committed stage
(or from a state whose evaluation was cut short) and ends in the same predictions, because everything random is
derived from the run's seed and the task and nothing from what happened before.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
import torch

from vlcl_bench import records
from vlcl_bench.data.pictures import some
from vlcl_bench.data.store import Store, StoredDataSet
from vlcl_bench.engine.data import data_origin, open_store
from vlcl_bench.engine.evaluate import evaluate
from vlcl_bench.engine.journal import JOURNAL_NAME, LOCK_NAME, Event, Journal
from vlcl_bench.engine.player import Footprint, InlinePlayer, Player, backbone_sizes, guarded, seed_everything
from vlcl_bench.engine.prepare import KeepStates, Prepared, Request, prepare
from vlcl_bench.engine.provenance import Clock, choose_device, provenance, settle_determinism
from vlcl_bench.engine.ready import make_ready
from vlcl_bench.engine.reporter import Reporter
from vlcl_bench.engine.synthesis import open_synthesis
from vlcl_bench.errors import IntegrityError, UsageError
from vlcl_bench.fileio import machine_error, remove_leftovers, sha256_file
from vlcl_bench.isolation.host import Host, hosted
from vlcl_bench.methods.reference import Reference
from vlcl_bench.methods.registry import LoadedMethod
from vlcl_bench.protocols import Protocol
from vlcl_bench.records import Identity, Record
from vlcl_bench.seeds import derive_seed
from vlcl_bench.tasks import Task

if TYPE_CHECKING:
    from vlcl_bench.synthesis.lent import Synthesis

STAGE_PREDICTIONS = "predictions"
COUNTED = (
    "task_pictures", "reference_pictures", "synthetic_pictures", "replayed_samples", "generated_pictures",
    "blank_pictures",
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """Where the record is, the record, and whether it was there already."""

    folder: Path
    record: Record
    found_finished: bool


def run(request: Request, reporter: Reporter) -> Outcome:
    """Do what is asked, or what is left of it."""
    device = choose_device(request.device)
    with hosted(request, device) as host:
        return _run(request, reporter, device, host)


def _run(request: Request, reporter: Reporter, device: torch.device, host: Host | None) -> Outcome:
    prepared = prepare(request, reporter, describe=host.describe if host else None)
    protocol, loaded, backbone, identity = prepared.protocol, prepared.loaded, prepared.backbone, prepared.identity
    folder = request.out or request.runs / identity.run_hash
    with locked(folder, identity) as journal:
        if journal.last("finished"):
            record = finished_record(folder, identity)
            drop_stage_predictions(folder)
            reporter.say(f"this run is already finished: {folder}")
            return Outcome(folder, record, True)
        store = Store(request.store)
        reference = prepared.reference.open(store, reporter) if prepared.reference else None
        synthesis = open_synthesis(protocol, prepared.recipe, store.root, device)
        stored = open_store(protocol, prepared.places, store, reporter)
        settle_determinism()
        canary = make_ready(backbone, device, identity.backbone_sha256).status
        pristine = backbone_sizes(backbone)
        player: Player
        if host is None:
            player = inline_player(request, prepared, device, pristine, reference, synthesis)
        else:
            backbone.to("cpu")
            player = host.player(protocol, identity, pristine, reference, synthesis)
        stages = Stages(folder, journal, player, protocol, stored, reporter, request.keep_states, request.isolation)
        stages.play()
        because = loaded.cls.unranked_because(prepared.config)
        return Outcome(folder, stages.conclude(identity, loaded, device, canary, because), False)


def inline_player(
    request: Request,
    prepared: Prepared,
    device: torch.device,
    pristine: dict[str, int],
    reference: Reference | None,
    synthesis: Synthesis | None,
) -> Player:
    """The method in this process."""
    # The constructor of a method may draw random weights; they follow from the run's seed.
    seed_everything(derive_seed(request.seed, "construct"))
    with guarded("being made"):
        method = prepared.loaded.cls(prepared.backbone, prepared.config)
    return InlinePlayer(method, prepared.protocol, request.seed, device, pristine, reference, synthesis)


@contextmanager
def locked(folder: Path, identity: Identity) -> Iterator[Journal]:
    """The run's folder, held by this process alone and belonging to this identity."""
    try:
        refuse_foreign(folder)
        folder.mkdir(parents=True, exist_ok=True)
        handle = (folder / LOCK_NAME).open("w")
    except OSError as error:
        raise machine_error(error, folder) from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(
                f"another process is at work in {folder}",
                "Wait until it has ended and give the same command again, or use another --out.",
            ) from error
        journal = Journal(folder / JOURNAL_NAME)
        started = journal.last("started")
        if started is None:
            journal.append("started", run_hash=identity.run_hash, identity=identity.facts())
        elif started["run_hash"] != identity.run_hash:
            raise UsageError(_difference(folder, started, identity), "Name another folder with --out, or leave it out.")
        elif not journal.last("finished"):
            remove_leftovers(folder)
            journal.append("resumed")
        yield journal


def refuse_foreign(folder: Path) -> None:
    """Raise :class:`UsageError` where ``folder`` holds something that is no run; nothing is written there."""
    if not folder.is_dir() or (folder / JOURNAL_NAME).exists():
        return
    others = sorted(path.name for path in folder.iterdir() if path.name != LOCK_NAME)
    if others:
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        raise UsageError(
            f"{folder} is not the folder of a run: it holds {', '.join(others[:3])}{more}",
            "Name an empty or new folder with --out, or leave --out out.",
        )


def _difference(folder: Path, started: Event, identity: Identity) -> str:
    old, new = started["identity"], identity.facts()
    changed = [f"{key}: {old.get(key)!r} there, {new[key]!r} here" for key in new if old.get(key) != new[key]]
    return f"{folder} holds another run ({started['run_hash']}); " + "; ".join(changed)


def finished_record(folder: Path, identity: Identity) -> Record:
    """A finished run's record, after checking that its predictions are the ones it was written with."""
    hint = f"Restore it from a copy, or delete {folder} and give the same command again."
    path = folder / records.PREDICTIONS_NAME
    for needed in (folder / records.RECORD_NAME, path):
        if not needed.exists():
            raise IntegrityError(f"the run in {folder} is finished, but {needed.name} is missing", hint)
    record = records.read_record(folder)
    if sha256_file(path) != record.predictions_sha256:
        raise IntegrityError(f"{path} is damaged: it is not the file that the record was written with", hint)
    if record.identity != identity:
        raise IntegrityError(f"{folder / records.RECORD_NAME} is the record of another run than the journal's", hint)
    return record


def drop_stage_predictions(folder: Path) -> None:
    """Delete the stages' own predictions, which the one predictions file of a finished run replaces."""
    if (folder / STAGE_PREDICTIONS).exists():
        shutil.rmtree(folder / STAGE_PREDICTIONS)


class Stages:
    """The stages of a run: what is done according to the journal, and the doing of the rest."""

    def __init__(
        self,
        folder: Path,
        journal: Journal,
        player: Player,
        protocol: Protocol,
        stored: list[StoredDataSet],
        reporter: Reporter,
        keep_states: KeepStates,
        isolation: str = "inline",
    ) -> None:
        self.folder, self.journal, self.player, self.protocol = folder, journal, player, protocol
        self.stored, self.reporter, self.keep_states = stored, reporter, keep_states
        self.isolation = isolation
        self.clock = Clock()

    def state_path(self, stage: int) -> Path:
        """The method's state after a stage."""
        return self.folder / f"stage-{stage:02d}" / "state.safetensors"

    def predictions_path(self, stage: int) -> Path:
        """The predictions of a stage."""
        return self.folder / STAGE_PREDICTIONS / f"stage-{stage:02d}.parquet"

    def play(self) -> None:
        """Do every stage that is not committed."""
        last = len(self.protocol.steps)
        first = next((s for s in range(last + 1) if not self.journal.last("evaluated", stage=s)), last + 1)
        if first > 0:
            self.reporter.say(f"continuing after stage {first - 1} of {last}")
        loaded = -1
        for stage in range(first, last + 1):
            learned = self.journal.last("learned", stage=stage)
            if learned is not None:
                self.restore(stage, learned)
            else:
                if stage > 0 and loaded != stage - 1:
                    before = self.journal.last("learned", stage=stage - 1)
                    if before is None:
                        raise IntegrityError(f"{self.journal.path} does not say how stage {stage - 1} was reached")
                    self.restore(stage - 1, before)
                self.learn(stage)
            self.evaluate(stage)
            loaded = stage
            if self.keep_states != "all":
                self.drop_states(stage)

    def restore(self, stage: int, event: Event) -> None:
        """Load the state of a stage after checking that it is the one that was saved."""
        path = self.state_path(stage)
        if not path.exists() or sha256_file(path) != event["state_sha256"]:
            raise IntegrityError(
                f"the method's state {path} is {'damaged' if path.exists() else 'missing'}",
                f"The run cannot go on from it. Delete {self.folder} and give the same command again: it starts anew.",
            )
        self.player.load(path)

    def learn(self, stage: int) -> None:
        """Learn the stage's task (nothing at stage 0) and save the state."""
        facts: dict[str, Any] = {"counts": {}, "log": []}
        with self.clock.measure() as seconds:
            if stage > 0:
                task = self.task(stage)
                label = f"[{stage}/{len(self.protocol.steps)}] learning {task.name}"
                with self.reporter.phase(label, self.protocol.budget.steps) as progress:
                    report = self.player.learn(task, progress)
                facts = {"counts": report.counts, "log": report.log}
                facts["seconds_synthesising"] = round(report.seconds_synthesising, 3)
        weight = self.player.footprint()
        self.player.save(self.state_path(stage))
        facts |= {"state_sha256": sha256_file(self.state_path(stage)), "seconds": seconds()}
        facts["isolation"] = self.isolation
        self.journal.append("learned", stage=stage, footprint=vars(weight), **facts)

    def task(self, stage: int) -> Task:
        """The training view of a stage's task."""
        step = self.protocol.steps[stage - 1]
        dataset, manifest = self.protocol.datasets[step.dataset], self.protocol.manifests[step.dataset]
        images, labels = self.stored[step.dataset].train, manifest.labels("train")
        if step.classes is None or step.seen is None:
            captions = tuple(manifest.captions("train")) if dataset.captioned else None
            names = dataset.class_names
            return Task(stage, step.name, names, dataset.templates, images, labels, dataset.name, captions)
        rows = np.flatnonzero(np.isin(labels, step.classes))
        place = {label: i for i, label in enumerate(step.seen)}
        own = np.array([place[label] for label in labels[rows]], np.int64)
        names = tuple(dataset.class_names[label] for label in step.seen)
        return Task(stage, step.name, names, dataset.templates, some(images, rows), own, dataset.name)

    def evaluate(self, stage: int) -> None:
        """Evaluate all tasks and commit the stage."""
        total = sum(len(data.test) for data in self.stored)
        label = f"[{stage}/{len(self.protocol.steps)}] evaluating"
        with self.clock.measure() as seconds, self.reporter.phase(label, total) as progress:
            frame = evaluate(self.player, self.protocol, self.stored, stage, progress)
        digest = records.write_predictions(self.predictions_path(stage), frame)
        memory, on_device = self.player.memory()
        self.journal.append(
            "evaluated", stage=stage, predictions_sha256=digest, seconds=seconds(),
            peak_memory_bytes=memory, peak_device_memory_bytes=on_device, elapsed=self.clock.elapsed(),
            isolation=self.isolation,
        )  # fmt: skip
        self.reporter.stage_done(stage, frame, self.protocol)

    def drop_states(self, end: int) -> None:
        """Delete the states of the stages before ``end``, which no later stage needs."""
        for stage in range(end):
            if self.state_path(stage).parent.exists():
                shutil.rmtree(self.state_path(stage).parent)

    def collect(self) -> pd.DataFrame:
        """All predictions, checked against the journal."""
        frames = []
        for stage in range(len(self.protocol.steps) + 1):
            path, event = self.predictions_path(stage), self.journal.last("evaluated", stage=stage)
            if event is None or not path.exists() or sha256_file(path) != event["predictions_sha256"]:
                raise IntegrityError(
                    f"the predictions {path} are {'damaged' if path.exists() else 'missing'}",
                    f"Delete {self.folder} and give the same command again: it starts anew.",
                )
            frames.append(records.read_predictions(path))
        return pd.concat(frames, ignore_index=True)

    def conclude(
        self, identity: Identity, loaded: LoadedMethod, device: torch.device, canary: str, unranked_because: str
    ) -> Record:
        """Write the one predictions file and the record, then drop what they replace."""
        frame, tasks = self.collect(), len(self.protocol.steps)
        digest = records.write_predictions(self.folder / records.PREDICTIONS_NAME, frame)
        learned = [self.journal.last("learned", stage=s) or {} for s in range(tasks + 1)]
        evaluated = [self.journal.last("evaluated", stage=s) or {} for s in range(tasks + 1)]
        footprints = [Footprint(**event["footprint"]) for event in learned]
        budget = self.protocol.budget.presentations
        beside = self.protocol.budget.reference_presentations
        allowed = {"task_pictures": budget, "reference_pictures": beside, "synthetic_pictures": beside}
        over = any(event["counts"].get(key, 0) > most for event in learned for key, most in allowed.items())
        counted = {key: sum(event["counts"].get(key, 0) for event in learned) for key in COUNTED}
        # Stages that an older version has learned do not say.
        made = [event["counts"].get("made_pictures") for event in learned[1:]]
        synthesising = [event.get("seconds_synthesising", 0.0) for event in learned[1:]]
        seconds_learn = [
            round(event["seconds"] - apart, 3) for event, apart in zip(learned[1:], synthesising, strict=True)
        ]
        seconds_evaluate = [round(event["seconds"], 3) for event in evaluated]
        total = self.clock.total(self.journal)
        # A run that was continued in another way says both; stages of an older version were inline.
        isolation = "+".join(sorted({event.get("isolation", "inline") for event in [*learned, *evaluated]}))
        on_device = [event["peak_device_memory_bytes"] for event in evaluated if event["peak_device_memory_bytes"]]
        record = Record(
            identity=identity,
            run_hash=identity.run_hash,
            title=loaded.cls.title,
            track="open-budget" if over else "standard",
            deterministic=loaded.cls.deterministic,
            ranked_protocol=self.protocol.ranked,
            unranked_because=unranked_because,
            provenance=provenance(device).model_copy(update={"isolation": isolation}),
            cost=records.Cost(
                seconds_total=round(total, 3),
                seconds_learn=seconds_learn,
                seconds_evaluate=seconds_evaluate,
                seconds_other=round(
                    max(0.0, total - sum(seconds_learn) - sum(synthesising) - sum(seconds_evaluate)), 3
                ),
                seconds_synthesise=synthesising if any(synthesising) else [],
                peak_memory_bytes=max(event["peak_memory_bytes"] for event in evaluated),
                peak_device_memory_bytes=max(on_device) if on_device else None,
                resumed=sum(event["event"] == "resumed" for event in self.journal.events),
            ),
            weight=records.Weight(
                parameters_total=footprints[-1].parameters_total,
                parameters_trained=footprints[-1].parameters_trained,
                parameters_added=footprints[-1].parameters_added,
                bytes_between_tasks=max(weight.bytes_between_tasks for weight in footprints),
                bytes_by_stage=[weight.bytes_between_tasks for weight in footprints],
            ),
            usage=records.Usage(
                **counted, made_pictures=None if None in made else sum(made), task_budget=budget * tasks
            ),
            log=[{"stage": s, **line} for s, event in enumerate(learned) for line in event["log"]],
            predictions_sha256=digest,
            predictions_rows=len(frame),
            scores=cast(records.Scores, self.protocol.answer_key.rescore(frame)),
            data={m.dataset: data_origin(m) for m in self.protocol.manifests},
            canary=canary,
        )
        records.write_record(self.folder, record)
        self.drop_states({"none": tasks + 1, "last": tasks, "all": 0}[self.keep_states])
        self.journal.append("finished", predictions_sha256=digest)
        drop_stage_predictions(self.folder)
        return record
