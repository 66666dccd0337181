"""Finding entries: the runs of one method with one setting on one protocol, by a name that a person would type."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vlcl_bench.board.summaries import entry_id, label
from vlcl_bench.errors import VlclError
from vlcl_bench.records.files import RECORD_NAME, read_record, verified_predictions
from vlcl_bench.records.schema import Record
from vlcl_bench.records.streams import stream_of
from vlcl_bench.scoring.ground_truth import ground_truth
from vlcl_bench.scoring.interface import GroundTruth
from vlcl_bench.scoring.metrics import FloatArray

PLACES = (Path("submissions"), Path("runs"))


@dataclass(frozen=True)
class Entry:
    """Runs that differ in their seeds only: ``runs`` by seed, with their folders. ``label`` is empty for defaults.

    ``fingerprint`` is that of the protocol: own streams of one name may be different ones.
    """

    protocol: str
    fingerprint: str
    method: str
    title: str
    label: str
    entry_id: str
    runs: dict[int, tuple[Path, Record]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What is typed to mean this entry."""
        return f"{self.method}:{self.label}" if self.label else self.method

    @property
    def first(self) -> tuple[Path, Record]:
        """The run of the lowest seed and its folder."""
        return self.runs[min(self.runs)]

    def item_scores(
        self, protocol: Path | None = None, beside: Entry | None = None
    ) -> dict[int, dict[str, FloatArray]]:
        """By seed the scores of all test samples at all stages, computed from the predictions.

        ``protocol`` is the file of an own protocol, for runs whose folder does not hold it; another entry ``beside``
        this one, on the same protocol, may hold it too. Raises what :func:`stream_of` raises, and
        :class:`IntegrityError` for missing or damaged predictions.
        """
        truth = _truth([*self.runs.values(), *(beside.runs.values() if beside else ())], protocol)
        by_seed = sorted(self.runs.items())
        return {seed: truth.item_scores(verified_predictions(folder, record)) for seed, (folder, record) in by_seed}


def _truth(runs: Sequence[tuple[Path, Record]], protocol: Path | None) -> GroundTruth:
    """The ground truth of runs on one protocol, from the first of them whose stream can be found here."""
    refused: VlclError | None = None
    for folder, record in runs:
        try:
            return ground_truth(stream_of(folder, record, protocol))
        except VlclError as error:
            refused = refused or error
    assert refused is not None
    raise refused


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
        (identity.protocol, digest),
        Entry(identity.protocol, identity.protocol_fingerprint, identity.method, record.title, label(record), digest),
    )
    entry.runs.setdefault(identity.seed, (folder, record))
    return entry
