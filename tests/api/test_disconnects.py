"""A client that leaves frees its work: over real HTTP."""

import asyncio

import httpx
import pytest

from serve_app.reading import PageDelta
from tests.fakes import FakeReader, make_app, serving

pytestmark = pytest.mark.anyio

FREED_WITHIN_S = 1
"""As promised to users; the wait fails beyond it."""


async def test_leaving_a_plain_request() -> None:
    reader = FakeReader(gate=asyncio.Event())
    app = make_app(reader, max_concurrent_requests=1)
    async with serving(app) as address, httpx.AsyncClient() as client:
        request = asyncio.create_task(client.post(f"{address}/v1/ocr", files={"file": b"%PDF"}))
        await reader.began.wait()
        request.cancel()
        async with asyncio.timeout(FREED_WITHIN_S):
            await reader.closed.wait()
        await asyncio.gather(request, return_exceptions=True)
        assert reader.gate is not None
        reader.gate.set()
        reply = await client.post(f"{address}/v1/ocr", files={"file": b"%PDF"})
        assert reply.status_code == 200, "the place is free again"


async def test_leaving_a_stream_after_its_first_event() -> None:
    reader = FakeReader(gate=asyncio.Event(), deltas=[PageDelta(0, "text")])
    async with serving(make_app(reader)) as address, httpx.AsyncClient() as client:
        data = {"stream": "true"}
        async with client.stream("POST", f"{address}/v1/ocr", files={"file": b"%PDF"}, data=data) as reply:
            async for line in reply.aiter_lines():
                if line == "event: page.delta":
                    break
        async with asyncio.timeout(FREED_WITHIN_S):
            await reader.closed.wait()


async def test_leaving_while_uploading() -> None:
    reader = FakeReader()
    app = make_app(reader, max_concurrent_requests=1)
    async with serving(app) as address:
        host, port = address.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"POST /v1/ocr HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n"
            b"Content-Type: application/json\r\n\r\n{"
        )
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        async with asyncio.timeout(FREED_WITHIN_S), httpx.AsyncClient() as client:
            while (await client.post(f"{address}/v1/ocr", files={"file": b"%PDF"})).status_code == 429:
                pass
    assert reader.documents == [b"%PDF"]
