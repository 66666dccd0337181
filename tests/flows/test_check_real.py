"""The whole path on real photographs: official folders, manifest, store, run, record; and damaged copies refused.

The packs are parts of the sets whose layout they have, so the real protocols must refuse them.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat
from support.harness import Ended, vlcl
from support.real_packs import MISSING, PACKS, STANDS_FOR, Protocols, lay_out, lay_out_captions, pack, write_protocols

from vlcl_bench.data.interface import Places
from vlcl_bench.data.originals import FilePicture
from vlcl_bench.data.real.catalogue import spec_of
from vlcl_bench.data.real.dataset import RealDataSet
from vlcl_bench.errors import IntegrityError
from vlcl_bench.protocols.load import load_protocol
from vlcl_bench.records.files import read_predictions, read_record

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not PACKS.is_dir(), reason=MISSING)]

MOST, PROMPTS = 3, 2
"""Pictures of each class and split in the runs, and templates, which would take minutes otherwise."""
POOLED = [spec_of(real).split == "pool-42" for real in STANDS_FOR.values()]
FEW = ("caltech101", "flowers102", "mnist")
"""A pool, lists in MATLAB files, arrays: for what must be run several times."""


class Place:
    """A data root, protocols, and what a machine remembers; runs go to folders of their own."""

    def __init__(self, folder: Path, data: Path, protocols: Protocols) -> None:
        self.folder, self.data, self.protocols = folder, data, protocols
        self.home, self.store = folder / "home", folder / "store"

    def __call__(self, *arguments: object) -> Ended:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("VLCL_DATA_HOME", str(self.home))
            patch.setenv("VLCL_STORE", str(self.store))
            return vlcl(*arguments, "--data-root", self.data)

    def run(self, name: str, protocol: Path, method: str, *more: object) -> Path:
        out = self.folder / name
        ended = self("run", "--protocol", protocol, "--method", method, "--out", out, "--keep-states", "none", *more)
        assert ended.code == 0, ended.err
        return out

    def verify(self, *more: object) -> Ended:
        return self("data", "verify", "--protocol", self.protocols.stream, *more)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All packs with all of their pictures."""
    root = tmp_path_factory.mktemp("whole")
    for name in STANDS_FOR:
        lay_out(name, root)
    lay_out_captions(root)
    return root


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The eleven packs with a few pictures of each class."""
    folder = tmp_path_factory.mktemp("real")
    for name in STANDS_FOR:
        lay_out(name, folder / "data", MOST)
    return Place(folder, folder / "data", write_protocols(folder, steps=2, most=MOST, prompts=PROMPTS))


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory, real: Place) -> Place:
    """A stream of three packs, to be run several times."""
    folder = tmp_path_factory.mktemp("few")
    return Place(folder, real.data, write_protocols(folder, steps=3, names=FEW, most=MOST, prompts=PROMPTS))


@pytest.fixture
def copy(tmp_path: Path) -> Place:
    """Four packs of one's own, described by manifests, to be damaged."""
    names = ("caltech101", "dtd10", "eurosat", "flowers102")
    for name in names:
        lay_out(name, tmp_path / "data", 3)
    place = Place(tmp_path, tmp_path / "data", write_protocols(tmp_path, steps=1, names=names, most=3))
    ended = place.verify("--write")
    assert ended.code == 0, ended.err
    return place


def accuracy(folder: Path, stage: int, task: str, labels: list[int]) -> float:
    """Percent right, counted from the stored answers."""
    rows = read_predictions(folder / "predictions.parquet").query("stage == @stage and task == @task")
    assert rows["sample"].tolist() == list(range(len(labels)))
    return 100 * float(np.mean(rows["top1"].to_numpy() == np.array(labels)))


def counts() -> tuple[list[int], list[int]]:
    """Training and test pictures of each pack: the pack's own, or four fifths and the rest of a pool."""
    train, test = [], []
    for name, pooled in zip(STANDS_FOR, POOLED, strict=True):
        own = [len(found) for found in pack(name, MOST).pictures.values()]
        train.append(sum(own) * 4 // 5 if pooled else own[0])
        test.append(sum(own) - train[-1])
    return train, test


def test_all_packs_run_from_folders_to_a_record(real: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = real.run("zero-shot", real.protocols.stream, "zero_shot")
    record = read_record(folder)
    assert record.scores["tasks"] == [f"pack-{name}" for name in STANDS_FOR]
    assert {(found.status, found.source) for found in record.data.values()} == {("first-use", "folder")}
    assert record.scores["samples"] == counts()[1]
    matrix = np.array(record.scores["matrix"], float)
    assert (matrix == matrix[0]).all()  # nothing is learned
    monkeypatch.setenv("VLCL_DATA_HOME", str(real.home))
    manifests = load_protocol(str(real.protocols.stream)).manifests
    for place, name in enumerate(STANDS_FOR):
        if not POOLED[place]:
            labels = manifests[place].labels("test").tolist()  # in the order of the predictions
            assert sorted(labels) == sorted(label for label, _ in pack(name, MOST).pictures["test"])
            assert matrix[0, place] == pytest.approx(accuracy(folder, 0, f"pack-{name}", labels), abs=1e-6)
    assert matrix[0, list(STANDS_FOR).index("mnist")] > 25  # the mini CLIP knows digits; chance is 10


def test_fine_tuning_learns_from_real_pictures(real: Place) -> None:
    folder = real.run("finetune", real.protocols.stream, "finetune")
    record = read_record(folder)
    assert np.isfinite(np.array(record.scores["matrix"], float)).all()
    # Two batches of 32 a task; the last batch of an epoch may be short.
    assert record.usage.task_pictures == sum(2 * n if n <= 32 else min(n, 64) for n in counts()[0])
    assert record.predictions_rows == 12 * sum(record.scores["samples"])
    assert str(real.data) not in (folder / "run.json").read_text()


def test_a_second_run_decodes_no_test_picture(few: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    few.run("first", few.protocols.stream, "zero_shot")
    loaded: list[str] = []
    original = FilePicture.load  # arrays are compared with their manifest in every run: there is nothing to decode

    def load(self):
        loaded.append(self.where)
        return original(self)

    monkeypatch.setattr(FilePicture, "load", load)
    few.run("again", few.protocols.stream, "zero_shot", "--seed", 1)
    assert loaded == []
    few.run("trained", few.protocols.stream, "finetune")
    entries = [
        entry
        for name in FEW
        for entry in dataset(few, name).collect(Places(root=few.data)).entries
        if entry.split == "test"
    ]
    assert loaded  # training pictures, which are cropped anew each time
    assert not set(loaded) & {entry.original.where for entry in entries}


def test_equal_seeds_give_equal_predictions(few: Place) -> None:
    hashes = []
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        shutil.rmtree(few.store, ignore_errors=True)  # nor does it matter who decodes what first
        folder = few.run(name, few.protocols.stream, "finetune", "--seed", seed)
        hashes.append(read_record(folder).predictions_sha256)
    assert hashes[0] == hashes[1] != hashes[2]


def test_class_groups_of_real_pictures_run(real: Place) -> None:
    folder = real.run("increments", real.protocols.increments, "finetune")
    record = read_record(folder)
    assert record.scores["tasks"] == [f"pack-tinyimagenet32-{n:02d}" for n in range(1, 11)]
    assert record.scores["samples"] == [10 * MOST] * 10
    assert set(record.scores["incremental"]) == {"pack-tinyimagenet32"}


def test_captioned_pictures_run(tmp_path: Path, whole: Path) -> None:
    protocols = write_protocols(tmp_path, steps=2, names=FEW[:1], gallery=40, bank=200)
    place = Place(tmp_path, whole, protocols)
    folder = place.run("captions", protocols.captions, "finetune")
    record = read_record(folder)
    assert {found.status for found in record.data.values()} == {"first-use"}
    assert record.scores["samples"] == [40, 40]
    assert np.isfinite(np.array(record.scores["matrix"], float)).all()
    assert set(record.scores) >= {"retrieval", "bleu4"}


@pytest.mark.parametrize("name", STANDS_FOR)
def test_the_real_protocols_refuse_the_packs(whole: Path, name: str) -> None:
    real_name = STANDS_FOR[name]
    with pytest.raises(IntegrityError, match=rf"^{real_name}: .*expected|^{real_name}: .*stands for") as caught:
        RealDataSet(spec_of(real_name)).collect(Places(root=whole))
    assert caught.value.hint
    assert spec_of(real_name).source in caught.value.hint


def test_the_real_captioned_set_refuses_the_pack(whole: Path) -> None:
    with pytest.raises(IntegrityError, match="found 2,000 training pictures, expected 29,000"):
        RealDataSet(spec_of("flickr30k")).collect(Places(root=whole))


def test_a_real_protocol_is_not_verified_with_the_packs(whole: Path) -> None:
    ended = vlcl("data", "verify", "--protocol", "mtil-1", "--write", "--data-root", whole)
    assert ended.code == 3
    assert "aircraft" in ended.err


def test_a_protocols_own_data_sets_are_verified(copy: Place) -> None:
    ended = copy.verify("--json")
    assert ended.code == 0, ended.err
    lines = {line["name"]: line for line in ended.json["data_sets"]}
    assert {name: line["pictures"] for name, line in lines.items()} == {
        "pack-caltech101": 120, "pack-dtd10": 60, "pack-eurosat": 60, "pack-flowers102": 120,
    }  # fmt: skip
    assert all(line["result"] == "every picture is the one in the first-use manifest" for line in lines.values())


def cut(data: Path) -> str:
    """A JPEG of the test split that was cut short."""
    path = data / "flowers-102/jpg/image_00065.jpg"
    os.truncate(path, path.stat().st_size // 2)
    return path.name


def lose(data: Path) -> str:
    """A class folder that is not there."""
    shutil.rmtree(data / "eurosat/2750/Forest")
    return "Forest"


def shift(data: Path) -> str:
    """A label file with every label one higher, the last being the first."""
    from scipy.io import savemat

    path = data / "flowers-102/imagelabels.mat"
    labels = loadmat(path)["labels"]
    savemat(path, {"labels": (labels % labels.max()) + 1})
    return "jpg is labelled"


def replace(data: Path) -> str:
    """A picture with the content of another."""
    folder = data / "dtd/dtd/images/bumpy"
    shutil.copy(folder / "bumpy_0004.jpg", folder / "bumpy_0005.jpg")  # both are test pictures
    return "bumpy_0005.jpg"


@pytest.mark.parametrize("damage", [cut, lose, shift, replace])
def test_a_damaged_copy_is_refused_by_name(copy: Place, damage) -> None:
    named = damage(copy.data)
    for ended in (
        copy.verify(),
        copy("run", "--protocol", copy.protocols.stream, "--method", "zero_shot", "--out", copy.folder / "run"),
    ):
        assert ended.code == 3
        assert named in ended.err
        assert "Traceback" not in ended.err


@pytest.mark.parametrize("damage", [cut, lose])
def test_a_damaged_copy_is_refused_at_first_use(copy: Place, damage) -> None:
    shutil.rmtree(copy.home)
    named = damage(copy.data)
    ended = copy("run", "--protocol", copy.protocols.stream, "--method", "zero_shot", "--out", copy.folder / "run")
    assert ended.code == 3
    assert named in ended.err
    written = {path.stem for path in (copy.home / "manifests").glob("*")}
    assert ("pack-flowers102" if damage is cut else "pack-eurosat") not in written


def test_swapped_lists_are_refused_at_first_use(copy: Place) -> None:
    shutil.rmtree(copy.home)
    annotations = lay_out("oxford_pets", copy.data, 3) / "annotations"
    lines = (annotations / "test.txt").read_text().splitlines()
    lines[0], lines[-1] = (a.split()[0] + b[b.index(" ") :] for a, b in ((lines[0], lines[-1]), (lines[-1], lines[0])))
    (annotations / "test.txt").write_text("\n".join(lines))
    protocols = write_protocols(copy.folder, names=("oxford_pets",), most=3)
    ended = copy("data", "verify", "--protocol", protocols.stream, "--write")
    assert ended.code == 3
    assert "test.txt gives Abyssinian_4 the label 37" in ended.err


def test_training_pictures_that_were_replaced_later_are_refused_before_a_run(copy: Place) -> None:
    copy.run("before", copy.protocols.stream, "zero_shot")
    for path in (copy.data / "dtd/dtd/images").glob("*/*_000[123].jpg"):
        shutil.copy(copy.data / "dtd/dtd/images/bumpy/bumpy_0004.jpg", path)
    ended = copy("run", "--protocol", copy.protocols.stream, "--method", "finetune", "--out", copy.folder / "after")
    assert ended.code == 3
    assert "replaced (the first: images/" in ended.err
    assert "--renew" in ended.err


def dataset(place: Place, name: str) -> RealDataSet:
    found = {dataset.name: dataset for dataset in load_protocol(str(place.protocols.stream)).datasets}
    return found[f"pack-{name}"]  # type: ignore[return-value]
