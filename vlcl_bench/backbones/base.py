"""What the harness and the methods ask of a dual encoder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from vlcl_bench.errors import MethodError


class Backbone(nn.Module, ABC):
    """A pretrained image encoder and text encoder with a shared space.

    ``image_size`` is the side of the pictures in pixels, ``mean`` and ``std`` normalise channels in 0..1, and
    ``context_length`` is the longest text in tokens.

    The harness fills in what it was loaded from: ``specification``, the name that was asked for; ``source_sha256``,
    what its own file says, empty for a backbone that has none; ``notes``, what a user should know of its loading.
    """

    specification: str = ""
    source_sha256: str = ""
    notes: tuple[str, ...] = ()

    name: str
    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    context_length: int

    @abstractmethod
    def encode_image(self, images: Tensor) -> Tensor:
        """Preprocessed pictures ``(n, 3, s, s)`` to features ``(n, d)``, not normalised."""

    @abstractmethod
    def encode_text(self, tokens: Tensor) -> Tensor:
        """Tokens ``(n, length)`` of any length up to ``context_length`` to features ``(n, d)``, not normalised."""

    @abstractmethod
    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Texts to tokens ``(n, length)``, trimmed to the longest text of the batch."""

    @property
    @abstractmethod
    def logit_scale(self) -> Tensor:
        """The factor on cosines that makes them logits (100 for OpenAI's CLIP); never trained here."""

    def random_texts(self, count: int, words: int, generator: torch.Generator) -> Tensor:
        """Tokens ``(count, words + 2)``: start token, ``words`` random tokens, end token; no sense in them.

        Raises :class:`MethodError` for a backbone that does not say what its tokens are.
        """
        raise MethodError(
            f"backbone {self.name!r} cannot make random texts: it does not say what its tokens are",
            "Give its class a method random_texts, or use a backbone of open_clip.",
        )

    def preprocess(self, images: Tensor) -> Tensor:
        """uint8 pictures ``(n, s, s, 3)`` to normalised float ``(n, 3, s, s)`` on the same device."""
        pixels = images.permute(0, 3, 1, 2).to(torch.float32) / 255
        mean = torch.tensor(self.mean, device=images.device).view(1, 3, 1, 1)
        std = torch.tensor(self.std, device=images.device).view(1, 3, 1, 1)
        return (pixels - mean) / std

    def trainable_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Named parameters of both encoders; the logit scale (and bias) stay as they were pretrained."""
        for name, parameter in self.named_parameters():
            if name.rsplit(".", 1)[-1] not in ("logit_scale", "logit_bias"):
                yield name, parameter
