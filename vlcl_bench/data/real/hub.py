"""Data sets from the hub, through the ``datasets`` library: pinned to a commit, pictures kept as they were encoded."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from vlcl_bench.data.originals import BytesPicture
from vlcl_bench.data.pictures import in_parallel
from vlcl_bench.data.real.hub_labels import label_map, labels_by_name
from vlcl_bench.data.real.hub_open import open_hub
from vlcl_bench.data.real.spec import Entry, HubSpec, RealSpec
from vlcl_bench.errors import IntegrityError, UsageError

if TYPE_CHECKING:
    from datasets import Dataset

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class HubFound:
    """What the hub has of a data set.

    ``entries`` are in the hub's order (of a texts-only set there are ``texts`` instead). ``revision`` is the commit
    they come from, to be kept in the manifest and required from then on; ``None`` where a local copy does not say.
    ``origin`` says the same to a person, without a path of this machine.
    """

    entries: list[Entry]
    revision: str | None
    origin: str
    texts: tuple[str, ...] = ()


def read_hub(spec: RealSpec, mirror: Path | None, revision: str | None, cache: Path | None = None) -> HubFound:
    """Read ``spec.hub`` from the hub, or from the local copy ``<mirror>/<owner>/<name>``.

    ``revision`` is the commit that a manifest requires; without one, the specification's own or the newest is used
    and returned. ``cache`` is where the ``datasets`` library keeps its tables (its own folder, if ``None``). Raises
    as :func:`~vlcl_bench.data.real.hub_open.open_hub`, :class:`UsageError` where a split or a column is not there,
    and :class:`IntegrityError` where labels, names or captions are not the protocol's.
    """
    hub = spec.hub
    if hub is None:
        raise UsageError(
            f"{spec.name} has no copy on the hub with what the protocol needs",
            f"Unpack the official archive in <root>/{spec.folders[0]} and type --data-root <root>.",
        )
    _check_splits(spec, hub)
    opened = open_hub(hub, mirror, revision, cache)
    for name in (name for names in hub.splits.values() for name in names):
        if name not in opened.splits:
            raise UsageError(
                f"{hub.repo} has no split {name!r}",
                f"It has: {', '.join(map(str, opened.splits))}. Is it the right copy?",
            )
    entries: list[Entry] = []
    texts: list[str] = []
    for split, names in hub.splits.items():
        start = 0
        for name in names:
            part = _Part(opened.splits[name], name, split, start)
            if spec.texts:
                texts += _texts(part.rows, hub, name)
            else:
                entries += _entries(part, spec, hub, opened.folder)
            start += len(part.rows)
    if spec.texts and spec.train is not None and len(texts) != spec.train:
        raise IntegrityError(
            f"{hub.repo} has {len(texts)} captions, expected {spec.train}", "Take another copy of the data set."
        )
    _check_unique(entries, hub)
    return HubFound(entries, opened.revision, opened.origin, tuple(texts))


def match_to_manifest(
    entries: list[Entry], rows: pd.DataFrame, progress: Progress | None = None, extra: bool = False
) -> list[Entry]:
    """Give the hub's pictures the manifest's ids, splits and labels, by content; a copy in any order will do.

    ``rows`` has the columns ``split, sample, sha256, label``; the result is in their order. Equal pictures are
    assigned in order, and only where the label is equal, too. ``progress(done, all)`` is called for every picture.
    With ``extra``, pictures that the manifest does not have are left out; otherwise, and where pictures are missing
    or have another label, :class:`IntegrityError` with the counts and the first.
    """
    found: dict[str, dict[int, deque[Entry]]] = defaultdict(lambda: defaultdict(deque))
    digests = in_parallel(lambda entry: entry.original.digest(), entries)
    for done, (entry, digest) in enumerate(zip(entries, digests, strict=True), 1):
        found[digest][entry.label].append(entry)
        if progress is not None:
            progress(done, len(entries))
    matched: list[Entry] = []
    missing: list[Any] = []
    columns = zip(rows["split"], rows["sample"], rows["sha256"], rows["label"], strict=True)
    for split, sample, digest, label in columns:
        alike = found.get(digest, {}).get(int(label))
        if alike:
            matched.append(replace(alike.popleft(), sample=sample, split=split, label=int(label)))
        else:
            missing.append((sample, digest, int(label)))
    for sample, digest, label in missing:
        others = [entry for alike in found.get(digest, {}).values() for entry in alike]
        if others:
            raise IntegrityError(
                f"{others[0].original.where} is {sample} of the manifest, but has label {others[0].label}, "
                f"expected {label}",
                "The copy's labels are shifted, reordered or wrong; take another one.",
            )
    unknown = [entry for labels in found.values() for alike in labels.values() for entry in alike]
    if missing or (unknown and not extra):
        parts = []
        if missing:
            parts.append(f"{len(missing)} of {len(rows)} pictures are missing, the first: {missing[0][0]}")
        if unknown:
            parts.append(f"{len(unknown)} are not in the manifest, the first: {unknown[0].original.where}")
        raise IntegrityError(
            f"the copy does not hold the pictures of the manifest: {'; '.join(parts)}",
            "If that is most of them, the copy's pictures were encoded again: take another copy, or the official "
            "archive with --data-root.",
        )
    return matched


@dataclass(frozen=True, eq=False)
class _Cell:
    """An encoded picture in a row of a table; opened when called. Can be sent to a worker."""

    table: Any
    column: str
    index: int
    where: str
    folder: Path | None

    def __call__(self) -> bytes:
        cell = self.table[self.index][self.column]
        data = cell if isinstance(cell, bytes) or cell is None else cell.get("bytes")
        if data is not None:
            return bytes(data)
        path = cell.get("path") if cell is not None else None
        if path is None:
            raise IntegrityError(f"{self.where} holds no picture", "Take another copy of the data set.")
        try:
            return ((self.folder or Path()) / path).read_bytes()
        except OSError as error:
            raise IntegrityError(
                f"{self.where} refers to {path}, which cannot be read: {error.strerror}",
                "Take another copy of the data set.",
            ) from error


def _check_splits(spec: RealSpec, hub: HubSpec) -> None:
    """A split of the hub may serve training or testing, not both, unless a column tells its rows apart."""
    names = [name for names in hub.splits.values() for name in names]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice and hub.filter is None:
        raise UsageError(
            f"{spec.name}: split {twice[0]!r} of {hub.repo} is named twice, and no filter tells its rows apart"
        )


def _column(part: Dataset, hub: HubSpec, column: str, split: str) -> list[Any]:
    """All values of a column, not decoded."""
    _require(part, hub, column, split)
    return part.select_columns([column])[:][column]


def _require(part: Dataset, hub: HubSpec, column: str, split: str) -> None:
    if column not in part.column_names:
        raise UsageError(
            f"{hub.repo} has no column {column!r} in split {split!r}", f"It has: {', '.join(part.column_names)}."
        )


@dataclass(frozen=True, eq=False)
class _Part:
    """One of the hub's splits; the split here that it is joined to, and how many rows those before have (``start``)."""

    rows: Dataset
    name: str
    split: Literal["train", "test"]
    start: int


def _entries(part: _Part, spec: RealSpec, hub: HubSpec, folder: Path | None) -> list[Entry]:
    """Entries of one of the hub's splits; ``folder`` is that of a local copy."""
    kept: Literal["train", "test", "pool"] = "pool" if spec.split != "official" else part.split
    rows, name = part.rows, part.name
    table = _pictures(rows, hub, name)
    chosen = _rows_of_split(part, hub)
    labels = [-1] * len(rows) if spec.captioned else _labels(rows, spec, hub, name)
    samples = _column(rows, hub, hub.sample, name) if hub.sample is not None else None
    captions = _captions(rows, hub, name) if spec.captioned else None
    entries = []
    for row in chosen:
        where = f"{hub.repo}, split {name}, row {row}"
        entries.append(
            Entry(
                sample=f"{kept}/{part.start + row}" if samples is None else f"{hub.sample_prefix}{samples[row]}",
                split=kept,
                label=labels[row],
                original=BytesPicture(where, _Cell(table, hub.image, row, where, folder)),
                captions=() if captions is None else captions[row],
            )
        )
    return entries


def _rows_of_split(part: _Part, hub: HubSpec) -> list[int]:
    """The rows of one of the hub's splits that are of the split here; all, where no column tells them apart."""
    if hub.filter is None:
        return list(range(len(part.rows)))
    wanted = hub.filter.train if part.split == "train" else hub.filter.test
    values = _column(part.rows, hub, hub.filter.column, part.name)
    rows = [row for row, value in enumerate(values) if value in wanted]
    if not rows:
        there = ", ".join(sorted({str(value) for value in values}))
        raise UsageError(
            f"no row of {hub.repo} has {' or '.join(wanted)} in column {hub.filter.column!r}", f"It has: {there}."
        )
    return rows


def _pictures(part: Dataset, hub: HubSpec, split: str) -> Dataset:
    """The picture column alone, with its pictures left encoded."""
    from datasets import Image, Value

    _require(part, hub, hub.image, split)
    feature = part.features[hub.image]
    table = part.select_columns([hub.image])
    if isinstance(feature, Image):
        return table.cast_column(hub.image, Image(decode=False))
    binary = isinstance(feature, Value) and "binary" in str(feature.dtype)
    if binary or (isinstance(feature, dict) and {"bytes", "path"} <= set(feature)):
        return table
    raise UsageError(
        f"column {hub.image!r} of {hub.repo} holds {feature}, not pictures", f"It has: {', '.join(part.column_names)}."
    )


def _labels(part: Dataset, spec: RealSpec, hub: HubSpec, split: str) -> list[int]:
    from datasets import ClassLabel

    values = _column(part, hub, hub.label, split)
    feature = part.features[hub.label]
    if values and all(isinstance(value, str) or value is None for value in values):
        return labels_by_name(values, spec)
    protocol = list(range(len(spec.class_names)))
    if hub.names and isinstance(feature, ClassLabel):
        protocol = label_map(feature.names, spec)
    elif hub.names:
        raise IntegrityError(
            f"column {hub.label!r} of {hub.repo} holds {feature} without class names, which {spec.name} is checked by",
            "Take a copy with its README.md, or the official archive with --data-root.",
        )
    for row, value in enumerate(values):
        if not isinstance(value, int) or not 0 <= value < len(spec.class_names):
            raise IntegrityError(
                f"{hub.repo}, split {split}, row {row} has label {value!r}, expected 0 to {len(spec.class_names) - 1}",
                "Labels that start at 1, or a split without labels: take another copy.",
            )
    return [protocol[value] for value in values]


def _captions(part: Dataset, hub: HubSpec, split: str) -> list[tuple[str, ...]]:
    if hub.captions is None:
        raise UsageError(f"{hub.repo} is used for captions, but no column of it is named for them")
    result = []
    for row, value in enumerate(_column(part, hub, hub.captions, split)):
        sentences = [value] if isinstance(value, str) else value
        if not isinstance(sentences, list) or not all(isinstance(sentence, str) for sentence in sentences):
            raise UsageError(
                f"column {hub.captions!r} of {hub.repo} holds {type(value).__name__}, expected a list of text"
            )
        texts = tuple(text for sentence in sentences if (text := sentence.strip()))
        if not texts:
            raise IntegrityError(f"{hub.repo}, split {split}, row {row} has no caption", "Take another copy.")
        result.append(texts)
    return result


def _texts(part: Dataset, hub: HubSpec, split: str) -> list[str]:
    return [text for texts in _captions(part, hub, split) for text in texts]


def _check_unique(entries: list[Entry], hub: HubSpec) -> None:
    seen: set[str] = set()
    for entry in entries:
        if entry.sample in seen:
            raise IntegrityError(
                f"{hub.repo} has two pictures {entry.sample!r}, the second in {entry.original.where}",
                "Take another copy of the data set.",
            )
        seen.add(entry.sample)
