"""The hub route, on local copies in the hub's layout that the ``datasets`` library itself wrote; nothing is fetched."""

from __future__ import annotations

import importlib
import io
import pickle
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image as PillowImage
from support.hub import COMMIT, NAMES, REPO, cell, encoded, hub_copy, offline, spec, write  # noqa: F401 (fixtures)

from vlcl_bench.common.fileio import sha256_bytes
from vlcl_bench.data.originals import pixels_sha256
from vlcl_bench.data.real import hub_open
from vlcl_bench.data.real.hub import HubFound, match_to_manifest, read_hub
from vlcl_bench.data.real.hub_labels import labels_by_name, normalised
from vlcl_bench.data.real.spec import Entry, HubFilter, RealSpec
from vlcl_bench.errors import IntegrityError, MachineError, UsageError


def seen(found: HubFound) -> list[tuple[str, str, int, int]]:
    return [(e.split, e.sample, e.label, int(e.original.load()[1][0, 0, 0])) for e in found.entries]


def test_entries_keep_the_hub_s_order_and_its_encoded_pictures(copy: Callable[..., Path]) -> None:
    found = read_hub(spec(), copy(), None)
    assert seen(found) == [
        ("train", "train/0", 2, 10),
        ("train", "train/1", 0, 20),
        ("train", "train/2", 1, 30),
        ("test", "test/0", 1, 40),
        ("test", "test/1", 1, 50),
    ]
    assert found.entries[1].original.read() == encoded(20)  # type: ignore[attr-defined]
    assert found.entries[1].original.where == "owner/small-set, split train, row 1"
    assert found.revision is None
    assert found.origin == "hub owner/small-set@unknown (local copy)"


def test_nothing_is_decoded_while_reading(copy: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    root = copy()

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(PillowImage, "open", refuse)
    assert len(read_hub(spec(), root, None).entries) == 5


def test_a_jpeg_s_hash_is_over_the_bytes_that_were_uploaded(tmp_path: Path) -> None:
    from datasets import ClassLabel, Image

    types = {"img": Image(), "fine_label": ClassLabel(names=list(NAMES))}
    for split in ("train", "test"):
        write(tmp_path / REPO, split, {"img": [cell(9, "JPEG")], "fine_label": [0]}, types)
    assert read_hub(spec(), tmp_path, None).entries[0].original.digest() == sha256_bytes(encoded(9, "JPEG"))


def test_entries_can_be_sent_to_a_worker(copy: Callable[..., Path]) -> None:
    entry: Entry = pickle.loads(pickle.dumps(read_hub(spec(), copy(), None).entries))[4]
    assert entry.original.digest() == pixels_sha256(np.full((5, 4, 3), 50, np.uint8))


def test_the_card_s_configuration_is_obeyed(copy: Callable[..., Path]) -> None:
    root = copy()
    folder = root / REPO
    (folder / "data").rename(folder / "fine")
    (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: fine\n  data_files:\n  - split: train\n    path: fine/train-*\n"
        "  - split: validation\n    path: fine/test-*\n---\n# A set\n"
    )
    hub = {"config": "fine", "splits": {"train": ("train",), "test": ("validation",)}}
    assert [entry.sample for entry in read_hub(spec(hub), root, None).entries][3:] == ["test/0", "test/1"]


def test_an_unknown_configuration_is_refused(copy: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match="coarse"):
        read_hub(spec({"config": "coarse"}), copy(), None)


def test_webdataset_files_are_read(tmp_path: Path) -> None:
    for split, greys in (("train", (1, 2)), ("test", (3,))):
        path = tmp_path / REPO / split / "0.tar"
        path.parent.mkdir(parents=True)
        with tarfile.open(path, "w") as tar:
            for grey in greys:
                for kind, data in (("png", encoded(grey)), ("cls", str(grey - 1).encode())):
                    info = tarfile.TarInfo(f"s{grey}.{kind}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
    hub = {"image": "png", "label": "cls", "names": False, "sample": "__key__"}
    assert seen(read_hub(spec(hub), tmp_path, None)) == [
        ("train", "s1", 0, 1),
        ("train", "s2", 1, 2),
        ("test", "s3", 2, 3),
    ]


def test_joined_splits_go_into_one_pool(copy: Callable[..., Path]) -> None:
    found = read_hub(spec({"splits": {"train": ("test", "train")}}, split="pool-42"), copy(), None)
    assert [row[:3] for row in seen(found)] == [
        ("pool", "pool/0", 1),
        ("pool", "pool/1", 1),
        ("pool", "pool/2", 2),
        ("pool", "pool/3", 0),
        ("pool", "pool/4", 1),
    ]


def test_sample_ids_come_from_the_file_name_column(copy: Callable[..., Path]) -> None:
    from datasets import Value

    root = copy(file=(Value("string"), {"train": ["a.png", "b.png", "c.png"], "test": ["d.png", "e.png"]}))
    found = read_hub(spec({"sample": "file", "sample_prefix": "images/"}), root, None)
    assert [entry.sample for entry in found.entries][:2] == ["images/a.png", "images/b.png"]


def test_two_pictures_of_one_name_are_refused(copy: Callable[..., Path]) -> None:
    from datasets import Value

    root = copy(file=(Value("string"), {"train": ["a.png", "b.png", "a.png"], "test": ["d.png", "e.png"]}))
    with pytest.raises(IntegrityError, match=r"two pictures 'a\.png'.*split train, row 2"):
        read_hub(spec({"sample": "file"}), root, None)


def test_a_row_without_bytes_is_the_file_that_it_names(tmp_path: Path) -> None:
    from datasets import ClassLabel, Value

    # What an Image column looks like in a file: bytes and path.
    types = {"img": {"bytes": Value("binary"), "path": Value("string")}, "fine_label": ClassLabel(names=list(NAMES))}
    for split in ("train", "test"):
        rows = [{"bytes": None, "path": f"pictures/{split}.png"}, {"bytes": None, "path": None}]
        write(tmp_path / REPO, split, {"img": rows, "fine_label": [0, 1]}, types)
    (tmp_path / REPO / "pictures").mkdir()
    (tmp_path / REPO / "pictures" / "train.png").write_bytes(encoded(77))
    entries = read_hub(spec(), tmp_path, None).entries
    assert entries[0].original.load()[1][0, 0, 0] == 77
    with pytest.raises(IntegrityError, match=r"split test, row 0 refers to pictures/test\.png"):
        entries[2].original.load()
    with pytest.raises(IntegrityError, match="split train, row 1 holds no picture"):
        entries[1].original.load()


def test_a_picture_cut_short_is_refused_with_its_row(tmp_path: Path) -> None:
    from datasets import ClassLabel, Image

    types = {"img": Image(), "fine_label": ClassLabel(names=list(NAMES))}
    for split in ("train", "test"):
        short = {"bytes": encoded(9, "JPEG")[:-40], "path": None}
        write(tmp_path / REPO, split, {"img": [cell(1), short], "fine_label": [0, 1]}, types)
    with pytest.raises(IntegrityError, match="split train, row 1 cannot be decoded"):
        read_hub(spec(), tmp_path, None).entries[1].original.load()


# Labels


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("aquarium_fish", "aquarium fish"),
        ("Egyptian Mau", "egyptian_mau"),
        ("/a/abbey", "abbey"),
        ("a/abbey", "/a/abbey"),
        ("/c/church/indoor", "church indoor"),
        ("F/A-18", "f_a18"),
        ("St. Bernard", "st bernard"),
    ],
)
def test_names_are_compared_without_case_and_punctuation(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)


def test_names_are_still_told_apart() -> None:
    assert normalised("737-200") != normalised("737-300")
    assert normalised("/c/church/indoor") != normalised("/c/church/outdoor")


def test_spellings_of_the_archive_and_of_the_prompts_are_both_taken(copy: Callable[..., Path]) -> None:
    root = copy(("n01", "Aquarium_Fish", "n03"))
    assert len(read_hub(spec(source_names=("n01", "n02", "n03")), root, None).entries) == 5


def test_shifted_labels_are_refused_with_both_spellings(copy: Callable[..., Path]) -> None:
    with pytest.raises(IntegrityError, match=r"label 0 .* is 'background', no class of small; .* has 'apple'"):
        read_hub(spec(), copy(("background", "apple", "aquarium_fish")), None)


def test_labels_in_another_order_are_read_by_their_names(copy: Callable[..., Path]) -> None:
    usual = [entry.label for entry in read_hub(spec(), copy(("apple", "aquarium_fish", "baby")), None).entries]
    other = [entry.label for entry in read_hub(spec(), copy(("apple", "baby", "aquarium_fish")), None).entries]
    assert set(usual) == {0, 1, 2}
    assert other == [{0: 0, 1: 2, 2: 1}[label] for label in usual]


def test_one_name_for_two_labels_is_refused(copy: Callable[..., Path]) -> None:
    with pytest.raises(IntegrityError, match=r"label 2 .* is 'apple', .*another label's name too"):
        read_hub(spec({"aliases": {"pear": "apple"}}), copy(("pear", "aquarium_fish", "apple")), None)


def test_another_number_of_classes_is_refused(copy: Callable[..., Path]) -> None:
    with pytest.raises(IntegrityError, match="has 4 classes, small has 3"):
        read_hub(spec(), copy((*NAMES, "bear")), None)


def test_a_known_typing_error_of_the_hub_can_be_allowed(copy: Callable[..., Path]) -> None:
    root = copy(("aple", "aquarium_fish", "baby"))
    with pytest.raises(IntegrityError, match="'aple'"):
        read_hub(spec(), root, None)
    assert len(read_hub(spec({"aliases": {"aple": "apple"}}), root, None).entries) == 5


def test_numbers_without_names_are_refused_unless_the_specification_allows_them(copy: Callable[..., Path]) -> None:
    root = copy(None)
    with pytest.raises(IntegrityError, match="without class names"):
        read_hub(spec(), root, None)
    assert [entry.label for entry in read_hub(spec({"names": False}), root, None).entries] == [2, 0, 1, 1, 1]


@pytest.mark.parametrize("value", [3, -1])
def test_a_label_outside_the_classes_is_refused(tmp_path: Path, value: int) -> None:
    from datasets import Image, Value

    for split in ("train", "test"):
        columns = {"img": [cell(1), cell(2)], "fine_label": [0, value]}
        write(tmp_path / REPO, split, columns, {"img": Image(), "fine_label": Value("int64")})
    with pytest.raises(IntegrityError, match=rf"row 1 has label {value}, expected 0 to 2"):
        read_hub(spec({"names": False}), tmp_path, None)


def test_labels_given_as_names_are_mapped_by_name(copy: Callable[..., Path]) -> None:
    from datasets import Value

    root = copy(("Baby", "apple", "aquarium_fish"), label=Value("string"))
    assert [entry.label for entry in read_hub(spec(), root, None).entries] == [1, 2, 0, 0, 0]


def test_a_name_that_is_no_class_or_two_is_refused() -> None:
    with pytest.raises(IntegrityError, match="'bear' in row 1 of column 'fine_label' names no class"):
        labels_by_name(["apple", "bear"], spec())
    with pytest.raises(IntegrityError, match="None in row 0"):
        labels_by_name([None], spec())
    with pytest.raises(IntegrityError, match="names 2 classes"):
        labels_by_name(["crane"], spec(class_names=("crane", "Crane", "baby")))


# What is not there


def test_a_set_without_a_copy_on_the_hub_names_the_folder_instead() -> None:
    with pytest.raises(UsageError) as caught:
        read_hub(spec(hub=None).model_copy(update={"hub": None}), None, None)
    assert "--data-root" in (caught.value.hint or "")


def test_a_missing_split_is_refused_with_those_there(copy: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match="no split 'validation'") as caught:
        read_hub(spec({"splits": {"train": ("train",), "test": ("validation",)}}), copy(), None)
    assert "train, test" in (caught.value.hint or "")


@pytest.mark.parametrize("field", ["image", "label", "sample"])
def test_a_missing_column_is_refused_with_those_there(copy: Callable[..., Path], field: str) -> None:
    with pytest.raises(UsageError, match="no column 'nothing' in split 'train'") as caught:
        read_hub(spec({field: "nothing"}), copy(), None)
    assert "img, fine_label" in (caught.value.hint or "")


def test_a_split_cannot_serve_training_and_testing(copy: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match="'train' of owner/small-set is named twice"):
        read_hub(spec({"splits": {"train": ("train",), "test": ("train",)}}), copy(), None)


def test_a_column_of_addresses_is_not_one_of_pictures(copy: Callable[..., Path]) -> None:
    from datasets import Value

    root = copy(url=(Value("string"), {"train": ["a", "b", "c"], "test": ["d", "e"]}))
    with pytest.raises(UsageError, match=r"'url'.*not pictures"):
        read_hub(spec({"image": "url"}), root, None)


def test_a_missing_copy_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no copy of owner/small-set") as caught:
        read_hub(spec(), tmp_path, None)
    assert "hf download owner/small-set --repo-type dataset --local-dir" in (caught.value.hint or "")


def test_an_empty_copy_is_refused(tmp_path: Path) -> None:
    (tmp_path / REPO).mkdir(parents=True)
    with pytest.raises(UsageError, match="holds no data files"):
        read_hub(spec(), tmp_path, None)


def test_a_copy_that_is_a_loading_script_is_refused(copy: Callable[..., Path]) -> None:
    root = copy()
    (root / REPO / "small-set.py").write_text("raise SystemExit\n")
    with pytest.raises(UsageError, match="is a loading script"):
        read_hub(spec(), root, None)


def test_a_truncated_table_is_refused(copy: Callable[..., Path]) -> None:
    root = copy()
    path = root / REPO / "data" / "train-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(IntegrityError, match="data files of owner/small-set are damaged"):
        read_hub(spec(), root, None)


def test_a_copy_with_fewer_rows_than_its_card_says_is_refused(copy: Callable[..., Path]) -> None:
    root = copy()
    (root / REPO / "README.md").write_text(
        "---\ndataset_info:\n  splits:\n  - name: train\n    num_bytes: 10\n    num_examples: 4\n"
        "  - name: test\n    num_bytes: 10\n    num_examples: 2\n  download_size: 1\n  dataset_size: 1\n---\n"
    )
    with pytest.raises(IntegrityError, match="damaged"):
        read_hub(spec(), root, None)


# Commits


def note(root: Path, *commits: str) -> None:
    folder = root / REPO / ".cache" / "huggingface" / "download" / "data"
    folder.mkdir(parents=True)
    for index, commit in enumerate(commits):
        (folder / f"{index}.parquet.metadata").write_text(f"{commit}\netag\n1712656091.1\n")


def test_the_commit_of_a_copy_is_what_the_download_tool_noted(copy: Callable[..., Path]) -> None:
    root = copy()
    note(root, COMMIT, COMMIT)
    found = read_hub(spec(), root, None)
    assert found.revision == COMMIT
    assert found.origin == f"hub owner/small-set@{COMMIT} (local copy)"
    assert read_hub(spec(), root, COMMIT).revision == COMMIT


@pytest.mark.parametrize("where", ["manifest", "specification"])
def test_a_copy_of_another_commit_is_refused(copy: Callable[..., Path], where: str) -> None:
    root = copy()
    note(root, COMMIT, "f" * 40)
    asked = COMMIT if where == "manifest" else None
    with pytest.raises(IntegrityError, match=f"is commit f+, expected {COMMIT}"):
        read_hub(spec({} if asked else {"revision": COMMIT}), root, asked)


def test_a_copy_of_several_commits_has_no_revision(copy: Callable[..., Path]) -> None:
    root = copy()
    note(root, COMMIT, "f" * 40)
    assert read_hub(spec(), root, None).revision is None


@pytest.mark.parametrize("revision", [None, COMMIT])
def test_without_a_connection_the_ways_round_it_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, revision: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MachineError, match="owner/small-set") as caught:
        read_hub(spec(), None, revision, cache=tmp_path / "cache")
    assert "--data-root" in (caught.value.hint or "")
    assert "--hub-root" in (caught.value.hint or "")


def cached(root: Path, cache: Path, commit: str) -> None:
    """Leave a table in the library's cache as if it had been fetched from the hub at ``commit``."""
    read_hub(spec(), root, None, cache=cache)
    (info,) = cache.rglob("dataset_info.json")
    place = cache / "owner___small-set" / "default" / "0.0.0" / commit
    shutil.copytree(info.parent, place)


def test_offline_the_cached_table_of_the_right_commit_is_used(
    copy: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cached(copy(), tmp_path / "cache", COMMIT)
    found = read_hub(spec(), None, COMMIT, cache=tmp_path / "cache")
    assert len(seen(found)) == 5
    assert found.revision == COMMIT
    assert found.origin == f"hub owner/small-set@{COMMIT}"


def test_offline_a_cached_table_of_another_commit_is_refused(
    copy: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cached(copy(), tmp_path / "cache", "f" * 40)
    with pytest.raises(MachineError, match=f"is commit f+, expected {COMMIT}"):
        read_hub(spec(), None, COMMIT, cache=tmp_path / "cache")


def test_without_a_revision_the_newest_commit_is_asked_for_and_returned(
    copy: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import HfApi

    class Info:
        sha = COMMIT

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(HfApi, "dataset_info", lambda self, repo: Info())
    cached(copy(), tmp_path / "cache", COMMIT)
    assert read_hub(spec(), None, None, cache=tmp_path / "cache").revision == COMMIT


def test_a_folder_that_the_library_would_take_for_the_hub_is_refused(
    copy: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copy())
    with pytest.raises(UsageError, match="would be taken for the hub's"):
        read_hub(spec(), None, COMMIT)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("gated", MachineError), ("unknown", UsageError), ("timeout", MachineError), ("disk", MachineError)],
)
def test_answers_of_the_hub_are_put_in_plain_words(
    kind: str, expected: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    # The web client that this version of the library uses.
    httpx = importlib.import_module(HfHubHTTPError.__mro__[1].__module__.partition(".")[0])
    answer = httpx.Response(403, request=httpx.Request("GET", "https://huggingface.co"))
    errors = {
        "gated": lambda: GatedRepoError("gated", response=answer),
        "unknown": lambda: RepositoryNotFoundError("no such data set", response=answer),
        "timeout": lambda: httpx.ConnectTimeout("too slow"),
        "disk": lambda: OSError("Not enough disk space"),
    }

    def fail(*args: Any) -> None:
        raise errors[kind]()

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(HfApi, "dataset_info", fail)
    with pytest.raises(expected):
        hub_open.newest_commit(REPO)


# Captions and texts


def captioned(root: Path, captions: list[Any] | None = None) -> RealSpec:
    from datasets import Image, Value
    from datasets.features import Features, Sequence

    types = Features(
        {"image": Image(), "caption": Sequence(Value("string")), "split": Value("string"), "name": Value("string")}
    )
    rows = {
        "image": [cell(10, "JPEG"), cell(20, "JPEG"), cell(30, "JPEG"), cell(40, "JPEG")],
        "caption": captions or [["One. ", "Two."], ["Three."], ["Four."], ["Five.", "Six."]],
        "split": ["train", "test", "val", "train"],
        "name": ["1.jpg", "2.jpg", "3.jpg", "4.jpg"],
    }
    write(root / REPO, "test", rows, types)
    hub = {
        "splits": {"train": ("test",), "test": ("test",)},
        "image": "image",
        "captions": "caption",
        "sample": "name",
        "sample_prefix": "flickr30k-images/",
        "filter": HubFilter(column="split", train=("train",), test=("test",)),
    }
    return spec(hub, captioned=True, class_names=())


def test_a_column_tells_the_rows_of_one_split_apart(tmp_path: Path) -> None:
    found = read_hub(captioned(tmp_path), tmp_path, None)
    assert [(e.split, e.sample, e.label, e.captions) for e in found.entries] == [
        ("train", "flickr30k-images/1.jpg", -1, ("One.", "Two.")),
        ("train", "flickr30k-images/4.jpg", -1, ("Five.", "Six.")),
        ("test", "flickr30k-images/2.jpg", -1, ("Three.",)),
    ]
    assert found.entries[1].original.digest() == sha256_bytes(encoded(40, "JPEG"))


def test_a_filter_that_finds_nothing_says_what_is_there(tmp_path: Path) -> None:
    known = captioned(tmp_path)
    assert known.hub is not None
    odd = known.hub.model_copy(update={"filter": HubFilter(column="split", train=("train",), test=("dev",))})
    with pytest.raises(UsageError, match="no row of owner/small-set has dev in column 'split'") as caught:
        read_hub(known.model_copy(update={"hub": odd}), tmp_path, None)
    assert "test, train, val" in (caught.value.hint or "")


def test_a_picture_without_a_caption_is_refused_with_its_row(tmp_path: Path) -> None:
    known = captioned(tmp_path, [["One."], [" "], ["Four."], ["Five."]])
    with pytest.raises(IntegrityError, match="split test, row 1 has no caption"):
        read_hub(known, tmp_path, None)


def test_captions_without_a_named_column_are_refused(tmp_path: Path) -> None:
    known = captioned(tmp_path)
    assert known.hub is not None
    with pytest.raises(UsageError, match="no column of it is named"):
        read_hub(known.model_copy(update={"hub": known.hub.model_copy(update={"captions": None})}), tmp_path, None)


def test_texts_come_without_pictures_and_are_counted(tmp_path: Path) -> None:
    from datasets import Value

    columns = {"image_url": ["http://x/1", "http://x/2"], "caption": ["a dog ", "the sea"]}
    write(tmp_path / REPO, "train", columns, {"image_url": Value("string"), "caption": Value("string")})
    known = spec({"splits": {"train": ("train",)}, "captions": "caption"}, class_names=(), texts=True, train=2)
    found = read_hub(known, tmp_path, None)
    assert found.texts == ("a dog", "the sea")
    assert found.entries == []
    with pytest.raises(IntegrityError, match="has 2 captions, expected 3"):
        read_hub(known.model_copy(update={"train": 3}), tmp_path, None)


# Matching with a manifest


def manifest(*rows: tuple[str, str, int, int]) -> pd.DataFrame:
    hashes = [pixels_sha256(np.full((5, 4, 3), grey, np.uint8)) for *_, grey in rows]
    return pd.DataFrame(
        {
            "split": [row[0] for row in rows],
            "sample": [row[1] for row in rows],
            "sha256": hashes,
            "label": [row[2] for row in rows],
        }
    )


OFFICIAL = (
    ("train", "e.png", 1, 50),
    ("train", "a.png", 2, 10),
    ("train", "d.png", 1, 40),
    ("test", "b.png", 0, 20),
    ("test", "c.png", 1, 30),
)


def test_a_copy_in_another_order_and_split_becomes_the_manifest_s(copy: Callable[..., Path]) -> None:
    entries = read_hub(spec(), copy(), None).entries
    calls: list[tuple[int, int]] = []
    matched = match_to_manifest(entries, manifest(*OFFICIAL), lambda done, of: calls.append((done, of)))
    assert seen(HubFound(matched, None, "")) == list(OFFICIAL)
    assert calls == [(done, 5) for done in range(1, 6)]


def test_captions_stay_with_their_picture(tmp_path: Path) -> None:
    entries = read_hub(captioned(tmp_path), tmp_path, None).entries
    rows = pd.DataFrame(
        {
            "split": ["test", "train", "train"],
            "sample": ["b", "d", "a"],
            "sha256": [sha256_bytes(encoded(grey, "JPEG")) for grey in (20, 40, 10)],
            "label": [-1, -1, -1],
        }
    )
    matched = match_to_manifest(entries, rows)
    assert [(e.sample, e.captions) for e in matched] == [
        ("b", ("Three.",)),
        ("d", ("Five.", "Six.")),
        ("a", ("One.", "Two.")),
    ]


def test_missing_and_unknown_pictures_are_counted_and_the_first_named(copy: Callable[..., Path]) -> None:
    entries = read_hub(spec(), copy(), None).entries
    rows = manifest(*OFFICIAL[:3], ("test", "x.png", 0, 99), ("test", "y.png", 0, 98))
    with pytest.raises(
        IntegrityError,
        match=r"2 of 5 pictures are missing, the first: x\.png; 2 are not in the manifest, the first: .*train, row 1",
    ):
        match_to_manifest(entries, rows)


def test_pictures_beyond_the_manifest_are_left_out_only_if_asked(copy: Callable[..., Path]) -> None:
    entries = read_hub(spec(), copy(), None).entries
    rows = manifest(*OFFICIAL[:3])
    with pytest.raises(IntegrityError, match="2 are not in the manifest"):
        match_to_manifest(entries, rows)
    assert [entry.sample for entry in match_to_manifest(entries, rows, extra=True)] == ["e.png", "a.png", "d.png"]


def test_a_picture_with_another_label_is_refused_by_name(copy: Callable[..., Path]) -> None:
    entries = read_hub(spec(), copy(), None).entries
    rows = manifest(*OFFICIAL[:4], ("test", "c.png", 2, 30))
    with pytest.raises(IntegrityError, match=r"split train, row 2 is c\.png of the manifest.*label 1, expected 2"):
        match_to_manifest(entries, rows)


def test_equal_pictures_are_assigned_in_order_and_by_label(tmp_path: Path) -> None:
    from datasets import ClassLabel, Image

    types = {"img": Image(), "fine_label": ClassLabel(names=list(NAMES))}
    write(tmp_path / REPO, "train", {"img": [cell(1)] * 3, "fine_label": [0, 1, 0]}, types)
    write(tmp_path / REPO, "test", {"img": [cell(2)], "fine_label": [0]}, types)
    entries = read_hub(spec(), tmp_path, None).entries
    rows = manifest(("train", "a", 1, 1), ("train", "b", 0, 1), ("test", "c", 0, 2), ("test", "d", 0, 1))
    matched = match_to_manifest(entries, rows)
    places = [(entry.sample, entry.split, entry.label, entry.original.where[-5:]) for entry in matched]
    assert places == [
        ("a", "train", 1, "row 1"),
        ("b", "train", 0, "row 0"),
        ("c", "test", 0, "row 0"),
        ("d", "test", 0, "row 2"),
    ]
