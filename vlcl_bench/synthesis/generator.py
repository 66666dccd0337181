"""A text-to-image pipeline of diffusers with all that decides a picture's pixels, and its name in a record."""

from __future__ import annotations

import functools
import random
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vlcl_bench.errors import MachineError, UsageError
from vlcl_bench.fileio import read_json, sha256_file, sha256_text
from vlcl_bench.synthesis.prompts import Ordered

MINI = "vlcl-mini-diffusion/v1"
MINI_FOLDER = Path(__file__).parent / "mini"
STABLE_DIFFUSION = "stable-diffusion-v1-5/stable-diffusion-v1-5"
FULL_STEPS = 50
"""From so many steps on a pipeline keeps its own scheduler; with fewer it gets DPM-Solver++."""
AT_ONCE = 8
"""Pictures in a pipeline's batch, always: in batches of another size the same picture may differ in its last bits."""
WEIGHTS = ("*.safetensors", "*.bin")
SETTINGS = ("*.json", "*.txt")


@dataclass(frozen=True)
class Recipe:
    """How pictures are made: the pipeline (a name of the hub, a folder, or the mini one), steps, guidance, pixels.

    ``guidance`` and ``size`` ``None`` are the pipeline's own. ``size`` is in pixels of a side.
    """

    pipeline: str = STABLE_DIFFUSION
    steps: int = FULL_STEPS
    guidance: float | None = None
    size: int | None = None

    def folder(self) -> Path:
        """Where the pipeline's files lie; on the full protocols they may have to come from the hub first.

        Raises :class:`MachineError` where they are neither here nor to be had.
        """
        if self.pipeline == MINI:
            if MINI_FOLDER.is_dir():
                return MINI_FOLDER
            raise MachineError(
                f"the mini diffusion model is not in this installation: there is no {MINI_FOLDER}",
                "Install the project again, or train it: vlcl world diffuse FOLDER --work WORK, then "
                "--set generator=FOLDER.",
            )
        if Path(self.pipeline).is_dir():
            return Path(self.pipeline)
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

        try:
            patterns = ["*.json", "*.txt", "*/*.safetensors", "*/*.json", "*/*.txt"]
            ignored = ["*.fp16.*", "*.non_ema.*"]
            return Path(snapshot_download(self.pipeline, allow_patterns=patterns, ignore_patterns=ignored))
        except (LocalEntryNotFoundError, OfflineModeIsEnabled, HfHubHTTPError, OSError, ValueError) as error:
            raise MachineError(
                f"the text-to-image pipeline {self.pipeline!r} is neither a folder nor to be had from the hub",
                "Give the folder of a copy: --set generator=FOLDER, or run once where the hub can be reached.",
            ) from error

    @property
    def name(self) -> str:
        """The pipeline's name in a record; a folder's place is nobody's business, its content has a hash."""
        return self.pipeline if self.pipeline == MINI or not Path(self.pipeline).is_dir() else "folder"

    def identity(self) -> str:
        """The recipe in a line, with the hash of the pipeline's files: part of a run's identity and a picture's key."""
        digest = folder_digest(self.folder())[:16]
        rest = [f"{self.steps} steps"]
        rest += [f"guidance {self.guidance:g}"] if self.guidance is not None else []
        rest += [f"{self.size} pixels"] if self.size is not None else []
        return f"{self.name} {digest}, {', '.join(rest)}"


def folder_digest(folder: Path) -> str:
    """SHA-256 over names and contents of a pipeline's files; raises :class:`UsageError` where it is no pipeline."""
    files = pipeline_files(folder, *WEIGHTS, *SETTINGS)
    return sha256_text("\n".join(f"{name} {_known_sha256(path, *_stamp(path))}" for name, path in files.items()))


def weight_bytes(folder: Path) -> int:
    """Size of a pipeline's weights on the disk."""
    return sum(path.stat().st_size for path in pipeline_files(folder, *WEIGHTS).values())


def pipeline_files(folder: Path, *patterns: str) -> dict[str, Path]:
    """The files of a pipeline by name; of the mini one also the weights of the text encoder that it borrows."""
    from vlcl_bench import backbones

    files = sorted({path for pattern in patterns for path in folder.rglob(pattern)})
    found = {path.relative_to(folder).as_posix(): path for path in files}
    borrowed = pipeline_index(folder).get("text_backbone")
    return found | ({borrowed: backbones.MINI_CHECKPOINT} if borrowed == backbones.MINI else {})


def pipeline_index(folder: Path) -> dict[str, Any]:
    """A pipeline's own description; raises :class:`UsageError` where the folder has none."""
    path = folder / "model_index.json"
    if not path.exists():
        raise UsageError(
            f"{folder} holds no pipeline of diffusers: there is no model_index.json",
            "Give a folder as save_pretrained or the hub's download tool leaves it.",
        )
    found = read_json(path)
    return found if isinstance(found, dict) else {}


def _stamp(path: Path) -> tuple[int, int]:
    """What of a file tells that it is still the same."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns


@functools.cache
def _known_sha256(path: Path, size: int, modified: int) -> str:
    """A file's hash; weights of gigabytes are read once, however many runs are planned."""
    return sha256_file(path)


@contextmanager
def chance_unmoved(device: torch.device) -> Iterator[None]:
    """Leave the global generators as they were: whether a picture is made or found must not be felt elsewhere."""
    plain, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield
    random.setstate(plain)
    np.random.set_state(numpy)


class Generator:
    """A loaded pipeline. On a GPU in half precision, on a CPU in single."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        self.identity = recipe.identity()
        self.bytes = weight_bytes(recipe.folder())
        self._pipeline: Any = None

    def pipeline(self) -> Any:
        """The pipeline, loaded when first needed; raises :class:`MachineError` where it cannot be."""
        if self._pipeline is None:
            self._pipeline = load_pipeline(self.recipe, self.device)
        return self._pipeline

    def make(self, orders: Sequence[Ordered]) -> list[np.ndarray]:
        """Pictures ``(h, w, 3)`` uint8, each from its own seed, so that none depends on the others."""
        settings: dict[str, Any] = {"num_inference_steps": self.recipe.steps, "output_type": "np"}
        if self.recipe.guidance is not None:
            settings["guidance_scale"] = self.recipe.guidance
        if self.recipe.size is not None:
            settings |= {"height": self.recipe.size, "width": self.recipe.size}
        made: list[np.ndarray] = []
        with torch.inference_mode(), chance_unmoved(self.device):
            for start in range(0, len(orders), AT_ONCE):
                part = orders[start : start + AT_ONCE]
                whole = [*part, *[part[-1]] * (AT_ONCE - len(part))]
                # On the CPU: the noise is then the same on every device.
                seeds = [torch.Generator().manual_seed(order.seed) for order in whole]
                found = self.pipeline()(prompt=[order.prompt for order in whole], generator=seeds, **settings)
                made += [(np.asarray(image) * 255).round().astype(np.uint8) for image in found.images[: len(part)]]
        return made


def load_pipeline(recipe: Recipe, device: torch.device) -> Any:
    """The pipeline on the device; with fewer than :data:`FULL_STEPS` steps under DPM-Solver++ (Lu et al., 2022)."""
    from diffusers import DiffusionPipeline, DPMSolverMultistepScheduler
    from diffusers.utils import logging
    from transformers.utils import logging as further_logging

    logging.disable_progress_bar()
    further_logging.disable_progress_bar()
    folder = recipe.folder()
    cls: Any = DiffusionPipeline
    if pipeline_index(folder).get("_class_name") == "MiniTextToImagePipeline":
        from vlcl_bench.synthesis.mini_pipeline import MiniTextToImagePipeline

        cls = MiniTextToImagePipeline
    precision = torch.float16 if device.type == "cuda" else torch.float32
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # the older name of a setting, for older versions' sake
            pipeline = cls.from_pretrained(
                folder, torch_dtype=precision, local_files_only=True, low_cpu_mem_usage=False
            )
    except Exception as error:  # diffusers, transformers and safetensors raise many kinds
        raise MachineError(
            f"the pipeline in {folder} does not load: {(str(error) or type(error).__name__).splitlines()[0]}",
            "Is the copy whole? `transformers` and `diffusers` of the lock file must be installed.",
        ) from error
    if recipe.steps < FULL_STEPS:
        pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device)
