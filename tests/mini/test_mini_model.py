"""The committed mini text-to-image model: small, whole, and recognisable."""

import hashlib
import inspect
import json

import numpy as np
import pytest
import torch

from vlcl_bench.data.world import world_of
from vlcl_bench.mini.diffusion.pipeline import MiniTextToImagePipeline
from vlcl_bench.mini.world import FOLDER, GENERATOR
from vlcl_bench.protocols.load import load_protocol
from vlcl_bench.synthesis.generator import AT_ONCE, FULL_STEPS, Generator, Recipe, shipped_pipelines
from vlcl_bench.synthesis.loan import Synthesis
from vlcl_bench.synthesis.prompts import Ordered, base_prompts


def test_it_is_small_enough_to_be_committed_and_says_what_it_is():
    files = [path for path in (FOLDER / "diffusion" / "model").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 12 * 2**20
    index = json.loads(((FOLDER / "diffusion" / "model") / "model_index.json").read_text())
    assert index["_class_name"] == "MiniTextToImagePipeline"
    assert index["text_backbone"] == "vlcl-mini/v1"
    assert Recipe(GENERATOR, 10).identity().startswith("vlcl-mini-diffusion/v1 ")
    assert shipped_pipelines() == {GENERATOR: FOLDER / "diffusion" / "model"}


# What decides a run's pictures without being in a hash. Changing any of it needs a new name of the model (GENERATOR) or
# a new version of the protocols: else old and new pictures share a key in the store, and old and new runs a hash.


def test_the_prompts_that_are_drawn_from_stay():
    digest = hashlib.sha256("\n".join(base_prompts(world_of("mini").prompt_names())).encode()).hexdigest()
    assert digest == "9d17ad1eb28aa30b428877ebd4ee4603520719b4ecf1fade782838a606917ccc"


def test_the_orders_of_a_task_stay():
    known = load_protocol("mini-mtil-1").prompts_before(2)
    found = Synthesis(None, 32, world_of("mini").prompt_names).orders(150, known, task=2, run_seed=0)
    assert found[:3] == [
        Ordered("a photo of a butterfly.", 420_000_000),
        Ordered("a photo of a mountain landscape.", 420_000_001),
        Ordered("a photo of a 6 - six.", 420_000_002),
    ]
    digest = hashlib.sha256(repr([(one.prompt, one.seed) for one in found]).encode()).hexdigest()
    assert digest == "c4a7e567a19a3f0330cb8a006789552f74ddf52821e208c3ce77dc32aafa5e2c"


def test_guidance_batch_and_the_steps_of_another_scheduler_stay():
    settings = inspect.signature(MiniTextToImagePipeline.__call__).parameters
    assert (settings["guidance_scale"].default, AT_ONCE, FULL_STEPS) == (4.0, 8, 50)


def test_a_picture_of_it_stays_but_for_rounding():
    (found,) = Generator(Recipe(GENERATOR, 3), torch.device("cpu")).make([Ordered("a photo of a pizza.", 1)])
    quadrants = found.reshape(2, 16, 2, 16, 3).mean(axis=(1, 3))
    expected = [[[129.5, 113.9, 107.6], [143.6, 135.8, 116.2]], [[129.2, 117.8, 122.8], [141.3, 141.9, 140.7]]]
    np.testing.assert_allclose(quadrants, expected, atol=1.5)


@pytest.mark.slow
def test_the_mini_clip_recognises_most_of_its_pictures_among_twenty_names():
    from vlcl_bench.mini.diffusion.names import names
    from vlcl_bench.mini.diffusion.recognition import candidates, clip_scores, picked
    from vlcl_bench.synthesis.prompts import BASE_TEMPLATE

    orders = [Ordered(BASE_TEMPLATE.replace("{c}", name), 77_000 + k) for k, name in enumerate(names())]
    made = np.stack(Generator(Recipe(GENERATOR, 10), torch.device("cpu")).make(orders))
    rows = candidates(names(), np.random.default_rng(5))
    assert picked(clip_scores(made), names(), rows).mean() >= 0.6
