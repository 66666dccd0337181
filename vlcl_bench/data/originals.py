"""Pictures as a source has them, before any transform: files, arrays, rows of a hub's table, drawings.

The content hash of a picture does not depend on where it lies. A JPEG's is over its bytes, since decoders differ
in the last bit (so do those of JPEG 2000 and AVIF); of everything else it is over the decoded pixels, and the same
picture has the same hash whether it comes from a PNG of the hub or from an array of the official archive.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vlcl_bench.common.fileio import sha256_bytes
from vlcl_bench.data.decoding import RESTORE, decode, examine
from vlcl_bench.errors import IntegrityError

LOSSY_STARTS = (b"\xff\xd8", b"\x00\x00\x00\x0cjP  ", b"\xff\x4f\xff\x51")
"""How JPEG and JPEG 2000 files begin."""


def is_lossy(data: bytes) -> bool:
    """Whether a picture file is of a format whose decoders may differ in the last bit: JPEG, JPEG 2000, AVIF."""
    return data.startswith(LOSSY_STARTS) or data[4:8] == b"ftyp"


class Examined(NamedTuple):
    """What looking at a picture gives: content hash, pixels ``(h, w, 3)`` uint8, whether EXIF data ask to turn it."""

    digest: str
    pixels: np.ndarray
    turned: bool = False


class Original(ABC):
    """One picture of a source. ``where`` says, to a person, which file or row it is; ``remedy`` how to fix it.

    ``accept`` is, of a picture of a protocol's own data set, the command by which a changed one becomes the right one.
    """

    where: str
    accept: str = ""
    archive_remedy = "Restore it from the official archive; `vlcl data verify` looks through the whole data set."

    @abstractmethod
    def load(self) -> tuple[str, np.ndarray]:
        """Content hash and decoded pixels ``(h, w, 3)`` uint8; :class:`IntegrityError` where it cannot be decoded."""

    def examine(self) -> Examined:
        """The same, with what else is worth knowing of the picture when it is looked at for the first time."""
        return Examined(*self.load())

    def digest(self) -> str:
        """The content hash alone, where that is cheaper than decoding."""
        return self.load()[0]

    @property
    def remedy(self) -> str:
        """What to do about a picture that is not the one that was described."""
        return (
            f"Put the earlier picture back; or accept the change: {self.accept}" if self.accept else self.archive_remedy
        )

    @property
    def restore(self) -> str:
        """Where a whole copy of a damaged picture is to be had."""
        return "Put a whole copy in its place, or take it away." if self.accept else RESTORE

    def verified(self, expected: str) -> np.ndarray:
        """The pixels, if their content is what a manifest says; else :class:`IntegrityError` with the place."""
        found, pixels = self.load()
        self.require(found, expected)
        return pixels

    def require(self, found: str, expected: str) -> None:
        """Raise :class:`IntegrityError` where the content hash is another than a manifest's."""
        if found != expected:
            raise IntegrityError(
                f"{self.where} is not the picture in the manifest: its content hash is {found[:12]}, "
                f"expected {expected[:12]}",
                self.remedy,
            )


def pixels_sha256(pixels: np.ndarray) -> str:
    """SHA-256 of decoded pixels ``(h, w, 3)`` uint8 (every picture of a set has a shape of its own, so it enters)."""
    return sha256_bytes(f"{pixels.shape[0]}x{pixels.shape[1]}:".encode() + np.ascontiguousarray(pixels).tobytes())


class EncodedOriginal(Original):
    """A picture in a picture file's format."""

    @abstractmethod
    def read(self) -> bytes:
        """The encoded bytes."""

    def load(self) -> tuple[str, np.ndarray]:
        """See :meth:`Original.load`."""
        data = self.read()
        pixels = decode(data, self.where, self.restore)
        return _content(data, pixels), pixels

    def examine(self) -> Examined:
        """See :meth:`Original.examine`; only the header is looked at once more."""
        data = self.read()
        pixels, turned = examine(data, self.where, self.restore)
        return Examined(_content(data, pixels), pixels, turned)

    def digest(self) -> str:
        """See :meth:`Original.digest`."""
        data = self.read()
        return sha256_bytes(data) if is_lossy(data) else pixels_sha256(decode(data, self.where, self.restore))


def _content(data: bytes, pixels: np.ndarray) -> str:
    return sha256_bytes(data) if is_lossy(data) else pixels_sha256(pixels)


@dataclass(frozen=True)
class FilePicture(EncodedOriginal):
    """A picture file on disk."""

    path: str
    accept: str = ""

    @property
    def where(self) -> str:  # type: ignore[override]
        """The file."""
        return self.path

    def read(self) -> bytes:
        """See :meth:`EncodedOriginal.read`."""
        try:
            return Path(self.path).read_bytes()
        except OSError as error:
            raise IntegrityError(f"{self.path} cannot be read: {error.strerror}", self.restore) from error


@dataclass(frozen=True)
class BytesPicture(EncodedOriginal):
    """An encoded picture that some table hands out, such as a row of a hub's parquet file."""

    where: str
    fetch: Callable[[], bytes]
    accept: str = ""

    def read(self) -> bytes:
        """See :meth:`EncodedOriginal.read`."""
        return self.fetch()


@dataclass(frozen=True, eq=False)
class ArrayPicture(Original):
    """A picture in an official archive of raw arrays (CIFAR, MNIST): ``(h, w)`` or ``(h, w, 3)`` uint8."""

    where: str
    array: np.ndarray
    accept: str = ""

    def load(self) -> tuple[str, np.ndarray]:
        """See :meth:`Original.load`."""
        pixels = self.array if self.array.ndim == 3 else np.repeat(self.array[:, :, None], 3, axis=2)
        return pixels_sha256(pixels), pixels
