"""Evaluation of one stage: every test picture of every task, in batches and an order that the harness picks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from vlcl_bench.data.store import StoredDataSet
from vlcl_bench.engine.player import Player
from vlcl_bench.protocols import Protocol
from vlcl_bench.seeds import derive_seed
from vlcl_bench.tasks import Query, plain_query, task_query, union_query

TOP = 5
LOGIT_STEP = 1 / 256
"""Stored logits are rounded to this step (4e-5 of a cosine at scale 100), which takes a third off a record."""


def label_spaces(protocol: Protocol) -> tuple[tuple[Query, ...], Query, Query]:
    """The label space of each task, that of all names of all tasks, and the same with one plain template."""
    queries = tuple(task_query(d.name, d.class_names, d.templates) for d in protocol.datasets)
    return queries, union_query(queries), plain_query(protocol.merged_names)


def evaluate(
    player: Player,
    protocol: Protocol,
    stored: list[StoredDataSet],
    stage: int,
    progress: Callable[[int, int, str], None],
) -> pd.DataFrame:
    """Predictions of one stage for all tasks, as :mod:`vlcl_bench.records` stores them."""
    queries, union, plain = label_spaces(protocol)
    place = {name: i for i, name in enumerate(protocol.merged_names)}
    merged = np.array([place[name] for name in union.names])
    total, done, frames = sum(len(data.test) for data in stored), 0, []
    for query, data in zip(queries, stored, strict=True):
        order = np.random.default_rng(derive_seed(0, "evaluation order", data.name)).permutation(len(data.test))
        answers: list[pd.DataFrame] = []
        for start in range(0, len(order), protocol.evaluation_batch):
            rows = order[start : start + protocol.evaluation_batch]
            own, every, plainly = player.score(np.ascontiguousarray(data.test[rows]), [query, union, plain])
            answer = _answers(rows, own)
            answer["agnostic_top1"] = merged_top1(every, merged, len(place))
            answer["agnostic_plain_top1"] = plainly.argmax(axis=1)
            answers.append(answer)
            done += len(rows)
            progress(done, total, data.name)
        frame = pd.concat(answers).sort_values("sample", kind="stable")
        frame.insert(0, "task", data.name)
        frames.append(frame)
    result = pd.concat(frames, ignore_index=True)
    result.insert(0, "stage", stage)
    return result


def merged_top1(logits: np.ndarray, merged: np.ndarray, names: int) -> np.ndarray:
    """Best name of all: equal names of several data sets are one, with the larger of their scores."""
    order = np.argsort(merged, kind="stable")
    starts = np.searchsorted(merged[order], np.arange(names))
    return np.maximum.reduceat(logits[:, order], starts, axis=1).argmax(axis=1)


def _answers(rows: np.ndarray, logits: np.ndarray) -> pd.DataFrame:
    """Top-5 with logits; ties go to the lower class id, missing places are -1 and NaN."""
    count = min(TOP, logits.shape[1])
    top = np.argsort(-logits, axis=1, kind="stable")[:, :count]
    values = np.round(np.take_along_axis(logits, top, axis=1) / LOGIT_STEP) * LOGIT_STEP
    frame = pd.DataFrame({"sample": rows})
    for k in range(TOP):
        frame[f"top{k + 1}"] = top[:, k] if k < count else -1
    for k in range(TOP):
        frame[f"logit{k + 1}"] = (values[:, k] if k < count else np.full(len(rows), np.nan)).astype(np.float32)
    return frame
