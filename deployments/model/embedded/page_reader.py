"""Reads a page: finds its parts, then writes them one by one in reading order."""

import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import cv2

from deployments.model.embedded.geometry import union, width
from deployments.model.embedded.headings import Body, body_of, depth_of, heading_text, is_heading, title_of
from deployments.model.embedded.ink import Ink, ink_of, stroke_width
from deployments.model.embedded.layout import LayoutReader
from deployments.model.embedded.lines import LineReader, Reading, TextLine
from deployments.model.embedded.locate import find_text
from deployments.model.embedded.markup_writer import grounded, html_table, plain, reference_of, text_table
from deployments.model.embedded.paragraphs import Paragraph, ReadRow, join_lines, paragraphs_of
from deployments.model.embedded.parts import Part, parts_of
from deployments.model.embedded.prompts import Form, Wish
from deployments.model.embedded.rows import Row
from deployments.model.embedded.settings import EmbeddedSettings
from deployments.model.embedded.skew import Straightening, skew_angle, straighten
from deployments.model.embedded.table_reader import read_table
from deployments.model.embedded.tables import text_rows
from deployments.model.embedded.weights import recognition_files
from deployments.types import Box, Pixels

_FIGURE_CAPTION = re.compile(r"^\s*(fig(ure|\.)?|abb(ildung|\.)|图)\s*\.?\s*\d+", re.IGNORECASE)
_TABLE_CAPTION = re.compile(r"^\s*(tab(le|elle|\.)|表)\s*\.?\s*\d+", re.IGNORECASE)
_PAGE_NUMBER = re.compile(r"^\W*(page\s+)?(\d{1,4}|[ivxlc]{1,7})(\s*(of|/)\s*\d{1,4})?\W*$", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_ENOUGH_STROKES = 24  # rows measured to learn the body's weight


class Stopped(Exception):  # not an error: the reader of the page went away
    """The work on a page was called off."""


@dataclass
class Tally:
    """What one page's reading amounted to.

    Attributes:
        characters: recognised so far.
        scores: sum of the lines' scores, each times its number of characters.
    """

    characters: int = 0
    scores: float = 0.0

    def count(self, reading: Reading) -> None:
        """Add a line."""
        self.characters += len(reading.text)
        self.scores += reading.score * len(reading.text)

    @property
    def confidence(self) -> float | None:
        """Mean score a character, or None where nothing was read."""
        return self.scores / self.characters if self.characters else None


@dataclass
class _Page:
    """A page under way."""

    image: Pixels
    box: Box
    straightening: Straightening | None
    tally: Tally
    stop: threading.Event
    words: set[str] = field(default_factory=set)
    _ink: Ink | None = None

    @property
    def ink(self) -> Ink:
        """Its ink, made when a table first asks for it."""
        if self._ink is None:
            self._ink = ink_of(self.image)
        return self._ink

    def original(self, box: Box) -> Box:
        """Return a box where it lies on the page as it came."""
        return self.straightening.original(box, self.box) if self.straightening else box


class PageReader:
    """Reads pages with the embedded models. One instance serves several threads."""

    def __init__(self, settings: EmbeddedSettings, threads: int) -> None:
        files = recognition_files(settings.weights)
        self.source = files.source
        self._lines = LineReader(files, threads, settings.detection_side)
        self._layout = LayoutReader(threads, settings.layout_confidence) if settings.layout else None
        self._text_confidence = settings.text_confidence
        cv2.setNumThreads(threads)

    def read(self, image: Pixels, wish: Wish, tally: Tally, stop: threading.Event) -> Iterator[str]:
        """Yield what the page says, block by block in reading order.

        Args:
            image: RGB, shape (height, width, 3).
            wish: the form of the answer.
            tally: counts what is read.
            stop: when set, reading ends before the next line.

        Raises:
            Stopped: `stop` was set.
        """
        lines = self._lines.detect(image)
        box = Box(0, 0, image.shape[1], image.shape[0])
        page = _Page(image, box, None, tally, stop)
        angle = skew_angle(lines)
        if angle:
            page.straightening = straighten(angle, box)
            page.image = page.straightening.image(image)
            lines = [page.straightening.line(line) for line in lines]
        _check(stop)
        if wish.form is Form.LOCATE:
            yield from self._locate(page, lines, wish.wanted)
            return
        regions = self._layout.find(page.image) if self._layout else []
        _check(stop)
        parts = parts_of(lines, regions, box)
        if wish.form is Form.TABLES:
            yield from self._tables(page, parts, lines)
        else:
            yield from self._blocks(page, parts, grounding=wish.form is Form.GROUNDED)

    def _read(self, page: _Page, line: TextLine) -> Reading:
        _check(page.stop)
        reading = self._lines.read(page.image, line)
        if reading.score < self._text_confidence or not reading.text.strip():
            return Reading("", 0.0)
        page.tally.count(reading)
        return reading

    def _text(self, page: _Page, line: TextLine) -> str:
        return self._read(page, line).text.strip()

    def _row_text(self, page: _Page, row: Row) -> str:
        return " ".join(filter(None, (self._text(page, piece) for piece in row.pieces)))

    def _locate(self, page: _Page, lines: Sequence[TextLine], wanted: str) -> Iterator[str]:
        ordered = [line for row in text_rows([line.box for line in lines]) for line in map(TextLine.of, row)]
        readings = [(line.box, self._read(page, line)) for line in ordered]
        found = [page.original(box) for box in find_text(wanted, readings)]
        if found:
            yield reference_of(plain(wanted), found, page.box)

    def _tables(self, page: _Page, parts: Sequence[Part], lines: Sequence[TextLine]) -> Iterator[str]:
        tables = [part for part in parts if part.kind == "table"]
        if not tables and len(lines) > 3:
            whole = Part("table", union(line.box for line in lines), lines=tuple(lines))
            if _is_columnar(lines):
                tables = [whole]
        for table in tables:
            yield from self._write(page, "table", table.box, self._table(page, table, html=True), True)
        if not tables:
            yield from self._blocks(page, parts, grounding=False)

    def _table(self, page: _Page, part: Part, html: bool) -> str:
        cells = read_table(part.box, part.lines, page.ink, lambda line: self._text(page, line))
        if not any(text for *_, text in cells):
            return ""
        return html_table(cells) if html else plain(text_table(cells))

    def _blocks(self, page: _Page, parts: Sequence[Part], grounding: bool) -> Iterator[str]:
        body, strokes = self._body(page, parts)
        headings = [part for part in parts if is_heading(part, body, strokes.get(id(part), 0.0))]
        title = title_of(headings, body, page.box)
        for part in parts:
            _check(page.stop)
            if part.kind == "image":
                if grounding:
                    yield grounded("image", page.original(part.box), page.box, "")
            elif part.kind == "table":
                yield from self._write(page, "table", part.box, self._table(page, part, grounding), grounding)
            else:
                rows = [ReadRow(self._row_text(page, row), row.box, row.height) for row in part.rows]
                heading = any(part is other for other in headings)
                yield from self._text_blocks(page, part, rows, heading, part is title, grounding)

    def _text_blocks(
        self, page: _Page, part: Part, rows: Sequence[ReadRow], heading: bool, title: bool, grounding: bool
    ) -> Iterator[str]:
        rows = [row for row in rows if row.text]
        if not rows:
            return
        page.words.update(word.lower() for row in rows for word in _WORD.findall(row.text)[:-1])
        whole = Paragraph(join_lines([row.text for row in rows], page.words), part.box)
        if part.kind in ("header", "footer"):
            label = "page_number" if _PAGE_NUMBER.match(whole.text) else part.kind
            yield from self._write(page, label, whole.box, plain(whole.text), grounding)
        elif part.kind in ("equation", "aside_text"):
            yield from self._write(page, part.kind, whole.box, plain(whole.text), grounding)
        elif heading and heading_text(whole.text):
            marks = "#" if title else "#" * (depth_of(whole.text) + 1)
            text = f"{marks} {plain(whole.text)}" if grounding else plain(whole.text)
            yield from self._write(page, "title" if title else "sub_title", whole.box, text, grounding)
        else:
            for paragraph in paragraphs_of(rows, page.words):
                label = _text_label(part.label, paragraph.text)
                yield from self._write(page, label, paragraph.box, plain(paragraph.text), grounding)

    def _write(self, page: _Page, label: str, box: Box, content: str, grounding: bool) -> Iterator[str]:
        if content:
            yield grounded(label, page.original(box), page.box, content) if grounding else f"{content}\n\n"

    def _body(self, page: _Page, parts: Sequence[Part]) -> tuple[Body, dict[int, float]]:
        """Return the look of the body text, and the weight of each part that may be a heading by it."""
        texts = [part for part in parts if part.kind == "text"]
        widest = sorted((row for part in texts for row in part.rows), key=lambda row: -width(row.box))
        body = body_of(parts, [self._stroke(page, row) for row in widest[:_ENOUGH_STROKES]])
        strokes = {id(part): self._stroke(page, part.rows[0]) for part in texts if len(part.rows) == 1}
        return body, strokes

    def _stroke(self, page: _Page, row: Row) -> float:
        return stroke_width(page.image, row.box) / max(row.height, 1.0)


def _text_label(label: str, text: str) -> str:
    if label.endswith("caption") or re.match(r"^\S+\s*\d+\s*[|:.]\s", text):
        if _FIGURE_CAPTION.match(text):
            return "image_caption"
        if _TABLE_CAPTION.match(text):
            return "table_caption"
    return {
        "figure_caption": "image_caption",
        "table_caption": "table_caption",
        "reference": "reference",
    }.get(label, "text")


def _is_columnar(lines: Sequence[TextLine]) -> bool:
    """Tell whether a page's text stands in aligned columns: most rows have several pieces."""
    rows = text_rows([line.box for line in lines])
    return len(rows) >= 2 and sum(len(row) > 1 for row in rows) > 0.6 * len(rows)


def _check(stop: threading.Event) -> None:
    if stop.is_set():
        raise Stopped
