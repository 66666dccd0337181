"""Are the mini diffusion model's pictures recognisable? Judged by the mini CLIP, and by a classifier of real pictures.

Both choose among twenty names of one category, the prompted one and nineteen drawn at random (chance 5 %); real
pretraining pictures take the same test.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from rich.progress import Progress
from torch import Tensor, nn

from vlcl_bench.backbones import load_backbone
from vlcl_bench.common.fileio import write_atomic
from vlcl_bench.mini.diffusion.names import examples, names, names_by_category
from vlcl_bench.mini.diffusion.pipeline import SIDE
from vlcl_bench.mini.diffusion.training import pictures
from vlcl_bench.mini.renditions import SIZE
from vlcl_bench.synthesis.generator import Generator, Recipe
from vlcl_bench.synthesis.prompts import BASE_TEMPLATE, Ordered

MINI_BACKBONE = "vlcl-mini/v1"
CANDIDATES = 20
HELD = 10
"""Every tenth real picture is held back from the classifier."""
SHEET_NAMES = 8
"""Names of each category on the contact sheet."""


@dataclass(frozen=True)
class Recognised:
    """Percent of pictures whose name is picked among twenty of its category, and of how many."""

    by_clip: float
    by_classifier: float
    real_by_clip: float
    real_by_classifier: float
    pictures: int
    by_category: dict[str, float]


def check(work: Path, per_name: int, recipe: Recipe, progress: Progress, sheet: Path | None = None) -> Recognised:
    """Make ``per_name`` pictures of each name with one seed after the other, and have them judged.

    ``work`` keeps the real pictures; ``sheet`` is a PNG to write with made pictures and the nearest real ones.
    """
    real, shown = pictures(work / "pictures.npy", progress), [example.concept for example in examples()]
    wanted = [name for name in names() for _ in range(per_name)]
    orders = [Ordered(BASE_TEMPLATE.replace("{c}", name), 1_000 + k) for k, name in enumerate(wanted)]
    generator, made = Generator(recipe, torch.device("cpu")), []
    bar = progress.add_task("making pictures", total=len(orders))
    for start in range(0, len(orders), 50):
        made += generator.make(orders[start : start + 50])
        progress.update(bar, completed=len(made))
    rng = np.random.default_rng(0)
    of_name: dict[str, list[int]] = {}
    for row in range(0, len(real), HELD):
        of_name.setdefault(shown[row], []).append(row)
    real_names = [name for name in wanted if name in of_name]  # each as often as among the made ones
    held = [int(rng.choice(of_name[name])) for name in real_names]
    classifier = train_classifier(real, shown, progress)
    rivals = candidates(wanted, rng)
    real_rivals = candidates(real_names, rng)
    clip = picked(clip_scores(np.stack(made)), wanted, rivals)
    by_category = {
        kind: float(100 * clip[[i for i, name in enumerate(wanted) if name in own]].mean())
        for kind, own in names_by_category().items()
    }
    if sheet is not None:
        write_sheet(sheet, np.stack(made), wanted, per_name, real)
    return Recognised(
        float(100 * clip.mean()),
        float(100 * picked(classifier(np.stack(made)), wanted, rivals).mean()),
        float(100 * picked(clip_scores(real[held]), real_names, real_rivals).mean()),
        float(100 * picked(classifier(real[held]), real_names, real_rivals).mean()),
        len(wanted),
        by_category,
    )


def candidates(wanted: Sequence[str], rng: np.random.Generator) -> list[list[str]]:
    """For each name, twenty of its category with itself among them."""
    category = {name: own for own in names_by_category().values() for name in own}
    found = []
    for name in wanted:
        others = [other for other in category[name] if other != name]
        found.append([name, *rng.choice(others, CANDIDATES - 1, replace=False).tolist()])
    return found


def picked(scores: np.ndarray, wanted: Sequence[str], rivals: list[list[str]]) -> np.ndarray:
    """Whether each picture's own name has the best score ``(n, names)`` of its candidates."""
    place = {name: i for i, name in enumerate(names())}
    own = [scores[i, [place[name] for name in row]] for i, row in enumerate(rivals)]
    return np.array([row[0] > row[1:].max() for row in own])


@torch.no_grad()
def clip_scores(images: np.ndarray) -> np.ndarray:
    """Cosines ``(n, names)`` of the mini CLIP for pictures ``(n, 32, 32, 3)``, enlarged to its size."""
    backbone = load_backbone(MINI_BACKBONE).eval()
    texts = backbone.encode_text(backbone.tokenize([BASE_TEMPLATE.replace("{c}", name) for name in names()]))
    larger = np.stack(
        [np.asarray(Image.fromarray(image).resize((SIZE, SIZE), Image.Resampling.BICUBIC)) for image in images]
    )
    parts = [
        backbone.encode_image(backbone.preprocess(torch.from_numpy(larger[i : i + 256])))
        for i in range(0, len(larger), 256)
    ]
    return (F.normalize(torch.cat(parts), dim=-1) @ F.normalize(texts, dim=-1).T).numpy()


class Classifier:
    """A small convolutional network over all names that has seen real pictures only."""

    def __init__(self) -> None:
        def block(inputs: int, outputs: int) -> list[nn.Module]:
            return [nn.Conv2d(inputs, outputs, 3, 2, 1), nn.GroupNorm(8, outputs), nn.GELU()]

        torch.manual_seed(0)
        self.network = nn.Sequential(
            *block(3, 32), *block(32, 64), *block(64, 128), nn.Flatten(), nn.Dropout(0.3), nn.Linear(2048, len(names()))
        )

    def _inputs(self, images: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 127.5 - 1

    @torch.no_grad()
    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Logits ``(n, names)`` of pictures ``(n, 32, 32, 3)`` uint8."""
        self.network.eval()
        return self.network(self._inputs(images)).numpy()


def train_classifier(real: np.ndarray, shown: Sequence[str], progress: Progress, epochs: int = 8) -> Classifier:
    """Train on nine tenths of the real pictures, each name as often as any other."""
    found, place = Classifier(), {name: i for i, name in enumerate(names())}
    rows = np.array([row for row in range(len(real)) if row % HELD])
    labels = np.array([place[shown[row]] for row in rows])
    weights = 1 / np.bincount(labels, minlength=len(place))[labels]
    steps = epochs * len(rows) // 128
    optimizer = torch.optim.AdamW(found.network.parameters(), lr=2e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    bar = progress.add_task("training a classifier of real pictures", total=steps)
    found.network.train()
    for step in range(steps):
        drawn = np.random.default_rng(step).choice(len(rows), 128, p=weights / weights.sum())
        logits = found.network(found._inputs(real[rows[drawn]]))
        loss = F.cross_entropy(logits, torch.from_numpy(labels[drawn]), label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        progress.update(bar, completed=step + 1)
    return found


def write_sheet(path: Path, made: np.ndarray, wanted: Sequence[str], per_name: int, real: np.ndarray) -> Path:
    """Names in rows: pictures made of each, and right of the line the nearest real picture of each of them."""
    picked = [name for own in names_by_category().values() for name in _spread(own, SHEET_NAMES)]
    show, zoom, label = min(per_name, 4), 2, 130
    cell = SIDE * zoom + 4
    columns = 2
    height, width = (len(picked) // columns) * cell, columns * (label + 2 * show * cell + 16)
    canvas = Image.new("RGB", (width, height), "white")
    draw, flat = ImageDraw.Draw(canvas), real.reshape(len(real), -1).astype(np.float32)
    squares = (flat**2).sum(axis=1)
    for number, name in enumerate(picked):
        column, row = number % columns, number // columns
        left, top = column * (label + 2 * show * cell + 16), row * cell
        draw.text((left + 4, top + cell // 2 - 6), name, fill="black")
        start = wanted.index(name)
        for k in range(show):
            image = made[start + k]
            one = image.reshape(-1).astype(np.float32)
            nearest = real[int((squares - 2 * flat @ one).argmin())]
            for place, pixels in ((k, image), (show + k, nearest)):
                larger = Image.fromarray(pixels).resize((SIDE * zoom,) * 2, Image.Resampling.NEAREST)
                canvas.paste(larger, (left + label + place * cell + (8 if place >= show else 0), top + 2))
    buffer = io.BytesIO()
    canvas.save(buffer, "PNG", optimize=True)
    return write_atomic(path, buffer.getvalue())


def _spread(own: Sequence[str], count: int) -> list[str]:
    return [own[i * len(own) // count] for i in range(count)]
