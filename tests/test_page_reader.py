"""What becomes of a document's pages, over stages in this process."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from deployments.errors import CorruptPage, GenerationFailed, ProcessingTimeout, StageLost
from deployments.model.ladder import LadderSettings
from deployments.types import (
    DocumentInfo,
    DocumentKind,
    FinishReason,
    Generation,
    GenerationOptions,
    PageRequest,
    PageResult,
    PreparedPage,
    Task,
)
from serve_app.api import recognition
from serve_app.api.schemas import OcrOptions
from serve_app.page_reader import PageReader, ReadingSettings
from serve_app.reading import PageDelta, PageDone, PageEvent, PageFailed, Writing


class Stages:
    """Stages whose every step a test can see and steer."""

    def __init__(
        self, faults: dict[int, list[Exception]] | None = None, loops: int = 0, delay: float = 0
    ) -> None:
        self.faults = faults or {}
        self.loops = loops
        self.delay = delay
        self.running = self.most_running = 0
        self.tried: list[tuple[bool, int]] = []
        self.options: list[GenerationOptions] = []
        self.held: list[bytes] = []
        self.freed, self.both_running = asyncio.Event(), asyncio.Event()

    async def hold(self, document: bytes) -> bytes:
        self.held.append(document)
        return document

    async def inspect(self, document: bytes) -> DocumentInfo:
        return DocumentInfo(DocumentKind.PDF, "application/pdf", 3, len(document))

    async def prepare(self, document: bytes, index: int, request: PageRequest) -> PreparedPage:
        self.tried.append((request.crop, index))
        if self.faults.get(index):
            raise self.faults[index].pop()
        return PreparedPage(index, 10, 10, None, "prompt")

    async def stream(
        self, page: PreparedPage, options: GenerationOptions
    ) -> AsyncGenerator[str | Generation, None]:
        for piece in ("a", "b"):
            yield piece
        yield await self.read(page, options)

    async def read(self, page: PreparedPage, options: GenerationOptions) -> Generation:
        self.options.append(options)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        if self.running == 2:
            self.both_running.set()
        try:
            await asyncio.sleep(self.delay)
        except asyncio.CancelledError:
            self.freed.set()
            raise
        finally:
            self.running -= 1
        looping = self.loops > 0
        self.loops -= 1
        return Generation("ab", FinishReason.RUNAWAY if looping else FinishReason.STOP)

    async def postprocess(self, page: PreparedPage, generation: Generation, **rest: Any) -> PageResult:
        blank = PageResult(page.index, 10, 10, None, "ab", (), (), (), None, None, generation)
        return replace(blank, attempts=rest["attempts"])


async def events(stages: Stages, pages: list[int], stream: bool = False, **settings: Any) -> list[PageEvent]:
    reader = PageReader(stages, ReadingSettings(**settings))
    async with aclosing(reader.read(b"", pages, PageRequest(), stream=stream)) as stream_of_events:
        return [event async for event in stream_of_events]


def done(event: PageEvent) -> PageResult:
    assert isinstance(event, PageDone)
    return event.result


async def test_pages_end_in_the_order_asked_for() -> None:
    ended = await events(Stages(), [2, 0, 1])
    assert [done(event).index for event in ended] == [2, 0, 1]


async def test_a_failed_page_leaves_the_others_whole() -> None:
    ended = await events(Stages({1: [CorruptPage("broken")]}), [0, 1, 2])
    assert [type(event) for event in ended] == [PageDone, PageFailed, PageDone]
    assert isinstance(ended[1], PageFailed)
    assert isinstance(ended[1].error, CorruptPage)


async def test_an_internal_fault_is_that_pages_error_and_says_nothing_of_the_inside(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ended = await events(Stages({0: [KeyError("secret")]}), [0, 1])
    assert isinstance(ended[0], PageFailed)
    assert ended[0].error.code == "internal_error"
    assert "secret" not in str(ended[0].error)
    assert "secret" in caplog.text


async def test_a_page_whose_worker_died_is_tried_once_more() -> None:
    ended = await events(Stages({0: [StageLost("gone")]}), [0])
    assert done(ended[0]).attempts == 2
    ended = await events(Stages({0: [StageLost("gone"), StageLost("gone")]}), [0])
    assert isinstance(ended[0], PageFailed)
    assert isinstance(ended[0].error, StageLost)


async def test_a_page_that_runs_away_climbs_the_ladder_and_the_last_rung_stands() -> None:
    stages = Stages(loops=2)
    ended = await events(stages, [0])
    assert done(ended[0]).generation.finish_reason is FinishReason.STOP
    assert [crop for crop, _ in stages.tried] == [True, True, False]
    ended = await events(Stages(loops=9), [0])
    assert done(ended[0]).generation.finish_reason is FinishReason.RUNAWAY
    assert done(ended[0]).attempts == 3


async def test_how_the_engine_writes_can_be_said() -> None:
    stages = Stages(loops=9)
    reader = PageReader(stages, ReadingSettings())
    async with aclosing(reader.read(b"", [0], PageRequest(), writing=Writing(7, 0.5, retry=False))) as ended:
        (event,) = [event async for event in ended]
    assert done(event).generation.finish_reason is FinishReason.RUNAWAY, "not read again"
    assert [(options.max_tokens, options.temperature) for options in stages.options] == [(7, 0.5)]


async def test_a_request_puts_its_document_into_the_store_once() -> None:
    stages = Stages()
    reader = PageReader(stages, ReadingSettings())
    work = await recognition.begin(reader, b"a document", OcrOptions(), max_pages=5)
    async with aclosing(recognition.events(reader, work, stream=False)) as ended:
        assert all([isinstance(event, PageDone) async for event in ended])
    assert stages.held == [b"a document"]


def test_a_page_without_tiles_has_no_rung_twice() -> None:
    attempts = LadderSettings().attempts(Task.MARKDOWN, crop=False)
    assert len(attempts) == len(set(attempts)) == 2
    assert not any(attempt.crop for attempt in attempts)


async def test_streamed_pieces_come_before_the_page_they_belong_to() -> None:
    ended = await events(Stages(), [0, 1], stream=True)
    for index in (0, 1):
        mine = [e for e in ended if (e.result.index if isinstance(e, PageDone) else e.index) == index]
        assert [type(event) for event in mine] == [PageDelta, PageDelta, PageDone]


async def test_pages_of_a_document_run_side_by_side_within_the_bound() -> None:
    stages = Stages(delay=0.01)
    await events(stages, list(range(12)), max_pages_per_document=3)
    assert stages.most_running == 3
    stages = Stages(delay=0.01)
    await events(stages, list(range(12)), stream=True, max_pages_per_document=5, max_pages_in_flight=2)
    assert stages.most_running == 2


@pytest.mark.parametrize("stream", [False, True])
async def test_closing_the_reader_cancels_what_is_under_way(stream: bool) -> None:
    stages = Stages({0: [GenerationFailed("first")]}, delay=3600)
    reader = PageReader(stages, ReadingSettings())
    async with aclosing(reader.read(b"", [0, 1, 2], PageRequest(), stream=stream)) as stream_of_events:
        async for event in stream_of_events:
            if isinstance(event, PageFailed):
                await stages.both_running.wait()
                break
    assert stages.freed.is_set()
    assert stages.running == 0


async def test_a_page_that_takes_too_long_says_so() -> None:
    ended = await events(Stages(delay=3600), [0], page_timeout_s=0.05)
    assert isinstance(ended[0], PageFailed)
    assert isinstance(ended[0].error, ProcessingTimeout)
