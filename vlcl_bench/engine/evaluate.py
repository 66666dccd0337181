"""Evaluation of one stage: every test picture of every task, in batches and an order that the harness picks."""

from __future__ import annotations

import numpy as np
import pandas as pd

from vlcl_bench.common.progress import Advance
from vlcl_bench.common.seeds import derive_seed
from vlcl_bench.data.store import StoredDataSet
from vlcl_bench.engine.learner import Learner
from vlcl_bench.protocols.schema import TaskSpec
from vlcl_bench.protocols.stream import Protocol
from vlcl_bench.scoring.captions import answers_frame
from vlcl_bench.scoring.classes import NOT_RECORDED, SEEN_COLUMN
from vlcl_bench.scoring.consensus import NEAREST, counted_bank
from vlcl_bench.scoring.retrieval import TopK, best_columns
from vlcl_bench.tasks import Query, caption_query, plain_query, task_query, union_query

TOP = 5
LOGIT_STEP = 1 / 256
"""Stored logits are rounded to this step (4e-5 of a cosine at scale 100), which takes a third off a record."""


def label_spaces(protocol: Protocol) -> tuple[tuple[Query, ...], Query, Query]:
    """The label space of each data set, that of all names of all of them, and the same with one plain template."""
    queries = tuple(task_query(d.name, d.class_names, d.templates) for d in protocol.datasets)
    return queries, union_query(queries), plain_query(protocol.distinct_names)


Logits = dict[int, np.ndarray]
"""Of data sets that are several tasks, by their place: logits ``(n, c)`` over their names, in the samples' order."""


def evaluate(
    learner: Learner,
    protocol: Protocol,
    stored: list[StoredDataSet],
    stage: int,
    progress: Advance,
    logits: Logits | None = None,
) -> pd.DataFrame:
    """Predictions of one stage for all tasks, as :mod:`vlcl_bench.records.schema` stores them.

    ``logits`` is filled with what :func:`same_answers` needs where a data set is several tasks.
    """
    if protocol.captioned:
        return pd.concat(_evaluate_captions(learner, protocol, stored, stage, progress), ignore_index=True)
    frames = _evaluate_labels(learner, protocol, stored, stage, progress, {} if logits is None else logits)
    return pd.concat(frames, ignore_index=True)


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
    learner: Learner,
    protocol: Protocol,
    stored: list[StoredDataSet],
    stage: int,
    progress: Advance,
    kept: Logits,
) -> list[pd.DataFrame]:
    """A frame for each task. Batches mix all test pictures of a data set, also where its classes are several tasks."""
    queries, union, plain = label_spaces(protocol)
    merged = np.array([protocol.merged_place[name] for name in union.names])
    merged_plain = np.array([protocol.merged_place[name] for name in plain.names])
    count = int(merged.max()) + 1
    total, done, frames = sum(len(data.test) for data in stored), 0, []
    for place, (query, data) in enumerate(zip(queries, stored, strict=True)):
        grouped = any(spec.classes is not None for spec in protocol.tasks if spec.dataset == place)
        if grouped:
            kept[place] = np.empty((len(data.test), len(query.names)), np.float32)
        order = np.random.default_rng(derive_seed(0, "evaluation order", data.name)).permutation(len(data.test))
        answers: list[dict[str, np.ndarray]] = []
        for start in range(0, len(order), protocol.evaluation_batch):
            rows = order[start : start + protocol.evaluation_batch]
            # All names first: their prompts are those of every data set, and so are encoded in one go.
            pictures = np.ascontiguousarray(data.test[rows])
            of_all, of_dataset, of_all_plain = learner.score(pictures, [union, query, plain])
            answer = _answers(rows, of_dataset)
            answer["agnostic_top1"] = merged_top1(of_all, merged, count)
            answer["agnostic_plain_top1"] = merged_top1(of_all_plain, merged_plain, count)
            if protocol.class_groups:
                answer[SEEN_COLUMN] = _best_seen(of_dataset, _seen(protocol, place, stage))
            if grouped:
                kept[place][rows] = of_dataset
            answers.append(answer)
            done += len(rows)
            progress(done, total, data.name)
        columns = {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}
        frame = pd.DataFrame(columns).sort_values("sample", kind="stable")
        frames += [
            _of_task(frame, protocol, number, spec, stage)
            for number, spec in enumerate(protocol.tasks, 1)
            if spec.dataset == place
        ]
    return frames


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
) -> list[pd.DataFrame]:
    """A frame for each task: retrieval in both directions within its gallery, and a caption from the bank."""
    bank = counted_bank(protocol.bank_captions)
    bank_query = caption_query(None, bank.captions)
    total, done, frames = sum(len(data.test) for data in stored), 0, []
    for spec, data in zip(protocol.tasks, stored, strict=True):
        captions = protocol.manifests[spec.dataset].captions("test")
        texts = [text for of_picture in captions for text in of_picture]
        order = np.random.default_rng(derive_seed(0, "evaluation order", data.name)).permutation(len(data.test))
        # A method must not see which captions belong together: they are shuffled, and their scores put back.
        mixed = np.random.default_rng(derive_seed(0, "caption order", data.name)).permutation(len(texts))
        back = np.argsort(mixed)
        gallery = caption_query(data.name, tuple(texts[place] for place in mixed))
        top = TopK(len(order), len(gallery.names))
        nearest = np.empty((len(order), min(NEAREST, len(bank.captions))), np.int64)
        for start in range(0, len(order), protocol.evaluation_batch):
            rows = order[start : start + protocol.evaluation_batch]
            of_gallery, of_bank = learner.score(np.ascontiguousarray(data.test[rows]), [gallery, bank_query])
            top.add(rows, of_gallery[:, back])
            nearest[rows] = best_columns(of_bank, nearest.shape[1])
            done += len(rows)
            progress(done, total, data.name)
        answers: dict[str, np.ndarray] = {
            "i2t": top.i2t(), "t2i": top.t2i(), "caption": bank.choose(nearest), "nearest": nearest[:, 0],
        }  # fmt: skip
        frames.append(answers_frame(stage, spec.name, answers))
    return frames


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
