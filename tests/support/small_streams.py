"""Small tasks of noise, in the form of those on which submissions are tried."""

from __future__ import annotations

import numpy as np
from support.fakes import make_task

from vlcl_bench.submissions.contracts.small_stream import Asked, SmallStreams, Stream
from vlcl_bench.tasks import Task, caption_query, plain_query, task_query, union_query


def tiny_streams() -> SmallStreams:
    """Streams of noise in the form of the real ones."""
    tasks = tuple(make_task(index) for index in (1, 2))
    queries = tuple(task_query(task.name, task.class_names, task.templates) for task in tasks)
    names = tuple(name for task in tasks for name in task.class_names)
    asked = tuple(
        Asked(
            task.name,
            np.asarray(make_task(task.index, 40, seed=9).images),
            (union_query(queries), query, plain_query(names)),
        )
        for task, query in zip(tasks, queries, strict=True)
    )
    first = tasks[0]
    rows = [first.labels < 2, first.labels == 2]
    groups = tuple(
        Task(i, f"group-{i}", first.class_names[: i + 1], first.templates, np.asarray(first.images)[row],
             first.labels[row], "group")
        for i, row in enumerate(rows, start=1)
    )  # fmt: skip
    texts = tuple((f"scene {i}", f"view {i}") for i in range(len(first.labels)))
    captioned = Task(1, "told", (), (), first.images, np.full(len(first.labels), -1), "told", texts)
    gallery = caption_query("told", tuple(first for first, _ in texts))
    return SmallStreams(
        Stream(tasks, asked), Stream(groups, asked[:1]),
        Stream((captioned,), (Asked("told", np.asarray(first.images), (gallery,)),)), np.asarray(tasks[1].images),
    )  # fmt: skip
