"""Finding the transformer blocks of open_clip's and timm's towers, and stopping after one of them."""

import copy

import open_clip
import pytest
import torch
from open_clip.transformer import Transformer
from support.fakes import FakeBackbone
from support.moe import pictures, shaken, tiny

from baselines.moe_adapter.mixture import Mixtures
from vlcl_bench.backbones import load_backbone
from vlcl_bench.backbones.base import Backbone
from vlcl_bench.backbones.blocks import Block, states_after, towers
from vlcl_bench.errors import MethodError

TEXTS = ["a cat", "a drawing of a rather long red boat", "two hills!"]
RESNET = {"layers": [1, 1, 1, 1], "width": 8, "head_width": 8, "image_size": 32, "patch_size": None}


@pytest.fixture(scope="module")
def mini():
    return load_backbone("vlcl-mini/v1")


def sequence_first(backbone):
    """The same model with blocks that take (length, n, d)."""
    other = copy.deepcopy(backbone)
    for owner in (other.model.visual, other.model):
        old = owner.transformer
        new = Transformer(old.width, old.layers, old.resblocks[0].attn.num_heads, batch_first=False).eval()
        new.load_state_dict(old.state_dict())
        owner.transformer = new
    return other


def hooks_of(backbone):
    """How many hooks all modules have."""
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in backbone.modules())


def passes_of(backbone, block, run):
    """Input and output of a block, and the input of its second norm, while ``run`` is called."""
    seen = {}
    handles = [
        block.module.register_forward_hook(lambda module, given, out: seen.update(x=given[0], out=out)),
        block.second_norm.register_forward_hook(lambda module, given, out: seen.update(u=given[0])),
    ]
    with torch.no_grad():
        run()
    for handle in handles:
        handle.remove()
    return seen


def test_the_blocks_of_an_open_clip_model_are_found_in_order():
    backbone = tiny(vision={"layers": 3})
    found, model = towers(backbone), backbone.model
    assert [block.module for block in found.image] == list(model.visual.transformer.resblocks)
    assert [block.module for block in found.text] == list(model.transformer.resblocks)
    assert [block.width for block in (*found.image, *found.text)] == [32, 32, 32, 16, 16]
    assert all(block.batch_first for block in (*found.image, *found.text))
    assert found.causal


def test_the_blocks_of_the_mini_clips_timm_tower_are_found_in_order(mini):
    found = towers(mini)
    assert [block.module for block in found.image] == list(mini.model.visual.trunk.blocks)
    assert [block.module for block in found.text] == list(mini.model.transformer.resblocks)
    assert {block.width for block in (*found.image, *found.text)} == {128}
    assert found.causal


@pytest.mark.parametrize("which", ["tiny", "mini"])
def test_the_second_norms_input_is_the_residual_after_attention(which, mini):
    backbone = tiny() if which == "tiny" else mini
    found, tokens = towers(backbone), backbone.tokenize(TEXTS)
    mask = backbone.model.attn_mask[: tokens.shape[1], : tokens.shape[1]]
    for block in (*found.image, *found.text):
        seen = passes_of(
            backbone, block, lambda: (backbone.encode_text(tokens), backbone.encode_image(pictures(backbone)))
        )
        x, module = seen["x"], block.module
        with torch.no_grad():
            if hasattr(module, "ln_1"):
                normed = module.ln_1(x)
                attended = module.attn(normed, normed, normed, attn_mask=mask if block in found.text else None)[0]
            else:
                attended = module.attn(module.norm1(x))
            torch.testing.assert_close(seen["u"], x + attended)
            torch.testing.assert_close(seen["out"], seen["u"] + module.mlp(block.second_norm(seen["u"])))


@pytest.mark.parametrize("change", [{"no_causal_mask": True, "pool_type": "first"}, {}])
def test_only_a_masked_text_tower_is_causal(change):
    assert towers(tiny(text=change)).causal == (not change)


@pytest.mark.parametrize("change", [{"ls_init_value": 0.1}, {"attentional_pool": True, "attn_pooler_heads": 2}])
def test_variants_of_open_clips_image_tower_are_known(change):
    assert len(towers(tiny(vision=change)).image) == 2


def test_blocks_with_more_norms_are_known():
    found = towers(tiny(vision={"block_type": "custom", "scale_attn": True, "scale_fc": True}))
    assert [block.width for block in found.image] == [32, 32]
    assert all(block.batch_first for block in found.image)


def test_a_model_that_keeps_its_text_tower_apart_is_known():
    backbone = tiny(cls=open_clip.CustomTextCLIP)
    assert [block.module for block in towers(backbone).text] == list(backbone.model.text.transformer.resblocks)


def test_blocks_that_take_the_sequence_first_are_told_apart():
    found = towers(sequence_first(tiny()))
    assert not any(block.batch_first for block in (*found.image, *found.text))


def test_a_backbone_of_another_kind_is_refused():
    with pytest.raises(MethodError, match="'fake' does not show its transformer blocks") as refused:
        towers(FakeBackbone())
    assert "open_clip" in refused.value.hint


def test_a_convolutional_image_tower_is_refused():
    with pytest.raises(MethodError, match="0 transformer blocks for pictures, 2 for texts, and no class token"):
        towers(tiny(vision=RESNET))


def test_an_image_tower_without_a_class_token_is_refused(mini):
    backbone = copy.deepcopy(mini)
    backbone.model.visual.trunk.cls_token = None
    with pytest.raises(MethodError, match="4 transformer blocks for pictures, 3 for texts, and no class token"):
        towers(backbone)


# States after a block


@pytest.mark.parametrize("which", ["tiny", "mini", "sequence first"])
def test_the_states_after_a_block_are_its_output(which, mini):
    backbone = {"tiny": tiny, "mini": lambda: mini, "sequence first": lambda: sequence_first(tiny())}[which]()
    images = pictures(backbone)
    for block in towers(backbone).image:
        expected = passes_of(backbone, block, lambda: backbone.encode_image(images))["out"]
        found = states_after(backbone, block, images)
        assert torch.equal(found, expected if block.batch_first else expected.transpose(0, 1))
        assert len(found) == len(images)
        assert not found.requires_grad


def test_what_comes_after_the_block_is_not_computed(mini):
    blocks, called = towers(mini).image, []
    handles = [
        module.register_forward_pre_hook(lambda module, given, name=name: called.append(name))
        for name, module in mini.model.visual.named_modules()
        if name in ("trunk.norm", "head") or (name.startswith("trunk.blocks.") and name.count(".") == 2)
    ]
    states_after(mini, blocks[1], pictures(mini))
    for handle in handles:
        handle.remove()
    assert called == ["trunk.blocks.0", "trunk.blocks.1"]


def test_the_states_leave_nothing_behind():
    backbone = tiny()
    before = backbone.encode_image(pictures(backbone))
    states_after(backbone, towers(backbone).image[0], pictures(backbone))
    assert hooks_of(backbone) == 0
    assert torch.equal(backbone.encode_image(pictures(backbone)), before)


def test_what_others_add_to_the_block_is_not_in_its_states():
    backbone = tiny()
    found, images = towers(backbone), pictures(backbone)
    expected = [states_after(backbone, block, images) for block in found.image]
    mixtures = shaken(Mixtures(found, experts=3, hidden=2, top=2, scale=1.0, dropout=0.0))
    assert torch.equal(states_after(backbone, found.image[0], images), expected[0])
    with mixtures.routed(image=1):
        assert torch.equal(states_after(backbone, found.image[0], images), expected[0])
        assert not torch.equal(states_after(backbone, found.image[1], images), expected[1])


def test_a_backbone_that_does_not_use_the_block_is_refused():
    backbone, stranger = tiny(), torch.nn.Linear(2, 2)
    with pytest.raises(MethodError, match="did not use its block"):
        states_after(backbone, Block(stranger, stranger, 2, True), pictures(backbone))
    assert not stranger._forward_hooks


def test_an_error_on_the_way_to_the_block_leaves_no_hook_behind():
    class Broken(Backbone):
        name = "broken"

        def encode_image(self, images):
            raise ValueError("no")

        encode_text = tokenize = encode_image
        logit_scale = torch.ones(())

    stranger = torch.nn.Linear(2, 2)
    with pytest.raises(ValueError, match="no"):
        states_after(Broken(), Block(stranger, stranger, 2, True), torch.zeros(1))
    assert not stranger._forward_hooks
