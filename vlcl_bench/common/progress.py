"""What a run prints while it goes: on a terminal through rich, else in plain lines, or nothing."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Advance = Callable[[int, int, str], None]
"""Told how much is done, of how much, and a word on how it goes: steps of learning, pictures of an evaluation."""


def brief(task: str) -> str:
    """A task's name in nine letters, of which a group of classes keeps its number."""
    name = re.sub("^(coco-|mini-scenes-|mini-)", "", task)
    numbered = re.fullmatch(r"(.*)(-\d\d)", name)
    return numbered[1][:6] + numbered[2] if numbered else name[:9]


class Reporter:
    """Says nothing; the engine's default in tests."""

    @contextmanager
    def phase(self, label: str, total: int | None = None) -> Iterator[Advance]:
        """A part of the run; the yielded function takes done, total and a word."""
        yield lambda done, total, word: None

    def say(self, message: str) -> None:
        """A line that a user should see."""

    def stage_done(self, stage: int, scores: Mapping[str, float]) -> None:
        """Called with a stage's scores by task, in percent, when it is committed."""


class RichReporter(Reporter):
    """Progress bars with time left, and a line of accuracies after each stage."""

    def __init__(self, console: Console) -> None:
        self.console = console

    @contextmanager
    def phase(self, label: str, total: int | None = None) -> Iterator[Advance]:
        """See :meth:`Reporter.phase`."""
        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[word]}"),
            TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
        )  # fmt: skip
        disable = not (self.console.is_terminal or _shows_bars_in_a_notebook(self.console))
        if disable and total is not None:
            self.console.print(label, markup=False, highlight=False, soft_wrap=True)
        with Progress(*columns, console=self.console, transient=True, disable=disable) as progress:
            bar = progress.add_task(label, total=total, word="")
            yield lambda done, count, word: progress.update(bar, completed=done, total=count, word=word)

    def say(self, message: str) -> None:
        """See :meth:`Reporter.say`."""
        self.console.print(message, markup=False, highlight=False, soft_wrap=True)

    def stage_done(self, stage: int, scores: Mapping[str, float]) -> None:
        """Scores of the stage, so that forgetting can be watched while it happens."""
        cells = "  ".join(f"{brief(name)} {value:.0f}" for name, value in scores.items())
        self.console.print(f"stage {stage:2d}  {cells}", highlight=False, soft_wrap=True)


def _shows_bars_in_a_notebook(console: Console) -> bool:
    """Whether this is a notebook in which rich can renew a bar in place."""
    return console.is_jupyter and importlib.util.find_spec("ipywidgets") is not None
