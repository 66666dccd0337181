"""Evaluation of one stage: every test picture of every task, in company that nobody can know beforehand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from vlcl_bench.common.progress import Advance
from vlcl_bench.data.store import StoredDataSet
from vlcl_bench.engine.company import Answered, batches
from vlcl_bench.engine.learner import Learner
from vlcl_bench.protocols.schema import TaskSpec
from vlcl_bench.protocols.stream import Protocol
from vlcl_bench.records.schema import Rechecks
from vlcl_bench.scoring.captions import answers_frame
from vlcl_bench.scoring.classes import NOT_RECORDED, SEEN_COLUMN
from vlcl_bench.scoring.consensus import NEAREST, counted_bank
from vlcl_bench.scoring.retrieval import TopK, best_columns
from vlcl_bench.tasks import Query, caption_query, plain_query, task_query, union_query

TOP = 5
LOGIT_SCALE = 100.0
"""CLIP's, where nobody says another."""
LOGIT_STEP = 1 / 256
"""Stored logits are rounded to this step (4e-5 of a cosine at scale 100), which takes a third off a record."""


def label_spaces(protocol: Protocol) -> tuple[tuple[Query, ...], Query, Query]:
    """The label space of each data set, that of all names of all of them, and the same with one plain template."""
    queries = tuple(task_query(d.name, d.class_names, d.templates) for d in protocol.datasets)
    return queries, union_query(queries), plain_query(protocol.distinct_names)


Logits = dict[int, np.ndarray]
"""Of data sets that are several tasks, by their place: logits ``(n, c)`` over their names, in the samples' order."""


@dataclass(frozen=True)
class Evaluated:
    """Predictions of one stage, as :mod:`vlcl_bench.records.schema` stores them, and what asking again showed.

    ``logits`` is what :func:`same_answers` needs where a data set is several tasks.
    """

    frame: pd.DataFrame
    rechecks: Rechecks
    logits: Logits


def evaluate(
    learner: Learner, protocol: Protocol, stored: list[StoredDataSet], stage: int, progress: Advance,
    logit_scale: float = LOGIT_SCALE,
) -> Evaluated:  # fmt: skip
    """Ask for all tasks at one stage. ``logit_scale`` is that of the backbone, which says when two scores are near."""
    evaluator = _evaluate_captions if protocol.captioned else _evaluate_labels
    parts = list(evaluator(learner, protocol, stored, stage, progress))
    frame = pd.concat([frame for part in parts for frame in part.frames], ignore_index=True)
    rechecks = sum((part.answered.rechecks(logit_scale) for part in parts), Rechecks())
    return Evaluated(frame, rechecks, {k: part.logits for k, part in enumerate(parts) if part.logits is not None})


@dataclass(frozen=True)
class Part:
    """Of one data set: the predictions of its tasks, its answers as far as they are asked for again, and its logits."""

    frames: list[pd.DataFrame]
    answered: Answered
    logits: np.ndarray | None = None


def same_answers(frame: pd.DataFrame, protocol: Protocol, stage: int, logits: Logits) -> pd.DataFrame | None:
    """Predictions of a stage whose method is that of the stage before, from that stage's predictions.

    The answers are the same. Which names have been seen is not: the best among these is found again in the ``logits``
    that were given then, and ``None`` is returned where they are gone.
    """
    frame = frame.assign(stage=stage)
    if not protocol.class_groups:
        return frame
    for number, spec in enumerate(protocol.tasks, 1):
        if spec.classes is not None and number <= stage:
            if spec.dataset not in logits:
                return None
            best = _best_seen(logits[spec.dataset], _seen(protocol, spec.dataset, stage))
            own = frame["task"] == spec.name
            frame.loc[own, SEEN_COLUMN] = best[protocol.test_rows(spec)].astype(frame[SEEN_COLUMN].dtype)
    return frame


def _seen(protocol: Protocol, dataset: int, stage: int) -> tuple[int, ...] | None:
    """Classes of a data set that have come up by a stage; ``None`` where there are none."""
    specs = [spec for spec in protocol.tasks if spec.dataset == dataset]
    seen = [spec.seen for spec in specs[: max(0, stage - protocol.tasks.index(specs[0]))]]
    return seen[-1] if seen else None


def _evaluate_labels(
    learner: Learner, protocol: Protocol, stored: list[StoredDataSet], stage: int, progress: Advance
) -> Iterator[Part]:
    """A part for each data set. Batches mix all its test pictures, also where its classes are several tasks."""
    queries, union, plain = label_spaces(protocol)
    merged = np.array([protocol.merged_place[name] for name in union.names])
    merged_plain = np.array([protocol.merged_place[name] for name in plain.names])
    count = int(merged.max()) + 1
    total, done = sum(len(data.test) for data in stored), 0
    for place, (query, data) in enumerate(zip(queries, stored, strict=True)):
        grouped = any(spec.classes is not None for spec in protocol.tasks if spec.dataset == place)
        kept = np.empty((len(data.test), len(query.names)), np.float32) if grouped else None
        answers: list[dict[str, np.ndarray]] = []
        answered = Answered(len(data.test), 3)
        for batch in batches(len(data.test), protocol.evaluation_batch, np.random.default_rng()):
            # All names first: their prompts are those of every data set, and so are encoded in one go.
            scored = learner.score(batch.pictures(data.test), [union, query, plain])
            answered.add(batch, scored)
            first = ~batch.again
            if not first.any():
                continue
            rows, (of_all, of_dataset, of_all_plain) = batch.rows[first], (logits[first] for logits in scored)
            answer = _answers(rows, of_dataset)
            answer["agnostic_top1"] = merged_top1(of_all, merged, count)
            answer["agnostic_plain_top1"] = merged_top1(of_all_plain, merged_plain, count)
            if protocol.class_groups:
                answer[SEEN_COLUMN] = _best_seen(of_dataset, _seen(protocol, place, stage))
            if kept is not None:
                kept[rows] = of_dataset
            answers.append(answer)
            done += len(rows)
            progress(done, total, data.name)
        columns = {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}
        frame = pd.DataFrame(columns).sort_values("sample", kind="stable")
        frames = [
            _of_task(frame, protocol, number, spec, stage)
            for number, spec in enumerate(protocol.tasks, 1)
            if spec.dataset == place
        ]
        yield Part(frames, answered, kept)


def _best_seen(logits: np.ndarray, seen: tuple[int, ...] | None) -> np.ndarray:
    """Best class id among those seen so far, ties to the lower id; -1 where nothing was seen."""
    if not seen:
        return np.full(len(logits), NOT_RECORDED)
    ids = np.sort(seen)
    return ids[logits[:, ids].argmax(axis=1)]


def _of_task(frame: pd.DataFrame, protocol: Protocol, number: int, spec: TaskSpec, stage: int) -> pd.DataFrame:
    """The rows of one task of a data set's predictions, its samples counted from 0."""
    part = frame.iloc[protocol.test_rows(spec)].copy()
    part["sample"] = np.arange(len(part))
    if SEEN_COLUMN in part and (number > stage or spec.classes is None):
        part[SEEN_COLUMN] = NOT_RECORDED  # a task that was not learned yet has no such answer
    part.insert(0, "task", spec.name)
    part.insert(0, "stage", stage)
    return part


def _evaluate_captions(
    learner: Learner, protocol: Protocol, stored: list[StoredDataSet], stage: int, progress: Advance
) -> Iterator[Part]:
    """A part for each task: retrieval in both directions within its gallery, and a caption from the bank.

    A method must not see which captions belong together, nor know a caption by its place: gallery and bank are
    shuffled, and their scores put back.
    """
    bank = counted_bank(protocol.bank_captions)
    bank_query, bank_back = _mixed(None, bank.captions)
    total, done = sum(len(data.test) for data in stored), 0
    for spec, data in zip(protocol.tasks, stored, strict=True):
        captions = protocol.manifests[spec.dataset].captions("test")
        gallery, back = _mixed(data.name, tuple(text for of_picture in captions for text in of_picture))
        count = len(data.test)
        top = TopK(count, len(gallery.names))
        nearest = np.empty((count, min(NEAREST, len(bank.captions))), np.int64)
        answered = Answered(count, 2)
        for batch in batches(count, protocol.evaluation_batch, np.random.default_rng()):
            of_gallery, of_bank = learner.score(batch.pictures(data.test), [gallery, bank_query])
            scored = of_gallery[:, back], of_bank[:, bank_back]
            answered.add(batch, scored)
            first = ~batch.again
            if not first.any():
                continue
            rows = batch.rows[first]
            top.add(rows, scored[0][first])
            nearest[rows] = best_columns(scored[1][first], nearest.shape[1])
            done += len(rows)
            progress(done, total, data.name)
        answers: dict[str, np.ndarray] = {
            "i2t": top.i2t(), "t2i": top.t2i(), "caption": bank.choose(nearest), "nearest": nearest[:, 0],
        }  # fmt: skip
        yield Part([answers_frame(stage, spec.name, answers)], answered)


def _mixed(dataset: str | None, captions: tuple[str, ...]) -> tuple[Query, np.ndarray]:
    """Captions to be scored, in an order from the system's randomness, and the places that put their scores back."""
    mixed = np.random.default_rng().permutation(len(captions))
    return caption_query(dataset, tuple(captions[place] for place in mixed)), np.argsort(mixed)


def merged_top1(logits: np.ndarray, merged: np.ndarray, names: int) -> np.ndarray:
    """Best name of all: equal names of several data sets are one, with the larger of their scores."""
    order = np.argsort(merged, kind="stable")
    starts = np.searchsorted(merged[order], np.arange(names))
    return np.maximum.reduceat(logits[:, order], starts, axis=1).argmax(axis=1)


def _answers(rows: np.ndarray, logits: np.ndarray) -> dict[str, np.ndarray]:
    """Top-5 with logits; ties go to the lower class id, missing places are -1 and NaN."""
    top = best_columns(logits, TOP)
    values = np.round(np.take_along_axis(logits, top, axis=1) / LOGIT_STEP) * LOGIT_STEP
    values = np.where(top == NOT_RECORDED, np.nan, values).astype(np.float32)
    answers = {"sample": rows}
    answers |= {f"top{k + 1}": top[:, k] for k in range(TOP)}
    answers |= {f"logit{k + 1}": values[:, k] for k in range(TOP)}
    return answers
