"""Reading a document: which pages, how many at once, which attempts, what comes out when.

`Reader` is the one order of events for a document, over any `Stages`: the Ray Serve graph online,
the same code in one process on the command line. It knows nothing of HTTP.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from deployments.errors import OcrError
from deployments.types import DocumentInfo, Generation, PagePicture, PageRequest, PageResult, PreparedPage


@dataclass(frozen=True, slots=True)
class PageStarted:
    """The engine has a page, of which only the measures are told; each attempt begins so."""

    page: PreparedPage
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class PageDelta:
    """A piece of raw text of a page; a later attempt begins the page's text anew."""

    index: int
    text: str
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class PageDone:
    """A page is finished."""

    result: PageResult


@dataclass(frozen=True, slots=True)
class PageFailed:
    """A page failed; the others go on."""

    index: int
    error: OcrError


PageEvent = PageStarted | PageDelta | PageDone | PageFailed


@dataclass(frozen=True, slots=True)
class Writing:
    """How the engine writes a page, beyond what its task says.

    Attributes:
        max_tokens: most tokens of a page; None for what the model's context leaves.
        temperature: 0 takes the likeliest token each time; an engine that does not sample ignores it.
        retry: whether a page that runs away is read again.
    """

    max_tokens: int | None = None
    temperature: float = 0.0
    retry: bool = True


PLAIN_WRITING = Writing()


HeldT = TypeVar("HeldT")
"""A document as a reader holds it."""


class Reader(Protocol[HeldT]):
    """Reads documents."""

    async def hold(self, document: bytes) -> HeldT:
        """Put a document where it can be read; it is freed with what is returned."""
        ...

    async def inspect(self, document: HeldT) -> DocumentInfo:
        """Return what a document is.

        Raises:
            OcrError: it can't be read, or is over a limit.
        """
        ...

    def read(
        self,
        document: HeldT,
        pages: Sequence[int],
        request: PageRequest,
        *,
        stream: bool = False,
        confidence: bool = False,
        figures: bool = False,
        writing: Writing = PLAIN_WRITING,
        caller: str = "",
    ) -> AsyncGenerator[PageEvent, None]:
        """Read pages of a document, several at once; each ends in one `PageDone` or `PageFailed`.

        Without `stream` there are no deltas, and pages end in the order asked for. With it, deltas of
        different pages mingle, and pages end as they are done. Closing the generator cancels all work.

        Args:
            document: what `hold` gave.
            pages: numbers from 0, each within the document.
            request: how each page is read.
            stream: whether raw text comes as it is written.
            confidence: whether generations carry their mean token probability.
            figures: whether figures carry their PNG bytes.
            writing: how the engine writes.
            caller: whose share of the service the pages come from.
        """
        ...

    def rebuild(
        self,
        document: HeldT,
        texts: Mapping[int, Generation],
        request: PageRequest,
        *,
        figures: bool = False,
        caller: str = "",
    ) -> AsyncGenerator[PageDone | PageFailed, None]:
        """Make pages anew of what the engine once wrote for them, in the order given.

        Args:
            document: what `hold` gave.
            texts: what was written, by the page's number.
            request: how the pages were read.
            figures: whether figures carry their PNG bytes.
            caller: whose share of the service the pages come from.
        """
        ...

    def pictures(
        self, document: HeldT, pages: Sequence[int], dpi: int, side: int, *, caller: str = ""
    ) -> AsyncGenerator[PagePicture | PageFailed, None]:
        """Draw pages to look at, in the order given.

        Args:
            document: what `hold` gave.
            pages: numbers from 0, each within the document.
            dpi: at which the pages would be read.
            side: most pixels of a picture's longer side.
            caller: whose share of the service the pages come from.
        """
        ...
