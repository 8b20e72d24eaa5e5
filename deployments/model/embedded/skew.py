"""Making a page easier to read: level where it was scanned at a slight angle, larger where it is tiny."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from deployments.model.embedded.lines import TextLine
from deployments.types import Box, Pixels

_SMALLEST = 0.3  # degrees; less moves a line's end by half its height at most
_LARGEST = 15.0  # degrees; more is a rotated page or slanted decoration, which this does not mend
_SMALL_TEXT = 18  # pixels; below it the recogniser, which works at 48, errs more and more
_MOST_PIXELS = 4_000_000  # a page is never enlarged beyond this


@dataclass(frozen=True, slots=True)
class Straightening:
    """A rotation about the page's middle, and an enlargement.

    Attributes:
        forward: affine matrix from the page to the straightened page, shape (2, 3).
        backward: its inverse.
        box: the straightened page's own box.
    """

    forward: npt.NDArray[np.float64]
    backward: npt.NDArray[np.float64]
    box: Box

    def image(self, image: Pixels) -> Pixels:
        """Return the straightened page; corners that were outside repeat the edge."""
        turned = cv2.warpAffine(
            image,
            self.forward,
            (self.box.x2, self.box.y2),
            flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return np.asarray(turned, np.uint8)

    def line(self, line: TextLine) -> TextLine:
        """Return a line where it lies on the straightened page."""
        return TextLine((line.quad @ self.forward[:, :2].T + self.forward[:, 2]).astype(np.float32))

    def original(self, box: Box, page: Box) -> Box:
        """Return the box around a straightened page's box on the page as it was, within the page."""
        x1, y1, x2, y2 = box
        corners = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float64)
        places = corners @ self.backward[:, :2].T + self.backward[:, 2]
        left, top = np.round(places.min(axis=0)).astype(int).tolist()
        right, bottom = np.round(places.max(axis=0)).astype(int).tolist()
        return Box(max(left, page.x1), max(top, page.y1), min(right, page.x2), min(bottom, page.y2))


def skew_angle(lines: Sequence[TextLine]) -> float:
    """Return the angle at which most of the page's text runs, in degrees; 0 where there is too little.

    Only lines much longer than high count: the angle of a short one is noise.
    """
    slopes = [line.slope for line in lines if not line.is_vertical and line.length > 8 * line.height]
    if len(slopes) < 3:
        return 0.0
    angle = statistics.median(slopes)
    spread = statistics.median(abs(slope - angle) for slope in slopes)
    return angle if _SMALLEST <= abs(angle) <= _LARGEST and spread < 1.0 else 0.0


def enlargement(lines: Sequence[TextLine], page: Box) -> float:
    """Return by how much to enlarge a page: 2 where its text is tiny and the page small enough, else 1."""
    if not lines or 4 * page.x2 * page.y2 > _MOST_PIXELS:
        return 1.0
    return 2.0 if statistics.median(line.height for line in lines) < _SMALL_TEXT else 1.0


def straighten(page: Box, angle: float, scale: float) -> Straightening:
    """Return the rotation that takes text at this angle back to level, and the enlargement.

    Args:
        page: the page's own box.
        angle: in degrees, positive where lines fall to the right.
        scale: 1 leaves the size as it is.
    """
    forward = scale * np.asarray(cv2.getRotationMatrix2D((page.x2 / 2, page.y2 / 2), angle, 1.0), np.float64)
    backward = np.asarray(cv2.invertAffineTransform(forward), np.float64)
    return Straightening(forward, backward, Box(0, 0, round(page.x2 * scale), round(page.y2 * scale)))
