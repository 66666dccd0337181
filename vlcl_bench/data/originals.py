"""Pictures as a source has them, before any transform: files, arrays, rows of a hub's table, drawings.

The content hash of a picture does not depend on where it lies. A JPEG's is over its bytes, since decoders differ
in the last bit; everything else is lossless, so there it is over the decoded pixels, and the same picture has the
same hash whether it comes from a PNG of the hub or from an array of the official archive.
"""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from vlcl_bench.common.fileio import sha256_bytes
from vlcl_bench.errors import IntegrityError

JPEG_START = b"\xff\xd8"


class Original(ABC):
    """One picture of a source. ``where`` says, to a person, which file or row it is; ``remedy`` how to fix it."""

    where: str
    remedy: ClassVar[str] = "Restore it from the official archive; `vlcl data verify` looks through the whole data set."

    @abstractmethod
    def load(self) -> tuple[str, np.ndarray]:
        """Content hash and decoded pixels ``(h, w, 3)`` uint8; :class:`IntegrityError` where it cannot be decoded."""

    def digest(self) -> str:
        """The content hash alone, where that is cheaper than decoding."""
        return self.load()[0]

    def verified(self, expected: str) -> np.ndarray:
        """The pixels, if their content is what a manifest says; else :class:`IntegrityError` with the place."""
        found, pixels = self.load()
        if found != expected:
            raise IntegrityError(
                f"{self.where} is not the picture in the manifest: its content hash is {found[:12]}, "
                f"expected {expected[:12]}",
                self.remedy,
            )
        return pixels


def pixels_sha256(pixels: np.ndarray) -> str:
    """SHA-256 of decoded pixels ``(h, w, 3)`` uint8 (every picture of a set has a shape of its own, so it enters)."""
    return sha256_bytes(f"{pixels.shape[0]}x{pixels.shape[1]}:".encode() + np.ascontiguousarray(pixels).tobytes())


def decode(data: bytes, where: str) -> np.ndarray:
    """RGB pixels of an encoded picture; :class:`IntegrityError` naming it where it is cut short or no picture."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image.convert("RGB"))
    except Exception as error:  # Pillow raises many kinds, SyntaxError and struct.error among them
        raise IntegrityError(
            f"{where} cannot be decoded: {error} ({len(data)} bytes)",
            "It was cut short or damaged; restore it from the official archive.",
        ) from error


class EncodedOriginal(Original):
    """A picture in a picture file's format."""

    @abstractmethod
    def read(self) -> bytes:
        """The encoded bytes."""

    def load(self) -> tuple[str, np.ndarray]:
        """See :meth:`Original.load`."""
        data = self.read()
        pixels = decode(data, self.where)
        return (sha256_bytes(data) if data.startswith(JPEG_START) else pixels_sha256(pixels)), pixels

    def digest(self) -> str:
        """See :meth:`Original.digest`."""
        data = self.read()
        return sha256_bytes(data) if data.startswith(JPEG_START) else pixels_sha256(decode(data, self.where))


@dataclass(frozen=True)
class FilePicture(EncodedOriginal):
    """A picture file on disk."""

    path: str

    @property
    def where(self) -> str:  # type: ignore[override]
        """The file."""
        return self.path

    def read(self) -> bytes:
        """See :meth:`EncodedOriginal.read`."""
        try:
            return Path(self.path).read_bytes()
        except OSError as error:
            raise IntegrityError(
                f"{self.path} cannot be read: {error.strerror}", "Restore it from the official archive."
            ) from error


@dataclass(frozen=True)
class BytesPicture(EncodedOriginal):
    """An encoded picture that some table hands out, such as a row of a hub's parquet file."""

    where: str
    fetch: Callable[[], bytes]

    def read(self) -> bytes:
        """See :meth:`EncodedOriginal.read`."""
        return self.fetch()


@dataclass(frozen=True, eq=False)
class ArrayPicture(Original):
    """A picture in an official archive of raw arrays (CIFAR, MNIST): ``(h, w)`` or ``(h, w, 3)`` uint8."""

    where: str
    array: np.ndarray

    def load(self) -> tuple[str, np.ndarray]:
        """See :meth:`Original.load`."""
        pixels = self.array if self.array.ndim == 3 else np.repeat(self.array[:, :, None], 3, axis=2)
        return pixels_sha256(pixels), pixels
