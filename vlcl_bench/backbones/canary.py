"""Canaries: what a backbone says to 8 pictures and 8 texts that never change, compared with what it said before.

The hash of the weights does not say whether they are *run* correctly: another activation, half precision, other
normalisation or a changed library leave every tensor as it is. The canaries' embeddings show it. They are stored by the
weights' hash, in ``canaries/`` beside this file where they were computed by the project, else in the user's folder
at first use, and required from then on.

Nothing random is drawn, so no generator's state changes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from vlcl_bench.backbones.canary_samples import COUNT, TEXTS, pictures
from vlcl_bench.common.fileio import read_json, write_atomic
from vlcl_bench.errors import IntegrityError, UsageError

if TYPE_CHECKING:
    from vlcl_bench.backbones.base import Backbone

COMMITTED = Path(__file__).parent / "canaries"
TOLERANCE = 0.99995
"""The lowest cosine that passes, for a backbone in fp32.

It must lie between what may differ and what must not. Rounding to 4 decimals costs at most 1e-6 at 1,024 dimensions;
other processors, thread counts and batch splits in fp32 under 1e-6; ten bits of mantissa, as in fp16 and TF32, about
1e-6. On the mini CLIP bfloat16 costs 8e-5 and QuickGELU in the text tower alone 1.1e-4, which a looser bound such
as 0.999 would let pass.
"""
DECIMALS = 4
SETTINGS = ("activation", "image_size", "mean", "std")
"""What must be equal for the same weights, however little a difference would change the features."""
OWN_SOURCE = "source_sha256"
"""Under this key a canary says what the Python file of a user's own backbone said."""
RENEW = " If what it gives now is right, and you meant the change: vlcl backbones renew {}"
REASONS = (
    " Usual reasons: the other activation (QuickGELU or GELU), half precision or autocast, other normalisation or "
    "picture size, damaged weights, a faulty library."
)


@dataclass(frozen=True)
class CanaryResult:
    """How a check ended: ``known`` (compared with a committed canary), ``required`` (with one of an earlier first
    use) or ``first-use`` (nothing to compare with; written to ``path``). ``lowest`` is the lowest of 16 cosines.
    """

    status: Literal["known", "required", "first-use"]
    weights_sha256: str
    path: Path
    lowest: float | None


def embed(backbone: Backbone) -> tuple[np.ndarray, np.ndarray]:
    """Unit features of the pictures and of the texts, each ``(8, d)`` float32, in evaluation mode.

    Runs where the backbone is and in its precision. No mode or generator is left changed.
    """
    import torch

    first = next(backbone.parameters())
    training = [module for module in backbone.modules() if module.training]
    backbone.eval()
    try:
        with torch.no_grad():
            images = backbone.preprocess(torch.from_numpy(pictures(backbone.image_size)).to(first.device))
            features = (
                backbone.encode_image(images.to(first.dtype)),
                backbone.encode_text(backbone.tokenize(TEXTS).to(first.device)),
            )
    finally:
        for module in training:
            module.training = True
    shown, written = (torch.nn.functional.normalize(feature.float(), dim=-1).cpu().numpy() for feature in features)
    return shown, written


def weights_key(backbone: Backbone) -> str:
    """:func:`vlcl_bench.backbones.weights_sha256` of the weights as fp32: halving a model does not hide it."""
    import torch

    from vlcl_bench.backbones import tensors_sha256

    state = backbone.state_dict()
    if any(value.is_floating_point() and value.dtype != torch.float32 for value in state.values()):
        state = {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
    return tensors_sha256(state)


def write(backbone: Backbone, folder: Path) -> Path:
    """Compute the canaries and write ``<folder>/<first 16 digits of the weights' hash>.json``."""
    return _write(folder, describe(backbone, weights_key(backbone)), *embed(backbone))


def check(backbone: Backbone, folder: Path, weights_sha256: str | None = None) -> CanaryResult:
    """Compare a backbone with its stored canaries, or store them in the user's ``folder`` at first use.

    ``weights_sha256`` saves hashing an fp32 backbone's weights where that was just done.

    Raises :class:`IntegrityError` where a picture's or text's cosine to what is stored is below ``TOLERANCE``, where
    a setting of the model is another, where features are not finite, and where the name stands for weights other
    than those it stood for before (a name with a checkpoint file or folder may stand for several).
    """
    key = weights_sha256 or weights_key(backbone)
    path = COMMITTED / f"{key[:16]}.json"
    now = describe(backbone, key)
    shown, written = embed(backbone)
    if not (np.isfinite(shown).all() and np.isfinite(written).all()):
        raise IntegrityError(
            f"backbone {backbone.name!r} gives features that are not finite",
            "Its weights are damaged; fetch them again.",
        )
    status: Literal["known", "required"] = "known"
    if not path.exists():
        status, path = "required", folder / path.name
    if not path.exists():
        _refuse_other_weights(now, folder, RENEW.format(backbone.specification or backbone.name))
        return CanaryResult("first-use", key, _write(folder, now, shown, written), None)
    stored = read_json(path)
    again = RENEW.format(backbone.specification or backbone.name) if status == "required" else ""
    try:
        lowest = _compare(stored, now, {"images": shown, "texts": written}, path, again)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        hint = again or "Install the package again."
        raise IntegrityError(f"{path} is damaged: {error!r}", hint) from error
    return CanaryResult(status, key, path, lowest)


def renew(backbone: Backbone, folder: Path) -> Path:
    """Store what a backbone gives now in place of what its first use here stored; returns the new file.

    Raises :class:`UsageError` for weights that the project itself has canaries of: what they give does not change.
    """
    key = weights_key(backbone)
    if (COMMITTED / f"{key[:16]}.json").exists():
        raise UsageError(
            f"the canaries of backbone {backbone.name!r} are the project's own and are not renewed",
            "Where they do not fit, its weights or their surroundings are wrong; `vlcl doctor` says more.",
        )
    now = describe(backbone, key)
    shown, written = embed(backbone)
    outdated = [
        path for path in folder.glob("*.json") if now["pinned"] and read_json(path).get("backbone") == now["backbone"]
    ]
    path = _write(folder, now, shown, written)
    for other in outdated:
        if other != path:
            other.unlink()
    return path


def describe(backbone: Backbone, key: str) -> dict[str, Any]:
    """What the embeddings come from: names, settings that change them, and versions."""
    import open_clip
    import torch

    from vlcl_bench.backbones.clip import activation

    first = next(backbone.parameters())
    autocast = torch.is_autocast_enabled(first.device.type)
    own = {OWN_SOURCE: backbone.source_sha256} if backbone.source_sha256 else {}
    return {
        "backbone": backbone.name,
        "weights_sha256": key,
        "pinned": _is_pinned(backbone.name),
        "activation": activation(backbone),
        "precision": "autocast" if autocast else str(first.dtype).removeprefix("torch."),
        "image_size": backbone.image_size,
        "mean": list(backbone.mean),
        "std": list(backbone.std),
        "made_with": {"torch": torch.__version__, "open_clip": open_clip.__version__, "device": first.device.type},
        **own,
    }


def _is_pinned(name: str) -> bool:
    """Whether a name stands for the same weights everywhere: the mini CLIP's and open_clip's tags."""
    import open_clip

    from vlcl_bench.data.world import worlds

    model, _, tag = name.partition("/")
    return any(name in world.backbones() for world in worlds()) or tag in open_clip.list_pretrained_tags_by_model(model)


def _refuse_other_weights(now: Mapping[str, Any], folder: Path, again: str) -> None:
    """Refuse weights that nobody knows under a name whose weights are known."""
    if not now["pinned"]:
        return
    for path in (*sorted(COMMITTED.glob("*.json")), *sorted(folder.glob("*.json"))):
        stored = read_json(path)
        if stored.get("pinned") and stored["backbone"] == now["backbone"]:
            raise IntegrityError(
                f"the weights of backbone {now['backbone']!r} are not those it had before: SHA-256 "
                f"{now['weights_sha256'][:16]}…, expected {stored['weights_sha256'][:16]}… ({path})",
                "They are damaged, changed by their publisher, or in another precision; fetch them again."
                + ("" if path.parent == COMMITTED else again),
            )


def _compare(
    stored: Mapping[str, Any], now: Mapping[str, Any], features: Mapping[str, np.ndarray], path: Path, again: str
) -> float:
    """The lowest cosine of all; raises :class:`IntegrityError` where one is too low; ``again`` says how to renew."""
    if stored["weights_sha256"] != now["weights_sha256"]:
        raise ValueError("its weights_sha256 does not belong to its name")
    lowest, where = 1.0, ""
    for kind, found in features.items():
        expected = np.asarray(stored[kind], np.float32)
        if expected.shape != found.shape or not np.isfinite(expected).all():
            raise ValueError(f"{kind} have the shape {expected.shape}, not {found.shape}, or are not finite")
        norms = np.linalg.norm(expected, axis=1)
        if (abs(norms - 1) > 0.01).any():
            raise ValueError(f"{kind} are not unit vectors")
        cosines = (expected * found).sum(axis=1) / norms
        if cosines.min() < lowest:
            lowest, where = float(cosines.min()), f"{kind.removesuffix('s')} {int(cosines.argmin()) + 1} of {COUNT}"
    differing = {
        key: f"{key} was {stored.get(key)}, is {now[key]}"
        for key in (*SETTINGS, "precision", "made_with")
        if stored.get(key) != now[key]
    }
    if stored.get(OWN_SOURCE) != now.get(OWN_SOURCE):
        differing[OWN_SOURCE] = "the backbone's file says something else than it did"
    if lowest < TOLERANCE:
        raise IntegrityError(
            f"backbone {now['backbone']!r} has the right weights but does not give the right features: canary {where} "
            f"has a cosine of {lowest:.5f} to the one in {path}, expected at least {TOLERANCE}",
            (f"What differs: {'; '.join(differing.values())}." if differing else "")
            + ("" if OWN_SOURCE in differing else REASONS)
            + again,
        )
    if differing.keys() & set(SETTINGS):
        raise IntegrityError(
            f"backbone {now['backbone']!r} has the weights of the canaries in {path}, but is set up otherwise",
            f"What differs: {'; '.join(differing[key] for key in SETTINGS if key in differing)}.{again}",
        )
    return lowest


def _write(folder: Path, facts: Mapping[str, Any], images: np.ndarray, texts: np.ndarray) -> Path:
    """One line a fact and one line an embedding, so that a difference can be read.

    Raises :class:`IntegrityError` for embeddings that were not made in fp32.
    """
    if facts["precision"] != "float32":
        raise IntegrityError(
            f"backbone {facts['backbone']!r} runs in {facts['precision']} and has no canaries to be compared with",
            "Load it in fp32 once: canaries are written in fp32 only.",
        )
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in facts.items()]
    for kind, rows in (("images", images), ("texts", texts)):
        inner = ",\n".join(
            "    " + json.dumps([round(float(value), DECIMALS) + 0.0 for value in row], allow_nan=False) for row in rows
        )
        lines.append(f'  "{kind}": [\n{inner}\n  ]')
    path = folder / f"{facts['weights_sha256'][:16]}.json"
    return write_atomic(path, "{\n" + ",\n".join(lines) + "\n}\n")
