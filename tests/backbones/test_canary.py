"""Canaries: fixed pictures and texts whose embeddings tell whether a backbone is run as it was before."""

import hashlib
import json

import numpy as np
import pytest
import torch
from open_clip.transformer import QuickGELU
from support import tiny_clip

from vlcl_bench.backbones import canary, load_backbone, weights_sha256
from vlcl_bench.errors import IntegrityError
from vlcl_bench.mini.clip.load import CHECKPOINT
from vlcl_bench.mini.world import BACKBONE


@pytest.fixture
def mini():
    return load_backbone(BACKBONE)


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    tiny_clip.install(monkeypatch)
    path = tiny_clip.checkpoint(tmp_path / "w.safetensors")
    return lambda model="tiny": load_backbone(f"{model}/{path}")


def with_activation(backbone, found, made):
    for module in backbone.modules():
        for name, child in module.named_children():
            if isinstance(child, found):
                setattr(module, name, made())
    return backbone


# Pictures and texts


@pytest.mark.parametrize("side", [16, 48, 224, 225])
def test_there_are_eight_different_pictures_of_the_size_asked_for(side):
    found = canary.pictures(side)
    assert (found.shape, found.dtype) == ((8, side, side, 3), np.uint8)
    assert len({picture.tobytes() for picture in found}) == 8


@pytest.mark.parametrize(("side", "expected"), [(48, "cbb8026edbd96e94"), (224, "1f0fb6588efa9e0e")])
def test_the_pictures_never_change(side, expected):
    assert hashlib.sha256(canary.pictures(side).tobytes()).hexdigest()[:16] == expected


def test_gradients_and_noise_are_what_their_formulas_say():
    def noise(number):  # MurmurHash3's finaliser in plain integers
        value = number + 1
        value = (value ^ (value >> 16)) * 0x85EBCA6B % 2**32
        value = (value ^ (value >> 13)) * 0xC2B2AE35 % 2**32
        return (value ^ (value >> 16)) >> 24

    found = canary.pictures(7)
    for y in range(7):
        for x in range(7):
            assert found[0, y, x].tolist() == [x * 255 // 6] * 3
            assert found[7, y, x].tolist() == [noise((y * 7 + x) * 3 + channel) for channel in range(3)]


def test_there_are_eight_different_texts():
    assert len(set(canary.TEXTS)) == canary.COUNT == 8


# Embedding


def test_embeddings_are_the_unit_features_of_pictures_and_texts(mini):
    images, texts = canary.embed(mini)
    with torch.no_grad():
        expected = mini.encode_image(mini.preprocess(torch.from_numpy(canary.pictures(48)))).numpy()
        expected_text = mini.encode_text(mini.tokenize(canary.TEXTS)).numpy()
    np.testing.assert_allclose(images, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-6)
    np.testing.assert_allclose(texts, expected_text / np.linalg.norm(expected_text, axis=1, keepdims=True), atol=1e-6)
    assert images.dtype == texts.dtype == np.float32


def test_embedding_changes_no_mode_no_weight_and_no_random_state(mini):
    mini.train()
    mini.model.visual.eval()
    modes = [module.training for module in mini.modules()]
    before = (weights_sha256(mini), torch.get_rng_state(), np.random.get_state()[1].copy())
    canary.embed(mini)
    assert [module.training for module in mini.modules()] == modes
    assert weights_sha256(mini) == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])
    assert (np.random.get_state()[1] == before[2]).all()


# Known canaries


def test_the_mini_clip_is_known(mini, tmp_path):
    result = canary.check(mini, tmp_path)
    assert (result.status, result.weights_sha256, list(tmp_path.iterdir())) == ("known", weights_sha256(mini), [])
    assert result.lowest > 0.99999


def test_the_activation_of_one_tower_is_noticed(mini, tmp_path):
    wrong = with_activation(mini, torch.nn.GELU, QuickGELU)
    # By the features alone: its cosine is 0.9999 and would pass a bound of 0.999.
    with pytest.raises(IntegrityError, match=r"right features(.|\n)*activation was gelu, is quickgelu(.|\n)*Usual"):
        canary.check(wrong, tmp_path)


def test_other_normalisation_is_noticed(mini, tmp_path):
    mini.mean = mini.std = (0.5, 0.5, 0.5)
    with pytest.raises(IntegrityError, match=r"canary image \d of 8(.|\n)*mean was"):
        canary.check(mini, tmp_path)


def test_weights_rounded_to_bfloat16_are_noticed(mini, tmp_path):
    with pytest.raises(IntegrityError, match="in another precision"):
        canary.check(mini.bfloat16(), tmp_path)


def test_autocast_to_bfloat16_is_noticed(mini, tmp_path):
    with torch.autocast("cpu", dtype=torch.bfloat16), pytest.raises(IntegrityError, match="right features"):
        canary.check(mini, tmp_path)


def test_half_precision_has_ten_bits_of_mantissa_and_passes_under_the_same_hash(mini, tmp_path):
    expected = weights_sha256(mini)  # the checkpoint is in half precision, so nothing is lost in halving the model
    result = canary.check(mini.half(), tmp_path)
    assert (result.status, result.weights_sha256) == ("known", expected)


def test_damaged_weights_under_a_known_name_are_refused(mini, tmp_path):
    with torch.no_grad():
        mini.model.visual.trunk.blocks[0].mlp.fc1.weight[0, 0] += 0.01
    with pytest.raises(IntegrityError, match="are not those it had before"):
        canary.check(mini, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_weights_that_give_no_finite_features_are_refused(tiny, tmp_path):
    backbone = tiny()
    with torch.no_grad():
        backbone.model.ln_final.weight[0] = float("nan")
    with pytest.raises(IntegrityError, match="not finite"):
        canary.check(backbone, tmp_path / "canaries")
    assert not (tmp_path / "canaries").exists()


# First use


def test_the_first_use_is_written_and_required_ever_after(tiny, tmp_path):
    place = tmp_path / "canaries"
    first, second = canary.check(tiny(), place), canary.check(tiny(), place)
    assert (first.status, first.lowest, second.status) == ("first-use", None, "required")
    assert first.path == second.path == place / f"{first.weights_sha256[:16]}.json"
    assert second.lowest > 0.99999


@pytest.mark.parametrize(
    ("first", "second", "activation"), [("tiny", "tiny-quickgelu", "gelu"), ("tiny-quickgelu", "tiny", "quickgelu")]
)
def test_the_same_weights_with_the_other_activation_are_refused_after_first_use(
    first, second, activation, tiny, tmp_path
):
    place = tmp_path / "canaries"
    canary.check(tiny(first), place)
    with pytest.raises(IntegrityError, match=rf"right features(.|\n)*activation was {activation}, is"):
        canary.check(tiny(second), place)


def test_another_activation_is_refused_even_where_the_features_hardly_change(tiny, tmp_path, monkeypatch):
    place = tmp_path / "canaries"
    canary.check(tiny(), place)
    monkeypatch.setattr(canary, "TOLERANCE", 0.0)
    with pytest.raises(IntegrityError, match=r"set up otherwise(.|\n)*activation was gelu, is quickgelu"):
        canary.check(tiny("tiny-quickgelu"), place)


def test_what_is_written_says_what_it_was_made_with(tiny, tmp_path):
    stored = json.loads(canary.check(tiny("tiny-quickgelu"), tmp_path / "c").path.read_text())
    assert (stored["activation"], stored["precision"], stored["image_size"]) == ("quickgelu", "float32", 16)
    assert set(stored["made_with"]) == {"torch", "open_clip", "device"}
    assert np.array(stored["images"]).shape == np.array(stored["texts"]).shape == (8, 16)


def test_half_precision_cannot_be_a_first_use(tiny, tmp_path):
    with pytest.raises(IntegrityError, match="fp32 only"):
        canary.check(tiny().half(), tmp_path / "canaries")
    with torch.autocast("cpu", dtype=torch.bfloat16), pytest.raises(IntegrityError, match="fp32 only"):
        canary.check(tiny(), tmp_path / "canaries")
    assert not (tmp_path / "canaries").exists()


def test_other_weights_in_a_file_of_the_same_name_are_another_first_use(monkeypatch, tmp_path):
    tiny_clip.install(monkeypatch)
    place = tmp_path / "canaries"
    for seed in (0, 1):
        path = tiny_clip.checkpoint(tmp_path / str(seed) / "w.safetensors", seed)
        assert canary.check(load_backbone(f"tiny/{path}"), place).status == "first-use"


def test_a_tag_whose_weights_changed_since_first_use_is_refused(monkeypatch, tmp_path):
    place = tmp_path / "canaries"
    for seed in (0, 1):
        path = tiny_clip.checkpoint(tmp_path / str(seed) / "w.safetensors", seed)
        tiny_clip.install(monkeypatch, {"tag": {"file": str(path)}})
        if seed == 0:
            canary.check(load_backbone("tiny/tag"), place)
    with pytest.raises(IntegrityError, match="are not those it had before"):
        canary.check(load_backbone("tiny/tag"), place)


def stored_first_use(tiny, tmp_path):
    return canary.check(tiny(), tmp_path / "canaries").path


@pytest.mark.parametrize(
    "change",
    [
        lambda stored: stored["images"].pop(),
        lambda stored: stored["texts"][0].pop(),
        lambda stored: stored.pop("images"),
        lambda stored: stored["texts"].__setitem__(0, [0.0] * 16),
        lambda stored: stored["texts"].__setitem__(0, [float("nan")] * 16),
        lambda stored: stored.__setitem__("weights_sha256", "0" * 64),
    ],
)
def test_a_changed_canary_file_is_called_damaged(change, tiny, tmp_path):
    path = stored_first_use(tiny, tmp_path)
    stored = json.loads(path.read_text())
    change(stored)
    path.write_text(json.dumps(stored))
    with pytest.raises(IntegrityError, match=rf"{path.name} is damaged"):
        canary.check(tiny(), path.parent)


def test_a_canary_file_that_was_cut_short_is_named(tiny, tmp_path):
    path = stored_first_use(tiny, tmp_path)
    path.write_text(path.read_text()[:100])
    with pytest.raises(IntegrityError, match=path.name):
        canary.check(tiny(), path.parent)


def test_writing_gives_the_committed_canaries_again(mini, tmp_path):
    found = json.loads(canary.write(mini, tmp_path).read_text())
    stored = json.loads((canary.COMMITTED / f"{weights_sha256(mini)[:16]}.json").read_text())
    for kind in ("images", "texts"):
        np.testing.assert_allclose(found.pop(kind), stored.pop(kind), atol=2.01e-4)
    assert found | {"made_with": None} == stored | {"made_with": None}


def test_a_copy_of_the_mini_clip_by_another_name_is_known_by_its_weights(tmp_path):
    assert canary.check(load_backbone(f"vlcl-mini/{CHECKPOINT}"), tmp_path).status == "known"
