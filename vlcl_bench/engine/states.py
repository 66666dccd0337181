"""States on the disk: without the weights that the backbone came with, and one file where nothing has changed.

A learner gives and takes whole states (the bytes of a safetensors file). Of these, tensors that equal one of the
pretrained backbone's, bit for bit, are not stored but named, with their hash, and filled in again when the state is
read. So a method that trains nothing leaves kilobytes, and a teacher that is the pretrained model none.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from vlcl_bench.common.fileio import canonical_json, sha256_bytes, sha256_file, sync_folder, write_atomic
from vlcl_bench.engine.footprint import TRAINED, trained_names
from vlcl_bench.errors import IntegrityError

STORED = "stored"
"""Entry of a stored state's metadata; whole states, and those of earlier versions, have :data:`TRAINED` instead."""
WORTH_NAMING = 512
"""Bytes of a tensor from which its name and hash are shorter than its values."""

HEAD = 64
"""Bytes at the beginning of a tensor."""

Weights = Callable[[], Mapping[str, torch.Tensor]]
Key = tuple[str, tuple[int, ...], str]
"""Type, shape and SHA-256 of a tensor's bytes."""


@dataclass(frozen=True)
class Original:
    """The weights that a backbone came with.

    ``names`` says which of its tensors has which content; ``sources`` give them by name, the first that still has them
    is taken (a method may have trained the one that is at hand).
    """

    names: Mapping[Key, str] = field(default_factory=dict)
    sources: Sequence[Weights] = ()
    heads: frozenset[bytes] = frozenset()
    """How the tensors begin: what was trained is told apart by that, and need not be hashed."""

    @classmethod
    def of(cls, weights: Mapping[str, torch.Tensor], sources: Sequence[Weights]) -> Original:
        """Of ``weights`` as they are now, which must be before a method has them."""
        opened = {name: _opened(_saved(tensor)) for name, tensor in weights.items()}
        heads = frozenset(bytes(one.bytes_of(_ALONE)[:HEAD]) for one in opened.values())
        return cls({one.key(_ALONE): name for name, one in opened.items()}, sources, heads)

    def name_of(self, opened: _Opened, name: str) -> tuple[str, Key] | None:
        """Which of the backbone's tensors a state's tensor equals, if it is worth naming."""
        data = opened.bytes_of(name)
        if len(data) < WORTH_NAMING or bytes(data[:HEAD]) not in self.heads:
            return None
        key = opened.key(name)
        return (self.names[key], key) if key in self.names else None

    def find(self, wanted: Mapping[str, Key]) -> dict[str, memoryview]:
        """The bytes of tensors by their name in the backbone; raises :class:`IntegrityError` where they are gone."""
        for source in self.sources:
            weights = source()
            if all(name in weights and key_of(weights[name]) == key for name, key in wanted.items()):
                return {name: _opened(_saved(weights[name])).bytes_of(_ALONE) for name in wanted}
        raise IntegrityError(
            "the state was saved by a run with other weights of the backbone than those that are loaded now",
            "Bring back the backbone's file as it was, or start the run again in another folder (--out).",
        )


_ALONE = "tensor"


def _saved(tensor: torch.Tensor) -> bytes:
    return save({_ALONE: tensor.detach().cpu().contiguous()})


def key_of(tensor: torch.Tensor) -> Key:
    """What a tensor is, as :class:`Original` finds it."""
    return _opened(_saved(tensor)).key(_ALONE)


@dataclass(frozen=True)
class _Opened:
    """A safetensors file in memory: the header's entry of each tensor, and the bytes behind the header."""

    entries: dict[str, dict[str, Any]]
    metadata: dict[str, str]
    body: memoryview

    def bytes_of(self, name: str) -> memoryview:
        begin, end = self.entries[name]["data_offsets"]
        return self.body[begin:end]

    def key(self, name: str) -> Key:
        entry = self.entries[name]
        return entry["dtype"], tuple(entry["shape"]), sha256_bytes(self.bytes_of(name))


def _opened(data: bytes) -> _Opened:
    """Raises ``ValueError`` where ``data`` cannot be a safetensors file."""
    end = 8 + int.from_bytes(data[:8], "little")
    try:
        entries = json.loads(data[8:end])
        metadata = entries.pop("__metadata__", None) or {}
        body = memoryview(data)[end:]
        if any(not 0 <= e["data_offsets"][0] <= e["data_offsets"][1] <= len(body) for e in entries.values()):
            raise ValueError("it is too short")
    except (AttributeError, TypeError, KeyError, IndexError, UnicodeDecodeError) as error:
        raise ValueError(f"its header cannot be read: {error}") from error
    return _Opened(entries, metadata, body)


def _joined(parts: Mapping[str, tuple[str, Sequence[int], memoryview]], metadata: Mapping[str, str]) -> bytes:
    """A safetensors file of tensors, each with type, shape and bytes, in this order."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    place = 0
    for name, (dtype, shape, data) in parts.items():
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [place, place := place + len(data)]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the tensors begin at a multiple of 8
    return b"".join([len(text).to_bytes(8, "little"), text, *(data for _, _, data in parts.values())])


def stored_form(state: bytes, original: Original) -> bytes:
    """A whole state as it is stored: without the tensors that the backbone came with."""
    opened = _opened(state)
    kept: dict[str, tuple[str, Sequence[int], memoryview]] = {}
    named: dict[str, list[Any]] = {}
    for name, entry in opened.entries.items():
        found = original.name_of(opened, name)
        if found is None:
            kept[name] = entry["dtype"], entry["shape"], opened.bytes_of(name)
        else:
            named[name] = [found[0], *found[1]]
    facts = {"trained": trained_names(state), "as_in_backbone": named}
    return _joined(kept, {STORED: canonical_json(facts)})


def whole_state(stored: bytes, original: Original) -> bytes:
    """The whole state of what :func:`stored_form` gave, or of a state that was stored whole.

    Raises ``ValueError`` where it is neither, :class:`IntegrityError` where the backbone has other weights now.
    """
    opened = _opened(stored)
    if TRAINED in opened.metadata:
        return stored
    if STORED not in opened.metadata:
        raise ValueError("it is no state of a method: it does not say what was trained")
    try:
        facts = json.loads(opened.metadata[STORED])
        named = {name: (own, (dtype, tuple(shape), sha)) for name, (own, dtype, shape, sha)
                 in facts["as_in_backbone"].items()}  # fmt: skip
        trained = "\n".join(facts["trained"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"what it says of itself cannot be read: {error}") from error
    found = original.find(dict(named.values()))
    parts = {name: (e["dtype"], e["shape"], opened.bytes_of(name)) for name, e in opened.entries.items()}
    parts |= {name: (key[0], key[1], found[own]) for name, (own, key) in named.items()}
    # Types of wide values first, as safetensors writes them, so that every tensor lies where its type wants it.
    order = sorted(parts, key=lambda name: (-bits(parts[name][0]), name))
    return _joined({name: parts[name] for name in order}, {TRAINED: trained})


def bits(dtype: str) -> int:
    """Of a value of one of safetensors' types, such as ``F32``, ``BF16``, ``F8_E4M3`` or ``BOOL``."""
    found = re.search("[0-9]+", dtype)
    return int(found[0]) if found else 8


def keep_state(path: Path, stored: bytes, twin: Path | None = None) -> str:
    """Write a stored state and return its SHA-256.

    Where the file ``twin``, an earlier stage's, has the same content, ``path`` becomes another name of it: the content
    stays until the last of its names is deleted. File systems without such names get a copy.
    """
    digest = sha256_bytes(stored)
    if twin is not None and twin.is_file() and sha256_file(twin) == digest:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            os.link(twin, path)
            sync_folder(path.parent)
            return digest
        except OSError:
            pass
    write_atomic(path, stored)
    return digest
