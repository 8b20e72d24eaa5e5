"""Fetching the document that an address means, without being led to places that are not public.

Redirects are followed by hand, each through the door that `serve_app.public_network` is. What is sent has
nothing of the client's request: no credentials, no cookies, no headers.
"""

import asyncio
import ssl
from functools import cached_property

import httpcore
import httpx
from pydantic import BaseModel, ConfigDict, Field

from deployments.errors import AddressRefused, DocumentTooLarge, DocumentUnavailable
from serve_app.public_network import PublicNetwork, Resolve, SystemResolver, checked

_REDIRECTS = {301, 302, 303, 307, 308}
_HEADERS = {
    "User-Agent": "dsocr",
    "Accept": "application/pdf, image/*, */*;q=0.1",
    "Accept-Encoding": "identity",
    "Connection": "close",
}


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
        tls = self._tls if url.scheme == "https" else None
        async with self._network.exchange("GET", url, _HEADERS, tls=tls, param=param) as response:
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
