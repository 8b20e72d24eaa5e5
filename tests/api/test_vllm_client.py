"""A client that another project wrote for vLLM's endpoint, unmodified: MinerU's."""

import asyncio

import numpy as np
import pytest
from PIL import Image

from deployments.types import PageRequest, Task
from serve_app.reading import Writing
from tests.fakes import FakeReader, make_app, serving

http_client = pytest.importorskip("mineru_vl_utils.vlm_client.http_client")

pytestmark = pytest.mark.anyio

PICTURE = Image.fromarray(np.full((20, 30, 3), 200, np.uint8))


async def test_a_picture_and_a_prompt() -> None:
    reader = FakeReader()
    async with serving(make_app(reader)) as address:
        client = await asyncio.to_thread(http_client.HttpVlmClient, server_url=address)
        assert client.model_name == "fake-ocr"
        params = http_client.SamplingParams(temperature=0.0, top_p=0.01, max_new_tokens=512)
        text = await client.aio_predict(PICTURE, "Free OCR.", params)
        assert text == "raw text"
        texts = await client.aio_batch_predict([PICTURE, PICTURE], ["Free OCR.", "Text Recognition:"], params)
        assert texts == ["raw text", "raw text"]
        await client.aclose()
    assert reader.documents[0].startswith(b"\x89PNG")
    assert reader.requests[0] == PageRequest(Task.TEXT)
    assert PageRequest(Task.CUSTOM, "Text Recognition:") in reader.requests
    assert reader.writings[0] == Writing(512)


async def test_text_as_it_is_written() -> None:
    async with serving(make_app(FakeReader())) as address:
        client = await asyncio.to_thread(http_client.HttpVlmClient, server_url=address)
        pieces = await asyncio.to_thread(lambda: list(client.stream_predict(PICTURE, "Free OCR.")))
        await client.aclose()
    assert "".join(pieces) == "raw text"
