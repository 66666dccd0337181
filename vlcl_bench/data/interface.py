"""What a data set is: pictures with class names and prompts, or with captions, and fixed splits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vlcl_bench.common.places import folder_of
from vlcl_bench.data.real.spec import Entry
from vlcl_bench.errors import IntegrityError, UsageError

if TYPE_CHECKING:
    from vlcl_bench.data.manifest import Manifest
    from vlcl_bench.data.own_copies import OwnCopy

SPLITS = ("train", "test")


@dataclass(frozen=True)
class DataCard:
    """What a user must know of a data set: what it is, whose it is, and how it may be used."""

    title: str
    description: str
    licence: str
    source: str
    citation: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Places:
    """Where real data may be: folders as the official archives unpack, or local copies of the hub's repositories.

    With neither, the hub itself is asked. Raises :class:`UsageError` for a folder that is not there.
    """

    root: Path | None = None
    hub_root: Path | None = None

    def __post_init__(self) -> None:
        for option, folder in (("--data-root", self.root), ("--hub-root", self.hub_root)):
            if folder is not None and not folder.is_dir():
                raise UsageError(f"{option} {folder} is not a folder", "Give the folder that holds the data sets.")

    @classmethod
    def given(cls, root: Path | None, hub_root: Path | None) -> Places:
        """What the command line says, else ``$VLCL_DATA_ROOT`` and ``$VLCL_HUB_ROOT``."""

        def chosen(path: Path | None, variable: str) -> Path | None:
            return path or folder_of(variable)

        return cls(chosen(root, "VLCL_DATA_ROOT"), chosen(hub_root, "VLCL_HUB_ROOT"))


@dataclass(frozen=True)
class Collection:
    """What was found of a data set: its pictures, training before test, and where they come from.

    ``revision`` is the hub's commit, where the copy says it; ``passed_over`` says in words which files were not read.
    """

    entries: Sequence[Entry]
    origin: str
    revision: str | None = None
    passed_over: str = ""


class DataSet(ABC):
    """Pictures with class names and prompt templates, or with captions; and fixed splits.

    ``side`` is the side in pixels where all pictures are squares of one size already; ``small`` sets are kept
    decoded as a whole, of the others only the test pictures are.
    """

    name: str
    class_names: tuple[str, ...]
    templates: tuple[str, ...]
    card: DataCard
    side: int | None = None
    small: bool = True
    captioned: bool = False
    own: bool = False
    """Whether a protocol's own file describes it."""

    def of_copy(self, copy: OwnCopy) -> DataSet:
        """The same data set; where it is a protocol's own, that copy of it."""
        return self

    @property
    def advice(self) -> str:
        """What to do where a copy is not what the manifest describes."""
        return (
            f"Restore the official archive; `vlcl data card {self.name}` says what the protocol expects and where it "
            "comes from."
        )

    @property
    def describe_command(self) -> str:
        """The command that makes its manifest from a copy."""
        return f"vlcl data verify {self.name} --write --data-root DIR"

    @property
    def key(self) -> str:
        """What its manifest of first use is filed under."""
        return self.name

    @abstractmethod
    def collect(self, places: Places, manifest: Manifest | None = None) -> Collection:
        """Find all pictures; ``manifest`` helps where a copy does not say which picture is which."""

    def check_manifest(self, manifest: Manifest) -> None:
        """Raise :class:`IntegrityError` where a manifest does not describe this data set."""
        if self.class_names != manifest.class_names or self.name != manifest.dataset:
            raise IntegrityError(
                f"the manifest of {self.name!r} names other classes than the data set, or is of {manifest.dataset!r}"
            )

    def check_picture(self, pixels: np.ndarray, where: str) -> None:  # noqa: B027 (most sets have nothing to check)
        """Raise :class:`IntegrityError` where an original ``(h, w, 3)`` cannot be of this data set."""
