"""Sound documents of every kind that is read, small, and made here."""

import io
from collections.abc import Iterator
from functools import cache

import numpy as np
import pymupdf
from PIL import Image


@cache
def seeds() -> tuple[bytes, ...]:
    """Return the documents."""
    return (*_pdfs(), *_pictures())


def _pdfs() -> Iterator[bytes]:
    document = pymupdf.open()
    for number in range(3):
        page = document.new_page(width=200, height=280)
        page.insert_text((20, 40), f"Page {number} of a document", fontsize=12)
        page.draw_rect((20, 60, 120, 160), color=(1, 0, 0), fill=(0, 1, 0))
        page.insert_image((20, 180, 80, 240), stream=_encoded(_noise(20, 20), "PNG"))
        page.add_text_annot((150, 20), "A note")
        page.insert_link(
            {"kind": pymupdf.LINK_URI, "from": pymupdf.Rect(0, 0, 9, 9), "uri": "http://a.test/"}
        )
    document.embfile_add("a.txt", b"attached")
    document.set_toc([[1, "One", 1], [2, "Two", 2]])
    yield bytes(document.tobytes())
    yield bytes(document.tobytes(deflate=True, use_objstms=1))
    yield bytes(document.tobytes(encryption=pymupdf.PDF_ENCRYPT_AES_256, user_pw="", owner_pw="b"))
    widget = pymupdf.Widget()
    widget.field_type, widget.field_name = pymupdf.PDF_WIDGET_TYPE_TEXT, "field"
    widget.rect, widget.field_value = pymupdf.Rect(10, 10, 90, 30), "value"
    widget.script = "app.alert(1)"
    form = pymupdf.open()
    page = form.new_page(width=100, height=100)
    page.add_widget(widget)
    page.set_rotation(90)
    yield bytes(form.tobytes())


def _pictures() -> Iterator[bytes]:
    noise = _noise(40, 30)
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x8769] = {0x9003: "2026:01:01 00:00:00"}
    yield _encoded(noise, "PNG", dpi=(144, 144))
    yield _encoded(noise.convert("P"), "PNG", transparency=3)
    yield _encoded(noise.convert("RGBA"), "PNG", icc_profile=b"\0" * 200)
    yield _encoded(Image.fromarray(np.arange(1200, dtype=np.uint16).reshape(30, 40)), "PNG")
    yield _encoded(noise, "JPEG", exif=exif, progressive=True)
    yield _encoded(noise.convert("CMYK"), "JPEG")
    yield _encoded(noise.convert("P"), "GIF", save_all=True, append_images=[_noise(40, 30).convert("P")])
    yield _encoded(noise, "BMP")
    yield _encoded(noise.convert("RGBA"), "WEBP", lossless=True, save_all=True, append_images=[noise])
    yield _encoded(noise, "WEBP", exif=exif)
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"):
        yield _encoded(noise, "TIFF", compression=compression, save_all=True, append_images=[noise])
    yield _encoded(noise.convert("1"), "TIFF", compression="group4")


def _noise(width: int, height: int) -> Image.Image:
    samples = np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(samples)


def _encoded(picture: Image.Image, format_: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, format_, **options)
    return out.getvalue()
