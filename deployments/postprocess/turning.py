"""Boxes of pages that were turned to be read: as the page was sent, and as it was read."""

from dataclasses import replace

from deployments.types import Block, Box, PageResult


def turn(box: Box, rotation: int, width: int, height: int) -> Box:
    """Return where a box lies once its page is turned clockwise.

    Args:
        box: in pixels of the page before.
        rotation: degrees clockwise, a multiple of 90; negative ones turn back.
        width: of the page before.
        height: of the page before.
    """
    match rotation % 360:
        case 90:
            return Box(height - box.y2, box.x1, height - box.y1, box.x2)
        case 180:
            return Box(width - box.x2, height - box.y2, width - box.x1, height - box.y1)
        case 270:
            return Box(box.y1, width - box.x2, box.y2, width - box.x1)
        case _:
            return box


def turned_size(rotation: int, width: int, height: int) -> tuple[int, int]:
    """Return a page's width and height once it is turned by a multiple of 90 degrees."""
    return (height, width) if rotation % 180 else (width, height)


def turned_block(block: Block, rotation: int, width: int, height: int) -> Block:
    """Return a block with its box turned; see `turn`."""
    return block if block.box is None else replace(block, box=turn(block.box, rotation, width, height))


def upright(result: PageResult) -> PageResult:
    """Return a page as it was read: sizes and boxes of the page that was turned."""
    if not result.rotation:
        return result
    size = result.width, result.height
    width, height = turned_size(result.rotation, *size)
    return replace(
        result,
        width=width,
        height=height,
        blocks=tuple(turned_block(block, result.rotation, *size) for block in result.blocks),
        figures=tuple(
            replace(figure, box=turn(figure.box, result.rotation, *size)) for figure in result.figures
        ),
        rotation=0,
    )


def as_sent(result: PageResult, rotation: int) -> PageResult:
    """Return a page that was read after it was turned by `rotation`, in the frame in which it was sent."""
    sent = replace(result, rotation=-rotation % 360)
    return replace(upright(sent), rotation=rotation)
