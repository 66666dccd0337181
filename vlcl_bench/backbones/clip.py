"""open_clip models as backbones, the mini CLIP among them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import open_clip
import torch
from torch import Tensor

from vlcl_bench.backbones import mini_tower
from vlcl_bench.backbones.base import Backbone

MINI_FOLDER = Path(__file__).parent / "mini"
MINI_MODEL = "vlcl-mini"


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


def register_mini() -> None:
    """Make the mini CLIP's configuration and tower known to open_clip and timm."""
    if mini_tower.TOWER_NAME and MINI_MODEL not in open_clip.list_models():
        open_clip.add_model_config(MINI_FOLDER)


def create(name: str, model: str, pretrained: str | None, cache_dir: str | None = None) -> OpenClipBackbone:
    """Build a model through open_clip's own factory; ``pretrained`` is a tag of open_clip's or a checkpoint file."""
    register_mini()
    logging.getLogger().setLevel(max(logging.ERROR, logging.getLogger().level))
    built = open_clip.create_model(model, pretrained=pretrained, cache_dir=cache_dir)
    return OpenClipBackbone(name, built, open_clip.get_tokenizer(model))
