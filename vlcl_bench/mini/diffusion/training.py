"""Training of the mini diffusion model: the command that made the committed one.

The common recipe (Ho et al., 2020): noise of a random strength is added to a picture, and the network says what it
was (here v, Salimans and Ho, 2022); a tenth of the texts is left out for classifier-free guidance; the weights that
are kept are a running mean. Everything random follows from the seed; a run that was stopped continues from its last
state.
"""

from __future__ import annotations

import copy
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler
from PIL import Image
from rich.progress import Progress
from torch import Tensor

from vlcl_bench.backbones import load_backbone
from vlcl_bench.common.fileio import canonical_json, sha256_text
from vlcl_bench.common.schedule import warm_up_then_cosine
from vlcl_bench.mini.corpus import STYLES
from vlcl_bench.mini.diffusion.names import examples
from vlcl_bench.mini.diffusion.pipeline import FOLD, SCHEDULE, SIDE, conditions, new_pipeline, new_unet
from vlcl_bench.mini.pictures import Picture, render
from vlcl_bench.mini.training import Stateful, drawn, restore, save_state


@dataclass(frozen=True)
class TrainSettings:
    """Hyper-parameters; the defaults made the committed model, of ``steps`` in ``cycles`` of the learning rate."""

    steps: int = 12_000
    cycles: int = 2
    batch_size: int = 64
    learning_rate: float = 4e-4
    warmup: int = 300
    without_text: float = 0.1
    mean_decay: float = 0.999
    seed: int = 0
    save_every: int = 250


def small(picture: Picture) -> np.ndarray:
    """A pretraining picture, ``(32, 32, 3)`` uint8."""
    image = Image.fromarray(render(picture, STYLES))
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX))


def pictures(cache: Path, progress: Progress) -> np.ndarray:
    """All pictures of the names, ``(n, 32, 32, 3)`` uint8, kept in ``cache``."""
    wanted = [example.picture for example in examples()]
    return np.asarray(drawn(wanted, small, SIDE, cache, progress, "drawing pictures"))


def train(out: Path, work: Path, settings: TrainSettings, progress: Progress, device: str = "cpu") -> dict:
    """Train and write the pipeline to the folder ``out``; ``work`` keeps pictures and the state to continue from.

    Returns what goes on the model's card.
    """
    work = work / work_key(settings)
    torch.manual_seed(settings.seed)
    unet = new_unet().to(device, memory_format=torch.channels_last)
    mean = copy.deepcopy(unet).eval().requires_grad_(False)
    optimizer = torch.optim.AdamW(unet.parameters(), lr=settings.learning_rate, weight_decay=0.0, fused=True)
    pixels, shown = pictures(work / "pictures.npy", progress), examples()
    heard, captions = _conditions(device)
    by_name: dict[str, list[int]] = {}
    for row, example in enumerate(shown):
        by_name.setdefault(example.concept, []).append(row)
    concepts = sorted(by_name)
    noising = DDPMScheduler(**SCHEDULE)
    parts: dict[str, Stateful] = {"unet": unet, "mean": mean, "optimizer": optimizer}
    first, elapsed = restore(work, parts)
    bar = progress.add_task("training", total=settings.steps, completed=first)
    started, recent = time.monotonic(), math.nan
    for step in range(first, settings.steps):
        rng, chance = np.random.default_rng([settings.seed, step]), torch.Generator().manual_seed(step)
        rows = [rng.choice(by_name[concepts[k]]) for k in rng.integers(len(concepts), size=settings.batch_size)]
        texts = [captions[rng.choice(shown[row].captions)] for row in rows]
        condition = heard[texts] * (torch.rand(len(rows), 1, generator=chance) >= settings.without_text).to(device)
        clean = folded(torch.from_numpy(pixels[rows])).to(device, memory_format=torch.channels_last)
        noise = torch.randn(clean.shape, generator=chance).to(device)
        when = torch.randint(len(noising.alphas_cumprod), (len(rows),), generator=chance).to(device)
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * rate_factor(step, settings)
        with torch.autocast(torch.device(device).type, dtype=torch.bfloat16):
            found = unet(noising.add_noise(clean, noise, when), when, None, class_labels=condition).sample
        loss = F.mse_loss(found.float(), noising.get_velocity(clean, noise, when))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimizer.step()
        follow(mean, unet, min(settings.mean_decay, (step + 1) / (step + 10)))
        value = float(loss.detach())
        recent = value if math.isnan(recent) else 0.99 * recent + 0.01 * value
        progress.update(bar, completed=step + 1, description=f"training, loss {recent:.4f}")
        if (step + 1) % settings.save_every == 0 or step + 1 == settings.steps:
            seconds = elapsed + time.monotonic() - started
            save_state(work, step + 1, seconds, parts)
            progress.console.print(f"step {step + 1}: loss {recent:.4f}, {seconds:.0f} s")
    kept = new_pipeline(copy.deepcopy(mean).to("cpu", torch.float16))
    kept.save_pretrained(out, safe_serialization=True)
    return {
        "pictures": len(shown), "names": len(concepts), "steps": settings.steps, "loss": recent,
        "seconds": elapsed + time.monotonic() - started, "parameters": sum(p.numel() for p in unet.parameters()),
    }  # fmt: skip


def rate_factor(step: int, settings: TrainSettings) -> float:
    """Warm-up and cosine again in each of the equal cycles (warm restarts, Loshchilov and Hutter, 2017)."""
    cycle = math.ceil(settings.steps / settings.cycles)
    return warm_up_then_cosine(step % cycle, cycle, settings.warmup)


def folded(pixels: Tensor) -> Tensor:
    """uint8 pictures ``(n, 32, 32, 3)`` to what the network sees, ``(n, 12, 16, 16)`` in -1..1."""
    return F.pixel_unshuffle(pixels.permute(0, 3, 1, 2).float() / 127.5 - 1, FOLD)


def _conditions(device: str) -> tuple[Tensor, dict[str, int]]:
    """What the network hears of every caption, and each caption's row."""
    texts = list(dict.fromkeys(text for example in examples() for text in example.captions))
    backbone = load_backbone("vlcl-mini/v1").eval()
    parts = [conditions(backbone, texts[i : i + 1024]) for i in range(0, len(texts), 1024)]
    return torch.cat(parts).to(device), {text: i for i, text in enumerate(texts)}


@torch.no_grad()
def follow(mean: torch.nn.Module, model: torch.nn.Module, decay: float) -> None:
    """Move the running mean of the weights towards the model's."""
    torch._foreach_lerp_(list(mean.parameters()), list(model.parameters()), 1 - decay)


def work_key(settings: TrainSettings) -> str:
    """A folder's name for these settings and pictures, so that nothing of another run is continued."""
    return sha256_text(canonical_json([asdict(settings), [example.picture.id for example in examples()]]))[:12]
