"""Pictures that are there more than once: in both splits, in two tasks, twice in the test, or under two labels.

A manifest's content hashes tell. Such pictures are not refused, since official sets have a few; they are counted, said
when a run starts, and kept in its record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vlcl_bench.data.manifest import Manifest

TEST_IN_TRAIN = "test_in_train"
TEST_IN_OTHER_TRAIN = "test_in_other_train"
TWICE_IN_TEST = "twice_in_test"
TWO_LABELS = "two_labels"
SEVERAL = -2
"""In place of a label, where a picture has more than one."""
WORDS = {
    TEST_IN_TRAIN: ("test picture is also a training picture", "test pictures are also training pictures"),
    TEST_IN_OTHER_TRAIN: (
        "test picture is also a training picture of another data set of the stream",
        "test pictures are also training pictures of another data set of the stream",
    ),
    TWICE_IN_TEST: ("test picture repeats another one", "test pictures repeat another one"),
    TWO_LABELS: ("picture stands under more than one label", "different pictures stand under more than one label"),
}


@dataclass(frozen=True)
class Repeats:
    """How many equal pictures a data set has by kind, kinds that it has none of left out; and the first of each."""

    dataset: str
    counts: Mapping[str, int] = field(default_factory=dict)
    first: Mapping[str, str] = field(default_factory=dict)

    def words(self) -> list[str]:
        """A sentence's part for each kind, in the order of :data:`WORDS`."""
        return in_words(self.counts, self.first)


def in_words(counts: Mapping[str, int], first: Mapping[str, str] | None = None) -> list[str]:
    """The counts of a data set's equal pictures in words, those of kinds that are not known left out."""
    examples = {kind: f" (the first: {example})" for kind, example in (first or {}).items()}
    return [
        f"{counts[kind]:,} {singular if counts[kind] == 1 else plural}{examples.get(kind, '')}"
        for kind, (singular, plural) in WORDS.items()
        if kind in counts
    ]


def repeats_of(manifests: Sequence[Manifest]) -> list[Repeats]:
    """The equal pictures of a stream's data sets, in their order; of one manifest alone, those within it."""
    trained: dict[str, set[str]] = {manifest.dataset: set(manifest.hashes("train")) for manifest in manifests}
    return [_repeats(manifest, trained) for manifest in manifests]


def _repeats(manifest: Manifest, trained: Mapping[str, set[str]]) -> Repeats:
    """Counts, and the first of each kind; plain sets, for most streams have small data sets and many."""
    test = list(zip(manifest.samples("test"), manifest.hashes("test"), strict=True))
    others = {name: known for name, known in trained.items() if name != manifest.dataset}
    found: dict[str, list[str]] = {kind: [] for kind in WORDS}
    before: set[str] = set()
    for sample, digest in test:
        if digest in trained[manifest.dataset]:
            found[TEST_IN_TRAIN].append(sample)
        if any(digest in known for known in others.values()):
            found[TEST_IN_OTHER_TRAIN].append(sample)
        if digest in before:
            found[TWICE_IN_TEST].append(sample)
        before.add(digest)
    labels: dict[str, int] = {}
    for digest, label in zip(manifest.rows["sha256"].tolist(), manifest.rows["label"].tolist(), strict=True):
        if labels.setdefault(digest, label) not in (label, SEVERAL):
            labels[digest] = SEVERAL
            found[TWO_LABELS].append(digest)
    counts = {kind: len(there) for kind, there in found.items() if there}
    return Repeats(
        manifest.dataset, counts, {kind: _example(manifest, kind, found[kind][0], others) for kind in counts}
    )


def _example(manifest: Manifest, kind: str, first: str, others: Mapping[str, set[str]]) -> str:
    """The first picture of a kind, and what it is equal to."""
    rows = manifest.rows
    if kind == TWO_LABELS:
        return " = ".join(rows.loc[rows["sha256"] == first, "sample"].iloc[:3])
    digest = rows.loc[(rows["split"] == "test") & (rows["sample"] == first), "sha256"].iloc[0]
    if kind == TEST_IN_OTHER_TRAIN:
        return f"{first}, with {next(name for name, known in others.items() if digest in known)}"
    split = "train" if kind == TEST_IN_TRAIN else "test"
    equal = rows.loc[(rows["sha256"] == digest) & (rows["split"] == split), "sample"]
    return f"{first} = {equal.iloc[0]}"
