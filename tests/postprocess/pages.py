"""Small pages for the tests of this folder."""

import numpy as np

from deployments.types import (
    Block,
    BlockType,
    Box,
    Figure,
    FinishReason,
    Generation,
    PageResult,
    Pixels,
    Table,
)

WIDTH, HEIGHT = 600, 800


def white(width: int = WIDTH, height: int = HEIGHT) -> Pixels:
    return np.full((height, width, 3), 255, np.uint8)


def block(
    type_: BlockType,
    content: str,
    box: tuple[int, int, int, int] | None = (50, 300, 550, 400),
    *,
    label: str = "",
    image_id: str | None = None,
) -> Block:
    table_id = "tbl-0.html" if type_ is BlockType.TABLE else None
    return Block(type_, label or type_.value, Box(*box) if box else None, content, image_id, table_id)


def result(
    *blocks: Block,
    index: int = 0,
    width: int = WIDTH,
    height: int = HEIGHT,
    dpi: int | None = 72,
    png: bytes | None = None,
) -> PageResult:
    return PageResult(
        index=index,
        width=width,
        height=height,
        dpi=dpi,
        markdown="",
        blocks=blocks,
        figures=tuple(
            Figure(b.image_id, b.box, png) for b in blocks if b.image_id is not None and b.box is not None
        ),
        tables=tuple(Table(b.table_id, b.content) for b in blocks if b.table_id is not None),
        header=None,
        footer=None,
        generation=Generation("raw words", FinishReason.STOP, 10, 20),
    )
