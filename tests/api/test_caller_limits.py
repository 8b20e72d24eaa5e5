"""What one caller may take."""

import asyncio
from pathlib import Path

import httpx
import pytest

from serve_app import api_keys
from serve_app.api.caller_limits import TokenBucket
from tests.fakes import FakeReader, client_of, make_app, until

pytestmark = pytest.mark.anyio

FILE = {"file": b"%PDF"}


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, dict[str, str], dict[str, str]]:
    file = tmp_path / "keys"
    alice, bob = ({"Authorization": f"Bearer {api_keys.new(file, name)}"} for name in ("alice", "bob"))
    return file, alice, bob


def refused(reply: httpx.Response) -> bool:
    if reply.status_code == 200:
        return False
    assert reply.status_code == 429, reply.text
    error = reply.json()["error"]
    assert (error["code"], error["type"]) == ("rate_limit_exceeded", "rate_limit_error")
    assert f"in {reply.headers['retry-after']} s" in error["message"]
    return True


async def test_one_key_leaves_places_for_the_others(
    keys: tuple[Path, dict[str, str], dict[str, str]],
) -> None:
    file, alice, bob = keys
    reader = FakeReader(gate=asyncio.Event())
    async with client_of(make_app(reader, keys_file=file, max_concurrent_requests=4)) as client:
        first = [asyncio.create_task(client.post("/v1/ocr", files=FILE, headers=alice)) for _ in range(3)]
        await until(lambda: len(reader.requests) == 3)
        assert refused(await client.post("/v1/ocr", files=FILE, headers=alice))
        second = asyncio.create_task(client.post("/v1/ocr", files=FILE, headers=bob))
        await until(lambda: len(reader.requests) == 4)
        full = await client.post("/v1/ocr", files=FILE, headers=bob)
        assert full.json()["error"]["code"] == "queue_full", "the service as a whole"
        assert reader.gate is not None
        reader.gate.set()
        assert {(await task).status_code for task in [*first, second]} == {200}
        assert not refused(await client.post("/v1/ocr", files=FILE, headers=alice))


async def test_the_number_of_a_keys_requests_under_way_can_be_set(
    keys: tuple[Path, dict[str, str], dict[str, str]],
) -> None:
    file, alice, _ = keys
    reader = FakeReader(gate=asyncio.Event())
    async with client_of(make_app(reader, keys_file=file, max_concurrent_requests_per_key=1)) as client:
        first = asyncio.create_task(client.post("/v1/ocr", files=FILE, headers=alice))
        await reader.began.wait()
        assert refused(await client.post("/v1/ocr", files=FILE, headers=alice))
        assert reader.gate is not None
        reader.gate.set()
        await first


async def test_the_rate_of_a_key(
    keys: tuple[Path, dict[str, str], dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("serve_app.api.caller_limits.time.monotonic", lambda: now)
    file, alice, bob = keys
    app = make_app(FakeReader(), keys_file=file, requests_per_minute=6, request_burst=2)
    async with client_of(app) as client:

        async def send(headers: dict[str, str]) -> httpx.Response:
            return await client.post("/v1/ocr", files=FILE, headers=headers)

        assert [refused(await send(alice)) for _ in range(3)] == [False, False, True]
        assert (await send(alice)).headers["retry-after"] == "10"
        assert not refused(await send(bob)), "each key for itself"
        now += 7
        assert (await send(alice)).headers["retry-after"] == "3"
        now += 3
        assert [refused(await send(alice)) for _ in range(2)] == [False, True], "what it said was true"
        now += 3600
        assert [refused(await send(alice)) for _ in range(3)] == [False, False, True], (
            "no more than the burst"
        )
        assert (await client.get("/v1/models", headers=alice)).status_code == 200


def test_a_bucket_never_overflows(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("serve_app.api.caller_limits.time.monotonic", lambda: now)
    bucket = TokenBucket(rate=0.5, burst=3)
    now = 1e9
    assert [bucket.take() for _ in range(4)] == [0, 0, 0, 2]
