"""Every picture mode and orientation, by what is seen."""

import io
import struct
import zlib

import numpy as np
import numpy.typing as npt
import pytest
from PIL import ExifTags, Image, ImageChops

from deployments.preprocess.documents import Document
from deployments.preprocess.settings import DocumentLimits
from deployments.types import Pixels

RED, GREEN, BLUE, YELLOW, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 255, 255)
SIZE = (48, 32)


def render(data: bytes) -> Pixels:
    with Document.open(data, DocumentLimits()) as document:
        return document.render(0, 144).pixels


def encoded(image: Image.Image, name: str, **saving: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, name, **saving)  # type: ignore[arg-type]
    return buffer.getvalue()


def corners() -> Image.Image:
    """Upright: red and green above, blue and yellow below."""
    width, height = SIZE
    image = Image.new("RGB", SIZE, RED)
    image.paste(GREEN, (width // 2, 0, width, height // 2))
    image.paste(BLUE, (0, height // 2, width // 2, height))
    image.paste(YELLOW, (width // 2, height // 2, width, height))
    return image


def assert_corners(pixels: Pixels, tolerance: int = 0) -> None:
    width, height = SIZE
    assert pixels.shape == (height, width, 3)
    places = {(8, 8): RED, (8, width - 8): GREEN, (height - 8, 8): BLUE, (height - 8, width - 8): YELLOW}
    for place, colour in places.items():
        assert np.abs(pixels[place].astype(int) - colour).max() <= tolerance, (place, pixels[place])


# EXIF 2.32: where row 0 and column 0 of the stored picture belong, and so how it comes to be stored.
STORED = {
    1: lambda image: image,
    2: lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    3: lambda image: image.transpose(Image.Transpose.ROTATE_180),
    4: lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
    5: lambda image: image.transpose(Image.Transpose.TRANSPOSE),
    6: lambda image: image.transpose(Image.Transpose.ROTATE_90),
    7: lambda image: image.transpose(Image.Transpose.TRANSVERSE),
    8: lambda image: image.transpose(Image.Transpose.ROTATE_270),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize(
    ("name", "saving"),
    [
        ("JPEG", {"quality": 95, "subsampling": 0}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ],
)
def test_orientation(name: str, saving: dict[str, object], orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    data = encoded(STORED[orientation](corners()), name, exif=exif, **saving)
    assert_corners(render(data), tolerance=6 if name == "JPEG" else 0)


@pytest.mark.parametrize("orientation", STORED)
def test_orientation_of_every_page_of_a_tiff(orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    stored = STORED[orientation](corners())
    data = encoded(stored, "TIFF", save_all=True, append_images=[stored], exif=exif)
    with Document.open(data, DocumentLimits()) as document:
        for index in (0, 1, 0):
            assert_corners(document.render(index, 144).pixels)


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0"])
@pytest.mark.filterwarnings(
    "ignore:.*EXIF data:UserWarning"
)  # Pillow's remark; the picture is read all the same
def test_damaged_exif_leaves_the_picture_readable(exif: bytes) -> None:
    assert_corners(render(encoded(corners(), "JPEG", quality=95, subsampling=0, exif=exif)), tolerance=6)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_orientations_that_do_not_exist_are_ignored(orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    assert_corners(render(encoded(corners(), "PNG", exif=exif)))


@pytest.mark.parametrize("name", ["PNG", "WEBP", "TIFF"])
def test_alpha_shows_white_paper(name: str) -> None:
    image = corners().convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 24, 16))
    image.paste((0, 0, 0, 128), (24, 0, 48, 16))
    pixels = render(encoded(image, name, **({"lossless": True, "exact": True} if name == "WEBP" else {})))
    assert pixels[4, 4].tolist() == [255, 255, 255]
    assert pixels[4, 40].tolist() == [127, 127, 127]
    assert pixels[28, 4].tolist() == [0, 0, 255]


@pytest.mark.parametrize("name", ["PNG", "TIFF"])
def test_grey_with_alpha_shows_white_paper(name: str) -> None:
    image = Image.new("LA", (4, 4), (100, 255))
    image.putpixel((0, 0), (0, 0))
    pixels = render(encoded(image, name))
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[3, 3].tolist() == [100, 100, 100]


def test_palette_with_alpha_shows_white_paper() -> None:
    image = Image.new("PA", (4, 4))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putdata([(1, 255)] * 15 + [(0, 0)])
    pixels = render(encoded(image, "TIFF"))
    assert pixels[0, 0].tolist() == [40, 50, 60]
    assert pixels[3, 3].tolist() == [255, 255, 255]


@pytest.mark.parametrize("name", ["PNG", "GIF"])
@pytest.mark.parametrize("is_transparent", [True, False])
def test_palette(name: str, is_transparent: bool) -> None:
    image = corners().quantize(4, dither=Image.Dither.NONE)
    red = image.getpixel((0, 0))
    pixels = render(encoded(image, name, **({"transparency": red} if is_transparent else {})))
    expected = WHITE if is_transparent else RED
    assert pixels[4, 4].tolist() == list(expected)
    assert pixels[28, 40].tolist() == list(YELLOW)


def test_palette_with_an_alpha_for_each_colour() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 200, 100, 0])
    image.putdata([0, 1])
    pixels = render(encoded(image, "PNG", transparency=bytes([0, 255])))
    assert pixels[0].tolist() == [[255, 255, 255], [200, 100, 0]]


def test_transparent_colour_of_a_png() -> None:
    pixels = render(encoded(corners(), "PNG", transparency=RED))
    assert pixels[4, 4].tolist() == list(WHITE)
    assert pixels[28, 4].tolist() == list(BLUE)


@pytest.mark.parametrize("name", ["PNG", "TIFF", "BMP", "GIF"])
def test_one_bit(name: str) -> None:
    image = Image.new("1", (9, 9), 1)
    image.putpixel((3, 2), 0)
    pixels = render(encoded(image, name))
    assert pixels[2, 3].tolist() == [0, 0, 0]
    assert pixels.sum() == 255 * 3 * 80


def test_fax_is_black_on_white() -> None:
    image = Image.new("1", (64, 9), 1)
    image.putpixel((3, 2), 0)
    pixels = render(encoded(image, "TIFF", compression="group4"))
    assert pixels[2, 3].tolist() == [0, 0, 0]
    assert pixels[8, 8].tolist() == [255, 255, 255]


@pytest.mark.parametrize("name", ["JPEG", "TIFF"])
def test_cmyk(name: str) -> None:
    # Pillow writes CMYK JPEGs as Adobe does: inverted.
    saving = {"quality": 95, "subsampling": 0} if name == "JPEG" else {}
    pixels = render(encoded(corners().convert("CMYK"), name, **saving))
    assert_corners(pixels, tolerance=8 if name == "JPEG" else 0)


def test_adobe_cmyk_jpeg_is_not_read_as_a_negative() -> None:
    white = Image.new("CMYK", SIZE, (0, 0, 0, 0))
    data = encoded(white, "JPEG")
    start = data.index(b"\xff\xc0")
    adobe = b"\xff\xee" + struct.pack(">H", 14) + b"Adobe" + struct.pack(">HHHB", 100, 0, 0, 0)
    marked = data if b"Adobe" in data else data[:start] + adobe + data[start:]
    assert render(marked).min() >= 250


def test_lab_and_ycbcr() -> None:
    lab = Image.merge("LAB", [Image.new("L", (4, 4), level) for level in (255, 128, 128)])
    assert render(encoded(lab, "TIFF")).min() >= 250
    assert_corners(render(encoded(corners().convert("YCbCr"), "TIFF", compression="tiff_lzw")), tolerance=3)


RAMP16: npt.NDArray[np.uint16] = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)


@pytest.mark.parametrize("name", ["PNG", "TIFF"])
def test_16_bit_grey_keeps_its_range(name: str) -> None:
    pixels = render(encoded(Image.fromarray(RAMP16), name))
    assert (pixels[..., 0].ravel() == np.arange(256)).all()
    assert (pixels[..., 0] == pixels[..., 2]).all()


def tiff_of(body: bytes, form: str, bits: int, photometric: int = 1, sample_format: int = 1) -> bytes:
    """A TIFF of 16 x 16 samples in the given byte order."""
    tags = [(256, 3, 16), (257, 3, 16), (258, 3, bits), (259, 3, 1), (262, 3, photometric), (273, 4, 8)]
    tags += [(277, 3, 1), (278, 3, 16), (279, 4, len(body)), (339, 3, sample_format)]
    directory = b""
    for tag, kind, value in tags:
        packed = (
            struct.pack(form + "H", value).ljust(4, b"\0") if kind == 3 else struct.pack(form + "I", value)
        )
        directory += struct.pack(form + "HHI", tag, kind, 1) + packed
    mark = b"II*\0" if form == "<" else b"MM\0*"
    header = mark + struct.pack(form + "I", 8 + len(body))
    return header + body + struct.pack(form + "H", len(tags)) + directory + bytes(4)


@pytest.mark.parametrize("form", ["<", ">"])
def test_16_bit_tiff_of_either_byte_order(form: str) -> None:
    pixels = render(tiff_of(RAMP16.astype(form + "u2").tobytes(), form, 16))
    assert (pixels[..., 1].ravel() == np.arange(256)).all()


def test_16_bit_tiff_with_white_as_zero() -> None:
    pixels = render(tiff_of(RAMP16.astype("<u2").tobytes(), "<", 16, photometric=0))
    assert (pixels[..., 1].ravel() == np.arange(256)[::-1]).all()


def test_12_bit_tiff_keeps_its_range() -> None:
    levels = np.linspace(0, 4095, 256).astype(int)
    pairs = levels.reshape(-1, 2)
    body = np.stack([pairs[:, 0] >> 4, (pairs[:, 0] & 15) << 4 | pairs[:, 1] >> 8, pairs[:, 1] & 255], 1)
    pixels = render(tiff_of(body.astype(np.uint8).tobytes(), "<", 12))
    assert np.abs(pixels[..., 0].ravel().astype(int) - np.arange(256)).max() <= 1


@pytest.mark.parametrize(
    "samples",
    [
        np.linspace(0, 1, 256, dtype=np.float32),
        np.linspace(0, 255, 256, dtype=np.float32),
        np.linspace(0, 65535, 256, dtype=np.float32),
        np.linspace(-3000, 5000, 256, dtype=np.float32),
        np.arange(256, dtype=np.int32),
        np.arange(256, dtype=np.int32) * 257,
        np.arange(256, dtype=np.int32) * 1_000_000,
    ],
)
def test_samples_without_a_stated_range_are_scaled(samples: npt.NDArray[np.generic]) -> None:
    pixels = render(encoded(Image.fromarray(samples.reshape(16, 16)), "TIFF"))
    assert np.abs(pixels[..., 0].ravel().astype(int) - np.arange(256)).max() <= 1


def test_samples_that_are_no_numbers_do_no_harm() -> None:
    samples = np.linspace(0, 1, 256, dtype=np.float32)
    samples[:3] = np.nan, np.inf, -np.inf
    pixels = render(encoded(Image.fromarray(samples.reshape(16, 16)), "TIFF"))
    assert pixels[15, 15].tolist() == [255, 255, 255]
    assert pixels[0, 0].tolist() == [0, 0, 0]


def test_16_bit_colour() -> None:
    # A PNG of two 16-bit RGB pixels, written by hand as Pillow writes none.
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    row = b"\0" + struct.pack(">6H", 65535, 0, 32768, 0, 65535, 257)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0))
    data += chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")
    assert render(data).tolist() == [[[255, 0, 128], [0, 255, 1]]]


def test_plain_colours_keep_every_value() -> None:
    image = Image.merge(
        "RGB", [Image.linear_gradient("L"), Image.radial_gradient("L"), Image.new("L", (256, 256))]
    )
    for name, saving in (("PNG", {}), ("BMP", {}), ("TIFF", {}), ("WEBP", {"lossless": True})):
        decoded = Image.fromarray(render(encoded(image, name, **saving)))
        assert ImageChops.difference(decoded, image).getbbox() is None, name
