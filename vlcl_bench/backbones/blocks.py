"""The transformer blocks of a backbone's two towers, for methods that add something to them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vlcl_bench.backbones.base import Backbone
from vlcl_bench.errors import MethodError


@dataclass(frozen=True, eq=False)
class Block:
    """One residual block: ``x + attention(norm(x))``, then ``u + mlp(second_norm(u))``.

    ``module`` is the whole block, ``second_norm`` the layer whose input is u, ``width`` the size d of a token, and
    ``batch_first`` says whether states are ``(n, length, d)`` or ``(length, n, d)``.
    """

    module: nn.Module
    second_norm: nn.Module
    width: int
    batch_first: bool


@dataclass(frozen=True, eq=False)
class Towers:
    """The blocks of both encoders, first to last; ``causal`` where no text token sees what follows it."""

    image: tuple[Block, ...]
    text: tuple[Block, ...]
    causal: bool


def towers(backbone: Backbone) -> Towers:
    """Find the blocks of an open_clip model whose image tower has a class token.

    open_clip's own transformers and timm's are known. Raises :class:`MethodError` for a backbone of another kind, and
    for an image tower without a class token, whose first token would stand for a corner of the picture.
    """
    model = getattr(backbone, "model", None)
    visual = getattr(model, "visual", None)
    if not isinstance(model, nn.Module) or not isinstance(visual, nn.Module):
        raise MethodError(
            f"backbone {backbone.name!r} does not show its transformer blocks",
            "Methods that add to the blocks need a model of open_clip.",
        )
    image = [block for block in map(_block, visual.modules()) if block is not None]
    # Models of several parts keep the text encoder in ``text`` (CoCa has a decoder beside it), CLIP in ``transformer``.
    encoder = getattr(model, "text", None) or getattr(model, "transformer", None)
    inside = encoder.modules() if isinstance(encoder, nn.Module) else ()
    text = [block for block in map(_block, inside) if block is not None]
    trunk = getattr(visual, "trunk", visual)
    token = getattr(trunk, "cls_token", None)
    token = getattr(trunk, "class_embedding", None) if token is None else token
    if not image or not text or not isinstance(token, Tensor):
        raise MethodError(
            f"backbone {backbone.name!r} has {len(image)} transformer blocks for pictures, {len(text)} for texts, and "
            f"{'a' if isinstance(token, Tensor) else 'no'} class token",
            "Methods that add to the blocks need a vision transformer with a class token, and a transformer for texts.",
        )
    causal = isinstance(getattr(model, "attn_mask", None), Tensor)
    return Towers(tuple(image), tuple(text), causal)


def states_after(backbone: Backbone, block: Block, images: Tensor) -> Tensor:
    """States ``(n, length, d)`` that a block of the image tower gives for pictures ``(n, 3, s, s)``; no gradient.

    What comes after the block is not computed.
    """

    def stop(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        raise _ReachedError(output)

    # First, so that what others add to the block's output is not in it.
    handle = block.module.register_forward_hook(stop, prepend=True)
    try:
        with torch.no_grad():
            backbone.encode_image(images)
    except _ReachedError as reached:
        return reached.states if block.batch_first else reached.states.transpose(0, 1)
    finally:
        handle.remove()
    raise MethodError(f"backbone {backbone.name!r} did not use its block when it encoded pictures")


class _ReachedError(Exception):
    """Ends a forward pass where nothing more is wanted of it."""

    def __init__(self, states: Tensor) -> None:
        super().__init__()
        self.states = states


def _block(module: nn.Module) -> Block | None:
    """A residual block of open_clip (``ln_2``) or timm (``norm2``) that norms before its parts, or nothing."""
    if "Post" in type(module).__name__:  # timm's blocks that norm afterwards have the same attributes
        return None
    for first, second in (("ln_1", "ln_2"), ("norm1", "norm2")):
        parts = [getattr(module, name, None) for name in (first, "attn", second, "mlp")]
        if all(isinstance(part, nn.Module) for part in parts):
            norm, attention = parts[2], parts[1]
            shape = getattr(norm, "normalized_shape", None)
            if isinstance(norm, nn.Module) and shape:
                return Block(module, norm, int(shape[-1]), bool(getattr(attention, "batch_first", True)))
    return None
