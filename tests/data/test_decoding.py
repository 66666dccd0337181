"""Every mode and format that Pillow delivers is scaled rightly to eight bits, or refused with its true cause."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from vlcl_bench.data import decoding
from vlcl_bench.data.decoding import decode, examine, picture_formats
from vlcl_bench.data.originals import BytesPicture, pixels_sha256
from vlcl_bench.errors import IntegrityError, MachineError

pytestmark = [
    pytest.mark.filterwarnings("ignore:IM image format is deprecated"),
    pytest.mark.filterwarnings("ignore:Corrupt EXIF data"),
]

GREYS = np.array([[0, 255, 256, 257], [4369, 32767, 32768, 32896], [65279, 65280, 65534, 65535]], np.uint16)
"""Sixteen-bit values at the edges of where eight bits change."""
UPPER = (GREYS // 256).astype(np.uint8)
COLOURS = np.array([[[10, 200, 30], [255, 0, 128]], [[0, 0, 0], [255, 255, 255]]], np.uint8)
LEVELS = np.array([[0, 1, 127], [128, 254, 255]], np.uint8)


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def grey(values: np.ndarray) -> np.ndarray:
    return np.stack([values] * 3, axis=2)


def tiff(values: np.ndarray, code: str, bits: int, sample_format: int = 1, photometric: int = 1) -> bytes:
    """A grey TIFF written by hand, uncompressed; ``code`` is its byte order and struct's letter of a pixel: ``<H``."""
    order, letter = code
    height, width = values.shape
    data = b"".join(struct.pack(order + letter, value) for value in values.ravel().tolist())
    tags = [
        (256, 3, width), (257, 3, height), (258, 3, bits), (259, 3, 1), (262, 3, photometric), (273, 4, 8),
        (277, 3, 1), (278, 3, height), (279, 4, len(data)), (339, 3, sample_format),
    ]  # fmt: skip
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8 + len(data))
    body = struct.pack(order + "H", len(tags))
    for tag, kind, value in tags:
        packed = struct.pack(order + ("HH" if kind == 3 else "I"), *((value, 0) if kind == 3 else (value,)))
        body += struct.pack(order + "HHI", tag, kind, 1) + packed
    return head + data + body + struct.pack(order + "I", 0)


def twelve_bits(values: list[int]) -> bytes:
    """A TIFF of one row with twelve bits a pixel, two pixels in three bytes."""
    packed = b""
    for first, second in zip(values[::2], values[1::2], strict=True):
        packed += bytes([first >> 4, (first & 15) << 4 | second >> 8, second & 255])
    whole = tiff(np.frombuffer(packed, np.uint8)[None], "<B", 12)
    return whole.replace(
        struct.pack("<HHIHH", 256, 3, 1, len(packed), 0), struct.pack("<HHIHH", 256, 3, 1, len(values), 0)
    )


def luma_of_ycc(y: int, cb: int, cr: int) -> list[int]:
    """JFIF's YCbCr to RGB."""
    r, g, b = y + 1.402 * (cr - 128), y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128), y + 1.772 * (cb - 128)
    return [int(min(255, max(0, round(value)))) for value in (r, g, b)]


def with_alpha(mode: str) -> Image.Image:
    """Colours, or grey levels, under an opacity that goes from none to full."""
    if mode == "RGBA":
        return Image.fromarray(np.dstack([COLOURS, np.array([[0, 90], [200, 255]], np.uint8)]))
    return Image.fromarray(np.dstack([LEVELS, LEVELS[::-1]]), "LA")


def palette() -> Image.Image:
    image = Image.fromarray(np.array([[0, 1], [2, 3]], np.uint8), "P")
    image.putpalette(COLOURS.reshape(-1, 3).tobytes() + bytes(3 * 252))
    return image


def cmyk_colours(image: np.ndarray) -> np.ndarray:
    """The plain rule: what the inks and the black leave of the light."""
    ink, black = image[..., :3].astype(float), image[..., 3:].astype(float)
    return (255 - ink) * (255 - black) / 255


INKS = np.array([[[0, 0, 0, 0], [255, 0, 0, 0]], [[0, 255, 255, 0], [40, 80, 120, 100]]], np.uint8)
YCC = np.array([[[128, 128, 128], [76, 85, 255]], [[150, 44, 21], [255, 128, 128]]], np.uint8)

EXACT: dict[str, tuple[Callable[[], bytes], np.ndarray]] = {
    # one bit and eight bits of grey
    "1 PNG": (lambda: encoded(Image.fromarray(LEVELS > 127), "PNG"), grey(np.where(LEVELS > 127, 255, 0))),
    "1 TIFF": (lambda: encoded(Image.fromarray(LEVELS > 127), "TIFF"), grey(np.where(LEVELS > 127, 255, 0))),
    "L PNG": (lambda: encoded(Image.fromarray(LEVELS), "PNG"), grey(LEVELS)),
    "L BMP": (lambda: encoded(Image.fromarray(LEVELS), "BMP"), grey(LEVELS)),
    "L PGM": (lambda: encoded(Image.fromarray(LEVELS), "PPM"), grey(LEVELS)),
    "L TIFF": (lambda: encoded(Image.fromarray(LEVELS), "TIFF"), grey(LEVELS)),
    "L TIFF where white is zero": (lambda: tiff(LEVELS, "<B", 8, photometric=0), grey(255 - LEVELS)),
    "L with a transparent level": (lambda: encoded(Image.fromarray(LEVELS), "PNG", transparency=127), grey(LEVELS)),
    # sixteen bits of grey
    "I;16 PNG": (lambda: encoded(Image.fromarray(GREYS), "PNG"), grey(UPPER)),
    "I;16 PNG with a transparent level": (
        lambda: encoded(Image.fromarray(GREYS), "PNG", transparency=256), grey(UPPER)
    ),
    "I;16 JPEG 2000": (lambda: encoded(Image.fromarray(GREYS), "JPEG2000", irreversible=False), grey(UPPER)),
    "I PGM of sixteen bits": (lambda: encoded(Image.fromarray(GREYS), "PPM"), grey(UPPER)),
    "I PGM of ten bits": (
        lambda: b"P5 3 1 1023\n" + struct.pack(">3H", 0, 512, 1023), grey(np.array([[0, 128, 255]]))
    ),
    "I;16 TIFF": (lambda: tiff(GREYS, "<H", 16), grey(UPPER)),
    "I;16B TIFF": (lambda: tiff(GREYS, ">H", 16), grey(UPPER)),
    "I;16 TIFF, compressed": (lambda: encoded(Image.fromarray(GREYS), "TIFF", compression="tiff_lzw"), grey(UPPER)),
    "I;16 TIFF where white is zero": (lambda: tiff(GREYS, "<H", 16, photometric=0), grey(255 - UPPER)),
    "I;12 TIFF": (lambda: twelve_bits([0, 15, 16, 2047, 2048, 4095]), grey(np.array([[0, 0, 1, 127, 128, 255]]))),
    # colour
    "RGB PNG": (lambda: encoded(Image.fromarray(COLOURS), "PNG"), COLOURS),
    "RGB BMP": (lambda: encoded(Image.fromarray(COLOURS), "BMP"), COLOURS),
    "RGB TIFF": (lambda: encoded(Image.fromarray(COLOURS), "TIFF"), COLOURS),
    "RGB WebP": (lambda: encoded(Image.fromarray(COLOURS), "WEBP", lossless=True, exact=True), COLOURS),
    "RGB TGA": (lambda: encoded(Image.fromarray(COLOURS), "TGA"), COLOURS),
    "RGB QOI": (lambda: encoded(Image.fromarray(COLOURS), "QOI"), COLOURS),
    "RGB PCX": (lambda: encoded(Image.fromarray(COLOURS), "PCX"), COLOURS),
    "RGB JPEG 2000": (lambda: encoded(Image.fromarray(COLOURS), "JPEG2000", irreversible=False), COLOURS),
    "RGB SGI": (lambda: encoded(Image.fromarray(COLOURS), "SGI"), COLOURS),
    "RGB DIB": (lambda: encoded(Image.fromarray(COLOURS), "DIB"), COLOURS),
    "RGB IM": (lambda: encoded(Image.fromarray(COLOURS), "IM"), COLOURS),
    "RGB PPM of sixteen bits": (
        lambda: b"P6 2 1 65535\n" + struct.pack(">6H", 0, 65535, 32896, 257, 514, 65278),
        np.array([[[0, 255, 128], [1, 2, 254]]]),
    ),
    "RGB GIF": (lambda: encoded(Image.fromarray(COLOURS), "GIF"), COLOURS),
    # transparency is dropped: the colour below it shows
    "RGBA PNG": (lambda: encoded(with_alpha("RGBA"), "PNG"), COLOURS),
    "RGBA TIFF": (lambda: encoded(with_alpha("RGBA"), "TIFF"), COLOURS),
    "RGBA WebP": (lambda: encoded(with_alpha("RGBA"), "WEBP", lossless=True, exact=True), COLOURS),
    "RGB with a transparent colour": (
        lambda: encoded(Image.fromarray(COLOURS), "PNG", transparency=(10, 200, 30)), COLOURS
    ),
    "LA PNG": (lambda: encoded(with_alpha("LA"), "PNG"), grey(LEVELS)),
    "LA TIFF": (lambda: encoded(with_alpha("LA"), "TIFF"), grey(LEVELS)),
    "P PNG": (lambda: encoded(palette(), "PNG"), COLOURS),
    "P PNG with one transparent place": (lambda: encoded(palette(), "PNG", transparency=1), COLOURS),
    "P PNG with transparent places": (lambda: encoded(palette(), "PNG", transparency=b"\0Z\xff\7"), COLOURS),
    "P GIF": (lambda: encoded(palette(), "GIF"), COLOURS),
    "P GIF with a transparent place": (lambda: encoded(palette(), "GIF", transparency=2), COLOURS),
    "P TIFF": (lambda: encoded(palette(), "TIFF"), COLOURS),
    "P BMP": (lambda: encoded(palette(), "BMP"), COLOURS),
    "the first picture of an animated GIF": (
        lambda: encoded(palette(), "GIF", save_all=True, append_images=[Image.new("P", (2, 2))]), COLOURS
    ),
    "the first page of a TIFF": (
        lambda: encoded(Image.fromarray(COLOURS), "TIFF", save_all=True, append_images=[flat(0)]), COLOURS
    ),
}  # fmt: skip

NEAR: dict[str, tuple[Callable[[], bytes], np.ndarray, int]] = {
    "CMYK TIFF": (lambda: encoded(Image.fromarray(INKS, "CMYK"), "TIFF"), cmyk_colours(INKS), 1),
    "YCbCr TIFF": (
        lambda: encoded(Image.frombytes("YCbCr", (2, 2), YCC.tobytes()), "TIFF"),
        np.array([[luma_of_ycc(*pixel) for pixel in row] for row in YCC.tolist()]), 1,
    ),
    "LAB TIFF": (
        # lightness 0, 50 and 100 without colour: black, the grey of 18.4 % of the light, white
        lambda: encoded(Image.frombytes("LAB", (3, 1), bytes([0, 0, 0, 128, 0, 0, 255, 0, 0])), "TIFF"),
        grey(np.array([[0, 119, 255]])), 1,
    ),
    "RGB JPEG": (lambda: encoded(flat(90, 150, 210), "JPEG", quality=100), np.full((16, 16, 3), (90, 150, 210)), 2),
    "L JPEG": (lambda: encoded(flat(77).convert("L"), "JPEG", quality=100), np.full((16, 16, 3), 77), 1),
    "CMYK JPEG, inverted as Adobe writes it": (
        lambda: encoded(Image.new("CMYK", (16, 16), (40, 80, 120, 100)), "JPEG", quality=100),
        np.broadcast_to(cmyk_colours(np.array([[[40, 80, 120, 100]]])), (16, 16, 3)), 2,
    ),
    "RGB AVIF": (lambda: encoded(flat(90, 150, 210), "AVIF", quality=100), np.full((16, 16, 3), (90, 150, 210)), 3),
    "RGB WebP with losses": (
        lambda: encoded(flat(90, 150, 210), "WEBP", quality=100), np.full((16, 16, 3), (90, 150, 210)), 4
    ),
}  # fmt: skip


def flat(*colour: int) -> Image.Image:
    return Image.new("RGB", (16, 16), colour if len(colour) == 3 else colour * 3)


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "F TIFF": (lambda: encoded(Image.fromarray(np.ones((2, 2), np.float32)), "TIFF"), "floating-point numbers"),
    "F PFM": (lambda: encoded(Image.fromarray(np.ones((2, 2), np.float32)), "PPM"), "floating-point numbers (mode F)"),
    "F SPIDER": (lambda: encoded(Image.fromarray(np.ones((9, 9), np.float32)), "SPIDER"), "floating-point"),
    "F IM": (lambda: encoded(Image.fromarray(np.ones((2, 2), np.float32)), "IM"), "floating-point numbers (mode F)"),
    "I TIFF of 32 bits": (lambda: tiff(np.array([[0, 70000]]), "<I", 32), "32-bit numbers (mode I)"),
    "I TIFF of 32 bits with a sign": (lambda: tiff(np.array([[-5, 70000]]), "<i", 32, 2), "32-bit numbers (mode I)"),
    "I TIFF of 16 bits with a sign": (lambda: tiff(np.array([[-5, 700]]), "<h", 16, 2), "32-bit numbers (mode I)"),
    "I IM": (lambda: encoded(Image.fromarray(np.array([[0, 70000]], np.int32)), "IM"), "32-bit numbers (mode I)"),
    "I;16 IM": (lambda: encoded(Image.fromarray(GREYS), "IM"), "does not say how many of the bits are used"),
    "I;16 FITS": (lambda: fits(np.array([[0, 1]], ">i2")), "does not say how many of the bits are used"),
}  # fmt: skip


def fits(values: np.ndarray) -> bytes:
    cards = ["SIMPLE  =                    T", f"BITPIX  = {values.itemsize * 8:20d}", "NAXIS   =                    2"]
    cards += [f"NAXIS{i}  = {size:20d}" for i, size in enumerate(values.shape[::-1], 1)] + ["END"]
    return "".join(card.ljust(80) for card in cards).encode().ljust(2880) + values.tobytes().ljust(2880, b"\0")


@pytest.mark.parametrize("kind", EXACT)
def test_a_picture_is_brought_to_eight_bits_a_colour(kind):
    make, expected = EXACT[kind]
    found = decode(make(), "a picture")
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kind", NEAR)
def test_what_is_not_stored_as_rgb_is_converted_within_rounding(kind):
    make, expected, within = NEAR[kind]
    found = decode(make(), "a picture")
    assert found.shape == expected.shape
    assert np.abs(found.astype(float) - expected).max() <= within


@pytest.mark.parametrize("kind", REFUSED)
def test_what_has_no_known_range_is_refused_by_name(kind):
    make, said = REFUSED[kind]
    with pytest.raises(IntegrityError) as caught:
        decode(make(), "birds/7.xyz")
    assert caught.value.message.startswith("birds/7.xyz holds ")
    assert said in caught.value.message
    assert "Save it with eight bits a channel" in caught.value.hint


def in_memory(mode: str) -> Image.Image:
    """A picture of a mode that few files have, as a plug-in for another format may deliver it."""
    image = Image.new(mode, (2, 2))
    image.format = "SOMETHING"
    return image


@pytest.mark.parametrize("mode", sorted(Image.MODES))
def test_every_mode_that_pillow_knows_is_converted_or_refused(mode, monkeypatch):
    monkeypatch.setattr(Image, "open", lambda *rest, **more: in_memory(mode))
    if mode in decoding.EIGHT_BITS or mode == "La":
        assert decode(b"", "a picture").shape == (2, 2, 3)
    else:
        with pytest.raises(IntegrityError, match="no range from black to white is known"):
            decode(b"", "a picture")


def test_a_mode_that_nobody_knows_is_refused(monkeypatch):
    image = in_memory("RGB")
    image._mode = "BGR;15"
    monkeypatch.setattr(Image, "open", lambda *rest, **more: image)
    with pytest.raises(IntegrityError, match=r"mode BGR;15"):
        decode(b"", "a picture")


@pytest.mark.parametrize("mode", ["RGBX", "RGBa", "HSV", "PA", "La"])
def test_rare_modes_keep_their_colours(mode, monkeypatch):
    image = Image.new("RGB", (2, 2), (255, 0, 0))
    image = (
        image.convert("LA").convert("La")
        if mode == "La"
        else image.convert("RGBA").convert(mode)
        if mode != "HSV"
        else image.convert("HSV")
    )
    image.format = "SOMETHING"
    monkeypatch.setattr(Image, "open", lambda *rest, **more: image)
    expected = [76, 76, 76] if mode == "La" else [255, 0, 0]  # 0.299 of 255
    assert decode(b"", "a picture")[0, 0].tolist() == expected


def test_older_pillows_32_bit_delivery_of_a_16_bit_png_gives_the_same(monkeypatch):
    image = Image.fromarray(GREYS.astype(np.int32))
    image.format = "PNG"
    monkeypatch.setattr(Image, "open", lambda *rest, **more: image)
    np.testing.assert_array_equal(decode(b"", "a picture"), grey(UPPER))


def test_values_that_a_16_bit_format_cannot_hold_are_refused(monkeypatch):
    image = Image.fromarray(np.array([[0, 65536]], np.int32))
    image.format = "PNG"
    monkeypatch.setattr(Image, "open", lambda *rest, **more: image)
    with pytest.raises(IntegrityError, match="values from 0 to 65536, expected 0 to 65535"):
        decode(b"", "a picture")


def test_a_grey_picture_of_sixteen_bits_and_the_same_in_colour_are_equal():
    wide = encoded(Image.fromarray(GREYS), "PNG")
    rgb = b"P6 4 3 65535\n" + np.repeat(GREYS[:, :, None], 3, 2).astype(">u2").tobytes()
    in_grey, in_colour = decode(wide, "grey"), decode(rgb, "colour")
    assert np.abs(in_grey.astype(int) - in_colour).max() <= 1
    eight = np.arange(256, dtype=np.uint16).reshape(16, 16)
    exact = encoded(Image.fromarray(eight * 257), "PNG")
    assert pixels_sha256(decode(exact, "scaled up")) == pixels_sha256(grey(eight.astype(np.uint8)))


# What cannot be decoded says why

BAD: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "empty": (lambda: b"", "the file is empty", "Restore it"),
    "a text": (lambda: b"<!DOCTYPE html>not found</html>", "it is a text that begins with '<!DOCT", "Restore it"),
    "a pointer of Git LFS": (lambda: b"version https://git-lfs.github.com/spec/v1", "a pointer of Git LFS", "Restore"),
    "zeros": (lambda: bytes(500), "its 500 bytes begin with zeros", "Restore it"),
    "something else": (lambda: b"\x1f\x8b\x08\x00" * 20, "begin with 1f 8b 08 00", "Restore it"),
    "HEIC": (lambda: b"\0\0\0\x18ftypheic" + bytes(40), "it is a HEIC picture", "PNG or JPEG"),
    "JPEG XL": (lambda: b"\xff\x0a" + bytes(40), "it is a JPEG XL picture", "PNG or JPEG"),
    "SVG": (lambda: b"<?xml version='1.0'?><svg xmlns=''></svg>", "it is an SVG drawing", "PNG or JPEG"),
    "PostScript": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "a PostScript drawing", "PNG or JPEG"),
    "a PNG cut short": (lambda: encoded(flat(9), "PNG")[:50], "cannot be decoded", "cut short or damaged"),
    "a JPEG cut short": (lambda: noisy_jpeg()[:-300], "image file is truncated", "cut short or damaged"),
    "a damaged PNG": (lambda: damaged(encoded(flat(9), "PNG"), b"IDAT"), "cannot be decoded", "cut short or damaged"),
}  # fmt: skip


def noisy_jpeg() -> bytes:
    return encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)), "JPEG")


def damaged(data: bytes, after: bytes) -> bytes:
    place = data.index(after) + len(after) + 3
    return data[:place] + bytes([data[place] ^ 255]) + data[place + 1 :]


@pytest.mark.parametrize("kind", BAD)
def test_a_picture_that_cannot_be_decoded_says_why(kind):
    make, said, hint = BAD[kind]
    with pytest.raises(IntegrityError) as caught:
        decode(make(), "birds/7.png")
    assert caught.value.message.startswith("birds/7.png ")
    assert said in caught.value.message
    assert hint in caught.value.hint
    assert "0x" not in str(caught.value)  # no address of an object


def test_a_picture_of_too_many_pixels_is_called_too_large_and_not_cut_short():
    large = encoded(Image.new("1", (20_000, 10_000)), "PNG")
    with pytest.raises(IntegrityError) as caught:
        decode(large, "birds/7.png")
    assert "birds/7.png is too large" in caught.value.message
    assert "178,956,970 pixels" in caught.value.message
    assert "200000000" in caught.value.message
    assert "smaller copy" in caught.value.hint
    assert "cut short" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (OSError("decoder jpeg not available"), IntegrityError, "built without what the picture needs"),
        (ImportError("DLL load failed"), IntegrityError, "built without what the picture needs"),
        (NotImplementedError("codec 7"), IntegrityError, "does not read this kind"),
        (OSError("Unsupported BMP compression (7)"), IntegrityError, "does not read this kind"),
        (MemoryError(), MachineError, "smaller copy"),
        (SyntaxError("broken PNG file"), IntegrityError, "cut short or damaged"),
        (struct.error("unpack requires a buffer"), IntegrityError, "cut short or damaged"),
        (ValueError(), IntegrityError, "cut short or damaged"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_every_error_of_the_decoder_is_told_with_its_own_cause(error, kind, said, monkeypatch):
    def fail(*rest, **more):
        raise error

    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(kind) as caught:
        decode(b"123", "birds/7.png")
    assert "birds/7.png" in caught.value.message
    assert (str(error) or type(error).__name__) in caught.value.message or kind is MachineError
    assert said in caught.value.hint


def test_no_file_starts_another_program():
    assert {"EPS", "WMF"}.isdisjoint(picture_formats())
    assert {"PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP"} <= set(picture_formats())


# Rotation in EXIF data


def turned(form: str, orientation: int, **options: object) -> bytes:
    exif = Image.Exif()
    exif[274] = orientation
    return encoded(Image.new("RGB", (40, 20), (200, 30, 60)), form, exif=exif, **options)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_rotation_is_noted_and_not_applied(form, orientation):
    pixels, found = examine(turned(form, orientation), "a picture")
    assert pixels.shape == (20, 40, 3)
    assert found is (orientation > 1)


def test_a_tiffs_rotation_is_applied_by_pillow_and_not_noted():
    pixels, found = examine(turned("TIFF", 6), "a picture")
    assert (pixels.shape, found) == ((40, 20, 3), False)


@pytest.mark.parametrize("data", [b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0nonsense", b""])
def test_exif_data_that_nobody_can_read_ask_for_nothing(data):
    plain = encoded(Image.new("RGB", (40, 20)), "JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data
    pixels, found = examine(plain[:2] + segment + plain[2:], "a picture")
    assert (pixels.shape, found) == ((20, 40, 3), False)


def test_looking_closer_changes_neither_content_nor_pixels():
    for form in ("JPEG", "PNG", "TIFF", "AVIF"):
        data = turned(form, 3) if form != "AVIF" else encoded(flat(9), "AVIF")
        picture = BytesPicture("a picture", lambda data=data: data)
        digest, pixels = picture.load()
        found = picture.examine()
        assert (found.digest, picture.digest()) == (digest, digest)
        np.testing.assert_array_equal(found.pixels, pixels)


def test_the_content_of_lossy_formats_is_their_bytes_for_decoders_differ():
    for form in ("JPEG", "AVIF", "JPEG2000"):
        data = encoded(flat(9), form)
        picture = BytesPicture("a picture", lambda data=data: data)
        assert picture.digest() != pixels_sha256(picture.load()[1])
