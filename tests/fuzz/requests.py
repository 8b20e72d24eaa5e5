"""Requests made up from the OpenAPI document, sent to the application in this process."""

import base64
import dataclasses
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from deployments.errors import JobNotFound
from deployments.types import DocumentInfo, PageResult
from serve_app.api.app import create_app
from serve_app.api.jobs import JobService
from serve_app.api.schemas import OcrOptions
from serve_app.api.settings import ApiSettings
from serve_app.fetching import Fetcher, FetchSettings
from serve_app.jobs.models import JobList, JobPages, JobRecord, JobState, JobStatus, Progress, StoredPage
from serve_app.jobs.posting import PublicPost
from serve_app.jobs.settings import JobSettings
from serve_app.jobs.store import JobStore
from serve_app.jobs.webhooks import Webhooks
from tests.fakes import FakeReader, FakeStatus, page_result

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)
ADDRESS_FIELDS = {"url", "document_url", "file_data"}
DATA_URI = "data:application/pdf;base64," + base64.b64encode(b"%PDF-1.7").decode()

Outcomes = Counter[tuple[str, int]]


async def no_name(host: str, port: int) -> list[str]:
    """Nothing is sent to anywhere, whatever addresses are made up."""
    raise OSError


class NoPrinter:
    """Stands in for the processes that make PDFs and pictures, of which each takes a second."""

    async def make(
        self, format_: str, document: bytes, info: DocumentInfo, dpi: int, results: Sequence[PageResult]
    ) -> bytes:
        return b"%PDF"


JOB = "job-" + "0" * 44
"""One that is done; each submission becomes it."""


class OneJob:
    """A runner of jobs that knows one, which is done: schemathesis has no event loop for a real one."""

    def __init__(self, store: JobStore) -> None:
        self._record = JobRecord(
            id=JOB,
            owner="",
            model="fake-ocr",
            options=OcrOptions(),
            media_type="application/pdf",
            size_bytes=8,
            page_count=3,
            total=3,
            created_at=time.time(),
            state=JobState.DONE,
        )
        store.create(self._record, b"%PDF-1.7")
        for index in range(3):
            store.write_page(JOB, StoredPage(index=index, result=page_result(index, figures=True)))

    async def submit(self, record: JobRecord, document: bytes) -> JobStatus:
        return await self.status(JOB, "")

    async def record(self, id_: str, owner: str) -> JobRecord:
        await self.status(id_, owner)
        return self._record

    async def status(self, id_: str, owner: str) -> JobStatus:
        if id_ != JOB:
            raise JobNotFound("There is no such job.")
        return JobStatus(
            id=JOB,
            object="job",
            state=JobState.DONE,
            pages=JobPages(total=3, done=3, failed=0),
            created_at=self._record.created_at,
            seconds=1.0,
        )

    async def wait(self, id_: str, owner: str, seen: Progress | None, timeout_s: float) -> JobStatus:
        return await self.status(id_, owner)

    async def newest(self, owner: str, after: str | None, limit: int) -> JobList:
        status = await self.status(JOB, owner)
        return JobList(object="list", data=[status], has_more=False, last_id=JOB)

    async def cancel(self, id_: str, owner: str) -> JobStatus:
        return await self.status(id_, owner)


def fuzz_requests(cases: int, seed: int | None = None) -> Outcomes:
    """Send made-up requests to every route and look at the answers.

    Args:
        cases: about how many.
        seed: None makes up the same ones each time.

    Returns:
        How often which route answered with which status.

    Raises:
        Exception: an answer is a server error, or none that the document tells of; it shows how to get it.
    """
    with tempfile.TemporaryDirectory() as folder:
        return _fuzzed(_application(folder), cases, seed)


def _application(folder: str) -> FastAPI:
    api = ApiSettings(authentication="off", max_document_bytes=20_000)
    fetcher = Fetcher(FetchSettings(), resolve=no_name)
    settings = JobSettings(directory=folder, webhook_secret=SecretStr("a secret of some length"))
    store = JobStore(folder)
    jobs = JobService(OneJob(store), store, settings, Webhooks(settings, PublicPost()))
    app = create_app(FakeReader(page_count=3), api, FakeStatus(), jobs, fetcher=fetcher)
    app.state.service = dataclasses.replace(app.state.service, printer=NoPrinter())
    return app


def _fuzzed(app: FastAPI, cases: int, seed: int | None) -> Outcomes:
    document = schemathesis.openapi.from_asgi("/openapi.json", app)
    operations = [result.ok() for result in document.get_all_operations()]
    with_body = [operation for operation in operations if operation.method == "post"]
    outcomes: Outcomes = Counter()
    for operation in operations:
        modes = tuple(GenerationMode) if operation in with_body else (GenerationMode.POSITIVE,)
        for mode in modes:
            _send(operation, mode, cases // (2 * len(with_body)), outcomes, seed)
    return outcomes


def _send(operation: Any, mode: GenerationMode, cases: int, outcomes: Outcomes, seed: int | None) -> None:
    @settings(
        max_examples=max(cases, 1),
        database=None,
        deadline=None,
        derandomize=seed is None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), deeper=st.booleans())
    def send(case: Any, deeper: bool) -> None:
        if deeper:
            case.body = _with_document(case.body)
            if "id" in (case.path_parameters or ()):
                case.path_parameters["id"] = JOB
        response = case.call()
        case.validate_response(response, checks=CHECKS)
        outcomes[f"{operation.method.upper()} {operation.path}", response.status_code] += 1

    if seed is not None:
        from hypothesis import seed as seeded

        send = seeded(seed)(send)
    send()


def _with_document(body: Any) -> Any:
    """Put a document and the right model where a request may have them, so that it comes further."""
    if isinstance(body, list):
        return [_with_document(each) for each in body]
    if not isinstance(body, dict):
        return body
    changed = {}
    for name, value in body.items():
        if name in ADDRESS_FIELDS or (name == "image_url" and isinstance(value, str)):
            changed[name] = DATA_URI
        elif name == "model" and "messages" in body:
            changed[name] = "fake-ocr"
        else:
            changed[name] = _with_document(value)
    return changed
