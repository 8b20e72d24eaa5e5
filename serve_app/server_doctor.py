"""`dsocr doctor --server URL`: asks a running service how it fares, twice, and says what holds it up."""

import time
from collections.abc import Callable, Iterator

import httpx

from deployments.errors import EngineUnavailable, OcrError
from serve_app.bottleneck import Interval, Reading, diagnose
from serve_app.exchange import error_of, service_address

MAX_METRICS_BYTES = 2**28
"""Metrics of a thousand machines stay below it."""


def examine(
    address: str, api_key: str | None, seconds: float, sleep: Callable[[float], None] = time.sleep
) -> Iterator[str]:
    """Yield sentences about a service.

    Args:
        address: of the service.
        api_key: where it wants one.
        seconds: between the two looks.
        sleep: waits.

    Raises:
        OcrError: it does not answer, or not as this service does, or its address is none.
    """
    address = service_address(address)
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    with httpx.Client(base_url=address, headers=headers, timeout=30) as http:
        try:
            ready = http.get("/readyz")
            if ready.status_code == 200:
                state = ready.json()
                yield f"{address} is ready, with the {state['engine']} engine and the model {state['model']}."
            else:
                yield f"{address} is not ready: {error_of(ready)}"
            before, began = _reading(http), time.monotonic()
            sleep(seconds)
            after = _reading(http)
        except httpx.HTTPError as error:
            raise EngineUnavailable(
                f"No service answers at {address} ({error or type(error).__name__}); is it running?"
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise OcrError(f"{address} answered in a shape that is not this service's.") from error
    yield from diagnose(Interval(before, after, max(time.monotonic() - began, seconds)))


def _reading(http: httpx.Client) -> Reading:
    """Return what the service counts now."""
    reply = http.get("/metrics")
    if reply.status_code != 200:
        raise error_of(reply)
    if len(reply.content) > MAX_METRICS_BYTES:
        raise OcrError("The service's metrics are larger than this can read.")
    return Reading.parse(reply.text)
