"""Names of backbones as papers, OpenAI's package and the hub write them: the answer is what to type, of that size."""

from __future__ import annotations

import re

import open_clip
import pytest

from vlcl_bench.backbones import load_backbone, names
from vlcl_bench.errors import UsageError

OPENAI_B16 = "ViT-B-16-quickgelu/openai"
LAION_B16 = "ViT-B-16/laion2b_s34b_b88k"
WRITTEN = {
    "ViT-B/16": OPENAI_B16,
    "vit_b_16": OPENAI_B16,
    "CLIP ViT-B/16": OPENAI_B16,
    "openai/clip-vit-base-patch16": OPENAI_B16,
    "openai/ViT-B-16": OPENAI_B16,
    "ViT-B/16/openai": OPENAI_B16,
    "ViT-B-16:OpenAI": OPENAI_B16,
    "('ViT-B-16', 'openai')": OPENAI_B16,
    "timm/vit_base_patch16_clip_224.openai": OPENAI_B16,
    "ViT-L/14@336px": "ViT-L-14-336-quickgelu/openai",
    "openai/clip-vit-large-patch14-336": "ViT-L-14-336-quickgelu/openai",
    "RN50": "RN50-quickgelu/openai",
    "RN50x4": "RN50x4-quickgelu/openai",
    "resnet-101": "RN101-quickgelu/openai",
    "hf-hub:laion/CLIP-ViT-B-16-laion2B-s34B-b88K": LAION_B16,
    "laion/CLIP-ViT-B-16-laion2B-s34B-b88K": LAION_B16,
    "CLIP-ViT-B-16-laion2B-s34B-b88K": LAION_B16,
    "https://example.org/laion/CLIP-ViT-B-16-laion2B-s34B-b88K/": LAION_B16,
    "ViT-B-16 laion2b": LAION_B16,
    "ViT-G/14": "ViT-bigG-14/laion2b_s39b_b160k",
    "ViT-g/14": "ViT-g-14/laion2b_s12b_b42k",
    "google/siglip-base-patch16-224": "ViT-B-16-SigLIP/webli",
    "google/siglip2-base-patch16-256": "ViT-B-16-SigLIP2-256/webli",
    "apple/DFN5B-CLIP-ViT-H-14-378": "ViT-H-14-378-quickgelu/dfn5b",
    "ViT-B-16-quikgelu/openai": OPENAI_B16,
    "vlcl-mni/v1": "vlcl-mini/v1",
    "vlcl_mini v1": "vlcl-mini/v1",
    "vlcl-mini": "vlcl-mini/v1",
}
NOT_THERE = ("ViT-B/16@336", "ViT-H/32", "ViT-B/8", "RN50x8", "ViT-L/14@512px")


def advice(name: str) -> str:
    with pytest.raises(UsageError) as caught:
        load_backbone(name)
    assert repr(name) in caught.value.message
    return str(caught.value.hint)


@pytest.mark.parametrize("name", WRITTEN)
def test_a_name_of_the_field_is_answered_with_the_name_to_type(name):
    offered = re.findall(r"(?<!\w)'([^']+)'", advice(name))
    assert offered[0] == WRITTEN[name]


@pytest.mark.parametrize("name", NOT_THERE)
def test_another_size_is_never_offered_as_what_was_meant(name):
    said = advice(name)
    assert "Did you mean" not in said
    assert "are called" not in said
    assert "something else" in said
    assert "vlcl backbones" in said


@pytest.mark.parametrize("name", ["hf-hub:me/my-clip", "me/my-clip", "https://example.org/me/my-clip"])
def test_an_unlisted_repository_is_answered_with_how_to_fetch_it(name):
    assert "`hf download me/my-clip --local-dir FOLDER`" in advice(name)


def test_what_lies_here_is_recognised(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("")
    (tmp_path / "mine.pt").write_bytes(b"")
    assert advice("mine") == "Did you mean the file mine.py?"
    assert "A checkpoint needs its model's name before it" in advice("mine.pt")
    assert "A checkpoint needs its model's name before it" in advice("./mine.pt")
    assert "There is no file else.pt here" in advice("ViT-B-16/else.pt")


def test_every_name_that_is_offered_has_the_activation_of_its_weights():
    for name in names.published():
        model, tag = name.split("/")
        assert bool(open_clip.get_pretrained_cfg(model, tag).get("quick_gelu")) == bool(
            open_clip.get_model_config(model).get("quick_gelu")
        )
    assert {OPENAI_B16, LAION_B16} <= set(names.published())
