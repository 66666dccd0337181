"""Pictures that are there more than once: in both splits, in two tasks, twice in the test, or under two labels.

A manifest's content hashes tell. Such pictures are not refused, since official sets have a few; they are counted, said
when a run starts, and kept in its record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from vlcl_bench.data.manifest import Manifest

TEST_IN_TRAIN = "test_in_train"
TEST_IN_OTHER_TRAIN = "test_in_other_train"
TWICE_IN_TEST = "twice_in_test"
TWO_LABELS = "two_labels"
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
    rows = manifest.rows
    test, train = (rows[rows["split"] == split] for split in ("test", "train"))
    there = test["sha256"].isin(trained[manifest.dataset])
    others = [(name, test["sha256"].isin(known)) for name, known in trained.items() if name != manifest.dataset]
    elsewhere = pd.Series(False, index=test.index)
    for _, found in others:
        elsewhere |= found
    again = test["sha256"].duplicated()
    labels = rows.groupby("sha256", sort=False)["label"].nunique()
    unsure = labels[labels > 1]
    counts = {
        TEST_IN_TRAIN: int(there.sum()), TEST_IN_OTHER_TRAIN: int(elsewhere.sum()),
        TWICE_IN_TEST: int(again.sum()), TWO_LABELS: len(unsure),
    }  # fmt: skip
    first: dict[str, str] = {}
    if counts[TEST_IN_TRAIN]:
        first[TEST_IN_TRAIN] = _pair(test[there].iloc[0], train)
    if counts[TEST_IN_OTHER_TRAIN]:
        name = next(name for name, found in others if found.any())
        first[TEST_IN_OTHER_TRAIN] = f"{test[elsewhere]['sample'].iloc[0]}, with {name}"
    if counts[TWICE_IN_TEST]:
        first[TWICE_IN_TEST] = _pair(test[again].iloc[0], test)
    if counts[TWO_LABELS]:
        first[TWO_LABELS] = " = ".join(rows.loc[rows["sha256"] == unsure.index[0], "sample"].iloc[:3])
    return Repeats(manifest.dataset, {kind: count for kind, count in counts.items() if count}, first)


def _pair(row: pd.Series, among: pd.DataFrame) -> str:
    """A picture, and the first other one of equal content."""
    equal = among[(among["sha256"] == row["sha256"]) & (among.index != row.name)]
    return f"{row['sample']} = {equal['sample'].iloc[0]}"
