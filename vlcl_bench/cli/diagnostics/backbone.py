"""Whether a backbone computes what it should here, and how fast."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from vlcl_bench.cli.diagnostics.diagnosis import Diagnosis
from vlcl_bench.errors import VlclError

TIMED_PICTURES, TIMED_PASSES = 32, 3


def backbone_works(name: str, on: str = "auto") -> Iterator[Diagnosis]:
    """Load a backbone, check its canaries, and time it, on a device as ``vlcl run --device`` names it."""
    from vlcl_bench.backbones import canary, load_backbone
    from vlcl_bench.common.places import data_home
    from vlcl_bench.engine.provenance import choose_device

    try:
        device = choose_device(on)
        backbone = load_backbone(name).to(device)
        result = canary.check(backbone, data_home() / "canaries")
    except VlclError as error:
        yield Diagnosis("backbone", "problem", error.message, error.hint, {"backbone": name})
        return
    except RuntimeError as error:  # a device that is full, or at odds with its driver
        text = f"{name} does not run: {error}"
        yield Diagnosis("backbone", "problem", text, "Try another device.", {"backbone": name})
        return
    facts = {"backbone": backbone.name, "weights_sha256": result.weights_sha256, "status": result.status,
             "lowest_cosine": result.lowest, "device": str(device)}  # fmt: skip
    if result.lowest is None:
        text = f"{backbone.name}: nothing to compare its canaries with; written to {result.path}"
        hint = "From now on they are required. If you doubt these weights, delete that file before you use them."
        yield Diagnosis("backbone", "warning", text, hint, facts)
    else:
        origin = "the project's" if result.status == "known" else "those of its first use here"
        text = f"{backbone.name}: canaries equal {origin} (lowest cosine {result.lowest:.6f})"
        yield Diagnosis("backbone", "ok", text, facts=facts)
    speed = pictures_per_second(backbone)
    text = f"{speed:,.0f} pictures a second through {backbone.name} on {device}, without decoding"
    yield Diagnosis("speed", "ok", text, facts={"pictures_per_second": round(speed, 1), "device": str(device)})


def pictures_per_second(backbone: Any) -> float:
    """Pictures per second of the bare forward pass: the quickest of three passes of 32, after one to warm up."""
    import torch

    device = next(backbone.parameters()).device
    side = backbone.image_size
    images = torch.zeros((TIMED_PICTURES, side, side, 3), dtype=torch.uint8, device=device)
    training, seconds = backbone.training, []
    backbone.eval()
    with torch.inference_mode():
        for _ in range(1 + TIMED_PASSES):
            started = time.perf_counter()
            backbone.encode_image(backbone.preprocess(images))
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            seconds.append(time.perf_counter() - started)
    backbone.train(training)
    return TIMED_PICTURES / min(seconds[1:])
