"""The whole graph: real HTTP, real Ray Serve, all stages but the engine."""

import asyncio
import json
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import pymupdf
import pytest
import ray
from ray import serve

from deployments.errors import StageLost
from deployments.types import GenerationOptions
from serve_app import graph_stages
from serve_app.graph_stages import CARRIED_BYTES, GraphStages, PageInGraph
from tests.fuzz.service import fuzz_service

pytestmark = pytest.mark.ray


def ocr(client: httpx.Client, document: bytes, **fields: Any) -> httpx.Response:
    return client.post("/v1/ocr", files={"file": ("page", document)}, data=fields)


def sse(lines: Iterator[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    event = ""
    for line in lines:
        if line.startswith("event:"):
            event = line.removeprefix("event:").strip()
        elif line.startswith("data:"):
            yield event, json.loads(line.removeprefix("data:"))


def test_pages_come_back_in_order_with_their_own_sizes_and_boxes(client: httpx.Client, pdf: bytes) -> None:
    reply = ocr(client, pdf, include_blocks="true", include_image_base64="true").json()
    assert [page["index"] for page in reply["pages"]] == [0, 1, 2]
    assert [page["dimensions"]["width"] for page in reply["pages"]] == [400, 600, 800]
    for page in reply["pages"]:
        assert f"# Page {page['index']}" in page["markdown"]
        title, picture = page["blocks"]
        assert (title["type"], picture["type"]) == ("title", "image")
        assert title["top_left_x"] == pytest.approx(page["dimensions"]["width"] * 100 / 999, abs=1)
        assert page["images"][0]["image_base64"]
        assert page["images"][0]["id"] in page["markdown"]


def test_a_document_too_large_to_go_along_with_its_calls_is_read_the_same(
    client: httpx.Client, pdf: bytes
) -> None:
    with pymupdf.open(stream=pdf) as document:
        document.embfile_add("noise", random.Random(1).randbytes(2 * CARRIED_BYTES))
        large = document.tobytes()
    assert len(pdf) <= CARRIED_BYTES < len(large)
    small_reply, large_reply = (ocr(client, each).json()["pages"] for each in (pdf, large))
    assert [page["markdown"] for page in large_reply] == [page["markdown"] for page in small_reply]
    assert len(large_reply) == 3


def test_a_failed_page_leaves_the_others_whole(client: httpx.Client, pdf: bytes) -> None:
    reply = ocr(client, pdf, task="custom", prompt="fail")
    assert reply.status_code == 200
    assert [("error" in page and page["error"] is not None) for page in reply.json()["pages"]] == [
        False,
        True,
        False,
    ]
    assert reply.json()["pages"][1]["error"]["code"] == "generation_failed"


@pytest.mark.parametrize(
    ("document", "status", "code"),
    [
        (b"hello", 415, "unsupported_media_type"),
        (b"", 422, "empty_document"),
        (b"%PDF-1.7 nonsense", 422, "corrupt_document"),
    ],
)
def test_errors_cross_the_graph_as_themselves(
    client: httpx.Client, document: bytes, status: int, code: str
) -> None:
    reply = ocr(client, document)
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)
    assert "Traceback" not in reply.text


def test_a_page_that_runs_away_is_read_again(client: httpx.Client, pdf: bytes) -> None:
    page = ocr(client, pdf, task="custom", prompt="loop", pages="0").json()["pages"][0]
    assert page["finish_reason"] == "stop"


def test_text_streams_while_it_is_written(client: httpx.Client, pdf: bytes) -> None:
    data = {"task": "custom", "prompt": "slow", "pages": "0", "stream": "true"}
    started = time.monotonic()
    with client.stream("POST", "/v1/ocr", files={"file": ("page", pdf)}, data=data) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        name, delta = next((name, data) for name, data in sse(reply.iter_lines()) if name != "start")
    assert name == "page.delta", delta
    assert delta["index"] == 0
    assert (
        time.monotonic() - started < 30
    )  # the page itself takes a minute: the delta did not wait for its end


def test_a_client_that_leaves_frees_its_work(client: httpx.Client, pdf: bytes) -> None:
    data = {"task": "custom", "prompt": "slow", "pages": "0", "stream": "true"}
    with client.stream("POST", "/v1/ocr", files={"file": ("page", pdf)}, data=data) as reply:
        next(sse(reply.iter_lines()))
    with pytest.raises(httpx.ReadTimeout):
        client.post("/v1/ocr", files={"file": ("page", pdf)}, data={**data, "stream": "false"}, timeout=2)
    deadline = time.monotonic() + 10
    while (running := pages_under_way()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert running == 0


def pages_under_way() -> int:
    """Requests that the Model replicas have now, as they report themselves."""
    handle = serve.get_deployment_handle("Model", "dsocr")
    return int(handle.pages_under_way.remote().result(timeout_s=10))


@pytest.mark.parametrize("end", ["die", "hang", "expire"])
def test_a_page_whose_engine_ends_is_read_by_the_next(
    end: str, deploy: Callable[..., str], pdf: bytes, tmp_path: Path
) -> None:
    address = deploy(marker=tmp_path / "ended", model={"stall_timeout_s": 2})
    with httpx.Client(base_url=address, timeout=120) as client:
        reply = ocr(client, pdf, task="custom", prompt=end, pages="0")
    assert (tmp_path / "ended").exists()
    assert reply.status_code == 200, reply.text
    assert "# Page 0" in reply.json()["pages"][0]["markdown"]


class Lost:
    """What a replica that was lost with its machine was to prepare."""

    async def _to_object_ref(self) -> Any:
        actor = ray.remote(num_cpus=0)(Mortal).remote()
        ray.kill(actor)
        return actor.prepare.remote()

    def cancel(self) -> None:
        """Nothing is under way."""


class Mortal:
    def prepare(self) -> None:
        """Never called."""


class Never:
    """A handle whose calls are tried with one replica after the other, for ever."""

    def options(self, **_: Any) -> "Never":
        return self

    def __getattr__(self, name: str) -> "Never":
        return self

    def remote(self, *_: Any) -> Any:
        return self

    def __await__(self) -> Any:
        return asyncio.Event().wait().__await__()

    async def __anext__(self) -> None:
        await asyncio.Event().wait()


@pytest.mark.timeout(60)
def test_a_page_that_is_lost_before_it_is_written_is_not_waited_for(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_stages, "LOOK_AFTER_S", 0.1)
    stages = GraphStages(*(cast(Any, Never()) for _ in range(3)))
    page = PageInGraph(cast(Any, Lost()))

    async def streamed() -> None:
        async for _ in stages.stream(page, GenerationOptions()):
            pass

    for work in (stages.read(page, GenerationOptions()), streamed()):
        with pytest.raises(StageLost):
            asyncio.run(work)


def test_spoilt_documents_are_read_or_refused_and_leave_the_service_whole(client: httpx.Client) -> None:
    outcomes = fuzz_service(str(client.base_url), 40)
    assert outcomes.total() == 40
    assert len(outcomes) > 2


def test_a_reply_has_one_id_which_is_the_request_s(client: httpx.Client) -> None:
    for sent in ({}, {"X-Request-Id": "abc"}):
        found = client.get("/v1/models", headers=sent).headers.get_list("x-request-id")
        assert len(found) == 1
        assert found[0] == sent.get("X-Request-Id", found[0])


def test_readiness_and_models(client: httpx.Client) -> None:
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 200
    assert client.get("/v1/models").json()["data"]
    assert "openapi" in client.get("/docs").text
