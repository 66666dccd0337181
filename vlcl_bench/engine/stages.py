"""The stages of a run: learn a task, evaluate all tasks, commit; and the record at the end."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pandas as pd
import torch

from vlcl_bench.common.progress import Reporter
from vlcl_bench.data.pictures import some
from vlcl_bench.data.store import StoredDataSet
from vlcl_bench.engine.accounting import (
    prepare_seconds,
    run_cost,
    run_fences,
    run_isolation,
    run_log,
    run_rechecks,
    run_track,
    run_usage,
)
from vlcl_bench.engine.evaluate import LOGIT_SCALE, Logits, evaluate, same_answers
from vlcl_bench.engine.footprint import footprint_of_run, journal_form
from vlcl_bench.engine.journal import Event
from vlcl_bench.engine.learner import Learner
from vlcl_bench.engine.pictures import data_origins
from vlcl_bench.engine.prepare import KeepStates
from vlcl_bench.engine.provenance import Clock, provenance
from vlcl_bench.engine.run_folder import RunFolder
from vlcl_bench.engine.sandbox.kinds import INLINE, Living
from vlcl_bench.engine.states import Original, keep_state, stored_form, whole_state
from vlcl_bench.engine.untouched import Items, refuse_better_start
from vlcl_bench.methods.card import MethodCard
from vlcl_bench.protocols.stream import Protocol
from vlcl_bench.records.files import PREDICTIONS_NAME, write_predictions, write_record
from vlcl_bench.records.schema import Identity, Rechecks, Record, Scores
from vlcl_bench.scoring.ground_truth import ground_truth
from vlcl_bench.tasks import Task


class Stages:
    """The stages of a run: what is done according to the journal, and the doing of the rest."""

    def __init__(
        self,
        folder: RunFolder,
        learner: Learner,
        protocol: Protocol,
        stored: list[StoredDataSet],
        reporter: Reporter,
        keep_states: KeepStates,
        living: Living = INLINE,
        original: Original | None = None,
    ) -> None:
        self.folder, self.learner, self.protocol, self.stored = folder, learner, protocol, stored
        self.reporter, self.keep_states, self.living = reporter, keep_states, living
        self.original = original or Original()
        self.clock, self.precision = Clock(), ""
        self.logits: Logits = {}
        self.rechecks = Rechecks()
        self.reference_notes: list[str] = []
        self.untouched: Items | None = None
        self.logit_scale = LOGIT_SCALE

    def begin(self, started: float | None, precision: str) -> None:
        """Note how long this process took until here, since its command was given at ``started``."""
        self.clock, self.precision = Clock(started), precision
        self.folder.journal.append("prepared", elapsed=self.clock.elapsed())

    def go_through(self) -> None:
        """Do every stage that is not committed."""
        journal, last = self.folder.journal, len(self.protocol.tasks)
        first = next((s for s in range(last + 1) if not journal.last("evaluated", stage=s)), last + 1)
        if first > 0:
            self.reporter.say(f"continuing after stage {first - 1} of {last}")
        loaded = -1
        for stage in range(first, last + 1):
            if journal.last("learned", stage=stage) is not None:
                self.load(stage)
            else:
                if stage > 0 and loaded != stage - 1:
                    self.load(stage - 1)
                self.learn(stage)
            self.evaluate(stage)
            loaded = stage
            if self.keep_states != "all":
                self.folder.drop_states(stage)

    def load(self, stage: int) -> None:
        """Go back to the method as it was after a stage."""
        self.learner.load(self.folder.state(stage), lambda stored: whole_state(stored, self.original))

    def learn(self, stage: int) -> None:
        """Learn the stage's task (nothing at stage 0) and save the state."""
        facts: dict[str, Any] = {"counts": {}, "log": []}
        with self.clock.measure() as seconds:
            if stage > 0:
                task = self.task(stage)
                label = f"[{stage}/{len(self.protocol.tasks)}] learning {task.name}"
                with self.reporter.phase(label, self.protocol.budget.steps) as progress:
                    report = self.learner.learn(task, progress)
                for line in report.log:
                    if "note" in line:
                        self.reporter.say(str(line["note"]))
                facts = {"counts": report.usage.by_name(), "log": report.log}
                facts["seconds_synthesising"] = round(report.seconds_synthesising, 3)
        footprint = self.learner.footprint()
        stored = stored_form(self.learner.packed_state(), self.original)
        twin = self.folder.state_path(stage - 1) if stage > 0 else None
        facts["state_sha256"] = keep_state(self.folder.state_path(stage), stored, twin)
        facts |= {"beside_sha256": self.learner.beside_state(), "seconds": seconds(), **self.living.facts()}
        self.folder.journal.append("learned", stage=stage, footprint=journal_form(footprint), **facts)

    def task(self, stage: int) -> Task:
        """The training view of a stage's task."""
        spec = self.protocol.tasks[stage - 1]
        dataset, manifest = self.protocol.datasets[spec.dataset], self.protocol.manifests[spec.dataset]
        images, labels = self.stored[spec.dataset].train, manifest.labels("train")
        if spec.classes is None or spec.seen is None:
            captions = tuple(manifest.captions("train")) if dataset.captioned else None
            names = dataset.class_names
            return Task(stage, spec.name, names, dataset.templates, images, labels, dataset.name, captions)
        rows = np.flatnonzero(np.isin(labels, spec.classes))
        place = {label: i for i, label in enumerate(spec.seen)}
        places = np.array([place[label] for label in labels[rows]], np.int64)
        names = tuple(dataset.class_names[label] for label in spec.seen)
        return Task(stage, spec.name, names, dataset.templates, some(images, rows), places, dataset.name)

    def evaluate(self, stage: int) -> None:
        """Evaluate all tasks, or take over the answers of the stage before, and commit the stage."""
        self.rechecks = Rechecks()
        with self.clock.measure() as seconds:
            frame = self.answers_before(stage)
            if frame is None:
                frame = self.answers(stage)
        truth = ground_truth(self.protocol)
        if stage == 0 and self.untouched is not None:
            refuse_better_start(truth.stage_item_scores(frame), self.untouched)
        digest = write_predictions(self.folder.predictions_path(stage), frame)
        memory, on_device = self.learner.memory()
        self.folder.journal.append(
            "evaluated", stage=stage, predictions_sha256=digest, seconds=seconds(),
            peak_memory_bytes=memory, peak_device_memory_bytes=on_device, elapsed=self.clock.elapsed(),
            **self.living.facts(), rechecks=self.rechecks.model_dump(),
        )  # fmt: skip
        self.reporter.stage_done(stage, truth.stage_scores(frame))

    def answers(self, stage: int) -> pd.DataFrame:
        """All answers of a stage, asked of the method."""
        total = sum(len(data.test) for data in self.stored)
        with self.reporter.phase(f"[{stage}/{len(self.protocol.tasks)}] evaluating", total) as progress:
            found = evaluate(self.learner, self.protocol, self.stored, stage, progress, self.logit_scale)
        self.logits, self.rechecks = found.logits, found.rechecks
        return found.frame

    def answers_before(self, stage: int) -> pd.DataFrame | None:
        """All answers of a stage, from those of the stage before; ``None`` where the method has changed since.

        On a stream of class groups also where that stage was evaluated by another process: its logits are gone.
        """
        if stage == 0 or not self.folder.unchanged(stage):
            return None
        frame = same_answers(self.folder.stage_predictions(stage - 1), self.protocol, stage, self.logits)
        if frame is not None:
            self.reporter.say(f"[{stage}/{len(self.protocol.tasks)}] nothing changed: the answers are those of before")
        return frame

    def events(self, kind: str) -> list[Event]:
        """The events of a kind, one for each stage, of a run whose stages are all committed."""
        return [self.folder.journal.last(kind, stage=stage) or {} for stage in range(len(self.protocol.tasks) + 1)]

    def conclude(self, identity: Identity, card: MethodCard, device: torch.device, canary: str) -> Record:
        """Write the one predictions file and the record, then drop what they replace."""
        folder, tasks = self.folder, len(self.protocol.tasks)
        frame = folder.predictions(tasks + 1)
        digest = write_predictions(folder.path / PREDICTIONS_NAME, frame)
        record = self.record(identity, card, device, canary, frame, digest)
        write_record(folder.path, record)
        if record.rechecks and record.rechecks.batch_dependent:
            self.reporter.say(f"not to be ranked: {record.rechecks.batch_dependent}")
        folder.drop_states({"none": tasks + 1, "last": tasks, "all": 0}[self.keep_states])
        folder.journal.append("finished", predictions_sha256=digest)
        folder.drop_stage_predictions()
        return record

    def record(
        self, identity: Identity, card: MethodCard, device: torch.device, canary: str, frame: pd.DataFrame, digest: str
    ) -> Record:
        """The record of the run, from its journal and all its predictions, ``frame``, whose file has the ``digest``."""
        protocol, learned, evaluated = self.protocol, self.events("learned"), self.events("evaluated")
        journal = self.folder.journal
        resumed = sum(event["event"] == "resumed" for event in journal.events)
        lived = {"isolation": run_isolation([*learned, *evaluated]), "fences": run_fences([*learned, *evaluated])}
        return Record(
            identity=identity,
            run_hash=identity.run_hash,
            title=card.title,
            track=run_track(learned, protocol.budget),
            deterministic=card.deterministic,
            ranked_protocol=protocol.ranked,
            unranked_because=card.unranked_because,
            provenance=provenance(device).model_copy(update={**lived, "precision": self.precision}),
            cost=run_cost(learned, evaluated, self.clock.total(journal), resumed, prepare_seconds(journal.events)),
            footprint=footprint_of_run([event["footprint"] for event in learned]),
            usage=run_usage(learned, protocol.budget),
            log=run_log(learned),
            predictions_sha256=digest,
            predictions_rows=len(frame),
            scores=cast(Scores, ground_truth(protocol).rescore(frame)),
            rechecks=run_rechecks(evaluated),
            data=data_origins(protocol.manifests),
            canary=canary,
            defaults=card.defaults,
            reference_notes=self.reference_notes,
        )
