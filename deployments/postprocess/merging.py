"""The pages of a document put together: running heads dropped, what a page break cut in two joined.

Every step takes pages as lists of blocks and gives pages as lists of blocks.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from deployments.postprocess import markdown, page_breaks
from deployments.postprocess.turning import upright
from deployments.types import Block, BlockType, PageResult

Pages = list[list[Block]]

_MARGIN = 0.12
"""Running heads and feet lie within this part of the page's height from its upper or lower edge."""

_LONGEST_RUNNING = 160
_FEWEST_REPEATS = 3

_DIGITS = re.compile(r"[0-9]+")
_NUMBERED = re.compile(r"(?:[0-9]{1,3}|[A-Z](?=\.[0-9]))((?:\.[0-9]{1,3})*)\.?\s")
_DEEPEST = 6


def merge(
    results: Iterable[PageResult],
    *,
    drop_running: bool = False,
    join_paragraphs: bool = False,
    join_tables: bool = False,
    level_headings: bool = False,
) -> Pages:
    """The blocks of a document's pages, one list a page, in the order given, as the pages were read.

    Args:
        results: the pages, in order.
        drop_running: leave out headers and footers, and short text at a page's upper or lower edge that
            comes back on at least three pages, numbers aside.
        join_paragraphs: join a paragraph that goes on on the next page.
        join_tables: join a table that goes on at the head of the next page; a repeated first row goes.
        level_headings: give headings consistent levels over the document.
    """
    results = [upright(result) for result in results]
    pages = [list(result.blocks) for result in results]
    if drop_running:
        pages = _without_running(pages, [result.height for result in results])
    if join_paragraphs:
        pages = page_breaks.join_paragraphs(pages)
    if join_tables:
        pages = page_breaks.join_tables(pages, results)
    if level_headings:
        pages = _with_levelled_headings(pages)
    return pages


def _running_key(block: Block, height: int) -> str | None:
    """What a running head has in common from page to page; None for a block that can't be one."""
    if block.box is None or block.type in {BlockType.IMAGE, BlockType.TABLE}:
        return None
    if len(block.content) > _LONGEST_RUNNING:
        return None
    if block.box.y2 <= _MARGIN * height:
        edge = "head"
    elif block.box.y1 >= (1 - _MARGIN) * height:
        edge = "foot"
    else:
        return None
    return edge + " ".join(_DIGITS.sub("#", block.content).casefold().split())


def _without_running(pages: Pages, heights: Sequence[int]) -> Pages:
    repeats = Counter(
        key
        for blocks, height in zip(pages, heights, strict=True)
        for key in {_running_key(block, height) for block in blocks}
    )

    def runs(block: Block, height: int) -> bool:
        key = _running_key(block, height)
        return block.type in {BlockType.HEADER, BlockType.FOOTER} or (
            key is not None and repeats[key] >= _FEWEST_REPEATS
        )

    return [
        [block for block in blocks if not runs(block, height)]
        for blocks, height in zip(pages, heights, strict=True)
    ]


def _with_levelled_headings(pages: Pages) -> Pages:
    """One heading of the first level, the document's title; the others by their numbers, else as marked.

    A heading numbered 2 is of the level below the title, 2.1 one deeper. None is more than one level
    deeper than the heading before it.
    """
    levels = [
        markdown.heading_level(block) for blocks in pages for block in blocks if block.type is BlockType.TITLE
    ]
    if not levels:
        return pages
    titled = levels[0] == 1
    levelled: Pages = []
    previous = 0
    for blocks in pages:
        levelled.append([])
        for block in blocks:
            content = block.content
            if block.type is BlockType.TITLE and (text := markdown.heading_text(block)):
                level = markdown.heading_level(block)
                numbered = _NUMBERED.match(text)
                if previous == 0 and titled:
                    level = 1
                elif numbered:
                    level = (2 if titled else 1) + numbered[1].count(".")
                elif titled:
                    level = max(level, 2)
                level = min(level, previous + 1 if previous else level, _DEEPEST)
                previous = level
                content = f"{'#' * level} {text}"
            levelled[-1].append(block if content is block.content else replace(block, content=content))
    return levelled
