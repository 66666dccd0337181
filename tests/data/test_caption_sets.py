"""Readers of COCO and Flickr30k in Karpathy's split, and of Conceptual Captions: made as officially unpacked."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vlcl_bench.data.real import captions as reader
from vlcl_bench.data.real.coco_tasks import GROUPS, plural, task_by_objects, task_by_words
from vlcl_bench.data.real.spec import Entry, RealSpec
from vlcl_bench.errors import IntegrityError, UsageError

CATALOGUE = Path(reader.__file__).parent / "catalogue"
# Folder, number, Karpathy's split, categories, captions; the names of categories, never their numbers.
PICTURES: list[tuple[str, int, str, list[str], list[str]]] = [
    ("train2014", 9, "train", ["horse"], ["A horse.", "Two horses on grass. ", "A field.", "Green.", "Outside."]),
    ("val2014", 42, "test", ["zebra", "person"], ["A Zebra stands.", "Zebras eat", "x", "y", "z"]),
    ("val2014", 51, "restval", ["cow", "horse"], ["A cow and a car", "cows", "a herd", "b", "c", "d"]),
    ("val2014", 52, "val", ["sheep"], ["A sheep.", "Sheep.", "c", "d", "e"]),
    ("train2014", 60, "train", ["horse", "truck"], ["A horse in a truck", "A truck with a horse", "a", "b", "c"]),
    ("val2014", 61, "test", ["bus"], ["A red bus.", "Buses.", "a street", "b", "c"]),
    ("train2014", 62, "train", ["person"], ["A man.", "He walks.", "a", "b", "c"]),
    ("val2014", 63, "test", [], ["A bare wall.", "Nothing.", "a", "b", "c"]),
]


def file_name(folder: str, number: int) -> str:
    return f"COCO_{folder}_{number:012d}.jpg"


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 4, 3), 90, np.uint8)).save(path)


def instances(folder: str) -> dict[str, Any]:
    names = sorted({name for group in GROUPS.values() for name in group} | {"person"})
    numbers = {name: 7 * index + 3 for index, name in enumerate(names)}
    rows = [row for row in PICTURES if row[0] == folder]
    return {
        "info": {"year": 2014},
        "images": [{"id": number, "file_name": file_name(folder, number)} for _, number, *_ in rows],
        "annotations": [
            {"id": 1, "image_id": number, "category_id": numbers[name], "segmentation": [[1, 2]], "iscrowd": 0}
            for _, number, _, categories, _ in rows
            for name in categories
        ],
        "categories": [{"id": number, "name": name} for name, number in numbers.items()],
    }


def karpathy() -> dict[str, Any]:
    return {
        "dataset": "coco",
        "images": [
            {
                "filepath": folder,
                "filename": file_name(folder, number),
                "imgid": index,
                "cocoid": number,
                "split": split,
                "sentences": [{"raw": text, "tokens": []} for text in texts],
            }
            for index, (folder, number, split, _, texts) in enumerate(PICTURES)
        ],
    }


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    for folder, number, *_ in PICTURES:
        picture(tmp_path / folder / file_name(folder, number))
    (tmp_path / "annotations").mkdir()
    for folder in ("train2014", "val2014"):
        (tmp_path / "annotations" / f"instances_{folder}.json").write_text(json.dumps(instances(folder)))
    (tmp_path / "dataset_coco.json").write_text(json.dumps(karpathy()))
    return tmp_path


def spec(layout: str = "coco_karpathy", **options: str) -> RealSpec:
    return RealSpec(
        name="set", title="", layout=layout, folders=("x",), licence="", source="", captioned=True, options=options
    )


def numbers(entries: list[Entry]) -> list[tuple[str, int]]:
    return [(entry.split, int(entry.sample.rpartition("_")[2].removesuffix(".jpg"))) for entry in entries]


def change(path: Path, edit: Any) -> None:
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def test_coco_as_a_whole_joins_train_and_restval_and_leaves_val_out(coco: Path) -> None:
    entries = reader.coco_karpathy(coco, spec())
    assert numbers(entries) == [
        ("train", 9),
        ("test", 42),
        ("train", 51),
        ("train", 60),
        ("test", 61),
        ("train", 62),
        ("test", 63),
    ]
    assert entries[1].sample == "val2014/COCO_val2014_000000000042.jpg"
    assert {entry.label for entry in entries} == {-1}
    assert entries[0].original.load()[1].shape == (4, 4, 3)


def test_all_captions_are_kept_in_order_and_only_trimmed(coco: Path) -> None:
    entries = reader.coco_karpathy(coco, spec())
    assert entries[0].captions == ("A horse.", "Two horses on grass.", "A field.", "Green.", "Outside.")
    assert entries[2].captions == ("A cow and a car", "cows", "a herd", "b", "c", "d")


def test_a_task_has_the_pictures_with_its_objects_and_with_no_other_task_s(coco: Path) -> None:
    assert numbers(reader.coco_karpathy(coco, spec(category="animals"))) == [("train", 9), ("test", 42), ("train", 51)]
    assert numbers(reader.coco_karpathy(coco, spec(category="transport"))) == [("test", 61)]
    assert reader.coco_karpathy(coco, spec(category="food")) == []


def test_the_lexicon_needs_no_instance_files_and_two_captions_of_one_task(coco: Path) -> None:
    for path in (coco / "annotations").iterdir():
        path.unlink()
    # 51 has one caption with a car, which is not enough to make it transport's too; 60 has two of both.
    chosen = reader.coco_karpathy(coco, spec(category="animals", rule="lexicon"))
    assert numbers(chosen) == [("train", 9), ("test", 42), ("train", 51)]
    assert numbers(reader.coco_karpathy(coco, spec(category="transport", rule="lexicon"))) == [("test", 61)]


def test_karpathy_s_file_may_lie_in_a_folder_of_its_own(coco: Path) -> None:
    (coco / "karpathy").mkdir()
    (coco / "dataset_coco.json").rename(coco / "karpathy" / "dataset_coco.json")
    assert len(reader.coco_karpathy(coco, spec())) == 7


def test_a_changed_file_is_read_again(coco: Path) -> None:
    assert len(reader.coco_karpathy(coco, spec())) == 7
    change(coco / "dataset_coco.json", lambda content: content["images"].pop())
    assert len(reader.coco_karpathy(coco, spec())) == 6


def test_the_files_are_parsed_once_for_all_tasks(coco: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader.coco_karpathy(coco, spec(category="animals"))

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("parsed again")

    monkeypatch.setattr(json, "load", refuse)
    monkeypatch.setattr(json, "loads", refuse)
    for category in GROUPS:
        reader.coco_karpathy(coco, spec(category=category))


def test_groups_are_disjoint_and_of_the_published_sizes() -> None:
    assert {group: len(names) for group, names in GROUPS.items()} == {
        "transport": 8,
        "animals": 8,
        "sports": 8,
        "food": 10,
        "interior": 16,
    }
    assert len({name for names in GROUPS.values() for name in names}) == 50


@pytest.mark.parametrize(
    ("categories", "task"),
    [(["car", "boat"], "transport"), (["car", "person"], "transport"), (["car", "cake"], None), (["person"], None)],
)
def test_objects_choose_a_task(categories: list[str], task: str | None) -> None:
    assert task_by_objects(categories) == task


@pytest.mark.parametrize(
    ("captions", "task"),
    [
        (["Hot Dogs and mustard", "a hot  dog"], "food"),
        (["carts", "scar", "cardboard"], None),
        (["a car"], None),
        (["a car", "two cars", "a cake"], "transport"),
        (["a car", "two cars", "a cake", "cakes"], None),
        (["a car and a cake", "cakes by a bus", "cars"], None),
        (["MICE", "a mouse."], "interior"),
        (["a TV", "tvs"], "interior"),
    ],
)
def test_words_choose_a_task(captions: list[str], task: str | None) -> None:
    assert task_by_words(captions) == task


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("bus", "buses"),
        ("sandwich", "sandwiches"),
        ("sheep", "sheep"),
        ("mouse", "mice"),
        ("hot dog", "hot dogs"),
        ("couch", "couches"),
        ("toilet", "toilets"),
    ],
)
def test_plurals(word: str, expected: str) -> None:
    assert plural(word) == expected


def test_a_missing_picture_is_named_and_counted(coco: Path) -> None:
    for folder, number in (("train2014", 9), ("val2014", 61)):
        (coco / folder / file_name(folder, number)).unlink()
    with pytest.raises(IntegrityError, match=r"2 of the 7 pictures.*COCO_train2014_000000000009\.jpg"):
        reader.coco_karpathy(coco, spec())


def test_a_missing_folder_is_named(coco: Path) -> None:
    (coco / "val2014").rename(coco / "val2017")
    with pytest.raises(IntegrityError, match=r"val2014 cannot be read"):
        reader.coco_karpathy(coco, spec())


def test_a_missing_split_file_is_named_with_its_source(coco: Path) -> None:
    (coco / "dataset_coco.json").unlink()
    with pytest.raises(IntegrityError, match=r"dataset_coco\.json is missing") as caught:
        reader.coco_karpathy(coco, spec())
    assert "caption_datasets.zip" in (caught.value.hint or "")


def test_missing_instances_are_named(coco: Path) -> None:
    (coco / "annotations" / "instances_val2014.json").unlink()
    with pytest.raises(IntegrityError, match=r"instances_val2014\.json is missing"):
        reader.coco_karpathy(coco, spec(category="food"))


@pytest.mark.parametrize("name", ["dataset_coco.json", "annotations/instances_train2014.json"])
def test_a_truncated_json_is_named(coco: Path, name: str) -> None:
    path = coco / name
    path.write_text(path.read_text()[:-200])
    with pytest.raises(IntegrityError, match=rf"{Path(name).name} was cut short or damaged"):
        reader.coco_karpathy(coco, spec(category="food"))


def test_the_split_file_of_another_data_set_is_refused(coco: Path) -> None:
    change(coco / "dataset_coco.json", lambda content: content.update(dataset="flickr8k"))
    with pytest.raises(IntegrityError, match=r"'flickr8k', expected 'coco'"):
        reader.coco_karpathy(coco, spec())


@pytest.mark.parametrize(
    "edit",
    [
        lambda content: content.pop("dataset"),
        lambda content: content["images"][3].pop("sentences"),
        lambda content: content["images"][3].update(split="validation"),
    ],
)
def test_a_split_file_of_another_format_is_refused(coco: Path, edit: Any) -> None:
    change(coco / "dataset_coco.json", edit)
    with pytest.raises(IntegrityError, match="not in the format"):
        reader.coco_karpathy(coco, spec())


def test_a_picture_without_captions_is_refused_by_name(coco: Path) -> None:
    change(coco / "dataset_coco.json", lambda content: content["images"][1].update(sentences=[{"raw": " "}]))
    with pytest.raises(IntegrityError, match=r"COCO_val2014_000000000042\.jpg has no caption"):
        reader.coco_karpathy(coco, spec())


def test_a_picture_listed_twice_is_refused_by_name(coco: Path) -> None:
    change(coco / "dataset_coco.json", lambda content: content["images"].append(content["images"][0]))
    with pytest.raises(IntegrityError, match=r"COCO_train2014_000000000009\.jpg stands there 2 times"):
        reader.coco_karpathy(coco, spec())


def test_a_picture_of_2017_is_refused(coco: Path) -> None:
    change(coco / "dataset_coco.json", lambda content: content["images"][0].update(filepath="train2017"))
    with pytest.raises(IntegrityError, match="train2017"):
        reader.coco_karpathy(coco, spec())


def test_swapped_instance_files_are_refused(coco: Path) -> None:
    train, val = (coco / "annotations" / f"instances_{name}2014.json" for name in ("train", "val"))
    content = train.read_text()
    train.write_text(val.read_text())
    val.write_text(content)
    with pytest.raises(IntegrityError, match=r"instances_train2014\.json does not cover train2014/COCO_train2014_"):
        reader.coco_karpathy(coco, spec(category="animals"))


def test_a_caption_file_in_place_of_the_instances_is_refused(coco: Path) -> None:
    content = {"images": [{"id": 9}], "annotations": [{"image_id": 9, "id": 1, "caption": "a"}], "categories": []}
    (coco / "annotations" / "instances_train2014.json").write_text(json.dumps(content))
    with pytest.raises(IntegrityError, match="not an instance file"):
        reader.coco_karpathy(coco, spec(category="animals"))


def test_instances_without_a_task_s_category_are_refused(coco: Path) -> None:
    path = coco / "annotations" / "instances_val2014.json"
    change(
        path, lambda content: content["categories"].remove(next(c for c in content["categories"] if c["name"] == "tv"))
    )
    with pytest.raises(IntegrityError, match="'tv'"):
        reader.coco_karpathy(coco, spec(category="food"))


def test_unknown_options_are_refused(coco: Path) -> None:
    with pytest.raises(UsageError, match="'animal'") as caught:
        reader.coco_karpathy(coco, spec(category="animal"))
    assert caught.value.hint == "Did you mean 'animals'?"
    with pytest.raises(UsageError, match="'words'"):
        reader.coco_karpathy(coco, spec(category="animals", rule="words"))


@pytest.mark.parametrize("folder", reader.FLICKR_FOLDERS)
def test_flickr30k_in_each_folder_it_is_unpacked_to(tmp_path: Path, folder: str) -> None:
    rows = [("1000092795.jpg", "train"), ("10002456.jpg", "val"), ("1007129816.jpg", "test")]
    content = {
        "dataset": "flickr30k",
        "images": [
            {"filename": name, "imgid": index, "split": split, "sentences": [{"raw": f"{name} {n}"} for n in range(5)]}
            for index, (name, split) in enumerate(rows)
        ],
    }
    (tmp_path / "dataset_flickr30k.json").write_text(json.dumps(content))
    for name, _ in rows:
        picture(tmp_path / folder / name)
    entries = reader.flickr30k_karpathy(tmp_path, spec("flickr30k_karpathy"))
    assert [(entry.sample, entry.split) for entry in entries] == [
        ("flickr30k-images/1000092795.jpg", "train"),
        ("flickr30k-images/1007129816.jpg", "test"),
    ]
    assert entries[1].captions == tuple(f"1007129816.jpg {n}" for n in range(5))
    assert entries[0].original.load()[1].shape == (4, 4, 3)


def test_flickr30k_without_pictures_names_the_folder_to_make(tmp_path: Path) -> None:
    (tmp_path / "dataset_flickr30k.json").write_text(json.dumps({"dataset": "flickr30k", "images": []}))
    with pytest.raises(IntegrityError, match="flickr30k-images cannot be read"):
        reader.flickr30k_karpathy(tmp_path, spec("flickr30k_karpathy"))


def test_flickr30k_refuses_the_split_of_flickr8k(tmp_path: Path) -> None:
    (tmp_path / "dataset_flickr30k.json").write_text(json.dumps({"dataset": "flickr8k", "images": []}))
    with pytest.raises(IntegrityError, match=r"'flickr8k', expected 'flickr30k'"):
        reader.flickr30k_karpathy(tmp_path, spec("flickr30k_karpathy"))


def texts_spec(count: int | None) -> RealSpec:
    return spec("captions_tsv").model_copy(update={"texts": True, "captioned": False, "train": count})


def test_texts_are_read_in_order(tmp_path: Path) -> None:
    (tmp_path / reader.TEXTS).write_text("a dog \thttp://x/1\nthe\u2028sea , blue\thttp://x/2\n", encoding="utf-8")
    assert reader.read_texts(tmp_path, texts_spec(2)) == ["a dog", "the\u2028sea , blue"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("a dog\thttp://x/1\n", "has 1 captions, expected 2"),
        ("a dog\thttp://x/1\nthe s", "line 2 is not"),
        ("a dog\thttp://x/1\n\thttp://x/2\n", "line 2 is not"),
    ],
)
def test_damaged_texts_are_refused(tmp_path: Path, content: str, problem: str) -> None:
    (tmp_path / reader.TEXTS).write_text(content)
    with pytest.raises(IntegrityError, match=problem):
        reader.read_texts(tmp_path, texts_spec(2))


def test_missing_texts_are_named(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match=r"Validation_GCC-1\.1\.0-Validation\.tsv is missing"):
        reader.read_texts(tmp_path, texts_spec(None))


@pytest.mark.parametrize(
    "name",
    [*(f"coco-{group}{twin}" for group in GROUPS for twin in ("", "-lexicon")), "coco", "flickr30k"],
)
def test_the_catalogue_s_captioned_sets_fit_their_readers(name: str) -> None:
    known = RealSpec(**tomllib.loads((CATALOGUE / f"{name}.toml").read_text()))
    assert known.name == name
    assert known.captioned
    assert known.layout in reader.CAPTION_LAYOUTS
    assert known.options.get("category", "food") in GROUPS
    assert known.options.get("rule") == ("lexicon" if name.endswith("-lexicon") else None)
    assert known.gallery == (1000 if "-" in name else None)
    assert known.licence
    assert known.citation
    assert all(note == " ".join(note.split()) for note in (*known.notes, known.citation, known.description))


def test_the_catalogue_s_counts_are_karpathy_s() -> None:
    counts = {}
    for name in ("coco", "flickr30k", "conceptual_captions"):
        known = RealSpec(**tomllib.loads((CATALOGUE / f"{name}.toml").read_text()))
        counts[name] = (known.train, known.test)
    # 82,783 + 30,504 pictures of train and restval.
    assert counts == {"coco": (82783 + 30504, 5000), "flickr30k": (29000, 1000), "conceptual_captions": (15840, None)}
