"""What `make benchmarks` says of the evaluation's speed, with a small model in place of the large one."""

import os

import numpy as np
import pytest
from support.fakes import FakeDataSet, replace_reference

from vlcl_bench.backbones import load_backbone
from vlcl_bench.benchmarks.evaluation import Rate, large_evaluation_rate, make_jpegs
from vlcl_bench.benchmarks.steps import step_times
from vlcl_bench.engine.company import batches
from vlcl_bench.mini.world import BACKBONE, REFERENCE


def test_the_share_is_that_of_the_bare_pass():
    assert Rate("x", 128, 9.0, 10.0).share == pytest.approx(0.9)


def test_pictures_are_made_described_stored_and_timed(monkeypatch, tmp_path):
    backbone, seen = load_backbone(BACKBONE), []
    encode = backbone.encode_image

    def counted(images):
        seen.append(tuple(images.shape))
        return encode(images)

    monkeypatch.setattr(backbone, "encode_image", counted)
    monkeypatch.setattr("vlcl_bench.backbones.clip.create", lambda *_: backbone)
    home = os.environ["VLCL_DATA_HOME"]
    rate = large_evaluation_rate(tmp_path, pictures=6, side=48)
    assert (rate.backbone, rate.pictures) == (BACKBONE, 6)
    assert rate.evaluating > 0
    assert rate.bare > 0
    assert seen[:2] == [(6, 3, 48, 48)] * 2  # to warm up, and bare
    assert sum(shape[0] for shape in seen[2:]) > 6  # the evaluation asks some again, in smaller batches
    assert os.environ["VLCL_DATA_HOME"] == home
    (array,) = (tmp_path / "store").rglob("test.u8")
    assert array.stat().st_size == 6 * 48 * 48 * 3


def test_the_bare_pass_is_the_encoder_alone(monkeypatch, tmp_path):
    backbone, now = load_backbone(BACKBONE), []
    monkeypatch.setattr("vlcl_bench.backbones.clip.create", lambda *_: backbone)
    preprocess = backbone.preprocess
    monkeypatch.setattr(backbone, "preprocess", lambda pixels: (now.append(1), preprocess(pixels))[1])
    large_evaluation_rate(tmp_path, pictures=4, side=48)
    asked = len(batches(4, 64, np.random.default_rng()))
    assert len(now) == 1 + asked  # once before the clock runs, then in the evaluation


@pytest.mark.slow
def test_steps_are_timed_with_the_reference_data_that_a_method_declares(world, monkeypatch):
    dataset = FakeDataSet(REFERENCE, train=8, test=0, side=48, captioned=True)
    opened = replace_reference(monkeypatch, dataset)
    seconds = step_times(("finetune", "zscl"), "tiny", world.store)
    assert seconds.keys() == {"finetune", "zscl"}
    assert min(seconds.values()) > 0
    assert len(opened) == 1


def test_the_pictures_made_are_the_same_every_time(tmp_path):
    for folder in ("a", "b"):
        make_jpegs(tmp_path / folder, 3)
    files = [sorted(path for path in (tmp_path / folder).rglob("*.jpg")) for folder in ("a", "b")]
    assert len(files[0]) == 5
    assert [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]]
