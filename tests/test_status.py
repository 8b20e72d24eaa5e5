"""Readiness while the Serve controller answers, is silent, or has forgotten."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import RayActorError
from ray.serve._private.common import ReplicaState

from deployments.errors import EngineUnavailable
from deployments.model.selection import EngineChoice
from serve_app import status
from serve_app.settings import load_settings

pytestmark = pytest.mark.anyio


class Controller:
    """Answers as it is told; `silent` keeps every question open until released."""

    def __init__(self) -> None:
        self.running = {"Ingress": 1, "Model": 1}
        self.known = True
        self.dead = False
        self.questions = 0
        self.open = threading.Event()
        self.open.set()

    def status(self) -> Any:
        self.questions += 1
        self.open.wait()
        if self.dead:
            raise RayActorError
        deployments = {
            name: SimpleNamespace(replica_states={ReplicaState.RUNNING: count} if count else {})
            for name, count in self.running.items()
        }
        application = SimpleNamespace(deployments=deployments)
        return SimpleNamespace(applications={"dsocr": application} if self.known else {})


@pytest.fixture
def controller(monkeypatch: pytest.MonkeyPatch) -> Iterator[Controller]:
    controller = Controller()
    monkeypatch.setattr(status.serve, "status", controller.status)
    monkeypatch.setattr(status, "REMEMBERED_S", 0.0)
    monkeypatch.setattr(status, "ANSWERED_WITHIN_S", 0.05)
    yield controller
    controller.open.set()


@pytest.fixture
def make() -> Callable[[], status.GraphStatus]:
    return lambda: status.GraphStatus("dsocr", EngineChoice("embedded", "a test"), load_settings())


async def test_a_stage_without_replicas_is_named(
    controller: Controller, make: Callable[[], status.GraphStatus]
) -> None:
    graph = make()
    await graph.check_ready()
    controller.running["Model"] = 0
    with pytest.raises(EngineUnavailable, match="Model"):
        await graph.check_ready()


async def test_a_silent_controller_costs_one_thread_and_its_last_answer_stands(
    controller: Controller, make: Callable[[], status.GraphStatus]
) -> None:
    graph = make()
    await graph.check_ready()
    asked = controller.questions
    controller.open.clear()
    for _ in range(20):
        await asyncio.wait_for(graph.check_ready(), 10)
    assert controller.questions == asked + 1
    controller.open.set()


async def test_a_controller_that_is_silent_for_long_is_not_ready(
    controller: Controller, make: Callable[[], status.GraphStatus], monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = make()
    await graph.check_ready()
    controller.open.clear()
    monkeypatch.setattr(status, "STANDS_S", 0.0)
    with pytest.raises(EngineUnavailable, match="controller"):
        await graph.check_ready()
    controller.open.set()


@pytest.mark.parametrize("change", [{"dead": True}, {"known": False}])
async def test_a_controller_that_is_replaced_changes_nothing(
    change: dict[str, bool], controller: Controller, make: Callable[[], status.GraphStatus]
) -> None:
    graph = make()
    await graph.check_ready()
    vars(controller).update(change)
    await graph.check_ready()


async def test_before_any_answer_nothing_is_ready(
    controller: Controller, make: Callable[[], status.GraphStatus]
) -> None:
    controller.known = False
    with pytest.raises(EngineUnavailable, match="controller"):
        await make().check_ready()
