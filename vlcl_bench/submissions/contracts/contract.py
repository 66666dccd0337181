"""What a contract is: a requirement on a method's code, and the function that examines it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlcl_bench.errors import UsageError, nearest

if TYPE_CHECKING:
    from vlcl_bench.submissions.contracts.trial import Trial
    from vlcl_bench.submissions.finding import Finding

    Check = Callable[[Trial], list[Finding]]


@dataclass(frozen=True)
class Contract:
    """One requirement, examined by ``check``; its docstring says what is required.

    ``title`` is shown while it is examined, ``codes`` are those of its findings. ``requires`` names contracts without
    which this one cannot be judged: where one of them has an error, it is left out. ``follows`` names contracts that
    come first whatever they find. Where ``check`` raises an error of this project, that is a finding of the code
    ``failure``.
    """

    name: str
    title: str
    check: Check
    codes: tuple[str, ...]
    requires: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()
    failure: str = "contract-interface"

    @property
    def requirement(self) -> str:
        """What it demands, in plain words."""
        return inspect.getdoc(self.check) or ""

    def __call__(self, trial: Trial) -> list[Finding]:
        """Examine a method; what it requires is the caller's matter."""
        return self.check(trial)


def contract(
    name: str,
    title: str,
    *codes: str,
    requires: Sequence[str] = (),
    follows: Sequence[str] = (),
    failure: str = "contract-interface",
) -> Callable[[Check], Contract]:
    """Make a contract of the function that is decorated; see :class:`Contract`."""
    return lambda check: Contract(name, title, check, codes, tuple(requires), tuple(follows), failure)


def selected(contracts: Sequence[Contract], names: Iterable[str] = ()) -> tuple[Contract, ...]:
    """The contracts of these names (none: all) with those that come before them, in the order of ``contracts``.

    Raises :class:`UsageError` for a name that there is not.
    """
    known = {contract.name: contract for contract in contracts}
    wanted = list(names)
    for name in wanted:  # it grows while it is walked through
        if name not in known:
            raise UsageError(f"there is no contract {name!r}", nearest(name, list(known)))
        wanted += [before for before in (*known[name].requires, *known[name].follows) if before not in wanted]
    return tuple(contract for contract in contracts if not wanted or contract.name in wanted)
