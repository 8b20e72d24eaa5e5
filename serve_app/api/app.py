"""Making the FastAPI application."""

import time
from typing import Any

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.responses import PlainTextResponse, RedirectResponse

from serve_app.api import chat, errors, exporting, metrics, openapi, pictures, routes
from serve_app.api.admission import Admission
from serve_app.api.authentication import Authentication
from serve_app.api.caller_limits import CallerLimits
from serve_app.api.door import Door, Doorkeeper
from serve_app.api.jobs import JobService
from serve_app.api.jobs import router as job_routes
from serve_app.api.request_log import RequestLog
from serve_app.api.settings import ApiSettings
from serve_app.api.status import ServiceStatus
from serve_app.fetching import Fetcher
from serve_app.printing import Printer
from serve_app.reading import Reader
from serve_app.ui.presence import OFF

API_VERSION = "1"

DESCRIPTION = (
    "OCR of pictures and PDFs with DeepSeek-OCR-2. Field names are those of Mistral's OCR API. "
    "All coordinates are pixels of the page's image, whose size is in `dimensions`. "
    "Every reply carries an `X-Request-Id`; one that the client sends is kept."
)


def create_app(
    reader: Reader[Any],
    settings: ApiSettings,
    status: ServiceStatus,
    jobs: JobService | None = None,
    *,
    host: str = "127.0.0.1",
    home: str = "docs",
    fetcher: Fetcher | None = None,
    observer: metrics.RequestObserver | None = None,
    metrics_text: metrics.MetricsText | None = None,
    door: Door | None = None,
    named_by_proxy: bool = False,
) -> FastAPI:
    """Make the application, in the process that serves it: it holds locks and can't be pickled.

    Args:
        reader: reads documents.
        settings: of the interface.
        status: of what stands behind it.
        jobs: the runner of jobs and what belongs to it; None leaves their routes out.
        host: that the service listens on; whether requests need a key hangs on it.
        home: path that `/` leads to.
        fetcher: of documents at addresses; None makes the one that the settings mean.
        observer: counts requests.
        metrics_text: what `/metrics` shows; None leaves the route out.
        door: through which requests come; None leaves it open.
        named_by_proxy: whether what stands before it gives requests ids, and replies those of their requests.

    Raises:
        ConfigurationError: the file of API keys can't be read.
    """
    app = FastAPIOffline(  # /docs with its scripts in the package instead of a CDN
        title="dsocr", version=API_VERSION, description=DESCRIPTION, docs_url="/docs", redoc_url=None
    )
    app.state.service = routes.Service(
        reader,
        settings,
        status,
        Admission(settings.max_concurrent_requests),
        CallerLimits(settings),
        fetcher or Fetcher(settings.fetch),
        Printer(settings.max_pdf_processes),
        int(time.time()),
    )
    app.include_router(routes.router)
    app.include_router(pictures.router)
    app.include_router(exporting.router)
    app.include_router(chat.router)
    if jobs is not None:
        app.state.jobs = jobs
        app.include_router(job_routes)

    @app.get("/", include_in_schema=False)
    async def root() -> RedirectResponse:
        return RedirectResponse(home)

    # The page is an application of its own; its requests come here only where it is not deployed.
    @app.get("/ui", include_in_schema=False)
    @app.get("/ui/{path:path}", include_in_schema=False)
    async def no_page(path: str = "") -> PlainTextResponse:
        return PlainTextResponse(f"{OFF} The HTTP interface is described at /docs.\n", 404)

    if metrics_text is not None:
        app.state.metrics = metrics_text
        app.include_router(metrics.router)
    errors.install(app)
    openapi.install(app, app.state.service.model_name)
    app.add_middleware(Authentication, settings=settings, host=host)
    app.add_middleware(Doorkeeper, door=door or Door(), retry_after_s=settings.unavailable_retry_s)
    app.add_middleware(
        RequestLog, failure=errors.internal_failure, observer=observer, named_by_proxy=named_by_proxy
    )
    return app
