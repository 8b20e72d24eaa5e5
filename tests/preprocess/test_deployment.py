"""The Preprocess stage around its work: how many pages at a time, and what it leaves open."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pymupdf
import pytest

from deployments.preprocess import deployment as module
from deployments.preprocess.deployment import THREADS, PreprocessDeployment
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
