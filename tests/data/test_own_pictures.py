"""Pictures of one's own that change: what is said, how a change is accepted, and whose manifest is whose."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.harness import Ended, vlcl
from support.zoo import PROTOCOL, make_zoo, noise

from vlcl_bench.common.progress import Reporter
from vlcl_bench.data.interface import Places
from vlcl_bench.data.manifest import first_use_folder
from vlcl_bench.data.originals import FilePicture
from vlcl_bench.data.real.catalogue import spec_of
from vlcl_bench.data.real.dataset import RealDataSet
from vlcl_bench.engine.pictures import check_own_data, describe_data
from vlcl_bench.errors import IntegrityError, UsageError
from vlcl_bench.protocols.load import load_protocol
from vlcl_bench.protocols.stream import Protocol

UNCOUNTED = PROTOCOL.replace("train = 6\ntest = 4\n", "").replace('scale = "full"', 'scale = "mini"')
RUNS = UNCOUNTED.replace("picture_size = 8", "picture_size = 48")
"""A protocol that the mini backbone can run."""
RENEW = "vlcl data verify zoo --protocol zoo.toml --data-root data --renew"


class Heard(Reporter):
    """What was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


@pytest.fixture(autouse=True)
def zoo(tmp_path, monkeypatch):
    """A folder of one's own with a data set and its protocol; returns the data set's folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VLCL_STORE", str(tmp_path / "store"))
    make_zoo(tmp_path / "data")
    Path("zoo.toml").write_text(UNCOUNTED)
    return tmp_path / "data" / "zoo"


def stream(file: str = "zoo.toml", root: str = "data") -> Protocol:
    return load_protocol(file).at(file, Path(root))


def describe(file: str = "zoo.toml", root: str = "data") -> Protocol:
    protocol = stream(file, root)
    describe_data(protocol, Places(Path(root)), Reporter())
    return protocol


def check(file: str = "zoo.toml", root: str = "data") -> list[str]:
    heard = Heard()
    check_own_data(stream(file, root), Places(Path(root)), heard)
    return heard.lines


def verify(*more: object) -> Ended:
    return vlcl("data", "verify", "--protocol", "zoo.toml", "--data-root", "data", *more)


def replace_picture(zoo: Path) -> None:
    Image.fromarray(noise(9, 9, 99)).save(zoo / "train/snow_owl/0.jpg")


def replace_quietly(zoo: Path) -> None:
    """Another picture of the same size in bytes, with the old one's time."""
    path = zoo / "test/red fox/0.png"
    state, data = path.stat(), bytearray(path.read_bytes())
    other = Image.fromarray(np.asarray(Image.open(path)) ^ 1)
    other.save(path)
    path.write_bytes(path.read_bytes()[: len(data)].ljust(len(data), b"\0"))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def exchange(zoo: Path) -> None:
    one, other = zoo / "train/red fox/0.png", zoo / "train/snow_owl/1.png"
    first = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(first)


def relabel(zoo: Path) -> None:
    (zoo / "train/red fox/0.png").rename(zoo / "train/snow_owl/9.png")


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "added": (
        lambda zoo: Image.fromarray(noise(9, 9, 7)).save(zoo / "test/red fox/7.png"), "1 added (test/red fox/7.png)"
    ),
    "removed": (lambda zoo: (zoo / "train/red fox/0.png").unlink(), "1 removed (train/red fox/0.png)"),
    "replaced": (replace_picture, "1 replaced (train/snow_owl/0.jpg)"),
    "replaced by one of equal size and time": (replace_quietly, "1 replaced (test/red fox/0.png)"),
    "two exchanged": (exchange, "2 replaced (the first: train/red fox/0.png)"),
    "renamed": (
        lambda zoo: (zoo / "train/red fox/0.png").rename(zoo / "train/red fox/fox.png"),
        "1 moved or renamed (train/red fox/0.png -> train/red fox/fox.png)",
    ),
    "moved to another class": (relabel, "1 moved or renamed (train/red fox/0.png -> train/snow_owl/9.png)"),
    "moved to the other split": (
        lambda zoo: (zoo / "train/red fox/0.png").rename(zoo / "test/red fox/9.png"),
        "1 moved or renamed (train/red fox/0.png -> test/red fox/9.png)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_is_refused_by_kind_and_name_and_says_how_to_accept_it(kind, zoo):
    change, said = CHANGES[kind]
    describe()
    check()
    change(zoo)
    with pytest.raises(IntegrityError) as caught:
        check()
    assert said in caught.value.message
    assert RENEW in caught.value.hint
    assert "official" not in str(caught.value)
    refused = verify()
    assert (refused.code, said in refused.err, RENEW in refused.err) == (3, True, True)
    assert verify("zoo", "--renew").code == 0
    assert check() == []
    assert verify().code == 0


def write_drawn() -> Path:
    """The zoo as folders of classes, whose split is drawn; the picture 5 of each class is another's twin."""
    folder = Path("data/drawn")
    for label, name in enumerate(("red fox", "snow_owl")):
        (folder / name).mkdir(parents=True)
        for number in range(15):
            pixels = noise(9, 9, 100 * label + (number if number != 5 else 4))
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    drawn = UNCOUNTED.replace('folders = ["zoo"]', 'folders = ["drawn"]')
    Path("zoo.toml").write_text(drawn.replace('layout = "folder"', 'layout = "class_folders"\nsplit = "per-class-42"'))
    return folder


def add_one(folder: Path) -> None:
    Image.fromarray(noise(9, 9, 999)).save(folder / "red fox/30.png")


def rename_one(folder: Path) -> None:
    (folder / "red fox/1.png").rename(folder / "red fox/99.png")


DRAWN = {
    "one added": ([add_one], "1 added (red fox/30.png), "),
    "one removed": ([lambda folder: (folder / "red fox/0.png").unlink()], "1 removed (red fox/0.png), "),
    "one renamed": ([rename_one], "1 moved or renamed (red fox/1.png -> red fox/99.png), "),
    "one added, one renamed": (
        [add_one, rename_one], "1 added (red fox/30.png), 1 moved or renamed (red fox/1.png -> red fox/99.png), "
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", DRAWN)
def test_pictures_that_a_drawn_split_has_elsewhere_now_are_not_called_moved(kind):
    folder = write_drawn()
    describe()
    before = {entry.sample: entry.split for entry in stream().datasets[0].collect(Places(Path("data"))).entries}
    damage, said = DRAWN[kind]
    for change in damage:
        change(folder)
    after = {entry.sample: entry.split for entry in stream().datasets[0].collect(Places(Path("data"))).entries}
    elsewhere = [sample for sample, split in before.items() if after.get(sample, split) != split]
    assert len(elsewhere) > 1
    with pytest.raises(IntegrityError) as caught:
        check()
    words = caught.value.message.partition("described here before: ")[2]
    assert words.startswith(
        f"{said}{len(elsewhere)} in the other split now, as a drawn split changes with every picture"
    )
    assert words.partition("of its class (the first: ")[2].removesuffix(")") in elsewhere


def test_several_changes_are_said_at_once(zoo):
    describe()
    replace_picture(zoo)
    (zoo / "train/red fox/0.png").unlink()
    with pytest.raises(IntegrityError, match=r"1 removed .*, 1 replaced "):
        check()


def test_unchanged_files_are_not_read_again(zoo, monkeypatch):
    describe()
    read = []
    original = FilePicture.read
    monkeypatch.setattr(FilePicture, "read", lambda self: read.append(self.path) or original(self))
    check()
    assert read == []
    path = zoo / "train/snow_owl/0.jpg"
    os.utime(path, ns=(1, 1))
    check()
    assert [Path(name).name for name in read] == ["0.jpg"]
    check()
    assert len(read) == 1


def test_a_data_folder_that_cannot_be_written_costs_reading_and_nothing_else(zoo, monkeypatch):
    from vlcl_bench.data import own_copies
    from vlcl_bench.errors import MachineError

    describe()
    shutil.rmtree(Path(os.environ["VLCL_DATA_HOME"]) / "seen")

    def refuse(path: Path, content: object) -> None:
        raise MachineError(f"not allowed to write {path}")

    monkeypatch.setattr(own_copies, "write_atomic", refuse)
    assert check() == []
    replace_picture(zoo)
    with pytest.raises(IntegrityError, match="1 replaced"):
        check()


def test_where_the_pictures_are_gone_that_is_said_and_nothing_refused(zoo):
    describe()
    zoo.rename(zoo.with_name("elsewhere"))
    (line,) = check()
    assert "there is no folder zoo" in line
    assert "not compared" in line


def test_without_a_data_root_it_is_said_that_nothing_was_compared(zoo):
    describe()
    replace_picture(zoo)
    heard = Heard()
    check_own_data(load_protocol("zoo.toml"), Places(), heard)
    assert heard.lines == ["zoo: without --data-root its pictures are not compared with what was described"]


def test_a_label_that_changed_is_refused_too(zoo):
    from dataclasses import replace

    from vlcl_bench.data.manifest import write_manifest

    protocol = describe()
    manifest, key = protocol.manifests[0], protocol.datasets[0].key
    rows = manifest.rows.copy()
    rows["label"] = 1 - rows["label"]
    write_manifest(replace(manifest, rows=rows), first_use_folder(), key)
    with pytest.raises(IntegrityError, match=r"is labelled 0 .red fox. here, 1 .snow_owl. in the manifest"):
        check()


def test_every_message_about_own_pictures_leaves_the_official_archive_out(zoo):
    describe()
    texts = []
    path = zoo / "train/snow_owl/0.jpg"
    whole = path.read_bytes()
    for change in (lambda: path.write_bytes(whole[:-60]), path.unlink, lambda: shutil.rmtree(zoo / "test/red fox")):
        change()
        texts.append(verify().err)
        with pytest.raises((IntegrityError, UsageError)) as caught:
            check()
        texts.append(str(caught.value))
    shutil.rmtree(zoo)
    texts.append(verify().err)
    assert all(texts)
    assert not [text for text in texts if "official" in text or "nobody" in text]


def test_official_pictures_are_still_restored_from_their_archive():
    picture = FilePicture("nowhere.png")
    assert "official archive" in picture.remedy
    assert "official archive" in picture.restore
    assert "Restore the official archive" in RealDataSet(spec_of("mnist")).advice


# Rotation in EXIF data


@pytest.mark.parametrize(("turned", "said"), [(0, ""), (1, "1 picture carries"), (2, "2 pictures carry")])
def test_pictures_with_a_rotation_are_counted_and_read_as_they_are_stored(turned, said, zoo):
    before = describe().fingerprint
    exif = Image.Exif()
    exif[274] = 6
    for path in sorted(zoo.rglob("*.png"))[:turned]:
        with Image.open(path) as image:
            image.save(path, exif=exif)
    ended = verify("zoo", "--renew")
    assert ("a rotation in the EXIF data, which is not applied" in ended.out) is bool(turned)
    assert said in ended.out
    assert said in verify().out
    protocol = stream()
    assert protocol.fingerprint == before
    assert protocol.manifests[0].turned == turned


# Accepting a change


def test_renewing_says_what_came_and_went_and_keeps_the_earlier_manifest(zoo):
    describe()
    before = set(first_use_folder().rglob("*.parquet"))
    replace_picture(zoo)
    ended = verify("zoo", "--renew")
    assert "1 new, 1 gone, 9 as before" in ended.out
    after = set(first_use_folder().rglob("*.parquet"))
    (kept,) = after - before
    assert kept.parent.name == "earlier"
    assert before < after


def test_renewing_what_did_not_change_changes_nothing(zoo):
    before = describe().fingerprint
    assert "are those that were described before" in verify("zoo", "--renew").out
    assert stream().fingerprint == before
    (zoo / "train/red fox/0.png").rename(zoo / "train/red fox/fox.png")
    assert "are those that were described before" in verify("zoo", "--renew").out
    assert stream().fingerprint == before  # a picture's name is not its content
    assert check() == []


def test_renewing_before_the_first_use_describes(zoo):
    assert "required from now on" in verify("zoo", "--renew").out
    assert check() == []


def test_a_damaged_manifest_is_renewed(zoo):
    describe()
    (path,) = first_use_folder().glob("*.parquet")
    path.write_bytes(b"nothing")
    assert verify().code == 3
    assert verify("zoo", "--renew").code == 0
    assert verify().code == 0


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (("--renew", "--protocol", "zoo.toml"), "needs a name"),
        (("eurosat", "--renew"), "comes with vlcl-bench"),
        (("conceptual_captions", "--renew"), "set of texts"),
    ],
)
def test_what_cannot_be_renewed_says_so(line, said):
    ended = vlcl("data", "verify", "--data-root", "data", *line)
    assert ended.code == 2
    assert said in ended.err


@pytest.mark.parametrize("more", [("zoo", "--renew"), ("--write",), ()])
@pytest.mark.parametrize(("folder", "place"), [("zoo", "DIR/zoo"), (".", "DIR")])
def test_where_no_data_root_was_named_the_option_is(more, folder, place):
    Path("zoo.toml").write_text(UNCOUNTED.replace('folders = ["zoo"]', f'folders = ["{folder}"]'))
    ended = vlcl("data", "verify", "--protocol", "zoo.toml", *more)
    assert ended.code == 2
    assert "zoo: no folder with the pictures was named" in ended.err
    assert f"Name it with --data-root DIR, where the pictures lie in {place}." in ended.err


def test_renewing_waits_for_whoever_writes_manifests(monkeypatch):
    from vlcl_bench.common import locks

    describe()
    monkeypatch.setattr(locks, "PATIENCE", 0.1)
    before = {path: path.read_bytes() for path in first_use_folder().rglob("*.parquet")}
    with (first_use_folder() / ".lock").open("w") as held:
        assert locks.take(held, first_use_folder() / ".lock")
        ended = verify("zoo", "--renew")
    assert (ended.code, "has been held for" in ended.err) == (5, True)
    assert {path: path.read_bytes() for path in first_use_folder().rglob("*.parquet")} == before
    assert verify("zoo", "--renew").code == 0


def test_what_another_process_describes_while_pictures_are_read_is_kept_as_the_earlier_one(zoo, monkeypatch):
    from dataclasses import replace

    from vlcl_bench.data import first_use
    from vlcl_bench.data.manifest import Manifest, read_manifest, write_manifest

    protocol = describe()
    key, rows = protocol.datasets[0].key, protocol.manifests[0].rows.copy()
    rows.loc[0, "sha256"] = "0" * 64
    meanwhile = replace(protocol.manifests[0], rows=rows)
    read_through = first_use._read_through

    def read(*rest) -> Manifest:
        write_manifest(meanwhile, first_use_folder(), key)
        return read_through(*rest)

    monkeypatch.setattr(first_use, "_read_through", read)
    assert verify("zoo", "--renew").code == 0
    (kept,) = (first_use_folder() / "earlier").glob("*.parquet")
    assert read_manifest(kept.stem, kept.parent).fingerprint() == meanwhile.fingerprint()


# Which manifest is whose


def other_root() -> None:
    """The same layout below another root, with one other picture."""
    shutil.copytree("data", "other")
    replace_picture(Path("other/zoo"))


def test_equal_descriptions_of_two_data_roots_share_no_manifest():
    other_root()
    Path("second.toml").write_text(UNCOUNTED)
    first, second = describe(), describe("second.toml", "other")
    assert first.datasets[0].key != second.datasets[0].key
    assert first.fingerprint != second.fingerprint
    assert check() == []
    assert check("second.toml", "other") == []


def test_one_protocol_serves_two_data_roots():
    other_root()
    heard = Heard()
    first = describe()
    protocol = stream(root="other")
    describe_data(protocol, Places(Path("other")), heard)
    assert first.fingerprint != protocol.fingerprint
    assert any("another copy was described here before" in line for line in heard.lines)
    assert check() == check(root="other") == []


DESCRIBED, ELSE = "a" * 12, "b" * 12
COPIES = {
    "another root": (f"zoo-{DESCRIBED}-12345678", 1),
    "without a root": (f"zoo-{DESCRIBED}", 1),
    "the same pictures": (f"zoo-{DESCRIBED}-00000001", 0),
    "another description": (f"zoo-{ELSE}-12345678", 0),
    "another description without a root": (f"zoo-{ELSE}", 0),
    "another data set": (f"zoo-2-{DESCRIBED}-12345678", 0),
    "a damaged one": (f"zoo-{DESCRIBED}-damaged0", 0),
}


@pytest.mark.parametrize("key", [f"zoo-{DESCRIBED}-87654321", f"zoo-{DESCRIBED}"])
@pytest.mark.parametrize("kind", COPIES)
def test_only_whole_copies_of_the_same_description_are_other_copies(kind, key, zoo):
    from dataclasses import replace

    from vlcl_bench.data.manifest import write_manifest
    from vlcl_bench.data.own_copies import other_contents

    manifest = describe().manifests[0]
    other, count = COPIES[kind]
    rows = manifest.rows if kind == "the same pictures" else manifest.rows.assign(sha256="0" * 64)
    path = write_manifest(replace(manifest, rows=rows), first_use_folder(), other)
    if "damaged" in kind:
        path.write_bytes(b"nothing")
    write_manifest(manifest, first_use_folder(), key)
    assert other_contents(key, manifest) == (0 if other == key else count)


def test_a_damaged_manifest_of_another_copy_is_no_fault_of_this_one():
    describe()
    for path in first_use_folder().glob("*.parquet"):
        path.write_bytes(b"nothing")
    shutil.copytree("data", "other")
    describe(root="other")
    assert check(root="other") == []


def test_the_same_pictures_below_another_root_are_the_same_data():
    shutil.copytree("data", "moved")
    assert describe().fingerprint == describe(root="moved").fingerprint


@pytest.mark.parametrize("spelling", ["data", "./data", "../{here}/data", "data/zoo/..", "link"])
def test_one_root_is_one_however_it_is_written(spelling, tmp_path):
    Path("link").symlink_to("data")
    key = describe().datasets[0].key
    assert stream(root=spelling.format(here=tmp_path.name)).datasets[0].key == key


def test_without_a_root_the_only_copy_is_meant_and_of_several_none():
    described = describe()
    assert load_protocol("zoo.toml").fingerprint == described.fingerprint
    shutil.copytree("data", "same")
    describe(root="same")
    assert load_protocol("zoo.toml").fingerprint == described.fingerprint
    other_root()
    describe(root="other")
    with pytest.raises(UsageError, match="copies with different pictures") as caught:
        load_protocol("zoo.toml").fingerprint  # noqa: B018
    assert "--data-root" in caught.value.hint


# Runs


def run(*more: object) -> Ended:
    return vlcl("run", "--protocol", "zoo.toml", "--data-root", "data", "--method", "zero_shot", *more)


@pytest.mark.slow
def test_a_finished_run_is_not_shown_for_pictures_that_changed_since(zoo):
    Path("zoo.toml").write_text(RUNS)
    assert run().code == 0
    assert "already finished" in run().err
    replace_picture(zoo)
    ended = run()
    assert ended.code == 3
    assert "1 replaced (train/snow_owl/0.jpg)" in ended.err
    assert RENEW in ended.err
    assert "already finished" not in ended.err
    assert ended.out == ""


@pytest.mark.slow
def test_after_renewal_a_run_is_another_one_and_the_earlier_is_still_scored(zoo):
    Path("zoo.toml").write_text(RUNS)
    shutil.copy(zoo / "train/red fox/0.png", zoo / "test/red fox/9.png")
    first = run("--json")
    assert first.code == 0, first.err
    assert "warning: zoo: 1 test picture is also a training picture" in first.err
    (zoo / "test/red fox/9.png").unlink()
    assert verify("zoo", "--renew").code == 0
    second = run("--json")
    assert second.json["run"] != first.json["run"]
    assert "already finished" not in second.err
    refused = run("--out", first.json["folder"])
    assert refused.code == 2
    assert "holds another run" in refused.err
    for ended, repeats in ((first, {"test_in_train": 1}), (second, None)):
        text = Path(ended.json["record"]).read_text()
        assert json.loads(text)["data"]["zoo"].get("repeats") == repeats
        assert str(zoo.parents[1]) not in text  # no path of this machine
        scored = vlcl("score", ended.json["folder"], "--protocol", "zoo.toml", "--json")
        assert scored.code == 0, scored.err
        assert scored.json["matrix"] == ended.json["matrix"]
