"""The mini text-to-image pipeline: a small UNet on 32 x 32 pixels that hears the mini CLIP's text features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler, DiffusionPipeline, ImagePipelineOutput
from diffusers import UNet2DConditionModel as UNet
from torch import Tensor

from vlcl_bench.errors import UsageError

SIDE, FOLD, FEATURES = 32, 2, 128
"""Pixels of a side; blocks of ``FOLD`` by ``FOLD`` pixels become channels; size of a text feature."""
SCHEDULE: dict[str, Any] = {"beta_schedule": "squaredcos_cap_v2", "prediction_type": "v_prediction"}
"""Cosine schedule (Nichol and Dhariwal, 2021), the network predicts v (Salimans and Ho, 2022)."""


def new_unet() -> UNet:
    """The network, untrained: two resolutions, conditioned through scale and shift in every block."""
    return UNet(
        sample_size=SIDE // FOLD,
        in_channels=3 * FOLD**2,
        out_channels=3 * FOLD**2,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        mid_block_type="UNetMidBlock2D",
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(96, 128),
        layers_per_block=1,
        attention_head_dim=32,
        norm_num_groups=16,
        class_embed_type="projection",
        projection_class_embeddings_input_dim=FEATURES,
        resnet_time_scale_shift="scale_shift",
        cross_attention_dim=FEATURES,
    )


def conditions(backbone: Any, prompts: Sequence[str]) -> Tensor:
    """What the network hears of texts: their unit features times the root of their size, ``(n, FEATURES)``."""
    device = next(backbone.parameters()).device
    with torch.no_grad():
        features = backbone.encode_text(backbone.tokenize(list(prompts)).to(device))
    return F.normalize(features, dim=-1) * FEATURES**0.5


class MiniTextToImagePipeline(DiffusionPipeline):
    """``pipeline(prompts).images``: text to pictures with classifier-free guidance (Ho and Salimans, 2021).

    Texts are encoded by the backbone that ``text_backbone`` names; "no text" is a condition of zeros. The scheduler is
    DDIM's as saved; any other of diffusers' may take its place.
    """

    def __init__(self, unet: UNet, scheduler: Any, text_backbone: str = "vlcl-mini/v1") -> None:
        super().__init__()
        self.register_modules(unet=unet, scheduler=scheduler)
        self.register_to_config(text_backbone=text_backbone)
        self._backbone: Any = None

    def backbone(self) -> Any:
        """The frozen dual encoder whose text features condition the network; loaded when first needed."""
        if self._backbone is None:
            from vlcl_bench.backbones import load_backbone

            self._backbone = load_backbone(self.config.text_backbone).eval().requires_grad_(False)
        return self._backbone.to(self.device)

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | Sequence[str],
        num_inference_steps: int = 50,
        guidance_scale: float = 4.0,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
        output_type: str = "pil",
        height: int | None = None,
        width: int | None = None,
    ) -> ImagePipelineOutput:
        """Pictures of 32 by 32 pixels for the prompts: PIL images, or with ``np`` an array ``(n, 32, 32, 3)`` in 0..1.

        With a generator for each prompt a picture does not depend on the others of its batch. Raises
        :class:`UsageError` where pictures of another size are asked for.
        """
        if {height, width} - {None, SIDE}:
            asked = f"{height or SIDE} x {width or SIDE}"
            raise UsageError(
                f"the mini diffusion model makes pictures of {SIDE} x {SIDE} pixels, not of {asked}",
                "Leave the size out, or take another pipeline: --set generator=FOLDER.",
            )
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        heard = conditions(self.backbone(), prompts).to(self.device, self.unet.dtype)
        shape = (3 * FOLD**2, SIDE // FOLD, SIDE // FOLD)
        if isinstance(generator, Sequence):
            noise = torch.stack([torch.randn(shape, generator=one, device=one.device) for one in generator])
        else:
            where = generator.device if generator is not None else self.device
            noise = torch.randn((len(prompts), *shape), generator=generator, device=where)
        states = noise.to(self.device, self.unet.dtype) * self.scheduler.init_noise_sigma
        self.scheduler.set_timesteps(num_inference_steps, device=self.device)
        guided = guidance_scale != 1.0
        both = torch.cat([heard, torch.zeros_like(heard)]) if guided else heard
        for time in self.scheduler.timesteps:
            doubled = torch.cat([states, states]) if guided else states
            found = self.unet(self.scheduler.scale_model_input(doubled, time), time, None, class_labels=both).sample
            if guided:
                with_text, without = found.chunk(2)
                found = without + guidance_scale * (with_text - without)
            states = self.scheduler.step(found, time, states).prev_sample
        pixels = ((F.pixel_shuffle(states.float(), FOLD) + 1) / 2).clamp(0, 1).permute(0, 2, 3, 1).cpu().numpy()
        return ImagePipelineOutput(images=self.numpy_to_pil(pixels) if output_type == "pil" else pixels)


def new_pipeline(unet: UNet | None = None) -> MiniTextToImagePipeline:
    """The pipeline around a network (by default an untrained one) with DDIM's scheduler (Song et al., 2021)."""
    return MiniTextToImagePipeline(unet or new_unet(), DDIMScheduler(**SCHEDULE))
