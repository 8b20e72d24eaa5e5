"""Traces: a request's span holds its pages', and a page's those of its stages."""

import sys
from collections.abc import Iterator

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from deployments.errors import ConfigurationError
from serve_app import page_reader, tracing
from serve_app.api.app import create_app
from serve_app.api.settings import ApiSettings
from serve_app.page_reader import PageReader, ReadingSettings
from serve_app.tracing import RequestSpans, TracingSettings, start_tracing
from tests.fakes import FakeStatus, client_of
from tests.test_page_reader import Stages


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """What is sent to the collector; OpenTelemetry itself takes one provider a process, for good."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(page_reader, "tracer", provider.get_tracer("dsocr"))
    monkeypatch.setattr(tracing.trace, "get_tracer", provider.get_tracer)
    yield exporter
    provider.shutdown()


def client(stages: Stages) -> httpx.AsyncClient:
    app = create_app(PageReader(stages, ReadingSettings()), ApiSettings(keys_file="/nowhere"), FakeStatus())  # type: ignore[arg-type]
    app.add_middleware(RequestSpans)
    return client_of(app)


def named(spans: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in spans.get_finished_spans() if span.name == name]


async def test_a_request_holds_its_pages_and_a_page_its_stages(spans: InMemorySpanExporter) -> None:
    async with client(Stages(loops=1)) as http:
        reply = await http.post(
            "/v1/ocr",
            files={"file": ("page", b"%PDF-1.7")},
            headers={"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"},
        )
        assert reply.status_code == 200
    (request,) = named(spans, "request")
    assert request.context.trace_id == int("ab" * 16, 16), "the caller's own trace goes on"
    assert request.attributes is not None
    assert (request.attributes["http.route"], request.attributes["http.response.status_code"]) == (
        "/v1/ocr",
        200,
    )
    pages = named(spans, "page")
    assert len(pages) == 3
    assert {page.parent.span_id for page in pages if page.parent} == {request.context.span_id}
    reads, ends = named(spans, "read"), named(spans, "postprocess")
    assert (len(reads), len(ends)) == (4, 3), "one page ran away and was read again"
    holders = {page.context.span_id for page in pages}
    assert {span.parent.span_id for span in [*reads, *ends] if span.parent} == holders
    reasons = [span.attributes["dsocr.finish_reason"] for span in reads if span.attributes]
    assert sorted(map(str, reasons)) == ["runaway", "stop", "stop", "stop"]


def test_without_an_endpoint_nothing_is_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "set_tracer_provider", lambda _: pytest.fail("a provider was set"))
    start_tracing(TracingSettings())


def test_the_exporter_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ConfigurationError, match="pip install opentelemetry-exporter-otlp-proto-http"):
        start_tracing(TracingSettings(endpoint="http://127.0.0.1:4318/v1/traces"))


def test_what_is_made_reaches_the_exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    providers: list[TracerProvider] = []
    monkeypatch.setattr(trace, "set_tracer_provider", providers.append)
    exporter = InMemorySpanExporter()
    start_tracing(TracingSettings(share=1), exporter)
    with providers[0].get_tracer("dsocr").start_as_current_span("request"):
        pass
    providers[0].shutdown()
    (span,) = exporter.get_finished_spans()
    assert span.resource.attributes["service.name"] == "dsocr"
