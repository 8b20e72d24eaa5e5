"""What stands between the browser and Gradio's server: files may be read, and nothing else.

Gradio's server can take uploads, run queues and hand out files; the page needs none of that. So only the
page, its settings and its assets pass. A content security policy lets the browser load from, and talk to,
this service alone, and run no script but those in files of this service and Gradio's own opening one,
which is named by its hash.
"""

import base64
import hashlib
import re

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_PASSES = re.compile(r"/(?:|config/?|theme\.css|(?:assets|static|page)/[^?]*|favicon\.ico|manifest\.json)")
_INLINE_SCRIPT = re.compile(rb"<script(?![^>]*\bsrc=)[^>]*>(.*?)</script>", re.DOTALL | re.IGNORECASE)
_FOREIGN = re.compile(rb"<(?:meta|link)[^>]*https?://[^>]*>", re.IGNORECASE)
"""Gradio's notes for other sites' previews, which name servers of its own."""

_POLICY = (
    "default-src 'none'; script-src 'self'{hashes}; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; manifest-src 'self'; "
    "base-uri 'self'; form-action 'none'; frame-ancestors 'self'"
)


class ReadOnlyPage:
    """Middleware around the page.

    Args:
        app: what serves it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        root = scope.get("root_path", "")
        path = scope["path"].removeprefix(root)
        if not path:
            await RedirectResponse(f"{root}/")(scope, receive, send)
        elif scope["method"] not in ("GET", "HEAD"):
            await PlainTextResponse("The page is only read.", 405)(scope, receive, send)
        elif not _PASSES.fullmatch(path):
            await PlainTextResponse("There is nothing here.", 404)(scope, receive, send)
        else:
            await self._app(scope, receive, _Guarded(send))


class _Guarded:
    """Sends a reply with its headers, a page once it is whole and its scripts are known."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["X-Content-Type-Options"] = "nosniff"
            headers["Referrer-Policy"] = "no-referrer"
            if headers.get("content-type", "").startswith("text/html"):
                self._start = message
                return
            headers["Content-Security-Policy"] = _POLICY.format(hashes="")
            await self._send(message)
        elif self._start is None:
            await self._send(message)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._page(self._start)

    async def _page(self, start: Message) -> None:
        body = _FOREIGN.sub(b"", self._body)
        hashes = "".join(
            f" 'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'"
            for script in _INLINE_SCRIPT.findall(body)
            if script.strip()
        )
        headers = MutableHeaders(scope=start)
        headers["Content-Security-Policy"] = _POLICY.format(hashes=hashes)
        headers["Cache-Control"] = "no-cache"
        if "content-length" in headers:
            headers["Content-Length"] = str(len(body))
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body, "more_body": False})
