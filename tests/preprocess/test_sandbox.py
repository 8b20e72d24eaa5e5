"""Documents that crash, hang or eat the process that reads them."""

import io
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import numpy as np
import pymupdf
import pytest
from PIL import Image

from deployments.errors import (
    CorruptDocument,
    CorruptPage,
    EmptyDocument,
    EncryptedDocument,
    InvalidRequest,
    TooManyPixels,
    UnsupportedMediaType,
)
from deployments.preprocess import sandbox as module
from deployments.preprocess.documents import Document
from deployments.preprocess.preprocessor import Preprocessor
from deployments.preprocess.sandbox import Sandbox, SandboxedDocument
from deployments.preprocess.settings import DocumentLimits, SandboxSettings, ViewSettings
from deployments.types import EngineInput, PageRequest

LIMITS = DocumentLimits(max_pixels=4_000_000)


def book(pages: int = 3) -> bytes:
    document = pymupdf.open()
    for number in range(pages):
        page = document.new_page(width=100 + number, height=150)
        page.insert_text((10, 50), f"Page {number}")
    return bytes(document.tobytes())


def tiff(pages: int = 2) -> bytes:
    out = io.BytesIO()
    images = [
        Image.fromarray(np.full((40, 30 + number, 3), 90 * number, np.uint8)) for number in range(pages)
    ]
    images[0].save(out, "TIFF", save_all=True, append_images=images[1:])
    return out.getvalue()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    found = Sandbox(LIMITS, SandboxSettings(step_timeout_s=60))
    yield found
    found.close()


@pytest.mark.parametrize("data", [book(), tiff()], ids=["pdf", "tiff"])
def test_pages_are_those_of_this_process(sandbox: Sandbox, data: bytes) -> None:
    with sandbox.open(data) as there, Document.open(data, LIMITS) as here:
        assert isinstance(there, SandboxedDocument)
        assert there.info == here.info
        for index in range(here.info.page_count):
            a, b = there.render(index, 100), here.render(index, 100)
            assert a.dpi == b.dpi
            assert np.array_equal(a.pixels, b.pixels)
    assert sandbox.children_lost == 0


def test_other_pictures_are_decoded_here(sandbox: Sandbox) -> None:
    out = io.BytesIO()
    Image.new("RGB", (4, 4)).save(out, "PNG")
    assert isinstance(sandbox.open(out.getvalue()), Document)
    assert sandbox._child is None


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", EmptyDocument),
        (b"hello", UnsupportedMediaType),
        (b"%PDF-1.7 nonsense", CorruptDocument),
        (b"II*\0nonsense", CorruptDocument),
    ],
)
def test_what_is_wrong_with_a_file_is_said_as_ever(
    sandbox: Sandbox, data: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error):
        sandbox.open(data)


def test_errors_of_pages_and_documents_keep_their_kind(sandbox: Sandbox) -> None:
    document = pymupdf.open()
    document.new_page(width=100, height=100)
    locked = document.tobytes(encryption=pymupdf.PDF_ENCRYPT_AES_256, user_pw="secret")
    with pytest.raises(EncryptedDocument):
        sandbox.open(locked)
    with sandbox.open(book()) as opened:
        with pytest.raises(InvalidRequest) as found:
            opened.render(9, 72)
        assert found.value.param == "pages"
        with pytest.raises(TooManyPixels):
            opened.render(0, 6000)
        assert opened.render(0, 72).pixels.shape == (150, 100, 3)


def child(sandbox: Sandbox) -> int:
    assert sandbox._child is not None
    return sandbox._child.pid


def test_a_child_that_dies_is_replaced_and_its_documents_go_on(sandbox: Sandbox) -> None:
    with sandbox.open(book()) as first, sandbox.open(tiff()) as second:
        before = first.render(1, 72).pixels
        os.kill(child(sandbox), signal.SIGKILL)
        assert np.array_equal(first.render(1, 72).pixels, before)
        assert second.render(1, 72).pixels.shape == (40, 31, 3)
        assert sandbox.children_lost == 1


def deadly(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox, step: str, index: int | None, how: int) -> None:
    """Let a step kill the child, as a document that breaks MuPDF does."""
    ask = sandbox.ask

    def killing(message: dict[str, Any], file: int | None = None) -> Any:
        if message["do"] == step and message.get("index") == index:
            sandbox._started()
            os.kill(child(sandbox), how)
        return ask(message, file)

    monkeypatch.setattr(sandbox, "ask", killing)


def test_the_page_that_killed_it_twice_is_corrupt_and_the_others_go_on(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    deadly(monkeypatch, sandbox, "render", 1, signal.SIGSEGV)
    with sandbox.open(book()) as document:
        with pytest.raises(CorruptPage):
            document.render(1, 72)
        assert document.render(0, 72).pixels.shape == (150, 100, 3)
        assert document.render(2, 72).pixels.shape == (150, 102, 3)
    assert sandbox.children_lost == 2


def test_the_file_that_killed_it_twice_is_corrupt(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    deadly(monkeypatch, sandbox, "open", None, signal.SIGABRT)
    with pytest.raises(CorruptDocument):
        sandbox.open(book())
    monkeypatch.undo()
    with sandbox.open(book()) as document:
        assert document.info.page_count == 3


def test_a_page_that_takes_too_long_is_corrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = Sandbox(LIMITS, SandboxSettings(step_timeout_s=20))
    try:
        with sandbox.open(book()) as document:
            deadly(monkeypatch, sandbox, "render", 1, signal.SIGSTOP)
            start = sandbox._started

            def impatient() -> Any:
                channel = start()
                channel.settimeout(0.2)
                return channel

            monkeypatch.setattr(sandbox, "_started", impatient)
            with pytest.raises(CorruptPage):
                document.render(1, 72)
            monkeypatch.undo()
            assert document.render(0, 72).pixels.shape == (150, 100, 3)
    finally:
        sandbox.close()


def bomb() -> bytes:
    """A PDF whose page holds a picture of 30,000 x 30,000 pixels."""
    document = pymupdf.open()
    page = document.new_page(width=100, height=100)
    out = io.BytesIO()
    Image.new("L", (100, 100)).save(out, "PNG")
    xref = page.insert_image(page.rect, stream=out.getvalue())
    document.update_stream(xref, bytes(30_000 * 30_000), compress=True)
    for key, value in (("Width", "30000"), ("Height", "30000"), ("BitsPerComponent", "8")):
        document.xref_set_key(xref, key, value)
    return bytes(document.tobytes())


def test_memory_without_end_ends_the_child_alone() -> None:
    limits = DocumentLimits()
    sandbox = Sandbox(limits, SandboxSettings(max_memory_bytes=700 * 2**20, step_timeout_s=60))
    try:
        with sandbox.open(bomb()) as document, suppress(CorruptPage):  # MuPDF may scale it down as it reads
            assert document.render(0, 72).pixels.shape == (100, 100, 3)
        with sandbox.open(book()) as document:
            assert document.render(0, 72).pixels.shape == (150, 100, 3)
    finally:
        sandbox.close()


def test_a_page_that_computes_too_long_is_corrupt() -> None:
    sandbox = Sandbox(LIMITS, SandboxSettings(step_timeout_s=0.2))
    try:
        with sandbox.open(bomb()) as document, pytest.raises(CorruptPage):
            document.render(0, 72)
        assert sandbox.children_lost == 2
    finally:
        sandbox.close()


def test_threads_take_turns(sandbox: Sandbox) -> None:
    preprocessor = Preprocessor(LIMITS, ViewSettings(), EngineInput.PAGE, None, sandbox)
    data = book(8)
    with ThreadPoolExecutor(4) as threads:
        pages = list(
            threads.map(lambda index: preprocessor.prepare(data, index, PageRequest(dpi=72)), range(8))
        )
    assert [page.width for page in pages] == [100 + index for index in range(8)]
    assert preprocessor.inspect(data).page_count == 8
    assert sandbox.children_lost == 0


@pytest.mark.parametrize(
    "reply", [{"height": 10, "width": 10, "dpi": 72}, {"height": -1, "width": -1, "dpi": 72}]
)
@pytest.mark.parametrize("sealed", [True, False])
def test_pixels_that_are_not_as_they_should_be_are_not_looked_at(reply: dict[str, Any], sealed: bool) -> None:
    descriptor = module.protocol.memory_file("page", [bytes(300 - sealed)], sealed=sealed)
    with pytest.raises(Exception, match="not as they should be"):
        module._page(reply, descriptor)


def test_closing_leaves_no_process(sandbox: Sandbox) -> None:
    sandbox.open(book()).close()
    pid = child(sandbox)
    sandbox.close()
    sandbox.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
