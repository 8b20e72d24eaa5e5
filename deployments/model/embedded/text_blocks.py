"""Blocks of text from a part of a page that was read: headings, paragraphs, captions, list items."""

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

from deployments.model.embedded.headings import depth_of, is_capitals, is_numbered, may_be_heading
from deployments.model.embedded.paragraphs import ReadRow, join_lines, paragraphs_of
from deployments.model.embedded.parts import Part
from deployments.types import Box

_FIGURE_CAPTION = re.compile(r"^\s*(fig(ure|\.)?|abb(ildung|\.)|图)\s*\.?\s*\d+", re.IGNORECASE)
_TABLE_CAPTION = re.compile(r"^\s*(tab(le|elle|\.)|表)\s*\.?\s*\d+", re.IGNORECASE)
_CAPTION = re.compile(r"^\s*\w+\.?\s*\d+(\.\d+)*\s*[|:.]\s")  # a number and a mark that a sentence lacks
_YEAR = re.compile(r"\b(1[5-9]|20)\d\d[a-z]?\b")
_RELATION = re.compile(r"[=≈≡≤≥≠∝∑∏∫√→↦∈⊂]")
_WORD = re.compile(r"[^\W\d_]{4,}")
_ENTRY = re.compile(r"^\s*(\[\w{1,8}\]|\d{1,3}[.)]?\s+\S)")
_PAGE_NUMBER = re.compile(r"^\W*(page\s+)?(\d{1,4}|[ivxlc]{1,7})(\s*(of|/)\s*\d{1,4})?\W*$", re.IGNORECASE)


class TextBlock(NamedTuple):
    """A block: the model's word for it, its place, its text, and its level if it is a heading (else 0)."""

    label: str
    box: Box
    text: str
    level: int = 0


def text_blocks(
    part: Part,
    rows: Sequence[ReadRow],
    words: Collection[str],
    *,
    heading: bool,
    title: bool,
    near_figure: bool,
) -> list[TextBlock]:
    """Return the blocks of a part.

    Args:
        part: of text.
        rows: of the part that say something, read.
        words: seen on the page so far, in lower case.
        heading: whether it looks like a heading.
        title: whether it looks like the page's title.
        near_figure: whether a figure or table stands close, so that a caption is likely.
    """
    if not rows:
        return []
    whole = join_lines([row.text for row in rows], words)
    if part.kind in ("header", "footer"):
        return [TextBlock("page_number" if _PAGE_NUMBER.match(whole) else part.kind, part.box, whole)]
    if part.kind in ("equation", "aside_text"):
        return [TextBlock(part.kind, part.box, whole)]
    if len(rows) <= 3 and is_formula(whole):
        return [TextBlock("equation", part.box, whole)]
    if (heading or (len(rows) == 1 and is_capitals(whole))) and may_be_heading(whole):
        if title and not is_numbered(whole):
            return [TextBlock("title", part.box, whole, 1)]
        return [TextBlock("sub_title", part.box, whole, depth_of(whole) + 1)]
    return [
        TextBlock(_label(part.label, paragraph.text, near_figure), paragraph.box, paragraph.text)
        for paragraph in paragraphs_of(rows, words)
    ]


def is_table_caption(text: str) -> bool:
    """Tell whether a text begins as a table's caption does."""
    return _TABLE_CAPTION.match(text) is not None


def is_formula(text: str) -> bool:
    """Tell whether a text that stands alone is a formula: it relates something and has no words."""
    return len(text) <= 120 and _RELATION.search(text) is not None and _WORD.search(text) is None


def _label(label: str, text: str, near_figure: bool) -> str:
    is_caption = label.endswith("_caption")
    if is_caption or _CAPTION.match(text):
        if _FIGURE_CAPTION.match(text):
            return "image_caption"
        if _TABLE_CAPTION.match(text):
            return "table_caption"
    if is_caption and near_figure:
        return "image_caption" if label == "figure_caption" else label
    # The layout model takes numbered lists for references; an entry of those has a year.
    is_entry = _ENTRY.match(text) is not None and _YEAR.search(text) is not None
    return "reference" if label == "reference" and is_entry else "text"
