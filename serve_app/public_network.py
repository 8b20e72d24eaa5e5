"""Connections to addresses that users chose, to public places alone.

A host is resolved once; every address it has must be allowed, and the connection is made to one of
these very addresses, so that a second answer of the name server changes nothing. Proxies and credentials
of the environment are not used.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from ipaddress import ip_address

import httpcore
import httpx

from deployments.errors import AddressRefused, DocumentUnavailable
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


class NoPublicAddress(Exception):
    """A host has no address, or one that may not be connected to."""


class PublicNetwork(httpcore.AsyncNetworkBackend):
    """Connects to allowed addresses alone; httpcore keeps the name for `Host` and TLS."""

    def __init__(self, resolve: Resolve, network: httpcore.AsyncNetworkBackend, private: bool) -> None:
        self._resolve = resolve
        self._network = network
        self._private = private

    @asynccontextmanager
    async def exchange(
        self,
        method: str,
        url: httpx.URL,
        headers: Mapping[str, str],
        *,
        tls: ssl.SSLContext | None,
        param: str | None,
        content: bytes | None = None,
    ) -> AsyncIterator[httpcore.Response]:
        """Send a request and give its reply, on a connection that nobody else uses.

        Args:
            method: of the request.
            url: that `checked` gave.
            headers: beside `Host`.
            tls: for https.
            param: the request's field that the address stood in.
            content: the request's body.

        Raises:
            AddressRefused: the host has no public address; nothing was sent.
            DocumentUnavailable: it can't be reached, or broke off.
        """
        target = httpcore.URL(
            scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path or b"/"
        )
        sent = [("Host", url.netloc.decode("ascii")), *headers.items()]
        # A pool of its own: no connection is shared between the clients of the service.
        pool = httpcore.AsyncConnectionPool(tls, max_connections=1, network_backend=self)
        try:
            async with pool, pool.stream(method, target, headers=sent, content=content) as response:
                yield response
        except NoPublicAddress:
            raise AddressRefused(f"Nothing is sent to {url.host}: it has no public address.", param) from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            raise DocumentUnavailable(
                f"The server {url.host} can't be reached or broke off.", param
            ) from error

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
