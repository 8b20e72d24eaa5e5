"""Request ids, and one line of JSON in the log for each request, without any of the document's content."""

import json
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.api.metrics import RequestObserver

logger = logging.getLogger(__name__)

REQUEST_ID_HEADER = "X-Request-Id"

_SANE_ID = re.compile(r"[!-~]{1,200}")
"""Visible ASCII: proxies have slashes, colons and equals signs in theirs."""

FailureReply = Callable[[Scope, Receive, Send], Awaitable[None]]


def note(scope: Scope, **fields: str | int | float | None) -> None:
    """Add fields to the request's line in the log."""
    scope.setdefault("state", {}).setdefault("log", {}).update(fields)


def request_id(scope: Scope) -> str:
    """Return the request's id."""
    return str(scope.get("state", {}).get("request_id", ""))


class RequestLog:
    """Outermost middleware: gives every reply its id, logs it, and answers for errors nobody handled.

    Args:
        app: what comes after.
        failure: the reply to an error nobody handled.
        observer: counts requests.
        named_by_proxy: whether what stands before it gives requests ids, and replies those of their requests.
    """

    def __init__(
        self,
        app: ASGIApp,
        failure: FailureReply,
        observer: RequestObserver | None = None,
        *,
        named_by_proxy: bool = False,
    ) -> None:
        self._app = app
        self._named_by_proxy = named_by_proxy
        self._failure = failure
        self._observer = observer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = Headers(scope=scope).get(REQUEST_ID_HEADER, "")
        id_ = sent if _SANE_ID.fullmatch(sent) else uuid.uuid4().hex
        scope["state"] = {**scope.get("state", {}), "request_id": id_, "log": {}}
        began = time.monotonic()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if not (self._named_by_proxy and id_ == sent):
                    MutableHeaders(scope=message)[REQUEST_ID_HEADER] = id_
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception:
            logger.exception("request %s failed through an internal error", id_)
            note(scope, error="internal_error")
            if status:
                raise  # a reply that has begun can only be cut off
            await self._failure(scope, receive, send_with_id)
        finally:
            seconds = time.monotonic() - began
            if self._observer is not None:
                noted = scope["state"]["log"]
                key, code = str(noted.get("key", "")), str(noted.get("error", ""))
                self._observer.ended(_route(scope), status, code, key, seconds)
            line = {
                "event": "request",
                "request_id": id_,
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "seconds": round(seconds, 3),
                **scope["state"]["log"],
            }
            logger.info(json.dumps(line))


def _route(scope: Scope) -> str:
    """Return the route that answered, as the application declares it; paths themselves are without number."""
    return str(getattr(scope.get("route"), "path", "none"))
