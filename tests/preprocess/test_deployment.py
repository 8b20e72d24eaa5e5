"""The Preprocess stage around its work: how many pages at a time, and what it leaves open."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any, cast

import pymupdf
import pytest
from ray.exceptions import GetTimeoutError, ObjectLostError

from deployments.errors import StageLost
from deployments.preprocess import deployment as module
from deployments.preprocess.deployment import THREADS, PreprocessDeployment, StoredDocument
from deployments.preprocess.preparation import Preparation
from deployments.preprocess.preprocessor import Preprocessor
from deployments.types import EngineInput, PageRequest
from serve_app.settings import load_settings


class Stage(PreprocessDeployment):
    """The stage without Serve, which alone would await its end."""

    def __del__(self) -> None:  # type: ignore[override] # see above
        return


@pytest.fixture
def preparation() -> Iterator[Preparation]:
    found = load_settings({}).preparation(EngineInput.PAGE)
    yield found
    found.close()


def test_few_pages_are_in_the_making_at_once(
    preparation: Preparation, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, together = threading.Lock(), threading.Barrier(THREADS, timeout=60)
    now, most = 0, 0

    def prepare(*_: Any) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        together.wait()
        with lock:
            now -= 1

    monkeypatch.setattr(Preprocessor, "prepare", prepare)

    async def run() -> None:
        stage = Stage(preparation)
        await asyncio.gather(*(stage.prepare(b"", index, PageRequest()) for index in range(2 * THREADS)))

    asyncio.run(run())
    assert most == THREADS


def test_a_book_is_closed_when_no_page_of_it_comes_any_more(
    preparation: Preparation, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = pymupdf.open()
    for _ in range(2):
        document.new_page(width=100, height=100)
    book = bytes(document.tobytes())
    closed = threading.Event()
    close_idle = Preprocessor.close_idle

    def closing(preprocessor: Preprocessor, idle_s: float = 0.0) -> None:
        close_idle(preprocessor, idle_s)
        closed.set()

    monkeypatch.setattr(module, "KEPT_S", 0.0)
    monkeypatch.setattr(Preprocessor, "close_idle", closing)

    async def run() -> None:
        stage = Stage(preparation)
        assert (await stage.prepare(book, 1, PageRequest())).index == 1
        assert await asyncio.to_thread(closed.wait, 60)

    asyncio.run(run())
    assert not preparation.preprocessor()._kept._kept


def test_documents_in_the_object_store_are_fetched_when_their_turn_comes(
    preparation: Preparation, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[Any] = []
    under_way, go = threading.Semaphore(0), threading.Event()

    def get(reference: Any, timeout: float) -> bytes:
        fetched.append(reference)
        return b"%d" % reference

    def prepare(_: Any, document: bytes, index: int, __: PageRequest) -> bool:
        under_way.release()
        assert go.wait(60)
        return document == b"%d" % index

    monkeypatch.setattr(module.ray, "get", get)
    monkeypatch.setattr(Preprocessor, "prepare", prepare)

    async def run() -> list[Any]:
        stage = Stage(preparation)
        calls = [
            asyncio.ensure_future(stage.prepare(StoredDocument(cast(Any, index)), index, PageRequest()))
            for index in range(3 * THREADS)
        ]
        for _ in range(THREADS):
            assert await asyncio.to_thread(under_way.acquire, timeout=60)
        assert len(fetched) == THREADS, "the others wait without their documents"
        go.set()
        return await asyncio.gather(*calls)

    assert all(asyncio.run(run()))


@pytest.mark.parametrize("error", [ObjectLostError("0" * 56, None, ""), GetTimeoutError("slow")])
def test_a_document_that_is_lost_on_its_way_is_a_stage_lost(
    error: Exception, preparation: Preparation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def get(_: Any, timeout: float) -> bytes:
        raise error

    monkeypatch.setattr(module.ray, "get", get)

    async def run() -> None:
        with pytest.raises(StageLost):
            await Stage(preparation).inspect(StoredDocument(cast(Any, 0)))

    asyncio.run(run())
