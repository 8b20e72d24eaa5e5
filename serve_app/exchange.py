"""What goes wrong between a client and a running service, as errors of the `OcrError` tree."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from pydantic import ValidationError

from deployments.errors import EngineUnavailable, InvalidRequest, OcrError
from serve_app.api.schemas import ErrorReply


def service_address(given: str) -> str:
    """Return a service's address as requests are sent to it, without a slash at its end.

    Raises:
        InvalidRequest: it is none, or that of one of the service's routes.
    """
    try:
        url = httpx.URL(given)
    except httpx.InvalidURL as error:
        raise InvalidRequest(f"{given} is no address of a service: {error}.", "server") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise InvalidRequest(
            f"{given} is no address of a service; give one such as http://127.0.0.1:8000.", "server"
        )
    before, route, _ = given.rstrip("/").partition("/v1")
    if route:
        raise InvalidRequest(f"Give the service's address alone: {before}", "server")
    return before


@contextmanager
def exchange(address: str) -> Iterator[None]:
    """Turn what httpx and pydantic raise within into errors of ours.

    Args:
        address: of the service.

    Raises:
        EngineUnavailable: the service can't be reached, or broke off.
        OcrError: it answered in another shape than this service's.
    """
    try:
        yield
    except httpx.ConnectError as error:
        raise EngineUnavailable(f"No service answers at {address}; is it running?") from error
    except httpx.HTTPError as error:
        raise EngineUnavailable(
            f"The exchange with {address} failed: {error or type(error).__name__}."
        ) from error
    except ValidationError as error:
        raise OcrError(f"{address} answered in a shape that is not this service's.") from error


def error_of(response: httpx.Response) -> OcrError:
    """Return the error of a reply; anything else than our shape has its status told."""
    try:
        return named_error(ErrorReply.model_validate_json(response.content))
    except ValidationError:
        return OcrError(
            f"{response.url.host} answered with status {response.status_code}; is it this service's address?"
        )


def named_error(reply: ErrorReply) -> OcrError:
    """Return the error of the tree that a reply's code names."""
    kinds = {kind.code: kind for kind in _tree(OcrError)}
    return kinds.get(reply.error.code, OcrError)(reply.error.message, reply.error.param)


def _tree(kind: type[OcrError]) -> Iterator[type[OcrError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _tree(child)
