"""Which weights a backbone's name means, and with which activation they were trained.

OpenAI trained CLIP with QuickGELU, ``x * sigmoid(1.702 x)``; most later weights use the exact GELU. Both have the
same tensors, so weights load under either without an error and give worse features under the wrong one. open_clip
(3.3) only warns, and only for its own tags. Here every name is settled before anything is built: the activation of
the model's configuration must be the one that the weights were trained with, as far as that can be known from
open_clip's table of pretrained weights (by tag or by the file's hash), from the kind of file, or from a
configuration beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import open_clip
from torch import Tensor

from vlcl_bench.backbones.activation import (
    CONFIG_NAME,
    TWIN,
    has_quick_gelu,
    refuse_activation,
    require_activation,
    twin_of,
)
from vlcl_bench.backbones.identification import archived_state, identify
from vlcl_bench.backbones.names import advice, no_weights, other_weights
from vlcl_bench.common.fileio import read_json, refusal_in
from vlcl_bench.errors import IntegrityError, MachineError, UsageError

FOLDER_PREFIX = "local-dir:"
CHECKPOINTS = (
    "open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pth", "model.safetensors", "pytorch_model.bin", "pytorch_model.pth", "model.pth",
)  # fmt: skip
"""Checkpoints of a folder in the order in which open_clip takes them."""
PREPROCESSING = ("mean", "std", "interpolation", "resize_mode")


@dataclass(frozen=True)
class Weights:
    """Weights that are there: what they are called in records, open_clip's name of the model, and the file.

    ``quick_gelu`` is the activation of both the model and the weights; ``state`` are the tensors where the file is
    an archive as OpenAI publishes them; ``preprocess`` are entries of open_clip's preprocessing configuration.
    """

    known_as: str
    model: str
    checkpoint: Path
    quick_gelu: bool
    state: dict[str, Tensor] | None = None
    preprocess: dict[str, Any] = field(default_factory=dict)


def resolve(name: str) -> Weights:
    """What ``name`` means; tags are downloaded.

    Raises :class:`UsageError` for a name that means nothing or pairs a model with weights of another activation,
    :class:`MachineError` where weights cannot be downloaded.
    """
    model, _, weights = name.partition("/")
    if name.startswith(FOLDER_PREFIX):
        return of_folder(Path(name.removeprefix(FOLDER_PREFIX)).expanduser())
    if model not in open_clip.list_models():
        folder = Path(name).expanduser()
        if folder.is_dir() or (name.startswith((".", "~", "/")) and not folder.is_file()):
            return of_folder(folder)
        raise UsageError(f"unknown backbone {name!r}: neither a model of open_clip nor a folder", advice(name))
    tags = open_clip.list_pretrained_tags_by_model(model)
    if not weights:
        raise UsageError(f"backbone {name!r} names no weights", no_weights(model))
    if weights in tags:
        return of_tag(model, weights)
    path = Path(weights).expanduser()
    if path.is_dir():
        raise UsageError(
            f"backbone {name!r}: {weights} is a folder, which brings its own model",
            f"Write {FOLDER_PREFIX}{weights} alone, or name the checkpoint file in it.",
        )
    if path.is_file():
        return of_file(model, path)
    twin = twin_of(model)
    if twin and weights in open_clip.list_pretrained_tags_by_model(twin):
        quick = bool(open_clip.get_pretrained_cfg(twin, weights).get("quick_gelu", False))
        require_activation(model, weights, quick, f"open_clip's weights {weights!r}")
    raise UsageError(
        f"backbone {name!r}: {weights!r} is neither a checkpoint file nor weights that open_clip knows",
        other_weights(model, weights),
    )


def of_tag(model: str, tag: str) -> Weights:
    """Weights that open_clip knows by a tag, downloaded where they are not in a cache yet."""
    config = open_clip.get_pretrained_cfg(model, tag)
    quick = bool(config.get("quick_gelu", False))
    require_activation(model, tag, quick, f"open_clip's weights {tag!r}")
    path = download(model, tag, config)
    return Weights(f"{model}/{tag}", model, path, quick, archived_state(path), preprocessing(config))


def of_file(model: str, path: Path) -> Weights:
    """A checkpoint file for one of open_clip's models.

    Its activation is known if the file is one of open_clip's by its hash, if it is an archive as OpenAI publishes
    them, or if a configuration lies beside it; else the model's name is taken at its word.
    """
    tags = open_clip.list_pretrained_tags_by_model(model)
    file = identify(path)
    bases = sorted({known.removesuffix(TWIN) for known, _ in file.pairs})
    if tags and bases and model.removesuffix(TWIN) not in bases:
        raise UsageError(
            f"{path.name} is, by its SHA-256, {file.pairs[0][1]!r} of {' and '.join(bases)}, not weights of {model}",
            f"Write {file.pairs[-1][0]}/{path}.",
        )
    if file.quick_gelu is not None:
        require_activation(model, str(path), file.quick_gelu, f"{path.name}, {file.reason},")
    beside = path.parent / CONFIG_NAME
    if beside.is_file():
        quick = bool(_model_config(beside).get("quick_gelu", False))
        require_activation(model, str(path), quick, f"{path.name}, by the {CONFIG_NAME} beside it,")
    # A user's path has no place in records. The content is hashed there anyway.
    known_as = f"{model}/{path.name}" + (" (file)" if path.name in tags else "")
    # open_clip's own loader takes OpenAI's mean and deviation for any file; other families have their own.
    configs = [preprocessing(open_clip.get_pretrained_cfg(model, tag)) for tag in tags]
    agreed = configs[0] if configs and all(config == configs[0] for config in configs) else {}
    return Weights(known_as, model, path.absolute(), has_quick_gelu(model), file.state, agreed)


def of_folder(folder: Path) -> Weights:
    """A folder as the hub's download tool leaves it: configuration and checkpoint; the configuration decides."""
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}", f"Name a folder that holds {CONFIG_NAME} and a checkpoint.")
    if not (folder / CONFIG_NAME).is_file():
        raise UsageError(
            f"{folder} holds no {CONFIG_NAME}, so nothing says which model its weights belong to",
            "Fetch that file from where the weights came from, or write <model>/<checkpoint file>.",
        )
    quick = bool(_model_config(folder / CONFIG_NAME).get("quick_gelu", False))
    again = f"Fetch {CONFIG_NAME} and the weights again, from one place."
    for place in (folder / CONFIG_NAME, folder / "config.json"):
        said = read_json(place).get("pretrained_cfg") if place.is_file() else None
        if isinstance(said, dict) and "quick_gelu" in said:
            what = f"the weights in {folder}, by pretrained_cfg in {place.name},"
            refuse_activation(quick, bool(said["quick_gelu"]), what, again)
    path = _checkpoint(folder)
    file = identify(path)
    if file.quick_gelu is not None:
        refuse_activation(quick, file.quick_gelu, f"{path}, {file.reason},", again)
    known_as = f"{FOLDER_PREFIX}{folder.resolve().name}"
    return Weights(known_as, f"{FOLDER_PREFIX}{folder.absolute()}", path.absolute(), quick, file.state)


def preprocessing(config: dict[str, Any]) -> dict[str, Any]:
    """What a pretrained configuration says about pictures."""
    return {key: config[key] for key in PREPROCESSING if key in config}


def download(model: str, tag: str, config: dict[str, Any]) -> Path:
    """The file of a tag, from a cache or from the network; raises :class:`MachineError` where neither has it."""
    try:
        return Path(open_clip.download_pretrained(config))
    except Exception as error:  # whatever the hub's client raises
        if (refused := refusal_in(error)) is not None:
            raise refused from error
        reason = first_line(error)
    url = config.get("url", "")
    try:  # OpenAI's own package and older open_clips keep the archives here
        if url and (Path.home() / ".cache" / "clip" / url.rpartition("/")[2]).is_file():
            return Path(open_clip.download_pretrained(config, prefer_hf_hub=False))
    except Exception as error:
        reason = first_line(error)
    ways = []
    repo, _, file = config.get("hf_hub", "").rpartition("/")
    if repo:
        ways.append(f"`hf download {repo} --local-dir FOLDER` and then the backbone {FOLDER_PREFIX}FOLDER")
        ways.append(f"its file {file or CHECKPOINTS[0]} alone and then {model}/<path of the file>")
    if url:
        ways.append(f"{url} and then {model}/<path of {url.rpartition('/')[2]}>")
    raise MachineError(
        f"the weights of backbone '{model}/{tag}' are not on this machine and cannot be downloaded: {reason}",
        "Fetch them where there is a network, by one of: " + "; or ".join(ways) + ".",
    )


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its kind."""
    return str(error).partition("\n")[0] or type(error).__name__


def _model_config(path: Path) -> dict[str, Any]:
    config = read_json(path)
    if not isinstance(config, dict) or not isinstance(config.get("model_cfg"), dict):
        raise IntegrityError(f"{path} has no model_cfg", "Fetch it again from where the weights came from.")
    return config["model_cfg"]


def _checkpoint(folder: Path) -> Path:
    """The folder's checkpoint: one of the usual names, else the only one."""
    for name in CHECKPOINTS:
        if (folder / name).is_file():
            return folder / name
    files = sorted(path for kind in ("safetensors", "bin", "pth", "pt") for path in folder.glob(f"*.{kind}"))
    if len(files) == 1:
        return files[0]
    names = ", ".join(path.name for path in files) or "none"
    raise UsageError(
        f"{folder} must hold one checkpoint, such as {CHECKPOINTS[0]} or {CHECKPOINTS[2]}; found: {names}",
        "Fetch the weights too, or leave one of the files in the folder.",
    )
