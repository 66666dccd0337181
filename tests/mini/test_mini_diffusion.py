"""The mini text-to-image pipeline with random weights, the names it is to know, and its training."""

import io
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from rich.console import Console
from rich.progress import Progress
from support.synthetic import save_mini

from vlcl_bench.errors import UsageError
from vlcl_bench.mini.diffusion import training
from vlcl_bench.mini.diffusion.names import names, names_by_category
from vlcl_bench.mini.diffusion.pipeline import FEATURES, FOLD, SIDE, MiniTextToImagePipeline, conditions, new_pipeline
from vlcl_bench.protocols.load import load_protocol
from vlcl_bench.synthesis.generator import Generator, Recipe
from vlcl_bench.synthesis.prompts import Ordered

CPU = torch.device("cpu")
PROMPTS = ("a photo of a cat.", "a photo of a boat.", "a photo of a kite.")


def chances(*seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A saved pipeline with random weights; not to be changed."""
    return save_mini(tmp_path_factory.mktemp("pipelines") / "mini")


@pytest.fixture(scope="module")
def pipeline(folder):
    """The same, loaded by diffusers' own way."""
    found = MiniTextToImagePipeline.from_pretrained(folder)
    found.set_progress_bar_config(disable=True)
    return found


def made(pipeline, prompts=PROMPTS[:1], seeds=(1,), **settings):
    given = {"num_inference_steps": 2, "output_type": "np"} | settings
    return pipeline(list(prompts), generator=chances(*seeds), **given).images


# The pipeline


def test_pictures_are_32_pixels_between_nothing_and_one(pipeline):
    found = made(pipeline, PROMPTS, (1, 2, 3))
    assert found.shape == (3, SIDE, SIDE, 3)
    assert (found.dtype, bool((found >= 0).all()), bool((found <= 1).all())) == (np.float32, True, True)
    assert all(picture.std() > 0.02 for picture in found)


def test_a_picture_depends_on_its_prompt_and_its_seed(pipeline):
    plain = made(pipeline)
    np.testing.assert_array_equal(made(pipeline), plain)
    assert not np.array_equal(made(pipeline, seeds=(2,)), plain)
    assert not np.array_equal(made(pipeline, PROMPTS[1:2]), plain)


def test_a_picture_does_not_depend_on_its_batch_but_for_rounding(pipeline):
    together = made(pipeline, PROMPTS, (1, 2, 3))
    for i, prompt in enumerate(PROMPTS):
        np.testing.assert_allclose(made(pipeline, [prompt], (i + 1,))[0], together[i], atol=1e-4)


def test_pictures_of_the_generator_do_not_depend_on_their_batch_at_all(folder):
    generator = Generator(Recipe(str(folder), steps=2), CPU)
    orders = [Ordered(prompt, seed) for seed in (5, 6, 7) for prompt in PROMPTS][:-1]
    together = generator.make(orders)
    apart = [*generator.make(orders[3:][::-1])[::-1], *generator.make(orders[1:3])]
    np.testing.assert_array_equal([*together[3:], *together[1:3]], apart)
    assert together[0].shape == (SIDE, SIDE, 3)


def test_one_prompt_and_pil_pictures_are_the_default(pipeline):
    found = pipeline("a photo of a cat.", num_inference_steps=2, generator=chances(1))
    assert found.images[0].size == (SIDE, SIDE)
    difference = np.asarray(found.images[0]) / 255 - made(pipeline)[0]
    assert np.abs(difference).max() <= 0.51 / 255


@pytest.mark.parametrize("asked", [{"height": 64, "width": 64}, {"width": 16}], ids=str)
def test_another_size_than_its_own_is_refused(pipeline, asked):
    with pytest.raises(UsageError, match=r"of 32 x 32 pixels, not of (64 x 64|32 x 16)\n"):
        made(pipeline, **asked)
    np.testing.assert_array_equal(made(pipeline, height=SIDE, width=SIDE), made(pipeline))


def test_another_size_asked_of_the_generator_is_refused_too(folder):
    with pytest.raises(UsageError, match="not of 64 x 64"):
        Generator(Recipe(str(folder), steps=1, size=64), CPU).make([Ordered(PROMPTS[0], 1)])


def test_guidance_moves_from_the_picture_without_text_past_the_one_with_text(pipeline):
    # One step of DDIM and the guidance itself are linear in what the network says.
    def step(guidance):
        seen = []
        original = pipeline.scheduler.step

        def watched(found, *rest, **more):
            seen.append(found.clone())
            return original(found, *rest, **more)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pipeline.scheduler, "step", watched)
            made(pipeline, guidance_scale=guidance, num_inference_steps=1)
        return seen[0]

    without, with_text = step(0.0), step(1.0)
    torch.testing.assert_close(step(3.0), without + 3 * (with_text - without), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(without, with_text, atol=1e-3)


def test_without_guidance_the_network_is_asked_once_a_picture(pipeline, monkeypatch):
    sizes, forward = [], pipeline.unet.forward
    monkeypatch.setattr(pipeline.unet, "forward", lambda x, *a, **k: sizes.append(len(x)) or forward(x, *a, **k))
    made(pipeline, PROMPTS, (1, 2, 3), guidance_scale=1.0)
    made(pipeline, PROMPTS, (1, 2, 3))
    assert sizes == [3, 3, 6, 6]


def test_no_text_is_a_condition_of_zeros(pipeline, monkeypatch):
    heard, forward = [], pipeline.unet.forward

    def watched(x, *arguments, **named):
        heard.append(named["class_labels"])
        return forward(x, *arguments, **named)

    monkeypatch.setattr(pipeline.unet, "forward", watched)
    made(pipeline, PROMPTS[:2], (1, 2), num_inference_steps=1)
    assert torch.equal(heard[0][2:], torch.zeros(2, FEATURES))
    lengths = heard[0][:2].norm(dim=1)
    torch.testing.assert_close(lengths, torch.full((2,), FEATURES**0.5), rtol=1e-5, atol=0)


def test_what_the_network_hears_are_the_mini_clips_own_text_features(pipeline):
    backbone = pipeline.backbone()
    with torch.no_grad():
        features = backbone.encode_text(backbone.tokenize(list(PROMPTS)))
    expected = features / features.norm(dim=1, keepdim=True) * math.sqrt(FEATURES)
    torch.testing.assert_close(conditions(backbone, PROMPTS), expected)
    assert not any(parameter.requires_grad for parameter in backbone.parameters())


@pytest.mark.parametrize(("steps", "scheduler"), [(50, "DDIMScheduler"), (10, "DPMSolverMultistepScheduler")])
def test_the_scheduler_is_ddim_or_dpm_solver_for_fewer_steps(folder, steps, scheduler):
    found = Generator(Recipe(str(folder), steps=steps), CPU).pipeline()
    assert type(found.scheduler).__name__ == scheduler
    assert (found.scheduler.config.prediction_type, found.scheduler.config.beta_schedule) == (
        "v_prediction", "squaredcos_cap_v2",
    )  # fmt: skip


def test_a_saved_pipeline_loads_as_it_was(folder, tmp_path):
    first = new_pipeline()
    first.save_pretrained(tmp_path / "saved")
    second = MiniTextToImagePipeline.from_pretrained(tmp_path / "saved")
    for (name, one), other in zip(first.unet.state_dict().items(), second.unet.state_dict().values(), strict=True):
        assert torch.equal(one, other), name
    assert second.config.text_backbone == "vlcl-mini/v1"


def test_the_borrowed_text_encoder_is_not_saved_with_it(folder):
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*.safetensors")}
    assert found == {"unet/diffusion_pytorch_model.safetensors"}


# The names


def test_there_are_three_hundred_names_in_four_categories_of_like_size():
    found = names_by_category()
    assert list(found) == ["nature", "food", "travel", "things"]
    assert sum(map(len, found.values())) == len(set(names())) == len(names()) == 300
    # Twenty candidates of one category must be there to choose from.
    assert all(len(own) >= 40 for own in found.values())


def test_no_training_picture_is_one_of_a_task():
    shown = {example.picture.id for example in training.examples()}
    assert {example.concept for example in training.examples()} == set(names())
    for name in ("mini-mtil-1", "mini-mtil-2", "mini-c2r", "mini-c2f", "mini-dev"):
        for manifest in load_protocol(name).manifests:
            for split in ("train", "test"):
                assert not shown & set(manifest.samples(split)), (name, manifest.dataset)


# The training


def quiet():
    return Progress(console=Console(file=io.StringIO()))


TINY = training.TrainSettings(steps=4, batch_size=3, warmup=2, save_every=2)


@pytest.fixture
def few(monkeypatch):
    """Training on nine pictures of three names, as random pixels."""
    by_name = {}
    for example in training.examples():
        by_name.setdefault(example.concept, []).append(example)
    chosen = tuple(example for own in list(by_name.values())[:3] for example in own[:3])
    pixels = np.random.default_rng(0).integers(0, 256, (len(chosen), SIDE, SIDE, 3), dtype=np.uint8)
    monkeypatch.setattr(training, "examples", lambda: chosen)
    monkeypatch.setattr(training, "pictures", lambda cache, progress: pixels)
    return chosen


def weights_of(folder):
    return (folder / "unet" / "diffusion_pytorch_model.safetensors").read_bytes()


@pytest.mark.slow
def test_training_that_was_stopped_goes_on_as_if_it_had_not_been(few, tmp_path, monkeypatch):
    training.train(tmp_path / "whole", tmp_path / "a", TINY, quiet())
    save, saved = training.save_state, []

    def stopped(*state):
        saved.append(save(*state))
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "save_state", stopped)
    with pytest.raises(KeyboardInterrupt):
        training.train(tmp_path / "broken", tmp_path / "b", TINY, quiet())
    assert not (tmp_path / "broken").exists()
    monkeypatch.setattr(training, "save_state", save)
    card = training.train(tmp_path / "broken", tmp_path / "b", TINY, quiet())
    assert weights_of(tmp_path / "broken") == weights_of(tmp_path / "whole")
    assert (card["steps"], card["pictures"], card["names"]) == (4, len(few), 3)


@pytest.mark.slow
def test_a_trained_pipeline_is_saved_in_half_precision_and_makes_pictures(few, tmp_path):
    from safetensors.torch import load_file

    training.train(tmp_path / "out", tmp_path / "work", replace(TINY, steps=2), quiet())
    saved = load_file(tmp_path / "out" / "unet" / "diffusion_pytorch_model.safetensors")
    assert {value.dtype for value in saved.values()} == {torch.float16}
    assert Generator(Recipe(str(tmp_path / "out"), steps=2), CPU).make([Ordered(PROMPTS[0], 1)])[0].any()


def test_other_settings_or_pictures_do_not_continue_what_was_begun(few, monkeypatch):
    keys = {training.work_key(settings) for settings in (TINY, replace(TINY, seed=1), replace(TINY, steps=5))}
    monkeypatch.setattr(training, "examples", lambda: few[:-1])
    assert len(keys | {training.work_key(TINY)}) == 4


def test_folding_keeps_every_pixel():
    pixels = torch.randint(0, 256, (2, SIDE, SIDE, 3), dtype=torch.uint8)
    folded = training.folded(pixels)
    assert folded.shape == (2, 3 * FOLD**2, SIDE // FOLD, SIDE // FOLD)
    assert (folded.min() >= -1, folded.max() <= 1) == (True, True)
    for channel, row, column in ((0, 0, 0), (1, 5, 8), (2, 31, 30)):
        place = channel * FOLD**2 + (row % FOLD) * FOLD + column % FOLD
        expected = pixels[:, row, column, channel] / 127.5 - 1
        torch.testing.assert_close(folded[:, place, row // FOLD, column // FOLD], expected)
    unfolded = torch.nn.functional.pixel_shuffle(folded, FOLD).permute(0, 2, 3, 1)
    torch.testing.assert_close(((unfolded + 1) * 127.5).round().to(torch.uint8), pixels)


def test_the_rate_warms_up_and_falls_to_nothing_in_each_cycle():
    settings = replace(TINY, steps=200, warmup=10, cycles=2)
    found = [training.rate_factor(step, settings) for step in range(200)]
    assert found[:100] == found[100:]
    assert found[:3] == [0.1, 0.2, pytest.approx(0.3)]
    assert found[9] == found[10] == 1.0
    assert found[55] == pytest.approx(0.5)
    assert found[99] == pytest.approx(0, abs=1e-3)
    assert found[9:100] == sorted(found[9:100], reverse=True)


def test_the_running_mean_follows_the_weights():
    mean, model = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    expected = [0.9 * a.detach() + 0.1 * b.detach() for a, b in zip(mean.parameters(), model.parameters(), strict=True)]
    training.follow(mean, model, 0.9)
    for found, value in zip(mean.parameters(), expected, strict=True):
        torch.testing.assert_close(found.detach(), value)
