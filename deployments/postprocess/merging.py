"""The pages of a document put together: running heads dropped, what a page break cut in two joined.

Every step takes pages as lists of blocks and gives pages as lists of blocks; what is joined stands
on the page where it begins. The rules read the text and the boxes alone and stay on the careful
side: what is not clearly cut in two stays apart.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from deployments.postprocess import markdown, tables
from deployments.postprocess.tables import TableGrid
from deployments.types import Block, BlockType, PageResult

Pages = list[list[Block]]

_MARGIN = 0.12
"""Running heads and feet lie within this part of the page's height from its upper or lower edge."""

_LONGEST_RUNNING = 160
_FEWEST_REPEATS = 3

_DIGITS = re.compile(r"[0-9]+")
_SENTENCE_END = tuple(".!?:;…。！？：；|>")
_CLOSERS = "\"'”’»)]）」』*_"
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
    """The blocks of a document's pages, one list a page, in the order given.

    Args:
        results: the pages, in order.
        drop_running: leave out headers and footers, and short text at a page's upper or lower edge that
            comes back on at least three pages, numbers aside.
        join_paragraphs: join a paragraph that goes on on the next page.
        join_tables: join a table that goes on at the head of the next page; a repeated first row goes.
        level_headings: give headings consistent levels over the document.
    """
    results = list(results)
    pages = [list(result.blocks) for result in results]
    if drop_running:
        pages = _without_running(pages, [result.height for result in results])
    if join_paragraphs:
        pages = _with_joined_paragraphs(pages)
    if join_tables:
        pages = _with_joined_tables(pages, results)
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


_BESIDE_TEXT = frozenset(
    {BlockType.HEADER, BlockType.FOOTER, BlockType.IMAGE, BlockType.CAPTION, BlockType.TABLE}
)
"""What may stand between the two halves of a paragraph."""


def _edge_text(blocks: Sequence[Block], order: Iterable[int]) -> int | None:
    """Place of the first block in an order that is running text, if nothing but floats comes before it."""
    for place in order:
        if blocks[place].type is BlockType.TEXT:
            return place
        if blocks[place].type not in _BESIDE_TEXT:
            return None
    return None


def _with_joined_paragraphs(pages: Pages) -> Pages:
    pages = [list(blocks) for blocks in pages]
    # The paragraph that may go on: page, place, and its pieces so far.
    open_at: tuple[int, int] | None = None
    pieces: list[str] = []

    def close() -> None:
        if open_at is not None and len(pieces) > 1:
            page, place = open_at
            pages[page][place] = replace(pages[page][place], content="".join(pieces))

    for number, blocks in enumerate(pages):
        first = _edge_text(blocks, range(len(blocks)))
        if open_at is not None and first is not None and (gap := _gap(pieces[-1], blocks[first].content)):
            ending, between = gap
            pieces[-1] = ending
            pieces += [between, blocks.pop(first).content]
            if _edge_text(blocks, range(first, len(blocks))) is None and all(
                block.type in _BESIDE_TEXT for block in blocks[first:]
            ):
                continue
        last = _edge_text(blocks, range(len(blocks) - 1, -1, -1))
        close()
        open_at = None if last is None else (number, last)
        pieces = [] if last is None else [blocks[last].content]
    close()
    return pages


def _gap(before: str, after: str) -> tuple[str, str] | None:
    """The first half as it stays and what goes between the halves; None for two paragraphs."""
    before = before.rstrip()
    if not before or not after or before.rstrip(_CLOSERS).endswith(_SENTENCE_END):
        return None
    last, first = before[-1], after[0]
    if _is_ideograph(last) and _is_ideograph(first):
        return before, ""
    if not first.islower():
        return None
    if last in "-\u2010" and before[-2:-1].islower():
        return before[:-1], ""
    return before, " "


def _is_ideograph(character: str) -> bool:
    """Scripts that write without spaces: Han and kana."""
    return "\u3041" <= character <= "\u30ff" or "\u3400" <= character <= "\u9fff"


def _only_grid(block: Block) -> TableGrid | None:
    segments = tables.parse(block.content) if block.type is BlockType.TABLE else ()
    return segments[0] if len(segments) == 1 and isinstance(segments[0], TableGrid) else None


def _with_joined_tables(pages: Pages, results: Sequence[PageResult]) -> Pages:
    pages = [list(blocks) for blocks in pages]
    running = {BlockType.HEADER, BlockType.FOOTER}
    open_at: tuple[int, int] | None = None
    grids: list[TableGrid] = []
    lowest: Block | None = None  # the last part of the open table

    def close() -> None:
        if open_at is not None and len(grids) > 1:
            page, place = open_at
            content = tables.to_html(_stacked(grids))
            pages[page][place] = replace(pages[page][place], content=content)

    for number, blocks in enumerate(pages):
        body = [place for place, block in enumerate(blocks) if block.type not in running]
        first = body[0] if body else None
        if open_at is not None and lowest is not None and first is not None:
            grid = _only_grid(blocks[first])
            before, after = results[number - 1], results[number]
            if (
                grid is not None
                and grid.columns == grids[0].columns
                and _lie_alike((lowest, before), (blocks[first], after))
            ):
                grids.append(grid)
                lowest = blocks.pop(first)
                if len(body) == 1:
                    continue
                body = [place - 1 for place in body[1:]]
        close()
        open_at, grids, lowest = None, [], None
        if body and (grid := _only_grid(blocks[body[-1]])) is not None:
            open_at, grids, lowest = (number, body[-1]), [grid], blocks[body[-1]]
    close()
    return pages


def _lie_alike(upper: tuple[Block, PageResult], lower: tuple[Block, PageResult]) -> bool:
    """Whether one table ends low and the other begins high, with the same edges left and right."""
    (first, before), (second, after) = upper, lower
    if first.box is None or second.box is None:
        return False
    edges = (
        (first.box.x1 / before.width, second.box.x1 / after.width),
        (first.box.x2 / before.width, second.box.x2 / after.width),
    )
    return (
        all(abs(one - other) <= 0.03 for one, other in edges)
        and first.box.y2 >= 0.7 * before.height
        and second.box.y1 <= 0.3 * after.height
    )


def _stacked(grids: Sequence[TableGrid]) -> TableGrid:
    """Grids of the same width one under another; a first row like the whole's first is left out."""
    head = [cell for cell in grids[0].cells if cell.row == 0]
    single = all(cell.rowspan == 1 for cell in head)
    cells = list(grids[0].cells)
    rows = grids[0].rows
    for grid in grids[1:]:
        repeated = single and [cell for cell in grid.cells if cell.row == 0] == head
        shift = rows - 1 if repeated else rows
        cells += [replace(cell, row=cell.row + shift) for cell in grid.cells if cell.row > 0 or not repeated]
        rows = shift + grid.rows
    return TableGrid(rows, grids[0].columns, tuple(cells))


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
