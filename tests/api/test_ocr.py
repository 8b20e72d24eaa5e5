import base64
import json
from typing import Any

import httpx
import pytest

from deployments.errors import CorruptPage, GenerationFailed
from deployments.types import PageRequest, Task
from tests.fakes import HTML_TABLE, PNG, FakeReader, StopReading, client_of, make_app

pytestmark = pytest.mark.anyio

PDF = b"%PDF-1.7 not really"
DATA_URI = "data:application/pdf;base64," + base64.b64encode(PDF).decode()


def json_request(**fields: object) -> dict[str, object]:
    return {"document": {"type": "document_url", "document_url": DATA_URI}, **fields}


async def read(client: httpx.AsyncClient, **fields: object) -> dict[str, Any]:
    reply = await client.post("/v1/ocr", json=json_request(**fields))
    assert reply.status_code == 200, reply.text
    result: dict[str, Any] = reply.json()
    return result


async def test_a_file_in_a_form(client: httpx.AsyncClient, reader: FakeReader) -> None:
    reader.page_count = 3
    reply = await client.post("/v1/ocr", files={"file": ("any.pdf", PDF)}, data={"pages": "2,0"})
    assert reply.status_code == 200
    assert reader.documents == [PDF]
    body = reply.json()
    assert body["model"] == "fake-ocr"
    assert body["usage_info"] == {
        "pages_processed": 2,
        "doc_size_bytes": len(PDF),
        "prompt_tokens": 200,
        "output_tokens": 40,
    }
    assert [page["index"] for page in body["pages"]] == [2, 0]
    assert body["pages"][1]["dimensions"] == {"dpi": 144, "height": 1400, "width": 1000}
    assert body["pages"][0]["dimensions"]["dpi"] == 72, "a picture that states no resolution"


@pytest.mark.parametrize(
    "document",
    [
        {"type": "document_url", "document_url": DATA_URI, "document_name": "any.pdf"},
        {"type": "document_url", "document_url": DATA_URI, "document_name": None},
        {"type": "image_url", "image_url": DATA_URI},
        {"type": "image_url", "image_url": {"url": DATA_URI, "detail": "auto"}},
    ],
)
async def test_a_document_in_json(
    client: httpx.AsyncClient, reader: FakeReader, document: dict[str, object]
) -> None:
    reply = await client.post("/v1/ocr", json={"model": None, "document": document})
    assert reply.status_code == 200, reply.text
    assert reader.documents == [PDF]


async def test_every_option_reaches_the_reader(client: httpx.AsyncClient, reader: FakeReader) -> None:
    fields = {"task": "custom", "prompt": "<image>\nSay.", "crop": "false", "dpi": "200"}
    more = {"include_image_base64": "true", "confidence_scores_granularity": "page"}
    reply = await client.post("/v1/ocr", files={"file": PDF}, data=fields | more)
    assert reply.status_code == 200, reply.text
    assert reader.requests == [
        PageRequest(Task.CUSTOM, "<image>\nSay.", crop=False, dpi=200, keep_image=True)
    ]
    assert reader.flags == {"stream": False, "confidence": True, "figures": True}


async def test_defaults(client: httpx.AsyncClient, reader: FakeReader) -> None:
    page = (await read(client))["pages"][0]
    assert reader.requests == [PageRequest()]
    assert set(page) == {"index", "markdown", "images", "dimensions", "blocks", "finish_reason"}
    assert page["finish_reason"] == "stop"
    assert page["markdown"].startswith(
        "Annual report\n\n# Page 0\n\nText somewhere.\n\n![img-0.png](img-0.png)"
    )
    assert HTML_TABLE in page["markdown"]
    assert page["images"][0] == {
        "id": "img-0.png",
        "top_left_x": 10,
        "top_left_y": 100,
        "bottom_right_x": 510,
        "bottom_right_y": 600,
    }


async def test_blocks(client: httpx.AsyncClient) -> None:
    blocks = (await read(client))["pages"][0]["blocks"]
    assert [block["type"] for block in blocks] == [
        "header",
        "title",
        "text",
        "image",
        "image",
        "table",
        "footer",
    ]
    assert blocks[3]["image_id"] == "img-0.png"
    assert blocks[1]["label"] == "title"
    nowhere = blocks[2]
    corners = ("top_left_x", "top_left_y", "bottom_right_x", "bottom_right_y")
    assert [nowhere[corner] for corner in corners] == [0, 0, 1000, 1400], "the whole page"
    assert "blocks" not in (await read(client, include_blocks=False))["pages"][0]


async def test_figures_as_data_uris(client: httpx.AsyncClient) -> None:
    images = (await read(client, include_image_base64=True))["pages"][0]["images"]
    assert base64.b64decode(images[0]["image_base64"].removeprefix("data:image/png;base64,")) == PNG


async def test_small_figures_left_out_are_nowhere(client: httpx.AsyncClient) -> None:
    page = (await read(client, image_min_size=100))["pages"][0]
    assert [image["id"] for image in page["images"]] == ["img-0.png"]
    assert "img-1.png" not in json.dumps(page)


async def test_the_limit_on_figures_holds_over_the_document(
    client: httpx.AsyncClient, reader: FakeReader
) -> None:
    reader.page_count = 3
    pages = (await read(client, image_limit=3))["pages"]
    assert [len(page["images"]) for page in pages] == [2, 1, 0]
    assert (await read(client, image_limit=0))["pages"][0]["images"] == []


async def test_tables_apart(client: httpx.AsyncClient) -> None:
    page = (await read(client, table_format="markdown"))["pages"][0]
    (table,) = page["tables"]
    assert table["format"] == "markdown"
    assert "| Year | Sales |" in table["content"]
    assert f"[{table['id']}]({table['id']})" in page["markdown"]
    assert "Sales" not in page["markdown"]
    (block,) = (block for block in page["blocks"] if block["type"] == "table")
    assert block["table_id"] == table["id"]
    assert block["content"] == table["content"]
    assert "<table>" in (await read(client, table_format="html"))["pages"][0]["tables"][0]["content"]


async def test_running_heads_and_feet_apart(client: httpx.AsyncClient) -> None:
    page = (await read(client, extract_header=True))["pages"][0]
    assert page["header"] == "Annual report"
    assert "Annual report" not in page["markdown"]
    assert "Page of many" in page["markdown"]
    assert "footer" not in page
    page = (await read(client, extract_footer=True))["pages"][0]
    assert page["footer"] == "Page of many"
    assert "Page of many" not in page["markdown"]


async def test_raw_text_and_confidence(client: httpx.AsyncClient) -> None:
    page = (await read(client, include_raw=True, confidence_scores_granularity="page"))["pages"][0]
    assert page["raw"] == "raw text"
    assert page["confidence_scores"]["average_page_confidence_score"] == 0.9


async def test_one_bad_page_leaves_the_others_whole(client: httpx.AsyncClient, reader: FakeReader) -> None:
    reader.page_count = 3
    reader.ends = {1: CorruptPage("Page 1 is damaged.")}
    body = await read(client)
    assert [page["index"] for page in body["pages"]] == [0, 1, 2]
    assert body["pages"][1] == {
        "index": 1,
        "markdown": "",
        "images": [],
        "dimensions": None,
        "error": {"code": "corrupt_page", "message": "Page 1 is damaged."},
    }
    assert "error" not in body["pages"][2]
    assert body["usage_info"]["pages_processed"] == 2


async def test_if_all_pages_fail_the_first_error_is_the_reply(
    client: httpx.AsyncClient, reader: FakeReader
) -> None:
    reader.page_count = 2
    reader.ends = {0: CorruptPage("Page 0 is damaged."), 1: GenerationFailed("No.")}
    reply = await client.post("/v1/ocr", json=json_request())
    assert reply.status_code == 422
    assert reply.json()["error"]["code"] == "corrupt_page"


@pytest.mark.parametrize("stop_early", [True, False])
async def test_a_reading_that_breaks_off_keeps_the_pages_it_had(
    client: httpx.AsyncClient, reader: FakeReader, stop_early: bool
) -> None:
    reader.page_count = 3
    reader.ends = {1: StopReading() if stop_early else ZeroDivisionError("a secret")}
    body = await read(client)
    assert [page.get("error", {}).get("code") for page in body["pages"]] == [
        None,
        *["generation_failed" if stop_early else "internal_error"] * 2,
    ]
    assert "secret" not in json.dumps(body)
    assert reader.closed.is_set()


async def test_the_name_of_the_model_can_be_set(reader: FakeReader) -> None:
    async with client_of(make_app(reader, model_name="ours")) as client:
        assert (await read(client))["model"] == "ours"
        assert (await client.get("/v1/models")).json()["data"][0]["id"] == "ours"
