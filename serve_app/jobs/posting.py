"""Sending to an address that a user chose, without being led to places that are not public."""

import asyncio
import socket
from collections.abc import Iterable
from ipaddress import ip_address

import httpcore
import httpx

from deployments.errors import InvalidRequest, OcrError


class PublicPost:
    """Posts to public https addresses, and to this machine if it is told to.

    A host is resolved once, every address it has must be allowed, and the connection is made to one of
    these. Nothing of the environment (proxies, netrc) is used, and no redirect is followed.

    Args:
        loopback: whether this machine may be called, also over plain http.
    """

    def __init__(self, *, loopback: bool = False) -> None:
        self._loopback = loopback
        self._network = _PublicNetwork(loopback)
        self._tls = httpx.create_ssl_context()

    def check(self, url: str) -> None:
        """Refuse an address of another kind; see `serve_app.jobs.webhooks.Post`."""
        self._checked(url)

    def _checked(self, url: str) -> httpx.URL:
        try:
            parsed = httpx.URL(url)
            host = parsed.raw_host.decode("ascii")
        except (httpx.InvalidURL, ValueError):
            raise InvalidRequest("The webhook's address can't be read.", "webhook") from None
        if not host or parsed.userinfo or parsed.scheme not in ("http", "https"):
            raise InvalidRequest(
                "A webhook needs an https address with a host, without a user name.", "webhook"
            )
        if parsed.scheme == "http" and not (self._loopback and _is_loopback(host)):
            raise InvalidRequest("A webhook needs an https address.", "webhook")
        if _is_number(host) and not _allowed(host, self._loopback):
            raise InvalidRequest("The webhook's address is not public.", "webhook")
        return parsed

    async def __call__(self, url: str, headers: dict[str, str], body: bytes) -> int:
        """Send; see `serve_app.jobs.webhooks.Post`."""
        parsed = self._checked(url)
        target = httpcore.URL(
            scheme=parsed.raw_scheme, host=parsed.raw_host, port=parsed.port, target=parsed.raw_path or b"/"
        )
        sent = [
            ("Host", parsed.netloc.decode("ascii")),
            ("User-Agent", "dsocr"),
            ("Connection", "close"),
            ("Content-Length", str(len(body))),
            *headers.items(),
        ]
        pool = httpcore.AsyncConnectionPool(self._tls, max_connections=1, network_backend=self._network)
        try:
            async with pool, pool.stream("POST", target, headers=sent, content=body) as response:
                return int(response.status)
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            raise OcrError(f"{parsed.host} can't be reached.") from error


def _is_number(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_number(host) and ip_address(host).is_loopback)


def _allowed(address: str, loopback: bool) -> bool:
    found = ip_address(address)
    return (found.is_global and not found.is_multicast) or (loopback and found.is_loopback)


class _PublicNetwork(httpcore.AsyncNetworkBackend):
    """Connects to allowed addresses alone; httpcore keeps the name for `Host` and TLS."""

    def __init__(self, loopback: bool) -> None:
        self._loopback = loopback
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve a host, look at all its addresses, and connect to the first."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore.ConnectError(f"{host} has no address") from error
        addresses = [str(address[0]) for *_, address in found]
        if not addresses or not all(_allowed(each, self._loopback) for each in addresses):
            raise httpcore.ConnectError(f"{host} is not public")
        return await self._network.connect_tcp(addresses[0], port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        """Wait, as httpcore asks between attempts."""
        await self._network.sleep(seconds)
