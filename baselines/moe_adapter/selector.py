"""Which task a picture belongs to, by autoencoders on frozen features ("DDAS"; MoE-Adapters4CL, CVPR 2024)."""

import math
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vlcl_bench.methods import Backbone, MachineError, sha256_file, shuffled, states_after, towers

LEARNING_RATE, DECAY, EPOCHS_A_DECAY, WEIGHT_DECAY = 0.01, 0.1, 10, 1e-4
"""Adam's rate, its factor after every so many passes through the pictures, and weight decay, as released."""
ALEXNET_FILE, ALEXNET_SHA256 = "alexnet-owt-7be5be79.pth", "7be5be79"

Features = Callable[[Tensor], Tensor]
"""Preprocessed pictures ``(n, 3, s, s)`` to frozen features ``(n, f)``."""


class Autoencoder(nn.Module):
    """``sigmoid(W2 relu(W1 x))`` for features x in 0..1, ``(n, f)`` through ``hidden`` units."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.inward = nn.Linear(features, hidden)
        self.outward = nn.Linear(hidden, features)

    def forward(self, x: Tensor) -> Tensor:
        """Reconstructed features, ``(n, f)``."""
        return torch.sigmoid(self.outward(F.relu(self.inward(x))))


class Selector(nn.Module):
    """An autoencoder for "none of the tasks" and one for each task; the best at a picture says whose it is.

    ``limits[k]`` is the error above which a picture is not task k's, although its autoencoder is the best.
    """

    limits: Tensor

    def __init__(self, features: Features, hidden: int) -> None:
        super().__init__()
        self.features = features
        self.hidden = hidden
        self.coders = nn.ModuleList()
        self.register_buffer("limits", torch.zeros(0))

    def inputs(self, images: Tensor) -> Tensor:
        """What the autoencoders see of preprocessed pictures: ``(n, f)`` in 0..1."""
        with torch.no_grad():
            return torch.sigmoid(self.features(images).flatten(1))

    def add(self, size: int, device: torch.device) -> Autoencoder:
        """One more autoencoder for features of this size, which is no picture's choice until it has a limit."""
        coder = Autoencoder(size, self.hidden).to(device)
        self.coders.append(coder)
        self.limits = torch.cat([self.limits.to(device), torch.full((1,), torch.inf, device=device)])
        return coder

    def learn(self, inputs: Tensor, steps: int, batch: int, generator: torch.Generator, device: torch.device) -> int:
        """Train one more autoencoder on ``inputs`` ``(n, f)`` for so many steps: mean squared error, Adam.

        Returns how many inputs were shown in them.
        All that is random comes from ``generator``: what else a task trains does not depend on the selector.
        """
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(torch.randint(2**62, (), generator=generator)))
            coder = self.add(inputs.shape[1], device)
        optimizer = torch.optim.Adam(
            coder.parameters(), weight_decay=WEIGHT_DECAY, fused=device.type in ("cpu", "cuda")
        )
        shown = 0
        an_epoch = math.ceil(len(inputs) / batch)
        for step, rows in enumerate(islice(shuffled(len(inputs), batch, generator), steps)):
            for group in optimizer.param_groups:
                group["lr"] = LEARNING_RATE * DECAY ** (step // an_epoch // EPOCHS_A_DECAY)
            shown += len(rows)
            seen = inputs[torch.from_numpy(rows)].to(device, torch.float32)
            optimizer.zero_grad(set_to_none=True)
            F.mse_loss(coder(seen), seen).backward()
            optimizer.step()
        return shown

    @torch.no_grad()
    def errors(self, images: Tensor) -> Tensor:
        """Mean squared reconstruction errors ``(n, tasks + 1)``, the first by the autoencoder of "none"."""
        inputs = self.inputs(images)
        return torch.stack([(coder(inputs) - inputs).square().mean(dim=1) for coder in self.coders], dim=1)

    def choose(self, errors: Tensor, limit: float | None = None) -> Tensor:
        """The task ``(n,)`` of each row of errors, 0 for none.

        That of the least error, unless it is larger than the task's limit, or than ``limit`` for all tasks.
        """
        least, place = errors.min(dim=1)
        limits = self.limits[place] if limit is None else torch.full_like(least, limit)
        return torch.where(least <= limits, place, torch.zeros_like(place))

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        # Autoencoders come with the tasks: make those that were saved, so that their values find a place.
        count = len(state_dict.get(prefix + "limits", ()))
        while len(self.coders) < count:
            size = state_dict[f"{prefix}coders.{len(self.coders)}.inward.weight"].shape[1]
            self.add(size, self.limits.device)
        super()._load_from_state_dict(state_dict, prefix, *rest)


class TowerFeatures:
    """The states after half the blocks of the backbone's own image tower, which must be frozen.

    An object and not a closure, so that a copy of the backbone together with its selector uses the copy.
    """

    def __init__(self, backbone: Backbone) -> None:
        blocks = towers(backbone).image
        self.backbone, self.middle = backbone, blocks[max(0, len(blocks) // 2 - 1)]

    def __call__(self, images: Tensor) -> Tensor:
        """``(n, length, d)`` of preprocessed pictures."""
        return states_after(self.backbone, self.middle, images)


def alexnet_features(device: torch.device) -> Features:
    """ImageNet's AlexNet up to its last convolution, before ReLU and pooling: 256 x 13 x 13 of 224 pixels.

    The weights are torchvision's, whose file name carries the first digits of their SHA-256; they are loaded from
    torch's cache, or into it. Raises :class:`MachineError` where they can be neither, or are not those weights.
    """
    from torchvision.models import AlexNet_Weights, alexnet

    path = Path(torch.hub.get_dir()) / "checkpoints" / ALEXNET_FILE
    try:
        network = alexnet(weights=AlexNet_Weights.IMAGENET1K_V1).features[:-2]
        found = sha256_file(path)
        if not found.startswith(ALEXNET_SHA256):
            raise OSError(f"{path} has the SHA-256 {found[:8]}..., expected {ALEXNET_SHA256}...")
    except (OSError, RuntimeError, EOFError, UnpicklingError) as error:
        raise MachineError(
            f"AlexNet's weights cannot be had: {error}",
            f"Put torchvision's {ALEXNET_FILE} into {path.parent}.",
        ) from error
    return network.eval().requires_grad_(False).to(device)
