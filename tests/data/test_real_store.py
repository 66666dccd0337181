"""Real pictures in the store: test pictures are decoded once, training pictures come from their original bytes."""

import json
import tomllib
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from support.harness import flip
from support.zoo import PROTOCOL, TEST, TRAIN, make_zoo, noise

from vlcl_bench.common.progress import Reporter
from vlcl_bench.data.interface import Collection, DataCard, DataSet, Places
from vlcl_bench.data.originals import ArrayPicture, FilePicture
from vlcl_bench.data.pictures import EncodedPictures, SmallPictures
from vlcl_bench.data.real.dataset import RealDataSet
from vlcl_bench.data.real.spec import Entry, RealSpec
from vlcl_bench.data.store import Store
from vlcl_bench.data.transforms import Augmentation, crop_box, evaluation_crop, training_crop
from vlcl_bench.data.verify import aligned, first_manifest
from vlcl_bench.engine.pictures import data_origin, describe_data, open_store
from vlcl_bench.errors import IntegrityError, UsageError
from vlcl_bench.protocols.load import load_protocol

SIDE = 8
SPEC = RealSpec.model_validate(tomllib.loads(PROTOCOL)["data"][0])


def silent(done, total):
    """A report that says nothing."""


@pytest.fixture
def root(tmp_path):
    return make_zoo(tmp_path / "data")


@pytest.fixture
def dataset():
    return RealDataSet(SPEC)


@pytest.fixture
def found(dataset, root):
    return dataset.collect(Places(root))


@pytest.fixture
def manifest(dataset, found):
    return first_manifest(dataset, found, silent)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def decoded(monkeypatch):
    """How often each file was decoded."""
    counts, original = Counter(), FilePicture.load

    def load(self):
        counts["/".join(self.path.split("/")[-3:])] += 1
        return original(self)

    monkeypatch.setattr(FilePicture, "load", load)
    return counts


def of_split(found, split):
    return [entry for entry in found.entries if entry.split == split]


def opened(store, dataset, manifest, found, side=SIDE):
    if not store.has(dataset, manifest, side):
        store.build(dataset, manifest, aligned(dataset, manifest, found), side, silent)
    return store.open(dataset, manifest, side, of_split(aligned(dataset, manifest, found), "train"))


# Large sets: test pictures decoded, training pictures from their bytes


def test_the_folders_pictures_have_their_labels_and_names(found):
    assert [(entry.split, entry.label) for entry in found.entries] == (
        [("train", 0)] * TRAIN + [("train", 1)] * TRAIN + [("test", 0)] * TEST + [("test", 1)] * TEST
    )
    assert found.entries[0].sample == "train/red fox/0.png"
    assert found.origin == "folder"


def test_test_pictures_are_kept_under_the_protocols_transform(store, dataset, manifest, found):
    stored = opened(store, dataset, manifest, found)
    ordered = aligned(dataset, manifest, found)
    expected = [evaluation_crop(entry.original.load()[1], SIDE) for entry in of_split(ordered, "test")]
    np.testing.assert_array_equal(stored.test, np.stack(expected))
    assert not stored.test.flags.writeable


def test_test_pictures_are_decoded_once_and_never_again(store, dataset, manifest, found, decoded):
    opened(store, dataset, manifest, found)
    assert decoded == {entry.sample: 1 for entry in of_split(found, "test")}
    decoded.clear()
    stored = opened(store, dataset, manifest, found)
    assert stored.test.sum() > 0
    assert not decoded


def test_training_pictures_come_from_their_original_bytes(store, dataset, manifest, found, decoded):
    stored = opened(store, dataset, manifest, found)
    decoded.clear()
    assert isinstance(stored.train, EncodedPictures)
    assert len(stored.train) == 2 * TRAIN
    augmentation = Augmentation(scale=(0.5, 1.0), ratio=(3 / 4, 4 / 3))
    rows, draws = np.array([5, 1]), np.random.default_rng(0).random((2, 10, 4))
    crops = stored.train.begin(rows, draws, augmentation)()
    ordered = of_split(aligned(dataset, manifest, found), "train")
    assert set(decoded) == {ordered[row].sample for row in rows}
    for crop, row, draw in zip(crops, rows, draws, strict=True):
        pixels = ordered[row].original.load()[1]
        box = crop_box(*pixels.shape[:2], augmentation, draw)
        np.testing.assert_array_equal(crop, training_crop(pixels, box, SIDE))


def test_the_store_of_a_large_set_holds_no_training_picture(store, dataset, manifest, found):
    opened(store, dataset, manifest, found)
    folder = store.folder(dataset, manifest, SIDE)
    assert sorted(path.name for path in folder.iterdir()) == ["index.json", "test.u8"]
    assert (folder / "test.u8").stat().st_size == 2 * TEST * SIDE * SIDE * 3


def test_a_replaced_test_picture_is_not_stored(store, dataset, manifest, found, root):
    path = root / "zoo" / "test" / "red fox" / "1.jpg"
    Image.fromarray(noise(9, 9, 99)).save(path)
    with pytest.raises(IntegrityError) as caught:
        opened(store, dataset, manifest, found)
    assert f"{path} is not the picture in the manifest" in caught.value.message
    assert not store.has(dataset, manifest, SIDE)


def test_a_truncated_test_picture_is_not_stored(store, dataset, manifest, found, root):
    path = root / "zoo" / "test" / "red fox" / "1.jpg"
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(IntegrityError, match=r"red fox/1\.jpg cannot be decoded"):
        opened(store, dataset, manifest, found)


# Where it is kept


def test_another_size_or_content_is_kept_elsewhere(store, dataset, manifest):
    rows = manifest.rows.copy()
    rows.loc[3, "sha256"] = "0" * 64
    folders = {
        store.folder(dataset, manifest, SIDE),
        store.folder(dataset, manifest, SIDE + 1),
        store.folder(dataset, replace(manifest, rows=rows), SIDE),
    }
    assert len(folders) == 3
    assert all(folder.parent == store.root and folder.name.startswith("zoo-") for folder in folders)


def test_the_place_does_not_depend_on_where_the_copy_came_from(store, dataset, manifest):
    other = replace(manifest, origin={"source": "hub owner/zoo@0123"}, status="committed")
    assert store.folder(dataset, manifest, SIDE) == store.folder(dataset, other, SIDE)


def test_two_sizes_live_side_by_side(store, dataset, manifest, found):
    small, large = (opened(store, dataset, manifest, found, side).test for side in (SIDE, 2 * SIDE))
    assert (small.shape[1:], large.shape[1:]) == ((SIDE, SIDE, 3), (2 * SIDE, 2 * SIDE, 3))


# Damage


@pytest.mark.parametrize("place", [0.0, 0.5, 0.999])
def test_a_damaged_array_is_refused(store, dataset, manifest, found, place):
    opened(store, dataset, manifest, found)
    folder = store.folder(dataset, manifest, SIDE)
    flip(folder / "test.u8", place)
    with pytest.raises(IntegrityError, match=r"test\.u8 is damaged") as caught:
        opened(store, dataset, manifest, found)
    assert caught.value.hint.startswith(f"Delete {folder}")


@pytest.mark.parametrize("text", ["", "{}", '{"train": {"shape": [1], "sha256": "0"}}', "[1]"])
def test_a_damaged_index_is_refused(store, dataset, manifest, found, text):
    opened(store, dataset, manifest, found)
    (store.folder(dataset, manifest, SIDE) / "index.json").write_text(text)
    with pytest.raises(IntegrityError) as caught:
        opened(store, dataset, manifest, found)
    assert caught.value.hint.startswith("Delete ")


def test_a_small_sets_index_without_its_training_pictures_is_refused(store):
    dataset = Tiny()
    manifest = first_manifest(dataset, dataset.collect(Places()), silent)
    opened(store, dataset, manifest, dataset.collect(Places()))
    path = store.folder(dataset, manifest, SIDE) / "index.json"
    index = json.loads(path.read_text())
    del index["train"]
    path.write_text(json.dumps(index))
    with pytest.raises(IntegrityError, match=r"index\.json is damaged: KeyError\('train'\)"):
        store.open(dataset, manifest, SIDE)


# Small sets


class Tiny(DataSet):
    """Grey 5 × 5 arrays, kept whole, as MNIST is."""

    name, class_names, templates = "tiny-digits", ("zero", "one"), ("{c}",)
    card = DataCard("tiny", "for tests", "none", "none")
    small = True

    def collect(self, places, manifest=None):
        rng = np.random.default_rng(0)
        return Collection(
            [
                Entry(
                    f"{split}/{i}", split, i % 2, ArrayPicture(f"{split} row {i}", rng.integers(0, 256, (5, 5), "u1"))
                )
                for split, count in (("train", 6), ("test", 4))
                for i in range(count)
            ],
            "arrays",
        )


@pytest.fixture
def tiny(store):
    dataset = Tiny()
    found = dataset.collect(Places())
    manifest = first_manifest(dataset, found, silent)
    return opened(store, dataset, manifest, found), dataset, manifest, found


def test_small_sets_are_kept_whole_in_their_own_size(tiny, store):
    stored, dataset, manifest, found = tiny
    assert isinstance(stored.train, SmallPictures)
    pixels = np.stack([entry.original.load()[1] for entry in of_split(found, "train")])
    np.testing.assert_array_equal(np.asarray(stored.train.pixels), pixels)
    expected = [evaluation_crop(entry.original.load()[1], SIDE) for entry in of_split(found, "test")]
    np.testing.assert_array_equal(stored.test, np.stack(expected))
    assert store.folder(dataset, manifest, SIDE).name.endswith(f"-{SIDE}")


def test_a_small_set_is_opened_without_its_originals(tiny, store, monkeypatch):
    _, dataset, manifest, _ = tiny
    monkeypatch.setattr(ArrayPicture, "load", lambda self: pytest.fail("a picture was decoded"))
    stored = store.open(dataset, manifest, SIDE)
    assert stored.train[np.array([0, 3])].shape == (2, SIDE, SIDE, 3)


def test_a_damaged_training_array_is_refused(tiny, store):
    _, dataset, manifest, _ = tiny
    flip(store.folder(dataset, manifest, SIDE) / "train.u8")
    with pytest.raises(IntegrityError, match=r"train\.u8 is damaged"):
        store.open(dataset, manifest, SIDE)


def test_a_set_kept_whole_must_be_of_one_size(store, dataset, manifest, found):
    dataset.small = True
    with pytest.raises(IntegrityError, match="must be of one size") as caught:
        store.build(dataset, manifest, aligned(dataset, manifest, found), SIDE, silent)
    assert "small = false" in caught.value.hint


# A protocol's data


@pytest.fixture
def protocol(tmp_path):
    path = tmp_path / "zoo.toml"
    path.write_text(PROTOCOL)
    return load_protocol(str(path))


def test_the_first_use_of_a_data_set_is_described_and_required_ever_after(protocol, root, store):
    with pytest.raises(IntegrityError, match="no manifest for data set 'zoo' yet"):
        _ = protocol.manifests
    describe_data(protocol, Places(root), Reporter())
    assert not protocol.missing_manifests()
    assert not protocol.frozen
    origin = data_origin(protocol.manifests[0])
    assert (origin.status, origin.source) == ("first-use", "folder")
    path = root / "zoo" / "train" / "snow_owl" / "0.jpg"
    Image.fromarray(noise(9, 9, 99)).save(path)
    (data,) = open_store(protocol, Places(root), store, Reporter())
    with pytest.raises(IntegrityError, match=r"snow_owl/0\.jpg is not the picture"):
        data.train[np.arange(6)]


def test_a_second_opening_of_a_protocols_store_decodes_nothing(protocol, root, store, decoded):
    describe_data(protocol, Places(root), Reporter())
    decoded.clear()
    (first,) = open_store(protocol, Places(root), store, Reporter())
    assert sum(decoded.values()) == 2 * TEST
    decoded.clear()
    (second,) = open_store(protocol, Places(root), store, Reporter())
    assert not decoded
    np.testing.assert_array_equal(first.test, second.test)


def test_a_stream_of_small_sets_needs_no_copy_once_it_is_stored(root, store, tmp_path):
    for number, path in enumerate(sorted(root.rglob("*.*"))):
        path.unlink()
        Image.fromarray(noise(6, 7, number)).save(path.with_suffix(".png"))
    (tmp_path / "zoo.toml").write_text(PROTOCOL + "small = true\n")
    protocol = load_protocol(str(tmp_path / "zoo.toml"))
    describe_data(protocol, Places(root), Reporter())
    open_store(protocol, Places(root), store, Reporter())
    (tmp_path / "empty").mkdir()
    (stored,) = open_store(protocol, Places(tmp_path / "empty"), store, Reporter())
    assert stored.train[np.arange(6)].shape == (6, SIDE, SIDE, 3)


def test_where_the_copy_is_missing_the_exact_place_is_named(protocol, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError) as caught:
        describe_data(protocol, Places(tmp_path / "empty"), Reporter())
    assert str(tmp_path / "empty" / "zoo") in caught.value.hint
