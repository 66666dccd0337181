"""open_clip models as backbones."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import open_clip
import torch
from open_clip.transformer import CustomResidualAttentionBlock, QuickGELU, ResidualAttentionBlock
from torch import Tensor

from vlcl_bench.backbones.base import Backbone
from vlcl_bench.backbones.weights import Weights, first_line
from vlcl_bench.backbones.wrapped import unwrapped
from vlcl_bench.data.world import worlds
from vlcl_bench.errors import IntegrityError, MachineError, VlclError


class OpenClipBackbone(Backbone):
    """Any open_clip model with OpenAI's layout; texts are trimmed, which the causal mask makes exact."""

    def __init__(self, name: str, model: Any, tokenizer: Any) -> None:
        super().__init__()
        self.name = name
        self.model = model
        self._tokenizer = tokenizer
        size = model.visual.image_size
        self.image_size = size[0] if isinstance(size, (tuple, list)) else int(size)
        self.mean = tuple(model.visual.image_mean)
        self.std = tuple(model.visual.image_std)
        self.context_length = int(getattr(model, "context_length", 77))
        self._trained_tokens = trained_tokens(model, tokenizer)

    def random_texts(self, count: int, words: int, generator: torch.Generator) -> Tensor:
        """See :meth:`Backbone.random_texts`; only tokens whose vector pretraining has trained are drawn.

        Never drawn as words are the start and the end token, and token 0, which also pads.
        """
        if self._trained_tokens is None:
            return super().random_texts(count, words, generator)
        places = torch.randint(len(self._trained_tokens), (count, words), generator=generator)
        start = torch.full((count, 1), self._tokenizer.sot_token_id)
        return torch.cat([start, self._trained_tokens[places], torch.full((count, 1), self._tokenizer.eot_token_id)], 1)

    def encode_image(self, images: Tensor) -> Tensor:
        """See :meth:`Backbone.encode_image`."""
        return self.model.encode_image(images)

    def encode_text(self, tokens: Tensor) -> Tensor:
        """See :meth:`Backbone.encode_text`.

        Under a causal mask no token sees what follows it, and the feature is read at the end token, so leaving
        out the padding changes nothing but the time. Models whose text tower is of another kind get the padding.
        """
        model = self.model
        length = tokens.shape[1]
        trimmable = (
            isinstance(model, open_clip.CLIP) and model.attn_mask is not None and model.text_pool_type == "argmax"
        )
        if length == self.context_length:
            return model.encode_text(tokens)
        if not trimmable:
            padded = tokens.new_zeros((tokens.shape[0], self.context_length))
            padded[:, :length] = tokens
            return model.encode_text(padded)
        states = model.token_embedding(tokens) + model.positional_embedding[:length]
        states = model.transformer(states, attn_mask=model.attn_mask[:length, :length])
        ends = model.ln_final(states[torch.arange(len(tokens), device=tokens.device), tokens.argmax(dim=-1)])
        projection = model.text_projection
        if projection is None:
            return ends
        return projection(ends) if isinstance(projection, torch.nn.Linear) else ends @ projection

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """See :meth:`Backbone.tokenize`; texts over the context length lose their end, as in the MTIL protocol."""
        tokens = self._tokenizer(list(texts))
        used = tokens.nonzero()[:, 1]  # places, not a count: 0 pads, and it is also the token of an inner "!"
        return tokens[:, : int(used.max()) + 1 if len(used) else 1]

    @property
    def logit_scale(self) -> Tensor:
        """See :meth:`Backbone.logit_scale`."""
        return self.model.logit_scale.detach().exp()


def trained_tokens(model: Any, tokenizer: Any) -> Tensor | None:
    """Ids of ordinary tokens with a vector other than zero; ``None`` for a tokenizer of another kind than CLIP's."""
    special = [getattr(tokenizer, name, None) for name in ("sot_token_id", "eot_token_id")]
    table = getattr(getattr(model, "token_embedding", None), "weight", None)
    if None in special or table is None:
        return None
    used = table.detach().ne(0).any(dim=1).cpu()
    used[special] = False
    used[0] = False  # it also pads
    return used.nonzero()[:, 0]


def register_models() -> None:
    """Make the architectures that come with the installed worlds known to open_clip."""
    for world in worlds():
        world.register_models()


def create(name: str, model: str, pretrained: str | None, cache_dir: str | None = None) -> OpenClipBackbone:
    """Build a model through open_clip's own factory; ``pretrained`` is a tag of open_clip's or a checkpoint file.

    Nothing is checked here; :func:`load` is for weights of others.
    """
    register_models()
    with quiet():
        built = open_clip.create_model(model, pretrained=pretrained, cache_dir=cache_dir)
        return OpenClipBackbone(name, built, open_clip.get_tokenizer(model))


def load(weights: Weights) -> OpenClipBackbone:
    """Build the model and fill it, strictly; its activation is looked up in what was really built.

    Raises :class:`MachineError` for what is missing on this machine (a package, a tokenizer, a readable file) and
    :class:`IntegrityError` for weights that do not fit or are damaged.
    """
    note = ""
    with quiet():
        try:
            built = open_clip.create_model(
                weights.model, load_weights=False, pretrained_text=False, force_preprocess_cfg=weights.preprocess
            )
            tokenizer = open_clip.get_tokenizer(weights.model)
        except Exception as error:  # a text tower or tokenizer of the hub's, a package that is not installed
            raise MachineError(
                f"the model of backbone {weights.known_as!r} cannot be built: {first_line(error)}",
                "Models with another text tower or tokenizer need the package `transformers` and files from its hub.",
            ) from error
        try:
            if weights.state is not None:
                built.load_state_dict(weights.state, strict=True)
            else:
                open_clip.load_checkpoint(built, str(weights.checkpoint), strict=True, weights_only=True)
        except OSError as error:
            raise MachineError(f"{weights.checkpoint} cannot be read: {error.strerror or error}") from error
        except Exception as error:
            note = load_wrapped(built, weights, error)
    found = activation(built)
    if found not in ("none", "quickgelu" if weights.quick_gelu else "gelu"):
        raise IntegrityError(
            f"open_clip built {weights.known_as!r} with the activation {found!r}, but its weights were trained with "
            + ("QuickGELU" if weights.quick_gelu else "GELU"),
            "This version of open_clip builds the model differently from its configuration; install another.",
        )
    backbone = OpenClipBackbone(weights.known_as, built, tokenizer)
    backbone.notes = (note,) if note else ()
    return backbone


def load_wrapped(model: torch.nn.Module, weights: Weights, error: Exception) -> str:
    """Load a checkpoint that open_clip refused with ``error``, if only its names differ; returns what to say of it.

    Raises :class:`IntegrityError` where more is wrong, and what :func:`vlcl_bench.backbones.wrapped.unwrapped` raises.
    """
    try:
        state, note = unwrapped(weights.checkpoint, model, weights.known_as)
        model.load_state_dict(state, strict=True)
    except VlclError:
        raise
    except Exception as again:  # a damaged file, tensors of other shapes
        raise IntegrityError(
            f"the weights of backbone {weights.known_as!r} do not load: {brief(again)}",
            "Is it a checkpoint of this model, and whole?",
        ) from error
    return note


def brief(error: Exception, most: int = 400) -> str:
    """The beginning of what an error says, in one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= most else f"{text[:most]}…"


def activation(model: torch.nn.Module) -> str:
    """``gelu``, ``quickgelu`` or ``mixed``: what stands in open_clip's transformer blocks; ``none`` without any.

    Towers of other libraries (timm's, transformers') have their own activations, which open_clip's setting does
    not touch.
    """
    blocks = [m for m in model.modules() if isinstance(m, (ResidualAttentionBlock, CustomResidualAttentionBlock))]
    inside = [module for block in blocks for module in block.mlp.modules()]
    quick = any(isinstance(module, QuickGELU) for module in inside)
    exact = any(isinstance(module, torch.nn.GELU) for module in inside)
    return "mixed" if quick and exact else "quickgelu" if quick else "gelu" if exact else "none"


@contextmanager
def quiet() -> Iterator[None]:
    """open_clip reports to the root logger what we check ourselves."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(max(logging.CRITICAL, before))
    try:
        yield
    finally:
        root.setLevel(before)
