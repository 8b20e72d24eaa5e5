"""A Serve application that does nothing, in a page's hops through ours: what Serve itself costs."""

from typing import Any

from ray import serve
from ray.serve import Application, Deployment
from ray.serve.handle import DeploymentHandle
from starlette.requests import Request
from starlette.responses import JSONResponse

ROUTE = "/empty"


class Stage:
    """Takes anything and answers with a number."""

    async def take(self, *_: object) -> int:
        """Answer."""
        return 0


class Front:
    """Sends a request through the hops of a document of one page, in their order.

    Args:
        first: is asked for a page, which goes to the other un-awaited.
        second: takes that.
    """

    def __init__(self, first: DeploymentHandle[Any], second: DeploymentHandle[Any]) -> None:
        self._first = first
        self._second = second

    async def __call__(self, request: Request) -> JSONResponse:
        """Answer one request."""
        document = await request.body()
        await self._second.take.remote(self._first.take.remote(document))
        return JSONResponse({"usage_info": {"pages_processed": 1}})


def empty_app() -> Application:
    """Bind it."""
    stages = [_deployment(Stage, name).bind() for name in ("EmptyFirst", "EmptySecond")]
    return _deployment(Front, "EmptyFront").bind(*stages)


def _deployment(kind: type[object], name: str) -> Deployment:
    options: dict[str, Any] = {
        "name": name,
        "max_ongoing_requests": 1000,
        "logging_config": {"log_level": "WARNING"},
        "ray_actor_options": {"num_cpus": 0},
    }
    return serve.deployment(**options)(kind)
