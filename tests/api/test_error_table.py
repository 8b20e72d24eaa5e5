"""Every error code, and a request that provokes it: a table that is total over `OcrError`.

The requests go through the real interface, sandbox, reader and runner of jobs, over an engine double.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pymupdf
import pytest

from deployments.postprocess.postprocessor import Postprocessor
from deployments.preprocess.preprocessor import Preprocessor
from deployments.preprocess.sandbox import Sandbox
from deployments.preprocess.settings import DocumentLimits, SandboxSettings, ViewSettings
from deployments.types import EngineInput, GenerationOptions, PreparedPage
from serve_app.api.routes import Service
from serve_app.page_reader import PageReader, ReadingSettings
from serve_app.stages import LocalStages
from tests.api.test_errors import STATUSES
from tests.endless_pdf import endless_pdf
from tests.fake_engine import FakeEngine
from tests.fakes import FakeReader, client_of, make_app, until
from tests.jobs.fakes import FakeSource, job_service, running

pytestmark = pytest.mark.anyio

LIMITS = DocumentLimits(max_pixels=2_000_000)
JOB = "job-" + "0" * 44


def pdf(pages: int = 1, **how: Any) -> bytes:
    document = pymupdf.open()
    for _ in range(pages):
        document.new_page(width=200, height=200)
    return bytes(document.tobytes(**how))


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    found = Sandbox(LIMITS, SandboxSettings(step_timeout_s=2))
    yield found
    found.close()


class BrokenEngine(FakeEngine):
    """Has a bug."""

    async def generate(self, page: PreparedPage, options: GenerationOptions) -> AsyncIterator[str]:  # type: ignore[override]
        raise ZeroDivisionError
        yield ""


class DeadEngine(FakeEngine):
    """Was closed."""

    def __init__(self) -> None:
        super().__init__()
        self._closed = True


@dataclass(frozen=True)
class Provoked:
    """A request, and the service that it goes to.

    Attributes:
        file: sent as a form; None sends `json`.
        fields: of the form.
        beside: sent before, and still under way unless `first` says that its end is waited for.
    """

    file: bytes | None = None
    fields: dict[str, str] = field(default_factory=dict)
    json: dict[str, Any] | None = None
    method: str = "POST"
    path: str = "/v1/ocr"
    engine: Callable[[], FakeEngine] = FakeEngine
    reader: FakeReader | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    beside: "Provoked | None" = None
    first: bool = False


SLOW = {"task": "custom", "prompt": "slow"}
CHAT = {
    "model": "gpt-4o",
    "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}],
}


def at(address: str) -> dict[str, Any]:
    return {"document": {"type": "document_url", "document_url": address}}


TABLE = {
    "internal_error": Provoked(pdf(), engine=BrokenEngine),
    "invalid_parameter": Provoked(pdf(), {"colour": "red"}),
    "address_refused": Provoked(json=at("http://169.254.169.254/latest/meta-data")),
    "invalid_api_key": Provoked(pdf(), settings={"authentication": "on"}),
    "rate_limit_exceeded": Provoked(
        pdf(),
        settings={"requests_per_minute": 1, "request_burst": 1},
        beside=Provoked(pdf()),
        first=True,
    ),
    "model_not_found": Provoked(json=CHAT, path="/v1/chat/completions"),
    "unsupported_media_type": Provoked(b"Dear Sir or Madam"),
    "invalid_document": Provoked(b"%PDF torn", {"format": "pdf"}, reader=FakeReader()),
    "document_unavailable": Provoked(
        json=at("http://127.0.0.1:1/a.pdf"), settings={"fetch": {"allow_private_networks": True}}
    ),
    "empty_document": Provoked(b""),
    "corrupt_document": Provoked(b"%PDF-1.7 nonsense"),
    "encrypted_document": Provoked(pdf(encryption=pymupdf.PDF_ENCRYPT_AES_256, user_pw="secret")),
    "corrupt_page": Provoked(endless_pdf()),
    "document_too_large": Provoked(bytes(2000), settings={"max_document_bytes": 1000}),
    "too_many_pixels": Provoked(pdf(), {"dpi": "600"}),
    "too_many_pages": Provoked(pdf(2), settings={"max_pages_per_request": 1}),
    "job_not_found": Provoked(method="GET", path=f"/v1/jobs/{JOB}"),
    "no_result": Provoked(
        method="GET",
        path="/v1/jobs/{newest}/result",
        beside=Provoked(pdf(), path="/v1/jobs"),
        first=True,
    ),
    "queue_full": Provoked(pdf(), settings={"max_concurrent_requests": 1}, beside=Provoked(pdf(), SLOW)),
    "engine_unavailable": Provoked(pdf(), engine=DeadEngine),
    "generation_failed": Provoked(pdf(2), {"task": "custom", "prompt": "fail", "pages": "1"}),
    "processing_timeout": Provoked(pdf(), SLOW, settings={"request_timeout_s": 1}),
}

ELSEWHERE = {
    "limit_exceeded": "never raised itself: what is too large is said by its three kinds",
    "stage_lost": "needs a process that dies: tests/test_page_reader.py",
    "fatal_page": "is a row of a bulk job: tests/bulk/test_quarantine.py",
    "configuration_error": "ends the start: tests/deploy/test_serve_config.py",
}


def test_the_table_is_total() -> None:
    assert TABLE.keys() | ELSEWHERE.keys() == STATUSES.keys()
    assert not TABLE.keys() & ELSEWHERE.keys()


@asynccontextmanager
async def service(
    given: Provoked, sandbox: Sandbox, folder: Path
) -> AsyncIterator[tuple[httpx.AsyncClient, Service]]:
    preprocessor = Preprocessor(LIMITS, ViewSettings(), EngineInput.PAGE, None, sandbox)
    stages = LocalStages(preprocessor, given.engine(), Postprocessor())
    reader = given.reader or PageReader(stages, ReadingSettings())
    async with running(folder, FakeSource(gate=asyncio.Semaphore(0))) as runner:
        app = make_app(reader, jobs=job_service(runner, folder), **given.settings)
        async with client_of(app) as client:
            yield client, app.state.service


async def sent(client: httpx.AsyncClient, what: Provoked) -> httpx.Response:
    path = what.path
    if "{newest}" in path:
        path = path.format(newest=(await client.get("/v1/jobs")).json()["data"][0]["id"])
    form = {} if what.file is None else {"files": {"file": ("a", what.file)}, "data": what.fields}
    return await client.request(what.method, path, **form, json=what.json)  # type: ignore[arg-type]


@pytest.mark.parametrize("code", list(TABLE))
async def test_a_request_that_provokes_it(code: str, sandbox: Sandbox, tmp_path: Path) -> None:
    case = TABLE[code]
    async with service(case, sandbox, tmp_path) as (client, inside):
        beside = None
        if case.beside is not None:
            beside = asyncio.create_task(sent(client, case.beside))
            if case.first:
                assert (await beside).is_success
            else:
                await until(lambda: inside.admission._taken > 0)
        reply = await sent(client, case)
        if beside is not None:
            beside.cancel()
            await asyncio.gather(beside, return_exceptions=True)
    assert (reply.status_code, reply.json()["error"]["code"]) == (STATUSES[code], code), reply.text
    if reply.status_code in (429, 503):
        assert int(reply.headers["retry-after"]) > 0


async def test_a_page_that_never_ends_is_refused_and_the_service_goes_on(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    document = pymupdf.open(stream=endless_pdf(), filetype="pdf")
    document.new_page(0, width=200, height=200)
    document.new_page(-1, width=200, height=200)
    lost = sandbox.children_lost
    async with service(Provoked(), sandbox, tmp_path) as (client, _):
        reply = await sent(client, Provoked(bytes(document.tobytes())))
        assert [page.get("error", {}).get("code") for page in reply.json()["pages"]] == [
            None,
            "corrupt_page",
            None,
        ]
        assert sandbox.children_lost - lost == 2
        assert (await sent(client, Provoked(pdf()))).status_code == 200
