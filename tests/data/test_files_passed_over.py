"""No file of a copy is left out in silence: it is read, counted with the reason, or refused by name."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.harness import vlcl
from support.layouts_fixture import build, shrunken
from support.zoo import PROTOCOL, make_zoo, noise

from vlcl_bench.data.interface import Places
from vlcl_bench.data.real import file_names
from vlcl_bench.data.real.dataset import RealDataSet
from vlcl_bench.data.real.file_names import OTHER_PICTURES, is_readable, readable_endings
from vlcl_bench.data.real.layouts import LAYOUTS, locate
from vlcl_bench.data.real.spec import RealSpec
from vlcl_bench.data.real.survey import survey
from vlcl_bench.errors import IntegrityError
from vlcl_bench.protocols.load import load_protocol

FOX = "train/red fox"
UNCOUNTED = PROTOCOL.replace("train = 6\ntest = 4\n", "")


@pytest.fixture(autouse=True)
def zoo(tmp_path, monkeypatch):
    """A folder of one's own with a data set and its protocol; returns the data set's folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VLCL_STORE", str(tmp_path / "store"))
    make_zoo(tmp_path / "data")
    Path("zoo.toml").write_text(UNCOUNTED)
    return tmp_path / "data" / "zoo"


def collect():
    dataset = load_protocol("zoo.toml").datasets[0]
    return dataset.collect(Places(Path("data")))


def samples() -> set[str]:
    return {entry.sample for entry in collect().entries}


def put(path: Path, content: bytes = b"something") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


# Read: whatever Pillow can read

SAVED = {
    "jfif": "JPEG", "jpe": "JPEG", "JPG": "JPEG", "JPEG": "JPEG", "avif": "AVIF", "webp": "WEBP", "WebP": "WEBP",
    "bmp": "BMP",
    "tif": "TIFF", "TIFF": "TIFF", "gif": "GIF", "GIF": "GIF", "jp2": "JPEG2000", "j2k": "JPEG2000", "ppm": "PPM",
    "pnm": "PPM", "tga": "TGA", "pcx": "PCX", "qoi": "QOI", "ico": "ICO", "apng": "PNG", "dib": "DIB", "sgi": "SGI",
}  # fmt: skip


@pytest.mark.parametrize("end", SAVED)
def test_a_picture_of_any_kind_that_pillow_reads_is_read(end, zoo):
    path = zoo / FOX / f"new.{end}"
    Image.fromarray(noise(32, 32, 5)).save(path, SAVED[end])
    (entry,) = [entry for entry in collect().entries if entry.sample == f"{FOX}/new.{end}"]
    assert entry.original.load()[1].shape == (32, 32, 3)


def test_what_is_read_follows_the_pillow_that_is_installed():
    assert {".jpg", ".png", ".webp", ".tif", ".bmp", ".gif", ".jfif"} <= readable_endings()
    assert {".eps", ".ps", ".pdf", ".h5", ".mpg", ".heic", ".svg", ".txt", ""}.isdisjoint(readable_endings())
    assert readable_endings() - OTHER_PICTURES <= {
        end for end in Image.registered_extensions() if Image.registered_extensions()[end] in Image.OPEN
    }


# Counted: with the reason

PASSED = {
    "a hidden file": (f"{FOX}/.DS_Store", "1 hidden (train/red fox/.DS_Store)"),
    "what a Mac's archiver adds": (f"{FOX}/._0.png", "1 hidden (train/red fox/._0.png)"),
    "a hidden folder": (".git/config", "1 hidden (.git)"),
    "a hidden folder of pictures": (f"{FOX}/.thumbnails/0.png", "1 hidden (train/red fox/.thumbnails)"),
    "a file manager's index": (f"{FOX}/Thumbs.db", "1 without a picture's name (train/red fox/Thumbs.db)"),
    "a text": (f"{FOX}/README.txt", "1 without a picture's name (train/red fox/README.txt)"),
    "a file without an ending": (f"{FOX}/0001", "1 without a picture's name (train/red fox/0001)"),
    "a label beside its picture": (f"{FOX}/0.json", "1 without a picture's name (train/red fox/0.json)"),
    "a text in a folder inside": (f"{FOX}/notes/a.txt", "1 without a picture's name (train/red fox/notes/a.txt)"),
    "a list beside the classes": ("train/list.csv", "1 beside the class folders (train/list.csv)"),
    "a picture beside the classes": ("train/cover.png", "1 beside the class folders (train/cover.png)"),
    "a picture beside the splits": ("poster.jpg", "1 beside the class folders (poster.jpg)"),
    "another split": ("val/red fox/0.png", "1 in folders that are no class (val/red fox/0.png)"),
    "what an archiver leaves": ("__MACOSX/zoo/0.png", "1 left behind by archivers and file managers (__MACOSX)"),
    "what a storage device leaves": (f"{FOX}/@eaDir/0.jpg/x.jpg", "1 left behind by archivers and file managers"),
}


@pytest.mark.parametrize("kind", PASSED)
def test_what_is_passed_over_is_counted_with_the_reason(kind, zoo):
    path, said = PASSED[kind]
    before = samples()
    put(zoo / path)
    found = collect()
    assert found.passed_over.startswith("passed over 1 file: ")
    assert said in found.passed_over
    assert {entry.sample for entry in found.entries} == before


def test_it_is_said_by_list_and_verify_and_at_the_start_of_a_run(zoo):
    from vlcl_bench.common.progress import Reporter
    from vlcl_bench.engine.pictures import check_own_data, describe_data

    said = "zoo: passed over 3 files: 1 hidden (train/red fox/.x), 2 without a picture's name (the first is "
    said += "train/red fox/a.txt)"
    for name in (".x", "a.txt", "b.txt"):
        put(zoo / FOX / name)
    lines: list[str] = []

    class Heard(Reporter):
        def say(self, message: str) -> None:
            lines.append(message)

    protocol, places = load_protocol("zoo.toml").at("zoo.toml", Path("data")), Places(Path("data"))
    describe_data(protocol, places, Reporter())
    check_own_data(protocol, places, Heard())
    assert lines == [said]
    for command in ("list", "verify"):
        assert said in vlcl("data", command, "--protocol", "zoo.toml", "--data-root", "data").out
    (line,) = vlcl("data", "verify", "--protocol", "zoo.toml", "--data-root", "data", "--json").json["data_sets"]
    assert f"zoo: {line['notes'][0]}" == said


def test_a_copy_of_which_all_is_read_says_nothing(zoo):
    assert collect().passed_over == ""
    assert vlcl("data", "verify", "--protocol", "zoo.toml", "--data-root", "data").out.count("\n") == 1


def test_a_class_whose_files_have_no_pictures_names_says_so(zoo):
    for path in list((zoo / "test/red fox").iterdir()):
        path.rename(path.with_suffix(""))
    with pytest.raises(IntegrityError, match="classes have no test pictures") as caught:
        collect()
    assert "passed over 2 files: 2 without a picture's name" in caught.value.message


# Refused: what would be missed


def nested(folder: str):
    def change(zoo: Path) -> None:
        path = put(zoo / folder / "1.png")
        Image.fromarray(noise(9, 9, 1)).save(path)

    return change


REFUSED = {
    "a folder inside a class": (nested(f"{FOX}/cubs"), "1 picture in folders inside a class folder (train/red fox"),
    "a folder deep inside": (nested(f"{FOX}/a/b/c"), "inside a class folder (train/red fox/a/b/c/1.png)"),
    "a folder inside, of a kind not read": (
        lambda zoo: put(zoo / FOX / "raw" / "1.CR2"), "inside a class folder (train/red fox/raw/1.CR2)"
    ),
    "a picture of a telephone": (lambda zoo: put(zoo / FOX / "1.HEIC"), "read here: .heic (train/red fox/1.HEIC)"),
    "a camera's own": (lambda zoo: put(zoo / FOX / "1.nef"), "cannot be read here: .nef"),
    "a drawing": (lambda zoo: put(zoo / FOX / "1.svg"), "cannot be read here: .svg"),
    "another program's drawing": (lambda zoo: put(zoo / FOX / "1.eps"), "cannot be read here: .eps"),
    "the next format": (lambda zoo: put(zoo / "test/red fox" / "1.jxl"), "read here: .jxl (test/red fox/1.jxl)"),
    "a link to nothing": (
        lambda zoo: (zoo / FOX / "9.png").symlink_to("gone.png"), "cannot be opened as files (train/red fox/9.png)"
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_has_a_pictures_name_and_would_be_missed_is_refused_by_name(kind, zoo):
    change, said = REFUSED[kind]
    change(zoo)
    with pytest.raises(IntegrityError) as caught:
        collect()
    assert said in caught.value.message
    assert "move what is not wanted out" in caught.value.hint


def test_all_kinds_are_refused_at_once_with_their_numbers(zoo):
    for number in range(3):
        put(zoo / FOX / f"{number}.heic")
    put(zoo / FOX / "b.dng")
    nested(f"{FOX}/cubs")(zoo)
    with pytest.raises(IntegrityError) as caught:
        collect()
    assert "1 picture in folders inside a class folder" in caught.value.message
    assert (
        "4 pictures of a kind that cannot be read here: .dng, .heic (the first is train/red fox/0.heic)"
        in caught.value.message
    )


def test_a_kind_that_this_pillow_was_built_without_is_refused_and_not_passed_over(zoo, monkeypatch):
    Image.fromarray(noise(9, 9, 1)).save(zoo / FOX / "1.avif")
    assert f"{FOX}/1.avif" in samples()
    fewer = readable_endings() - {".avif"}
    monkeypatch.setattr(file_names, "readable_endings", lambda: fewer)
    with pytest.raises(IntegrityError, match=r"cannot be read here: \.avif"):
        collect()


def test_a_picture_whose_content_is_none_is_refused_by_name(zoo):
    put(zoo / FOX / "1.png", b"<html>404</html>")
    ended = vlcl("data", "verify", "--protocol", "zoo.toml", "--data-root", "data", "--write")
    assert ended.code == 3
    assert "train/red fox/1.png is no picture that can be read: it is a text" in ended.err


def test_a_link_to_a_picture_or_to_a_folder_of_them_is_read(zoo, tmp_path):
    (zoo / "train/red fox").rename(tmp_path / "foxes")
    (zoo / "train/red fox").symlink_to(tmp_path / "foxes")
    (zoo / "test/red fox/linked.png").symlink_to(tmp_path / "foxes/0.png")
    assert "test/red fox/linked.png" in samples()
    assert f"{FOX}/0.png" in samples()


# Official copies are read as before


@pytest.mark.parametrize("name", ["eurosat", "caltech101", "sun397", "imagenet_r", "tiny_imagenet"])
def test_official_copies_give_what_they_gave_and_are_not_refused_for_what_lies_beside(name, tmp_path):
    spec = shrunken(name)
    folder = build(tmp_path / "official", spec)
    before = [entry.sample for entry in LAYOUTS[spec.layout](locate(spec, tmp_path / "official"), spec)]
    first = folder / Path(before[0]).parent
    for extra in ("notes.txt", ".DS_Store", "0.svg", "Thumbs.db", "inside/1.jpg"):
        put(first / extra)
    found = LAYOUTS[spec.layout](locate(spec, tmp_path / "official"), spec)
    assert [entry.sample for entry in found] == before
    assert survey(folder, spec).words().startswith("passed over")


def test_layouts_that_read_lists_are_not_looked_through(tmp_path):
    spec = shrunken("dtd")
    folder = build(tmp_path / "official", spec)
    put(folder / "images/stray.txt")
    assert survey(folder, spec).words() == ""
    assert RealDataSet(spec).collect(Places(tmp_path / "official")).passed_over == ""


# Accents are written in two ways

NAME = "na\u00efve caf\u00e9"
WAYS = {"composed": unicodedata.normalize("NFC", NAME), "decomposed": unicodedata.normalize("NFD", NAME)}


def french(way: str, **more: object) -> RealSpec:
    return RealSpec.model_validate(
        {
            "name": "french", "title": "F", "layout": "folder", "folders": [WAYS[way]],
            "class_names": [WAYS[way], "plain"], "templates": ["{c}"], "licence": "", "source": "", **more,
        }
    )  # fmt: skip


def french_data(way: str, layout: str = "folder") -> None:
    name, number = WAYS[way], 0
    for split in ("train/", "test/") if layout == "folder" else ("",):
        for folder in (name, "plain"):
            for file in (name, "b"):
                path = put(Path("french") / name / f"{split}{folder}" / f"{file}.png")
                Image.fromarray(np.full((8, 8, 3), number, np.uint8)).save(path)
                number += 1


@pytest.mark.parametrize("on_disk", WAYS)
@pytest.mark.parametrize("in_protocol", WAYS)
@pytest.mark.parametrize("layout", ["folder", "class_folders"])
def test_names_are_found_however_their_accents_are_written(layout, in_protocol, on_disk):
    french_data(on_disk, layout)
    dataset = RealDataSet(french(in_protocol, layout=layout, test=None if layout == "folder" else 0), own=True)
    found = dataset.collect(Places(Path("french")))
    assert len(found.entries) == (8 if layout == "folder" else 4)
    assert all(unicodedata.is_normalized("NFC", entry.sample) for entry in found.entries)
    assert sorted(entry.original.load()[1][0, 0, 0] for entry in found.entries) == list(range(len(found.entries)))
    assert found.passed_over == ""


def test_a_manifest_of_one_way_serves_a_copy_of_the_other():
    from vlcl_bench.data.own_copies import changes
    from vlcl_bench.data.verify import aligned, first_manifest

    french_data("decomposed")
    dataset = RealDataSet(french("composed"), own=True)
    found = dataset.collect(Places(Path("french")))
    manifest = first_manifest(dataset, found, lambda *numbers: None)
    manifest.rows["sample"] = [unicodedata.normalize("NFD", name) for name in manifest.rows["sample"]]
    assert len(aligned(dataset, manifest, found).entries) == 8
    assert changes(dataset.key, manifest, found.entries).words() == ""


@pytest.mark.parametrize("place", ["class", "file", "data set"])
def test_two_names_that_differ_in_their_accents_only_are_refused_by_name(place):
    french_data("composed")
    base = Path("french") / WAYS["composed"]
    other = {
        "class": base / "train" / WAYS["decomposed"] / "c.png",
        "file": base / "train/plain" / f"{WAYS['decomposed']}.png",
        "data set": Path("french") / WAYS["decomposed"] / "c.png",
    }[place]
    Image.fromarray(np.full((8, 8, 3), 77, np.uint8)).save(put(other))
    with pytest.raises(IntegrityError) as caught:
        RealDataSet(french("composed"), own=True).collect(Places(Path("french")))
    assert "twice, written" in caught.value.message
    assert r"\u0308" in caught.value.message
    assert r"\xef" in caught.value.message
    assert "rename one" in caught.value.hint


@pytest.mark.parametrize(
    ("wanted", "found", "said"),
    [
        ("p\u0430ge", "page", r"'p\u0430ge'"),  # a Cyrillic letter
        ("caf\u00e9", "cafe", r"'caf\xe9'"),
        ("wren\u00a0a", "wren a", r"'wren\xa0a'"),
        ("wren\u200b", "wren", r"'wren\u200b'"),
    ],
    ids=["homoglyph", "accent", "no-break space", "space of no width"],
)
def test_names_that_print_alike_are_told_apart(wanted, found, said):
    for split in ("train", "test"):
        for name in (found, "plain"):
            Image.fromarray(noise(8, 8, 1)).save(put(Path("french/f") / split / name / "a.png"))
    spec = french("composed", folders=["f"], class_names=[wanted, "plain"])
    with pytest.raises(IntegrityError) as caught:
        RealDataSet(spec, own=True).collect(Places(Path("french")))
    assert said in caught.value.message
    assert repr(found) in caught.value.message


def test_lists_of_files_find_pictures_however_their_accents_are_written(tmp_path):
    spec = shrunken("dtd").model_copy(update={"class_names": (NAME, "braided", "bubbly"), "source_names": None})
    spec = spec.model_copy(update={"train_per_class": None, "test_per_class": None, "train": None, "test": None})
    root = tmp_path / "dtd"
    for split in ("train", "test"):
        lines = []
        for name in spec.class_names:
            path = (
                root
                / "images"
                / unicodedata.normalize("NFD", name)
                / unicodedata.normalize("NFD", f"{name}_{split}.png")
            )
            Image.fromarray(noise(8, 8, len(name))).save(put(path))
            lines.append(f"{name}/{name}_{split}.png")
        put(root / "labels" / f"{split}1.txt", "\n".join(lines).encode())
    found = LAYOUTS["dtd"](root, spec)
    assert [entry.label for entry in found] == [0, 1, 2, 0, 1, 2]
    assert all(entry.original.load()[1].shape == (8, 8, 3) for entry in found)


def test_every_picture_name_is_known_in_capitals_too():
    assert is_readable("a.JPG")
    assert is_readable("a.b.PnG")
    assert not is_readable("jpg")
    assert not is_readable(".jpg")
