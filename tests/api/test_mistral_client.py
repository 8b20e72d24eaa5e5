"""Mistral's own Python client, pointed at this service."""

import base64

import pytest

from deployments.errors import CorruptPage
from tests.fakes import HTML_TABLE, PNG, FakeReader, make_app, serving

sdk = pytest.importorskip("mistralai.client")

pytestmark = pytest.mark.anyio

PDF = b"%PDF-1.7 not really"
URI = "data:application/pdf;base64," + base64.b64encode(PDF).decode()


async def test_a_document() -> None:
    reader = FakeReader(page_count=3)
    async with (
        serving(make_app(reader)) as address,
        sdk.Mistral(api_key="none", server_url=address) as client,
    ):
        reply = await client.ocr.process_async(
            model="mistral-ocr-latest",
            document={"type": "document_url", "document_url": URI, "document_name": "a.pdf"},
            pages=[0, 2],
            include_image_base64=True,
            image_min_size=100,
            table_format="html",
            extract_header=True,
            extract_footer=True,
            include_blocks=True,
            confidence_scores_granularity="page",
        )
    assert reader.documents == [PDF]
    assert [page.index for page in reply.pages] == [0, 2]
    page = reply.pages[0]
    assert page.markdown.startswith("# Page 0")
    (image,) = page.images
    assert image.id == "img-0.png"
    assert base64.b64decode(image.image_base64.partition(",")[2]) == PNG
    assert (page.dimensions.dpi, page.dimensions.height, page.dimensions.width) == (144, 1400, 1000)
    (table,) = page.tables
    assert table.content == HTML_TABLE
    assert (page.header, page.footer) == ("Annual report", "Page of many")
    assert [block.type for block in page.blocks][:2] == ["header", "title"]
    assert page.confidence_scores.average_page_confidence_score == 0.9
    assert reply.usage_info.pages_processed == 2
    assert reply.usage_info.doc_size_bytes == len(PDF)


async def test_a_picture() -> None:
    async with (
        serving(make_app(FakeReader())) as address,
        sdk.Mistral(api_key="none", server_url=address) as client,
    ):
        reply = await client.ocr.process_async(model=None, document={"type": "image_url", "image_url": URI})
    assert reply.pages[0].markdown.startswith("Annual report")


async def test_an_error() -> None:
    from mistralai.client.errors import MistralError

    reader = FakeReader(ends={0: CorruptPage("Page 0 is damaged.")})
    async with (
        serving(make_app(reader)) as address,
        sdk.Mistral(api_key="none", server_url=address) as client,
    ):
        with pytest.raises(MistralError, match=r"Page 0 is damaged\.") as caught:
            await client.ocr.process_async(
                model="any", document={"type": "document_url", "document_url": URI}, retries=None
            )
    assert caught.value.status_code == 422
