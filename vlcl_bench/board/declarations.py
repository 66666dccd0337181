"""What the board must know of the submission that a run lies in: an interface, which the board itself cannot fill.

What a submission is, how it declares its entries and which methods are the project's own is known elsewhere
(:mod:`vlcl_bench.submissions.declared`), and handed in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from vlcl_bench.records.schema import Record


@dataclass(frozen=True)
class Declaration:
    """What a submission says of one of its runs.

    ``entries`` are the settings that it declares as entries of their own, and ``is_entry`` says that the run's agree
    with one. ``undeclared`` counts the different settings of its runs on the run's protocol that agree with none.
    ``is_reference``: its method is one of the project's own; ``earlier_source``: and has another source by now.
    ``owner`` is the submission's name, which is that of the method whose runs may lie in it.
    """

    entries: tuple[Mapping[str, Any], ...]
    is_entry: bool
    undeclared: int
    is_reference: bool = False
    earlier_source: bool = False
    owner: str = ""


class Declarations(Protocol):
    """Looks up what is declared of runs."""

    def of(self, folder: Path, record: Record) -> Declaration | None:
        """What is declared of the run in ``folder``; ``None`` where that lies in no submission."""


class NothingDeclared:
    """For runs that lie in no submission."""

    def of(self, folder: Path, record: Record) -> Declaration | None:
        """Nothing."""
        return None
