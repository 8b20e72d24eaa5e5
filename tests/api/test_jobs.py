"""The routes of jobs, over a runner in this process."""

import asyncio
import base64
import io
import json
import zipfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pymupdf
import pytest

from deployments.errors import CorruptPage
from tests.fakes import HTML_TABLE, PNG, FakeReader, make_app, serving
from tests.jobs.fakes import DOCUMENT, FakeSource, job_service, running

pytestmark = pytest.mark.anyio

SECRET = "a secret of some length"  # noqa: S105 - signs nothing that matters


@asynccontextmanager
async def service(
    folder: Path, source: FakeSource, reader: FakeReader | None = None, workers: int = 4, **given: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """A service on a real port: replies come piece by piece, as they do outside."""
    async with running(folder, source, workers=workers, **given) as runner:
        app = make_app(reader or FakeReader(page_count=3), jobs=job_service(runner, folder, **given))
        async with serving(app) as address, httpx.AsyncClient(base_url=address, timeout=20) as client:
            yield client


async def submit(client: httpx.AsyncClient, document: bytes = DOCUMENT, **fields: str) -> str:
    reply = await client.post("/v1/jobs", files={"file": ("any.pdf", document)}, data=fields)
    assert reply.status_code == 202, reply.text
    id_: str = reply.json()["id"]
    assert reply.headers["location"] == f"/v1/jobs/{id_}"
    return id_


async def events(client: httpx.AsyncClient, id_: str) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
    async with client.stream("GET", f"/v1/jobs/{id_}/events") as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        name = ""
        async for line in reply.aiter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                yield name, json.loads(line.removeprefix("data: "))


async def ended(client: httpx.AsyncClient, id_: str) -> dict[str, Any]:
    async with asyncio.timeout(20), aclosing(events(client, id_)) as found:
        return [data async for _, data in found][-1]


async def test_a_job_from_its_submission_to_its_result(tmp_path: Path) -> None:
    source = FakeSource(gate=asyncio.Semaphore(0), errors={1: [CorruptPage("Page 1 is torn.")]})
    async with service(tmp_path, source) as client:
        id_ = await submit(client, include_image_base64="true", include_blocks="false")
        await source.begun.wait()
        status = (await client.get(f"/v1/jobs/{id_}")).json()
        assert (status["state"], status["pages"]) == ("running", {"total": 3, "done": 0, "failed": 0})
        early = await client.get(f"/v1/jobs/{id_}/result")
        assert (early.status_code, early.json()["error"]["code"]) == (409, "no_result")
        for _ in range(3):
            source.gate.release()
        status = await ended(client, id_)
        assert (status["state"], status["pages"]) == ("done", {"total": 3, "done": 2, "failed": 1})
        assert status["expires_at"] > status["ended_at"] >= status["started_at"] >= status["created_at"]
        reply = await client.get(f"/v1/jobs/{id_}/result")
    assert reply.headers["content-type"] == "application/json"
    body = reply.json()
    assert body["model"] == "fake-ocr"
    assert [page["index"] for page in body["pages"]] == [0, 1, 2]
    assert body["pages"][1]["error"] == {"code": "corrupt_page", "message": "Page 1 is torn."}
    assert base64.b64decode(body["pages"][2]["images"][0]["image_base64"].partition(",")[2]) == PNG
    assert "blocks" not in body["pages"][0]
    assert body["usage_info"] == {
        "pages_processed": 2,
        "doc_size_bytes": len(DOCUMENT),
        "prompt_tokens": 200,
        "output_tokens": 40,
    }


async def test_a_job_in_json_reads_the_pages_in_the_order_asked_for(tmp_path: Path) -> None:
    uri = "data:application/pdf;base64," + base64.b64encode(DOCUMENT).decode()
    body = {
        "document": {"type": "document_url", "document_url": uri},
        "pages": [2, 0],
        "table_format": "html",
    }
    async with service(tmp_path, FakeSource()) as client:
        reply = await client.post("/v1/jobs", json=body)
        assert reply.status_code == 202, reply.text
        await ended(client, reply.json()["id"])
        found = (await client.get(f"/v1/jobs/{reply.json()['id']}/result?format=json")).json()
    assert [page["index"] for page in found["pages"]] == [2, 0]
    assert found["pages"][0]["tables"][0]["content"]


async def test_results_as_text_web_page_and_files(tmp_path: Path) -> None:
    async with service(tmp_path, FakeSource(errors={1: [CorruptPage("torn")]})) as client:
        id_ = await submit(client)
        await ended(client, id_)
        text = await client.get(f"/v1/jobs/{id_}/result", params={"format": "markdown"})
        page = await client.get(f"/v1/jobs/{id_}/result", params={"format": "html"})
        files = await client.get(f"/v1/jobs/{id_}/result", params={"format": "zip"})
        wrong = await client.get(f"/v1/jobs/{id_}/result", params={"format": "docx"})
    assert text.headers["content-type"] == "text/markdown; charset=utf-8"
    assert text.headers["content-disposition"] == 'attachment; filename="any.md"'
    assert [line for line in text.text.split("\n") if line.startswith("<!-- ")] == [
        "<!-- page 1 -->",
        "<!-- page 2 -->",
        "<!-- this page could not be read -->",
        "<!-- page 3 -->",
    ]
    assert "![page-0003-img-0.png](page-0003-img-0.png)" in text.text
    assert HTML_TABLE in text.text
    assert page.text.startswith("<!DOCTYPE html>")
    assert page.text.endswith("</html>\n")
    assert page.text.count("<section ") == 3
    assert page.text.count("This page could not be read.") == 1
    for reply in (text, page, files):
        assert reply.headers["x-pages-failed"] == "1"
    with zipfile.ZipFile(io.BytesIO(files.content)) as archive:
        assert archive.testzip() is None
        assert archive.read("page-0003-img-0.png") == PNG
        assert {"document.md", "result.json"} <= set(archive.namelist())
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "format")


async def test_a_result_as_searchable_pdf(tmp_path: Path) -> None:
    document = pymupdf.open()
    for _ in range(2):
        document.new_page(width=500, height=700)
    async with service(tmp_path, FakeSource(), FakeReader(page_count=2)) as client:
        id_ = await submit(client, document.tobytes())
        await ended(client, id_)
        reply = await client.get(f"/v1/jobs/{id_}/result", params={"format": "pdf"})
        assert reply.status_code == 200, reply.text
        found = pymupdf.open(stream=reply.content, filetype="pdf")
        assert ["Page 0" in found[0].get_text(), "Page 1" in found[1].get_text()] == [True, True]
        id_ = await submit(client, b"%PDF no more than that")
        await ended(client, id_)
        reply = await client.get(f"/v1/jobs/{id_}/result", params={"format": "pdf"})
    assert reply.status_code == 422
    assert "another format" in reply.json()["error"]["message"]


async def test_progress_comes_as_it_happens_and_ends_with_the_job(tmp_path: Path) -> None:
    source = FakeSource(gate=asyncio.Semaphore(0))
    seen = []
    async with service(tmp_path, source, workers=1) as client:
        id_ = await submit(client)
        async with asyncio.timeout(20), aclosing(events(client, id_)) as found:
            async for name, data in found:
                seen.append((name, data["pages"]["done"]))
                source.gate.release()
    assert [name for name, _ in seen[:-1]] == ["progress"] * (len(seen) - 1)
    assert seen[-1] == ("end", 3)
    assert [done for _, done in seen] == sorted(done for _, done in seen)


async def test_a_cancelled_job_ends_its_progress(tmp_path: Path) -> None:
    source = FakeSource(gate=asyncio.Semaphore(0))
    async with service(tmp_path, source) as client:
        id_ = await submit(client)
        states = []
        async with asyncio.timeout(20), aclosing(events(client, id_)) as found:
            async for _, data in found:
                states.append(data["state"])
                if len(states) == 1:
                    reply = await client.delete(f"/v1/jobs/{id_}")
                    assert (reply.status_code, reply.json()["state"]) == (200, "cancelled")
        assert states[-1] == "cancelled"
        assert source.under_way == 0
        result = await client.get(f"/v1/jobs/{id_}/result")
        assert (result.status_code, result.json()["error"]["code"]) == (409, "no_result")
        assert (await client.delete(f"/v1/jobs/{id_}")).status_code == 200
        assert (await client.get(f"/v1/jobs/{id_}")).status_code == 404


async def test_the_list(tmp_path: Path) -> None:
    async with service(tmp_path, FakeSource()) as client:
        ids = [await submit(client) for _ in range(3)]
        first = (await client.get("/v1/jobs", params={"limit": 2})).json()
        rest = (await client.get("/v1/jobs", params={"after": first["last_id"]})).json()
        found = [job["id"] for job in first["data"] + rest["data"]]
        assert found == sorted(ids, reverse=True)
        assert (first["has_more"], rest["has_more"]) == (True, False)
        assert (await client.get("/v1/jobs", params={"limit": 0})).status_code == 400
        assert (await client.get("/v1/jobs", params={"after": "../../etc/passwd"})).json()["data"] == []


@pytest.mark.parametrize(
    "id_", ["job-" + "0" * 44, "..", "owner.json", "%2e%2e%2fowner.json", "x" * 99, "%00"]
)
@pytest.mark.parametrize("route", ["", "/events", "/result"])
async def test_what_is_no_job(tmp_path: Path, id_: str, route: str) -> None:
    async with service(tmp_path, FakeSource()) as client:
        reply = await client.get(f"/v1/jobs/{id_}{route}")
        assert reply.status_code == 404
        assert reply.json()["error"]["code"] in ("job_not_found", "not_found")


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"stream": "true"}, 400, "stream"),
        ({"webhook": "https://example.com"}, 400, "webhook"),
        ({"pages": "9"}, 400, "pages"),
        ({"colour": "red"}, 400, "colour"),
        ({"prompt": "Say."}, 400, "prompt"),
        ({"format": "docx"}, 400, "format"),
        ({"format": "png"}, 400, "format"),
    ],
)
async def test_wrong_submissions(tmp_path: Path, fields: dict[str, str], status: int, param: str) -> None:
    async with service(tmp_path, FakeSource()) as client:
        reply = await client.post("/v1/jobs", files={"file": DOCUMENT}, data=fields)
        assert (reply.status_code, reply.json()["error"]["param"]) == (status, param)
        assert (await client.get("/v1/jobs")).json()["data"] == []


@pytest.mark.parametrize(
    "address",
    [
        "http://example.com/hook",
        "ftp://example.com",
        "https://user:word@example.com",
        "https://",
        "https://127.0.0.1/",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://example.com/" + "x" * 2000,
        "nonsense",
    ],
)
async def test_webhooks_that_are_refused(tmp_path: Path, address: str) -> None:
    async with service(tmp_path, FakeSource(), webhook_secret=SECRET) as client:
        reply = await client.post("/v1/jobs", files={"file": DOCUMENT}, data={"webhook": address})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "webhook")


async def test_too_many_jobs_and_too_many_streams(tmp_path: Path) -> None:
    source = FakeSource(gate=asyncio.Semaphore(0))
    async with service(tmp_path, source, max_unfinished=1, max_event_streams=1) as client:
        id_ = await submit(client)
        reply = await client.post("/v1/jobs", files={"file": DOCUMENT})
        assert (reply.status_code, reply.json()["error"]["code"]) == (429, "queue_full")
        assert int(reply.headers["retry-after"]) > 0
        async with client.stream("GET", f"/v1/jobs/{id_}/events") as stream:
            lines = stream.aiter_lines()  # dropping it would close the stream
            await anext(lines)
            assert (await client.get(f"/v1/jobs/{id_}/events")).status_code == 429
        async with asyncio.timeout(20), aclosing(events(client, id_)) as found:
            await anext(found)
