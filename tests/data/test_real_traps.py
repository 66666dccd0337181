from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat
from support.layouts_fixture import build, lines, shrunken

from vlcl_bench.data.originals import FilePicture
from vlcl_bench.data.real.assemble import assemble
from vlcl_bench.data.real.catalogue import spec_of
from vlcl_bench.data.real.hub_labels import label_map
from vlcl_bench.data.real.layouts import LAYOUTS, locate
from vlcl_bench.data.real.spec import Entry, RealSpec
from vlcl_bench.errors import IntegrityError


def refusal(root: Path, spec: RealSpec) -> str:
    with pytest.raises(IntegrityError) as caught:
        assemble(spec, LAYOUTS[spec.layout](locate(spec, root), spec))
    assert caught.value.hint
    return str(caught.value)


def pictures(spec: RealSpec, **counts: int) -> list[Entry]:
    """So many pictures of each split, classes taking turns."""
    classes = len(spec.class_names)
    return [
        Entry(f"{split}/n{n:06d}.jpg", split, n % classes, FilePicture("-"))  # type: ignore[arg-type]
        for split, count in counts.items()
        for n in range(count)
    ]


@pytest.mark.parametrize(
    ("name", "train", "test", "why"),
    [
        ("aircraft", 6667, 3333, "trainval"),
        ("aircraft", 3333, 3334, "exchanged"),
        ("dtd", 3760, 1880, "train and val joined"),
        ("dtd", 2820, 1692, "CoOp"),
        ("flowers102", 2040, 6149, "train and val joined"),
        ("flowers102", 6149, 1020, "exchanged"),
        ("flowers102", 7169, 1020, "sorted as text"),
        ("flowers102", 4093, 2463, "CoOp"),
        ("food101", 50500, 30300, "CoOp"),
        ("oxford_pets", 2944, 3669, "CoOp"),
        ("oxford_pets", 3669, 3680, "exchanged"),
        ("stanford_cars", 6509, 8041, "CoOp"),
        ("stanford_cars", 8041, 8144, "exchanged"),
        ("cifar100", 45000, 10000, "held out"),
        ("mnist", 50000, 10000, "held out"),
    ],
)
def test_a_known_wrong_split_is_explained(name: str, train: int, test: int, why: str) -> None:
    spec = spec_of(name)
    with pytest.raises(IntegrityError, match=why) as caught:
        assemble(spec, pictures(spec, train=train, test=test))
    assert f"found {train:,} training pictures, expected {spec.train:,}" in caught.value.message


@pytest.mark.parametrize(
    ("name", "found", "why"),
    [
        ("caltech101", 9144, "background"),
        ("caltech101", 2753, "TFDS"),
        ("caltech101", 4128, "CoOp"),
        ("eurosat", 16200, "hub"),
        ("eurosat", 13500, "CoOp"),
        ("sun397", 19850, "official partition 1"),
        ("sun397", 39700, "official partition 1"),
        ("sun397", 76128, "TFDS"),
        ("sun397", 15880, "CoOp"),
    ],
)
def test_a_known_wrong_pool_is_explained(name: str, found: int, why: str) -> None:
    spec = spec_of(name).model_copy(update={"sample_pattern": None})
    with pytest.raises(IntegrityError, match=why) as caught:
        assemble(spec, pictures(spec, pool=found))
    assert f"found {found:,} pictures, expected {spec.pool:,}" in caught.value.message


def test_any_other_count_is_refused_too() -> None:
    spec = spec_of("dtd")
    with pytest.raises(IntegrityError, match="found 1,881 training pictures, expected 1,880") as caught:
        assemble(spec, pictures(spec, train=1881, test=1880))
    assert caught.value.message.endswith("1,880")
    assert "official archive" in (caught.value.hint or "")


def test_the_vtab_copy_of_caltech_has_a_class_too_many() -> None:
    spec = spec_of("caltech101")
    entries = [replace(entry, label=index % 102) for index, entry in enumerate(pictures(spec, pool=8677))]
    with pytest.raises(IntegrityError, match=r"label 101, expected 0 to 100: 102 classes are those of TFDS and VTAB"):
        assemble(spec, entries)


@pytest.mark.parametrize(("shift", "why"), [(-1, "subtracted twice"), (1, "torchvision 0.12")])
def test_flowers_counted_from_the_wrong_number_are_explained(shift: int, why: str, tmp_path: Path) -> None:
    spec = spec_of("flowers102")
    entries = [replace(entry, label=entry.label + shift) for entry in pictures(spec, train=1020, test=6149)]
    with pytest.raises(IntegrityError, match=why):
        assemble(spec, entries)


def test_an_imagelabels_file_that_counts_from_0_is_refused(tmp_path: Path) -> None:
    spec = shrunken("flowers102")
    folder = build(tmp_path, spec)
    labels = loadmat(folder / "imagelabels.mat")["labels"].astype(np.uint8)
    savemat(folder / "imagelabels.mat", {"labels": labels - 1})
    assert "label -1, expected 0 to 2: labels of imagelabels.mat count from 1" in refusal(tmp_path, spec)


def test_a_label_file_of_another_order_is_noticed_by_the_counts_of_its_classes(tmp_path: Path) -> None:
    spec = shrunken("flowers102", train_per_class=(3, 3, 3))
    folder = build(tmp_path, spec)
    labels = loadmat(folder / "imagelabels.mat")["labels"]
    labels[0, :2] = labels[0, 0]
    savemat(folder / "imagelabels.mat", {"labels": labels})
    assert "class 0 (pink primrose) has 4 training pictures, expected 3; 2 of 3 classes differ" in refusal(
        tmp_path, spec
    )


@pytest.mark.parametrize(
    ("name", "gone", "said"),
    [
        ("aircraft", "data/images/0000010.jpg", "0000010.jpg is missing, the first of 1 of the 15 pictures"),
        ("dtd", "images/banded/banded_0010.jpg", "banded_0010.jpg is missing"),
        ("flowers102", "jpg/image_00015.jpg", "image_00015.jpg is missing"),
        ("food101", "images/apple_pie/1.jpg", "1.jpg is missing"),
        ("oxford_pets", "images/Abyssinian_1.jpg", "Abyssinian_1.jpg is missing"),
        ("stanford_cars", "cars_test/00015.jpg", "00015.jpg is missing"),
        ("aircraft", "data/variants.txt", "variants.txt is missing"),
        ("flowers102", "setid.mat", "setid.mat is missing"),
        ("cifar100", "test", "test is missing"),
        ("mnist", "t10k-labels-idx1-ubyte.gz", "t10k-labels-idx1-ubyte is missing"),
        ("sun397", "ClassName.txt", "ClassName.txt is missing"),
        ("stanford_cars", "cars_test_annos_withlabels.mat", "cars_test_annos.mat of the devkit has no labels"),
    ],
)
def test_a_missing_file_is_named(name: str, gone: str, said: str, tmp_path: Path) -> None:
    spec = shrunken(name)
    (build(tmp_path, spec) / gone).unlink()
    assert said in refusal(tmp_path, spec)


def test_a_missing_picture_of_a_pool_is_counted(tmp_path: Path) -> None:
    spec = shrunken("caltech101")
    (build(tmp_path, spec) / "Leopards/image_0003.jpg").unlink()
    assert "found 14 pictures, expected 15" in refusal(tmp_path, spec)


@pytest.mark.parametrize(
    ("name", "folder", "said"),
    [
        ("eurosat", "Forest", "has 2 classes, expected 3: 'Forest' is not there"),
        ("caltech101", "Faces_easy", "'Faces_easy' is not there"),
        ("imagenet_r", "n01484850", "'n01484850' is not there"),
        ("sun397", "a/airplane_cabin", "the class folder"),
    ],
)
def test_a_missing_class_folder_is_named(name: str, folder: str, said: str, tmp_path: Path) -> None:
    spec = shrunken(name)
    place = build(tmp_path, spec)
    (place / folder).rename(tmp_path / "elsewhere")
    message = refusal(tmp_path, spec)
    assert said in message
    assert folder.split("/")[-1] in message


def test_an_empty_class_folder_is_named(tmp_path: Path) -> None:
    spec = shrunken("eurosat")
    for path in (build(tmp_path, spec) / "Forest").iterdir():
        path.unlink()
    assert "found 10 pictures, expected 15: none is of class 'forest'" in refusal(tmp_path, spec)


def test_a_class_without_test_pictures_is_named() -> None:
    spec = shrunken("dtd", train=None, test=None, train_per_class=None, test_per_class=None)
    entries = [entry for entry in pictures(spec, train=9, test=9) if (entry.split, entry.label) != ("test", 1)]
    with pytest.raises(IntegrityError, match="1 of 3 classes have no test pictures: 'blotchy'"):
        assemble(spec, entries)


def test_a_folder_that_is_no_class_is_named(tmp_path: Path) -> None:
    spec = shrunken("eurosat")
    (build(tmp_path, spec) / "Sea").mkdir()
    assert "has 4 classes, expected 3: 'Sea' is none of them" in refusal(tmp_path, spec)


def test_exchanged_lists_are_noticed(tmp_path: Path) -> None:
    spec = shrunken("aircraft")
    data = build(tmp_path, spec) / "data"
    (data / "images_variant_train.txt").rename(data / "other.txt")
    (data / "images_variant_test.txt").rename(data / "images_variant_train.txt")
    (data / "other.txt").rename(data / "images_variant_test.txt")
    assert "found 6 training pictures, expected 9" in refusal(tmp_path, spec)


def test_training_pictures_in_the_test_list_are_noticed(tmp_path: Path) -> None:
    spec = shrunken("dtd")
    labels = build(tmp_path, spec) / "labels"
    (labels / "test1.txt").write_text((labels / "train1.txt").read_text())
    assert "9 pictures are listed twice, the first is images/banded/banded_0001.jpg" in refusal(tmp_path, spec)


@pytest.mark.parametrize(("name", "file"), [("aircraft", "data/variants.txt"), ("sun397", "ClassName.txt")])
def test_a_reordered_list_of_classes_is_refused(name: str, file: str, tmp_path: Path) -> None:
    spec = shrunken(name)
    lines(build(tmp_path, spec) / file, sorted(spec.names_in_source, reverse=True))
    assert "the same names stand in another order: number 0 is" in refusal(tmp_path, spec)


def test_families_of_aircraft_in_place_of_variants_are_explained(tmp_path: Path) -> None:
    spec = shrunken("aircraft")
    lines(build(tmp_path, spec) / "data/variants.txt", [f"family {n}" for n in range(70)])
    assert "70 is the number of families" in refusal(tmp_path, spec)


def test_a_shifted_label_of_a_pet_is_refused(tmp_path: Path) -> None:
    spec = shrunken("oxford_pets")
    path = build(tmp_path, spec) / "annotations/trainval.txt"
    path.write_text(path.read_text().replace("american_bulldog_2 2 1 1", "american_bulldog_2 3 1 1"))
    assert "gives american_bulldog_2 the label 3, which stands for 'american_pit_bull_terrier'" in refusal(
        tmp_path, spec
    )


def test_a_dish_in_the_wrong_class_is_refused(tmp_path: Path) -> None:
    spec = shrunken("food101")
    path = build(tmp_path, spec) / "meta/train.json"
    found = json.loads(path.read_text())
    found["apple_pie"], found["baklava"] = found["baklava"], found["apple_pie"]
    path.write_text(json.dumps(found))
    assert "under 'apple_pie'" in refusal(tmp_path, spec)


def test_car_annotations_without_labels_are_refused(tmp_path: Path) -> None:
    spec = shrunken("stanford_cars")
    folder = build(tmp_path, spec)
    bare = np.array([[("00010.jpg",)]], dtype=[("fname", object)])
    savemat(folder / "cars_test_annos_withlabels.mat", {"annotations": bare})
    assert "has no labels" in refusal(tmp_path, spec)


def test_cars_whose_labels_count_from_0_are_explained(tmp_path: Path) -> None:
    spec = spec_of("stanford_cars")
    entries = [replace(entry, label=entry.label - 1) for entry in pictures(spec, train=8144, test=8041)]
    with pytest.raises(IntegrityError, match="count from 0 already"):
        assemble(spec, entries)


def test_an_archive_that_spells_a_class_otherwise_is_refused(tmp_path: Path) -> None:
    spec = spec_of("cifar100")
    folder = tmp_path / spec.folders[0]
    folder.mkdir()
    names = ["cra" if name == "crab" else name for name in spec.names_in_source]
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": names}))
    assert "'crab' is not there, and 'cra' is none of them" in refusal(tmp_path, spec)


def test_the_typing_error_of_the_hubs_cifar_is_known() -> None:
    spec = spec_of("cifar100")
    names = ["cra" if name == "crab" else name for name in spec.names_in_source]
    assert label_map(names, spec) == list(range(100))
    assert "crab" in spec.class_names
    assert "cra" not in spec.class_names


@pytest.mark.parametrize("kept", [0, 100, 0.5])
@pytest.mark.parametrize("name", ["cifar100", "mnist", "stanford_cars", "flowers102"])
def test_a_list_or_archive_that_was_cut_short_is_refused_by_name(name: str, kept: float, tmp_path: Path) -> None:
    file = {
        "cifar100": "train",
        "mnist": "train-images-idx3-ubyte",
        "stanford_cars": "devkit/cars_train_annos.mat",
        "flowers102": "imagelabels.mat",
    }[name]
    spec = shrunken(name)
    path = build(tmp_path, spec) / file
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept) if kept < 1 else int(kept)])
    assert path.name in refusal(tmp_path, spec)


def test_a_pool_without_the_archives_names_cannot_be_split() -> None:
    spec = spec_of("sun397")
    entries = [replace(entry, sample=f"pool/{n}") for n, entry in enumerate(pictures(spec, pool=397))]
    with pytest.raises(IntegrityError, match="not its name in the official archive"):
        assemble(spec, entries)


def test_the_ids_of_a_copy_of_eurosat_must_be_the_archives() -> None:
    spec = spec_of("eurosat")
    entries = [replace(entry, sample=f"image_{n}") for n, entry in enumerate(pictures(spec, pool=27000))]
    with pytest.raises(IntegrityError, match=r"is called 'image_0', which is not its name"):
        assemble(spec, entries)
