from __future__ import annotations

import collections
import pickle
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from support.layouts_fixture import COUNTS, EACH, build, picture, shrunken

from vlcl_bench.data.real.assemble import assemble
from vlcl_bench.data.real.catalogue import spec_of
from vlcl_bench.data.real.layouts import LAYOUTS, locate
from vlcl_bench.data.real.spec import Entry, RealSpec
from vlcl_bench.errors import IntegrityError, UsageError

OFFICIAL = ["aircraft", "cifar100", "dtd", "flowers102", "food101", "mnist", "oxford_pets", "stanford_cars"]
POOLED = ["caltech101", "eurosat", "sun397", "imagenet_r"]
EUROSAT = Path(__file__).parents[3] / "shared/data/raw/eurosat_rgb.tar"


def read(root: Path, spec: RealSpec) -> list[Entry]:
    return LAYOUTS[spec.layout](locate(spec, root), spec)


def collect(root: Path, spec: RealSpec) -> list[Entry]:
    return assemble(spec, read(root, spec))


@pytest.mark.parametrize("name", OFFICIAL)
def test_an_official_tree_gives_its_lists_with_the_right_labels(name: str, tmp_path: Path) -> None:
    spec = shrunken(name)
    build(tmp_path, spec)
    entries = collect(tmp_path, spec)
    assert [entry.split for entry in entries] == ["train"] * 9 + ["test"] * 6
    for split, count in COUNTS.items():
        labels = [entry.label for entry in entries if entry.split == split]
        assert collections.Counter(labels) == dict.fromkeys(range(3), count)
    assert {entry.original.load()[1].shape[2] for entry in entries} == {3}


@pytest.mark.parametrize(
    ("name", "samples"),
    [
        ("aircraft", ["data/images/0000001.jpg", "data/images/0000015.jpg"]),
        ("cifar100", ["train/0", "test/5"]),
        ("dtd", ["images/banded/banded_0001.jpg", "images/braided/braided_0015.jpg"]),
        ("flowers102", ["jpg/image_00001.jpg", "jpg/image_00015.jpg"]),
        ("food101", ["images/apple_pie/1.jpg", "images/baklava/15.jpg"]),
        ("mnist", ["train/0", "test/5"]),
        ("oxford_pets", ["images/Abyssinian_1.jpg", "images/american_pit_bull_terrier_15.jpg"]),
        ("stanford_cars", ["cars_train/00001.jpg", "cars_test/00015.jpg"]),
    ],
)
def test_sample_ids_are_paths_in_the_official_archive(name: str, samples: list[str], tmp_path: Path) -> None:
    spec = shrunken(name)
    build(tmp_path, spec)
    entries = collect(tmp_path, spec)
    assert [entries[0].sample, entries[-1].sample] == samples
    assert [entries[0].label, entries[-1].label] == [0, 2]


@pytest.mark.parametrize("name", ["cifar100", "mnist"])
def test_packed_pictures_keep_rows_and_columns_apart(name: str, tmp_path: Path) -> None:
    spec = shrunken(name)
    build(tmp_path, spec)
    for number, entry in enumerate(collect(tmp_path, spec), start=1):
        pixels = entry.original.load()[1]
        assert pixels[0, 1, 0] == number
        assert pixels[..., 0].sum() == number
        assert entry.label == (number - 1) % 3


@pytest.mark.parametrize("name", POOLED)
def test_a_pool_is_split_as_random_split_splits_it(name: str, tmp_path: Path) -> None:
    spec = shrunken(name)
    build(tmp_path, spec)
    pool = read(tmp_path, spec)
    assert [entry.split for entry in pool] == ["pool"] * 15
    entries = assemble(spec, pool)
    if name == "imagenet_r":
        groups = [[entry.sample for entry in pool if entry.label == label] for label in range(3)]
    else:
        groups = [[entry.sample for entry in pool]]
    train: set[str] = set()
    for group in groups:
        sizes = [len(group) * 4 // 5, len(group) - len(group) * 4 // 5]
        first, _ = torch.utils.data.random_split(group, sizes, torch.Generator().manual_seed(42))  # type: ignore[var-annotated,arg-type]
        train |= set(first)
    assert {entry.sample for entry in entries if entry.split == "train"} == train
    base = [entry.sample for entry in pool]
    assert [entry.sample for entry in entries] == [s for s in base if s in train] + [s for s in base if s not in train]


def test_the_split_does_not_depend_on_the_order_in_which_pictures_were_found(tmp_path: Path) -> None:
    spec = shrunken("sun397")
    build(tmp_path, spec)
    pool = read(tmp_path, spec)
    assert [(e.sample, e.split) for e in assemble(spec, pool)] == [
        (e.sample, e.split) for e in assemble(spec, pool[::-1])
    ]


def test_sun_is_sorted_by_class_and_file_name(tmp_path: Path) -> None:
    spec = shrunken("sun397", classes=9)
    build(tmp_path, spec)
    samples = [entry.sample for entry in read(tmp_path, spec)]
    assert samples == sorted(samples)
    assert "a/apartment_building/outdoor/sun_0001.jpg" in samples


def test_eurosat_is_sorted_as_text_not_as_numbers(tmp_path: Path) -> None:
    spec = shrunken("eurosat").model_copy(update={"pool": None, "pool_per_class": None})
    folder = build(tmp_path, spec)
    for number in (10, 11, 100):
        picture(folder / f"Forest/Forest_{number}.jpg", number)
    forest = [entry.sample for entry in read(tmp_path, spec) if entry.label == 1]
    assert forest[:5] == [f"Forest/Forest_{number}.jpg" for number in (1, 10, 100, 11, 2)]


@pytest.mark.parametrize("name", ["imagenet", "tiny_imagenet"])
def test_auxiliary_sets_have_training_pictures_only(name: str, tmp_path: Path) -> None:
    spec = shrunken(name)
    build(tmp_path, spec)
    entries = collect(tmp_path, spec)
    assert {entry.split for entry in entries} == {"train"}
    assert len(entries) == 3 * EACH
    inside = "/images" if name == "tiny_imagenet" else ""
    assert entries[0].sample == f"{spec.names_in_source[0]}{inside}/image_0001.jpg"


def test_the_generic_layout_serves_streams_of_ones_own(tmp_path: Path) -> None:
    spec = RealSpec(
        name="mine",
        title="Mine",
        layout="folder",
        folders=("mine",),
        class_names=("cat", "dog"),
        source_names=("1", "0"),
        templates=("a {c}.",),
        licence="mine",
        source="https://example.org",
        train=6,
        test=4,
    )
    build(tmp_path, spec)
    entries = collect(tmp_path, spec)
    assert [entry.label for entry in entries] == [0] * 3 + [1] * 3 + [0] * 2 + [1] * 2
    assert entries[0].sample == "train/1/1.jpg"


@pytest.mark.parametrize("name", [*OFFICIAL, *POOLED, "imagenet", "tiny_imagenet"])
def test_every_alternative_folder_gives_the_same_ids(name: str, tmp_path: Path) -> None:
    spec = shrunken(name, classes=2)
    found = []
    for number, folder in enumerate(spec.folders):
        root = tmp_path / str(number)
        build(root, spec, folder)
        found.append([(entry.sample, entry.split, entry.label) for entry in collect(root, spec)])
    assert all(entries == found[0] for entries in found)


def test_files_that_are_no_pictures_are_passed_over(tmp_path: Path) -> None:
    spec = shrunken("caltech101")
    folder = build(tmp_path, spec)
    for junk in ("._image_0001.jpg", "Thumbs.db", ".DS_Store", "notes.txt"):
        (folder / "Faces" / junk).write_bytes(b"junk")
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / "__MACOSX").mkdir()
    assert len(collect(tmp_path, spec)) == 15


def test_the_background_folder_of_caltech_is_left_out(tmp_path: Path) -> None:
    spec = shrunken("caltech101")
    folder = build(tmp_path, spec)
    assert (folder / "BACKGROUND_Google").is_dir()
    assert not [entry for entry in collect(tmp_path, spec) if "BACKGROUND" in entry.sample]


def test_suffixes_in_capitals_are_pictures(tmp_path: Path) -> None:
    spec = shrunken("imagenet")
    folder = build(tmp_path, spec)
    for path in list(folder.rglob("*.jpg")):
        path.rename(path.with_suffix(".JPEG"))
    assert len(collect(tmp_path, spec)) == 15


def test_aircraft_without_the_folder_data_has_the_same_ids(tmp_path: Path) -> None:
    spec = shrunken("aircraft")
    folder = build(tmp_path, spec, "fgvc_aircraft")
    for path in (folder / "data").iterdir():
        path.rename(folder / path.name)
    (folder / "data").rmdir()
    entries = collect(tmp_path, spec)
    assert entries[0].sample == "data/images/0000001.jpg"
    assert entries[0].original.load()[1].shape == (6, 8, 3)


def test_labels_of_cars_may_lie_in_the_devkit_or_beside_it(tmp_path: Path) -> None:
    spec = shrunken("stanford_cars")
    folder = build(tmp_path, spec)
    wanted = [(entry.sample, entry.label) for entry in collect(tmp_path, spec)]
    (folder / "cars_test_annos_withlabels.mat").rename(folder / "devkit/cars_test_annos_withlabels.mat")
    (folder / "devkit/cars_train_annos.mat").rename(folder / "cars_train_annos.mat")
    assert [(entry.sample, entry.label) for entry in collect(tmp_path, spec)] == wanted


def test_torchvision_reads_the_same_trees_alike(tmp_path: Path) -> None:
    datasets, root = torchvision.datasets, str(tmp_path)
    for name in ("aircraft", "dtd", "food101", "oxford_pets", "stanford_cars"):
        build(tmp_path, shrunken(name))
    (tmp_path / "oxford-iiit-pet/annotations/trimaps").mkdir()  # torchvision wants it to be there
    for split in COUNTS:
        theirs = {
            "aircraft": datasets.FGVCAircraft(root, split),
            "dtd": datasets.DTD(root, split),
            "food101": datasets.Food101(root, split),
            "oxford_pets": datasets.OxfordIIITPet(root, "trainval" if split == "train" else "test"),
            "stanford_cars": datasets.StanfordCars(root, split),
        }
        for name, dataset in theirs.items():
            entries = [entry for entry in collect(tmp_path, shrunken(name)) if entry.split == split]
            ours = [(entry.original.load()[1].tobytes(), entry.label) for entry in entries]
            seen = [(np.asarray(image).tobytes(), label) for image, label in dataset]
            assert sorted(ours) == sorted(seen)


def test_a_missing_data_set_says_where_to_put_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        locate(spec_of("caltech101"), tmp_path)
    assert "there is no folder caltech101/101_ObjectCategories" in caught.value.message
    assert "101_ObjectCategories would do as well" in caught.value.message
    assert str(tmp_path / "caltech101/101_ObjectCategories") in (caught.value.hint or "")
    assert "https://data.caltech.edu" in (caught.value.hint or "")


def test_a_pickle_that_would_run_something_is_refused(tmp_path: Path) -> None:
    spec = shrunken("cifar100")
    folder = build(tmp_path, spec)

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "ran",)  # type: ignore[return-value]

    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": Evil()}))
    with pytest.raises(IntegrityError, match="which a data file has no use for"):
        collect(tmp_path, spec)
    assert not (tmp_path / "ran").exists()


def test_captioned_sets_get_their_gallery_and_five_captions() -> None:
    spec = spec_of("coco").model_copy(update={"train": 4, "test": 30, "gallery": 10})
    original = read  # any object will do: nothing opens the picture
    entries = [Entry(f"val/{n:03d}.jpg", "test", -1, original, tuple("abcdef")) for n in reversed(range(30))]  # type: ignore[arg-type]
    entries += [Entry(f"train/{n:03d}.jpg", "train", -1, original, tuple("abcdef")) for n in range(4)]  # type: ignore[arg-type]
    result = assemble(spec, entries)
    kept = torch.randperm(30, generator=torch.Generator().manual_seed(42))[:10].sort().values.tolist()
    assert [entry.sample for entry in result[4:]] == [f"val/{n:03d}.jpg" for n in kept]
    assert {len(entry.captions) for entry in result[4:]} == {5}
    assert [entry.sample for entry in result[:4]] == [f"train/{n:03d}.jpg" for n in range(4)]
    with pytest.raises(IntegrityError, match="found 30 test pictures, expected 31"):
        assemble(spec.model_copy(update={"test": 31}), entries)


@pytest.fixture(scope="module")
def eurosat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not EUROSAT.exists():
        pytest.skip("the complete EuroSAT is not in ../shared/data/raw")
    root = tmp_path_factory.mktemp("eurosat")
    with tarfile.open(EUROSAT) as archive:
        archive.extractall(root, filter="data")
    return root


@pytest.mark.slow
def test_the_complete_eurosat_has_the_protocols_split(eurosat: Path) -> None:
    spec = spec_of("eurosat")
    entries = collect(eurosat, spec)
    train = [entry for entry in entries if entry.split == "train"]
    assert (len(entries), len(train)) == (27_000, 21_600)
    folder = torchvision.datasets.ImageFolder(str(eurosat / "data/EuroSAT_RGB"))
    generator = torch.Generator().manual_seed(42)
    parts = torch.utils.data.random_split(folder, [21_600, 5_400], generator)
    for split, part in zip(("train", "test"), parts, strict=True):
        theirs = {folder.samples[index] for index in part.indices}
        ours = {(entry.original.path, entry.label) for entry in entries if entry.split == split}  # type: ignore[attr-defined]
        assert ours == theirs
    assert train[0].original.load()[1].shape == (64, 64, 3)


@pytest.mark.slow
def test_the_complete_eurosat_without_one_picture_or_class_is_refused(eurosat: Path) -> None:
    spec, folder = spec_of("eurosat"), eurosat / "data/EuroSAT_RGB"
    (folder / "River/River_7.jpg").rename(eurosat / "River_7.jpg")
    try:
        with pytest.raises(IntegrityError, match="found 26,999 pictures, expected 27,000"):
            collect(eurosat, spec)
    finally:
        shutil.move(eurosat / "River_7.jpg", folder / "River/River_7.jpg")
    (folder / "River").rename(eurosat / "River")
    try:
        with pytest.raises(IntegrityError, match="has 9 classes, expected 10: 'River' is not there"):
            collect(eurosat, spec)
    finally:
        (eurosat / "River").rename(folder / "River")
