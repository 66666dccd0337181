"""What a checkpoint file says of itself: by its hash, or by the kind of archive that it is."""

from __future__ import annotations

import re
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path

import open_clip
import torch
from torch import Tensor

from vlcl_bench.common.fileio import sha256_file
from vlcl_bench.errors import IntegrityError, UsageError

OPENAI_ENTRIES = {"input_resolution", "context_length", "vocab_size"}
"""What OpenAI's archives hold beside the tensors of the model."""


@dataclass(frozen=True)
class Identified:
    """What a checkpoint file says of itself: open_clip's models and tags that it is, and its activation, and why.

    ``state`` are the tensors of a TorchScript archive.
    """

    pairs: list[tuple[str, str]]
    state: dict[str, Tensor] | None
    quick_gelu: bool | None
    reason: str


def identify(path: Path) -> Identified:
    """Recognise a checkpoint by its hash, or as an archive as OpenAI publishes them.

    Raises :class:`UsageError` for a TorchScript archive of another kind, :class:`IntegrityError` for a damaged one.
    """
    pairs, state = matches(path), archived_state(path)
    if pairs:
        quick = bool(open_clip.get_pretrained_cfg(*pairs[0]).get("quick_gelu", False))
        return Identified(pairs, state, quick, f"by its SHA-256 open_clip's weights {pairs[0][1]!r}")
    reason = "a TorchScript archive with OpenAI's entries, such as OpenAI makes of its weights" if state else ""
    return Identified(pairs, state, True if state else None, reason)


def matches(path: Path) -> list[tuple[str, str]]:
    """Models and tags of open_clip's whose published file this is, by its SHA-256.

    OpenAI's addresses contain the whole hash, those of open_clip's own releases its first eight digits.
    """
    digests = {pair: published_digest(open_clip.get_pretrained_url(*pair)) for pair in open_clip.list_pretrained()}
    if not any(digests.values()):
        return []
    whole = sha256_file(path)
    return [pair for pair, digest in digests.items() if digest and whole.startswith(digest)]


def published_digest(url: str) -> str:
    """The SHA-256, or its beginning, that an address of published weights contains; else nothing."""
    whole = re.search(r"/([0-9a-f]{64})/[^/]+$", url)
    if whole:
        return whole[1]
    beginning = re.search(r"-([0-9a-f]{8})\.\w+$", url) if "mlfoundations" in url else None
    return beginning[1] if beginning else ""


def archived_state(path: Path) -> dict[str, Tensor] | None:
    """The tensors of a TorchScript archive with OpenAI's entries; ``None`` for a file of another kind.

    torch refuses to read these archives with ``weights_only``; ``torch.jit.load`` reads them without unpickling.
    """
    try:
        with zipfile.ZipFile(path) as archive:  # torch knows its archives by the same record
            if not any(name.endswith("/constants.pkl") for name in archive.namelist()):
                return None
    except (zipfile.BadZipFile, OSError):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript is deprecated, but OpenAI's archives remain what they are
            state = torch.jit.load(path, map_location="cpu").state_dict()
    except RuntimeError as error:
        raise IntegrityError(f"{path} does not load: {error}", "Fetch it again: it is damaged.") from error
    if not state.keys() >= OPENAI_ENTRIES:
        raise UsageError(
            f"{path} is a TorchScript archive, but not of OpenAI's kind (it lacks {', '.join(sorted(OPENAI_ENTRIES))})",
            "Save the model's state_dict() instead, with torch.save or safetensors.",
        )
    return {name: value for name, value in state.items() if name not in OPENAI_ENTRIES}
