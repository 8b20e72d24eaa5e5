"""Who sends a request: the name of its API key."""

import ipaddress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from deployments.errors import ConfigurationError, Unauthenticated
from serve_app.api.errors import send_error
from serve_app.api.request_log import note
from serve_app.api.settings import ApiSettings
from serve_app.api_keys import KeyFile, load

ANONYMOUS = ""
"""The caller of requests without a key, where none is needed."""

_OPEN_PATHS = {"/", "/ui", "/healthz", "/readyz", "/docs", "/openapi.json"}
_OPEN_FOLDERS = ("/static-offline-docs/", "/ui/")
"""Probes, and documentation that holds nothing of anybody."""


def is_loopback(host: str) -> bool:
    """Tell whether an address or name is this machine's own, reached from nowhere else."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def key_is_required(settings: ApiSettings, host: str) -> bool:
    """Tell whether every request needs a key, for a service that listens on a host."""
    return settings.authentication == "on" or (settings.authentication == "auto" and not is_loopback(host))


def check_protection(settings: ApiSettings, host: str) -> None:
    """Return if a service that listens on a host may start.

    Raises:
        ConfigurationError: every request would need a key, and there is none; or the keys can't be read.
    """
    keys = {} if settings.authentication == "off" else load(settings.keys_path)
    if key_is_required(settings, host) and not keys:
        raise ConfigurationError(
            f"A service on {host} needs API keys, and {settings.keys_path} has none. Make one with "
            "`dsocr keys new NAME`, or let everybody in with the setting api.authentication: off."
        )


def caller_of(scope: Scope) -> str:
    """Return the name of a request's key, or `ANONYMOUS`."""
    return str(scope.get("state", {}).get("api_key_name", ANONYMOUS))


class Authentication:
    """Middleware that lets requests with a key in, and puts the key's name beside the request.

    Where the setting is `auto` and the service listens on loopback, requests of this machine need no
    key. Others do all the same: the service may be reached through a proxy of Serve's on another address.

    Args:
        app: what comes after.
        settings: of the interface.
        host: that the service listens on.

    Raises:
        ConfigurationError: the keys can't be read.
    """

    def __init__(self, app: ASGIApp, settings: ApiSettings, host: str) -> None:
        self._app = app
        self._mode = settings.authentication
        self._required = key_is_required(settings, host)
        self._keys = None if self._mode == "off" else KeyFile(settings.keys_path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        name = self._name(scope)
        if name is None and self._needs_key(scope):
            sent = "The API key is not valid" if self._presented(scope) else "The request has no API key"
            error = Unauthenticated(f"{sent}; send one in the header Authorization: Bearer KEY.")
            await send_error(error, scope, receive, send)
            return
        scope["state"] = {**scope.get("state", {}), "api_key_name": name or ANONYMOUS}
        if name is not None:
            note(scope, key=name)
        await self._app(scope, receive, send)

    def _name(self, scope: Scope) -> str | None:
        presented = self._presented(scope)
        return self._keys.name_of(presented) if self._keys is not None and presented else None

    def _needs_key(self, scope: Scope) -> bool:
        if self._mode == "off" or scope["path"] in _OPEN_PATHS or scope["path"].startswith(_OPEN_FOLDERS):
            return False
        client = scope.get("client")
        return self._required or client is None or not is_loopback(client[0])

    @staticmethod
    def _presented(scope: Scope) -> str:
        scheme, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
        return key.strip() if scheme.lower() == "bearer" else ""
