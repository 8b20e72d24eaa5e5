"""What is opened, what is refused, and how PDF pages are drawn."""

import io
import math
import struct
import threading
import zipfile
import zlib
from collections.abc import Callable

import numpy as np
import pymupdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from deployments.errors import (
    CorruptDocument,
    CorruptPage,
    DocumentTooLarge,
    EmptyDocument,
    EncryptedDocument,
    InvalidDocument,
    InvalidRequest,
    OcrError,
    TooManyPages,
    TooManyPixels,
    UnsupportedMediaType,
)
from deployments.preprocess.documents import Document, inspect
from deployments.preprocess.page_image import PageImage
from deployments.preprocess.settings import DocumentLimits
from deployments.types import DocumentInfo, DocumentKind

LIMITS = DocumentLimits()


def render(data: bytes, index: int = 0, dpi: int = 72, limits: DocumentLimits = LIMITS) -> PageImage:
    with Document.open(data, limits) as document:
        return document.render(index, dpi)


def pdf(pages: int = 1, width: float = 200, height: float = 100, **saving: object) -> bytes:
    """A PDF whose pages have a black square of 20 points in the upper left corner."""
    document = pymupdf.open()
    for _ in range(pages):
        page = document.new_page(width=width, height=height)
        page.draw_rect(pymupdf.Rect(0, 0, 20, 20), color=None, fill=(0, 0, 0))
    return bytes(document.tobytes(**saving))


def bare_pdf(page: str, kids: str = "3 0 R", count: int = 1) -> bytes:
    """A hand-written PDF without cross-references; `page` is the inside of its page's dictionary."""
    return (
        "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
        f"2 0 obj<</Type/Pages/Kids[{kids}]/Count {count}>>endobj\n"
        f"3 0 obj<</Type/Page/Parent 2 0 R {page}>>endobj\ntrailer<</Root 1 0 R>>"
    ).encode()


def encoded(image: Image.Image, format: str, **saving: object) -> bytes:  # noqa: A002 - Pillow's name for it
    buffer = io.BytesIO()
    image.save(buffer, format, **saving)  # type: ignore[arg-type]
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that states a size and has next to no pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 100)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def bmp_header(width: int, height: int) -> bytes:
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + info


def tiff_header(width: int, height: int) -> bytes:
    tags = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8)]
    tags += [(277, 3, 1), (278, 4, height), (279, 4, 8)]
    directory = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + directory + bytes(4)


def resized_header(data: bytes, mark: bytes, skip: int, form: str, side: int) -> bytes:
    """Overwrite the size that a small valid file states, `skip` bytes after a mark."""
    at = data.index(mark) + skip
    body = struct.pack(form, side, side)
    return data[:at] + body + data[at + len(body) :]


SMALL = Image.new("RGB", (8, 8), "red")
BOMBS = {
    "png": png_header(40_000, 40_000),
    "bmp": bmp_header(40_000, 40_000),
    "tiff": tiff_header(40_000, 40_000),
    "gif": resized_header(encoded(SMALL, "GIF"), b"GIF", 6, "<HH", 60_000),
    "webp": resized_header(encoded(SMALL, "WEBP"), b"\x9d\x01\x2a", 3, "<HH", 16_383),
    "jpeg": resized_header(encoded(SMALL, "JPEG"), b"\xff\xc0", 5, ">HH", 60_000),
    "pdf": pdf(width=14_400, height=14_400),
}


@pytest.mark.parametrize(
    ("data", "kind", "media_type", "pages"),
    [
        (pdf(3), DocumentKind.PDF, "application/pdf", 3),
        (b"\n\n" + pdf(1), DocumentKind.PDF, "application/pdf", 1),
        *[
            (encoded(SMALL, name.upper()), DocumentKind.IMAGE, f"image/{name}", 1)
            for name in ("jpeg", "png", "webp", "tiff", "bmp", "gif")
        ],
        (
            encoded(SMALL, "TIFF", save_all=True, append_images=[SMALL] * 3),
            DocumentKind.IMAGE,
            "image/tiff",
            4,
        ),
        (encoded(SMALL, "TIFF", big_tiff=True), DocumentKind.IMAGE, "image/tiff", 1),
        (encoded(SMALL, "MPO", save_all=True, append_images=[SMALL]), DocumentKind.IMAGE, "image/jpeg", 1),
        (
            encoded(SMALL, "GIF", save_all=True, append_images=[Image.new("RGB", (8, 8), "blue")]),
            DocumentKind.IMAGE,
            "image/gif",
            1,
        ),
    ],
)
def test_type_comes_from_content(data: bytes, kind: DocumentKind, media_type: str, pages: int) -> None:
    assert inspect(data, LIMITS) == DocumentInfo(kind, media_type, pages, len(data))
    page = render(data)
    assert page.pixels.dtype == np.uint8
    assert page.pixels.flags.c_contiguous
    assert page.pixels.ndim == 3


def test_first_picture_of_an_animation_is_read() -> None:
    data = encoded(SMALL, "GIF", save_all=True, append_images=[Image.new("RGB", (8, 8), "blue")])
    assert render(data).pixels[4, 4].tolist() == [255, 0, 0]


def epub() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("mimetype", "application/epub+zip")
        archive.writestr("META-INF/container.xml", "<container/>")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        epub(),
        b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>',
        b"<html><body>hello</body></html>",
        b"just text",
        b"BMW and Audi make cars, and this is no bitmap",
        encoded(SMALL, "ICO"),
        encoded(SMALL, "PPM"),
        b"\0",
    ],
)
def test_other_types_are_refused_with_a_list_of_what_is_read(data: bytes) -> None:
    with pytest.raises(UnsupportedMediaType, match=r"PDF.*JPEG.*PNG.*WebP.*TIFF.*BMP.*GIF"):
        inspect(data, LIMITS)


@pytest.mark.parametrize(
    "mark_in", [b"<html><!-- %s --></html>", b'<svg width="9" height="9"><!-- %s --></svg>']
)
def test_other_types_that_carry_a_pdfs_mark_do_not_open(mark_in: bytes) -> None:
    with pytest.raises((UnsupportedMediaType, CorruptDocument)):
        inspect(mark_in % b"%PDF-1.4", LIMITS)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")  # Pillow's remark on the cut TIFF
@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", EmptyDocument),
        (bare_pdf("", kids="", count=0), EmptyDocument),
        (b"%PDF-1.7\n", CorruptDocument),
        (b"%PDF-1.7\n" + bytes(range(256)) * 8, CorruptDocument),
        (b"\x89PNG\r\n\x1a\n", CorruptDocument),
        (b"\xff\xd8\xff\xe0", CorruptDocument),
        (b"II*\0\x08\0\0\0", CorruptDocument),
        (b"RIFF\0\0\0\0WEBPVP8 ", CorruptDocument),
        (b"GIF89a", CorruptDocument),
        (pdf(encryption=pymupdf.PDF_ENCRYPT_AES_256, owner_pw="o", user_pw="u"), EncryptedDocument),
    ],
)
def test_files_that_can_not_be_read(data: bytes, error: type[OcrError]) -> None:
    with pytest.raises(error) as caught:
        inspect(data, LIMITS)
    assert type(caught.value) is error


def test_pdf_with_an_empty_user_password_opens() -> None:
    data = pdf(encryption=pymupdf.PDF_ENCRYPT_AES_256, owner_pw="owner", user_pw="")
    assert render(data).pixels.shape == (100, 200, 3)


def test_a_bad_page_leaves_the_others_whole() -> None:
    data = bare_pdf("/MediaBox[0 0 30 20]", kids="3 0 R null", count=2)
    with Document.open(data, LIMITS) as document:
        with pytest.raises(CorruptPage):
            document.render(1, 72)
        assert document.render(0, 72).pixels.shape == (20, 30, 3)


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"])
def test_a_cut_off_picture_is_damaged(name: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    data = encoded(noise, name)
    with pytest.raises(InvalidDocument):
        render(data[: len(data) // 2])


@pytest.mark.parametrize("index", [-1, 2, 10**9])
def test_no_such_page(index: int) -> None:
    with pytest.raises(InvalidRequest, match="pages 0 to 1") as caught:
        render(pdf(2), index)
    assert caught.value.param == "pages"


def test_limits_of_bytes_and_pages() -> None:
    data = pdf(3)
    inspect(data, DocumentLimits(max_bytes=len(data), max_pages=3))
    with pytest.raises(DocumentTooLarge):
        inspect(data, DocumentLimits(max_bytes=len(data) - 1))
    with pytest.raises(TooManyPages):
        inspect(data, DocumentLimits(max_pages=2))
    tiff = encoded(SMALL, "TIFF", save_all=True, append_images=[SMALL] * 3)
    inspect(tiff, DocumentLimits(max_pages=4))
    with pytest.raises(TooManyPages):
        inspect(tiff, DocumentLimits(max_pages=3))


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_by_their_headers(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: object, **kwargs: object) -> None:
        raise AssertionError("decoded a bomb")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", never)
    monkeypatch.setattr("pymupdf.Page.get_pixmap", never)
    with pytest.raises(TooManyPixels):
        render(BOMBS[name], dpi=144)


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"])
def test_pixel_limit_is_exact(name: str) -> None:
    data = encoded(Image.new("RGB", (30, 20), "white"), name)
    assert render(data, limits=DocumentLimits(max_pixels=600)).pixels.shape == (20, 30, 3)
    with pytest.raises(TooManyPixels):
        render(data, limits=DocumentLimits(max_pixels=599))


def test_pixel_limit_of_a_pdf_page_goes_with_its_dpi() -> None:
    limits = DocumentLimits(max_pixels=80_000)
    assert render(pdf(), dpi=144, limits=limits).pixels.shape == (200, 400, 3)
    with pytest.raises(TooManyPixels, match="dpi"):
        render(pdf(), dpi=145, limits=limits)


def test_a_too_large_tiff_page_leaves_the_others_whole() -> None:
    data = encoded(SMALL, "TIFF", save_all=True, append_images=[Image.new("RGB", (50, 50)), SMALL])
    with Document.open(data, DocumentLimits(max_pixels=100)) as document:
        with pytest.raises(TooManyPixels):
            document.render(1, 72)
        assert [document.render(index, 72).pixels.shape for index in (2, 0, 2)] == [(8, 8, 3)] * 3


def test_pages_of_a_tiff_in_any_order() -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    images = [Image.new("RGB", (9, 7 + i), colour) for i, colour in enumerate(colours)]
    data = encoded(images[0], "TIFF", save_all=True, append_images=images[1:], compression="tiff_lzw")
    with Document.open(data, LIMITS) as document:
        for index in (2, 0, 1, 1, 2):
            pixels = document.render(index, 72).pixels
            assert pixels.shape == (7 + index, 9, 3)
            assert (pixels == colours[index]).all()


@pytest.mark.parametrize("dpi", [36, 72, 144, 600])
def test_pdf_pages_are_drawn_at_the_dpi(dpi: int) -> None:
    page = render(pdf(), dpi=dpi)
    assert page.dpi == dpi
    assert page.pixels.shape == (math.ceil(100 * dpi / 72), math.ceil(200 * dpi / 72), 3)
    edge = 20 * dpi // 72
    assert (page.pixels[:edge, :edge] == 0).all()
    assert (page.pixels[edge + 1 :, edge + 1 :] == 255).all()


@pytest.mark.parametrize(
    ("rotation", "corner"), [(0, (2, 2)), (90, (2, -3)), (180, (-3, -3)), (270, (-3, 2))]
)
def test_pdf_rotation_is_honoured(rotation: int, corner: tuple[int, int]) -> None:
    document = pymupdf.open(stream=pdf(), filetype="pdf")
    document[0].set_rotation(rotation)
    pixels = render(bytes(document.tobytes())).pixels
    assert pixels.shape == ((200, 100, 3) if rotation % 180 else (100, 200, 3))
    assert pixels[corner].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    "page",
    [
        "/MediaBox[0 0 0.1 0.1]",
        "/MediaBox[0 0 0.1 14400]",
        "/MediaBox[0 0 14400 1]",
        "/MediaBox[0 0 0 0]",
        "/MediaBox[0 0 1e30 1e30]",
        "/MediaBox[100 100 0 0]",
        "/MediaBox[0 0 nan 5]",
        "/MediaBox[0 0 100 50]/CropBox[10 10 10.01 20]",
        "/MediaBox[0 0 100 50]/CropBox[900 900 990 990]",
        "/MediaBox[0 0 100 50]/UserUnit 0.0001",
        "/MediaBox[0 0 100 50]/Rotate 45",
        "",
    ],
)
def test_odd_page_boxes_give_at_least_a_pixel(page: str) -> None:
    height, width, channels = render(bare_pdf(page), dpi=36).pixels.shape
    assert height >= 1
    assert width >= 1
    assert channels == 3


def test_crop_box_is_honoured() -> None:
    assert render(bare_pdf("/MediaBox[0 0 100 50]/CropBox[10 10 30.5 20]")).pixels.shape == (10, 21, 3)


@pytest.mark.parametrize(
    ("data", "dpi"),
    [
        (encoded(SMALL, "JPEG", dpi=(300, 300)), 300),
        (encoded(SMALL, "PNG", dpi=(200, 200)), 200),
        (encoded(SMALL, "TIFF", dpi=(150, 150)), 150),
        (encoded(SMALL, "PNG"), None),
        (encoded(SMALL, "TIFF"), None),
        (encoded(SMALL, "WEBP"), None),
    ],
)
def test_a_picture_keeps_the_resolution_it_states(data: bytes, dpi: int | None) -> None:
    assert render(data, dpi=600).dpi == dpi


def test_mupdf_is_quiet_and_keeps_no_messages(capfd: pytest.CaptureFixture[str]) -> None:
    render(b"%PDF-1.4\n" + bare_pdf("/MediaBox[0 0 30 20]"))
    with pytest.raises(CorruptDocument):
        render(b"%PDF-1.7\nbroken")
    assert capfd.readouterr() == ("", "")
    assert pymupdf.TOOLS.mupdf_warnings() == ""


def test_threads_may_read_documents_at_once() -> None:
    data, expected = pdf(4), render(pdf(4)).pixels
    wrong: list[object] = []

    def read() -> None:
        with Document.open(data, LIMITS) as document:
            wrong.extend(
                index for index in range(4) if not np.array_equal(document.render(index, 72).pixels, expected)
            )

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_closing_twice_is_harmless() -> None:
    for data in (pdf(), encoded(SMALL, "PNG")):
        with Document.open(data, LIMITS) as document:
            document.close()


DAMAGEABLE: dict[str, Callable[[], bytes]] = {
    "pdf": lambda: pdf(2),
    **{
        name: lambda name=name: encoded(Image.linear_gradient("L").resize((24, 24)).convert("RGB"), name)
        for name in ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")
    },
    "TIFF-LZW": lambda: encoded(Image.linear_gradient("L"), "TIFF", compression="tiff_lzw"),
}


@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # Pillow's remarks on odd tags; the outcome is tested
@pytest.mark.filterwarnings("ignore:Image size:PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("name", DAMAGEABLE)
@given(damage=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=12))
@settings(deadline=None, max_examples=60)
def test_damage_ends_in_an_error_of_ours_or_a_page(name: str, damage: list[tuple[int, int]]) -> None:
    data = bytearray(DAMAGEABLE[name]())
    for at, value in damage:
        data[at % len(data)] = value
    try:
        pixels = render(bytes(data), limits=DocumentLimits(max_pixels=10**6)).pixels
    except OcrError:
        return
    assert pixels.ndim == 3
