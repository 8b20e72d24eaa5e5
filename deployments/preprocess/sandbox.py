"""Opening and drawing PDFs and TIFFs in a process that may die without harm.

MuPDF and libtiff are C code that reads whatever anybody sends. A crash, an endless loop or memory
without end there must not end a replica with all its pages. So one long-lived child does this work for
a process; it has a bounded address space, and a bounded time for each step. When it dies it is
replaced and the step is tried once more: the page that killed it twice is corrupt, and every other goes
on. Other pictures are decoded in this process: they come through Pillow's checked readers, and a
picture of 100 million pixels is a 300 MB copy dearer to move than a PDF page.

The pixels are drawn into a file in memory, sealed, and mapped here: they are not copied.
"""

import fcntl
import logging
import mmap
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import numpy as np

from deployments.errors import CorruptDocument, CorruptPage, OcrError
from deployments.preprocess import sandbox_protocol as protocol
from deployments.preprocess.documents import Document, accepted_type
from deployments.preprocess.page_image import PageImage
from deployments.preprocess.settings import DocumentLimits, SandboxSettings
from deployments.types import DocumentInfo, DocumentKind

logger = logging.getLogger(__name__)

SANDBOXED = {"application/pdf", "image/tiff"}

_KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**26), "MALLOC_TRIM_THRESHOLD_": str(2**27)}
"""glibc's malloc keeps a page's buffers for the next page instead of asking the kernel for fresh ones, each
page of which it must clear: see mallopt(3). Up to 128 MiB stay with the child."""

_PATIENCE = 10
"""By the clock a step may take so many times as long as in CPU time: on a busy machine a page that takes long
is no bad page, and a child that is just starting has its libraries to load."""


class _ChildDied(Exception):
    """The child crashed, took too long or was killed."""


class Sandbox:
    """One child process, and documents that are open in it. Threads may share it; they take turns.

    Attributes:
        children_lost: that died or were ended; a document open in one of them must be opened again.

    Args:
        limits: what is read at all.
        settings: of the child.
    """

    def __init__(self, limits: DocumentLimits, settings: SandboxSettings) -> None:
        self._limits = limits
        self._settings = settings
        self._turn = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._numbers = 0
        self.children_lost = 0

    def open(self, data: bytes) -> "Document | SandboxedDocument":
        """Open a file, in the child if it is a PDF or TIFF.

        Raises:
            OcrError: as `Document.open`.
        """
        if accepted_type(data, self._limits) not in SANDBOXED:
            return Document.open(data, self._limits)
        return SandboxedDocument(self, data)

    def start(self) -> None:
        """Start the child if there is none; it gets ready by itself."""
        with self._turn:
            self._started()

    def close(self) -> None:
        """End the child. Idempotent; a later call starts a new one."""
        with self._turn:
            self._end()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the child for this thread."""
        with self._turn:
            yield

    def number(self) -> int:
        """Return a number that no other document has."""
        self._numbers += 1
        return self._numbers

    def ask(self, message: dict[str, Any], file: int | None = None) -> tuple[dict[str, Any], int | None]:
        """Have the child do a step, in this thread's turn.

        Raises:
            OcrError: what is wrong with the document.
            _ChildDied: the child did not survive the step.
        """
        channel = self._started()
        try:
            protocol.send(channel, message, file)
            reply, pixels = protocol.receive(channel)
        except (OSError, EOFError, ValueError) as error:
            self._end()
            reason = "took too long" if isinstance(error, TimeoutError) else "died"
            logger.warning("the process that draws pages %s; a new one takes its place", reason)
            raise _ChildDied from error
        if "error" in reply:
            raise protocol.named_error(reply)
        return reply, pixels

    def _started(self) -> socket.socket:
        """Return the way to the child, which is started if there is none."""
        if self._channel is not None:
            return self._channel
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        arguments = [
            str(there.fileno()),
            str(self._settings.max_memory_bytes),
            str(self._settings.step_timeout_s),
            str(int(self._settings.step_timeout_s * _PATIENCE) + 5),
            self._limits.model_dump_json(),
        ]
        with there:
            self._child = subprocess.Popen(  # noqa: S603 - our own module, our own arguments
                [sys.executable, "-m", "deployments.preprocess.sandbox_child", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **_KEEP_MEMORY},
                pass_fds=[there.fileno()],
            )
        here.settimeout(self._settings.step_timeout_s * _PATIENCE)
        self._channel = here
        return here

    def _end(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None
            self.children_lost += 1


class SandboxedDocument:
    """A document open in a sandbox; like `Document`, for one thread at a time.

    It keeps its bytes, so that it can be opened again in the child's successor.

    Raises:
        OcrError: as `Document.open`.
        CorruptDocument: opening it killed the child twice.
    """

    def __init__(self, sandbox: Sandbox, data: bytes) -> None:
        self._sandbox = sandbox
        self._data = data
        self._open_in = -1
        self._number = 0
        for _ in range(2):
            with sandbox.turn():
                try:
                    self.info = self._opened()
                except _ChildDied:
                    continue
                return
        raise CorruptDocument(
            "The file can't be opened: it takes too long, or breaks the program that reads it."
        )

    def render(self, index: int, dpi: int) -> PageImage:
        """Make one page's image; see `Document.render`.

        Raises:
            OcrError: as `Document.render`.
            CorruptPage: drawing it killed the child twice.
        """
        for _ in range(2):
            with self._sandbox.turn():
                try:
                    if self._open_in != self._sandbox.children_lost:
                        self._opened()
                    reply, pixels = self._sandbox.ask(
                        {"do": "render", "document": self._number, "index": index, "dpi": dpi}
                    )
                except _ChildDied:
                    continue
            return _page(reply, pixels)
        raise CorruptPage(
            f"Page {index} can't be drawn: it takes too long, or breaks the program that draws it."
        )

    def _opened(self) -> DocumentInfo:
        """Open the document in the present child."""
        number = self._sandbox.number()
        file = protocol.memory_file("document", [self._data])
        try:
            reply, _ = self._sandbox.ask({"do": "open", "document": number}, file)
        finally:
            os.close(file)
        self._number, self._open_in = number, self._sandbox.children_lost
        return DocumentInfo(
            DocumentKind(reply["kind"]), str(reply["media_type"]), int(reply["page_count"]), len(self._data)
        )

    def close(self) -> None:
        """Free what the document holds. Idempotent."""
        with self._sandbox.turn():
            if self._open_in == self._sandbox.children_lost:
                try:
                    self._sandbox.ask({"do": "close", "document": self._number})
                except _ChildDied:
                    logger.debug("the document went with its process")
            self._open_in = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _page(reply: dict[str, Any], pixels: int | None) -> PageImage:
    """Map a page's pixels, once it is sure that nobody can change them.

    Raises:
        OcrError: they are not as they should be.
    """
    if pixels is None:
        raise OcrError("The page came without its pixels.")
    try:
        height, width, dpi = int(reply["height"]), int(reply["width"]), reply["dpi"]
        sealed = fcntl.fcntl(pixels, fcntl.F_GET_SEALS) & protocol.SEALS == protocol.SEALS
        if not sealed or min(height, width) < 1 or os.fstat(pixels).st_size != height * width * 3:
            raise OcrError("The page's pixels are not as they should be.")
        mapped = mmap.mmap(pixels, height * width * 3, mmap.MAP_SHARED | mmap.MAP_POPULATE, mmap.PROT_READ)
    finally:
        os.close(pixels)
    image = np.frombuffer(mapped, np.uint8).reshape(height, width, 3)
    return PageImage(image, None if dpi is None else int(dpi))
