"""``vlcl data``: what it prints and with which code it ends; it deletes only what it may."""

import os
import tarfile
import time
import urllib.error
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image
from support.harness import tree, vlcl
from support.zoo import PROTOCOL, make_zoo, noise

from vlcl_bench.data.fetch import TORCHVISION, fetch
from vlcl_bench.data.manifest import find_manifest, first_use_folder
from vlcl_bench.data.real.catalogue import catalogue
from vlcl_bench.data.real.dataset import RealDataSet
from vlcl_bench.data.store import Store
from vlcl_bench.errors import MachineError, UsageError
from vlcl_bench.protocols.load import load_protocol

ZOO = ("--protocol", "zoo.toml")


def key() -> str:
    """What the manifest of the zoo, a protocol's own data set, is filed under."""
    return load_protocol("zoo.toml").datasets[0].key


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder of one's own with the zoo's protocol; no store of the user's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VLCL_STORE", str(tmp_path / "store"))
    Path("zoo.toml").write_text(PROTOCOL)
    return tmp_path


@pytest.fixture
def root(here):
    return make_zoo(here / "data")


# list


def test_the_list_holds_the_whole_catalogue():
    found = vlcl("data", "list", "--json").json["data_sets"]
    assert [line["name"] for line in found] == list(catalogue())
    keys = {"name", "title", "train", "test", "manifest", "here", "put_it", "folders", "hub", "licence", "source"}
    keys |= {"passed_over"}
    assert all(set(line) == keys for line in found)
    assert {line["here"] for line in found} == {"not looked for"}


@pytest.mark.parametrize("name", ["mtil-1", "c2r"])
def test_the_list_of_a_protocol_holds_its_data_sets(name):
    found = vlcl("data", "list", "--protocol", name, "--json").json["data_sets"]
    assert [line["name"] for line in found] == list(load_protocol(name).dataset_names)


def test_what_is_missing_is_told_with_the_exact_place(here):
    (here / "empty").mkdir()
    (line,) = vlcl("data", "list", "mnist", "--data-root", "empty", "--json").json["data_sets"]
    assert line["here"] == "missing"
    assert str(Path("empty") / line["folders"][0]) in line["put_it"]
    assert line["source"] in line["put_it"]
    told = vlcl("data", "list", "mnist", "--data-root", "empty")
    assert told.code == 0
    assert "empty/MNIST/raw" in told.out


def test_what_is_missing_of_the_hubs_copies_is_told_with_the_command(here):
    (here / "hub").mkdir()
    (line,) = vlcl("data", "list", "mnist", "--hub-root", "hub", "--json").json["data_sets"]
    assert (line["here"], line["put_it"]) == ("missing", "fetch it: vlcl data get mnist --hub-root hub")
    (here / "hub" / line["hub"]).mkdir(parents=True)
    (line,) = vlcl("data", "list", "mnist", "--hub-root", "hub", "--json").json["data_sets"]
    assert (line["here"], line["put_it"]) == (line["hub"], "")


def test_a_set_without_a_hub_copy_is_told_with_its_archive(here):
    (here / "hub").mkdir()
    (line,) = vlcl("data", "list", "caltech101", "--hub-root", "hub", "--json").json["data_sets"]
    assert line["here"] == "no hub copy"
    assert line["source"] in line["put_it"]
    assert f"DIR/{line['folders'][0]}" in line["put_it"]
    assert "--data-root DIR" in line["put_it"]


@pytest.mark.parametrize("given", [False, True])
def test_a_set_that_lies_outside_the_data_root_is_told_with_its_place(root, here, given):
    (here / "empty").mkdir()
    folder = f"{root}/zoo" if given else "../data/zoo"
    Path("zoo.toml").write_text(PROTOCOL.replace('folders = ["zoo"]', f'folders = ["{folder}"]'))
    ended = vlcl("data", "list", *ZOO, "--data-root", "empty", "--json")
    assert ended.code == 0, ended.err
    (line,) = ended.json["data_sets"]
    assert line["here"] == (f"{root}/zoo" if given else "data/zoo")


def test_what_is_here_is_told(root):
    (line,) = vlcl("data", "list", *ZOO, "--data-root", root, "--json").json["data_sets"]
    assert (line["name"], line["here"], line["manifest"], line["put_it"]) == ("zoo", "zoo", "none yet", "")
    assert (line["train"], line["test"]) == (6, 4)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (("list", "mnits"), "Did you mean 'mnist'"),
        (("card", "mnits"), "Did you mean 'mnist'"),
        (("verify", "mnits"), "Did you mean 'mnist'"),
        (("list", "--protocol", "mtil1"), "Did you mean 'mtil-1'"),
        (("list", "mnist", *ZOO), "has no data set mnist"),
        (("list", "--protocol", "mini-mtil-1"), "its pictures are drawn here"),
        (("list", "--data-root", "nowhere"), "--data-root nowhere is not a folder"),
        (("verify", "--hub-root", "nowhere"), "--hub-root nowhere is not a folder"),
    ],
)
def test_what_cannot_be_meant_ends_with_2(line, said):
    ended = vlcl("data", *line)
    assert ended.code == 2
    assert said in ended.err
    assert "Traceback" not in ended.err


# card


@pytest.mark.parametrize("name", catalogue())
def test_every_data_set_has_a_card(name):
    card = vlcl("data", "card", name, "--json").json
    assert card["name"] == name
    assert all(card[key] for key in ("title", "home_page", "licence", "folders", "split"))
    assert "{" not in card["title"]


def test_a_card_can_be_read(here):
    ended = vlcl("data", "card", "mnist")
    assert ended.code == 0
    assert "home page" in ended.out
    assert "0 - zero" in ended.out


# verify


def verify(root, *more):
    return vlcl("data", "verify", *ZOO, "--data-root", root, *more)


def test_without_a_manifest_counts_and_labels_are_checked_and_nothing_is_written(root):
    ended = verify(root, "--json")
    assert ended.code == 0
    (line,) = ended.json["data_sets"]
    assert (line["name"], line["pictures"], line["source"]) == ("zoo", 10, "folder")
    assert "no manifest to compare the content with (--write makes one)" in line["result"]
    assert find_manifest(key()) is None


def test_a_manifest_is_written_once_and_compared_ever_after(root):
    assert "required from now on" in verify(root, "--write").out
    path = first_use_folder() / f"{key()}.parquet"
    before = path.read_bytes()
    (line,) = verify(root, "--write", "--json").json["data_sets"]
    assert line["result"] == "every picture is the one in the first-use manifest"
    assert path.read_bytes() == before


def test_the_first_wrong_file_is_named_and_the_code_is_3(root):
    verify(root, "--write")
    wrong = [root / "zoo" / "train" / "snow_owl" / "0.jpg", root / "zoo" / "test" / "red fox" / "0.png"]
    for path in wrong:
        Image.fromarray(noise(9, 9, 99)).save(path)
    ended = verify(root)
    assert ended.code == 3
    assert "2 replaced (the first: train/snow_owl/0.jpg)" in ended.err
    assert "red fox" not in ended.err


def test_a_truncated_picture_gets_into_no_manifest(root):
    path = root / "zoo" / "train" / "red fox" / "1.jpg"
    path.write_bytes(path.read_bytes()[:-40])
    ended = verify(root, "--write")
    assert ended.code == 3
    assert "red fox/1.jpg cannot be decoded" in ended.err
    assert find_manifest(key()) is None


def test_wrong_counts_are_refused_without_a_manifest(root):
    (root / "zoo" / "test" / "red fox" / "0.png").unlink()
    ended = verify(root)
    assert ended.code == 3
    assert "zoo: found 3 test pictures, expected 4" in ended.err


def test_a_missing_data_set_ends_with_2_and_the_exact_place(here):
    (here / "empty").mkdir()
    ended = verify("empty")
    assert ended.code == 2
    assert str(Path("empty") / "zoo") in ended.err


# gc


def age(folder, hours):
    """Make a folder and what is in it look as if nobody had touched them for so long."""
    then = time.time() - 3600 * hours
    for path in (*folder.iterdir(), folder):
        os.utime(path, (then, then))


@pytest.fixture
def store(here, root):
    """A store with a folder that a manifest needs, a stale one, a half-built one, and what is not ours."""
    assert verify(root, "--write").code == 0
    zoo = load_protocol("zoo.toml")
    (dataset,), (manifest,) = zoo.datasets, zoo.manifests
    assert isinstance(dataset, RealDataSet)
    found = Store(here / "store")
    needed, half = found.folder(dataset, manifest, 8), found.folder(dataset, manifest, 16)
    stale = here / "store" / f"zoo-{'0' * 16}-8"
    for folder in (needed, half, stale):
        folder.mkdir(parents=True)
        (folder / "test.u8").write_bytes(b"1234")
        if folder != half:
            (folder / "index.json").write_text("{}")
    (half / ".test.u8.abc.tmp").write_bytes(b"12")
    age(half, 2)
    (here / "store" / "thesis").mkdir()
    (here / "store" / "thesis" / "chapter.tex").write_text("dear to me")
    (here / "store" / f"photos-{'a' * 16}").mkdir()
    (here / "store" / f"photos-{'a' * 16}" / "mother.jpg").write_text("dear to me")
    (here / "store" / "notes.txt").write_text("dear to me")
    return SimpleNamespace(root=here / "store", needed=needed, half=half, stale=stale)


def test_a_dry_run_says_what_would_go_and_deletes_nothing(store):
    before = tree(store.root)
    ended = vlcl("data", "gc", "--dry-run", "--json")
    assert tree(store.root) == before
    assert (ended.code, ended.json["store"]) == (0, str(store.root))
    why = {line["folder"]: (line["bytes"], line["why"]) for line in ended.json["folders"]}
    assert why == {str(store.half): (6, "half built"), str(store.stale): (6, "no manifest needs it")}
    assert (ended.json["freed"], ended.json["total"]) == (12, 18)
    assert "would free" in vlcl("data", "gc", "--dry-run").out


def test_only_what_is_stale_or_half_built_goes(store):
    before = tree(store.root)
    assert vlcl("data", "gc", "--json").json["freed"] == 12
    gone = {store.half.name, store.stale.name}
    assert tree(store.root) == {name: data for name, data in before.items() if name.split("/")[0] not in gone}
    assert vlcl("data", "gc", "--json").json["folders"] == []


def test_all_decoded_pictures_go_when_asked_for_and_nothing_else(store):
    assert "freed" in vlcl("data", "gc", "--all").out
    assert not store.needed.exists()
    left = {"thesis/chapter.tex", f"photos-{'a' * 16}/mother.jpg", "notes.txt"}
    assert set(tree(store.root)) == left


def test_a_folder_that_is_no_store_is_left_alone(root, here):
    before = tree(here)
    for folder in (root, here):
        assert vlcl("data", "gc", "--all", "--store", folder, "--json").json["freed"] == 0
    assert tree(here) == before


def test_committed_manifests_keep_their_pictures(here):
    protocol = load_protocol("mini-dev")
    store = Store(here / "store")
    folder = store.folder(protocol.datasets[0], protocol.manifests[0], protocol.side)
    folder.mkdir(parents=True)
    (folder / "index.json").write_text("{}")
    assert vlcl("data", "gc", "--json").json["folders"] == []
    assert folder.exists()


def test_without_a_store_there_is_nothing_to_do(here):
    ended = vlcl("data", "gc", "--json")
    assert ended.json == {"store": str(here / "store"), "total": 0, "freed": 0, "folders": [], "left": []}


def test_what_may_be_being_built_is_left_alone_and_told(store):
    age(store.half, 0.9)
    found = vlcl("data", "gc", "--json").json
    assert [line["folder"] for line in found["left"]] == [str(store.half)]
    assert store.half.exists()
    told = vlcl("data", "gc").out
    assert f"{store.half}: left alone, perhaps being built" in told


def test_a_folder_of_no_manifest_is_left_alone_while_somebody_may_fill_it(store):
    (store.stale / "index.json").unlink()
    vlcl("data", "gc")
    assert store.stale.exists()
    age(store.stale, 1.1)
    vlcl("data", "gc")
    assert not store.stale.exists()


def test_all_takes_what_may_be_being_built_too(store):
    age(store.half, 0)
    vlcl("data", "gc", "--all")
    assert not store.half.exists()


def test_old_temporary_files_go_from_finished_folders_and_new_ones_stay(store):
    old, new = store.needed / ".test.u8.old.tmp", store.needed / ".train.u8.new.tmp"
    old.write_bytes(b"12345")
    age(store.needed, 2)
    would_go = {line["folder"] for line in vlcl("data", "gc", "--dry-run", "--json").json["folders"]}
    assert would_go == {str(store.half), str(store.stale), str(old)}
    new.write_bytes(b"1")
    assert vlcl("data", "gc", "--json").json["left"][0]["folder"] == str(store.needed)
    assert old.exists()
    new.unlink()
    vlcl("data", "gc")
    assert sorted(path.name for path in store.needed.iterdir()) == ["index.json", "test.u8"]


# get


def test_what_torchvision_downloads_exists_there():
    import torchvision

    assert set(TORCHVISION) <= set(catalogue())
    assert all(hasattr(torchvision.datasets, kind) for kind, _ in TORCHVISION.values())


@pytest.mark.parametrize(
    ("line", "variables", "expected"),
    [
        ((), {"VLCL_DATA_ROOT": "d"}, ("d", None)),
        ((), {"VLCL_HUB_ROOT": "h"}, (None, "h")),
        ((), {"VLCL_DATA_ROOT": "d", "VLCL_HUB_ROOT": "h"}, ("d", None)),
        (("--hub-root", "x"), {"VLCL_DATA_ROOT": "d", "VLCL_HUB_ROOT": "h"}, (None, "x")),
        (("--data-root", "x"), {"VLCL_HUB_ROOT": "h"}, ("x", None)),
    ],
)
def test_the_variables_say_where_to_put_it_unless_it_is_typed(monkeypatch, line, variables, expected):
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    asked = []
    monkeypatch.setattr("vlcl_bench.data.fetch.fetch", lambda *given: asked.append(given) or "done")
    assert vlcl("data", "get", "mnist", *line).code == 0
    assert asked == [("mnist", *(place and Path(place) for place in expected))]


REFUSALS = [
    urllib.error.URLError("no network"),
    OSError(28, "No space left on device"),
    RuntimeError("File not found or corrupted."),
    ModuleNotFoundError("To download files from GDrive, 'gdown' is required."),
    zipfile.BadZipFile("File is not a zip file"),
    tarfile.ReadError("unexpected end of data"),
]


@pytest.mark.parametrize("error", REFUSALS, ids=lambda error: type(error).__name__)
def test_an_archive_that_cannot_be_fetched_is_the_machines_error(here, monkeypatch, error):
    def refuse(root, download, train):
        assert (root, download, train) == ("data", True, True)
        raise error

    monkeypatch.setattr("torchvision.datasets.MNIST", refuse)
    with pytest.raises(MachineError, match="MNIST could not be fetched") as caught:
        fetch("mnist", Path("data"), None)
    assert str(error) in caught.value.message
    assert "unpack it into data/MNIST/raw" in caught.value.hint
    assert vlcl("data", "get", "mnist", "--data-root", "data").code == 5


def hub_refusals():
    """What the hub's client raises; its HTTP errors take a response of whichever HTTP library it is built on."""
    from huggingface_hub import errors

    unknown = errors.RepositoryNotFoundError.__new__(errors.RepositoryNotFoundError)
    unknown.args = ("404 Client Error",)
    offline = errors.OfflineModeIsEnabled("offline mode is enabled")
    return [offline, errors.LocalEntryNotFoundError("not in the cache"), unknown, ConnectionError("no network")]


@pytest.mark.parametrize("error", hub_refusals(), ids=lambda error: type(error).__name__)
def test_a_hubs_copy_that_cannot_be_fetched_is_the_machines_error(monkeypatch, error):
    def refuse(repo, repo_type, revision, local_dir):
        assert (repo, repo_type, local_dir) == ("ylecun/mnist", "dataset", "hub/ylecun/mnist")
        raise error

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    with pytest.raises(MachineError, match="ylecun/mnist could not be fetched"):
        fetch("mnist", None, Path("hub"))
    assert vlcl("data", "get", "mnist", "--hub-root", "hub").code == 5


def test_what_was_fetched_comes_with_the_next_command(monkeypatch):
    called = []
    monkeypatch.setattr("torchvision.datasets.MNIST", lambda root, **arguments: called.append((root, arguments)))
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda repo, **arguments: called.append((repo, arguments)))
    assert vlcl("data", "get", "mnist", "--data-root", "data").out.endswith("vlcl data verify mnist --data-root data\n")
    assert vlcl("data", "get", "mnist", "--hub-root", "hub").out.endswith("vlcl data verify mnist --hub-root hub\n")
    assert [place for place, _ in called] == ["data", "ylecun/mnist"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (("mnist",), "say where to put it"),
        (("mnist", "--data-root", "a", "--hub-root", "b"), "say where to put it"),
        (("imagenet", "--data-root", "a"), "asks for a person"),
        (("mnits", "--data-root", "a"), "Did you mean 'mnist'"),
    ],
)
def test_what_cannot_be_fetched_by_a_program_ends_with_2(line, said):
    ended = vlcl("data", "get", *line)
    assert ended.code == 2
    assert said in ended.err


def test_a_data_set_without_a_hub_copy_says_where_it_is_to_be_had():
    name = next(name for name in catalogue() if RealDataSet(spec(name)).spec.hub is None)
    with pytest.raises(UsageError, match="on the hub gives this protocol's split") as caught:
        fetch(name, None, Path("hub"))
    assert spec(name).source in caught.value.hint


def spec(name):
    from vlcl_bench.data.real.catalogue import spec_of

    return spec_of(name)
