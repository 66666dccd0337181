"""Streams other than one data set after the other: class by class, names that mean the same, captions."""

import json
import math
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from support.fakes import SIDE, FakeBackbone, FakeDataSet, make_budget, make_context, make_task

from vlcl_bench.common.fileio import canonical_json, sha256_text
from vlcl_bench.common.progress import Reporter
from vlcl_bench.data.manifest import read_manifest
from vlcl_bench.data.pictures import SmallPictures
from vlcl_bench.data.store import StoredDataSet
from vlcl_bench.engine.evaluate import evaluate, label_spaces, merged_top1
from vlcl_bench.engine.stages import Stages
from vlcl_bench.errors import IntegrityError, MethodError, UsageError
from vlcl_bench.methods.base import LossMethod
from vlcl_bench.methods.context import Batch
from vlcl_bench.protocols import stream as protocol_stream
from vlcl_bench.protocols.load import load_protocol, protocol_names
from vlcl_bench.protocols.stream import LATER_FIELDS
from vlcl_bench.scoring.classes import ClassTruth, rescore
from vlcl_bench.scoring.ground_truth import ground_truth

FOOD = ("dev-food", 4)  # the data set and its number of classes
TASKS = ("dev-food", "dev-activities")
ORDER = (2, 0, 3, 1)
GROUPS = f"[class_groups.dev-food]\nsize = 2\norder = {list(ORDER)}\n"


def stream(folder, tasks=TASKS, top="", tables="", budget="", name="stream"):
    """A protocol over data sets of the mini world, read from a file."""
    path = Path(folder) / f"{name}.toml"
    path.write_text(f"""
name = "{name}"
version = 1
title = "a stream for tests"
description = "for tests"
source = "mini"
scale = "mini"
backbone = "vlcl-mini/v1"
tasks = {json.dumps(tasks)}
evaluation_batch = 7
{top}
[budget]
steps = 4
batch_size = 8
learning_rate = 0.5
warmup = 1
ensemble_interval = 1
reference_batch = 8
auxiliary_size = 40
{budget}
[augmentation]
scale = [0.9, 1.0]
ratio = [0.75, 1.3333333333333333]
{tables}
""")
    return load_protocol(str(path))


@pytest.fixture
def incremental(tmp_path):
    """``dev-food`` in two tasks of two classes, then ``dev-activities``."""
    return stream(tmp_path, tables=GROUPS)


def numbered(count, offset=0):
    """Pictures that say which they are: ``(n, 1, 1, 3)``."""
    numbers = np.arange(offset, offset + count)
    return np.stack([numbers // 256, numbers % 256, numbers * 0], axis=1).astype(np.uint8)[:, None, None, :]


def numbered_store(protocol):
    return [
        StoredDataSet(m.dataset, numbered(len(m.samples("train"))), numbered(len(m.samples("test"))))
        for m in protocol.manifests
    ]


class Oracle:
    """A learner whose logits are drawn from picture and label space, and can be asked for again."""

    def __init__(self, seed=0):
        self.seed, self.asked = seed, []

    def logits(self, row, query):
        key = int(sha256_text(json.dumps([self.seed, row, query.dataset, query.prompts]))[:12], 16)
        return np.random.default_rng(key).normal(size=len(query.names)).astype(np.float32)

    def score(self, images, queries):
        rows = images[:, 0, 0, 0].astype(int) * 256 + images[:, 0, 0, 1]
        self.asked.append((rows, queries))
        return [np.stack([self.logits(int(row), query) for row in rows]) for query in queries]


def evaluated(protocol, stage, learner=None):
    return evaluate(learner or Oracle(), protocol, numbered_store(protocol), stage, lambda *_: None).frame


# Class by class: the tasks


def test_a_data_set_is_cut_into_tasks_of_so_many_classes(incremental):
    assert incremental.task_names == ("dev-food-01", "dev-food-02", "dev-activities")
    assert [step.dataset for step in incremental.tasks] == [0, 0, 1]
    assert [step.classes for step in incremental.tasks] == [(2, 0), (3, 1), None]
    assert [step.seen for step in incremental.tasks] == [(2, 0), (2, 0, 3, 1), None]


def stages(protocol, stored=None):
    return Stages(None, None, protocol, stored or numbered_store(protocol), Reporter(), "last")


def test_a_task_knows_the_names_seen_so_far_and_its_labels_index_them(incremental):
    manifest, names = incremental.manifests[0], incremental.datasets[0].class_names
    truth = manifest.labels("train")
    for stage, classes in ((1, (2, 0)), (2, (3, 1))):
        task = stages(incremental).task(stage)
        assert task.class_names == tuple(names[i] for i in ORDER[: 2 * stage])
        assert (task.index, task.name, task.dataset) == (stage, f"dev-food-0{stage}", "dev-food")
        rows = task.images[:, 0, 0, 0].astype(int) * 256 + task.images[:, 0, 0, 1]
        assert rows.tolist() == [row for row, label in enumerate(truth) if label in classes]
        assert [task.class_names[i] for i in task.labels] == [names[truth[row]] for row in rows]
        assert task.captions is None


def test_the_tasks_of_a_data_set_share_out_its_training_pictures(incremental):
    found = stages(incremental)
    assert sum(len(found.task(stage).labels) for stage in (1, 2)) == len(incremental.manifests[0].samples("train"))


def test_a_whole_data_set_after_it_is_a_task_of_its_own_names(incremental):
    task = stages(incremental).task(3)
    assert task.class_names == incremental.datasets[1].class_names
    assert task.labels.tolist() == incremental.manifests[1].labels("train").tolist()


def test_pictures_on_demand_are_shared_out_the_same_way(incremental):
    stored = numbered_store(incremental)
    wrapped = [replace(data, train=SmallPictures(data.train, 1)) for data in stored]
    for stage in (1, 2):
        one, two = stages(incremental, stored).task(stage), stages(incremental, wrapped).task(stage)
        np.testing.assert_array_equal(two.images[np.arange(len(two.labels))], one.images)
        np.testing.assert_array_equal(one.labels, two.labels)


# Class by class: the answers


def test_the_label_space_of_a_test_picture_is_the_whole_data_set(incremental):
    queries, union, plain = label_spaces(incremental)
    assert [query.names for query in queries] == [dataset.class_names for dataset in incremental.datasets]
    assert union.names == queries[0].names + queries[1].names
    assert plain.names == incremental.distinct_names


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_every_test_picture_is_answered_once_with_the_best_of_all_names(incremental, stage):
    learner = Oracle(stage)
    frame = evaluated(incremental, stage, learner)
    own, _, _ = label_spaces(incremental)
    assert frame["stage"].unique().tolist() == [stage]
    for step in incremental.tasks:
        labels = incremental.manifests[step.dataset].labels("test")
        rows = [row for row, label in enumerate(labels) if step.classes is None or label in step.classes]
        part = frame[frame["task"] == step.name]
        assert part["sample"].tolist() == list(range(len(rows)))
        best = [int(learner.logits(row, own[step.dataset]).argmax()) for row in rows]
        assert part["top1"].tolist() == best
        np.testing.assert_array_equal(ground_truth(incremental).labels[step.name], labels[rows])
    assert len(frame) == sum(len(manifest.samples("test")) for manifest in incremental.manifests)
    ground_truth(incremental).check(frame, [stage])


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_the_best_of_the_names_seen_so_far(incremental, stage):
    learner = Oracle(10 + stage)
    frame = evaluated(incremental, stage, learner)
    query = label_spaces(incremental)[0][0]
    truth = incremental.manifests[0].labels("test")
    known = ORDER[: 2 * min(stage, 2)]
    for number, name in enumerate(("dev-food-01", "dev-food-02"), start=1):
        found = frame.loc[frame["task"] == name, "seen_top1"].tolist()
        rows = [row for row, label in enumerate(truth) if label in ORDER[2 * number - 2 : 2 * number]]
        if number > stage:
            assert found == [-1] * len(rows)
        else:
            logits = [learner.logits(row, query) for row in rows]
            assert found == [max(known, key=lambda c, own=own: own[c]) for own in logits]
    assert (frame.loc[frame["task"] == "dev-activities", "seen_top1"] == -1).all()


def test_ties_among_the_seen_names_go_to_the_lower_id(incremental):
    class Flat(Oracle):
        def logits(self, row, query):
            return np.zeros(len(query.names), np.float32)

    frame = evaluated(incremental, 1, Flat())
    assert set(frame.loc[frame["task"] == "dev-food-01", "seen_top1"]) == {0}
    assert set(frame["top1"]) == {0}


def test_batches_mix_the_classes_of_all_tasks_of_a_data_set(incremental):
    learner = Oracle()
    evaluated(incremental, 1, learner)
    truth = incremental.manifests[0].labels("test")
    batches = [rows for rows, queries in learner.asked if queries[1].dataset == "dev-food"]
    assert max(len(rows) for rows in batches) == 7
    assert all(len(set(truth[rows])) > 1 for rows in batches if len(rows) == 7)
    assert set(np.concatenate(batches).tolist()) >= set(range(100))  # altered pictures have other numbers


def by_hand():
    """Two tasks of a data set with four classes, and another data set; who was right at which stage is chosen."""
    labels = {"a-01": np.array([0, 1]), "a-02": np.array([2, 3, 2]), "b": np.array([0, 1])}
    table = ClassTruth(
        ("a-01", "a-02", "b"), labels, {"a-01": 4, "a-02": 4, "b": 2}, increments={"a": ("a-01", "a-02")}
    )
    none = [-1, -1, -1]
    seen = {
        0: {"a-01": none, "a-02": none},
        1: {"a-01": [0, 0], "a-02": none},
        2: {"a-01": [0, 2], "a-02": [2, 3, 0]},
        3: {"a-01": [1, 1], "a-02": [2, 3, 2]},
    }
    rows = []
    for stage in range(4):
        for task, truth in labels.items():
            for sample in range(len(truth)):
                places = 4 if task != "b" else 2
                row = {"stage": stage, "task": task, "sample": sample}
                row |= {f"top{k + 1}": k if k < places else -1 for k in range(5)}
                row |= {f"logit{k + 1}": -float(k) if k < places else math.nan for k in range(5)}
                row |= {"agnostic_top1": -1, "agnostic_plain_top1": -1}
                row["seen_top1"] = seen[stage].get(task, none)[sample]
                rows.append(row)
    return pd.DataFrame(rows), table


def test_the_class_incremental_curve_of_a_hand_worked_example():
    frame, table = by_hand()
    # After task 1: 1 of 2. After task 2: 1 of 2 and 2 of 3. After the whole stream: 1 of 2 and 3 of 3.
    assert rescore(frame, table)["incremental"] == {
        "a": {"curve": [50.0, 60.0], "average": 55.0, "last": 60.0, "final": 80.0}
    }


@pytest.mark.parametrize(
    ("stage", "task", "value"), [(1, "a-02", 0), (0, "a-01", 1), (2, "a-02", -1), (2, "a-02", 4), (3, "b", 0)]
)
def test_answers_among_seen_names_stand_where_they_are_due_and_only_there(stage, task, value):
    frame, table = by_hand()
    frame.loc[(frame["stage"] == stage) & (frame["task"] == task), "seen_top1"] = value
    with pytest.raises(IntegrityError, match="no id among the names seen so far"):
        rescore(frame, table)


def test_predictions_without_the_seen_names_are_refused():
    frame, table = by_hand()
    with pytest.raises(IntegrityError, match="seen_top1"):
        rescore(frame.drop(columns="seen_top1"), table)


def test_a_stream_of_whole_data_sets_has_no_such_answers(tmp_path):
    plain = stream(tmp_path)
    frame = evaluated(plain, 1)
    assert "seen_top1" not in frame
    assert ground_truth(plain).increments == {}


# The fingerprint


def test_fields_that_came_later_leave_old_fingerprints_alone(tmp_path):
    protocol = stream(tmp_path)
    old = {"name", "version", "source", "backbone", "dataset_names", "evaluation_batch", "scale", "ranked", "budget"}
    facts = protocol.model_dump(mode="json", by_alias=True, include=old | {"augmentation"})
    facts["data"] = [
        {"name": d.name, "classes": d.class_names, "templates": d.templates, "manifest": m.fingerprint()}
        for d, m in zip(protocol.datasets, protocol.manifests, strict=True)
    ]
    assert protocol.fingerprint == sha256_text(canonical_json(facts))
    assert set(LATER_FIELDS) == {"picture_size", "class_groups", "aliases", "bank", "reference"}


LATER = {
    "a picture size": {"top": "picture_size = 48"},
    "class groups": {"tables": GROUPS},
    "another order": {"tables": GROUPS.replace("2, 0, 3, 1", "0, 1, 2, 3")},
    "another group size": {"tables": GROUPS.replace("size = 2", "size = 1")},
    "aliases": {"top": 'aliases = [["cheese", "pear"]]'},
    "a bank": {"tables": '[bank]\nsize = 2\nseed = 0\ngroups = [["dev-food"]]'},
}


def test_each_of_them_changes_the_fingerprint_where_it_is_set(tmp_path):
    prints = {stream(tmp_path, **changes).fingerprint for changes in LATER.values()}
    assert len(prints | {stream(tmp_path).fingerprint}) == len(LATER) + 1


# Names that mean the same


def aliased(monkeypatch, tmp_path, aliases):
    """Two data sets with the names cat, fox, owl and fox, elk, hound."""
    found = {}
    for name, classes in (("one", ("cat", "fox", "owl")), ("two", ("fox", "elk", "hound"))):
        dataset = FakeDataSet(name, test=6)
        dataset.class_names = classes
        found[name] = dataset
    described = {name: dataset.manifest() for name, dataset in found.items()}
    monkeypatch.setattr(protocol_stream, "open_dataset", lambda source, name, own=(): found[name])
    monkeypatch.setattr(protocol_stream, "find_manifest", described.get)
    return stream(tmp_path, ("one", "two"), top=f"aliases = {json.dumps(aliases)}")


def test_names_that_mean_the_same_are_one(monkeypatch, tmp_path):
    protocol = aliased(monkeypatch, tmp_path, [["owl", "elk"]])
    assert protocol.distinct_names == ("cat", "fox", "owl", "elk", "hound")
    place = protocol.merged_place
    assert place["owl"] == place["elk"]
    assert len(set(place.values())) == 4 == ground_truth(protocol).merged
    assert sorted(set(place.values())) == [0, 1, 2, 3]
    # The fakes' labels are 0 and 1 in turn: cat, fox; fox, elk.
    agnostic = ground_truth(protocol).agnostic_labels
    assert agnostic["one"].tolist() == [place["cat"], place["fox"]] * 3
    assert agnostic["two"].tolist() == [place["fox"], place["owl"]] * 3


def test_without_aliases_only_equal_names_are_one(monkeypatch, tmp_path):
    protocol = aliased(monkeypatch, tmp_path, [])
    assert protocol.merged_place == {"cat": 0, "fox": 1, "owl": 2, "elk": 3, "hound": 4}


def test_the_best_merged_name_is_that_of_the_best_of_its_names():
    rng = np.random.default_rng(0)
    for _ in range(50):
        names = int(rng.integers(1, 8))
        merged = np.concatenate([np.arange(names), rng.integers(0, names, int(rng.integers(0, 9)))])
        rng.shuffle(merged)
        logits = rng.integers(-3, 4, (20, len(merged))).astype(np.float32)
        expected = []
        for row in logits:
            best = {name: max(v for v, m in zip(row, merged, strict=True) if m == name) for name in range(names)}
            expected.append(max(best, key=lambda name, best=best: (best[name], -name)))
        assert merged_top1(logits, merged, names).tolist() == expected


def test_the_answers_over_all_names_follow_from_both_label_spaces(monkeypatch, tmp_path):
    protocol = aliased(monkeypatch, tmp_path, [["owl", "elk"]])
    learner = Oracle()
    frame = evaluated(protocol, 0, learner)
    _, union, plain = label_spaces(protocol)
    for column, query in (("agnostic_top1", union), ("agnostic_plain_top1", plain)):
        logits = [learner.logits(row, query) for row in range(6)]
        expected = [protocol.merged_place[query.names[int(own.argmax())]] for own in logits]
        assert frame.loc[frame["task"] == "two", column].tolist() == expected


# Learning rates and bad files


def test_a_data_sets_learning_rate_is_that_of_all_its_tasks(tmp_path):
    rates = "learning_rates = { dev-food = 0.25, dev-food-02 = 0.125 }"
    protocol = stream(tmp_path, tables=GROUPS, budget=rates)
    ctx = make_context(FakeBackbone(), budget=protocol.budget)
    found = stages(protocol)
    assert [ctx.learning_rate(found.task(stage)) for stage in (1, 2, 3)] == [0.25, 0.125, 0.5]


BAD = {
    "a class twice": (
        {"tables": GROUPS.replace("2, 0, 3, 1", "2, 0, 3, 3")},
        "order: expected every class id from 0 to 3 once",
    ),
    "a class is missing": (
        {"tables": GROUPS.replace("2, 0, 3, 1", "2, 0, 4, 1")},
        "order: expected every class id from 0 to 3 once",
    ),
    "a size that does not divide": (
        {"tables": GROUPS.replace("size = 2", "size = 3")},
        "size: found 3, expected a number that divides the 4 classes",
    ),
    "no size": ({"tables": GROUPS.replace("size = 2", "size = 0")}, "class_groups.dev-food.size"),
    "groups of no data set": (
        {"tables": GROUPS.replace("dev-food", "dev-fud")},
        "dev-fud: the stream has no data set of this name. Did you mean 'dev-food'?",
    ),
    "a rate of no task": (
        {"budget": "learning_rates = { dev-fud = 1.0 }"},
        "learning_rates.dev-fud: the stream has no such task. Did you mean 'dev-food'?",
    ),
    "a rate of no group": (
        {"tables": GROUPS, "budget": "learning_rates = { dev-food-03 = 1.0 }"},
        "learning_rates.dev-food-03: the stream has no such task",
    ),
    "a bank of no data set": (
        {"tables": '[bank]\nsize = 2\nseed = 0\ngroups = [["dev-fud"]]'},
        "bank.groups: the stream has no data set 'dev-fud'",
    ),
    "an unknown field": ({"top": "class_group = 3"}, "class_group"),
    "a size of nothing": ({"top": "picture_size = 0"}, "picture_size"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_stream_is_refused_with_the_place(tmp_path, kind):
    changes, said = BAD[kind]
    with pytest.raises(UsageError) as caught:
        stream(tmp_path, **changes)
    assert "is not a valid protocol" in caught.value.message
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ([1, 0], "found 2 classes, expected all 4 of dev-food"),
        ([0, 1, 2, 3, 4, 5], "found 6 classes, expected all 4 of dev-food"),
        ([], "found an empty list"),
    ],
)
def test_class_groups_must_cover_all_classes_of_their_data_set(tmp_path, order, said):
    with pytest.raises(UsageError, match=f"class_groups.dev-food.order: {said}"):
        stream(tmp_path, tables=f"[class_groups.dev-food]\nsize = 2\norder = {order}\n")


# Captions: learning


def captioned_task(samples=12):
    task = make_task(samples=samples)
    captions = tuple(tuple(f"picture {i} text {k}" for k in range(1 + i % 4)) for i in range(samples))
    return replace(task, class_names=(), templates=(), labels=np.full(samples, -1), captions=captions)


def test_each_picture_comes_with_one_of_its_own_captions():
    task = captioned_task()
    for batch in islice(make_context(FakeBackbone(), 3).batches(task), 6):
        assert len(batch.captions) == len(batch.indices)
        assert all(text in task.captions[row] for text, row in zip(batch.captions, batch.indices, strict=True))


def test_all_captions_of_a_picture_are_drawn_about_equally_often():
    task = replace(captioned_task(1), captions=(("a", "b", "c", "d"),))
    found = [batch.captions[0] for batch in islice(make_context(FakeBackbone()).batches(task), 2000)]
    assert all(420 < found.count(text) < 580 for text in "abcd")


def drawn(task, seed=3, **arguments):
    batches = islice(make_context(FakeBackbone(), seed).batches(task, **arguments), 5)
    return [(batch.indices.tolist(), batch.captions) for batch in batches]


def test_captions_follow_from_the_seed_and_the_stream():
    task = captioned_task()
    assert drawn(task) == drawn(task)
    assert drawn(task) != drawn(task, seed=4)
    assert drawn(task) != drawn(task, purpose="reference")


def test_captions_do_not_depend_on_how_far_ahead_is_decoded(monkeypatch):
    task = captioned_task()
    task = replace(task, images=SmallPictures(task.images, SIDE))
    expected = drawn(task)
    monkeypatch.setattr("vlcl_bench.methods.context.DECODED_AHEAD", 1)
    assert drawn(task) == expected


def test_the_loss_of_captioned_batches_is_clips_symmetric_one():
    method = LossMethodOnly(FakeBackbone(), LossMethodOnly.Config())
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.5, 1.5, 0.0], [1.0, 1.0, 3.0]])
    batch = Batch(torch.empty(0), torch.full((3,), -1), np.arange(3), ["a", "b", "c"])
    values = logits.double().numpy()
    rows = [math.log(sum(math.exp(v) for v in values[i])) - values[i, i] for i in range(3)]
    columns = [math.log(sum(math.exp(v) for v in values[:, i])) - values[i, i] for i in range(3)]
    expected = (sum(rows) / 3 + sum(columns) / 3) / 2
    assert float(method.cross_entropy(batch, logits)) == pytest.approx(expected, rel=1e-6)


def test_without_captions_the_loss_is_smoothed_cross_entropy():
    method = LossMethodOnly(FakeBackbone(), LossMethodOnly.Config(label_smoothing=0.1))
    logits, labels = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 2, 1, 1])
    batch = Batch(torch.empty(0), labels, np.arange(4))
    logs = F.log_softmax(logits, dim=1)
    expected = -(0.9 * logs[range(4), labels] + 0.1 * logs.mean(dim=1)).mean()
    assert float(method.cross_entropy(batch, logits)) == pytest.approx(float(expected), rel=1e-6)


class LossMethodOnly(LossMethod):
    title = "recipe"

    def loss(self, batch, logits, ctx):
        seen = getattr(self, "seen", None)
        if seen is not None and not seen:
            images, texts = self.embed_images(batch.images), self.embed_texts(batch.captions)
            seen.append((logits.detach(), (self.backbone.logit_scale * images @ texts.T).detach()))
        return self.cross_entropy(batch, logits)


def test_the_recipe_learns_pictures_by_the_captions_drawn_for_them():
    task, backbone = captioned_task(), FakeBackbone()
    method = LossMethodOnly(backbone, LossMethodOnly.Config())
    method.seen = []
    method.learn(task, make_context(backbone, budget=make_budget(steps=3, batch_size=5)))
    ((found, expected),) = method.seen
    assert found.shape == (5, 5)
    torch.testing.assert_close(found, expected)


def test_a_captioned_task_has_no_prompts():
    with pytest.raises(MethodError, match="captions and no classes") as caught:
        _ = captioned_task().prompts
    assert "task.captions" in caught.value.hint


# Captions: the bank and the gallery


BANK = '[bank]\nsize = {size}\nseed = {seed}\ngroups = [["one", "two"], ["three"]]\n'


@pytest.fixture
def shots(monkeypatch, tmp_path):
    """Makes a stream of three captioned data sets."""
    found = {name: FakeDataSet(name, train=20, test=7, captioned=True) for name in ("one", "two", "three")}
    described = {name: dataset.manifest() for name, dataset in found.items()}
    monkeypatch.setattr(protocol_stream, "open_dataset", lambda source, name, own=(): found[name])
    monkeypatch.setattr(protocol_stream, "find_manifest", described.get)

    def make(size=12, seed=0, name="shots"):
        return stream(tmp_path, ("one", "two", "three"), tables=BANK.format(size=size, seed=seed), name=name)

    return make


def test_a_bank_has_equal_shares_of_training_captions_only(shots):
    protocol = shots()
    texts = {m.dataset: {t for own in m.captions("train") for t in own} for m in protocol.manifests}
    bank = protocol.bank_captions
    assert len(bank) == len(set(bank)) == 12
    assert [sum(text in texts["one"] | texts["two"] for text in bank), sum(t in texts["three"] for t in bank)] == [6, 6]
    test = {text for m in protocol.manifests for own in m.captions("test") for text in own}
    assert not test & set(bank)


def test_a_bank_is_drawn_once_and_for_all(shots):
    assert shots().bank_captions == shots(name="again").bank_captions
    assert set(shots().bank_captions) != set(shots(seed=1).bank_captions)


def test_a_bank_larger_than_what_there_is_holds_it_all(shots):
    protocol = shots(size=100_000)
    everything = {text for m in protocol.manifests for own in m.captions("train") for text in own}
    assert set(protocol.bank_captions) == everything


def test_a_captioned_task_is_the_training_split_with_its_captions(shots):
    protocol = shots()
    task = stages(protocol).task(2)
    assert (task.name, task.dataset, task.class_names) == ("two", "two", ())
    assert task.captions == tuple(protocol.manifests[1].captions("train"))
    assert task.labels.tolist() == [-1] * 20


class Knowing(Oracle):
    """Gives a picture's own captions the best scores."""

    def __init__(self, protocol):
        super().__init__()
        self.protocol = protocol

    def logits(self, row, query):
        logits = super().logits(row, query)
        if query.dataset is not None:
            manifest = self.protocol.manifests[self.protocol.dataset_names.index(query.dataset)]
            logits += [100.0 * (name in manifest.captions("test")[row]) for name in query.names]
        return logits


def test_who_knows_every_caption_retrieves_all_and_order_does_not_matter(shots):
    protocol = shots()
    frame = evaluated(protocol, 0, Knowing(protocol))
    ground_truth(protocol).check(frame, [0])
    assert ground_truth(protocol).stage_scores(frame) == dict.fromkeys(("one", "two", "three"), 100.0)


def test_captions_of_the_bank_are_chosen_by_id(shots):
    protocol, learner = shots(), Oracle(5)
    frame = evaluated(protocol, 0, learner)
    query = next(queries[1] for _, queries in learner.asked)
    assert query.dataset is None
    assert sorted(query.names) == sorted(protocol.bank_captions)
    best = [query.names[int(learner.logits(row, query).argmax())] for row in range(7)]
    expected = [protocol.bank_captions.index(caption) for caption in best]
    for task in ("one", "two", "three"):
        part = frame[(frame["task"] == task) & (frame["kind"] == "nearest")]
        assert part.sort_values("query")["id1"].tolist() == expected
        chosen = frame[(frame["task"] == task) & (frame["kind"] == "caption")]
        assert chosen["id1"].between(0, 11).all()


def test_retrieval_answers_are_the_best_ids_both_ways(shots):
    protocol, learner = shots(), Oracle(6)
    frame = evaluated(protocol, 0, learner)
    query = next(queries[0] for _, queries in learner.asked if queries[0].dataset == "two")
    texts = [text for own in protocol.manifests[1].captions("test") for text in own]
    place = {name: i for i, name in enumerate(query.names)}
    logits = np.stack([learner.logits(row, query) for row in range(7)])[:, [place[text] for text in texts]]
    part = frame[frame["task"] == "two"]
    i2t = part[part["kind"] == "i2t"].sort_values("query")
    t2i = part[part["kind"] == "t2i"].sort_values("query")
    assert i2t[[f"id{k}" for k in range(1, 11)]].to_numpy().tolist() == np.argsort(-logits, axis=1)[:, :10].tolist()
    expected = np.argsort(-logits.T, axis=1)
    assert t2i[[f"id{k}" for k in range(1, 8)]].to_numpy().tolist() == expected.tolist()
    assert (t2i[["id8", "id9", "id10"]] == -1).all(axis=None)


def test_a_gallery_does_not_tell_which_captions_belong_together(shots):
    protocol, learner = shots(), Oracle()
    evaluated(protocol, 0, learner)
    for manifest in protocol.manifests:
        texts = [text for own in manifest.captions("test") for text in own]
        (names,) = {queries[0].names for _, queries in learner.asked if queries[0].dataset == manifest.dataset}
        assert sorted(names) == sorted(texts)
        assert names != tuple(texts)


def test_the_mini_manifests_that_the_streams_stand_on_are_the_committed_ones():
    name, classes = FOOD
    assert len(read_manifest(name).class_names) == classes


# The streams that come with the package


@pytest.mark.parametrize("name", protocol_names())
def test_aliases_are_names_of_the_stream_each_in_one_group(name):
    protocol = load_protocol(name)
    found = [alias for group in protocol.aliases for alias in group]
    assert set(found) <= set(protocol.distinct_names)
    assert len(set(found)) == len(found)


def test_the_class_order_of_imagenet_r_is_the_permutation_with_seed_42():
    order = load_protocol("c2r").class_groups["imagenet_r"].order
    assert list(order) == torch.randperm(200, generator=torch.Generator().manual_seed(42)).tolist()


def test_c2r_is_ten_tasks_of_ten_classes_then_ten_of_twenty():
    steps = load_protocol("c2r").tasks
    assert [(step.dataset, len(step.classes)) for step in steps] == [(0, 10)] * 10 + [(1, 20)] * 10
    assert len({(step.dataset, label) for step in steps for label in step.classes}) == 300
