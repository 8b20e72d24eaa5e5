"""The page image with its blocks drawn on it: boxes coloured by type, numbered in reading order."""

import io
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from deployments.types import Block, BlockType, Box, Pixels

_Colour = tuple[int, int, int]
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

COLOURS: dict[BlockType, _Colour] = {
    BlockType.TEXT: (38, 98, 200),
    BlockType.TITLE: (200, 30, 50),
    BlockType.LIST: (0, 128, 128),
    BlockType.TABLE: (150, 60, 190),
    BlockType.IMAGE: (20, 135, 50),
    BlockType.EQUATION: (200, 95, 0),
    BlockType.CAPTION: (125, 100, 10),
    BlockType.CODE: (80, 80, 95),
    BlockType.REFERENCES: (100, 70, 45),
    BlockType.ASIDE_TEXT: (190, 40, 140),
    BlockType.HEADER: (95, 120, 140),
    BlockType.FOOTER: (110, 120, 95),
    BlockType.SIGNATURE: (20, 20, 150),
}
"""Red, green, blue; each dark enough for white letters on it (contrast 4 to 1 and more)."""

_SIDES = (900, 2_400)
"""The drawing's longer side, in pixels: a smaller page is drawn larger, a larger one smaller, so that
the letters can be read beside it."""

_FILL = 36
"""Opacity of a box's inside, of 255: the page's own letters stay readable under several."""

_LONGEST_TAG = 28


def tag(block: Block, number: int) -> str:
    """What stands at a box: its number in reading order, and the model's label where it is plain ASCII."""
    label = " ".join(block.label.split())
    if not label or not (label.isascii() and label.isprintable()):
        label = block.type.value
    if len(label) > _LONGEST_TAG:
        label = label[: _LONGEST_TAG - 3] + "..."
    return f"{number} {label}"


def draw(image: Pixels, blocks: Sequence[Block]) -> Image.Image:
    """Draw boxes, tags and a legend of the types that occur, below the page.

    Args:
        image: the page, uint8 of shape (height, width, 3).
        blocks: of that page, in reading order; those without a box are numbered but not drawn.

    Returns:
        An RGB picture as wide as the page drawn at 900 to 2,400 pixels on its longer side.
    """
    height, width = image.shape[:2]
    longest = max(width, height)
    factor = min(max(longest, _SIDES[0]), _SIDES[1]) / longest
    size = max(1, round(width * factor)), max(1, round(height * factor))
    page = Image.fromarray(image)
    if page.size != size:
        page = page.resize(size, Image.Resampling.LANCZOS if factor < 1 else Image.Resampling.BICUBIC)
    thickness = max(2, round(max(size) / 500))
    font = ImageFont.load_default(max(13, round(max(size) / 75)))

    shapes = Image.new("RGBA", size, (0, 0, 0, 0))
    pen = ImageDraw.Draw(shapes)
    tags = []
    for number, block in enumerate(blocks, 1):
        if block.box is None:
            continue
        box = Box(*(round(value * factor) for value in block.box))
        colour = COLOURS[block.type]
        corners = (box.x1, box.y1, max(box.x2 - 1, box.x1), max(box.y2 - 1, box.y1))
        pen.rectangle(corners, fill=(*colour, _FILL), outline=(*colour, 255), width=thickness)
        tags.append((box, tag(block, number), colour))
    # Tags last, so that no box covers one.
    for box, text, colour in tags:
        _tag(pen, box, text, font, colour)
    page = Image.alpha_composite(page.convert("RGBA"), shapes).convert("RGB")
    return _with_legend(page, blocks, font)


def _tag(pen: ImageDraw.ImageDraw, box: Box, text: str, font: _Font, colour: _Colour) -> None:
    """Write a tag on the box's upper edge, or in the box where the page ends above; never off the page."""
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    margin = max(2, round((bottom - top) / 4))
    width, height = round(right - left) + 2 * margin, round(bottom - top) + 2 * margin
    across, down = pen.im.size
    x = max(0, min(box.x1, across - width))
    y = box.y1 - height if box.y1 >= height else max(0, min(box.y1, down - height))
    pen.rectangle((x, y, x + width, y + height), fill=(*colour, 235))
    pen.text((x + margin - left, y + margin - top), text, font=font, fill=(255, 255, 255, 255))


def _with_legend(page: Image.Image, blocks: Sequence[Block], font: _Font) -> Image.Image:
    types = [type_ for type_ in BlockType if any(block.type is type_ and block.box for block in blocks)]
    if not types:
        return page
    measure = ImageDraw.Draw(page)
    line = round(measure.textbbox((0, 0), "Agjpq", font=font)[3] * 1.6)
    places = []
    x, y = line // 2, line // 2
    for type_ in types:
        width = line + round(measure.textlength(type_.value, font=font)) + line
        if x > line and x + width > page.width:
            x, y = line // 2, y + line
        places.append((x, y, type_))
        x += width
    picture = Image.new("RGB", (page.width, page.height + y + line + line // 2), (255, 255, 255))
    picture.paste(page, (0, 0))
    pen = ImageDraw.Draw(picture)
    side = round(line * 0.6)
    for x, y_in_legend, type_ in places:
        top = page.height + y_in_legend
        pen.rectangle((x, top, x + side, top + side), fill=COLOURS[type_])
        pen.text((x + line, top + side / 2), type_.value, font=font, fill=(0, 0, 0), anchor="lm")
    return picture


def draw_png(image: Pixels, blocks: Sequence[Block]) -> bytes:
    """The drawing as PNG bytes."""
    out = io.BytesIO()
    draw(image, blocks).save(out, "PNG", compress_level=3)
    return out.getvalue()
