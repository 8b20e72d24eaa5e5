"""The whole line for real: HTTP, Ray, the embedded engine, on small pages drawn here."""

import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import pymupdf
import pytest
from PIL import Image

from deployments.postprocess import tables

pytestmark = pytest.mark.ray

PROSE = (
    "The harbour master counted forty ships before noon and wrote their names in a long green book. "
    "When the fog came in, every bell on the quay began to ring, and the pilots waited for the tide."
)


@pytest.fixture(scope="module")
def client(deploy: Callable[..., str]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=deploy(real_engine=True), timeout=120) as http:
        yield http


def drawn(*titles: str) -> pymupdf.Document:
    """A page for each title: the title large, the prose below it."""
    document = pymupdf.open()
    for title in titles:
        page = document.new_page(width=420, height=300)
        page.insert_text((40, 50), title, fontsize=22, fontname="hebo")
        page.insert_textbox((40, 80, 380, 240), PROSE, fontsize=12)
    return document


def picture(page: pymupdf.Page, dpi: int = 144) -> Image.Image:
    pixmap = page.get_pixmap(dpi=dpi)
    return Image.frombytes("RGB", (pixmap.width, pixmap.height), pixmap.samples)


def recognised(client: httpx.Client, document: bytes, **fields: Any) -> dict[str, Any]:
    reply = client.post(
        "/v1/ocr", files={"file": ("any-name", document)}, data={"include_blocks": "true", **fields}
    )
    assert reply.status_code == 200, reply.text
    result: dict[str, Any] = reply.json()
    return result


def words(text: str) -> list[str]:
    return text.replace("#", "").split()


def test_a_pdf_of_two_pages_comes_back_in_order(client: httpx.Client) -> None:
    pages = recognised(client, drawn("Harbour Book", "Second Chapter").tobytes())["pages"]
    assert [words(page["markdown"])[:2] for page in pages] == [["Harbour", "Book"], ["Second", "Chapter"]]
    for page in pages:
        assert words(page["markdown"])[2:] == PROSE.split()
        assert page["finish_reason"] == "stop"


def test_a_photo_that_carries_its_turn_is_read_upright(client: httpx.Client) -> None:
    stored = picture(drawn("Harbour Book")[0]).transpose(Image.Transpose.ROTATE_90)
    turn = Image.Exif()
    turn[0x0112] = 6  # to be shown, turn the stored picture 90 degrees clockwise
    file = io.BytesIO()
    stored.save(file, "JPEG", exif=turn, quality=92)
    (page,) = recognised(client, file.getvalue())["pages"]
    assert (page["dimensions"]["width"], page["dimensions"]["height"]) == (840, 600)
    assert words(page["markdown"]) == ["Harbour", "Book", *PROSE.split()]
    title = page["blocks"][0]
    assert (title["top_left_x"], title["top_left_y"]) == pytest.approx((80, 66), abs=12)


def test_a_table_on_a_picture_comes_out_as_a_table(client: httpx.Client) -> None:
    page = pymupdf.open().new_page(width=420, height=300)
    rows = [["Ship", "Tons", "Crew"], ["Marigold", "410", "23"], ["Heron", "95", "7"]]
    for row in range(4):
        page.draw_line((40, 60 + 40 * row), (370, 60 + 40 * row))
        page.draw_line((40 + 110 * row, 60), (40 + 110 * row, 180))
    for row, cells in enumerate(rows):
        for column, cell in enumerate(cells):
            page.insert_text((52 + 110 * column, 85 + 40 * row), cell, fontsize=14)
    file = io.BytesIO()
    picture(page).save(file, "PNG")
    (result,) = recognised(client, file.getvalue())["pages"]
    (table,) = [block for block in result["blocks"] if block["type"] == "table"]
    (grid,) = tables.parse(table["content"])
    assert isinstance(grid, tables.TableGrid)
    assert grid.texts() == rows


def test_text_streams_block_by_block(client: httpx.Client) -> None:
    data = {"stream": "true"}
    file = {"file": ("page", drawn("Harbour Book").tobytes())}
    with client.stream("POST", "/v1/ocr", files=file, data=data) as reply:
        lines = list(reply.iter_lines())
    names = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    assert "page.delta" in names
    assert names[-2:] == ["page.done", "done"]
    done = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")][-2]
    assert words(done["markdown"])[:2] == ["Harbour", "Book"]


def test_an_empty_page_is_an_empty_page(client: httpx.Client) -> None:
    file = io.BytesIO()
    Image.fromarray(np.full((300, 200), 65535, np.uint16)).save(file, "PNG")
    (page,) = recognised(client, file.getvalue())["pages"]
    assert page["markdown"] == ""
