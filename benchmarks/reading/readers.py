"""Readers of pages: the product in this process or behind an address, and others beside it."""

import asyncio
import base64
import resource
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import cv2
import httpx
import numpy as np
import pymupdf

from benchmarks.reading.answer import Answer
from benchmarks.reading.truth import TruthPage
from deployments.errors import OcrError
from deployments.model.embedded.engine import EmbeddedEngine
from deployments.model.embedded.settings import EmbeddedSettings
from deployments.model.embedded.weights import recognition_files
from deployments.model.engine import read_page
from deployments.postprocess.postprocessor import Postprocessor
from deployments.preprocess.documents import Document
from deployments.preprocess.orientation import find_orientation
from deployments.preprocess.preprocessor import Preprocessor
from deployments.preprocess.settings import DocumentLimits, OrientationSettings, ViewSettings
from deployments.types import (
    Block,
    BlockType,
    Box,
    EngineInput,
    FinishReason,
    GenerationOptions,
    PageRequest,
    Pixels,
)

_LIMITS = DocumentLimits()


class Reader(Protocol):
    """Reads pages one at a time.

    Attributes:
        name: in the report.
        about: what it is, with versions.
    """

    name: str
    about: str

    def read(self, page: TruthPage) -> Answer | None:
        """Read a page; None where this reader can't read such a document at all."""
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...


class EmbeddedReader:
    """The product's three stages with the embedded engine, one thread, in this process."""

    name = "embedded"

    def __init__(self, settings: EmbeddedSettings | None = None) -> None:
        settings = settings or EmbeddedSettings(max_concurrent_pages=1)
        self._preprocessor = Preprocessor(
            _LIMITS,
            ViewSettings(),
            EngineInput.PAGE,
            None,
            orientation=find_orientation(OrientationSettings()),
        )
        self._engine = EmbeddedEngine(settings, threads=1)
        self._postprocessor = Postprocessor()
        self.about = f"{self._engine.model}, {self._engine.revision}, one thread"

    def read(self, page: TruthPage) -> Answer | None:
        """Read a page, from the file's bytes to Markdown."""

        def work() -> Answer:
            prepared = self._preprocessor.prepare(page.document, page.index, PageRequest(dpi=page.dpi))
            generation = asyncio.run(read_page(self._engine, prepared, GenerationOptions(stream=False)))
            result = self._postprocessor.process(prepared, generation)
            ran_away = generation.finish_reason is not FinishReason.STOP
            return Answer(result.markdown, result.blocks, (result.width, result.height), ran_away)

        return _measured(work)

    def close(self) -> None:
        """Stop the engine's threads."""
        asyncio.run(self._engine.close())


class ServerReader:
    """Any dsocr service, by its address.

    Args:
        address: of the service, such as `http://127.0.0.1:8000`.
        api_key: where it wants one.
    """

    def __init__(self, address: str, api_key: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._http = httpx.Client(base_url=address, headers=headers, timeout=900)
        self.name = address
        self.about = f"service at {address}"

    def read(self, page: TruthPage) -> Answer | None:
        """Send the page and wait for it."""
        started = time.perf_counter()
        data = base64.b64encode(page.document).decode()
        media = "application/pdf" if page.is_pdf else "image/*"
        body = {
            "document": {"type": "document_url", "document_url": f"data:{media};base64,{data}"},
            "pages": [page.index],
            "dpi": page.dpi,
            "include_blocks": True,
            "include_raw": True,
        }
        try:
            response = self._http.post("/v1/ocr", json=body)
            reply = response.json()
        except (httpx.HTTPError, ValueError) as error:
            return Answer(error=str(error) or type(error).__name__, seconds=time.perf_counter() - started)
        seconds = time.perf_counter() - started
        problem = reply.get("error") or (reply.get("pages") or [{}])[0].get("error")
        if problem:
            return Answer(error=str(problem.get("message")), seconds=seconds)
        found = reply["pages"][0]
        size = (found["dimensions"]["width"], found["dimensions"]["height"])
        blocks = tuple(_block(block) for block in found.get("blocks") or ())
        ran_away = found.get("finish_reason", "stop") != FinishReason.STOP
        return Answer(found["markdown"], blocks, size, ran_away, seconds=seconds)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


class RapidOcrReader:
    """RapidOCR's own pipeline and its plain text: lines from top to bottom, left to right.

    It has the embedded engine's weights, so that what differs is what is made of them.
    """

    name = "rapidocr"

    def __init__(self) -> None:
        from rapidocr import RapidOCR
        from rapidocr.utils.typings import ModelType

        files = recognition_files("tiny")
        self._ocr = RapidOCR(
            params={
                "Global.log_level": "error",
                "Global.use_cls": False,
                "Det.model_path": str(files.detection),
                "Rec.model_path": str(files.recognition),
                "Rec.rec_keys_path": str(files.dictionary),
                "Det.model_type": ModelType.TINY,
                "Rec.model_type": ModelType.TINY,
                "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            }
        )
        self.about = f"RapidOCR's pipeline with {files.source}, one thread"

    def read(self, page: TruthPage) -> Answer | None:
        """Read a page image."""

        def work() -> Answer:
            result: Any = self._ocr(np.ascontiguousarray(page_image(page)[:, :, ::-1]))
            return Answer("\n".join(result.txts or ()))

        return _measured(work)

    def close(self) -> None:
        """Nothing to free."""


class TesseractReader:
    """Tesseract as Debian packages it, page segmentation left to it.

    Raises:
        FileNotFoundError: it is not installed.
    """

    name = "tesseract"

    def __init__(self) -> None:
        program = shutil.which("tesseract")
        if program is None:
            raise FileNotFoundError("tesseract is not installed (Debian package tesseract-ocr)")
        self._program = program
        version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)  # noqa: S603  # a fixed program
        listed = subprocess.run([program, "--list-langs"], capture_output=True, text=True, check=True)  # noqa: S603  # a fixed program
        languages = [name for name in listed.stdout.split()[1:] if name in ("eng", "chi_sim", "deu", "fra")]
        self._languages = "+".join(["eng"] + [name for name in languages if name != "eng"])
        self.about = f"{version.stdout.splitlines()[0]}, {self._languages}, one thread"

    def read(self, page: TruthPage) -> Answer | None:
        """Read a page image."""

        def work() -> Answer:
            with TemporaryDirectory() as folder:
                picture = Path(folder) / "page.png"
                cv2.imwrite(str(picture), page_image(page)[:, :, ::-1])
                command = [self._program, str(picture), "-", "-l", self._languages, "--dpi", str(page.dpi)]
                run = subprocess.run(  # noqa: S603  # a fixed program, our own file
                    command,
                    capture_output=True,
                    check=False,
                    text=True,
                    timeout=300,
                    env={"OMP_THREAD_LIMIT": "1"},
                )
            return Answer(run.stdout, error=run.stderr.strip() if run.returncode else None)

        return _measured(work)

    def close(self) -> None:
        """Nothing to free."""


class TextLayerReader:
    """PyMuPDF's own extraction: what a PDF says of itself, in its natural order; scans it can't read."""

    name = "pymupdf"

    def __init__(self) -> None:
        self.about = f"PyMuPDF {pymupdf.VersionBind}, text layer, sorted"

    def read(self, page: TruthPage) -> Answer | None:
        """Return a PDF page's text layer."""
        if not page.is_pdf:
            return None

        def work() -> Answer:
            with pymupdf.open(stream=page.document) as document:
                flags = pymupdf.TEXTFLAGS_TEXT | pymupdf.TEXT_DEHYPHENATE
                return Answer(document[page.index].get_text("text", sort=True, flags=flags))

        answer = _measured(work)
        return answer if answer.error or answer.markdown.strip() else None

    def close(self) -> None:
        """Nothing to free."""


READERS: dict[str, Callable[[], Reader]] = {
    "embedded": EmbeddedReader,
    "rapidocr": RapidOcrReader,
    "tesseract": TesseractReader,
    "pymupdf": TextLayerReader,
}
"""Readers by name; any other name is a service's address."""


def page_image(page: TruthPage) -> Pixels:
    """Return the page as the product draws it: RGB, shape (height, width, 3)."""
    with Document.open(page.document, _LIMITS) as document:
        return document.render(page.index, page.dpi).pixels


def _measured(work: Callable[[], Answer]) -> Answer:
    """Run, and note the time; a failure is the page's."""
    started, used = time.perf_counter(), _processor_seconds()
    try:
        answer = work()
    except (OcrError, OSError, RuntimeError, ValueError, subprocess.SubprocessError) as error:
        answer = Answer(error=f"{type(error).__name__}: {error}")
    seconds, cpu = time.perf_counter() - started, _processor_seconds() - used
    return Answer(answer.markdown, answer.blocks, answer.size, answer.ran_away, answer.error, seconds, cpu)


def _processor_seconds() -> float:
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _block(fields: dict[str, Any]) -> Block:
    box = None
    with suppress(KeyError, TypeError):
        sides = ("top_left_x", "top_left_y", "bottom_right_x", "bottom_right_y")
        box = Box(*(int(fields[side]) for side in sides))
    return Block(BlockType(fields["type"]), fields.get("label", ""), box, fields.get("content") or "")
