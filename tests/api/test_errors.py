"""Every error code with a request that provokes it, and the one shape."""

import base64
import json
import logging
from collections.abc import Iterator

import pytest

import deployments.errors
from deployments.errors import OcrError
from serve_app.api.errors import error_type
from tests.fakes import FakeReader, FakeStatus, client_of, make_app

pytestmark = pytest.mark.anyio

PDF_URI = "data:application/pdf;base64," + base64.b64encode(b"%PDF").decode()


def tree(root: type[OcrError]) -> Iterator[type[OcrError]]:
    yield root
    for child in root.__subclasses__():
        if child.__module__ == deployments.errors.__name__:
            yield from tree(child)


STATUSES = {
    "internal_error": 500,
    "fatal_page": 500,
    "invalid_parameter": 400,
    "address_refused": 400,
    "invalid_api_key": 401,
    "rate_limit_exceeded": 429,
    "model_not_found": 404,
    "unsupported_media_type": 415,
    "invalid_document": 422,
    "document_unavailable": 422,
    "empty_document": 422,
    "corrupt_document": 422,
    "encrypted_document": 422,
    "corrupt_page": 422,
    "limit_exceeded": 413,
    "document_too_large": 413,
    "too_many_pixels": 413,
    "too_many_pages": 413,
    "job_not_found": 404,
    "no_result": 409,
    "queue_full": 429,
    "engine_unavailable": 503,
    "stage_lost": 503,
    "generation_failed": 500,
    "processing_timeout": 504,
    "configuration_error": 500,
}
"""Clients rely on these; a new error gets a line here."""


def test_the_table_is_total() -> None:
    assert {kind.code: kind.status for kind in tree(OcrError)} == STATUSES


@pytest.mark.parametrize("kind", list(tree(OcrError)), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("when", ["inspecting", "reading"])
async def test_every_error_of_the_reader_becomes_its_reply(kind: type[OcrError], when: str) -> None:
    error = kind("A clear sentence.", "pages")
    reader = FakeReader(inspect_error=error) if when == "inspecting" else FakeReader(ends={0: error})
    async with client_of(make_app(reader, unavailable_retry_s=7)) as client:
        reply = await client.post("/v1/ocr", files={"file": b"%PDF"})
    assert reply.status_code == STATUSES[kind.code]
    assert reply.json() == {
        "error": {
            "code": kind.code,
            "message": "A clear sentence.",
            "param": "pages",
            "type": error_type(kind.status),
        }
    }
    assert reply.headers.get("retry-after") == {429: "1", 503: "7"}.get(kind.status)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "authentication_error"),
        (422, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "server_error"),
        (503, "server_error"),
    ],
)
def test_types_are_those_of_openai(status: int, expected: str) -> None:
    assert error_type(status) == expected


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"colour": "red"}, "colour", "There is no field colour"),
        ({"task": "sing"}, "task", "'markdown', 'text', 'table' or 'custom'"),
        ({"dpi": 10_000}, "dpi", "less than or equal to 600"),
        ({"dpi": "x"}, "dpi", "integer"),
        ({"pages": "x"}, "pages", "numbers from 0"),
        ({"pages": [0, -1]}, "pages", "numbers from 0"),
        ({"pages": "1"}, "pages", "1 page"),
        ({"prompt": "Say."}, "prompt", "task 'custom'"),
        ({"task": "custom"}, "prompt", "task 'custom'"),
        ({"task": "custom", "prompt": "x" * 4001}, "prompt", "4000"),
        ({"table_format": "csv"}, "table_format", "'markdown' or 'html'"),
        ({"image_limit": -1}, "image_limit", "greater than or equal to 0"),
        (
            {"confidence_scores_granularity": "word"},
            "confidence_scores_granularity",
            "by word is not offered",
        ),
        ({"document_annotation_format": {"type": "json"}}, "document_annotation_format", "not offered"),
        ({"bbox_annotation_format": {"type": "json"}}, "bbox_annotation_format", "not offered"),
        ({"document_annotation_prompt": "x"}, "document_annotation_prompt", "not offered"),
        ({"document": None}, "document", "object"),
        ({"document": {}}, "document", "needs a type"),
        ({"document": {"type": "audio"}}, "document", "needs a type"),
        ({"document": {"type": "image_url", "image_url": 3}}, "document.image_url", "string"),
        ({"document": {"type": "image_url", "image_url": {}}}, "document.image_url", "string"),
        ({"document": {"type": "document_url"}}, "document.document_url", "missing"),
        ({"document": {"type": "file", "file_id": "f"}}, "document.file_id", "data URI"),
    ],
)
async def test_wrong_fields(fields: dict[str, object], param: str, message: str) -> None:
    body = {"document": {"type": "document_url", "document_url": PDF_URI}} | fields
    async with client_of(make_app(FakeReader())) as client:
        reply = await client.post("/v1/ocr", json=body)
    assert reply.status_code == 400, reply.text
    error = reply.json()["error"]
    assert (error["code"], error["type"]) == ("invalid_parameter", "invalid_request_error")
    assert error["param"] == param
    assert message in error["message"]


@pytest.mark.parametrize(
    ("url", "status", "message"),
    [
        ("https://127.0.0.1/a.pdf", 400, "no public address"),
        ("HTTP://127.0.0.1/a.pdf", 400, "no public address"),
        ("file:///etc/passwd", 400, "of no kind"),
        ("/etc/passwd", 400, "of no kind"),
        ("", 400, "of no kind"),
        ("data:application/pdf,%25PDF", 400, "base64"),
        ("data:application/pdf;base64", 400, "base64"),
        ("data:application/pdf;base64,@@@@", 400, "damaged"),
        ("data:application/pdf;base64,QQ", 400, "damaged"),
        ("data:application/pdf;base64,Gruß", 400, "damaged"),
        ("data:;base64," + "A" * 2000, 413, "at most 1000"),
    ],
)
async def test_wrong_addresses(url: str, status: int, message: str) -> None:
    for document in ({"type": "document_url", "document_url": url}, {"type": "image_url", "image_url": url}):
        async with client_of(make_app(FakeReader(), max_document_bytes=1000)) as client:
            reply = await client.post("/v1/ocr", json={"document": document})
        assert reply.status_code == status, reply.text
        assert message in reply.json()["error"]["message"]
        assert reply.json()["error"]["param"].startswith("document.")


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", b"{", 400),
        ("application/json", b"\xff", 400),
        ("application/json", b"[]", 400),
        ("application/json", b"", 400),
        ("application/json", b"[" * 100_000, 400),
        ("text/plain", b"hello", 415),
        (None, b"hello", 415),
        ("application/x-www-form-urlencoded", b"file=a", 415),
        ("multipart/form-data", b"--b--", 400),
        ("multipart/form-data; boundary=b", b"nonsense", 400),
        ("multipart/form-data; boundary=b", b"--b--\r\n", 400),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nno file\r\n--b--\r\n',
            400,
        ),
    ],
)
async def test_wrong_bodies(content_type: str | None, body: bytes, status: int) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    async with client_of(make_app(FakeReader())) as client:
        reply = await client.post("/v1/ocr", content=body, headers=headers)
    assert reply.status_code == status, reply.text
    assert set(reply.json()["error"]) <= {"code", "message", "type", "param"}


async def test_two_files_are_refused() -> None:
    async with client_of(make_app(FakeReader())) as client:
        reply = await client.post("/v1/ocr", files=[("file", b"a"), ("file", b"b")])
    assert reply.status_code == 400
    assert "Too many files" in reply.json()["error"]["message"]


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("kind", ["form", "json"])
async def test_a_body_that_is_too_large_is_not_read_to_its_end(declared: bool, kind: str) -> None:
    pieces_sent = 0

    async def body() -> object:
        nonlocal pieces_sent
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(1000):
            pieces_sent += 1
            yield b"x" * 10_000

    types = {"form": "multipart/form-data; boundary=b", "json": "application/json"}
    headers = {"content-type": types[kind]} | ({"content-length": "10000000"} if declared else {})
    reader = FakeReader()
    async with client_of(make_app(reader, max_document_bytes=1000)) as client:
        reply = await client.post("/v1/ocr", content=body(), headers=headers)  # type: ignore[arg-type]
    assert reply.status_code == 413
    assert reply.json()["error"]["code"] == "document_too_large"
    assert reply.headers["connection"] == "close"
    assert pieces_sent < 20
    assert not reader.documents


async def test_a_file_over_the_limit_in_a_body_within_it() -> None:
    async with client_of(make_app(FakeReader(), max_document_bytes=1000)) as client:
        assert (await client.post("/v1/ocr", files={"file": b"x" * 1001})).status_code == 413
        assert (await client.post("/v1/ocr", files={"file": b"x" * 1000})).status_code == 200


async def test_more_pages_than_allowed() -> None:
    async with client_of(make_app(FakeReader(page_count=4), max_pages_per_request=3)) as client:
        reply = await client.post("/v1/ocr", files={"file": b"%PDF"})
        assert (
            await client.post("/v1/ocr", files={"file": b"%PDF"}, data={"pages": "1-3"})
        ).status_code == 200
    assert reply.status_code == 413
    assert reply.json()["error"]["code"] == "too_many_pages"


async def test_not_ready() -> None:
    async with client_of(make_app(FakeReader(), FakeStatus(missing="It is starting."))) as client:
        reply = await client.get("/readyz")
        assert (await client.get("/healthz")).status_code == 200
    assert reply.status_code == 503
    assert reply.json()["error"]["message"] == "It is starting."
    assert int(reply.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/nowhere", 404, "not_found"), ("GET", "/v1/ocr", 405, "method_not_allowed")],
)
async def test_errors_of_the_router(method: str, path: str, status: int, code: str) -> None:
    async with client_of(make_app(FakeReader())) as client:
        reply = await client.request(method, path)
    assert reply.status_code == status
    assert reply.json()["error"]["code"] == code
    if status == 405:
        assert reply.headers["allow"] == "POST"


async def test_an_unforeseen_error_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    reader = FakeReader(inspect_error=ZeroDivisionError("a secret"))
    async with client_of(make_app(reader)) as client:
        reply = await client.post("/v1/ocr", files={"file": b"%PDF"}, headers={"X-Request-Id": "abc"})
    assert reply.status_code == 500
    assert reply.json()["error"]["code"] == "internal_error"
    assert "secret" not in reply.text
    assert reply.headers["x-request-id"] == "abc"
    assert "a secret" in caplog.text


async def test_the_log_has_a_line_of_json_for_each_request(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "serve_app.api.request_log")
    async with client_of(make_app(FakeReader())) as client:
        good = await client.post(
            "/v1/ocr", files={"file": ("secret.pdf", b"%PDF secret")}, headers={"X-Request-Id": "Root=1/a:b"}
        )
        bad = await client.post("/v1/ocr?secret=1", headers={"X-Request-Id": "not\tsane"})
    lines = [json.loads(record.message) for record in caplog.records if record.name.endswith("request_log")]
    assert [line["status"] for line in lines] == [200, 415]
    assert lines[0]["request_id"] == good.headers["x-request-id"] == "Root=1/a:b"
    assert lines[0]["pages"] == 1
    assert lines[0]["bytes"] == 11
    assert lines[1]["error"] == "unsupported_media_type"
    assert lines[1]["request_id"] == bad.headers["x-request-id"] != "not\tsane"
    assert "secret" not in caplog.text
