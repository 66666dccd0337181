"""The mini CLIP's architecture, loading backbones by name, and the losses of pretraining."""

import hashlib
import sys
import zipfile

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
from open_clip.transformer import QuickGELU
from support import tiny_clip
from torchvision import transforms

from vlcl_bench.backbones import clip, identification, load_backbone, weights_sha256
from vlcl_bench.errors import IntegrityError, MachineError, UsageError
from vlcl_bench.mini.clip.pretraining import augment, contrastive_loss

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
    with pytest.raises(UsageError, match="Did you mean 'vlcl-mini/v1'"):
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


# Names, activations, folders, archives


@pytest.fixture
def tiny(monkeypatch):
    tiny_clip.install(monkeypatch)


def same_weights(backbone, expected, atol=0.0):
    found = backbone.model.state_dict()
    return found.keys() == expected.keys() and all(
        torch.allclose(found[name], value.float(), atol=atol, rtol=0) for name, value in expected.items()
    )


def mismatched_pairs():
    return [
        (model, tag)
        for model, tag in open_clip.list_pretrained()
        if bool(open_clip.get_pretrained_cfg(model, tag).get("quick_gelu"))
        != bool(open_clip.get_model_config(model).get("quick_gelu"))
    ]


def test_open_clips_table_holds_openais_weights_under_models_with_the_wrong_activation():
    assert ("ViT-B-16", "openai") in mismatched_pairs()


@pytest.mark.parametrize("pair", mismatched_pairs(), ids="/".join)
def test_no_tag_is_run_with_the_other_activation(pair, monkeypatch):
    monkeypatch.setattr(open_clip, "download_pretrained", lambda config: pytest.fail("downloaded before the check"))
    with pytest.raises(UsageError, match="were trained with"):
        load_backbone("/".join(pair))


def test_openais_weights_under_gelu_are_refused_with_the_name_to_write():
    with pytest.raises(UsageError, match=r"QuickGELU(.|\n)*Write ViT-B-16-quickgelu/openai\."):
        load_backbone("ViT-B-16/openai")


def test_gelu_weights_under_quickgelu_are_refused_with_the_name_to_write():
    with pytest.raises(UsageError, match=r"Write ViT-B-16/laion2b_s34b_b88k\."):
        load_backbone("ViT-B-16-quickgelu/laion2b_s34b_b88k")


def test_weights_whose_model_has_no_twin_are_referred_to_a_folder():
    with pytest.raises(UsageError, match=r"together with their own open_clip_config\.json"):
        load_backbone("roberta-ViT-B-32/laion2b_s12b_b32k")


@pytest.mark.parametrize(("model", "expected"), [("tiny", torch.nn.GELU), ("tiny-quickgelu", QuickGELU)])
def test_a_loaded_model_has_the_activation_of_its_name_in_every_block(model, expected, tiny, tmp_path):
    loaded = load_backbone(f"{model}/{tiny_clip.checkpoint(tmp_path / 'w.safetensors')}")
    found = [module for module in loaded.modules() if isinstance(module, (torch.nn.GELU, QuickGELU))]
    assert len(found) == 4
    assert all(isinstance(module, expected) for module in found)


def test_a_tag_loads_with_its_own_normalisation(monkeypatch, tmp_path):
    path = tiny_clip.checkpoint(tmp_path / "w.safetensors")
    entry = {"file": str(path), "quick_gelu": True, "mean": (0.1, 0.2, 0.3)}
    tiny_clip.install(monkeypatch, {"openai": entry})
    loaded = load_backbone("tiny-quickgelu/openai")
    assert (loaded.name, loaded.mean) == ("tiny-quickgelu/openai", (0.1, 0.2, 0.3))
    assert same_weights(loaded, tiny_clip.state())


def test_a_build_with_another_activation_than_its_configuration_is_refused(tiny, tmp_path, monkeypatch):
    path = tiny_clip.checkpoint(tmp_path / "w.safetensors")
    build = open_clip.create_model
    monkeypatch.setattr(open_clip, "create_model", lambda *a, **k: build(*a, **k, force_quick_gelu=True))
    with pytest.raises(IntegrityError, match="activation 'quickgelu'"):
        load_backbone(f"tiny/{path}")


# Files


def test_openais_archives_are_known_by_the_hash_in_their_address():
    # From OpenAI's clip/clip.py, which compares a download with the last folder of its address.
    url = open_clip.get_pretrained_url("ViT-B-16", "openai")
    assert identification.published_digest(url) == "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f"


def test_every_published_archive_of_openais_has_a_hash():
    models = open_clip.list_pretrained_models_by_tag("openai")
    digests = {identification.published_digest(open_clip.get_pretrained_url(model, "openai")) for model in models}
    assert len(digests) == 9
    assert {len(digest) for digest in digests} == {64}


def known_file(monkeypatch, path, quick, short=False):
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    url = f"https://example.org/mlfoundations/w-{digest[:8]}.pt" if short else f"https://example.org/{digest}/w.pt"
    tiny_clip.install(monkeypatch, {"published": {"url": url, "quick_gelu": quick}})


@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize(
    ("model", "right", "quick"), [("tiny", "tiny-quickgelu", True), ("tiny-quickgelu", "tiny", False)]
)
def test_a_file_that_is_known_by_its_hash_is_refused_under_the_other_activation(
    model, right, quick, short, monkeypatch, tmp_path
):
    path = tiny_clip.checkpoint(tmp_path / "renamed.safetensors")
    known_file(monkeypatch, path, quick, short)
    with pytest.raises(UsageError, match=rf"SHA-256 (.|\n)*Write {right}/{path}"):
        load_backbone(f"{model}/{path}")
    assert same_weights(load_backbone(f"{right}/{path}"), tiny_clip.state())


def test_a_file_that_is_known_by_its_hash_is_refused_under_another_model(monkeypatch, tmp_path):
    # ViT-L-14-336's positions would be resized to fit ViT-L-14 without a word.
    path = tiny_clip.checkpoint(tmp_path / "w.safetensors")
    known_file(monkeypatch, path, quick=True)
    with pytest.raises(UsageError, match=r"not weights of ViT-B-16-quickgelu(.|\n)*Write tiny-quickgelu/"):
        load_backbone(f"ViT-B-16-quickgelu/{path}")


def test_a_file_with_a_configuration_beside_it_is_refused_under_the_other_activation(tiny, tmp_path):
    place = tiny_clip.folder(tmp_path / "f", quick=True)
    with pytest.raises(UsageError, match=r"beside it(.|\n)*Write tiny-quickgelu/"):
        load_backbone(f"tiny/{place / 'open_clip_model.safetensors'}")


def test_an_archive_of_openais_kind_counts_as_quickgelu(tiny, tmp_path):
    path = tiny_clip.archive(tmp_path / "clip.pt")
    with pytest.raises(UsageError, match=r"TorchScript archive with OpenAI's(.|\n)*Write tiny-quickgelu/"):
        load_backbone(f"tiny/{path}")


def test_an_archive_of_openais_kind_loads_in_full_precision(tiny, tmp_path):
    loaded = load_backbone(f"tiny-quickgelu/{tiny_clip.archive(tmp_path / 'clip.pt')}")
    assert same_weights(loaded, {name: value.half() for name, value in tiny_clip.state().items()})
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}


def test_an_archive_of_another_kind_is_refused(tiny, tmp_path):
    with pytest.raises(UsageError, match="not of OpenAI's kind"):
        load_backbone(f"tiny-quickgelu/{tiny_clip.archive(tmp_path / 'clip.pt', entries=False)}")


def test_a_damaged_archive_is_refused(tiny, tmp_path):
    path = tmp_path / "clip.pt"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("clip/constants.pkl", b"nothing")
    with pytest.raises(IntegrityError, match="does not load"):
        load_backbone(f"tiny-quickgelu/{path}")


def test_a_file_of_another_model_is_refused(tiny, tmp_path):
    with pytest.raises(IntegrityError, match="do not load"):
        load_backbone(f"vlcl-mini/{tiny_clip.checkpoint(tmp_path / 'w.safetensors')}")


def test_a_file_named_like_a_tag_is_not_taken_for_it(monkeypatch, tmp_path):
    tiny_clip.install(monkeypatch, {"openai": {"quick_gelu": True}})
    torch.save(tiny_clip.state(), tmp_path / "openai")
    assert load_backbone(f"tiny-quickgelu/{tmp_path / 'openai'}").name == "tiny-quickgelu/openai (file)"


def test_a_file_gets_the_normalisation_on_which_all_tags_of_its_model_agree(monkeypatch, tmp_path):
    half = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
    path = tiny_clip.checkpoint(tmp_path / "w.safetensors")
    tiny_clip.install(monkeypatch, {"a": half, "b": half})
    assert load_backbone(f"tiny/{path}").mean == (0.5, 0.5, 0.5)
    tiny_clip.install(monkeypatch, {"a": half, "b": {}})
    assert load_backbone(f"tiny/{path}").mean == tiny_clip.CLIP_PICTURES["mean"]


# Folders


@pytest.mark.parametrize("prefix", ["", "local-dir:"])
@pytest.mark.parametrize("quick", [False, True])
def test_a_folder_loads_with_its_own_activation_and_normalisation(prefix, quick, tmp_path):
    loaded = load_backbone(f"{prefix}{tiny_clip.folder(tmp_path / 'mine', quick)}")
    assert (loaded.name, loaded.mean) == ("local-dir:mine", (0.5, 0.5, 0.5))
    assert clip.activation(loaded) == ("quickgelu" if quick else "gelu")
    assert same_weights(loaded, tiny_clip.state())


def test_a_folder_with_an_ordinary_torch_checkpoint_loads(tmp_path):
    place = tiny_clip.folder(tmp_path / "mine", quick=False)
    (place / "open_clip_model.safetensors").unlink()
    torch.save(tiny_clip.state(3), place / "open_clip_pytorch_model.bin")
    assert same_weights(load_backbone(str(place)), tiny_clip.state(3))


@pytest.mark.parametrize("quick", [False, True])
def test_a_folder_that_contradicts_itself_is_refused(quick, tmp_path):
    place = tiny_clip.folder(tmp_path / "mine", quick, pretrained_cfg={"quick_gelu": not quick})
    with pytest.raises(UsageError, match=r"pretrained_cfg(.|\n)*were trained with"):
        load_backbone(str(place))


def test_a_folder_whose_weights_are_known_to_have_another_activation_is_refused(monkeypatch, tmp_path):
    place = tiny_clip.folder(tmp_path / "mine", quick=False)
    known_file(monkeypatch, place / "open_clip_model.safetensors", quick=True)
    with pytest.raises(UsageError, match="SHA-256"):
        load_backbone(str(place))


@pytest.mark.parametrize(
    ("missing", "message"), [("open_clip_config.json", "holds no"), ("open_clip_model.safetensors", "one checkpoint")]
)
def test_a_folder_that_lacks_a_file_is_refused_with_its_name(missing, message, tmp_path):
    place = tiny_clip.folder(tmp_path / "mine", quick=False)
    (place / missing).unlink()
    with pytest.raises(UsageError, match=message) as caught:
        load_backbone(str(place))
    assert missing in caught.value.message


def test_a_folder_after_a_models_name_is_refused_with_the_name_to_write(tiny, tmp_path):
    with pytest.raises(UsageError, match=r"Write local-dir:"):
        load_backbone(f"tiny/{tmp_path}")


def test_a_folder_that_is_not_there_is_refused():
    with pytest.raises(UsageError, match="there is no folder"):
        load_backbone("./no/such/folder")


# Downloads


@pytest.fixture
def offline(monkeypatch, tmp_path):
    def fail(**_):
        raise OSError("no route to the hub")

    monkeypatch.setattr("open_clip.pretrained.hf_hub_download", fail)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_without_a_network_the_message_says_what_to_fetch_and_how_to_name_it(offline):
    with pytest.raises(MachineError) as caught:
        load_backbone("ViT-B-16-quickgelu/openai")
    assert "no route to the hub" in caught.value.message
    for part in ("hf download timm/vit_base_patch16_clip_224.openai", "local-dir:FOLDER", "df416f/ViT-B-16.pt",
                 "ViT-B-16-quickgelu/<path of ViT-B-16.pt>"):  # fmt: skip
        assert part in str(caught.value.hint)


def test_without_a_network_the_archive_in_openais_own_cache_is_used(offline, monkeypatch, tmp_path):
    path = tiny_clip.archive(tmp_path / ".cache" / "clip" / "tiny.pt")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    url = f"https://openaipublic.example/{digest}/tiny.pt"
    tiny_clip.install(monkeypatch, {"openai": {"url": url, "hf_hub": "some/where/", "quick_gelu": True}})
    loaded = load_backbone("tiny-quickgelu/openai")
    assert same_weights(loaded, {name: value.half() for name, value in tiny_clip.state().items()})


def test_a_model_that_needs_a_missing_package_is_the_machines_matter(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MachineError, match="cannot be built"):
        load_backbone(f"roberta-ViT-B-32/{tiny_clip.checkpoint(tmp_path / 'w.safetensors')}")


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

    from vlcl_bench.backbones import load_backbone
    from vlcl_bench.mini.clip.load import CHECKPOINT

    path = tmp_path / "mine.safetensors"
    shutil.copyfile(CHECKPOINT, path)
    assert load_backbone(f"vlcl-mini/{path}").name == "vlcl-mini/mine.safetensors"


def test_weights_that_nobody_knows_are_refused_with_the_nearest_name():
    from vlcl_bench.backbones import load_backbone
    from vlcl_bench.errors import UsageError

    with pytest.raises(UsageError, match=r"neither a checkpoint file(.|\n)*openai"):
        load_backbone("ViT-B-32/opanai")
