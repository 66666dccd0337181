"""Comparing a copy with its manifest: every kind of difference is refused with the first picture that has it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from support.fakes import FakeDataSet, FakePicture

from vlcl_bench import __version__
from vlcl_bench.data import manifest as manifests
from vlcl_bench.data.interface import Collection
from vlcl_bench.data.manifest import (
    COMMITTED,
    FIRST_USE,
    find_manifest,
    first_use_folder,
    make_manifest,
    read_manifest,
    write_manifest,
)
from vlcl_bench.data.verify import aligned, first_manifest, verify
from vlcl_bench.errors import IntegrityError


def silent(done, total):
    """A report that says nothing."""


def verified(dataset, manifest, collection):
    return verify(dataset, manifest, collection, silent)


@pytest.fixture
def dataset():
    return FakeDataSet(train=5, test=4)


@pytest.fixture
def captioned():
    return FakeDataSet("shots", train=5, test=4, captioned=True)


def described(dataset):
    return first_manifest(dataset, dataset.collect(), silent)


def collection(dataset, change=None):
    """The data set's pictures after ``change``, which is given the list of entries."""
    entries = list(dataset.collect().entries)
    return Collection(change(entries) if change else entries, "a copy")


def refused(check, dataset, change):
    manifest = described(dataset)
    with pytest.raises(IntegrityError) as caught:
        check(dataset, manifest, collection(dataset, change))
    return caught.value


def at(place, **changes):
    """A change of one entry."""

    def change(entries):
        entries[place] = replace(entries[place], **changes)
        return entries

    return change


# Making a manifest


def test_a_first_manifest_describes_what_is_there(dataset):
    made, expected = described(dataset), dataset.manifest()
    pd.testing.assert_frame_equal(made.rows, expected.rows)
    assert (made.dataset, made.class_names, made.status) == ("fake", ("left", "right"), FIRST_USE)
    assert made.fingerprint() == expected.fingerprint()


def test_a_first_manifest_says_where_the_copy_came_from(dataset):
    assert described(dataset).origin == {"source": "made up", "vlcl_bench": __version__}


def test_every_picture_is_reported(dataset):
    said = []
    first_manifest(dataset, dataset.collect(), lambda done, total: said.append((done, total)))
    assert said == [(i, 9) for i in range(1, 10)]


def test_a_picture_that_cannot_be_decoded_gets_into_no_manifest(dataset):
    class Cut(FakePicture):
        def load(self):
            raise IntegrityError(f"{self.where} cannot be decoded")

    with pytest.raises(IntegrityError, match="train/3 cannot be decoded"):
        first_manifest(dataset, collection(dataset, at(3, original=Cut("train/3", 5))), silent)


def test_captions_are_described_too(captioned):
    made = described(captioned)
    assert made.class_names == ()
    assert made.captions("test") == [entry.captions for entry in captioned.entries("test")]
    assert [len(texts) for texts in made.captions("train")] == [1, 2, 3, 1, 2]
    assert made.labels("train").tolist() == [-1] * 5


def test_without_captions_there_are_none(dataset):
    assert described(dataset).captions("test") == [()] * 4


# Reading and writing


def test_a_manifest_with_captions_and_origin_is_read_as_it_was_written(captioned, tmp_path):
    made = described(captioned)
    write_manifest(made, tmp_path)
    found = read_manifest("shots", tmp_path)
    pd.testing.assert_frame_equal(found.rows, made.rows)
    assert (found.dataset, found.class_names, found.origin, found.status) == ("shots", (), made.origin, FIRST_USE)
    assert found.fingerprint() == made.fingerprint()


def test_the_fingerprint_covers_captions_and_their_borders(captioned):
    made = described(captioned)
    joined = made.rows.copy()
    joined.at[1, "captions"] = (" ".join(joined.at[1, "captions"]),)
    other = made.rows.copy()
    other.at[8, "captions"] = (*other.at[8, "captions"][:-1], "another text")
    assert len({replace(made, rows=rows).fingerprint() for rows in (made.rows, joined, other)}) == 3


def test_the_fingerprint_does_not_cover_where_the_copy_came_from(dataset):
    made = described(dataset)
    assert replace(made, origin={"source": "elsewhere"}, status=COMMITTED).fingerprint() == made.fingerprint()


@pytest.mark.parametrize(
    ("source", "revision", "expected"),
    [
        ("hub owner/name@0123abc", "0123abc", "0123abc"),
        ("hub owner/name@0123abc (local copy)", "0123abc", "0123abc"),
        ("hub owner/name@unknown (local copy)", None, None),
        ("hub owner/other@0123abc", "0123abc", None),
        ("folder", None, None),
    ],
)
def test_the_hubs_revision_is_kept_in_the_origin(dataset, source, revision, expected):
    made = make_manifest("fake", ("left", "right"), dataset.collect().entries, ["0"] * 9, source, revision)
    assert made.hub_revision("owner/name") == expected


def test_without_an_origin_there_is_no_revision(dataset):
    assert dataset.manifest().hub_revision("owner/name") is None


def test_a_manifest_of_first_use_lies_in_the_users_data_folder(dataset, monkeypatch, tmp_path):
    monkeypatch.setenv("VLCL_DATA_HOME", str(tmp_path / "mine"))
    assert find_manifest("fake") is None
    write_manifest(described(dataset), first_use_folder())
    assert (tmp_path / "mine" / "manifests" / "fake.parquet").exists()
    found = find_manifest("fake")
    assert (found.status, found.fingerprint()) == (FIRST_USE, described(dataset).fingerprint())


def test_the_committed_manifest_goes_before_one_of_first_use(dataset, monkeypatch, tmp_path):
    monkeypatch.setattr(manifests, "FOLDER", tmp_path)
    committed = described(dataset)
    rows = committed.rows.copy()
    rows.loc[0, "sha256"] = "0" * 64
    write_manifest(replace(committed, rows=rows), first_use_folder())
    assert find_manifest("fake").status == FIRST_USE
    write_manifest(committed, tmp_path)
    found = find_manifest("fake")
    assert (found.status, found.fingerprint()) == (COMMITTED, committed.fingerprint())


# Comparing


def test_what_is_there_is_put_into_the_manifests_order(dataset):
    manifest = described(dataset)
    shuffled = [dataset.collect().entries[i] for i in np.random.default_rng(0).permutation(9)]
    found = aligned(dataset, manifest, Collection(shuffled, "a copy"))
    assert [(e.split, e.sample) for e in found.entries] == list(
        zip(manifest.rows["split"], manifest.rows["sample"], strict=True)
    )
    assert found.origin == "a copy"


def test_an_equal_copy_is_verified_picture_by_picture(dataset):
    said = []
    verify(dataset, described(dataset), dataset.collect(), lambda *numbers: said.append(numbers))
    assert said == [(i, 9) for i in range(1, 10)]


@pytest.mark.parametrize("check", [aligned, verified])
def test_missing_pictures_are_refused_with_the_first(check, dataset):
    error = refused(check, dataset, lambda entries: entries[:2] + entries[4:])
    assert "fake: 2 of the manifest's 9 pictures are not there; the first is train/train/2" in error.message
    assert "other split" not in error.message
    assert "vlcl data card fake" in error.hint


@pytest.mark.parametrize("check", [aligned, verified])
def test_unknown_pictures_are_refused_with_the_first(check, dataset):
    more = FakeDataSet(train=7, test=4)
    manifest = described(dataset)
    with pytest.raises(IntegrityError, match="fake: 2 pictures are not in the manifest; the first is train/train/5"):
        check(dataset, manifest, more.collect())


def test_a_picture_in_the_other_split_is_said_to_be_there(dataset):
    error = refused(aligned, dataset, at(6, split="train"))
    assert "1 of the manifest's 9 pictures are not there" in error.message
    assert "the first is test/test/1 (it is there, but in the other split)" in error.message


def test_splits_that_were_exchanged_are_refused(dataset):
    def exchange(entries):
        return [replace(e, split={"train": "test", "test": "train"}[e.split]) for e in entries]

    error = refused(aligned, dataset, exchange)
    assert "9 of the manifest's 9" in error.message
    assert "other split" in error.message


def test_swapped_labels_are_refused_with_the_first_and_both_names(dataset):
    def swap(entries):
        return [replace(e, label=1 - e.label) if e.split == "test" else e for e in entries]

    error = refused(aligned, dataset, swap)
    assert "test/0 is labelled 1 (right) here, 0 (left) in the manifest" in error.message


@pytest.mark.parametrize("label", [-1, 2])
def test_a_label_without_a_name_is_refused(dataset, label):
    assert f"train/3 is labelled {label} here, 1 (right)" in refused(aligned, dataset, at(3, label=label)).message


@pytest.mark.parametrize("texts", [(), ("other",), ("shots test/1 text 1", "shots test/1 text 0")])
def test_other_captions_are_refused_with_the_picture(captioned, texts):
    error = refused(aligned, captioned, at(6, captions=texts))
    assert "shots: test/1 has other captions than in the manifest" in error.message


def test_captions_that_were_exchanged_are_refused_with_the_first(captioned):
    def exchange(entries):
        one, two = entries[2], entries[4]
        entries[2], entries[4] = replace(one, captions=two.captions), replace(two, captions=one.captions)
        return entries

    assert "train/2 has other captions" in refused(aligned, captioned, exchange).message


def test_a_replaced_picture_is_refused_by_its_place(dataset):
    change = at(7, original=replace(FakePicture("elsewhere/photo.jpg", 5)))
    error = refused(verified, dataset, change)
    expected = described(dataset).hashes("test")[2][:12]
    assert "elsewhere/photo.jpg is not the picture in the manifest" in error.message
    assert f"expected {expected}" in error.message


def test_exchanged_pictures_are_refused_with_the_first(dataset):
    def exchange(entries):
        one, two = entries[1], entries[8]
        entries[1], entries[8] = replace(one, original=two.original), replace(two, original=one.original)
        return entries

    assert "test/3 is not the picture" in refused(verified, dataset, exchange).message


def test_alignment_reads_no_picture(dataset, monkeypatch):
    manifest, found = described(dataset), dataset.collect()
    monkeypatch.setattr(FakePicture, "load", lambda self: pytest.fail("a picture was read"))
    assert len(aligned(dataset, manifest, found).entries) == 9
