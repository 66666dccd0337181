"""A backbone of one's own that breaks its interface is refused when it is loaded, with what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from vlcl_bench.backbones import load_backbone
from vlcl_bench.backbones.template import rendered
from vlcl_bench.errors import UsageError

START = rendered("odd", 48)
FEATURE = "return self.image_head(self.patches(images).mean(dim=(2, 3)))"
SCALE = "return self.scale"
BROKEN = {
    "wrong width inside": (".mean(dim=(2, 3)))", ".flatten(1))", "encode_image of Odd .* raised RuntimeError"),
    "no shared space": ("nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 64))", "nn.Linear(64, 32))", "64 .* texts 32"),
    "a tuple": (FEATURE, FEATURE + ", 1", "encode_image .* returned a tuple"),
    "tokens as features": (".mean(dim=(2, 3)))", ".flatten(2).mT)", r"the shape \(8, 36, 64\), expected .*\(8, d\)"),
    "numpy": (FEATURE, FEATURE + ".numpy()", "returned a ndarray"),
    "zero": (FEATURE, FEATURE.replace("return", "return 0 *"), "no direction"),
    "a list of tokens": ("return torch.tensor([row", "return list([row", "tokenize .* returned a list"),
    "not cut": ("[: self.context_length]", "", "a long text 10000 tokens; context_length is 77"),
    "padding counts": ("(tokens > 0)", "(tokens > -1)", "beside longer ones"),
    "batch statistics": (FEATURE, "x = self.patches(images).mean(dim=(2, 3)); return x - x.mean(0) + 1e-3", "others"),
    "random": (FEATURE, FEATURE + " + torch.randn(len(images), 64)", "other features each time"),
    "a number as scale": (SCALE, "return 20.0", "logit_scale .* is a float"),
    "scale is no property": ("    @property\n", "", "logit_scale .* is a method"),
    "two scales": (SCALE, SCALE + ".repeat(2)", r"the shape \(2,\)"),
    "one mean": ("mean = std = (0.5, 0.5, 0.5)", "mean = std = 0.5", "does not say its mean, std"),
    "bytes as pictures": (
        "    @property\n",
        "    def preprocess(self, images):\n        return images\n\n    @property\n",
        "preprocess .* returned uint8",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_part_is_named_with_what_was_expected(kind: str, tmp_path: Path) -> None:
    old, new, words = BROKEN[kind]
    assert old in START
    path = tmp_path / "odd.py"
    path.write_text(START.replace(old, new))
    with pytest.raises(UsageError, match=words) as refused:
        load_backbone(str(path))
    assert refused.value.hint


def test_the_trial_leaves_modes_and_draws_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "odd.py"
    path.write_text(START)
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    assert all(module.training for module in load_backbone(str(path)).modules())
    assert torch.equal(torch.rand(2), expected)


def test_a_model_of_open_clip_from_its_configuration_shows_its_blocks(tmp_path: Path) -> None:
    from vlcl_bench.backbones.blocks import towers

    path = tmp_path / "wrapped.py"
    path.write_text(
        "from vlcl_bench.backbones.clip import create\n\n\ndef backbone():\n"
        "    return create('any', 'vlcl-mini', pretrained=None)\n"
    )
    loaded = load_backbone(str(path))
    assert (loaded.name, loaded.image_size) == ("wrapped:backbone", 48)
    assert towers(loaded).image
