"""Metrics of the HTTP interface: counting its requests, and showing all of them to Prometheus."""

from typing import Protocol

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse

router = APIRouter()

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Prometheus' text format."""


class RequestObserver(Protocol):
    """Counts requests."""

    def ended(self, route: str, status: int, code: str, key: str, seconds: float) -> None:
        """Count a request.

        Args:
            route: as the application declares it, or `none` where no route matches.
            status: of the reply.
            code: of the error, or nothing.
            key: name of the API key, or nothing.
            seconds: until the reply was sent.
        """
        ...


class MetricsText(Protocol):
    """Gathers what is counted."""

    async def text(self) -> str:
        """Return it in Prometheus' text format."""
        ...


@router.get("/metrics", summary="Metrics for Prometheus", response_class=PlainTextResponse)
async def metrics(request: Request) -> PlainTextResponse:
    """Return the metrics of the whole cluster: this application's, Serve's and the machines'."""
    source: MetricsText = request.app.state.metrics
    return PlainTextResponse(await source.text(), media_type=CONTENT_TYPE)
