"""Pretraining of the mini CLIP: the command that made the committed checkpoint.

Symmetric contrastive learning (Radford et al., 2021) on the corpus of the mini world, with the mass of a row's
target shared among the pictures of the batch that show the same concept. Everything random follows from the
seed; a run that was stopped continues from its last checkpoint.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from rich.progress import Progress
from safetensors.torch import save
from torch import Tensor

from vlcl_bench.backbones.clip import OpenClipBackbone, create
from vlcl_bench.common.fileio import canonical_json, sha256_text, write_atomic
from vlcl_bench.common.schedule import warm_up_then_cosine
from vlcl_bench.mini import corpus as world_corpus
from vlcl_bench.mini.clip.load import MODEL
from vlcl_bench.mini.pictures import render
from vlcl_bench.mini.renditions import SIZE
from vlcl_bench.mini.training import drawn, restore, save_state

MAX_LOGIT_SCALE = math.log(100.0)


@dataclass(frozen=True)
class PretrainSettings:
    """Hyper-parameters of the pretraining; the defaults made the committed checkpoint."""

    steps: int = 3000
    batch_size: int = 256
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.05
    warmup: int = 300
    initial_logit_scale: float = 30.0
    family_share: float = 0.5
    seed: int = 0
    save_every: int = 250


@dataclass(frozen=True)
class Corpus:
    """Rendered pictures ``(n, s, s, 3)`` uint8, a concept number for each, and tokens of each one's captions."""

    pixels: np.ndarray
    concepts: np.ndarray
    is_family: np.ndarray
    tokens: list[np.ndarray]


def prepare(backbone: OpenClipBackbone, cache: Path, progress: Progress, workers: int = 2) -> Corpus:
    """Render the corpus (kept in ``cache`` as one array) and tokenise its captions."""
    examples = world_corpus.corpus()
    pictures = [example.picture for example in examples]
    pixels = drawn(pictures, _render_plain, SIZE, cache, progress, "rendering the corpus", workers)
    names = sorted({example.concept for example in examples})
    number = {name: i for i, name in enumerate(names)}
    unique: dict[tuple[str, ...], np.ndarray] = {}
    for example in examples:
        if example.captions not in unique:
            unique[example.captions] = backbone._tokenizer(list(example.captions)).numpy().astype(np.int32)
    return Corpus(
        np.asarray(pixels),
        np.array([number[example.concept] for example in examples]),
        np.array([not example.picture.drawing.startswith("openmoji") or example.picture.variation >= 100
                  for example in examples]),
        [unique[example.captions] for example in examples],
    )  # fmt: skip


def _render_plain(picture: world_corpus.Picture) -> np.ndarray:
    return render(picture, world_corpus.STYLES)


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Small shifts, brightness and contrast, so that a picture is never seen twice alike (uint8 in and out)."""
    n, side = images.shape[0], images.shape[1]
    padded = F.pad(images.permute(0, 3, 1, 2).float(), (4, 4, 4, 4), mode="replicate")
    dx, dy = (torch.randint(0, 9, (n,), generator=generator) for _ in range(2))
    rows = (dy[:, None] + torch.arange(side))[:, None, :, None]
    columns = (dx[:, None] + torch.arange(side))[:, None, None, :]
    shifted = padded[torch.arange(n)[:, None, None, None], torch.arange(3)[None, :, None, None], rows, columns]
    gain = 0.75 + 0.5 * torch.rand((n, 1, 1, 1), generator=generator)
    lift = 40 * (torch.rand((n, 1, 1, 1), generator=generator) - 0.5)
    return (128 + (shifted - 128) * gain + lift).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


def contrastive_loss(logits: Tensor, concepts: Tensor) -> Tensor:
    """Symmetric cross-entropy of ``(n, n)`` logits; equal concepts share a row's mass equally."""
    same = (concepts[:, None] == concepts[None, :]).to(logits.dtype)
    target = same / same.sum(dim=1, keepdim=True)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def pretrain(out: Path, work: Path, settings: PretrainSettings, progress: Progress, device: str = "cpu") -> dict:
    """Train and write ``out`` (half precision, safetensors); ``work`` keeps the rendered corpus and the state.

    Returns what goes on the model's card: pictures, concepts, steps, seconds, last loss.
    """
    work = work / work_key(settings)
    torch.manual_seed(settings.seed)
    backbone = create("vlcl-mini/scratch", MODEL, None).to(device)
    data = prepare(backbone, work / "corpus.npy", progress)
    model = backbone.model
    with torch.no_grad():
        model.logit_scale.fill_(math.log(settings.initial_logit_scale))
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98), fused=True)
    first, elapsed = restore(work, {"model": model, "optimizer": optimizer})
    weights = sampling_weights(data, settings.family_share)
    bar = progress.add_task("pretraining", total=settings.steps, completed=first)
    started, loss = time.monotonic(), torch.tensor(math.nan)
    for step in range(first, settings.steps):
        rng = np.random.default_rng([settings.seed, step])
        rows = rng.choice(len(weights), settings.batch_size, p=weights)
        tokens = np.stack([data.tokens[row][rng.integers(len(data.tokens[row]))] for row in rows])
        tokens = tokens[:, : int(tokens.nonzero()[1].max()) + 1]
        images = augment(torch.from_numpy(data.pixels[rows]), torch.Generator().manual_seed(step)).to(device)
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * warm_up_then_cosine(step, settings.steps, settings.warmup)
        image = F.normalize(backbone.encode_image(backbone.preprocess(images)), dim=-1)
        text = F.normalize(backbone.encode_text(torch.from_numpy(tokens).long().to(device)), dim=-1)
        logits = model.logit_scale.exp() * image @ text.T
        loss = contrastive_loss(logits, torch.from_numpy(data.concepts[rows]).to(device))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=MAX_LOGIT_SCALE)
        progress.update(bar, completed=step + 1, description=f"pretraining, loss {loss.item():.3f}")
        if (step + 1) % settings.save_every == 0 or step + 1 == settings.steps:
            seconds = elapsed + time.monotonic() - started
            save_state(work, step + 1, seconds, {"model": model, "optimizer": optimizer})
            write_weights(out, backbone, data)
            scale = model.logit_scale.exp().item()
            progress.console.print(f"step {step + 1}: loss {loss.item():.3f}, scale {scale:.1f}, {seconds:.0f} s")
    write_weights(out, backbone, data)
    return {
        "pictures": len(data.concepts), "concepts": int(data.concepts.max()) + 1, "steps": settings.steps,
        "seconds": elapsed + time.monotonic() - started, "loss": loss.item(),
    }  # fmt: skip


def sampling_weights(data: Corpus, family_share: float) -> np.ndarray:
    """Draw families (tasks' kinds) with ``family_share``, all other emoji with the rest."""
    inside = data.is_family
    return np.where(inside, family_share / inside.sum(), (1 - family_share) / (~inside).sum())


def work_key(settings: PretrainSettings) -> str:
    """A folder's name for these settings and this corpus, so that nothing of another one is continued."""
    pictures = [example.picture.id for example in world_corpus.corpus()]
    styles = {name: asdict(style) for name, style in world_corpus.STYLES.items()}
    return sha256_text(canonical_json([asdict(settings), styles, pictures]))[:12]


def write_weights(out: Path, backbone: OpenClipBackbone, data: Corpus) -> None:
    """The checkpoint in half precision; rows of tokens that no caption holds are zero (they were never trained)."""
    state = {
        name: tensor.detach().to("cpu", torch.float16).contiguous()
        for name, tensor in backbone.model.state_dict().items()
    }
    seen = np.unique(np.concatenate([tokens.ravel() for tokens in {id(t): t for t in data.tokens}.values()]))
    mask = torch.zeros(state["token_embedding.weight"].shape[0], 1, dtype=torch.float16)
    mask[torch.from_numpy(seen).long()] = 1
    state["token_embedding.weight"] = state["token_embedding.weight"] * mask
    write_atomic(out, save(state))
