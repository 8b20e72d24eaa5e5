"""The generated set: pages of many kinds, drawn from a seed, whose truth is exact."""

import io
import random
from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image

from benchmarks.reading.drawn_tables import Rules, draw_table, plan_table
from benchmarks.reading.scanning import as_picture, scanned, turned
from benchmarks.reading.sheet import Align, Family, Sheet
from benchmarks.reading.truth import TruthPage
from benchmarks.reading.vocabulary import Writer
from deployments.types import BlockType

SEED = 9
_LEFT, _RIGHT, _BOTTOM = 62.0, 533.0, 770.0
_FORMULAS = (
    r"E = m c^2",
    r"\int_0^1 x^2 \, dx = \frac{1}{3}",
    r"\sum_{k=1}^{n} k = \frac{n(n+1)}{2}",
    r"a^2 + b^2 = c^2",
    r"\frac{\partial u}{\partial t} = \alpha \nabla^2 u",
    r"P(A \mid B) = \frac{P(B \mid A) P(A)}{P(B)}",
    r"x = \frac{-b \pm \sqrt{b^2 - 4ac}}{2a}",
    r"\lim_{n \to \infty} \left(1 + \frac{1}{n}\right)^n = e",
)


def generated(per_kind: int, seed: int = SEED) -> list[TruthPage]:
    """Return so many pages of each kind; the same for the same seed."""
    return [
        draw(random.Random(f"{seed}/{kind}/{number}"), f"{kind}-{number}", kind)
        for kind, draw in KINDS.items()
        for number in range(per_kind)
    ]


def prose(rng: random.Random, name: str, kind: str, language: str = "english") -> TruthPage:
    """A page in one column with a title, headings and paragraphs, some of them indented."""
    writer = Writer(rng, language)
    family: Family = "cjk" if writer.is_cjk else rng.choice(("serif", "sans"))
    sheet = Sheet(family=family)
    size = rng.choice((9.5, 10.5, 11.5))
    y = sheet.heading(writer.heading(), _LEFT, 60, _RIGHT, rng.choice((18, 22))) + 14
    indent = rng.choice((0.0, 14.0))
    while y < _BOTTOM - 150:
        if rng.random() < 0.35:
            y = sheet.heading(writer.heading(), _LEFT, y + 8, _RIGHT, size + 3) + 6
        align: Align = rng.choice(("justify", "left"))
        text = writer.paragraph(rng.randint(3, 5))
        y = sheet.text(text, _LEFT, y, _RIGHT, size, indent=indent, align=align) + (3 if indent else 10)
    return sheet.finish(name, kind)


def columns(rng: random.Random, name: str, kind: str) -> TruthPage:
    """A title over two or three columns with headings, at times a figure in one; words are hyphenated."""
    writer = Writer(rng)
    sheet = Sheet()
    number = 3 if rng.random() < 0.3 else 2
    gutter = rng.choice((14.0, 18.0, 24.0))
    wide = (_RIGHT - _LEFT - gutter * (number - 1)) / number
    y = sheet.heading(writer.heading() + " " + writer.heading(), _LEFT, 56, _RIGHT, 19) + 16
    if rng.random() < 0.6:
        y = sheet.text(writer.paragraph(3), _LEFT + 30, y, _RIGHT - 30, 9.5) + 14
    has_figure = rng.random() < 0.5
    for column in range(number):
        left = _LEFT + column * (wide + gutter)
        at = y
        if has_figure and column == number - 1:
            at = _figure(sheet, rng, writer, left, at, left + wide) + 12
        last = column == number - 1
        while at < (_BOTTOM - rng.choice((0, 120)) if last else _BOTTOM) - 90:
            if rng.random() < 0.25:
                at = sheet.heading(writer.heading(), left, at + 6, left + wide, 11.5) + 5
            text = writer.paragraph(rng.randint(2, 3))
            at = sheet.text(text, left, at, left + wide, 9.5, indent=10, hyphens=True) + 4
    return sheet.finish(name, kind)


def sidebar(rng: random.Random, name: str, kind: str) -> TruthPage:
    """Running text beside a shaded box, under a running head and above a foot with the page's number."""
    writer = Writer(rng)
    sheet = Sheet()
    head = f"{writer.heading()} {rng.randint(1900, 2026)}"
    sheet.text(head, _LEFT, 30, _RIGHT, 8.5, type_=BlockType.HEADER, align=rng.choice(("left", "centre")))
    split = 375.0
    y = sheet.heading(writer.heading(), _LEFT, 70, split, 18) + 12
    while y < _BOTTOM - 100:
        y = sheet.text(writer.paragraph(rng.randint(2, 4)), _LEFT, y, split - 12, 10) + 8
    sheet.page.draw_rect((split + 8, 120, _RIGHT, 420), color=None, fill=(0.92, 0.94, 0.97))
    at = sheet.heading(writer.heading(), split + 18, 132, _RIGHT - 10, 12) + 6
    while at < 340:
        at = sheet.text(writer.paragraph(1), split + 18, at, _RIGHT - 10, 9, align="left") + 6
    sheet.text(str(rng.randint(2, 480)), _LEFT, 798, _RIGHT, 9, type_=BlockType.FOOTER, align="centre")
    return sheet.finish(name, kind)


def lists(rng: random.Random, name: str, kind: str) -> TruthPage:
    """Paragraphs between lists with bullets and with numbers."""
    writer = Writer(rng)
    sheet = Sheet(family=rng.choice(("serif", "sans")))
    y = sheet.heading(writer.heading(), _LEFT, 60, _RIGHT, 18) + 12
    while y < _BOTTOM - 190:
        y = sheet.text(writer.paragraph(2), _LEFT, y, _RIGHT) + 8
        numbered = rng.random() < 0.5
        for number in range(1, rng.randint(4, 7)):
            mark = f"{number}." if numbered else "•"
            item = f"{mark} {writer.paragraph(rng.randint(1, 2))}"
            y = sheet.text(item, _LEFT + 16, y, _RIGHT, type_=BlockType.LIST, align="left", hang=11) + 3
        y += 8
    return sheet.finish(name, kind)


def formulas(rng: random.Random, name: str, kind: str) -> TruthPage:
    """Paragraphs with displayed formulas between them, some numbered."""
    writer = Writer(rng)
    sheet = Sheet()
    y = sheet.heading(writer.heading(), _LEFT, 60, _RIGHT, 18) + 12
    for number, latex in enumerate(rng.sample(_FORMULAS, 5), 1):
        y = sheet.text(writer.paragraph(rng.randint(2, 3)), _LEFT, y, _RIGHT) + 12
        picture, wide, tall = _formula(latex)
        left = (_LEFT + _RIGHT - wide) / 2
        sheet.page.insert_image((left, y, left + wide, y + tall), stream=picture)
        sheet.note(BlockType.EQUATION, latex, (left, y, left + wide, y + tall))
        if rng.random() < 0.5:
            sheet.line(_RIGHT - 18, y + tall / 2 + 4, f"({number})", 10.5)
        y += tall + 12
    sheet.text(writer.paragraph(3), _LEFT, y, _RIGHT)
    return sheet.finish(name, kind)


def tables(
    rules: Rules, spans: bool, language: str = "english"
) -> Callable[[random.Random, str, str], TruthPage]:
    """Return what draws pages with two tables of a kind, captions over them and text around."""

    def draw(rng: random.Random, name: str, kind: str) -> TruthPage:
        writer = Writer(rng, language)
        sheet = Sheet(family="cjk" if writer.is_cjk else "serif")
        y = sheet.text(writer.paragraph(3), _LEFT, 60, _RIGHT) + 14
        for number in (1, 2):
            caption = f"Table {number}: {writer.sentence()}"
            y = sheet.text(caption, _LEFT, y, _RIGHT, 9.5, type_=BlockType.CAPTION, align="left") + 6
            plan = plan_table(rng, rules, spans=spans, language=language)
            y = draw_table(sheet, plan, _LEFT, y, _RIGHT) + 20
            y = sheet.text(writer.paragraph(rng.randint(2, 3)), _LEFT, y, _RIGHT) + 16
        return sheet.finish(name, kind)

    return draw


def sizes(rng: random.Random, name: str, kind: str) -> TruthPage:
    """By turns a page as small as a stamp card, a poster of 35 million pixels, and a PNG of 16 bits."""
    writer = Writer(rng)
    which = int(name.rpartition("-")[2]) % 3
    if which == 0:
        sheet = Sheet(210, 150)
        sheet.text(writer.paragraph(3), 12, 12, 198, 8.5, align="left")
        return sheet.finish(name, kind)
    sheet = Sheet()
    y = sheet.heading(writer.heading(), _LEFT, 60, _RIGHT, 22) + 14
    for _ in range(4):
        y = sheet.text(writer.paragraph(4), _LEFT, y, _RIGHT, 11) + 10
    page = sheet.finish(name, kind)
    return as_picture(page, 600) if which == 1 else as_picture(page, 144, deep=True)


def scans(rng: random.Random, name: str, kind: str) -> TruthPage:
    """Prose, scanned at 150 or 200 dpi."""
    return scanned(prose(rng, name, kind), rng, rng.choice((150, 200)))


def scanned_columns(rng: random.Random, name: str, kind: str) -> TruthPage:
    """Columns, scanned at 200 dpi."""
    return scanned(columns(rng, name, kind), rng, 200)


def rotations(rng: random.Random, name: str, kind: str) -> TruthPage:
    """Prose turned by 90, 180 or 270 degrees."""
    return turned(prose(rng, name, kind), rng.choice((1, 2, 3)))


def _in(language: str) -> Callable[[random.Random, str, str], TruthPage]:
    def draw(rng: random.Random, name: str, kind: str) -> TruthPage:
        return prose(rng, name, kind, language)

    return draw


def _accents(rng: random.Random, name: str, kind: str) -> TruthPage:
    return prose(rng, name, kind, rng.choice(("french", "german", "spanish", "polish", "czech")))


def _figure(sheet: Sheet, rng: random.Random, writer: Writer, left: float, top: float, right: float) -> float:
    """Draw a picture and its caption; returns where they end."""
    wide, tall = right - left, rng.uniform(80, 130)
    noise = np.random.default_rng(rng.randrange(2**32)).integers(0, 255, (12, 16, 3), np.uint8)
    picture = cv2.GaussianBlur(cv2.resize(noise, (480, 360), interpolation=cv2.INTER_CUBIC), (31, 31), 0)
    data = bytes(cv2.imencode(".png", picture)[1])
    sheet.page.insert_image((left, top, right, top + tall), stream=data, keep_proportion=False)
    sheet.note(BlockType.IMAGE, "", (left, top, left + wide, top + tall))
    caption = f"Figure {rng.randint(1, 9)}: {writer.sentence()}"
    return sheet.text(caption, left, top + tall + 6, right, 8.5, type_=BlockType.CAPTION, align="left")


def _formula(latex: str) -> tuple[bytes, float, float]:
    """Return a formula as a PNG, and its width and height in points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.mathtext import math_to_image

    buffer = io.BytesIO()
    math_to_image(f"${latex}$", buffer, prop=FontProperties(size=12), dpi=288, format="png")
    with Image.open(buffer) as picture:
        wide, tall = picture.size
    return buffer.getvalue(), wide / 4, tall / 4


KINDS: dict[str, Callable[[random.Random, str, str], TruthPage]] = {
    "prose": prose,
    "columns": columns,
    "sidebar": sidebar,
    "lists": lists,
    "formulas": formulas,
    "ruled tables": tables("full", spans=False),
    "ruled tables, spans": tables("full", spans=True),
    "half-ruled tables": tables("booktabs", spans=False),
    "half-ruled tables, spans": tables("booktabs", spans=True),
    "unruled tables": tables("none", spans=False),
    "accents": _accents,
    "greek": _in("greek"),
    "russian": _in("russian"),
    "chinese": _in("chinese"),
    "chinese tables": tables("full", spans=True, language="chinese"),
    "japanese": _in("japanese"),
    "scans": scans,
    "scanned columns": scanned_columns,
    "rotations": rotations,
    "sizes": sizes,
}
"""What draws a page of each kind."""
