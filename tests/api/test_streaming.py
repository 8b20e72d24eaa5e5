import asyncio
import json
from typing import Any

import httpx
import pytest

from deployments.errors import CorruptPage, EngineUnavailable, GenerationFailed
from serve_app.reading import PageDelta
from tests.fakes import FakeReader, client_of, make_app

pytestmark = pytest.mark.anyio

Event = tuple[str, dict[str, object]]


def parse_events(text: str) -> list[Event]:
    events = []
    for block in text.split("\n\n"):
        if block and not block.startswith(":"):
            name, data = block.split("\n")
            events.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return events


async def stream(reader: FakeReader, **settings: Any) -> str:
    async with client_of(make_app(reader, **settings)) as client:
        reply = await client.post("/v1/ocr", files={"file": b"%PDF"}, data={"stream": "true"})
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.headers["cache-control"].startswith("no-cache")
    assert "content-length" not in reply.headers
    return reply.text


async def test_events_of_a_document() -> None:
    reader = FakeReader(page_count=2, deltas=[PageDelta(0, "# Pa"), PageDelta(0, "ge 0")])
    events = parse_events(await stream(reader))
    assert [name for name, _ in events] == ["start", "page.delta", "page.done", "page.done", "done"]
    assert events[0][1] == {"model": "fake-ocr", "pages": [0, 1], "doc_size_bytes": 4}
    assert events[1][1] == {"index": 0, "text": "# Page 0", "attempt": 1}, "gathered"
    assert events[2][1]["index"] == 0
    assert str(events[2][1]["markdown"]).startswith("Annual report")
    assert events[4][1]["usage_info"] == {
        "pages_processed": 2,
        "doc_size_bytes": 4,
        "prompt_tokens": 200,
        "output_tokens": 40,
    }


async def test_text_is_sent_when_its_interval_is_over() -> None:
    reader = FakeReader(deltas=[PageDelta(0, letter) for letter in "abc"], pause_s=0.02)
    events = parse_events(await stream(reader, delta_interval_s=0.001))
    assert [data["text"] for name, data in events if name == "page.delta"] == ["a", "b", "c"]


async def test_deltas_of_different_pages_stay_apart() -> None:
    deltas = [PageDelta(0, "a"), PageDelta(1, "x"), PageDelta(0, "b"), PageDelta(1, "y")]
    events = parse_events(await stream(FakeReader(page_count=2, deltas=deltas), delta_interval_s=60))
    assert [(data["index"], data["text"]) for name, data in events if name == "page.delta"] == [
        (0, "ab"),
        (1, "xy"),
    ]
    assert [name for name, _ in events] == ["start", *["page.delta", "page.done"] * 2, "done"]


async def test_a_later_attempt_begins_the_text_anew() -> None:
    deltas = [PageDelta(0, "bad bad bad"), PageDelta(0, "go", 2), PageDelta(0, "od", 2)]
    events = parse_events(await stream(FakeReader(deltas=deltas), delta_interval_s=60))
    assert events[1] == ("page.delta", {"index": 0, "text": "good", "attempt": 2})


async def test_line_breaks_of_any_kind_stay_inside_one_data_line() -> None:
    written = "a\n\nb\r\u2028c\u2029d\x85e\x0bf"
    text = await stream(FakeReader(deltas=[PageDelta(0, written)]))
    assert all(line.startswith(("event: ", "data: ")) for line in text.splitlines() if line)
    assert parse_events(text)[1][1]["text"] == written


async def test_a_bad_page_is_an_event() -> None:
    reader = FakeReader(page_count=2, ends={0: CorruptPage("Damaged.")})
    events = parse_events(await stream(reader))
    assert [name for name, _ in events] == ["start", "page.error", "page.done", "done"]
    assert events[1][1] == {
        "index": 0,
        "markdown": "",
        "images": [],
        "dimensions": None,
        "error": {"code": "corrupt_page", "message": "Damaged."},
    }


async def test_if_all_pages_fail_the_stream_ends_in_an_error() -> None:
    reader = FakeReader(page_count=2, ends={0: EngineUnavailable("Gone."), 1: GenerationFailed("No.")})
    events = parse_events(await stream(reader))
    assert [name for name, _ in events] == ["start", "page.error", "page.error", "error"]
    assert events[3][1] == {
        "error": {"code": "engine_unavailable", "message": "Gone.", "type": "server_error"}
    }


async def test_errors_before_the_first_event_are_plain_replies() -> None:
    reader = FakeReader()
    async with client_of(make_app(reader)) as client:
        reply = await client.post("/v1/ocr", files={"file": b"%PDF"}, data={"stream": "true", "pages": "9"})
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == "pages"


async def test_a_silent_stream_beats() -> None:
    reader = FakeReader(gate=asyncio.Event())
    app = make_app(reader, heartbeat_s=0.01)
    sent: asyncio.Queue[bytes] = asyncio.Queue()
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n%PDF\r\n'
    body += b'--b\r\nContent-Disposition: form-data; name="stream"\r\n\r\ntrue\r\n--b--\r\n'
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, object]:
        if messages:
            return messages.pop()
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: dict[str, object]) -> None:
        body = message.get("body", b"")
        assert isinstance(body, bytes)
        sent.put_nowait(body)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/ocr",
        "query_string": b"",
        "client": ("127.0.0.1", 1),
        "headers": [(b"content-type", b"multipart/form-data; boundary=b")],
    }
    serving = asyncio.create_task(app(scope, receive, send))  # type: ignore[arg-type]
    while not (await sent.get()).startswith(b":"):
        pass
    assert reader.gate is not None
    reader.gate.set()
    await serving
    rest = b"".join([sent.get_nowait() for _ in range(sent.qsize())])
    assert b"event: page.done" in rest
    assert b"event: done" in rest
    assert reader.closed.is_set()


async def test_time_runs_out_in_the_middle() -> None:
    reader = FakeReader(page_count=2, gate=asyncio.Event())
    events = parse_events(await stream(reader, request_timeout_s=0.05))
    assert [name for name, _ in events] == ["start", "page.error", "page.error", "error"]
    assert reader.closed.is_set()


async def test_the_limit_of_time_on_a_plain_request() -> None:
    reader = FakeReader(page_count=2, gate=asyncio.Event())
    async with client_of(make_app(reader, request_timeout_s=0.05)) as client:
        reply: httpx.Response = await client.post("/v1/ocr", files={"file": b"%PDF"})
    assert reply.status_code == 504
    assert reply.json()["error"]["code"] == "processing_timeout"
    assert reader.closed.is_set()
