"""What a page break cut in two: paragraphs and tables joined again, on the page where they begin.

The rules read the text and the boxes alone and stay on the careful side: what is not clearly cut in
two stays apart.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from deployments.postprocess import tables
from deployments.postprocess.tables import TableGrid
from deployments.types import Block, BlockType, PageResult

# Escapes: ellipsis; the full-width forms of . ! ? : ; and of the closing brackets and quotes.
_SENTENCE_END = tuple(".!?:;|>\u2026\u3002\uff01\uff1f\uff1a\uff1b")
_CLOSERS = "\"')]*_\u201d\u2019\u00bb\uff09\u300d\u300f"
_HYPHENS = "-\u2010\u00ad"

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


def join_paragraphs(pages: Sequence[Sequence[Block]]) -> list[list[Block]]:
    """Join a paragraph that ends within a sentence with the text that opens the next page.

    Floats, captions and running heads may stand between. The next page must go on in lower case, or in
    a script that writes without spaces; a word divided at the break loses its hyphen.
    """
    joined = [list(blocks) for blocks in pages]
    # The paragraph that may go on: page, place, and its pieces so far.
    open_at: tuple[int, int] | None = None
    pieces: list[str] = []

    def close() -> None:
        if open_at is not None and len(pieces) > 1:
            page, place = open_at
            joined[page][place] = replace(joined[page][place], content="".join(pieces))

    for number, blocks in enumerate(joined):
        first = _edge_text(blocks, range(len(blocks)))
        if open_at is not None and first is not None and (gap := _gap(pieces[-1], blocks[first].content)):
            ending, between = gap
            pieces[-1] = ending
            pieces += [between, blocks.pop(first).content]
        if all(block.type in _BESIDE_TEXT for block in blocks):
            continue
        last = _edge_text(blocks, range(len(blocks) - 1, -1, -1))
        close()
        open_at = None if last is None else (number, last)
        pieces = [] if last is None else [blocks[last].content]
    close()
    return joined


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
    if last in _HYPHENS and before[-2:-1].islower():
        return before[:-1], ""
    return before, " "


def _is_ideograph(character: str) -> bool:
    """Scripts that write without spaces: Han and kana."""
    return "\u3041" <= character <= "\u30ff" or "\u3400" <= character <= "\u9fff"


def _only_grid(block: Block) -> TableGrid | None:
    segments = tables.parse(block.content) if block.type is BlockType.TABLE else ()
    return segments[0] if len(segments) == 1 and isinstance(segments[0], TableGrid) else None


def join_tables(pages: Sequence[Sequence[Block]], results: Sequence[PageResult]) -> list[list[Block]]:
    """Join a table that ends a page with one that opens the next.

    Both need as many columns, the same edges left and right, and boxes at the foot and the head of
    their pages; a caption above the second keeps them apart. A first row that comes back is dropped.

    Args:
        pages: blocks of each page.
        results: the pages' sizes, as many as `pages`.
    """
    joined = [list(blocks) for blocks in pages]
    running = {BlockType.HEADER, BlockType.FOOTER}
    open_at: tuple[int, int] | None = None
    grids: list[TableGrid] = []
    lowest: Block | None = None  # the last part of the open table

    def close() -> None:
        if open_at is not None and len(grids) > 1:
            page, place = open_at
            content = tables.to_html(_stacked(grids))
            joined[page][place] = replace(joined[page][place], content=content)

    for number, blocks in enumerate(joined):
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
    return joined


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
