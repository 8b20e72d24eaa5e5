"""Books that stay open between their pages."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pymupdf
import pytest

from deployments.errors import CorruptPage, InvalidRequest
from deployments.preprocess import kept_documents
from deployments.preprocess.documents import Document
from deployments.preprocess.kept_documents import KEPT_S, MOST_BOOKS, KeptDocuments
from deployments.preprocess.preprocessor import Preprocessor
from deployments.preprocess.sandbox import Sandbox
from deployments.preprocess.settings import DocumentLimits, SandboxSettings, ViewSettings
from deployments.types import EngineInput, PageRequest

LIMITS = DocumentLimits()


def pdf(pages: int, width: int = 100) -> bytes:
    document = pymupdf.open()
    for number in range(pages):
        document.new_page(width=width, height=150).insert_text((10, 50), f"Page {number}")
    return bytes(document.tobytes())


class Shelf:
    """Opens documents for real, and knows which are open; its clock stands until it is set."""

    def __init__(self) -> None:
        self.now = 0.0
        self.opened = 0
        self.open: set[bytes] = set()
        self.kept = KeptDocuments(self.document, lambda: self.now)

    def document(self, data: bytes) -> Document:
        shelf = self

        class Watched(Document):
            def close(self) -> None:
                super().close()
                shelf.open.discard(data)

        self.opened += 1
        self.open.add(data)
        return Watched.open(data, LIMITS)

    def draw(self, data: bytes, index: int = 0) -> int:
        with self.kept.document(data) as document:
            return document.render(index, 72).pixels.shape[1]


def test_a_book_is_opened_once_for_its_pages() -> None:
    shelf, book = Shelf(), pdf(3)
    assert [shelf.draw(book, index) for index in (0, 2, 1)] == [100, 100, 100]
    assert shelf.opened == 1


def test_a_book_is_closed_some_time_after_its_last_page() -> None:
    shelf, book, other = Shelf(), pdf(3), pdf(2)
    shelf.draw(book)
    shelf.now = KEPT_S / 2
    shelf.kept.close_idle(KEPT_S)
    assert shelf.open == {book}
    shelf.now = KEPT_S
    shelf.draw(other)
    assert shelf.open == {other}
    shelf.kept.close_idle()
    assert not shelf.open


def test_a_single_page_and_a_picture_do_not_stay() -> None:
    shelf = Shelf()
    shelf.draw(pdf(1))
    picture = pymupdf.Pixmap(pymupdf.csRGB, pymupdf.IRect(0, 0, 20, 10)).tobytes("png")
    shelf.draw(picture)
    assert not shelf.open


def test_few_books_stay_and_no_large_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    shelf, books = Shelf(), [pdf(2, width) for width in range(100, 100 + MOST_BOOKS + 2)]
    for book in books:
        shelf.draw(book)
    assert shelf.open == set(books[-MOST_BOOKS:])
    monkeypatch.setattr(kept_documents, "MOST_BYTES", len(books[0]) + len(books[1]))
    shelf.draw(books[0])
    shelf.draw(books[1])
    assert shelf.open == {books[0], books[1]}
    shelf.draw(pdf(200))
    assert shelf.open == {books[0], books[1]}


def test_a_book_under_which_something_went_wrong_does_not_stay() -> None:
    shelf, book = Shelf(), pdf(2)
    with pytest.raises(InvalidRequest):
        shelf.draw(book, 7)
    assert not shelf.open


def test_threads_never_share_an_open_book() -> None:
    shelf, book, together = Shelf(), pdf(2), Barrier(2, timeout=60)

    def hold() -> object:
        with shelf.kept.document(book) as document:
            together.wait()
            return document

    with ThreadPoolExecutor(2) as threads:
        first, second = threads.submit(hold), threads.submit(hold)
        assert first.result() is not second.result()


def test_a_page_that_breaks_the_sandbox_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox, book = Sandbox(LIMITS, SandboxSettings(step_timeout_s=60)), pdf(3)
    preprocessor = Preprocessor(LIMITS, ViewSettings(), EngineInput.PAGE, None, sandbox)
    request = PageRequest(dpi=72)
    before = preprocessor.prepare(book, 0, request)
    ask = sandbox.ask

    def breaking(message: dict[str, object], file: int | None = None) -> object:
        if message.get("index") == 1 and sandbox._child is not None:
            sandbox._child.kill()
            sandbox._child.wait()
        return ask(message, file)

    monkeypatch.setattr(sandbox, "ask", breaking)
    with pytest.raises(CorruptPage):
        preprocessor.prepare(book, 1, request)
    assert sandbox.children_lost == 2
    assert preprocessor.prepare(book, 2, request).width == before.width
    preprocessor.close_idle()
    sandbox.close()
