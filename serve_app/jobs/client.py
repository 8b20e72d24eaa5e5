"""Jobs of a running service, from the command line."""

import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx
from tqdm import tqdm

from deployments.errors import EngineUnavailable
from serve_app.api.schemas import OcrOptions
from serve_app.client import form_fields
from serve_app.exchange import error_of, exchange, service_address
from serve_app.formats import ResultFormat
from serve_app.jobs.models import JobList, JobState, JobStatus

ASK_S = 1.0
"""Between two questions about a job that is waited for."""

_TIMEOUT = httpx.Timeout(120, connect=10)
_LOST_S = 120
"""A service that answers nothing for so long is given up."""


class JobsClient:
    """A service's jobs; every method raises errors of the `OcrError` tree.

    Args:
        address: of the service.
        api_key: for the service; None sends none.
        sleep: waits between questions.
    """

    def __init__(
        self, address: str, api_key: str | None = None, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._address = service_address(address)
        headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
        self._http = httpx.Client(timeout=_TIMEOUT, headers=headers)
        self._sleep = sleep

    def submit(self, file: Path, options: OcrOptions, webhook: str | None) -> JobStatus:
        """Send a document."""
        fields = form_fields(options) | ({} if webhook is None else {"webhook": webhook})
        with exchange(self._address), file.open("rb") as document:
            reply = self._http.post(
                f"{self._address}/v1/jobs", files={"file": (file.name, document)}, data=fields
            )
            return JobStatus.model_validate_json(_good(reply).content)

    def newest(self, after: str | None, limit: int) -> JobList:
        """Return jobs, newest first."""
        query: dict[str, Any] = {"limit": limit} | ({} if after is None else {"after": after})
        with exchange(self._address):
            reply = self._http.get(f"{self._address}/v1/jobs", params=query)
            return JobList.model_validate_json(_good(reply).content)

    def show(self, id_: str) -> JobStatus:
        """Return where a job stands."""
        with exchange(self._address):
            return JobStatus.model_validate_json(_good(self._http.get(self._of(id_))).content)

    def wait(self, id_: str, tell: Callable[[JobStatus], None]) -> JobStatus:
        """Return a job once it has ended; a service that is away for a moment is asked again."""
        lost_since: float | None = None
        while True:
            try:
                status = self.show(id_)
            except EngineUnavailable:
                lost_since = lost_since or time.monotonic()
                if time.monotonic() - lost_since > _LOST_S:
                    raise
            else:
                lost_since = None
                tell(status)
                if status.state.ended:
                    return status
            self._sleep(ASK_S)

    def result(self, id_: str, format_: ResultFormat, out: Path) -> None:
        """Write a job's result to a file, which is there once it is whole."""
        part = out.with_name(f".{out.name}.part")
        query, address = {"format": format_.value}, self._of(id_, "result")
        try:
            with exchange(self._address), self._http.stream("GET", address, params=query) as reply:
                if not reply.is_success:
                    reply.read()
                _good(reply)
                with part.open("wb") as file:
                    for piece in reply.iter_bytes():
                        file.write(piece)
            part.replace(out)
        finally:
            part.unlink(missing_ok=True)

    def cancel(self, id_: str) -> JobStatus:
        """Cancel an unfinished job, or delete an ended one."""
        with exchange(self._address):
            return JobStatus.model_validate_json(_good(self._http.delete(self._of(id_))).content)

    def _of(self, id_: str, *rest: str) -> httpx.URL:
        """Return the address of a job; whatever the id holds stays one part of the path."""
        return httpx.URL("/".join((f"{self._address}/v1/jobs", quote(id_, safe=""), *rest)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._http.close()


def _good(reply: httpx.Response) -> httpx.Response:
    """Return a reply that is none of an error.

    Raises:
        OcrError: what the service answered.
    """
    if reply.is_success:
        return reply
    raise error_of(reply)


def line(status: JobStatus) -> str:
    """Return a job in one line."""
    pages = status.pages
    parts = [status.id, f"{status.state.value:<9}", f"{pages.done}/{pages.total} pages"]
    if pages.failed:
        parts.append(f"{pages.failed} failed")
    if status.state is JobState.RUNNING and status.seconds_left is not None:
        parts.append(f"{status.seconds_left:.0f} s left")
    if status.error is not None:
        parts.append(status.error.message)
    return "  ".join(parts)


def wait_with_bar(client: JobsClient, id_: str) -> JobStatus:
    """Wait for a job, with a bar over its pages on a terminal."""
    with tqdm(total=0, unit="page", disable=None) as bar:

        def tell(status: JobStatus) -> None:
            bar.total = status.pages.total
            bar.n = status.pages.done + status.pages.failed
            bar.set_description_str(status.state.value, refresh=False)
            bar.refresh()

        return client.wait(id_, tell)
