"""Reads a page: finds its parts, then writes them one by one in reading order."""

import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import cv2

from deployments.model.embedded.geometry import overlap_y, union
from deployments.model.embedded.headings import body_of, is_heading, title_of
from deployments.model.embedded.ink import Ink, ink_of, is_dotted, stroke_width
from deployments.model.embedded.layout import LayoutReader
from deployments.model.embedded.lines import LineReader, Reading, TextLine
from deployments.model.embedded.locate import find_text
from deployments.model.embedded.markup_writer import grounded, html_table, plain, reference_of, text_table
from deployments.model.embedded.paragraphs import ReadRow
from deployments.model.embedded.parts import Part, parts_of
from deployments.model.embedded.pictures import find_pictures
from deployments.model.embedded.prompts import Form, Wish
from deployments.model.embedded.rows import Row
from deployments.model.embedded.settings import EmbeddedSettings
from deployments.model.embedded.skew import Straightening, enlargement, skew_angle, straighten
from deployments.model.embedded.table_extents import fitted, missed_tables
from deployments.model.embedded.table_reader import read_table
from deployments.model.embedded.tabular import is_columnar, with_tables, without_caption, without_prose
from deployments.model.embedded.text_blocks import TextBlock, is_table_caption, text_blocks
from deployments.model.embedded.weights import recognition_files
from deployments.types import Box, Pixels

_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")


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
    """A page under way.

    Attributes:
        image: as it is read: level, and enlarged if it was tiny.
        box: of the page as it came.
        straightening: how the image was made from the page, or None where it is the page.
        tally: of what was read.
        stop: set when the work is called off.
        words: read so far, in lower case.
    """

    image: Pixels
    box: Box
    straightening: Straightening | None
    tally: Tally
    stop: threading.Event
    words: set[str] = field(default_factory=set)

    @cached_property
    def ink(self) -> Ink:
        """The image's ink."""
        return ink_of(self.image)

    @property
    def frame(self) -> Box:
        """The image's own box."""
        return self.straightening.box if self.straightening else self.box

    def original(self, box: Box) -> Box:
        """Return a box where it lies on the page as it came."""
        return self.straightening.original(box, self.box) if self.straightening else box

    def check(self) -> None:
        """Raise `Stopped` if the work was called off."""
        if self.stop.is_set():
            raise Stopped


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
        page, lines = self._prepare(image, tally, stop)
        if wish.form is Form.LOCATE:
            yield from self._locate(page, lines, wish.wanted)
            return
        regions = self._layout.find(page.image) if self._layout and lines else []
        regions = without_prose(with_tables(regions, lines, page.ink), lines, page.ink)
        regions = fitted(regions, lines, page.ink)
        regions += missed_tables(
            regions, lines, lambda line: is_table_caption(self._lines.read(page.image, line).text)
        )
        page.check()
        regions += find_pictures(page.image, [line.box for line in lines], regions)
        parts = parts_of(
            lines,
            regions,
            page.frame,
            lambda gap: is_dotted(page.ink, gap),
            lambda box: stroke_width(page.image, box),
        )
        if wish.form is Form.TABLES:
            tables = [part for part in parts if part.kind == "table"]
            if not tables and is_columnar(lines):
                tables = [Part("table", union(line.box for line in lines), lines=tuple(lines))]
            if tables:
                yield from self._blocks(page, tables, grounding=True)
                return
        yield from self._blocks(page, parts, grounding=wish.form is Form.GROUNDED)

    def _prepare(self, image: Pixels, tally: Tally, stop: threading.Event) -> tuple[_Page, list[TextLine]]:
        """Find the lines; make the page level and its text large enough to read."""
        box = Box(0, 0, image.shape[1], image.shape[0])
        page = _Page(image, box, None, tally, stop)
        page.check()
        lines = self._lines.detect(image)
        page.check()
        angle, scale = skew_angle(lines), enlargement(lines, box)
        if angle or scale > 1:
            page.straightening = straighten(box, angle, scale)
            page.image = page.straightening.image(image)
            lines = [page.straightening.line(line) for line in lines]
            if scale > 1:
                lines = self._lines.detect(page.image)
                page.check()
        return page, lines

    def _read(self, page: _Page, line: TextLine) -> Reading:
        page.check()
        reading = self._lines.read(page.image, line)
        if reading.score < self._text_confidence or not reading.text.strip():
            return Reading("", 0.0)
        page.tally.count(reading)
        page.words.update(word.lower() for word in _WORD.findall(reading.text)[:-1])
        return reading

    def _text(self, page: _Page, line: TextLine) -> str:
        return self._read(page, line).text.strip()

    def _row(self, page: _Page, row: Row) -> ReadRow:
        texts = [text for text in (self._text(page, piece) for piece in row.pieces) if text]
        if row.is_entry and len(texts) > 1:
            texts[-2] = f"{texts[-2].rstrip(' .')} ..."
        return ReadRow(" ".join(texts), row.box, row.height)

    def _locate(self, page: _Page, lines: Sequence[TextLine], wanted: str) -> Iterator[str]:
        ordered = sorted(lines, key=lambda line: (line.box.y1, line.box.x1))
        readings = [(line.box, self._read(page, line)) for line in ordered]
        found = [page.original(box) for box in find_text(wanted, readings)]
        if found:
            yield reference_of(plain(wanted), found, page.box)

    def _blocks(self, page: _Page, parts: Sequence[Part], grounding: bool) -> Iterator[str]:
        body = body_of(parts)
        headings = [part for part in parts if is_heading(part, body)]
        title = title_of(headings, body, page.frame)
        drawn = [part.box for part in parts if part.kind in ("image", "table")]
        for part in parts:
            page.check()
            if part.kind == "image":
                if grounding:
                    yield grounded("image", page.original(part.box), page.box, "")
                continue
            if part.kind == "table":
                blocks = self._table(page, part, grounding)
            else:
                rows = [row for row in (self._row(page, row) for row in part.rows) if row.text]
                blocks = text_blocks(
                    part,
                    rows,
                    page.words,
                    heading=any(part is other for other in headings),
                    title=part is title,
                    near_figure=any(-overlap_y(part.box, box) < 3 * part.height for box in drawn),
                )
            for block in blocks:
                if block.text:
                    yield _written(page, block, grounding)

    def _table(self, page: _Page, part: Part, as_html: bool) -> list[TextBlock]:
        """Read a table, and its caption where that stands in its box."""
        known: dict[Box, str] = {}

        def read(line: TextLine) -> str:
            if line.box not in known:
                known[line.box] = self._text(page, line)
            return known[line.box]

        found = without_caption(part.lines, read, is_table_caption)
        box, blocks = part.box, []
        if found.box is not None:
            blocks.append(TextBlock("table_caption", found.box, found.caption))
            box = box._replace(y1=max(box.y1, min(found.box.y2, box.y2 - 1)))
        cells = read_table(box, found.lines, page.ink, read)
        if any(text for *_, text in cells):
            blocks.append(TextBlock("table", box, html_table(cells) if as_html else text_table(cells)))
        return blocks


def _written(page: _Page, block: TextBlock, grounding: bool) -> str:
    content = block.text if block.label == "table" and grounding else plain(block.text)
    if not grounding:
        return f"{content}\n\n"
    if block.level:
        content = f"{'#' * block.level} {content}"
    elif block.label == "image_caption":
        content = f"<center>{content}</center>"  # as the model writes it
    return grounded(block.label, page.original(block.box), page.box, content)
