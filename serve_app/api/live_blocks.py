"""Blocks of pages that are still being written, each as it closes."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from deployments.postprocess import markup, turning
from deployments.types import Block
from serve_app.reading import PageDelta, PageStarted

_MARK = "<|ref|>"
_GAP = "\n\n"


@dataclass(slots=True)
class _Page:
    """A page under way: what of its text is in no closed block yet, and how many blocks have closed."""

    started: PageStarted
    open: list[str] = field(default_factory=list)
    tail: str = ""
    marked: bool = False
    closed: int = 0


class LiveBlocks:
    """Finds where blocks close in text that comes in pieces.

    A block closes where the mark of the next one begins, or, in text without marks, at a blank line; the
    page's last block closes with the page. The time taken grows in proportion to the text.
    """

    def __init__(self) -> None:
        self._pages: dict[int, _Page] = {}

    def start(self, event: PageStarted) -> None:
        """Take note of a page, or of its next attempt."""
        self._pages[event.page.index] = _Page(event)

    def end(self, index: int) -> None:
        """Forget a page."""
        self._pages.pop(index, None)

    def add(self, delta: PageDelta) -> Iterator[tuple[PageStarted, int, Block]]:
        """Take text; yield each block that it closes with its page and its number there, from 0."""
        page = self._pages.get(delta.index)
        if page is None or page.started.attempt != delta.attempt:
            return
        page.open.append(delta.text)
        # A mark may be cut in two between pieces: the end of what was there is looked at again.
        recent = page.tail + delta.text
        page.tail = recent[-len(_MARK) :]
        if _MARK not in recent and (page.marked or _GAP not in recent):
            return
        text = "".join(page.open)
        page.marked = page.marked or _MARK in text
        end = text.rfind(_MARK if page.marked else _GAP)
        if end <= 0:
            return
        page.open = [text[end:]]
        prepared = page.started.page
        for block in markup.parse(text[:end], prepared.width, prepared.height):
            turned = turning.turned_block(block, -prepared.rotation, prepared.width, prepared.height)
            yield page.started, page.closed, turned
            page.closed += 1
