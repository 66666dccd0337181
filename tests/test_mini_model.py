"""The committed mini text-to-image model: small, whole, and recognisable."""

import json

import numpy as np
import pytest

from vlcl_bench.synthesis import generator as generator_module
from vlcl_bench.synthesis.generator import MINI, MINI_FOLDER, Recipe


def test_it_is_small_enough_to_be_committed_and_says_what_it_is():
    files = [path for path in MINI_FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 12 * 2**20
    index = json.loads((MINI_FOLDER / "model_index.json").read_text())
    assert index["_class_name"] == "MiniTextToImagePipeline"
    assert index["text_backbone"] == "vlcl-mini/v1"
    assert Recipe(MINI, 10).identity().startswith("vlcl-mini-diffusion/v1 ")
    assert generator_module.MINI_FOLDER == MINI_FOLDER


@pytest.mark.slow
def test_the_mini_clip_recognises_most_of_its_pictures_among_twenty_names():
    import torch

    from vlcl_bench.synthesis.generator import Generator
    from vlcl_bench.synthesis.mini_check import candidates, clip_scores, picked
    from vlcl_bench.synthesis.mini_names import names
    from vlcl_bench.synthesis.prompts import BASE_TEMPLATE, Ordered

    orders = [Ordered(BASE_TEMPLATE.replace("{c}", name), 77_000 + k) for k, name in enumerate(names())]
    made = np.stack(Generator(Recipe(MINI, 10), torch.device("cpu")).make(orders))
    rows = candidates(names(), np.random.default_rng(5))
    assert picked(clip_scores(made), names(), rows).mean() >= 0.6
