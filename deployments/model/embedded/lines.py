"""Text lines: where they are on a page, and what they say."""

import logging
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from omegaconf import OmegaConf
from rapidocr.ch_ppocr_det import TextDetector
from rapidocr.ch_ppocr_rec import TextRecInput, TextRecognizer
from rapidocr.utils.typings import EngineType

from deployments.model.embedded.weights import RecognitionFiles, open_session
from deployments.types import Box, Pixels

Quad = npt.NDArray[np.float32]
"""Corners of a line, clockwise from its top left: shape (4, 2), x before y."""

_SMALLEST_SIDE = 32  # the detector's stride: it can't take less
_GLYPH = 4  # heights over widths up to which a box may hold a single character
_LONGEST = 120  # heights of a line; a longer one, a rule rather than text, is squeezed to bound its cost


@dataclass(frozen=True)
class TextLine:
    """A line, or a piece of one, before it is read."""

    quad: Quad

    @cached_property
    def box(self) -> Box:
        """The upright box around it."""
        left, top = np.floor(self.quad.min(axis=0)).astype(int).tolist()
        right, bottom = np.ceil(self.quad.max(axis=0)).astype(int).tolist()
        return Box(left, top, max(right, left + 1), max(bottom, top + 1))

    @cached_property
    def length(self) -> float:
        """Length of its upper edge in pixels."""
        return float(np.linalg.norm(self.quad[1] - self.quad[0]))

    @cached_property
    def height(self) -> float:
        """Height of its letters' band in pixels, whatever its angle."""
        across = float(np.linalg.norm(self.quad[3] - self.quad[0]))
        return min(self.length, across) if self.is_vertical else across

    @cached_property
    def is_vertical(self) -> bool:
        """Whether it runs up or down the page, as in the margin of a preprint."""
        return float(np.linalg.norm(self.quad[3] - self.quad[0])) > 2 * self.length

    @cached_property
    def slope(self) -> float:
        """Angle of its upper edge in degrees, positive when it falls to the right."""
        run, rise = (self.quad[1] - self.quad[0]).tolist()
        return float(np.degrees(np.arctan2(rise, run)))

    @classmethod
    def of(cls, box: Box) -> "TextLine":
        """Make an upright line."""
        x1, y1, x2, y2 = box
        return cls(np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float32))


@dataclass(frozen=True, slots=True)
class Reading:
    """What a line says.

    Attributes:
        text: its characters.
        score: mean probability of its characters, 0 to 1.
        places: where each character of `text` is, as a part of the line's length from its start.
    """

    text: str
    score: float
    places: tuple[float, ...] = ()


class LineReader:
    """Finds and reads lines with PP-OCRv6 through rapidocr's detector and recogniser.

    Neither its orientation classifier nor its downloads are used: sessions are made here, from files.
    One instance serves several threads.
    """

    def __init__(self, files: RecognitionFiles, threads: int, detection_side: int) -> None:
        logging.getLogger("RapidOCR").setLevel(logging.WARNING)
        self._side = detection_side
        # Thresholds are rapidocr's defaults for these models (its config.yaml); the limit on
        # candidates is higher for pages full of figures.
        self._detector = TextDetector(
            _options(
                session=open_session(files.detection, threads),
                limit_side_len=detection_side,
                limit_type="max",
                mean=[0.5, 0.5, 0.5],
                std=[0.5, 0.5, 0.5],
                thresh=0.3,
                box_thresh=0.5,
                unclip_ratio=1.6,
                use_dilation=True,
                max_candidates=3000,
            )
        )
        # One line at a time: lines differ in length, and padding them to one length costs more.
        self._recogniser = TextRecognizer(
            _options(
                session=open_session(files.recognition, threads),
                rec_batch_num=1,
                rec_img_shape=[3, 48, 96],
                rec_keys_path=None if files.dictionary is None else str(files.dictionary),
                lang_type="ch",
                font_path=None,
            )
        )

    def detect(self, image: Pixels) -> list[TextLine]:
        """Return the lines of a page, in no order.

        Args:
            image: RGB, shape (height, width, 3).
        """
        rows, columns = image.shape[:2]
        scale = min(1.0, self._side / max(rows, columns))
        if scale < 1:
            size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        below, beside = (max(0, _SMALLEST_SIDE - side) for side in image.shape[:2])
        padded = np.pad(image[:, :, ::-1], ((0, below), (0, beside), (0, 0)), mode="edge")
        found = self._detector(padded)
        if found.boxes is None:
            return []
        limit = np.array([columns, rows], np.float32)
        return [TextLine(np.minimum(np.asarray(quad, np.float32) / scale, limit)) for quad in found.boxes]

    def read(self, image: Pixels, line: TextLine) -> Reading:
        """Read one line of a page.

        Args:
            image: RGB, shape (height, width, 3).
            line: where to read.
        """
        if min(line.length, line.height) < 2:
            return Reading("", 0.0)
        crop = _cut_out(image, line)
        if not line.is_vertical:
            return self._recognise(crop)
        turned = np.rot90(crop)
        if crop.shape[0] > _GLYPH * crop.shape[1]:
            return self._recognise(turned)
        # A tall box may hold a line that runs up the page, or a single digit or letter.
        return max(self._recognise(crop), self._recognise(turned), key=lambda reading: reading.score)

    def _recognise(self, crop: Pixels) -> Reading:
        """Read a cut-out line whose letters stand upright."""
        tall, wide = crop.shape[:2]
        if wide > _LONGEST * tall:
            crop = np.asarray(
                cv2.resize(crop, (_LONGEST * tall, tall), interpolation=cv2.INTER_AREA), np.uint8
            )
        # Any: rapidocr's annotations promise less than it returns when asked for the characters' places.
        result: Any = self._recogniser(
            TextRecInput(img=np.ascontiguousarray(crop[:, :, ::-1]), return_word_box=True)
        )
        text, info = result.txts[0], result.word_results[0]
        places = [column for columns in info.word_cols for column in columns]
        return Reading(text, float(result.scores[0]), _places(text, places, info.line_txt_len))


def _cut_out(image: Pixels, line: TextLine) -> Pixels:
    """Return a line's own pixels, its upper edge level: shape (its height, its length, 3)."""
    wide = max(1, round(float(np.linalg.norm(line.quad[[0, 3]] - line.quad[[1, 2]], axis=1).max())))
    tall = max(1, round(float(np.linalg.norm(line.quad[[0, 1]] - line.quad[[3, 2]], axis=1).max())))
    corners = np.array([[0, 0], [wide, 0], [wide, tall], [0, tall]], np.float32)
    turn = cv2.getPerspectiveTransform(line.quad, corners)
    cut = cv2.warpPerspective(
        image, turn, (wide, tall), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(cut, np.uint8)


def _options(**options: object) -> Any:
    """Return what rapidocr's parts take as settings; sessions are no plain values, so it must be told."""
    return OmegaConf.create({"engine_type": EngineType.ONNXRUNTIME, **options}, flags={"allow_objects": True})


def _places(text: str, columns: list[int], length: float) -> tuple[float, ...]:
    """Return each character's place; the recogniser gives none for spaces, which take their neighbour's."""
    places: list[float] = []
    remaining = iter(columns)
    last = 0.0
    for character in text:
        if not character.isspace():
            last = min(1.0, (next(remaining, 0) + 0.5) / max(length, 1.0))
        places.append(last)
    return tuple(places)
