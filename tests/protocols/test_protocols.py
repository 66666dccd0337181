"""Protocols: the fingerprint covers all that changes a number and nothing else; bad files are refused clearly."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.fakes import FakeDataSet

from vlcl_bench.data.manifest import read_manifest
from vlcl_bench.errors import IntegrityError, UsageError
from vlcl_bench.protocols import stream
from vlcl_bench.protocols.load import FOLDER, load_protocol, protocol_names
from vlcl_bench.protocols.stream import Protocol
from vlcl_bench.scoring.ground_truth import ground_truth

FINGERPRINTS = {
    "mini-dev": "7af5783042591cd0fdfebee495a57f29bdd76bc3e4833d09a26e1b9bfe89e823",
    "mini-mtil-1": "270c08492084da45b54939d52d28b243da933efc1c1202001683a8a84eeb1c90",
    "mini-mtil-2": "1576ebca0542ccdfa8589d2e774d4469b0a91608ed2e988ed0bb58541b47fa00",
}
NAMES = tuple(FINGERPRINTS)
SUBMISSIONS = Path(__file__).parents[2] / "submissions"


@pytest.fixture(scope="module")
def base():
    return load_protocol("mini-mtil-1")


def changed(protocol, **changes):
    """The protocol with other values at dotted places, read anew."""
    values = protocol.model_dump(by_alias=True)
    for place, value in changes.items():
        *outer, last = place.split("__")
        target = values
        for key in outer:
            target = target[key]
        target[last] = value
    return Protocol.model_validate(values)


# The fingerprint


def test_the_fingerprint_is_the_same_when_read_twice(base):
    assert load_protocol("mini-mtil-1").fingerprint == base.fingerprint


def test_all_protocols_have_different_fingerprints():
    # Of the others nobody has described the data here.
    described = [protocol for protocol in map(load_protocol, protocol_names()) if not protocol.missing_manifests()]
    assert {protocol.name for protocol in described} >= set(NAMES)
    assert len({protocol.fingerprint for protocol in described}) == len(described)


@pytest.mark.parametrize(("name", "expected"), FINGERPRINTS.items())
def test_the_first_mini_protocols_keep_their_fingerprints(name, expected):
    assert load_protocol(name).fingerprint == expected


@pytest.mark.parametrize("name", ["mini-mtil-1", "mini-mtil-2"])
def test_committed_records_were_made_under_the_protocols_of_today(name):
    found = [json.loads(path.read_text())["identity"] for path in SUBMISSIONS.glob("*/runs/*/run.json")]
    prints = {identity["protocol_fingerprint"] for identity in found if identity["protocol"] == name}
    assert prints == {load_protocol(name).fingerprint}


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("name", "other"),
        ("version", 2),
        ("backbone", "vlcl-mini/v2"),
        ("evaluation_batch", 64),
        ("budget__steps", 61),
        ("budget__batch_size", 33),
        ("budget__learning_rate", 1e-4),
        ("budget__learning_rates", {"digits": 1e-4}),
        ("budget__warmup", 7),
        ("budget__ensemble_interval", 7),
        ("budget__reference_batch", 33),
        ("budget__auxiliary_size", 4001),
        ("augmentation__scale", (0.8, 1.0)),
        ("augmentation__ratio", (0.5, 2.0)),
    ],
)
def test_the_fingerprint_changes_with_what_changes_a_number(base, place, value):
    assert changed(base, **{place: value}).fingerprint != base.fingerprint


@pytest.mark.parametrize("place", ["title", "description"])
def test_the_fingerprint_does_not_change_with_words_for_people(base, place):
    assert changed(base, **{place: "other words"}).fingerprint == base.fingerprint


def test_the_fingerprint_changes_with_the_order_of_the_tasks(base):
    assert changed(base, tasks=base.dataset_names[::-1]).fingerprint != base.fingerprint


def test_the_fingerprint_changes_with_a_template(base, monkeypatch):
    dataset = stream.open_dataset("mini", "plants")
    dataset.templates = ("a picture of a {c}, a type of plant.",)
    monkeypatch.setattr(stream, "open_dataset", opener(base, dataset))
    assert changed(base).fingerprint != base.fingerprint


def opener(base, changed_dataset):
    known = {dataset.name: dataset for dataset in base.datasets} | {changed_dataset.name: changed_dataset}
    return lambda source, name, own=(): known[name]


@pytest.mark.parametrize(("column", "value"), [("sha256", "0" * 64), ("sample", "other"), ("label", 9)])
def test_the_fingerprint_changes_with_a_row_of_a_manifest(base, monkeypatch, column, value):
    def find(name):
        manifest = read_manifest(name)
        if name == "digits":
            rows = manifest.rows.copy()
            rows.loc[7, column] = value
            manifest = replace(manifest, rows=rows)
        return manifest

    monkeypatch.setattr(stream, "find_manifest", find)
    assert changed(base).fingerprint != base.fingerprint


def test_a_manifest_with_other_classes_than_the_data_set_is_refused(base, monkeypatch):
    dataset = stream.open_dataset("mini", "plants")
    dataset.class_names = dataset.class_names[::-1]
    monkeypatch.setattr(stream, "open_dataset", opener(base, dataset))
    with pytest.raises(IntegrityError, match="manifest of 'plants' names other classes"):
        _ = changed(base).fingerprint


# Reading


def test_the_protocols_that_come_with_the_package_are_named():
    assert set(protocol_names()) >= set(NAMES)


@pytest.mark.parametrize("name", protocol_names())
def test_a_protocol_is_named_like_its_file(name):
    assert load_protocol(name).name == name


def test_a_protocol_is_read_from_a_path(base, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes((FOLDER / "mini-mtil-1.toml").read_bytes())
    assert load_protocol(str(path)) == base


@pytest.mark.parametrize(("wrong", "right"), [("mini-mtil1", "mini-mtil-1"), ("minidev", "mini-dev")])
def test_an_unknown_name_is_refused_with_the_nearest(wrong, right):
    with pytest.raises(UsageError, match=f"Did you mean '{right}'"):
        load_protocol(wrong)


def test_a_path_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"there is no file .*none\.toml"):
        load_protocol(str(tmp_path / "none.toml"))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("version = 1", "version = ", "Invalid value"),
        ("version = 1", "version = 1\ncolour = 3", "colour"),
        ("version = 1", 'version = "first"', "version"),
        ("version = 1", "", "version"),
        ("steps = 80", "steps = 0", "budget.steps"),
        ("steps = 80", "steps = 80.5", "budget.steps"),
        ("warmup = 8", "warmup = 8\nwarm_up = 8", "budget.warm_up"),
        ("scale = [0.9, 1.0]", "scale = [0.9]", "augmentation.scale"),
        ('scale = "mini"', 'scale = "small"', "scale"),
        ("version = 1", "version = 1 # \udcff", "is not text in UTF-8"),
    ],
)
def test_a_file_that_is_no_protocol_is_refused_with_the_place(tmp_path, old, new, expected):
    text = (FOLDER / "mini-dev.toml").read_text()
    path = tmp_path / "mine.toml"
    path.write_bytes(text.replace(old, new).encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError) as caught:
        load_protocol(str(path))
    assert f"{path} is not a valid protocol" in str(caught.value)
    assert expected in str(caught.value)


def test_an_unknown_source_is_refused(base):
    with pytest.raises(UsageError, match="no data source 'minni'"):
        _ = changed(base, source="minni").datasets


def test_an_unknown_task_is_refused_with_the_nearest(base):
    with pytest.raises(UsageError, match="Did you mean 'digits'"):
        _ = changed(base, tasks=("digit",)).datasets


def test_a_budgets_presentations_are_steps_times_batch(base):
    assert changed(base, budget__steps=70, budget__batch_size=11).budget.presentations == 770


# Labels


def overlapping(base, monkeypatch):
    """Two data sets that share the name ``fox``; the second has it first."""
    found = {}
    for name, classes in (("one", ("cat", "fox", "owl")), ("two", ("fox", "elk"))):
        dataset = FakeDataSet(name, test=4)
        dataset.class_names = classes
        found[name] = dataset
    manifests = {name: replace(dataset.manifest(), class_names=dataset.class_names) for name, dataset in found.items()}
    monkeypatch.setattr(stream, "open_dataset", lambda source, name, own=(): found[name])
    monkeypatch.setattr(stream, "find_manifest", manifests.__getitem__)
    return changed(base, tasks=("one", "two"))


def test_equal_names_are_merged_in_order_of_first_appearance(base, monkeypatch):
    protocol = overlapping(base, monkeypatch)
    assert protocol.distinct_names == ("cat", "fox", "owl", "elk")
    assert protocol.merged_place == {"cat": 0, "fox": 1, "owl": 2, "elk": 3}


def test_either_label_of_a_merged_name_is_the_same(base, monkeypatch):
    table = ground_truth(overlapping(base, monkeypatch))
    found = {name: labels.tolist() for name, labels in table.agnostic_labels.items()}
    assert (found, table.merged) == ({"one": [0, 1, 0, 1], "two": [1, 3, 1, 3]}, 4)


@pytest.mark.parametrize("name", NAMES)
def test_the_label_table_holds_the_manifests_test_labels(name):
    protocol = load_protocol(name)
    for task in protocol.dataset_names:
        rows = read_manifest(task).rows
        expected = [int(row.label) for row in rows.itertuples() if row.split == "test"]
        assert ground_truth(protocol).labels[task].tolist() == expected


@pytest.mark.parametrize("name", NAMES)
def test_labels_among_all_names_have_the_same_name_as_the_tasks_own(name):
    protocol = load_protocol(name)
    table = ground_truth(protocol)
    for dataset in protocol.datasets:
        own = np.array(dataset.class_names)[table.labels[dataset.name]]
        merged = np.array(protocol.distinct_names)[table.agnostic_labels[dataset.name]]
        assert own.tolist() == merged.tolist()


@pytest.mark.parametrize("name", NAMES)
def test_the_label_table_counts_the_classes_of_each_task(name):
    protocol = load_protocol(name)
    assert ground_truth(protocol).classes == {d.name: len(d.class_names) for d in protocol.datasets}


def test_the_two_orders_differ_in_order_alone():
    one, two = load_protocol("mini-mtil-1"), load_protocol("mini-mtil-2")
    assert sorted(one.dataset_names) == sorted(two.dataset_names)
    assert (one.budget, one.augmentation, one.backbone) == (two.budget, two.augmentation, two.backbone)


@pytest.mark.parametrize("name", ["mini-dev", "mini-dev-classes"])
def test_the_development_streams_are_never_ranked_and_share_no_class(name):
    dev, streams = load_protocol(name), [load_protocol(other) for other in ("mini-mtil-1", "mini-c2r")]
    assert not dev.ranked
    for ranked in streams:
        assert ranked.ranked
        assert not set(dev.distinct_names) & set(ranked.distinct_names)
