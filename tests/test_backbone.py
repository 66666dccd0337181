"""The mini CLIP's architecture, randomly initialised, and the losses of its pretraining."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torchvision import transforms

from vlcl_bench.backbones import clip, load_backbone, weights_sha256
from vlcl_bench.backbones.pretrain import augment, contrastive_loss
from vlcl_bench.errors import IntegrityError, UsageError

TEXTS = ["a photo of a cat.", "a centered satellite photo of the permanent crop land.", "x"]


def create(seed=0):
    torch.manual_seed(seed)
    return clip.create("x", "vlcl-mini", None)


@pytest.fixture(scope="module")
def backbone():
    return create().eval()


def pictures(count, seed=0, side=48):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8))


def padded(tokens, length=77):
    return F.pad(tokens, (0, length - tokens.shape[1]))


# Text


def test_tokens_are_trimmed_to_the_longest_text(backbone):
    tokens = backbone.tokenize(TEXTS)
    expected = [len(backbone._tokenizer.encode(text)) + 2 for text in TEXTS]
    assert tokens.shape == (3, max(expected))


@pytest.mark.parametrize("text", ["a !! (b)", "what?!)", "a !&", "look !; there", "!$"])
def test_the_end_of_a_text_is_not_trimmed_where_its_marks_have_the_paddings_number(backbone, text):
    assert backbone.tokenize([text])[0, -1] == 49407


def test_texts_over_the_context_length_are_cut(backbone):
    assert backbone.tokenize(["cat " * 200]).shape == (1, 77)


@torch.no_grad()
def test_trimmed_texts_have_the_features_of_padded_ones(backbone):
    tokens = backbone.tokenize(TEXTS)
    expected = backbone.model.encode_text(padded(tokens))
    torch.testing.assert_close(backbone.encode_text(tokens), expected, atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_texts_features_do_not_depend_on_the_batch_it_is_in(backbone):
    together = backbone.encode_text(backbone.tokenize(TEXTS))
    alone = torch.cat([backbone.encode_text(backbone.tokenize([text])) for text in TEXTS])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_trimmed_texts_have_the_gradients_of_padded_ones(backbone):
    tokens = backbone.tokenize(TEXTS)
    direction = torch.randn(128, generator=torch.Generator().manual_seed(0))
    parameters = {name: p for name, p in backbone.named_parameters() if ".visual." not in name}
    del parameters["model.logit_scale"]
    trimmed, full = (
        torch.autograd.grad((F.normalize(features, dim=-1) @ direction).sum(), list(parameters.values()))
        for features in (backbone.encode_text(tokens), backbone.model.encode_text(padded(tokens)))
    )
    for found, expected in zip(trimmed, full, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_a_text_tower_that_is_not_causal_gets_the_padding(backbone):
    tokens = backbone.tokenize(TEXTS)
    other = create().eval()
    other.load_state_dict(backbone.state_dict())
    other.model.attn_mask = None
    torch.testing.assert_close(other.encode_text(tokens), other.model.encode_text(padded(tokens)))


# Pictures


def test_preprocessing_equals_torchvisions(backbone):
    images = pictures(4)
    reference = transforms.Compose([transforms.ToTensor(), transforms.Normalize(backbone.mean, backbone.std)])
    expected = torch.stack([reference(image.numpy()) for image in images])
    torch.testing.assert_close(backbone.preprocess(images), expected, atol=1e-6, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("size", [1, 7])
def test_picture_features_do_not_depend_on_the_batch_size(backbone, size):
    images = backbone.preprocess(pictures(64))
    parts = torch.cat([backbone.encode_image(part) for part in images.split(size)])
    torch.testing.assert_close(parts, backbone.encode_image(images), atol=1e-5, rtol=0)


@torch.no_grad()
def test_picture_features_do_not_depend_on_the_order(backbone):
    images = backbone.preprocess(pictures(7))
    torch.testing.assert_close(
        backbone.encode_image(images.flip(0)).flip(0), backbone.encode_image(images), atol=1e-5, rtol=0
    )


@torch.no_grad()
def test_training_mode_gives_the_same_features_as_scoring():
    backbone, images, results = create(), pictures(7), []
    for training in (True, False):
        backbone.train(training)
        results.append((backbone.encode_image(backbone.preprocess(images)), backbone.encode_text(torch.tensor([[5]]))))
    assert all(torch.equal(one, two) for one, two in zip(*results, strict=True))


def test_encoding_changes_no_buffer():
    backbone = create().train()
    before = weights_sha256(backbone)
    backbone.encode_image(backbone.preprocess(pictures(7)))
    assert weights_sha256(backbone) == before


# Parameters


def test_all_parameters_but_the_logit_scale_are_trainable(backbone):
    every = {name for name, _ in backbone.named_parameters()}
    assert every - {name for name, _ in backbone.trainable_parameters()} == {"model.logit_scale"}


def test_every_trainable_parameter_has_a_gradient_except_rows_that_no_text_uses():
    backbone = create()
    features = [backbone.encode_image(backbone.preprocess(pictures(2))), backbone.encode_text(backbone.tokenize(TEXTS))]
    sum(feature.square().sum() for feature in features).backward()
    missing = [name for name, p in backbone.trainable_parameters() if p.grad is None or not p.grad.any()]
    assert missing == []


def test_the_logit_scale_is_a_constant_factor(backbone):
    expected = float(backbone.model.logit_scale.detach().exp())
    assert (float(backbone.logit_scale), backbone.logit_scale.requires_grad) == (pytest.approx(expected), False)


def test_the_weights_hash_changes_with_one_weight():
    backbone = create()
    before = weights_sha256(backbone)
    with torch.no_grad():
        next(backbone.parameters()).view(-1)[0] += 1
    assert weights_sha256(backbone) != before


def test_the_weights_hash_is_the_same_for_the_same_weights(backbone):
    assert weights_sha256(create()) == weights_sha256(backbone)


# Loading by name


def test_an_unknown_backbone_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match="Did you mean 'vlcl-mini'"):
        load_backbone("vlcl-mni/v1")


def test_a_backbone_without_weights_is_refused():
    with pytest.raises(UsageError, match="names no weights"):
        load_backbone("vlcl-mini")


def test_weights_that_do_not_load_are_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"not weights")
    with pytest.raises(IntegrityError, match="do not load"):
        load_backbone(f"vlcl-mini/{path}")


def test_weights_load_from_a_file(backbone, tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "weights.safetensors"
    save_file({name: value.contiguous() for name, value in backbone.model.state_dict().items()}, path)
    assert weights_sha256(load_backbone(f"vlcl-mini/{path}")) == weights_sha256(backbone)


# Pretraining


def test_the_contrastive_loss_shares_a_rows_mass_among_equal_concepts():
    logits = 3 * torch.randn(6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    concepts = [4, 7, 4, 1, 4, 7]
    total = 0.0
    for i in range(6):
        same = [j for j in range(6) if concepts[j] == concepts[i]]
        for row in (logits[i], logits[:, i]):
            log_probability = row - row.exp().sum().log()
            total -= float(sum(log_probability[j] for j in same)) / len(same)
    expected = total / 12
    assert contrastive_loss(logits, torch.tensor(concepts)).item() == pytest.approx(expected, rel=1e-12)


def test_the_contrastive_loss_of_distinct_concepts_is_clips():
    logits = torch.randn(5, 5, generator=torch.Generator().manual_seed(1))
    places = torch.arange(5)
    expected = (F.cross_entropy(logits, places) + F.cross_entropy(logits.T, places)) / 2
    torch.testing.assert_close(contrastive_loss(logits, places + 10), expected)


def augmented(seed):
    return augment(pictures(6), torch.Generator().manual_seed(seed))


def test_augmentation_keeps_shape_and_type():
    assert (augmented(0).shape, augmented(0).dtype) == ((6, 48, 48, 3), torch.uint8)


def test_augmentation_follows_from_its_generator():
    assert torch.equal(augmented(0), augmented(0))


def test_augmentation_of_another_generator_differs():
    assert not torch.equal(augmented(0), augmented(1))


def test_augmentation_shifts_by_at_most_four_pixels():
    images = torch.zeros(200, 48, 48, 3, dtype=torch.uint8)
    images[:, 20, 20] = 255
    places = augment(images, torch.Generator().manual_seed(0)).float().sum(-1).flatten(1).argmax(1)
    rows, columns = places // 48, places % 48
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (16, 24, 16, 24)


def test_a_checkpoint_file_is_known_by_its_name_and_not_by_its_path(tmp_path):
    import shutil

    from vlcl_bench.backbones import MINI_CHECKPOINT, load_backbone

    path = tmp_path / "mine.safetensors"
    shutil.copyfile(MINI_CHECKPOINT, path)
    assert load_backbone(f"vlcl-mini/{path}").name == "vlcl-mini/mine.safetensors"


def test_weights_that_nobody_knows_are_refused_with_the_nearest_name():
    from vlcl_bench.backbones import load_backbone
    from vlcl_bench.errors import UsageError

    with pytest.raises(UsageError, match=r"neither a checkpoint file(.|\n)*openai"):
        load_backbone("ViT-B-32/opanai")
