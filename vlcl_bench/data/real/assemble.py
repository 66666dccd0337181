"""From what a reader found to the protocol's data set: split, gallery, and the checks that refuse a wrong copy."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from vlcl_bench.data.originals import FilePicture
from vlcl_bench.data.real.layouts_common import explain, restore
from vlcl_bench.data.real.spec import Entry, RealSpec
from vlcl_bench.errors import IntegrityError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SEED = 42
CAPTIONS = 5
"""Captions of a test picture that enter retrieval: some of COCO's have more, and the usual test takes five."""

WORDS = {"train": "training pictures", "test": "test pictures", "pool": "pictures"}


def assemble(spec: RealSpec, entries: Sequence[Entry]) -> list[Entry]:
    """The protocol's training pictures, then its test pictures; or :class:`IntegrityError` with the usual cause.

    Under the rule ``pool-42`` the pictures are sorted by label, then by sample id as text; of torch's CPU permutation
    of their n places with seed 42 the first floor(0.8 n) are for training (what ``random_split`` does in ZSCL's
    code). ``per-class-42`` does the same in every class, seeded again. Official splits keep their order, and within
    a split nothing is shuffled. Of captioned sets, ``gallery`` test pictures are drawn likewise from those sorted by
    sample id, and a test picture keeps its first five captions.
    """
    found = list(entries)
    _no_duplicates(spec, found)
    if spec.captioned:
        _count(spec, "train", found)
        _count(spec, "test", found)
        return _of(found, "train") + _gallery(spec, _of(found, "test"))
    _labels_in_range(spec, found)
    if spec.split != "official":
        found = _divided(spec, found)
    for split in ("train", "test"):
        _count(spec, split, found)
        if spec.split == "official":  # of a small pool, chance may leave a class without test pictures
            _every_class(spec, split, found)
        _per_class(spec, split, found)
    return _of(found, "train") + _of(found, "test")


def check_rows(spec: RealSpec, rows: pd.DataFrame) -> None:
    """Refuse a manifest's rows that are not this data set's: :class:`IntegrityError` as for a copy's pictures."""
    nowhere = FilePicture("")
    entries = [
        Entry(sample, split, int(label), nowhere)
        for split, sample, label in zip(rows["split"], rows["sample"], rows["label"], strict=True)
    ]
    _no_duplicates(spec, entries)
    if spec.captioned:
        return  # of a gallery only the drawn pictures are in a manifest
    _labels_in_range(spec, entries)
    for split in ("train", "test"):
        _count(spec, split, entries)
        if spec.split == "official":
            _every_class(spec, split, entries)
        _per_class(spec, split, entries)


def check_size(spec: RealSpec, pixels: np.ndarray, where: str) -> None:
    """Refuse a picture ``(h, w, ...)`` that is smaller or larger than any of the data set's: a copy of thumbnails.

    ``where`` names the picture. Raises :class:`IntegrityError`; does nothing where the specification has no bounds.
    """
    height, width = pixels.shape[:2]
    if (spec.min_side or 0) <= min(height, width) and max(height, width) <= (spec.max_side or height + width):
        return
    if spec.min_side == spec.max_side:
        wanted = f"{spec.min_side} x {spec.min_side}, as all of {spec.title} are"
    else:
        least = [] if spec.min_side is None else [f"at least {spec.min_side} on the shorter side"]
        most = [] if spec.max_side is None else [f"at most {spec.max_side} on the longer side"]
        wanted = " and ".join(least + most)
    raise IntegrityError(
        f"{spec.name}: {where} has {width} x {height} pixels (width x height), expected {wanted}: this copy was "
        "resized, or holds other pictures",
        restore(spec),
    )


def _of(entries: Sequence[Entry], split: str) -> list[Entry]:
    return [entry for entry in entries if entry.split == split]


def _permutation(n: int) -> list[int]:
    import torch

    return [int(place) for place in torch.randperm(n, generator=torch.Generator().manual_seed(SEED))]


def _divided(spec: RealSpec, entries: list[Entry]) -> list[Entry]:
    """The pool in its base order, with every picture's split."""
    for entry in entries:
        if re.fullmatch(r"(train|test|pool)/\d+", entry.sample) or not _fits(spec, entry.sample):
            raise IntegrityError(
                f"{spec.name}: {entry.original.where} is called {entry.sample!r}, which is not its name in the "
                "official archive; the protocol's split rests on these names",
                "Use the official archive with --data-root, or a manifest that was made from it.",
            )
    pool = sorted((replace(entry, split="pool") for entry in entries), key=lambda entry: (entry.label, entry.sample))
    _count(spec, "pool", pool)
    _every_class(spec, "pool", pool)
    _per_class(spec, "pool", pool)
    if spec.split == "pool-42":
        groups = [pool]
    else:
        groups = [[entry for entry in pool if entry.label == label] for label in range(len(spec.class_names))]
    divided = []
    for group in groups:
        train = set(_permutation(len(group))[: len(group) * 8 // 10])
        divided += [replace(entry, split="train" if place in train else "test") for place, entry in enumerate(group)]
    return divided


def _fits(spec: RealSpec, sample: str) -> bool:
    return spec.sample_pattern is None or re.fullmatch(spec.sample_pattern, sample) is not None


def _gallery(spec: RealSpec, test: list[Entry]) -> list[Entry]:
    if spec.gallery is not None and spec.gallery < len(test):
        ordered = sorted(test, key=lambda entry: entry.sample)
        test = [ordered[place] for place in sorted(_permutation(len(ordered))[: spec.gallery])]
    return [replace(entry, captions=entry.captions[:CAPTIONS]) for entry in test]


def _no_duplicates(spec: RealSpec, entries: list[Entry]) -> None:
    counts = Counter(entry.sample for entry in entries)
    twice = [sample for sample, count in counts.items() if count > 1]
    if twice:
        where = " and ".join(sorted({entry.split for entry in entries if entry.sample == twice[0]}))
        raise IntegrityError(
            f"{spec.name}: {len(twice)} pictures are listed twice, the first is {twice[0]} (in {where})",
            f"Lists were joined, or training pictures are in the test list. {restore(spec)}",
        )


def _labels_in_range(spec: RealSpec, entries: list[Entry]) -> None:
    classes = len(spec.class_names)
    wrong = [entry for entry in entries if not 0 <= entry.label < classes]
    if not wrong:
        return
    labels = {entry.label for entry in wrong}
    reason = explain(spec, "label", min(labels)) or explain(spec, "label", max(labels))
    reason = reason or explain(spec, "classes", max(labels) + 1)
    raise IntegrityError(
        f"{spec.name}: {wrong[0].sample} has label {wrong[0].label}, expected 0 to {classes - 1}"
        + (f": {reason}" if reason else ""),
        restore(spec),
    )


def _count(spec: RealSpec, split: str, entries: list[Entry]) -> None:
    wanted: int | None = getattr(spec, split)
    found = len(_of(entries, split))
    if wanted is None or found == wanted:
        return
    reason = explain(spec, split, found)
    if split == "pool":  # perhaps what should be the whole is only another protocol's part
        reason = reason or explain(spec, "train", found) or explain(spec, "test", found)
    absent = [] if reason or spec.captioned or not wanted else _absent(spec, _of(entries, split))
    if absent:
        reason = f"none is of class {absent[0]!r}" + (f" and {len(absent) - 1} other classes" if absent[1:] else "")
    raise IntegrityError(
        f"{spec.name}: found {found:,} {WORDS[split]}, expected {wanted:,}" + (f": {reason}" if reason else ""),
        restore(spec),
    )


def _absent(spec: RealSpec, entries: list[Entry]) -> list[str]:
    there = {entry.label for entry in entries}
    return [name for label, name in enumerate(spec.class_names) if label not in there]


def _every_class(spec: RealSpec, split: str, entries: list[Entry]) -> None:
    if split == "test" and spec.test == 0:
        return
    absent = _absent(spec, _of(entries, split))
    if absent:
        named = ", ".join(repr(name) for name in absent[:5]) + (" …" if len(absent) > 5 else "")
        raise IntegrityError(
            f"{spec.name}: {len(absent)} of {len(spec.class_names)} classes have no {WORDS[split]}: {named}",
            restore(spec),
        )


def _per_class(spec: RealSpec, split: str, entries: list[Entry]) -> None:
    wanted: tuple[int, ...] | None = getattr(spec, f"{split}_per_class")
    if wanted is None:
        return
    counts = Counter(entry.label for entry in _of(entries, split))
    wrong = [label for label, count in enumerate(wanted) if counts[label] != count]
    if wrong:
        label = wrong[0]
        shuffled = sum(counts.values()) == sum(wanted)
        raise IntegrityError(
            f"{spec.name}: class {label} ({spec.class_names[label]}) has {counts[label]} {WORDS[split]}, expected "
            f"{wanted[label]}; {len(wrong)} of {len(wanted)} classes differ"
            + (", though the total is right: labels are shifted, shuffled or of another order" if shuffled else ""),
            restore(spec),
        )
