"""What small documents are, said without a call of another process."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any, cast

import pymupdf
import pytest
from ray.serve.handle import DeploymentHandle

from deployments.errors import CorruptDocument
from deployments.preprocess.preparation import Preparation
from deployments.types import DocumentInfo, DocumentKind, EngineInput
from serve_app.graph_stages import CARRIED_BYTES, GraphStages
from serve_app.near_inspection import NearInspection
from serve_app.settings import load_settings

AWAY = DocumentInfo(DocumentKind.PDF, "application/pdf", 77, 7)


def pdf() -> bytes:
    document = pymupdf.open()
    document.new_page()
    document.new_page()
    return bytes(document.tobytes())


class Preprocess:
    """Stands for the handle of Preprocess."""

    def options(self, **_: Any) -> "Preprocess":
        return self

    @property
    def inspect(self) -> "Preprocess":
        return self

    async def remote(self, _: Any) -> DocumentInfo:
        return AWAY


def stages(near: NearInspection) -> GraphStages:
    handles = (cast(DeploymentHandle[Any], Preprocess()) for _ in range(3))
    return GraphStages(*handles, near)


@pytest.fixture
def preparation() -> Iterator[Preparation]:
    found = load_settings({}).preparation(EngineInput.PAGE)
    yield found
    found.close()


def test_a_small_document_is_inspected_here(preparation: Preparation) -> None:
    graph = stages(NearInspection(preparation))
    assert asyncio.run(graph.inspect(pdf())).page_count == 2
    with pytest.raises(CorruptDocument):
        asyncio.run(graph.inspect(b"%PDF-1.7 nonsense"))
    assert asyncio.run(graph.inspect(pdf())).page_count == 2


def test_a_large_document_goes_to_preprocess(preparation: Preparation) -> None:
    graph = stages(NearInspection(preparation))
    reference = cast(Any, object())  # what `hold` gives for more than CARRIED_BYTES
    assert len(pdf()) <= CARRIED_BYTES
    assert asyncio.run(graph.inspect(reference)) == AWAY


class Slow:
    """Inspects until it is let go."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()

    def start(self) -> None:
        pass

    def inspect(self, _: bytes) -> DocumentInfo:
        self.begun.set()
        assert self.go.wait(60)
        return DocumentInfo(DocumentKind.PDF, "application/pdf", 1, 1)


def test_a_slow_document_holds_up_no_other_even_when_nobody_waits_for_it_any_more() -> None:
    slow = Slow()
    graph = stages(NearInspection(cast(Preparation, slow)))

    async def run() -> None:
        first = asyncio.create_task(graph.inspect(b"slow"))
        await asyncio.to_thread(slow.begun.wait, 60)
        assert await graph.inspect(b"second") == AWAY
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert await graph.inspect(b"third") == AWAY
        slow.go.set()

    asyncio.run(run())
