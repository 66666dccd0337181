"""The mini CLIP's vision tower: a few transformer blocks on a small convolutional stem, registered with timm.

open_clip builds any tower that timm knows by name, so registering this one is all that its own factory needs to
load the mini CLIP from an ordinary configuration and checkpoint. Group and layer normalisation only: nothing
changes between training and scoring.
"""

from __future__ import annotations

from typing import Any

from timm.models import register_model
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

TOWER_NAME = "vlcl_mini_vit"


class ConvStem(nn.Module):
    """Three strided 3x3 convolutions: ``(n, 3, s, s)`` pictures to ``(n, (s / 8)**2, width)`` tokens.

    A stem of convolutions in place of one large patch lets a small transformer learn several times faster
    (Xiao et al., "Early Convolutions Help Transformers See Better", NeurIPS 2021).
    """

    def __init__(
        self, img_size: int = 48, patch_size: int = 8, in_chans: int = 3, embed_dim: int = 128, **_: Any
    ) -> None:
        super().__init__()
        if patch_size != 8:
            raise ValueError(f"the stem reduces pictures 8 times; a patch size of {patch_size} is not possible")
        self.img_size = (img_size, img_size)
        self.patch_size = (patch_size, patch_size)
        self.grid_size = (img_size // 8, img_size // 8)
        self.num_patches = self.grid_size[0] * self.grid_size[1]
        self.flatten = True
        self.layers = nn.Sequential(
            *_conv(in_chans, 32, 2), *_conv(32, 64, 2), *_conv(64, 64, 1), *_conv(64, 128, 2),
            nn.Conv2d(128, embed_dim, 1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Pictures to tokens."""
        return self.layers(x).flatten(2).transpose(1, 2)


def _conv(inputs: int, outputs: int, stride: int) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.GroupNorm(8, outputs),
        nn.GELU(),
    )


@register_model
def vlcl_mini_vit(pretrained: bool = False, **kwargs: Any) -> VisionTransformer:
    """timm's entry point; weights come from the open_clip checkpoint, never from here."""
    if pretrained:
        raise ValueError("the mini CLIP's weights are in its open_clip checkpoint; timm has none")
    for unused in ("pretrained_cfg", "pretrained_cfg_overlay", "cache_dir"):
        kwargs.pop(unused, None)
    settings: dict[str, Any] = {"img_size": 48, "patch_size": 8, "embed_dim": 128, "depth": 4, "num_heads": 4}
    settings |= {"mlp_ratio": 3.0, "embed_layer": ConvStem, "num_classes": 0, "global_pool": "token"}
    tower = VisionTransformer(**(settings | kwargs))
    about: Any = {"architecture": TOWER_NAME, "input_size": (3, 48, 48)}
    tower.default_cfg = tower.pretrained_cfg = about
    return tower
