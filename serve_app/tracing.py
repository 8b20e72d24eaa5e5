"""Traces of requests, pages and stages, sent to a collector of OpenTelemetry where one is set.

The spans themselves are made where things happen, through OpenTelemetry's interface, which does nothing
until this module has been told where to send them.
"""

from typing import TYPE_CHECKING

from opentelemetry import propagate, trace
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.errors import ConfigurationError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter


class TracingSettings(BaseModel):
    """Traces."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    endpoint: str | None = Field(
        None,
        description="Where traces go, by OTLP over HTTP, such as http://collector:4318/v1/traces.",
    )
    share: float = Field(1.0, ge=0, le=1, description="Of the requests whose caller has not decided it.")


def start_tracing(settings: TracingSettings, exporter: "SpanExporter | None" = None) -> None:
    """Send this process's spans where the settings say; without an endpoint there are none.

    Args:
        settings: of traces.
        exporter: stands in for the one that the settings mean.

    Raises:
        ConfigurationError: OpenTelemetry's exporter is not installed.
    """
    if exporter is None:
        if settings.endpoint is None:
            return
        exporter = _exporter(settings.endpoint)
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    sampler = ParentBased(TraceIdRatioBased(settings.share))
    provider = TracerProvider(resource=Resource.create({"service.name": "dsocr"}), sampler=sampler)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)


def _exporter(endpoint: str) -> "SpanExporter":
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as error:
        raise ConfigurationError(
            "Traces need OpenTelemetry's exporter: pip install opentelemetry-exporter-otlp-proto-http, or "
            "leave tracing.endpoint out."
        ) from error
    exporter: SpanExporter = OTLPSpanExporter(endpoint=endpoint)
    return exporter


class RequestSpans:
    """Middleware that makes a span of each request, within the caller's trace if it sent one (W3C)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._tracer = trace.get_tracer("dsocr")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        parent = propagate.extract(dict(Headers(scope=scope)))
        with self._tracer.start_as_current_span(
            "request", parent, kind=trace.SpanKind.SERVER, attributes={"http.request.method": scope["method"]}
        ) as span:

            async def send_noting_status(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                await send(message)

            await self._app(scope, receive, send_noting_status)
            span.set_attribute("http.route", getattr(scope.get("route"), "path", "none"))
            span.set_attribute("dsocr.request_id", scope.get("state", {}).get("request_id", ""))
