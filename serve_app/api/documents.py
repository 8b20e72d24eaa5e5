"""The bytes that a JSON request's document reference means."""

import asyncio
import base64
import binascii

from deployments.errors import DocumentTooLarge, InvalidRequest
from serve_app.api.schemas import DocumentReference, FileReference, ImageUrlReference
from serve_app.fetching import Fetcher

_SEND = (
    "send the file as a data URI (data:application/pdf;base64,…), as an http or https address, or as "
    "multipart/form-data."
)


async def referenced_document(reference: DocumentReference, max_bytes: int, fetcher: Fetcher) -> bytes:
    """Return the document that a reference means.

    Raises:
        InvalidRequest: it is a file uploaded earlier, or as `document_at`.
        DocumentTooLarge: it has more bytes than allowed.
    """
    if isinstance(reference, FileReference):
        raise InvalidRequest(f"Files can't be uploaded beforehand here: {_SEND}", "document.file_id")
    param = "document.image_url" if isinstance(reference, ImageUrlReference) else "document.document_url"
    return await document_at(reference.url, param, max_bytes, fetcher)


async def document_at(address: str, param: str, max_bytes: int, fetcher: Fetcher) -> bytes:
    """Return the document at an address, or in it.

    Args:
        address: a data URI with base64, or an http or https address.
        param: the field that it stands in.
        max_bytes: largest document.
        fetcher: fetches it.

    Raises:
        InvalidRequest: the address is of no such kind, or can't be fetched.
        DocumentTooLarge: it has more bytes than allowed.
    """
    scheme = address[:16].partition(":")[0].strip().lower()
    if scheme in ("http", "https"):
        return await fetcher.fetch(address.strip(), max_bytes, param)
    if scheme != "data":
        raise InvalidRequest(f"The address is of no kind that can be read: {_SEND}", param)
    return await asyncio.to_thread(_decoded, address, param, max_bytes)


def _decoded(uri: str, param: str, max_bytes: int) -> bytes:
    """Decode a data URI (RFC 2397); its media type is not believed: the content decides."""
    head, comma, data = uri.partition(",")
    if not comma or not head.strip().lower().endswith(";base64"):
        raise InvalidRequest("The data URI must read data:MEDIA-TYPE;base64,DATA.", param)
    try:
        document = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest("The data URI's base64 is damaged.", param) from error
    if len(document) > max_bytes:
        raise DocumentTooLarge(
            f"The document has {len(document)} bytes; at most {max_bytes} are allowed.", param
        )
    return document
