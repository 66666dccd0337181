"""Describing a copy of a data set that nobody has described before: what it holds is required from then on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vlcl_bench.common.progress import Advance, Reporter
from vlcl_bench.data.interface import Collection, DataSet
from vlcl_bench.data.manifest import (
    Manifest,
    changing_first_use,
    find_manifest,
    is_committed,
    keep_first_use,
    write_manifest,
)
from vlcl_bench.data.own_copies import EARLIER, other_contents, remember, states_of
from vlcl_bench.data.verify import first_manifest
from vlcl_bench.errors import IntegrityError, UsageError


def under_name(progress: Advance, name: str) -> Callable[[int, int], None]:
    """Reports progress with ``name`` beside done and total."""
    return lambda done, total: progress(done, total, name)


def describe(dataset: DataSet, collection: Collection, reporter: Reporter) -> Path:
    """Read every picture of a copy once and write its manifest; returns where that lies.

    Raises :class:`~vlcl_bench.errors.IntegrityError` as :func:`~vlcl_bench.data.verify.first_manifest` and
    :func:`~vlcl_bench.data.manifest.keep_first_use` do.
    """
    states = states_of(collection.entries) if dataset.own else {}
    manifest = _read_through(dataset, collection, reporter, "for the first time")
    path = keep_first_use(manifest, dataset.key)
    if dataset.own:
        remember(dataset.key, manifest, states)
        others = other_contents(dataset.key, manifest)
        if others:
            copies = "another copy was" if others == 1 else f"{others} other copies were"
            reporter.say(
                f"{dataset.name}: {copies} described here before, with the same description and other pictures; runs "
                "on these do not compare with runs on those"
            )
    return path


@dataclass(frozen=True)
class Renewal:
    """A manifest that took another's place: where it lies, and how many pictures came, went and stayed (by content)."""

    path: Path
    came: int
    went: int
    stayed: int

    @property
    def changed(self) -> bool:
        """Whether the data are other ones than before."""
        return self.came + self.went > 0


def check_renewable(dataset: DataSet) -> None:
    """Raise :class:`UsageError` where a data set's manifest is one that everybody has."""
    if is_committed(dataset.key):
        raise UsageError(
            f"{dataset.name}: its manifest comes with vlcl-bench, and what it says is the same for everybody",
            "A changed copy is another data set: describe it in a protocol's own file.",
        )


def renew(dataset: DataSet, collection: Collection, reporter: Reporter) -> Renewal:
    """Read every picture of a copy, and let its manifest take the place of the earlier one.

    The earlier one is kept in the folder ``earlier``, so that runs on the earlier pictures are still scored. Raises
    :class:`UsageError` where the manifest is one that everybody has, and :class:`IntegrityError` as :func:`describe`.
    """
    key = dataset.key
    check_renewable(dataset)
    states = states_of(collection.entries)
    manifest = _read_through(dataset, collection, reporter, "anew")
    with changing_first_use() as folder:
        try:
            earlier = find_manifest(key)
        except IntegrityError:
            earlier = None  # it is damaged: one more reason to renew it
        if earlier is not None and earlier.fingerprint() != manifest.fingerprint():
            write_manifest(earlier, folder / EARLIER, f"{key}-{earlier.fingerprint()[:12]}")
        path = write_manifest(manifest, folder, key)
    if dataset.own:
        remember(key, manifest, states)
    old, new = _contents(earlier), _contents(manifest)
    return Renewal(path, came=len(new - old), went=len(old - new), stayed=len(old & new))


def _contents(manifest: Manifest | None) -> set[tuple[object, ...]]:
    """What a manifest says of its pictures, equal ones told apart by number; their names left out."""
    if manifest is None:
        return set()
    facts = manifest.rows[["split", "sha256", "label"]]
    number = facts.groupby(["split", "sha256", "label"]).cumcount()
    return set(facts.assign(number=number).itertuples(index=False, name=None))


def _read_through(dataset: DataSet, collection: Collection, reporter: Reporter, how: str) -> Manifest:
    with reporter.phase(f"reading {dataset.name} {how}", len(collection.entries)) as progress:
        return first_manifest(dataset, collection, under_name(progress, dataset.name))
