"""Manifests and the store: what is read is what was written, and a wrong byte anywhere is refused."""

import hashlib
import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from support.fakes import FakeDataSet

from vlcl_bench.data.interface import SPLITS, Collection, Places
from vlcl_bench.data.manifest import read_manifest, write_manifest
from vlcl_bench.data.open import open_dataset
from vlcl_bench.data.store import Store, default_root
from vlcl_bench.data.verify import aligned
from vlcl_bench.errors import IntegrityError, UsageError
from vlcl_bench.mini.datasets import mini_dataset
from vlcl_bench.mini.domains import development_domains, domains
from vlcl_bench.mini.manifests import freeze

MINI = (*domains(), *development_domains())


def silent(done, total):
    """A report that says nothing."""


def build(store, dataset, manifest, report=silent):
    """The store after a data set was built, in the pictures' own size."""
    store.build(dataset, manifest, aligned(dataset, manifest, dataset.collect()), dataset.side, report)
    return store


def samples(dataset, split):
    """Sample ids and labels of a mini data set's split."""
    return [(entry.sample, entry.label) for entry in dataset.collect(Places()).entries if entry.split == split]


@pytest.fixture
def dataset():
    return FakeDataSet()


@pytest.fixture
def manifest(dataset):
    return dataset.manifest()


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def built(store, dataset, manifest):
    return build(store, dataset, manifest)


@pytest.fixture
def folder(store, dataset, manifest):
    return store.folder(dataset, manifest, dataset.side)


# Manifests


def test_a_manifest_is_read_as_it_was_written(manifest, tmp_path):
    write_manifest(manifest, tmp_path)
    found = read_manifest("fake", tmp_path)
    assert (found.dataset, found.class_names) == (manifest.dataset, manifest.class_names)
    pd.testing.assert_frame_equal(found.rows, manifest.rows)


def test_a_manifests_views_are_its_rows(manifest):
    assert manifest.samples("test") == ["test/0", "test/1", "test/2", "test/3"]
    assert manifest.labels("test").tolist() == [0, 1, 0, 1]
    assert manifest.hashes("train") == manifest.rows["sha256"][:6].tolist()


def test_labels_are_64_bit_integers(manifest, tmp_path):
    write_manifest(manifest, tmp_path)
    assert read_manifest("fake", tmp_path).labels("train").dtype == np.int64


def test_a_fingerprint_does_not_depend_on_the_files_bytes(manifest, tmp_path):
    path = write_manifest(manifest, tmp_path)
    before = path.read_bytes()
    pq.write_table(pq.read_table(path), path, compression="gzip", row_group_size=2)
    assert path.read_bytes() != before
    assert read_manifest("fake", tmp_path).fingerprint() == manifest.fingerprint()


def test_a_fingerprint_does_not_depend_on_the_frames_index_or_column_order(manifest):
    shuffled = manifest.rows.set_index(manifest.rows.index + 100)[["label", "sha256", "split", "sample"]]
    assert replace(manifest, rows=shuffled).fingerprint() == manifest.fingerprint()


@pytest.mark.parametrize(("column", "value"), [("split", "test"), ("sample", "x"), ("sha256", "0"), ("label", 1)])
def test_a_fingerprint_changes_with_every_column(manifest, column, value):
    rows = manifest.rows.copy()
    rows.loc[0, column] = value
    assert replace(manifest, rows=rows).fingerprint() != manifest.fingerprint()


def test_a_fingerprint_changes_with_the_order_of_rows(manifest):
    assert replace(manifest, rows=manifest.rows[::-1]).fingerprint() != manifest.fingerprint()


def test_a_fingerprint_changes_with_names(manifest):
    others = [replace(manifest, dataset="other"), replace(manifest, class_names=("left", "rihgt"))]
    assert manifest.fingerprint() not in {other.fingerprint() for other in others}


def test_a_missing_manifest_is_refused(tmp_path):
    with pytest.raises(IntegrityError, match="no manifest for data set 'fake'"):
        read_manifest("fake", tmp_path)


def damaged_manifests():
    yield "empty", lambda data: b""
    yield "text", lambda data: b"not a table"
    yield "cut short", lambda data: data[: len(data) // 2]
    yield "without its end", lambda data: data[:-1]


@pytest.mark.parametrize("damage", [pytest.param(damage, id=name) for name, damage in damaged_manifests()])
@pytest.mark.parametrize(
    ("committed", "hint"),
    [(True, "Restore it from the repository"), (False, "make it again with `vlcl data verify --write`")],
)
def test_a_damaged_manifest_is_refused_with_what_to_do(manifest, tmp_path, monkeypatch, damage, committed, hint):
    path = write_manifest(manifest, tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    if committed:
        monkeypatch.setattr("vlcl_bench.data.manifest.FOLDER", tmp_path)
    with pytest.raises(IntegrityError, match="is damaged") as caught:
        read_manifest("fake", None if committed else tmp_path)
    assert hint in caught.value.hint


def test_a_manifest_without_class_names_is_refused(manifest, tmp_path):
    path = write_manifest(manifest, tmp_path)
    pq.write_table(pq.read_table(path).replace_schema_metadata({b"dataset": b"fake"}), path)
    with pytest.raises(IntegrityError, match="class_names"):
        read_manifest("fake", tmp_path)


def test_a_manifest_without_a_column_is_refused(manifest, tmp_path):
    path = write_manifest(manifest, tmp_path)
    pq.write_table(pq.read_table(path).drop_columns(["label"]), path)
    with pytest.raises(IntegrityError, match="label"):
        read_manifest("fake", tmp_path)


def test_freezing_writes_the_manifest_of_what_is_there(dataset, manifest, tmp_path):
    made = freeze(dataset, tmp_path)
    assert (made.origin, made.status) == ({}, "committed")
    assert read_manifest("fake", tmp_path).fingerprint() == manifest.fingerprint()


# The store


def test_a_built_data_set_holds_the_data_sets_pictures(built, dataset, manifest):
    stored = built.open(dataset, manifest, dataset.side)
    for split, found in (("train", stored.train), ("test", stored.test)):
        np.testing.assert_array_equal(found, dataset.pictures(split))


def test_stored_pictures_cannot_be_changed(built, dataset, manifest):
    with pytest.raises(ValueError, match="read-only"):
        built.open(dataset, manifest, dataset.side).train[0] = 0


def test_the_store_knows_what_it_has(store, dataset, manifest):
    before = store.has(dataset, manifest, dataset.side)
    build(store, dataset, manifest)
    assert (before, store.has(dataset, manifest, dataset.side)) == (False, True)


def test_another_content_under_the_same_name_lives_elsewhere(built, dataset, manifest):
    rows = manifest.rows.copy()
    rows.loc[0, "sha256"] = "0" * 64
    assert not built.has(dataset, replace(manifest, rows=rows), dataset.side)


def test_building_reports_every_picture(store, dataset, manifest):
    said = []
    build(store, dataset, manifest, lambda done, total: said.append((done, total)))
    assert said == [(i, 10) for i in range(1, 11)]


def test_building_twice_gives_the_same_bytes(built, dataset, manifest, folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    build(built, dataset, manifest)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.fixture
def refused(built, dataset, manifest):
    """Opens the built data set, and gives the error that must come of it."""

    def error():
        with pytest.raises(IntegrityError) as caught:
            built.open(dataset, manifest, dataset.side)
        return caught.value

    return error


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("place", [0, 100, -1])
def test_one_wrong_byte_is_refused_naming_the_file(folder, refused, split, place):
    path = folder / f"{split}.u8"
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    assert f"{path} is damaged" in refused().message


@pytest.mark.parametrize("length", [0, 1, -1])
def test_a_file_cut_short_is_refused_with_both_lengths(folder, refused, length):
    path = folder / "test.u8"
    path.write_bytes(path.read_bytes()[:length])
    assert f"expected 300 bytes, found {length % 300} bytes" in refused().message


def test_a_file_that_is_too_long_is_refused(folder, refused):
    path = folder / "test.u8"
    path.write_bytes(path.read_bytes() + b"\0")
    assert "found 301 bytes" in refused().message


def test_a_missing_file_is_refused(folder, refused):
    (folder / "train.u8").unlink()
    assert "found no file" in refused().message


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "3", "null", "{}", '{"train": {}}', '{"train": {"shape": 3}}', '{"train": {"shape": ["x"]}}'],
)
def test_a_broken_index_is_refused_naming_it(folder, refused, text):
    path = folder / "index.json"
    path.write_text(text)
    assert str(path) in refused().message


def test_an_index_of_other_pictures_is_refused(folder, refused):
    path = folder / "index.json"
    index = json.loads(path.read_text())
    index["train"]["shape"][0] -= 1
    path.write_text(json.dumps(index))
    assert "train.u8" in refused().message


@pytest.mark.parametrize("name", ["train.u8", "test.u8", "index.json"])
def test_every_refusal_says_what_to_do(folder, refused, name):
    (folder / name).write_bytes(b"damaged")
    assert refused().hint.startswith(f"Delete {folder}")


def test_after_deleting_a_damaged_folder_it_is_built_again(built, dataset, manifest, folder):
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    stored = build(built, dataset, manifest).open(dataset, manifest, dataset.side)
    assert hashlib.sha256(stored.test[3].tobytes()).hexdigest() == manifest.hashes("test")[3]


def other_test_picture(manifest):
    """A manifest in which ``test/2`` has another content."""
    rows = manifest.rows.copy()
    rows.loc[rows["sample"] == "test/2", "sha256"] = "0" * 64
    return replace(manifest, rows=rows)


def test_a_picture_that_is_not_the_manifests_is_refused_by_name(store, dataset, manifest):
    with pytest.raises(IntegrityError, match="test/2 is not the picture in the manifest"):
        build(store, dataset, other_test_picture(manifest))


def test_a_drawing_that_is_not_the_manifests_says_which_versions_are_needed():
    dataset, manifest = mini_dataset("digits"), read_manifest("digits")
    first = dataset.collect(Places()).entries[0]
    with pytest.raises(IntegrityError, match=re.escape(manifest.samples("train")[0])) as caught:
        first.original.verified("0" * 64)
    assert "requirements.lock" in caught.value.hint


def test_a_refused_data_set_does_not_count_as_built(store, dataset, manifest):
    other = other_test_picture(manifest)
    with pytest.raises(IntegrityError):
        build(store, dataset, other)
    assert not store.has(dataset, other, dataset.side)


@pytest.mark.parametrize(
    ("test", "said"), [(5, "1 pictures are not in the manifest"), (3, "1 of the manifest's 10 pictures are not there")]
)
def test_samples_that_are_not_the_manifests_are_refused(store, manifest, test, said):
    with pytest.raises(IntegrityError, match=f"fake: {said}"):
        build(store, FakeDataSet(test=test), manifest)


@pytest.mark.parametrize("change", [-1, 1])
def test_a_data_set_with_more_or_fewer_pictures_than_samples_is_not_stored(store, dataset, manifest, change):
    other = FakeDataSet(test=4 + change).collect()
    with pytest.raises(ValueError, match="zip"):
        store.build(dataset, manifest, Collection(other.entries, "unchecked"), dataset.side, silent)
    assert not store.has(dataset, manifest, dataset.side)


def test_the_stores_place_can_be_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("VLCL_STORE", str(tmp_path))
    assert default_root() == tmp_path


def test_the_stores_place_is_else_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.delenv("VLCL_STORE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_root() == tmp_path / "vlcl-bench" / "store"


# Data sets of the mini world


@pytest.mark.parametrize("name", MINI)
def test_labels_follow_the_order_of_the_classes(name):
    dataset = mini_dataset(name)
    for split in SPLITS:
        labels = [label for _, label in samples(dataset, split)]
        assert labels == sorted(labels)
        assert set(labels) == set(range(len(dataset.class_names)))


@pytest.mark.parametrize("name", [name for name in MINI if mini_dataset(name).domain.source.startswith("sketch")])
def test_a_sketch_is_labelled_with_the_class_that_its_id_names(name):
    dataset = mini_dataset(name)
    for split in SPLITS:
        for sample, label in samples(dataset, split):
            assert sample.split("/")[2] == dataset.class_names[label]


def test_a_digit_is_labelled_with_the_digit_that_was_written():
    from sklearn.datasets import load_digits

    written = load_digits().target
    for split in SPLITS:
        for sample, label in samples(mini_dataset("digits"), split):
            assert written[int(sample.split("/")[1].split("@")[0])] == label


def test_digit_classes_are_named_from_zero_to_nine():
    assert [name[0] for name in mini_dataset("digits").class_names] == list("0123456789")


@pytest.mark.parametrize("name", MINI)
def test_sample_ids_are_unique(name):
    dataset = mini_dataset(name)
    ids = [sample for split in SPLITS for sample, _ in samples(dataset, split)]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", MINI)
def test_every_class_has_as_many_pictures_as_every_other(name):
    dataset = mini_dataset(name)
    for split, expected in (("train", 40), ("test", 25)):
        counts = np.bincount([label for _, label in samples(dataset, split)])
        assert counts.tolist() == [expected] * len(dataset.class_names)


@pytest.mark.parametrize("name", MINI)
def test_a_committed_manifest_holds_the_data_sets_samples(name):
    dataset, manifest = mini_dataset(name), read_manifest(name)
    assert manifest.class_names == dataset.class_names
    for split in SPLITS:
        assert list(zip(manifest.samples(split), manifest.labels(split), strict=True)) == samples(dataset, split)


@pytest.mark.parametrize("name", MINI)
def test_no_content_hash_occurs_twice_in_a_committed_manifest(name):
    assert read_manifest(name).rows["sha256"].is_unique


def test_pictures_come_in_the_order_of_the_samples():
    dataset = mini_dataset("digits")
    drawn = [entry.original for entry in dataset.collect(Places()).entries if entry.split == "test"]
    found = [hashlib.sha256(original.load()[1].tobytes()).hexdigest() for original in drawn[:3]]
    assert found == read_manifest("digits").hashes("test")[:3]


@pytest.mark.parametrize("name", MINI)
def test_every_data_set_has_a_card_and_templates_with_a_place_for_the_class(name):
    dataset = open_dataset("mini", name)
    card = dataset.card
    assert all((card.title, card.description, card.licence, card.source))
    assert dataset.templates
    assert all("{c}" in template for template in dataset.templates)


def test_drawings_of_openmoji_carry_their_licence():
    assert "CC BY-SA 4.0" in mini_dataset("gestures").card.licence


def test_an_unknown_data_set_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match="Did you mean 'plants'"):
        open_dataset("mini", "plant")


def test_an_unknown_source_is_refused():
    with pytest.raises(UsageError, match="no data source 'hub'"):
        open_dataset("hub", "plants")
