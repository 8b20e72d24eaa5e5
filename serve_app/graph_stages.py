"""The stages of the Ray Serve graph, as the reader of documents calls them.

The bytes of a large document and a prepared page stay in Ray's object store; what passes here are
references, text and results. Whatever Ray raises becomes an error of the `OcrError` tree here.

Each call of another process costs both sides milliseconds of processor time. So a small document is
inspected here and goes along with the calls for its pages, and a page whose picture is not needed any more
is postprocessed here: that takes less than sending it away would.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import ray
from opentelemetry import trace
from ray.exceptions import ObjectLostError, RayActorError, RayTaskError
from ray.experimental import get_local_object_locations
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, RayServeException
from ray.serve.handle import DeploymentHandle, DeploymentResponse, DeploymentResponseGenerator

from deployments.errors import EngineUnavailable, OcrError, QueueFull, StageLost
from deployments.postprocess.deployment import PostprocessDeployment
from deployments.preprocess.deployment import HeldDocument, StoredDocument
from deployments.types import (
    DocumentInfo,
    Generation,
    GenerationOptions,
    PagePicture,
    PageRequest,
    PageResult,
    PreparedPage,
)
from serve_app.near_inspection import NearInspection

CARRIED_BYTES = 64 * 2**10
"""A document of at most so many bytes goes along with each call. Ray puts what has more than 100 kB into the
object store itself, for each call anew."""

LOOK_AFTER_S = 10.0
"""How long a page waits to be written before it is looked at whether it was lost."""

T = TypeVar("T")


@dataclass(slots=True)
class PageInGraph:
    """A page on its way: the response that will hold it, and its measures once the model has seen it."""

    prepared: DeploymentResponse[PreparedPage]
    measures: PreparedPage | None = None

    async def is_prepared(self) -> bool:
        """Whether Preprocess is done with the page; its pixels stay where they are.

        Raises:
            Exception: what Ray or Preprocess raised instead.
        """
        reference = await self.prepared._to_object_ref()
        ready, _ = await asyncio.to_thread(ray.wait, [reference], timeout=0, fetch_local=False)
        if not ready:
            return False
        if not get_local_object_locations([reference]).get(reference, {}).get("node_ids"):
            await reference  # small, or an error: both are here already
        return True


class GraphStages:
    """Preprocess, Model and Postprocess behind their deployment handles.

    Args:
        preprocess: handle of the stage.
        model: handle of the stage.
        postprocess: handle of the stage.
        near: inspects small documents here; None leaves all to Preprocess.
    """

    def __init__(
        self,
        preprocess: DeploymentHandle[Any],
        model: DeploymentHandle[Any],
        postprocess: DeploymentHandle[Any],
        near: NearInspection | None = None,
    ) -> None:
        self._preprocess = preprocess
        self._model = model
        self._model_stream = model.options(stream=True)
        self._postprocess = postprocess
        self._near = near
        self._postprocess_here = PostprocessDeployment()

    async def hold(self, document: bytes) -> HeldDocument:
        """Put a large document into the object store, where it stays until the reference is dropped."""
        return document if len(document) <= CARRIED_BYTES else StoredDocument(ray.put(document))

    async def inspect(self, document: HeldDocument) -> DocumentInfo:
        """Return what a document is."""
        if self._near is not None and isinstance(document, bytes):
            begun = self._near.begin(document)
            if begun is not None:
                return await begun
        with ocr_errors():
            info: DocumentInfo = await self._preprocess.inspect.remote(document)
            return info

    async def prepare(self, document: HeldDocument, index: int, request: PageRequest) -> PageInGraph:
        """Begin to prepare a page; its errors come out where it is used."""
        with ocr_errors():
            response = self._preprocess.prepare.remote(document, index, request)
            return PageInGraph(cast(DeploymentResponse[PreparedPage], response))

    async def stream(
        self, page: PageInGraph, options: GenerationOptions
    ) -> AsyncGenerator[PreparedPage | str | Generation, None]:
        """Stream the page's measures, what the model writes, then its generation."""
        with ocr_errors():
            call = self._model_stream.stream.remote(page.prepared, options)
            response = cast(DeploymentResponseGenerator[PreparedPage | str | Generation], call)
            try:
                piece = await _of_page(page, anext(response))
                while True:
                    if isinstance(piece, PreparedPage):
                        page.measures = piece
                        _note_preparation(piece)
                    yield piece
                    piece = await anext(response)
            except StopAsyncIteration:
                return
            except (GeneratorExit, asyncio.CancelledError):
                # A generator that is merely dropped would run on to its end.
                response.cancel()
                page.prepared.cancel()
                raise

    async def read(self, page: PageInGraph, options: GenerationOptions) -> Generation:
        """Return what the model writes."""
        with ocr_errors():
            call = self._model.read.remote(page.prepared, options)
            response = cast(DeploymentResponse[tuple[PreparedPage, Generation]], call)
            try:
                measures, generation = await _of_page(page, response)
                page.measures = measures
                _note_preparation(measures)
            except asyncio.CancelledError:
                response.cancel()
                page.prepared.cancel()
                raise
            return generation

    async def postprocess(
        self, page: PageInGraph, generation: Generation, *, figures: bool, attempts: int
    ) -> PageResult:
        """Return the finished page; it travels only where its picture is needed, or nothing else is known."""
        if page.measures is not None and not figures:
            return await self._postprocess_here.process(page.measures, generation, figures, attempts)
        with ocr_errors():
            result: PageResult = await self._postprocess.process.remote(
                page.prepared, generation, figures, attempts
            )
            return result

    async def picture(self, document: HeldDocument, index: int, dpi: int, side: int) -> PagePicture:
        """Return a page to look at."""
        with ocr_errors():
            picture: PagePicture = await self._preprocess.picture.remote(document, index, dpi, side)
            return picture


async def _of_page(page: PageInGraph, awaited: Awaitable[T]) -> T:
    """Await what becomes of a page, unless the page itself is lost meanwhile.

    Where the replica of Preprocess that has the page is out of reach, Serve's router takes that error, which
    comes with the page, for that of the replica it is sent to, and tries one after the other for ever.
    """
    work = asyncio.ensure_future(awaited)
    try:
        done, _ = await asyncio.wait({work}, timeout=LOOK_AFTER_S)
        while not done and not await page.is_prepared():
            done, _ = await asyncio.wait({work}, timeout=LOOK_AFTER_S)
        return await work
    finally:
        work.cancel()


def _note_preparation(measures: PreparedPage) -> None:
    """Put the time that Preprocess took into the span that is open, if one is."""
    trace.get_current_span().set_attribute("dsocr.preprocess_seconds", measures.seconds)


_LOSSES = (RayActorError, ObjectLostError)
_LOST = "A worker was lost while it read the page; send the page again."


@contextmanager
def ocr_errors() -> Iterator[None]:
    """Turn what a deployment handle raises into errors of our tree.

    An exception of ours arrives wrapped, with the remote traceback as its text: the original is its cause.
    """
    try:
        yield
    except RayTaskError as error:
        cause = error.cause
        if isinstance(cause, OcrError):
            raise cause from None
        if isinstance(cause, _LOSSES):
            raise StageLost(_LOST) from error
        raise
    except _LOSSES as error:
        raise StageLost(_LOST) from error
    except BackPressureError as error:
        raise QueueFull("The service has as much work waiting as it accepts; try again later.") from error
    except DeploymentUnavailableError as error:
        raise EngineUnavailable("A stage of the service can't start; its log says why.") from error
    except RayServeException as error:
        # So Serve says that what a call was given was lost with the replica that made it.
        cause = error.__cause__
        if isinstance(cause, _LOSSES) or isinstance(getattr(cause, "cause", None), _LOSSES):
            raise StageLost(_LOST) from error
        raise
