"""A reader and a status whose every answer the test sets, and ways to reach an application over them."""

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from deployments.errors import EngineUnavailable, OcrError
from deployments.types import (
    Block,
    BlockType,
    Box,
    DocumentInfo,
    DocumentKind,
    Figure,
    FinishReason,
    Generation,
    PagePicture,
    PageRequest,
    PageResult,
    Table,
)
from serve_app.api.app import create_app
from serve_app.api.door import Door
from serve_app.api.jobs import JobService
from serve_app.api.settings import ApiSettings
from serve_app.reading import PLAIN_WRITING, PageDelta, PageDone, PageEvent, PageFailed, Reader, Writing

HTML_TABLE = "<table><tr><th>Year</th><th>Sales</th></tr><tr><td>2024</td><td>7</td></tr></table>"
PNG = b"\x89PNG of a figure"


def page_result(
    index: int = 0,
    *,
    confidence: float | None = None,
    figures: bool = False,
    finish_reason: FinishReason = FinishReason.STOP,
) -> PageResult:
    """A page with one of each thing that replies treat in a way of their own."""
    png = PNG if figures else None
    return PageResult(
        index=index,
        width=1000,
        height=1400,
        dpi=None if index else 144,
        markdown="",
        blocks=(
            Block(BlockType.HEADER, "header", Box(10, 5, 990, 40), "Annual report"),
            Block(BlockType.TITLE, "title", Box(10, 50, 990, 90), f"# Page {index}"),
            Block(BlockType.TEXT, "text", None, "Text somewhere."),
            Block(BlockType.IMAGE, "image", Box(10, 100, 510, 600), "", image_id="img-0.png"),
            Block(BlockType.IMAGE, "image", Box(600, 100, 640, 130), "", image_id="img-1.png"),
            Block(BlockType.TABLE, "table", Box(10, 700, 990, 900), HTML_TABLE, table_id="tbl-0.html"),
            Block(BlockType.FOOTER, "footer", Box(10, 1350, 990, 1390), "Page of many"),
        ),
        figures=(
            Figure("img-0.png", Box(10, 100, 510, 600), png),
            Figure("img-1.png", Box(600, 100, 640, 130), png),
        ),
        tables=(Table("tbl-0.html", HTML_TABLE),),
        header="Annual report",
        footer="Page of many",
        generation=Generation("raw text", finish_reason, 100, 20, confidence),
    )


class StopReading(Exception):
    """Tells the reader to end without a word."""


@dataclass
class FakeReader:
    """A reader whose every answer the test sets.

    `ends` gives a page's end: an error to report, an exception to raise in the middle of the reading,
    or a `StopReading`. `gate` keeps pages from ending until it is set; `closed` says that the reading
    was closed.
    """

    page_count: int = 1
    kind: DocumentKind = DocumentKind.PDF
    inspect_error: Exception | None = None
    ends: dict[int, Exception] = field(default_factory=dict)
    finish_reasons: dict[int, FinishReason] = field(default_factory=dict)
    deltas: Sequence[PageDelta] = ()
    pause_s: float = 0
    gate: asyncio.Event | None = None
    began: asyncio.Event = field(default_factory=asyncio.Event)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    documents: list[bytes] = field(default_factory=list)
    requests: list[PageRequest] = field(default_factory=list)
    flags: dict[str, bool] = field(default_factory=dict)
    writings: list[Writing] = field(default_factory=list)
    callers: list[str] = field(default_factory=list)

    async def hold(self, document: bytes) -> bytes:
        return document

    async def inspect(self, document: bytes) -> DocumentInfo:
        self.documents.append(document)
        if self.inspect_error is not None:
            raise self.inspect_error
        return DocumentInfo(self.kind, "application/pdf", self.page_count, len(document))

    async def pictures(
        self, document: bytes, pages: Sequence[int], dpi: int, side: int, *, caller: str = ""
    ) -> AsyncGenerator[PagePicture | PageFailed, None]:
        for index in pages:
            yield PagePicture(index, 1000, 1400, dpi, b"\xff\xd8 a picture")

    async def rebuild(
        self,
        document: bytes,
        texts: Mapping[int, Generation],
        request: PageRequest,
        *,
        figures: bool = False,
        caller: str = "",
    ) -> AsyncGenerator[PageDone | PageFailed, None]:
        for index in texts:
            yield PageDone(page_result(index, figures=figures))

    async def read(
        self,
        document: bytes,
        pages: Sequence[int],
        request: PageRequest,
        *,
        stream: bool = False,
        confidence: bool = False,
        figures: bool = False,
        writing: Writing = PLAIN_WRITING,
        caller: str = "",
    ) -> AsyncGenerator[PageEvent, None]:
        self.requests.append(request)
        self.writings.append(writing)
        self.callers.append(caller)
        self.flags = {"stream": stream, "confidence": confidence, "figures": figures}
        self.began.set()
        try:
            if stream:
                for delta in self.deltas:
                    await asyncio.sleep(self.pause_s)
                    yield delta
            for index in pages:
                if self.gate is not None:
                    await self.gate.wait()
                error = self.ends.get(index)
                if isinstance(error, OcrError):
                    yield PageFailed(index, error)
                elif isinstance(error, StopReading):
                    return
                elif error is not None:
                    raise error
                else:
                    yield PageDone(
                        page_result(
                            index,
                            confidence=0.9 if confidence else None,
                            figures=figures,
                            finish_reason=self.finish_reasons.get(index, FinishReason.STOP),
                        )
                    )
        finally:
            self.closed.set()


@dataclass
class FakeStatus:
    engine: str = "embedded"
    model: str = "fake-ocr"
    missing: str | None = None

    async def check_ready(self) -> None:
        if self.missing is not None:
            raise EngineUnavailable(self.missing)


def make_app(
    reader: Reader[Any],
    status: FakeStatus | None = None,
    jobs: JobService | None = None,
    *,
    host: str = "127.0.0.1",
    door: Door | None = None,
    **settings: Any,
) -> FastAPI:
    # The keys of whoever runs the tests are no part of them.
    given = {"keys_file": "/nonexistent/keys", **settings}
    interface = ApiSettings.model_validate(given)
    return create_app(reader, interface, status or FakeStatus(), jobs, host=host, door=door)


def client_of(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


async def until(condition: Callable[[], bool]) -> None:
    """Let the other tasks of this test run until a condition holds."""
    while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
        await asyncio.sleep(0)


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    """Serve an application on a free port with uvicorn, and yield its address."""
    listener = socket.create_server(("127.0.0.1", 0))  # clients wait in its backlog until uvicorn is up
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    task = asyncio.create_task(server.serve([listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
