import asyncio

import pytest

from deployments.errors import QueueFull
from serve_app.api.admission import Admission
from tests.fakes import FakeReader, client_of, make_app

pytestmark = pytest.mark.anyio


async def test_more_documents_than_places_get_429_at_once() -> None:
    reader = FakeReader(gate=asyncio.Event())
    async with client_of(make_app(reader, max_concurrent_requests=1)) as client:
        first = asyncio.create_task(client.post("/v1/ocr", files={"file": b"%PDF"}))
        await reader.began.wait()
        refused = await client.post("/v1/ocr", files={"file": b"%PDF"})
        assert refused.status_code == 429
        assert refused.json()["error"]["type"] == "rate_limit_error"
        assert int(refused.headers["retry-after"]) >= 1
        assert (await client.get("/healthz")).status_code == 200, "probes need no place"
        assert reader.gate is not None
        reader.gate.set()
        assert (await first).status_code == 200
        assert (await client.post("/v1/ocr", files={"file": b"%PDF"})).status_code == 200


async def test_a_stream_keeps_its_place_until_it_ends() -> None:
    reader = FakeReader(gate=asyncio.Event())
    async with client_of(make_app(reader, max_concurrent_requests=1)) as client:
        data = {"stream": "true"}
        first = asyncio.create_task(client.post("/v1/ocr", files={"file": b"%PDF"}, data=data))
        await reader.began.wait()
        assert (await client.post("/v1/ocr", files={"file": b"%PDF"})).status_code == 429
        assert reader.gate is not None
        reader.gate.set()
        await first
        assert (await client.post("/v1/ocr", files={"file": b"%PDF"})).status_code == 200


async def test_retry_after_follows_how_long_requests_take(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("serve_app.api.admission.time.monotonic", lambda: now)
    admission = Admission(2)
    assert admission.retry_after_s() == 1
    async with admission.place():
        now += 30
    async with admission.place():
        assert admission.retry_after_s() == 30
        async with admission.place():
            assert admission.retry_after_s() == 15, "one of two ends in half the time"
            with pytest.raises(QueueFull):
                async with admission.place():
                    pass
    async with admission.place():
        now += 10_000
    async with admission.place():
        assert admission.retry_after_s() == 120, "never longer"


async def test_requests_that_were_refused_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("serve_app.api.admission.time.monotonic", lambda: now)
    admission = Admission(2)
    async with admission.place():
        now += 30
    for _ in range(9):
        with pytest.raises(QueueFull):
            async with admission.place():
                raise QueueFull("The engine's queue is full.")
    async with admission.place():
        assert admission.retry_after_s() == 30
