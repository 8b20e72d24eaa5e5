import asyncio

import pytest

from serve_app.api.door import Door
from tests.fakes import FakeReader, client_of, make_app

pytestmark = pytest.mark.anyio


async def test_a_closed_door_lets_no_work_in_and_what_is_inside_is_answered() -> None:
    door, reader = Door(), FakeReader(gate=asyncio.Event())
    async with client_of(make_app(reader, door=door, unavailable_retry_s=7)) as client:
        inside = asyncio.create_task(client.post("/v1/ocr", files={"file": b"%PDF"}))
        await reader.began.wait()
        assert (await client.get("/readyz")).status_code == 200
        assert door.close() == 1
        refused = await client.post("/v1/ocr", files={"file": b"%PDF"})
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "7")
        assert refused.json()["error"]["code"] == "engine_unavailable"
        assert refused.headers["X-Request-Id"]
        assert (await client.get("/readyz")).status_code == 503, "a load balancer goes elsewhere"
        assert (await client.get("/healthz")).status_code == 200, "nobody should kill it"
        assert reader.gate is not None
        reader.gate.set()
        assert (await inside).status_code == 200
    assert door.close() == 0


async def test_a_stream_is_under_way_until_its_last_event() -> None:
    door, reader = Door(), FakeReader(gate=asyncio.Event())
    async with client_of(make_app(reader, door=door)) as client:
        form = {"files": {"file": b"%PDF"}, "data": {"stream": "true"}}
        inside = asyncio.create_task(client.post("/v1/ocr", **form))
        await reader.began.wait()
        assert door.close() == 1
        assert reader.gate is not None
        reader.gate.set()
        assert "event: done" in (await inside).text
    assert door.close() == 0
