"""Whether requests that bring work are let in, and how many of them are under way."""

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import ASGIApp, Receive, Scope, Send

from deployments.errors import EngineUnavailable
from serve_app.api.errors import send_error


class Door:
    """Open until it is closed, for good. It counts the requests of one process."""

    def __init__(self) -> None:
        self.closed = False
        self._inside = 0

    def close(self) -> int:
        """Let nothing more in; returns how many requests are under way. Idempotent."""
        self.closed = True
        return self._inside

    @contextmanager
    def passed(self) -> Iterator[None]:
        """Count a request for as long as it is under way."""
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1


class Doorkeeper:
    """Middleware that counts the requests that bring work, and refuses them once the door is closed.

    These are the ones that post something. What only asks, for a job's progress say, is answered as before,
    but not waited for. A service that is stopping is not ready, and `/readyz` says so.

    Args:
        app: what comes after.
        door: that it keeps.
        retry_after_s: told to those who are refused.
    """

    def __init__(self, app: ASGIApp, door: Door, retry_after_s: int) -> None:
        self._app = app
        self._door = door
        self._retry_after_s = retry_after_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        brings_work = scope["type"] == "http" and scope["method"] == "POST"
        if self._door.closed and (brings_work or scope.get("path") == "/readyz"):
            error = EngineUnavailable("The service is stopping; send the request again once it is back.")
            error.retry_after_s = self._retry_after_s
            await send_error(error, scope, receive, send)
        elif brings_work:
            with self._door.passed():
                await self._app(scope, receive, send)
        else:
            await self._app(scope, receive, send)
