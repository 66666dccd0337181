"""A backbone made ready for work on its device, and the zero-shot model as a learner."""

from __future__ import annotations

import torch

from vlcl_bench.backbones.base import Backbone
from vlcl_bench.backbones.canary import CanaryResult, check
from vlcl_bench.common.places import data_home
from vlcl_bench.engine.footprint import backbone_sizes
from vlcl_bench.engine.learner import InProcessLearner
from vlcl_bench.engine.provenance import settle_precision
from vlcl_bench.methods.registry import load_method
from vlcl_bench.protocols.stream import Protocol


def make_ready(backbone: Backbone, device: torch.device, weights_sha256: str | None = None) -> CanaryResult:
    """Settle the precision, move the backbone to its device and compare its features there with its canary's.

    ``weights_sha256`` and errors: see :func:`vlcl_bench.backbones.canary.check`.
    """
    settle_precision(device)
    return check(backbone.to(device), data_home() / "canaries", weights_sha256)


def zero_shot_learner(backbone: Backbone, protocol: Protocol, device: torch.device) -> InProcessLearner:
    """The model as it came, which is the method ``zero_shot``."""
    zero_shot = load_method("zero_shot")
    return InProcessLearner(zero_shot(backbone, zero_shot.Config()), protocol, 0, device, backbone_sizes(backbone))
