"""What was read, as the answer of a chat: whole, or as a stream of chunks."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from deployments.errors import OcrError, StageLost
from deployments.postprocess import markdown
from deployments.types import FinishReason, PageResult
from serve_app.api.chat_question import Question
from serve_app.api.chat_schemas import (
    ChatAnswer,
    ChatChoice,
    ChatChunk,
    ChatChunkChoice,
    ChatCompletion,
    ChatDelta,
    ChatFinish,
    ChatUsage,
)
from serve_app.api.errors import error_reply
from serve_app.api.settings import ApiSettings
from serve_app.api.streaming import HEARTBEAT, data_line, paced
from serve_app.reading import PageDelta, PageDone, PageEvent, PageFailed

PAGE_GAP = "\n\n"
"""Between the pages of a document."""

DONE = "data: [DONE]\n\n"


class Answer:
    """Writes the pages of one answer, and counts what they took.

    The Markdown of an answer has no links to figures: there is nothing that they could lead to.
    """

    def __init__(self, id_: str, model: str, question: Question) -> None:
        self._id = id_
        self._model = model
        self._question = question
        self._created = int(time.time())
        self._finish: ChatFinish = "stop"
        self._prompt_tokens = 0
        self._output_tokens = 0

    def page(self, result: PageResult) -> str:
        """Return a page's text and count what it took."""
        generation = result.generation
        self._prompt_tokens += generation.prompt_tokens
        self._output_tokens += generation.output_tokens
        if generation.finish_reason is not FinishReason.STOP:
            self._finish = "length"
        if self._question.raw:
            return generation.text
        return markdown.render(result.blocks, figures=frozenset())

    @property
    def usage(self) -> ChatUsage:
        """What the pages so far took."""
        return ChatUsage(
            prompt_tokens=self._prompt_tokens,
            completion_tokens=self._output_tokens,
            total_tokens=self._prompt_tokens + self._output_tokens,
        )

    async def whole(self, events: AsyncIterator[PageEvent]) -> ChatCompletion:
        """Gather the answer.

        Raises:
            OcrError: of the first page that could not be read; an answer has all pages or none.
        """
        pages = []
        async for event in events:
            match event:
                case PageDone(result):
                    pages.append(self.page(result))
                case PageFailed(_, error):
                    raise error
                case PageDelta():
                    pass
        message = ChatAnswer(role="assistant", content=PAGE_GAP.join(pages), refusal=None)
        choice = ChatChoice(index=0, message=message, logprobs=None, finish_reason=self._finish)
        return ChatCompletion(
            id=self._id,
            object="chat.completion",
            created=self._created,
            model=self._model,
            choices=[choice],
            usage=self.usage,
        )

    def text(self, text: str) -> str:
        """Write a chunk of text."""
        return self._chunk([ChatChunkChoice(index=0, delta=ChatDelta(content=text), finish_reason=None)])

    def first(self) -> str:
        """Write the chunk that begins the answer."""
        delta = ChatDelta(role="assistant", content="")
        return self._chunk([ChatChunkChoice(index=0, delta=delta, finish_reason=None)])

    def last(self, include_usage: bool) -> str:
        """Write what ends the answer."""
        end = self._chunk([ChatChunkChoice(index=0, delta=ChatDelta(), finish_reason=self._finish)])
        return end + (self._chunk([], self.usage) if include_usage else "") + DONE

    def _chunk(self, choices: list[ChatChunkChoice], usage: ChatUsage | None = None) -> str:
        chunk = ChatChunk(
            id=self._id,
            object="chat.completion.chunk",
            created=self._created,
            model=self._model,
            choices=choices,
        )
        if usage is not None:
            chunk.usage = usage
        return data_line(chunk)


class _Live:
    """The text of a page that is sent while it is written.

    A page whose worker died is written anew. What was sent stays sent: the new text goes on where the old
    one ended, as long as it begins with the same.
    """

    def __init__(self) -> None:
        self._attempt = 1
        self._written = ""
        self._sent = 0
        self._before = ""

    def add(self, delta: PageDelta) -> None:
        """Take a piece."""
        if delta.attempt != self._attempt:
            self._before = max(self._before, self._written[: self._sent], key=len)
            self._attempt, self._written, self._sent = delta.attempt, "", 0
        self._written += delta.text

    @property
    def waiting(self) -> bool:
        """Whether there is text to send."""
        return len(self._written) > max(self._sent, len(self._before))

    def take(self) -> str:
        """Return what is to be sent now.

        Raises:
            StageLost: the page was written anew, and differently.
        """
        begin = max(self._sent, len(self._before))
        if self._before[: len(self._written)] != self._written[: len(self._before)]:
            raise _changed()
        if len(self._written) <= begin:
            return ""
        self._sent = len(self._written)
        return self._written[begin:]

    def finish(self, text: str) -> str:
        """Return what is left of the whole text."""
        if not text.startswith(self._before):
            raise _changed()
        self._written = text
        return self.take()


def _changed() -> StageLost:
    return StageLost("A worker was lost while it read the page; send the page again.")


async def stream_answer(
    events: AsyncGenerator[PageEvent, None], answer: Answer, settings: ApiSettings, *, include_usage: bool
) -> AsyncGenerator[str, None]:
    """Yield an answer's chunks, and heartbeats while nothing comes; closing this closes `events`.

    An error ends the stream with an event in the error shape, as vLLM's endpoint has it.
    """
    clock = asyncio.get_running_loop().time
    live, gap, due = _Live(), "", clock()

    def patience() -> float:
        return max(0.0, due - clock()) if live.waiting else settings.heartbeat_s

    try:
        async with aclosing(paced(events, patience)) as pace:
            yield answer.first()
            async for event in pace:
                match event:
                    case PageDelta():
                        live.add(event)
                    case PageDone(result):
                        text = gap + live.finish(answer.page(result))
                        if text:
                            yield answer.text(text)
                        live, gap = _Live(), PAGE_GAP
                        continue
                    case PageFailed(_, error):
                        raise error
                    case None if not live.waiting:
                        yield HEARTBEAT
                if live.waiting and due <= clock():
                    if text := live.take():
                        yield answer.text(text)
                    due = clock() + settings.delta_interval_s
    except OcrError as error:
        yield data_line(error_reply(error)) + DONE
    else:
        yield answer.last(include_usage)
