"""First use of a real data set: whatever copy comes first, the same content is the same data ever after."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from support.harness import vlcl
from support.hub import COMMIT, NAMES, REPO, hub_copy, offline, spec  # noqa: F401 (fixtures)
from support.zoo import PROTOCOL, make_zoo

from vlcl_bench.data.interface import Places
from vlcl_bench.data.manifest import find_manifest, first_use_folder, keep_first_use
from vlcl_bench.data.real.dataset import RealDataSet
from vlcl_bench.data.verify import aligned, first_manifest
from vlcl_bench.errors import IntegrityError, UsageError
from vlcl_bench.protocols.load import load_protocol


def silent(done: int, total: int) -> None:
    """No progress."""


def small(**more: object) -> RealDataSet:
    return RealDataSet(spec(layout="folder", folders=("small",), train=3, test=2, **more))


def noted(root: Path, commit: str = COMMIT) -> Path:
    """The copy as the hub's download tool leaves it, with the commit noted beside the files."""
    note = root / REPO / ".cache" / "huggingface" / "download" / "data" / "train-00000-of-00001.parquet.metadata"
    note.parent.mkdir(parents=True)
    note.write_text(f"{commit}\netag\n0.0\n")
    return root


def as_folders(mirror: Path, root: Path) -> Path:
    """The same pictures, byte for byte, unpacked in folders under other names."""
    for split in ("train", "test"):
        for name in NAMES:
            (root / "small" / split / name).mkdir(parents=True)
    entries = RealDataSet(spec(layout="folder", folders=("small",))).collect(Places(None, mirror)).entries
    for number, entry in enumerate(entries):
        path = root / "small" / entry.split / NAMES[entry.label] / f"picture-{9 - number}.png"
        path.write_bytes(entry.original.read())  # type: ignore[attr-defined]
    return root


@pytest.fixture
def hub_set() -> RealDataSet:
    # Official splits need every class in both; the copy's test rows are of one class only.
    return RealDataSet(spec(layout="folder", folders=("small",), split="official"))


@pytest.fixture(autouse=True)
def all_classes_may_be_missing(monkeypatch):
    monkeypatch.setattr("vlcl_bench.data.real.assemble._every_class", lambda *rest: None)


def described(dataset: RealDataSet, places: Places):
    found = dataset.collect(places)
    return first_manifest(dataset, found, silent), found


def test_a_local_hub_copy_is_described_with_its_commit_and_read_again(hub_set, copy):
    places = Places(None, noted(copy()))
    manifest, _ = described(hub_set, places)
    assert manifest.hub_revision(REPO) == COMMIT
    again = aligned(hub_set, manifest, hub_set.collect(places, manifest))
    assert [entry.sample for entry in again.entries] == manifest.rows["sample"].tolist()
    third = aligned(hub_set, manifest, hub_set.collect(places, manifest))  # from the kept places
    assert [e.original.digest() for e in third.entries] == manifest.rows["sha256"].tolist()


def test_a_hub_copy_of_another_commit_is_refused_later(hub_set, copy):
    root = noted(copy())
    manifest, _ = described(hub_set, Places(None, root))
    shutil.rmtree(root / REPO / ".cache")
    noted(root, "f" * 40)
    with pytest.raises(IntegrityError, match=f"is commit {'f' * 40}, expected {COMMIT}"):
        hub_set.collect(Places(None, root), manifest)


def test_a_hub_copy_and_the_unpacked_archive_are_the_same_data(hub_set, copy, tmp_path):
    mirror = noted(copy())
    from_hub, _ = described(hub_set, Places(None, mirror))
    folders = Places(as_folders(mirror, tmp_path / "data"))
    from_folder, found = described(hub_set, folders)
    assert from_hub.fingerprint() == from_folder.fingerprint()
    assert from_hub.rows["sha256"].tolist() == from_folder.rows["sha256"].tolist()
    assert from_hub.rows["sample"].tolist() != from_folder.rows["sample"].tolist()
    entries = aligned(hub_set, from_hub, found).entries
    assert [entry.original.digest() for entry in entries] == from_hub.rows["sha256"].tolist()


def test_a_folder_comes_before_a_hub_copy_and_a_hub_copy_fills_what_is_missing(hub_set, copy, tmp_path):
    mirror = noted(copy())
    data = as_folders(mirror, tmp_path / "data")
    assert hub_set.collect(Places(data, mirror)).origin == "folder"
    shutil.rmtree(data / "small")
    assert hub_set.collect(Places(data, mirror)).origin.startswith(f"hub {REPO}")
    with pytest.raises(UsageError, match="there is no folder small"):
        hub_set.collect(Places(data))


def test_the_first_of_two_processes_wins_and_the_other_is_told(hub_set, copy):
    manifest, _ = described(hub_set, Places(None, copy()))
    path = keep_first_use(manifest, hub_set.key)
    assert keep_first_use(manifest, hub_set.key) == path
    rows = manifest.rows.copy()
    rows.loc[0, "sha256"] = "0" * 64
    with pytest.raises(IntegrityError, match="another copy, with other content"):
        keep_first_use(replace(manifest, rows=rows), hub_set.key)
    assert find_manifest(hub_set.key).fingerprint() == manifest.fingerprint()


def test_a_manifest_with_other_counts_than_the_protocols_is_refused(hub_set, copy):
    manifest, _ = described(hub_set, Places(None, copy()))
    small().check_manifest(manifest)
    with pytest.raises(IntegrityError, match="found 2 training pictures, expected 3"):
        small().check_manifest(replace(manifest, rows=manifest.rows.drop(index=0).reset_index(drop=True)))


# A protocol's own data sets


@pytest.fixture
def zoo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_zoo(tmp_path / "data")
    Path("zoo.toml").write_text(PROTOCOL)
    return tmp_path


@pytest.mark.parametrize("name", ["mnist", "digits", "eurosat"])
def test_an_own_data_set_cannot_take_the_name_of_another(zoo, name):
    Path("zoo.toml").write_text(PROTOCOL.replace('"zoo"]', f'"{name}"]', 1).replace('name = "zoo"', f'name = "{name}"'))
    with pytest.raises(UsageError, match=f"data.{name}: there is a data set of this name already"):
        load_protocol("zoo.toml")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "zoo"', 'name = "../../evil"', "small letters, digits"),
        ('templates = ["a photo of a {c}."]', "templates = []", "class_names and templates are needed"),
        ('templates = ["a photo of a {c}."]', 'templates = ["a photo."]', "no place {c}"),
        ('tasks = ["zoo"]', 'tasks = ["zoo", "zoo"]', "once only"),
    ],
)
def test_a_description_that_cannot_work_is_refused_when_it_is_read(zoo, old, new, said):
    Path("zoo.toml").write_text(PROTOCOL.replace(old, new))
    with pytest.raises(UsageError) as caught:
        load_protocol("zoo.toml").datasets  # noqa: B018
    assert said in str(caught.value)


def test_two_descriptions_of_one_name_have_manifests_of_their_own(zoo):
    first = load_protocol("zoo.toml")
    Path("other.toml").write_text(PROTOCOL.replace("snow_owl", "red fox 2"))
    assert first.datasets[0].key != load_protocol("other.toml").datasets[0].key


def test_every_missing_data_set_is_named_before_anything_is_read(zoo):
    ended = vlcl("data", "verify", "--protocol", "mtil-1", "--data-root", "data", "--json")
    assert ended.code == 2
    lines = ended.json["data_sets"]
    assert len(lines) == 11
    assert all("there is no folder" in line["error"] for line in lines)
    assert not list(first_use_folder().glob("*.parquet"))
    assert json.loads(ended.out)["data_sets"][0]["result"] == "refused"
