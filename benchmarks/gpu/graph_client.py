"""A client of the HTTP interface that asks for answers of set lengths."""

import io
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, NamedTuple

import httpx
from PIL import Image

from benchmarks.gpu.asked_engine import asking, priming
from benchmarks.gpu.lengths import UnderWay

POOLS = 16
"""Pools of connections: a pool looks at each of its connections whenever a request begins or ends."""


class Outcome(NamedTuple):
    """What came back for a page.

    Attributes:
        sent: seconds of `time.time()`.
        done: likewise.
        status: of the reply; 0 if none came.
        code: how the page ended, or the error's code.
        tokens: of the answer.
        deltas: when each came, with its characters; of streams alone.
    """

    sent: float
    done: float
    status: int
    code: str
    tokens: int = 0
    deltas: tuple[tuple[float, int], ...] = ()

    @property
    def answered(self) -> bool:
        """Whether the page was read."""
        return self.status == 200 and self.tokens > 0


class Client:
    """Posts documents of one page.

    Args:
        address: of the service, without a path.
        documents: PDFs, taken in turn.
        connections: most that are open at a time.
    """

    def __init__(self, address: str, documents: list[bytes], connections: int) -> None:
        self._url, self._address, self._documents = f"{address}/v1/ocr", address, documents
        self._number = 0
        share = -(-connections // POOLS) + 1
        limits = httpx.Limits(max_connections=share, max_keepalive_connections=share)
        self._pools = [httpx.AsyncClient(timeout=None, limits=limits) for _ in range(POOLS)]  # noqa: S113 - the steps have limits
        picture = io.BytesIO()
        Image.new("RGB", (64, 64)).save(picture, "PNG")
        self._picture = picture.getvalue()

    async def close(self) -> None:
        """Close all connections."""
        for pool in self._pools:
            await pool.aclose()

    async def ready(self) -> int:
        """Return the status of `/readyz`; 0 if nothing answers."""
        try:
            return (await self._pools[0].get(f"{self._address}/readyz", timeout=10)).status_code
        except httpx.HTTPError:
            return 0

    async def page(self, tokens: int) -> Outcome:
        """Have a page read."""
        return await self._whole(**self._request(asking(tokens)))

    async def prime(self, page: UnderWay) -> Outcome:
        """Have the rest of a half-written page written; what travels is a very small picture."""
        request = self._request(priming(page))
        return await self._whole(**{**request, "files": {"file": ("small.png", self._picture, "image/png")}})

    async def stream(self, tokens: int, begun: Callable[[], Awaitable[None]] | None = None) -> Outcome:
        """Have a page read as a stream.

        Args:
            tokens: of the answer.
            begun: called at the first delta; when it returns, the client leaves.
        """
        sent, deltas, code, written = time.time(), [], "cut", 0
        request = self._request(asking(tokens))
        request["data"]["stream"] = "true"
        try:
            async with self._pool().stream("POST", self._url, **request) as reply:
                if reply.status_code != 200:
                    return Outcome(sent, time.time(), reply.status_code, _code(await reply.aread()))
                async for name, data in _events(reply):
                    if name == "page.delta":
                        deltas.append((time.time(), len(data["text"])))
                        if begun is not None:
                            await begun()
                            return Outcome(sent, time.time(), 200, "left", 0, tuple(deltas))
                    elif name == "page.done":
                        code = data["finish_reason"]
                    elif name in ("page.error", "error"):
                        code = f"{name} {data['error']['code']}"
                    elif name == "done":
                        written = data["usage_info"]["output_tokens"]
        except httpx.HTTPError as error:
            return Outcome(sent, time.time(), 0, type(error).__name__, 0, tuple(deltas))
        return Outcome(sent, time.time(), 200, code, written, tuple(deltas))

    async def _whole(self, **request: Any) -> Outcome:
        sent = time.time()
        try:
            reply = await self._pool().post(self._url, **request)
        except httpx.HTTPError as error:
            return Outcome(sent, time.time(), 0, type(error).__name__)
        if reply.status_code != 200:
            return Outcome(sent, time.time(), reply.status_code, _code(reply.content))
        body = reply.json()
        page = body["pages"][0]
        if fault := page.get("error"):
            return Outcome(sent, time.time(), 200, fault["code"])
        return Outcome(sent, time.time(), 200, page["finish_reason"], body["usage_info"]["output_tokens"])

    def _request(self, prompt: str) -> dict[str, Any]:
        self._number += 1
        document = self._documents[self._number % len(self._documents)]
        return {
            "files": {"file": ("page.pdf", document, "application/pdf")},
            "data": {"task": "custom", "prompt": prompt},
        }

    def _pool(self) -> httpx.AsyncClient:
        return self._pools[self._number % POOLS]


async def _events(reply: httpx.Response) -> AsyncGenerator[tuple[str, Any], None]:
    """Yield a stream's events."""
    name = ""
    async for line in reply.aiter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def _code(body: bytes) -> str:
    """Return an error reply's code, or what came instead."""
    try:
        return str(json.loads(body)["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return body[:80].decode(errors="replace")
