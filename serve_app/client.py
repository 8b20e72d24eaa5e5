"""A client of a running service's HTTP interface."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing

import httpx

from deployments.errors import EngineUnavailable, OcrError
from serve_app.api.schemas import ErrorReply, OcrOptions, OcrPage, StreamDone, StreamStart
from serve_app.converter import ConversionPart
from serve_app.exchange import error_of, exchange, named_error, service_address
from serve_app.formats import ResultFormat

ATTEMPTS = 6
"""How often a request is sent while the service says that it is busy."""

_MAX_WAIT_S = 60
_MAX_EVENT_BYTES = 2**29
"""A page of 100 million pixels, four times over in figures, stays below it in PNG and base64."""

_TIMEOUT = httpx.Timeout(60, connect=10)
"""A stream is never silent for longer than the service's heartbeat of 15 s."""

_EXPORT_TIMEOUT = httpx.Timeout(600, connect=10)
"""A file comes all at once, when it is made."""

Sleep = Callable[[float], Awaitable[None]]


class ServiceClient:
    """Converts documents through a service, and waits as the service asks while it is busy.

    Args:
        address: of the service.
        api_key: where it wants one.
        sleep: waits.

    Raises:
        InvalidRequest: the address is none.
    """

    def __init__(self, address: str, *, api_key: str | None = None, sleep: Sleep = asyncio.sleep) -> None:
        self._address = service_address(address)
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._http = httpx.AsyncClient(timeout=_TIMEOUT, headers=headers)
        self._sleep = sleep

    async def read(self, document: bytes, options: OcrOptions) -> AsyncGenerator[ConversionPart, None]:
        """Yield the parts of a conversion; see `serve_app.converter.Converter`."""
        request = self._http.build_request(
            "POST",
            f"{self._address}/v1/ocr",
            files={"file": ("document", document)},
            data=form_fields(options) | {"stream": "true"},
        )
        with exchange(self._address):
            response = await self._send(request)
            try:
                async with aclosing(_events(response.aiter_bytes())) as events:
                    async for name, data in events:
                        part = _part(name, data)
                        if part is not None:
                            yield part
                        if isinstance(part, StreamDone):
                            return
            finally:
                await response.aclose()
        raise EngineUnavailable(f"{self._address} broke off in the middle of the document; try again.")

    async def export(
        self, document: bytes, options: OcrOptions, written: Mapping[int, str], format_: ResultFormat
    ) -> bytes:
        """Return a file of pages that were read; see `serve_app.converter.Converter`."""
        pages = [{"index": index, "raw": raw} for index, raw in written.items()]
        fields = form_fields(options.model_copy(update={"pages": None, "format": format_}))
        request = self._http.build_request(
            "POST",
            f"{self._address}/v1/exports",
            files={"file": ("document", document)},
            data=fields | {"written": json.dumps(pages)},
            timeout=_EXPORT_TIMEOUT,
        )
        with exchange(self._address):
            response = await self._send(request)
            try:
                return await response.aread()
            finally:
                await response.aclose()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _send(self, request: httpx.Request) -> httpx.Response:
        """Send until the service takes the request; one under which a process of it died is sent again.

        Raises:
            OcrError: what the service answered, at the last attempt if it was busy.
            httpx.HTTPError: it can't be reached, or each connection broke off.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                response = await self._http.send(request, stream=True)
            except (httpx.RemoteProtocolError, httpx.ReadError):
                if attempt == ATTEMPTS:
                    raise
                await self._sleep(_wait_s("", attempt))
                continue
            if response.is_success:
                return response
            await response.aread()
            await response.aclose()
            if not _may_pass(response) or attempt == ATTEMPTS:
                break
            await self._sleep(_wait_s(response.headers.get("retry-after", ""), attempt))
        raise error_of(response)


def form_fields(options: OcrOptions) -> dict[str, str]:
    """Write options as form fields."""
    fields = options.model_dump(mode="json", exclude_defaults=True)
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in fields.items()
    }


def _may_pass(response: httpx.Response) -> bool:
    """Whether the same request may be taken later.

    Serve's proxy answers a request whose replica died with 500 in plain text.
    """
    plain = not response.headers.get("content-type", "").startswith("application/json")
    return response.status_code in (429, 503) or (response.status_code >= 500 and plain)


def _wait_s(retry_after: str, attempt: int) -> float:
    """Return how long to wait: as asked, or twice as long each time; at most a minute."""
    asked = int(retry_after[:9]) if retry_after.isascii() and retry_after.isdigit() else 2**attempt
    return min(asked, _MAX_WAIT_S)


def _part(name: str, data: bytes) -> ConversionPart | None:
    match name:
        case "start":
            return StreamStart.model_validate_json(data)
        case "page.done" | "page.error":
            return OcrPage.model_validate_json(data)
        case "done":
            return StreamDone.model_validate_json(data)
        case "error":
            raise named_error(ErrorReply.model_validate_json(data))
        case _:
            return None


async def _events(pieces: AsyncIterator[bytes]) -> AsyncGenerator[tuple[str, bytes], None]:
    """Yield name and data of each server-sent event, as `serve_app.api.streaming` writes them."""
    held = bytearray()
    async for piece in pieces:
        searched = max(len(held) - 1, 0)
        held += piece
        if len(held) > _MAX_EVENT_BYTES:
            raise OcrError("The service sent a page too large to take.")
        begin = 0
        while (end := held.find(b"\n\n", max(begin, searched))) >= 0:
            name, data = "", b""
            for line in bytes(held[begin:end]).split(b"\n"):
                if line.startswith(b"event: "):
                    name = line[7:].decode()
                elif line.startswith(b"data: "):
                    data = line[6:]
            yield name, data
            begin = end + 2
        del held[:begin]
