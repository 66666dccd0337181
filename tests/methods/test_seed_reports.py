"""Diagnostics of seeds against plain loops, and ``vlcl show RUN --seeds`` on a record with such lines in its log."""

import itertools
import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support.fakes import make_task
from support.harness import vlcl

from vlcl_bench.methods.seed_reports import caption_probe, seed_report
from vlcl_bench.scoring.bleu import bleu4

WIDTH = 10


def rows(*shape, seed=0):
    found = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return F.normalize(found, dim=-1)


def world(per_class=(6, 4, 7, 5), slots=3, dtype=torch.float64):
    """Real features around a direction a class, texts, and seeds with their classes."""
    count = len(per_class)
    labels = torch.tensor([label for label, n in enumerate(per_class) for _ in range(n)])
    centres, texts = rows(count, WIDTH), rows(count, WIDTH, seed=1)
    images = F.normalize(centres[labels] + 0.6 * rows(len(labels), WIDTH, seed=2), dim=1)
    classes = torch.arange(count).repeat(slots)
    v = F.normalize(centres[classes] + 0.2 * rows(len(classes), WIDTH, seed=3), dim=1)
    w = F.normalize(texts[classes] + 0.3 * rows(len(classes), WIDTH, seed=4), dim=1)
    features = [part.to(dtype) for part in (v, w, images, texts)]
    return features[0], features[1], classes, features[2], labels, features[3]


def report(v, w, classes, images, labels, texts):
    return seed_report(v, w, classes, images, labels, texts, make_task(1))


# Fidelity


def test_fidelity_is_the_mean_over_classes_of_the_cosine_with_class_mean_and_text():
    v, w, classes, images, labels, texts = world()
    found = report(v, w, classes, images, labels, texts)
    near_v, near_w = [], []
    for label in range(4):
        mean = sum(image for image, own in zip(images, labels, strict=True) if own == label)
        mean = mean / mean.norm()
        near_v.append(np.mean([float(seed @ mean) for seed, own in zip(v, classes, strict=True) if own == label]))
        near_w.append(
            np.mean([float(seed @ texts[label]) for seed, own in zip(w, classes, strict=True) if own == label])
        )
    assert found["fidelity_image"] == pytest.approx(np.mean(near_v))
    assert found["fidelity_image_sd"] == pytest.approx(np.std(near_v))
    assert found["fidelity_text"] == pytest.approx(np.mean(near_w))
    assert found["fidelity_text_sd"] == pytest.approx(np.std(near_w))
    assert (found["report"], found["task"], found["seeds"], found["classes"]) == ("seeds", "task-1", 12, 4)


def test_seeds_that_are_the_class_means_and_texts_have_fidelity_one():
    _, _, _, images, labels, texts = world()
    means = F.normalize(torch.stack([images[labels == label].mean(dim=0) for label in range(4)]), dim=1)
    found = report(means, texts, torch.arange(4), images, labels, texts)
    assert found["fidelity_image"] == pytest.approx(1)
    assert found["fidelity_text"] == pytest.approx(1)
    assert found["fidelity_image_sd"] == pytest.approx(0, abs=1e-9)


def test_classes_without_seeds_do_not_count():
    v, w, classes, images, labels, texts = world()
    some = (classes == 1) | (classes == 3)
    kept = (labels == 1) | (labels == 3)
    places = torch.tensor([-1, 0, -1, 1])
    found = report(v[some], w[some], classes[some], images, labels, texts)
    alone = report(v[some], w[some], places[classes[some]], images[kept], places[labels[kept]], texts[[1, 3]])
    assert found.keys() == alone.keys()
    assert {key: found[key] for key in found if key != "task"} == pytest.approx(
        {key: alone[key] for key in alone if key != "task"} | {"report": "seeds"}
    )


# Variance


def plain_variances(v, classes, images, labels):
    """Within-class variances in the span of the between-class scatter and out of it, from its eigenvectors."""
    count = int(classes.max()) + 1
    means = torch.stack([images[labels == label].mean(dim=0) for label in range(count)]).double()
    apart = means - means.mean(dim=0)
    scatter = sum(torch.outer(row, row) for row in apart)
    directions = torch.linalg.eigh(scatter).eigenvectors.T  # of rising eigenvalues
    found = []
    for features, owners in ((v.double(), classes), (images.double(), labels)):
        inside = outside = 0.0
        for label in range(count):
            own = features[owners == label]
            for row in own:
                shares = [float((row - own.mean(dim=0)) @ direction) ** 2 for direction in directions]
                inside += sum(shares[-(count - 1) :])
                outside += sum(shares[: -(count - 1)])
        freedom = len(features) - count
        found.append((inside / freedom, outside / freedom))
    (seeds_in, seeds_out), (real_in, real_out) = found
    return {"variance_inside": seeds_in / real_in, "variance_outside": seeds_out / real_out}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("per_class", [(6, 4), (6, 4, 7, 5)])
def test_variance_ratios_are_those_of_an_eigendecomposition(per_class, dtype):
    found = world(per_class, dtype=dtype)
    v, _, classes, images, labels, _ = found
    expected = plain_variances(v, classes, images, labels)
    line = report(*found)
    assert {name: line[name] for name in expected} == pytest.approx(expected, rel=1e-5)


def test_class_means_that_hardly_differ_still_span_one_direction_less_than_there_are_classes():
    labels = torch.arange(3).repeat(40)
    centre, apart = rows(1, WIDTH), 1e-3 * rows(3, WIDTH, seed=1)
    noise = 0.2 * rows(120, WIDTH, seed=2)
    noise -= torch.stack([noise[labels == label].mean(dim=0) for label in range(3)])[labels]
    images = (centre + apart[labels] + noise).float()
    v = (centre + apart[labels[:6]] + 0.1 * rows(6, WIDTH, seed=3)).float()
    expected = plain_variances(v, labels[:6], images, labels)
    line = report(v, v, labels[:6], images, labels, rows(3, WIDTH).float())
    assert {name: line[name] for name in expected} == pytest.approx(expected, rel=0.02)


def test_seeds_like_real_pictures_have_ratios_of_one_and_equal_seeds_of_nought():
    v, w, classes, images, labels, texts = world()
    same = report(images, images, labels, images, labels, texts)
    assert (same["variance_inside"], same["variance_outside"]) == (pytest.approx(1), pytest.approx(1))
    equal = report(v[classes], w, classes, images, labels, texts)
    assert (equal["variance_inside"], equal["variance_outside"]) == (pytest.approx(0), pytest.approx(0))


@pytest.mark.parametrize(
    "seeds", [[0, 1, 2, 3], [0, 4, 8], [0, 1, 2, 3, 4, 5, 6]], ids=["one each", "one class", "6+1"]
)
def test_variances_need_two_classes_and_two_seeds_of_each(seeds):
    v, w, classes, images, labels, texts = world()
    found = report(v[seeds], w[seeds], classes[seeds], images, labels, texts)
    assert not {"variance_inside", "variance_outside"} & found.keys()


# The caption probe


CATS = ["a small black cat sleeps on the mat", "the black cat is sleeping on a mat"]
BOATS = ["two red boats sail on the lake", "red boats are sailing over a blue lake"]
AXES = torch.eye(WIDTH)


def probe(w, clusters, captions, labels, features=None):
    """The probe with a direction for the captions of each cluster."""
    features = features or [AXES[[label] * len(own)] for own, label in zip(captions, labels, strict=True)]
    return caption_probe(w, torch.tensor(clusters), captions, features, labels, np.random.default_rng(0))


def test_seeds_that_name_their_clusters_captions_have_a_hundred():
    found = probe(AXES[[0, 1]], [0, 1], [CATS[:1], CATS[:1], BOATS[:1], BOATS[:1]], [0, 0, 1, 1])
    assert found["probe_bleu4"] == pytest.approx(100)


def test_seeds_that_name_the_other_clusters_captions_have_nothing():
    found = probe(AXES[[1, 0]], [0, 1], [CATS[:1], CATS[:1], BOATS[:1], BOATS[:1]], [0, 0, 1, 1])
    assert found["probe_bleu4"] == 0


def test_named_and_compared_are_captions_of_different_pictures():
    # The bank is that of pictures 0 and 2, the references those of pictures 1 and 3.
    found = probe(AXES[[0, 1]], [0, 1], [CATS[:1], CATS[1:], BOATS[:1], BOATS[1:]], [0, 0, 1, 1])
    assert found["probe_bleu4"] == pytest.approx(bleu4([CATS[0], BOATS[0]], [CATS[1:], BOATS[1:]]))
    assert found["probe_bleu4"] < 50


def test_chance_is_a_caption_of_the_bank_drawn_at_random():
    captions, labels = [CATS, CATS[::-1], BOATS, BOATS[::-1]], [0, 0, 1, 1]
    found = probe(AXES[[0, 1]], [0, 1], captions, labels)
    bank, references = [*CATS, *BOATS], [CATS[::-1], BOATS[::-1]]
    possible = [bleu4(list(drawn), references) for drawn in itertools.product(bank, bank)]
    assert any(found["probe_chance"] == pytest.approx(value) for value in possible)
    draws = [
        caption_probe(
            AXES[[0, 1]], torch.tensor([0, 1]), captions, [AXES[[label] * 2] for label in labels], labels,
            np.random.default_rng(seed),
        )["probe_chance"]
        for seed in range(12)
    ]  # fmt: skip
    assert len({round(value, 6) for value in draws}) > 1


def test_seeds_whose_cluster_has_nothing_to_compare_with_are_left_out():
    captions, labels = [CATS[:1], CATS[:1], BOATS[:1]], [0, 0, 1]  # the boats are in the bank alone
    assert probe(AXES[[0, 1]], [0, 1], captions, labels)["probe_bleu4"] == pytest.approx(100)
    assert probe(AXES[[1]], [1], captions, labels) == {}
    assert probe(AXES[[0]], [0], [CATS[:1]], [0]) == {}


# The command


def line(task, **values):
    return {"stage": 1, "report": "seeds", "task": task, "seeds": 16, "classes": 8} | values


FIDELITY = {
    "fidelity_image": 0.8912, "fidelity_image_sd": 0.0504, "fidelity_text": 0.75, "fidelity_text_sd": 0.25,
}  # fmt: skip
VARIANCE = {"variance_inside": 0.5, "variance_outside": 0.0321}
PROBE = {"probe_bleu4": 31.46, "probe_chance": 4.04}
MEMORY = {"report": "memory", "items": 16, "bytes": 1308, "bytes_memory": 1208, "bytes_spreads": 100}


@pytest.fixture
def with_log(finished):
    """The folder of a finished run, with these lines in its log."""

    def write(*lines):
        path = finished / "run.json"
        record = json.loads(path.read_text())
        path.write_text(json.dumps(record | {"log": [{"stage": 1, "loss": 2.5}, *lines]}))
        return finished

    return write


def cells(output):
    """Rows of a printed table: the words of each line."""
    return [printed.split() for printed in output.splitlines()]


def test_the_table_has_a_line_for_each_task(with_log, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    folder = with_log(
        line("dev-food", **FIDELITY, **VARIANCE), line("dev-activities", **FIDELITY), MEMORY | {"task": "x"}
    )
    ended = vlcl("show", folder, "--seeds")
    assert (ended.code, ended.err) == (0, "")
    assert ["food", "16", "8", "0.891", "±", "0.050", "0.750", "±", "0.250", "0.500", "0.0321"] in cells(ended.out)
    assert ["activities", "16", "8", "0.891", "±", "0.050", "0.750", "±", "0.250"] in cells(ended.out)
    assert "claims 0.89 ± 0.05 to class means, and outside < 1." in " ".join(ended.out.split())
    assert "BLEU-4" not in ended.out
    assert ["x", "16", "1,308", "1,208", "100"] in cells(ended.out)


def test_a_caption_streams_table_has_the_probe(with_log, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    ended = vlcl("show", with_log(line("mini-scenes-food", **FIDELITY, **PROBE)), "--seeds")
    assert ["food", "16", "8", "0.891", "±", "0.050", "0.750", "±", "0.250", "31.5", "4.0"] in cells(ended.out)
    assert "inside" not in ended.out
    assert "kept after" not in ended.out


def test_json_holds_the_logs_lines(with_log):
    folder = with_log(line("dev-food", **FIDELITY, **VARIANCE), MEMORY | {"stage": 1, "task": "dev-food"})
    found = vlcl("show", folder, "--seeds", "--json").json
    assert found["run"] == json.loads((folder / "run.json").read_text())["run_hash"]
    assert found["seeds"] == [
        {"stage": 1, "task": "dev-food", "seeds": 16, "classes": 8, **FIDELITY, **VARIANCE},
    ]
    (memory,) = found["memory"]
    assert memory == {"stage": 1, "task": "dev-food"} | {key: MEMORY[key] for key in MEMORY if key != "report"}


def test_a_method_that_logs_its_memory_alone_has_that_table(with_log):
    ended = vlcl("show", with_log(MEMORY | {"task": "dev-food"}), "--seeds")
    assert ["food", "16", "1,308", "1,208", "100"] in cells(ended.out)
    assert "claims" not in ended.out


def test_a_run_without_such_lines_is_refused_with_a_word_on_what_would_do(with_log):
    ended = vlcl("show", with_log(), "--seeds")
    assert ended.code == 2
    assert "'finetune'" in ended.err
    assert "auto_seed_vl2" in ended.err
    assert ended.out == ""
