"""Replies as server-sent events."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from pydantic import BaseModel
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from serve_app.api.disconnects import unless_disconnected
from serve_app.api.errors import error_reply
from serve_app.api.live_blocks import LiveBlocks
from serve_app.api.recognition import Recognition
from serve_app.api.replies import ReplyWriter
from serve_app.api.request_log import note
from serve_app.api.schemas import StreamDelta, StreamDone, StreamStart, dump
from serve_app.api.settings import ApiSettings
from serve_app.reading import PageDelta, PageDone, PageEvent, PageFailed, PageStarted
from serve_app.tasks import stopped

HEARTBEAT = ": still at work\n\n"


_LINE_BREAKS = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}
"""What JSON leaves as it is, and some clients take for the end of a line; it stands in strings alone."""


def server_sent_event(name: str, data: BaseModel) -> str:
    """Write one event as the HTML standard's section 9.2 defines it, its data in one line."""
    return f"event: {name}\n{data_line(data)}"


def data_line(data: BaseModel) -> str:
    """Write an event without a name."""
    return f"data: {dump(data).translate(_LINE_BREAKS)}\n\n"


class _Gathered:
    """Text of pages that has come and is not yet sent; at most one interval's worth."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._texts: dict[int, PageDelta] = {}
        self.due: float | None = None

    def add(self, delta: PageDelta, now: float) -> None:
        """Take text; a later attempt replaces what an earlier one left."""
        held = self._texts.get(delta.index)
        if held is not None and held.attempt == delta.attempt:
            delta = PageDelta(delta.index, held.text + delta.text, delta.attempt)
        self._texts[delta.index] = delta
        if self.due is None:
            self.due = now + self._interval_s

    def take(self, index: int | None = None) -> str:
        """Give the events of all pages, or of one."""
        indices = list(self._texts) if index is None else [index] if index in self._texts else []
        deltas = [self._texts.pop(each) for each in indices]
        if not self._texts:
            self.due = None
        return "".join(
            server_sent_event("page.delta", StreamDelta(index=one.index, text=one.text, attempt=one.attempt))
            for one in deltas
        )


async def stream_events(
    events: AsyncGenerator[PageEvent, None],
    recognition: Recognition,
    writer: ReplyWriter,
    settings: ApiSettings,
) -> AsyncGenerator[str, None]:
    """Yield a reply's events, and heartbeats while nothing comes.

    One event is read ahead at most, so that a slow client holds the reader back. Closing this
    generator closes `events`.
    """
    clock = asyncio.get_running_loop().time
    gathered = _Gathered(settings.delta_interval_s)
    live = LiveBlocks() if recognition.options.stream_blocks else None
    info = recognition.info

    def patience() -> float:
        return settings.heartbeat_s if gathered.due is None else max(0, gathered.due - clock())

    async with aclosing(paced(events, patience)) as pace:
        yield server_sent_event(
            "start", StreamStart(model=writer.model, pages=recognition.pages, doc_size_bytes=info.size_bytes)
        )
        async for event in pace:
            match event:
                case None:
                    yield gathered.take() or HEARTBEAT
                case PageStarted():
                    if live is not None:
                        live.start(event)
                        yield gathered.take(event.page.index) + server_sent_event(
                            "page.start", writer.start(event)
                        )
                case PageDelta():
                    gathered.add(event, clock())
                    blocks = [] if live is None else list(live.add(event))
                    if blocks:
                        # What a block was made of comes before it.
                        yield gathered.take(event.index) + "".join(
                            server_sent_event("page.block", writer.live_block(started, number, block))
                            for started, number, block in blocks
                        )
                    elif gathered.due is not None and gathered.due <= clock():
                        yield gathered.take()
                case PageDone(result):
                    if live is not None:
                        live.end(result.index)
                    yield gathered.take(result.index) + server_sent_event("page.done", writer.page(result))
                case PageFailed(index, error):
                    yield gathered.take(index) + server_sent_event(
                        "page.error", writer.failed_page(index, error)
                    )
    if writer.pages_read == 0 and writer.first_error is not None:
        yield server_sent_event("error", error_reply(writer.first_error))
    else:
        yield server_sent_event("done", StreamDone(model=writer.model, usage_info=writer.usage(info)))


async def paced(
    events: AsyncGenerator[PageEvent, None], patience: Callable[[], float]
) -> AsyncGenerator[PageEvent | None, None]:
    """Yield events, and None whenever none came for as long as `patience` says, in seconds.

    One event is read ahead at most. Closing this generator closes `events`.
    """
    ahead: asyncio.Task[PageEvent | None] | None = None
    async with aclosing(events):
        try:
            while True:
                ahead = ahead or asyncio.create_task(_next(events))
                await asyncio.wait({ahead}, timeout=patience())
                if not ahead.done():
                    yield None
                    continue
                event, ahead = ahead.result(), None
                if event is None:
                    return
                yield event
        finally:
            await stopped(ahead)


async def _next(events: AsyncGenerator[PageEvent, None]) -> PageEvent | None:
    return await anext(events, None)


class EventStream(Response):
    """A reply of events, whose source is closed as soon as the client leaves."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[str, None]) -> None:
        super().__init__(headers={"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        try:
            await unless_disconnected(receive, self._send(send))
        except ClientDisconnect:
            note(scope, error="client_left")

    async def _send(self, send: Send) -> None:
        async with aclosing(self._events):
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            async for piece in self._events:
                await send({"type": "http.response.body", "body": piece.encode(), "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
