"""Does a backbone of one's own do what the interface says: tried on the canaries' pictures and texts when it is loaded.

What is wrong is said here, with what was expected, and not by a matrix product in the midst of a run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from vlcl_bench.backbones.base import Backbone
from vlcl_bench.backbones.canary_samples import COUNT, TEXTS, pictures
from vlcl_bench.errors import UsageError, VlclError

ALIKE = 0.999
"""Lowest cosine of a feature to itself in other company; what processors make of it is far above."""
LONG = "word " * 2000
PAGE = "docs/own-backbone.md says what each part takes and gives."


def try_out(backbone: Backbone, what: str) -> None:
    """Raise :class:`UsageError` where ``what``, a backbone, breaks its interface; nothing of it is changed."""
    training = [module for module in backbone.modules() if module.training]
    where = next(backbone.parameters()).device
    backbone.eval()
    try:
        with torch.no_grad():
            pixels = torch.from_numpy(pictures(backbone.image_size)).to(where)
            images = _images(backbone, pixels, what)
            tokens = _tokens(backbone, what)
            with _saying(f"encode_text of {what}, given tokens {tuple(tokens.shape)}"):
                texts = _features(backbone.encode_text(tokens.to(where)), COUNT, f"encode_text of {what}")
                alone = backbone.encode_text(backbone.tokenize(TEXTS[:1]).to(where))
            _alike(texts[:1], alone, f"encode_text of {what} gives a text another feature beside longer ones",
                   "Padding must change nothing: mask it, or pad to context_length always.")  # fmt: skip
            if images.shape[1] != texts.shape[1]:
                raise UsageError(
                    f"{what} gives pictures {images.shape[1]} numbers and texts {texts.shape[1]}: no shared space",
                    "Both encoders must end in the same width.",
                )
            _check_scale(backbone, what)
    finally:
        for module in training:
            module.training = True


def _images(backbone: Backbone, pixels: Tensor, what: str) -> Tensor:
    """The features of the pictures, once all is right with them."""
    with _saying(f"preprocess of {what}, given uint8 pictures {tuple(pixels.shape)}"):
        images = backbone.preprocess(pixels)
    first = next(backbone.parameters())
    wanted = (COUNT, 3, backbone.image_size, backbone.image_size)
    if not isinstance(images, Tensor) or tuple(images.shape) != wanted or not images.is_floating_point():
        raise UsageError(f"preprocess of {what} returned {_shown(images)}, expected float numbers {wanted}", PAGE)
    images = images.to(first.dtype)
    with _saying(f"encode_image of {what}, given pictures {wanted}"):
        found = _features(backbone.encode_image(images), COUNT, f"encode_image of {what}")
        again, alone = backbone.encode_image(images), backbone.encode_image(images[:1])
    _alike(found, again, f"encode_image of {what} gives the same pictures other features each time",
           "Nothing may be drawn at random in evaluation mode.")  # fmt: skip
    _alike(found[:1], alone, f"encode_image of {what} gives a picture another feature beside others",
           "Batch normalisation in training mode does that: keep it in evaluation mode.")  # fmt: skip
    return found


def _tokens(backbone: Backbone, what: str) -> Tensor:
    """The texts' tokens, once all is right with them."""
    with _saying(f"tokenize of {what}, given a list of {COUNT} texts"):
        tokens, long = backbone.tokenize(TEXTS), backbone.tokenize([LONG])
    if not isinstance(tokens, Tensor) or tokens.dim() != 2 or len(tokens) != COUNT or tokens.is_floating_point():
        raise UsageError(
            f"tokenize of {what} returned {_shown(tokens)}, expected whole numbers of the shape ({COUNT}, length)", PAGE
        )
    if long.shape[1] > backbone.context_length:
        raise UsageError(
            f"tokenize of {what} gives a long text {long.shape[1]} tokens; context_length is {backbone.context_length}",
            "Cut texts there.",
        )
    return tokens


def _features(found: object, count: int, whose: str) -> Tensor:
    """Features, if they are such: ``(count, d)``, finite, none of them zero."""
    if not isinstance(found, Tensor) or found.dim() != 2 or len(found) != count or not found.is_floating_point():
        raise UsageError(f"{whose} returned {_shown(found)}, expected features of the shape ({count}, d)", PAGE)
    if torch.isfinite(found).all() and not found.norm(dim=1).all():
        raise UsageError(f"{whose} returned zero for all numbers of a feature, which has no direction", PAGE)
    return found


def _alike(one: Tensor, two: Tensor, message: str, hint: str) -> None:
    cosine = float(torch.nn.functional.cosine_similarity(one.float(), two.float(), dim=-1).min())
    if cosine < ALIKE:  # what is not finite is said by the canaries
        raise UsageError(f"{message} (cosine {cosine:.4f})", hint)


def _check_scale(backbone: Backbone, what: str) -> None:
    scale = backbone.logit_scale
    if not isinstance(scale, Tensor) or scale.numel() != 1 or not float(scale) > 0:
        raise UsageError(
            f"logit_scale of {what} is {_shown(scale)}, expected a tensor with one number above 0",
            "It is a property: @property above def logit_scale. CLIP's is 100.",
        )


@contextmanager
def _saying(doing: str) -> Iterator[None]:
    """Turn what a backbone's code raises into a :class:`UsageError`."""
    try:
        yield
    except VlclError:
        raise
    except Exception as error:
        raise UsageError(f"{doing}, raised {type(error).__name__}: {error}", PAGE) from error


def _shown(value: object) -> str:
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} numbers of the shape {tuple(value.shape)}"
    return f"a {type(value).__name__}"
