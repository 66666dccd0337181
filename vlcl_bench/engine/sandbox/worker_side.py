"""What stands in, within a method's process, for what the harness keeps: its line, pictures, generator and rules."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from vlcl_bench.data.pictures import Pictures
from vlcl_bench.data.transforms import Augmentation
from vlcl_bench.engine.sandbox.wire import Incoming, Message, pack
from vlcl_bench.errors import MethodError
from vlcl_bench.protocols.budget import Budget
from vlcl_bench.synthesis.loan import SyntheticSet
from vlcl_bench.synthesis.store import Made
from vlcl_bench.tasks import LabelSet

OWN_FOLDER = (
    "A method may read its own folder and what it is given (docs/isolation.md). Weights from elsewhere are named with "
    "--allow-read PATH."
)
ENDLESS = 1 << 62
"""The harness is trusted with any amount."""


class HarnessGoneError(Exception):
    """The other end of the line was closed: there is nothing left to do."""


class Line:
    """The method's end of the wire: calls come in, replies go out, and questions to the harness in between."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._incoming = Incoming(ENDLESS)
        self._lock = threading.Lock()
        self._asked = self._answered = 0
        self._answers: dict[int, Message] = {}

    def send(self, header: dict[str, Any], arrays: Sequence[np.ndarray] = ()) -> None:
        """Send a frame; :class:`HarnessGoneError` where nobody listens any more."""
        try:
            for part in pack(header, arrays):
                self._connection.sendall(part)
        except OSError as error:
            raise HarnessGoneError from error

    def receive(self) -> Message:
        """The next frame; :class:`HarnessGoneError` at the end of the line."""
        while True:
            try:
                count = self._connection.recv_into(self._incoming.room())
            except OSError as error:
                raise HarnessGoneError from error
            if not count:
                raise HarnessGoneError
            message = self._incoming.filled(count)
            if message is not None:
                return message

    def next_call(self) -> Message:
        """The next call; answers that nobody waits for any more are dropped (batches drawn ahead, for instance)."""
        with self._lock:
            self._answers.clear()
            while "call" not in (message := self.receive()).header:
                self._answered += 1
            return message

    def ask(self, header: dict[str, Any], arrays: Sequence[np.ndarray] = ()) -> Callable[[], Message]:
        """Ask the harness something; the returned function waits for the answer. Answers come in order."""
        with self._lock:
            self.send(header, arrays)
            self._asked += 1
            number = self._asked

        def answer() -> Message:
            with self._lock:
                while number not in self._answers:
                    if number <= self._answered:
                        raise MethodError("the method waits for something that it asked for while it learned a task")
                    self._answered += 1
                    self._answers[self._answered] = self.receive()
                return self._answers.pop(number)

        return answer


class LentPictures(Pictures):
    """Pictures that stay with the harness: it decodes and crops what is asked for, row by row."""

    def __init__(self, line: Line, which: str, count: int, side: int) -> None:
        self._line, self._which, self._count, self.side = line, which, count, side

    def __len__(self) -> int:
        """See :meth:`Pictures.__len__`."""
        return self._count

    def begin(
        self, rows: np.ndarray, draws: np.ndarray | None = None, augmentation: Augmentation | None = None
    ) -> Callable[[], np.ndarray]:
        """See :meth:`Pictures.begin`."""
        header: dict[str, Any] = {"ask": "pictures", "which": self._which}
        arrays = [np.asarray(rows, np.int64).reshape(-1)]
        if draws is not None and augmentation is not None:
            header["augmentation"] = augmentation.model_dump(mode="json")
            arrays.append(np.asarray(draws, np.float64))
        answer = self._line.ask(header, arrays)
        return lambda: answer().arrays[0]

    def original(self, row: int) -> np.ndarray:
        """See :meth:`Pictures.original`."""
        return self._line.ask({"ask": "original", "which": self._which, "row": int(row)})().arrays[0]


def lent_pictures(line: Line, which: str, described: dict[str, Any] | None, arrays: list[np.ndarray]) -> Any:
    """An array where the harness sent one (the next of ``arrays``), else pictures that stay with it."""
    return arrays.pop(0) if described is None else LentPictures(line, which, described["count"], described["side"])


class LentSynthesis:
    """A generator that stays with the harness, which draws the prompts and makes the pictures."""

    bytes: ClassVar[int] = 0  # the harness counts what it gives

    def __init__(self, line: Line) -> None:
        self._line = line

    def make(
        self,
        count: int,
        learned: Sequence[str],
        task: int,
        run_seed: int,
        progress: Callable[[int, int], None],
    ) -> SyntheticSet:
        """See :meth:`vlcl_bench.synthesis.loan.Maker.make`; which names were learned, the harness knows itself."""
        answer = self._line.ask({"ask": "synthesise", "count": count, "task_prompts": bool(learned)})()
        header = answer.header
        made = Made(header["made"], header["found"], header["blank_now"])
        return SyntheticSet(answer.arrays[0], tuple(header["prompts"]), header["blank"], made, header["seconds"])


@dataclass
class LentStream:
    """As much of a protocol as a method may know; ``earlier`` is set before each task."""

    budget: Budget
    augmentation: Augmentation
    earlier: tuple[LabelSet, ...] = ()

    def label_sets_before(self, task: int) -> tuple[LabelSet, ...]:
        """The names of the tasks before the current one."""
        return self.earlier


def require_none(refused: Sequence[str]) -> None:
    """Raise :class:`MethodError` where the audit hook refused something that the method then passed over."""
    if refused:
        more = f"; and {len(refused) - 1} more" if len(refused) > 1 else ""
        raise MethodError(
            f"the method tried to {refused[0]}{more}; it was refused",
            OWN_FOLDER,
        )
