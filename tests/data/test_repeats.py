"""Equal pictures where there should be none: counted, said before a run, and kept in its record."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from support.harness import vlcl

from vlcl_bench.common.progress import Reporter
from vlcl_bench.data.manifest import COLUMNS, FIRST_USE, FOLDER, Manifest, read_manifest
from vlcl_bench.data.repeats import TEST_IN_OTHER_TRAIN, TEST_IN_TRAIN, TWICE_IN_TEST, TWO_LABELS, repeats_of
from vlcl_bench.engine.pictures import data_origins, warn_of_pictures
from vlcl_bench.protocols.load import load_protocol
from vlcl_bench.records.schema import DataOrigin, Record

ROOT = Path(__file__).parents[2]


def manifest(train: str, test: str, name: str = "birds", **origin: str) -> Manifest:
    """One letter a picture, which is its content; its label is whether it is written in capitals."""
    rows = [
        (split, f"{split}/{place}", letter.lower(), int(letter.isupper()))
        for split, letters in (("train", train), ("test", test))
        for place, letter in enumerate(letters)
    ]
    return Manifest(name, ("low", "high"), pd.DataFrame(rows, columns=list(COLUMNS)), origin, FIRST_USE)


def counts(*manifests: Manifest) -> list[dict[str, int]]:
    return [dict(found.counts) for found in repeats_of(manifests)]


@pytest.mark.parametrize(
    ("train", "test", "expected"),
    [
        ("abcd", "ef", {}),
        ("aabb", "cd", {}),  # training pictures may repeat
        ("abcd", "de", {TEST_IN_TRAIN: 1}),
        ("abcd", "abcd", {TEST_IN_TRAIN: 4}),
        ("aabb", "ac", {TEST_IN_TRAIN: 1}),
        ("abcd", "ee", {TWICE_IN_TEST: 1}),
        ("abcd", "eeeff", {TWICE_IN_TEST: 3}),
        ("abcd", "aa", {TEST_IN_TRAIN: 2, TWICE_IN_TEST: 1}),
        ("aA", "b", {TWO_LABELS: 1}),
        ("aAbB", "c", {TWO_LABELS: 2}),
        ("a", "A", {TEST_IN_TRAIN: 1, TWO_LABELS: 1}),
        ("ab", "cC", {TWICE_IN_TEST: 1, TWO_LABELS: 1}),
        ("", "ab", {}),
        ("ab", "", {}),
    ],
)
def test_equal_pictures_are_counted_by_kind(train: str, test: str, expected: dict[str, int]) -> None:
    assert counts(manifest(train, test)) == [expected]


def test_test_pictures_among_another_tasks_training_pictures_are_counted() -> None:
    found = counts(manifest("ab", "cd", "one"), manifest("ce", "ag", "two"), manifest("x", "abc", "three"))
    assert found == [{TEST_IN_OTHER_TRAIN: 1}, {TEST_IN_OTHER_TRAIN: 1}, {TEST_IN_OTHER_TRAIN: 3}]


def test_a_captioned_picture_has_no_second_label() -> None:
    rows = [("train", "a", "x", -1), ("train", "b", "x", -1), ("test", "c", "x", -1)]
    captioned = Manifest("shots", (), pd.DataFrame(rows, columns=list(COLUMNS)))
    assert counts(captioned) == [{TEST_IN_TRAIN: 1}]


class Heard(Reporter):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


class Stream:
    def __init__(self, manifests: Sequence[Manifest]) -> None:
        self.manifests = manifests


def said(*manifests: Manifest) -> list[str]:
    heard = Heard()
    warn_of_pictures(Stream(manifests), heard)  # type: ignore[arg-type]
    return heard.lines


def test_every_kind_is_said_with_its_number_and_the_first() -> None:
    assert said(manifest("abB", "accd")) == [
        "warning: birds: 1 test picture is also a training picture (the first: test/0 = train/0)",
        "warning: birds: 1 test picture repeats another one (the first: test/2 = test/1)",
        "warning: birds: 1 picture stands under more than one label (the first: train/1 = train/2)",
    ]
    assert said(manifest("ab", "cd"), manifest("c", "ba", "owls")) == [
        "warning: birds: 1 test picture is also a training picture of another data set of the stream (the first: "
        "test/0, with owls)",
        "warning: owls: 2 test pictures are also training pictures of another data set of the stream (the first: "
        "test/0, with birds)",
    ]
    assert said(manifest("ab", "cd")) == []


def test_rotations_in_exif_data_are_said_with_their_number() -> None:
    (line,) = said(manifest("a", "b", exif_rotations="2"))
    assert line.startswith("warning: birds: 2 pictures carry a rotation in the EXIF data, which is not applied")


# In a record


def test_a_record_has_the_numbers_and_no_field_where_there_are_none() -> None:
    clean, odd = data_origins([manifest("ab", "cd", "one"), manifest("aA", "ee", "two")]).values()
    assert set(clean.model_dump(mode="json")) == {"manifest", "status", "source"}
    assert odd.model_dump(mode="json")["repeats"] == {TWICE_IN_TEST: 1, TWO_LABELS: 1}
    assert DataOrigin.model_validate(odd.model_dump(mode="json")) == odd
    assert DataOrigin.model_validate_json(odd.model_dump_json()) == odd


def test_committed_records_are_read_and_written_as_they_were() -> None:
    paths = sorted(ROOT.glob("submissions/*/runs/*/run.json"))[::40]
    assert paths
    for path in paths:
        text = path.read_text(encoding="utf-8")
        record = Record.model_validate_json(text)
        assert all(origin.repeats == {} for origin in record.data.values())
        assert record.model_dump(mode="json")["data"] == json.loads(text).get("data", {})


def test_no_committed_manifest_has_equal_pictures() -> None:
    for path in FOLDER.glob("*.parquet"):
        assert counts(read_manifest(path.stem)) == [{}], path.stem


@pytest.mark.parametrize("name", ["mini-mtil-1", "mini-c2r", "mini-c2f", "mini-dev"])
def test_no_mini_stream_has_test_pictures_in_another_tasks_training(name: str) -> None:
    assert said(*load_protocol(name).manifests) == []


@pytest.mark.parametrize(("name", "expected"), [("eurosat", "none"), ("sun397", "counted on first use")])
def test_a_card_says_how_many_equal_pictures_there_are(name: str, expected: str) -> None:
    assert vlcl("data", "card", name, "--json").json["equal_pictures"] == expected
