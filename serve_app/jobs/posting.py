"""Sending to an address that a user chose, without being led to places that are not public."""

from ipaddress import ip_address

import httpcore
import httpx

from deployments.errors import AddressRefused, DocumentUnavailable
from serve_app.addresses import is_allowed
from serve_app.fetching import NoPublicAddress, PublicNetwork, SystemResolver, checked

_PARAM = "webhook"


class PublicPost:
    """Posts to public https addresses; see `serve_app.jobs.webhooks.Post`.

    The door is the one of fetching: a host is resolved once, every address it has must be allowed, and the
    connection is made to one of these. Nothing of the environment (proxies, netrc) is used, and no
    redirect is followed.

    Args:
        private: whether loopback and private networks may be called too, also over plain http.
    """

    def __init__(self, *, private: bool = False) -> None:
        self._private = private
        self._network = PublicNetwork(SystemResolver(), httpcore.AnyIOBackend(), private)
        self._tls = httpx.create_ssl_context()

    def check(self, url: str) -> None:
        """Refuse an address of another kind."""
        self._checked(url)

    def _checked(self, url: str) -> httpx.URL:
        parsed = checked(url, _PARAM)
        if parsed.scheme != "https" and not self._private:
            raise AddressRefused("A webhook needs an https address.", _PARAM)
        try:
            address = ip_address(parsed.raw_host.decode("ascii"))
        except ValueError:
            return parsed  # a name: what it means is looked at when it is called
        if not is_allowed(address, private=self._private):
            raise AddressRefused("The webhook's address is not public.", _PARAM)
        return parsed

    async def __call__(self, url: str, headers: dict[str, str], body: bytes) -> int:
        """Send a body and return the reply's status."""
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
        except NoPublicAddress:
            raise AddressRefused(f"{parsed.host} has no public address.", _PARAM) from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            raise DocumentUnavailable(f"{parsed.host} can't be reached or broke off.", _PARAM) from error
