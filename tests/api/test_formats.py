"""Replies that are files."""

import io
import zipfile

import httpx
import pymupdf
import pytest
from PIL import Image

from deployments.errors import CorruptPage
from deployments.types import DocumentKind
from serve_app.formats import ResultFormat, accepted, disposition
from tests.fakes import PNG, FakeReader, client_of, make_app

pytestmark = pytest.mark.anyio

TYPES = {
    "markdown": "text/markdown; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "zip": "application/zip",
    "pdf": "application/pdf",
}


def pdf(pages: int) -> bytes:
    document = pymupdf.open()
    for _ in range(pages):
        document.new_page(width=500, height=700).draw_rect((50, 50, 200, 300))
    return bytes(document.tobytes())


async def read(
    reader: FakeReader,
    document: bytes = b"%PDF",
    *,
    name: str = "Report 1.pdf",
    accept: str = "",
    **fields: str,
) -> httpx.Response:
    async with client_of(make_app(reader)) as client:
        headers = {"Accept": accept} if accept else {}
        return await client.post(
            "/v1/ocr", files={"file": (name, document)}, data=fields, headers=headers, timeout=60
        )


async def test_markdown() -> None:
    reader = FakeReader(page_count=2)
    reply = await read(reader, format="markdown")
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == TYPES["markdown"]
    assert reply.headers["content-disposition"] == (
        "attachment; filename=\"Report_1.md\"; filename*=UTF-8''Report%201.md"
    )
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.text.startswith("<!-- page 1 -->\n\nAnnual report\n\n# Page 0\n\n")
    assert "![page-0002-img-0.png](page-0002-img-0.png)" in reply.text
    assert reply.text.endswith("Page of many\n")
    assert reader.flags["figures"] is False, "nothing would show them"


async def test_options_shape_the_markdown() -> None:
    fields = {
        "table_format": "markdown",
        "extract_header": "true",
        "extract_footer": "true",
        "image_limit": "1",
    }
    text = (await read(FakeReader(), format="markdown", **fields)).text
    assert "| Year | Sales |" in text
    assert "Annual report" not in text
    assert "Page of many" not in text
    assert "img-0.png" in text
    assert "img-1.png" not in text


async def test_a_page_that_could_not_be_read_is_named() -> None:
    reader = FakeReader(page_count=3, ends={1: CorruptPage("Damaged.")})
    for format_ in ("markdown", "html", "zip"):
        reply = await read(reader, format=format_)
        assert reply.headers["x-pages-failed"] == "1"
    text = (await read(reader, format="markdown")).text
    assert "<!-- page 2 -->\n\n<!-- this page could not be read -->\n\n<!-- page 3 -->" in text
    assert "x-pages-failed" not in (await read(FakeReader(), format="markdown")).headers


async def test_if_no_page_could_be_read_the_reply_is_its_error() -> None:
    for format_ in TYPES:
        reply = await read(FakeReader(ends={0: CorruptPage("Damaged.")}), format=format_)
        assert reply.status_code == 422
        assert reply.json()["error"]["code"] == "corrupt_page"


async def test_html_and_zip_hold_the_figures() -> None:
    reader = FakeReader()
    reply = await read(reader, format="html")
    assert reply.headers["content-type"] == TYPES["html"]
    assert reply.text.count('src="data:image/png;base64,') == 2
    assert reader.flags["figures"] is True
    reply = await read(reader, format="zip", image_min_size="100")
    assert reply.headers["content-type"] == TYPES["zip"]
    with zipfile.ZipFile(io.BytesIO(reply.content)) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == [
            "document.md",
            "page-0001-img-0.png",
            "result.json",
            "tables/page-0001-tbl-0.csv",
        ]
        assert archive.read("page-0001-img-0.png") == PNG


async def test_a_pdf_becomes_searchable_and_keeps_its_other_pages() -> None:
    reply = await read(FakeReader(page_count=3), pdf(3), format="pdf", pages="1")
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == TYPES["pdf"]
    with pymupdf.open(stream=reply.content) as document:
        texts = [page.get_text() for page in document]
    assert "Text somewhere." in texts[1]
    assert (texts[0], texts[2]) == ("", "")


async def test_a_picture_becomes_a_searchable_pdf() -> None:
    picture = io.BytesIO()
    Image.new("RGB", (1000, 1400), "white").save(picture, "PNG")
    reader = FakeReader(kind=DocumentKind.IMAGE)
    reply = await read(reader, picture.getvalue(), name="scan.png", format="pdf")
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-disposition"] == 'attachment; filename="scan.pdf"'
    with pymupdf.open(stream=reply.content) as document:
        (page,) = document
        assert "Text somewhere." in page.get_text()
        assert page.rect.width / page.rect.height == pytest.approx(1000 / 1400, rel=0.01)


async def test_a_document_of_which_no_pdf_can_be_made() -> None:
    reply = await read(FakeReader(), b"%PDF-1.7 nothing of the kind", format="pdf")
    assert reply.status_code == 422
    assert "another format" in reply.json()["error"]["message"]


@pytest.mark.parametrize("format_", TYPES)
async def test_the_header_accept_asks_for_a_format(format_: str) -> None:
    media_type = TYPES[format_].partition(";")[0]
    reply = await read(FakeReader(), pdf(1), accept=media_type)
    assert reply.headers["content-type"] == TYPES[format_]
    reply = await read(FakeReader(), pdf(1), accept=media_type, format="json")
    assert reply.headers["content-type"] == "application/json", "what the request says comes first"


@pytest.mark.parametrize(
    ("header", "format_"),
    [
        ("", "json"),
        ("*/*", "json"),
        ("image/png", "png"),
        ("image/gif", "json"),
        ("application/json, text/markdown", "json"),
        ("text/markdown, application/json", "markdown"),
        ("application/json;q=0.5, text/html", "html"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "html"),
        ("APPLICATION/PDF ; Q=1.0", "pdf"),
        ("application/zip;q=0", "json"),
        ("text/markdown;q=x", "json"),
        ("text/markdown;q=1" + "0" * 5000, "json"),
        (";;;,,,=", "json"),
    ],
)
def test_accept(header: str, format_: str) -> None:
    assert accepted(header) is ResultFormat(format_)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (None, 'filename="document.md"'),
        ("", 'filename="document.md"'),
        ("a.pdf", 'filename="a.md"'),
        ("a.tar.gz", 'filename="a.tar.md"'),
        ("noending", 'filename="noending.md"'),
        ("../../etc/passwd", 'filename="passwd.md"'),
        ("C:\\scans\\a.png", 'filename="a.md"'),
        ("übersicht.pdf", "filename=\"bersicht.md\"; filename*=UTF-8''%C3%BCbersicht.md"),
        ("頁.pdf", "filename=\"document.md\"; filename*=UTF-8''%E9%A0%81.md"),
        ('a"b\r\nX: 1.pdf', "filename=\"a_b_X_1.md\"; filename*=UTF-8''a%22b%0D%0AX%3A%201.md"),
        ("\ud800.pdf", 'filename="document.md"'),
        (".pdf", 'filename="pdf.md"'),
    ],
)
def test_names(name: str | None, value: str) -> None:
    assert disposition(name, ResultFormat.MARKDOWN) == f"attachment; {value}"


async def test_a_stream_has_no_format() -> None:
    reply = await read(FakeReader(), format="pdf", stream="true")
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == "format"
    reply = await read(FakeReader(), accept="application/pdf", stream="true")
    assert reply.headers["content-type"].startswith("text/event-stream")


async def test_an_unknown_format() -> None:
    reply = await read(FakeReader(), format="docx")
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == "format"
