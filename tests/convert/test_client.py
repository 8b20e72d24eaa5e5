"""The client of a running service, where the service is busy, broken or none of ours."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from deployments.errors import (
    EngineUnavailable,
    InvalidRequest,
    OcrError,
    QueueFull,
    TooManyPages,
    Unauthenticated,
)
from serve_app import api_keys
from serve_app.api.schemas import OcrOptions, OcrPage
from serve_app.client import ATTEMPTS, ServiceClient
from serve_app.converter import ConversionPart
from tests.fakes import FakeReader, make_app, serving

pytestmark = pytest.mark.anyio


def service(answer: Callable[[Request], Awaitable[Response]]) -> Starlette:
    return Starlette(routes=[Route("/v1/ocr", answer, methods=["POST"])])


async def read(address: str, waits: list[float] | None = None, **options: object) -> list[ConversionPart]:
    async def sleep(seconds: float) -> None:
        if waits is not None:
            waits.append(seconds)

    client = ServiceClient(address, sleep=sleep)
    try:
        async with aclosing(client.read(b"%PDF", OcrOptions.model_validate(options))) as parts:
            return [part async for part in parts]
    finally:
        await client.close()


async def test_a_key_is_sent_where_the_service_wants_one(tmp_path: Path) -> None:
    key = api_keys.new(tmp_path / "keys", "alice")
    app = make_app(FakeReader(), authentication="on", keys_file=tmp_path / "keys")
    async with serving(app) as address:
        with pytest.raises(Unauthenticated):
            await read(address)
        client = ServiceClient(address, api_key=key)
        async with aclosing(client.read(b"%PDF", OcrOptions())) as parts:
            assert [part async for part in parts]
        await client.close()


def busy(status: int, retry_after: str | None) -> Response:
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    body = {"error": {"code": "queue_full", "message": "Try later.", "type": "rate_limit_error"}}
    return JSONResponse(body, status, headers)


@pytest.mark.parametrize(
    ("status", "retry_after", "waited"),
    [(429, "7", 7), (503, "0", 0), (429, "100000", 60), (429, None, 2), (503, "Wed, 21 Oct", 2)],
)
async def test_a_busy_service_is_asked_again_when_it_says(
    status: int, retry_after: str | None, waited: int
) -> None:
    answers = [busy(status, retry_after)]
    waits: list[float] = []
    inner = make_app(FakeReader())

    async def answer(request: Request) -> Response:
        await request.body()
        return answers.pop()

    first = service(answer)

    async def app(scope: dict[str, object], receive: object, send: object) -> None:
        await (first if answers else inner)(scope, receive, send)  # type: ignore[arg-type]

    async with serving(app) as address:
        parts = await read(address, waits)
    assert waits == [waited]
    assert len([part for part in parts if isinstance(part, OcrPage)]) == 1


async def test_a_request_whose_process_died_is_sent_again() -> None:
    deaths = ["plain 500", "connection"]
    inner = make_app(FakeReader())

    async def app(scope: dict[str, object], receive: object, send: object) -> None:
        if scope["type"] != "http" or not deaths:
            await inner(scope, receive, send)  # type: ignore[arg-type]
        elif deaths.pop() == "plain 500":
            await PlainTextResponse("Internal Server Error", 500)(scope, receive, send)  # type: ignore[arg-type]

    waits: list[float] = []
    async with serving(app) as address:
        parts = await read(address, waits)
    assert len(waits) == 2
    assert len([part for part in parts if isinstance(part, OcrPage)]) == 1


async def test_patience_ends() -> None:
    async def answer(request: Request) -> Response:
        await request.body()
        return busy(429, "1")

    waits: list[float] = []
    async with serving(service(answer)) as address:
        with pytest.raises(QueueFull, match="Try later"):
            await read(address, waits)
    assert waits == [1] * (ATTEMPTS - 1)


async def test_errors_come_as_the_classes_they_were() -> None:
    async with serving(make_app(FakeReader(page_count=9), max_pages_per_request=3)) as address:
        with pytest.raises(TooManyPages, match="at most 3 pages"):
            await read(address)
        with pytest.raises(InvalidRequest) as caught:
            await read(address, pages="9")
    assert caught.value.param == "pages"


async def test_nobody_answers() -> None:
    with pytest.raises(EngineUnavailable, match="is it running"):
        await read("http://127.0.0.1:9")


@pytest.mark.parametrize("address", ["nonsense", "ftp://127.0.0.1", "http://", "http://a:b"])
async def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(InvalidRequest, match="no address"):
        await read(address)


async def test_another_service_answers() -> None:
    async def refuse(request: Request) -> Response:
        await request.body()
        return PlainTextResponse("<html>", 404)

    async def agree(request: Request) -> Response:
        await request.body()
        return PlainTextResponse("event: start\ndata: {}\n\n")

    async with serving(service(refuse)) as address:
        with pytest.raises(OcrError, match="status 404"):
            await read(address)
    async with serving(service(agree)) as address:
        with pytest.raises(OcrError, match="shape"):
            await read(address)


async def test_a_stream_that_breaks_off() -> None:
    async def answer(request: Request) -> Response:
        await request.body()
        return PlainTextResponse('event: start\ndata: {"model":"m","pages":[0],"doc_size_bytes":1}\n\n: ')

    async with serving(service(answer)) as address:
        with pytest.raises(EngineUnavailable, match="broke off"):
            await read(address)


async def test_events_in_pieces_of_any_size() -> None:
    page = '{"index":0,"markdown":"ü\\u2028","images":[],"dimensions":null}'
    usage = '{"pages_processed":1,"doc_size_bytes":1,"prompt_tokens":0,"output_tokens":0}'
    text = (
        ": still at work\n\n"
        'event: start\ndata: {"model":"m","pages":[0],"doc_size_bytes":1}\n\n'
        f"event: novelty\ndata: {{}}\n\n: x\n\nevent: page.done\ndata: {page}\n\n"
        f'event: done\ndata: {{"model":"m","usage_info":{usage}}}\n\n'
    ).encode()

    async def answer(request: Request) -> Response:
        async with request.form() as form:
            size = int(str(form["dpi"]))

        async def pieces() -> AsyncIterator[bytes]:
            for begin in range(0, len(text), size):
                yield text[begin : begin + size]
                await asyncio.sleep(0)

        return StreamingResponse(pieces())

    async with serving(service(answer)) as address:
        for size in (36, 37, 51, 600):
            parts = await read(address, dpi=size)
            assert [type(part).__name__ for part in parts] == ["StreamStart", "OcrPage", "StreamDone"]
            assert isinstance(parts[1], OcrPage)
            assert parts[1].markdown == "ü\u2028"
