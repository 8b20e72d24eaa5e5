"""Requests made up from the OpenAPI document, sent to the application in this process."""

import base64
import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from deployments.types import DocumentInfo, PageResult
from serve_app.api.app import create_app
from serve_app.api.settings import ApiSettings
from serve_app.fetching import Fetcher, FetchSettings
from tests.fakes import FakeReader, FakeStatus

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
    api = ApiSettings(authentication="off", max_document_bytes=20_000)
    fetcher = Fetcher(FetchSettings(), resolve=no_name)
    app = create_app(FakeReader(page_count=3), api, FakeStatus(), fetcher=fetcher)
    app.state.service = dataclasses.replace(app.state.service, printer=NoPrinter())
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
