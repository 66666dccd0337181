"""What crosses the line to a method: a task to learn from, and queries to answer. Neither holds a test label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Task:
    """The training view of a task.

    ``images`` is ``(n, s, s, 3)`` uint8, ``labels`` ``(n,)`` int64 into ``class_names``; ``templates`` hold
    ``{c}`` for the class name. ``index`` is the task's place in the stream, 1 for the first.
    """

    index: int
    name: str
    class_names: tuple[str, ...]
    templates: tuple[str, ...]
    images: np.ndarray
    labels: np.ndarray

    @property
    def prompts(self) -> tuple[str, ...]:
        """Training prompts: the first template only, one text a class (MTIL)."""
        return tuple(self.templates[0].replace("{c}", name) for name in self.class_names)


@dataclass(frozen=True)
class Query:
    """A label space that a picture is scored against: ``prompts[c]`` are the texts of candidate ``c``.

    ``task`` names the data set whose names compete; it is ``None`` when the names of all data sets do.
    """

    task: str | None
    names: tuple[str, ...]
    prompts: tuple[tuple[str, ...], ...]


def task_query(task: str, class_names: tuple[str, ...], templates: tuple[str, ...]) -> Query:
    """The label space of one data set, with the ensemble of all its templates."""
    prompts = tuple(tuple(template.replace("{c}", name) for template in templates) for name in class_names)
    return Query(task, class_names, prompts)


def plain_query(names: tuple[str, ...], template: str = "a photo of a {c}.") -> Query:
    """All names, each once, with one template for all: a data set's own templates give its domain away."""
    return Query(None, names, tuple((template.replace("{c}", name),) for name in names))


def union_query(queries: tuple[Query, ...]) -> Query:
    """All names of all data sets side by side, each with its own data set's templates."""
    names = tuple(name for query in queries for name in query.names)
    return Query(None, names, tuple(prompts for query in queries for prompts in query.prompts))
