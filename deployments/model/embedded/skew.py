"""Straightening a page that was scanned at a slight angle."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from deployments.model.embedded.lines import TextLine
from deployments.types import Box, Pixels

_SMALLEST = 0.3  # degrees; less moves a line's end by half its height at most
_LARGEST = 15.0  # degrees; more is a rotated page or slanted decoration, which this does not mend


@dataclass(frozen=True, slots=True)
class Straightening:
    """A rotation about the page's middle.

    Attributes:
        forward: affine matrix from the page to the straightened page, shape (2, 3).
        backward: its inverse.
    """

    forward: npt.NDArray[np.float64]
    backward: npt.NDArray[np.float64]

    def image(self, image: Pixels) -> Pixels:
        """Return the straightened page, of the same size; corners that were outside repeat the edge."""
        rows, columns = image.shape[:2]
        turned = cv2.warpAffine(image, self.forward, (columns, rows), borderMode=cv2.BORDER_REPLICATE)
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
    slopes = [line.slope for line in lines if not line.is_vertical and _aspect(line) > 8]
    if len(slopes) < 3:
        return 0.0
    angle = float(np.median(slopes))
    spread = float(np.median(np.abs(np.array(slopes) - angle)))
    return angle if _SMALLEST <= abs(angle) <= _LARGEST and spread < 1.0 else 0.0


def straighten(angle: float, page: Box) -> Straightening:
    """Return the rotation that takes text at this angle back to level.

    Args:
        angle: in degrees, positive where lines fall to the right.
        page: the page's own box.
    """
    middle = ((page.x1 + page.x2) / 2, (page.y1 + page.y2) / 2)
    forward = np.asarray(cv2.getRotationMatrix2D(middle, angle, 1.0), np.float64)
    return Straightening(forward, np.asarray(cv2.invertAffineTransform(forward), np.float64))


def _aspect(line: TextLine) -> float:
    length = float(np.linalg.norm(line.quad[1] - line.quad[0]))
    return length / max(line.height, 1.0)
