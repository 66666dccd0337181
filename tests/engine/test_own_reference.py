"""Reference data of a protocol's own: found, identified by content, refused where there are none, remarked upon."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image
from support.harness import vlcl

from vlcl_bench.common.progress import Reporter
from vlcl_bench.data.interface import Places
from vlcl_bench.data.originals import FilePicture
from vlcl_bench.data.reference import ReferencePlan
from vlcl_bench.data.store import Store
from vlcl_bench.engine.pictures import describe_data
from vlcl_bench.engine.reference import lent_to_another, reference_plan
from vlcl_bench.errors import IntegrityError, UsageError
from vlcl_bench.methods.card import MethodCard
from vlcl_bench.protocols.load import load_protocol
from vlcl_bench.protocols.stream import Protocol
from vlcl_bench.records.files import read_record, write_record

STREAM = """
name = "mine"
version = 1
title = "mine"
description = "for tests"
source = "real"
scale = "{scale}"
backbone = "vlcl-mini/v1"
picture_size = 48
tasks = ["birds", "hats"]
evaluation_batch = 16
ranked = false

[budget]
steps = 1
batch_size = 4
learning_rate = 1e-4
warmup = 0
ensemble_interval = 1
reference_batch = 4
auxiliary_size = 100

[augmentation]
scale = [0.9, 1.0]
ratio = [0.75, 1.3333333333333333]
{reference}
"""
DATA = """
[[data]]
name = "{name}"
title = "{name}"
layout = "folder"
folders = ["{name}"]
class_names = {classes}
templates = ["a photo of a {{c}}."]
licence = "ours"
source = "ours"
"""
CLASSES = {"birds": ["robin", "wren", "tit"], "hats": ["cap", "fez", "beret"], "doors": ["red", "green"]}
CAPTIONS = "a photo of a door\r\nun café\n\n  a photo of a door  \na boat\n"


class Said(Reporter):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


def picture(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 255, (64, 60, 3), np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root ``D`` with three data sets and a folder of pictures of all kinds, and texts beside it."""
    folder, number = tmp_path_factory.mktemp("made"), 0
    for name, classes in CLASSES.items():
        for split, count in (("train", 8), ("test", 4)):
            for label in classes:
                for place in range(count):
                    picture(folder / "D" / name / split / label / f"{place}.png", number)
                    number += 1
    for place, name in enumerate(("a.png", "deep/b.PNG", "deep/er/c.jpg", "d.webp")):
        picture(folder / "D/photos" / name, 1000 + place)
    for name in ("notes.txt", ".hidden.png", "deep/list.csv"):
        (folder / "D/photos" / name).write_text("no picture")
    (folder / "captions.txt").write_text("\ufeff" + CAPTIONS, encoding="utf-8")
    return folder


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it to work in."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def protocol(reference: Mapping[str, str] | None = None, scale: str = "mini", **changes: str) -> Protocol:
    """The stream of two data sets, with this table; ``changes`` are replaced in its text."""
    table = "".join(f'{key} = "{value}"\n' for key, value in (reference or {}).items())
    text = STREAM.format(scale=scale, reference=f"\n[reference]\n{table}" if reference is not None else "")
    for old, new in changes.items():
        text = text.replace(old, new)
    text += "".join(DATA.format(name=name, classes=json.dumps(classes)) for name, classes in CLASSES.items())
    Path("p.toml").write_text(text)
    return load_protocol("p.toml")


def card(*kinds: str, **settings: Any) -> MethodCard:
    return MethodCard(
        title="ZSCL", deterministic=False, reference=list(kinds), settings=settings, defaults={}, unranked_because=""
    )


def planned(
    stream: Protocol, *kinds: str, reporter: Reporter | None = None, **settings: Any
) -> tuple[ReferencePlan, list[str]]:
    places = Places(Path("D"))
    describe_data(stream, places, Reporter())
    plan, remarks = reference_plan(stream, card(*kinds, **settings), places, Path(), reporter or Reporter())
    assert plan is not None
    return plan, remarks


# What is given


def test_a_folder_gives_all_pictures_in_it_and_its_folders(here: Path) -> None:
    said = Said()
    plan, remarks = planned(protocol({"pictures": "photos"}), "pictures", reporter=said)
    assert (plan.count, remarks) == (4, [])
    assert said.lines == ["photos: 4 reference pictures (2 other files were passed over)"]
    assert plan.identity["pictures"].startswith("own photos 4 ")
    pictures = plan.open(Store(here / "store"), Reporter()).pictures
    assert pictures[np.arange(4)].shape == (4, 48, 48, 3)


def link(path: str, target: str) -> None:
    Path(path).symlink_to(target, target_is_directory=True)


PASSED = {
    "a storage device's thumbnails": lambda: picture(Path("D/photos/@eaDir/t.jpg"), 1),
    "an archiver's leavings": lambda: picture(Path("D/photos/deep/__MACOSX/t.png"), 2),
    "what was thrown away": lambda: picture(Path("D/photos/#recycle/t.png"), 3),
    "a hidden folder": lambda: picture(Path("D/photos/.trash/t.png"), 4),
    "a link to itself": lambda: link("D/photos/again", "."),
    "a link to the folder above": lambda: link("D/photos/deep/up", ".."),
    "a link to the data root": lambda: link("D/photos/deep/up", "../.."),
    "a second way to a folder": lambda: link("D/photos/z", "deep"),
}


@pytest.mark.parametrize("change", PASSED.values(), ids=PASSED)
def test_what_is_no_picture_of_the_folder_or_is_there_already_changes_nothing(here: Path, change: Any) -> None:
    before = named(pictures="photos")
    change()
    assert named(pictures="photos") == before


def test_a_link_to_a_folder_elsewhere_gives_its_pictures(here: Path) -> None:
    link("D/photos/birds", "../birds/train/robin")
    assert named(pictures="photos").startswith("own photos 12 ")


def test_a_folder_that_cannot_be_listed_is_not_left_out_in_silence(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def refuse(path: str) -> Any:
        if str(path).endswith("deep/er"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(IntegrityError, match="photos/deep/er cannot be listed: Permission denied"):
        planned(protocol({"pictures": "photos"}), "pictures")


@pytest.mark.parametrize("name", ["a.heic", "deep/a.HEIC", "a.wmf", "a.emf", "a.svg", "a.eps", "deep/er/a.nef"])
def test_a_picture_of_a_kind_that_is_not_read_is_refused_as_in_a_data_set(here: Path, name: str) -> None:
    Path("D/photos", name).write_bytes(b"something")
    with pytest.raises(IntegrityError) as refused:
        planned(protocol({"pictures": "photos"}), "pictures")
    said = f"cannot be read here: {Path(name).suffix.lower()} (the first is {name})"
    assert f"D/photos holds 1 picture of a kind that {said}" in refused.value.message
    assert "PNG or JPEG" in (refused.value.hint or "")


def test_a_described_data_set_gives_its_training_pictures(here: Path) -> None:
    plan, _ = planned(protocol({"pictures": "doors"}), "pictures")
    assert plan.count == 2 * 8
    reference = plan.open(Store(here / "store"), Reporter())
    assert len({reference.pictures[np.array([row])].tobytes() for row in range(16)}) == 16


def test_texts_count_once_and_come_in_the_files_order(here: Path) -> None:
    plan, _ = planned(protocol({"texts": "captions.txt"}), "texts")
    assert plan.texts == ("a photo of a door", "un café", "a boat")
    assert plan.identity["texts"].startswith("own captions.txt 3 ")
    assert plan.count == 0


def test_texts_may_lie_below_the_data_root(here: Path) -> None:
    Path("captions.txt").rename("D/photos/captions.txt")
    plan, _ = planned(protocol({"texts": "photos/captions.txt"}), "texts")
    assert len(plan.texts) == 3


def test_what_a_protocol_does_not_name_is_lent_by_its_world(here: Path) -> None:
    plan, _ = planned(protocol({"texts": "captions.txt"}), "pictures", "texts")
    assert list(plan.identity) == ["pictures", "texts"]
    assert plan.identity["pictures"].startswith("mini-reference 4000 ")
    assert plan.identity["texts"].startswith("own captions.txt ")
    plan, _ = planned(protocol({"pictures": "photos"}), "texts")  # a method of texts alone is not given pictures
    assert list(plan.identity) == ["texts"]
    assert plan.identity["texts"].startswith("mini-reference ")


def test_own_pictures_are_limited_as_lent_ones_are(here: Path) -> None:
    stream = protocol({"pictures": "doors"}, **{"auxiliary_size = 100": "auxiliary_size = 5"})
    plan, _ = planned(stream, "pictures")
    assert plan.identity["pictures"].endswith(", 5 of 16")
    assert len(plan.open(Store(here / "store"), Reporter()).pictures) == 5
    assert planned(stream, "pictures", reference_pictures=2)[0].identity["pictures"].endswith(", 2 of 16")


# What identifies it


def named(**reference: str) -> str:
    return " ".join(planned(protocol(reference), *reference)[0].identity.values())


def test_names_and_places_of_files_do_not_count_but_their_content_does(here: Path) -> None:
    before = named(pictures="photos")
    Path("D/photos/a.png").rename("D/photos/deep/z.png")
    assert named(pictures="photos") == before
    picture(Path("D/photos/deep/z.png"), 77)
    changed = named(pictures="photos")
    assert changed != before
    picture(Path("D/photos/one-more.png"), 78)
    assert named(pictures="photos") not in (before, changed)


def test_another_text_is_another_identity(here: Path) -> None:
    before = named(texts="captions.txt")
    Path("captions.txt").write_text(CAPTIONS, encoding="utf-8")  # without the mark of its encoding: the same texts
    assert named(texts="captions.txt") == before
    Path("captions.txt").write_text(CAPTIONS.replace("boat", "ship"), encoding="utf-8")
    assert named(texts="captions.txt") != before


def test_an_unchanged_folder_is_read_once(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = named(pictures="photos")
    monkeypatch.setattr(FilePicture, "read", lambda original: pytest.fail(f"{original.path} was read again"))
    assert named(pictures="photos") == before


def test_kept_hashes_that_are_damaged_are_made_again(here: Path, tmp_path: Path) -> None:
    from vlcl_bench.common.places import data_home

    before = named(pictures="photos")
    (kept,) = (data_home() / "reference").glob("*.json")
    for damage in ("{", "[]", '{"a": 1}'):
        kept.write_text(damage)
        assert named(pictures="photos") == before


def test_a_protocol_without_the_table_keeps_its_fingerprint_and_one_with_it_has_another(here: Path) -> None:
    def fingerprint(reference: Mapping[str, str] | None) -> str:
        stream = protocol(reference)
        describe_data(stream, Places(Path("D")), Reporter())
        assert ("reference" in stream.facts()) == (reference is not None)
        return stream.fingerprint

    tables: list[Mapping[str, str] | None] = [None, {"texts": "a"}, {"texts": "b"}, {"pictures": "a"}]
    assert len({fingerprint(table) for table in tables}) == len(tables)


# What is refused


NO_TABLE = {
    "an empty table": ("[reference]", "expected pictures, texts or both"),
    "a path of this machine": ('[reference]\npictures = "/data/photos"', "a protocol names no place of one machine"),
    "a path that leads out": ('[reference]\ntexts = "../captions.txt"', "a protocol names no place of one machine"),
    "an empty name": ('[reference]\npictures = ""', "reference.pictures"),
    "an unknown key": ('[reference]\nimages = "photos"', "reference.images"),
    "a number": ("[reference]\ntexts = 3", "reference.texts"),
    "no table": ('reference = "photos"', "reference"),
}


@pytest.mark.parametrize(("text", "words"), NO_TABLE.values(), ids=NO_TABLE)
def test_a_table_that_names_nothing_is_refused_when_the_protocol_is_read(here: Path, text: str, words: str) -> None:
    good = protocol({"texts": "captions.txt"})
    assert good.reference is not None
    table = '[reference]\ntexts = "captions.txt"'
    whole = Path("p.toml").read_text()
    top = f"{text}\n{whole.replace(table, '')}" if text.startswith("reference") else whole.replace(table, text)
    Path("p.toml").write_text(top)
    with pytest.raises(UsageError) as refused:
        load_protocol("p.toml")
    assert words in refused.value.message


NOT_THERE = {
    "no such folder": ({"pictures": "pohtos"}, "there is no folder D/pohtos and none pohtos"),
    "a file for a folder": ({"pictures": "photos/notes.txt"}, "D/photos/notes.txt is no folder"),
    "an empty folder": ({"pictures": "empty"}, "there is no picture in D/empty"),
    "a folder of other files": ({"pictures": "lists"}, "there is no picture in D/lists, only 1 other files"),
    "a task of the stream": ({"pictures": "birds"}, "is a task of the stream"),
    "no such file": ({"texts": "captoins.txt"}, "there is no file captoins.txt and none D/captoins.txt"),
    "a folder for a file": ({"texts": "photos"}, "D/photos is no file"),
    "no text": ({"texts": "empty.txt"}, "empty.txt holds no text"),
    "text of another encoding": ({"texts": "latin.txt"}, "latin.txt is not a text in UTF-8: byte 0xe9 at place 3"),
}


@pytest.mark.parametrize(("reference", "words"), NOT_THERE.values(), ids=NOT_THERE)
def test_what_is_not_there_or_is_none_is_refused_by_name(here: Path, reference: dict[str, str], words: str) -> None:
    Path("D/empty").mkdir()
    Path("D/lists").mkdir()
    Path("D/lists/a.csv").write_text("a")
    Path("empty.txt").write_text(" \n\n")
    Path("latin.txt").write_bytes("caf\u00e9".encode("latin-1"))
    with pytest.raises(UsageError) as refused:
        planned(protocol(reference), *reference)
    assert words in refused.value.message
    assert refused.value.hint


def test_a_picture_that_cannot_be_read_is_refused_by_name_and_when_it_is_replaced_later(here: Path) -> None:
    plan, _ = planned(protocol({"pictures": "photos"}), "pictures")
    pictures = plan.open(Store(here / "store"), Reporter()).pictures
    picture(Path("D/photos/a.png"), 5)
    with pytest.raises(IntegrityError, match=r"reference picture: D/photos/a.png is not the picture"):
        pictures[np.arange(4)]
    Path("D/photos/deep/b.PNG").write_bytes(b"\x89PNG cut short")
    with pytest.raises(IntegrityError, match=r"reference picture: D/photos/deep/b.PNG ") as refused:
        planned(protocol({"pictures": "photos"}), "pictures")
    assert "archive" not in (refused.value.hint or "")


def test_an_own_stream_without_the_worlds_reference_is_told_of_the_table(here: Path) -> None:
    with pytest.raises(UsageError, match="imagenet is not in D") as refused:
        planned(protocol(scale="full"), "pictures")
    assert 'a table [reference] with pictures = "..."' in (refused.value.hint or "")


# What is said


def test_reference_pictures_that_are_test_pictures_of_the_stream_are_counted(here: Path) -> None:
    for place in range(3):
        shutil.copy(f"D/hats/test/fez/{place}.png", f"D/photos/x{place}.png")
    _, remarks = planned(protocol({"pictures": "photos"}), "pictures")
    assert remarks == ["3 of the reference pictures of photos are test pictures of hats"]


MINI, OTHER = "vlcl-mini/v1", "ViT-B-16/openai"
PHOTOS, TEXTS = {"pictures": "photos"}, {"texts": "captions.txt"}
LENT = {
    "to the world's own backbone": ("mini", MINI, None, ("pictures", "texts"), {}, ""),
    "to another": ("mini", OTHER, None, ("pictures", "texts"), {}, "ZSCL reference pictures and reference texts of"),
    "own pictures, its texts": ("mini", OTHER, PHOTOS, ("pictures", "texts"), {}, "ZSCL reference texts of"),
    "own texts, its pictures": ("mini", OTHER, TEXTS, ("pictures", "texts"), {}, "ZSCL reference pictures of"),
    "all that is used is the protocol's": ("mini", OTHER, PHOTOS, ("pictures",), {}, ""),
    "nothing is declared": ("mini", OTHER, None, (), {}, ""),
    "the world's generator": ("mini", OTHER, PHOTOS, ("generator",), {"generator": None}, "ZSCL a generator of"),
    "a generator of one's own": ("mini", OTHER, None, ("generator",), {"generator": "sd"}, ""),
    "photographs": ("full", OTHER, None, ("pictures", "texts"), {}, ""),
    "photographs, to the mini world's": ("full", MINI, None, ("pictures",), {}, ""),
}  # fmt: skip


@pytest.mark.parametrize(("scale", "backbone", "own", "kinds", "settings", "words"), LENT.values(), ids=LENT)
def test_a_world_that_lends_to_another_ones_backbone_says_so(
    here: Path, scale: str, backbone: str, own: dict[str, str] | None, kinds: Any, settings: Any, words: str
) -> None:
    encoder = cast(Any, SimpleNamespace(name=backbone))
    said = lent_to_another(protocol(own, scale), card(*kinds, **settings), encoder)
    if not words:
        assert said == []
        return
    (one,) = said
    for part in (words, "made for vlcl-mini/v1 (small drawings, no photographs)", f"the backbone here is {OTHER}"):
        assert part in one
    assert ("--set generator" in one) == ("generator" in kinds)
    assert ("[reference]" in one) == (set(kinds) != {"generator"})


def test_a_record_without_remarks_has_no_key_for_them(tmp_path: Path) -> None:
    stored = Path(__file__).parents[1] / "expectations/fast-classes/zscl"
    record = read_record(stored)
    write_record(tmp_path, record)
    assert "reference_notes" not in json.loads((tmp_path / "run.json").read_text())
    write_record(tmp_path, record.model_copy(update={"reference_notes": ["drawings"]}))
    assert read_record(tmp_path).reference_notes == ["drawings"]


# All of it


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "settings", "kinds"),
    [
        ("zscl", {}, {"pictures", "texts"}),
        ("moe_adapter", {"selector_steps": 2, "zero_shot_steps": 2, "experts": 4}, {"pictures"}),
    ],
)
def test_methods_with_reference_data_run_on_a_stream_of_ones_own(
    here: Path, method: str, settings: dict[str, Any], kinds: set[str]
) -> None:
    protocol({"pictures": "photos", "texts": "captions.txt"})
    for place in range(3):
        shutil.copy(f"D/hats/test/fez/{place}.png", f"D/photos/x{place}.png")
    given = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    ended = vlcl("run", "--protocol", "p.toml", "--data-root", "D", "--store", "store", "--method", method, *given)
    assert ended.code == 0, ended.err
    note = "3 of the reference pictures of photos are test pictures of hats"
    assert f"warning: {note}" in ended.err
    (path,) = Path("runs").glob("*/run.json")
    record = read_record(path.parent)
    assert record.identity.reference.keys() == kinds
    assert all(words.startswith("own ") for words in record.identity.reference.values())
    assert record.reference_notes == [note]
    assert record.usage.reference_pictures > 0
    shown = vlcl("show", path.parent)
    assert note in " ".join(shown.out.split())
