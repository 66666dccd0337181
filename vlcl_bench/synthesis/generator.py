"""A text-to-image pipeline of diffusers with all that decides a picture's pixels, and its name in a record."""

from __future__ import annotations

import functools
import gc
import os
import random
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vlcl_bench.common.fileio import read_json, refusal_in, sha256_file, sha256_text
from vlcl_bench.data.world import worlds
from vlcl_bench.errors import MachineError, UsageError, VlclError
from vlcl_bench.synthesis.prompts import Ordered

FULL_STEPS = 50
"""From so many steps on a pipeline keeps its own scheduler; with fewer it gets DPM-Solver++ where it can."""
AT_ONCE = 8
"""Pictures in a pipeline's batch, always: in batches of another size the same picture may differ in its last bits."""
WEIGHTS = ("*.safetensors", "*.bin")
SETTINGS = ("*.json", "*.txt", "*.model")
UNUSED = ("*.fp16.*", "*.non_ema.*")
"""Twins of a pipeline's files that are not read."""
ELSEWHERE = "Try another --device, or a smaller pipeline: --set generator=FOLDER."


@dataclass(frozen=True)
class Recipe:
    """How pictures are made: the pipeline (see below), steps, guidance, pixels.

    The pipeline is one that comes with a world, a folder, or a name of the hub, also as ``NAME@REVISION``. ``guidance``
    and ``size`` ``None`` are the pipeline's own. ``size`` is in pixels of a side.
    """

    pipeline: str
    steps: int = FULL_STEPS
    guidance: float | None = None
    size: int | None = None

    def folder(self) -> Path:
        """Where the pipeline's files lie; on the full protocols they may have to come from the hub first.

        Raises :class:`MachineError` where they are not here and could not be obtained.
        """
        shipped = shipped_pipelines().get(self.pipeline)
        if shipped is not None:
            if shipped.is_dir():
                return shipped
            raise MachineError(
                f"the text-to-image model {self.pipeline!r} is not in this installation: there is no {shipped}",
                "Install the project again, or name another: --set generator=FOLDER.",
            )
        return self._place if self._place.is_dir() else downloaded(self.pipeline)

    @property
    def _place(self) -> Path:
        """The folder that the pipeline would be, ``~`` standing for the user's own."""
        return Path(os.path.expanduser(self.pipeline))

    @property
    def name(self) -> str:
        """The pipeline's name in a record; a folder's place is nobody's business, its content has a hash."""
        return self.pipeline if self.pipeline in shipped_pipelines() or not self._place.is_dir() else "folder"

    def identity(self) -> str:
        """The recipe in a line, with the hash of the pipeline's files: part of a run's identity and a picture's key."""
        digest = folder_digest(self.folder())[:16]
        rest = [f"{self.steps} steps"]
        rest += [f"guidance {self.guidance:g}"] if self.guidance is not None else []
        rest += [f"{self.size} pixels"] if self.size is not None else []
        return f"{self.name} {digest}, {', '.join(rest)}"


def shipped_pipelines() -> dict[str, Path]:
    """The pipelines that come with the installed worlds."""
    return {name: folder for world in worlds() for name, folder in world.pipelines().items()}


@functools.cache
def downloaded(pipeline: str) -> Path:
    """The files of a pipeline of the hub, ``NAME`` or ``NAME@REVISION``; the hub is asked once in a process.

    Raises :class:`MachineError` where they could not be obtained.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    name, _, revision = pipeline.partition("@")
    wanted = ["*/*.safetensors", *SETTINGS]
    try:
        folder = snapshot_download(name, revision=revision or None, allow_patterns=wanted, ignore_patterns=list(UNUSED))
    except Exception as error:
        if (refused := refusal_in(error)) is not None:
            raise refused from error
        expected = LocalEntryNotFoundError, OfflineModeIsEnabled, HfHubHTTPError, OSError, ValueError
        # The hub's library has changed its web client more than once (requests, httpx, httpx2).
        web = any(kind.__module__.startswith("httpx") for kind in type(error).__mro__)
        if not web and not isinstance(error, expected):
            raise
        raise MachineError(
            f"the text-to-image pipeline {pipeline!r} is no folder and could not be obtained from the hub",
            "Give the folder of a copy: --set generator=FOLDER, or run once where the hub can be reached.",
        ) from error
    return Path(folder)


def folder_digest(folder: Path) -> str:
    """SHA-256 over names and contents of a pipeline's files; raises :class:`UsageError` where it is no pipeline."""
    files = pipeline_files(folder, *WEIGHTS, *SETTINGS)
    return sha256_text("\n".join(f"{name} {_known_sha256(path, *_stamp(path))}" for name, path in files.items()))


def weight_bytes(folder: Path) -> int:
    """Size of a pipeline's weights on the disk."""
    return sum(path.stat().st_size for path in pipeline_files(folder, *WEIGHTS).values())


def pipeline_files(folder: Path, *patterns: str) -> dict[str, Path]:
    """The files of a pipeline by name, with the weights of a text encoder that it borrows from a world's backbone."""
    files = sorted({path for pattern in patterns for path in folder.rglob(pattern) if not _unused(path, folder)})
    by_name = {path.relative_to(folder).as_posix(): path for path in files}
    borrowed = pipeline_index(folder).get("text_backbone")
    of_worlds = {name: path for world in worlds() for name, path in world.checkpoints().items() if name == borrowed}
    return by_name | of_worlds


def _unused(path: Path, folder: Path) -> bool:
    """Whether diffusers leaves a file alone: other precisions, weights beside the parts, twins of safetensors."""
    if any(path.match(pattern) for pattern in UNUSED):
        return True
    if path.suffix not in (".bin", ".safetensors"):
        return False
    # transformers calls the same weights pytorch_model.bin and model.safetensors.
    twin = path.with_name(f"{path.stem.removeprefix('pytorch_')}.safetensors")
    return path.parent == folder or (path.suffix == ".bin" and twin.exists())


def pipeline_index(folder: Path) -> dict[str, Any]:
    """A pipeline's own description; raises :class:`UsageError` where the folder has none."""
    path = folder / "model_index.json"
    if not path.exists():
        raise UsageError(
            f"{folder} holds no pipeline of diffusers: there is no model_index.json",
            "Give a folder as save_pretrained or the hub's download tool leaves it.",
        )
    index = read_json(path)
    return index if isinstance(index, dict) else {}


def _stamp(path: Path) -> tuple[int, int]:
    """What of a file says that it is still the same."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


@functools.cache
def _known_sha256(path: Path, size: int, modified: int) -> str:
    """A file's hash; weights of gigabytes are read once, however many runs are planned."""
    return sha256_file(path)


@contextmanager
def random_state_kept(device: torch.device) -> Iterator[None]:
    """Leave the global generators as they were: whether a picture is made or found must not be felt elsewhere."""
    plain, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield
    random.setstate(plain)
    np.random.set_state(numpy)


@contextmanager
def quiet() -> Iterator[None]:
    """The loggers of diffusers and transformers print errors only; afterwards what they printed before."""
    from diffusers.utils import logging
    from transformers.utils import logging as further_logging

    levels = logging.get_verbosity(), further_logging.get_verbosity()
    logging.set_verbosity_error()
    further_logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(levels[0])
        further_logging.set_verbosity(levels[1])


@contextmanager
def pipeline_errors(what: str, hint: str) -> Iterator[None]:
    """Turn what a pipeline raises into a :class:`MachineError`: diffusers and its companions raise many kinds."""
    try:
        yield
    except VlclError:
        raise
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        full = isinstance(error, torch.OutOfMemoryError | MemoryError) or "allocate memory" in reason
        raise MachineError(f"{what}: {reason}", f"The memory is full. {ELSEWHERE}" if full else hint) from error


class Generator:
    """A loaded pipeline. On a GPU in half precision, on a CPU in single.

    ``identity`` is the recipe's, and says so where the pictures are made in half precision.
    """

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        self.identity = recipe.identity() + (", half precision" if device.type == "cuda" else "")
        self.bytes = weight_bytes(recipe.folder())
        self._pipeline: Any = None

    def pipeline(self) -> Any:
        """The pipeline, loaded when first needed; raises :class:`MachineError` where it cannot be."""
        if self._pipeline is None:
            self._pipeline = load_pipeline(self.recipe, self.device)
        return self._pipeline

    def release(self) -> None:
        """Leave the memory of a GPU to the method once a set is there; the next picture loads the pipeline again."""
        if self._pipeline is not None and self.device.type == "cuda":
            self._pipeline = None
            gc.collect()
            torch.cuda.empty_cache()

    def make(self, orders: Sequence[Ordered]) -> list[np.ndarray]:
        """Pictures ``(h, w, 3)`` uint8, each from its own seed, so that none depends on the others.

        Raises :class:`MachineError` where the pipeline fails or the memory is too small.
        """
        settings: dict[str, Any] = {"num_inference_steps": self.recipe.steps, "output_type": "np"}
        if self.recipe.guidance is not None:
            settings["guidance_scale"] = self.recipe.guidance
        if self.recipe.size is not None:
            settings |= {"height": self.recipe.size, "width": self.recipe.size}
        made: list[np.ndarray] = []
        failed = f"the pipeline {self.recipe.pipeline} made no pictures"
        hint = f"Does it make pictures of a text alone, {AT_ONCE} at once? Fewer would be other pictures. {ELSEWHERE}"
        with torch.inference_mode(), random_state_kept(self.device), quiet(), pipeline_errors(failed, hint):
            for start in range(0, len(orders), AT_ONCE):
                part = orders[start : start + AT_ONCE]
                whole = [*part, *[part[-1]] * (AT_ONCE - len(part))]
                # On the CPU: the noise is then the same on every device.
                seeds = [torch.Generator().manual_seed(order.seed) for order in whole]
                answer = self.pipeline()(prompt=[order.prompt for order in whole], generator=seeds, **settings)
                made += [(np.asarray(image) * 255).round().astype(np.uint8) for image in answer.images[: len(part)]]
        return made


def load_pipeline(recipe: Recipe, device: torch.device) -> Any:
    """The pipeline on the device; with fewer than :data:`FULL_STEPS` steps under DPM-Solver++ (Lu et al., 2022).

    A pipeline whose scheduler DPM-Solver++ cannot replace (flow matching, distilled models) keeps its own. Raises
    :class:`MachineError` where it does not load.
    """
    from diffusers import DiffusionPipeline, DPMSolverMultistepScheduler
    from diffusers.utils import logging
    from transformers.utils import logging as further_logging

    logging.disable_progress_bar()
    further_logging.disable_progress_bar()
    folder = recipe.folder()
    kinds = {name: kind for world in worlds() for name, kind in world.pipeline_classes().items()}
    kind = kinds.get(str(pipeline_index(folder).get("_class_name")))
    cls: Any = DiffusionPipeline if kind is None else kind()
    precision = torch.float16 if device.type == "cuda" else torch.float32
    whole = "Is the copy whole? `transformers` and `diffusers` of the lock file must be installed."
    with quiet(), warnings.catch_warnings(), pipeline_errors(f"the pipeline in {folder} does not load", whole):
        warnings.simplefilter("ignore", FutureWarning)  # the older name of a setting, for older versions' sake
        pipeline = cls.from_pretrained(folder, torch_dtype=precision, local_files_only=True, low_cpu_mem_usage=False)
        scheduler: Any = getattr(pipeline, "scheduler", None)
        if recipe.steps < FULL_STEPS and DPMSolverMultistepScheduler in getattr(scheduler, "compatibles", ()):
            pipeline.scheduler = DPMSolverMultistepScheduler.from_config(scheduler.config)
        pipeline.set_progress_bar_config(disable=True)
        if device.type == "cuda" and hasattr(getattr(pipeline, "vae", None), "enable_slicing"):
            pipeline.vae.enable_slicing()
        return pipeline.to(device)
