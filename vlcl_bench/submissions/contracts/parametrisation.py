"""The contracts as tests of pytest, one for each, for a submitter's own test file."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vlcl_bench.submissions.contracts.contract import Contract
    from vlcl_bench.submissions.contracts.examination import Examination, Outcome
    from vlcl_bench.submissions.contracts.small_stream import SmallStreams


def contract_tests(
    folder: str | Path,
    *,
    only: Sequence[str] = (),
    store: Path | None = None,
    streams: SmallStreams | None = None,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Parametrise a test function with the contracts of the method in ``folder``, which come in as ``contract``::

        @contract_tests("submissions/my-entry")
        def test_my_entry(contract):
            contract.check()

    Each has its name as its id, so that ``pytest -k batches`` examines one, after those without which it cannot be
    judged. The method runs in pytest's own process, where a debugger can follow it. ``only`` names contracts, ``store``
    is the folder of decoded pictures, which the method may not read; ``streams`` are other small tasks than the usual
    ones. Raises :class:`UsageError` for a contract that there is not.
    """
    import pytest

    from vlcl_bench.submissions.contracts.checks import CHECKS
    from vlcl_bench.submissions.contracts.contract import selected

    entry = _Entry(Path(folder).absolute(), store, streams)
    tests = [pytest.param(ContractTest(entry, contract), id=contract.name) for contract in selected(CHECKS, only)]
    return pytest.mark.parametrize("contract", tests)


class ContractTest:
    """One contract of one method, as a test gets it."""

    def __init__(self, entry: _Entry, contract: Contract) -> None:
        self._entry, self.contract = entry, contract

    def __repr__(self) -> str:
        return self.contract.name

    @property
    def outcome(self) -> Outcome:
        """What comes of it; examined when it is first asked for."""
        return self._entry.examination.outcome(self.contract)

    def check(self) -> None:
        """Fail the test with all errors, warn of remarks, skip it where it cannot be judged."""
        import pytest

        if self.outcome.left_out:
            pytest.skip(self.outcome.left_out)
        texts = {"error": [], "remark": []}  # type: dict[str, list[str]]
        for finding in self.outcome.findings:
            texts[finding.severity].append(f"{finding.where}: {finding.message} [{finding.code}]\n{finding.hint}")
        for text in texts["remark"]:
            warnings.warn(text, stacklevel=2)
        if texts["error"]:
            pytest.fail("\n\n".join([*texts["error"], f"Required: {self.contract.requirement}"]), pytrace=False)


class _Entry:
    """A submission's folder, whose examination begins with the first test."""

    def __init__(self, folder: Path, store: Path | None, streams: SmallStreams | None) -> None:
        self.folder, self.store, self.streams = folder, store, streams

    @cached_property
    def examination(self) -> Examination:
        """All tests of the method share it, and with it what the method has learned."""
        from vlcl_bench.submissions.contracts.examination import Examination

        self._work = tempfile.TemporaryDirectory(prefix="vlcl-contracts-")
        return Examination(self.folder, Path(self._work.name), self.store, self.streams)
