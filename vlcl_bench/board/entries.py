"""Finding entries: the runs of one method with one setting on one protocol, by a name that a person would type."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vlcl_bench.board.summaries import entry_id, label
from vlcl_bench.errors import UsageError, nearest
from vlcl_bench.protocols.load import load_protocol
from vlcl_bench.records.files import PREDICTIONS_NAME, RECORD_NAME, read_predictions, read_record
from vlcl_bench.records.rescoring import can_rescore
from vlcl_bench.records.schema import Record
from vlcl_bench.scoring.ground_truth import ground_truth
from vlcl_bench.scoring.metrics import FloatArray

PLACES = (Path("submissions"), Path("runs"))


@dataclass(frozen=True)
class Entry:
    """Runs that differ in their seeds only: ``runs`` by seed, with their folders. ``label`` is empty for defaults."""

    protocol: str
    method: str
    title: str
    label: str
    entry_id: str
    runs: dict[int, tuple[Path, Record]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What is typed to mean this entry."""
        return f"{self.method}:{self.label}" if self.label else self.method

    def item_scores(self) -> dict[int, dict[str, FloatArray]]:
        """By seed the scores of all test samples at all stages, computed from the predictions.

        Raises :class:`UsageError` where the manifests that the runs were made with are not here.
        """
        truth = ground_truth(load_protocol(self.protocol))
        by_seed = {}
        for seed, (folder, record) in sorted(self.runs.items()):
            if not can_rescore(record):
                raise UsageError(
                    f"{folder} cannot be scored here: its protocol or manifests are not this repository's",
                    "Compare runs that were made with this version.",
                )
            by_seed[seed] = truth.item_scores(read_predictions(folder / PREDICTIONS_NAME))
        return by_seed


def entries(places: Sequence[Path] = PLACES) -> list[Entry]:
    """All entries below these folders; the same run in two places counts once."""
    folders = [path.parent for place in places for path in sorted(place.rglob(RECORD_NAME))]
    return entries_of((folder, read_record(folder)) for folder in folders)


def entries_of(runs: Iterable[tuple[Path, Record]]) -> list[Entry]:
    """The entries of runs that were read already, given with their folders."""
    by_id: dict[tuple[str, str], Entry] = {}
    for folder, record in runs:
        add(by_id, folder, record)
    return list(by_id.values())


def add(by_id: dict[tuple[str, str], Entry], folder: Path, record: Record) -> Entry:
    """Put a run among the entries read so far, which are by protocol and digest; returns its entry."""
    identity, digest = record.identity, entry_id(record)
    entry = by_id.setdefault(
        (identity.protocol, digest), Entry(identity.protocol, identity.method, record.title, label(record), digest)
    )
    entry.runs.setdefault(identity.seed, (folder, record))
    return entry


def find_pair(first: str, second: str, protocol: str | None, places: Sequence[Path] = PLACES) -> tuple[Entry, Entry]:
    """The entries that two names mean: a run's folder, or ``METHOD`` or ``METHOD:KEY=VALUE`` (as the board writes it).

    Raises :class:`UsageError` where a name means none, or more than one on the protocols that both have.
    """
    known = entries(places)
    options = [_named(name, known) for name in (first, second)]
    shared = {one.protocol for one in options[0]} & {one.protocol for one in options[1]}
    if protocol is not None:
        shared &= {protocol}
    if len(shared) != 1:
        have = [", ".join(sorted({one.protocol for one in option})) for option in options]
        words = f"{first!r} has runs on {have[0]}; {second!r} on {have[1]}"
        raise UsageError(
            f"which protocol? {words}" if shared else f"nothing to compare: {words}",
            f"Name one with protocol (--protocol), for instance {min(shared)}."
            if shared
            else "Both must have runs on one protocol.",
        )
    (name,) = shared
    pair = [[one for one in option if one.protocol == name] for option in options]
    for typed, found in zip((first, second), pair, strict=True):
        if len(found) > 1:
            where = ", ".join(str(next(iter(one.runs.values()))[0]) for one in found)
            raise UsageError(
                f"{typed!r} means {len(found)} entries on {name}, of different sources or backbones",
                f"Name a run's folder instead: {where}.",
            )
    return pair[0][0], pair[1][0]


def _named(name: str, known: Sequence[Entry]) -> list[Entry]:
    if (Path(name) / RECORD_NAME).exists():
        return [add({}, Path(name), read_record(Path(name)))]
    found = [one for one in known if one.name == name]
    if not found:
        names = sorted({one.name for one in known})
        hint = nearest(name, names) if names else "No finished run is here."
        raise UsageError(f"no entry {name!r} and no run in a folder of that name", hint)
    return found
