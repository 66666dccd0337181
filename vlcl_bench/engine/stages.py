"""The stages of a run: learn a task, evaluate all tasks, commit; and the record at the end."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
import torch

from vlcl_bench.common.fileio import sha256_file
from vlcl_bench.common.progress import Reporter
from vlcl_bench.data.pictures import some
from vlcl_bench.data.store import StoredDataSet
from vlcl_bench.engine.evaluate import evaluate
from vlcl_bench.engine.footprint import Footprint
from vlcl_bench.engine.journal import Event, Journal
from vlcl_bench.engine.learner import Learner
from vlcl_bench.engine.pictures import data_origin
from vlcl_bench.engine.prepare import KeepStates
from vlcl_bench.engine.provenance import Clock, provenance
from vlcl_bench.errors import IntegrityError
from vlcl_bench.methods.card import MethodCard
from vlcl_bench.protocols.stream import Protocol
from vlcl_bench.records.files import PREDICTIONS_NAME, read_predictions, write_predictions, write_record
from vlcl_bench.records.schema import Cost, Identity, Record, Scores, Usage, Weight
from vlcl_bench.scoring.ground_truth import ground_truth
from vlcl_bench.tasks import Task

if TYPE_CHECKING:
    pass
from vlcl_bench.engine.run_folder import STAGE_PREDICTIONS, drop_stage_predictions

COUNTED = (
    "task_pictures", "reference_pictures", "synthetic_pictures", "replayed_samples", "generated_pictures",
    "blank_pictures",
)  # fmt: skip


class Stages:
    """The stages of a run: what is done according to the journal, and the doing of the rest."""

    def __init__(
        self,
        folder: Path,
        journal: Journal,
        learner: Learner,
        protocol: Protocol,
        stored: list[StoredDataSet],
        reporter: Reporter,
        keep_states: KeepStates,
        isolation: str = "inline",
    ) -> None:
        self.folder, self.journal, self.learner, self.protocol = folder, journal, learner, protocol
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
        last = len(self.protocol.tasks)
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
        self.learner.load(path)

    def learn(self, stage: int) -> None:
        """Learn the stage's task (nothing at stage 0) and save the state."""
        facts: dict[str, Any] = {"counts": {}, "log": []}
        with self.clock.measure() as seconds:
            if stage > 0:
                task = self.task(stage)
                label = f"[{stage}/{len(self.protocol.tasks)}] learning {task.name}"
                with self.reporter.phase(label, self.protocol.budget.steps) as progress:
                    report = self.learner.learn(task, progress)
                facts = {"counts": report.counts, "log": report.log}
                facts["seconds_synthesising"] = round(report.seconds_synthesising, 3)
        weight = self.learner.footprint()
        self.learner.save(self.state_path(stage))
        facts |= {"state_sha256": sha256_file(self.state_path(stage)), "seconds": seconds()}
        facts["isolation"] = self.isolation
        self.journal.append("learned", stage=stage, footprint=vars(weight), **facts)

    def task(self, stage: int) -> Task:
        """The training view of a stage's task."""
        step = self.protocol.tasks[stage - 1]
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
        label = f"[{stage}/{len(self.protocol.tasks)}] evaluating"
        with self.clock.measure() as seconds, self.reporter.phase(label, total) as progress:
            frame = evaluate(self.learner, self.protocol, self.stored, stage, progress)
        digest = write_predictions(self.predictions_path(stage), frame)
        memory, on_device = self.learner.memory()
        self.journal.append(
            "evaluated", stage=stage, predictions_sha256=digest, seconds=seconds(),
            peak_memory_bytes=memory, peak_device_memory_bytes=on_device, elapsed=self.clock.elapsed(),
            isolation=self.isolation,
        )  # fmt: skip
        self.reporter.stage_done(stage, ground_truth(self.protocol).stage_scores(frame))

    def drop_states(self, end: int) -> None:
        """Delete the states of the stages before ``end``, which no later stage needs."""
        for stage in range(end):
            if self.state_path(stage).parent.exists():
                shutil.rmtree(self.state_path(stage).parent)

    def collect(self) -> pd.DataFrame:
        """All predictions, checked against the journal."""
        frames = []
        for stage in range(len(self.protocol.tasks) + 1):
            path, event = self.predictions_path(stage), self.journal.last("evaluated", stage=stage)
            if event is None or not path.exists() or sha256_file(path) != event["predictions_sha256"]:
                raise IntegrityError(
                    f"the predictions {path} are {'damaged' if path.exists() else 'missing'}",
                    f"Delete {self.folder} and give the same command again: it starts anew.",
                )
            frames.append(read_predictions(path))
        return pd.concat(frames, ignore_index=True)

    def conclude(self, identity: Identity, card: MethodCard, device: torch.device, canary: str) -> Record:
        """Write the one predictions file and the record, then drop what they replace."""
        frame, tasks = self.collect(), len(self.protocol.tasks)
        digest = write_predictions(self.folder / PREDICTIONS_NAME, frame)
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
            title=card.title,
            track="open-budget" if over else "standard",
            deterministic=card.deterministic,
            ranked_protocol=self.protocol.ranked,
            unranked_because=card.unranked_because,
            provenance=provenance(device).model_copy(update={"isolation": isolation}),
            cost=Cost(
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
            weight=Weight(
                parameters_total=footprints[-1].parameters_total,
                parameters_trained=footprints[-1].parameters_trained,
                parameters_added=footprints[-1].parameters_added,
                bytes_between_tasks=max(weight.bytes_between_tasks for weight in footprints),
                bytes_by_stage=[weight.bytes_between_tasks for weight in footprints],
            ),
            usage=Usage(**counted, made_pictures=None if None in made else sum(made), task_budget=budget * tasks),
            log=[{"stage": s, **line} for s, event in enumerate(learned) for line in event["log"]],
            predictions_sha256=digest,
            predictions_rows=len(frame),
            scores=cast(Scores, ground_truth(self.protocol).rescore(frame)),
            data={m.dataset: data_origin(m) for m in self.protocol.manifests},
            canary=canary,
            defaults=card.defaults,
        )
        write_record(self.folder, record)
        self.drop_states({"none": tasks + 1, "last": tasks, "all": 0}[self.keep_states])
        self.journal.append("finished", predictions_sha256=digest)
        drop_stage_predictions(self.folder)
        return record
