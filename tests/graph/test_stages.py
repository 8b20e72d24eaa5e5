"""Which steps of a page the ingress takes itself, and which it sends to a replica."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from ray.serve import Application, Deployment
from ray.serve.handle import DeploymentHandle

from deployments.types import FinishReason, Generation, PageResult, PreparedPage
from serve_app.graph import ASK_AGAIN_S, build_app
from serve_app.graph_stages import CARRIED_BYTES, GraphStages, PageInGraph
from serve_app.settings import load_settings
from serve_app.sizing import Resources
from tests.fake_engine import FakeEngine

WRITTEN = Generation("<|ref|>text<|/ref|><|det|>[[0, 0, 999, 999]]<|/det|>\nShips", FinishReason.STOP)


class Handle:
    """Stands for a deployment, and notes the arguments of calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def options(self, **_: Any) -> "Handle":
        return self

    @property
    def process(self) -> "Handle":
        return self

    async def remote(self, *arguments: Any) -> str:
        self.calls.append(arguments)
        return "sent"


def finished(page: PageInGraph, *, figures: bool) -> tuple[Any, Handle]:
    """What comes of a page, and the handle of Postprocess."""
    handle = Handle()
    handles = [cast(DeploymentHandle[Any], each) for each in (Handle(), Handle(), handle)]
    stages = GraphStages(*handles)
    return asyncio.run(stages.postprocess(page, WRITTEN, figures=figures, attempts=2)), handle


def page(measures: PreparedPage | None) -> PageInGraph:
    return PageInGraph(cast(Any, "the picture"), measures)


def test_a_page_whose_picture_is_not_needed_is_finished_here() -> None:
    result, handle = finished(page(PreparedPage(3, 100, 200, 144, "<image>")), figures=False)
    assert isinstance(result, PageResult)
    assert (result.index, result.markdown, result.attempts) == (3, "Ships", 2)
    assert handle.calls == []


def test_a_picture_travels_for_figures_and_where_nothing_else_is_known() -> None:
    for measures, figures in ((PreparedPage(3, 100, 200, 144, "<image>"), True), (None, False)):
        result, handle = finished(page(measures), figures=figures)
        assert result == "sent"
        assert handle.calls == [("the picture", WRITTEN, figures, 2)]


def test_a_small_document_needs_no_object_store() -> None:
    stages = GraphStages(*(cast(DeploymentHandle[Any], Handle()) for _ in range(3)))
    document = b"x" * CARRIED_BYTES
    assert asyncio.run(stages.hold(document)) is document


def deployments(application: Application) -> Iterator[Deployment]:
    deployment = application._bound_deployment
    yield deployment
    for argument in deployment.init_args:
        if isinstance(argument, Application):
            yield from deployments(argument)


def test_a_place_that_comes_free_where_calls_are_brief_is_soon_taken(tmp_path: Path) -> None:
    settings = load_settings({"jobs": {"directory": str(tmp_path)}})
    found = {each.name: each for each in deployments(build_app(settings, Resources(2, 0), FakeEngine))}
    for name in ("Preprocess", "Postprocess"):
        config = found[name]._deployment_config.request_router_config
        assert config.max_backoff_s == ASK_AGAIN_S, name


def test_serve_itself_writes_no_line_for_a_request(tmp_path: Path) -> None:
    settings = load_settings({"jobs": {"directory": str(tmp_path)}})
    found = list(deployments(build_app(settings, Resources(cpus=2, gpus=0), FakeEngine)))
    assert {each.name for each in found} == {"Ingress", "Preprocess", "Model", "Postprocess", "JobRunner"}
    for each in found:
        assert each._deployment_config.logging_config["log_level"] == "WARNING", each.name
