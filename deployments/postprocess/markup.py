"""The model's output as blocks.

A block is a mark, `<|ref|>label<|/ref|><|det|>[[x1, y1, x2, y2], …]<|/det|>`, and the text up to the
next one. The text comes from a model that read someone else's page: every part of the grammar may be
missing, doubled, nested or cut off. Nothing here raises on any text, and the time grows in
proportion to its length: one pass over the tags, each stretch between two tags looked at a fixed
number of times.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from deployments.postprocess import boxes, labels
from deployments.types import Block, BlockType, Box

_TAG = re.compile(r"<\|(/?(?:ref|det))\|>")

_SPECIAL = re.compile(
    r"<\|grounding\|>|<image>"
    r"|<\uff5c(?:begin\u2581of\u2581sentence|end\u2581of\u2581sentence|\u2581pad\u2581)\uff5c>"
)
"""Special tokens that mean nothing after generation (vertical bar U+FF5C, lower block U+2581)."""

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

_COORDINATES = re.compile(r"[\[\]0-9\s.,+-]*")

_BLANK_LINES = re.compile(r"\n[ \t]*\n")

_HEADING = re.compile(r"#{1,6} [^\n]*")

_LATEX = (("\\coloneqq", ":="), ("\\eqqcolon", "=:"))
"""Commands that common Markdown renderers lack; the reference replaces the same two."""


@dataclass(slots=True)
class _Span:
    """A mark and the text that follows it; `label` is None for text before or without any mark."""

    label: str | None
    boxes: list[Box]
    text: str


def clean(text: str) -> str:
    """Drop special tokens and control characters, repair surrogates, and end lines with a line feed."""
    # Surrogate pairs become the character they mean, lone ones the replacement character.
    text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    text = _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    # A space, so that what stands on both sides can't join to a new tag.
    return _SPECIAL.sub(" ", text)


def parse(raw: str, width: int, height: int) -> tuple[Block, ...]:
    """Split what the model wrote into blocks, in its order.

    An image label with several boxes gives a block for each, any other known label one block with
    the hull of them. Under a label outside the vocabulary the label itself is what was found on the
    page: a block for each box, with the label as content where no text follows. Text without a mark
    becomes blocks without a box, split at blank lines and around tables.

    Args:
        raw: the model's text, special tokens included or not.
        width: of the page image in pixels.
        height: of the page image in pixels.

    Raises:
        ValueError: if the page has no pixels.
    """
    if width < 1 or height < 1:
        raise ValueError(f"a page of {width}x{height} pixels can't hold boxes")
    blocks: list[Block] = []
    for span in _spans(clean(raw), width, height):
        text = span.text.strip()
        if span.label is None:
            blocks.extend(_ungrounded(text))
        else:
            blocks.extend(_grounded(span.label, span.boxes, text, height))
    return tuple(blocks)


def _spans(text: str, width: int, height: int) -> Iterator[_Span]:
    """Walk over the tags; each branch says which tag is met and what stood before it."""
    span = _Span(None, [], "")
    pieces: list[str] = []
    state = "text"
    start = 0
    for match in _TAG.finditer(text):
        before, tag = text[start : match.start()], match[1]
        start = match.end()
        if state == "ref" and tag in {"/ref", "det"}:
            # A label, perhaps one that was never closed.
            span = _Span(before.strip(), [], "")
            state = "labelled" if tag == "/ref" else "det"
            continue
        if state == "labelled" and tag == "det" and not before.strip():
            state = "det"
            continue
        if state == "det":
            closed = tag == "/det"
            before = _read_boxes(span, before, width, height, closed=closed)
        pieces.append(before)
        if tag in {"ref", "det"}:
            span.text = "".join(pieces)
            yield span
            pieces = []
            # A box without a label marks plain text.
            span = _Span(None if tag == "ref" else "", [], "")
            state = tag
        else:
            state = "text"
    rest = text[start:]
    if state == "det":
        rest = _read_boxes(span, rest, width, height, closed=False)
    elif state == "ref" and "\n" not in rest.strip():
        # The output ends within a label: a name, not text of the page.
        rest = ""
    pieces.append(rest)
    span.text = "".join(pieces)
    yield span


def _read_boxes(span: _Span, text: str, width: int, height: int, *, closed: bool) -> str:
    """Put the boxes into the span; return what of the text is not coordinates."""
    if closed:
        span.boxes = boxes.read(text, width, height)
        return ""
    match = _COORDINATES.match(text)
    end = match.end() if match else 0
    closing = text.find("]]", 0, end)
    if closing >= 0:
        end = closing + 2
    span.boxes = boxes.read(text[:end], width, height, truncated=True)
    return text[end:]


def _grounded(label: str, found: list[Box], text: str, height: int) -> Iterator[Block]:
    hull = boxes.hull(found)
    upper_half = hull is not None and hull.y1 + hull.y2 < height
    type_ = labels.block_type(label, upper_half=upper_half)
    text = _written(text)
    if label and not text and not labels.is_known(label):
        text = _written(label)
        found_each: list[Box | None] = [*found] or [None]
        for box in found_each:
            yield Block(type_, label, box, text)
    elif type_ is BlockType.IMAGE and len(found) > 1:
        for box in found[:-1]:
            yield Block(type_, label, box, "")
        yield Block(type_, label, found[-1], text)
    elif hull is not None or text:
        yield Block(type_, label, hull, text)


def _written(text: str) -> str:
    """A block's text as Markdown: without the centring of captions, with known commands."""
    folded = text[:8].lower(), text[-9:].lower()
    if folded == ("<center>", "</center>") and len(text) >= 17:
        text = text[8:-9].strip()
    for command, replacement in _LATEX:
        text = text.replace(command, replacement)
    return text


def _ungrounded(text: str) -> Iterator[Block]:
    """Blocks from text without marks: tables whole, the rest split at blank lines."""
    folded = text.lower()
    if len(folded) != len(text):  # some capitals grow when lowered, which would shift every place
        folded = text
    start = 0
    while (opening := folded.find("<table", start)) >= 0:
        yield from _paragraphs(text[start:opening])
        closing = folded.find("</table>", opening)
        start = len(text) if closing < 0 else closing + len("</table>")
        yield Block(BlockType.TABLE, "", None, _written(text[opening:start].strip()))
    yield from _paragraphs(text[start:])


def _paragraphs(text: str) -> Iterator[Block]:
    for part in _BLANK_LINES.split(text):
        if paragraph := part.strip():
            type_ = BlockType.TITLE if _HEADING.fullmatch(paragraph) else BlockType.TEXT
            yield Block(type_, "", None, _written(paragraph))
