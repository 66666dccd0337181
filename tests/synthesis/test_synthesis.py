"""Prompts, a whole Stable Diffusion of random weights, and what a run with a generator records."""

import json
import random
import shutil
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support.fakes import make_task
from support.harness import BATCH, STEPS, TASKS, Sabotage, enter, flip, method_file, vlcl
from support.playing import build
from support.synthetic import FakeGenerator, context, make_synthesis, play, save_mini, save_stable_diffusion

from vlcl_bench.cli.show import synthesis_line
from vlcl_bench.common.progress import Reporter
from vlcl_bench.data.world import world_of
from vlcl_bench.engine.prepare import Request, prepare
from vlcl_bench.engine.synthesis import plan_recipe
from vlcl_bench.errors import MachineError, MethodError, UsageError
from vlcl_bench.protocols.load import load_protocol
from vlcl_bench.records.schema import Record
from vlcl_bench.synthesis import generator as generator_module
from vlcl_bench.synthesis.generator import AT_ONCE, Generator, Recipe, folder_digest
from vlcl_bench.synthesis.prompts import Ordered, base_prompts, draw_orders, picture_seed
from vlcl_bench.synthesis.store import REFILL, SyntheticStore

CPU = torch.device("cpu")


def chance(seed=0):
    return torch.Generator().manual_seed(seed)


# Prompts


def test_the_base_on_the_full_protocols_is_imagenets_thousand_names():
    found = base_prompts(world_of("full").prompt_names())
    assert (len(found), len(set(found))) == (1000, 998)
    assert (found[0], found[-1]) == ("a photo of a tench.", "a photo of a toilet paper.")
    assert all(text.startswith("a photo of a ") and text.endswith(".") for text in found)


def test_the_base_on_the_mini_protocols_is_three_hundred_names():
    found = base_prompts(world_of("mini").prompt_names())
    assert len(found) == len(set(found)) == 300
    assert all(text.startswith("a photo of a ") and text.endswith(".") for text in found)


@pytest.mark.parametrize("name", ["mini-mtil-1", "mini-mtil-2"])
def test_a_task_has_the_prompts_of_the_data_sets_before_it(name):
    protocol = load_protocol(name)
    expected = []
    for task, dataset in enumerate(protocol.datasets, start=1):
        assert protocol.prompts_before(task) == tuple(expected)
        expected += [dataset.templates[0].replace("{c}", name) for name in dataset.class_names]
    assert not any("{c}" in text for text in expected)


def test_a_class_incremental_task_has_the_prompts_of_the_classes_before_it():
    protocol = load_protocol("mini-c2r")
    assert protocol.prompts_before(1) == ()
    for task, (before, after) in enumerate(zip(protocol.tasks, protocol.tasks[1:], strict=False), start=1):
        dataset = protocol.datasets[before.dataset]
        known = protocol.prompts_before(task)
        assert protocol.prompts_before(task + 1)[: len(known)] == known
        new = protocol.prompts_before(task + 1)[len(known) :]
        assert new == tuple(dataset.templates[0].replace("{c}", dataset.class_names[i]) for i in before.classes)
        assert after is not before
    whole = protocol.prompts_before(len(protocol.tasks) + 1)
    assert len(whole) == sum(len(dataset.class_names) for dataset in protocol.datasets)


def test_captioned_tasks_leave_no_prompts():
    protocol = load_protocol("mini-c2f")
    assert [protocol.prompts_before(task) for task in range(1, len(protocol.tasks) + 2)] == [()] * (
        len(protocol.tasks) + 1
    )


def test_the_prompts_before_a_task_are_the_training_prompts_of_the_tasks_before_it():
    # Through the engine's own training views, which are made another way.
    from vlcl_bench.engine.stages import Stages

    for name in ("mini-mtil-1", "mini-c2r"):
        protocol = load_protocol(name)
        stored = [SimpleNamespace(train=np.empty((len(m.labels("train")), 1))) for m in protocol.manifests]
        views = SimpleNamespace(protocol=protocol, stored=stored)
        seen = [Stages.task(views, stage).prompts for stage in range(1, len(protocol.tasks) + 1)]
        for task in range(2, len(seen) + 1):
            assert set(protocol.prompts_before(task)) == {text for prompts in seen[: task - 1] for text in prompts}


@pytest.mark.parametrize("task", [1, 2, 3])
def test_a_method_draws_from_the_base_and_from_the_tasks_before(task):
    generator = FakeGenerator()
    ctx = context(build("gift"), make_synthesis(generator=generator), task)
    found = set(ctx.synthesise(make_task(task), 4000).prompts)
    base, own = (
        set(base_prompts(world_of("mini").prompt_names())),
        {text for i in range(1, task) for text in make_task(i).prompts},
    )
    assert found - base == own - base
    assert len(found & base) > 290


def test_without_task_prompts_only_the_base_is_drawn_from():
    ctx = context(build("gift"), make_synthesis(), 3)
    assert set(ctx.synthesise(make_task(3), 500, task_prompts=False).prompts) <= set(
        base_prompts(world_of("mini").prompt_names())
    )


def test_prompts_are_drawn_uniformly_with_replacement():
    pool = [str(number) for number in range(50)]
    counts = Counter(one.prompt for one in draw_orders(pool, 20_000, 1, 0, chance()))
    assert len(counts) == 50
    # A chi-squared of 49 degrees of freedom: mean 49, standard deviation 9.9.
    assert sum((counts[text] - 400) ** 2 / 400 for text in pool) < 100
    few = draw_orders(pool, 50, 1, 0, chance())
    assert len({one.prompt for one in few}) < 50


def test_equal_prompts_of_the_pool_are_drawn_more_often():
    counts = Counter(one.prompt for one in draw_orders(["a", "a", "b"], 6000, 1, 0, chance()))
    assert counts["a"] / counts["b"] == pytest.approx(2, rel=0.15)


def test_the_seeds_of_run_seed_0_are_the_published_ones():
    # GIFT's released code: j + 100000 (t - 2) + 10^7 * 42, pictures from 0, tasks from 1.
    assert [picture_seed(task, 0, 0) for task in (1, 2, 3, 11)] == [419_900_000, 420_000_000, 420_100_000, 420_900_000]
    assert [one.seed for one in draw_orders(["a"], 3, 2, 0, chance())] == [420_000_000, 420_000_001, 420_000_002]
    assert picture_seed(2, 7, 5) == 470_000_007


def test_no_two_pictures_of_a_stream_have_one_seed():
    seeds = [picture_seed(task, number, run) for task in range(1, 12) for number in (0, 999, 9999) for run in range(3)]
    assert len(set(seeds)) == len(seeds)


def test_a_set_follows_from_seed_and_task():
    def drawn(task, seed):
        ctx = context(build("gift"), make_synthesis(), 1, seed)
        return ctx.synthesise(make_task(task), 30).prompts

    assert drawn(1, 0) == drawn(1, 0)
    assert len({drawn(1, 0), drawn(2, 0), drawn(1, 1)}) == 3


def test_a_smaller_set_is_the_beginning_of_a_larger_one():
    # So that ablations of the number of pictures share them.
    def drawn(count):
        return context(build("gift"), make_synthesis()).synthesise(make_task(1), count)

    small, large = drawn(10), drawn(25)
    assert small.prompts == large.prompts[:10]
    np.testing.assert_array_equal(small.images, large.images[:10])


def test_a_method_that_declares_no_generator_is_lent_none():
    with pytest.raises(MethodError, match="declares no generator") as refused:
        context(build("finetune"), None).synthesise(make_task(1), 5)
    assert 'reference = ("generator",)' in refused.value.hint


def test_pictures_of_another_size_are_put_under_the_test_transform():
    ctx = context(build("gift"), make_synthesis(generator=FakeGenerator(side=9)))
    assert ctx.synthesise(make_task(1), 3).images.shape == (3, 4, 4, 3)


# A whole Stable Diffusion


@pytest.fixture(scope="module")
def diffusion(tmp_path_factory):
    """The folder of a tiny Stable Diffusion as ``save_pretrained`` leaves it; not to be changed."""
    return save_stable_diffusion(tmp_path_factory.mktemp("pipelines") / "tiny")


@pytest.fixture
def own_diffusion(diffusion, tmp_path):
    """A copy to be changed."""
    return shutil.copytree(diffusion, tmp_path / "tiny")


@pytest.fixture(scope="module")
def loaded(diffusion):
    """The pipeline loaded for three steps."""
    return Generator(Recipe(str(diffusion), steps=3), CPU)


def orders_of(count, prompt="a photo of a cat."):
    return [Ordered(prompt, number) for number in range(count)]


def test_pictures_of_a_stable_diffusion_depend_on_prompt_and_seed(loaded):
    first, second = Ordered("a photo of a cat.", 1), Ordered("a photo of a cat.", 2)
    other = Ordered("two red boats, seen from far.", 1)
    a, b, c, again = loaded.make([first, second, other, first])
    assert {picture.shape for picture in (a, b, c)} == {(16, 16, 3)}
    assert a.dtype == np.uint8
    assert a.std() > 5
    np.testing.assert_array_equal(a, again)
    assert not np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_a_picture_does_not_depend_on_the_others(loaded):
    orders = [Ordered(f"a photo of number {n}.", n) for n in range(AT_ONCE + 3)]
    together = loaded.make(orders)
    backwards = loaded.make(orders[::-1])[::-1]
    alone = [loaded.make([one])[0] for one in orders[-2:]]
    np.testing.assert_array_equal(together, backwards)
    np.testing.assert_array_equal(together[-2:], alone)


def test_the_pictures_are_those_of_diffusers_own_call(diffusion, loaded):
    from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(diffusion)
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    for one in orders_of(2):
        image = pipeline(one.prompt, num_inference_steps=3, generator=chance(one.seed)).images[0]
        difference = np.asarray(image).astype(int) - loaded.make([one])[0]
        assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("steps", [50, 60])
def test_from_fifty_steps_on_the_pipelines_own_scheduler_stays(diffusion, steps):
    pipeline = Generator(Recipe(str(diffusion), steps=steps), CPU).pipeline()
    assert type(pipeline.scheduler).__name__ == "PNDMScheduler"


@pytest.mark.parametrize("steps", [1, 10, 49])
def test_with_fewer_steps_the_scheduler_is_dpm_solver(diffusion, steps):
    pipeline = Generator(Recipe(str(diffusion), steps=steps), CPU).pipeline()
    assert type(pipeline.scheduler).__name__ == "DPMSolverMultistepScheduler"
    own = Generator(Recipe(str(diffusion)), CPU).pipeline().scheduler.config
    assert (pipeline.scheduler.config.beta_start, pipeline.scheduler.config.steps_offset) == (own.beta_start, 1)


@pytest.mark.parametrize("name", ["LCMScheduler", "FlowMatchEulerDiscreteScheduler"])
def test_a_scheduler_that_dpm_solver_cannot_replace_stays(own_diffusion, name):
    import diffusers

    getattr(diffusers, name)().save_pretrained(own_diffusion / "scheduler")
    index = own_diffusion / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"scheduler": ["diffusers", name]}))
    pipeline = Generator(Recipe(str(own_diffusion), steps=4), CPU).pipeline()
    assert type(pipeline.scheduler).__name__ == name


def test_so_many_steps_are_taken_as_asked_for(diffusion, monkeypatch):
    generator, seen = Generator(Recipe(str(diffusion), steps=7), CPU), []
    unet = generator.pipeline().unet
    forward = unet.forward
    monkeypatch.setattr(unet, "forward", lambda *a, **k: seen.append(1) or forward(*a, **k))
    generator.make(orders_of(1))
    assert len(seen) == 7


def test_on_a_cpu_everything_is_in_single_precision_and_not_training(loaded):
    pipeline = loaded.pipeline()
    parts = (pipeline.unet, pipeline.vae, pipeline.text_encoder)
    assert {parameter.dtype for part in parts for parameter in part.parameters()} == {torch.float32}
    assert not any(part.training for part in parts)


def test_weights_saved_in_half_precision_are_used_in_single(diffusion, tmp_path):
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(diffusion).to(torch.float16)
    pipeline.save_pretrained(tmp_path / "half")
    generator = Generator(Recipe(str(tmp_path / "half"), steps=2), CPU)
    assert generator.pipeline().unet.dtype == torch.float32
    assert generator.make(orders_of(1))[0].any()


@pytest.mark.parametrize("change", [{"steps": 2}, {"guidance": 1.5}, {"size": 32}, {"guidance": 0.0}], ids=str)
def test_steps_guidance_and_size_change_picture_and_identity(diffusion, loaded, change):
    other = Generator(Recipe(**{"pipeline": str(diffusion), "steps": 3} | change), CPU)
    assert other.identity != loaded.identity
    one, two = loaded.make(orders_of(1))[0], other.make(orders_of(1))[0]
    assert two.shape[0] == change.get("size", 16)
    assert not np.array_equal(one, two)


def test_a_safety_checkers_blank_pictures_are_made_again(diffusion, tmp_path):
    class Checker:
        """Blackens the first picture of each seed below the refills', as the real one does."""

        def __call__(self, images, clip_input):
            assert len(clip_input) == len(images)
            found = [self.refuses(image) for image in images]
            for image, bad in zip(images, found, strict=True):
                if bad:
                    image.zero_() if torch.is_tensor(image) else image.fill(0)
            return images, found

        def refuses(self, image):
            return float(image.mean()) > self.limit

    generator = Generator(Recipe(str(diffusion), steps=2), CPU)
    pipeline, checker = generator.pipeline(), Checker()
    checker.limit, means = np.inf, []
    pipeline.safety_checker = checker
    pipeline.feature_extractor = lambda pictures, return_tensors: SimpleNamespace(
        to=lambda device: SimpleNamespace(pixel_values=torch.zeros(len(pictures), 3, 4, 4))
    )
    checker.refuses = lambda image: means.append(float(image.mean())) or False
    generator.make(orders_of(8))
    del checker.refuses
    checker.limit = sorted(means)[5]
    assert sum(not picture.any() for picture in generator.make(orders_of(8))) == 2
    store = SyntheticStore(tmp_path, generator)
    made = store.fill(orders_of(8), 4)
    assert made.blank >= 2
    assert all(store.read(one).any() for one in orders_of(8))


def test_what_diffusers_own_safety_checker_blackens_is_made_again(diffusion, tmp_path):
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessor

    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision = size | {"image_size": 16, "patch_size": 4}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        checker = StableDiffusionSafetyChecker(CLIPConfig(vision_config=vision, projection_dim=16)).eval()
    seen = []
    checker.visual_projection.register_forward_hook(lambda module, given, found: seen.append(found.clone()))
    generator = Generator(Recipe(str(diffusion), steps=1), CPU)
    pipeline = generator.pipeline()
    pipeline.safety_checker = checker
    pipeline.feature_extractor = CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    assert all(picture.any() for picture in generator.make(orders_of(8)))
    # The one picture that is more like the forbidden concept than all others are.
    alike = torch.nn.functional.cosine_similarity(seen[0], seen[0][3:4])
    checker.concept_embeds.data[0] = seen[0][3]
    checker.concept_embeds_weights.data[0] = (1 + alike.sort().values[-2]) / 2
    store = SyntheticStore(tmp_path, generator)
    made = store.fill(orders_of(8), 8)
    attempts = [store.recipe(one)["attempt"] for one in orders_of(8)]
    assert made.blank == attempts[3] >= 1
    assert sum(attempts) == attempts[3]
    moved = Ordered(orders_of(8)[3].prompt, 3 + attempts[3] * REFILL)
    np.testing.assert_array_equal(store.read(orders_of(8)[3]), generator.make([moved])[0])


FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.00 GiB.\nGPU 0 has")


@pytest.mark.parametrize(
    ("error", "hint"),
    [(FULL, "The memory is full. Try another --device"), (RuntimeError("wrong shape"), "8 at once? Fewer would be")],
    ids=["memory", "other"],
)
def test_what_a_pipeline_raises_is_a_machine_error(diffusion, monkeypatch, error, hint):
    def fails(*given, **named):
        raise error

    generator, reason = Generator(Recipe(str(diffusion), steps=1), CPU), str(error).partition("\n")[0]
    generator._pipeline = fails
    with pytest.raises(MachineError, match=f"made no pictures: {reason}\n") as refused:
        generator.make(orders_of(1))
    assert hint in refused.value.hint
    assert "smaller pipeline" in refused.value.hint
    generator._pipeline = None
    monkeypatch.setattr("diffusers.DiffusionPipeline.to", fails)
    with pytest.raises(MachineError, match=f"does not load: {reason}\n"):
        generator.make(orders_of(1))


def test_the_libraries_tell_errors_only_while_pictures_are_made(diffusion):
    import logging

    import diffusers
    import transformers

    def levels():
        return diffusers.utils.logging.get_verbosity(), transformers.utils.logging.get_verbosity()

    def pipeline(**named):
        seen.append(levels())
        return SimpleNamespace(images=np.ones((AT_ONCE, 2, 2, 3)))

    generator, before, seen = Generator(Recipe(str(diffusion)), CPU), levels(), []
    generator._pipeline = pipeline
    generator.make(orders_of(1))
    assert seen == [(logging.ERROR, logging.ERROR)]
    assert levels() == before


def test_pictures_in_half_precision_are_others_in_the_store_but_not_to_a_run(diffusion, tmp_path):
    recipe = Recipe(str(diffusion), 10)
    plain, half = (Generator(recipe, torch.device(name)) for name in ("cpu", "cuda"))
    assert plain.identity == recipe.identity()
    assert half.identity == recipe.identity() + ", half precision"
    paths = {SyntheticStore(tmp_path, generator).path(orders_of(1)[0]) for generator in (plain, half)}
    assert len(paths) == 2


def test_only_the_memory_of_a_gpu_is_given_back(diffusion):
    for name, kept in (("cpu", True), ("cuda", False)):
        generator = Generator(Recipe(str(diffusion)), torch.device(name))
        generator._pipeline = object()
        generator.release()
        assert (generator._pipeline is not None) == kept


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_pictures_are_made_in_half_precision(diffusion):
    generator = Generator(Recipe(str(diffusion), steps=3), torch.device("cuda"))
    pipeline = generator.pipeline()
    assert (pipeline.unet.dtype, pipeline.unet.device.type, pipeline.vae.use_slicing) == (torch.float16, "cuda", True)
    made = generator.make(orders_of(3))
    assert all(picture.std() > 5 for picture in made)
    generator.release()
    np.testing.assert_array_equal(generator.make(orders_of(3)), made)


def test_making_pictures_leaves_the_global_generators_alone(diffusion):
    def states():
        return random.getstate(), np.random.get_state()[1].tolist(), torch.random.get_rng_state().tolist()

    before = states()
    Generator(Recipe(str(diffusion), steps=1), CPU).make(orders_of(1))
    assert states() == before


def test_where_a_pipeline_lies_is_not_in_its_identity(diffusion, tmp_path):
    shutil.copytree(diffusion, tmp_path / "elsewhere")
    moved = Recipe(str(tmp_path / "elsewhere"))
    assert moved.identity() == Recipe(str(diffusion)).identity()
    assert moved.name == "folder"
    assert Recipe(world_of("mini").generator).name == world_of("mini").generator


def test_a_generator_loads_nothing_before_its_first_picture(diffusion, monkeypatch):
    monkeypatch.setattr(generator_module, "load_pipeline", lambda *given: pytest.fail("loaded"))
    assert Generator(Recipe(str(diffusion)), CPU).identity.startswith("folder ")


def test_a_pipeline_says_nothing_while_it_loads(diffusion, capfd):
    Generator(Recipe(str(diffusion), steps=1), CPU).make(orders_of(1))
    said = capfd.readouterr()
    assert "%" not in said.err + said.out
    assert "Warning" not in said.err


# What identifies a pipeline


def weight_files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.safetensors"))


def test_the_identity_names_the_pipeline_its_files_and_the_settings(diffusion):
    digest = folder_digest(diffusion)[:16]
    assert Recipe(str(diffusion)).identity() == f"folder {digest}, 50 steps"
    assert Recipe(str(diffusion), 10, 7.5, 64).identity() == f"folder {digest}, 10 steps, guidance 7.5, 64 pixels"


def test_every_weight_file_and_setting_is_part_of_the_identity(diffusion, own_diffusion):
    assert weight_files(diffusion) == [
        "text_encoder/model.safetensors",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
    ]
    names = [*weight_files(diffusion), "scheduler/scheduler_config.json", "tokenizer/tokenizer.json"]
    found = {folder_digest(diffusion), folder_digest(own_diffusion)}
    assert len(found) == 1
    for name in names:
        whole = (own_diffusion / name).read_bytes()
        flip(own_diffusion / name)
        found.add(folder_digest(own_diffusion))
        (own_diffusion / name).write_bytes(whole)
    assert len(found) == 1 + len(names)


def test_notes_beside_the_pipeline_change_nothing(diffusion, own_diffusion):
    (own_diffusion / "README.md").write_text("mine")
    assert folder_digest(own_diffusion) == folder_digest(diffusion)


def test_files_that_are_not_read_change_nothing(diffusion, own_diffusion):
    for name in (
        "unet/diffusion_pytorch_model.fp16.safetensors", "unet/diffusion_pytorch_model.non_ema.safetensors",
        "unet/diffusion_pytorch_model.bin", "text_encoder/pytorch_model.bin", "v1-5-pruned.safetensors",
    ):  # fmt: skip
        (own_diffusion / name).write_bytes(b"unused")
    assert folder_digest(own_diffusion) == folder_digest(diffusion)
    assert generator_module.weight_bytes(own_diffusion) == generator_module.weight_bytes(diffusion)
    (own_diffusion / "vae" / "diffusion_pytorch_model.safetensors").rename(own_diffusion / "vae" / "pytorch_model.bin")
    assert folder_digest(own_diffusion) != folder_digest(diffusion)
    assert generator_module.weight_bytes(own_diffusion) == generator_module.weight_bytes(diffusion)


def test_the_words_of_sentencepiece_are_part_of_the_identity(diffusion, own_diffusion):
    (own_diffusion / "tokenizer" / "spiece.model").write_bytes(b"words")
    assert folder_digest(own_diffusion) != folder_digest(diffusion)
    assert generator_module.weight_bytes(own_diffusion) == generator_module.weight_bytes(diffusion)


def test_a_folder_may_be_named_from_home(diffusion, monkeypatch):
    monkeypatch.setenv("HOME", str(diffusion.parent))
    recipe = Recipe(f"~/{diffusion.name}")
    assert (recipe.identity(), recipe.name) == (Recipe(str(diffusion)).identity(), "folder")


@pytest.fixture
def hub(diffusion, monkeypatch):
    """A hub whose every pipeline is the tiny one; what it is asked for."""
    asked = []

    def snapshot_download(name, revision, **settings):
        asked.append((name, revision, settings))
        return str(diffusion)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    generator_module.downloaded.cache_clear()
    yield asked
    generator_module.downloaded.cache_clear()


def test_a_pipeline_of_the_hub_may_be_given_with_its_revision(diffusion, hub):
    recipe, digest = Recipe("some/pipeline@v2", 10), folder_digest(diffusion)[:16]
    assert recipe.identity() == recipe.identity() == f"some/pipeline@v2 {digest}, 10 steps"
    assert recipe.name == "some/pipeline@v2"
    assert Recipe("some/pipeline").folder() == diffusion
    # Asked once for each.
    assert [one[:2] for one in hub] == [("some/pipeline", "v2"), ("some/pipeline", None)]
    assert "*.model" in hub[0][2]["allow_patterns"]


def test_the_mini_pipelines_identity_has_the_text_encoder_that_it_borrows(tmp_path, monkeypatch):
    folder = save_mini(tmp_path / "mini")
    before = folder_digest(folder)
    (tmp_path / "others").write_bytes(b"other weights")
    monkeypatch.setattr("vlcl_bench.mini.clip.load.CHECKPOINT", tmp_path / "others")
    assert folder_digest(folder) != before


def test_weights_are_read_once_for_many_plans(own_diffusion, monkeypatch):
    Recipe(str(own_diffusion)).identity()
    monkeypatch.setattr(generator_module, "sha256_file", lambda path: pytest.fail(f"read {path}"))
    Recipe(str(own_diffusion), 10).identity()


# Pipelines that could not be obtained


@pytest.mark.parametrize("name", ["/no/such/folder", "no/such-pipeline", "nonsense", "~nobody-at-all/x"])
def test_a_pipeline_that_is_nowhere_is_a_machine_error_with_a_way_out(name, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(MachineError, match=f"{name!r} is no folder and could not be obtained") as refused:
        Recipe(name).identity()
    assert "--set generator=FOLDER" in refused.value.hint


def test_a_web_client_that_fails_is_a_machine_error_too(hub, monkeypatch):
    def fails(name, **settings):
        raise type("ConnectError", (Exception,), {"__module__": "httpx._exceptions"})("no route")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fails)
    with pytest.raises(MachineError, match="'some/pipeline' is no folder and could not be obtained"):
        Recipe("some/pipeline").identity()


def test_a_folder_without_a_pipeline_is_refused(tmp_path):
    with pytest.raises(UsageError, match="holds no pipeline"):
        Recipe(str(tmp_path)).identity()


def test_an_installation_without_the_mini_pipeline_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(type(world_of("mini")), "pipelines", lambda world: {world.generator: tmp_path / "none"})
    with pytest.raises(MachineError, match="not in this installation") as refused:
        Recipe(world_of("mini").generator).identity()
    assert "generator=FOLDER" in refused.value.hint


@pytest.mark.parametrize("name", ["unet/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_copy_is_a_machine_error(own_diffusion, name, damage):
    path = own_diffusion / name
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:200])
    else:
        path.unlink()
    generator = Generator(Recipe(str(own_diffusion), steps=1), CPU)
    with pytest.raises(MachineError, match="does not load"):
        generator.make(orders_of(1))


def test_the_default_pipeline_is_stable_diffusion_on_the_full_protocols_and_our_own_on_the_mini_ones():
    def card(reference, **settings):
        return SimpleNamespace(reference=reference, settings=build("gift", **settings).config.model_dump())

    full, mini = (SimpleNamespace(world=world_of(scale)) for scale in ("full", "mini"))
    stable_diffusion = "stable-diffusion-v1-5/stable-diffusion-v1-5"
    assert plan_recipe(full, card(["generator"])) == Recipe(stable_diffusion, 50, None, None)
    assert plan_recipe(mini, card(["generator"])).pipeline == "vlcl-mini-diffusion/v1"
    assert plan_recipe(full, card(["pictures"])) is None
    own = card(["pictures", "generator"], generator="mine", denoising_steps=9, guidance=2.0)
    assert plan_recipe(full, own) == Recipe("mine", 9, 2.0, None)


# Runs


SETTINGS = ("--set", "denoising_steps=2", "--set", "pictures=6")


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    """The folder of a mini pipeline with random weights."""
    return save_mini(tmp_path_factory.mktemp("pipelines") / "mini")


@pytest.fixture(scope="module")
def played(shared_world, mini, tmp_path_factory):
    """A run of GIFT on the tiny protocol; not to be changed."""
    folder = tmp_path_factory.mktemp("played") / "run"
    with pytest.MonkeyPatch.context() as monkeypatch:
        enter(shared_world, monkeypatch)
        ended = vlcl(*line(mini), "--out", folder)
    assert ended.code == 0, ended.err
    return folder


def line(pipeline, method="gift"):
    return ("run", "--protocol", "tiny", "--method", method, *SETTINGS, "--set", f"generator={pipeline}")


def record_of(folder):
    return json.loads((folder / "run.json").read_text())


def test_a_run_counts_synthetic_and_generated_pictures(played):
    usage = record_of(played)["usage"]
    assert usage["task_pictures"] == len(TASKS) * STEPS * BATCH
    assert usage["synthetic_pictures"] == len(TASKS) * STEPS * 6  # there are fewer than a batch
    assert usage["generated_pictures"] == len(TASKS) * 6
    assert usage["made_pictures"] == len(TASKS) * 6
    assert (usage["blank_pictures"], usage["reference_pictures"], usage["replayed_samples"]) == (0, 0, 0)
    assert record_of(played)["track"] == "standard"


def test_what_is_shown_tells_made_from_found(played):
    facts = record_of(played)
    for made, expected in (
        (12, "12 synthetic pictures (12 made here in 5 s), 0 blank ones made again"),
        (3, "12 synthetic pictures (3 made here in 5 s, the others were in the store), 0 blank ones made again"),
        (None, "12 synthetic pictures in 5 s, 0 blank ones made again"),
    ):
        facts["usage"]["made_pictures"], facts["cost"]["seconds_synthesise"] = made, [2.0, 3.0]
        assert synthesis_line(Record.model_validate(facts)) == expected
    shown = " ".join(vlcl("show", played).out.split())
    assert "12 synthetic pictures (12 made here in" in shown


def test_records_from_before_some_fields_are_read(played):
    facts = record_of(played)
    assert facts["provenance"]["diffusers"] == version("diffusers")
    del facts["usage"]["made_pictures"], facts["provenance"]["diffusers"], facts["provenance"]["transformers"]
    record = Record.model_validate(facts)
    assert (record.usage.made_pictures, record.provenance.diffusers) == (None, "")


def test_a_run_tells_the_time_of_synthesis_apart(played):
    cost = record_of(played)["cost"]
    assert len(cost["seconds_synthesise"]) == len(cost["seconds_learn"]) == len(TASKS)
    assert all(seconds > 0 for seconds in cost["seconds_synthesise"] + cost["seconds_learn"])
    parts = [cost[f"seconds_{part}"] for part in ("learn", "synthesise", "evaluate")]
    assert sum(map(sum, parts)) + cost["seconds_prepare"] + cost["seconds_other"] == pytest.approx(
        cost["seconds_total"], abs=0.02
    )


def test_the_generator_counts_as_kept_between_tasks(played, mini):
    from vlcl_bench.mini.clip.load import CHECKPOINT

    expected = sum(path.stat().st_size for path in (*mini.rglob("*.safetensors"), CHECKPOINT))
    assert record_of(played)["weight"]["bytes_between_tasks"] == expected


def test_the_pipeline_is_part_of_a_runs_identity(played, mini):
    record = record_of(played)
    assert record["identity"]["auxiliary"] == {"generator": Recipe(str(mini), 2).identity()}
    assert str(mini) not in json.dumps(record)  # nobody's folders


def test_pictures_made_in_shares_beforehand_are_those_that_the_run_asks_for(world, mini, tmp_path, monkeypatch):
    monkeypatch.setenv("VLCL_STORE", str(tmp_path / "store"))
    command = ("synthesise", "--protocol", "tiny", "--method", "gift", "--set", f"generator={mini}",
               "--set", "pictures=4", "--set", "denoising_steps=2", "--seed", 3, "--json")  # fmt: skip
    torch.use_deterministic_algorithms(False)
    first, second = (vlcl(*command, "--share", f"{k}/2").json for k in (1, 2))
    assert torch.are_deterministic_algorithms_enabled()  # as in a run
    assert first["made"] + second["made"] == 4 * len(TASKS)
    assert (first["found"], second["found"]) == (0, 0)
    again = vlcl(*command).json
    assert (again["made"], again["found"]) == (0, 4 * len(TASKS))
    monkeypatch.setattr("vlcl_bench.synthesis.generator.load_pipeline", lambda *given: pytest.fail("loaded"))
    ended = vlcl("run", *command[1:-1], "--out", tmp_path / "run", "--json")
    assert ended.code == 0, ended.err
    usage = record_of(tmp_path / "run")["usage"]
    assert (usage["generated_pictures"], usage["made_pictures"]) == (4 * len(TASKS), 0)


@pytest.mark.parametrize("share", ["2", "0/2", "3/2", "a/b", "1/0", "/"])
def test_a_share_that_makes_no_sense_is_refused(share, world):
    ended = vlcl("synthesise", "--protocol", "tiny", "--method", "gift", "--share", share)
    assert ended.code == 2
    assert "K/N" in ended.err


def test_a_method_without_a_generator_has_nothing_to_make(world):
    ended = vlcl("synthesise", "--protocol", "tiny", "--method", "finetune")
    assert ended.code == 2
    assert "declares no generator" in ended.err


def test_a_run_of_another_method_has_no_synthesis(unbroken):
    record = record_of(unbroken)
    assert record["cost"]["seconds_synthesise"] == []
    assert (record["usage"]["generated_pictures"], record["identity"]["auxiliary"]) == (0, {})


def hash_of(pipeline, **settings):
    asked = {"denoising_steps": 2, "pictures": 6, "generator": str(pipeline)} | settings
    return prepare(Request("tiny", "gift", asked), Reporter()).identity.run_hash


def test_a_runs_hash_changes_with_the_pipelines_weights(world, mini, tmp_path):
    own = shutil.copytree(mini, tmp_path / "mini")
    before = hash_of(own)
    assert hash_of(own) == before
    assert hash_of(own, denoising_steps=3) != before
    flip(own / "unet" / "diffusion_pytorch_model.safetensors")
    assert hash_of(own) != before


def test_a_plan_loads_no_weights_of_the_pipeline(world, mini, monkeypatch):
    monkeypatch.setattr(generator_module, "load_pipeline", lambda *given: pytest.fail("loaded"))
    prepare(Request("tiny", "gift", {"generator": str(mini)}), Reporter())
    runs = f'[[runs]]\nprotocols = ["tiny"]\nmethods = ["gift"]\nseeds = [0]\nsettings = [{{generator = "{mini}"}}]\n'
    Path("sweep.toml").write_text(runs)
    ended = vlcl("sweep", "sweep.toml", "--dry-run")
    assert ended.code == 0, ended.err


def test_the_same_run_again_makes_no_picture_anew(world, played, mini, tmp_path, monkeypatch):
    monkeypatch.setattr(generator_module, "load_pipeline", lambda *given: pytest.fail("loaded"))
    ended = vlcl(*line(mini), "--out", "again")
    assert ended.code == 0, ended.err
    assert_same_run(tmp_path / "again", played)


def assert_same_run(folder, other):
    mine, theirs = record_of(folder), record_of(other)
    del mine["usage"]["made_pictures"], theirs["usage"]["made_pictures"]
    for key in ("identity", "scores", "usage", "weight", "log", "predictions_sha256", "track"):
        assert mine[key] == theirs[key], key


WRITE = "vlcl_bench.synthesis.store:SyntheticStore._write"
POINTS = {
    "between two pictures of the first task": Sabotage(WRITE, 3, "interrupt"),
    "between two pictures of the second task": Sabotage(WRITE, 9, "interrupt"),
    "before the second task's first step": Sabotage("vlcl_bench.methods.context:Context.fit", 2, "interrupt"),
}


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_stopped_and_started_again_a_run_ends_in_the_same_bytes(point, world, played, mini, tmp_path, monkeypatch):
    with pytest.MonkeyPatch.context() as patch:
        POINTS[point].install(patch.setattr)
        ended = vlcl(*line(mini), "--out", "run", "--store", "store")
        assert ended.code == 130, ended.err
    ended = vlcl(*line(mini), "--out", "run", "--store", "store")
    assert ended.code == 0, ended.err
    assert_same_run(tmp_path / "run", played)
    predictions = [(folder / "predictions.parquet").read_bytes() for folder in (tmp_path / "run", played)]
    assert predictions[0] == predictions[1]


@pytest.mark.slow
def test_a_run_through_a_whole_stable_diffusion(world, diffusion, tmp_path):
    ended = vlcl(*line(diffusion, "generative_replay"), "--out", "run")
    assert ended.code == 0, ended.err
    assert record_of(tmp_path / "run")["usage"]["generated_pictures"] == 12


GREEDY = """
    auxiliary = ("generator",)

    class Config(LossMethod.Config):
        pictures: int = 6
        denoising_steps: int = 1
        generator: str | None = None

    def start(self, task, ctx):
        self.found = ctx.synthesise(task, 6)

    def loss(self, batch, logits, ctx):
        for _ in range({times}):
            ctx.synthetic_images(self.found, np.arange(4))
        return self.cross_entropy(batch, logits)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("times", "track"), [(2, "standard"), (3, "open-budget")])
def test_more_synthetic_pictures_than_the_budget_allows_are_an_open_budget(world, mini, tmp_path, times, track):
    # The tiny protocol allows eight a step.
    path = method_file(tmp_path, GREEDY.format(times=times))
    ended = vlcl(*line(mini, path)[:5], "--set", f"generator={mini}", "--out", "run")
    assert ended.code == 0, ended.err
    assert record_of(tmp_path / "run")["track"] == track
    assert record_of(tmp_path / "run")["usage"]["synthetic_pictures"] == len(TASKS) * STEPS * 4 * times


def test_a_run_without_its_pipeline_ends_with_exit_code_5_and_a_way_out(world, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    ended = vlcl(*line("/no/such/folder"))
    assert ended.code == 5
    assert "generator=FOLDER" in ended.err


def test_a_run_of_a_method_that_declares_no_generator_says_so(world, tmp_path):
    path = method_file(tmp_path, "    def start(self, task, ctx):\n        ctx.synthesise(task, 3)")
    ended = vlcl("run", "--protocol", "tiny", "--method", path)
    assert ended.code == 4
    assert "declares no generator" in ended.err


def test_played_tasks_count_their_pictures():
    learner = play(build("gift", pictures=7), make_synthesis(), 1, 2, steps=6, reference_batch=5)
    # Seven pictures in batches of five: 5, 2, 5, 2, 5, 2.
    for report in learner.reports:
        assert report.usage.synthetic_pictures == 21
        assert (report.usage.generated_pictures, report.usage.task_pictures) == (7, 40)
