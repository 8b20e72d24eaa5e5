"""Page images as a business sees them: seeded, typeset documents, drawn and tiled by the project's own code.

The GPU's work does not depend on what a page shows, the CPU's does: blank rows and grey pages are
cheaper to prepare. So there are one- and two-column pages, tables, and photographs in colour.
"""

from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pymupdf
from PIL import Image

from deployments.preprocess.preprocessor import Preprocessor
from deployments.preprocess.settings import DocumentLimits, ViewSettings
from deployments.tokenizer import load_tokenizer
from deployments.types import EngineInput, PageRequest, PreparedPage

PAGE_POINTS = (595.3, 841.9)
"""A4; at 144 dpi 1191 x 1684 pixels, which become 2 x 3 tiles and 1,130 prompt tokens."""

DPI = 144
SYLLABLES = (
    "be",
    "co",
    "de",
    "en",
    "fi",
    "ga",
    "ho",
    "in",
    "lu",
    "ma",
    "no",
    "qui",
    "ra",
    "se",
    "ti",
    "ther",
    "tion",
)


def make_pdf(count: int, seed: int) -> bytes:
    """Typeset `count` pages."""
    document = pymupdf.open()
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        width, height = PAGE_POINTS
        page = document.new_page(width=width, height=height)
        top = 50.0
        if number % 3 == 0:
            picture = pymupdf.Rect(50, top, width - 50, top + 190)
            page.insert_image(picture, stream=_photograph(rng), keep_proportion=False)
            top += 200
        columns = 2 if number % 2 else 1
        gap, left = 16.0, 50.0
        column_width = (width - 2 * left - gap * (columns - 1)) / columns
        for column in range(columns):
            x = left + column * (column_width + gap)
            table = _table(rng) if (number + column) % 4 == 1 else ""
            html = f"<h2>{_words(rng, 5).title()}</h2>{_paragraphs(rng, 2)}{table}{_paragraphs(rng, 9)}"
            page.insert_htmlbox(
                pymupdf.Rect(x, top, x + column_width, height - 50),
                html,
                css="* {font-family: serif; font-size: 10px; text-align: justify} td {border: 1px solid}",
                scale_low=0,
            )
    return bytes(document.tobytes(garbage=3, deflate=True))


def page_images(pdf: Path, count: int) -> list[Image.Image]:
    """Draw the first `count` pages, as a user of vLLM's own renderer would."""
    with pymupdf.open(pdf) as document:
        pixmaps = [
            document[number % len(document)].get_pixmap(dpi=DPI, alpha=False) for number in range(count)
        ]
    return [Image.frombytes("RGB", (pixmap.width, pixmap.height), pixmap.samples) for pixmap in pixmaps]


def single_pages(pdf: Path, count: int) -> list[bytes]:
    """Return the first `count` pages as documents of their own."""
    found = []
    with pymupdf.open(pdf) as document:
        for number in range(count):
            with pymupdf.open() as single:
                single.insert_pdf(document, from_page=number % len(document), to_page=number % len(document))
                found.append(bytes(single.tobytes(garbage=3, deflate=True)))
    return found


def preprocessor(model: str, views: ViewSettings) -> Preprocessor:
    """Return the project's own, for an engine that takes views."""
    return Preprocessor(DocumentLimits(), views, EngineInput.VIEWS, load_tokenizer(Path(model)))


def prepared_pages(
    pdf: Path, count: int, model: str, views: ViewSettings, threads: int = 8
) -> list[PreparedPage]:
    """Prepare the first `count` pages; no thread is left when this returns, since engines fork."""
    data, prepare = pdf.read_bytes(), preprocessor(model, views).prepare
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda number: prepare(data, number, PageRequest(dpi=DPI)), range(count)))


def _words(rng: np.random.Generator, count: int) -> str:
    return " ".join("".join(rng.choice(SYLLABLES, rng.integers(1, 5))) for _ in range(count))


def _paragraphs(rng: np.random.Generator, count: int) -> str:
    return "".join(f"<p>{_words(rng, int(rng.integers(40, 110))).capitalize()}.</p>" for _ in range(count))


def _table(rng: np.random.Generator) -> str:
    rows = "".join(
        f"<tr><td>{_words(rng, 2)}</td>"
        + "".join(f"<td>{n:,}</td>" for n in rng.integers(1, 10**6, 3))
        + "</tr>"
        for _ in range(8)
    )
    return f"<table>{rows}</table>"


def _photograph(rng: np.random.Generator) -> bytes:
    """A JPEG with the smooth colours and the grain of a photograph."""
    coarse = Image.fromarray(rng.integers(0, 256, (9, 16, 3), dtype=np.uint8)).resize(
        (800, 320), Image.Resampling.BICUBIC
    )
    grain = rng.normal(0, 6, (320, 800, 1))
    pixels = np.clip(np.asarray(coarse, dtype=np.float64) + grain, 0, 255).astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
