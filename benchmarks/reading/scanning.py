"""Making a drawn page look scanned: paper, light, blur, noise, skew and JPEG."""

import io
import random
from dataclasses import replace

import cv2
import numpy as np
import pymupdf
from PIL import Image

from benchmarks.reading.truth import TruthBlock, TruthPage
from deployments.postprocess.turning import turn
from deployments.types import Box, Pixels


def drawn(page: TruthPage, dpi: int) -> Pixels:
    """Return a PDF page's picture."""
    with pymupdf.open(stream=page.document) as document:
        picture = document[page.index].get_pixmap(dpi=dpi, alpha=False)
        return np.frombuffer(picture.samples, np.uint8).reshape(picture.height, picture.width, 3).copy()


def scanned(page: TruthPage, rng: random.Random, dpi: int = 150) -> TruthPage:
    """Return a page as a scanner gives it, at a strength drawn for each page.

    Yellowish paper with uneven light; Gaussian blur of 0.4 to 0.9 pixels; noise of 4 to 12 levels; up to
    2 degrees of skew; JPEG of quality 55 to 85.

    Args:
        page: drawn; a PDF.
        rng: where the strengths come from.
        dpi: of the scanner.
    """
    pixels = drawn(page, dpi)
    rows, columns = pixels.shape[:2]
    angle = rng.uniform(-2, 2)
    turn = cv2.getRotationMatrix2D((columns / 2, rows / 2), angle, 1.0)
    skewed = cv2.warpAffine(pixels, turn, (columns, rows), flags=cv2.INTER_CUBIC, borderValue=(255, 255, 255))
    blurred = cv2.GaussianBlur(skewed, (0, 0), rng.uniform(0.4, 0.9)).astype(np.float32)
    light = np.linspace(rng.uniform(0.86, 1), rng.uniform(0.86, 1), columns, dtype=np.float32)[None, :, None]
    paper = np.array([250, 246, 232], np.float32) / 255
    noise = np.random.default_rng(rng.randrange(2**32)).normal(0, rng.uniform(4, 12), blurred.shape)
    shaded = ((20 + blurred * (235 / 255)) * light * paper + noise).clip(0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(shaded).save(buffer, "JPEG", quality=rng.randint(55, 85))
    scale = dpi / page.dpi
    blocks = tuple(replace(block, box=_moved(block, turn, scale)) for block in page.blocks)
    return replace(page, document=buffer.getvalue(), blocks=blocks)


def turned(page: TruthPage, quarters: int) -> TruthPage:
    """Return a page as a picture turned by quarters, counter-clockwise, its boxes with it."""
    pixels = drawn(page, page.dpi)
    tall, wide = pixels.shape[:2]
    blocks = tuple(
        replace(block, box=block.box and turn(block.box, -90 * quarters, wide, tall)) for block in page.blocks
    )
    return replace(page, document=_png(np.ascontiguousarray(np.rot90(pixels, quarters))), blocks=blocks)


def as_picture(page: TruthPage, dpi: int, *, deep: bool = False) -> TruthPage:
    """Return a page as a PNG at another resolution.

    Args:
        page: drawn; a PDF.
        dpi: of the picture.
        deep: whether it has one channel of 16 bits.
    """
    pixels = drawn(page, dpi)
    if deep:
        grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.uint16) * 257
        data = bytes(cv2.imencode(".png", grey)[1])
    else:
        data = _png(pixels)
    still = np.array([[1, 0, 0], [0, 1, 0]], np.float64)
    blocks = tuple(replace(block, box=_moved(block, still, dpi / page.dpi)) for block in page.blocks)
    return replace(page, document=data, blocks=blocks)


def _png(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _moved(block: TruthBlock, turn: object, scale: float) -> Box | None:
    """Return the upright box around a block's box once it is scaled and turned."""
    if block.box is None:
        return None
    x1, y1, x2, y2 = (value * scale for value in block.box)
    corners = np.array([[x1, y1, 1], [x2, y1, 1], [x2, y2, 1], [x1, y2, 1]]) @ np.asarray(turn).T
    left, top = np.floor(corners.min(axis=0)).astype(int).tolist()
    right, bottom = np.ceil(corners.max(axis=0)).astype(int).tolist()
    return Box(max(left, 0), max(top, 0), right, bottom)
