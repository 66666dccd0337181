"""What crosses the line to a method: a task to learn from, and queries to answer. Neither holds a test label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vlcl_bench.errors import MethodError

if TYPE_CHECKING:
    from vlcl_bench.data.pictures import Pictures


@dataclass(frozen=True)
class Task:
    """The training view of a task.

    ``images`` are ``(n, s, s, 3)`` uint8, or :class:`vlcl_bench.data.pictures.Pictures` of that size: ``len`` and
    ``images[rows]`` work with both. ``labels`` is ``(n,)`` int64 into ``class_names``; ``templates`` hold ``{c}`` for
    the class name. ``index`` is the task's place in the stream, 1 for the first; ``dataset`` the data set that it is,
    or is a part of. In a class-incremental stream ``class_names`` are those of the data set seen so far, in the order
    in which they came. A captioned task has ``captions[i]``, one or more texts, for each picture, and no classes
    (its labels are -1).
    """

    index: int
    name: str
    class_names: tuple[str, ...]
    templates: tuple[str, ...]
    images: np.ndarray | Pictures
    labels: np.ndarray
    dataset: str = ""
    captions: tuple[tuple[str, ...], ...] | None = None

    @property
    def prompts(self) -> tuple[str, ...]:
        """Training prompts: the first template only, one text a class (MTIL).

        Raises :class:`MethodError` for a captioned task, which has captions instead.
        """
        if self.captions is not None:
            raise MethodError(
                f"task {self.name!r} has captions and no classes, so there are no prompts",
                "Use task.captions; a method that needs class names cannot run on a caption stream.",
            )
        return tuple(self.templates[0].replace("{c}", name) for name in self.class_names)


@dataclass(frozen=True)
class LabelSet:
    """What a stream has said of a data set so far: names, in the order in which they came, and the first template."""

    dataset: str
    class_names: tuple[str, ...]
    template: str

    @property
    def prompts(self) -> tuple[str, ...]:
        """Training prompts, one text a class."""
        return tuple(self.template.replace("{c}", name) for name in self.class_names)


@dataclass(frozen=True)
class Query:
    """A label space that a picture is scored against: ``prompts[c]`` are the texts of candidate ``c``.

    ``dataset`` names the data set whose names compete; it is ``None`` when the names of all data sets do.
    """

    dataset: str | None
    names: tuple[str, ...]
    prompts: tuple[tuple[str, ...], ...]

    @property
    def task(self) -> str | None:
        """The data set, by the name under which the first methods know it."""
        return self.dataset


def task_query(dataset: str, class_names: tuple[str, ...], templates: tuple[str, ...]) -> Query:
    """The label space of one data set, with the ensemble of all its templates."""
    prompts = tuple(tuple(template.replace("{c}", name) for template in templates) for name in class_names)
    return Query(dataset, class_names, prompts)


def caption_query(dataset: str | None, captions: tuple[str, ...]) -> Query:
    """A gallery or bank of captions, each a candidate as it stands (no prompt)."""
    return Query(dataset, captions, tuple((caption,) for caption in captions))


def plain_query(names: tuple[str, ...], template: str = "a photo of a {c}.") -> Query:
    """All names, each once, with one template for all: a data set's own templates give its domain away."""
    return Query(None, names, tuple((template.replace("{c}", name),) for name in names))


def union_query(queries: tuple[Query, ...]) -> Query:
    """All names of all data sets side by side, each with its own data set's templates."""
    names = tuple(name for query in queries for name in query.names)
    return Query(None, names, tuple(prompts for query in queries for prompts in query.prompts))
