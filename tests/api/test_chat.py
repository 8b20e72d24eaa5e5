"""`/v1/chat/completions`, through OpenAI's own client and by hand."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import openai
import pytest

from deployments.errors import CorruptPage, GenerationFailed, QueueFull
from deployments.preprocess.prompts import PROMPTS
from deployments.types import FinishReason, PageRequest, Task
from serve_app.reading import PageDelta, Writing
from tests.fakes import FakeReader, client_of, make_app, serving

pytestmark = pytest.mark.anyio

PDF = b"%PDF-1.7 not really"
DATA_URI = "data:application/pdf;base64," + base64.b64encode(PDF).decode()
IMAGE = {"type": "image_url", "image_url": {"url": DATA_URI, "detail": "high"}}
FILE = {"type": "file", "file": {"file_data": DATA_URI, "filename": "a.pdf"}}


def user(*parts: dict[str, Any] | str) -> list[dict[str, Any]]:
    content = [{"type": "text", "text": part} if isinstance(part, str) else part for part in parts]
    return [{"role": "user", "content": content}]


@asynccontextmanager
async def openai_client(reader: FakeReader, **settings: Any) -> AsyncIterator[Any]:
    """OpenAI's client as Any: its types want literal dictionaries where tests compute them."""
    async with (
        serving(make_app(reader, **settings)) as address,
        openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client,
    ):
        yield client


async def test_a_page_as_markdown() -> None:
    reader = FakeReader()
    async with openai_client(reader) as client:
        (model,) = [model.id async for model in client.models.list()]
        answer = await client.chat.completions.create(model=model, messages=user(IMAGE))
    assert reader.documents == [PDF]
    assert reader.requests == [PageRequest()]
    assert reader.writings == [Writing()]
    (choice,) = answer.choices
    assert choice.message.role == "assistant"
    assert choice.message.content.startswith("Annual report\n\n# Page 0\n\nText somewhere.")
    assert "img-0.png" not in choice.message.content, "a link would lead nowhere"
    assert choice.finish_reason == "stop"
    assert answer.model == model
    assert answer.object == "chat.completion"
    assert answer.id.startswith("chatcmpl-")
    usage = answer.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (100, 20, 120)


@pytest.mark.parametrize(
    ("text", "task", "prompt", "raw"),
    [
        (None, Task.MARKDOWN, None, False),
        ("  ", Task.MARKDOWN, None, False),
        ("<image>", Task.MARKDOWN, None, False),
        ("Markdown", Task.MARKDOWN, None, False),
        ("text\n", Task.TEXT, None, False),
        ("table", Task.TABLE, None, False),
        (PROMPTS[Task.MARKDOWN], Task.MARKDOWN, None, True),
        ("<|grounding|>Convert the document to markdown.", Task.MARKDOWN, None, True),
        ("Free OCR.", Task.TEXT, None, True),
        ("<image>Free OCR.", Task.TEXT, None, True),
        ("<|grounding|>Extract the table content.", Task.TABLE, None, True),
        ("markdown please", Task.CUSTOM, "markdown please", True),
        ("Where is the stamp?", Task.CUSTOM, "Where is the stamp?", True),
    ],
)
async def test_the_text_says_what_to_do(text: str | None, task: Task, prompt: str | None, raw: bool) -> None:
    for messages in (
        user(IMAGE, text) if text is not None else user(IMAGE),
        user(text, IMAGE) if text is not None else user(FILE),
        [{"role": "system", "content": "You are a helpful assistant."}, *user(IMAGE, text or "")],
        [*user("Hello"), {"role": "assistant", "content": "Hi."}, *user(FILE, text or "")],
    ):
        reader = FakeReader()
        async with client_of(make_app(reader)) as client:
            reply = await client.post(
                "/v1/chat/completions", json={"model": "fake-ocr", "messages": messages}
            )
        assert reply.status_code == 200, reply.text
        assert reader.requests == [PageRequest(task, prompt)]
        assert (reply.json()["choices"][0]["message"]["content"] == "raw text") is raw


async def test_a_pdf_of_several_pages_as_a_file() -> None:
    reader = FakeReader(page_count=3)
    async with openai_client(reader) as client:
        answer = await client.chat.completions.create(model="fake-ocr", messages=user(FILE, "Free OCR."))
    assert answer.choices[0].message.content == "raw text\n\nraw text\n\nraw text"
    assert answer.usage.total_tokens == 360
    bare = {"type": "file", "file": {"file_data": DATA_URI.partition(",")[2]}}
    async with openai_client(reader) as client:
        await client.chat.completions.create(model="fake-ocr", messages=user(bare))
    assert reader.documents == [PDF, PDF]


async def test_options_of_writing_reach_the_reader() -> None:
    reader = FakeReader()
    ask = {"model": "fake-ocr", "messages": user(IMAGE), "temperature": 0.5, "n": 1, "top_p": 0.9, "seed": 1}
    async with openai_client(reader) as client:
        await client.chat.completions.create(**ask, max_tokens=50, user="me", extra_body={"vllm_xargs": {}})
        await client.chat.completions.create(**ask, max_completion_tokens=60, stop=None, logprobs=False)
    assert reader.writings == [Writing(50, 0.5), Writing(60, 0.5)]


@pytest.mark.parametrize("reason", [FinishReason.LENGTH, FinishReason.RUNAWAY])
@pytest.mark.parametrize("stream", [False, True])
async def test_text_that_was_cut_says_so(reason: FinishReason, stream: bool) -> None:
    reader = FakeReader(page_count=2, finish_reasons={0: reason})
    async with openai_client(reader) as client:
        ask = {"model": "fake-ocr", "messages": user(IMAGE)}
        if stream:
            chunks = [chunk async for chunk in await client.chat.completions.create(**ask, stream=True)]
            assert chunks[-1].choices[0].finish_reason == "length"
        else:
            answer = await client.chat.completions.create(**ask)
            assert answer.choices[0].finish_reason == "length"


async def streamed(client: Any, text: str, **more: Any) -> tuple[list[str], list[Any]]:
    stream = await client.chat.completions.create(
        model="fake-ocr", messages=user(IMAGE, text), stream=True, **more
    )
    chunks = [chunk async for chunk in stream]
    texts = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    return [text for text in texts if text], chunks


async def test_raw_text_streams_as_it_is_written() -> None:
    reader = FakeReader(deltas=[PageDelta(0, "raw"), PageDelta(0, " te"), PageDelta(0, "x")], pause_s=0.02)
    async with openai_client(reader, delta_interval_s=0.001) as client:
        texts, chunks = await streamed(client, "Free OCR.", stream_options={"include_usage": True})
    assert texts == ["raw", " te", "x", "t"]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [*[None] * 5, "stop"]
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens == 120
    assert len({chunk.id for chunk in chunks}) == 1
    assert reader.writings == [Writing(retry=False)], "what was sent can't be taken back"


async def test_text_that_comes_fast_is_gathered() -> None:
    reader = FakeReader(deltas=[PageDelta(0, letter) for letter in "raw text"])
    async with openai_client(reader, delta_interval_s=60) as client:
        texts, chunks = await streamed(client, "Free OCR.")
    assert texts == ["r", "aw text"]
    assert not any(chunk.usage for chunk in chunks)


async def test_markdown_streams_page_by_page() -> None:
    reader = FakeReader(page_count=2)
    async with openai_client(reader) as client:
        texts, _ = await streamed(client, "markdown")
    first, second = texts
    assert first.startswith("Annual report\n\n# Page 0")
    assert second.startswith("\n\nAnnual report\n\n# Page 1")
    assert reader.flags["stream"] is False


async def test_a_page_written_anew_goes_on_where_it_was() -> None:
    deltas = [PageDelta(0, "raw t"), PageDelta(0, "raw", 2), PageDelta(0, " te", 2), PageDelta(0, "xt", 2)]
    async with openai_client(FakeReader(deltas=deltas, pause_s=0.02), delta_interval_s=0.001) as client:
        texts, _ = await streamed(client, "Free OCR.")
    assert texts == ["raw t", "e", "xt"]


@pytest.mark.parametrize("anew", ["other", "rather long and other"])
async def test_a_page_written_anew_and_differently_is_an_error(anew: str) -> None:
    deltas = [PageDelta(0, "unlike"), PageDelta(0, anew, 2)]
    async with openai_client(FakeReader(deltas=deltas, pause_s=0.02), delta_interval_s=0.001) as client:
        with pytest.raises(openai.APIError, match="worker was lost"):
            await streamed(client, "Free OCR.")


async def test_an_error_in_a_stream_is_openais() -> None:
    reader = FakeReader(page_count=2, ends={1: CorruptPage("Page 1 is damaged.")})
    async with openai_client(reader) as client:
        with pytest.raises(openai.APIError, match=r"Page 1 is damaged\.") as caught:
            await streamed(client, "markdown")
    assert caught.value.code == "corrupt_page"
    assert caught.value.type == "invalid_request_error"


async def test_a_silent_stream_beats_and_ends() -> None:
    reader = FakeReader(gate=asyncio.Event())
    async with (
        serving(make_app(reader, heartbeat_s=0.01)) as address,
        httpx.AsyncClient(base_url=address) as client,
    ):
        body = {"model": "fake-ocr", "messages": user(IMAGE), "stream": True}
        async with client.stream("POST", "/v1/chat/completions", json=body) as reply:
            assert reply.headers["content-type"].startswith("text/event-stream")
            lines = reply.aiter_lines()
            while not (await anext(lines)).startswith(":"):
                pass
            assert reader.gate is not None
            reader.gate.set()
            rest = [line async for line in lines]
    assert rest[-2:] == ["data: [DONE]", ""]
    assert reader.closed.is_set()


async def test_a_client_that_leaves_a_stream_frees_its_work() -> None:
    reader = FakeReader(deltas=[PageDelta(0, "raw")], gate=asyncio.Event())
    async with openai_client(reader) as client:
        stream = await client.chat.completions.create(
            model="fake-ocr", messages=user(IMAGE, "Free OCR."), stream=True
        )
        async for _ in stream:
            break
        await stream.close()
        await asyncio.wait_for(reader.closed.wait(), 10)


async def test_errors_are_those_that_openais_client_knows() -> None:
    cases: list[tuple[FakeReader, dict[str, Any], type[openai.APIStatusError], str]] = [
        (FakeReader(), {"model": "gpt-4o"}, openai.NotFoundError, "model_not_found"),
        (FakeReader(), {"messages": user("Hello")}, openai.BadRequestError, "invalid_parameter"),
        (FakeReader(inspect_error=QueueFull("Later.")), {}, openai.RateLimitError, "queue_full"),
        (
            FakeReader(ends={0: CorruptPage("Damaged.")}),
            {},
            openai.UnprocessableEntityError,
            "corrupt_page",
        ),
        (FakeReader(ends={0: GenerationFailed("No.")}), {}, openai.InternalServerError, "generation_failed"),
    ]
    for reader, fields, kind, code in cases:
        async with openai_client(reader) as client:
            with pytest.raises(kind) as caught:
                await client.chat.completions.create(
                    **{"model": "fake-ocr", "messages": user(IMAGE)} | fields
                )
        assert caught.value.code == code
        assert caught.value.request_id


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"messages": []}, "messages", "at least 1"),
        ({"messages": None}, "messages", "valid array"),
        ({"messages": [{"role": "assistant", "content": "Hi."}]}, "messages", "role 'user'"),
        ({"messages": [{"role": "king", "content": ""}]}, "messages.0.role", "'system'"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages.0.content", "valid array"),
        ({"messages": user("markdown")}, "messages.0.content", "no document"),
        ({"messages": user(IMAGE, FILE)}, "messages.0.content", "2 documents"),
        ({"messages": [*user(IMAGE), *user("and now?")]}, "messages.1.content", "no document"),
        ({"messages": user({"type": "input_audio"})}, "messages.0.content.0", "needs a type"),
        ({"messages": user({"text": "x"})}, "messages.0.content.0", "needs a type"),
        ({"messages": user({"type": "image_url"})}, "messages.0.content.0.image_url", "missing"),
        (
            {"messages": user({"type": "image_url", "image_url": {}})},
            "messages.0.content.0.image_url.url",
            "missing",
        ),
        (
            {"messages": user({"type": "image_url", "image_url": "C:/a.png"})},
            "messages.0.content.0.image_url.url",
            "of no kind",
        ),
        (
            {"messages": user({"type": "image_url", "image_url": "http://10.0.0.1/"})},
            "messages.0.content.0.image_url.url",
            "no public address",
        ),
        (
            {"messages": user({"type": "file", "file": {"file_data": "@@"}})},
            "messages.0.content.0.file.file_data",
            "damaged",
        ),
        (
            {"messages": user({"type": "file", "file": {"file_id": "f"}})},
            "messages.0.content.0.file",
            "beforehand",
        ),
        ({"n": 2}, "n", "set it to 1"),
        ({"n": 0}, "n", "set it to 1"),
        ({"max_tokens": 0}, "max_tokens", "greater than or equal to 1"),
        ({"temperature": 3}, "temperature", "less than or equal to 2"),
        ({"tools": [{"type": "function"}]}, "tools", "not offered"),
        ({"response_format": {"type": "json_object"}}, "response_format", "not offered"),
        ({"logprobs": True}, "logprobs", "not offered"),
        ({"stop": ["x"]}, "stop", "not offered"),
        ({"modalities": ["text", "audio"]}, "modalities", "not offered"),
        ({"model": None}, "model", "string"),
    ],
)
async def test_wrong_fields(fields: dict[str, Any], param: str, message: str) -> None:
    async with client_of(make_app(FakeReader())) as client:
        body = {"model": "fake-ocr", "messages": user(IMAGE)} | fields
        reply = await client.post("/v1/chat/completions", json=body)
    assert reply.status_code == 400, reply.text
    error = reply.json()["error"]
    assert (error["code"], error["type"]) in {
        ("invalid_parameter", "invalid_request_error"),
        ("address_refused", "invalid_request_error"),
    }
    assert error["param"] == param
    assert message in error["message"]


async def test_what_is_allowed_where_nothing_is_asked_for() -> None:
    fields = {
        "tools": [],
        "tool_choice": "none",
        "response_format": {"type": "text"},
        "modalities": ["text"],
        "logprobs": False,
        "top_logprobs": 0,
        "stop": [],
        "audio": None,
    }
    async with client_of(make_app(FakeReader())) as client:
        body = {"model": "fake-ocr", "messages": user(IMAGE), **fields}
        assert (await client.post("/v1/chat/completions", json=body)).status_code == 200


@pytest.mark.parametrize(
    ("body", "kind", "status"), [(b"{", "application/json", 400), (b"", "text/plain", 415)]
)
async def test_bodies_that_are_no_json(body: bytes, kind: str, status: int) -> None:
    async with client_of(make_app(FakeReader())) as client:
        reply = await client.post("/v1/chat/completions", content=body, headers={"content-type": kind})
    assert reply.status_code == status
    assert json.loads(reply.text)["error"]["type"] == "invalid_request_error"
