from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
import torchvision
from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES, OPENAI_IMAGENET_TEMPLATES
from timm.data import ImageNetInfo

from vlcl_bench.data.real import catalogue as module
from vlcl_bench.data.real.catalogue import catalogue, spec_of
from vlcl_bench.data.real.layouts import LAYOUTS
from vlcl_bench.errors import UsageError

MTIL = ["aircraft", "caltech101", "cifar100", "dtd", "eurosat", "flowers102", "food101", "mnist", "oxford_pets"]
MTIL += ["stanford_cars", "sun397"]
LABELLED = [*MTIL, "imagenet_r", "imagenet_r-rapf", "imagenet", "tiny_imagenet"]


def test_mtil_has_1201_classes_and_8648_prompts() -> None:
    specs = [spec_of(name) for name in MTIL]
    assert [len(spec.class_names) for spec in specs] == [100, 101, 100, 47, 10, 102, 101, 10, 37, 196, 397]
    assert sum(len(spec.class_names) for spec in specs) == 1201
    assert sum(len(spec.class_names) * len(spec.templates) for spec in specs) == 8648


def test_mtils_names_merge_into_1176() -> None:
    assert len({name for data in MTIL for name in spec_of(data).class_names}) == 1176
    documented = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    assert "1,176 remain" in documented


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("flowers102", "shifted by one"), ("stanford_cars", "shifted by one"), ("dtd", "exchanged"),
        ("imagenet", "not hashed"), ("coco-food", "cut short"), ("coco-food-lexicon", "cut short"),
        ("imagenet_r-rapf", "imgr_train_test_split.txt"),
    ],
)  # fmt: skip
def test_a_card_tells_what_is_not_noticed(name: str, said: str) -> None:
    assert any(said in note for note in spec_of(name).notes)


def test_mtil_has_the_published_numbers_of_pictures() -> None:
    specs = [spec_of(name) for name in MTIL]
    assert [spec.test for spec in specs] == [3333, 1736, 10000, 1880, 5400, 6149, 25250, 10000, 3669, 8041, 21751]
    assert sum(spec.train or 0 for spec in specs) == 319_352
    assert sum(spec.test or 0 for spec in specs) == 97_209


@pytest.mark.parametrize("name", LABELLED)
def test_a_specification_is_complete_and_agrees_with_itself(name: str) -> None:
    spec = spec_of(name)
    classes = len(spec.class_names)
    assert spec.layout in LAYOUTS
    assert len(spec.names_in_source) == len(set(spec.names_in_source)) == classes
    assert spec.templates
    assert all(template.count("{c}") == 1 for template in spec.templates)
    assert len(set(spec.templates)) == len(spec.templates)
    assert spec.licence
    assert spec.citation
    assert spec.source.startswith("http")
    if name != "imagenet":  # OpenAI's list has two names twice
        assert len(set(spec.class_names)) == classes
    for split in ("train", "test", "pool"):
        per_class = getattr(spec, f"{split}_per_class")
        if per_class is not None:
            assert (len(per_class), sum(per_class)) == (classes, getattr(spec, split))
    if spec.split == "pool-42":
        assert spec.pool is not None
        assert (spec.train, spec.test) == (spec.pool * 8 // 10, spec.pool - spec.pool * 8 // 10)
    for trap in spec.traps:
        expected = classes if trap.what == "classes" else getattr(spec, trap.what, None)
        assert trap.count != expected, "a trap that would explain away the right number"


def test_names_are_those_of_torchvision() -> None:
    datasets = torchvision.datasets
    assert list(spec_of("mnist").class_names) == datasets.MNIST.classes
    flowers = [name.rstrip("?") for name in datasets.Flowers102.classes]
    assert list(spec_of("flowers102").class_names) == flowers


def test_names_of_imagenet_are_those_of_openai_in_the_order_of_wordnet_ids() -> None:
    spec = spec_of("imagenet")
    assert list(spec.class_names) == list(IMAGENET_CLASSNAMES)
    assert list(spec.names_in_source) == ImageNetInfo("imagenet-1k").label_names()
    assert spec.class_names[spec.names_in_source.index("n02129165")] == "lion"


def test_imagenet_r_has_its_own_names_at_the_right_wordnet_ids() -> None:
    spec = spec_of("imagenet_r")
    assert list(spec.names_in_source) == sorted(spec.names_in_source)
    imagenet = spec_of("imagenet")
    openai = dict(zip(imagenet.names_in_source, imagenet.class_names, strict=True))
    info = ImageNetInfo("imagenet-1k")
    words = [
        (ours.lower(), f"{openai[wnid]} {info.label_name_to_description(wnid)}".lower())
        for ours, wnid in zip(spec.class_names, spec.names_in_source, strict=True)
    ]
    # The archive's names paraphrase OpenAI's; a shift by one would leave hardly any word in common.
    shared = [bool(set(re.findall(r"\w+", ours)) & set(re.findall(r"\w+", theirs))) for ours, theirs in words]
    assert sum(shared) >= 185


def test_imagenet_r_is_trained_with_the_plain_prompt_and_tested_with_openais_eighty() -> None:
    templates = spec_of("imagenet_r").templates
    assert templates[0] == "a photo of a {c}."
    assert set(templates) == {template("{c}") for template in OPENAI_IMAGENET_TEMPLATES}
    assert len(templates) == 80


def test_tiny_imagenet_is_part_of_wordnet_with_a_name_for_every_id() -> None:
    spec = spec_of("tiny_imagenet")
    assert len(spec.class_names) == 200
    assert list(spec.names_in_source) == sorted(spec.names_in_source)
    assert spec.class_names[:3] == ("goldfish", "European fire salamander", "bullfrog")
    assert spec.class_names[-1] == "acorn"


def test_oddities_of_the_protocol_are_kept() -> None:
    caltech = spec_of("caltech101").class_names
    assert caltech[:4] == ("off-center face", "centered face", "leopard", "motorbike")
    assert {"head of a  crocodile", "water lilly", "yin and yang symbol"} <= set(caltech)
    flowers = spec_of("flowers102").class_names
    assert (flowers[15], flowers[59], flowers[92]) == ("globe-flower", "pink-yellow dahlia", "ball moss")
    assert "bow window/outdoor" in spec_of("sun397").class_names
    assert "sweet pepper" in spec_of("cifar100").class_names
    assert "polka-dotted" in spec_of("dtd").class_names
    food = spec_of("food101").class_names
    assert food.index("cheese plate") < food.index("cheesecake")
    assert spec_of("oxford_pets").class_names[2] == "American Pit Bull Terrier"
    assert spec_of("stanford_cars").templates[0] == "a photo of a {c}, a type of car."
    assert spec_of("food101").templates == ("a photo of a {c}, a type of food.",)


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'eurosat'") as caught:
        spec_of("eurosta")
    assert "no real data set 'eurosta'" in caught.value.message


def test_all_files_of_the_catalogue_can_be_read() -> None:
    assert set(LABELLED) <= set(catalogue())
    for name in catalogue():
        assert spec_of(name).name == name


def test_a_file_that_describes_nothing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.toml").write_text('name = "mine"\n')
    monkeypatch.setattr(module, "FOLDER", tmp_path)
    catalogue.cache_clear()
    try:
        with pytest.raises(UsageError, match=r"mine\.toml does not describe a data set"):
            spec_of.__wrapped__("mine")
    finally:
        catalogue.cache_clear()


@pytest.mark.parametrize("name", ["caltech101", "sun397"])
def test_every_class_of_a_pool_gets_pictures_in_both_splits(name: str) -> None:
    spec = spec_of(name)
    assert spec.pool is not None
    assert spec.pool_per_class is not None
    labels = torch.repeat_interleave(torch.arange(len(spec.class_names)), torch.tensor(spec.pool_per_class))
    places = torch.randperm(spec.pool, generator=torch.Generator().manual_seed(42))
    for part in (places[: spec.train], places[spec.train :]):
        assert len(labels[part].unique()) == len(spec.class_names)
