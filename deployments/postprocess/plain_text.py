"""Blocks as plain text: what a reader would search for on the page."""

import re

from deployments.postprocess import markdown, tables
from deployments.postprocess.tables import TableGrid
from deployments.types import Block, BlockType

_LINE_MARKS = re.compile(r"(?m)^(?:#{1,6}[ \t]+|>[ \t]?|```[^\n]*$)")
_EMPHASIS = re.compile(r"(\*\*|__|~~|`)(?=\S)|(?<=\S)(\*\*|__|~~|`)")
_MATH = re.compile(r"\\[\[\]()]")


def lines(block: Block) -> list[str]:
    """A block's lines without Markdown's marks; a table's rows with their texts side by side.

    Formulas stay LaTeX, without their delimiters.
    """
    if block.type is BlockType.TABLE:
        return [
            " ".join(filter(None, " ".join(row).split()))
            for segment in tables.parse(block.content)
            for row in (segment.texts() if isinstance(segment, TableGrid) else [[segment]])
        ]
    text = markdown.heading_text(block) if block.type is BlockType.TITLE else block.content
    text = _LINE_MARKS.sub("", text)
    if block.type is not BlockType.CODE:
        text = _MATH.sub("", _EMPHASIS.sub("", text))
    return [line for line in (" ".join(line.split()) for line in text.split("\n")) if line]
