"""Sending to an address that a user chose, without being led to places that are not public."""

from ipaddress import ip_address

import httpcore
import httpx

from deployments.errors import AddressRefused
from serve_app.addresses import is_allowed
from serve_app.public_network import PublicNetwork, SystemResolver, checked

_PARAM = "webhook"


class PublicPost:
    """Posts to public https addresses; see `serve_app.jobs.webhooks.Post`.

    The door is `serve_app.public_network`, as for documents. No redirect is followed.

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
        sent = {
            "User-Agent": "dsocr",
            "Connection": "close",
            "Content-Length": str(len(body)),
            **headers,
        }
        exchange = self._network.exchange("POST", parsed, sent, tls=self._tls, param=_PARAM, content=body)
        async with exchange as response:
            return int(response.status)
