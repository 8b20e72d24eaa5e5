"""Fetching the document that an address means, without being led to places that are not public.

A host is resolved once; every address it has must be allowed, and the connection is made to one of
these very addresses, so that a second answer of the name server changes nothing. Redirects are
followed by hand and go through the same door. What is sent has nothing of the client's request: no
credentials, no cookies, no headers. Proxies of the environment are not used.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from ipaddress import ip_address

import httpcore
import httpx
from pydantic import BaseModel, ConfigDict, Field

from deployments.errors import AddressRefused, DocumentTooLarge, DocumentUnavailable
from serve_app.addresses import is_allowed, is_plain_host

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Gives the addresses of a host and port.

Raises:
    OSError: it has none.
"""

_MAX_URL_CHARS = 8_192
_MAX_TRIED = 3
_RESOLVER_THREADS = 8
"""Name servers that answer slowly hold these threads, and no others of the process."""

_REDIRECTS = {301, 302, 303, 307, 308}
_HEADERS = (
    (b"User-Agent", b"dsocr"),
    (b"Accept", b"application/pdf, image/*, */*;q=0.1"),
    (b"Accept-Encoding", b"identity"),
    (b"Connection", b"close"),
)


class FetchSettings(BaseModel):
    """How documents are fetched from http and https addresses."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(True, description="Whether addresses are fetched at all.")
    max_redirects: int = Field(5, ge=0, le=20, description="Redirects that are followed.")
    timeout_s: float = Field(30, gt=0, description="Longest time for a document, all redirects included.")
    allow_private_networks: bool = Field(
        False,
        description="Whether loopback and private networks may be fetched from; link-local and cloud "
        "metadata addresses never may.",
    )


class Fetcher:
    """Fetches documents; one serves all requests of a process.

    Args:
        settings: of fetching.
        resolve: stands in for the system's resolver.
        backend: stands in for the network.
    """

    def __init__(
        self,
        settings: FetchSettings,
        *,
        resolve: Resolve | None = None,
        backend: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        self._settings = settings
        self._network = PublicNetwork(
            resolve or SystemResolver(), backend or httpcore.AnyIOBackend(), settings.allow_private_networks
        )

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """What https needs; made late, because it takes a tenth of a second."""
        return httpx.create_ssl_context()

    async def fetch(self, address: str, max_bytes: int, param: str | None = None) -> bytes:
        """Return what an address holds.

        Args:
            address: with the scheme http or https.
            max_bytes: more are not read.
            param: the request's field that the address stood in.

        Raises:
            AddressRefused: it, or one that it redirects to, is none that may be fetched; nothing was sent.
            DocumentUnavailable: its server can't be reached, took too long, or answered with an error.
            DocumentTooLarge: it holds more bytes than allowed.
        """
        if not self._settings.enabled:
            raise AddressRefused(
                "This service does not fetch addresses: send the file as a data URI or a form.", param
            )
        limit = self._settings.timeout_s
        try:
            async with asyncio.timeout(limit):
                url = checked(address, param)
                for _ in range(self._settings.max_redirects + 1):
                    found = await self._get(url, max_bytes, param)
                    if isinstance(found, bytes):
                        return found
                    url = checked(str(url.join(found)), param)
        except TimeoutError:
            raise DocumentUnavailable(
                f"The document did not arrive within {limit:g} seconds.", param
            ) from None
        except httpx.InvalidURL:
            raise AddressRefused("The address redirects to one that can't be read.", param) from None
        raise DocumentUnavailable("The address redirects too often; send the last one.", param)

    async def _get(self, url: httpx.URL, max_bytes: int, param: str | None) -> bytes | str:
        """Return a document, or the address that another one redirects to."""
        target = httpcore.URL(
            scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path or b"/"
        )
        headers = [(b"Host", url.netloc), *_HEADERS]
        tls = self._tls if url.scheme == "https" else None
        # A pool of its own: no connection is shared between the clients of the service.
        pool = httpcore.AsyncConnectionPool(tls, max_connections=1, network_backend=self._network)
        try:
            async with pool, pool.stream("GET", target, headers=headers) as response:
                fields = {name.lower(): value for name, value in response.headers}
                if response.status in _REDIRECTS and b"location" in fields:
                    return fields[b"location"].decode("latin-1")
                if response.status != 200:
                    raise DocumentUnavailable(
                        f"The document's server answered with status {response.status}.", param
                    )
                if fields.get(b"content-encoding", b"identity").strip().lower() not in (b"identity", b""):
                    raise DocumentUnavailable("The document's server sent it compressed, unasked.", param)
                return await _body(response, fields.get(b"content-length", b""), max_bytes, param)
        except NoPublicAddress:
            raise AddressRefused(
                f"No document can be fetched from {url.host}: it has no public address.", param
            ) from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            raise DocumentUnavailable(
                f"The server {url.host} can't be reached or broke off.", param
            ) from error


def checked(address: str, param: str | None) -> httpx.URL:
    """Read an address and refuse what no name server need be asked for.

    Raises:
        AddressRefused: it is none that may be fetched.
    """
    if len(address) > _MAX_URL_CHARS:
        raise AddressRefused(f"The address has more than {_MAX_URL_CHARS} characters.", param)
    try:
        url = httpx.URL(address)
        host = url.raw_host.decode("ascii")
    except (httpx.InvalidURL, ValueError):
        raise AddressRefused("The address can't be read.", param) from None
    if url.scheme not in ("http", "https") or not host:
        raise AddressRefused("Only http and https addresses are fetched.", param)
    if url.port is not None and not 0 < url.port < 65536:
        raise AddressRefused("The address has a port that does not exist.", param)
    if url.userinfo:
        raise AddressRefused("The address holds a user name or password; such are not fetched.", param)
    if not is_plain_host(host):
        raise AddressRefused("The address has its host in an unusual form; write it out.", param)
    return url


async def _body(response: httpcore.Response, declared: bytes, max_bytes: int, param: str | None) -> bytes:
    """Read a body; the declared length is checked before the first piece, the real one at each."""
    body = bytearray()
    if declared.isdigit() and int(declared[:18]) > max_bytes:
        raise _too_large(max_bytes, param)
    async for piece in response.aiter_stream():
        body += piece
        if len(body) > max_bytes:
            raise _too_large(max_bytes, param)
    return bytes(body)


def _too_large(max_bytes: int, param: str | None) -> DocumentTooLarge:
    return DocumentTooLarge(
        f"The document at the address has more than the {max_bytes} bytes allowed.", param
    )


class NoPublicAddress(Exception):
    """A host has no address, or one that may not be connected to."""


class PublicNetwork(httpcore.AsyncNetworkBackend):
    """Connects to allowed addresses alone; httpcore keeps the name for `Host` and TLS."""

    def __init__(self, resolve: Resolve, network: httpcore.AsyncNetworkBackend, private: bool) -> None:
        self._resolve = resolve
        self._network = network
        self._private = private

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve a host, look at all its addresses, and connect to the first that answers."""
        try:
            addresses = list(dict.fromkeys(await self._resolve(host, port)))
        except (OSError, UnicodeError):
            addresses = []
        if not addresses or not all(
            is_allowed(ip_address(each), private=self._private) for each in addresses
        ):
            raise NoPublicAddress
        *others, last = addresses[:_MAX_TRIED]
        for address in others:
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._network.connect_tcp(last, port, timeout, local_address, socket_options)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Refuse: a document is in no socket of this machine."""
        raise NoPublicAddress

    async def sleep(self, seconds: float) -> None:
        """Wait, as httpcore asks between attempts."""
        await self._network.sleep(seconds)


class SystemResolver:
    """The system's resolver, on threads of its own."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_RESOLVER_THREADS, thread_name_prefix="resolve")

    async def __call__(self, host: str, port: int) -> list[str]:
        """Return the addresses of a host and port; see `Resolve`."""
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
        return [
            str(address[0]) for family, *_, address in found if family in (socket.AF_INET, socket.AF_INET6)
        ]
