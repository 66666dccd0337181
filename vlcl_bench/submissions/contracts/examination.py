"""The contracts of a method, one after the other, on small streams and in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from vlcl_bench.errors import VlclError
from vlcl_bench.submissions.contracts.checks import CHECKS
from vlcl_bench.submissions.contracts.contract import Contract, selected
from vlcl_bench.submissions.contracts.small_stream import SmallStreams, draw
from vlcl_bench.submissions.contracts.trial import Trial, advice, modules_restored
from vlcl_bench.submissions.finding import Finding

Progress = Callable[[int, int, str], None]
DRAWING = "drawing pictures"


@dataclass(frozen=True)
class Outcome:
    """What came of a contract: its findings, or why it could not be judged and was left out."""

    findings: tuple[Finding, ...] = ()
    left_out: str = ""

    @property
    def passed(self) -> bool:
        """Whether it was judged, and no finding is an error."""
        return not self.left_out and not any(finding.is_error for finding in self.findings)


class Examination:
    """A submission's method and what came of its contracts so far; each is examined once, when it is asked for.

    ``work`` is an empty folder for the method's states; ``store`` the folder of decoded pictures, reading which is
    peeking. ``streams`` are drawn where they are not given.
    """

    def __init__(
        self, folder: Path, work: Path, store: Path | None = None, streams: SmallStreams | None = None
    ) -> None:
        self.folder, self.work, self.store, self.streams = folder.absolute(), work, store, streams
        self._outcomes: dict[str, Outcome] = {}

    @cached_property
    def trial(self) -> Trial:
        """What is tried; drawing its pictures takes some seconds."""
        return Trial(self.folder, self.streams or draw(), self.work, self.store)

    def outcome(self, contract: Contract) -> Outcome:
        """What comes of a contract, after those that it requires and follows."""
        if contract.name not in self._outcomes:
            self._outcomes[contract.name] = self._examined(contract)
        return self._outcomes[contract.name]

    def _examined(self, contract: Contract) -> Outcome:
        before = {other.name: other for other in CHECKS}
        for name in contract.follows:
            self.outcome(before[name])
        for name in contract.requires:
            if not self.outcome(before[name]).passed:
                return Outcome(left_out=f"it cannot be judged before the contract {name!r} is kept")
        with modules_restored():
            try:
                return Outcome(tuple(contract(self.trial)))
            except VlclError as error:
                return Outcome((Finding(contract.failure, self.trial.where, error.message, advice(error)),))


def examine(
    folder: Path,
    work: Path,
    store: Path | None = None,
    progress: Progress = lambda done, total, word: None,
    streams: SmallStreams | None = None,
    only: Sequence[str] = (),
) -> list[Finding]:
    """Try a submission's method on small streams; its findings, one for each code.

    ``only`` names contracts; then these are examined and those without which they cannot be judged. See
    :class:`Examination` for the rest. Raises :class:`UsageError` for a contract that there is not.
    """
    contracts = selected(CHECKS, only)
    progress(0, len(contracts) + 1, DRAWING)
    examination = Examination(folder, work, store, streams)
    findings: dict[str, Finding] = {}
    for number, contract in enumerate(contracts, start=1):
        progress(number, len(contracts) + 1, contract.title)
        for finding in examination.outcome(contract).findings:
            findings.setdefault(finding.code, finding)
    progress(len(contracts) + 1, len(contracts) + 1, "done")
    return list(findings.values())
