"""From a picture file's bytes to 8-bit RGB, or to an error that says why not.

What Pillow delivers in eight bits a channel is taken through its own ``convert("RGB")``: grey is repeated, palettes
are looked up, transparency is dropped (the colour below it shows), CMYK and YCbCr are converted, of an animation the
first picture counts. Sixteen bits a pixel are scaled, which Pillow does not do: its ``convert`` cuts off everything
above 255. The upper eight bits are taken, as Pillow does itself for sixteen bits in each colour, so that a grey picture
and the same picture saved in colour are equal; the nearest eight-bit value would differ by one at the most. Where a
file does not say what its largest value is (floats, 32-bit and signed numbers), the picture is refused.
"""

from __future__ import annotations

import io
from functools import cache
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from vlcl_bench.errors import IntegrityError, MachineError, VlclError

EIGHT_BITS = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"})
"""Modes that ``convert("RGB")`` brings to RGB rightly."""
SIXTEEN_BITS = frozenset({"I;16", "I;16L", "I;16B", "I;16N"})
STATES_ITS_RANGE = frozenset({"PNG", "PPM", "TIFF", "JPEG2000"})
"""Formats whose 16-bit values are known to fill 0 to 65535; a TIFF says how many bits it uses."""
WIDE_AS_32_BITS = frozenset({"PNG", "PPM"})
"""Formats that cannot hold more than 16 bits, and that Pillow (PNG: before its version 11) delivers in 32."""
NOT_FOR_DATA = frozenset({"EPS", "BUFR", "GRIB", "HDF5", "MPEG", "WMF", "IPTC"})
"""Formats that Pillow registers and cannot read by itself (EPS would start another program on the file)."""
TAG_BITS, TAG_PHOTOMETRIC, TAG_SAMPLE_FORMAT, WHITE_IS_ZERO, UNSIGNED = 258, 262, 339, 0, 1
TAG_ORIENTATION, UPRIGHT = 274, 1

RESTORE = "Restore it from the official archive."
CONVERT = "Save it with eight bits a channel, as PNG or JPEG: that is what vlcl-bench reads of every program."


class Decoded(NamedTuple):
    """A picture: ``pixels`` ``(h, w, 3)`` uint8, and whether its EXIF data say that a viewer should turn it."""

    pixels: np.ndarray
    turned: bool


@cache
def picture_formats() -> tuple[str, ...]:
    """The formats that are read, by Pillow's names."""
    Image.init()
    return tuple(name for name in Image.ID if name not in NOT_FOR_DATA)


def decode(data: bytes, where: str, restore: str = RESTORE) -> np.ndarray:
    """RGB pixels ``(h, w, 3)`` uint8 of an encoded picture; raises as :func:`examine`."""
    return _decoded(data, where, restore, look_for_rotation=False).pixels


def examine(data: bytes, where: str, restore: str = RESTORE) -> Decoded:
    """An encoded picture, and whether it carries a rotation that is not applied.

    Raises :class:`IntegrityError` that names the picture and the cause: it was cut short, is no picture, is of a kind
    that cannot be scaled to eight bits, or is too large; ``restore`` says how to get a whole copy. Raises
    :class:`MachineError` where the memory does not suffice.
    """
    return _decoded(data, where, restore, look_for_rotation=True)


def _decoded(data: bytes, where: str, restore: str, look_for_rotation: bool) -> Decoded:
    try:
        with Image.open(io.BytesIO(data), formats=picture_formats()) as image:
            turned = look_for_rotation and _carries_rotation(image)
            return Decoded(_rgb(image, where), turned)
    except VlclError:
        raise
    except Image.DecompressionBombError as error:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise IntegrityError(
            f"{where} is too large: more than {limit:,} pixels are not decoded ({error})",
            "Save a smaller copy in its place: a backbone sees a few hundred pixels a side.",
        ) from error
    except UnidentifiedImageError as error:
        raise IntegrityError(
            f"{where} is no picture that can be read: {_content_in_words(data)}",
            f"Its name says that it is one. {CONVERT if _known_kind(data) else restore}",
        ) from error
    except MemoryError as error:
        raise MachineError(f"not enough memory to decode {where}", "Save a smaller copy in its place.") from error
    except Exception as error:  # Pillow raises many kinds, SyntaxError and struct.error among them
        raise _not_decoded(error, data, where, restore) from error


def _not_decoded(error: Exception, data: bytes, where: str, restore: str) -> IntegrityError:
    """The error for one of Pillow's, which tells a missing decoder from damage."""
    reason = str(error) or type(error).__name__
    message = f"{where} cannot be decoded: {reason} ({len(data)} bytes)"
    if isinstance(error, ImportError) or "not available" in reason:
        return IntegrityError(message, f"This Pillow was built without what the picture needs. {CONVERT}")
    if isinstance(error, NotImplementedError | KeyError) or "unsupported" in reason.lower():
        return IntegrityError(message, f"Pillow does not read this kind of picture. {CONVERT}")
    return IntegrityError(message, f"It was cut short or damaged. {restore}")


def _rgb(image: Image.Image, where: str) -> np.ndarray:
    """Pixels ``(h, w, 3)`` uint8 of an opened picture; :class:`IntegrityError` for a mode without a known range."""
    mode = image.mode
    if mode in EIGHT_BITS:
        image.load()
        image.info.pop("transparency", None)  # without it Pillow does not warn that the conversion drops it
        return np.asarray(image.convert("RGB"))
    if mode == "La":
        return np.asarray(image.convert("LA").convert("RGB"))
    if mode in SIXTEEN_BITS and image.format in STATES_ITS_RANGE:
        return _grey(_scaled(image, where))
    if mode == "I" and image.format in WIDE_AS_32_BITS:
        return _grey(_upper_bits(np.asarray(image), 16, where))
    raise IntegrityError(f"{where} holds {_in_words(mode)}, for which no range from black to white is known", CONVERT)


def _scaled(image: Image.Image, where: str) -> np.ndarray:
    """Grey values ``(h, w)`` uint8 of a 16-bit picture, in a TIFF by its own number of bits and its own black."""
    bits, inverted = 16, False
    if image.format == "TIFF":
        tags = image.tag_v2  # type: ignore[attr-defined]
        bits = int(np.ravel(tags.get(TAG_BITS, 16))[0])
        inverted = tags.get(TAG_PHOTOMETRIC) == WHITE_IS_ZERO
        if int(np.ravel(tags.get(TAG_SAMPLE_FORMAT, UNSIGNED))[0]) != UNSIGNED:
            raise IntegrityError(f"{where} holds signed 16-bit numbers, which are no shades of grey", CONVERT)
    grey = _upper_bits(np.asarray(image), bits, where)
    return 255 - grey if inverted else grey


def _upper_bits(values: np.ndarray, bits: int, where: str) -> np.ndarray:
    """The upper eight of so many ``bits``, ``(h, w)`` uint8."""
    if values.size and not 0 <= values.min() <= values.max() < 2**bits:
        raise IntegrityError(
            f"{where} holds values from {values.min()} to {values.max()}, expected 0 to {2**bits - 1}", CONVERT
        )
    return (values.astype(np.int64) >> (bits - 8)).astype(np.uint8)


def _grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[:, :, None], 3, axis=2)


def _in_words(mode: str) -> str:
    words = {"F": "floating-point numbers", "I": "32-bit numbers"}
    words |= dict.fromkeys(SIXTEEN_BITS, "16-bit numbers of a format that does not say how many of the bits are used")
    return f"{words.get(mode, 'pixels of a kind that vlcl-bench does not know')} (mode {mode})"


def _carries_rotation(image: Image.Image) -> bool:
    """Whether the EXIF data ask for a rotation or a reflection that is not made; of a TIFF, Pillow makes it."""
    try:
        return image.format != "TIFF" and image.getexif().get(TAG_ORIENTATION, UPRIGHT) in range(UPRIGHT + 1, 9)
    except Exception:  # EXIF data that nobody can read ask for nothing; the picture may be whole
        return False


def _known_kind(data: bytes) -> str | None:
    """The name of a kind of picture that begins like this and that Pillow does not read."""
    brand = data[8:12] if data[4:8] == b"ftyp" else b""
    if brand in (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"):
        return "a HEIC picture"
    if brand in (b"avif", b"avis"):
        return "an AVIF picture, which this Pillow was built without"
    if data.startswith((b"\xff\x0a", b"\x00\x00\x00\x0cJXL ")):
        return "a JPEG XL picture"
    if data.startswith((b"%!PS", b"\xc5\xd0\xd3\xc6")):
        return "a PostScript drawing"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "a WebP picture that this Pillow cannot read"
    return "an SVG drawing" if b"<svg" in data[:1000].lower() else None


def _content_in_words(data: bytes) -> str:
    """What a file holds that is no picture."""
    if not data:
        return "the file is empty"
    kind = _known_kind(data)
    if kind is not None:
        return f"it is {kind}"
    if data.startswith(b"version https://git-lfs"):
        return "it is a pointer of Git LFS, and the picture itself was not fetched"
    start = data[:40]
    if not any(start):
        return f"its {len(data):,} bytes begin with zeros"
    if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in start):
        return f"it is a text that begins with {start.decode()!r}"
    begun = _begun_as(data)
    if begun is not None:
        return (
            f"its {len(data):,} bytes begin as those of a {begun} picture, and cannot be read on: cut short or damaged"
        )
    return f"its {len(data):,} bytes begin with {start[:12].hex(' ')}, which no format that is read begins with"


def _begun_as(data: bytes) -> str | None:
    """The format, by Pillow's name, that a file's first bytes are those of."""
    for name in picture_formats():
        accepts = Image.OPEN[name][1]
        try:
            if accepts is not None and accepts(data[:16]) is True:
                return name
        except Exception:  # a handful of bytes is less than some of Pillow's look at
            continue
    return None
