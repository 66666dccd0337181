"""The stream that a run was made on is found again, by content, whatever was described or written since."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlcl_bench.data.manifest import Manifest, first_use_folder, make_manifest, write_manifest
from vlcl_bench.data.originals import FilePicture
from vlcl_bench.data.real.spec import Entry
from vlcl_bench.errors import IntegrityError
from vlcl_bench.protocols.load import load_protocol
from vlcl_bench.records.files import read_record
from vlcl_bench.records.schema import DataOrigin, Record
from vlcl_bench.records.streams import PROTOCOL_NAME, differences, keep_protocol, stream_of

STORED = Path(__file__).parents[1] / "expectations/fast-classes/zero_shot"
PROTOCOL = """
name = "mine"
version = 1
title = "mine"
description = "for tests"
source = "real"
scale = "mini"
backbone = "vlcl-mini/v1"
picture_size = 48
tasks = ["birds"]
evaluation_batch = 16
ranked = false

[budget]
steps = 2
batch_size = 8
learning_rate = 1e-4
warmup = 1
ensemble_interval = 1
reference_batch = 8
auxiliary_size = 16

[augmentation]
scale = [0.9, 1.0]
ratio = [0.75, 1.3333333333333333]

[[data]]
name = "birds"
title = "Birds"
layout = "folder"
folders = ["birds"]
class_names = ["robin", "wren"]
templates = ["a photo of a {c}."]
licence = "ours"
source = "our garden"
"""


def manifest(first: str, name: str = "birds") -> Manifest:
    """Two classes with a picture in each split, of which the first has this hash."""
    hashes = [first, *(f"{number:064d}" for number in range(1, 4))]
    entries = [
        Entry(f"{split}/{label}.png", split, label, FilePicture(""))  # type: ignore[arg-type]
        for split in ("train", "test")
        for label in (0, 1)
    ]
    return make_manifest(name, ("robin", "wren"), entries, hashes, "folder")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run's folder that keeps its protocol."""
    given = tmp_path / "mine.toml"
    given.write_text(PROTOCOL)
    folder = tmp_path / "run"
    folder.mkdir()
    keep_protocol(folder, str(given))
    return folder


def record_of(made: Manifest, file: Path) -> Record:
    """A record of a run that was made on this manifest, under the protocol of this file."""
    record = read_record(STORED)
    fingerprint = load_protocol(file).with_manifests([made]).fingerprint
    identity = record.identity.model_copy(update={"protocol": "mine", "protocol_fingerprint": fingerprint})
    data = {"birds": DataOrigin(manifest=made.fingerprint(), status="first-use", source="folder")}
    return record.model_copy(update={"identity": identity, "data": data})


OLD, NEW = manifest("a" * 64), manifest("b" * 64)
PLACED = {
    "under the key of its description": "birds-0123456789ab",
    "under the key of one of several copies": "birds-0123456789ab-01234567",
    "under a plain name": "birds",
    "put aside when it was renewed": "earlier/birds-0123456789ab-deadbeef",
}


@pytest.mark.parametrize("key", PLACED.values(), ids=PLACED)
def test_an_old_runs_manifest_is_found_by_its_content_beside_newer_ones(run: Path, key: str) -> None:
    folder = first_use_folder()
    write_manifest(NEW, folder, load_protocol(run / PROTOCOL_NAME).datasets[0].key)
    write_manifest(manifest("c" * 64, "birds-of-prey"), folder, "birds-of-prey-0123")
    (folder / "birds-broken.parquet").write_bytes(b"none")
    where, _, name = key.rpartition("/")
    write_manifest(OLD, folder / where, name)
    for made in (OLD, NEW):
        record = record_of(made, run / PROTOCOL_NAME)
        found = stream_of(run, record)
        assert found.manifests[0].fingerprint() == made.fingerprint()
        assert found.fingerprint == record.identity.protocol_fingerprint


def test_a_run_whose_manifest_is_not_here_is_not_scored_with_another(run: Path) -> None:
    write_manifest(NEW, first_use_folder(), "birds-0123456789ab")
    with pytest.raises(IntegrityError, match=f"the manifest of 'birds' with fingerprint {OLD.fingerprint()[:12]}"):
        stream_of(run, record_of(OLD, run / PROTOCOL_NAME))


def test_runs_on_other_pictures_differ_in_the_pictures(run: Path) -> None:
    for made, key in ((OLD, "birds-a"), (NEW, "birds-b")):
        write_manifest(made, first_use_folder(), key)
    both = [(run, record_of(made, run / PROTOCOL_NAME)) for made in (OLD, NEW)]
    assert differences(both[0], both[1]) == ["the pictures of birds"]
    assert differences(both[0], both[0]) == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("a photo of a {c}.", "a bird: {c}.", ["data.birds.templates (['a photo of a {c}.'] and ['a bird: {c}.'])"]),
        ("version = 1", "version = 2", ["version (1 and 2)"]),
        ("picture_size = 48", "picture_size = 64", ["picture_size (48 and 64)"]),
        ('title = "mine"', 'title = "yours"', []),
    ],
)
def test_runs_under_files_of_one_name_differ_in_what_the_files_say(
    run: Path, tmp_path: Path, old: str, new: str, words: list[str]
) -> None:
    write_manifest(OLD, first_use_folder(), "birds-a")
    other = tmp_path / "other"
    other.mkdir()
    (other / PROTOCOL_NAME).write_text(PROTOCOL.replace(old, new))
    found = differences(*((folder, record_of(OLD, folder / PROTOCOL_NAME)) for folder in (run, other)))
    assert found == words


def test_a_kept_protocol_is_never_written_over(run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(PROTOCOL + "# changed\n")
    keep_protocol(run, str(tmp_path / "mine.toml"))
    assert (run / PROTOCOL_NAME).read_text() == PROTOCOL
    for name in ("mini-mtil-1", "c2r@rapf"):
        keep_protocol(tmp_path, name)
    assert not (tmp_path / PROTOCOL_NAME).exists()
