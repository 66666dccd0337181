"""``vlcl protocols new``: a complete protocol over the pictures that lie in a folder, which runs as it is."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path

import pytest
from support.harness import vlcl
from support.own_data import CLASSES, picture, write_own_data

from vlcl_bench.protocols.found import class_names, slug
from vlcl_bench.protocols.load import load_protocol
from vlcl_bench.protocols.template import Encoder


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VLCL_STORE", str(tmp_path / "store"))
    return tmp_path


@pytest.fixture
def quick(monkeypatch):
    """The mini CLIP as it is known, without loading it each time; a test below loads it."""
    known = Encoder("vlcl-mini/v1", 48, "mini", 3e-4)
    monkeypatch.setattr("vlcl_bench.cli.protocols.encoder", lambda name: known)


def new(*options: object, name: str = "mine.toml", root: str = "data"):
    """The protocol that the command writes."""
    ended = vlcl("protocols", "new", name, "--data-root", root, *options)
    assert ended.code == 0, ended.err
    return load_protocol(name)


@pytest.mark.slow
def test_what_is_written_runs_at_once_with_the_command_that_is_printed(here):
    write_own_data(here / "data")
    ended = vlcl("protocols", "new", "mine.toml", "--data-root", "data", "--json")
    assert (ended.code, ended.err) == (0, "")
    assert ended.json["data_sets"] == [
        {
            "name": "birds", "folder": "birds", "layout": "folder", "train": 24, "test": 12,
            "classes": sorted(CLASSES), "nameless": [],
        }
    ]  # fmt: skip
    run = vlcl(*ended.json["run"].split()[1:], "--json")
    assert run.code == 0, run.err
    assert run.json["protocol"] == "mine"


def test_every_key_that_is_written_has_a_comment_or_needs_none(here, quick):
    write_own_data(here / "data")
    new()
    plain = {
        "name", "title", "description", "backbone", "class_names", "licence", "steps", "batch_size", "learning_rate",
    }  # fmt: skip
    for line in Path("mine.toml").read_text().splitlines():
        key = line.partition(" = ")[0]
        assert not line or line.startswith(("#", "[")) or key in plain or " # " in line, line


def test_several_data_sets_are_several_folders_in_the_order_in_which_they_are_named(here, quick):
    for name in ("cats", "birds", "ants"):
        write_own_data(here / "data", name, train=2, test=1)
    assert new().task_names == ("ants", "birds", "cats")
    assert new("--force", "--data-set", "cats", "--data-set", "ants").task_names == ("cats", "ants")


def test_folders_that_are_no_data_sets_are_passed_over_by_name(here, quick):
    write_own_data(here / "data", train=2, test=1)
    write_own_data(here / "data", "ants", train=2, test=0)
    ended = vlcl("protocols", "new", "mine.toml", "--data-root", "data")
    assert ended.code == 0
    assert "passed over, for they have not both train and test: ants" in ended.err


def test_a_data_root_that_is_a_data_set_itself_is_one(here, quick):
    write_own_data(here, "birds")
    protocol = new(root="birds")
    assert (protocol.task_names, protocol.data[0].folders) == (("birds",), (".",))


def test_classes_can_be_cut_into_tasks(here, quick):
    write_own_data(here / "data", classes=tuple("abcdefgh"), train=2, test=1)
    protocol = new("--classes-per-task", 4)
    assert protocol.task_names == ("birds-01", "birds-02")
    assert protocol.budget.batch_size == 8
    ended = vlcl("protocols", "new", "x.toml", "--data-root", "data", "--classes-per-task", 3)
    assert ended.code == 2
    assert "birds has 8 classes, which 3 does not divide" in ended.err
    assert "can be 1, 2, 4, 8" in ended.err
    assert not Path("x.toml").exists()


def test_classes_without_a_split_are_divided_four_to_one(here, quick):
    write_own_data(here / "raw", train=10, test=0)
    shutil.move(here / "raw" / "birds" / "train", here / "data")
    protocol = new()
    assert (protocol.data[0].layout, protocol.data[0].split) == ("class_folders", "per-class-42")
    written = Path("mine.toml").read_text()
    assert "24 training and 6 test pictures" in written


def test_numbers_are_mapped_to_names_that_are_to_be_written(here, quick):
    write_own_data(here / "data", "digits", ("0", "1", "2", "10"), train=1, test=1)
    ended = vlcl("protocols", "new", "mine.toml", "--data-root", "data")
    assert "4 classes have no name yet" in ended.err
    assert "source_names maps them to their folders" in ended.err
    (spec,) = load_protocol("mine.toml").data
    assert spec.source_names == ("0", "1", "2", "10")
    assert spec.class_names == ("class 0", "class 1", "class 2", "class 10")


@pytest.mark.parametrize(
    ("folders", "names", "made_up"),
    [
        (["blue_tit", "wren"], ["blue tit", "wren"], []),
        (["001.Blue_Tit", "002.Wren"], ["Blue Tit", "Wren"], []),
        (["1_a", "b"], ["1 a", "b"], []),
        (["n01440764", "n03197337"], ["tench", "digital watch"], []),
        (["n01440764", "n00000000"], ["tench", "class n00000000"], ["class n00000000"]),
        (["0", "01"], ["class 0", "class 01"], ["class 0", "class 01"]),
        (["a_b", "a b"], ["a_b", "a b"], []),
        (["cafe\u0301", " wren "], ["café", "wren"], []),
        (["t-shirt", "a\tb"], ["t-shirt", "a b"], []),
        (["Robin", "robin"], ["Robin", "robin 2"], ["robin 2"]),
        (["ROBIN", "Robin", "robin"], ["ROBIN", "Robin 2", "robin 3"], ["Robin 2", "robin 3"]),
        (["Robin", "robin", "robin 2"], ["Robin", "robin 3", "robin 2"], ["robin 3"]),
        (["stra\u00dfe", "STRASSE", "wren"], ["stra\u00dfe", "STRASSE 2", "wren"], ["STRASSE 2"]),
        (["wren", "wren\u200b"], ["wren", "wren 2"], ["wren 2"]),
    ],
)
def test_names_follow_from_folders(folders, names, made_up):
    assert class_names(folders) == (names, made_up)


@pytest.mark.parametrize(
    ("text", "name"),
    [("Birds & Bees", "birds-bees"), ("Café", "cafe"), ("日本", "mine"), ("mnist", "my-mnist"), ("../x", "x")],
)
def test_names_of_data_sets_and_protocols_are_plain(text, name):
    assert slug(text, {"mnist"}) == name


def test_captions_in_karpathys_file_are_found(here, quick):
    folder = here / "data" / "garden"
    (folder / "images").mkdir(parents=True)
    images = []
    for number in range(6):
        picture(number).save(folder / "images" / f"{number}.png")
        split = "train" if number < 4 else "test"
        said = [{"raw": f"a bird, picture {number}"}]
        images.append({"filename": f"{number}.png", "imgid": number, "split": split, "sentences": said})
    text = json.dumps({"dataset": "flickr30k", "images": images})
    (folder / "dataset_flickr30k.json").write_text(text)
    protocol = new()
    assert protocol.captioned
    assert "4 training and 2 test pictures" in Path("mine.toml").read_text()


def no_test(folder: Path) -> None:
    (folder / "birds" / "test").rename(folder / "birds" / "val")


def another_class(folder: Path) -> None:
    (folder / "birds" / "test" / "wren").rename(folder / "birds" / "test" / "wrens")


def no_pictures(folder: Path) -> None:
    for path in folder.rglob("*.png"):
        path.unlink()


def nothing(folder: Path) -> None:
    shutil.rmtree(folder / "birds")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (no_test, "rename val to test"),
        (another_class, "class 'wren' is in train only"),
        (no_pictures, "3 of 3 classes have no training pictures"),
        (nothing, "there is no data set in data"),
    ],
)
def test_what_is_no_data_set_is_refused_with_what_is_missing(here, quick, damage, said):
    write_own_data(here / "data")
    damage(here / "data")
    ended = vlcl("protocols", "new", "mine.toml", "--data-root", "data")
    assert ended.code in (2, 3)
    assert said in ended.err
    assert not Path("mine.toml").exists()


@pytest.mark.parametrize(
    ("classes", "names"), [(("wren", "wren\u200b"), ("wren", "wren 2")), (("Wren", "wren"), ("Wren", "wren 2"))]
)
def test_folders_that_a_backbone_or_a_reader_cannot_tell_apart_get_a_number(here, quick, classes, names):
    write_own_data(here / "data", classes=classes, train=2, test=1)
    ended = vlcl("protocols", "new", "mine.toml", "--data-root", "data")
    assert ended.code == 0, ended.err
    assert "1 class has no name yet ('wren 2' …): write class_names of birds" in ended.err
    (spec,) = load_protocol("mine.toml").data
    assert (spec.class_names, spec.source_names) == (names, classes)


@pytest.mark.parametrize("left", ["__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "lost+found", ".thumbnails"])
@pytest.mark.parametrize("place", ["", "birds", "birds/train", "birds/test"])
def test_what_archivers_and_storage_devices_leave_is_no_class_and_no_data_set(here, quick, place, left):
    write_own_data(here / "data", train=2, test=1)
    (here / "data" / place / left / "deep").mkdir(parents=True)
    picture(1).save(here / "data" / place / left / "a.png")
    ended = vlcl("protocols", "new", "mine.toml", "--data-root", "data")
    assert (ended.code, "passed over" in ended.err) == (0, False), ended.err
    assert load_protocol("mine.toml").data[0].class_names == tuple(sorted(CLASSES))


@pytest.mark.parametrize("name", ["notes.pdf", "table.h5", "clip.mpg", "drawing.eps"])
def test_a_folder_of_files_that_are_no_pictures_is_no_class(here, quick, name):
    write_own_data(here / "raw", train=5, test=0)
    shutil.move(here / "raw" / "birds" / "train", here / "data" / "birds")
    write_own_data(here / "data", "cats", train=2, test=1)
    (here / "data" / "birds" / "papers").mkdir()
    (here / "data" / "birds" / "papers" / name).write_bytes(b"something")
    assert new().task_names == ("cats",)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("mine.yaml", "--data-root", "data"), "mine.yaml is not a TOML file"),
        (("there.toml", "--data-root", "data"), "add --force"),
        (("mine.toml",), "--data-root is missing"),
        (("mine.toml", "--data-root", "nowhere"), "nowhere is not a folder"),
        (("mine.toml", "--data-root", "data", "--data-set", "cats"), "there is no folder data/cats"),
        (("mine.toml", "--data-root", "data", "--data-set", "birds/train/wren"), "is no data set"),
        (("mine.toml", "--data-root", "data", "--backbone", "ViT-B-33/openai"), "ViT-B-3"),
    ],
)
def test_a_wrong_command_is_refused_and_nothing_is_written(here, arguments, said):
    write_own_data(here / "data", train=1, test=1)
    Path("there.toml").write_text("# mine\n")
    ended = vlcl("protocols", "new", *arguments)
    assert ended.code == 2
    assert said in ended.err
    assert [path.name for path in here.glob("*.toml")] == ["there.toml"]
    assert Path("there.toml").read_text() == "# mine\n"


def test_the_size_of_pictures_is_the_backbones(here):
    write_own_data(here / "data", train=1, test=1)
    assert new().picture_size == 48
    large = new("--backbone", "ViT-L-14-336/openai", name="large.toml")
    assert (large.picture_size, large.scale, large.backbone) == (336, "full", "ViT-L-14-336/openai")


def test_a_file_named_like_a_frozen_protocol_gets_another_name(here, quick):
    write_own_data(here / "data", train=1, test=1)
    assert new(name="mtil-1.toml").name == "my-mtil-1"
    assert tomllib.loads(Path("mtil-1.toml").read_text())["version"] == 1
